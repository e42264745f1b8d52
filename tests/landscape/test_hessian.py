"""Hessians against closed forms, Lanczos against the explicit Hessian."""

import functools
import math
import subprocess
import sys

import numpy as np
import pytest
import torch

import lossutils as lu
from lossutils.landscape import (
    condition_number,
    hessian,
    hessian_eigenvalues,
    output_hessian,
    parameter_hessian,
)

F64 = torch.float64
EXACT = {"rtol": 1e-10, "atol": 1e-12}


def draws(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=F64, generator=generator)


def network(hidden, seed=0):
    """An objective of a small untrained network, and its parameters."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = torch.nn.Sequential(
            torch.nn.Linear(5, hidden),
            torch.nn.Tanh(),
            torch.nn.Linear(hidden, hidden),
            torch.nn.Tanh(),
            torch.nn.Linear(hidden, 1),
        ).double()
    x = draws(80, 5, seed=1)
    y = torch.sin(2 * x.sum(1, keepdim=True))

    def objective(parameters):
        return lu.mse(torch.func.functional_call(model, parameters, x), y)

    return objective, dict(model.named_parameters())


def quadratic(eigenvalues):
    """An objective with these eigenvalues, where to look, and its Hessian, a full one."""
    p = len(eigenvalues)
    rotation = torch.linalg.qr(draws(p, p, seed=2)).Q
    matrix = rotation * eigenvalues @ rotation.T
    return lambda w: w @ matrix @ w / 2, torch.zeros(p, dtype=F64), matrix


# Explicit Hessians


def test_hessian_of_least_squares():
    x, y = draws(30, 4), draws(30, seed=1)
    found = parameter_hessian(lambda w: lu.mse(x @ w, y), draws(4, seed=2))
    torch.testing.assert_close(found, 2 * x.T @ x / 30, **EXACT)


def test_hessian_of_logistic_regression():
    x, w = draws(30, 4), draws(4, seed=2)
    y = (draws(30, seed=1) > 0).double()
    loss = torch.nn.functional.binary_cross_entropy_with_logits
    found = parameter_hessian(lambda w: loss(x @ w, y), w)
    p = torch.sigmoid(x @ w)
    torch.testing.assert_close(found, (x.T * p * (1 - p)) @ x / 30, **EXACT)


def test_columns_are_in_the_order_of_the_flattened_dict():
    parameters = {"b": draws(2), "a": draws(2, 3, seed=1)}
    c = torch.arange(1.0, 9.0, dtype=F64)

    def objective(p):
        return (c[:2] * p["b"] ** 2).sum() + (c[2:] * p["a"].flatten() ** 2).sum()

    torch.testing.assert_close(parameter_hessian(objective, parameters), 2 * c.diag())


def test_hessian_of_a_network_is_that_of_torch_func():
    objective, parameters = network(3)
    found = parameter_hessian(objective, parameters)
    blocks = torch.func.hessian(objective)({k: v.detach() for k, v in parameters.items()})
    sizes = {k: v.numel() for k, v in parameters.items()}
    expected = torch.cat(
        [
            torch.cat([blocks[i][j].reshape(m, n) for j, n in sizes.items()], dim=1)
            for i, m in sizes.items()
        ]
    )
    torch.testing.assert_close(found, expected, **EXACT)
    assert not found.requires_grad


def test_output_hessian_of_a_mean_is_diagonal():
    e = draws(3, 2) * 2
    found = output_hessian(lu.huber, e, torch.zeros_like(e))
    torch.testing.assert_close(found, (e.flatten().abs() < 1).double().diag() / 6)


def test_output_hessian_of_cross_entropy():
    logits = draws(2, 3)
    found = output_hessian(torch.nn.functional.cross_entropy, logits, torch.tensor([0, 2]))
    blocks = [(p.diag() - torch.outer(p, p)) / 2 for p in logits.softmax(1)]
    torch.testing.assert_close(found, torch.block_diag(*blocks), **EXACT)


def test_a_linear_objective_has_a_hessian_of_zeros():
    w = draws(3)
    assert parameter_hessian(lambda w: w.sum(), w).tolist() == [[0.0] * 3] * 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_hessians_keep_the_type_and_leave_everything_as_it_was(dtype):
    model = torch.nn.Linear(3, 1).to(dtype)
    x = torch.ones(2, 3, dtype=dtype)
    before = [p.clone() for p in model.parameters()]
    state = torch.random.get_rng_state()

    def objective(p):
        return torch.func.functional_call(model, p, x).square().mean()

    parameters = dict(model.named_parameters())
    assert parameter_hessian(objective, parameters).dtype == dtype
    assert {t.dtype for t in hessian_eigenvalues(objective, parameters, k=2)} == {dtype}
    with torch.no_grad():
        assert parameter_hessian(objective, parameters).shape == (4, 4)
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(p.grad is None for p in model.parameters())
    assert all(map(torch.equal, before, model.parameters()))


# Eigenvalues


@pytest.fixture
def lanczos_alone(monkeypatch):
    """Fail where the explicit Hessian steps in."""
    monkeypatch.setattr(hessian, "_dense", lambda *_: pytest.fail("went explicit"))


@pytest.mark.parametrize(
    ("which", "chosen"),
    [("largest", [-3, -2, -1]), ("smallest", [0, 1, 2]), ("both", [0, 1, 2, -3, -2, -1])],
)
@pytest.mark.parametrize("hidden", [8, 16])
def test_lanczos_agrees_with_the_explicit_hessian(hidden, which, chosen, lanczos_alone):
    objective, parameters = network(hidden)
    matrix = parameter_hessian(objective, parameters)
    expected = torch.linalg.eigvalsh(matrix)[chosen]
    assert expected[0] < -0.1 or which == "largest"  # the network gives both signs
    values, vectors = hessian_eigenvalues(objective, parameters, k=3, which=which)
    torch.testing.assert_close(values, expected, rtol=1e-4, atol=0)
    assert vectors.shape == (len(matrix), len(chosen))
    residual = (matrix @ vectors - vectors * values).norm(dim=0).max()
    assert residual < 1e-5 * matrix.norm()
    identity = torch.eye(len(chosen), dtype=F64)
    torch.testing.assert_close(vectors.T @ vectors, identity, rtol=0, atol=1e-8)


@pytest.mark.parametrize(
    "eigenvalues",
    [
        torch.cat([torch.zeros(150), torch.arange(1.0, 51.0)]),  # overparametrised
        torch.cat(
            [torch.full((3,), -9.0), torch.arange(1.0, 101.0), torch.full((3,), 200.0)]
        ),
        torch.cat([torch.zeros(99), torch.ones(1)]),  # of rank 1
        torch.full((100,), -6.0),
        torch.arange(-200.0, -100.0),  # the largest is nearest to 0
    ],
    ids=["zeros", "triplets", "rank one", "multiple of identity", "negative"],
)
def test_every_copy_of_a_multiple_eigenvalue_is_found(eigenvalues, lanczos_alone):
    eigenvalues = eigenvalues.double()
    objective, w, matrix = quadratic(eigenvalues)
    values, vectors = hessian_eigenvalues(objective, w, k=4, which="both")
    ends = [*range(4), *range(-4, 0)]
    tolerance = 1e-6 * eigenvalues.abs().max().item()
    expected = eigenvalues.sort().values[ends]
    torch.testing.assert_close(values, expected, rtol=0, atol=tolerance)
    residual = (matrix @ vectors - vectors * values).norm(dim=0).max()
    assert residual < 2 * tolerance
    torch.testing.assert_close(vectors.T @ vectors, torch.eye(8, dtype=F64))


def test_where_lanczos_does_not_converge_the_explicit_hessian_steps_in(monkeypatch):
    eigenvalues = torch.logspace(0, -12, 100, dtype=F64)
    objective, w, _ = quadratic(eigenvalues)
    values = hessian_eigenvalues(objective, w, k=3, which="smallest").eigenvalues
    torch.testing.assert_close(values, eigenvalues[[-1, -2, -3]], rtol=0, atol=1e-15)
    monkeypatch.setattr(hessian, "DENSE", 99)
    monkeypatch.setattr(hessian, "RESTARTS", 10)
    with pytest.raises(RuntimeError, match="3 smallest of 100 eigenvalues to 1e-06"):
        hessian_eigenvalues(objective, w, k=3, which="smallest")


@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("p", [5, 12])
def test_few_parameters_and_all_eigenvalues(p, k):
    eigenvalues = torch.arange(1.0, p + 1, dtype=F64) - 3
    objective, w, _ = quadratic(eigenvalues)
    found = hessian_eigenvalues(objective, w, k=k)
    torch.testing.assert_close(found.eigenvalues, eigenvalues[-k:], **EXACT)
    everything = hessian_eigenvalues(objective, w, k=p).eigenvalues
    torch.testing.assert_close(everything, eigenvalues, **EXACT)


def test_a_linear_objective_of_many_parameters_has_eigenvalues_of_zero():
    w = draws(100)
    values, vectors = hessian_eigenvalues(lambda w: w.sum(), w, k=3, which="both")
    assert values.tolist() == [0.0] * 6
    torch.testing.assert_close(vectors.T @ vectors, torch.eye(6, dtype=F64))


def test_float32_is_good_to_its_round_off():
    objective, parameters = network(8)
    expected = hessian_eigenvalues(objective, parameters, k=3, which="both").eigenvalues
    x = draws(80, 5, seed=1).float()
    y = torch.sin(2 * x.sum(1, keepdim=True))
    model = torch.nn.Sequential(
        torch.nn.Linear(5, 8),
        torch.nn.Tanh(),
        torch.nn.Linear(8, 8),
        torch.nn.Tanh(),
        torch.nn.Linear(8, 1),
    )

    def single(p):
        return lu.mse(torch.func.functional_call(model, p, x), y)

    low = {name: p.detach().float() for name, p in parameters.items()}
    found = hessian_eigenvalues(single, low, k=3, which="both").eigenvalues
    atol = 1e-5 * expected.abs().max().item()
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=atol)


def test_eigenvectors_are_the_same_every_time_and_upright():
    objective, parameters = network(8)
    first = hessian_eigenvalues(objective, parameters)
    torch.manual_seed(1)
    again = hessian_eigenvalues(objective, parameters)
    other = hessian_eigenvalues(objective, parameters, seed=1)
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    torch.testing.assert_close(first, other, rtol=1e-5, atol=1e-5)
    top = first.eigenvectors.gather(0, first.eigenvectors.abs().argmax(0, keepdim=True))
    assert (top > 0).all()


def test_the_objective_is_evaluated_once():
    calls = []
    objective, parameters = network(8)

    def counted(p):
        calls.append(1)
        return objective(p)

    hessian_eigenvalues(counted, parameters)
    assert len(calls) == 1


def test_scipy_waits_until_it_is_needed():
    code = """
