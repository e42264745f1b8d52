"""The learning-rate range test where theory knows the limit."""

import math

import pytest
import torch
from sklearn.datasets import load_diabetes

import lossutils as lu
from lossutils.landscape import learning_rate_range_test as range_test

F64 = torch.float64


def bowl(*curvature):
    c = torch.tensor(curvature, dtype=F64)
    return lambda w: (c * w**2).sum() / 2


ONES = torch.ones(2, dtype=F64)


@pytest.mark.parametrize("curvature", [1e-3, 1.0, 7.3, 4e4])
@pytest.mark.parametrize("steps", [50, 200])
def test_gradient_descent_is_stable_up_to_two_over_the_curvature(curvature, steps):
    test = range_test(bowl(curvature, curvature), ONES, low=1e-8, high=1e6, steps=steps)
    grid = 1e14 ** (1 / (steps - 1))
    limit = 2 / curvature
    assert test.lowest <= limit < test.lowest * grid
    # k rates beyond the limit, a step multiplies the loss by (2 grid^k - 1)^2 at least: by
    # more than 4 in all after the third, with either grid.
    assert math.prod((2 * grid**k - 1) ** 2 for k in (1, 2)) > 4
    assert limit < test.diverged <= limit * grid**3
    assert test.suggestion == test.diverged / 10


def test_every_loss_is_the_one_after_the_step_with_its_rate():
    test = range_test(bowl(1.0, 10.0), ONES, low=1e-3, high=1.0, steps=20)
    w, c = ONES.clone(), torch.tensor([1.0, 10.0], dtype=F64)
    assert test.start == bowl(1.0, 10.0)(w)
    torch.testing.assert_close(
        test.rates, torch.logspace(-3, 0, 20, dtype=F64)[: len(test.rates)]
    )
    for rate, loss in zip(test.rates, test.losses, strict=True):
        w = w - rate * c * w
        torch.testing.assert_close(loss, bowl(1.0, 10.0)(w))


def test_a_test_that_comes_to_its_end_suggests_nothing():
    test = range_test(bowl(1.0, 1.0), ONES, low=1e-3, high=1.5, steps=30)
    assert (test.diverged, test.suggestion) == (None, None)
    assert len(test.rates) == len(test.losses) == 30
    assert test.rates[0].item() == 1e-3
    assert test.rates[-1].item() == pytest.approx(1.5)


def steepest_fall(test):
    """The rate at which the loss, smoothed by 0.9, falls fastest."""
    smooth, mean = [], 0.0
    for i, loss in enumerate([test.start, *test.losses.tolist()], 1):
        mean = 0.9 * mean + 0.1 * loss
        smooth.append(mean / (1 - 0.9**i))
    return test.rates[torch.tensor(smooth).diff().argmin()].item()


def test_the_suggestion_on_diabetes_lies_below_the_limit():
    """On the data of the docstring, which quotes these numbers."""
    x, y = map(torch.as_tensor, load_diabetes(return_X_y=True))
    x = (x - x.mean(0)) / x.std(0)
    x = torch.cat([x, torch.ones(len(x), 1, dtype=F64)], dim=1)
    y = (y - y.mean()) / y.std()

    def objective(w):
        return lu.mse(x @ w, y)

    w = torch.zeros(11, dtype=F64)
    limit = 2 / lu.landscape.hessian_eigenvalues(objective, w, k=1).eigenvalues.item()
    assert round(limit, 2) == 0.25
    tests = [range_test(objective, w, steps=n) for n in (50, 100, 200, 400)]
    assert all(1.0 < t.diverged < 1.7 for t in tests)
    assert all(0.10 < t.suggestion < 0.17 < limit for t in tests)
    falls = [steepest_fall(t) for t in tests]
    assert falls == sorted(falls, reverse=True)
    assert [round(falls[0], 2), round(falls[-1], 3)] == [0.07, 0.004]


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        (torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
        (torch.optim.Adam, {}),
        (torch.optim.AdamW, {"weight_decay": 0.1}),
        (torch.optim.RMSprop, {}),
        (torch.optim.Adagrad, {}),
        (torch.optim.Rprop, {}),
        (torch.optim.LBFGS, {"max_iter": 2}),
    ],
)
def test_any_optimiser_runs_and_leaves_everything_as_it_was(optimizer, options):
    model = torch.nn.Linear(3, 1)
    x = torch.eye(3)
    given = dict(model.named_parameters())
    before = [p.clone() for p in given.values()]
    state = torch.random.get_rng_state()

    def objective(p):
        out = torch.func.functional_call(model, p, x)
        return (out - 1).square().mean() + 0 * model.bias.sum()

    test = range_test(objective, given, optimizer, steps=15, low=1e-4, high=1.0, **options)
    assert test.losses.min() < test.start
    assert all(map(torch.equal, before, given.values()))
    assert all(p.grad is None and p.requires_grad for p in given.values())
    assert torch.equal(state, torch.random.get_rng_state())


