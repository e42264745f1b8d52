"""Directions, slices and runs in a plane, against direct evaluation."""

import math

import pytest
import torch

import lossutils as lu
from lossutils.landscape import (
    line,
    plane,
    principal_directions,
    random_direction,
    trajectory,
)

F64 = torch.float64


def draws(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=F64, generator=generator)


PARAMETERS = {
    "weight": 3 * draws(4, 3),
    "convolution": 0.1 * draws(2, 3, 5, 5, seed=1),
    "bias": draws(4, seed=2),
    "scale": draws(1, seed=3).squeeze(),
}


def objective(p):
    return sum(((i + 1) * t).sin().sum() for i, t in enumerate(p.values()))


def seeded(seed=10):  # none of those that the parameters come from
    return torch.Generator().manual_seed(seed)


def vector(parameters):
    return torch.cat([t.flatten() for t in parameters.values()])


# Directions


def test_filter_normalisation_gives_each_row_the_length_of_its_weights():
    d = random_direction(PARAMETERS, generator=seeded())
    assert list(d) == list(PARAMETERS)
    for name in ("weight", "convolution"):
        rows, expected = d[name].flatten(1), PARAMETERS[name].flatten(1)
        torch.testing.assert_close(rows.norm(dim=1), expected.norm(dim=1))
        cosine = torch.nn.functional.cosine_similarity(rows, expected)
        assert cosine.abs().max() < 0.99  # of that length, not the weights themselves
    assert d["bias"].tolist() == [0.0] * 4
    assert d["scale"].item() == 0


def test_layer_normalisation_gives_each_tensor_the_length_of_its_weights():
    d = random_direction(PARAMETERS, normalise="layer", generator=seeded())
    for name, weights in PARAMETERS.items():
        assert d[name].shape == weights.shape
        torch.testing.assert_close(d[name].norm(), weights.norm())
    rows = d["weight"].norm(dim=1) / PARAMETERS["weight"].norm(dim=1)
    assert rows.max() > 1.01 * rows.min()


def test_without_normalisation_a_direction_is_standard_normal():
    d = random_direction(torch.zeros(100, 100), normalise=None, generator=seeded())
    again = torch.randn(100, 100, generator=seeded())
    assert torch.equal(d, again)


def test_rows_of_zeros_stay():
    w = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    d = random_direction(w, generator=seeded())
    torch.testing.assert_close(d.norm(dim=1), torch.tensor([0.0, 5.0]))


def test_a_generator_leaves_torchs_own_alone_and_repeats():
    state = torch.random.get_rng_state()
    first = random_direction(PARAMETERS, generator=seeded())
    again = random_direction(PARAMETERS, generator=seeded())
    other = random_direction(PARAMETERS, generator=seeded(1))
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.equal(vector(first), vector(again))
    assert not torch.equal(vector(first), vector(other))


def test_parameters_that_need_gradients_give_a_direction_without():
    model = torch.nn.Linear(3, 2)
    d = random_direction(dict(model.named_parameters()))
    assert not any(t.requires_grad for t in d.values())


# Slices


def test_line_is_what_direct_evaluation_gives():
    d = random_direction(PARAMETERS, normalise="layer", generator=seeded())
    steps = torch.linspace(-1, 2, 7, dtype=F64)
    found = line(objective, PARAMETERS, d, steps)
    assert torch.equal(found.a, steps)
    direct = [objective({k: t + s * d[k] for k, t in PARAMETERS.items()}) for s in steps]
    torch.testing.assert_close(found.value, torch.stack(direct), rtol=1e-13, atol=1e-13)


def test_plane_is_what_direct_evaluation_gives():
    first = random_direction(PARAMETERS, generator=seeded())
    second = random_direction(PARAMETERS, generator=seeded(1))
    a, b = torch.linspace(-1, 1, 3, dtype=F64), torch.linspace(-2, 2, 5, dtype=F64)
    found = plane(objective, PARAMETERS, first, second, (a, b))
    assert found.value.shape == (3, 5)
    for i, s in enumerate(a):
        for j, t in enumerate(b):
            there = {k: p + s * first[k] + t * second[k] for k, p in PARAMETERS.items()}
            torch.testing.assert_close(found.value[i, j], objective(there))
    torch.testing.assert_close(found.value[1, 2], objective(PARAMETERS))
    square = plane(objective, PARAMETERS, first, second, b)
    torch.testing.assert_close(
        square.value[:, 2],
        line(objective, PARAMETERS, first, b).value,
    )