import sys, torch, lossutils as lu
w = torch.zeros(3)
lu.landscape.hessian_eigenvalues(lambda w: (w**2).sum(), w, k=1)
lu.landscape.line(lambda w: (w**2).sum(), w, w + 1, w)
print("scipy" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr


# Condition numbers


def test_condition_number_of_a_matrix_and_of_its_eigenvalues():
    eigenvalues = torch.tensor([0.5, 8.0, 2.0], dtype=F64)
    matrix = quadratic(eigenvalues)[2]
    assert condition_number(eigenvalues) == 16
    assert condition_number(matrix) == pytest.approx(16, rel=1e-12)
    assert condition_number(1e-200 * matrix) == pytest.approx(16, rel=1e-12)
    assert isinstance(condition_number(matrix), float)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_condition_number_is_infinite_where_round_off_decides(dtype):
    eps = torch.finfo(dtype).eps
    at = torch.tensor([1.0, 2 * eps], dtype=dtype)
    above = torch.tensor([1.0, 2.01 * eps], dtype=dtype)
    assert condition_number(at) == math.inf
    assert condition_number(above) == pytest.approx(1 / (2.01 * eps), rel=1e-6)
    assert condition_number(torch.tensor([1.0, 0.0], dtype=dtype)) == math.inf
    assert condition_number(torch.tensor([2.0, -1.0], dtype=dtype)) == math.inf
    assert condition_number(torch.tensor([-2.0, -1.0], dtype=dtype)) == math.inf
    assert condition_number(torch.zeros(2, 2, dtype=dtype)) == math.inf


def test_condition_number_of_a_design_with_a_redundant_column_is_infinite():
    x = draws(50, 3)
    x = torch.cat([x, x.sum(1, keepdim=True)], dim=1)
    assert condition_number(x.T @ x) == math.inf
    assert condition_number(x[:, :3].T @ x[:, :3]) < 10


# What is refused


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (torch.ones(3, 2), r"shape \(3, 2\), expected a square.*x.T @ x"),
        (torch.ones(2, 2, 2), r"shape \(2, 2, 2\), expected a square"),
        (torch.tensor(1.0), r"shape \(\), expected a square"),
        (torch.ones(0), r"shape \(0,\), expected at least one"),
        (torch.tensor([1.0, math.nan]), "matrix holds NaN or infinity"),
        (torch.tensor([[1.0, 2.0], [0.0, 1.0]]), "not symmetric.* by up to 2"),
    ],
)
def test_what_has_no_condition_number_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        condition_number(given)


