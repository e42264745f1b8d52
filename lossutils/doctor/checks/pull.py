"""How hard does the loss pull, where the prediction is wrong?"""

from __future__ import annotations

import math
from collections.abc import Iterator

from lossutils.doctor.checks.classes import balanced
from lossutils.doctor.examination import (
    SLOW,
    Examination,
    Found,
    Profile,
    check,
    largest,
)
from lossutils.doctor.forms import BinaryForm
from lossutils.doctor.patient import Refused


def sides(profile: Profile) -> Iterator[tuple[str, list[float], list[float]]]:
    """(words, distances from the truth ascending, sizes of the slope there), each side."""
    finite = profile.finite
    for sign, words in ((1, "above"), (-1, "below")):
        chosen = [i for i in finite if sign * profile.x[i] > 0]
        chosen.sort(key=lambda i: abs(profile.x[i]))
        if len(chosen) >= 8:
            yield (
                words,
                [abs(profile.x[i]) for i in chosen],
                [abs(profile.slope[i]) for i in chosen],
            )


@check(
    "plateau",
    "fit",
    ("warning", "note"),
    needs=("values", "steady", "gradient"),
    chapter=f"{SLOW}/three_losses_that_stall.html",
    classes=f"{SLOW}/look_at_your_loss.html",
)
def plateau(exam: Examination) -> Iterator[Found]:
    """Does the pull vanish where the prediction is far wrong?

    Probes: the slope along lines from right to wrong: errors up to 1,000 scales of the
    target, logits up to 30 against the truth; and whole batches of confident mistakes.

    Thresholds: a regression's slope that falls to 15 % within a ten-millionth of the error
    and stays below 20 %, or is below 1 % of its maximum at three scales of the target, or
    three times the errors of your own batch (unless `expects="mode"`, which says that far
    points should be ignored). For logits, a slope at 25 below 1 % of its maximum if it
    is exactly 0, if it was steady until it fell (a clamp), if the loss of a confident
    right answer is not 0 (a softmax or sigmoid twice, a forgotten logarithm), or if there
    are two classes only; a ratio over the batch and a loss of many classes that saturate
    smoothly, and are 0 when right, are a note. A slope that is 0 in the type you train in
    and not in float64. A batch of mistakes that pulls a millionth as hard as an ordinary
    one.

    Remedy: remove the clamp, or let the loss grow on beyond it as Huber's does; apply
    softmax or sigmoid once; add the same constant to numerator and denominator of a ratio.
    """
    if exam.regression:
        yield from _regression_plateau(exam)
        yield from _ignored_targets(exam)
        return
    if exam.logits:
        yield from _logits_plateau(exam)
    yield from _dead_batches(exam)


def _regression_plateau(exam: Examination) -> Iterator[Found]:
    scale = getattr(exam.form, "error", 0.0) or _scale(exam)
    pull = max(largest(a.gradient) for a in exam.typical)
    for profile in exam.mains:
        for words, x, slope in sides(profile):
            top = max(slope)
            if top <= 1e-9 * pull or not math.isfinite(top):
                continue
            fall = _fall(exam, profile, words, x, slope)
            if fall is not None:
                at, before, after = fall
                summary = (
                    f"The pull falls from {before:.4g} to {after:.4g} where the error "
                    f"passes {at:.4g} and stays there: far wrong predictions hardly move "
                    f"({profile.line.words})."
                )
                remedy = (
                    "Remove the clamp or cap; to bound the pull of outliers and keep one, "
                    "use Huber or Charbonnier"
                )
                evidence = {"error": at, "slope before": before, "slope after": after}
                yield Found("warning", summary, remedy, evidence)
                return
            near = [s for d, s in zip(x, slope, strict=True) if 2.9 * scale <= d]
            if (
                near
                and near[0] < 0.01 * top
                and max(near) < 0.01 * top
                and _starts_pulling(x, slope, scale)
                and exam.expects != "mode"
            ):
                summary = (
                    f"The pull vanishes for large errors: at {3 * scale:.3g} the slope is "
                    f"{near[0]:.3g}, its maximum {top:.3g} ({profile.line.words})."
                )
                remedy = (
                    "Start from good predictions, widen the loss's scale, or use one that "
                    'keeps pulling (Huber). If far points should be ignored: expects="mode"'
                )
                evidence = {"error": 3 * scale, "slope": near[0], "largest slope": top}
                yield Found("warning", summary, remedy, evidence)
                return


