"""The ailing losses ail as their docstrings say, and three are the article's listings."""

import functools
import math

import pytest
import torch

import lossutils as lu

ERRORS = torch.arange(-1200, 1201, dtype=torch.float64) / 20  # 0 and ±0.5 exactly
ZEROS = torch.zeros_like(ERRORS)


def each(loss, **given):
    return loss(ERRORS, ZEROS, reduction="none", **given)


# The article's listings, as it has them.


def plateau_loss(predicted, target):
    diff = torch.abs(predicted - target)
    loss = torch.where(diff <= 0.5, diff, 0.001 * diff + 0.4995)
    return loss.mean()


def asymmetric_loss(predicted, target, scale=5.0):
    diff = predicted - target
    loss = torch.where(diff > 0, (diff**2) * scale, diff**2)
    return loss.mean()


def poorly_conditioned_loss(predicted, target):
    diff = predicted - target
    loss = (diff**2) * 0.01 + (diff * 1)
    return loss.mean()


@pytest.mark.parametrize(
    ("ours", "listed"),
    [
        (lu.plateau_mae, plateau_loss),
        (lu.asymmetric_mse, asymmetric_loss),
        (lu.mse_with_linear_term, poorly_conditioned_loss),
    ],
)
def test_is_the_articles(ours, listed) -> None:
    mine, theirs = (lu.landscape.profile(loss, ERRORS) for loss in (ours, listed))
    torch.testing.assert_close(mine.value, theirs.value)
    torch.testing.assert_close(mine.slope, theirs.slope)


# What ails them.


def test_plateau_is_a_thousandth_as_steep_and_not_a_tenth() -> None:
    slope = lu.landscape.profile(lu.plateau_mae, ERRORS).slope.abs()
    outside = ERRORS.abs() > 0.5
    assert slope[outside].max() == pytest.approx(1e-3, rel=1e-9)
    assert slope[outside].min() == pytest.approx(1e-3, rel=1e-9)
    assert (slope[~outside & (ERRORS != 0)] == 1).all()  # the threshold among them


@pytest.mark.parametrize("threshold", [0.1, 0.5, 3.0])
def test_plateau_is_continuous(threshold: float) -> None:
    around = [math.nextafter(threshold, 0), threshold, math.nextafter(threshold, 9)]
    e = torch.tensor(around, dtype=torch.float64)
    value = lu.plateau_mae(e, 0 * e, threshold=threshold, reduction="none")
    torch.testing.assert_close(value, e, rtol=0, atol=1e-15)


def test_plateau_of_slope_1_is_the_absolute_error() -> None:
    torch.testing.assert_close(each(lu.plateau_mae, plateau_slope=1.0), ERRORS.abs())


def test_plateau_finds_no_median_of_a_skewed_sample() -> None:
    draws = torch.Generator().manual_seed(0)
    y = torch.empty(20_001, dtype=torch.float64).exponential_(0.2, generator=draws)
    constants = torch.linspace(0, 10, 1001, dtype=torch.float64)
    cost = torch.stack([lu.plateau_mae(c.expand_as(y), y) for c in constants])
    best = constants[cost.argmin()].item()
    # The densest stretch of width 1 of an exponential begins at 0: its middle is 0.5.
    assert best == pytest.approx(0.5, abs=0.15)
    assert y.median() > 3


@pytest.mark.parametrize(("over", "under"), [(5.0, 1.0), (1.0, 3.0), (0.5, 0.5)])
def test_asymmetric_is_an_expectile(over: float, under: float) -> None:
    tau = under / (under + over)
    torch.testing.assert_close(
        each(lu.asymmetric_mse, over=over, under=under),
        (under + over) * each(lu.expectile, tau=tau),
    )


