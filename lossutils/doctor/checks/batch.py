"""What the loss makes of a batch: its shapes, its mean, its samples."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from lossutils.doctor.examination import (
    SLOW,
    Examination,
    Found,
    Skip,
    check,
    largest,
    same,
)
from lossutils.doctor.forms import BinaryForm, Form, MulticlassForm, RegressionForm
from lossutils.doctor.patient import Refused


@check("shape", "safe", ("error", "note"))
def shape(exam: Examination) -> Iterator[Found]:
    """Does a column (N, 1) against a row (N,) broadcast to N × N in silence?

    Probes: predictions (N, 1) with targets (N,), and the other way round, beside the same
    numbers in equal shapes. Forms of the task that the loss refuses are noted.

    Thresholds: an answer that differs by more than 0.01 % from the right one, without an
    exception and without a warning.

    Remedy: refuse unequal shapes in the first line of the loss. After a broadcast, every
    prediction is compared with every target, and the best model is a constant.
    """
    for words, reason in exam.refused.items():
        yield Found(
            "note",
            f"Takes no batch of shape {words}: {reason}.",
            "Nothing to do if you do not need that shape",
            {"shape": words, "raised": reason},
        )
    for note in exam.notes:
        yield Found("note", f"{note}.", "Nothing, if that is what you mean", {})
    if not (exam.has_values and exam.steady):
        return
    shapes = {form.shape for form in exam.forms}
    if isinstance(exam.form, MulticlassForm) or not shapes & {(), (1,)}:
        return
    form = next(f for f in exam.forms if f.shape in ((), (1,)))
    input, target = form.batch()
    input, target = input.reshape(-1), target.reshape(-1)
    # Rows where the loss takes them, else columns.
    row = () in shapes
    pair = (input, target) if row else (input[:, None], target[:, None])
    right = exam.value(*pair)
    rights = [right]
    if exam.patient.swapped and shapes >= {(), (1,)}:
        # Keras takes the mean over the last axis, which of a row are the samples.
        rights.append(exam.value(input[:, None], target[:, None]))
    for words, unequal in (
        ("prediction (N, 1), target (N,)", (input[:, None], target)),
        ("prediction (N,), target (N, 1)", (input, target[:, None])),
    ):
        try:
            found = exam.answer(*unequal, slope=False)
        except Refused:
            continue
        words_of_shape = ("size", "shape", "broadcast")
        if any(w in text for text in exam.patient.warned for w in words_of_shape):
            continue  # not in silence
        if any(same(found.value, value, 1e-4) for value in rights):
            continue
        summary = (
            f"Broadcasts in silence: {words} gives {found.value:.4g}, where equal shapes "
            f"give {right:.4g}. Every prediction is compared with every target, and the "
            "model learns a constant."
        )
        remedy = (
            "Refuse unequal shapes: if input.shape != target.shape: raise ValueError(...). "
            "In the training loop, squeeze the model's output: output.squeeze(-1)"
        )
        evidence = {"value": found.value, "value for equal shapes": right, "shapes": words}
        yield Found("error", summary, remedy, evidence)
        return


@check(
    "reduction",
    "safe",
    ("warning",),
    needs=("values", "steady"),
    chapter=f"{SLOW}/when_the_batch_is_split.html",
)
def reduction(exam: Examination) -> Iterator[Found]:
    """Is the value a mean, whatever the number of samples, classes and weights?

    Probes: batches beside the same batches twice and four times over; logits of 0 for 3,
    6 and 12 classes; and weights, where the loss takes a `weight` or `sample_weight`.

    Thresholds: between N and 2 N the difference of two batches' losses may change by at
    most 15 % (a mean does not change at all, a sum doubles), and two doublings may not
    both add 5 %. The loss of equal logits must
    not fall with the number of classes as 1/C: that is a mean over samples and classes.
    Weights must change the value, and weigh the samples they belong to.

    Remedy: divide once, by the number of samples or elements; then the learning rate does
    not depend on the batch size.
    """
    for form in (exam.form, *(f for f in exam.forms[1:] if len(f.shape) == 1)):
        found = list(_batch_size(exam, form))
        yield from found
        if found:
            break
    yield from _class_count(exam)
    yield from _weights(exam)


def _batch_size(exam: Examination, form: Form) -> Iterator[Found]:
    values = {}
    # Ratios with a smoothing constant depend on the size of a small batch.
    small = math.prod(form.shape) <= 16 and not exam.separable
    samples = 10 * form.samples if small else form.samples
    for copies in (1, 2, 4):
        for seed in range(4):
            input, target = form.batch(samples, seed)
            repeat = [copies] + [1] * (input.ndim - 1)
            again = target.repeat([copies] + [1] * (target.ndim - 1))
            values[copies, seed] = exam.value(input.repeat(repeat), again)
    ratios = []
    for one, other in ((0, 1), (1, 2), (2, 3), (0, 3)):
        base = values[1, one] - values[1, other]
        size = max(abs(values[1, one]), abs(values[1, other]))
        if abs(base) <= 1e-3 * size:
            continue
        twice = (values[2, one] - values[2, other]) / base
        four = (values[4, one] - values[4, other]) / base
        ratios.append((twice, four))
    if not ratios:
        return
    twice = sorted(r[0] for r in ratios)[len(ratios) // 2]
    four = sorted(r[1] for r in ratios)[len(ratios) // 2]
    exam.measure("reduction", value_of_twice_the_batch=twice)
    if twice > 1.15 and four > 1.15 * twice:
        power = math.log2(four) / 2
        what = "a sum, not a mean" if abs(power - 1) < 0.1 else f"it grows as N^{power:.2g}"
        summary = (
            f"The same samples twice over cost {twice:.3g} times as much ({what}): the "
            "step size depends on the batch size."
        )
        remedy = "Divide by the number of samples: reduction='mean', or .mean() for .sum()"
    elif _adds_up(values):
        grown = values[4, 0] - values[2, 0]
        summary = (
            f"The value depends on the batch size: the same samples twice over, and four "
            f"times, cost {values[1, 0]:.4g}, {values[2, 0]:.4g}, {values[4, 0]:.4g} "
            f"({grown:+.3g} at each doubling)."
        )
        remedy = "Normalise over the classes or outputs of a sample, not over the batch"
    elif 0 < twice < 0.87 and four < twice:
        summary = (
            f"The same samples twice over cost only {twice:.3g} times as much: the value "
            "is divided by the number of samples more than once."
        )
        remedy = "Divide once: .mean() already does, or the elements were divided before"
    else:
        return
    evidence = {"loss of 2N / loss of N": twice, "loss of 4N / loss of N": four}
    yield Found("warning", summary, remedy, evidence)


def _adds_up(values: dict[tuple[int, int], float]) -> bool:
    """Whether each doubling of the batch moves the value on, as a log-sum over it does."""
    for seed in range(4):
        one, two, four = (values[copies, seed] for copies in (1, 2, 4))
        first, second = two - one, four - two
        if abs(first) <= 0.05 * abs(one) or not 0.7 * first * first <= first * second:
            return False
    return True


def _class_count(exam: Examination) -> Iterator[Found]:
    form = exam.form
    if not isinstance(form, MulticlassForm) or exam.own:
        return
    found = {}
    for classes in (3, 6, 12):
        other = MulticlassForm(form.kind, classes, form.rows, form.places)
        _, target = other.batch(12)
        try:
            zeros = torch.zeros((len(target), *other.shape), dtype=torch.float64)
            found[classes] = exam.value(other.prediction(zeros), target)
        except Refused:
            return  # made for one number of classes
    logarithms = {c: v / math.log(c) for c, v in found.items()}
    # Of the logarithmic losses only: there the right answer, log C, is known.
    by_class = [c * v for c, v in logarithms.items()]
    if not all(map(math.isfinite, found.values())):
        return
    if found[3] <= 0 or max(by_class) > 1.3 * min(by_class):
        return
    if found[12] > 0.75 * found[3]:
        return
    summary = (
        f"The mean is taken over classes too: equal logits cost {found[3]:.4g} for 3 "
        f"classes and {found[12]:.4g} for 12, while log C grows. The more classes, the "
        "smaller every gradient."
    )
    remedy = "Sum over the classes, then take the mean over the samples: .sum(1).mean()"
    evidence = {f"{c} classes": v for c, v in found.items()}
    yield Found("warning", summary, remedy, evidence)


def _weights(exam: Examination) -> Iterator[Found]:
    patient = exam.patient
    name = next((n for n in ("weight", "sample_weight") if patient.accepts(n)), None)
    keras_object = patient.keras and hasattr(patient.loss, "call")
    if keras_object:
        name = "sample_weight"
    if name is None:
        return
    form = exam.form
    if keras_object:
        if not exam.separable:
            return  # Dice has one value per batch, and nothing to weigh
        # Keras takes the mean over the last axis first: a row of N is one sample to it.
        form = next((f for f in exam.forms if f.shape), form)
    input, target = form.batch()
    if keras_object and not form.shape:
        input, target = input[:, None], target[:, None]
    shape = (len(input),) if keras_object else _weight_shape(exam, input, target)
    plain = exam.value(input, target)

    def weighted(weight: Tensor) -> float | None:
        given = {name: weight.to(patient.device, exam.fine)}
        try:
            answer = patient.answer(input, target, dtype=exam.fine, slope=False, **given)
        except Refused:
            return None
        return answer.value if math.isfinite(answer.value) else None

    alone = [exam.value(input[i : i + 1], target[i : i + 1]) for i in range(4)]
    differ = max(alone) - min(alone)
    if not differ > 0.05 * max(map(abs, alone)):
        return  # weights cannot show where every sample costs the same
    ramp = torch.linspace(0.2, 3, len(input), dtype=torch.float64)
    ramp = ramp.reshape(-1, *[1] * (len(shape) - 1)).expand(shape)
    found = weighted(ramp)
    if found is not None and same(found, plain, 1e-9 if exam.eps < 1e-9 else 1e-6):
        summary = f"`{name}` is taken and ignored: the value stays {plain:.4g}."
        remedy = "Multiply the unreduced loss by the weight, before the mean"
        yield Found("warning", summary, remedy, {"plain": plain, "weighted": found})
        return
    ones = []
    for i in range(4):
        weight = torch.zeros(shape, dtype=torch.float64)
        weight[i] = 1
        ones.append(weighted(weight))
    known = [(o, a) for o, a in zip(ones, alone, strict=True) if o is not None]
    if len(known) < 3:
        return
    weights_alike = max(o for o, _ in known) - min(o for o, _ in known)
    if weights_alike <= 1e-6 * abs(plain):
        summary = (
            f"`{name}` weighs the mean, not the samples: weight on one sample alone gives "
            f"{known[0][0]:.4g} whichever it is. The loss was reduced to a scalar before."
        )
        remedy = "Return one value per sample, and leave the mean to the caller"
        evidence = {
            "weight on one": [o for o, _ in known],
            "their losses": [a for _, a in known],
        }
        yield Found("warning", summary, remedy, evidence)


def _weight_shape(exam: Examination, input: Tensor, target: Tensor) -> tuple[int, ...]:
    if isinstance(exam.form, MulticlassForm):
        return (len(input), *exam.form.places)
    return tuple(input.shape)


@check(
    "sample-separable",
    "safe",
    ("warning", "note"),
    needs=("values", "steady", "gradient"),
    chapter=f"{SLOW}/when_the_batch_is_split.html",
)
def sample_separable(exam: Examination) -> Iterator[Found]:
    """Does a sample's gradient depend on the other samples of its batch?

    Probes: the gradient on one sample among different others, for several samples.

    Thresholds: a share of 1e-5 (1e-3 for losses that compute in float32). If the others
    only scale the gradient (a weighted mean, a root of the mean, Dice) that is a note; if
    they can reverse its sign, or switch it off altogether, a warning.

    Remedy: per-sample gradients, DP-SGD, gradient accumulation and training on several
    processes assume a mean over samples. Where the coupling is meant, compute the loss on
    the whole batch at once.
    """
    form = exam.form
    tolerance = 1e-5 if exam.eps < 1e-9 else 1e-3
    worst = 0.0
    reversed_at: tuple[float, float] | None = None
    everything = [form.batch(None, seed) for seed in range(4)]
    size = max(largest(exam.answer(*pair).gradient) for pair in everything)
    extremes = [pair for pair in (_all_right(exam), _all_wrong(exam)) if pair is not None]
    switched_off = False
    for k in range(4):
        sample = everything[k][0][:1], everything[k][1][:1]
        gradients = []
        for rest in [everything[(k + other) % 4] for other in (1, 2, 3)] + extremes:
            inputs = torch.cat([sample[0], rest[0][1:]])
            targets = torch.cat([sample[1], rest[1][1:]])
            gradient = exam.answer(inputs, targets).gradient
            if gradient is None or not bool(gradient.isfinite().all()):
                raise Skip("the gradient of an ordinary batch is not finite")
            gradients.append(gradient[0])
        for gradient in gradients[1:]:
            first = gradients[0]
            biggest = max(largest(first), largest(gradient))
            if biggest <= 1e-6 * size:
                continue
            worst = max(worst, largest(first - gradient) / biggest)
            none = 0 in (largest(first), largest(gradient))
            switched_off |= none and biggest > 1e-2 * size
            pulls = _pulls(exam, first, sample[1]), _pulls(exam, gradient, sample[1])
            big = torch.minimum(pulls[0].abs(), pulls[1].abs()) > 1e-2 * biggest
            turned = big & (pulls[0].sign() != pulls[1].sign())
            if bool(turned.any()):
                at = int(turned.flatten().nonzero()[0])
                reversed_at = float(pulls[0].flatten()[at]), float(pulls[1].flatten()[at])
    exam.measure("sample-separable", change=worst)
    if worst <= tolerance:
        return
    input, target = everything[0]
    whole = exam.value(input, target)
    evidence: dict[str, Any] = {"largest relative change of a sample's gradient": worst}
    with contextlib.suppress(Refused):
        each = [exam.value(input[i : i + 1], target[i : i + 1]) for i in range(len(input))]
        evidence["loss of a batch"] = whole
        evidence["mean of its samples' losses"] = sum(each) / len(each)
    remedy = (
        "If each sample should count for itself, it was reduced too early: take the mean "
        "last. If the coupling is meant, per-sample gradients, DP-SGD, gradient "
        "accumulation and data-parallel training give other results than the whole batch"
    )
    if reversed_at:
        summary = (
            "Samples are coupled: the gradient on one sample changes its sign with the "
            f"other samples of the batch ({reversed_at[0]:.3g}, then {reversed_at[1]:.3g})."
        )
        evidence["gradients"] = list(reversed_at)
        yield Found("warning", summary, remedy, evidence)
    elif switched_off:
        summary = (
            "Samples are coupled: whether a sample pulls at all depends on the other "
            "samples of the batch."
        )
        yield Found("warning", summary, remedy, evidence)
    else:
        summary = (
            "The other samples of a batch scale a sample's gradient (by up to "
            f"{100 * worst:.0f} %), but never turn it round."
        )
        yield Found("note", summary, remedy, evidence)


def _pulls(exam: Examination, gradient: Tensor, target: Tensor) -> Tensor:
    """The part of a sample's gradient that says where to: of many classes, the true one.

    The others share what is left, and how they share it depends on their weights.
    """
    form = exam.form
    if not isinstance(form, MulticlassForm) or form.kind == "probabilities":
        return gradient
    true = (target.argmax(1) if form.rows else target)[:1].to(gradient.device)
    return gradient.gather(0, true)


def _all_right(exam: Examination) -> tuple[Tensor, Tensor] | None:
    """A batch of confident right answers; for a regression, of small errors."""
    form = exam.form
    if isinstance(form, RegressionForm):
        input, target = form.batch(None, 1)
        right = form.truth(target)
        return right + 1e-3 * (input - right), target
    batches = list(form.hopeless())
    if isinstance(form, BinaryForm):
        target = batches[0].target
        label = (target > 0).double()
        return form.prediction(4 * (2 * label - 1)), target
    target = batches[0].target
    # What is wrong for the classes one further is right for these.
    return batches[0].input.roll(-1, 1), target


def _all_wrong(exam: Examination) -> tuple[Tensor, Tensor] | None:
    """A batch of confident mistakes."""
    for batch in exam.form.hopeless():
        return batch.input, batch.target
    return None