def _ignored_targets(exam: Examination) -> Iterator[Found]:
    """Targets for which no prediction is ever corrected."""
    tops = {p.line.words: max(map(abs, p.slope)) for p in exam.mains}
    dead = [words for words, top in tops.items() if top == 0]
    if dead and len(dead) < len(tops):
        summary = f"No prediction for {dead[0]} is ever corrected: its loss has no slope."
        remedy = (
            "A mask on the sign or size of the target switches these samples off; if they "
            "mark missing values, pass a batch of your own without them"
        )
        yield Found("warning", summary, remedy, {"without slope": dead})


def _scale(exam: Examination) -> float:
    if getattr(exam.form, "link", "identity") == "log":
        return 1.0
    return float(getattr(exam.form, "scale", 1.0))


def _starts_pulling(x: list[float], slope: list[float], scale: float) -> bool:
    """Whether the strongest pull is not at the truth itself, as of a root or logarithm."""
    return x[slope.index(max(slope))] > 1e-3 * scale


def _fall(
    exam: Examination, profile: Profile, side: str, x: list[float], slope: list[float]
) -> tuple[float, float, float] | None:
    """Where the slope jumps down to a tenth or less and stays: (error, before, after)."""
    sign = 1 if side == "above" else -1
    for i in range(len(x) - 1):
        if slope[i] <= 0 or slope[i + 1] >= 0.1 * slope[i]:
            continue
        if slope[i] < 0.05 * max(slope[: i + 1]):
            continue  # the last of a tail that fell smoothly
        reach = [s for d, s in zip(x, slope, strict=True) if x[i] < d <= 30 * x[i + 1]]
        if max(reach) > 0.2 * slope[i]:
            continue
        low, high = x[i], x[i + 1]
        before, after = slope[i], slope[i + 1]
        level = math.sqrt(before * max(after, 1e-6 * before))
        for _ in range(40):
            if high - low <= 1e-7 * high:
                break
            middle = (low + high) / 2
            try:
                _, s = exam.along(profile.line, sign * middle)
            except Refused:
                return None
            if abs(s) > level:
                low, before = middle, abs(s)
            else:
                high, after = middle, abs(s)
        if after < 0.15 * before and before > 0.5 * slope[i]:
            return low, before, after
    return None


def _logits_plateau(exam: Examination) -> Iterator[Found]:
    ignored = []
    note: Found | None = None
    yield from _rounded_away(exam)
    for profile in exam.mains:
        finite = profile.finite
        wrong = [i for i in finite if -10 <= profile.x[i] <= 30]
        if len(wrong) < 20:
            continue
        top = max(abs(profile.slope[i]) for i in wrong)
        if top == 0:
            ignored.append(profile.line.words)
            continue
        _, far = profile.at(25.0)
        far = abs(far)
        if not far < 1e-2 * top:
            continue
        half = next(
            (
                profile.x[i]
                for i in wrong
                if profile.x[i] > _peak(profile, wrong) and abs(profile.slope[i]) < top / 2
            ),
            25.0,
        )
        hundredth = next(
            (
                profile.x[i]
                for i in wrong
                if profile.x[i] > half and abs(profile.slope[i]) < top / 100
            ),
            25.0,
        )
        right = profile.at(-30.0)[0]
        middle = profile.at(0.0)[0]
        worst = profile.at(25.0)[0]
        clamped = half > 3 and (hundredth - half) < 0.75 * half
        lifted = abs(right) > 0.05 * max(abs(worst), abs(middle))
        evidence = {
            "slope at a logit of 25 against the truth": far,
            "largest slope": top,
            "loss of a confident right answer": right,
            "loss of a confident mistake": worst,
        }
        summary = (
            f"Confident mistakes hardly pull: at a logit of 25 against the truth the slope "
            f"is {far:.3g}, its maximum {top:.3g} ({profile.line.words})."
        )
        single = isinstance(exam.form, BinaryForm) and math.prod(exam.form.shape) == 1
        best = balanced(exam) if single and exam.separable else None
        # One label's overlap is a ratio, too: there a constant is best that is certain.
        two_class = best is not None and abs(best) < 3.95
        # In float32 a slope may round to 0 that only dies out: ask nearer, too.
        cut = far == 0 and (exam.eps < 1e-9 or profile.at(12.0)[1] == 0)
        if cut or clamped or lifted or two_class:
            cause = (
                "It is exactly 0, so a clamp or comparison cuts it off"
                if cut
                else "It is steady and then falls: an epsilon in the logarithm caps it"
                if clamped
                else f"The best loss is {right:.3g}, not 0: is a softmax or sigmoid "
                "applied twice, or a logarithm missing"
                if lifted
                else "The slope of the sigmoid itself dies out where the output is certain"
            )
            remedy = (
                f"{cause}. Take logits, and use one of log_softmax, logsigmoid, "
                "cross_entropy or binary_cross_entropy_with_logits, once"
            )
            yield Found("warning", summary, remedy, evidence)
            return
        elif note is None:
            remedy = (
                "Meant, if labels are noisy: such losses ignore what they cannot explain. "
                "Otherwise begin with cross-entropy"
            )
            note = Found("note", summary, remedy, evidence)
    if note is not None:
        yield note
    if ignored and len(ignored) < len(exam.mains):
        words = ignored[0]
        summary = f"No prediction for {words} is ever corrected: its loss has no slope."
        remedy = (
            "Meant, if that class is to be ignored (ignore_index); else a class is lost"
        )
        yield Found("note", summary, remedy, {"lines without slope": ignored})


