"""The few lines every noise shares: look at the arguments, draw, tabulate."""

import math
from typing import Any

import torch
from torch import Tensor

NODES = 40_000  # of the midpoint rules; even, so that no node lies on a kink at 0


def check_not_negative(**parameters: float) -> None:
    for name, value in parameters.items():
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} is {value}, expected a finite number, 0 or more")


def check_share(**parameters: float) -> None:
    for name, value in parameters.items():
        if not 0 <= value <= 1:
            raise ValueError(f"{name} is {value}, expected a share in [0, 1]")


def check_generator(like: Tensor, generator: torch.Generator | None) -> None:
    if generator is not None and not isinstance(generator, torch.Generator):
        raise TypeError(
            f"generator is {generator!r}, expected a torch.Generator: "
            "torch.Generator().manual_seed(0)"
        )
    # What is on meta has no values: any generator will do.
    if generator is not None and like.device.type not in (generator.device.type, "meta"):
        raise ValueError(
            f"the generator is on {generator.device} and the values on {like.device}; "
            f"make one there: torch.Generator({str(like.device)!r})"
        )


def check_floating(name: str, values: Tensor) -> None:
    if not isinstance(values, Tensor) or not values.is_floating_point():
        given = values.dtype if isinstance(values, Tensor) else type(values).__name__
        raise TypeError(f"{name} is {given}, expected a floating-point tensor")


def check_kernel(kernel: Tensor, n: int) -> None:
    if not isinstance(kernel, Tensor):
        raise TypeError(
            f"kernel is a {type(kernel).__name__}, expected a torch.Tensor; wrap it: "
            "torch.tensor([0.5, 0.5])"
        )
    if kernel.ndim != 1 or not 0 < len(kernel) <= n:
        raise ValueError(
            f"kernel has shape {tuple(kernel.shape)}, expected one axis with 1 to {n} "
            "elements, the length of the series"
        )


def draw_dtype(like: Tensor) -> torch.dtype:
    """The type of a draw: that of `like`, or the default one beside whole numbers."""
    if like.is_complex():
        raise TypeError(f"values has dtype {like.dtype}, expected real numbers")
    return like.dtype if like.is_floating_point() else torch.get_default_dtype()


def working_dtype(like: Tensor) -> torch.dtype:
    """The type to draw in: half types have too few distinct uniforms for a tail."""
    half = draw_dtype(like) in (torch.float16, torch.bfloat16)
    return torch.float32 if half else draw_dtype(like)


def options(like: Tensor, generator: torch.Generator | None) -> dict[str, Any]:
    check_generator(like, generator)
    same: dict[str, Any] = {"dtype": working_dtype(like), "device": like.device}
    # Even None would choose a kernel that torch 2.13 cannot export for any batch size.
    return same if generator is None else {**same, "generator": generator}


def normal(like: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.randn(like.shape, **options(like, generator))


def uniform(like: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.rand(like.shape, **options(like, generator))


def midpoints(low: float, high: float) -> Tensor:
    width = (high - low) / NODES
    cells = torch.arange(NODES, dtype=torch.float64, device="cpu")
    return low + width * (cells + 0.5)


def table(pairs: list[tuple[float, float]]) -> tuple[Tensor, Tensor]:
    pairs = [pair for pair in pairs if pair[1] > 0]  # 0 times a NaN were NaN
    nodes, weights = torch.tensor(pairs, dtype=torch.float64, device="cpu").T
    return nodes, weights


def in_units(z: Tensor, scale: float) -> Tensor:
    """z / scale; of a scale of 0 all draws are 0."""
    if scale > 0:
        return z / scale
    return torch.where(z < 0, -math.inf, math.inf).to(draw_dtype(z))
