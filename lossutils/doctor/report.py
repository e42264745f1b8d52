"""A diagnosis as text, HTML, dictionary, table and figure. It measures nothing itself."""

from __future__ import annotations

import html
import math
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lossutils._address import SITE

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from pandas import DataFrame

    from lossutils.doctor.findings import Curve, Diagnosis, Finding, NoiseResponse

    Array = NDArray[np.float64]

__all__ = ["as_dict", "as_figure", "as_frame", "as_html", "as_text", "where_to_read"]

WIDTH = 88  # columns
SHOWN = 8  # entries of a long list in the evidence
SEVERITIES = ("error", "warning", "note")
COLUMNS = ["check", "severity", "summary", "evidence", "remedy", "chapter"]


# Words


def as_text(d: Diagnosis) -> str:
    """Return the report for a terminal, in lines of at most 88 columns."""
    lines = _wrap(f"{_line(d.name)} for {_line(d.task)}: {_verdict(d)}")
    for finding in _by_severity(d):
        lines.append("")
        lines += _wrap(
            f"{finding.severity.upper()} {finding.check}  {_line(finding.summary)}"
        )
        for name, value in finding.evidence.items():
            lines += _wrap(f"{_line(name)} = {_shown(value)}", 6)
        lines += _wrap(f"Remedy: {_line(finding.remedy)}", 4)
        lines += _wrap(f"Read: {_line(finding.chapter)}", 4)
    if d.findings and (d.passed or d.skipped):
        lines.append("")
    if d.passed:
        lines += _wrap(f"Passed: {', '.join(d.passed)}")
    if d.skipped:
        lines += _wrap(f"Skipped: {'; '.join(_skipped(d))}")
    if d.findings:
        lines += _wrap(where_to_read(SITE))
    return "\n".join(lines)


def where_to_read(site: str) -> str:
    """Return the line that says where the pages are: on a site, or on none ("")."""
    place = f"under {site}" if site else 'in the book "Loss Functions, Tested"'
    return f"The pages to read are {place}"


def _verdict(d: Diagnosis) -> str:
    notes = _count(len(d.notes), "note")
    if len(d.skipped) > 8:
        notes += f"; {len(d.skipped)} checks could not run"
    if d.errors or d.warnings:
        errors = _count(len(d.errors), "error")
        return f"{errors}, {_count(len(d.warnings), 'warning')}, {notes}"
    if not d.findings and not d.passed:
        return "nothing examined, every check was skipped."
    return f"healthy. No error, no warning; {notes}."


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def _by_severity(d: Diagnosis) -> list[Finding]:
    return sorted(d.findings, key=lambda f: SEVERITIES.index(f.severity))


def _skipped(d: Diagnosis) -> list[str]:
    """Checks that were skipped for one reason, and the reason once."""
    by_reason: dict[str, list[str]] = {}
    for name, why in d.skipped.items():
        by_reason.setdefault(_line(why), []).append(_line(name))
    return [f"{', '.join(names)} ({why})" for why, names in by_reason.items()]


def _line(text: object) -> str:
    """The text on one line, whatever a loss's name or an error's message contains."""
    words = " ".join(str(text).split())
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in words)


def _wrap(text: str, indent: int = 0) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + 4),
        break_long_words=False,  # a path or an address stays whole
        break_on_hyphens=False,
    )


def _shown(value: Any) -> str:
    """A piece of evidence as a reader sees it: numbers to four significant digits."""
    value = _plain(value, as_json=False)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value + 0.0:.4g}"  # -0 is 0
    if isinstance(value, list):
        shown = [_shown(v) for v in value[:SHOWN]]
        if len(value) > SHOWN:
            shown.append(f"... ({len(value)} in all)")
        # What has a comma inside is not set apart by one.
        between = "; " if any("," in v for v in shown) else ", "
        return f"[{between.join(shown)}]"
    if isinstance(value, dict):
        return ", ".join(f"{k}: {_shown(v)}" for k, v in value.items()) or "none"
    return "none" if value is None else _line(value)


# Data


