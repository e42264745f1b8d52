"""How does the loss behave on the way: jumps, curvature, outliers, noise, first value?"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import torch

import lossutils.doctor.response as response
from lossutils.doctor.checks.estimate import golden
from lossutils.doctor.checks.pull import sides
from lossutils.doctor.examination import (
    NOISE,
    SLOW,
    TAXONOMY,
    Examination,
    Found,
    Profile,
    Skip,
    check,
)
from lossutils.doctor.forms import BinaryForm, MulticlassForm, RegressionForm
from lossutils.doctor.patient import Refused


def _scale(exam: Examination) -> float:
    form = exam.form
    if isinstance(form, RegressionForm) and form.link == "identity":
        return form.scale
    return 1.0


def _near_span(exam: Examination, profile: Profile) -> float:
    """What the loss ranges over within ordinary errors."""
    reach = 1.01 * _scale(exam) if exam.regression else 3.0
    values = [
        v
        for x, v in zip(profile.x, profile.value, strict=True)
        if abs(x) <= reach and math.isfinite(v)
    ]
    return max(values) - min(values) if values else 0.0


@check("continuity", "fit", ("warning",), needs=("values", "steady", "gradient"))
def continuity(exam: Examination) -> Iterator[Found]:
    """Does the value jump between neighbouring predictions?

    Probes: the middle of neighbours on every line, beside the cubic through their values
    and slopes; where they disagree, halving finds the place.

    Thresholds: a jump of 0.1 % of the loss's range over ordinary errors that remains
    across a billionth of the distance (a millionth where float32 is all there is).

    Remedy: two branches of a torch.where have to meet where they join; counts,
    comparisons and rounding jump and have no slope.
    """
    width = 1e-9 if exam.eps < 1e-9 else 1e-6
    for profile in exam.profiles:
        span = _near_span(exam, profile)
        if span == 0:
            continue
        for _, i in sorted(_uneven(exam, profile, span), reverse=True)[:8]:
            at, jump, steep = _jump(exam, profile, i, width)
            reach = max(abs(at), 1e-3)
            if jump <= 1e-3 * span + 10 * steep * width * reach:
                continue
            summary = (
                f"The value jumps by {jump:.4g} at {profile.line.axis} {at:.4g} "
                f"({profile.line.words}); the gradient knows nothing of it."
            )
            remedy = (
                "Make the branches of torch.where meet, by adding the missing constant; "
                "replace counts, comparisons and rounding by smooth functions"
            )
            yield Found("warning", summary, remedy, {"at": at, "jump": jump})
            return


def _uneven(
    exam: Examination, profile: Profile, span: float
) -> Iterator[tuple[float, int]]:
    """(how much, where) the loss between neighbours is not what their slopes promise."""
    limit = 30 * _scale(exam)
    if exam.logits and exam.eps > 1e-9:
        limit = 8.0  # saturated probabilities round in visible steps
    for i, j in itertools.pairwise(profile.finite):
        low, high = profile.x[i], profile.x[j]
        if j != i + 1 or max(abs(low), abs(high)) > limit:
            continue
        step = high - low
        bend = (profile.slope[i] - profile.slope[j]) * step
        middle = (profile.value[i] + profile.value[j]) / 2 + bend / 8
        try:
            found = exam.cost(profile.line, (low + high) / 2)
        except Refused:
            continue
        off = abs(found - middle)
        if math.isfinite(off) and off > 0.02 * abs(bend) + 1e-4 * span:
            yield off, i


def _jump(
    exam: Examination, profile: Profile, i: int, width: float
) -> tuple[float, float, float]:
    """Where between neighbours the value jumps, by how much, and the slope there."""
    ends = [(profile.x[k], profile.value[k], profile.slope[k]) for k in (i, i + 1)]

    def unexplained(a: tuple[float, ...], b: tuple[float, ...]) -> float:
        off = abs(b[1] - a[1] - (a[2] + b[2]) / 2 * (b[0] - a[0]))
        return off if math.isfinite(off) else 0.0

    low, high = ends
    for _ in range(60):
        if high[0] - low[0] <= width * max(abs(low[0]), abs(high[0]), 1e-3):
            break
        x = (low[0] + high[0]) / 2
        try:
            middle = (x, *exam.along(profile.line, x))
        except Refused:
            break
        if unexplained(low, middle) > unexplained(middle, high):
            high = middle
        else:
            low = middle
    jump = abs(high[1] - low[1])
    steep = max(abs(low[2]), abs(high[2]))
    return high[0], jump if math.isfinite(jump + steep) else 0.0, steep


@check(
    "conditioning",
    "fit",
    ("warning",),
    needs=("values", "steady", "gradient"),
    chapter=f"{SLOW}/conditioning_measured.html",
)
def conditioning(exam: Examination) -> Iterator[Found]:
    """Do the curvatures differ so much that one learning rate cannot serve all?

    Probes: the Hessian of a sample's loss with respect to its outputs, by differences of
    gradients at the truth; and how the loss grows from errors of 0.01 to 0.1 scales.

    Thresholds: a ratio of 100 between the largest and the smallest curvature that is not
    0; growth with a power above 2.6 (squared error has 2), which is a flat bottom where
    gradient descent crawls. Above 6 it is a dead zone, as of the ε-insensitive loss.

    Remedy: standardise the targets, one by one, or weigh the outputs so that their
    curvatures agree.
    """
    if not exam.regression:
        raise Skip("needs a regression task")
    yield from _between_outputs(exam)
    yield from _flat_bottom(exam)


def _between_outputs(exam: Examination) -> Iterator[Found]:
    several = [f for f in exam.forms if isinstance(f, RegressionForm) and f.shape]
    form = next((f for f in several if 1 < math.prod(f.shape) <= 16), None)
    if form is None or not exam.alone:
        return
    _, target = form.batch()
    target = target[:1]
    truth = form.truth(target)
    count = math.prod(form.shape)
    h = (0.03 if exam.eps < 1e-9 else 0.2) * _scale(exam)
    rows = []
    for k in range(count):
        step = torch.zeros(count, dtype=torch.float64)
        step[k] = h
        step = step.reshape(truth.shape)
        up, down = exam.answer(truth + step, target), exam.answer(truth - step, target)
        if up.gradient is None or down.gradient is None:
            return
        rows.append(((up.gradient - down.gradient) / (2 * h)).flatten().cpu().double())
    hessian = torch.stack(rows)
    if not bool(hessian.isfinite().all()):
        raise Skip("the gradient near the truth is not finite")
    eigenvalues = torch.linalg.eigvalsh((hessian + hessian.T) / 2)
    low, high = float(eigenvalues[0]), float(eigenvalues[-1])
    if high <= 0 or low <= 1e-9 * high:
        return  # flat directions: cosine distance does not see the length
    exam.measure("conditioning", condition_number=high / low)
    if high / low > 100:
        summary = (
            f"One output is curved {high / low:,.0f} times as strongly as another: a "
            "learning rate that is safe for the first is far too small for the second."
        )
        remedy = (
            "Standardise each target, or weigh the terms so that their curvatures agree. "
            f"Gradient descent needs about {high / low:,.0f} steps where one would do"
        )
        evidence = {"largest curvature": high, "smallest": low, "ratio": high / low}
        yield Found("warning", summary, remedy, evidence)


def _flat_bottom(exam: Examination) -> Iterator[Found]:
    scale = _scale(exam)
    powers = []
    for profile in exam.mains:
        truth = profile.value[len([x for x in profile.x if x < 0])]
        for sign in (1, -1):
            near = profile.at(sign * 1e-2 * scale)[0] - truth
            far = profile.at(sign * 1e-1 * scale)[0] - truth
            if near > 64 * exam.eps * max(abs(truth), 1e-300) and far > near:
                powers.append(math.log10(far / near))
    if not powers or min(powers) <= 2.6:
        return
    power = min(powers)
    if power > 6:
        return  # a dead zone that the smaller error lies in, as support vectors have it
    summary = (
        f"The bottom is flat: near the truth the loss grows as the error to the power "
        f"{power:.2g}, so the pull dies out long before the fit is good."
    )
    remedy = "Use squared or absolute error near the truth, or add a little of it"
    yield Found("warning", summary, remedy, {"power": power})


@check(
    "convexity",
    "fit",
    ("warning", "note"),
    needs=("values", "steady", "gradient"),
    chapter=f"{TAXONOMY}/outlier_sensitivity.html",
    classes=f"{TAXONOMY}/classification_losses.html",
)
def convexity(exam: Examination) -> Iterator[Found]:
    """Is there one valley only?

    Probes: on lines from the truth outwards, whether the loss falls again, and whether
    its slope decreases.

    Thresholds: a fall by 1 % of the range over ordinary errors (5 % in classification,
    where the other classes share in it) is a warning: another
    minimum, in which training can end. A slope that decreases by more than 1 % of its
    maximum is a note: not convex.

    Remedy: start near the truth, or use a loss that only rises; for angles, wrap the
    error first.
    """
    bent = False
    for profile in exam.mains:
        span = _near_span(exam, profile)
        start = _argmin_x(profile)
        if span == 0 or start is None:
            continue
        reach = 100 * _scale(exam) if exam.regression else 30.0
        for sign in (1, -1) if exam.regression else (1,):
            indices = [
                i
                for i in profile.finite
                if sign * (profile.x[i] - start) >= 0 and abs(profile.x[i]) <= reach
            ]
            indices.sort(key=lambda i: abs(profile.x[i] - start))
            top, top_at = -math.inf, start
            for i in indices:
                if profile.value[i] > top:
                    top, top_at = profile.value[i], profile.x[i]
                elif top - profile.value[i] > (0.01 if exam.regression else 0.05) * span:
                    summary = (
                        f"The loss falls again where the prediction gets worse: {top:.4g} "
                        f"where it is {top_at:.3g}, {profile.value[i]:.4g} where it is "
                        f"{profile.x[i]:.3g} ({profile.line.axis}; {profile.line.words})."
                    )
                    remedy = (
                        "Training can end in the wrong valley. Use a loss that only rises "
                        "with the error. Of an angle each valley is the same answer: fine"
                    )
                    evidence = {"top": top, "at": top_at, "lower at": profile.x[i]}
                    # A ratio over the batch shares what it costs among the classes.
                    alone = exam.regression or exam.separable
                    yield Found("warning" if alone else "note", summary, remedy, evidence)
                    return
            slopes = [sign * profile.slope[i] for i in indices]
            steep = max(slopes, default=0.0)
            tops = itertools.accumulate(slopes, max)
            falls = max((a - b for a, b in zip(tops, slopes, strict=True)), default=0.0)
            bent |= steep > 0 and falls > 0.01 * steep
    exam.measure("convexity", convex=not bent)
    if bent:
        yield Found(
            "note",
            "The loss is not convex in the prediction: its slope decreases further out.",
            "Nothing, if meant: robust and bounded losses are not. Start from a good guess",
            {"convex": False},
        )


def _argmin_x(profile: Profile) -> float | None:
    finite = profile.finite
    if not finite:
        return None
    return profile.x[min(finite, key=lambda i: profile.value[i])]


@check(
    "outliers",
    "fit",
    ("note",),
    needs=("values", "steady", "gradient"),
    chapter=f"{TAXONOMY}/outlier_sensitivity.html",
)
def outliers(exam: Examination) -> Iterator[Found]:
    """How much can one far point pull?

    Probes: the largest slopes about errors of 10 and of 1,000 scales.

    Thresholds: from 10 to 1,000 scales it grows with a power above 0.05 of the error
    (unbounded), falls with one below −0.05 (redescending), or stays (bounded).

    Remedy: none needed. For data with outliers, prefer a bounded or redescending one.
    """
    form = exam.form
    if not isinstance(form, RegressionForm):
        raise Skip("needs a regression task")
    if form.link == "log":
        raise Skip("predictions are logarithms of targets here")
    if not exam.separable:
        raise Skip("samples are coupled: what one point pulls depends on the others")
    per_side = []
    for profile in exam.mains:
        for side, x, slope in sides(profile):
            if x[-1] >= 900 * form.scale:

                def at(d: float, x: list[float] = x, slope: list[float] = slope) -> float:
                    # The largest about there: the slope of a periodic loss comes and goes.
                    low, high = d * form.scale / 3.2, d * form.scale * 1.01
                    return max(s for e, s in zip(x, slope, strict=True) if low <= e <= high)

                bound = _steepest(exam, profile, side, x, slope)
                per_side.append((at(10), at(1000), bound))
    if not per_side:
        raise Skip("errors of 1,000 scales are outside its domain")
    near, far, _ = max(per_side, key=lambda s: s[1])
    bound = max(s[2] for s in per_side)
    power = math.log10(far / near) / 2 if near > 0 and far > 0 else -math.inf
    if power > 0.05:
        kind = "unbounded"
        summary = (
            f"Influence is unbounded: a point 1,000 scales away pulls {far / near:.3g} "
            "times as hard as one 10 scales away."
        )
    elif power < -0.05:
        kind = "redescending"
        summary = (
            f"Influence is redescending: a point pulls at most {bound:.4g}, and the less "
            "the further it is away."
        )
    else:
        kind = "bounded"
        summary = f"Influence is bounded: no point pulls with more than {bound:.4g}."
    evidence = {"slope at 10 scales": near, "slope at 1,000 scales": far}
    exam.measure("outliers", influence=kind, **{"largest slope": bound})
    remedy = (
        "With outliers in the data, use a bounded loss (absolute error, Huber)"
        if kind == "unbounded"
        else "Nothing; points that are far and right count no more than this"
    )
    yield Found("note", summary, remedy, evidence)


def _steepest(
    exam: Examination, profile: Profile, side: str, x: list[float], slope: list[float]
) -> float:
    """The largest slope of one side, between the grid's points too."""
    k = slope.index(max(slope))
    if k in (0, len(x) - 1):
        return slope[k]
    sign = 1 if side == "above" else -1

    def falling(d: float) -> float:
        return -abs(exam.along(profile.line, sign * d)[1])

    best = golden(falling, x[k - 1], x[k + 1])
    return max(slope[k], -falling(best))


