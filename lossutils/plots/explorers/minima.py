"""The minima explorer: how noisy targets make minima that no clean target has.

Page and script stand beside this file. The first state is drawn here, by the steps of
minima.js, so that the picture is there without script too.
"""

import json
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
from lossutils.plots.figures import Array, Values, _array

__all__ = ["MinimaExplorer", "minima_explorer"]

PANEL = Panel(left=52, upper=24, right=322, lower=212, width=330, height=250)
along, up = PANEL.along, PANEL.up

CONSTANTS = -4.0, 4.0
COUNT = 800  # steps of a curve; minima are sought in steps half as wide

LOSS = Choice("Loss", {"mse": "MSE", "mae": "MAE", "huber": "Huber", "welsch": "Welsch"})
SLIDERS = {
    "level": Slider("Noise level σ", 0.0, 2.0, 0.05),
    "c": Slider("Welsch’s width c", 0.05, 2.0, 0.05),
}


@dataclass(frozen=True)
class MinimaExplorer(Page):
    """What `minima_explorer` returns; a notebook shows it.

    Attributes
    ----------
    html : str
        Self-contained: no other file, no network, no kernel.
    minima : tuple of float
        The local minimisers from -4 to 4 in the first state, ascending; the middle of a
        flat one.
    loss : str
    level, c : float
    """

    minima: tuple[float, ...] = field(repr=False)
    loss: str
    level: float
    c: float


def minima_explorer(
    draws: Values,
    *,
    loss: str = "welsch",
    level: float = 1.0,
    c: float = 0.1,
    id: str = "minima-explorer",
) -> MinimaExplorer:
    """Let the reader add noise to targets and count the local minima of their mean loss.

    A constant θ from -4 to 4 is fitted to the targets level × draws. Beside its mean loss
    stands the gradient; each local minimum is marked. Loss, level and the width of
    Welsch's loss are controls.

    Parameters
    ----------
    draws : array
        1-D, 2 to 100 finite numbers: the noise at level 1.
    loss : {"mse", "mae", "huber", "welsch"}
        At first. Huber's δ is 1. Default "welsch".
    level : float
        What the draws are multiplied by at first, from 0 to 2, rounded to 0.05; the
        noise's standard deviation in units of the target where the draws have 1. Default 1.
    c : float
        Width of Welsch's loss at first, in units of the target, from 0.05 to 2, rounded
        to 0.05. Default 0.1.
    id : str
        Of the HTML element; each explorer on a page needs its own.

    Returns
    -------
    MinimaExplorer

    Raises
    ------
    ValueError
        Draws have another shape, are fewer than 2 or more than 100, or not finite; a
        number is outside its range, the loss is none of those above, or the id is not a
        name.
    TypeError
        Level or c is no number.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> draws = torch.tensor([-1.0, -0.95, 0.0, 1.0])
    >>> [round(m, 3) for m in lu.plots.minima_explorer(draws, c=0.2).minima]
    [-0.975, 0.0, 1.0]
    >>> lu.plots.minima_explorer([-1.0, -0.5, 0.5, 1.0], loss="mae").minima  # flat
    (0.0,)
    """
    z = _array("draws", draws)
    if not 2 <= len(z) <= 100:
        raise ValueError(f"draws has {len(z)} values, expected 2 to 100: draws[:40]")
    if not np.isfinite(z).all():
        bad = z[~np.isfinite(z)][0]
        raise ValueError(f"draws holds {bad:g}, expected finite numbers; leave it out")
    state = _State(
        LOSS.check("loss", loss),
        SLIDERS["level"].snap("level", level),
        SLIDERS["c"].snap("c", c),
    )
    _svg.check_id(id, "minima-explorer")
    solved = _solve(z, state)
    scene = _scene(solved, state)
    sliders = (s.html(name, getattr(state, name), scene) for name, s in SLIDERS.items())
    html = _svg.assemble(
        "minima",
        id=id,
        controls="\n".join([LOSS.html("loss", state.loss), *sliders]),
        verdict=scene["verdict"]["text"],
        legend=_svg.legend(LEGEND),
        panels=f"{_value_panel(scene, len(z), id)}\n{_slope_panel(scene, id)}",
        n=len(z),
        shared=_svg.file("shared.js").strip(),
        model=json.dumps(asdict(_Model(z.tolist()))),
    )
    return MinimaExplorer(html, tuple(solved.minima), state.loss, state.level, state.c)


# The numbers, as in minima.js


class _State(NamedTuple):
    """What the controls say."""

    loss: str
    level: float
    c: float


