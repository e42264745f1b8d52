"""Classification's part of `minimiser`: is the best answer the right one, and how sure?"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from lossutils.doctor.examination import Examination, Found
from lossutils.doctor.forms import BinaryForm, MulticlassForm
from lossutils.doctor.patient import Refused


def wrong_class(exam: Examination) -> Iterator[Found]:
    """All that can be wrong with the minimum of a classification loss."""
    remedy = (
        "Check the sign, the labels (0/1 or −1/1, classes from 0), the axis of the softmax "
        "and the order of the arguments"
    )
    for profile in exam.profiles:
        finite = [i for i in range(len(profile.x)) if math.isfinite(profile.value[i])]
        if len(finite) < 10:
            continue
        values = [profile.value[i] for i in finite]
        span = max(values) - min(values)
        if span <= 16 * exam.eps * max(map(abs, values)):
            continue
        moderate = [i for i in finite if abs(profile.x[i]) <= 30]
        best = min(moderate, key=lambda i: profile.value[i])
        undecided = 0.0 if exam.logits else 0.5
        # The cheapest of those that are as cheap: a hinge is 0 for all right answers.
        ties = [
            i for i in moderate if profile.value[i] <= profile.value[best] + 1e-9 * span
        ]
        right = min(ties, key=lambda i: profile.x[i])
        if profile.x[right] < undecided - 1e-6:
            continue
        here = profile.at(undecided)[0]
        gain = here - profile.value[best]
        if profile.x[right] > undecided + 1e-6 or gain <= 1e-6 * span:
            at = profile.x[right]
            summary = (
                f"The cheapest prediction is on the wrong side: {profile.line.axis} "
                f"{at:.3g} costs {profile.value[right]:.4g} ({profile.line.words}), being "
                f"right costs {profile.value[finite[0]]:.4g}."
            )
            evidence = {
                "cheapest at": at,
                "loss there": profile.value[right],
                "loss when right": profile.value[finite[0]],
            }
            yield Found("error", summary, remedy, evidence)
            return
    yield from _rivals(exam, remedy)
    yield from _undecided(exam)
    yield from _confidence(exam)
    yield from _price_of_truth(exam)


def _rivals(exam: Examination, remedy: str) -> Iterator[Found]:
    """For each class: of all one-hot answers, is its own the cheapest?"""
    form = exam.form
    if not isinstance(form, MulticlassForm):
        return
    classes = min(form.classes, 8)
    for true in range(classes):
        costs = []
        for answer in range(classes):
            index = torch.full((1, *form.places), answer)
            logits = 6 * torch.nn.functional.one_hot(index, form.classes).double()
            input = form.prediction(logits.movedim(-1, 1))
            target = form.target(torch.full((1, *form.places), true))
            try:
                costs.append(exam.value(input, target))
            except Refused:
                return
        if not all(map(math.isfinite, costs)) or max(costs) - min(costs) == 0:
            continue
        cheapest = min(range(classes), key=lambda k: costs[k])
        slack = 1e-6 * (max(costs) - min(costs))
        if costs[true] > costs[cheapest] + slack:
            summary = (
                f"For class {true} the cheapest answer is class {cheapest}: "
                f"{costs[cheapest]:.4g} against {costs[true]:.4g} for the right one."
            )
            evidence = {"class": true, "loss by answer": costs}
            yield Found("error", summary, remedy, evidence)
            return


def _undecided(exam: Examination) -> Iterator[Found]:
    """With half of the labels 1, is the best constant a certain answer?"""
    form = exam.form
    if not isinstance(form, BinaryForm) or form.kind == "distances":
        return
    if math.prod(form.shape) != 1 or not exam.separable:
        return  # a ratio over a sample or batch, such as Dice, has no constant to judge
    best = balanced(exam)
    if best is None or abs(best) <= 3.95 or _ratio_like(exam):
        return
    exam.measure("minimiser", balanced_labels=best)
    constant = 1 / (1 + math.exp(-best)) if form.kind == "probabilities" else best
    summary = (
        f"With half of the labels 1 the best constant prediction is {constant:.3g}, a "
        "certain answer: the loss is biased towards one class."
    )
    remedy = (
        "Are probabilities handed to a loss for logits, or is a bias, sigmoid or margin "
        "added twice? A class weight belongs on the loss, not on the score"
    )
    yield Found("warning", summary, remedy, {"best constant": constant})


def balanced(exam: Examination) -> float | None:
    """The best constant score for labels of which half are 1, of two classes."""
    form = exam.form
    assert isinstance(form, BinaryForm)
    label = torch.ones((form.samples, *form.shape), dtype=torch.float64)
    label[::2] = 0
    target = form.target(label)
    scores = [i / 4 for i in range(-40, 41)]
    costs = []
    for score in scores:
        input = form.prediction(torch.full_like(label, score))
        costs.append(exam.value(input, target))
    if not all(map(math.isfinite, costs)) or max(costs) == min(costs):
        return None
    tie = 1e-6 * (max(costs) - min(costs))
    # Of equally good constants the most undecided: a hinge has many.
    return min(
        (s for s, c in zip(scores, costs, strict=True) if c <= min(costs) + tie), key=abs
    )


def _ratio_like(exam: Examination) -> bool:
    """Whether the loss behaves as a ratio such as Dice does, on a single label too.

    Those are 0 for the right answers and bounded, and one of balanced labels is worth
    giving up for the other.
    """
    right = max(p.value[0] for p in exam.mains)
    wrong = max(p.at(25.0 if exam.logits else 0.99)[0] for p in exam.mains)
    if not exam.logits:
        return right < 0.05 * wrong
    pulls = [abs(p.at(25.0)[1]) for p in exam.mains]
    return max(pulls) < 1e-3 * max(abs(s) for p in exam.mains for s in p.slope)


def _confidence(exam: Examination) -> Iterator[Found]:
    """How sure is the best answer, where a class is certain?"""
    form = exam.form
    sure = []
    if isinstance(form, BinaryForm):
        if form.task == "signed_scores" or math.prod(form.shape) != 1:
            return  # scores have no probability; a ratio is judged as a whole
        for label in (0.0, 1.0):
            right = 2 * label - 1
            labels = torch.full((1, *form.shape), label, dtype=torch.float64)
            target = form.target(labels)
            scores = [k / 8 for k in range(-40, 121)]
            inputs = [form.prediction(torch.full_like(labels, right * k)) for k in scores]
            sure.append(_sureness([exam.value(i, target) for i in inputs], scores, 2))
    else:
        assert isinstance(form, MulticlassForm)
        for true in range(min(form.classes, 8)):
            one_hot = torch.nn.functional.one_hot(
                torch.full((1, *form.places), true), form.classes
            )
            one_hot = one_hot.double().movedim(-1, 1)
            target = form.target(torch.full((1, *form.places), true))
            scores = [k / 8 for k in range(121)]
            costs = [exam.value(form.prediction(k * one_hot), target) for k in scores]
            sure.append(_sureness(costs, scores, form.classes))
    known = [p for p in sure if p is not None]
    if not known:
        return
    exam.measure("minimiser", confidence=min(known))
    remedy = (
        "Is a penalty on the prediction too strong, smoothing the wrong way round or on "
        "one class only? Mild label smoothing leaves 0.9 to every class"
    )
    if min(known) < 0.65:
        summary = (
            f"Even where a class is certain, the best answer gives it only "
            f"{min(known):.2g}: the loss does not let a model be sure."
        )
        yield Found("warning", summary, remedy, {"probability": min(known)})
    elif max(known) - min(known) > 0.05 and isinstance(form, BinaryForm):
        summary = (
            f"The best answers to certain labels are unequally sure: {sure[0]:.2g} for "
            f"label 0, {sure[1]:.2g} for label 1."
        )
        evidence = {"label 0": sure[0], "label 1": sure[1]}
        yield Found("warning", summary, remedy, evidence)


def _sureness(costs: list[float], scores: list[float], classes: int) -> float | None:
    """Probability of the true class at the cheapest score, None where it is anyone's."""
    if not all(map(math.isfinite, costs)) or max(costs) == min(costs):
        return None
    slack = 1e-9 * (max(costs) - min(costs))
    best = max(s for s, c in zip(scores, costs, strict=True) if c <= min(costs) + slack)
    return 1 / (1 + (classes - 1) * math.exp(-best))


def _price_of_truth(exam: Examination) -> Iterator[Found]:
    """Probabilities: does the exact truth cost something, without a logarithm?"""
    form = exam.form
    single = isinstance(form, MulticlassForm) or math.prod(form.shape) == 1
    if not form.task.endswith("probabilities") or not single or not exam.separable:
        return
    for profile in exam.mains:
        if len(profile.finite) < 20:
            continue
        right, wrong = profile.value[profile.finite[0]], profile.value[profile.finite[-1]]
        steep = abs(profile.slope[profile.finite[-1]])
        bounded = steep < 10 * abs(profile.at(0.5)[1])
        if not bounded or abs(right) <= 0.3 * abs(wrong - right):
            continue
        summary = (
            f"Being right with certainty costs {right:.3g}, not 0, and being wrong "
            f"{wrong:.3g}: for uncertain labels the best answer is not their probability."
        )
        remedy = (
            "Is a softmax or sigmoid applied to what are probabilities already, or is a "
            "logarithm missing? Take the loss for probabilities, or hand logits over"
        )
        yield Found("warning", summary, remedy, {"right": right, "wrong": wrong})
        return
