"""The interactive explorer: one outlier to drag, and what it does to four fits.

Page and script stand beside this file. The first state is drawn here, by the steps of
explorer.js, so that the picture is there without script too.
"""

import itertools
import json
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from html import escape
from importlib.resources import files
from string import Template

import numpy as np

from lossutils.plots.figures import Array, Values, _array, _like
from lossutils.plots.style import COLOURS, INK, MUTED

__all__ = ["Explorer", "outlier_explorer"]

Line = tuple[float, float]  # intercept, slope
Range = tuple[float, float]
Scene = dict[str, dict[str, str]]  # part -> its attributes, and its text under "text"

LOSSES = {"mse": "MSE", "mae": "MAE", "huber": "Huber", "tukey": "Tukey"}
LEFT, UPPER, RIGHT, LOWER = 46, 24, 276, 246  # of both panels, in WIDTH × HEIGHT
WIDTH, HEIGHT = 330, 284
PEAK = 3.2  # the largest pull drawn
HEIGHTS = -PEAK, PEAK
MARKS = {  # disc, diamond, square, triangle, about the origin
    "mse": "M-5.5 0a5.5 5.5 0 1 0 11 0a5.5 5.5 0 1 0-11 0Z",
    "mae": "M0-6.5L6.5 0L0 6.5L-6.5 0Z",
    "huber": "M-5-5H5V5H-5Z",
    "tukey": "M0-6.5L6 5H-6Z",
}


@dataclass(frozen=True)
class Explorer:
    """What `outlier_explorer` returns; a notebook shows it.

    Attributes
    ----------
    html : str
        Self-contained: no other file, no network, no kernel.
    fits : dict
        Loss -> (intercept, slope) of its line in the first state.
    scale : float
        Unit of the residuals.
    outlier : tuple of float
        x and y in the first state.
    delta, c : float
        Parameters of Huber and Tukey, in units of the scale.
    """

    html: str = field(repr=False)
    fits: dict[str, Line] = field(repr=False)
    scale: float = field(repr=False)
    outlier: tuple[float, float]
    delta: float
    c: float

    def _repr_html_(self) -> str:
        return self.html