@dataclass(frozen=True)
class _Model:
    """What the script is given, by the names it uses."""

    draws: list[float]
    xlim: Range = CONSTANTS
    count: int = COUNT
    box: tuple[int, int, int, int] = PANEL.box
    slots: int = _svg.SLOTS


Function = Callable[[Array, float], Array]

# Value and slope by the error e = θ − target; c is the width of Welsch's loss.
LOSSES: dict[str, tuple[Function, Function]] = {
    "mse": (lambda e, c: e**2, lambda e, c: 2 * e),
    "mae": (lambda e, c: np.abs(e), lambda e, c: np.sign(e)),
    "huber": (
        lambda e, c: np.where(np.abs(e) <= 1, e**2 / 2, np.abs(e) - 0.5),
        lambda e, c: np.clip(e, -1, 1),
    ),
    "welsch": (
        lambda e, c: -(c**2) / 2 * np.expm1(-((e / c) ** 2)),
        lambda e, c: e * np.exp(-((e / c) ** 2)),
    ),
}


@dataclass(frozen=True)
class _Solved:
    targets: list[float]  # those shown
    minima: list[float]
    onto: list[float]  # the mean loss there
    x: Array
    value: Array
    slope: Array
    clear: Array  # where the clean curves are drawn
    clean: tuple[Array, Array]


def _valleys(f: list[float], tolerance: float) -> list[tuple[int, int]]:
    """Return the connected sets of local minimisers with walls above the tolerance.

    Down by more than that, up by more than that; a set is (first, last), places in f.
    """
    found = []
    falling, extreme, first, last = False, f[0], 0, 0
    for i, v in enumerate(f):
        if not falling:
            extreme = max(extreme, v)
            if v < extreme - tolerance:
                falling, extreme, first, last = True, v, i, i
        elif v < extreme - 1e-6 * tolerance:
            extreme, first, last = v, i, i
        elif v <= extreme + 1e-6 * tolerance:
            last = i
        elif v > extreme + tolerance:
            found.append((first, last))
            falling, extreme = False, v
    return found


def _refined(f: Callable[[float], float], low: float, high: float) -> float:
    """Return the minimiser between two places that enclose it."""
    for _ in range(40):
        a, b = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, b) if f(a) < f(b) else (a, high)
    return (low + high) / 2


def _solve(draws: Array, state: _State) -> _Solved:
    targets = state.level * draws

    def mean(side: int, x: Array | float) -> Array:
        e = np.asarray(x)[..., None] - targets
        found: Array = LOSSES[state.loss][side](e, state.c).mean(-1)
        return found

    def value(x: float) -> float:
        return float(mean(0, x))

    low, high = CONSTANTS
    inside = targets[(low < targets) & (targets < high)]
    fine = np.sort(np.concatenate([np.linspace(low, high, 2 * COUNT + 1), inside]))
    f = mean(0, fine)
    minima = [
        float(fine[i] + fine[j]) / 2
        if i < j
        else _refined(value, float(fine[i - 1]), float(fine[i + 1]))
        for i, j in _valleys(f.tolist(), 1e-6 * float(np.ptp(f)))
    ]
    x = np.linspace(low, high, COUNT + 1)
    clear = x[::2]
    clean = tuple(f(clear, state.c) for f in LOSSES[state.loss])
    return _Solved(
        inside.tolist(),
        minima,
        [value(m) for m in minima],
        x,
        mean(0, x),
        mean(1, x),
        clear,
        (clean[0], clean[1]),
    )


def _verdict(solved: _Solved) -> str:
    minima, slope = solved.minima, solved.slope
    if not minima:
        low, high = (number(v, 0) for v in CONSTANTS)
        return f"No local minimum from {low} to {high}."
    lowest = shown(minima[int(np.argmin(solved.onto))])
    if len(minima) > 1:
        return (
            f"{len(minima)} local minima, the lowest at {lowest}; a convex loss keeps one."
        )
    convex = np.diff(slope).min() >= -1e-9 * np.abs(slope).max()
    ending = ": the curve is convex." if convex else ", though the curve is not convex."
    return f"One local minimum, at {lowest}{ending}"


# The drawing, as in minima.js


def _curve(x: Array, y: Array, ylim: Range) -> str:
    """Beyond the panel a curve may go far: no farther than these pixels."""
    return _svg.path(
        (along(a, CONSTANTS), clamp(up(b, ylim), (-999, 1999)))
        for a, b in zip(x.tolist(), y.tolist(), strict=True)
    )


