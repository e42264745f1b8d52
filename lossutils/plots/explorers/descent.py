"""The descent explorer: how gradient descent crosses a valley, a plateau and a cliff.

Page and script stand beside this file. The first state is drawn here, by the steps of
descent.js, so that the picture is there without script too.
"""

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from html import escape
from typing import NamedTuple

from lossutils.plots.explorers import _svg
from lossutils.plots.explorers._svg import (
    Choice,
    Page,
    Panel,
    Range,
    Scene,
    Slider,
    check_number,
    element,
    fixed,
    number,
    path,
    shift,
    shown,
)

__all__ = ["DescentExplorer", "descent_explorer"]

Point = tuple[float, float]

PANEL = Panel(left=46, upper=24, right=318, lower=228, width=330, height=266)
along, up = PANEL.along, PANEL.up
XLIM, YLIM = (-4.0, 4.0), (-3.0, 3.0)  # as wide and as high a unit

STEPS = 200
STEPLIM = 0.0, float(STEPS)
ARRIVED = 0.01  # share of the starting distance
FAR = 1e4  # a path that gets farther than this from the minimum ends there
EDGE, SLOPE = 0.5, 0.001  # of the plateau
OVER, UNDER = 50.0, 1.0  # of the cliff
LEVELS = 17  # contours, the most that a landscape has


@dataclass(frozen=True)
class _LogSlider:
    """Twenty values a decade, of two digits: what the reader sees is what is used.

    Its positions are whole numbers; a screen reader hears the values.
    """

    label: str
    low: float
    high: float

    @staticmethod
    def value(position: int) -> float:
        return float(f"{10 ** (position / 20):.1e}")

    @staticmethod
    def position(value: float) -> int:
        return round(20 * math.log10(value))

    def snap(self, name: str, value: float) -> float:
        check_number(name, value, (self.low, self.high))
        return self.value(self.position(float(value)))

    def html(self, name: str, value: float, scene: Scene) -> str:
        given = {"min": self.position(self.low), "max": self.position(self.high)}
        given |= {"step": 1, "value": self.position(value)}
        attributes = "".join(f' {k}="{v}"' for k, v in {**given, **scene[name]}.items())
        return (
            f'<label>{escape(self.label)} <b data-part="{name}-value" aria-hidden="true">'
            f"{scene[f'{name}-value']['text']}</b>"
            f'<input type="range" data-part="{name}"{attributes}></label>'
        )


LANDSCAPE = Choice(
    "Landscape", {"valley": "Valley", "plateau": "Plateau", "cliff": "Cliff"}
)
RATE = _LogSlider("Learning rate η", 0.001, 10.0)
MOMENTUM = Slider("Momentum μ", 0.0, 0.99, 0.01)
CONDITION = _LogSlider("Condition number κ", 1.0, 1000.0)
START = Slider("Start x", -3.8, 3.8, 0.1), Slider("Start y", -2.5, 2.5, 0.1)


@dataclass(frozen=True)
class DescentExplorer(Page):
    """What `descent_explorer` returns; a notebook shows it.

    Attributes
    ----------
    html : str
        Self-contained: no other file, no network, no kernel.
    path : tuple of (float, float)
        Where descent is in the first state after 0, 1, 2, … steps: 201 points, or fewer
        where it gets more than 10 000 away from the minimum.
    loss : tuple of float
        The loss there.
    steps : int or None
        From that step on the distance to the minimum is at most 1 % of that at the start;
        None if that is not so after 200 steps.
    measured, predicted : float or None
        Factor by which a step multiplies the distance, as it is over the last part of
        the path and as theory has it in the end; None where theory has none, or where
        the start is the minimum.
    landscape : str
    condition_number, rate, momentum : float
    start : tuple of float
    """

    path: tuple[Point, ...] = field(repr=False)
    loss: tuple[float, ...] = field(repr=False)
    steps: int | None = field(repr=False)
    measured: float | None = field(repr=False)
    predicted: float | None = field(repr=False)
    landscape: str
    condition_number: float
    rate: float
    momentum: float
    start: Point