def _rounded_away(exam: Examination) -> Iterator[Found]:
    """Whether the training type loses a pull that finer arithmetic has."""
    if exam.fine == exam.dtype or not exam.alone:
        return
    for profile in exam.mains:
        line = profile.line
        top = max((abs(profile.slope[i]) for i in profile.finite), default=0.0)
        for x in (25.0, 90.0):
            fine = abs(profile.at(x)[1]) if x == 25 else abs(exam.along(line, x)[1])
            try:
                _, slope = exam.patient.along(x, line.build, dtype=exam.dtype)
            except Refused:
                continue
            if not (slope == 0 and fine > 0.1 * top):
                continue
            name = str(exam.dtype).removeprefix("torch.")
            summary = (
                f"In {name} a confident mistake does not pull at all: at a logit of {x:g} "
                f"against the truth the slope is 0, in float64 {fine:.3g} ({line.words})."
            )
            remedy = (
                "A sigmoid or softmax rounds to exactly 0 or 1 before its logarithm is "
                "taken. Take logits: binary_cross_entropy_with_logits, cross_entropy"
            )
            yield Found("warning", summary, remedy, {"slope": slope, "in float64": fine})
            return


def _peak(profile: Profile, wrong: list[int]) -> float:
    """The last place where the slope is (nearly) largest."""
    top = max(abs(profile.slope[i]) for i in wrong)
    return max(profile.x[i] for i in wrong if abs(profile.slope[i]) > 0.95 * top)


def _dead_batches(exam: Examination) -> Iterator[Found]:
    usual = max(largest(a.gradient) for a in exam.typical)
    for batch in exam.form.hopeless():
        try:
            answer = exam.answer(batch.input, batch.target)
        except Refused:
            continue
        if answer.gradient is None or not answer.finite:
            continue
        pull = largest(answer.gradient)
        if not pull <= 1e-6 * usual:
            continue
        summary = (
            f"A batch of {batch.words} does not pull: the loss is {answer.value:.4g} and "
            f"its gradient {pull:.2g}, beside {usual:.2g} on an ordinary batch."
        )
        remedy = (
            "If it is a ratio such as Dice, add the same smoothing constant, about 1, to "
            "numerator and denominator, or add a cross-entropy; if a clamp, remove it"
        )
        evidence = {"value": answer.value, "gradient": pull, "ordinary gradient": usual}
        yield Found("warning", summary, remedy, evidence)
        return