def _scene(solved: _Solved, state: _State) -> Scene:
    minima, onto, x = solved.minima, solved.onto, solved.x
    least, most = float(solved.value.min()), float(solved.value.max())
    range_ = most - least
    # Of a clean curve that goes far below the noisy one, only the beginning is shown.
    floor = max(float(solved.clean[0].min()), least - range_ / 2)
    ylim = floor - 0.15 * (most - floor), most + 0.06 * range_
    steep = 1.15 * float(np.abs(solved.slope).max())
    sides = -steep, steep

    def dots(heights: list[float], limits: Range) -> str:
        return "".join(
            f"M{fixed(along(m, CONSTANTS) - 3.2, 1)} {fixed(up(v, limits), 1)}"
            "a3.2 3.2 0 1 0 6.4 0a3.2 3.2 0 1 0-6.4 0Z"
            for m, v in zip(minima, heights, strict=True)
        )

    px = py = -999.0
    if minima:
        best = int(np.argmin(onto))
        px, py = along(minima[best], CONSTANTS), up(onto[best], ylim)
    rug = "".join(
        f"M{fixed(along(t, CONSTANTS), 1)} {PANEL.lower}V{PANEL.lower - 8}"
        for t in solved.targets
    )
    return {
        "c": {} if state.loss == "welsch" else {"disabled": ""},
        "level-value": {"text": number(state.level, 2)},
        "c-value": {"text": number(state.c, 2)},
        **PANEL.axis("value-y", "y", ylim, 4),
        **PANEL.axis("slope-y", "y", sides, 4),
        "value-clean": {"d": _curve(solved.clear, solved.clean[0], ylim)},
        "value-noisy": {"d": _curve(x, solved.value, ylim)},
        "value-minima": {"d": dots(onto, ylim)},
        "value-lowest": {"transform": shift(px, py)},
        "slope-lowest": {"transform": shift(px, up(0, sides))},
        "value-rug": {"d": rug},
        "slope-zero": {"d": f"M{PANEL.left} {fixed(up(0, sides), 1)}H{PANEL.right}"},
        "slope-clean": {"d": _curve(solved.clear, solved.clean[1], sides)},
        "slope-noisy": {"d": _curve(x, solved.slope, sides)},
        "slope-minima": {"d": dots([0.0] * len(minima), sides)},
        "verdict": {"text": _verdict(solved)},
    }


# The page

DIAMOND = "M0-6.5L6.5 0L0 6.5L-6.5 0Z"
LEGEND = {
    "without noise": '<path class="thin" d="M0 6H30"/>',
    "with noise": '<path class="thick" d="M0 6H30"/>',
    "local minimum": '<circle class="dots" cx="15" cy="6" r="4"/>',
    "lowest": f'<path class="full" d="{DIAMOND}" transform="translate(15 6)"/>',
    "target": '<path class="rug" d="M15 1V11"/>',
}


def _value_panel(scene: Scene, count: int, id: str) -> str:
    return PANEL.svg(
        f"mean loss of {count} targets over a constant, with and without noise, its local "
        "minima marked; the sentence above says how many there are",
        PANEL.title(f"Mean loss of {count} targets"),
        ("constant θ", ""),
        [
            *PANEL.x_ticks(CONSTANTS),
            *PANEL.slots("value-y", "y", scene),
            f'{PANEL.clip(f"{id}-value")}<g clip-path="url(#{id}-value)">',
            element("path", "value-rug", "rug", scene),
            element("path", "value-noisy", "thick", scene),
            element("path", "value-clean", "thin", scene),
            "</g>",
            element("path", "value-minima", "dots", scene),
            element("path", "value-lowest", "full", scene, d=DIAMOND),
        ],
    )


def _slope_panel(scene: Scene, id: str) -> str:
    return PANEL.svg(
        "gradient of the mean loss over the constant, with and without noise; at each "
        "local minimum it crosses zero upwards",
        PANEL.title("Gradient of the mean loss"),
        ("constant θ", ""),
        [
            *PANEL.x_ticks(CONSTANTS),
            *PANEL.slots("slope-y", "y", scene),
            element("path", "slope-zero", "axis", scene),
            f'{PANEL.clip(f"{id}-slope")}<g clip-path="url(#{id}-slope)">',
            element("path", "slope-noisy", "thick", scene),
            element("path", "slope-clean", "thin", scene),
            "</g>",
            element("path", "slope-minima", "dots", scene),
            element("path", "slope-lowest", "full", scene, d=DIAMOND),
        ],
    )
