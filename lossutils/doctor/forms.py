"""Where a loss is looked at: the batches and lines of predictions of each task.

A `Form` is one shape in which input and target of a task may come. It makes batches like
those of training, batches at the edges of the task's domain, and lines: predictions that
move from right to wrong while the target stays.
"""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

__all__ = [
    "TASKS",
    "Batch",
    "BinaryForm",
    "Form",
    "Line",
    "MulticlassForm",
    "RegressionForm",
    "form_of_batch",
    "forms_of",
]

TASKS = (
    "regression",
    "binary_probabilities",
    "binary_logits",
    "signed_scores",
    "multiclass_logits",
    "multiclass_probabilities",
)
SAMPLES = 6  # of a typical batch: unequal to every class count and width tried


class Batch(NamedTuple):
    """A prediction and its target, and in words what is special about them."""

    words: str
    input: Tensor
    target: Tensor


@dataclass(frozen=True)
class Line:
    """Predictions of one sample that move from right to wrong.

    Attributes
    ----------
    words : str
        Which target, and in which direction.
    axis : str
        What `grid` is, with its unit.
    target : Tensor
        The target, a batch of one.
    at : callable
        The prediction, a batch of one, for a position on the line (a tensor of no axes).
    grid : tuple of float
        Positions, ascending. On a line of a regression the position is the error, and 0
        is the truth; on one of a classification it grows from right to wrong.
    main : bool
        Whether the line shows the loss as it usually is; others look at one output of
        several.
    """

    words: str
    axis: str
    target: Tensor
    at: Callable[[Tensor], Tensor]
    grid: tuple[float, ...]
    main: bool = True

    def build(self, s: Tensor) -> tuple[Tensor, Tensor]:
        """Prediction and target at a position."""
        return self.at(s), self.target


class Form(ABC):
    """One shape of input and target. All tensors are float64 on the CPU."""

    task: str
    words: str  # the shape, for the report
    shape: tuple[int, ...]  # of one sample's prediction

    samples: int  # of a batch, where nothing else is asked for

    def shrunk(self) -> Form:
        """The same form with images of at most 16 × 16."""
        return dataclasses.replace(self, shape=_small(self.shape))  # type: ignore[type-var]

    @abstractmethod
    def of_samples(self, samples: int) -> Form:
        """The same form, in batches of that many samples."""

    @abstractmethod
    def batch(self, n: int | None = None, seed: int = 0) -> tuple[Tensor, Tensor]:
        """A batch like those of training: some right, some wrong, all different."""

    @abstractmethod
    def lines(self) -> list[Line]:
        """Lines of predictions, the most telling first."""

    @abstractmethod
    def edges(self) -> Iterator[Batch]:
        """Single samples and batches at the edges of the task's domain."""

    @abstractmethod
    def ordinary(self) -> Iterator[Batch]:
        """Batches whose numbers any half type can hold."""

    @abstractmethod
    def hopeless(self) -> Iterator[Batch]:
        """Batches that are all wrong, on which a loss has to pull."""


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(7919 + seed)