def descent_explorer(
    landscape: str = "valley",
    *,
    condition_number: float = 50.0,
    rate: float = 0.035,
    momentum: float = 0.0,
    start: Point = (-3.0, 1.0),
    id: str = "descent-explorer",
) -> DescentExplorer:
    """Let the reader choose learning rate and momentum and see where descent gets stuck.

    Up to 200 steps of gradient descent with heavy-ball momentum (that of
    `torch.optim.SGD`) on a loss of two parameters with its minimum at (0, 0). Beside the
    path stands the loss over the steps, with the rate that theory predicts. The start is
    dragged, or moved with two sliders.

    The valley is (x² + κy²)/2. Plateau and cliff are the sums over x and y of the book's
    `plateau_mae` (threshold 0.5, slope 0.001) and `asymmetric_mse` (over 50, under 1).
    Theory: on the valley, the largest |1 − ηλ| over the curvatures λ of 1 and κ, with
    momentum the spectral radius of [[1 + μ − ηλ, −μ], [1, 0]]; on the cliff without
    momentum, the factors 1 − 100η and 1 − 2η of its two sides, one of them or in turn.
    A direction that the start does not point to does not count.

    Parameters
    ----------
    landscape : {"valley", "plateau", "cliff"}
        At first. Default "valley".
    condition_number : float
        κ of the valley at first, from 1 to 1000, rounded to the slider's values: 20 a
        decade, of two digits (…, 45, 50, 56, …). Default 50.
    rate : float
        η at first, from 0.001 to 10, rounded to such values too. Default 0.035.
    momentum : float
        μ at first, from 0 to 0.99, rounded to 0.01. Default 0.
    start : tuple of float
        x from -3.8 to 3.8 and y from -2.5 to 2.5, rounded to 0.1. Default (-3, 1).
    id : str
        Of the HTML element; each explorer on a page needs its own.

    Returns
    -------
    DescentExplorer

    Raises
    ------
    ValueError
        The landscape is none of those above, a number is outside its range, the start is
        no pair, or the id is not a name.
    TypeError
        A number is none, or the start has no length.

    Examples
    --------
    >>> import lossutils as lu
    >>> made = lu.plots.descent_explorer(condition_number=10, rate=0.1)
    >>> made
    DescentExplorer(landscape='valley', condition_number=10.0, rate=0.1, momentum=0.0,
                    start=(-3.0, 1.0))
    >>> round(made.predicted, 3), made.steps  # 0.9 ** 44 is the first below 0.01
    (0.9, 44)
    """
    try:
        given = len(start)
    except TypeError as error:
        raise TypeError(f"start is {start!r}, expected x and y: (-3, 1)") from error
    if isinstance(start, str) or given != 2:
        raise ValueError(f"start is {start!r}, expected x and y: (-3, 1)")
    state = _State(
        LANDSCAPE.check("landscape", landscape),
        RATE.snap("rate", rate),
        MOMENTUM.snap("momentum", momentum),
        CONDITION.snap("condition_number", condition_number),
        START[0].snap("x of the start", start[0]),
        START[1].snap("y of the start", start[1]),
    )
    _svg.check_id(id, "descent-explorer")
    run = _descend(state)
    scene = _scene(run, state)
    html = _svg.assemble(
        "descent",
        id=id,
        controls="\n".join(
            [
                LANDSCAPE.html("landscape", state.landscape),
                RATE.html("rate", state.rate, scene),
                MOMENTUM.html("momentum", state.momentum, scene),
                CONDITION.html("condition", state.condition, scene),
                START[0].html("x", state.x, scene),
                START[1].html("y", state.y, scene),
            ]
        ),
        verdict=scene["verdict"]["text"],
        legend=_svg.legend(LEGEND),
        panels=f"{_path_panel(scene, id)}\n{_loss_panel(scene, id)}",
        table=_table(scene),
        shared=_svg.file("shared.js").strip(),
        model=json.dumps(asdict(_Model())),
    )
    return DescentExplorer(
        html,
        tuple(run.path),
        tuple(run.loss),
        run.steps,
        run.measured,
        run.predicted,
        state.landscape,
        state.condition,
        state.rate,
        state.momentum,
        (state.x, state.y),
    )


# The numbers, as in descent.js


class _State(NamedTuple):
    """What the controls say."""

    landscape: str
    rate: float
    momentum: float
    condition: float
    x: float
    y: float

    @property
    def weights(self) -> Point:
        """Of x and y in the valley."""
        return 1.0, self.condition


