"""The drawings: profiles of losses, curves, data, contours, estimates, histograms."""

from collections.abc import Mapping
from typing import Any, Protocol

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from lossutils.plots.style import COLOURS, INK, LINESTYLES, MARKERS, MUTED

__all__ = ["contours", "dots", "histogram", "lines", "points", "profiles"]

Array = NDArray[np.float64]
Values = ArrayLike | torch.Tensor
Point = tuple[Values, Values]
Number = float | torch.Tensor

# Light enough for every colour of a run to stand out.
_SHADES = LinearSegmentedColormap.from_list("shades", ["#ffffff", "#c8d1da"])


class ProfileLike(Protocol):
    """What `lossutils.landscape.profile` returns."""

    @property
    def errors(self) -> torch.Tensor: ...
    @property
    def value(self) -> torch.Tensor: ...
    @property
    def slope(self) -> torch.Tensor: ...
    @property
    def curvature(self) -> torch.Tensor: ...


def profiles(
    named: Mapping[str, ProfileLike],
    *,
    title: str | None = None,
    xlabel: str = "error, input − target",
) -> Figure:
    """Draw losses the standard way: value, gradient and curvature over the error.

    Where a curve jumps, it is interrupted: the derivative does not exist there.

    Parameters
    ----------
    named : mapping
        Label -> profile, as `lossutils.landscape.profile` returns it.
    title : str, optional
        Above the panels.
    xlabel : str
        What the predictions are, where they are no errors.

    Returns
    -------
    Figure
        With three Axes.

    Raises
    ------
    ValueError
        `named` is empty, or a profile's arrays differ in length.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> errors = torch.linspace(-3, 3, 301, dtype=torch.float64)
    >>> figure = lu.plots.profiles({"huber": lu.landscape.profile(lu.huber, errors)})
    >>> [ax.get_title() for ax in figure.axes]
    ['value', 'gradient', 'curvature']
    """
    _some(named)
    figure, axes = plt.subplots(1, 3, figsize=(6.5, 2.5 if len(named) == 1 else 3.2))
    for i, (label, p) in enumerate(named.items()):
        x = _array(f"errors of {label}", p.errors)
        for ax, name in zip(axes, ("value", "slope", "curvature"), strict=True):
            y = _like(x, f"errors of {label}", name, getattr(p, name))
            ax.plot(*_interrupted(x, y), label=label, **_curve(i))
    for ax, name in zip(axes, ("value", "gradient", "curvature"), strict=True):
        ax.set_title(name)
        ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    figure.supxlabel(xlabel, fontsize="medium")
    if len(named) > 1:
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(
            handles,
            labels,
            loc="outside upper left",
            ncols=_columns(labels, 6.5),
            title=title,
            alignment="left",
        )
    elif title is not None:
        figure.suptitle(title)
    return figure


def lines(
    x: Values,
    named: Mapping[str, Values],
    *,
    xlabel: str,
    ylabel: str,
    bands: Mapping[str, tuple[Values, Values]] | None = None,
    marks: Mapping[str, Point] | None = None,
    xscale: str = "linear",
    yscale: str = "linear",
    ax: Axes | None = None,
) -> Axes:
    """Draw named curves over one x.

    Parameters
    ----------
    x : array
        1-D.
    named : mapping
        Label -> y, of x's length.
    xlabel, ylabel : str
        With the unit.
    bands : mapping, optional
        Label of a curve -> (low, high), each of x's length: drawn as a shade.
    marks : mapping, optional
        Label of a curve -> (x, y) of a point on it, or of several.
    xscale, yscale : str
        "linear" or "log", as in matplotlib.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        Lengths differ, `named` is empty, or a band or mark belongs to no curve.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> e = torch.linspace(-2, 2, 101)
    >>> ax = lu.plots.lines(e, {"e²": e**2}, xlabel="error", ylabel="loss",
    ...                     marks={"e²": (0, 0)})
    """
    _some(named)
    bands, marks = bands or {}, marks or {}
    _known(named, bands, "bands")
    _known(named, marks, "marks")
    x = _array("x", x)
    ax = _axes(ax)
    for i, (label, y) in enumerate(named.items()):
        ax.plot(x, _like(x, "x", label, y), label=label, **_curve(i))
        if label in bands:
            low, high = (_like(x, "x", f"band of {label}", b) for b in bands[label])
            ax.fill_between(x, low, high, color=_curve(i)["color"], alpha=0.2, linewidth=0)
        if label in marks:
            px, py = (np.atleast_1d(_plain(m)) for m in marks[label])
            ax.plot(
                px,
                py,
                linestyle="none",
                marker=MARKERS[i % len(MARKERS)],
                markersize=8,
                markerfacecolor=_curve(i)["color"],
                markeredgecolor="white",
                zorder=3,
            )
    ax.set(xlabel=xlabel, ylabel=ylabel, xscale=xscale, yscale=yscale)
    return _legend(ax)