def outlier_explorer(
    x: Values,
    y: Values,
    *,
    outlier: tuple[float, float],
    xlabel: str,
    ylabel: str,
    xlim: Range,
    ylim: Range,
    delta: float = 1.35,
    c: float = 4.6851,
    id: str = "outlier-explorer",
) -> Explorer:
    """Let the reader drag an outlier and see the fits of four losses follow, or not.

    Beside the lines stands how hard a point pulls on each, by its residual; δ of the
    Huber loss is on a slider. Residuals count in units of a robust scale of the data
    without the outlier, 1.4826 × the median absolute residual of the MAE fit, which stays
    as it is while the outlier moves. Tukey's loss is not convex: its fit is the minimum
    that reweighting reaches from the MAE fit.

    Parameters
    ----------
    x, y : array
        1-D, of one length from 3 to 100: the data without the outlier.
    outlier : tuple of float
        x and y of the outlier at first, rounded to the steps of its sliders.
    xlabel, ylabel : str
        With the unit.
    xlim, ylim : tuple of float
        What the axes show, and how far the outlier can be dragged.
    delta : float
        Of the Huber loss at first, in units of the scale, from 0.1 to 3, rounded to
        0.05. Default 1.35 (1.345 has 95 % efficiency for normal errors).
    c : float
        Of Tukey's biweight, in units of the scale. Default 4.6851, the same efficiency.
    id : str
        Of the HTML element; each explorer on a page needs its own.

    Returns
    -------
    Explorer

    Raises
    ------
    ValueError
        Lengths differ or are outside 3 to 100, a point or the outlier is outside the
        limits, x is constant, half of the points lie on one line (residuals have no scale
        then), delta is outside 0.1 to 3, c is not above 0, or the id is not a name.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> x = torch.linspace(0, 5, 6)
    >>> y = torch.tensor([0.0, 1.5, 1.5, 3.0, 4.5, 4.5])
    >>> lu.plots.outlier_explorer(x, y, outlier=(1, 9), xlabel="x (m)", ylabel="y (m)",
    ...                           xlim=(-1, 6), ylim=(-5, 10))
    Explorer(outlier=(1.0, 9.0), delta=1.35, c=4.6851)
    """
    x = _array("x", x)
    y = _like(x, "x", "y", y)
    if not 3 <= len(x) <= 100:
        raise ValueError(f"x has {len(x)} values, expected 3 to 100: x[:30]")
    _check_limits("x", x, xlim)
    _check_limits("y", y, ylim)
    if np.ptp(x) == 0:
        raise ValueError(f"every x is {x[0]:g}, expected two or more values of x")
    if not 0 < c < math.inf:
        raise ValueError(f"c is {c}, expected a finite number above 0")
    if not re.fullmatch(r"[A-Za-z][\w-]*", id, re.ASCII):
        raise ValueError(
            f"id is {id!r}, expected a letter, then letters, digits, - and _: "
            "'outlier-explorer'"
        )
    range_ = float(np.ptp(y)) or 1.0
    absolute, _ = _least_absolute(x, y, range_)
    scale = 1.4826 * float(np.median(np.abs(_residuals(absolute, x, y))))
    if scale < 1e-9 * range_:
        raise ValueError(
            "half of the points lie on one line, so that residuals have no scale; give "
            "data that scatter"
        )
    sliders = {
        "delta": _Slider("Huber’s δ (σ)", 0.1, 3.0, 0.05),
        "x": _Slider(f"Outlier: {xlabel}", *xlim, _step(xlim, 150)),
        "y": _Slider(f"Outlier: {ylabel}", *ylim, _step(ylim, 150)),
    }
    state = {
        "x": sliders["x"].snap("x of the outlier", outlier[0]),
        "y": sliders["y"].snap("y of the outlier", outlier[1]),
        "delta": sliders["delta"].snap("delta", delta),
    }
    model = _Model(
        x=x.tolist(),
        y=y.tolist(),
        scale=scale,
        c=c,
        xlim=xlim,
        ylim=ylim,
        reach=math.ceil(2 * c),
        digits=max(0, 2 - math.floor(math.log10(np.ptp(ylim) / np.ptp(xlim)))),
        decimals={name: slider.decimals for name, slider in sliders.items()},
    )
    fits, scene = _scene(model, **state)
    clean = _least_squares(x, y, np.ones_like(x))
    html = Template(_file("explorer.html")).substitute(
        id=id,
        fits=_fits_panel(model, scene, clean, xlabel, ylabel, id),
        pulls=_pulls_panel(model, scene),
        sliders="\n".join(s.html(name, state[name], scene) for name, s in sliders.items()),
        table=_table(model, scene, clean),
        scale=_number(scale, model.digits),
        c=f"{c:g}",
        script=_file("explorer.js").strip(),
        model=json.dumps(asdict(model)),
        ink=INK,
        muted=MUTED,
        **dict(zip(LOSSES, COLOURS, strict=False)),
    )
    return Explorer(html, fits, scale, (state["x"], state["y"]), state["delta"], c)


def _check_limits(name: str, values: Array, limits: Range) -> None:
    low, high = limits
    if not -math.inf < low < high < math.inf:
        raise ValueError(f"{name}lim is ({low}, {high}), expected (lowest, highest)")
    outside = values[~((low <= values) & (values <= high))]  # NaN as well
    if len(outside):
        raise ValueError(
            f"{name} holds {outside[0]:g}, expected numbers within {name}lim, {low:g} to "
            f"{high:g}; leave the point out or widen {name}lim"
        )


# The fits, as in explorer.js


def _residuals(line: Line, x: Array, y: Array, scale: float = 1.0) -> Array:
    return (y - line[0] - line[1] * x) / scale


def _least_squares(x: Array, y: Array, w: Array) -> Line:
    mx, my = w @ x / w.sum(), w @ y / w.sum()
    slope = w @ ((x - mx) * (y - my)) / (w @ (x - mx) ** 2)
    return float(my - slope * mx), float(slope)