@check(
    "noise",
    "fit",
    ("note",),
    needs=("values", "gradient"),
    chapter=f"{NOISE}/nonlinear_parts.html",
)
def noise(exam: Examination) -> Iterator[Found]:
    """What does noise do to the value?

    Probes: 4,000 samples with Gaussian noise on the predictions (0.1 scales), with noise
    that multiplies them (10 %), and on the targets: the mean change of the loss beside
    second-order theory, σ²/2 times the curvature, with the standard error of what differs.

    Thresholds: a note where the change of the value is more than five standard errors
    from what theory predicts and more than 20 % off: kinks, edges and large noise; then
    averaging does not remove the effect of noise.

    Remedy: none needed; less noise, or a smoother loss.
    """
    if not exam.steady:
        raise Skip("the loss is random itself: see deterministic")
    if not exam.alone:
        raise Skip("samples cannot be looked at one by one")
    places = ("input", "multiplicative", "target")
    biases = {kind: response.bias(exam, kind) for kind in places}
    if not any(biases.values()):
        raise Skip("noise carries the predictions and the targets out of their domain")
    for kind, found in biases.items():
        if found is None:
            continue
        exam.measure("noise", **{f"{kind}_{k}": v for k, v in found.items()})
        off = abs(found["measured"] - found["predicted"])
        if off > 5 * found["error"] and off > 0.2 * abs(found["predicted"]) + 1e-12:
            words = {
                "input": "Noise of 0.1 scales on the predictions",
                "multiplicative": "Noise that multiplies the predictions by 1 ± 0.1",
                "target": "Noise of 0.1 scales on the targets",
            }[kind]
            summary = (
                f"{words} changes the mean loss by {found['measured']:.3g}, where half the "
                f"variance times the curvature predicts {found['predicted']:.3g}: a kink "
                "or an edge is within reach of the noise."
            )
            remedy = "Nothing; expect another shift than the curvature at one point says"
            yield Found("note", summary, remedy, found)


