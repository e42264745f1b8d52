"""What the report draws: the loss along lines, and its response to noise."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lossutils.doctor.findings import Curve, NoiseResponse
from lossutils.doctor.forms import MulticlassForm, RegressionForm
from lossutils.doctor.patient import Refused

if TYPE_CHECKING:
    from lossutils.doctor.examination import Examination

__all__ = ["bias", "curves", "noise"]

NOISY_SAMPLES = 4000
LEVELS = (0.02, 0.05, 0.1, 0.2, 0.5)


def curves(exam: Examination) -> tuple[Curve, ...]:
    """The loss along two lines, over errors of up to three scales or logits of 10."""
    if not exam.has_values or not exam.steady:
        return ()
    found = []
    lines = [p.line for p in exam.mains[:2]]
    for line in lines:
        grid = _drawn(exam, line.grid)
        values, slopes = [], []
        for x in grid:
            try:
                value, slope = exam.along(line, x)
            except Refused:
                value = slope = math.nan
            values.append(value if math.isfinite(value) else math.nan)
            slopes.append(slope if math.isfinite(slope) else math.nan)
        h = grid[1] - grid[0]
        curvature = [math.nan] + [
            (slopes[i + 1] - slopes[i - 1]) / (2 * h) for i in range(1, len(grid) - 1)
        ]
        curvature.append(math.nan)
        found.append(Curve(line.words, line.axis, grid, values, slopes, curvature))
    return tuple(found)


def _drawn(exam: Examination, grid: tuple[float, ...]) -> list[float]:
    form = exam.form
    if isinstance(form, RegressionForm):
        unit = 1.0 if form.link == "log" else form.scale
        low, high = max(-3 * unit, grid[0]), 3 * unit
    elif exam.logits:
        low, high = -10.0, 10.0
    else:
        low, high = 0.005, 0.995
    return [low + (high - low) * i / 60 for i in range(61)]


def noise(exam: Examination) -> NoiseResponse | None:
    """The mean loss under growing noise on the predictions, measured and predicted."""
    if not (exam.has_values and exam.steady and exam.has_gradient and exam.alone):
        return None
    measured, error, predicted, levels = [], [], [], []
    for level in LEVELS:
        found = bias(exam, "input", level)
        if found is None:
            continue
        levels.append(found["level"])
        measured.append(found["measured"])
        error.append(found["error"])
        predicted.append(found["predicted"])
    return NoiseResponse(levels, measured, error, predicted) if levels else None


def bias(exam: Examination, kind: str, level: float = 0.1) -> dict[str, float] | None:
    """How noise changes the mean loss: measured, predicted, the error of the difference.

    The standard error comes from 20 groups of samples; the prediction is second-order,
    half the noise's variance times the curvature, by differences of the loss. Each noise
    is drawn with both signs, so that its first-order effect cancels exactly.
    """
    form = exam.form
    if kind == "target" and not isinstance(form, RegressionForm):
        return None  # labels flip, they do not drift
    groups = 20
    size = max(NOISY_SAMPLES // groups // max(math.prod(form.shape) // 4, 1), 8)
    unit = 1.0
    if isinstance(form, RegressionForm) and form.link == "identity":
        unit = form.scale
    changes, predictions = [], []
    for group in range(groups):
        input, target = form.batch(size, 50 + group)
        generator = torch.Generator().manual_seed(1_000 + group)
        draw = torch.randn(input.shape, generator=generator, dtype=torch.float64)
        step = level * draw * (input if kind == "multiplicative" else unit)
        if _leaves(exam, form, input, step):
            return None

        def cost(
            s: float,
            input: Tensor = input,
            target: Tensor = target,
            step: Tensor = step,
            kind: str = kind,
        ) -> float:
            if kind == "target":
                return exam.value(input, target + s * step)
            return exam.value(input + s * step, target)

        h = 0.05
        try:
            here = cost(0.0)
            changes.append((cost(1.0) + cost(-1.0)) / 2 - here)
            predictions.append((cost(h) + cost(-h) - 2 * here) / (2 * h * h))
        except Refused:
            return None
        if not math.isfinite(changes[-1]):
            return None
    mean = sum(changes) / groups
    difference = [c - p for c, p in zip(changes, predictions, strict=True)]
    off = sum(difference) / groups
    variance = sum((d - off) ** 2 for d in difference) / (groups - 1)
    return {
        "level": level * unit if kind != "multiplicative" else level,
        "measured": mean,
        "error": math.sqrt(variance / groups),
        "predicted": sum(predictions) / groups,
    }


def _leaves(exam: Examination, form: object, input: Tensor, step: Tensor) -> bool:
    """Whether the noise leaves the domain: probabilities, positive numbers."""
    both = torch.stack([input + step, input - step])
    if exam.form.task.endswith("probabilities"):
        return bool(((both < 0) | (both > 1)).any()) or isinstance(form, MulticlassForm)
    if isinstance(form, RegressionForm) and form.positive_input:
        return bool((both <= 0).any())
    return False