@pytest.mark.parametrize(
    "function", [parameter_hessian, functools.partial(hessian_eigenvalues, k=1)]
)
def test_objectives_that_cannot_be_are_refused(function):
    w, x = torch.ones(3), torch.ones(2, 3)
    model = torch.nn.Linear(3, 1)
    with pytest.raises(ValueError, match=r"objective returns shape \(2,\).*'mean'"):
        function(lambda w: x @ w, w)
    with pytest.raises(TypeError, match=r"objective returns a float.*no .item\(\)"):
        function(lambda w: (x @ w).sum().item(), w)
    for objective in (lambda p: model(x).mean(), lambda w: (w > 0).sum().float()):
        with pytest.raises(ValueError, match="functional_call"):
            function(objective, w)


@pytest.mark.parametrize("function", [parameter_hessian, hessian_eigenvalues])
@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        (torch.nn.Linear(2, 1), TypeError, r"a Linear.*dict\(model.named_parameters"),
        (torch.arange(3), TypeError, "parameters is torch.int64, expected a floating"),
        ({"w": torch.ones(2), "n": torch.tensor(1)}, TypeError, r"parameters\['n'\] is"),
        ({"w": 1.0}, TypeError, r"parameters\['w'\] is float"),
        ({}, ValueError, "parameters is empty"),
        (torch.ones(0, 3), ValueError, "parameters is empty"),
        ({"a": torch.ones(2), "b": torch.ones(2).double()}, ValueError, "mixes .*float32"),
    ],
)
def test_parameters_that_cannot_be_are_refused(function, parameters, error, message):
    with pytest.raises(error, match=message):
        function(lambda p: torch.tensor(0.0), parameters)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"k": 0}, ValueError, "k is 0, expected 1 to 4: largest of 4"),
        ({"k": 5}, ValueError, "k is 5, expected 1 to 4"),
        ({"k": 3, "which": "both"}, ValueError, "k is 3, expected 1 to 2: both of 4"),
        ({"k": 1.5}, TypeError, "k is a float"),
        ({"k": True}, TypeError, "k is a bool"),
        ({"k": 1, "which": "LA"}, ValueError, "which is 'LA', expected 'largest'"),
        ({"k": 1, "tol": 0}, ValueError, "tol is 0, expected a number above 0"),
    ],
)
def test_options_that_cannot_be_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        hessian_eigenvalues(lambda w: (w**2).sum(), torch.ones(4), **options)