@check(
    "initial-value",
    "fit",
    ("warning", "note"),
    needs=("values", "steady"),
    chapter=f"{TAXONOMY}/classification_losses.html",
)
def initial_value(exam: Examination) -> Iterator[Found]:
    """What should the loss be before training, and can it get well below that?

    Probes: the loss of equal logits or probabilities beside log C, and of a confident,
    right answer.

    Thresholds: where the loss of an uninformed answer is within 0.1 % of log C, that of a
    confident right one should be near 0: above 42 % of it, a softmax or sigmoid is
    applied twice (label smoothing of 0.1 stays below 30 %).

    Remedy: compare the first printed loss with this number; if it is higher, look at the
    data, the labels and the initialisation, before the loss.
    """
    form = exam.form
    if isinstance(form, RegressionForm):
        raise Skip("needs a classification task")
    input, target = exam.own if exam.own is not None else form.batch(10)
    classes = form.classes if isinstance(form, MulticlassForm) else 2
    assert isinstance(form, (BinaryForm, MulticlassForm))
    uninformed = form.prediction(torch.zeros_like(input, dtype=torch.float64))
    try:
        first = exam.value(uninformed, target)
    except Refused:
        raise Skip("it takes no uninformed prediction") from None
    if not math.isfinite(first):
        raise Skip("the loss of an uninformed prediction is not finite")
    exam.measure("initial-value", uninformed=first, log_classes=math.log(classes))
    floor, settles = _floor(exam)
    logarithmic = abs(first / math.log(classes) - 1) < 1e-3
    if logarithmic and settles and floor > 0.42 * first:
        summary = (
            f"The best answer still costs {floor:.4g}, {100 * floor / first:.0f} % of the "
            f"{first:.4g} that an uninformed one costs (log {classes}): the loss cannot "
            "come down."
        )
        remedy = (
            "Is a softmax or sigmoid applied twice, in the model and in the loss? Hand the "
            "loss what its name says, logits or probabilities"
        )
        evidence = {"uninformed": first, "best": floor, "log C": math.log(classes)}
        yield Found("warning", summary, remedy, evidence)
        return
    words = f" (log {classes})" if logarithmic else ""
    yield Found(
        "note",
        f"A model that knows nothing should start near {first:.4g}{words}.",
        "If training starts well above, look at the labels and at the last layer's scale",
        {"uninformed": first, "best": floor},
    )


