"""The few lines every loss shares: look at the arguments, reduce, make a Module."""

import inspect
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

Reduction: TypeAlias = Literal["mean", "sum", "none"]


def check_input(input: Tensor) -> Tensor:
    """Return `input` in the type to compute in: float32 for half types, else its own."""
    if not isinstance(input, Tensor):
        raise TypeError(
            f"input is a {type(input).__name__}, expected a torch.Tensor; "
            "wrap it: torch.as_tensor(input, dtype=torch.float32)"
        )
    if not input.is_floating_point():
        raise TypeError(
            f"input has dtype {input.dtype}, which carries no gradient; expected "
            "predictions in a floating-point type. Were input and target exchanged? "
            "The order is loss(input, target); otherwise convert: input.float()"
        )
    return input.float() if input.dtype in (torch.float16, torch.bfloat16) else input


def check_target(input: Tensor, target: Tensor, name: str = "target") -> None:
    """Refuse a target that is no tensor, or lives on another device than `input`."""
    if not isinstance(target, Tensor):
        raise TypeError(
            f"{name} is a {type(target).__name__}, expected a torch.Tensor; "
            f"wrap it: torch.as_tensor({name}, device=input.device)"
        )
    if target.device != input.device:
        raise ValueError(
            f"input is on {input.device} and {name} on {target.device}; "
            f"move one: {name}.to(input.device)"
        )


