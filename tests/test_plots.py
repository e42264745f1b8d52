"""The figures: what is drawn, how it is labelled, who can tell it apart, which bytes."""

import base64
import io
import itertools
import subprocess
import sys

import matplotlib as mpl
import nbformat
import numpy as np
import pytest
import seaborn
import torch
from matplotlib import pyplot as plt
from nbclient import NotebookClient

import lossutils as lu
from lossutils import plots

X = torch.linspace(-2, 2, 41, dtype=torch.float64)
LABELS = {"xlabel": "error (min)", "ylabel": "loss (min²)"}


@pytest.fixture(autouse=True)
def styled():
    with mpl.rc_context():
        mpl.use("agg")
        plots.use_style()
        yield
        plt.close("all")


def png():
    file = io.BytesIO()
    plt.savefig(file, bbox_inches="tight", metadata={"Software": None})
    plt.close("all")
    return file.getvalue()


def profiles(*names):
    errors = torch.linspace(-3, 3, 301, dtype=torch.float64)
    return {name: lu.landscape.profile(getattr(lu, name), errors) for name in names}


# Style

# Machado, Oliveira and Fernandes (2009), A physiologically-based model for simulation of
# color vision deficiency, severity 1.0, on linear RGB.
VISION = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
     [0.0193339, 0.1191920, 0.9503041]]
)  # fmt: skip


def linear(colour):
    c = np.array(mpl.colors.to_rgb(colour))
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    t = XYZ @ np.clip(rgb, 0, 1) / XYZ.sum(axis=1)
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("vision", VISION)
def test_the_first_four_colours_stay_apart_in_every_colour_vision(vision):
    seen = [lab(np.array(VISION[vision]) @ linear(c)) for c in plots.COLOURS[:4]]
    # A difference of 2.3 is just noticeable between large patches; lines need more.
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 10


def test_the_first_four_colours_survive_a_black_and_white_print():
    lightness = sorted(lab(linear(c))[0] for c in plots.COLOURS[:4])
    assert min(np.diff(lightness)) > 7


def test_the_first_four_colours_and_the_greys_contrast_with_the_page():
    for colour in (*plots.COLOURS[:4], plots.INK, plots.MUTED):
        luminance = (XYZ @ linear(colour))[1]
        assert 1.05 / (luminance + 0.05) >= 3  # WCAG 2.1, 1.4.11


def test_curves_differ_by_dash_too():
    ax = plots.lines(X, {f"curve {i}": X + i for i in range(8)}, **LABELS)
    assert len({(line.get_color(), str(line.get_linestyle())) for line in ax.lines}) == 8
    dashes = {str(line._dash_pattern) for line in ax.lines}
    assert len(dashes) == 8
    plain = plt.figure().add_subplot()
    plain.plot(X, X)
    plain.plot(X, -X)  # plain matplotlib gets them as well
    assert plain.lines[0]._dash_pattern != plain.lines[1]._dash_pattern


def test_text_is_readable_on_a_phone():
    plots.lines(X, {"a": X, "b": -X}, **LABELS)
    plt.gcf().draw_without_rendering()
    width = plt.gcf().get_figwidth() * 72
    texts = [t for t in plt.gcf().findobj(mpl.text.Text) if t.get_text()]
    assert len(texts) > 10
    assert min(t.get_fontsize() for t in texts) / width * 350 >= 8  # px on a 350 px figure


