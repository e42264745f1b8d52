"""Are value and gradient numbers, wherever training may go?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch

from lossutils.doctor.examination import Examination, Found, Skip, check
from lossutils.doctor.findings import Severity
from lossutils.doctor.forms import Batch, Form
from lossutils.doctor.patient import Answer, Refused

_REMEDIES = {
    "exact fit": "A perfect fit reaches the infinite slope of a root, norm, logarithm, "
    "power or acos. Put an epsilon under the root, not behind it, and guard the argument "
    "of a torch.where, not only its result",
    "one sample": "A batch may hold a single sample: std and var need unbiased=False, and "
    "a division by N − 1 a guard",
    "only": "A class or mask may be absent from a batch: divide by a clamped count, "
    "x / count.clamp(min=1), and give empty sums a defined value",
    "constant": "Equal predictions or targets have no spread: add an epsilon to the "
    "standard deviation under its root, or clamp the denominator",
    "target 0": "The target may be 0: divide by (|target| + epsilon), with an epsilon on "
    "the scale of the data, or use a loss that does not divide by it",
    "prediction 0": "The prediction may be 0: guard the logarithm, power or division",
    "large": "Large errors overflow exp, cosh or a power in {dtype}. Use the stable form "
    "(softplus, logsumexp, logaddexp), or a loss that grows more slowly",
    "by": "Saturated outputs reach log(0) or overflow exp. Take logits and use "
    "logsigmoid, softplus, log_softmax or logsumexp, instead of a logarithm of a sigmoid "
    "or softmax",
    "all logits": "Guard the division or logarithm that meets equal logits",
    "confident": "A probability of exactly 0 reaches log(0). Clamp the probability away "
    "from 0 before the logarithm, or take logits and use log_softmax or logsigmoid",
    "undecided": "Guard the division or logarithm that meets equal probabilities",
    "": "torch.autograd.set_detect_anomaly(True) names the operation that gives the NaN",
}


@check("finite", "safe", ("error", "note"))
def finite(exam: Examination) -> Iterator[Found]:
    """Are value and gradient finite wherever training may go?

    Probes: in the type you train in, an exact fit, errors of up to 1,000 times the scale
    of the targets, targets and predictions of 0, saturated outputs (logits of ±10,000,
    probabilities of 0 and 1), a single sample, a batch of one class, with nothing to
    count, and of constant numbers. Where the value is finite its gradient has to be, too.

    Thresholds: none; NaN and infinity are errors inside the task's domain. A loss that
    breaks for every negative prediction and for no other is examined on positive numbers,
    and a note says so; one that breaks further down, as log(1 + p) does, gets one error
    for that and is examined on positive numbers, too.

    Remedy: depends on the place, and the finding says which. Where only the gradient is
    NaN, the cause is the infinite slope of a root, norm or power, often behind a
    `torch.where` that guards the value alone.
    """
    if not exam.has_values:
        yield from _ordinary(exam)
    if exam.breaks_below:
        at = exam.breaks_below
        summary = (
            f"The loss is not finite for a prediction of {at:g}, which a linear output "
            "gives: a logarithm or root of the prediction. The rest was examined on "
            "positive numbers."
        )
        remedy = (
            "End the model in a softplus or exp, or clamp the prediction; if it is "
            "positive already, pass a batch of your own (input=, target=)"
        )
        yield Found("error", summary, remedy, {"prediction": at})
    groups: dict[tuple[str, str], list[tuple[Batch, Answer | Refused]]] = {}
    for form in exam.forms:
        for batch in (*_own(exam, form), *form.edges()):
            answer_or_error = _broken(exam, batch)
            if answer_or_error is None:
                continue
            group, kind = _group(batch.words), _kind(answer_or_error)
            if isinstance(answer_or_error, Refused):
                group, kind = "", str(answer_or_error)  # one finding for one message
            groups.setdefault((group, kind), []).append((batch, answer_or_error))
    for kind in ("value", "gradient"):
        if ("by", kind) in groups and ("only", kind) in groups:
            # Saturated answers break in any batch, not for want of a class.
            rest = [f for f in groups["only", kind] if "all of it right" not in f[0].words]
            groups["only", kind] = rest
        if ("exact fit", kind) in groups and ("constant", kind) in groups:
            # Constant targets fitted exactly are one exact fit more.
            rest = [f for f in groups["constant", kind] if "exact fit" not in f[0].words]
            groups["constant", kind] = rest
    dtype = str(exam.dtype).removeprefix("torch.")
    singles_fail = ("one sample", "value") in groups
    for (group, kind), failures in groups.items():
        if not failures:
            continue
        single = all(len(batch.input) == 1 for batch, _ in failures)
        if singles_fail and single and group != "one sample":
            continue  # the same fault: this loss cannot take one sample at all
        batch, outcome = failures[0]
        remedy = _REMEDIES[group].format(dtype=dtype)
        if isinstance(outcome, Refused):
            remedy = (
                "Give such a batch a defined value, or document that the loss refuses it"
            )
        if isinstance(outcome, Refused):
            on_purpose = str(outcome).startswith(("ValueError", "TypeError"))
            severity: Severity = "note" if on_purpose else "error"
            verb = str(outcome) if outcome.hung else f"raises: {outcome}"
            summary = f"For {_place(batch)} the loss {verb}."
            evidence: dict[str, Any] = {"raised": str(outcome), "at": batch.words}
            yield Found(severity, summary, remedy, evidence)
            continue
        gradient = _gradient_words(outcome)
        what = (
            f"value is {outcome.value}"
            if kind == "value"
            else f"gradient is {gradient} although the value is clean ({outcome.value:.4g})"
        )
        more = len({b.words for b, _ in failures}) - 1
        summary = f"In {dtype} the {what} for {_place(batch)}"
        places = f"{more} similar place{'s' if more > 1 else ''}"
        summary += f", and at {places}." if more else "."
        evidence = {
            "value": outcome.value,
            "gradient": gradient,
            "at": list(dict.fromkeys(b.words for b, _ in failures))[:6],
        }
        yield Found("error", summary, remedy, evidence)


def _ordinary(exam: Examination) -> Iterator[Found]:
    words = "an ordinary batch"
    for pair in exam.batches():
        try:
            answer = exam.answer(*pair, slope=False)
        except Refused as refused:
            verb = str(refused) if refused.hung else f"raises: {refused}"
            summary = f"For {words} the loss {verb}."
            remedy = "Give such a batch a defined value"
            if refused.hung:
                remedy = "Does it loop until a condition on the values holds?"
            yield Found("error", summary, remedy, {"raised": str(refused), "at": words})
            return
        if math.isfinite(answer.value):
            continue
        summary = f"The loss of {words} is {answer.value}."
        remedy = _REMEDIES[""] + ". Ordinary predictions are of either sign: is the loss "
        remedy += "made for positive numbers or probabilities?"
        yield Found("error", summary, remedy, {"value": answer.value, "at": words})
        return


def _own(exam: Examination, form: Form) -> Iterator[Batch]:
    """The reader's own batch."""
    if exam.own is not None and form is exam.form:
        yield Batch("your batch", *exam.own)


