"""What the explorers share: panels, numbers, sliders, the assembly of a page.

A scene says what depends on the state: part -> its attributes, and its text under
"text". Python draws the first one; the script draws each after it, by the same steps.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from string import Template

from lossutils.plots.style import COLOURS, INK, MUTED

Range = tuple[float, float]
Scene = dict[str, dict[str, str]]
SLOTS = 9  # for the numbers along an axis, the most that `ticks` gives for five


@dataclass(frozen=True)
class Page:
    """What a notebook shows.

    Attributes
    ----------
    html : str
        Self-contained: no other file, no network, no kernel.
    """

    html: str = field(repr=False)

    def _repr_html_(self) -> str:
        return self.html


# Numbers


def fixed(value: float, decimals: int) -> str:
    return f"{value:z.{decimals}f}"  # z: no minus before a zero


def number(value: float, decimals: int) -> str:
    return fixed(value, decimals).replace("-", "−")


def shown(value: float, decimals: int = 2) -> str:
    """A number of a table: a half rounds away from 0, as in the script."""
    return "∞" if math.isinf(value) else number(value * (1 + 1e-12), decimals)


def clamp(value: float, limits: Range) -> float:
    return min(max(value, limits[0]), limits[1])


def step(limits: Range, count: int) -> float:
    """Return the step of 1, 2 or 5 times a power of ten that fits about `count` times."""
    wide = (limits[1] - limits[0]) / count
    power = 10.0 ** math.floor(math.log10(wide))
    return power * min((1, 2, 5, 10), key=lambda k: abs(math.log(wide / power / k)))


def ticks(limits: Range, count: int = 5) -> list[tuple[float, str]]:
    by = step(limits, count)
    first, last = math.ceil(limits[0] / by), math.floor(limits[1] / by)
    return [(k * by, f"{k * by:g}".replace("-", "−")) for k in range(first, last + 1)]


# Elements


def shift(x: float, y: float) -> str:
    return f"translate({fixed(x, 1)} {fixed(y, 1)})"


def path(points: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{fixed(x, 1)} {fixed(y, 1)}" for x, y in points)


def text(x: float, y: float, text: str, css: str = "label", anchor: str = "middle") -> str:
    at = f'x="{fixed(x, 1)}" y="{fixed(y, 1)}" text-anchor="{anchor}"'
    return f'<text class="{css}" {at}>{escape(text)}</text>'


def element(tag: str, part: str, css: str, scene: Scene, **more: object) -> str:
    given = {**more, **scene[part]}
    text = escape(str(given.pop("text", "")))
    attributes = "".join(f' {key}="{value}"' for key, value in given.items())
    return f'<{tag} class="{css}" data-part="{part}"{attributes}>{text}</{tag}>'


def row_head(css: str, title: str) -> str:
    swatch = f'<path class="{css}" d="M0 5H30"/>'
    return (
        f'<th scope="row"><svg viewBox="0 0 30 10" aria-hidden="true">{swatch}</svg>'
        f"{escape(title)}</th>"
    )


@dataclass(frozen=True)
class Panel:
    """A drawing of `width` × `height` with its axes at the edges of a box in it."""

    left: int
    upper: int
    right: int
    lower: int
    width: int
    height: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        return self.left, self.upper, self.right, self.lower

    def along(self, value: float, limits: Range) -> float:
        share = (value - limits[0]) / (limits[1] - limits[0])
        return self.left + share * (self.right - self.left)

    def up(self, value: float, limits: Range) -> float:
        share = (value - limits[0]) / (limits[1] - limits[0])
        return self.lower - share * (self.lower - self.upper)

    def clip(self, id: str) -> str:
        inside = f"M{self.left} {self.upper}H{self.right}V{self.lower}H{self.left}Z"
        return f'<clipPath id="{id}"><path d="{inside}"/></clipPath>'

    def svg(
        self,
        description: str,
        title: str,
        labels: tuple[str, str],
        drawn: Iterable[str],
    ) -> str:
        """Draw the panel; without a y label where the title says what the heights are."""
        middle = (self.upper + self.lower) / 2
        turned = f'<g transform="translate(11 {middle:g}) rotate(-90)">'
        return "\n".join(
            [
                f'<svg viewBox="0 0 {self.width} {self.height}" role="img" '
                f'aria-label="{escape(description)}">',
                title,
                text((self.left + self.right) / 2, self.height - 5, labels[0]),
                *([f"{turned}{text(0, 0, labels[1])}</g>"] if labels[1] else []),
                *drawn,
                "</svg>",
            ]
        )

    def title(self, title: str) -> str:
        return text(self.left, 14, title, "title", "start")

    def axis(self, part: str, direction: str, limits: Range, count: int = 5) -> Scene:
        """Return ticks that depend on the state; slots that are not needed are empty."""
        found = ticks(limits, count)
        if direction == "x":
            at = [self.along(v, limits) for v, _ in found]
            grid = "".join(f"M{fixed(v, 1)} {self.upper}V{self.lower}" for v in at)
            places = [{"x": fixed(v, 1), "y": str(self.lower + 14)} for v in at]
        else:
            at = [self.up(v, limits) for v, _ in found]
            grid = "".join(f"M{self.left} {fixed(v, 1)}H{self.right}" for v in at)
            places = [{"x": str(self.left - 5), "y": fixed(v + 4, 1)} for v in at]
        slots = [
            {**place, "text": label}
            for place, (_, label) in zip(places, found, strict=True)
        ]
        slots += [{"x": "0", "y": "0", "text": ""}] * (SLOTS - len(slots))
        return {f"{part}-grid": {"d": grid}} | {
            f"{part}-{k}": slot for k, slot in enumerate(slots)
        }

    def slots(self, part: str, direction: str, scene: Scene) -> Iterable[str]:
        yield element("path", f"{part}-grid", "grid", scene)
        anchor = {"text-anchor": "middle" if direction == "x" else "end"}
        for k in range(SLOTS):
            yield element("text", f"{part}-{k}", "tick", scene, **anchor)

    def x_ticks(self, limits: Range) -> Iterable[str]:
        for v, label in ticks(limits):
            at = self.along(v, limits)
            yield f'<path class="grid" d="M{fixed(at, 1)} {self.upper}V{self.lower}"/>'
            yield text(at, self.lower + 14, label, "tick")

    def y_ticks(self, limits: Range) -> Iterable[str]:
        for v, label in ticks(limits):
            at = self.up(v, limits)
            yield f'<path class="grid" d="M{self.left} {fixed(at, 1)}H{self.right}"/>'
            yield text(self.left - 5, at + 4, label, "tick", "end")


# Controls


def check_number(name: str, value: float, limits: Range) -> None:
    expected = f"expected a number from {limits[0]:g} to {limits[1]:g}"
    if isinstance(value, str) or not hasattr(value, "__float__"):
        raise TypeError(f"{name} is {value!r}, {expected}")
    if not limits[0] <= value <= limits[1]:
        raise ValueError(f"{name} is {value}, {expected}")


@dataclass(frozen=True)
class Choice:
    """One of several options, name -> what the reader reads."""

    label: str
    options: dict[str, str]

    def check(self, name: str, value: str) -> str:
        if value not in tuple(self.options):
            raise ValueError(
                f"{name} is {value!r}, expected one of {', '.join(map(repr, self.options))}"
            )
        return value

    def html(self, name: str, value: str) -> str:
        options = "".join(
            f'<option value="{key}"{" selected" * (key == value)}>{escape(title)}</option>'
            for key, title in self.options.items()
        )
        select = f'<select data-part="{name}">{options}</select>'
        return f"<label>{escape(self.label)}{select}</label>"


@dataclass(frozen=True)
class Slider:
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
        check_number(name, value, (self.low, self.high))
        first, last = self.ends
        return self.value(min(max(round(value / self.step), first), last))

    def html(self, name: str, value: float, scene: Scene) -> str:
        low, high = (fixed(self.value(k), self.decimals) for k in self.ends)
        return (
            f"<label>{escape(self.label)} "
            f'<b data-part="{name}-value" aria-hidden="true">'
            f"{scene[f'{name}-value']['text']}</b>"
            f'<input type="range" data-part="{name}" min="{low}" max="{high}" '
            f'step="{self.step:g}" value="{fixed(value, self.decimals)}"'
            f"{' disabled' * ('disabled' in scene.get(name, {}))}></label>"
        )


# The page


def legend(swatches: dict[str, str]) -> str:
    spans = (
        f'<span><svg viewBox="0 0 30 12" aria-hidden="true">{drawn}</svg>{title}</span>'
        for title, drawn in swatches.items()
    )
    return f'<p class="legend">{"".join(spans)}</p>'


def check_id(id: str, example: str) -> None:
    if not re.fullmatch(r"[A-Za-z][\w-]*", id, re.ASCII):
        raise ValueError(
            f"id is {id!r}, expected a letter, then letters, digits, - and _: {example!r}"
        )


def file(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")


def assemble(name: str, **parts: object) -> str:
    """Fill the page `name`.html with its script, the shared style and the parts."""
    colours = {"ink": INK, "muted": MUTED, "accent": COLOURS[0]}
    shared = {
        f"{part}_css": Template(file(f"{part}.css").strip()).substitute(colours)
        for part in ("frame", "controls", "curves")
    }
    given = {**colours, **shared, "script": file(f"{name}.js").strip(), **parts}
    return Template(file(f"{name}.html")).substitute(given)
