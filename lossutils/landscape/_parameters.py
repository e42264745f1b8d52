"""Parameters as one vector and back, and the checks that the parts share."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

Parameters = Tensor | Mapping[str, Tensor]
# `Any`, since a reader's objective takes either a tensor or a dict, and knows which.
Objective = Callable[[Any], Tensor]

FUNCTIONAL = (
    "the parameters that the objective is given: call "
    "torch.func.functional_call(model, parameters, input), not model(input)"
)


def pieces(parameters: Parameters, name: str = "parameters") -> dict[str, Tensor]:
    """The tensors of `parameters` by name, detached; of one type and on one device."""
    if isinstance(parameters, Tensor):
        named = {name: parameters}
    elif isinstance(parameters, Mapping):
        named = {f"{name}[{key!r}]": each for key, each in parameters.items()}
    else:
        raise TypeError(
            f"{name} is a {type(parameters).__name__}, expected a tensor or a dict of "
            "tensors: dict(model.named_parameters())"
        )
    for each, tensor in named.items():
        check_floating(each, tensor)
    if sum(tensor.numel() for tensor in named.values()) == 0:
        raise ValueError(f"{name} is empty, expected at least one number")
    kinds = {(tensor.dtype, tensor.device) for tensor in named.values()}
    if len(kinds) > 1:
        found = ", ".join(sorted(f"{dtype} on {device}" for dtype, device in kinds))
        raise ValueError(
            f"{name} mixes {found}; expected one type on one device: "
            "{name: tensor.double() for name, tensor in parameters.items()}"
        )
    return {each: tensor.detach() for each, tensor in named.items()}


def flatten(parameters: Parameters, name: str = "parameters") -> Tensor:
    """All numbers in one vector, a copy outside the graph."""
    return torch.cat([t.flatten() for t in pieces(parameters, name).values()])


def unflatten(vector: Tensor, like: Parameters) -> Tensor | dict[str, Tensor]:
    """The vector in the shapes of `like`; gradients flow through."""
    if isinstance(like, Tensor):
        return vector.reshape(like.shape)
    parts = torch.split(vector, [tensor.numel() for tensor in like.values()])
    return {
        key: part.reshape(tensor.shape)
        for (key, tensor), part in zip(like.items(), parts, strict=True)
    }


def flatten_like(name: str, given: Parameters, like: Parameters) -> Tensor:
    """A direction or point as a vector; it has the form of `like`, or is one already."""
    parts = list(pieces(like).values())
    numbers, own_type = sum(part.numel() for part in parts), parts[0]
    vector = flatten(given, name)
    if isinstance(given, Mapping) and isinstance(like, Mapping):
        if given.keys() != like.keys():
            odd = sorted(given.keys() ^ like.keys())
            raise ValueError(
                f"{name} and the parameters differ in {odd}, expected the same names"
            )
        for key, tensor in like.items():
            if given[key].shape != tensor.shape:
                raise ValueError(
                    f"{name}[{key!r}] has shape {tuple(given[key].shape)}, expected that "
                    f"of the parameter, {tuple(tensor.shape)}"
                )
        vector = flatten({key: given[key] for key in like}, name)  # in the same order
    else:
        shape = tuple(given.shape) if isinstance(given, Tensor) else "of a dict"
        own = tuple(like.shape) if isinstance(like, Tensor) else (numbers,)
        if shape not in {own, (numbers,)}:
            raise ValueError(
                f"{name} has shape {shape}, expected {own}"
                + ("" if isinstance(like, Tensor) else " or a dict like the parameters")
            )
    if not bool(vector.isfinite().all()):
        raise ValueError(f"{name} holds NaN or infinity, expected finite numbers")
    return vector.to(own_type)


def scalar(value: object, function: str = "objective") -> Tensor:
    """What an objective returned, if it is a scalar."""
    if not isinstance(value, Tensor):
        raise TypeError(
            f"the {function} returns a {type(value).__name__}, expected a scalar tensor: "
            "no .item() and no float()"
        )
    if value.ndim != 0:
        raise ValueError(
            f"the {function} returns shape {tuple(value.shape)}, expected a scalar: "
            "reduction='mean'"
        )
    return value


def gradients(
    value: Tensor, of: list[Tensor], *, graph: bool = False, remedy: str = FUNCTIONAL
) -> list[Tensor]:
    """Of a scalar with respect to each of `of`; an error where it depends on none.

    Only these are touched: no `.grad` of a model that the objective holds is filled.
    """
    found: tuple[Tensor | None, ...] = (None,) * len(of)
    if value.requires_grad:
        found = torch.autograd.grad(value, of, create_graph=graph, allow_unused=True)
    if all(each is None for each in found):
        raise ValueError(
            f"the result does not depend, for autograd, on {remedy}; or something cuts the "
            "graph: argmax, a comparison, .detach()"
        )
    return [
        torch.zeros_like(tensor) if each is None else each
        for each, tensor in zip(found, of, strict=True)
    ]


def check_floating(name: str, tensor: object) -> None:
    if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
        given = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
        raise TypeError(f"{name} is {given}, expected a floating-point tensor")


def check_axis(name: str, steps: object) -> Tensor:
    """Coefficients along one direction."""
    if not isinstance(steps, Tensor) or not steps.is_floating_point():
        given = steps.dtype if isinstance(steps, Tensor) else type(steps).__name__
        raise TypeError(
            f"{name} is {given}, expected a floating-point tensor: "
            "torch.linspace(-1, 1, 51)"
        )
    if steps.ndim != 1 or len(steps) == 0:
        raise ValueError(
            f"{name} has shape {tuple(steps.shape)}, expected one axis of one or more "
            "numbers: torch.linspace(-1, 1, 51)"
        )
    return steps.detach()


def upright(vectors: Tensor) -> Tensor:
    """Columns with the sign that makes their largest component positive.

    The sign of an eigenvector is arbitrary; so it is the same on every machine.
    """
    largest = vectors.abs().argmax(0, keepdim=True)
    sign = torch.where(vectors.gather(0, largest) < 0, -1.0, 1.0)
    return vectors * sign.to(vectors)
