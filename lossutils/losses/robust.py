"""Robust losses: what to do about the points that do not belong.

Every function takes `input` (predictions) and `target` of one shape, any shape, and
keeps the loss contract. e = input − target is the error, in the target's units. Up to
errors of the size of the scale (`delta`, `c`) each is e²/2; beyond it grows like |e|
(`charbonnier`), like log |e| (`cauchy`), or not at all (`geman_mcclure`, `welsch`,
`tukey`), and `general_robust` runs through them all.

A scale is in units of the target and has to fit its noise. The defaults of the
redescending losses are those with 95 % efficiency for normal errors of standard
deviation 1: divide by the noise's scale first, or multiply the default by it.
"""

import math

import torch
from torch import Tensor

from lossutils.losses._core import (
    Reduction,
    as_module,
    check_pair,
    check_positive,
    check_range,
    reduce,
)
from lossutils.losses._general_robust import GeneralRobust, GeneralRobustEager

__all__ = [
    "CauchyLoss",
    "CharbonnierLoss",
    "GemanMcClureLoss",
    "GeneralRobustLoss",
    "TukeyLoss",
    "WelschLoss",
    "cauchy",
    "charbonnier",
    "geman_mcclure",
    "general_robust",
    "pseudo_huber",
    "tukey",
    "welsch",
]


