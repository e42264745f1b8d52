"""Noise models: what is drawn, and how it corrupts the values it meets.

Each is a small immutable object. `noise(values, generator=g)` corrupts values, which is
`noise.corrupt(values, noise.draw(values, generator=g))`: a draw z per element, and the rule
that brings it in, `values + z` unless the model says otherwise. Theory and simulation
(`lossutils.noise.moments`) use the same two halves.

Draws have the shape, type and device of the values and carry no gradient; the values keep
theirs. Without a generator torch's own is used, as everywhere in torch. `torch.compile`
needs that: torch 2.13 cannot trace a generator.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from lossutils.losses._core import check_values
from lossutils.noise._core import (
    check_not_negative,
    check_share,
    draw_dtype,
    in_units,
    midpoints,
    normal,
    table,
    uniform,
)

__all__ = [
    "Exponential",
    "Gaussian",
    "LabelFlips",
    "Laplace",
    "Multiplicative",
    "Noise",
    "SaltAndPepper",
    "StudentT",
    "Sum",
    "Uniform",
]


class Noise(ABC):
    """What every noise model is: call it with values to corrupt them."""

    @property
    @abstractmethod
    def sd(self) -> float:
        """Standard deviation of a draw; its root mean square where it changes in time."""

    @property
    def white(self) -> bool:
        """Whether draws are independent and of one distribution."""
        return True

    @abstractmethod
    def draw(self, like: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw noise of the shape, device and floating-point type of `like`.

        Beside whole numbers the type is torch's default one.
        """

    def corrupt(self, values: Tensor, z: Tensor) -> Tensor:
        """Bring the draws `z` into `values`: their sum."""
        return values + z

    def __call__(
        self, values: Tensor, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Return `values` corrupted, in their shape and type; they stay as they are.

        Whole numbers to which noise is added become floating-point.

        Raises
        ------
        TypeError
            `values` is no tensor, or complex; the generator is none.
        ValueError
            The generator is on another device.
        """
        if not isinstance(values, Tensor):
            raise TypeError(
                f"values is a {type(values).__name__}, expected a torch.Tensor; wrap it: "
                "torch.as_tensor(values, dtype=torch.float32)"
            )
        return self.corrupt(values, self.draw(values, generator=generator))

    def __add__(self, other: "Noise") -> "Sum":
        return Sum(self, other)

    def nodes(self) -> tuple[Tensor, Tensor]:
        """Return nodes z and weights w, 1-D float64: E f(z) is about (w * f(z)).sum()."""
        raise TypeError(
            f"{self!r} has no distribution to integrate over; use monte_carlo, or draw"
        )

    def cdf(self, z: Tensor) -> Tensor:
        """Return the probability that a draw is at most `z`, in the shape of `z`."""
        raise TypeError(
            f"{self!r} has no distribution function; draw and count: "
            "(noise.draw(many) <= z).double().mean()"
        )

    def moment(self, order: int) -> float:
        """Return E z^order, infinite or NaN where it does not exist."""
        raise TypeError(
            f"{self!r} has no moments of a draw; use monte_carlo, or draw and average"
        )

    def autocovariance(self, n: int) -> Tensor:
        """Return Cov(z_t, z_{t+k}) for k = 0 … n − 1 in a series of n draws, float64."""
        if not self.white:
            raise TypeError(f"{self!r} is not stationary, it has no autocovariance")
        covariance = torch.zeros(n, dtype=torch.float64, device="cpu")
        covariance[:1] = self.sd**2
        return covariance


@dataclass(frozen=True)
class _Scaled(Noise):
    """A distribution of mean 0 with a standard form, which `level` scales.

    Subclasses draw, tabulate and integrate the standard form; `_unit` is what its
    standard deviation is, `_moment` its moments in closed form.
    """

    level: float

    def __post_init__(self) -> None:
        check_not_negative(level=self.level)

    @property
    def sd(self) -> float:
        return self.level

    @property
    def _scale(self) -> float:
        return self.level / self._unit

    def draw(self, like: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        return self._standard(like, generator).mul_(self._scale).to(draw_dtype(like))

    def nodes(self) -> tuple[Tensor, Tensor]:
        z, density = self._density()
        return z * self._scale, density / density.sum()

    def cdf(self, z: Tensor) -> Tensor:
        return self._cdf(in_units(z, self._scale))

    def moment(self, order: int) -> float:
        return self._moment(order) * self._scale**order

    _unit: ClassVar[float]

    @abstractmethod
    def _standard(self, like: Tensor, generator: torch.Generator | None) -> Tensor: ...

    @abstractmethod
    def _density(self) -> tuple[Tensor, Tensor]: ...

    @abstractmethod
    def _cdf(self, z: Tensor) -> Tensor: ...

    @abstractmethod
    def _moment(self, order: int) -> float: ...


class Gaussian(_Scaled):
    """Gaussian white noise.

    Parameters
    ----------
    level : float
        Standard deviation, 0 or more.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> g = torch.Generator().manual_seed(0)
    >>> lu.noise.Gaussian(0.1)(torch.zeros(3), generator=g)
    tensor([ 0.1541, -0.0293, -0.2179])
    """

    _unit = 1.0

    def _standard(self, like: Tensor, generator: torch.Generator | None) -> Tensor:
        return normal(like, generator)

    def _density(self) -> tuple[Tensor, Tensor]:
        z = midpoints(-10.0, 10.0)
        return z, torch.exp(-(z**2) / 2)

    def _cdf(self, z: Tensor) -> Tensor:
        probability: Tensor = torch.special.ndtr(z)
        return probability

    def _moment(self, order: int) -> float:
        return 0.0 if order % 2 else math.prod(range(order - 1, 0, -2))


class Laplace(_Scaled):
    """Laplace white noise, whose tails fall as exp(−√2 |z| / level).

    Parameters
    ----------
    level : float
        Standard deviation, 0 or more: √2 times what is usually called the scale.
    """

    _unit = math.sqrt(2)

    def _standard(self, like: Tensor, generator: torch.Generator | None) -> Tensor:
        # An exponential with a random sign. What is taken is the log of a number above 0.
        u = 2 * uniform(like, generator)
        return torch.where(u < 1, -torch.log1p(-u), torch.log1p(1 - u))

    def _density(self) -> tuple[Tensor, Tensor]:
        z = midpoints(-40.0, 40.0)
        return z, torch.exp(-z.abs())

    def _cdf(self, z: Tensor) -> Tensor:
        tail = torch.exp(-z.abs()) / 2
        return torch.where(z < 0, tail, 1 - tail)

    def _moment(self, order: int) -> float:
        return 0.0 if order % 2 else math.factorial(order)


class Uniform(_Scaled):
    """Uniform white noise between −√3 level and √3 level.

    Parameters
    ----------
    level : float
        Standard deviation, 0 or more.
    """

    _unit = 1 / math.sqrt(3)

    def _standard(self, like: Tensor, generator: torch.Generator | None) -> Tensor:
        return 2 * uniform(like, generator) - 1

    def _density(self) -> tuple[Tensor, Tensor]:
        z = midpoints(-1.0, 1.0)
        return z, torch.ones_like(z)

    def _cdf(self, z: Tensor) -> Tensor:
        return ((z + 1) / 2).clamp(0, 1)

    def _moment(self, order: int) -> float:
        return 0.0 if order % 2 else 1 / (order + 1)


class Exponential(_Scaled):
    """Skewed white noise of mean 0: an exponential variable less its mean.

    Its median is (log 2 − 1) level, about −0.31 level: a loss that follows the median
    sees it, one that follows the mean does not.

    Parameters
    ----------
    level : float
        Standard deviation, 0 or more. No draw is below −level.
    """

    _unit = 1.0

    def _standard(self, like: Tensor, generator: torch.Generator | None) -> Tensor:
        return -torch.log1p(-uniform(like, generator)) - 1

    def _density(self) -> tuple[Tensor, Tensor]:
        z = midpoints(0.0, 40.0)
        return z - 1, torch.exp(-z)

    def _cdf(self, z: Tensor) -> Tensor:
        return -torch.expm1(-(z + 1).clamp(min=0))

    def _moment(self, order: int) -> float:
        # Of x − 1, where E x^k = k!.
        terms = (math.perm(order, k) * (-1.0) ** (order - k) for k in range(order + 1))
        return sum(terms)


@dataclass(frozen=True)
class StudentT(Noise):
    """Student's t white noise: heavy tails, which fall as |z|^−(df + 1).

    Parameters
    ----------
    df : float
        Degrees of freedom, above 0. Up to 2 the variance is infinite, up to 1 there is no
        mean.
    scale : float
        Factor of a standard t variable, 0 or more; the standard deviation is
        scale · √(df / (df − 2)).

    References
    ----------
    Bailey (1994), Polar generation of random variates with the t-distribution.
    """

    df: float
    scale: float

    def __post_init__(self) -> None:
        check_not_negative(scale=self.scale)
        if not 0 < self.df < math.inf:
            raise ValueError(f"df is {self.df}, expected a finite number above 0")

    @property
    def sd(self) -> float:
        return math.sqrt(self.moment(2))

    def moment(self, order: int) -> float:
        if self.scale == 0:
            return 0.0**order
        if order >= self.df:
            return math.nan if order % 2 else math.inf
        if order % 2:
            return 0.0
        # In closed form: just above the bound most of a moment lies beyond any grid.
        gammas = (
            math.lgamma((order + 1) / 2)
            + math.lgamma((self.df - order) / 2)
            - math.lgamma(1 / 2)
            - math.lgamma(self.df / 2)
        )
        return math.exp(gammas) * float((math.sqrt(self.df) * self.scale) ** order)

    def draw(self, like: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        u, v = uniform(like, generator), uniform(like, generator)
        # Bailey's radius √(df ((1 − u)^(−2/df) − 1)), where the power is exp(2a); so put,
        # no square overflows, and expm1 keeps the digits where u is near 0.
        a = -torch.log1p(-u) / self.df
        radius = math.sqrt(self.df) * a.exp() * (-torch.expm1(-2 * a)).sqrt()
        z = radius * torch.cos(2 * math.pi * v)
        return (z * self.scale).to(draw_dtype(like))

    def nodes(self) -> tuple[Tensor, Tensor]:
        s = midpoints(-40.0, 40.0)
        z = torch.sinh(s)  # reaches far into the tails
        density = (1 + z**2 / self.df) ** (-(self.df + 1) / 2) * torch.cosh(s)
        return z * self.scale, density / density.sum()

    def cdf(self, z: Tensor) -> Tensor:
        from scipy.special import stdtr  # torch has no incomplete beta function

        s = in_units(z, self.scale)
        return torch.as_tensor(stdtr(self.df, s.detach().cpu().double().numpy())).to(s)


@dataclass(frozen=True)
class SaltAndPepper(Noise):
    """Replace a random share of the values, half of them by `low`, half by `high`.

    Parameters
    ----------
    rate : float
        Expected share of the values that are replaced, in [0, 1].
    low, high : float
        What by. Default 0 and 1. Whole-number values take whole numbers only.
    """

    rate: float
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        check_share(rate=self.rate)

    @property
    def sd(self) -> float:
        raise TypeError(f"{self!r} replaces values: what it adds has no one sd")

    def draw(self, like: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        return uniform(like, generator)

    def corrupt(self, values: Tensor, z: Tensor) -> Tensor:
        """Put `low` where z is below half the rate, `high` where it is below the rate."""
        if not values.is_floating_point() and (self.low % 1 or self.high % 1):
            raise TypeError(
                f"values has dtype {values.dtype}, which does not hold low {self.low} and "
                f"high {self.high}; convert: values.float()"
            )
        replaced = values.masked_fill(z < self.rate, self.high)
        return replaced.masked_fill(z < self.rate / 2, self.low)

    def nodes(self) -> tuple[Tensor, Tensor]:
        r = self.rate
        return table([(r / 4, r / 2), (3 * r / 4, r / 2), ((1 + r) / 2, 1 - r)])


@dataclass(frozen=True)
class LabelFlips(Noise):
    """Replace a random share of the labels by another class, each as likely.

    Parameters
    ----------
    rate : float
        Expected share of the labels that are replaced, in [0, 1].
    classes : int
        2 or more; the labels are 0 … classes − 1, in any type. Default 2.
    """

    rate: float
    classes: int = 2

    def __post_init__(self) -> None:
        check_share(rate=self.rate)
        if self.classes < 2 or self.classes % 1:
            raise ValueError(
                f"classes is {self.classes}, expected a whole number, 2 or more"
            )

    @property
    def sd(self) -> float:
        raise TypeError(f"{self!r} replaces labels: what it adds has no one sd")

    def draw(self, like: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        return uniform(like, generator)

    def corrupt(self, values: Tensor, z: Tensor) -> Tensor:
        """Replace where z is below the rate; where in [0, rate) says by which class."""
        check_values(
            values,
            lambda v: (v < 0) | (v > self.classes - 1) | (v % 1 != 0),
            f"a label is {{:g}}, expected a whole number from 0 to {self.classes - 1}; "
            "labels of -1 and 1: (y + 1) / 2",
        )
        others = self.classes - 1
        other = (z * (others / max(self.rate, 1e-12))).floor().clamp(max=others - 1) + 1
        flipped = ((values + other) % self.classes).to(values.dtype)
        return torch.where(z < self.rate, flipped, values)

    def nodes(self) -> tuple[Tensor, Tensor]:
        others, r = self.classes - 1, self.rate
        flips = [(r * (k + 0.5) / others, r / others) for k in range(others)]
        return table([*flips, ((1 + r) / 2, 1 - r)])


@dataclass(frozen=True)
class Multiplicative(Noise):
    """Noise as a factor: values · (1 + z).

    Parameters
    ----------
    noise : Noise
        Draws z, and is additive itself; its level is relative, 0.1 for ten per cent.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> g = torch.Generator().manual_seed(0)
    >>> tenth = lu.noise.Multiplicative(lu.noise.Gaussian(0.1))
    >>> tenth(torch.tensor([0.0, 10.0]), generator=g)
    tensor([0.0000, 9.7066])
    """

    noise: Noise

    def __post_init__(self) -> None:
        check_additive(self.noise, "Multiplicative")

    @property
    def sd(self) -> float:
        return self.noise.sd

    @property
    def white(self) -> bool:
        return self.noise.white

    def draw(self, like: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        return self.noise.draw(like, generator=generator)

    def corrupt(self, values: Tensor, z: Tensor) -> Tensor:
        """Multiply by 1 + z."""
        return values * (1 + z)

    def nodes(self) -> tuple[Tensor, Tensor]:
        return self.noise.nodes()

    def cdf(self, z: Tensor) -> Tensor:
        return self.noise.cdf(z)

    def moment(self, order: int) -> float:
        return self.noise.moment(order)

    def autocovariance(self, n: int) -> Tensor:
        return self.noise.autocovariance(n)


@dataclass(frozen=True)
class Sum(Noise):
    """Two independent noises added; `a + b` makes it.

    Parameters
    ----------
    first, second : Noise
        Both additive.
    """

    first: Noise
    second: Noise

    def __post_init__(self) -> None:
        check_additive(self.first, "a sum")
        check_additive(self.second, "a sum")

    @property
    def sd(self) -> float:
        return math.hypot(self.first.sd, self.second.sd)

    @property
    def white(self) -> bool:
        return self.first.white and self.second.white

    def moment(self, order: int) -> float:
        # Of independent addends, by the binomial theorem.
        first = [self.first.moment(k) for k in range(order + 1)]
        second = [self.second.moment(order - k) for k in range(order + 1)]
        if not math.isfinite(first[-1] + second[0]):
            return math.nan if order % 2 else math.inf
        return sum(math.comb(order, k) * first[k] * second[k] for k in range(order + 1))

    def draw(self, like: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        first = self.first.draw(like, generator=generator)
        return first + self.second.draw(like, generator=generator)

    def autocovariance(self, n: int) -> Tensor:
        return self.first.autocovariance(n) + self.second.autocovariance(n)


# What takes a noise asks this of it


def check_noise(noise: Noise) -> None:
    if not isinstance(noise, Noise):
        raise TypeError(
            f"noise is a {type(noise).__name__}, expected a noise model: "
            "lossutils.noise.Gaussian(0.1)"
        )


def check_additive(noise: Noise, what: str) -> None:
    if not isinstance(noise, Noise):
        raise TypeError(
            f"{what} of a {type(noise).__name__}, expected a noise: Gaussian(0.1)"
        )
    if type(noise).corrupt is not Noise.corrupt:
        raise TypeError(f"{what} takes noise that is added to the values, not {noise!r}")
