"""Regression losses: what a model's number should estimate.

Every function takes `input` (predictions) and `target` of one shape, any shape, and
keeps the loss contract: nothing is broadcast, half types are computed in float32, the
mean is the weighted mean, and the mean over nothing is 0. e = input − target is the
error, in the target's units.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from lossutils.losses._core import (
    Reduction,
    as_module,
    check_between,
    check_pair,
    check_positive,
    reduce,
)

__all__ = [
    "EpsilonInsensitiveLoss",
    "ExpectileLoss",
    "HuberLoss",
    "LogCoshLoss",
    "MAELoss",
    "MSELoss",
    "QuantileLoss",
    "SmoothL1Loss",
    "epsilon_insensitive",
    "expectile",
    "huber",
    "log_cosh",
    "mae",
    "mse",
    "quantile",
    "smooth_l1",
]


def mse(
    input: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Squared error, e². Estimates the mean.

    Parameters
    ----------
    input, target : Tensor
        Predictions and targets of one shape, any shape. The input is floating-point
        and decides the type; the target is converted to it.
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
        Shapes or devices differ, a weight is negative, the reduction is unknown.
    TypeError
        An argument is no tensor, or the input is not floating-point.

    References
    ----------
    Gauss (1809), Theoria motus, section 179.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> lu.mse(torch.tensor([1.0, 5.0]), torch.tensor([1.0, 2.0]))
    tensor(4.5000)
    """
    x, t = check_pair(input, target)
    return reduce(F.mse_loss(x, t, reduction="none"), weight, reduction, input.dtype)