def test_a_direction_may_be_a_vector_and_its_names_in_any_order():
    d = random_direction(PARAMETERS, normalise="layer", generator=seeded())
    steps = torch.linspace(-1, 1, 5, dtype=F64)
    expected = line(objective, PARAMETERS, d, steps)
    for form in (vector(d), dict(reversed(d.items()))):
        torch.testing.assert_close(line(objective, PARAMETERS, form, steps), expected)


def test_along_an_eigenvector_the_curvature_is_the_eigenvalue():
    x, y = draws(20, 6), draws(20, seed=1)
    w = torch.linalg.lstsq(x, y).solution

    def squares(w):
        return lu.mse(x @ w, y)

    values, vectors = lu.landscape.hessian_eigenvalues(squares, w, k=1)
    value = line(squares, w, vectors[:, 0], torch.tensor([-1.0, 0.0, 1.0])).value
    torch.testing.assert_close(value[0] - 2 * value[1] + value[2], values[0])


def test_slices_leave_parameters_gradients_and_random_numbers_alone():
    model = torch.nn.Linear(3, 1)
    x = torch.ones(2, 3)
    before = [p.clone() for p in model.parameters()]
    state = torch.random.get_rng_state()
    given = dict(model.named_parameters())

    def rough(p):  # changes what it is given, and has no gradient
        for t in p.values():
            t += 1
        out = torch.func.functional_call(model, p, x)
        return (out > 0).float().mean()

    found = line(rough, given, torch.ones(4), torch.tensor([0.0, 0.0]))
    assert found.value[0] == found.value[1]
    assert not found.value.requires_grad
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(map(torch.equal, before, model.parameters()))
    assert all(p.grad is None for p in model.parameters())


# Runs


def test_points_in_the_plane_have_their_coordinates():
    origin = draws(9)
    first, second = draws(9, seed=1), draws(9, seed=2)  # neither unit nor orthogonal
    coordinates = 3 * draws(12, 2, seed=3)
    run = origin + coordinates @ torch.stack([first, second])
    found = trajectory(run, origin, first, second)
    torch.testing.assert_close(found.coordinates, coordinates, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found.explained, torch.ones(12, dtype=F64))


def test_what_lies_across_the_plane_is_not_explained():
    first, second, across = torch.eye(3, dtype=F64) * 2
    run = torch.stack([first + across, across, 0 * across, 3 * second - across])
    found = trajectory(run, torch.zeros(3, dtype=F64), first, second)
    expected = torch.tensor([[1, 0], [0, 0], [0, 0], [0, 3]], dtype=F64)
    torch.testing.assert_close(found.coordinates, expected)
    shares = torch.tensor([0.5, 0, 1, 0.9], dtype=F64)
    torch.testing.assert_close(found.explained, shares)


def test_a_run_of_dicts_is_the_run_of_their_vectors():
    first = random_direction(PARAMETERS, generator=seeded())
    second = random_direction(PARAMETERS, generator=seeded(1))
    run = [{k: t + i for k, t in PARAMETERS.items()} for i in range(4)]
    found = trajectory(run, PARAMETERS, first, second)
    rows = torch.stack([vector(point) for point in run])
    same = trajectory(rows, vector(PARAMETERS), vector(first), vector(second))
    mixed = trajectory(rows, PARAMETERS, vector(first), second)
    torch.testing.assert_close(found, same, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found, mixed, rtol=1e-12, atol=1e-12)
    pca = principal_directions(run), principal_directions(rows)
    torch.testing.assert_close(*pca, rtol=1e-12, atol=1e-12)


def test_the_plane_and_the_run_agree_on_the_loss():
    """The value of the plane at a run's coordinates is the loss there, if it lies in it."""
    c = torch.tensor([1.0, 30.0], dtype=F64)

    def bowl(w):
        return (c * w**2).sum()

    w, run = torch.tensor([2.0, 1.0], dtype=F64), []
    for _ in range(5):
        run.append(w)
        w = w - 0.03 * 2 * c * w
    first, second = torch.tensor([[1.0, 1.0], [1.0, -2.0]], dtype=F64)
    origin = torch.tensor([0.5, 0.0], dtype=F64)
    seen = trajectory(run, origin, first, second).coordinates
    for (a, b), point in zip(seen, run, strict=True):
        value = plane(bowl, origin, first, second, (a[None], b[None])).value
        torch.testing.assert_close(value[0, 0], bowl(point))


def test_principal_directions_are_those_of_the_covariance():
    run = draws(40, 6) * torch.tensor([1.0, 5.0, 0.5, 3.0, 0.1, 0.2], dtype=F64) + 7
    found = principal_directions(run)
    values, vectors = torch.linalg.eigh(run.T.cov())
    torch.testing.assert_close((found.first @ vectors[:, -1]).abs().item(), 1.0)
    torch.testing.assert_close((found.second @ vectors[:, -2]).abs().item(), 1.0)
    torch.testing.assert_close(found.explained, values[[-1, -2]] / values.sum())
    assert found.first.abs().max() == found.first.max()  # upright
    assert abs(found.first @ found.second) < 1e-12


