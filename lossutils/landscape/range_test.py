"""The learning rates that an optimiser bears, found by trying."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lossutils.landscape._parameters import (
    Objective,
    Parameters,
    gradients,
    pieces,
    scalar,
)

__all__ = ["RangeTest", "learning_rate_range_test"]


class RangeTest(NamedTuple):
    """What a learning-rate range test saw; draw the losses over the rates, on a log axis.

    Attributes
    ----------
    rates : Tensor
        Shape (m,), float64: the rates tried, growing geometrically. m is smaller than
        `steps` where the test stopped early.
    losses : Tensor
        Shape (m,), float64: the loss after the step with each rate.
    start : float
        The loss before the first step.
    lowest : float
        The rate after whose step the loss was lowest.
    diverged : float or None
        The rate at which the test stopped; None where it came to its end.
    suggestion : float or None
        A tenth of `diverged`; None where nothing diverged.
    """

    rates: Tensor
    losses: Tensor
    start: float
    lowest: float
    diverged: float | None
    suggestion: float | None


def learning_rate_range_test(
    objective: Objective,
    parameters: Parameters,
    optimizer: type[torch.optim.Optimizer] = torch.optim.SGD,
    *,
    low: float = 1e-6,
    high: float = 10.0,
    steps: int = 100,
    stop_factor: float = 4.0,
    **options: Any,
) -> RangeTest:
    """Train with a rate that grows at every step, and see where the loss blows up.

    The suggestion is a tenth of the rate at which it does. The test always notices late:
    rates below the limit have all but emptied the steepest direction, which must first grow
    back. On least squares over the diabetes data (κ = 470), plain SGD is stable below 0.25;
    with 50 to 400 steps the test stops at 1.0 to 1.7 and suggests 0.10 to 0.17. The other
    usual choice, where the loss smoothed by 0.9 falls fastest, depends on how many steps
    are taken: there it goes from 0.07 to 0.004. Exact, where curvature sets the limit of
    gradient descent, is 2/λ with the largest λ of `hessian_eigenvalues`.

    Parameters
    ----------
    objective : callable
        `objective(parameters)` returns a scalar; differentiable by autograd. It is called
        once a step and once at the end, more often by `torch.optim.LBFGS`. It may take the
        next mini-batch each time; where the losses of batches differ by `stop_factor` on
        their own, raise that.
    parameters : Tensor or dict of Tensors
        Floating-point, of one type: where to start, such as freshly initialised weights.
        The optimiser gets copies.
    optimizer : type
        A class of `torch.optim`, not an instance. Default SGD.
    low, high : float
        First and last learning rate, 0 < low < high. Default 1e-6 and 10.
    steps : int
        How many rates, 2 or more. Default 100: each is 1.18 times the one before.
    stop_factor : float
        Stop when the loss is not finite, or above `stop_factor` times the lowest one so
        far; for a loss below 0, above it by (`stop_factor` − 1) times its size. More than
        1. Default 4.
    **options
        For the optimiser: `momentum=0.9`.

    Returns
    -------
    RangeTest
        rates, losses, start, lowest, diverged, suggestion.

    Raises
    ------
    ValueError
        A number is out of range, `lr` is among the options, the parameters are empty or of
        several types, the objective returns no scalar or does not depend on them, or the
        loss is not finite at the start.
    TypeError
        The optimiser is no class of optimisers, or something other than floating-point
        tensors was given or returned.

    References
    ----------
    Smith (2017), Cyclical learning rates for training neural networks.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> w = torch.ones(1, dtype=torch.float64)
    >>> test = lu.landscape.learning_rate_range_test(lambda w: 2 * (w**2).sum(), w)
    >>> 2 / 4, round(test.lowest, 2), round(test.suggestion, 2)
    (0.5, 0.45, 0.07)
    """
    _check(optimizer, low, high, steps, stop_factor, options)
    copies = [tensor.clone().requires_grad_() for tensor in pieces(parameters).values()]
    moving: Tensor | dict[str, Tensor] = copies[0]
    if not isinstance(parameters, Tensor):
        moving = dict(zip(parameters, copies, strict=True))
    before: list[float] = []

    def evaluate() -> Tensor:
        with torch.enable_grad():
            value = scalar(objective(moving))
            slopes = gradients(value, copies)
        for copy, slope in zip(copies, slopes, strict=True):
            copy.grad = slope
        before.append(value.item())
        return value.detach()

    exponents = torch.linspace(0, 1, steps, dtype=torch.float64, device="cpu")
    rates = low * (high / low) ** exponents
    create: Any = optimizer  # each class has its own signature
    runner = create(copies, lr=low, **options)
    seen: list[float] = []  # the loss at the start and after each step
    diverged = None
    # A step's own evaluation shows what the step before did; the last needs one more.
    for rate in [*rates.tolist(), None]:
        before.clear()
        if rate is None:
            evaluate()
        else:
            for group in runner.param_groups:
                group["lr"] = rate
            runner.step(evaluate)
        loss = before[0]  # LBFGS evaluates several times a step
        best = min(seen, default=loss)
        seen.append(loss)
        if len(seen) == 1 and not math.isfinite(loss):
            raise ValueError(f"the loss is {loss} at the start, expected a finite number")
        if not loss <= best + (stop_factor - 1) * abs(best):  # so that NaN stops too
            diverged = rates[len(seen) - 2].item()
            break
    losses = torch.tensor(seen[1:], dtype=torch.float64, device="cpu")
    rates = rates[: len(losses)]
    lowest = rates[losses.nan_to_num(nan=math.inf, posinf=math.inf).argmin()].item()
    suggestion = None if diverged is None else diverged / 10
    return RangeTest(rates, losses, seen[0], lowest, diverged, suggestion)


def _check(
    optimizer: object,
    low: float,
    high: float,
    steps: int,
    stop_factor: float,
    options: dict[str, Any],
) -> None:
    if not isinstance(optimizer, type) or not issubclass(optimizer, torch.optim.Optimizer):
        given = optimizer if isinstance(optimizer, type) else type(optimizer)
        raise TypeError(
            f"optimizer is {given.__name__}, expected a class: torch.optim.SGD, and its "
            "options by name"
        )
    if "lr" in options:
        raise ValueError("lr is what the test varies: give low and high instead")
    if not 0 < low < high < math.inf:
        raise ValueError(f"low is {low} and high {high}, expected 0 < low < high")
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 2:
        raise ValueError(f"steps is {steps}, expected a whole number, 2 or more")
    if not 1 < stop_factor < math.inf:
        raise ValueError(f"stop_factor is {stop_factor}, expected a number above 1")
