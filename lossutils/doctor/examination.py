"""One examination: the loss, the forms it takes, and what several checks need to know."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from lossutils.doctor.findings import Severity
from lossutils.doctor.forms import BinaryForm, Form, Line
from lossutils.doctor.patient import Answer, Patient, Refused

__all__ = ["CHECKS", "Check", "Examination", "Found", "Profile", "Skip", "check"]

Expects = str | float | None

# Where the book explains what a check finds.
TAXONOMY = "chapters/loss_taxonomy"
NOISE = "chapters/noise_effects"
SLOW = "chapters/slow_convergence"


class Found(NamedTuple):
    """What a check yields: a finding but for the check's own name and chapter."""

    severity: Severity
    summary: str
    remedy: str
    evidence: Mapping[str, Any]


class Skip(Exception):
    """Raised by a check that cannot decide; says why."""


@dataclass(frozen=True)
class Check:
    """One check: what it asks, and the function that finds out."""

    name: str
    group: Literal["safe", "fit"]
    severities: tuple[Severity, ...]
    chapter: str
    classes: str  # the page for a classification's findings
    needs: tuple[str, ...]
    run: Callable[[Examination], Iterator[Found]]
    doc: str


CHECKS: dict[str, Check] = {}


def check(
    name: str,
    group: Literal["safe", "fit"],
    severities: tuple[Severity, ...],
    *,
    chapter: str | None = None,
    classes: str | None = None,
    needs: tuple[str, ...] = (),
) -> Callable[
    [Callable[[Examination], Iterator[Found]]], Callable[[Examination], Iterator[Found]]
]:
    """Register a check.

    `needs` may hold "gradient" (the loss has one), "steady" (it gives the same value
    twice) and "values" (it is finite on an ordinary batch). `chapter` is the page that
    explains what it finds, by default the check's own; `classes` the one for
    classification, where that is another.
    """

    def register(
        run: Callable[[Examination], Iterator[Found]],
    ) -> Callable[[Examination], Iterator[Found]]:
        page = chapter or f"reference/checks.html#{name}"
        doc = run.__doc__ or ""
        CHECKS[name] = Check(
            name, group, severities, page, classes or page, needs, run, doc
        )
        return run

    return register


class Profile(NamedTuple):
    """A loss along a line: positions, values and slopes, NaN where it has none."""

    line: Line
    x: tuple[float, ...]
    value: tuple[float, ...]
    slope: tuple[float, ...]

    def at(self, x: float) -> tuple[float, float]:
        """Value and slope at the grid's position nearest to `x`."""
        i = min(range(len(self.x)), key=lambda i: abs(self.x[i] - x))
        return self.value[i], self.slope[i]

    @property
    def finite(self) -> list[int]:
        """Where value and slope are finite."""
        return [
            i
            for i in range(len(self.x))
            if math.isfinite(self.value[i]) and math.isfinite(self.slope[i])
        ]