def _floor(exam: Examination) -> tuple[float, bool]:
    """The least that right answers cost, and whether more confidence costs no more.

    A penalty on the prediction or smoothed labels have a floor, too, but below it lies a
    most confident answer that costs more.
    """
    form = exam.form
    costs = []
    if isinstance(form, MulticlassForm):
        for true in range(min(form.classes, 8)):
            index = torch.full((1, *form.places), true)
            one_hot = torch.nn.functional.one_hot(index, form.classes).double()
            one_hot = one_hot.movedim(-1, 1)
            sizes = [k / 2 for k in range(41)]
            answers = [form.prediction(k * one_hot) for k in sizes]
            if form.kind == "probabilities":
                answers.append(one_hot)
            target = form.target(index)
            costs.append([exam.value(answer, target) for answer in answers])
    else:
        right = [
            [i for i, x in enumerate(p.x) if x <= 0.5 and math.isfinite(p.value[i])]
            for p in exam.mains
        ]
        pairs = zip(exam.mains, right, strict=True)
        costs = [[p.value[i] for i in reversed(indices)] for p, indices in pairs]
    costs = [cost for cost in costs if cost and all(map(math.isfinite, cost))]
    if not costs:
        return 0.0, False
    worst = max(costs, key=min)
    return min(worst), worst[-1] <= min(worst) * 1.001