def check_pair(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return input and target of one shape, device and floating type, or say why not.

    The input decides the type: half types are computed in float32, and a target of
    another type (float32 beside a float64 model, integer counts, booleans) is
    converted to it.

    Raises
    ------
    TypeError
        One of them is no tensor, or the input is not floating-point.
    ValueError
        Shapes or devices differ. Nothing is broadcast.
    """
    x = check_input(input)
    check_target(input, target)
    if input.shape != target.shape:
        raise ValueError(
            f"input has shape {tuple(input.shape)} and target {tuple(target.shape)}; "
            f"they must be equal, nothing is broadcast. {_shape_remedy(input, target)}"
        )
    if target.is_complex():
        raise TypeError(f"target has dtype {target.dtype}, expected real numbers")
    return x, target.to(x.dtype)


def _shape_remedy(input: Tensor, target: Tensor) -> str:
    if input.shape == (*target.shape, 1):
        return "Drop the model's last axis: input.squeeze(-1)"
    if target.shape == (*input.shape, 1):
        return "Drop the target's last axis: target.squeeze(-1)"
    if input.numel() == target.numel():
        return "Same number of elements: target.reshape(input.shape) if the order agrees"
    return "Mend the model's output or the batch so that each prediction has its target"


def check_range(values: Tensor, low: float, high: float, name: str, remedy: str) -> None:
    """Refuse values outside [low, high], where looking costs no host synchronisation."""
    check_values(
        values,
        lambda v: (v < low) | (v > high),
        f"{name} holds {{:.6g}}, expected [{low:g}, {high:g}]; {remedy}",
    )


def check_values(values: Tensor, wrong: Callable[[Tensor], Tensor], message: str) -> None:
    """Refuse `wrong` values, the first of which is put into the message.

    That is on the CPU, outside compiled, exported and vmapped code. Elsewhere nothing is
    checked, since to look at a value would wait for the device or break the graph. `wrong`
    lets NaN pass: it reaches the loss and shows there.
    """
    if torch.compiler.is_compiling() or values.device.type != "cpu":
        return
    found = wrong(values)
    try:
        refused = bool(found.any())
    except RuntimeError:  # vmap and fake tensors: there is no value to look at
        return
    if refused:
        raise ValueError(message.format(values.detach()[found].flatten()[0].item()))


def check_positive(**parameters: float) -> None:
    """Refuse parameters that are not finite numbers above zero."""
    for name, value in parameters.items():
        if not 0 < value < float("inf"):
            raise ValueError(f"{name} is {value}, expected a finite number above 0")


def check_between(low: float, high: float, **parameters: float) -> None:
    """Refuse parameters outside the open interval (low, high)."""
    for name, value in parameters.items():
        if not low < value < high:
            raise ValueError(
                f"{name} is {value}, expected a number between {low} and {high}"
            )


def reduce(
    loss: Tensor, weight: Tensor | None, reduction: Reduction, dtype: torch.dtype
) -> Tensor:
    """Weight and reduce a loss per element, and return it in `dtype`.

    `mean` is the weighted mean Σwℓ / Σw. Over nothing (an empty batch, or weights
    that are all zero) it is 0 with zero gradient: such a batch moves no parameter.
    """
    if weight is None:
        count: Tensor | int = max(loss.numel(), 1)
    else:
        weight = check_weight(loss, weight)
        loss = loss * weight
        total = weight.sum()
        count = torch.where(total == 0, torch.ones_like(total), total)
    return reduce_over(loss, count, reduction, dtype)


def check_weight(loss: Tensor, weight: Tensor) -> Tensor:
    """Return `weight` in the loss's type, or say why it cannot weight that loss."""
    check_target(loss, weight, "weight")
    if weight.shape != loss.shape:
        per_sample = weight.ndim == 1 and loss.ndim > 1 and len(weight) == len(loss)
        ones = ", None" * (loss.ndim - 1)
        raise ValueError(
            f"weight has shape {tuple(weight.shape)}, expected that of the unreduced "
            f"loss, {tuple(loss.shape)}; "
            + (
                f"spread it: weight[:{ones}].expand{tuple(loss.shape)}"
                if per_sample
                else "give one weight per element of the unreduced loss"
            )
        )
    check_range(weight, 0, float("inf"), "weight", "a negative weight rewards errors")
    return weight.to(loss.dtype)


def reduce_over(
    loss: Tensor, count: Tensor | int, reduction: Reduction, dtype: torch.dtype
) -> Tensor:
    """Reduce a weighted loss, where the mean divides by `count`."""
    if reduction == "mean":
        return (loss.sum() / count).to(dtype)
    if reduction == "sum":
        return loss.sum().to(dtype)
    if reduction == "none":
        return loss.to(dtype)
    raise ValueError(f"reduction is {reduction!r}, expected 'mean', 'sum' or 'none'")


def as_module(function: Callable[..., Tensor], name: str) -> type[nn.Module]:
    """Make the Module of a loss function: same parameters, same defaults, same checks.

    `name(<parameters>, reduction="mean")` holds the function's keyword parameters and
    `forward(input, target, *, weight=None)` calls it. Tensors among the parameters
    become buffers, and `nn.Parameter`s are registered, so that they move with `.to()`
    and can be trained.
    """
    signature = inspect.signature(function)
    parameters = [
        p
        for p in signature.parameters.values()
        if p.kind is p.KEYWORD_ONLY and p.name != "weight"
    ]
    names = tuple(p.name for p in parameters)

    class LossModule(nn.Module):
        def __init__(self, **given: Any) -> None:
            super().__init__()
            unknown = given.keys() - set(names)
            if unknown:
                raise TypeError(
                    f"{name} has no parameter {', '.join(sorted(unknown))}; "
                    f"it takes {', '.join(names)}"
                )
            for p in parameters:
                value = given.get(p.name, p.default)
                if isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
                    self.register_buffer(p.name, value)
                else:
                    setattr(self, p.name, value)

        def forward(
            self, input: Tensor, target: Tensor, *, weight: Tensor | None = None
        ) -> Tensor:
            given = {p: getattr(self, p) for p in names}
            return function(input, target, weight=weight, **given)

        def extra_repr(self) -> str:
            return ", ".join(f"{p}={getattr(self, p)!r}" for p in names)

    LossModule.__name__ = LossModule.__qualname__ = name
    LossModule.__module__ = function.__module__
    documented = inspect.getdoc(function) or f"`{function.__name__}` as a Module."
    summary = documented.splitlines()[0]
    LossModule.__doc__ = (
        f"{summary}\n\n    The Module of :func:`{function.__name__}`, which documents the "
        "parameters.\n    "
    )
    LossModule.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return LossModule