@dataclass
class Examination:
    """What the checks look at and write to.

    Attributes
    ----------
    patient : Patient
    forms : list of Form
        The forms that the loss takes, the main one first.
    dtype : torch.dtype
        The type that the reader trains in, in which the loss has to be safe.
    fine : torch.dtype
        The finest type it takes, in which its shape is measured.
    expects : str, float or None
        What it should estimate.
    own : tuple of Tensor or None
        The reader's own batch.
    measurements : dict
        "check.name" -> number.
    """

    patient: Patient
    forms: list[Form]
    dtype: torch.dtype
    fine: torch.dtype
    expects: Expects = None
    own: tuple[Tensor, Tensor] | None = None
    refused: dict[str, str] = field(default_factory=dict)
    measurements: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    breaks_below: float = 0.0  # a negative prediction from which on it is not finite

    @property
    def form(self) -> Form:
        return self.forms[0]

    @property
    def regression(self) -> bool:
        return self.form.task == "regression"

    @property
    def logits(self) -> bool:
        """Whether predictions are logits or scores, without bounds."""
        if isinstance(self.form, BinaryForm):
            return not self.form.bounded
        return self.form.task == "multiclass_logits"

    def answer(self, input: Tensor, target: Tensor, **others: Any) -> Answer:
        """Value and gradient in the finest type."""
        return self.patient.answer(input, target, dtype=self.fine, **others)

    def value(self, input: Tensor, target: Tensor) -> float:
        return self.answer(input, target, slope=False).value

    def batches(self, count: int = 3) -> list[tuple[Tensor, Tensor]]:
        """Typical batches."""
        return [self.form.batch(None, seed) for seed in range(count)]

    @functools.cached_property
    def typical(self) -> list[Answer]:
        return [self.answer(*pair) for pair in self.batches()]

    @functools.cached_property
    def values(self) -> list[Answer]:
        """What three typical batches cost, without a gradient."""
        return [self.answer(*pair, slope=False) for pair in self.batches()]

    @functools.cached_property
    def eps(self) -> float:
        """Round-off of the loss's own arithmetic: some cast to float32 inside."""
        return float(torch.finfo(self.values[0].output.dtype).eps)

    @functools.cached_property
    def has_values(self) -> bool:
        try:
            return all(math.isfinite(a.value) for a in self.values)
        except Refused:
            return False

    @functools.cached_property
    def has_gradient(self) -> bool:
        """Whether a gradient arrives that is not 0 everywhere."""
        try:
            gradients = [a.gradient for a in self.typical]
        except Refused:
            return False
        return any(g is not None and bool((g != 0).any()) for g in gradients)

    @functools.cached_property
    def has_finite_gradient(self) -> bool:
        gradients = [a.gradient for a in self.typical]
        return all(g is None or bool(g.isfinite().all()) for g in gradients)

    @functools.cached_property
    def steady(self) -> bool:
        """Whether the same batch costs the same twice, from any random state."""
        first, *others = self.repeats + self.reseeded
        return all(same(first, v, self.round_off) for v in others)

    @property
    def round_off(self) -> float:
        """The share of a value that may be lost in the loss's own arithmetic."""
        return 1e-9 if self.eps < 1e-9 else 1e-5

    @functools.cached_property
    def repeats(self) -> list[float]:
        """What one batch costs in three calls from the same random state."""
        return [self.value(*self.form.batch()) for _ in range(3)]

    @functools.cached_property
    def reseeded(self) -> list[float]:
        """What one batch costs in four calls from different random states."""
        patient, seed = self.patient, self.patient.seed
        values = []
        try:
            for other in range(seed, seed + 4):
                patient.seed = other
                values.append(self.value(*self.form.batch()))
        finally:
            patient.seed = seed
        return values

    @functools.cached_property
    def separable(self) -> bool:
        """Whether the loss of a batch is the mean of its samples' losses."""
        try:
            for input, target in self.batches(2):
                whole = self.value(input, target)
                each = [
                    self.value(input[i : i + 1], target[i : i + 1])
                    for i in range(len(input))
                ]
                if not same(whole, sum(each) / len(each), max(1e-6, 1e3 * self.eps)):
                    return False
        except Refused:
            return False
        return True

    @functools.cached_property
    def alone(self) -> bool:
        """Whether a single sample can be looked at: some losses need a batch."""
        line = self.form.lines()[0]
        middle = line.grid[2 * len(line.grid) // 3]
        try:
            value, _ = self.patient.along(middle, line.build, dtype=self.fine)
        except Refused:
            return False
        return math.isfinite(value)

    def cost(self, line: Line, x: float) -> float:
        """The value at one position of a line."""
        return self.along(line, x, slope=False)[0]

    def along(self, line: Line, x: float, slope: bool = True) -> tuple[float, float]:
        """Value and slope at one position of a line."""
        if self.alone:
            return self.patient.along(x, line.build, dtype=self.fine, slope=slope)
        # Among the others of a batch; what they cost is the same at every position.
        input, target = self.form.batch()
        n = len(input)

        def build(s: Tensor) -> tuple[Tensor, Tensor]:
            return torch.cat([line.at(s), input[1:]]), torch.cat([line.target, target[1:]])

        value, gradient = self.patient.along(x, build, dtype=self.fine, slope=slope)
        return n * value, n * gradient

    @functools.cached_property
    def profiles(self) -> list[Profile]:
        """The loss along every line of every form; the main form's come first."""
        found = [self._profile(line) for line in self.form.lines()]
        if self.alone:
            for form in self.forms[1:]:
                if form.shape == (1,):
                    continue  # a column is what a row is, or `shape` says so
                lines = form.lines()
                chosen = lines[:1] + [line for line in lines[1:] if not line.main]
                found += [self._profile(line) for line in chosen]
        return found

    def _profile(self, line: Line) -> Profile:
        values, slopes = [], []
        for x in line.grid:
            try:
                value, slope = self.along(line, x)
            except Refused:
                value = slope = math.nan
            values.append(value)
            slopes.append(slope)
        return Profile(line, line.grid, tuple(values), tuple(slopes))

    @property
    def mains(self) -> list[Profile]:
        return [p for p in self.profiles if p.line.main]

    def measure(self, check: str, **numbers: Any) -> None:
        for name, number in numbers.items():
            self.measurements[f"{check}.{name}"] = number


def same(a: float, b: float, tolerance: float) -> bool:
    """Equal up to a share of their size; two NaN are equal."""
    if not (math.isfinite(a) and math.isfinite(b)):
        return (math.isnan(a) and math.isnan(b)) or a == b
    return abs(a - b) <= tolerance * max(abs(a), abs(b), 1e-300)


def largest(gradient: Tensor | None) -> float:
    """The largest entry of a gradient; 0 where there is none."""
    if gradient is None or gradient.numel() == 0:
        return 0.0
    return float(gradient.abs().max())