def _least_absolute(x: Array, y: Array, scale: float) -> tuple[Line, tuple[int, int]]:
    """Return the line and the two points it goes through: try all pairs."""
    best, line, through = math.inf, (0.0, 0.0), (0, 0)
    for i, j in itertools.combinations(range(len(x)), 2):
        if x[i] == x[j]:
            continue
        slope = float((y[j] - y[i]) / (x[j] - x[i]))
        trial = float(y[i]) - slope * float(x[i]), slope
        error = float(np.abs(_residuals(trial, x, y, scale)).sum())
        if error < best - 1e-9:
            best, line, through = error, trial, (i, j)
    return line, through


def _reweighted(
    model: "_Model", x: Array, y: Array, line: Line, weight: Callable[[Array], Array]
) -> Line:
    far, moved, step = np.abs(x).max(), math.inf, 0
    while step < 20000 and moved > 1e-10 * model.scale:
        new = _least_squares(x, y, weight(_residuals(line, x, y, model.scale)))
        moved = abs(new[0] - line[0]) + abs(new[1] - line[1]) * far
        line, step = new, step + 1
    return line


def _solve(
    model: "_Model", x: float, y: float, delta: float
) -> tuple[dict[str, Line], dict[str, float], dict[str, float]]:
    """Return the lines, and the outlier's residual and pull on each."""

    def huber_weight(r: Array) -> Array:
        return delta / np.maximum(np.abs(r), delta)

    def tukey_weight(r: Array) -> Array:
        return np.maximum(0, 1 - (r / model.c) ** 2) ** 2

    px, py = np.array([*model.x, x]), np.array([*model.y, y])
    squares = _least_squares(px, py, np.ones_like(px))
    absolute, (first, second) = _least_absolute(px, py, model.scale)
    fits = {
        "mse": squares,
        "mae": absolute,
        "huber": _reweighted(model, px, py, squares, huber_weight),
        "tukey": _reweighted(model, px, py, absolute, tukey_weight),
    }
    r = {name: (y - a - b * x) / model.scale for name, (a, b) in fits.items()}
    pull = {
        "mse": 2 * r["mse"],
        "mae": float(np.sign(r["mae"])),
        "huber": r["huber"] * float(huber_weight(np.array(r["huber"]))),
        "tukey": r["tukey"] * float(tukey_weight(np.array(r["tukey"]))),
    }
    if second == len(model.x):  # on the line: the pull that balances the others'
        signs = np.sign(_residuals(absolute, px[:-1], py[:-1]))
        balance = signs @ (px[:-1] - px[first]) / (px[first] - x)
        r["mae"], pull["mae"] = 0.0, float(np.clip(balance, -1, 1))
    return fits, r, pull


# The drawing, as in explorer.js


@dataclass(frozen=True)
class _Model:
    """What the script is given, by the names it uses."""

    x: list[float]
    y: list[float]
    scale: float
    c: float
    xlim: Range
    ylim: Range
    reach: float  # the largest residual drawn
    digits: int  # decimals of slopes and intercepts
    decimals: dict[str, int]  # of the sliders
    peak: float = PEAK
    box: tuple[int, int, int, int] = (LEFT, UPPER, RIGHT, LOWER)
    names: tuple[str, ...] = tuple(LOSSES.values())

    @property
    def sides(self) -> Range:
        return -self.reach, self.reach


def _fixed(value: float, decimals: int) -> str:
    return re.sub(r"^-(0\.?0*)$", r"\1", f"{value:.{decimals}f}")


def _number(value: float, decimals: int) -> str:
    return _fixed(value, decimals).replace("-", "−")


def _along(value: float, limits: Range) -> float:
    return LEFT + (value - limits[0]) / (limits[1] - limits[0]) * (RIGHT - LEFT)


def _up(value: float, limits: Range) -> float:
    return LOWER - (value - limits[0]) / (limits[1] - limits[0]) * (LOWER - UPPER)


def _clamp(value: float, limits: Range) -> float:
    return min(max(value, limits[0]), limits[1])


