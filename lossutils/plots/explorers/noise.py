"""The noise explorer: what noise does to a loss and to its gradient, by where it enters.

Page and script stand beside this file. The first state is drawn here, by the steps of
noise.js, so that the picture is there without script too.
"""

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import NamedTuple

import numpy as np

from lossutils.plots.explorers import _svg
from lossutils.plots.explorers._svg import (
    Choice,
    Page,
    Panel,
    Range,
    Scene,
    Slider,
    clamp,
    element,
    fixed,
    number,
    shift,
    shown,
)
from lossutils.plots.figures import Array

__all__ = ["Moments", "NoiseExplorer", "noise_explorer"]

PANEL = Panel(left=46, upper=24, right=314, lower=192, width=330, height=230)
along, up = PANEL.along, PANEL.up

PREDICTIONS = -1.0, 5.0
ROOM = 90  # for a label beside a line, in pixels
COARSE, FINE, EQUAL = 1000, 8000, 400  # points for curves, for numbers, for quantiles

CHOICES = {
    "loss": Choice(
        "Loss", {"mse": "MSE", "mae": "MAE", "huber": "Huber", "log_cosh": "log-cosh"}
    ),
    "noise": Choice(
        "Noise",
        {
            "gaussian": "Gaussian",
            "laplace": "Laplace",
            "uniform": "uniform",
            "student_t": "Student’s t, 3 df",
        },
    ),
    "where": Choice(
        "Where it enters",
        {
            "target": "target: t + z",
            "prediction": "prediction: p(1 + z)",
            "value": "loss value: L + z",
        },
    ),
}
SLIDERS = {
    "level": Slider("Noise level σ", 0.0, 1.5, 0.05),
    "prediction": Slider("Prediction p", *PREDICTIONS, 0.05),
}
PANELS = {"value": ("Loss", "loss"), "slope": ("Its gradient", "gradient")}
TITLES = {"values": "Noisy loss", "slopes": "Noisy gradient"}


@dataclass(frozen=True)
class Moments:
    """Of the loss value, or of its gradient, at one prediction.

    Attributes
    ----------
    clean : float
        Without noise.
    mean, sd : float
        Expectation and standard deviation under the noise.
    """

    clean: float
    mean: float
    sd: float


@dataclass(frozen=True)
class NoiseExplorer(Page):
    """What `noise_explorer` returns; a notebook shows it.

    Attributes
    ----------
    html : str
        Self-contained: no other file, no network, no kernel.
    value, gradient : Moments
        clean, mean and sd of the loss value and of its gradient in the first state; the
        sd is infinite where none exists.
    minimum : float
        Prediction at which the expected loss is least in the first state.
    target, level, prediction : float
    loss, noise, where : str
    """

    value: Moments = field(repr=False)
    gradient: Moments = field(repr=False)
    minimum: float = field(repr=False)
    target: float
    level: float
    prediction: float
    loss: str
    noise: str
    where: str