def _place(batch: Batch) -> str:
    if batch.words == "your batch":
        return batch.words
    many = len(batch.input) > 1 or batch.words == "one sample"
    return f"{'a batch' if many else 'a prediction'} ({batch.words})"


def _broken(exam: Examination, batch: Batch) -> Answer | Refused | None:
    try:
        answer = exam.patient.answer(batch.input, batch.target, dtype=exam.dtype)
    except Refused as refused:
        return refused
    if answer.output.numel() == 0 or answer.finite:
        return None
    return answer


def _kind(outcome: Answer | Refused) -> str:
    if isinstance(outcome, Refused):
        return "raises"
    return "gradient" if bool(outcome.output.isfinite().all()) else "value"


def _gradient_words(answer: Answer) -> str:
    if answer.gradient is None:
        return "none"
    flat = answer.gradient.flatten()
    broken = flat[~flat.isfinite()]
    return f"{float(broken[0])}" if broken.numel() else "finite"


def _group(words: str) -> str:
    if "exact fit" in words and "constant" not in words:
        return "exact fit"
    if words.startswith(("right by", "wrong by")):
        return "by"
    starts = [key for key in _REMEDIES if key and words.startswith(key)]
    return starts[0] if starts else ""


@check("half-precision", "safe", ("warning", "note"), needs=("values", "steady"))
def half_precision(exam: Examination) -> Iterator[Found]:
    """Does the loss survive float16 and bfloat16?

    Probes: batches whose numbers every half type holds (errors up to 10 units, logits up
    to 50, exact fits, absent classes, a batch of 60,000 labels), in float16 and bfloat16,
    beside the same numbers in float64.

    Thresholds: NaN or infinity where float32 has none, or a value off by more than 20 %
    in float16 (50 % in bfloat16, which has three bits less) of what the loss of an
    ordinary batch is; honest rounding stays below 1 %. With data of your own whose scale
    is above 30 or below 1/30, it is a note: standardise them first. So is a failure of the
    large batch alone: under autocast torch takes sums in float32.

    Remedy: compute in float32 inside the loss, `input.float()`, and return to the type of
    the input. An epsilon of 1e-8 is 0 in float16; squares of numbers above 255 overflow.
    """
    remedy = (
        "Compute inside the loss in float32: x = input.float(). An epsilon below 3e-8 is 0 "
        "in float16, sums above 65504 overflow, and so do squares of numbers above 255"
    )
    judged = set()
    ordinary = max(abs(a.value) for a in exam.values)
    if ordinary < 1e-4:
        raise Skip("the loss itself is too small for float16")
    scale = float(getattr(exam.form, "scale", 1.0))
    severity: Severity = "warning" if 1 / 30 <= scale <= 30 else "note"
    for dtype, tolerance in ((torch.float16, 0.2), (torch.bfloat16, 0.5)):
        name = str(dtype).removeprefix("torch.")
        worst: tuple[float, str, float, float] | None = None
        own = [Batch("your batch", *exam.own)] if exam.own is not None else []
        for batch in (*own, *exam.form.ordinary()):
            if worst is not None and worst[0] > tolerance and len(batch.input) > 1000:
                continue  # a large batch matters only where small ones pass
            outcome = _half(exam, batch, dtype, ordinary)
            if isinstance(outcome, str):
                exam.measure("half-precision", **{name: outcome})
                continue
            if outcome is None:
                continue
            judged.add(name)
            found, expected, gradient_lost = outcome
            off = abs(found - expected) / max(abs(expected), ordinary, 1e-300)
            if gradient_lost or not math.isfinite(off):
                off = math.inf
            if worst is None or off > worst[0]:
                worst = off, batch.words, found, expected
        if worst and worst[0] > tolerance:
            off, words, found, expected = worst
            what = (
                f"the value is {found:.4g} instead of {expected:.4g}"
                if not (math.isfinite(found) and math.isinf(off))
                else "the gradient is not finite"
            )
            summary = f"Fails in {name} where float32 is fine: {what} ({words})."
            evidence = {"type": name, "at": words, "value": found, "in float64": expected}
            large = words.endswith("samples")
            yield Found("note" if large else severity, summary, remedy, evidence)
    if not judged:
        raise Skip("the loss takes no half precision here")


