"""Ailing losses, each with one known ailment: specimens to examine, not to train with.

They are correct code with an unfortunate shape, so they keep the whole loss contract:
`input` (predictions) and `target` of one shape, nothing is broadcast, half types are
computed in float32, the mean is the weighted mean, and the mean over nothing is 0.
e = input − target is the error, in the target's units. What ails each stands in its
entry of `lossutils.CATALOGUE`, under `ailments`.
"""

import math

import torch
from torch import Tensor

from lossutils.losses._core import (
    Reduction,
    as_module,
    check_pair,
    check_positive,
    reduce,
)

__all__ = [
    "AsymmetricMSELoss",
    "IllConditionedMSELoss",
    "MSEWithLinearTermLoss",
    "PlateauMAELoss",
    "asymmetric_mse",
    "ill_conditioned_mse",
    "mse_with_linear_term",
    "plateau_mae",
]


def plateau_mae(
    input: Tensor,
    target: Tensor,
    *,
    threshold: float = 0.5,
    plateau_slope: float = 0.001,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Absolute error with a plateau: |e| up to a threshold θ, then θ + s(|e| − θ).

    Its ailment: beyond θ the slope falls from 1 to s, by default to a thousandth. Plain
    gradient descent then needs 1/s times as many steps per unit of error; an optimiser
    that divides by the size of the gradient, such as Adam, needs no more than on |e|.
    The loss is not convex. Near targets weigh 1/s times as much as far ones, so for
    widely spread targets it estimates no median but something like their mode.

    The article of chapter *Slow convergence* calls it `PlateauLoss` and says that the
    slope falls to a tenth. With its numbers, the defaults here, it is 1/1000.

    The gradient at the kink e = 0 is 0; at the kinks |e| = θ it is the inner one, ±1.

    Parameters
    ----------
    input, target : Tensor
        Predictions and targets of one shape, any shape. The input is floating-point
        and decides the type; the target is converted to it.
    threshold : float
        θ, the error where the plateau begins, in units of the target, above 0. Default
        0.5.
    plateau_slope : float
        s, the slope on the plateau, from 0 (flat) to 1 (the absolute error).
        Default 0.001.
    weight : Tensor, optional
        Non-negative, one per element, of the input's shape.
    reduction : {"mean", "sum", "none"}
        Default "mean", the weighted mean Σwℓ / Σw; "none" keeps the input's shape.

    Returns
    -------
    Tensor
        In the input's type, in units of the target.

    Raises
    ------
    ValueError
        Shapes or devices differ, a weight is negative, the reduction is unknown, threshold
        is not above 0, or plateau_slope is outside [0, 1].
    TypeError
        An argument is no tensor, or the input is not floating-point.

    References
    ----------
    Hampel (1974), The influence curve and its role in robust estimation: the slope is, but
    for a factor, the influence curve of the location that a loss estimates.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> lu.plateau_mae(torch.tensor([0.25, 2.5]), torch.zeros(2), reduction="none")
    tensor([0.2500, 0.5020])
    """
    x, t = check_pair(input, target)
    check_positive(threshold=threshold)
    if not 0 <= plateau_slope <= 1:
        raise ValueError(
            f"plateau_slope is {plateau_slope}, expected a number from 0 to 1; at 1 the "
            "loss is the absolute error"
        )
    size = (x - t).abs()
    plateau = threshold + plateau_slope * (size - threshold)
    loss = torch.where(size <= threshold, size, plateau)
    return reduce(loss, weight, reduction, input.dtype)


def asymmetric_mse(
    input: Tensor,
    target: Tensor,
    *,
    over: float = 5.0,
    under: float = 1.0,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Asymmetric squares: over·e² when the prediction is too high, under·e² otherwise.

    Its ailment: it does not aim at the mean. It estimates the expectile
    τ = under / (under + over), by default τ = 1/6, below the mean, and equals
    (under + over) times `expectile(tau=τ)`. That is right where predicting too high costs
    more; as a stand-in for the squared error it is a bias. It is not slow: its slope is
    continuous and its curvature lies between 2·under and 2·over.

    The article of chapter *Slow convergence* calls it `AsymmetricLoss(scale=5)`, where
    scale is `over`, and says that it is steep in a narrow region. It is steep on all of
    e > 0.

    Parameters
    ----------
    input, target : Tensor
        Predictions and targets of one shape, any shape. The input is floating-point
        and decides the type; the target is converted to it.
    over, under : float
        Cost of a squared error above and below the target, above 0. Defaults 5 and 1.
    weight : Tensor, optional
        Non-negative, one per element, of the input's shape.
    reduction : {"mean", "sum", "none"}
        Default "mean", the weighted mean Σwℓ / Σw; "none" keeps the input's shape.

    Returns
    -------
    Tensor
        In the input's type, in squared units of the target.

    Raises
    ------
    ValueError
        Shapes or devices differ, a weight is negative, the reduction is unknown, or over
        or under is not above 0.
    TypeError
        An argument is no tensor, or the input is not floating-point.

    References
    ----------
    Newey and Powell (1987), Asymmetric least squares estimation and testing, equation 2.1.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> lu.asymmetric_mse(torch.tensor([0.0, 2.0]), torch.ones(2), reduction="none")
    tensor([1., 5.])
    """
    x, t = check_pair(input, target)
    check_positive(over=over, under=under)
    e = x - t
    side = torch.where(e > 0, torch.full_like(e, over), torch.full_like(e, under))
    # (side·e)·e rather than side·e²: the slope, 2·side·e, may fit where 2e does not.
    return reduce(side * e * e, weight, reduction, input.dtype)


def mse_with_linear_term(
    input: Tensor,
    target: Tensor,
    *,
    quadratic: float = 0.01,
    linear: float = 1.0,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Squared error plus a signed linear term, a·e² + b·e (a quadratic, b linear).

    Its ailment: the least loss is not at the target. It lies at e = −b/(2a), by default
    50 units below, and is −b²/(4a), by default −25. Up to that constant the loss is
    a·(e + b/(2a))², the squared error from a displaced target: it estimates the mean
    minus b/(2a).

    The article of chapter *Slow convergence* calls it `PoorlyConditionedLoss`. Its
    conditioning is perfect, as that of any parabola in one number: with a learning rate
    of 1/(2a) gradient descent arrives, at the wrong place, in one step.

    Parameters
    ----------
    input, target : Tensor
        Predictions and targets of one shape, any shape. The input is floating-point
        and decides the type; the target is converted to it.
    quadratic : float
        a, per squared unit of the target, above 0. Default 0.01.
    linear : float
        b, per unit of the target, finite; negative rewards predictions that are too
        high, 0 leaves the squared error. Default 1.
    weight : Tensor, optional
        Non-negative, one per element, of the input's shape.
    reduction : {"mean", "sum", "none"}
        Default "mean", the weighted mean Σwℓ / Σw; "none" keeps the input's shape.

    Returns
    -------
    Tensor
        In the input's type; negative between the target and e = −b/a. Its two terms have
        one unit only where quadratic and linear carry theirs.

    Raises
    ------
    ValueError
        Shapes or devices differ, a weight is negative, the reduction is unknown, quadratic
        is not above 0, or linear is not finite.
    TypeError
        An argument is no tensor, or the input is not floating-point.

    References
    ----------
    Boyd and Vandenberghe (2004), Convex optimization, section 4.2.3: where a convex
    quadratic has its minimum.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> e = torch.tensor([-50.0, 0.0, 50.0])
    >>> lu.mse_with_linear_term(e, torch.zeros(3), reduction="none")
    tensor([-25.,   0.,  75.])
    """
    x, t = check_pair(input, target)
    check_positive(quadratic=quadratic)
    if not math.isfinite(linear):
        raise ValueError(f"linear is {linear}, expected a finite number")
    e = x - t
    # One product, so that the two terms do not both overflow, with opposite signs.
    return reduce(e * (quadratic * e + linear), weight, reduction, input.dtype)


def ill_conditioned_mse(
    input: Tensor,
    target: Tensor,
    *,
    condition_number: float = 1e4,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Squared errors of n outputs, weighted from 1 down to 1/κ: κ^(−j/(n−1))·e_j².

    Its ailment: the Hessian with respect to a sample's outputs is diagonal and has, for
    n ≥ 2, the condition number κ. Gradient descent cannot step further than the
    steepest output allows; with the best constant step the errors in the steepest and in
    the flattest output shrink by the factor (κ − 1)/(κ + 1) a step. The minimum is where
    it should be, at e = 0.

    The article of chapter *Slow convergence* speaks of poor conditioning but shows none
    (see `mse_with_linear_term`); this is a loss that has it.

    The last axis counts the outputs of a sample, j = 0 … n − 1, and the other axes count
    samples. So a 1-D input is *one sample* of n outputs, not a batch of n samples: give
    a batch of single predictions as a column, (N, 1). A single output, and an input
    without an axis, have weight 1: the squared error.

    Parameters
    ----------
    input, target : Tensor
        Predictions and targets of one shape, (..., n). The input is floating-point
        and decides the type; the target is converted to it.
    condition_number : float
        κ, finite and at least 1, which leaves the squared error. Default 10⁴.
    weight : Tensor, optional
        Non-negative, one per element, of the input's shape. It multiplies the loss's own
        weights κ^(−j/(n−1)), which do not count in the mean's denominator.
    reduction : {"mean", "sum", "none"}
        Default "mean", the weighted mean Σwℓ / Σw over all elements; "none" keeps the
        input's shape.

    Returns
    -------
    Tensor
        In the input's type, in squared units of the target.

    Raises
    ------
    ValueError
        Shapes or devices differ, a weight is negative, the reduction is unknown, or
        condition_number is not finite and at least 1.
    TypeError
        An argument is no tensor, or the input is not floating-point.

    References
    ----------
    Nesterov (2004), Introductory lectures on convex optimization, theorem 2.1.15.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> e = torch.ones(3)
    >>> lu.ill_conditioned_mse(e, 0 * e, condition_number=100.0, reduction="none")
    tensor([1.0000, 0.1000, 0.0100])
    """
    x, t = check_pair(input, target)
    if not 1 <= condition_number < math.inf:
        raise ValueError(
            f"condition_number is {condition_number}, expected a finite number, at least 1"
        )
    e = x - t
    n = e.shape[-1] if e.ndim else 1
    step = -math.log(condition_number) / max(n - 1, 1)
    share = torch.exp(step * torch.arange(n, dtype=e.dtype, device=e.device))
    share = share if e.ndim else share[0]
    # (share·e)·e rather than share·e²: it fits where e² may not.
    return reduce(share * e * e, weight, reduction, input.dtype)


PlateauMAELoss = as_module(plateau_mae, "PlateauMAELoss")
AsymmetricMSELoss = as_module(asymmetric_mse, "AsymmetricMSELoss")
MSEWithLinearTermLoss = as_module(mse_with_linear_term, "MSEWithLinearTermLoss")
IllConditionedMSELoss = as_module(ill_conditioned_mse, "IllConditionedMSELoss")
