"""The shape of a loss: its value, slope and curvature where the prediction moves."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Profile", "profile"]


class Profile(NamedTuple):
    """A loss along a line of predictions; four 1-D tensors of one length and type.

    Attributes
    ----------
    errors : Tensor
        The predictions, which are the errors when the target is 0.
    value : Tensor
        The loss.
    slope : Tensor
        Its first derivative with respect to the prediction.
    curvature : Tensor
        Its second derivative. At a kink, what autograd makes of it.
    """

    errors: Tensor
    value: Tensor
    slope: Tensor
    curvature: Tensor


def profile(
    loss: Callable[[Tensor, Tensor], Tensor], errors: Tensor, target: float = 0.0
) -> Profile:
    """Evaluate a loss and its first two derivatives at many predictions.

    Each prediction is a batch of its own, so the loss may be any function or Module
    that works under `torch.func.vmap` and reduces a batch of one to a scalar.

    Parameters
    ----------
    loss : callable
        `loss(input, target)`, both of shape (1,), returns a scalar.
    errors : Tensor
        Predictions, 1-D and floating-point; float64 gives smooth curvatures. With the
        default target they are the errors. For a loss on logits they are the logits,
        and `target` is the class.
    target : float
        The target of every prediction. Default 0.

    Returns
    -------
    Profile
        errors, value, slope, curvature: tensors of the shape, type and device of
        `errors`, outside the graph.

    Raises
    ------
    ValueError
        `errors` is empty or not 1-D, or the loss does not return a scalar.
    TypeError
        `errors` is no floating-point tensor.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> p = lu.landscape.profile(lu.huber, torch.tensor([-3.0, 0.5, 3.0]))
    >>> p.value, p.slope, p.curvature
    (tensor([2.5000, 0.1250, 2.5000]), tensor([-1.0000,  0.5000,  1.0000]),
     tensor([0., 1., 0.]))
    """
    if not isinstance(errors, Tensor) or not errors.is_floating_point():
        given = errors.dtype if isinstance(errors, Tensor) else type(errors).__name__
        raise TypeError(
            f"errors is {given}, expected a floating-point tensor: "
            "torch.linspace(-3, 3, 301, dtype=torch.float64)"
        )
    if errors.ndim != 1:
        raise ValueError(
            f"errors has shape {tuple(errors.shape)}, expected one axis: errors.flatten()"
        )
    if len(errors) == 0:
        raise ValueError("errors is empty, expected at least one prediction")
    x = errors.detach()

    def at(prediction: Tensor) -> Tensor:
        input = prediction.reshape(1)
        result = loss(input, torch.full_like(input, target))
        if result.ndim != 0:
            raise ValueError(
                f"the loss of one prediction has shape {tuple(result.shape)}, expected a "
                "scalar: reduction='mean'"
            )
        return result

    slope, value = torch.func.vmap(torch.func.grad_and_value(at))(x)
    curvature = torch.func.vmap(torch.func.grad(torch.func.grad(at)))(x)
    # A derivative that is 0 everywhere comes as a tensor without memory, which NumPy
    # refuses; its clone has some.
    return Profile(x, *(y.detach().clone() for y in (value, slope, curvature)))