def _shift(x: float, y: float) -> str:
    return f"translate({_fixed(x, 1)} {_fixed(y, 1)})"


def _path(points: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{_fixed(x, 1)} {_fixed(y, 1)}" for x, y in points)


def _labels(kind: str, ends: dict[str, float]) -> Scene:
    """Set labels beside the ends of lines: in their order, clear of each other."""
    order = sorted(ends, key=lambda name: ends[name])
    at, last = {}, UPPER - 14.0
    for name in order:
        last = at[name] = max(ends[name], last + 14)
    last = LOWER + 14.0
    for name in reversed(order):
        last = at[name] = min(at[name], last - 14)
    scene: Scene = {}
    for name, end in ends.items():
        seen = UPPER <= end <= LOWER  # else the line leaves through top or bottom
        leader = _path([(RIGHT, end), (RIGHT + 12, at[name])]) if seen else ""
        scene[f"{name}-{kind}-leader"] = {"d": leader}
        scene[f"{name}-{kind}-label"] = {"y": _fixed(at[name] + 4, 1)}
    return scene


def _scene(
    model: _Model, x: float, y: float, delta: float
) -> tuple[dict[str, Line], Scene]:
    """Return the fits, and all that is drawn and written of them."""
    fits, r, pull = _solve(model, x, y, delta)
    sides, xlim, ylim = model.sides, model.xlim, model.ylim
    near = x < (xlim[0] + xlim[1]) / 2
    bend = [(sides[0], -delta), (-delta, -delta), (delta, delta), (sides[1], delta)]
    beyond = abs(pull["mse"]) > PEAK
    over = _clamp(abs(r["mse"]), (0.45 * model.reach, 0.8 * model.reach))  # clear of it
    over = math.copysign(over, r["mse"])
    scene: Scene = {
        "handle": {"transform": _shift(_along(x, xlim), _up(y, ylim))},
        "handle-label": {"x": "13", "text-anchor": "start"}
        if near
        else {"x": "-13", "text-anchor": "end"},
        "x-value": {"text": _number(x, model.decimals["x"])},
        "y-value": {"text": _number(y, model.decimals["y"])},
        "delta-value": {"text": _number(delta, model.decimals["delta"])},
        "huber-psi": {"d": _path((_along(e, sides), _up(p, HEIGHTS)) for e, p in bend)},
        "mse-beyond": {
            "text": f"MSE {_number(pull['mse'], 1)}" * beyond,
            "x": _fixed(_along(over, sides), 1),
            "y": _fixed(UPPER + 20 if over > 0 else LOWER - 12, 1),
        },
    }
    ends = {k: _up(a + b * xlim[1], ylim) for k, (a, b) in fits.items()}
    scene |= _labels("fit", ends)
    levels = {"mae": 1, "huber": delta, "tukey": 0}  # MSE leaves through the top
    scene |= _labels("psi", {k: _up(p, HEIGHTS) for k, p in levels.items()})
    for name, (a, b) in fits.items():
        e, p = _clamp(r[name], sides), _clamp(pull[name], HEIGHTS)
        scene |= {
            f"{name}-fit": {
                "d": _path((_along(v, xlim), _up(a + b * v, ylim)) for v in xlim)
            },
            f"{name}-mark": {"transform": _shift(_along(e, sides), _up(p, HEIGHTS))},
            f"{name}-slope": {"text": _number(b, model.digits)},
            f"{name}-intercept": {"text": _number(a, model.digits)},
            f"{name}-residual": {"text": _number(r[name], 2)},
            f"{name}-pull": {"text": _number(pull[name], 2)},
        }
    return fits, scene


# The page


@dataclass(frozen=True)
class _Slider:
    """Its values are multiples of the step, from `low` to `high` where these are."""

    label: str
    low: float
    high: float
    step: float

    @property
    def decimals(self) -> int:
        return max(0, -math.floor(math.log10(self.step) + 1e-9))

    def value(self, steps: int) -> float:
        return round(steps * self.step, self.decimals)

    @property
    def ends(self) -> tuple[int, int]:
        first = math.ceil(self.low / self.step - 1e-9)
        return first, math.floor(self.high / self.step + 1e-9)

    def snap(self, name: str, value: float) -> float:
        if not self.low <= value <= self.high:
            raise ValueError(
                f"{name} is {value}, expected a number from {self.low:g} to {self.high:g}"
            )
        first, last = self.ends
        return self.value(min(max(round(value / self.step), first), last))

    def html(self, name: str, value: float, scene: Scene) -> str:
        low, high = (_fixed(self.value(k), self.decimals) for k in self.ends)
        return (
            f"<label>{escape(self.label)} "
            f'<b data-part="{name}-value" aria-hidden="true">'
            f"{scene[f'{name}-value']['text']}</b>"
            f'<input type="range" data-part="{name}" min="{low}" max="{high}" '
            f'step="{self.step:g}" value="{_fixed(value, self.decimals)}"></label>'
        )


def _file(name: str) -> str:
    return files("lossutils.plots").joinpath(name).read_text("utf-8")


def _step(limits: Range, count: int) -> float:
    """Return the step of 1, 2 or 5 times a power of ten that fits about `count` times."""
    wide = (limits[1] - limits[0]) / count
    power = 10.0 ** math.floor(math.log10(wide))
    return power * min((1, 2, 5, 10), key=lambda k: abs(math.log(wide / power / k)))


def _element(tag: str, part: str, css: str, scene: Scene, **more: object) -> str:
    given = {**more, **scene[part]}
    text = escape(str(given.pop("text", "")))
    attributes = "".join(f' {key}="{value}"' for key, value in given.items())
    return f'<{tag} class="{css}" data-part="{part}"{attributes}>{text}</{tag}>'


def _text(x: float, y: float, text: str, css: str = "label", anchor: str = "middle") -> str:
    at = f'x="{_fixed(x, 1)}" y="{_fixed(y, 1)}" text-anchor="{anchor}"'
    return f'<text class="{css}" {at}>{escape(text)}</text>'


def _panel(
    description: str,
    title: str,
    axes: tuple[tuple[str, Range], tuple[str, Range]],
    drawn: Iterable[str],
) -> str:
    (xlabel, xlim), (ylabel, ylim) = axes
    middle = (UPPER + LOWER) / 2
    frame = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(description)}">',
        _text(LEFT, 14, title, "title", "start"),
        _text((LEFT + RIGHT) / 2, HEIGHT - 5, xlabel),
        f'<g transform="translate(11 {middle:g}) rotate(-90)">{_text(0, 0, ylabel)}</g>',
    ]
    for v, text in _ticks(xlim):
        at = _along(v, xlim)
        frame.append(f'<path class="grid" d="M{_fixed(at, 1)} {UPPER}V{LOWER}"/>')
        frame.append(_text(at, LOWER + 14, text, "tick"))
    for v, text in _ticks(ylim):
        at = _up(v, ylim)
        frame.append(f'<path class="grid" d="M{LEFT} {_fixed(at, 1)}H{RIGHT}"/>')
        frame.append(_text(LEFT - 5, at + 4, text, "tick", "end"))
    return "\n".join([*frame, *drawn, "</svg>"])