def _small(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(min(size, 16) for size in shape)


def _normal(shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.randn(shape, generator=_generator(seed), dtype=torch.float64)


def _both_sides(low: int, high: int, steps: int) -> list[float]:
    """0 and ±10^low ... ±10^high."""
    count = (high - low) * steps + 1
    side = [10.0 ** (low + i / steps) for i in range(count)]
    return [-s for s in reversed(side)] + [0.0] + side


@dataclass(frozen=True)
class RegressionForm(Form):
    """Predictions and targets of one shape, around `center`, `scale` apart.

    With `positive`, targets are positive; with `positive_input`, predictions too.
    `link` says what the right prediction for a target is: itself, or its logarithm.
    The reader's own batch says how large errors are, and whether numbers come near 0.
    """

    shape: tuple[int, ...] = ()
    center: float = 0.0
    scale: float = 1.0
    positive: bool = False
    positive_input: bool = False
    link: Literal["identity", "log"] = "identity"
    error: float = 0.0  # the size of the errors of the reader's batch, 0 without one
    zero: bool = True  # whether targets and predictions may be 0
    samples: int = SAMPLES
    task: str = "regression"

    @property
    def words(self) -> str:  # type: ignore[override]
        return f"({', '.join(['N', *map(str, self.shape)])}{'' if self.shape else ','})"

    def of_samples(self, samples: int) -> Form:
        return dataclasses.replace(self, samples=samples)

    def truth(self, target: Tensor) -> Tensor:
        """The right prediction for a target."""
        return target.clamp(min=1e-12).log() if self.link == "log" else target

    def batch(self, n: int | None = None, seed: int = 0) -> tuple[Tensor, Tensor]:
        n = n or self.samples
        z, e = _normal((2, n, *self.shape), 10 * seed + n)
        if self.positive:
            target = self.scale * torch.exp(0.6 * z)
        else:
            target = self.center + self.scale * z
        right = self.truth(target)
        if self.positive_input:
            return right * torch.exp(0.5 * e), target
        return right + 0.7 * self._step * e, target

    @property
    def _step(self) -> float:
        return 1.0 if self.link == "log" else self.scale

    def targets(self) -> list[float]:
        """A few targets, as numbers."""
        if self.positive:
            return [self.scale * v for v in (1.0, 0.4, 2.5)]
        return [self.center + self.scale * v for v in (0.0, 1.0, -1.5, 2.5)]

    def lines(self) -> list[Line]:
        found = []
        for value in self.targets():
            # Where a sample has several outputs their targets differ; the mean is `value`.
            spread = self.scale * 0.3 * _normal((1, *self.shape), 5)
            spread = spread - spread.mean()
            target = value + (spread if self.shape else 0 * spread)
            if self.positive:
                target = target.clamp(min=0.1 * self.scale)
            found.append(self._line(target, torch.ones_like(target), f"target {value:g}"))
            count = math.prod(self.shape)
            if value == self.targets()[0] and count > 1:
                for k in range(min(count, 4)):
                    axis = torch.zeros(count, dtype=torch.float64)
                    axis[k] = 1
                    words = f"output {k + 1} of {count}"
                    found.append(
                        self._line(target, axis.reshape(target.shape), words, False)
                    )
        return found

    def _line(
        self, target: Tensor, direction: Tensor, words: str, main: bool = True
    ) -> Line:
        right = self.truth(target)
        high = 1 if self.link == "log" else 3
        grid = [self._step * s for s in _both_sides(-4, high, 6)]
        if self.positive_input:
            lowest = float(right.min())
            grid = [s for s in grid if s > -0.999 * lowest]
        return Line(
            words,
            "error, input − target" if self.link == "identity" else "input − log target",
            target,
            lambda s: right + s * direction,
            tuple(grid),
            main,
        )

    def edges(self) -> Iterator[Batch]:
        one = torch.ones((1, *self.shape), dtype=torch.float64)
        vary = 1 + 0.1 * _normal((1, *self.shape), 3) if self.shape else one
        zero = self.zero and (self.positive or self.center == 0)
        values = self.targets() + ([0.0] if zero else [])
        for value in values:
            target = value * vary
            if value == 0 and self.link == "log":
                continue
            yield Batch(f"exact fit, target {value:g}", self.truth(target), target)
            if value:
                nearly = self.truth(target) + 1e-6 * self._step
                yield Batch(f"nearly exact fit, target {value:g}", nearly, target)
        for value in self.targets()[:2]:
            target = value * vary
            for factor in (10.0, 100.0, 1000.0) if self.link == "identity" else (5.0,):
                for sign in (1, -1) if not self.positive_input else (1,):
                    far = self.truth(target) + sign * factor * self._step
                    yield Batch(f"large error, {sign * factor:g} units", far, target)
        if self.link == "identity" and zero:
            for value in self.targets()[:3]:
                if value:
                    yield Batch(f"prediction 0, target {value:g}", 0 * one, value * vary)
        if zero:
            for value in (1.0, 0.01) if self.positive_input else (1.0, -1.0, 0.01):
                prediction = self._step * value * vary
                yield Batch(f"target 0, prediction {value:g}", prediction, 0 * one)
        input, target = self.batch()
        yield Batch("one sample", input[:1], target[:1])
        yield Batch("constant predictions", input[:1].expand_as(input), target)
        yield Batch("constant targets", input, target[:1].expand_as(target))
        yield Batch("exact fit of a batch", self.truth(target), target)
        same = target[:1].expand_as(target)
        yield Batch("constant targets, exact fit", self.truth(same), same)
        if self.link == "identity":
            one_far = input.clone()
            one_far[0] += 1000 * self._step
            yield Batch("large error of one sample among others", one_far, target)

    def ordinary(self) -> Iterator[Batch]:
        for seed in range(2):
            yield Batch("a batch", *self.batch(16, seed))
        _, target = self.batch()
        yield Batch("exact fit of a batch", self.truth(target), target)
        yield Batch("small errors", self.truth(target) + 0.01 * self._step, target)
        if not self.positive_input and self.link == "identity":
            yield Batch("errors of 10 units", self.truth(target) + 10 * self._step, target)
        zero = self.zero and (self.positive or self.center == 0)
        if zero and self.link == "identity":
            yield Batch("targets 0", self.batch()[0], 0 * target)
            if not self.positive_input:
                yield Batch("exact fit, targets 0", 0 * target, 0 * target)

    def hopeless(self) -> Iterator[Batch]:
        if not self.positive_input and self.link == "identity":
            _, target = self.batch()
            wrong = target + 3 * self.scale * target.sign()
            yield Batch("errors of 3 units", wrong, target)


Kind = Literal["probabilities", "logits", "scores", "distances"]


@dataclass(frozen=True)
class BinaryForm(Form):
    """Predictions of one number per label; labels 0 and 1, for scores −1 and 1.

    Distances are positive, small for label 1 and, up to twice `scale`, large for −1.
    """

    kind: Kind
    shape: tuple[int, ...] = ()
    scale: float = 1.0
    integer: bool = False
    samples: int = SAMPLES

    @property
    def task(self) -> str:  # type: ignore[override]
        signed = self.kind in ("scores", "distances")
        return "signed_scores" if signed else f"binary_{self.kind}"

    @property
    def bounded(self) -> bool:
        """Whether predictions have two ends, as probabilities have."""
        return self.kind in ("probabilities", "distances")

    @property
    def words(self) -> str:  # type: ignore[override]
        return f"({', '.join(['N', *map(str, self.shape)])}{'' if self.shape else ','})"

    def of_samples(self, samples: int) -> Form:
        return dataclasses.replace(self, samples=samples)

    def target(self, label: Tensor) -> Tensor:
        """Labels 0 and 1 as the loss takes them."""
        target = 2 * label - 1 if self.task == "signed_scores" else label
        return target.long() if self.integer else target

    def labels(self, n: int, seed: int = 0) -> Tensor:
        """Both labels, in every batch."""
        z = _normal((n, *self.shape), 100 + seed)
        label = (z > 0).double()
        label.flatten()[0] = 1
        label.flatten()[-1] = 0
        return label

    def prediction(self, score: Tensor) -> Tensor:
        """What a model with these logits hands to the loss."""
        return self._of_probability(score.sigmoid()) if self.bounded else score

    def _of_probability(self, p: Tensor) -> Tensor:
        return 2 * self.scale * (1 - p) if self.kind == "distances" else p

    def batch(self, n: int | None = None, seed: int = 0) -> tuple[Tensor, Tensor]:
        n = n or self.samples
        label = self.labels(n, seed)
        score = 1.2 * _normal((n, *self.shape), 10 * seed + n) + (label - 0.5)
        return self.prediction(score), self.target(label)

    def patterns(self) -> dict[str, Tensor]:
        """Labels of one sample."""
        one = torch.ones((1, *self.shape), dtype=torch.float64)
        found = {"1": one, "−1" if self.task == "signed_scores" else "0": 0 * one}
        if one.numel() > 1:
            found["mixed"] = (torch.arange(one.numel()) % 2).double().reshape(one.shape)
        return found

    def lines(self) -> list[Line]:
        return [self._line(label, words) for words, label in self.patterns().items()]

    def _line(self, label: Tensor, words: str) -> Line:
        sign = 2 * label - 1
        if self.bounded:
            logits = [-13.8 + 27.6 * i / 56 for i in range(57)]
            grid = [1 / (1 + math.exp(-x)) for x in logits]
            grid[28] = 0.5
            return Line(
                f"target {words}",
                "|probability − label|" if self.kind == "probabilities" else "how wrong",
                self.target(label),
                lambda s: self._of_probability(label - s * sign),
                tuple(grid),
            )
        axis = f"{'logit' if self.kind == 'logits' else 'score'} against the truth"
        return Line(
            f"target {words}", axis, self.target(label), lambda s: -s * sign, _LOGITS
        )

    def edges(self) -> Iterator[Batch]:
        for words, label in self.patterns().items():
            sign, target = 2 * label - 1, self.target(label)
            if self.bounded:
                of = self._of_probability
                yield Batch(f"exact fit, target {words}", of(label), target)
                yield Batch(f"confident mistake, target {words}", of(1 - label), target)
                yield Batch(f"undecided, target {words}", of(0 * label + 0.5), target)
                continue
            for size in (0.0, 20.0, 50.0, 100.0, 1e3, 1e4):
                yield Batch(f"right by {size:g}, target {words}", size * sign, target)
                yield Batch(f"wrong by {size:g}, target {words}", -size * sign, target)
        input, target = self.batch()
        yield Batch("one sample", input[:1], target[:1])
        for words, pattern in list(self.patterns().items())[:2]:
            label = pattern.expand(len(target), *self.shape)
            only = f"only the label {words}"
            yield Batch(only, input, self.target(label))
            right = self.prediction(40 * (2 * label - 1)).round(decimals=12)
            yield Batch(f"{only}, all of it right", right, self.target(label))
        yield Batch("constant predictions", input[:1].expand_as(input), target)
        if not self.bounded:
            one_far = input.clone()
            one_far[0] = 1000 * (2 * (target[0] > 0).double() - 1)
            yield Batch("right by 1000 in one sample among others", one_far, target)

    def ordinary(self) -> Iterator[Batch]:
        for seed in range(2):
            yield Batch("a batch", *self.batch(16, seed))
        input, target = self.batch()
        label = (target > 0).double()
        sign = 2 * label - 1
        yield Batch("only the label 0", input, self.target(0 * label))
        yield Batch("only the label 1", input, self.target(0 * label + 1))
        yield Batch(
            "only the label 0, all of it right",
            self.prediction(-1000 + 0 * label),
            self.target(0 * label),
        )
        if self.bounded:
            of = self._of_probability
            yield Batch("exact fit of a batch", of(label), target)
            yield Batch("confident mistakes", of(1 - label), target)
        else:
            for size in (10.0, 50.0):
                yield Batch(f"right by {size:g}", size * sign, target)
                yield Batch(f"wrong by {size:g}", -size * sign, target)
        if math.prod(self.shape) == 1:
            # Mostly 1: sums of probabilities and labels together pass 65504, the largest
            # float16, where counts and sums of losses do not.
            label = torch.ones((60_000, *self.shape), dtype=torch.float64)
            label[::50] = 0
            most = self.prediction(3 * (2 * label - 1))
            yield Batch("60,000 samples", most, self.target(label))

    def hopeless(self) -> Iterator[Batch]:
        _, target = self.batch()
        label = (target > 0).double()
        for words, right in (
            ("mixed labels", label),
            ("only the label 0", 0 * label),
            ("only the label 1", 0 * label + 1),
        ):
            wrong = self.prediction(-3 * (2 * right - 1))
            yield Batch(f"confident mistakes, {words}", wrong, self.target(right))


_LOGITS = (
    -1000.0,
    -100.0,
    -50.0,
    *range(-30, -10),
    *(i / 2 for i in range(-20, 21)),
    *range(11, 31),
    50.0,
    100.0,
    1000.0,
)


@dataclass(frozen=True)
class MulticlassForm(Form):
    """C numbers per sample on axis 1; the target is an index, or a row of probabilities."""

    kind: Literal["probabilities", "logits", "log-probabilities"]
    classes: int = 5
    rows: bool = False
    places: tuple[int, ...] = ()  # axes after the classes: pixels of an image
    samples: int = SAMPLES

    @property
    def task(self) -> str:  # type: ignore[override]
        known = self.kind == "probabilities"
        return "multiclass_probabilities" if known else "multiclass_logits"

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return (self.classes, *self.places)

    @property
    def words(self) -> str:  # type: ignore[override]
        more = "".join(f", {p}" for p in self.places)
        target = f"(N, {self.classes}{more})" if self.rows else f"indices (N{more or ','})"
        return f"(N, {self.classes}{more}) and {target}"

    def of_samples(self, samples: int) -> Form:
        return dataclasses.replace(self, samples=samples)

    def shrunk(self) -> Form:
        return dataclasses.replace(self, places=_small(self.places))

    def target(self, index: Tensor) -> Tensor:
        """Class indices as the loss takes them."""
        if not self.rows:
            return index
        one_hot = torch.nn.functional.one_hot(index, self.classes).double()
        return one_hot.movedim(-1, 1)

    def prediction(self, logits: Tensor) -> Tensor:
        """What a model with these logits hands to the loss."""
        if self.kind == "logits":
            return logits
        if self.kind == "log-probabilities":
            return logits.log_softmax(1)
        return logits.softmax(1)

    def batch(self, n: int | None = None, seed: int = 0) -> tuple[Tensor, Tensor]:
        n = n or self.samples
        count = n * math.prod(self.places)
        index = (torch.arange(count) * (2 * seed + 1)) % self.classes
        index = index.reshape(n, *self.places)
        logits = 1.2 * _normal((n, *self.shape), 10 * seed + n)
        logits = logits + self._one_hot(index)
        return self.prediction(logits), self.target(index)

    def _one_hot(self, index: Tensor) -> Tensor:
        return torch.nn.functional.one_hot(index, self.classes).double().movedim(-1, 1)

    def lines(self) -> list[Line]:
        found = []
        for true in range(min(self.classes, 6)):
            rival = (true + 1) % self.classes
            found.append(self._line(true, rival))
        if self.classes > 2:
            found.append(self._line(0, self.classes - 1))
        return found

    def _line(self, true: int, rival: int) -> Line:
        index = torch.full((1, *self.places), true)
        right = self._one_hot(index)
        wrong = self._one_hot(torch.full_like(index, rival))
        words = f"class {true}, taken for class {rival}"
        if self.kind == "probabilities":
            grid = [-13.8 + 27.6 * i / 56 for i in range(57)]
            grid = [1 / (1 + math.exp(-x)) for x in grid]
            grid[28] = 0.5

            def mixed(s: Tensor) -> Tensor:
                # A thousandth for all: no probability on the line is exactly 0.
                return 0.999 * ((1 - s) * right + s * wrong) + 0.001 / self.classes

            axis = "probability of the wrong class"
            return Line(words, axis, self.target(index), mixed, tuple(grid))
        return Line(
            words,
            "logit of the wrong class − that of the true",
            self.target(index),
            lambda s: self.prediction(s / 2 * (wrong - right)),
            _LOGITS,
        )

    def edges(self) -> Iterator[Batch]:
        for true in range(min(self.classes, 6)):
            rival = (true + 1) % self.classes
            index = torch.full((1, *self.places), true)
            right = self._one_hot(index)
            wrong = self._one_hot(torch.full_like(index, rival))
            target = self.target(index)
            if self.kind == "probabilities":
                yield Batch(f"exact fit, class {true}", right, target)
                yield Batch(f"confident mistake, class {true}", wrong, target)
                yield Batch(
                    f"undecided, class {true}", 0 * right + 1 / self.classes, target
                )
                continue
            yield Batch(f"all logits 0, class {true}", self.prediction(0 * right), target)
            sizes = (20.0, 100.0, 1e3, 1e4) if self.kind == "logits" else (20.0, 50.0)
            for size in sizes:
                words = f"by {size:g}, class {true}"
                yield Batch(f"right {words}", self.prediction(size * right), target)
                yield Batch(f"wrong {words}", self.prediction(size * wrong), target)
        input, target = self.batch()
        index = target.argmax(1) if self.rows else target
        yield Batch("one sample", input[:1], target[:1])
        for only in {0, self.classes - 1}:
            one = torch.full_like(index, only)
            yield Batch(f"only class {only}", input, self.target(one))
            right = self.prediction(50 * self._one_hot(one)).round(decimals=12)
            if self.kind != "log-probabilities":
                yield Batch(f"only class {only}, all of it right", right, self.target(one))
        if self.kind == "logits":
            one_far = input.clone()
            one_far[0] += 1000
            yield Batch("all logits 1000 in one sample among others", one_far, target)

    def ordinary(self) -> Iterator[Batch]:
        for seed in range(2):
            # Sums over the places of large images overflow in float16 in torch itself.
            n = max(2, min(16, 20_000 // max(math.prod(self.shape), 1)))
            yield Batch("a batch", *self.batch(n, seed))
        _, target = self.batch()
        index = target.argmax(1) if self.rows else target
        right = self._one_hot(index)
        wrong = right.roll(1, 1)
        if self.kind == "probabilities":
            yield Batch("exact fit of a batch", right, target)
            yield Batch("confident mistakes", wrong, target)
        else:
            sizes = (10.0, 50.0) if self.kind == "logits" else (10.0,)
            for size in sizes:
                yield Batch(f"right by {size:g}", self.prediction(size * right), target)
                yield Batch(f"wrong by {size:g}", self.prediction(size * wrong), target)

    def hopeless(self) -> Iterator[Batch]:
        _, target = self.batch()
        index = target.argmax(1) if self.rows else target
        for words, one in (
            ("all classes", index),
            ("only class 0", 0 * index),
            (f"only class {self.classes - 1}", 0 * index + self.classes - 1),
        ):
            wrong = 4 * self._one_hot(one).roll(1, 1)
            yield Batch(
                f"confident mistakes, {words}", self.prediction(wrong), self.target(one)
            )


def forms_of(task: str) -> list[list[Form]]:
    """The forms of a task, in groups: later groups are tried if the earlier are refused."""
    if task == "regression":
        return [
            [RegressionForm(()), RegressionForm((1,)), RegressionForm((3,))],
            [RegressionForm((d,)) for d in (2, 4, 5, 8)],
            [RegressionForm((16, 3)), RegressionForm((1, 8, 8)), RegressionForm((3, 8, 8))],
        ]
    kinds: dict[str, Kind] = {
        "binary_probabilities": "probabilities",
        "binary_logits": "logits",
        "signed_scores": "scores",
    }
    if task in kinds:
        kind = kinds[task]
        shapes: list[list[tuple[int, ...]]] = [[(), (1,), (3,)], [(2,), (4,), (5,), (8,)]]
        shapes += [[(1, 4, 4), (3, 4, 4), (4, 4)]]
        return [[BinaryForm(kind, shape) for shape in group] for group in shapes]
    of = "logits" if task == "multiclass_logits" else "probabilities"
    groups: list[list[Form]] = []
    for classes in (5, 3, 2, 4, 10):
        groups.append([MulticlassForm(of, classes, rows) for rows in (False, True)])  # type: ignore[arg-type]
    groups.append([MulticlassForm(of, 3, rows, (4, 4)) for rows in (False, True)])  # type: ignore[arg-type]
    return groups


def form_of_batch(input: Tensor, target: Tensor, task: str | None) -> Form:
    """The form of the reader's own batch; infers the task where none is given."""
    input, target = input.detach().cpu(), target.detach().cpu()
    task = task or _task_of(input, target)
    if task.startswith("multiclass"):
        return _multiclass_of(input, target, task)
    shape = tuple(input.shape[1:])
    if task != "regression":
        integer = not target.is_floating_point()
        kinds: dict[str, Kind] = {
            "binary_probabilities": "probabilities",
            "binary_logits": "logits",
            "signed_scores": "scores",
        }
        if task == "signed_scores" and bool((input >= 0).all()):
            # Scores of both labels are never all positive: these are distances.
            scale = float(input.double().mean()) or 1.0
            return BinaryForm("distances", shape, scale, integer)
        return BinaryForm(kinds[task], shape, integer=integer)
    t, p = target.double(), input.double()
    spread = float(t.std()) if t.numel() > 1 else 0.0
    scale = spread or float(t.abs().max()) or 1.0
    positive = bool((t >= 0).all())
    positive_input = positive and bool((p > 0).all())
    error = float((p - t).square().mean().sqrt()) if p.shape == t.shape else 0.0
    if positive:
        scale = float(t.mean()) or 1.0
        zero = bool((t < 0.1 * scale).any()) or (
            positive_input and bool((p < 0.1 * scale).any())
        )
        return RegressionForm(
            shape, 0.0, scale, True, positive_input, error=error, zero=zero
        )
    # A centre that the spread cannot tell from 0 is 0, so that targets of 0 are tried.
    center = float(t.mean())
    center = center if abs(center) > 3 * scale else 0.0
    return RegressionForm(shape, center, scale, error=error)


def _task_of(input: Tensor, target: Tensor) -> str:
    probabilities = bool(((input >= 0) & (input <= 1)).all())
    if input.ndim >= 2 and input.shape[1] > 1:
        sums = input.double().sum(1)
        known = probabilities and bool(((sums - 1).abs() < 1e-3).all())
        indices = not target.is_floating_point() and target.ndim == input.ndim - 1
        if indices:
            return "multiclass_probabilities" if known else "multiclass_logits"
        if target.shape == input.shape and target.is_floating_point():
            t = target.double()
            rows = bool((t >= 0).all()) and bool(((t.sum(1) - 1).abs() < 1e-3).all())
            if rows and known:
                return "multiclass_probabilities"
            if rows and bool((t.max(1).values > 0.99).all()):
                return "multiclass_logits"
            if rows and bool(((input.double().logsumexp(1)).abs() < 1e-3).all()):
                return "multiclass_logits"
    values = set(target.double().flatten().tolist()) if target.numel() < 10**6 else set()
    if values and values <= {0.0, 1.0}:
        return "binary_probabilities" if probabilities else "binary_logits"
    if values and values <= {-1.0, 1.0}:
        return "signed_scores"
    return "regression"


def _multiclass_of(input: Tensor, target: Tensor, task: str) -> MulticlassForm:
    if input.ndim < 2 or input.shape[1] < 2:
        raise ValueError(
            f"input has shape {tuple(input.shape)}, expected (N, C) for {task}: one row a "
            "sample, one column a class"
        )
    rows = target.is_floating_point() and target.shape == input.shape
    kind: Literal["probabilities", "logits", "log-probabilities"] = "logits"
    if task == "multiclass_probabilities":
        kind = "probabilities"
    elif bool((input.double().logsumexp(1).abs() < 1e-3).all()):
        kind = "log-probabilities"
    return MulticlassForm(kind, input.shape[1], rows, tuple(input.shape[2:]))