def noise_explorer(
    *,
    target: float = 2.0,
    level: float = 0.5,
    prediction: float = 3.0,
    loss: str = "mse",
    noise: str = "gaussian",
    where: str = "target",
    id: str = "noise-explorer",
) -> NoiseExplorer:
    """Let the reader put noise on a loss and see what it does to value and gradient.

    Loss, kind of noise, where it enters, its level, and the prediction are controls. The
    curves show the clean loss, its expectation under the noise and its 5 % to 95 % band
    over the prediction; the histograms, how value and gradient scatter at one prediction.

    Parameters
    ----------
    target : float
        From -1 to 5, the predictions shown. Default 2.
    level : float
        Standard deviation σ of the noise at first, from 0 to 1.5, rounded to 0.05: in
        units of the target, of the loss for `where="value"`, or a share of the prediction
        for `where="prediction"`. Default 0.5.
    prediction : float
        At first, from -1 to 5, rounded to 0.05. Default 3.
    loss : {"mse", "mae", "huber", "log_cosh"}
        At first. Huber's δ is 1. Default "mse", the squared error.
    noise : {"gaussian", "laplace", "uniform", "student_t"}
        At first; Student's t has 3 degrees of freedom. Default "gaussian".
    where : {"target", "prediction", "value"}
        Where the noise z enters at first: t + z, p(1 + z) or L + z. Default "target".
    id : str
        Of the HTML element; each explorer on a page needs its own.

    Returns
    -------
    NoiseExplorer

    Raises
    ------
    ValueError
        A number is outside its range, a name is none of those above, or the id is not a
        name.
    TypeError
        A number is none.

    Examples
    --------
    >>> import lossutils as lu
    >>> shown = lu.plots.noise_explorer(where="prediction")
    >>> round(shown.minimum, 4)  # 2 / (1 + 0.5²)
    1.6
    >>> shown.gradient.clean, round(shown.gradient.mean, 4)
    (2.0, 3.5)
    """
    state = _State(
        CHOICES["loss"].check("loss", loss),
        CHOICES["noise"].check("noise", noise),
        CHOICES["where"].check("where", where),
        SLIDERS["level"].snap("level", level),
        SLIDERS["prediction"].snap("prediction", prediction),
    )
    _svg.check_number("target", target, PREDICTIONS)
    _svg.check_id(id, "noise-explorer")
    model = _Model(float(target), _grid(target), _limits(target))
    solved = _solve(model, state)
    scene = _scene(model, solved, state)
    controls = [c.html(name, getattr(state, name)) for name, c in CHOICES.items()]
    controls += [s.html(name, getattr(state, name), scene) for name, s in SLIDERS.items()]
    html = _svg.assemble(
        "noise",
        id=id,
        controls="\n".join(controls),
        verdict=scene["verdict"]["text"],
        legend=_svg.legend(LEGEND),
        panels="\n".join(
            [_curves_panel(name, scene, id) for name in PANELS]
            + [_histogram_panel(name, scene) for name in TITLES]
        ),
        table=_table(scene),
        target=f"{target:g}",
        shared=_svg.file("shared.js").strip(),
        model=json.dumps(asdict(model)),
    )
    value, slope = solved.sides
    return NoiseExplorer(
        html,
        value.at,
        slope.at,
        solved.minimum,
        float(target),
        state.level,
        state.prediction,
        state.loss,
        state.noise,
        state.where,
    )


# The numbers, as in noise.js


class _State(NamedTuple):
    """What the controls say."""

    loss: str
    noise: str
    where: str
    level: float
    prediction: float


Function = Callable[[Array], Array]


def _log_cosh(e: Array) -> Array:
    found: Array = np.abs(e) + np.log1p(np.exp(-2 * np.abs(e))) - math.log(2)
    return found


# Value and slope by the error e = prediction − target.
LOSSES: dict[str, tuple[Function, Function]] = {
    "mse": (np.square, lambda e: 2 * e),
    "mae": (np.abs, np.sign),
    "huber": (
        lambda e: np.where(np.abs(e) <= 1, e**2 / 2, np.abs(e) - 0.5),
        lambda e: np.clip(e, -1, 1),
    ),
    "log_cosh": (_log_cosh, np.tanh),
}


def _nodes(noise: str, count: int) -> tuple[Array, Array]:
    """Return z of standard deviation 1, and weights.

    z is a function of s in (0, 1), the weight its density times dz/ds: a sum over equal
    steps of s is an integral over z, tails included.
    """
    s = (np.arange(count) + 0.5) / count
    logit = np.log(s / (1 - s))
    if noise == "gaussian":
        z = logit / 1.7
        w = np.exp(-(z**2) / 2) / (s * (1 - s))
    elif noise == "laplace":
        z = math.sqrt(2) * logit
        w = np.exp(-math.sqrt(2) * np.abs(z)) / (s * (1 - s))
    elif noise == "uniform":
        z, w = math.sqrt(3) * (2 * s - 1), np.ones(count)
    else:
        z, w = np.tan(np.pi * (s - 0.5)), np.sin(np.pi * s) ** 2
    return z, w / w.sum()


