"""What noise does to a loss and its gradient: by formula, by quadrature, by simulation.

The three functions take the same arguments and answer alike, so that a prediction can be
laid beside a measurement.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from lossutils.noise._core import check_floating
from lossutils.noise.models import Multiplicative, Noise, check_additive, check_noise
from lossutils.noise.wrappers import Place, check_place

__all__ = ["Moments", "delta_method", "monte_carlo", "probability_outside", "quadrature"]

Loss = Callable[[Tensor, Tensor], Tensor]
Scalar = Callable[[Tensor, Tensor, Tensor], Tensor]


class Moments(NamedTuple):
    """Mean and variance of a noisy loss and of its gradient, element by element.

    Attributes
    ----------
    value, gradient : Tensor
        Means of the loss of one element, and of its derivative with respect to the input.
    value_variance, gradient_variance : Tensor
        Their variances. All four have the shape of the input.
    """

    value: Tensor
    value_variance: Tensor
    gradient: Tensor
    gradient_variance: Tensor

    def of_mean(self) -> "Moments":
        """Return the moments of the loss averaged over all n elements.

        Its value has one mean and one variance; the gradient still has n components. The
        noise of the elements counts as independent.
        """
        n = self.value.numel()
        return Moments(
            self.value.mean(),
            self.value_variance.sum() / n**2,
            self.gradient / n,
            self.gradient_variance / n**2,
        )


def delta_method(
    loss: Loss, input: Tensor, target: Tensor, *, noise: Noise, on: Place = "target"
) -> Moments:
    """Predict the effect of small noise from two derivatives of the loss.

    With f(z) the loss (or its gradient) under the noise z, the mean is
    f(0) + σ²f″(0)/2, Jensen's bias, and the variance that of f′(0)z + f″(0)z²/2. Exact
    where f is quadratic in z, as for squared error; elsewhere the terms of third order are
    missing. At a kink autograd takes one side, and the prediction is void: use
    `quadrature` for MAE and Huber.

    Parameters
    ----------
    loss : callable
        `loss(input, target)` of a batch of one element, shape (1,), returns a scalar. Twice
        differentiable where the noise enters.
    input, target : Tensor
        Of one shape, any; floating-point, float64 for digits.
    noise : Noise
        With mean 0 and finite variance, added or multiplied.
    on : {"target", "input", "value"}
        Where it enters. Default "target".

    Returns
    -------
    Moments
        Infinite where the fourth moment of the noise is and the loss is curved.

    Raises
    ------
    ValueError
        Shapes differ or are empty, the loss returns no scalar, or the variance of the noise
        is infinite.
    TypeError
        The noise replaces values instead of moving them or changes in time, or an argument
        is no tensor of floating-point numbers.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> e = torch.tensor([0.0, 1.0], dtype=torch.float64)
    >>> m = lu.noise.delta_method(lu.mse, e, 0 * e, noise=lu.noise.Gaussian(0.5))
    >>> m.value, m.gradient_variance
    (tensor([0.2500, 1.2500], dtype=torch.float64), tensor([1., 1.], dtype=torch.float64))
    """
    check_additive(
        noise.noise if isinstance(noise, Multiplicative) else noise, "delta_method"
    )
    if not noise.sd < float("inf"):
        raise ValueError(
            f"{noise!r} has infinite variance, which no derivative predicts; "
            "use quadrature, for a loss with bounded slope"
        )
    value, gradient = _parts(loss, input, target, noise, on)
    m2, m3, m4 = (noise.moment(order) for order in (2, 3, 4))
    if m4 == float("inf"):
        m3 = 0.0  # which may not exist, and the fourth outweighs it

    def predict(f: Scalar) -> tuple[Tensor, Tensor]:
        first = torch.func.grad(f, argnums=2)
        second = torch.func.grad(first, argnums=2)
        zero = torch.zeros_like(input).flatten()
        x, t = input.flatten(), target.flatten()
        f0, f1, f2 = (torch.func.vmap(g)(x, t, zero) for g in (f, first, second))
        curved = f2**2 * (m4 - m2**2) / 4 + f1 * f2 * m3
        variance = f1**2 * m2 + torch.where(f2 == 0, 0.0, curved)
        return f0 + f2 * m2 / 2, variance

    return _shaped([*predict(value), *predict(gradient)], input)


def quadrature(
    loss: Loss, input: Tensor, target: Tensor, *, noise: Noise, on: Place = "target"
) -> Moments:
    """Integrate the loss and its gradient over the distribution of the noise.

    A midpoint rule of 40 000 nodes, or a sum over the cases where noise replaces values.
    The error is below 1e-3 of a jump (the gradient of MAE), far less where the loss is
    smooth. Where a moment is infinite the sum is finite all the same, large and without
    meaning.

    Parameters
    ----------
    loss : callable
        `loss(input, target)` of a batch of one element, shape (1,), returns a scalar. It
        works under `torch.func.vmap`.
    input, target : Tensor
        Of one shape, any; floating-point, float64 for digits.
    noise : Noise
        Any with one distribution: not a sum, nor one that changes in time.
    on : {"target", "input", "value"}
        Where it enters. Default "target".

    Returns
    -------
    Moments
        NaN where the loss is for a noise that can occur.

    Raises
    ------
    ValueError
        Shapes differ or are empty, or the loss returns no scalar.
    TypeError
        The noise has no one distribution, or an argument is no tensor of floating-point
        numbers.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> e = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    >>> lu.noise.quadrature(lu.mae, e, 0 * e, noise=lu.noise.Gaussian(1.0)).gradient
    tensor([0.3829, 0.6827, 0.9545], dtype=torch.float64)
    """
    value, gradient = _parts(loss, input, target, noise, on)
    # In float64 where the device has it: the tails of StudentT, squared, leave float32.
    exact = input.dtype if input.device.type == "mps" else torch.float64
    x, t = input.to(exact), target.to(exact)
    z, weight = (each.to(x) for each in noise.nodes())

    def integrate(f: Scalar) -> tuple[Tensor, Tensor]:
        y = _table(f, x, t, z[:, None].expand(-1, x.numel()))
        mean = weight @ y
        return mean, weight @ (y - mean) ** 2

    return _shaped([*integrate(value), *integrate(gradient)], input)


def monte_carlo(
    loss: Loss,
    input: Tensor,
    target: Tensor,
    *,
    noise: Noise,
    on: Place = "target",
    draws: int = 10_000,
    generator: torch.Generator | None = None,
) -> tuple[Moments, Moments]:
    """Measure the effect of noise on a loss and its gradient by drawing it many times.

    Parameters
    ----------
    loss : callable
        `loss(input, target)` of a batch of one element, shape (1,), returns a scalar. It
        works under `torch.func.vmap`.
    input, target : Tensor
        Of one shape, any; floating-point, float64 for digits.
    noise : Noise
        White.
    on : {"target", "input", "value"}
        Where it enters. Default "target".
    draws : int
        For each element, 2 or more. Default 10 000.
    generator : torch.Generator, optional
        Default torch's own.

    Returns
    -------
    Moments
        Estimates.
    Moments
        Their standard errors. For the variances they rest on the fourth moment, which
        heavy tails make unreliable. An event that no draw met has left no trace in them.

    Raises
    ------
    ValueError
        Shapes differ or are empty, the loss returns no scalar, fewer than two draws.
    TypeError
        The noise is not white, or an argument is no tensor of floating-point numbers.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> e, g = torch.zeros(1, dtype=torch.float64), torch.Generator().manual_seed(0)
    >>> found, error = lu.noise.monte_carlo(lu.mse, e, e, noise=lu.noise.Gaussian(0.5),
    ...                                     generator=g)
    >>> bool((found.value - 0.25).abs() < 4 * error.value)
    True
    """
    value, gradient = _parts(loss, input, target, noise, on)
    if not noise.white:
        raise TypeError(f"{noise!r} is not white: draws of one element are not independent")
    if draws < 2:
        raise ValueError(f"draws is {draws}, expected 2 or more")
    z = noise.draw(input.new_empty(draws, input.numel()), generator=generator)

    def measure(f: Scalar) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        y = _table(f, input, target, z)
        centred = y - y.mean(0)
        variance = (centred**2).sum(0) / (draws - 1)
        # The exact variance of a sample variance: above 0 even where y has two values.
        spread = (centred**4).mean(0) - variance**2 * (draws - 3) / (draws - 1)
        errors = (variance / draws).sqrt(), (spread.clamp(min=0) / draws).sqrt()
        return (y.mean(0), variance), errors

    values, gradients = measure(value), measure(gradient)
    found = _shaped([*values[0], *gradients[0]], input)
    return found, _shaped([*values[1], *gradients[1]], input)


def probability_outside(
    values: Tensor, *, noise: Noise, low: float = 0.0, high: float = 1.0
) -> Tensor:
    """Probability that noise carries values out of [low, high].

    For probabilities under a logarithm it is the probability of NaN. That one of
    independent elements leaves is `1 - (1 - p).prod()`.

    Parameters
    ----------
    values : Tensor
        Floating-point, any shape, within [low, high].
    noise : Noise
        Added, or multiplied onto values above 0.
    low, high : float
        Default 0 and 1.

    Returns
    -------
    Tensor
        In the shape and type of `values`.

    Raises
    ------
    ValueError
        A value is outside [low, high], or is not above 0 beside multiplicative noise.
    TypeError
        The noise has no distribution function, or the values are not floating-point.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> tenth = lu.noise.Multiplicative(lu.noise.Gaussian(0.1))
    >>> lu.noise.probability_outside(torch.tensor([0.5, 0.9, 0.99]), noise=tenth)
    tensor([0.0000, 0.1333, 0.4598])
    """
    check_floating("values", values)
    outside = values[(values < low) | (values > high)]
    if outside.numel():
        raise ValueError(
            f"values holds {outside[0].item():.6g}, outside [{low:g}, {high:g}] before any "
            "noise"
        )
    v = values.detach().cpu().double()  # in which 1 − cdf has digits left
    if isinstance(noise, Multiplicative):
        if bool((v <= 0).any()):
            raise ValueError(
                f"values holds {v[v <= 0][0].item():.6g}, expected numbers above 0 to "
                "multiply"
            )
        below, above = low / v - 1, high / v - 1
    else:
        check_additive(noise, "probability_outside")
        below, above = low - v, high - v
    # A value on the edge that does not move (a level of 0) has not left.
    below = below.nextafter(torch.full_like(below, -float("inf")))
    return (noise.cdf(below) + (1 - noise.cdf(above))).to(values)


def _parts(
    loss: Loss, input: Tensor, target: Tensor, noise: Noise, on: Place
) -> tuple[Scalar, Scalar]:
    """The loss of one element and its slope in the input, as functions of the noise."""
    check_noise(noise)
    check_place(on)
    check_floating("input", input)
    check_floating("target", target)
    if input.shape != target.shape:
        raise ValueError(
            f"input has shape {tuple(input.shape)} and target {tuple(target.shape)}, "
            "expected one shape"
        )
    if input.numel() == 0:
        raise ValueError(f"input has shape {tuple(input.shape)}, expected an element")
    if on != "value":  # once outside vmap, where a label out of range can be seen
        place = target if on == "target" else input
        noise.corrupt(place, torch.ones_like(place))

    def value(x: Tensor, t: Tensor, z: Tensor) -> Tensor:
        x = noise.corrupt(x, z) if on == "input" else x
        t = noise.corrupt(t, z) if on == "target" else t
        result = loss(x.reshape(1), t.reshape(1))
        if result.ndim != 0:
            raise ValueError(
                f"the loss of one element has shape {tuple(result.shape)}, expected a "
                "scalar: reduction='mean'"
            )
        return noise.corrupt(result, z) if on == "value" else result

    return value, torch.func.grad(value)


def _table(f: Scalar, input: Tensor, target: Tensor, z: Tensor) -> Tensor:
    """f of each element under each row of the noise, one column an element."""
    # One flat vmap: in torch 2.13 F.mse_loss fails under two, one of which maps the noise.
    x, t = (each.flatten().expand_as(z).flatten() for each in (input, target))
    flat = torch.func.vmap(f, chunk_size=2**20)  # bounds the memory
    return flat(x, t, z.flatten()).reshape(z.shape)


def _shaped(parts: list[Tensor], input: Tensor) -> Moments:
    # A copy, since a derivative that is 0 everywhere comes without memory of its own.
    each = (y.detach().reshape(input.shape) for y in parts)
    return Moments(*(y.to(input.dtype, copy=True) for y in each))
