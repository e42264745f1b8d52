"""Barron's general robust loss and its derivatives, to round-off for every α and error."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class GeneralRobust(torch.autograd.Function):
    """The loss of z = e/c and α, with derivatives written out.

    Autograd's own derivative of any closed formula in α is off by round-off/z⁴: with
    the first two terms of the series, z²/2 ± z⁴/8, free of α, it is the difference of
    numbers that cancel to order z⁶.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(z: Tensor, alpha: Tensor) -> Tensor:
        return _value(z, alpha)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        z, alpha = ctx.saved_tensors
        of_z, of_alpha = ctx.needs_input_grad
        return (
            grad * _slope(z, alpha) if of_z else None,
            (grad * _slope_in_alpha(z, alpha)).sum_to_size(alpha.shape)
            if of_alpha
            else None,
        )


class GeneralRobustEager(GeneralRobust):
    """The same with forward mode (`jacfwd`, `hessian`), which torch.compile refuses."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def jvp(ctx: Any, z_tangent: Tensor | None, alpha_tangent: Tensor | None) -> Tensor:
        z, alpha = ctx.saved_tensors
        out = torch.zeros_like(z)
        if z_tangent is not None:
            out = out + z_tangent * _slope(z, alpha)
        if alpha_tangent is not None:
            out = out + alpha_tangent * _slope_in_alpha(z, alpha)
        return out


# With b = |α−2|, u = z²/b, L = log(1+u), q = αL/2, w = bL/2 and ± the sign of α−2:
#
#   ρ     = (b/α)(e^q − 1)                 for α away from 2
#         = (z² e^±w + b(e^±w − 1))/α      for α near 2, since b(1+u) = b + z²
#   ∂ρ/∂z = z e^±w = z e^q/(1+u)
#   ∂ρ/∂α = (b/4) ∫₀ᴸ e^(αy/2) (y − 1 + e^−y) dy = (b/4) L³ exp[0, q, q, q−L]
#
# where exp[...] is a divided difference: the integral convolves four exponentials. Its
# integrand is nowhere negative, so it can be had without cancellation for every α and z.
#
# Each torch.where below hands a formula only arguments that it is finite for: what is
# not taken must not be NaN either, or the second derivative is.


def _parts(z: Tensor, alpha: Tensor) -> tuple[Tensor, ...]:
    """Return |z|, α, b, ±1, whether α is near 2, √u, L and w, finite if z is no NaN."""
    info = torch.finfo(z.dtype)
    size = z.abs().clamp(max=info.max)
    # Beyond 1/eps², and within eps² of 2, the limits hold to round-off.
    alpha = alpha.clamp(-(info.eps**-2), info.eps**-2)
    b = (alpha - 2).abs().clamp(min=info.eps**2)
    t = size / b.sqrt()
    far = t > 2.0**30  # t² overflows for 1e19 in float32, and 1 is below round-off
    length = torch.where(
        far,
        2 * torch.where(far, size, 1.0).log() - b.log(),
        torch.log1p(torch.where(far, 0.0, t).square()),
    )
    # For the smallest z, u underflows where z² does not.
    w = torch.where(t < info.eps, size.square() / 2, b * length / 2)
    return size, alpha, b, (alpha - 2).sign(), b <= 1, t, length, w


def _value(z: Tensor, alpha: Tensor) -> Tensor:
    size, finite, b, sign, near, _, _, w = _parts(z, alpha)
    # α near 2
    y = torch.where(near, sign * w, 0.0)
    shape = torch.where(near, finite, 1.0)
    close = size / shape * (size * y.exp()) + b / shape * y.expm1()
    # Elsewhere, as (e^(q/2) − 1)(e^(q/2) + 1), since e^q may overflow where ρ does not.
    r = torch.where(near, 1.0, finite / b)
    half = r * w / 2
    flat = half.abs() < torch.finfo(z.dtype).eps
    half = torch.where(flat, 0.0, half)
    away = half.expm1() / torch.where(flat, 1.0, r) * (half.exp() + 1)
    loss = torch.where(near, close, torch.where(flat, w, away))
    return torch.where(z.isinf() & (alpha >= 0), z.abs(), loss)


def _slope(z: Tensor, alpha: Tensor) -> Tensor:
    """∂ρ/∂z."""
    _, alpha, b, sign, near, t, _, w = _parts(z, alpha)
    largest = torch.finfo(z.dtype).max
    z = z.clamp(-largest, largest)
    close = z * torch.where(near, sign * w, 0.0).exp()
    h = torch.hypot(torch.where(near, 0.0, t), torch.ones_like(t))  # √(1+u)
    half = (torch.where(near, 0.0, alpha / b * w) / 2).exp()
    return torch.where(near, close, z / h / h * half * half)


def _slope_in_alpha(z: Tensor, alpha: Tensor) -> Tensor:
    """∂ρ/∂α."""
    size, finite, b, sign, near, _, length, w = _parts(z, alpha)
    q = finite / b * w
    bracket = _bracket(q, length)
    # α near 2: b e^q as (b + z²) e^±w
    h = torch.hypot(size, b.sqrt())
    close = length**3 / 4 * bracket * h * (h * torch.where(near, sign * w, 0.0).exp())
    half = (torch.where(near, 0.0, q).clamp(min=0) / 2).exp()
    away = w / 2 * length.square() * bracket * half * half
    slope = torch.where(near, close, away)
    return torch.where(alpha.abs() > finite.abs(), 0 * size, slope)


def _bracket(q: Tensor, length: Tensor) -> Tensor:
    """exp[0, q, q, q−L] / max(1, e^q) for L ≥ 0, between 0 and 1/6."""
    # The four points from the lowest up, as distances from it: 0, gap, top, top.
    rising = q < length
    gap = torch.where(rising, length - q, q - length)
    top = torch.where(rising, length, q)
    low = torch.where(rising, q - length, 0.0)
    # Close together: the series.
    narrow = torch.maximum(gap, top) <= 3
    points = [torch.where(narrow, x, 0.0) for x in (gap, top, top)]
    series = (low - q.clamp(min=0)).exp() * _exp_difference(points)
    # Otherwise e^q φ[−q, −L] with φ(x) = exp[0, 0, x]. If q or L is small, as it stands:
    q = torch.where(narrow, -1.0, q)
    length = torch.where(narrow, 3.0, length)
    both = torch.minimum(q, length) > 2
    q1 = torch.where(both, -1.0, q)
    scaled = (q1 - q1.clamp(min=0)).exp()  # e^q / max(1, e^q)
    falling = torch.where(
        q1 < -1,  # e^q φ(−q) written out, since φ(−q) overflows
        (1 + q1.exp() * (q1 - 1)) / q1.square().clamp(min=1),
        scaled * _phi(-q1.clamp(min=-1)),
    )
    recursion = (falling - scaled * _phi(-length)) / (length - q1)
    # If both are large, where φ(−q) − φ(−L) cancels, multiplied out:
    q2, l2 = torch.where(both, q, 3.0), torch.where(both, length, 3.0)
    apart = torch.where(q2 == l2, 1.0, (q2 - l2).abs())
    mean = torch.where(q2 == l2, 1.0, -(-apart).expm1() / apart)
    exps = (-torch.minimum(q2, l2)).exp() * mean  # exp[−q, −L]
    product = (q2 * l2 + (q2 + l2) * (-q2).expm1()) / (q2 * l2).square()
    product = product + exps / l2.square()
    return torch.where(narrow, series, torch.where(both, product, recursion))


def _exp_difference(points: Sequence[Tensor]) -> Tensor:
    """Divided difference of exp over 0 and n points between 0 and 3.

    Its Taylor series Σ h_k / (k+n)!, where h_k, the complete homogeneous symmetric
    polynomial of degree k, is built up point by point. No term is negative.
    """
    terms = 29 if points[0].dtype == torch.float64 else 20
    powers = [torch.ones_like(x) for x in points]
    total = powers[-1] / math.factorial(len(points))
    for k in range(1, terms):
        powers[0] = powers[0] * points[0]
        for i in range(1, len(points)):
            powers[i] = powers[i] * points[i] + powers[i - 1]
        total = total + powers[-1] / float(math.factorial(len(points) + k))
    return total


def _phi(x: Tensor) -> Tensor:
    """(e^x − 1 − x)/x², the divided difference of exp over 0, 0 and x."""
    near = x.abs() <= 1
    inner = torch.where(near, x, 0.0)
    series = torch.zeros_like(x)
    for k in reversed(range(19 if x.dtype == torch.float64 else 11)):
        series = series * inner + 1 / math.factorial(k + 2)
    outer = torch.where(near, 1.0, x)
    return torch.where(near, series, (outer.expm1() - outer) / outer.square())