def _quantiles(z: Array, w: Array, count: int) -> Array:
    """Return points of equal weight: the quantiles of (i + ½)/count."""
    return np.interp((np.arange(count) + 0.5) / count, np.cumsum(w) - w / 2, z)


def _noisy(loss: str, where: str, target: float, side: int, p: Array, z: Array) -> Array:
    """Return the value (side 0) or its gradient in p (side 1), under the noise z."""
    f = LOSSES[loss][side]
    if where == "target":
        return f(p - target - z)
    if where == "prediction":
        inner = 1 + z if side else np.ones_like(z)  # the chain rule's factor
        return f(p * (1 + z) - target) * inner
    return f(p - target) + (0 * z if side else z)


@dataclass(frozen=True)
class _Side:
    """Value or gradient: over the grid, and at the chosen prediction."""

    clean: Array
    mean: Array
    spread: Array
    low: Array
    high: Array
    at: Moments
    values: Array
    weights: Array
    ends: Range


@dataclass(frozen=True)
class _Solved:
    sides: tuple[_Side, _Side]
    minimum: float
    onto: float  # the expected loss there
    beside: Range  # the expected gradient one σ above the target, and the clean one


@dataclass(frozen=True)
class _Model:
    """What the script is given, by the names it uses."""

    target: float
    grid: list[float]
    limits: dict[str, tuple[Range, Range]]  # loss -> of its value, of its gradient
    xlim: Range = PREDICTIONS
    coarse: int = COARSE
    fine: int = FINE
    equal: int = EQUAL
    box: tuple[int, int, int, int] = PANEL.box
    slots: int = _svg.SLOTS
    titles: dict[str, str] = field(default_factory=lambda: TITLES)


def _grid(target: float) -> list[float]:
    """Return the predictions of the curves: close beside the kink at the target too."""
    even = {round(PREDICTIONS[0] + k / 20, 2) for k in range(121)}
    return sorted(even | {target - 1e-6, target, target + 1e-6})


def _limits(target: float) -> dict[str, tuple[Range, Range]]:
    farthest = np.array(max(target - PREDICTIONS[0], PREDICTIONS[1] - target))
    out = {}
    for name, (value, slope) in LOSSES.items():
        high, steep = 1.5 * float(value(farthest)), 2 * float(slope(farthest))
        out[name] = (-high / 4, high), (-steep, steep)
    return out


def _quantile(values: Array, share: float) -> Array:
    """Return what a share of the values, which are sorted, lies below."""
    k = round(share * values.shape[-1])
    return (values[..., k - 1] + values[..., k]) / 2


def _solve(model: _Model, state: _State) -> _Solved:
    loss, noise, where, level, p = state
    t, grid = model.target, np.array(model.grid)[:, None]
    dense_z, dense_w = _nodes(noise, FINE)
    rough_z, rough_w = _nodes(noise, COARSE)
    even_z = _quantiles(dense_z, dense_w, EQUAL)

    def noisy(side: int, p: Array | float, z: Array) -> Array:
        return _noisy(loss, where, t, side, np.asarray(p), level * z)

    def mean(side: int, p: float) -> float:
        return float(dense_w @ noisy(side, p, dense_z))

    # The expected slope is negative on one side of the minimum, which lies between 0 and
    # the target, and positive on the other.
    low, high = min(0.0, t), max(0.0, t)
    for _ in range(24):
        x = (low + high) / 2
        low, high = (x, high) if mean(1, x) < 0 else (low, x)
    minimum = (low + high) / 2

    # Student's t with 3 degrees of freedom has no moment of order 4.
    heavy = noise == "student_t" and loss == "mse" and level > 0
    scaled = heavy and where == "prediction" and p != 0
    endless = (heavy and where == "target") or scaled, scaled
    sides = []
    for side in (0, 1):
        there = noisy(side, grid, rough_z)
        means = there @ rough_w
        bands = np.sort(noisy(side, grid, even_z), axis=1)
        v = np.broadcast_to(noisy(side, p, dense_z), dense_z.shape)
        centre = float(dense_w @ v)
        sd = math.sqrt(float(dense_w @ (v - centre) ** 2))
        part = np.sort(noisy(side, p, even_z))
        clean = LOSSES[loss][side]
        sides.append(
            _Side(
                clean=clean(grid[:, 0] - t),
                mean=means,
                spread=np.sqrt((there - means[:, None]) ** 2 @ rough_w),
                low=_quantile(bands, 0.05),
                high=_quantile(bands, 0.95),
                at=Moments(
                    float(clean(np.array(p - t))), centre, math.inf if endless[side] else sd
                ),
                values=v,
                weights=dense_w,
                ends=(float(_quantile(part, 0.01)), float(_quantile(part, 0.99))),
            )
        )
    beside = mean(1, t + level), float(LOSSES[loss][1](np.array(level)))
    return _Solved((sides[0], sides[1]), minimum, mean(0, minimum), beside)


