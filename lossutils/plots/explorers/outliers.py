"""The interactive explorer: one outlier to drag, and what it does to four fits.

Page and script stand beside this file. The first state is drawn here, by the steps of
outliers.js, so that the picture is there without script too.
"""

import itertools
import json
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field

import numpy as np

from lossutils.plots.explorers import _svg
from lossutils.plots.explorers._svg import (
    Page,
    Panel,
    Range,
    Scene,
    Slider,
    clamp,
    element,
    fixed,
    number,
    path,
    row_head,
    shift,
    text,
)
from lossutils.plots.figures import Array, Values, _array, _like
from lossutils.plots.style import COLOURS

__all__ = ["Explorer", "outlier_explorer"]

Line = tuple[float, float]  # intercept, slope

LOSSES = {"mse": "MSE", "mae": "MAE", "huber": "Huber", "tukey": "Tukey"}
PANEL = Panel(left=46, upper=24, right=276, lower=246, width=330, height=284)
along, up = PANEL.along, PANEL.up
PEAK = 3.2  # the largest pull drawn
HEIGHTS = -PEAK, PEAK
MARKS = {  # disc, diamond, square, triangle, about the origin
    "mse": "M-5.5 0a5.5 5.5 0 1 0 11 0a5.5 5.5 0 1 0-11 0Z",
    "mae": "M0-6.5L6.5 0L0 6.5L-6.5 0Z",
    "huber": "M-5-5H5V5H-5Z",
    "tukey": "M0-6.5L6 5H-6Z",
}