DRAWINGS = {
    "profiles": lambda: plots.profiles(profiles("huber", "mae")),
    "lines": lambda: plots.lines(X, {"a": X**2, "b": X.abs()}, **LABELS),
    "points": lambda: plots.points(X, X**2, {"fit": (X, X)}, **LABELS),
    "dots": lambda: plots.dots({"a": 1.0}, xlabel="x (s)", predicted={"a": 1.0}),
    "histogram": lambda: plots.histogram({"x": X}, xlabel="x (s)"),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_the_same_figure_has_the_same_bytes(name):
    DRAWINGS[name]()
    first = png()
    DRAWINGS[name]()
    assert png() == first
    assert b"Software" not in first
    assert b"matplotlib" not in first


CELL = """
import torch, lossutils as lu
import matplotlib.pyplot as plt
lu.plots.use_style()
x = torch.linspace(0, 1, 9)
lu.plots.lines(x, {"a": x, "b": -x}, xlabel="x (s)", ylabel="y (m)")
plt.show()
"""


def test_a_notebook_cell_shows_one_picture_the_same_every_time():
    cells = [nbformat.v4.new_code_cell(CELL) for _ in range(2)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, kernel_name="python3", timeout=120).execute()
    pictures = []
    for cell in notebook.cells:
        (output,) = cell.outputs  # no repr beside the picture
        assert output.output_type == "display_data"
        pictures.append(base64.b64decode(output.data["image/png"]))
    # The very first cell too, where the kernel sets up its backend after it has run.
    assert pictures[0] == pictures[1]
    assert b"Software" not in pictures[0]
    width = int.from_bytes(pictures[0][16:20], "big")
    assert 850 < width < 1000  # 6.5 in at 144 dpi, cropped


def test_colours_are_those_of_seaborn():
    theirs = seaborn.color_palette("colorblind").as_hex()
    assert set(plots.COLOURS) - {plots.INK} <= set(theirs)


def test_plots_need_neither_seaborn_nor_scikit_learn():
    code = (
        "import sys, lossutils as lu; lu.plots.use_style(); "
        "print(sorted({'seaborn', 'sklearn', 'pandas', 'IPython'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


# Drawings


def test_profiles_draws_what_it_is_given_in_three_labelled_panels():
    named = profiles("mse", "huber")
    figure = plots.profiles(named, title="Two losses")
    assert [ax.get_title() for ax in figure.axes] == ["value", "gradient", "curvature"]
    assert figure.get_supxlabel() == "error, input − target"
    for ax, name in zip(figure.axes, ("value", "slope", "curvature"), strict=True):
        for line, (label, p) in zip(ax.lines, named.items(), strict=True):
            assert line.get_label() == label
            drawn = ~np.isnan(line.get_xdata())
            np.testing.assert_array_equal(line.get_xdata()[drawn], p.errors)
            np.testing.assert_array_equal(line.get_ydata()[drawn], getattr(p, name))
    (legend,) = figure.legends
    assert [t.get_text() for t in legend.get_texts()] == ["mse", "huber"]
    assert legend.get_title().get_text() == "Two losses"


def test_profiles_of_one_loss_has_its_title_and_no_legend():
    figure = plots.profiles(profiles("mse"), title="mse", xlabel="logit")
    assert (figure.get_suptitle(), figure.get_supxlabel()) == ("mse", "logit")
    assert figure.legends == []


def breaks(line):
    return np.flatnonzero(np.isnan(line.get_ydata())).size


@pytest.mark.parametrize("n", [300, 301])  # beside the kinks and on them
@pytest.mark.parametrize(
    ("name", "expected"),
    # Jumps of value, gradient and curvature. On the kink is a sample of its own.
    [
        ("mse", (0, 0, 0)),
        ("log_cosh", (0, 0, 0)),
        ("charbonnier", (0, 0, 0)),
        ("cauchy", (0, 0, 0)),
        ("huber", (0, 0, 2)),
        ("mae", (0, 1, 0)),
        ("quantile", (0, 1, 0)),
    ],
)
def test_curves_are_interrupted_where_they_jump_and_nowhere_else(name, expected, n):
    errors = 3 * torch.arange(1 - n, n, 2, dtype=torch.float64) / (n - 1)
    assert (0 in errors) == (n == 301)
    figure = plots.profiles({name: lu.landscape.profile(getattr(lu, name), errors)})
    found = [breaks(ax.lines[0]) for ax in figure.axes]
    on_the_kink = [2 * e if n == 301 and e == 1 else e for e in expected]
    assert found == on_the_kink


def test_profiles_with_values_that_are_not_finite_warn_of_nothing(recwarn):
    x = torch.linspace(-1, 1, 21, dtype=torch.float64)
    y = torch.where(x < 0, torch.inf, x)
    y[-1] = torch.nan
    plots.profiles({"broken": lu.landscape.Profile(x, y, y, y)})
    png()
    assert not recwarn.list


def test_lines_draws_curves_bands_and_marks():
    low, high = X**2 - 1, X**2 + 1
    ax = plots.lines(
        X.clone().requires_grad_(),
        {"a": (X**2).requires_grad_(), "b": X.tolist()},
        bands={"a": (low, high)},
        marks={"b": (torch.tensor([0.0, 1.0]), [0, 1]), "a": (0, 0)},
        yscale="symlog",
        **LABELS,
    )
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("error (min)", "loss (min²)")
    assert ax.get_yscale() == "symlog"
    named = {line.get_label(): line for line in ax.lines}
    np.testing.assert_array_equal(named["a"].get_ydata(), X**2)
    np.testing.assert_array_equal(named["b"].get_xdata(), X)
    (band,) = ax.collections
    assert band.get_datalim(ax.transData).ymin == low.min()
    assert band.get_datalim(ax.transData).ymax == high.max()
    marks = [line for line in ax.lines if line.get_marker() != "None"]
    assert [list(m.get_xdata()) for m in marks] == [[0], [0, 1]]
    assert [m.get_markerfacecolor() for m in marks] == list(plots.COLOURS[:2])
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["a", "b"]


def test_lines_draws_into_given_axes():
    figure, axes = plt.subplots(1, 2)
    assert plots.lines(X, {"a": X}, ax=axes[1], **LABELS) is axes[1]
    assert plt.get_fignums() == [figure.number]
    assert axes[1].get_legend() is None  # one curve: its label is the axis


def test_points_draws_data_outliers_and_fits():
    out = X > 1
    ax = plots.points(X, X**3, {"mse": (X[:2], X[:2])}, outliers=out, **LABELS)
    named = {line.get_label(): line for line in ax.lines}
    assert list(named) == ["data", "outliers", "mse"]
    np.testing.assert_array_equal(named["data"].get_xdata(), X[~out])
    np.testing.assert_array_equal(named["outliers"].get_ydata(), X[out] ** 3)
    np.testing.assert_array_equal(named["mse"].get_xdata(), X[:2])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("error (min)", "loss (min²)")


def test_dots_draws_a_row_each_from_the_top():
    ax = plots.dots(
        {"mean": torch.tensor(2.0, requires_grad=True), "median": 1.0},
        xlabel="score",
        intervals={"mean": (1.5, 2.5)},
        predicted={"median": 1.1},
    )
    assert [t.get_text() for t in ax.get_yticklabels()] == ["mean", "median"]
    assert ax.yaxis_inverted()
    assert ax.get_xlabel() == "score"
    interval, measured, predicted = ax.lines
    assert list(interval.get_xdata()) == [1.5, 2.5]
    assert list(interval.get_ydata()) == [0, 0]
    assert list(measured.get_xdata()) == [2, 1]
    assert list(measured.get_ydata()) == [0, 1]
    assert (list(predicted.get_xdata()), list(predicted.get_ydata())) == ([1.1], [1])


def test_histogram_draws_shares_in_common_bins():
    ax = plots.histogram(
        {"a": [0.0, 1.0, 1.0, 4.0], "b": torch.tensor([4.0])},
        xlabel="y (s)",
        bins=4,
        marks={"mean of a": 1.5},
    )
    steps = [p.get_data() for p in ax.patches if p.get_label() in ("a", "b")]
    np.testing.assert_array_equal(steps[0].values, [0.25, 0.5, 0, 0.25])
    np.testing.assert_array_equal(steps[1].values, [0, 0, 0, 1])
    np.testing.assert_array_equal(steps[0].edges, steps[1].edges)
    assert list(ax.lines[0].get_xdata()) == [1.5, 1.5]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("y (s)", "share per bin")


def test_legends_stay_within_the_figure():
    for n, text in itertools.product(range(2, 9), ("a", "mse", "quantile, q = 0.9")):
        ax = plots.lines(X, {f"{text} {i}": X + i for i in range(n)}, **LABELS)
        ax.figure.draw_without_rendering()
        assert ax.get_legend().get_window_extent().x1 <= ax.figure.bbox.x1
        assert ax.get_window_extent().height > 0.5 * ax.figure.bbox.height
        plt.close("all")


# What is refused


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plots.lines(X, {"mse": X[:3]}, **LABELS), "x has 41 values and mse has 3"),
        (
            lambda: plots.lines(X, {"a": X}, bands={"a": (X, X[:2])}, **LABELS),
            "x has 41 values and band of a has 2",
        ),
        (lambda: plots.points(X, X[:4], **LABELS), "x has 41 values and y has 4"),
        (
            lambda: plots.points(X, X, outliers=X[:4] > 0, **LABELS),
            "x has 41 values and outliers has 4",
        ),
        (
            lambda: plots.points(X, X, {"fit": (X, X[:5])}, **LABELS),
            "x of fit has 41 values and y of fit has 5",
        ),
        (
            lambda: plots.profiles({"mse": lu.landscape.Profile(X, X, X[:6], X)}),
            "errors of mse has 41 values and slope has 6",
        ),
    ],
)
def test_lengths_that_differ_are_refused_by_name(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()


@pytest.mark.parametrize(
    "draw",
    [
        lambda: plots.profiles({}),
        lambda: plots.lines(X, {}, **LABELS),
        lambda: plots.dots({}, xlabel="x"),
        lambda: plots.histogram({}, xlabel="x"),
    ],
)
def test_nothing_to_draw_is_refused(draw):
    with pytest.raises(ValueError, match="nothing to draw"):
        draw()


def test_other_mistakes_are_refused():
    with pytest.raises(ValueError, match=r"mse has shape \(41, 1\), expected one axis"):
        plots.lines(X, {"mse": X[:, None]}, **LABELS)
    with pytest.raises(ValueError, match=r"bands has \['huber'\]"):
        plots.lines(X, {"mse": X}, bands={"huber": (X, X)}, **LABELS)
    with pytest.raises(ValueError, match=r"marks has \['huber'\]"):
        plots.lines(X, {"mse": X}, marks={"huber": (0, 0)}, **LABELS)
    with pytest.raises(ValueError, match=r"predicted has \['b'\]"):
        plots.dots({"a": 1}, xlabel="x", predicted={"b": 1})
    with pytest.raises(ValueError, match="y is empty"):
        plots.histogram({"y": []}, xlabel="x")