def test_other_mistakes_are_refused():
    with pytest.raises(ValueError, match="there is one parameter: which='largest'"):
        hessian_eigenvalues(lambda w: w**2, torch.tensor(1.0), k=1, which="both")
    for p in (4, 40):
        with pytest.raises(ValueError, match="the Hessian holds NaN or infinity"):
            hessian_eigenvalues(lambda w: w.abs().sqrt().sum(), torch.zeros(p), k=1)
    with pytest.raises(TypeError, match=r"input is torch.int64"):
        output_hessian(lu.mse, torch.arange(3), torch.zeros(3))
    with pytest.raises(ValueError, match="input is empty"):
        output_hessian(lu.mse, torch.ones(0), torch.ones(0))
    with pytest.raises(ValueError, match=r"the loss returns shape \(3,\)"):
        output_hessian(lambda x, y: x - y, torch.ones(3), torch.ones(3))
    with pytest.raises(ValueError, match="does not depend, for autograd, on the input"):
        output_hessian(lambda x, y: y.sum(), torch.ones(3), torch.ones(3))


def test_products_of_no_symmetric_matrix_do_not_loop_for_ever(monkeypatch):
    """However often it is asked, ARPACK has another eigenvalue beyond all before."""
    searches = []

    def eigsh(operator, k, **_):
        searches.append(k)
        p = operator.shape[0]
        return np.arange(k) + 10.0 * len(searches), np.eye(p, k, -len(searches) % p)

    monkeypatch.setattr("scipy.sparse.linalg.eigsh", eigsh)
    objective, w, _ = quadratic(torch.arange(1.0, 31.0, dtype=torch.float64))
    with pytest.raises(RuntimeError, match=r"30 times over.*same at each call"):
        hessian_eigenvalues(objective, w, k=2)
    assert len(searches) <= 33
