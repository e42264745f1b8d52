"""Losses with noise in them: any loss, and the three of the book's source article."""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from lossutils.losses.classification import binary_cross_entropy
from lossutils.losses.regression import mae, mse
from lossutils.noise.models import Gaussian, Multiplicative, Noise, check_noise

__all__ = ["NoisyLoss", "noisy_log_loss", "noisy_mae_loss", "noisy_mse_loss"]

Place: TypeAlias = Literal["target", "input", "value"]


def check_place(on: str) -> None:
    if on not in get_args(Place):
        raise ValueError(f"on is {on!r}, expected 'target', 'input' or 'value'")


class NoisyLoss(nn.Module):
    """Any loss, with noise on its target, its input or its value.

    Each call draws anew. The gradient flows through the loss and through what the noise
    does to the input or the value; the draws themselves carry none. At level 0 it is the
    loss itself, to the last bit.

    Parameters
    ----------
    loss : callable
        `loss(input, target, **options)`, a function or a Module.
    noise : Noise
        From `lossutils.noise`.
    on : {"target", "input", "value"}
        Where it enters. "value" corrupts what the loss returns: a scalar once, an
        unreduced loss (`reduction="none"`) element by element.

    Raises
    ------
    TypeError
        The loss is not callable, or the noise is none of ours.
    ValueError
        `on` is another word.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> noisy = lu.noise.NoisyLoss(lu.mse, lu.noise.Gaussian(0.1), on="target")
    >>> input, target = torch.tensor([1.0, 2.0]), torch.tensor([1.0, 3.0])
    >>> noisy(input, target, generator=torch.Generator().manual_seed(0))
    tensor(0.4830)
    >>> noisy
    NoisyLoss(loss=mse, noise=Gaussian(level=0.1), on='target')
    """

    def __init__(
        self, loss: Callable[..., Tensor], noise: Noise, *, on: Place = "target"
    ) -> None:
        super().__init__()
        if not callable(loss):
            raise TypeError(
                f"loss is a {type(loss).__name__}, expected a function or a Module that "
                "takes (input, target)"
            )
        check_noise(noise)
        check_place(on)
        self.loss, self.noise, self.on = loss, noise, on

    def forward(
        self,
        input: Tensor,
        target: Tensor,
        *,
        generator: torch.Generator | None = None,
        **options: Any,
    ) -> Tensor:
        """Return the noisy loss; `options` go to the loss, `generator` to the noise.

        Raises
        ------
        ValueError
            Noise with a time (coloured, drifting) falls on a reduced loss.
        """
        if self.on == "target":
            target = self.noise(target, generator=generator)
        elif self.on == "input":
            input = self.noise(input, generator=generator)
        if isinstance(self.loss, NoisyLoss):  # noise in two places, from one generator
            options["generator"] = generator
        value = self.loss(input, target, **options)
        if self.on != "value":
            return value
        if value.ndim == 0 and not self.noise.white:
            raise ValueError(
                f"the loss is one number, and {self.noise!r} needs an axis for its time; "
                "leave the loss unreduced: reduction='none'"
            )
        return self.noise(value, generator=generator)

    def __repr__(self) -> str:
        name = getattr(self.loss, "__name__", None) or repr(self.loss)
        return f"NoisyLoss(loss={name}, noise={self.noise!r}, on={self.on!r})"


def noisy_mae_loss(
    input: Tensor,
    target: Tensor,
    *,
    noise_level: float = 0.1,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Mean absolute error with Gaussian noise added to each element's loss.

    The noise moves the number that is printed, by a standard deviation of noise_level / √n.
    It leaves the gradient as it is, exactly.

    Parameters
    ----------
    input, target : Tensor
        Of one shape.
    noise_level : float
        Standard deviation, in the unit of the targets, 0 or more. Default 0.1.
    generator : torch.Generator, optional
        Default torch's own.

    Returns
    -------
    Tensor
        A scalar, which may be negative.

    Raises
    ------
    ValueError, TypeError
        As `lossutils.mae`; the level is negative.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> input, target = torch.tensor([1.2, 2.5]), torch.tensor([1.0, 2.7])
    >>> g = torch.Generator().manual_seed(0)
    >>> lu.noise.noisy_mae_loss(input, target, generator=g)
    tensor(0.2624)
    """
    noisy = NoisyLoss(mae, Gaussian(noise_level), on="value")
    each: Tensor = noisy(input, target, generator=generator, reduction="none")
    return each.mean() if each.numel() else each.sum()  # over nothing it is 0


def noisy_log_loss(
    input: Tensor,
    target: Tensor,
    *,
    noise_level: float = 0.1,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Binary cross-entropy of probabilities that Gaussian noise multiplies.

    A probability p leaves [0, 1] when the noise z exceeds (1 − p)/p or is below −1:
    `lossutils.noise.probability_outside` says how often. The logarithm has no value there.

    Parameters
    ----------
    input, target : Tensor
        Probabilities and labels of one shape, both in [0, 1].
    noise_level : float
        Relative standard deviation, 0 or more. Default 0.1.
    generator : torch.Generator, optional
        Default torch's own.

    Returns
    -------
    Tensor
        A scalar, in nats. Off the CPU and compiled (torch 2.13 or newer) it is NaN where a
        noisy probability is outside [0, 1].

    Raises
    ------
    ValueError, TypeError
        As `lossutils.binary_cross_entropy`, also for a noisy probability outside [0, 1];
        the level is negative.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> input, target = torch.tensor([0.2, 0.7]), torch.tensor([0.0, 1.0])
    >>> g = torch.Generator().manual_seed(0)
    >>> lu.noise.noisy_log_loss(input, target, generator=g)
    tensor(0.3244)
    """
    noisy = NoisyLoss(
        binary_cross_entropy, Multiplicative(Gaussian(noise_level)), on="input"
    )
    loss: Tensor = noisy(input, target, generator=generator)
    return loss


def noisy_mse_loss(
    input: Tensor,
    target: Tensor,
    *,
    noise_level: float = 0.1,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Mean squared error with Gaussian noise added to the targets.

    The noise adds noise_level² to the expected value and nothing to the expected gradient;
    each component of the gradient of n elements gains a variance of 4 noise_level² / n².

    Parameters
    ----------
    input, target : Tensor
        Of one shape.
    noise_level : float
        Standard deviation, in the unit of the targets, 0 or more. Default 0.1.
    generator : torch.Generator, optional
        Default torch's own.

    Returns
    -------
    Tensor
        A scalar.

    Raises
    ------
    ValueError, TypeError
        As `lossutils.mse`; the level is negative.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> input, target = torch.tensor([2.0, 3.0]), torch.tensor([2.2, 3.1])
    >>> g = torch.Generator().manual_seed(0)
    >>> lu.noise.noisy_mse_loss(input, target, generator=g)
    tensor(0.0652)
    """
    noisy = NoisyLoss(mse, Gaussian(noise_level), on="target")
    loss: Tensor = noisy(input, target, generator=generator)
    return loss