def mae(
    input: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Absolute error, |e|. Estimates the median.

    The gradient at the kink, e = 0, is 0.

    Parameters
    ----------
    input, target : Tensor
        Predictions and targets of one shape, any shape. The input is floating-point
        and decides the type; the target is converted to it.
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
        Shapes or devices differ, a weight is negative, the reduction is unknown.
    TypeError
        An argument is no tensor, or the input is not floating-point.

    References
    ----------
    Laplace (1774), Mémoire sur la probabilité des causes par les événements.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> lu.mae(torch.tensor([1.0, 5.0]), torch.tensor([1.0, 2.0]))
    tensor(1.5000)
    """
    x, t = check_pair(input, target)
    return reduce(F.l1_loss(x, t, reduction="none"), weight, reduction, input.dtype)


def huber(
    input: Tensor,
    target: Tensor,
    *,
    delta: float = 1.0,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Huber loss: e²/2 up to |e| = δ, then the line δ(|e| − δ/2).

    Estimates a location between mean (δ → ∞) and median (δ → 0); value and slope are
    continuous, the curvature jumps from 1 to 0 at δ. δ = 1.345 σ has 95 % efficiency
    for normal errors of standard deviation σ.

    Parameters
    ----------
    input, target : Tensor
        Predictions and targets of one shape, any shape. The input is floating-point
        and decides the type; the target is converted to it.
    delta : float
        Error, in units of the target, where the parabola turns into a line. Default 1.
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
        Shapes or devices differ, a weight is negative, the reduction is unknown, or delta
        is not above 0.
    TypeError
        An argument is no tensor, or the input is not floating-point.

    References
    ----------
    Huber (1964), Robust estimation of a location parameter, equation 1.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> lu.huber(torch.tensor([0.5, 3.0]), torch.zeros(2), reduction="none")
    tensor([0.1250, 2.5000])
    """
    x, t = check_pair(input, target)
    check_positive(delta=delta)
    loss = F.huber_loss(x, t, reduction="none", delta=delta)
    return reduce(loss, weight, reduction, input.dtype)


def smooth_l1(
    input: Tensor,
    target: Tensor,
    *,
    beta: float = 1.0,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Smooth L1: e²/(2β) up to |e| = β, then the line |e| − β/2.

    Huber's loss divided by its threshold: `huber(delta=b) == b * smooth_l1(beta=b)`.
    Same minimiser, another scale: the slope of its tails is 1 for every β.

    Parameters
    ----------
    input, target : Tensor
        Predictions and targets of one shape, any shape. The input is floating-point
        and decides the type; the target is converted to it.
    beta : float
        Error, in units of the target, where the parabola turns into a line. Default 1.
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
        Shapes or devices differ, a weight is negative, the reduction is unknown, or beta is
        not above 0.
    TypeError
        An argument is no tensor, or the input is not floating-point.

    References
    ----------
    Girshick (2015), Fast R-CNN, equation 3.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> lu.smooth_l1(torch.tensor([1.0, 3.0]), torch.zeros(2), beta=2.0, reduction="none")
    tensor([0.2500, 2.0000])
    """
    x, t = check_pair(input, target)
    check_positive(beta=beta)
    loss = F.smooth_l1_loss(x, t, reduction="none", beta=beta)
    return reduce(loss, weight, reduction, input.dtype)


def log_cosh(
    input: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Logarithm of the hyperbolic cosine, log cosh e: e²/2 near 0, |e| − log 2 far out.

    The gradient is tanh e, so it estimates a location between mean and median, like
    Huber's with δ near 1, with all derivatives continuous. The threshold is fixed at
    about 1 unit of the target: scale the target, or use `charbonnier`, to move it.

    Parameters
    ----------
    input, target : Tensor
        Predictions and targets of one shape, any shape. The input is floating-point
        and decides the type; the target is converted to it.
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
        Shapes or devices differ, a weight is negative, the reduction is unknown.
    TypeError
        An argument is no tensor, or the input is not floating-point.

    References
    ----------
    Green (1990), Bayesian reconstructions from emission tomography data using a modified
    EM algorithm, IEEE Transactions on Medical Imaging 9(1).

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> lu.log_cosh(torch.tensor([0.0, 1e-3, 100.0]), torch.zeros(3), reduction="none")
    tensor([0.0000e+00, 5.0000e-07, 9.9307e+01])
    """
    x, t = check_pair(input, target)
    return reduce(_log_cosh(x - t), weight, reduction, input.dtype)


def _log_cosh(e: Tensor) -> Tensor:
    # cosh overflows for |e| > 89 in float32, and |e| - log 2 + log1p(exp(-2|e|))
    # cancels near 0: two formulas, each fed only arguments it is accurate for.
    size = e.abs()
    near = size < 1
    inner = torch.where(near, e, torch.zeros_like(e))
    outer = torch.where(near, torch.ones_like(e), size)
    return torch.where(
        near,
        torch.log1p(torch.sinh(inner).square()) / 2,
        outer + torch.log1p(torch.exp(-2 * outer)) - math.log(2),
    )


def quantile(
    input: Tensor,
    target: Tensor,
    *,
    q: float = 0.5,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Pinball loss: q|e| when the prediction is too low, (1 − q)|e| when too high.

    Estimates the q-quantile of the target: a share q of the targets lies below the
    prediction. q = 0.5 is half the absolute error. The gradient at the kink, e = 0, is
    the middle of its subdifferential, ½ − q.

    Parameters
    ----------
    input, target : Tensor
        Predictions and targets of one shape, any shape. The input is floating-point
        and decides the type; the target is converted to it.
    q : float
        The quantile to estimate, between 0 and 1. Default 0.5, the median.
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
        Shapes or devices differ, a weight is negative, the reduction is unknown, or q is
        not between 0 and 1.
    TypeError
        An argument is no tensor, or the input is not floating-point.

    References
    ----------
    Koenker and Bassett (1978), Regression quantiles, section 3.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> lu.quantile(torch.tensor([0.0, 2.0]), torch.ones(2), q=0.9, reduction="none")
    tensor([0.9000, 0.1000])
    """
    x, t = check_pair(input, target)
    check_between(0, 1, q=q)
    e = x - t
    loss = torch.maximum((1 - q) * e, -q * e)
    return reduce(loss, weight, reduction, input.dtype)


def expectile(
    input: Tensor,
    target: Tensor,
    *,
    tau: float = 0.5,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Asymmetric squares: τe² when the prediction is too low, (1 − τ)e² when too high.

    Estimates the τ-expectile of the target, which is to the mean what a quantile is to
    the median. τ = 0.5 is half the squared error.

    Parameters
    ----------
    input, target : Tensor
        Predictions and targets of one shape, any shape. The input is floating-point
        and decides the type; the target is converted to it.
    tau : float
        The expectile to estimate, between 0 and 1. Default 0.5, the mean.
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
        Shapes or devices differ, a weight is negative, the reduction is unknown, or tau is
        not between 0 and 1.
    TypeError
        An argument is no tensor, or the input is not floating-point.

    References
    ----------
    Newey and Powell (1987), Asymmetric least squares estimation and testing, equation 2.1.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> lu.expectile(torch.tensor([0.0, 2.0]), torch.ones(2), tau=0.9, reduction="none")
    tensor([0.9000, 0.1000])
    """
    x, t = check_pair(input, target)
    check_between(0, 1, tau=tau)
    e = x - t
    side = torch.where(e < 0, torch.full_like(e, tau), torch.full_like(e, 1 - tau))
    # (side·e)·e rather than side·e²: the slope, 2·side·e, may fit where 2e does not.
    return reduce(side * e * e, weight, reduction, input.dtype)


def epsilon_insensitive(
    input: Tensor,
    target: Tensor,
    *,
    epsilon: float = 0.1,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """ε-insensitive loss, max(0, |e| − ε): errors up to ε cost nothing.

    Estimates a median up to ε: every constant within ε of all targets is optimal. The
    gradient at the kinks, |e| = ε, is 0.

    Parameters
    ----------
    input, target : Tensor
        Predictions and targets of one shape, any shape. The input is floating-point
        and decides the type; the target is converted to it.
    epsilon : float
        Half-width of the free tube, in units of the target, at least 0. Default 0.1.
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
        Shapes or devices differ, a weight is negative, the reduction is unknown, or epsilon
        is negative.
    TypeError
        An argument is no tensor, or the input is not floating-point.

    References
    ----------
    Vapnik (1995), The nature of statistical learning theory, section 6.1.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> lu.epsilon_insensitive(torch.tensor([0.5, 3.0]), torch.zeros(2), epsilon=1.0)
    tensor(1.)
    """
    x, t = check_pair(input, target)
    if not 0 <= epsilon < math.inf:
        raise ValueError(f"epsilon is {epsilon}, expected a finite number, at least 0")
    loss = F.relu((x - t).abs() - epsilon)
    return reduce(loss, weight, reduction, input.dtype)


MSELoss = as_module(mse, "MSELoss")
MAELoss = as_module(mae, "MAELoss")
HuberLoss = as_module(huber, "HuberLoss")
SmoothL1Loss = as_module(smooth_l1, "SmoothL1Loss")
LogCoshLoss = as_module(log_cosh, "LogCoshLoss")
QuantileLoss = as_module(quantile, "QuantileLoss")
ExpectileLoss = as_module(expectile, "ExpectileLoss")
EpsilonInsensitiveLoss = as_module(epsilon_insensitive, "EpsilonInsensitiveLoss")