def _ticks(limits: Range) -> list[tuple[float, str]]:
    step = _step(limits, 5)
    first, last = math.ceil(limits[0] / step), math.floor(limits[1] / step)
    return [(k * step, f"{k * step:g}".replace("-", "−")) for k in range(first, last + 1)]


def _ends(scene: Scene, kind: str) -> Iterable[str]:
    for name, title in LOSSES.items():
        if f"{name}-{kind}-label" in scene:
            yield _element("path", f"{name}-{kind}-leader", f"leader {name}", scene)
            yield _element(
                "text", f"{name}-{kind}-label", "label", scene, x=RIGHT + 15, text=title
            )


def _fits_panel(
    model: _Model, scene: Scene, clean: Line, xlabel: str, ylabel: str, id: str
) -> str:
    xlim, ylim = model.xlim, model.ylim
    line = _path((_along(v, xlim), _up(clean[0] + clean[1] * v, ylim)) for v in xlim)
    points = "".join(
        f'<circle class="datum" cx="{_fixed(_along(x, xlim), 1)}" '
        f'cy="{_fixed(_up(y, ylim), 1)}" r="3.2"/>'
        for x, y in zip(model.x, model.y, strict=True)
    )
    return _panel(
        f"{len(model.x)} points and an outlier, and the lines that four losses fit",
        "Each loss fits a line",
        ((xlabel, xlim), (ylabel, ylim)),
        [
            f'<clipPath id="{id}-clip"><path d="M{LEFT} {UPPER}H{RIGHT}V{LOWER}H{LEFT}Z"/>'
            f'</clipPath><g clip-path="url(#{id}-clip)">',
            f'<path class="clean" d="{line}"/>{points}',
            *(_element("path", f"{name}-fit", f"line {name}", scene) for name in LOSSES),
            "</g>",
            *_ends(scene, "fit"),
            _element("g", "handle", "handle", scene).removesuffix("</g>"),
            '<circle class="grip" r="22"/><circle class="halo" r="12"/>'
            '<circle class="dot" r="6.5"/>',
            _element("text", "handle-label", "over", scene, y=4, text="outlier"),
            "</g>",
        ],
    )


