"""Noise in which time matters: coloured, and changing as it goes.

Time runs along the first axis, and each call draws a new series. Along the other axes
draws are independent, but what changes in time changes for all of them at once. To feed a
series to batches in turn, draw it whole first:
`series = noise.draw(torch.empty(steps, batch))`.
"""

import math
from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from lossutils.noise._core import (
    check_generator,
    check_kernel,
    check_not_negative,
    draw_dtype,
    normal,
    uniform,
    working_dtype,
)
from lossutils.noise.models import Gaussian, Noise, check_additive

__all__ = ["AR1", "Bursts", "MeanDrift", "PowerLaw", "VarianceDrift", "filtered_variance"]


class _Stationary(Noise):
    """Gaussian noise of a given autocovariance, drawn exactly by circulant embedding.

    White noise of twice the length is filtered in the frequency domain, and half of it is
    thrown away, so that the series neither closes on itself nor has mean 0.

    Dietrich and Newsam (1997), Fast and exact simulation of stationary Gaussian processes
    through circulant embedding of the covariance matrix.
    """

    level: float

    @property
    def sd(self) -> float:
        return self.level

    @property
    def white(self) -> bool:
        return False

    @abstractmethod
    def power(self, n: int) -> Tensor:
        """Return the power at the n + 1 frequencies k / 2n cycles a draw, float64."""

    def draw(self, like: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        check_generator(like, generator)
        if like.numel() == 0:
            return torch.zeros_like(like, dtype=draw_dtype(like))
        n = like.shape[0] if like.ndim else 1
        white = normal(like.new_empty(2 * n, *like.shape[1:]), generator)
        gain = self.power(n).clamp(min=0).sqrt().to(white)
        filtered = torch.fft.rfft(white, dim=0) * spread_over_axes(gain, white)
        series: Tensor = torch.fft.irfft(filtered, n=2 * n, dim=0)[:n]
        return series.reshape(like.shape).to(draw_dtype(like))

    def nodes(self) -> tuple[Tensor, Tensor]:
        return Gaussian(self.level).nodes()

    def cdf(self, z: Tensor) -> Tensor:
        return Gaussian(self.level).cdf(z)

    def moment(self, order: int) -> float:
        return Gaussian(self.level).moment(order)

    def autocovariance(self, n: int) -> Tensor:
        covariance: Tensor = torch.fft.irfft(self.power(n), n=2 * n)
        return covariance[:n]


@dataclass(frozen=True)
class AR1(_Stationary):
    """Gaussian noise with memory, z_t = ρ z_{t−1} + innovation: first-order autoregression.

    Parameters
    ----------
    level : float
        Standard deviation of each draw, 0 or more.
    correlation : float
        ρ, of neighbours, in (−1, 1); draws k steps apart correlate by ρ^k.

    Examples
    --------
    >>> import lossutils as lu
    >>> lu.noise.AR1(1.0, correlation=0.9).autocovariance(4)
    tensor([1.0000, 0.9000, 0.8100, 0.7290], dtype=torch.float64)
    """

    level: float
    correlation: float

    def __post_init__(self) -> None:
        check_not_negative(level=self.level)
        if not -1 < self.correlation < 1:
            raise ValueError(
                f"correlation is {self.correlation}, expected a number between -1 and 1"
            )

    def power(self, n: int) -> Tensor:
        k = torch.arange(2 * n, device="cpu")
        lag = torch.minimum(k, 2 * n - k).double()
        sign = 1 - 2 * (lag % 2) if self.correlation < 0 else 1.0
        covariance = self.level**2 * sign * abs(self.correlation) ** lag
        spectrum: Tensor = torch.fft.rfft(covariance).real
        return spectrum


@dataclass(frozen=True)
class PowerLaw(_Stationary):
    """Gaussian noise with the spectrum 1/f^β: white for β = 0, pink for 1, red for 2.

    A series of n draws has its power at multiples of 1/(2n) up to 1/2 cycles a draw; at
    0 it has what 1/f^β is there, or nothing where that is infinite (β > 0). For β ≥ 1 the
    power below any frequency is without bound, so `level` is the standard deviation
    within this band, over all series of that length: one series varies less about its own
    mean, and the same level at another length is another noise.

    Parameters
    ----------
    level : float
        Standard deviation of each draw, 0 or more.
    exponent : float
        β.

    References
    ----------
    Timmer and König (1995), On generating power law noise.
    """

    level: float
    exponent: float

    def __post_init__(self) -> None:
        check_not_negative(level=self.level)
        if not math.isfinite(self.exponent):
            raise ValueError(f"exponent is {self.exponent}, expected a finite number")

    def power(self, n: int) -> Tensor:
        k = torch.arange(n + 1, dtype=torch.float64, device="cpu")
        # Powers of at most 1, and 0 for the infinite one; without it β = 0 were not white.
        unit = n if self.exponent < 0 else 1
        shape = ((k / unit) ** -self.exponent).nan_to_num(posinf=0.0)
        total: Tensor = torch.fft.irfft(shape, n=2 * n)[0]
        return self.level**2 * shape / total


class _Changing(Noise):
    """Noise whose distribution changes in time."""

    @property
    def white(self) -> bool:
        return False


@dataclass(frozen=True)
class VarianceDrift(_Changing):
    """Noise that grows or fades: times `start` at the first draw, `end` at the last.

    Parameters
    ----------
    noise : Noise
        Additive.
    start, end : float
        Factors, 0 or more; in between they change evenly.
    """

    noise: Noise
    start: float
    end: float

    def __post_init__(self) -> None:
        check_additive(self.noise, "VarianceDrift")
        check_not_negative(start=self.start, end=self.end)

    @property
    def sd(self) -> float:
        square = (self.start**2 + self.start * self.end + self.end**2) / 3
        return self.noise.sd * math.sqrt(square)

    def draw(self, like: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        z = self.noise.draw(like, generator=generator)
        return z * ramp(z, self.start, self.end)


@dataclass(frozen=True)
class Bursts(_Changing):
    """Noise that is `factor` times as strong in bursts, which come at random.

    Parameters
    ----------
    noise : Noise
        Additive.
    share : float
        Expected share of the time that lies in a burst, in [0, 1).
    length : int
        How many draws a burst lasts, 1 or more. Bursts may overlap.
    factor : float
        0 or more.
    """

    noise: Noise
    share: float
    length: int
    factor: float

    def __post_init__(self) -> None:
        check_additive(self.noise, "Bursts")
        check_not_negative(factor=self.factor)
        if not 0 <= self.share < 1:
            raise ValueError(f"share is {self.share}, expected a share in [0, 1)")
        if self.length < 1 or self.length % 1:
            raise ValueError(
                f"length is {self.length}, expected a whole number of draws, 1 or more"
            )

    @property
    def sd(self) -> float:
        return self.noise.sd * math.sqrt(1 + self.share * (self.factor**2 - 1))

    def draw(self, like: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        z = self.noise.draw(like, generator=generator)
        n = z.shape[0] if z.ndim else 1
        # Bursts may have begun before the first draw: the share is the same everywhere.
        u = uniform(z.new_empty(n + self.length - 1), generator)
        begun = (u < 1 - (1 - self.share) ** (1 / self.length)).cumsum(0)
        begun = torch.cat([begun.new_zeros(1), begun])
        in_burst = begun[self.length :] > begun[: -self.length]
        return z * spread_over_axes(z.new_ones(n).masked_fill(in_burst, self.factor), z)


@dataclass(frozen=True)
class MeanDrift(_Changing):
    """A mean that moves evenly from `start` to `end`; nothing random.

    `Gaussian(1.0) + MeanDrift(0.0, 2.0)` is noise whose mean wanders from 0 to 2.

    Parameters
    ----------
    start, end : float
        At the first and the last draw.
    """

    start: float
    end: float

    def __post_init__(self) -> None:
        for name, value in (("start", self.start), ("end", self.end)):
            if not math.isfinite(value):
                raise ValueError(f"{name} is {value}, expected a finite number")

    @property
    def sd(self) -> float:
        return 0.0

    def draw(self, like: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        drawn = torch.zeros_like(like, dtype=draw_dtype(like))
        return drawn + ramp(drawn, self.start, self.end)


def filtered_variance(noise: Noise, kernel: Tensor, n: int) -> float:
    """Variance that is left of a noise after a moving average or another linear filter.

    Of y_t = Σ_i kernel_i z_{t−i} it is Σ_ij kernel_i kernel_j c_{|i−j|}, where c is the
    autocovariance of the noise. A mean of n draws is the filter `torch.full((n,), 1 / n)`.

    Parameters
    ----------
    noise : Noise
        Stationary.
    kernel : Tensor
        1-D, with n elements at most.
    n : int
        Length of the series.

    Returns
    -------
    float

    Raises
    ------
    TypeError
        The noise is not stationary, or the kernel is no tensor.
    ValueError
        The kernel is not 1-D, is empty, or longer than the series.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> mean_of_ten = torch.full((10,), 0.1, dtype=torch.float64)
    >>> white, pink = lu.noise.Gaussian(1.0), lu.noise.PowerLaw(1.0, exponent=1.0)
    >>> [round(lu.noise.filtered_variance(z, mean_of_ten, 1000), 3) for z in (white, pink)]
    [0.1, 0.664]
    """
    check_kernel(kernel, n)
    k = kernel.detach().cpu().double()
    # Σ_ij in n log n steps: how often each lag occurs is the kernel's own correlation.
    weight = torch.fft.irfft(torch.fft.rfft(k, 2 * len(k)).abs() ** 2)[: len(k)]
    weight[1:] *= 2
    return float(weight @ noise.autocovariance(n)[: len(k)])


def ramp(like: Tensor, start: float, end: float) -> Tensor:
    n = like.shape[0] if like.ndim else 1
    # In half types linspace cannot count the draws, and gives NaN beyond 65504.
    even = torch.linspace(start, end, n, dtype=working_dtype(like), device=like.device)
    return spread_over_axes(even.to(like.dtype), like)


def spread_over_axes(series: Tensor, like: Tensor) -> Tensor:
    """Spread one number a draw over the other axes of `like`."""
    return series.reshape(-1, *[1] * (like.ndim - 1)) if like.ndim else series[0]