@dataclass(frozen=True)
class _Model:
    """What the script is given, by the names it uses."""

    count: int = STEPS
    arrived: float = ARRIVED
    far: float = FAR
    edge: float = EDGE
    slope: float = SLOPE
    over: float = OVER
    under: float = UNDER
    levels: int = LEVELS
    xlim: Range = XLIM
    ylim: Range = YLIM
    box: tuple[int, int, int, int] = PANEL.box
    slots: int = _svg.SLOTS


@dataclass(frozen=True)
class _Term:
    """A landscape is the sum of one such term in x and one in y; w is its weight.

    The inverse gives, of the two places where the term has a value, the one of the sign.
    """

    value: Callable[[float, float], float]
    slope: Callable[[float, float], float]
    inverse: Callable[[float, float, float], float]


def _sign(e: float) -> float:
    return float((e > 0) - (e < 0))


def _side(e: float) -> float:
    return OVER if e > 0 else UNDER


TERMS = {
    "valley": _Term(
        lambda e, w: w * e * e / 2,
        lambda e, w: w * e,
        lambda v, sign, w: sign * math.sqrt(2 * v / w),
    ),
    "plateau": _Term(
        lambda e, w: abs(e) if abs(e) <= EDGE else EDGE + SLOPE * (abs(e) - EDGE),
        lambda e, w: _sign(e) * (1 if abs(e) <= EDGE else SLOPE),
        lambda v, sign, w: sign * (v if v <= EDGE else EDGE + (v - EDGE) / SLOPE),
    ),
    "cliff": _Term(
        lambda e, w: _side(e) * e * e,
        lambda e, w: 2 * _side(e) * e,
        lambda v, sign, w: sign * math.sqrt(v / _side(sign)),
    ),
}


@dataclass(frozen=True)
class _Run:
    path: list[Point]
    loss: list[float]
    distance: list[float]
    steps: int | None
    measured: float | None
    predicted: float | None
    leading: int  # the parameter, 0 or 1, that is farther from the minimum in the end
    turns: int  # how often that one changed its sign
    moved: int  # over so many steps

    @property
    def lost(self) -> bool:
        return self.distance[-1] > FAR


def _radius(rate: float, momentum: float, curvature: float) -> float:
    """Return the larger root of r² − (1 + μ − ηλ) r + μ, by its absolute value."""
    middle = 1 + momentum - rate * curvature
    inside = middle * middle - 4 * momentum
    return (
        math.sqrt(momentum) if inside < 0 else (abs(middle) + math.sqrt(max(0, inside))) / 2
    )


def _predict(state: _State) -> float | None:
    """Return the factor a step in the end; directions where the start is 0 stay at 0."""
    factors = []
    for e, w in zip((state.x, state.y), state.weights, strict=True):
        if e == 0:
            continue
        if state.landscape == "valley":
            factors.append(_radius(state.rate, state.momentum, w))
        elif state.landscape == "cliff" and state.momentum == 0:
            here, there = (1 - 2 * side * state.rate for side in (_side(e), _side(-e)))
            if here >= 0:
                factors.append(here)  # never on the other side
            else:
                factors.append(there if there >= 0 else math.sqrt(here * there))
    return max(factors) if factors else None