def test_options_reach_the_optimiser():
    plain = range_test(bowl(1.0, 1.0), ONES, steps=10, high=0.1)
    heavy = range_test(bowl(1.0, 1.0), ONES, steps=10, high=0.1, momentum=0.9)
    assert heavy.losses[-1] < plain.losses[-1]


def test_a_batch_is_drawn_once_a_step_and_once_at_the_end():
    calls = []

    def objective(w):
        calls.append(1)
        return w.square().sum()

    range_test(objective, ONES, steps=10, high=0.1)
    assert len(calls) == 11


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_the_test(bad):
    def objective(w):
        return torch.where(w[0] > 0.5, w[0], w[0] + bad)

    test = range_test(objective, ONES, low=0.01, high=1.0, steps=20)
    assert test.diverged == test.rates[-1].item()
    assert not math.isfinite(test.losses[-1])
    assert test.lowest == test.rates[-2].item()


def test_a_loss_below_zero_may_go_on_falling():
    """Where four times the lowest loss would lie below it."""
    test = range_test(lambda w: w.sum(), ONES, low=0.1, high=10.0, steps=10)
    assert test.diverged is None
    assert test.losses[-1] < -10
    assert test.lowest == test.rates[-1].item()


def test_stop_factor_says_when():
    runs = [range_test(bowl(1.0, 1.0), ONES, steps=100, stop_factor=f) for f in (1.5, 1e6)]
    assert runs[0].diverged < runs[1].diverged
    assert runs[0].losses[-1] > 1.5 * runs[0].losses.min()
    assert runs[1].losses[-1] > 1e6 * runs[1].losses.min() > runs[1].losses[-2]


# What is refused


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"low": 0.0}, ValueError, "low is 0.0 and high 10.0, expected 0 < low < high"),
        ({"low": 1.0, "high": 0.1}, ValueError, "low is 1.0 and high 0.1"),
        ({"high": math.inf}, ValueError, "high inf"),
        ({"steps": 1}, ValueError, "steps is 1, expected a whole number, 2 or more"),
        ({"steps": 2.5}, ValueError, "steps is 2.5"),
        ({"stop_factor": 1.0}, ValueError, "stop_factor is 1.0, expected a number above 1"),
        ({"lr": 0.1}, ValueError, "lr is what the test varies"),
        ({"optimizer": "SGD"}, TypeError, "optimizer is str, expected a class"),
        (
            {"optimizer": torch.nn.Linear},
            TypeError,
            "optimizer is Linear, expected a class",
        ),
        ({"momentun": 0.9}, TypeError, "momentun"),
    ],
)
def test_options_that_cannot_be_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        range_test(bowl(1.0, 1.0), ONES, **options)


def test_an_instance_of_an_optimiser_is_refused():
    sgd = torch.optim.SGD([torch.ones(2, requires_grad=True)], lr=0.1)
    with pytest.raises(TypeError, match="optimizer is SGD, expected a class"):
        range_test(bowl(1.0, 1.0), ONES, sgd)


@pytest.mark.parametrize(
    ("objective", "parameters", "error", "message"),
    [
        (lambda w: w, ONES, ValueError, r"objective returns shape \(2,\)"),
        (lambda w: 1.0, ONES, TypeError, "objective returns a float"),
        (lambda w: torch.ones(()), ONES, ValueError, "functional_call"),
        (lambda w: w.sum() / 0, ONES, ValueError, "the loss is inf at the start"),
        (lambda w: w.sum(), torch.arange(2), TypeError, "parameters is torch.int64"),
        (lambda w: w.sum(), ONES[:0], ValueError, "parameters is empty"),
        (lambda w: w.sum(), torch.nn.Linear(1, 1), TypeError, "named_parameters"),
    ],
)
def test_objectives_and_parameters_that_cannot_be_are_refused(
    objective, parameters, error, message
):
    with pytest.raises(error, match=message):
        range_test(objective, parameters)
