"""What does the loss estimate: where is its minimum, on which side does it err?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch

from lossutils.doctor.checks.classes import wrong_class
from lossutils.doctor.examination import (
    TAXONOMY,
    Examination,
    Found,
    Profile,
    Skip,
    check,
)
from lossutils.doctor.forms import BinaryForm, RegressionForm
from lossutils.doctor.patient import Refused


def _argmin(profile: Profile) -> int | None:
    finite = [i for i in range(len(profile.x)) if math.isfinite(profile.value[i])]
    return min(finite, key=lambda i: profile.value[i], default=None)


def _truth(profile: Profile) -> int:
    return min(range(len(profile.x)), key=lambda i: abs(profile.x[i]))


@check(
    "minimiser",
    "fit",
    ("error", "warning", "note"),
    needs=("values", "steady"),
    chapter=f"{TAXONOMY}/regression_losses.html",
    classes=f"{TAXONOMY}/classification_losses.html",
)
def minimiser(exam: Examination) -> Iterator[Found]:
    """Is the best prediction the truth?

    Probes: the lowest loss along each line through the truth, for several targets; in
    classification, whether the true class is the cheapest to predict, and by more the more
    confident, and the best answer sure of it. With `expects`, the best constant for 41
    skewed targets beside their mean, median or quantile.

    Thresholds: a displacement above 3 % of the targets' scale that lowers the loss by more
    than 10⁻⁶ of what an error of one scale costs. A best constant further than 5 % of the
    standard deviation from what was expected. In classification: a best answer on the
    wrong side, or a certain one for balanced labels; for a certain class a best answer of
    less than 0.65, or of 0.05 more for one of two classes; exact truth that costs 30 % of
    the range where there is no logarithm.

    Remedy: check signs, the order of the arguments, and terms that do not vanish at the
    truth: a linear term, a penalty on the prediction, a weight inside the square.
    """
    if exam.regression:
        found = list(_displaced(exam))
        yield from found
        if not found:
            yield from _unexpected(exam)
    else:
        yield from wrong_class(exam)


def _displaced(exam: Examination) -> Iterator[Found]:
    form = exam.form
    assert isinstance(form, RegressionForm)
    scale = 1.0 if form.link == "log" else form.scale
    worst: tuple[float, Profile, int] | None = None
    for profile in exam.profiles:
        best = _argmin(profile)
        truth = _truth(profile)
        if best is None or not math.isfinite(profile.value[truth]):
            continue
        one = [
            profile.value[i] - profile.value[best]
            for i in range(len(profile.x))
            if math.isfinite(profile.value[i]) and abs(profile.x[i]) <= 1.01 * scale
        ]
        span = max(one, default=0.0)
        gain = profile.value[truth] - profile.value[best]
        floor = 1e-6 * span + 16 * exam.eps * abs(profile.value[truth])
        shift = abs(profile.x[best])
        if gain > floor and shift > 0.03 * scale and (worst is None or shift > worst[0]):
            worst = shift, profile, best
    if worst is None:
        exam.measure("minimiser", displacement=0.0)
        return
    _, profile, best = worst
    edge = best in (0, len(profile.x) - 1)
    shift = profile.x[best] if edge else _refined(exam, profile, best)
    exam.measure("minimiser", displacement=shift)
    where = f"{shift:+.4g} from it" if not edge else f"as far away as tried ({shift:+.4g})"
    summary = (
        f"The best prediction is not the truth but {where} ({profile.line.words}): a "
        "perfectly trained model ends there."
    )
    remedy = (
        "Look for a sign or an argument exchanged, a term that does not vanish at the "
        "truth (linear, or a penalty on the prediction), or a loss that needs another link"
    )
    evidence = {
        "displacement": shift,
        "loss at the truth": profile.value[_truth(profile)],
        "loss there": profile.value[best],
    }
    yield Found("error", summary, remedy, evidence)


def _refined(exam: Examination, profile: Profile, best: int) -> float:
    low, high = profile.x[best - 1], profile.x[best + 1]
    return golden(lambda x: exam.cost(profile.line, x), low, high)


def golden(function: Callable[[float], float], low: float, high: float) -> float:
    """Minimum of a function of one hump, by golden sections."""
    ratio = (math.sqrt(5) - 1) / 2
    a, b = high - ratio * (high - low), low + ratio * (high - low)
    fa, fb = function(a), function(b)
    for _ in range(32):
        if fa <= fb:
            high, b, fb = b, a, fa
            a = high - ratio * (high - low)
            fa = function(a)
        else:
            low, a, fa = a, b, fb
            b = low + ratio * (high - low)
            fb = function(b)
    return (low + high) / 2


def _skewed() -> torch.Tensor:
    """41 targets with mean, median and mode apart: quantiles of an exponential."""
    q = (torch.arange(41, dtype=torch.float64) + 0.5) / 41
    return -torch.log1p(-q)


def _best_constant(exam: Examination, targets: torch.Tensor) -> float:
    form = exam.form
    assert isinstance(form, RegressionForm)
    t = form.center + form.scale * targets.reshape(-1, *[1] * len(form.shape))
    t = t.expand(-1, *form.shape)

    def value(c: float) -> float:
        found = exam.value(torch.full_like(t, c), t)
        return found if math.isfinite(found) else math.inf

    grid = torch.linspace(float(t.min()), float(t.max()), 24, dtype=torch.float64).tolist()
    costs = [value(c) for c in grid]
    k = min(range(len(grid)), key=lambda i: costs[i])
    low, high = grid[max(k - 1, 0)], grid[min(k + 1, len(grid) - 1)]
    return (golden(value, low, high) - form.center) / form.scale


def _unexpected(exam: Examination) -> Iterator[Found]:
    form = exam.form
    assert isinstance(form, RegressionForm)
    if form.link == "log" or not exam.alone:
        return
    targets = _skewed()
    try:
        best = _best_constant(exam, targets)
    except Refused:
        return
    mean, median = float(targets.mean()), float(targets.median())
    exam.measure("minimiser", best_constant=best, mean=mean, median=median)
    expects = exam.expects
    if expects is None or expects == "mode":
        return
    if expects == "mean":
        wanted = mean
    elif expects == "median":
        wanted = median
    else:
        wanted = float(torch.quantile(targets, float(expects)))
    exam.measure("minimiser", wanted=wanted)
    tolerance = 0.05 * float(targets.std())
    if not isinstance(expects, str):
        # Between two of 41 targets every constant is as good: a gap of 1/41 on each side.
        low = float(torch.quantile(targets, max(float(expects) - 1.5 / 41, 0.0)))
        high = float(torch.quantile(targets, min(float(expects) + 1.5 / 41, 1.0)))
        if low - tolerance <= best <= high + tolerance:
            return
    if abs(best - wanted) <= tolerance:
        return
    name = expects if isinstance(expects, str) else f"{float(expects):g}-quantile"
    below = float((targets < best).double().mean())
    summary = (
        f"The loss does not estimate the {name}: for targets whose {name} is {wanted:.3g} "
        f"its best constant is {best:.3g}, their {below:.2f}-quantile "
        f"(mean {mean:.3g}, median {median:.3g})."
    )
    remedy = (
        "Squared error estimates the mean, absolute error the median, the pinball loss "
        "max((1 − q) e, −q e), with e = input − target, the q-quantile"
    )
    evidence = {"best constant": best, "wanted": wanted, "share of targets below": below}
    yield Found("warning", summary, remedy, evidence)


@check(
    "asymmetry",
    "fit",
    ("warning", "note"),
    needs=("values", "steady"),
    chapter=f"{TAXONOMY}/regression_losses.html",
    classes=f"{TAXONOMY}/classification_losses.html",
)
def asymmetry(exam: Examination) -> Iterator[Found]:
    """Is an error too high as expensive as one too low?

    Probes: the loss at errors of the same size above and below, from 0.01 to 3 scales;
    for two classes, the loss of the same mistake on either.

    Thresholds: costs that differ by more than 10 %, for seven targets of ten. With a
    quantile as `expects`, `minimiser` judges instead. On positive numbers only small
    errors count, since relative and logarithmic errors are meant to be uneven; with several
    outputs, too, since a direction may be all that counts. Two classes that differ are a
    note.

    Remedy: a pinball or expectile loss is asymmetric by design: say which quantile is
    meant with `expects=`. Otherwise look for a sign, or an abs that is missing.
    """
    if isinstance(exam.form, BinaryForm):
        yield from _class_asymmetry(exam)
        return
    if not isinstance(exam.form, RegressionForm):
        raise Skip("needs a regression or two classes")
    if isinstance(exam.expects, float) and exam.expects != 0.5:
        return
    form = exam.form
    scale = 1.0 if form.link == "log" else form.scale
    sizes: tuple[float, ...] = (1e-2, 0.1, 1.0, 3.0)
    if form.positive:
        sizes = (1e-2, 3e-2)
    elif math.prod(form.shape) > 1:
        sizes = (1e-2,)  # a cosine distance sees the direction, not the length
    per_line = []
    for profile in exam.mains:
        truth = profile.value[_truth(profile)]
        near = [
            (v, x)
            for v, x in zip(profile.value, profile.x, strict=True)
            if abs(x) <= 3.3 * scale
        ]
        # The size that shows it best: the largest of those where it is marked.
        worst = (0.0, 0.0, 0.0, 0.0)
        for size in sizes:
            up, down = profile.at(size * scale)[0], profile.at(-size * scale)[0]
            above, below = up - truth, down - truth
            reach = max((v for v, _ in near if math.isfinite(v)), default=truth) - truth
            noise = 64 * exam.eps * max(abs(up), abs(down), abs(truth)) + 1e-7 * reach
            if not (above > noise and below > noise):
                continue
            skew = abs(math.log(above / below))
            if skew > 1.05 * worst[0] or (skew > 0.95 * worst[0] and size <= 1):
                worst = skew, size * scale, above, below
        per_line.append((*worst, profile))
    # A penalty on the prediction pulls to 0 from either side: not seen at target 0.
    skewed = sum(w[0] > math.log(1.1) for w in per_line)
    if not per_line or skewed < 0.7 * len(per_line):
        return
    _, size, above, below, profile = max(per_line, key=lambda w: w[0])
    dear, cheap = ("high", "low") if above > below else ("low", "high")
    share = below / (above + below)
    summary = (
        f"Predictions too {dear} by {size:.3g} cost {max(above, below):.4g}, too {cheap} "
        f"{min(above, below):.4g}: the model will err on the {cheap} side."
    )
    remedy = (
        f"If meant, say so: a pinball loss with this ratio estimates the "
        f"{share:.2g}-quantile, expects={share:.2g}; an expectile or LINEX loss has such "
        "a ratio by design. Otherwise look for a wrong sign or a weight on one side"
    )
    evidence = {"error": size, "too high": above, "too low": below, "ratio": above / below}
    yield Found("warning", summary, remedy, evidence)


def _class_asymmetry(exam: Examination) -> Iterator[Found]:
    ones = [p for p in exam.mains if p.line.words == "target 1"]
    others = [p for p in exam.mains if p.line.words in ("target 0", "target −1")]
    if not ones or not others:
        return
    x = 2.0 if exam.logits else 0.9
    one, other = ones[0].at(x)[0], others[0].at(x)[0]
    best = ones[0].value[0], others[0].value[0]
    a, b = one - best[0], other - best[1]
    if a > 0 and b > 0 and abs(math.log(a / b)) > math.log(1.1):
        yield Found(
            "note",
            f"The same mistake costs {a:.4g} on label 1 and {b:.4g} on the other: the "
            "classes are weighted, and outputs are no longer calibrated probabilities.",
            "Nothing, if class weights are meant; move the decision threshold accordingly",
            {"label 1": a, "other label": b},
        )


@check("bounded-below", "fit", ("error",), needs=("values", "steady"))
def bounded_below(exam: Examination) -> Iterator[Found]:
    """Does the loss have a floor?

    Probes: the lines' ends: errors of 10, 100 and 1,000 scales, logits of 10, 100 and
    1,000 for and against the truth.

    Thresholds: from 100 to 1,000 the loss falls by at least half as much as from 10 to
    100, to below everything near the truth. A negative value alone is no fault: a log
    density may have one.

    Remedy: look for a logarithm that is missing (the negative log-likelihood of
    probabilities), a difference of two losses, or targets outside [0, 1] in a
    cross-entropy (masks of 255).
    """
    form = exam.form
    scale = form.scale if isinstance(form, RegressionForm) else 1.0
    if not (exam.regression or exam.logits):
        raise Skip("probabilities are bounded")
    if isinstance(form, RegressionForm) and form.link == "log":
        raise Skip("predictions are logarithms of targets here")
    for profile in exam.profiles:
        for sign in (1, -1):
            if exam.regression:
                side = "too high" if sign > 0 else "too low"
            else:
                side = "wrong" if sign > 0 else "right"
            points = [profile.at(sign * size * scale)[0] for size in (10, 100, 1000)]
            reached = abs(profile.x[-1 if sign > 0 else 0])
            if not all(map(math.isfinite, points)) or reached < 900 * scale:
                continue
            ten, hundred, thousand = points
            near = [
                v
                for x, v in zip(profile.x, profile.value, strict=True)
                if abs(x) <= 3.1 * scale and math.isfinite(v)
            ]
            span = max(near) - min(near)
            falls = ten - hundred > 1e-3 * span
            if (
                falls
                and hundred - thousand >= 0.5 * (ten - hundred)
                and thousand < min(near)
            ):
                summary = (
                    f"The loss has no floor: the more the prediction is {side}, the lower, "
                    f"{ten:.4g}, {hundred:.4g}, {thousand:.4g} at 10, 100 and 1,000 "
                    f"({profile.line.words}). Training will run away."
                )
                remedy = (
                    "Is a logarithm or softmax missing, is it a difference of losses, or "
                    "are targets outside the range that the formula is made for (a mask of "
                    "255 in a cross-entropy: divide by 255)"
                )
                evidence = {"at 10": ten, "at 100": hundred, "at 1,000": thousand}
                yield Found("error", summary, remedy, evidence)
                return