def _verdict(solved: _Solved, target: float, level: float) -> str:
    slope, minimum = solved.sides[1], solved.minimum
    top, spread = np.abs(slope.clean).max(), slope.spread.max()
    moved = np.abs(slope.mean - slope.clean).max()
    sd = shown(slope.at.sd)
    if level == 0:
        return "Without noise the curves coincide."
    if max(moved, spread) < 1e-9 * top:
        return "The gradient does not change: this noise never reaches the parameters."
    if moved < 1e-3 * top:
        same = np.abs(slope.spread - slope.at.sd).max() < 1e-3 * spread
        ratio = f"{round(slope.at.sd / level, 2):g}"
        ratio = "" if ratio == "1" else ratio
        where = f" = {ratio}σ at every prediction." if same else " here."
        return f"The expected gradient is unchanged; its spread is {sd}{where}"
    if shown(minimum) != shown(target):
        ridge = target / (1 + level**2)
        formula = abs(minimum - ridge) < 1e-3 * abs(minimum - target)
        return (
            f"The minimum moves from {shown(target)} to {shown(minimum)}"
            f"{' = t/(1 + σ²)' * formula}."
        )
    there, before = solved.beside
    if shown(there) != shown(before):
        return (
            f"One σ above the target the expected gradient is {shown(there)} instead of "
            f"{shown(before)}: it is {'flatter' if there < before else 'steeper'} there."
        )
    return f"The expected gradient hardly changes; its spread is {sd} here."


# The drawing, as in noise.js


def _curve(xs: list[float], ys: Array, ylim: Range) -> str:
    """Beyond the panel a curve may go far: no farther than these pixels."""
    return _svg.path(
        (along(x, PREDICTIONS), clamp(up(y, ylim), (-999, 1999)))
        for x, y in zip(xs, ys.tolist(), strict=True)
    )


def _curves(
    name: str, model: _Model, solved: _Solved, side: int, ylim: Range, p: float
) -> Scene:
    shape, grid = solved.sides[side], model.grid
    back = _curve(grid[::-1], shape.high[::-1], ylim)
    at, zero = fixed(along(p, PREDICTIONS), 1), fixed(up(0, ylim), 1)
    onto = 0.0 if side else solved.onto
    low = clamp(up(onto, ylim), (PANEL.upper, PANEL.lower))
    return PANEL.axis(f"{name}-y", "y", ylim, 4) | {
        f"{name}-zero": {"d": f"M{PANEL.left} {zero}H{PANEL.right}"},
        f"{name}-band": {"d": f"{_curve(grid, shape.low, ylim)}L{back[1:]}Z"},
        f"{name}-mean": {"d": _curve(grid, shape.mean, ylim)},
        f"{name}-clean": {"d": _curve(grid, shape.clean, ylim)},
        f"{name}-here": {"d": f"M{at} {PANEL.upper}V{PANEL.lower}"},
        f"{name}-clean-low": {
            "transform": shift(along(model.target, PREDICTIONS), up(0, ylim))
        },
        f"{name}-mean-low": {"transform": shift(along(solved.minimum, PREDICTIONS), low)},
    }