def _pulls_panel(model: _Model, scene: Scene) -> str:
    sides, reach = model.sides, model.reach
    r = np.linspace(-model.c, model.c, 81)
    bump = r * (1 - (r / model.c) ** 2) ** 2
    curves: dict[str, list[tuple[float, float]]] = {
        "mse": [(-PEAK / 2, -PEAK), (PEAK / 2, PEAK)],
        "mae": [(-reach, -1), (0, -1), (0, 1), (reach, 1)],
        "tukey": [(-reach, 0), *zip(r.tolist(), bump.tolist(), strict=True), (reach, 0)],
    }
    drawn: Scene = {
        f"{name}-psi": {"d": _path((_along(e, sides), _up(p, HEIGHTS)) for e, p in curve)}
        for name, curve in curves.items()
    } | scene
    return _panel(
        "The pull of a point on each fit by its residual: for MSE it grows without bound, "
        "for MAE it is 1 whatever the residual, for Huber at most δ, for Tukey it falls "
        "back to 0; marks show where the outlier stands",
        "How hard a point pulls on it",
        (("residual (σ)", sides), ("pull ψ", HEIGHTS)),
        [
            *(_element("path", f"{name}-psi", f"line {name}", drawn) for name in LOSSES),
            _text(_along(PEAK / 2, sides) - 8, UPPER + 10, LOSSES["mse"], anchor="end"),
            *_ends(scene, "psi"),
            *(
                _element("path", f"{name}-mark", f"mark {name}", scene, d=MARKS[name])
                for name in LOSSES
            ),
            _element("text", "mse-beyond", "over", scene, **{"text-anchor": "middle"}),
        ],
    )


def _table(model: _Model, scene: Scene, clean: Line) -> str:
    heads = ("Loss", "Slope", "Intercept", "Residual (σ)", "Pull ψ")
    columns = ("slope", "intercept", "residual", "pull")
    rows = [
        "<tr>"
        + _row_head(f"line {name}", title)
        + "".join(_element("td", f"{name}-{column}", "", scene) for column in columns)
        + "</tr>"
        for name, title in LOSSES.items()
    ]
    reference = "".join(f"<td>{_number(v, model.digits)}</td>" for v in reversed(clean))
    return "\n".join(
        [
            "<table><thead><tr>",
            *(f'<th scope="col">{head}</th>' for head in heads),
            "</tr></thead><tbody>",
            *rows,
            f"<tr>{_row_head('clean', 'Clean')}{reference}<td>–</td><td>–</td>",
            "</tr></tbody></table>",
        ]
    )


def _row_head(css: str, title: str) -> str:
    swatch = f'<path class="{css}" d="M0 5H30"/>'
    return (
        f'<th scope="row"><svg viewBox="0 0 30 10" aria-hidden="true">{swatch}</svg>'
        f"{escape(title)}</th>"
    )
