"""Linear filters against noise in a series, and inside a loss.

Time runs along the first axis.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossutils.noise._core import check_floating, check_kernel, working_dtype

__all__ = ["SmoothedLoss", "exponential_average", "moving_average", "smooth"]


def smooth(values: Tensor, kernel: Tensor) -> Tensor:
    """Convolve a series with a kernel, where the two overlap fully.

    Parameters
    ----------
    values : Tensor
        Floating-point; time along the first axis, n long. Each column is smoothed alone.
    kernel : Tensor
        1-D, k long, at most n. Newest draw first: y_t = Σ_i kernel_i values_{t−i}.

    Returns
    -------
    Tensor
        First axis n − k + 1 long.

    Raises
    ------
    ValueError
        The kernel is not 1-D, is empty, or longer than the series.
    TypeError
        The values are not floating-point, or the kernel is no tensor.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> lu.noise.smooth(torch.tensor([0.0, 1.0, 0.0, 3.0]), torch.tensor([0.5, 0.5]))
    tensor([0.5000, 0.5000, 1.5000])
    """
    check_floating("values", values)
    n = values.shape[0] if values.ndim else 0
    check_kernel(kernel, n)
    series = values.to(working_dtype(values))
    columns = series.reshape(n, -1).T[:, None]  # conv1d wants (columns, 1, time)
    smoothed = F.conv1d(columns, kernel.flip(0).to(series)[None, None])
    each = smoothed[:, 0].T.reshape(n - len(kernel) + 1, *values.shape[1:])
    return each.to(values.dtype)


def moving_average(values: Tensor, width: int) -> Tensor:
    """Average each `width` neighbours of a series; the first axis is width − 1 shorter.

    Raises
    ------
    ValueError
        The width is no whole number from 1 to the length of the series.
    TypeError
        The values are not floating-point.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> lu.noise.moving_average(torch.tensor([0.0, 3.0, 0.0, 3.0]), 3)
    tensor([1., 2.])
    """
    check_floating("values", values)
    n = values.shape[0] if values.ndim else 0
    if not 1 <= width <= n or width % 1:
        raise ValueError(
            f"width is {width}, expected a whole number from 1 to {n}, the length of the "
            "series"
        )
    kernel = torch.full((int(width),), 1 / width, dtype=working_dtype(values), device="cpu")
    return smooth(values, kernel)


def exponential_average(values: Tensor, decay: float) -> Tensor:
    """Average a series with weights that fall by `decay` a step into the past.

    m_t = decay · m_{t−1} + (1 − decay) · values_t from m_0 = 0, divided by 1 − decay^t as
    in Adam, so that the first averages are not drawn to 0.

    Parameters
    ----------
    values : Tensor
        Floating-point; time along the first axis.
    decay : float
        In [0, 1). The average remembers about 1/(1 − decay) steps.

    Returns
    -------
    Tensor
        Of the shape of `values`.

    Raises
    ------
    ValueError
        The decay is outside [0, 1), or the values have no axis.
    TypeError
        The values are not floating-point.

    References
    ----------
    Kingma and Ba (2015), Adam: a method for stochastic optimization, section 3.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> lu.noise.exponential_average(torch.tensor([1.0, 1.0, 4.0]), 0.5)
    tensor([1.0000, 1.0000, 2.7143])
    """
    check_floating("values", values)
    if not 0 <= decay < 1:
        raise ValueError(f"decay is {decay}, expected a number in [0, 1)")
    if values.ndim == 0:
        raise ValueError("values has no axis, expected time along the first")
    if len(values) == 0:
        return values.clone()
    series = values.to(
        working_dtype(values)
    )  # a half type forgets what decays by under 1 %
    mean, averages = torch.zeros_like(series[0]), []
    for step, value in enumerate(series, start=1):
        mean = decay * mean + (1 - decay) * value
        averages.append(mean / (1 - decay**step))
    return torch.stack(averages).to(values.dtype)


class SmoothedLoss(nn.Module):
    """A loss of smoothed residuals: input and target go through one filter first.

    What the filter takes out, the loss no longer sees: a pattern of residuals in its
    null space, such as +1, −1, +1, −1 under an average of two, costs nothing.

    Parameters
    ----------
    loss : callable
        `loss(input, target, **options)`, a function or a Module, of the residual alone.
    kernel : Tensor
        1-D; a weight a step of time.

    Raises
    ------
    TypeError
        The loss is not callable, or the kernel is no tensor.
    ValueError
        On a call: the kernel is not 1-D, is empty, or longer than the batch.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> smoothed = lu.noise.SmoothedLoss(lu.mse, torch.tensor([0.5, 0.5]))
    >>> input = torch.tensor([1.0, -1.0, 1.0, -1.0])
    >>> lu.mse(input, torch.zeros(4)), smoothed(input, torch.zeros(4))
    (tensor(1.), tensor(0.))
    """

    kernel: Tensor

    def __init__(self, loss: Callable[..., Tensor], kernel: Tensor) -> None:
        super().__init__()
        if not callable(loss):
            raise TypeError(
                f"loss is a {type(loss).__name__}, expected a function or a Module that "
                "takes (input, target)"
            )
        self.loss = loss
        if isinstance(kernel, nn.Parameter):
            self.kernel = kernel
        else:
            self.register_buffer("kernel", kernel)

    def forward(self, input: Tensor, target: Tensor, **options: Any) -> Tensor:
        """Return the loss of the smoothed residuals; `options` go to the loss."""
        return self.loss(smooth(input, self.kernel), smooth(target, self.kernel), **options)