@dataclass(frozen=True)
class Explorer(Page):
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

    fits: dict[str, Line] = field(repr=False)
    scale: float = field(repr=False)
    outlier: tuple[float, float]
    delta: float
    c: float


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
    _svg.check_id(id, "outlier-explorer")
    range_ = float(np.ptp(y)) or 1.0
    absolute, _ = _least_absolute(x, y, range_)
    scale = 1.4826 * float(np.median(np.abs(_residuals(absolute, x, y))))
    if scale < 1e-9 * range_:
        raise ValueError(
            "half of the points lie on one line, so that residuals have no scale; give "
            "data that scatter"
        )
    sliders = {
        "delta": Slider("Huber’s δ (σ)", 0.1, 3.0, 0.05),
        "x": Slider(f"Outlier: {xlabel}", *xlim, _svg.step(xlim, 150)),
        "y": Slider(f"Outlier: {ylabel}", *ylim, _svg.step(ylim, 150)),
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
    html = _svg.assemble(
        "outliers",
        id=id,
        fits=_fits_panel(model, scene, clean, xlabel, ylabel, id),
        pulls=_pulls_panel(model, scene),
        sliders="\n".join(s.html(name, state[name], scene) for name, s in sliders.items()),
        table=_table(model, scene, clean),
        scale=number(scale, model.digits),
        c=f"{c:g}",
        model=json.dumps(asdict(model)),
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


# The fits, as in outliers.js


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


# The drawing, as in outliers.js


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
    box: tuple[int, int, int, int] = PANEL.box
    names: tuple[str, ...] = tuple(LOSSES.values())

    @property
    def sides(self) -> Range:
        return -self.reach, self.reach


def _labels(kind: str, ends: dict[str, float]) -> Scene:
    """Set labels beside the ends of lines: in their order, clear of each other."""
    order = sorted(ends, key=lambda name: ends[name])
    at, last = {}, PANEL.upper - 14.0
    for name in order:
        last = at[name] = max(ends[name], last + 14)
    last = PANEL.lower + 14.0
    for name in reversed(order):
        last = at[name] = min(at[name], last - 14)
    scene: Scene = {}
    for name, end in ends.items():
        seen = PANEL.upper <= end <= PANEL.lower  # else it leaves through top or bottom
        leader = path([(PANEL.right, end), (PANEL.right + 12, at[name])]) if seen else ""
        scene[f"{name}-{kind}-leader"] = {"d": leader}
        scene[f"{name}-{kind}-label"] = {"y": fixed(at[name] + 4, 1)}
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
    over = clamp(abs(r["mse"]), (0.45 * model.reach, 0.8 * model.reach))  # clear of it
    over = math.copysign(over, r["mse"])
    scene: Scene = {
        "handle": {"transform": shift(along(x, xlim), up(y, ylim))},
        "handle-label": {"x": "13", "text-anchor": "start"}
        if near
        else {"x": "-13", "text-anchor": "end"},
        "x-value": {"text": number(x, model.decimals["x"])},
        "y-value": {"text": number(y, model.decimals["y"])},
        "delta-value": {"text": number(delta, model.decimals["delta"])},
        "huber-psi": {"d": path((along(e, sides), up(p, HEIGHTS)) for e, p in bend)},
        "mse-beyond": {
            "text": f"MSE {number(pull['mse'], 1)}" * beyond,
            "x": fixed(along(over, sides), 1),
            "y": fixed(PANEL.upper + 20 if over > 0 else PANEL.lower - 12, 1),
        },
    }
    ends = {k: up(a + b * xlim[1], ylim) for k, (a, b) in fits.items()}
    scene |= _labels("fit", ends)
    levels = {"mae": 1, "huber": delta, "tukey": 0}  # MSE leaves through the top
    scene |= _labels("psi", {k: up(p, HEIGHTS) for k, p in levels.items()})
    for name, (a, b) in fits.items():
        e, p = clamp(r[name], sides), clamp(pull[name], HEIGHTS)
        scene |= {
            f"{name}-fit": {"d": path((along(v, xlim), up(a + b * v, ylim)) for v in xlim)},
            f"{name}-mark": {"transform": shift(along(e, sides), up(p, HEIGHTS))},
            f"{name}-slope": {"text": number(b, model.digits)},
            f"{name}-intercept": {"text": number(a, model.digits)},
            f"{name}-residual": {"text": number(r[name], 2)},
            f"{name}-pull": {"text": number(pull[name], 2)},
        }
    return fits, scene


# The page


def _ends(scene: Scene, kind: str) -> Iterable[str]:
    for name, title in LOSSES.items():
        if f"{name}-{kind}-label" in scene:
            yield element("path", f"{name}-{kind}-leader", f"leader {name}", scene)
            yield element(
                "text",
                f"{name}-{kind}-label",
                "label",
                scene,
                x=PANEL.right + 15,
                text=title,
            )


def _fits_panel(
    model: _Model, scene: Scene, clean: Line, xlabel: str, ylabel: str, id: str
) -> str:
    xlim, ylim = model.xlim, model.ylim
    line = path((along(v, xlim), up(clean[0] + clean[1] * v, ylim)) for v in xlim)
    points = "".join(
        f'<circle class="datum" cx="{fixed(along(x, xlim), 1)}" '
        f'cy="{fixed(up(y, ylim), 1)}" r="3.2"/>'
        for x, y in zip(model.x, model.y, strict=True)
    )
    return PANEL.svg(
        f"{len(model.x)} points and an outlier, and the lines that four losses fit",
        PANEL.title("Each loss fits a line"),
        (xlabel, ylabel),
        [
            *PANEL.x_ticks(xlim),
            *PANEL.y_ticks(ylim),
            f'{PANEL.clip(f"{id}-clip")}<g clip-path="url(#{id}-clip)">',
            f'<path class="clean" d="{line}"/>{points}',
            *(element("path", f"{name}-fit", f"line {name}", scene) for name in LOSSES),
            "</g>",
            *_ends(scene, "fit"),
            element("g", "handle", "handle", scene).removesuffix("</g>"),
            '<circle class="grip" r="22"/><circle class="halo" r="12"/>'
            '<circle class="dot" r="6.5"/>',
            element("text", "handle-label", "over", scene, y=4, text="outlier"),
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
        f"{name}-psi": {"d": path((along(e, sides), up(p, HEIGHTS)) for e, p in curve)}
        for name, curve in curves.items()
    } | scene
    return PANEL.svg(
        "The pull of a point on each fit by its residual: for MSE it grows without bound, "
        "for MAE it is 1 whatever the residual, for Huber at most δ, for Tukey it falls "
        "back to 0; marks show where the outlier stands",
        PANEL.title("How hard a point pulls on it"),
        ("residual (σ)", "pull ψ"),
        [
            *PANEL.x_ticks(sides),
            *PANEL.y_ticks(HEIGHTS),
            *(element("path", f"{name}-psi", f"line {name}", drawn) for name in LOSSES),
            text(along(PEAK / 2, sides) - 8, PANEL.upper + 10, LOSSES["mse"], anchor="end"),
            *_ends(scene, "psi"),
            *(
                element("path", f"{name}-mark", f"mark {name}", scene, d=MARKS[name])
                for name in LOSSES
            ),
            element("text", "mse-beyond", "over", scene, **{"text-anchor": "middle"}),
        ],
    )


def _table(model: _Model, scene: Scene, clean: Line) -> str:
    heads = ("Loss", "Slope", "Intercept", "Residual (σ)", "Pull ψ")
    columns = ("slope", "intercept", "residual", "pull")
    rows = [
        "<tr>"
        + row_head(f"line {name}", title)
        + "".join(element("td", f"{name}-{column}", "", scene) for column in columns)
        + "</tr>"
        for name, title in LOSSES.items()
    ]
    reference = "".join(f"<td>{number(v, model.digits)}</td>" for v in reversed(clean))
    return "\n".join(
        [
            "<table><thead><tr>",
            *(f'<th scope="col">{head}</th>' for head in heads),
            "</tr></thead><tbody>",
            *rows,
            f"<tr>{row_head('clean', 'Clean')}{reference}<td>–</td><td>–</td>",
            "</tr></tbody></table>",
        ]
    )