def points(
    x: Values,
    y: Values,
    fits: Mapping[str, Point] | None = None,
    *,
    xlabel: str,
    ylabel: str,
    outliers: Values | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw data as points, and fits through them as lines.

    Parameters
    ----------
    x, y : array
        1-D, of one length.
    fits : mapping, optional
        Label -> (x, y) of the fitted line.
    xlabel, ylabel : str
        With the unit.
    outliers : array of bool, optional
        Which points to mark as outliers.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        Lengths differ.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> x = torch.linspace(0, 1, 5)
    >>> ax = lu.plots.points(x, x**2, {"line": (x, x)}, xlabel="x", ylabel="x²")
    """
    x = _array("x", x)
    y = _like(x, "x", "y", y)
    out = np.zeros(len(x), dtype=bool)
    if outliers is not None:
        out = _like(x, "x", "outliers", outliers).astype(bool)
    ax = _axes(ax)
    ax.plot(
        x[~out],
        y[~out],
        linestyle="none",
        marker="o",
        markersize=5,
        color=MUTED,
        alpha=0.5,
        markeredgewidth=0,
        label="data",
    )
    if out.any():
        ax.plot(
            x[out],
            y[out],
            linestyle="none",
            marker="X",
            markersize=6,
            color=INK,
            markeredgewidth=0,
            label="outliers",
        )
    for i, (label, (fx, fy)) in enumerate((fits or {}).items()):
        fx = _array(f"x of {label}", fx)
        ax.plot(
            fx, _like(fx, f"x of {label}", f"y of {label}", fy), label=label, **_curve(i)
        )
    ax.set(xlabel=xlabel, ylabel=ylabel)
    return _legend(ax)


def contours(
    x: Values,
    y: Values,
    value: Values,
    runs: Mapping[str, Point] | None = None,
    *,
    xlabel: str,
    ylabel: str,
    label: str = "loss",
    scale: str = "linear",
    levels: int = 12,
    ax: Axes | None = None,
) -> Axes:
    """Draw values over a plane as shaded contours, and runs through it as paths.

    Dark is high. A run starts at its hollow marker and ends at its filled one; what lies
    outside the grid is cut off.

    Parameters
    ----------
    x, y : array
        1-D, ascending, of lengths m and n, two or more.
    value : array
        Shape (m, n): `value[i, j]` is at `x[i]`, `y[j]`, as in `lossutils.landscape.plane`.
        Where it is not finite, nothing is drawn.
    runs : mapping, optional
        Label -> (x, y) of the places in turn.
    xlabel, ylabel : str
        With the unit.
    label : str
        What the values are, beside the colour bar. Default "loss".
    scale : {"linear", "log"}
        How the levels are spaced; "log" for values above 0. Default "linear".
    levels : int
        About how many contours. Default 12.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        Shapes do not fit, an axis does not ascend, `scale` is unknown, no value is finite,
        all are the same, or one is not above 0 beside a log scale.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> a = torch.linspace(-1, 1, 21)
    >>> bowl = lu.landscape.plane(lambda w: w[0]**2 + 10 * w[1]**2, torch.zeros(2),
    ...                           *torch.eye(2), a)
    >>> ax = lu.plots.contours(*bowl, {"SGD": ([1, 0.5, 0.1], [1, -0.5, 0.1])},
    ...                        xlabel="a", ylabel="b")
    """
    x, y, z = _array("x", x), _array("y", y), _array("value", value, ndim=2)
    for name, each in (("x", x), ("y", y)):
        if len(each) < 2 or not (np.diff(each) > 0).all():
            raise ValueError(f"{name} is {each}, expected two or more ascending numbers")
    if z.shape != (len(x), len(y)):
        raise ValueError(
            f"value has shape {z.shape}, expected {(len(x), len(y))}: value[i, j] at "
            "x[i], y[j]"
        )
    if scale not in ("linear", "log"):
        raise ValueError(f"scale is {scale!r}, expected 'linear' or 'log'")
    finite = z[np.isfinite(z)]
    if finite.size == 0 or finite.min() == finite.max():
        raise ValueError("value has no two different finite numbers: nothing to draw")
    if scale == "log" and finite.min() <= 0:
        raise ValueError(
            f"value holds {finite.min():.6g}, expected numbers above 0 for a log scale: "
            "subtract the lowest loss, or scale='linear'"
        )
    ax = _axes(ax)
    low, high = finite.min(), finite.max()
    if scale == "log":
        edges = np.geomspace(low, high, levels + 1).tolist()
    else:
        locator = MaxNLocator(levels, steps=[1, 2, 2.5, 5, 10])
        edges = list(locator.tick_values(low, high))
    norm = (LogNorm if scale == "log" else Normalize)(edges[0], edges[-1])
    masked = np.ma.masked_invalid(z.T)
    shade = ax.contourf(x, y, masked, edges, cmap=_SHADES, norm=norm)
    ax.contour(x, y, masked, edges, colors="white", linewidths=0.6)
    figure = ax.get_figure(root=True)
    if figure is not None:
        ticks = edges[:: max(1, len(edges) // 6)]
        bar = figure.colorbar(shade, ax=ax, label=label)
        bar.set_ticks(ticks, labels=[f"{tick:.2g}" for tick in ticks])
        bar.ax.minorticks_off()
        bar.ax.grid(False)
    for i, (name, (px, py)) in enumerate((runs or {}).items()):
        px = _array(f"x of {name}", px)
        py = _like(px, f"x of {name}", f"y of {name}", py)
        if len(px) == 0:
            raise ValueError(f"{name} is empty, expected at least one place")
        colour, marker = _curve(i)["color"], MARKERS[i % len(MARKERS)]
        ax.plot(px, py, label=name, marker=marker, markevery=[-1], **_curve(i))
        ax.plot(px[:1], py[:1], marker=marker, color=colour, markerfacecolor="white")
    ax.set(xlabel=xlabel, ylabel=ylabel, xlim=x[[0, -1]], ylim=y[[0, -1]])
    ax.grid(False)
    return _legend(ax)


def dots(
    named: Mapping[str, Number],
    *,
    xlabel: str,
    intervals: Mapping[str, tuple[Number, Number]] | None = None,
    predicted: Mapping[str, Number] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw one number per label as a dot on a row of its own.

    Parameters
    ----------
    named : mapping
        Label -> number; the first stands on top.
    xlabel : str
        With the unit.
    intervals : mapping, optional
        Label -> (low, high), the ends of an interval drawn through the dot.
    predicted : mapping, optional
        Label -> what theory says, drawn as a ring around where the dot should be.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        `named` is empty, or an interval or prediction belongs to no label.

    Examples
    --------
    >>> import lossutils as lu
    >>> ax = lu.plots.dots({"mse": 152.1, "mae": 140.5}, xlabel="best constant (score)",
    ...                    predicted={"mse": 152.1, "mae": 140.5})
    """
    _some(named)
    intervals, predicted = intervals or {}, predicted or {}
    _known(named, intervals, "intervals")
    _known(named, predicted, "predicted")
    if ax is None:
        ax = plt.figure(figsize=(6.5, 1.3 + 0.36 * len(named))).add_subplot()
    rows = {label: row for row, label in enumerate(named)}
    for label, (low, high) in intervals.items():
        ax.plot(
            [_number(label, low), _number(label, high)],
            [rows[label]] * 2,
            color=COLOURS[0],
            linestyle="solid",
            linewidth=5,
            alpha=0.35,
            solid_capstyle="butt",
        )
    ax.plot(
        [_number(*item) for item in named.items()],
        list(rows.values()),
        linestyle="none",
        marker="o",
        markersize=7,
        color=COLOURS[0],
        label="measured",
    )
    if predicted:
        ax.plot(
            [_number(*item) for item in predicted.items()],
            [rows[k] for k in predicted],
            linestyle="none",
            marker="o",
            markersize=12,
            markerfacecolor="none",
            markeredgecolor=INK,
            markeredgewidth=1.5,
            label="predicted",
        )
    ax.set_yticks(list(rows.values()), list(rows))
    ax.set_ylim(len(named) - 0.4, -0.6)
    ax.set_xlabel(xlabel)
    return _legend(ax) if predicted else ax


def histogram(
    named: Mapping[str, Values],
    *,
    xlabel: str,
    bins: int = 30,
    marks: Mapping[str, Number] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw how values are distributed, as shares of each sample in common bins.

    Parameters
    ----------
    named : mapping
        Label -> 1-D values; the samples may differ in length.
    xlabel : str
        With the unit.
    bins : int
        Bins of equal width from the smallest value to the largest. Default 30.
    marks : mapping, optional
        Label -> x of a vertical line: a mean, a quantile, what theory predicts.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        `named` or a sample is empty.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> y = torch.arange(10.0)
    >>> ax = lu.plots.histogram({"y": y}, xlabel="y", bins=5, marks={"mean": y.mean()})
    """
    _some(named)
    samples = {label: _array(label, v) for label, v in named.items()}
    for label, v in samples.items():
        if len(v) == 0:
            raise ValueError(f"{label} is empty, expected at least one value")
    edges = np.histogram_bin_edges(np.concatenate(list(samples.values())), bins)
    ax = _axes(ax)
    for i, (label, v) in enumerate(samples.items()):
        share = np.histogram(v, edges)[0] / len(v)
        ax.stairs(share, edges, fill=True, color=COLOURS[i % len(COLOURS)], alpha=0.2)
        ax.stairs(share, edges, label=label, **_curve(i))
    for i, (label, at) in enumerate((marks or {}).items(), start=len(samples)):
        ax.axvline(_number(label, at), label=label, **_curve(i))
    ax.set(xlabel=xlabel, ylabel="share per bin")
    return _legend(ax)


def _curve(i: int) -> dict[str, Any]:
    return {
        "color": COLOURS[i % len(COLOURS)],
        "linestyle": LINESTYLES[i % len(LINESTYLES)],
    }


def _axes(ax: Axes | None) -> Axes:
    return plt.figure().add_subplot() if ax is None else ax


def _legend(ax: Axes) -> Axes:
    # Above the panel, where it hides no curve and takes no width from a phone.
    handles, labels = ax.get_legend_handles_labels()
    if len(labels) > 1:
        figure = ax.get_figure(root=True)
        width = ax.get_position().width * (figure.get_figwidth() if figure else 0)
        ax.legend(
            handles,
            labels,
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=_columns(labels, width),
        )
    return ax


def _columns(labels: list[str], width: float) -> int:
    """The most columns, as evenly filled as can be, in which a legend fits `width`."""
    for rows in range(1, len(labels)):
        columns = [labels[i : i + rows] for i in range(0, len(labels), rows)]
        # In inches: a letter is about 0.09 wide, line and gaps 0.6.
        if sum(0.6 + 0.09 * max(map(len, c)) for c in columns) <= width:
            return len(columns)
    return 1


def _plain(values: Values) -> Array:
    if isinstance(values, torch.Tensor):
        values = values.detach().to("cpu", torch.float64).numpy(force=True)
    return np.asarray(values, dtype=np.float64)


def _array(name: str, values: Values, ndim: int = 1) -> Array:
    array = _plain(values)
    if array.ndim != ndim:
        expected = "one axis: flatten it" if ndim else "a single number"
        raise ValueError(f"{name} has shape {array.shape}, expected {expected}")
    return array


def _number(name: str, value: Number) -> float:
    return float(_array(name, value, ndim=0))


def _like(x: Array, x_name: str, name: str, values: Values) -> Array:
    array = _array(name, values)
    if len(array) != len(x):
        raise ValueError(
            f"{x_name} has {len(x)} values and {name} has {len(array)}; they must be equal"
        )
    return array


def _some(named: Mapping[str, Any]) -> None:
    if not named:
        raise ValueError(
            "nothing to draw, expected {label: values} with one or more labels"
        )


def _known(named: Mapping[str, Any], given: Mapping[str, Any], what: str) -> None:
    unknown = given.keys() - named.keys()
    if unknown:
        raise ValueError(
            f"{what} has {sorted(unknown)}, which is none of the labels {list(named)}"
        )


def _interrupted(x: Array, y: Array) -> tuple[Array, Array]:
    """Put NaN where a curve jumps, so that no line is drawn across."""
    # A jump is one step, or two around a sample on the kink itself, that dwarfs the
    # steps beyond; a steep but smooth stretch has steep neighbours.
    if len(x) < 8:
        return x, y
    with np.errstate(invalid="ignore"):  # inf - inf
        step = np.abs(np.diff(y))
    height = np.abs(y[np.isfinite(y)]).max(initial=0)
    padded = np.pad(step, 3, mode="edge")
    around = np.max([padded[3 + k : len(step) + 3 + k] for k in (-3, -2, 2, 3)], axis=0)
    jump = (step > 5 * around) & (step > 0.01 * height)
    after = np.flatnonzero(jump) + 1
    return np.insert(x, after, np.nan), np.insert(y, after, np.nan)