def charbonnier(
    input: Tensor,
    target: Tensor,
    *,
    delta: float = 1.0,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Charbonnier or pseudo-Huber loss, δ²(√(1 + (e/δ)²) − 1).

    e²/2 near 0, the line δ(|e| − δ) far out, like Huber's loss but with all derivatives
    continuous. Estimates a location between mean (δ → ∞) and median (δ → 0). For normal
    errors of standard deviation 1, δ = 1.2871 has 95 % efficiency, the default 92.7 %.

    Parameters
    ----------
    input, target : Tensor
        Predictions and targets of one shape, any shape. The input is floating-point
        and decides the type; the target is converted to it.
    delta : float
        Error, in units of the target, where the parabola bends into a line. Default 1.
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
    Charbonnier, Blanc-Féraud, Aubert and Barlaud (1994), Two deterministic half-quadratic
    regularization algorithms for computed imaging.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> lu.charbonnier(torch.tensor([1e-4, 1.0, 1e4]), torch.zeros(3), reduction="none")
    tensor([5.0000e-09, 4.1421e-01, 9.9990e+03])
    """
    x, t = check_pair(input, target)
    check_positive(delta=delta)
    return reduce(_charbonnier(x - t, delta), weight, reduction, input.dtype)


def _charbonnier(e: Tensor, delta: float) -> Tensor:
    # √(1 + z²) − 1 cancels near 0, and multiplied out to z²/(1 + √(1 + z²)) its gradient
    # overflows far out. There √(e² + δ²) is |e| plus a small share of δ.
    far = e.abs() > 8 * delta
    inner, outer = torch.where(far, 0.0, e), torch.where(far, e.abs(), 8 * delta)
    z, share = inner / delta, delta / outer
    excess = share / (1 + (1 + share.square()).sqrt())
    return delta * torch.where(
        far,
        outer - delta + delta * excess,
        inner * (z / (1 + (1 + z.square()).sqrt())),
    )


pseudo_huber = charbonnier


def cauchy(
    input: Tensor,
    target: Tensor,
    *,
    c: float = 2.3849,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Cauchy (Lorentzian) loss, (c²/2) log(1 + (e/c)²).

    The negative log-likelihood of a Cauchy distribution, times c²/2. Its slope is largest
    at |e| = c and falls like 1/|e| beyond: far points are nearly ignored, and the loss is
    not convex, so where the minimiser ends depends on where it starts. The default has
    95 % efficiency for residuals divided by their scale.

    Parameters
    ----------
    input, target : Tensor
        Predictions and targets of one shape, any shape. The input is floating-point
        and decides the type; the target is converted to it.
    c : float
        Error, in units of the target, where the slope is largest. Default 2.3849.
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
        Shapes or devices differ, a weight is negative, the reduction is unknown, or c
        is not above 0.
    TypeError
        An argument is no tensor, or the input is not floating-point.

    References
    ----------
    Black and Anandan (1996), The robust estimation of multiple motions: parametric and
    piecewise-smooth flow fields (as the Lorentzian).

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> lu.cauchy(torch.tensor([1e-4, 1.0, 1e4]), torch.zeros(3), reduction="none")
    tensor([5.0000e-09, 4.6060e-01, 4.7443e+01])
    """
    x, t = check_pair(input, target)
    check_positive(c=c)
    return reduce(_cauchy(x - t, c), weight, reduction, input.dtype)


def _cauchy(e: Tensor, c: float) -> Tensor:
    # (e/c)² overflows for |e/c| > 1e19 in float32; beyond 2³⁰ the 1 is below round-off.
    far = e.abs() > 2.0**30 * c
    inner = torch.where(far, 0.0, e) / c
    outer = torch.where(far, e.abs(), 1.0)
    return c**2 * torch.where(
        far, outer.log() - math.log(c), torch.log1p(inner.square()) / 2
    )


def geman_mcclure(
    input: Tensor,
    target: Tensor,
    *,
    c: float = 3.7874,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Geman–McClure loss, (e²/2) / (1 + (e/c)²): never above c²/2.

    Its slope is largest at |e| = c/√3 and falls like 1/|e|³ beyond: far points count for
    nothing. Not convex: start from a good fit. The default has 95 % efficiency for
    residuals divided by their scale.

    Parameters
    ----------
    input, target : Tensor
        Predictions and targets of one shape, any shape. The input is floating-point
        and decides the type; the target is converted to it.
    c : float
        Error, in units of the target, of half the largest loss. Default 3.7874.
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
        Shapes or devices differ, a weight is negative, the reduction is unknown, or c
        is not above 0.
    TypeError
        An argument is no tensor, or the input is not floating-point.

    References
    ----------
    Geman and McClure (1985), Bayesian image analysis: an application to single photon
    emission tomography.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> lu.geman_mcclure(torch.tensor([1e-4, 1.0, 1e4]), torch.zeros(3), reduction="none")
    tensor([5.0000e-09, 4.6741e-01, 7.1722e+00])
    """
    x, t = check_pair(input, target)
    check_positive(c=c)
    return reduce(_geman_mcclure(x - t, c), weight, reduction, input.dtype)


def _geman_mcclure(e: Tensor, c: float) -> Tensor:
    # Divided by the larger of |e| and c, so that nothing overflows when squared.
    near = e.abs() <= c
    inner = torch.where(near, e, 0.0) / c
    outer = c / torch.where(near, c, e)
    share = torch.where(
        near, inner.square() / (1 + inner.square()), 1 / (1 + outer.square())
    )
    return c**2 / 2 * share


def welsch(
    input: Tensor,
    target: Tensor,
    *,
    c: float = 2.9846,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Welsch (Leclerc) loss, (c²/2)(1 − exp(−(e/c)²)): never above c²/2.

    Its slope is largest at |e| = c/√2 and falls like a normal density beyond: far points
    count for nothing. Not convex: start from a good fit. The default has 95 % efficiency
    for residuals divided by their scale. Minimised over a constant it finds the highest
    point of a kernel density estimate of the targets: a mode.

    Parameters
    ----------
    input, target : Tensor
        Predictions and targets of one shape, any shape. The input is floating-point
        and decides the type; the target is converted to it.
    c : float
        Error, in units of the target, of 63 % of the largest loss. Default 2.9846.
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
        Shapes or devices differ, a weight is negative, the reduction is unknown, or c
        is not above 0.
    TypeError
        An argument is no tensor, or the input is not floating-point.

    References
    ----------
    Dennis and Welsch (1978), Techniques for nonlinear least squares and robust regression.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> lu.welsch(torch.tensor([1e-4, 1.0, 1e4]), torch.zeros(3), reduction="none")
    tensor([5.0000e-09, 4.7296e-01, 4.4539e+00])
    """
    x, t = check_pair(input, target)
    check_positive(c=c)
    return reduce(_welsch(x - t, c), weight, reduction, input.dtype)


def _welsch(e: Tensor, c: float) -> Tensor:
    # expm1 for the value near 0; exp far out, because the gradient of expm1 is computed
    # as expm1 + 1, which has lost everything small. exp(−40²) is 0 in every type. Not
    # clamped, since the gradient of clamp hides NaN.
    z = e / c
    z = torch.where(z.abs() > 40, 40.0, z)
    near = z.abs() < 1
    inner = torch.where(near, z, 0.0)
    outer = torch.where(near, 1.0, z)
    share = torch.where(near, -torch.expm1(-inner.square()), 1 - torch.exp(-outer.square()))
    return c**2 / 2 * share


def tukey(
    input: Tensor,
    target: Tensor,
    *,
    c: float = 4.6851,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Tukey's biweight, (c²/6)(1 − (1 − (e/c)²)³) up to |e| = c, then c²/6.

    Its slope is largest at |e| = c/√5 and exactly 0 beyond c: such points have no say at
    all, and a model that starts with every error beyond c never moves. Not convex: start
    from a good fit. The default has 95 % efficiency for residuals divided by their scale.

    Parameters
    ----------
    input, target : Tensor
        Predictions and targets of one shape, any shape. The input is floating-point
        and decides the type; the target is converted to it.
    c : float
        Error, in units of the target, beyond which the slope is 0. Default 4.6851.
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
        Shapes or devices differ, a weight is negative, the reduction is unknown, or c
        is not above 0.
    TypeError
        An argument is no tensor, or the input is not floating-point.

    References
    ----------
    Beaton and Tukey (1974), The fitting of power series, meaning polynomials, illustrated
    on band-spectroscopic data.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> lu.tukey(torch.tensor([1e-4, 1.0, 1e4]), torch.zeros(3), reduction="none")
    tensor([5.0000e-09, 4.7757e-01, 3.6584e+00])
    """
    x, t = check_pair(input, target)
    check_positive(c=c)
    return reduce(_tukey(x - t, c), weight, reduction, input.dtype)


def _tukey(e: Tensor, c: float) -> Tensor:
    # With s = (e/c)² and t = 1 − s the share is 1 − t³ = s(1 + t + t²): the second form
    # keeps the value near 0, the first the gradient near the edge.
    z = e / c
    z = torch.where(z.abs() > 1, 1.0, z)  # not clamped: the gradient of clamp hides NaN
    near = z.abs() < 0.7
    inner = torch.where(near, z, 0.0).square()
    outer = torch.where(near, 1.0, z)
    edge = (1 - outer) * (1 + outer)
    share = torch.where(near, inner * (3 - inner * (3 - inner)), 1 - edge**3)
    return c**2 / 6 * share


def general_robust(
    input: Tensor,
    target: Tensor,
    *,
    alpha: float | Tensor = 1.0,
    c: float | Tensor = 1.0,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Barron's general robust loss, (|α−2|/α)(((e/c)²/|α−2| + 1)^(α/2) − 1).

    One family with a shape α: squared error (α = 2), Charbonnier (1), Cauchy (0),
    Geman–McClure (−2), Welsch (−∞); near 0 all are (e/c)²/2. The slope is bounded for
    α ≤ 1 and redescending for α < 1, where the loss is not convex. α and c may be
    tensors and are then differentiated: with `nn.Parameter`s in a Module they are
    trained. Minimising this loss over α alone drives α to −∞, since the loss falls with
    α for every error: add the log-normaliser of its density, or a penalty, to train α.

    Value and gradients keep float round-off for every α, ±∞ included. The derivative in
    α is infinite at α = 2 (it grows like log 1/|α − 2|); what comes out there is finite,
    its value at |α − 2| = eps², eps being the machine epsilon of the type.

    Parameters
    ----------
    input, target : Tensor
        Predictions and targets of one shape, any shape. The input is floating-point
        and decides the type; the target is converted to it.
    alpha : float or Tensor
        Shape, any number, ±inf included. A tensor broadcasts to the input's shape: a
        scalar, one per column, one per element. Default 1.
    c : float or Tensor
        Scale, above 0, in units of the target; a tensor as for `alpha`. Default 1.
    weight : Tensor, optional
        Non-negative, one per element, of the input's shape.
    reduction : {"mean", "sum", "none"}
        Default "mean", the weighted mean Σwℓ / Σw; "none" keeps the input's shape.

    Returns
    -------
    Tensor
        In the input's type, without unit.

    Raises
    ------
    ValueError
        Shapes or devices differ, a weight is negative, the reduction is unknown, alpha is
        NaN, c is not above 0, or one of them does not broadcast to the input's shape.
    TypeError
        An argument is no tensor, or the input is not floating-point.

    References
    ----------
    Barron (2019), A general and adaptive robust loss function, equation 8.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> x = torch.tensor([1e-4, 1.0, 1e4])
    >>> lu.general_robust(x, torch.zeros(3), alpha=0.0, reduction="none")
    tensor([5.0000e-09, 4.0547e-01, 1.7728e+01])
    >>> shape = torch.nn.Parameter(torch.tensor(1.0))
    >>> lu.GeneralRobustLoss(alpha=shape)(x, torch.zeros(3)).backward()
    >>> shape.grad
    tensor(25701.8086)
    """
    x, t = check_pair(input, target)
    if not isinstance(alpha, Tensor) and math.isnan(alpha):
        raise ValueError("alpha is nan, expected a number; ±inf are allowed")
    if not isinstance(c, Tensor):
        check_positive(c=c)
    scale = _spread(c, x, "c")
    check_range(scale, torch.finfo(x.dtype).tiny, math.inf, "c", "a scale is above 0")
    compiling = torch.compiler.is_compiling()
    kernel = GeneralRobust if compiling else GeneralRobustEager
    shape = _spread(alpha, x, "alpha")
    loss = kernel.apply((x - t) / scale, shape)  # type: ignore[no-untyped-call]
    return reduce(loss, weight, reduction, input.dtype)


def _spread(value: float | Tensor, x: Tensor, name: str) -> Tensor:
    """Return a parameter in the type of `x`, or say why it does not broadcast to it."""
    if not isinstance(value, Tensor):
        return torch.full((), value, dtype=x.dtype, device=x.device)
    if value.device != x.device:
        raise ValueError(
            f"input is on {x.device} and {name} on {value.device}; move the loss as well: "
            "loss.to(input.device)"
        )
    pairs = zip(reversed(value.shape), reversed(x.shape), strict=False)
    if value.ndim > x.ndim or any(n not in (1, m) for n, m in pairs):
        raise ValueError(
            f"{name} has shape {tuple(value.shape)}, which does not broadcast to the "
            f"input's, {tuple(x.shape)}; give a scalar, or one {name} per element or "
            "column"
        )
    return value.to(x.dtype)


CharbonnierLoss = as_module(charbonnier, "CharbonnierLoss")
CauchyLoss = as_module(cauchy, "CauchyLoss")
GemanMcClureLoss = as_module(geman_mcclure, "GemanMcClureLoss")
WelschLoss = as_module(welsch, "WelschLoss")
TukeyLoss = as_module(tukey, "TukeyLoss")
GeneralRobustLoss = as_module(general_robust, "GeneralRobustLoss")