def as_dict(d: Diagnosis) -> dict[str, Any]:
    """Return everything but the time it took, as JSON knows it.

    JSON has no NaN and no infinity: they become "nan", "inf" and "-inf".
    """
    plain: dict[str, Any] = _plain(
        {
            "name": d.name,
            "task": d.task,
            "ok": d.ok,
            "findings": [
                {name: getattr(f, name) for name in COLUMNS} for f in _by_severity(d)
            ],
            "passed": d.passed,
            "skipped": d.skipped,
            "measurements": d.measurements,
            "curves": [curve._asdict() for curve in d.curves],
            "noise": d.noise and d.noise._asdict(),
        }
    )
    return plain


def _plain(value: Any, *, as_json: bool = True) -> Any:
    """The value as strings, numbers, lists and dictionaries, tensors and arrays too."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        finite = math.isfinite(value) or not as_json
        return float(value) if finite else f"{float(value)}"
    if isinstance(value, Mapping):
        return {_line(k): _plain(v, as_json=as_json) for k, v in value.items()}
    if hasattr(value, "tolist"):  # of torch and NumPy, whichever is there
        return _plain(value.tolist(), as_json=as_json)
    if isinstance(value, set | frozenset):
        value = sorted(value, key=str)  # the same on every run
    if isinstance(value, Iterable):
        return [_plain(v, as_json=as_json) for v in value]
    return str(value)


def as_frame(d: Diagnosis) -> DataFrame:
    """Return the findings as a table, one row each, the most severe first."""
    import pandas as pd

    rows = [
        {name: getattr(f, name) for name in COLUMNS}
        | {
            "evidence": "; ".join(
                f"{_line(k)} = {_shown(v)}" for k, v in f.evidence.items()
            )
        }
        for f in _by_severity(d)
    ]
    return pd.DataFrame(rows, columns=COLUMNS, dtype=str)


# HTML

# Every colour is set together with its ground: a notebook's dark theme changes neither.
# Contrast with white is 6.3 and more, of dark on it as of it on the labels.
_GROUND, _INK, _QUIET, _LINK = "#ffffff", "#222222", "#5f5f5f", "#0b5394"
_LABELS = {
    "error": "#b3261e",
    "warning": "#8a5300",
    "note": "#0b5394",
    "healthy": "#1b6b3a",
}
_SANS = "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"
_MONO = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"


def as_html(d: Diagnosis) -> str:
    """Return the report as one block of HTML for a notebook or a page.

    Its styles are inline, it has no ids and no script and fetches nothing: several may
    stand on one page, in a light theme and in a dark one.
    """
    colour = _LABELS["note"]
    if d.errors or d.warnings:
        colour = _LABELS["error" if d.errors else "warning"]
    elif d.findings or d.passed:
        colour = _LABELS["healthy"]
    blocks = [
        _div(
            f"{_bold(d.name)} for {_escaped(d.task)}: {_escaped(_verdict(d))}",
            f"margin:0;padding:10px 14px;background:{colour};color:#ffffff;font-size:16px",
        )
    ]
    blocks += [_finding(f) for f in _by_severity(d)]
    foot = []
    if d.passed:
        foot.append(_listed("Passed", ", ".join(d.passed)))
    if d.skipped:
        foot.append(_listed("Skipped", "; ".join(_skipped(d))))
    if foot:
        blocks.append(
            _div(
                "".join(foot),
                f"padding:8px 14px;border-top:1px solid #d5d5d5;"
                f"color:{_QUIET};font-size:13px",
            )
        )
    # The classes keep MathJax from setting what stands between two dollars.
    return (
        '<div class="tex2jax_ignore mathjax_ignore" style="'
        f"margin:8px 0;max-width:800px;box-sizing:border-box;overflow:hidden;"
        f"border:1px solid #c4c4c4;border-radius:6px;background:{_GROUND};color:{_INK};"
        f"color-scheme:light;font-family:{_SANS};font-size:14px;line-height:1.5;"
        f'text-align:left;overflow-wrap:anywhere">{"".join(blocks)}</div>'
    )


def _finding(f: Finding) -> str:
    colour = _LABELS[f.severity]
    label = (
        f'<span style="background:{colour};color:#ffffff;padding:1px 7px;'
        f"border-radius:3px;font-size:12px;font-weight:700;letter-spacing:.03em;"
        f'white-space:nowrap">{f.severity.upper()}</span> '
        f'<span style="color:{_INK};font-family:{_MONO};font-weight:700">'
        f"{_escaped(f.check)}</span>"
    )
    # A list of terms, laid out as two columns that a narrow screen may wrap: notebooks
    # give tables a ground and an alignment of their own.
    term = f"margin:0;padding:0;float:none;font-weight:400;color:{_QUIET}"
    number = f"margin:0;padding:0;color:{_INK};font-family:{_MONO};font-size:13px"
    pairs = "".join(
        f'<dt style="{term}">{_escaped(name)}</dt>'
        f'<dd style="{number}">{_escaped(_shown(value))}</dd>'
        for name, value in f.evidence.items()
    )
    evidence = (
        '<dl style="display:grid;grid-template-columns:fit-content(60%) minmax(0,1fr);'
        f'gap:1px 16px;margin:4px 0;padding:0;font-size:13px">{pairs}</dl>'
    )
    # On a phone an address breaks after a stroke, not within a word.
    page = "<wbr>".join(map(_escaped, re.split(r"(?<=[/_#])", f.chapter)))
    if SITE:
        page = (
            f'<a href="{_escaped(SITE + f.chapter)}" style="color:{_LINK};'
            f'text-decoration:underline">{page}</a>'
        )
    parts = [
        _div(label, "margin:0"),
        _div(_escaped(f.summary), f"margin:3px 0;color:{_INK};font-size:15px"),
        evidence if pairs else "",
        _div(f"{_bold('Remedy:')} {_escaped(f.remedy)}", f"margin:3px 0;color:{_INK}"),
        _div(f"{_bold('Read:')} {page}", f"margin:3px 0;color:{_INK}"),
    ]
    return _div(
        "".join(parts),
        f"padding:9px 14px;border-top:1px solid #d5d5d5;border-left:5px solid {colour}",
    )


def _listed(title: str, text: str) -> str:
    return _div(f"{_bold(title + ':')} {_escaped(text)}", f"margin:2px 0;color:{_QUIET}")


def _div(inner: str, style: str) -> str:
    return f'<div style="{style}">{inner}</div>'


def _bold(text: str) -> str:
    return f'<strong style="color:inherit;font-weight:700">{_escaped(text)}</strong>'


def _escaped(text: object) -> str:
    return html.escape(_line(text))


# Figure


def as_figure(d: Diagnosis) -> Figure:
    """Draw value, gradient and curvature along the curves, and the response to noise.

    Of curves over several axes, those over the first one's are drawn. An axis is
    symmetrically logarithmic where what it shows spans decades.
    """
    import matplotlib.pyplot as plt

    from lossutils.plots.figures import _columns

    curves = [c for c in d.curves if c.axis == d.curves[0].axis]
    figure, panels = plt.subplots(2, 2, figsize=(6.5, 6.0), layout="constrained")
    drawn = (
        ("value", "value", "continuity"),
        ("gradient", "slope", "plateau"),
        ("curvature", "curvature", "conditioning"),
    )
    for ax, (title, name, check) in zip(panels.flat, drawn, strict=False):
        ax.set_title(title)
        _draw_curves(ax, curves, name, d.skipped.get(check, "no part of this diagnosis"))
    noise = panels[1, 1]
    noise.set_title("response to noise")
    why = d.skipped.get("noise", "no part of this diagnosis")
    _draw_noise(noise, d.noise, len(curves), why)
    # One legend above all panels, where it hides no curve.
    handles: list[Any] = [*panels[0, 0].lines, *noise.containers, *noise.lines]
    handles = [h for h in handles if not str(h.get_label()).startswith("_")]
    labels = [str(h.get_label()) for h in handles]
    title = _filled(f"{_line(d.name)} for {_line(d.task)}", 60, lines=2)
    if labels:
        figure.legend(
            handles,
            labels,
            loc="outside upper left",
            ncols=_columns(labels, 6.5),
            title=title,
            alignment="left",
        )
    else:
        figure.suptitle(title)
    return figure


def _draw_curves(ax: Axes, curves: Sequence[Curve], name: str, why: str) -> None:
    from lossutils.plots.figures import _curve, _interrupted

    if not curves:
        return _say(ax, f"not measured: {why}")
    xs, ys = [], []
    for i, curve in enumerate(curves):
        x, y = _drawable(curve.x), _drawable(getattr(curve, name))
        xs.append(x)
        ys.append(y)
        label = _filled(_line(curve.label), 60, lines=2)
        ax.plot(*_interrupted(x, y), label=label, **_curve(i))
    ax.set_xlabel(_filled(_line(curves[0].axis), 30, lines=2))
    if not _scale(ax, "y", ys):
        return _say(ax, f"no finite {name}", clear=False)
    _scale(ax, "x", xs)


def _draw_noise(ax: Axes, noise: NoiseResponse | None, taken: int, why: str) -> None:
    import numpy as np

    from lossutils.plots.figures import _curve
    from lossutils.plots.style import MARKERS

    if noise is None:
        return _say(ax, f"not measured: {why}")
    levels, measured, error, predicted = map(_drawable, noise)
    ax.errorbar(
        levels,
        measured,
        yerr=np.nan_to_num(error),
        linestyle="none",
        marker=MARKERS[0],
        color=_curve(taken)["color"],
        capsize=3,
        label="noise: measured",
    )
    ax.plot(levels, predicted, label="noise: predicted", **_curve(taken + 1))
    ax.set_xlabel(_filled("standard deviation of the noise on the prediction", 30))
    ax.set_ylabel("change of\nthe mean loss")
    # The response grows as the square of the noise: over decades of the one, many of the
    # other.
    decades = bool((levels > 0).all() and levels.max() > 10 * levels.min())
    if not _scale(ax, "y", [measured, predicted], decades=decades):
        return _say(ax, "no finite response", clear=False)
    if decades:
        ax.set_xscale("log")
        # At most three labels fit: first, middle and last level.
        shown = [levels[0], levels[len(levels) // 2], levels[-1]]
        ax.set_xticks(shown, [f"{level:.3g}" for level in shown])
        ax.xaxis.set_minor_formatter("")


def _drawable(values: Sequence[float]) -> Array:
    """The values, NaN where there are none or none that an axis could hold."""
    import numpy as np

    array = np.asarray(values, dtype=np.float64)
    # The margin about 1e308 would overflow.
    return np.where(np.abs(array) < 1e150, array, np.nan)


def _scale(ax: Axes, which: str, arrays: Sequence[Array], *, decades: bool = False) -> bool:
    """Choose the axis's scale; say whether there is a finite value on it at all."""
    import numpy as np
    from matplotlib.ticker import MaxNLocator, SymmetricalLogLocator

    values = np.concatenate(arrays)
    size = np.abs(values[np.isfinite(values)])
    axis = ax.yaxis if which == "y" else ax.xaxis
    some = size[size > 0]
    # A parabola's largest value is four times its median; where it is a hundred times,
    # a linear axis would show a flat line and a spike.
    if some.size and (decades or some.max() > 100 * np.median(some)):
        most = some.max()
        # Six decades at most: those below carry no more ink than the line at zero.
        least = max(np.quantile(some, 0.1), most / 1e6)
        threshold = 10.0 ** np.floor(np.log10(least))
        (ax.set_yscale if which == "y" else ax.set_xscale)("symlog", linthresh=threshold)
        locator = SymmetricalLogLocator(base=10, linthresh=threshold)
        locator.set_params(numticks=6 if which == "y" else 4)
        axis.set_major_locator(locator)
    else:
        axis.set_major_locator(MaxNLocator(5 if which == "y" else 4, steps=[1, 2, 5, 10]))
    return bool(size.size)


def _say(ax: Axes, words: str, *, clear: bool = True) -> None:
    if clear:
        ax.set(xticks=[], yticks=[])
    ax.text(0.5, 0.5, _filled(words, 26), ha="center", va="center", transform=ax.transAxes)


def _filled(text: str, width: int, lines: int = 8) -> str:
    words = textwrap.wrap(text, width, max_lines=lines, placeholder=" ...")
    return "\n".join(words).replace("$", r"\$")  # a dollar would begin a formula
