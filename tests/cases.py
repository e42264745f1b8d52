"""What the contract is tested on: every variant of every entry, with data for its task."""

import inspect
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from lossutils.catalogue import CATALOGUE, Entry

DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
KINK_CLEARANCE = 0.02  # far more than a finite difference steps, so that smooth is smooth


def devices() -> list[str]:
    """The devices of this machine that hold values (`meta` holds none)."""
    found = ["cpu"]
    if torch.cuda.is_available():
        found.append("cuda")
    if torch.backends.mps.is_available():
        found.append("mps")
    return found


@dataclass(frozen=True)
class Case:
    """One parameter set of one entry on one device."""

    entry: Entry
    parameters: dict[str, Any] = field(default_factory=dict)
    device: str = "cpu"

    def __str__(self) -> str:
        given = ",".join(f"{k}={_short(v)}" for k, v in self.parameters.items())
        place = "" if self.device == "cpu" else f" on {self.device}"
        return f"{self.entry.name}({given}){place}"

    @property
    def multiclass(self) -> bool:
        return self.entry.task.startswith("multiclass")

    @property
    def dtypes(self) -> tuple[torch.dtype, ...]:
        return DTYPES[1:] if self.device == "mps" else DTYPES

    @property
    def finest(self) -> torch.dtype:
        return self.dtypes[0]

    @property
    def classes(self) -> int:
        class_weight = self.parameters.get("class_weight")
        return 3 if class_weight is None else len(class_weight)

    @property
    def outputs(self) -> tuple[int, ...]:
        """The axes of one sample, where a number's place among its outputs counts."""
        return (3,) if self.entry.name == "ill_conditioned_mse" else ()

    def place(self, i: int, n: int) -> dict[str, int]:
        """What counts of element `i` of a 1-D input of `n`: its place, or nothing."""
        return {"place": i, "outputs": n} if self.outputs else {}

    def on(self, device: str) -> dict[str, Any]:
        """The parameters, with tensors among them moved to `device`."""
        return {
            k: v.to(device) if isinstance(v, Tensor) else v
            for k, v in self.parameters.items()
        }

    def all_parameters(self) -> dict[str, Any]:
        """The parameters with the function's defaults for those not given."""
        return {
            p.name: self.parameters.get(p.name, p.default)
            for p in inspect.signature(self.entry.function).parameters.values()
            if p.default is not p.empty and p.name not in ("weight", "reduction")
        }

    def loss(self, input: Tensor, target: Tensor, **others: Any) -> Tensor:
        parameters = self.on(input.device.type)
        return self.entry.function(input, target, **parameters, **others)

    def module(self, **others: Any) -> torch.nn.Module:
        return self.entry.module(**self.on(self.device), **others)

    def shares(self, target: Tensor) -> Tensor:
        """What each element counts in the mean: 1, or its class's weight, or 0."""
        shares = torch.ones(target.shape, dtype=self.finest, device=target.device)
        if not self.multiclass:
            return shares
        ignored = target == self.parameters.get("ignore_index", -100)
        class_weight = self.on(target.device.type).get("class_weight")
        if class_weight is not None:
            shares = class_weight.to(shares.dtype)[target.masked_fill(ignored, 0)]
        return shares.masked_fill(ignored, 0)

    def batch(
        self, shape: tuple[int, ...] = (7,), dtype: torch.dtype | None = None
    ) -> tuple[Tensor, Tensor]:
        """Input and target whose unreduced loss has `shape`, away from every kink."""
        generator = torch.Generator().manual_seed(20240229)
        size = torch.Size(shape).numel()
        make = {
            "regression": self._regression,
            "binary_probabilities": self._binary_probabilities,
            "binary_logits": self._binary_logits,
            "signed_scores": self._signed_scores,
        }.get(self.entry.task, self._multiclass)
        input, target = make(size, generator)
        if self.multiclass:  # (size, C) to (N, C, ...), or (C,) for a single sample
            input = input.reshape(*shape, self.classes)
            input = input.movedim(-1, 1) if shape else input
        else:
            input = input.reshape(shape)
        target = target.reshape(shape)
        dtype = dtype or self.finest
        if target.is_floating_point():
            target = target.to(dtype)
        return input.to(dtype).to(self.device), target.to(self.device)

    def _numbers(self) -> list[float]:
        """Parameters that may be where a loss has a kink."""
        values = self.all_parameters().values()
        return [abs(v) for v in values if isinstance(v, (int, float)) and abs(v) < 10]

    def _regression(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        # Errors large, small and tiny, and a few targets of exactly 0, so that
        # cancellation near 0 shows; then keep clear of kinks.
        size_of_error = 4 * torch.rand(
            max(size, 1), dtype=torch.float64, generator=generator
        )
        size_of_error[1::4] *= 1e-3
        for kink in self._numbers():
            near = (size_of_error - kink).abs() < KINK_CLEARANCE
            size_of_error[near] = kink + 2 * KINK_CLEARANCE
        sign = torch.tensor([1.0, -1.0, -1.0]).repeat(size_of_error.numel())
        target = torch.randn(max(size, 1), dtype=torch.float64, generator=generator)
        target[1::4] = 0
        input = target + sign[: target.numel()] * size_of_error
        return input[:size], target[:size]

    def _binary_probabilities(
        self, size: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        input = 0.05 + 0.9 * torch.rand(size, dtype=torch.float64, generator=generator)
        return input, self._binary_targets(size)

    def _binary_logits(
        self, size: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        input = 4 * torch.randn(size, dtype=torch.float64, generator=generator)
        return input, self._binary_targets(size)

    @staticmethod
    def _binary_targets(size: int) -> Tensor:
        values = torch.tensor([1, 0, 0.25, 0, 1, 0.9], dtype=torch.float64)
        return values.repeat(size // 6 + 1)[:size]

    def _signed_scores(
        self, size: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        input = 3 * torch.randn(size, dtype=torch.float64, generator=generator)
        for kink in (-1.0, 1.0):
            input[(input - kink).abs() < KINK_CLEARANCE] = kink + 2 * KINK_CLEARANCE
        target = torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64)
        return input, target.repeat(size // 3 + 1)[:size]

    def _multiclass(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        # Shuffled multiples of 0.37: no two logits tie, no gap is near a whole margin.
        order = torch.rand(size, 11, dtype=torch.float64, generator=generator).argsort(1)
        input = 0.37 * order[:, : self.classes] - 1.9
        if self.entry.task == "multiclass_probabilities":
            input = input.softmax(1)
        target = torch.arange(size) % self.classes
        return input, target

    def extremes(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Every extreme input of `dtype`, crossed with every extreme valid target."""
        info = torch.finfo(dtype)
        half = info.max / 2
        line = [0.0, *(s * v for v in (info.tiny, 1.0, 1e4, half) for s in (1, -1))]
        unit = [0.0, info.tiny, 0.5, 1 - info.eps, 1.0]
        rows: list[tuple[Any, Any]]
        if self.entry.task == "regression":
            rows = list(itertools.product(line, line))
        elif self.entry.task == "binary_logits":
            rows = list(itertools.product(line, unit))
        elif self.entry.task == "binary_probabilities":
            rows = list(itertools.product(unit, unit))
        elif self.entry.task == "signed_scores":
            rows = list(itertools.product(line, (1.0, -1.0)))
        else:
            pairs = (
                list(itertools.product(line, line))
                if self.entry.task == "multiclass_logits"
                else [(1.0, 0.0), (0.5, 0.5), (1 - info.eps, info.tiny), (0.0, info.tiny)]
            )
            rows = [row for i, pair in enumerate(pairs) for row in self._rotations(pair, i)]
        input = torch.tensor([x for x, _ in rows], dtype=torch.float64).to(dtype)
        target = torch.tensor([t for _, t in rows], dtype=torch.float64).to(
            torch.int64 if self.multiclass else dtype
        )
        return input.to(self.device), target.to(self.device)

    def _rotations(self, pair: tuple[float, float], turn: int) -> Iterator[Any]:
        """Two extreme classes among others, each in turn the true one, and a third."""
        rest = self.classes - 2
        missing = 0.0
        if self.entry.task == "multiclass_probabilities":
            missing = (1 - sum(pair)) / max(rest, 1)
        row = [*pair, *[missing] * rest]
        turn %= self.classes
        for true_class in range(self.classes):
            yield row[turn:] + row[:turn], true_class

    def kinks(self) -> tuple[Tensor, Tensor]:
        """Where a loss of this task may be not differentiable."""
        near = [0.0, *self._numbers()]
        dtype = self.finest
        if self.entry.task == "multiclass_logits":
            gaps = [s * v for v in {*near, 1.0} for s in (1, -1)]
            rows = [[gap, 0.0] + [-9.0] * (self.classes - 2) for gap in gaps]
            rows += [[0.0] * self.classes]
            input = torch.tensor(rows, dtype=dtype)
            target = torch.zeros(len(rows), dtype=torch.long)
        elif self.entry.task == "multiclass_probabilities":
            rows = [[0.5, 0.5], [0.25, 0.75]]
            input = torch.tensor(
                [r + [0.0] * (self.classes - 2) for r in rows], dtype=dtype
            )
            target = torch.zeros(2, dtype=torch.long)
        elif self.entry.task == "binary_probabilities":
            input = torch.tensor([0.5, 0.25], dtype=dtype)
            target = torch.tensor([0.5, 0.25], dtype=dtype)
        else:
            points = [s * v for v in {*near, 1.0} for s in (1, -1)]
            input = torch.tensor(points, dtype=dtype)
            target = torch.zeros_like(input)
            if self.entry.task == "signed_scores":
                target = torch.ones_like(input)
        return input.to(self.device), target.to(self.device)


def _short(value: Any) -> str:
    return str(value.tolist()).replace(" ", "") if isinstance(value, Tensor) else str(value)


def cases(device: str = "cpu") -> list[Case]:
    return [
        Case(entry, variant, device)
        for entry in CATALOGUE.values()
        for variant in entry.variants
    ]