def _descend(state: _State) -> _Run:
    term, weights = TERMS[state.landscape], state.weights
    at, speed = [state.x, state.y], [0.0, 0.0]
    points, distance = [(state.x, state.y)], [math.hypot(state.x, state.y)]
    while len(points) <= STEPS and distance[-1] <= FAR:
        for i in (0, 1):
            speed[i] = state.momentum * speed[i] + term.slope(at[i], weights[i])
            at[i] -= state.rate * speed[i]
        points.append((at[0], at[1]))
        distance.append(math.hypot(*at))
    loss = [term.value(x, weights[0]) + term.value(y, weights[1]) for x, y in points]
    first, last = distance[0], len(distance) - 1

    def settled(share: float) -> int:
        """Return from which step on the distance is at most a share of the first."""
        out = [k for k, d in enumerate(distance) if d > share * first * (1 + 1e-9)]
        return out[-1] + 1 if out else 0

    moved = min(settled(1e-9), last)  # after that, rounding is all that is left
    steps = settled(ARRIVED)
    # The farthest of a last window beside that of an earlier one: paths swing.
    wide = max(1, moved // 4)
    apart = min(2 * wide, moved - wide + 1)

    def window(values: list[float], before: int) -> float:
        end = moved - before + 1
        return max(values[end - wide : end])

    sizes = [[abs(p[i]) for p in points] for i in (0, 1)]
    leading, measured = 0, None
    if moved:
        leading = int(window(sizes[1], 0) > window(sizes[0], 0))
        while window(distance, apart) == 0:  # on the way through the minimum
            apart += 1
        measured = (window(distance, 0) / window(distance, apart)) ** (1 / apart)
    turns = sum(points[k][leading] * points[k + 1][leading] < 0 for k in range(moved))
    return _Run(
        points,
        loss,
        distance,
        steps if steps <= last else None,
        measured,
        _predict(state),
        leading,
        turns,
        moved,
    )


def _digits(value: float, digits: int) -> str:
    """Significant ones, of a number from 0.001 to 10 000."""
    return f"{value * (1 + 1e-12):.{digits}g}"


def _grouped(count: float) -> str:
    return f"{count:,.0f}".replace(",", "\u202f")


def _motion(run: _Run) -> str:
    often = run.turns / run.moved
    return "Bounces" if often > 0.5 else "Swings" if run.turns > 1 else "Crawls"


def _stuck(run: _Run, state: _State) -> str | None:
    """On the plateau: what is farther out than its edge."""
    far = max(map(abs, run.path[-1]))
    if far <= EDGE:
        return None
    slope = TERMS["plateau"].slope
    share = slope(far, 1) / slope(EDGE, 1)
    pace = state.rate * slope(far, 1) / (1 - state.momentum)
    steps = math.ceil(float(f"{(far - EDGE) / pace * (1 + 1e-12):.1e}"))
    return (
        f"Stuck on the plateau: a step is {_digits(share, 1)} of one near the minimum, and "
        f"the edge is {_grouped(steps)} step{'s' * (steps > 1)} away."
    )


def _diverging(run: _Run, state: _State) -> str | None:
    if run.predicted is not None:
        grows = run.predicted > 1 + 1e-9
    else:
        grows = run.lost or (run.measured or 0) > 1.001  # less is the path's swing
    if state.landscape == "valley":
        limit = 2 * (1 + state.momentum) / state.condition
        name = "2(1 + μ)/λmax" if state.momentum else "2/λmax"
        if grows:
            return f"Diverges: the learning rate is above {name} = {_digits(limit, 3)}."
        if (run.predicted or 0) > 1 - 1e-9:
            return f"Bounces for ever: the learning rate is {name} = {_digits(limit, 3)}."
    elif grows:
        return (
            "Diverges: from wall to gentle side and back the distance grows by "
            f"{shown(run.measured or 0, 3)} a step."
        )
    return None


def _place(run: _Run, state: _State, motion: str) -> str:
    if state.landscape == "cliff":
        crawls = motion == "Crawls"  # down the wall no rate is slow enough for that
        return "along the gentle side" if crawls else "between wall and gentle side"
    if state.landscape == "plateau" or state.condition < 2:
        return "towards the minimum" if motion == "Crawls" else "about the minimum"
    return ("along the valley", "across the valley")[run.leading]


def _verdict(run: _Run, state: _State) -> str:
    if run.measured is None:
        return "The start is the minimum: nothing moves."
    found = _stuck(run, state) if state.landscape == "plateau" else _diverging(run, state)
    if found:
        return found
    motion, factor = _motion(run), shown(run.measured, 3)
    ways = f"{motion} {_place(run, state, motion)}: "
    if run.steps is not None and run.steps <= STEPS / 4:
        plural = "s" * (run.steps != 1)
        story = f"Arrives: 1\u00a0% of the distance after {run.steps} step{plural}."
    elif state.landscape == "plateau":
        (ax, ay), (bx, by) = run.path[-2:]
        long = shown(math.hypot(bx - ax, by - ay), 3)
        story = f"{ways}the slope does not shrink, and the last step is {long} long."
    elif run.steps is None:
        story = f"{ways}{factor} a step, and not there after {STEPS}."
    else:
        story = f"{ways}{factor} a step, 1\u00a0% of the distance after {run.steps} steps."
    farthest = max(run.distance) / run.distance[0]
    if state.landscape == "cliff" and farthest > 1.5:
        times = shown(farthest, 1)
        return f"Thrown back {times} times as far, then {story[0].lower()}{story[1:]}"
    return story


# The drawing, as in descent.js


def _shares(level: float, landscape: str) -> list[float]:
    """What of a level is x's part, at the places of a contour in one quadrant."""
    found = {math.sin(math.pi * k / 24) ** 2 for k in range(13)}
    if landscape == "plateau" and level > EDGE:
        found |= {EDGE / level, 1 - EDGE / level}  # its kinks; straight lines between
    return sorted(found)


def _contour(level: float, state: _State) -> str:
    inverse, (wx, wy) = TERMS[state.landscape].inverse, state.weights
    shares = _shares(level, state.landscape)
    points = [
        (
            along(inverse(level * s, sx, wx), XLIM),
            up(inverse(level * (1 - s), sy, wy), YLIM),
        )
        for sx, sy, by in ((1, 1, -1), (-1, 1, 1), (-1, -1, -1), (1, -1, 1))
        for s in shares[::by][:-1]
    ]
    return f"{path(points)}Z"


def _levels(state: _State) -> list[float]:
    """Equal steps on the plateau; elsewhere each is twice the one inside it."""
    if state.landscape == "plateau":
        return [k / 10 for k in range(1, 11)]
    value, (wx, wy) = TERMS[state.landscape].value, state.weights
    most = value(XLIM[1], wx) + value(YLIM[1], wy)  # of the corners, this is the highest
    return [level for level in (2.0**k for k in range(-3, LEVELS - 3)) if level < most]


def _power(text: str) -> str:
    return text and "10" + text.translate(str.maketrans("−0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _loss_scene(run: _Run) -> Scene:
    first = run.loss[0]
    least = max(min(run.loss), 1e-10 * first) or 1.0  # nothing to draw: all is 0
    top = math.ceil(math.log10(max(run.loss) or 1.0))
    limits = min(math.floor(math.log10(least)), top - 4.0), float(top)

    def height(v: float) -> float:
        return up(math.log10(max(v, 1e-99)), limits)

    line = path((along(k, STEPLIM), height(v)) for k, v in enumerate(run.loss))
    dashed = ""
    if run.predicted is not None:
        end = math.log10(first) + 2 * STEPS * math.log10(max(run.predicted, 1e-9))
        dashed = path([(PANEL.left, height(first)), (PANEL.right, up(end, limits))])
    axis = PANEL.axis("loss-y", "y", limits, 4)
    for slot in axis.values():
        if "text" in slot:
            slot["text"] = _power(slot["text"])
    at = along(run.steps or 0, STEPLIM)
    late = run.steps is not None and run.steps > STEPS / 2
    return axis | {
        "loss-line": {"d": line},
        "loss-predicted": {"d": dashed},
        "loss-there": {
            "d": f"M{fixed(at, 1)} {PANEL.upper}V{PANEL.lower}" if run.steps else ""
        },
        "loss-there-label": {
            "x": fixed(at + (-5 if late else 5), 1),
            "text-anchor": "end" if late else "start",
            "text": f"1\u00a0% at step {run.steps}" if run.steps else "",
        },
    }


def _table_scene(run: _Run) -> Scene:
    rho = run.predicted
    steps = "–"
    if rho is not None:
        there = math.log(ARRIVED) / math.log(rho) if 0 < rho < 1 - 1e-9 else 1.0
        steps = _grouped(math.ceil(there - 1e-9)) if rho < 1 - 1e-9 else "never"
    return {
        "table-steps-measured": {
            "text": f"not within {STEPS}" if run.steps is None else str(run.steps)
        },
        "table-steps-predicted": {"text": steps},
        "table-factor-measured": {
            "text": "–" if run.measured is None else shown(run.measured, 3)
        },
        "table-factor-predicted": {"text": "–" if rho is None else shown(rho, 3)},
    }


def _scene(run: _Run, state: _State) -> Scene:
    places = [(along(x, XLIM), up(y, YLIM)) for x, y in run.path]
    levels = [_contour(level, state) for level in _levels(state)]
    levels += [""] * (LEVELS - len(levels))
    rate, condition = f"{state.rate:g}", f"{state.condition:g}"
    # The path goes towards the minimum: the label is on the other side of the start.
    x, anchor = (8, "end") if state.x > 0 else (-8, "start")
    label = {"x": str(x), "y": "20" if state.y < 0 else "-13", "text-anchor": anchor}
    scene: Scene = {
        "rate": {"aria-valuetext": rate},
        "condition": {"aria-valuetext": condition}
        | ({} if state.landscape == "valley" else {"disabled": ""}),
        "rate-value": {"text": rate},
        "momentum-value": {"text": number(state.momentum, 2)},
        "condition-value": {"text": condition},
        "x-value": {"text": number(state.x, 1)},
        "y-value": {"text": number(state.y, 1)},
        **{f"level-{k}": {"d": d} for k, d in enumerate(reversed(levels))},
        "path-line": {"d": path(places)},
        "path-dots": {"d": "".join(f"M{fixed(x, 1)} {fixed(y, 1)}h0" for x, y in places)},
        "handle": {"transform": shift(*places[0])},
        "handle-label": label,
        **_loss_scene(run),
        **_table_scene(run),
        "verdict": {"text": _verdict(run, state)},
    }
    return scene


# The page

CROSS = "M-6 0H6M0-6V6"
LEGEND = {
    "a step": '<path class="way" d="M3 6H27"/><path class="stops" d="M3 6h0M27 6h0"/>',
    "minimum": f'<path class="goal" d="{CROSS}" transform="translate(15 6)"/>',
    "loss": '<path class="fall" d="M0 6H30"/>',
    "at the predicted rate": '<path class="thin" d="M0 6H30"/>',
}


def _path_panel(scene: Scene, id: str) -> str:
    middle = shift(along(0, XLIM), up(0, YLIM))
    return PANEL.svg(
        "contours of the loss in two parameters, and the path of gradient descent from the "
        "start; the sentence above says where it gets",
        PANEL.title("Path over the contours of the loss"),
        ("parameter x", "parameter y"),
        [
            *PANEL.x_ticks(XLIM),
            *PANEL.y_ticks(YLIM),
            f'{PANEL.clip(f"{id}-path")}<g clip-path="url(#{id}-path)">',
            *(element("path", f"level-{k}", "level", scene) for k in range(LEVELS)),
            f'<path class="goal" d="{CROSS}" transform="{middle}"/>',
            element("path", "path-line", "way", scene),
            element("path", "path-dots", "stops", scene),
            "</g>",
            element("g", "handle", "handle", scene).removesuffix("</g>"),
            '<circle class="grip" r="22"/><circle class="halo" r="12"/>'
            '<circle class="dot" r="6.5"/>',
            element("text", "handle-label", "over", scene, text="start"),
            "</g>",
        ],
    )


def _loss_panel(scene: Scene, id: str) -> str:
    def drawn() -> Iterable[str]:
        yield from PANEL.x_ticks(STEPLIM)
        yield from PANEL.slots("loss-y", "y", scene)
        yield f'{PANEL.clip(f"{id}-loss")}<g clip-path="url(#{id}-loss)">'
        yield element("path", "loss-there", "here", scene)
        yield element("path", "loss-line", "fall", scene)
        yield element("path", "loss-predicted", "thin", scene)
        yield "</g>"
        yield element("text", "loss-there-label", "over", scene, y=PANEL.upper + 12)

    return PANEL.svg(
        "loss over the steps on a logarithmic axis, beside a straight line that falls at "
        "the predicted rate; the table below holds the numbers",
        PANEL.title("Loss over the steps"),
        ("step", ""),
        drawn(),
    )


def _table(scene: Scene) -> str:
    rows = {"steps": "Steps to 1 % of the distance", "factor": "Distance, factor a step"}
    heads = "".join(
        f'<th scope="col">{h}</th>' for h in ("Quantity", "Measured", "Predicted")
    )
    body = "\n".join(
        f'<tr><th scope="row">{title}</th>'
        + "".join(
            element("td", f"table-{name}-{kind}", "", scene)
            for kind in ("measured", "predicted")
        )
        + "</tr>"
        for name, title in rows.items()
    )
    return f"<table><thead><tr>{heads}</tr></thead><tbody>\n{body}\n</tbody></table>"
