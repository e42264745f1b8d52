"""Does the right gradient arrive?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from lossutils.doctor.examination import (
    Examination,
    Found,
    Profile,
    Skip,
    check,
    largest,
)
from lossutils.doctor.patient import Refused

# Share of mismatch, autograd's slope, the difference quotient, and where.
Mismatch = tuple[float, float, float, str]


@check("differentiable", "safe", ("error",))
def differentiable(exam: Examination) -> Iterator[Found]:
    """Does the loss hand a gradient to the prediction?

    Probes: three ordinary batches. The output has to be a floating-point tensor that
    requires grad, backward has to run, and the gradient must not be 0 everywhere.

    Thresholds: none; 0 means exactly 0 in every entry of every batch.

    Remedy: the first line whose result has no `grad_fn` is the one that cuts the graph.
    argmax, round, sign, comparisons, `.item()`, NumPy and `.detach()` all do.
    """
    patient = exam.patient
    walk = (
        "Print `.grad_fn` line by line: the first line where it is None cuts the graph. "
        "Replace argmax, round, sign, comparisons, .item(), NumPy and detach() by smooth "
        "torch operations"
    )
    batches = exam.batches()
    patient.unlike_tensor = ""  # what it returned for these, not for an odd one before
    try:
        answers = [exam.answer(*pair) for pair in batches]
    except Refused as refused:
        yield Found("error", f"Backward fails: {refused}.", walk, {"raised": str(refused)})
        return
    if patient.unlike_tensor:
        summary = (
            f"The loss returns {patient.unlike_tensor}, not a floating-point tensor: no "
            "gradient reaches the model."
        )
        yield Found("error", summary, walk, {"returned": patient.unlike_tensor})
        return
    if all(a.gradient is None for a in answers):
        summary = (
            "No gradient reaches the prediction: the result does not depend on it in the "
            'graph ("element 0 of tensors does not require grad").'
        )
        yield Found("error", summary, walk, {"gradient": "none"})
        return
    if exam.has_values and all(largest(a.gradient) == 0 for a in answers):
        values = [a.value for a in answers]
        summary = (
            "The gradient is exactly 0 for every prediction tried, so nothing is learned "
            "however wrong the model is."
        )
        evidence = {"largest gradient": 0.0, "values of three batches": values}
        yield Found("error", summary, walk, evidence)


@check("gradient", "safe", ("error",), needs=("values", "steady", "gradient"))
def gradient(exam: Examination) -> Iterator[Found]:
    """Is the gradient the slope of the value?

    Probes: autograd's gradient beside central differences of the value, on ordinary
    batches and along lines from right to wrong predictions; then the gradient of three
    times the loss, which has to be three times the gradient.

    Thresholds: 1 % of the larger slope, at points where two step sizes agree to a tenth
    of that, so that kinks and round-off are not blamed; 0.1 % for the scaled loss, which
    only a backward that ignores what arrives from above can miss.

    Remedy: a term inside `.detach()`, `no_grad` or `.data` counts in the value and not in
    the gradient. For an `autograd.Function`, multiply by `grad_output`, and run
    `torch.autograd.gradcheck` on it.
    """
    remedy = (
        "Look for detach(), .data or no_grad around a term that depends on the prediction, "
        "and check a hand-written backward with torch.autograd.gradcheck: it has to "
        "multiply by grad_output. If a term is detached on purpose, this is the price"
    )
    worst = max(_mismatches(exam), key=lambda m: m[0], default=None)
    exam.measure("gradient", mismatch=worst[0] if worst else 0.0)
    if worst and worst[0] > 0.01:
        _, autograd, difference, words = worst
        summary = (
            f"The gradient is not the slope of the value: autograd says {autograd:.4g}, "
            f"the value changes by {difference:.4g} per unit ({words})."
        )
        evidence = {"autograd": autograd, "finite difference": difference, "at": words}
        yield Found("error", summary, remedy, evidence)
    ratio = _scaled_ratio(exam)
    if ratio is not None and abs(ratio - 3) > 0.003:
        summary = (
            f"The gradient of 3 × loss is {ratio:.4g} × the gradient, not 3 ×: the "
            "backward ignores the gradient that comes from above, so weights on this loss "
            "and loss scaling have no effect."
        )
        yield Found("error", summary, remedy, {"gradient of 3 × loss / gradient": ratio})


def _mismatches(exam: Examination) -> Iterator[Mismatch]:
    for k, (input, target) in enumerate(exam.batches(2)):
        answer = exam.answer(input, target)
        if answer.gradient is None:
            continue
        generator = torch.Generator().manual_seed(k)
        for _ in range(4):
            direction = torch.randn(input.shape, generator=generator, dtype=torch.float64)
            if exam.form.task.endswith("probabilities"):
                direction = direction * input * (1 - input)
            slope = float((answer.gradient.cpu().double() * direction).sum())
            where = input, target, direction

            def value(h: float, where: tuple[Tensor, Tensor, Tensor] = where) -> float:
                input, target, direction = where
                return exam.value(input + h * direction, target)

            difference = _difference(value, exam.eps, answer.value, slope)
            if difference is not None:
                yield _mismatch(slope, difference, "on an ordinary batch")
    for profile in exam.mains[:4]:
        yield from _along(exam, profile)


def _along(exam: Examination, profile: Profile) -> Iterator[Mismatch]:
    steep = max((abs(profile.slope[i]) for i in profile.finite), default=0.0)
    # Inside, a loss handles numbers of the size of its usual value: so is its round-off.
    usual = max(abs(a.value) for a in exam.values) if exam.eps > 1e-12 else 0.0
    pull = max(largest(a.gradient) for a in exam.typical)
    if steep < 1e-9 * pull:
        return  # round-off: a single sample is worth nothing here
    inner = [i for i in profile.finite if 0 < i < len(profile.x) - 1][::5]
    for i in inner:
        x = profile.x[i]
        room = min(x - profile.x[i - 1], profile.x[i + 1] - x)
        # Beyond, saturated logits round to probabilities of exactly 0 and 1.
        limit = 200 * getattr(exam.form, "scale", 1.0)
        if exam.logits:
            limit = 20 if exam.eps < 1e-12 else 8
        if abs(x) > limit or room <= 0:
            continue

        def value(h: float, x: float = x, room: float = room) -> float:
            return exam.cost(profile.line, x + h * room)

        size = max(abs(profile.value[i]), usual)
        difference = _difference(value, exam.eps, size, profile.slope[i] * room)
        if difference is None:
            continue
        difference /= room
        if max(abs(difference), abs(profile.slope[i])) < 1e-4 * steep:
            continue
        words = f"{profile.line.words}, {profile.line.axis} {x:.3g}"
        yield _mismatch(profile.slope[i], difference, words)


def _difference(
    value: Callable[[float], float], eps: float, size: float, slope: float
) -> float | None:
    """Slope at 0 by central differences; None where they cannot tell.

    `size` is the size of the numbers whose round-off hides a difference, and `slope` what
    autograd says: a change that it does not promise cannot be missed.
    """
    found = []
    here = value(0.0)
    for h in (0.02, 0.04) if eps > 1e-12 else (1e-4, 2e-4):
        up, down = value(h), value(-h)
        if not all(map(math.isfinite, (up, down, here))):
            return None
        central = (up - down) / (2 * h)
        one_sided = abs((up - here) - (here - down)) / h
        noise = 4 * eps * max(abs(up), abs(down), abs(size)) / h
        unsure = one_sided > 0.1 * abs(central) + noise or noise > 1e-3 * abs(central)
        # A kink, a curve too sharp for the step, or a slope lost in round-off. A value
        # that does not change at all is told apart from one that is lost.
        if unsure and (not up == here == down or abs(slope) < 4 * noise):
            return None
        found.append(central)
    a, b = found
    return a if abs(a - b) <= 1e-3 * max(abs(a), abs(b)) else None


def _mismatch(autograd: float, difference: float, words: str) -> Mismatch:
    size = max(abs(autograd), abs(difference))
    share = abs(autograd - difference) / size if size else 0.0
    if not math.isfinite(share):
        share = 0.0  # `finite` reports it
    return share, autograd, difference, words


def _scaled_ratio(exam: Examination) -> float | None:
    input, target = exam.form.batch()
    patient = exam.patient
    gradients = []
    for factor in (1.0, 3.0):
        leaf = patient.cast(input, exam.fine).requires_grad_()
        output = patient.output(leaf.clone(), patient.cast(target, exam.fine))
        gradient = patient.differentiate(factor * output, leaf)
        if gradient is None:
            raise Skip("the loss has no gradient")
        gradients.append(gradient)
    one, three = gradients
    at = int(one.abs().argmax())
    if float(one.flatten()[at]) == 0 or not bool(one.isfinite().all()):
        return None
    return float(three.flatten()[at] / one.flatten()[at])