def _half(
    exam: Examination, batch: Batch, dtype: torch.dtype, ordinary: float
) -> tuple[float, float, bool] | str | None:
    """Value in the half type, the true one of the same numbers, lost gradient."""
    input, target = exam.patient.cast(batch.input, dtype), batch.target
    if target.is_floating_point():
        target = target.to(dtype)
    try:
        single = exam.patient.answer(input, target, dtype=torch.float32)
        fine = exam.patient.answer(input, target, dtype=exam.fine, slope=False)
    except Refused:
        return None
    if not single.finite or abs(fine.value) > 2e4 or not math.isfinite(fine.value):
        return None  # not float16's fault, or more than it can hold
    steep = single.gradient is not None and float(single.gradient.abs().max()) > 6e4
    try:
        half = exam.patient.answer(input, target, dtype=dtype)
    except Refused as refused:
        return f"not on this device: {refused}"
    lost = half.gradient is not None and not bool(half.gradient.isfinite().all())
    if lost and ordinary > 1:
        # A loss in thousands overflows in backward: the factor is not what is judged.
        leaf = exam.patient.cast(input, dtype).requires_grad_()
        output = exam.patient.output(leaf.clone(), exam.patient.cast(target, dtype))
        gradient = exam.patient.differentiate(output / ordinary, leaf)
        lost = gradient is None or not bool(gradient.isfinite().all())
    # Where a probability is exactly 0 or 1 the slope of a logarithm is lost in any type.
    bounded = exam.form.task.endswith("probabilities")
    at_edge = bounded and bool(((batch.input == 0) | (batch.input == 1)).any())
    spread = batch.words != "exact fit, targets 0"  # there a standard deviation is 0, too
    lost = lost and not steep and not at_edge and spread
    return half.value, fine.value, lost