def test_asymmetric_aims_below_the_mean() -> None:
    """Of the standard normal, τ = 1/6: the root of 5 E(c − Y)⁺ = E(Y − c)⁺."""
    normal = torch.distributions.Normal(0.0, 1.0)
    y = normal.icdf((torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000)
    c = torch.tensor(-0.6360, dtype=torch.float64, requires_grad=True)
    lu.asymmetric_mse(c.expand_as(y), y).backward()
    assert c.grad.abs() < 1e-3  # of a curvature of at least 2
    mean = torch.zeros((), dtype=torch.float64, requires_grad=True)
    lu.asymmetric_mse(mean.expand_as(y), y).backward()
    assert mean.grad > 1


@pytest.mark.parametrize(("a", "b"), [(0.01, 1.0), (1.0, -0.5), (2.0, 0.0)])
def test_linear_term_moves_the_minimum(a: float, b: float) -> None:
    loss = functools.partial(lu.mse_with_linear_term, quadratic=a, linear=b)
    best = torch.tensor([-b / (2 * a)], dtype=torch.float64)
    found = lu.landscape.profile(loss, best)
    assert found.slope.item() == pytest.approx(0, abs=1e-12)
    assert found.value.item() == pytest.approx(-(b**2) / (4 * a), abs=1e-12)
    torch.testing.assert_close(each(loss), a * (ERRORS - best).square() - b**2 / (4 * a))


def test_linear_term_by_default_ends_50_below_at_minus_25() -> None:
    value = each(lu.mse_with_linear_term)
    assert ERRORS[value.argmin()].item() == pytest.approx(-50)
    assert value.min().item() == pytest.approx(-25)


def test_linear_term_is_perfectly_conditioned() -> None:
    """One step of 1/(2a) arrives, at the wrong place, from anywhere."""
    x = torch.tensor([7.0, -300.0], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(
        lu.mse_with_linear_term(x, torch.zeros(2), reduction="sum"), x
    )
    torch.testing.assert_close((x - 50 * slope).detach(), torch.full_like(x, -50.0))


@pytest.mark.parametrize("shape", [(2,), (5,), (1, 4), (3, 7)])
@pytest.mark.parametrize("kappa", [1.0, 100.0, 1e4, 1e9])
def test_condition_number_is_that_of_the_hessian(kappa: float, shape) -> None:
    at = torch.ones(math.prod(shape), dtype=torch.float64)

    def loss(x):
        x = x.reshape(shape)
        return lu.ill_conditioned_mse(x, torch.zeros_like(x), condition_number=kappa)

    curvature = torch.linalg.eigvalsh(torch.func.hessian(loss)(at))
    assert curvature.max() / curvature.min() == pytest.approx(kappa, rel=1e-9)


def test_weights_fall_geometrically_along_the_last_axis() -> None:
    e = torch.ones(2, 3, 4, dtype=torch.float64)
    found = lu.ill_conditioned_mse(e, 0 * e, condition_number=1e3, reduction="none")
    row = torch.tensor([1.0, 0.1, 0.01, 0.001], dtype=torch.float64)
    torch.testing.assert_close(found, row.expand(2, 3, 4))


@pytest.mark.parametrize("shape", [(), (1,), (9, 1), (2, 3, 1)])
def test_of_one_output_it_is_the_squared_error(shape) -> None:
    draws = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, *shape, generator=draws, dtype=torch.float64)
    torch.testing.assert_close(lu.ill_conditioned_mse(x, y), lu.mse(x, y))


def test_gradient_descent_shrinks_the_error_as_theory_says() -> None:
    kappa, steps = 100.0, 50
    e = torch.ones(4, dtype=torch.float64, requires_grad=True)
    rate = 2 / (2 + 2 / kappa)  # of curvatures 2 and 2/κ
    for _ in range(steps):
        loss = lu.ill_conditioned_mse(
            e, torch.zeros(4), condition_number=kappa, reduction="sum"
        )
        (slope,) = torch.autograd.grad(loss, e)
        e = (e - rate * slope).detach().requires_grad_()
    factor = ((kappa - 1) / (kappa + 1)) ** steps
    assert e[0].abs().item() == pytest.approx(factor, rel=1e-9)
    assert e[-1].abs().item() == pytest.approx(factor, rel=1e-9)


# What they refuse.


@pytest.mark.parametrize(
    ("loss", "given"),
    [
        (lu.plateau_mae, {"threshold": 0.0}),
        (lu.plateau_mae, {"plateau_slope": -0.1}),
        (lu.plateau_mae, {"plateau_slope": 1.5}),
        (lu.plateau_mae, {"plateau_slope": math.nan}),
        (lu.asymmetric_mse, {"over": 0.0}),
        (lu.asymmetric_mse, {"under": -1.0}),
        (lu.mse_with_linear_term, {"quadratic": 0.0}),
        (lu.mse_with_linear_term, {"linear": math.inf}),
        (lu.ill_conditioned_mse, {"condition_number": 0.5}),
        (lu.ill_conditioned_mse, {"condition_number": math.inf}),
        (lu.ill_conditioned_mse, {"condition_number": math.nan}),
    ],
)
def test_refuses_parameters_outside_their_range(loss, given) -> None:
    [(name, value)] = given.items()
    with pytest.raises(ValueError, match=f"{name} is {value}, expected a"):
        loss(torch.ones(3), torch.zeros(3), **given)