def _histogram(name: str, shape: _Side, centred: bool, p: float) -> Scene:
    """Bars of equal width with edges on its multiples, or centred on them."""
    clean, mean = shape.at.clean, shape.at.mean
    low, high = min(*shape.ends, clean, mean), max(*shape.ends, clean, mean)
    offset = 0.5 if centred else 0.0
    below = above = 0.0
    if high - low < 1e-9 * max(1, abs(clean)):
        width, first, share = 0.08, 0, [1.0]
        offset = 0.5 - clean / width
        sides = clean - 1, clean + 1
    else:
        width = _svg.step((low, high), 28)
        first = math.floor(low / width + offset + 1e-9) - centred
        last = math.ceil(high / width + offset - 1e-9) + centred
        k = np.floor(shape.values / width + offset + 1e-9) - first
        k = np.clip(k, -1, last - first).astype(int) + 1
        counted = np.bincount(k, shape.weights, minlength=last - first + 2)
        below, *share, above = counted.tolist()
        sides = (first - offset) * width, (last - offset) * width
    shares = 0.0, 135 * max(share)
    bars = ""
    for i, one in enumerate(share):
        x0, x1 = (along((first + i + j - offset) * width, sides) for j in (0, 1))
        top = fixed(up(100 * one, shares), 1)
        if one:
            bars += (
                f"M{fixed(x0 + 0.4, 1)} {PANEL.lower}V{top}"
                f"H{fixed(x1 - 0.4, 1)}V{PANEL.lower}Z"
            )
    scene = PANEL.axis(f"{name}-x", "x", sides) | PANEL.axis(f"{name}-y", "y", shares, 4)
    # Labels go outwards where there is room, else both to one side, one below the other;
    # then the outer line begins below the inner one's label.
    value = {"clean": clean, "mean": mean}
    at = {kind: along(v, sides) for kind, v in value.items()}
    names = ("clean", "mean") if clean <= mean + 1e-9 else ("mean", "clean")
    before, after = at[names[0]] - PANEL.left > ROOM, PANEL.right - at[names[1]] > ROOM
    rows = 16 if before and not after else 0, 0 if before else 16
    for kind, row, on_right in zip(names, rows, (not before, after), strict=True):
        x = at[kind]
        scene |= {
            f"{name}-{kind}": {"d": f"M{fixed(x, 1)} {PANEL.upper + row}V{PANEL.lower}"},
            f"{name}-{kind}-label": {
                "x": fixed(x + (5 if on_right else -5), 1),
                "y": str(PANEL.upper + 12 + row),
                "text-anchor": "start" if on_right else "end",
                "text": f"{kind} {shown(value[kind])}",
            },
        }
    return scene | {
        f"{name}-title": {"text": f"{TITLES[name]} at prediction {shown(p)}"},
        f"{name}-bars": {"d": bars},
        f"{name}-below": {"text": f"← {_percent(below)}" if below >= 0.0005 else ""},
        f"{name}-above": {"text": f"{_percent(above)} →" if above >= 0.0005 else ""},
    }


def _percent(share: float) -> str:
    return f"{fixed(100 * share, 1)} %"


def _scene(model: _Model, solved: _Solved, state: _State) -> Scene:
    value, slope = solved.sides
    level, p = state.level, state.prediction
    ylim = model.limits[state.loss]
    low = along(solved.minimum, PREDICTIONS)
    scene: Scene = {
        "level-value": {"text": number(level, 2)},
        "prediction-value": {"text": number(p, 2)},
        **_curves("value", model, solved, 0, ylim[0], p),
        **_curves("slope", model, solved, 1, ylim[1], p),
        **_histogram("values", value, False, p),
        **_histogram("slopes", slope, True, p),
        "value-low-label": {
            "x": fixed(clamp(low, (PANEL.left + 36, PANEL.right - 36)), 1),
            "y": fixed(up(0, ylim[0]) + 21, 1),
            "text": f"minimum {shown(solved.minimum)}",
        },
        "table-minimum-clean": {"text": shown(model.target)},
        "table-minimum-mean": {"text": shown(solved.minimum)},
        "verdict": {"text": _verdict(solved, model.target, level)},
    }
    for name, shape in (("value", value), ("slope", slope)):
        for key, found in asdict(shape.at).items():
            scene[f"table-{name}-{key}"] = {"text": shown(found)}
    return scene