def test_no_plane_explains_more_than_the_principal_one():
    run = draws(30, 10).cumsum(0)
    run -= run.mean(0)
    origin = torch.zeros(10, dtype=F64)

    def share(first, second):
        inside = trajectory(run, origin, first, second).explained
        return (inside * run.square().sum(1)).sum() / run.square().sum()

    first, second, explained = principal_directions(run)
    best = share(first, second)
    torch.testing.assert_close(best, explained.sum())
    random = [share(draws(10, seed=s), draws(10, seed=s + 50)) for s in range(1, 20)]
    assert best > max(random)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_types_stay(dtype):
    w = torch.ones(3, 2, dtype=dtype)
    d = random_direction(w, generator=seeded())
    run = torch.randn(5, 6, generator=seeded()).to(dtype)
    pca = principal_directions(run)
    found = [d, line(lambda w: w.sum(), w, d, torch.tensor([0.5])).value]
    found += [*trajectory(run, w, *pca[:2]), *pca]
    assert {t.dtype for t in found} == {dtype}


# What is refused

W, D, S = torch.ones(2, 3), torch.ones(2, 3), torch.tensor([0.0, 1.0])
UP, ACROSS = torch.eye(6)[:2]


def total(w):
    return w.sum()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: line(total, W, torch.ones(3, 2), S), ValueError, r"direction has shape"),
        (lambda: line(total, W, torch.ones(5), S), ValueError, r"expected \(2, 3\)"),
        (lambda: line(total, W, 0 * D, S), ValueError, "direction is 0"),
        (lambda: line(total, W, D / 0, S), ValueError, "direction holds NaN or inf"),
        (lambda: line(total, W, D.long(), S), TypeError, "direction is torch.int64"),
        (lambda: line(total, W, {"w": D}, S), ValueError, "direction has shape of a dict"),
        (lambda: line(total, W, D, S.long()), TypeError, "steps is torch.int64"),
        (lambda: line(total, W, D, [0.0]), TypeError, "steps is list"),
        (lambda: line(total, W, D, S[:0]), ValueError, r"steps has shape \(0,\)"),
        (lambda: line(total, W, D, torch.ones(1, 1)), ValueError, r"steps has shape"),
        (lambda: line(total, W.long(), D, S), TypeError, "parameters is torch.int64"),
        (lambda: line(lambda w: w, W, D, S), ValueError, "objective returns shape"),
        (lambda: line(lambda w: 1.0, W, D, S), TypeError, "objective returns a float"),
        (lambda: line(total, {"w": W}, {"v": D}, S), ValueError, r"differ in \['v', 'w'\]"),
        (
            lambda: line(total, {"w": W}, {"w": D.T}, S),
            ValueError,
            r"direction\['w'\] has shape \(3, 2\), expected .*, \(2, 3\)",
        ),
        (
            lambda: line(total, {"w": W}, D, S),
            ValueError,
            r"\(2, 3\), expected \(6,\) or a dict",
        ),
        (lambda: plane(total, W, UP, -2 * UP, S), ValueError, "are parallel"),
        (lambda: plane(total, W, UP, UP * 0, S), ValueError, "second is 0"),
        (lambda: plane(total, W, UP, ACROSS, (S, S, S)), ValueError, "steps are 3"),
        (lambda: plane(total, W[0, :1], S[1:], S[1:], S), ValueError, "are parallel"),
        (lambda: trajectory([], W, UP, ACROSS), ValueError, "points is empty"),
        (lambda: trajectory([W, W[0]], W, UP, ACROSS), ValueError, r"points\[1\] has"),
        (lambda: trajectory([W], W, UP, UP), ValueError, "are parallel"),
        (lambda: principal_directions([W, W]), ValueError, "points holds 2"),
        (lambda: principal_directions([W / 3] * 4), ValueError, "all the same"),
        (lambda: principal_directions([S[:1]] * 3), ValueError, "one number each"),
        (lambda: principal_directions([W, W, W * math.nan]), ValueError, r"points\[2\]"),
        (lambda: random_direction(W, normalise="row"), ValueError, "normalise is 'row'"),
        (lambda: random_direction(W[0]), ValueError, "direction is 0.*'layer' or"),
        (lambda: random_direction(0 * W), ValueError, "the direction is 0"),
        (lambda: random_direction({}), ValueError, "parameters is empty"),
    ],
)
def test_mistakes_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