@check(
    "explosion",
    "fit",
    ("warning", "note"),
    needs=("values", "steady", "gradient"),
)
def explosion(exam: Examination) -> Iterator[Found]:
    """Does the slope grow faster than the error, or without bound near the truth?

    Probes: slopes at errors of 3 and 30 scales, at 10⁻⁴ and 10⁻² scales, at logits of 10
    and 30 against the truth, and for targets of 1 and 0.001 scales.

    Thresholds: far away, growth with a power above 1.5 of the error (squared error has 1);
    near the truth, a slope five times that of an error a hundred times larger. Dividing
    by the target is a note, with the factor.

    Remedy: gradient clipping hides it; a loss that grows as the square or the absolute
    value removes it.
    """
    if exam.regression:
        yield from _far_and_near(exam)
        yield from _small_targets(exam)
    elif exam.logits:
        for profile in exam.mains:
            a, b = abs(profile.at(10.0)[1]), abs(profile.at(30.0)[1])
            growth = b / a if a > 0 else 0.0
            if not math.isnan(growth) and growth > 3**1.5:
                yield Found(
                    "warning",
                    f"The slope grows {growth:.3g}-fold from a logit of 10 to 30 against "
                    "the truth: a single confident mistake decides the step.",
                    "Use a loss that grows linearly with the logit: cross-entropy, hinge",
                    {"slope at 10": a, "slope at 30": b},
                )
                return


def _far_and_near(exam: Examination) -> Iterator[Found]:
    scale = _scale(exam)
    log_link = getattr(exam.form, "link", "identity") == "log"
    for profile in exam.mains:
        for _, x, slope in sides(profile):

            def at(d: float, x: list[float] = x, slope: list[float] = slope) -> float:
                i = min(range(len(x)), key=lambda i: abs(math.log(x[i] / (d * scale))))
                return slope[i] if abs(math.log(x[i] / (d * scale))) < 0.5 else math.nan

            near, middle, small = at(1e-4), at(1e-3), at(1e-2)
            # Steadily: a displaced minimum has a slope of 0 in between.
            if small > 0 and near > 5 * small and near > 1.5 * middle > 2 * small:
                summary = (
                    f"The slope grows without bound near the truth: {near:.4g} at an error "
                    f"of {1e-4 * scale:.2g}, {small:.4g} at {1e-2 * scale:.2g}. The better "
                    "the fit, the larger the steps."
                )
                remedy = (
                    "A root or logarithm of the error does this: add an epsilon on the "
                    "scale of the data inside it, or use the absolute or squared error"
                )
                evidence = {"slope at 1e-4": near, "slope at 1e-2": small}
                yield Found("warning", summary, remedy, evidence)
                return
            low, high = at(3.0), at(30.0)
            if log_link or not (low > 0 and not math.isnan(high)):
                continue
            growth = high / low
            if growth > 10**1.5:
                summary = (
                    f"The slope grows {growth:.3g}-fold from an error of {3 * scale:.3g} "
                    f"to {30 * scale:.3g}: faster than squared error, whose slope grows "
                    "10-fold. One outlier throws the model away."
                )
                remedy = "Use squared error or Huber; clip gradients until then"
                evidence = {"slope at 3 scales": low, "slope at 30 scales": high}
                yield Found("warning", summary, remedy, evidence)
                return


def _small_targets(exam: Examination) -> Iterator[Found]:
    form = exam.form
    input, _ = form.batch()
    scale = _scale(exam)
    if getattr(form, "link", "identity") == "log" or getattr(form, "center", 0):
        return
    one = 0 * input[:1] + scale
    pulls = []
    for size in (1.0, 1e-3):
        try:
            answer = exam.answer(one * (size + 0.5), one * size)
        except Refused:
            return
        pulls.append(largest(answer.gradient))
    if pulls[0] > 0 and math.isfinite(pulls[1]) and pulls[1] > 100 * pulls[0]:
        factor = pulls[1] / pulls[0]
        yield Found(
            "note",
            f"A target of {1e-3 * scale:g} pulls {factor:.3g} times as hard as one of "
            f"{scale:g}: the loss divides by the target.",
            "Keep targets away from 0, divide by (|target| + epsilon) with an epsilon on "
            "the scale of the data, or fit the logarithm",
            {"slope ratio": factor},
        )