# The page


RING = "M-6 0a6 6 0 1 0 12 0a6 6 0 1 0-12 0Z"
CORE = "M0-4.8L4.8 0L0 4.8L-4.8 0Z"
LEGEND = {
    "clean": f'<path class="thin" d="M0 6H30"/><path class="ring" d="{RING}" '
    'transform="translate(15 6)"/>',
    "mean under the noise": f'<path class="thick" d="M0 6H30"/><path class="full" '
    f'd="{CORE}" transform="translate(15 6)"/>',
    "5 % to 95 % quantile": '<path class="band" d="M0 1H30V11H0Z"/>',
    "prediction p": '<path class="here" d="M15 0V12"/>',
}


def _curves_panel(name: str, scene: Scene, id: str) -> str:
    title, label = PANELS[name]
    clip = f"{id}-{name}"
    drawn = [
        *PANEL.x_ticks(PREDICTIONS),
        *PANEL.slots(f"{name}-y", "y", scene),
        element("path", f"{name}-zero", "axis", scene),
        f'{PANEL.clip(clip)}<g clip-path="url(#{clip})">',
        element("path", f"{name}-band", "band", scene),
        element("path", f"{name}-here", "here", scene),
        element("path", f"{name}-mean", "thick", scene),
        element("path", f"{name}-clean", "thin", scene),
        "</g>",
        element("path", f"{name}-mean-low", "full", scene, d=CORE),
        element("path", f"{name}-clean-low", "ring", scene, d=RING),
    ]
    if name == "value":
        middle = {"text-anchor": "middle"}
        drawn.append(element("text", "value-low-label", "over", scene, **middle))
    return PANEL.svg(
        f"{label} over the prediction, clean and under the noise: mean, band from the 5 % "
        "to the 95 % quantile, and minimum; the table below holds the numbers",
        PANEL.title(f"{title} over the prediction"),
        ("prediction p", label),
        drawn,
    )


def _histogram_panel(name: str, scene: Scene) -> str:
    label = {"values": "loss value", "slopes": "gradient"}[name]
    low, high = {"x": PANEL.left + 4, "y": PANEL.upper + 66}, {"x": PANEL.right - 2}
    return PANEL.svg(
        f"histogram of the noisy {label} at the chosen prediction, with its mean and the "
        "clean value marked; the table below holds both",
        element("text", f"{name}-title", "title", scene, x=PANEL.left, y=14),
        (label, "share (%)"),
        [
            *PANEL.slots(f"{name}-x", "x", scene),
            *PANEL.slots(f"{name}-y", "y", scene),
            element("path", f"{name}-bars", "bars", scene),
            element("path", f"{name}-mean", "thick", scene),
            element("path", f"{name}-clean", "thin", scene),
            *(
                element("text", f"{name}-{kind}-label", "over", scene)
                for kind in ("clean", "mean")
            ),
            element("text", f"{name}-below", "tick", scene, **low),
            element(
                "text",
                f"{name}-above",
                "tick",
                scene,
                **{**low, **high, "text-anchor": "end"},
            ),
        ],
    )


def _table(scene: Scene) -> str:
    rows = {"value": "Loss at p", "slope": "Gradient at p", "minimum": "Minimum"}
    body = "\n".join(
        f'<tr><th scope="row">{title}</th>'
        + "".join(
            element("td", f"table-{name}-{key}", "", scene)
            if f"table-{name}-{key}" in scene
            else "<td>–</td>"
            for key in ("clean", "mean", "sd")
        )
        + "</tr>"
        for name, title in rows.items()
    )
    heads = ("Quantity", "Clean", "Mean", "Standard deviation")
    return "\n".join(
        [
            "<table><thead><tr>",
            *(f'<th scope="col">{head}</th>' for head in heads),
            f"</tr></thead><tbody>\n{body}\n</tbody></table>",
        ]
    )
