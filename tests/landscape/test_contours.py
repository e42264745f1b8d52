"""The drawing of a plane: which value lies where, and where the runs go."""

import io

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt

import lossutils as lu
from lossutils.plots import contours

X, Y = torch.linspace(-2, 2, 5), torch.linspace(0, 3, 4)
Z = X[:, None] + 10 * Y + 3  # from 1 to 35
LABELS = {"xlabel": "a", "ylabel": "b"}


@pytest.fixture(autouse=True)
def styled():
    with mpl.rc_context():
        mpl.use("agg")
        lu.plots.use_style()
        yield
        plt.close("all")


def test_a_plane_lies_as_its_axes_say(monkeypatch):
    drawn = []
    shade = mpl.axes.Axes.contourf
    monkeypatch.setattr(
        mpl.axes.Axes, "contourf", lambda ax, *a, **k: drawn.append(a) or shade(ax, *a, **k)
    )
    ax = contours(*lu.landscape.Plane(X, Y, Z), **LABELS)
    ((x, y, z, levels),) = drawn
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, Y)
    for i, j in [(0, 3), (4, 0), (2, 1)]:
        assert z[j, i] == Z[i, j]
    assert min(levels) <= 1
    assert max(levels) >= 35
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("a", "b")
    assert ax.get_xlim() == (-2, 2)
    assert ax.get_ylim() == (0, 3)
    assert ax.figure.axes[1].get_ylabel() == "loss"


def test_runs_are_paths_from_a_hollow_marker_to_a_filled_one():
    run = torch.tensor([[1.0, 2.0, 0.0], [0.5, 1.0, 2.0]], requires_grad=True)
    ax = contours(X, Y, Z, {"SGD": run, "Adam": ([0.0], [1.0])}, **LABELS)
    path, start, single, _ = ax.lines
    assert list(path.get_xdata()) == [1, 2, 0]
    assert list(path.get_ydata()) == [0.5, 1, 2]
    assert path.get_markevery() == [-1]
    assert list(start.get_xdata()) == [1]
    assert start.get_markerfacecolor() == "white"
    assert path.get_color() == start.get_color() != single.get_color()
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["SGD", "Adam"]


def test_log_levels_are_even_in_the_logarithm():
    ax = contours(X, Y, Z, scale="log", levels=6, label="loss above the best", **LABELS)
    levels = ax.collections[0].levels
    np.testing.assert_allclose(levels, np.geomspace(1, 35, 7))
    assert ax.figure.axes[1].get_ylabel() == "loss above the best"


def test_the_same_contours_have_the_same_bytes():
    def png():
        contours(X, Y, Z, {"SGD": ([0, 1], [1, 2])}, scale="log", **LABELS)
        file = io.BytesIO()
        plt.savefig(file, metadata={"Software": None})
        plt.close("all")
        return file.getvalue()

    assert png() == png()


def test_values_that_are_not_finite_are_left_out(recwarn):
    z = Z.clone()
    z[0, 0], z[1, 1] = torch.nan, torch.inf
    for scale in ("linear", "log"):
        ax = contours(X, Y, z, scale=scale, **LABELS)
        ax.figure.draw_without_rendering()
        assert np.isfinite(ax.collections[0].levels).all()
    assert not recwarn.list


def test_every_colour_of_a_run_stands_out_from_the_darkest_shade():
    def luminance(colour):
        c = np.array(mpl.colors.to_rgb(colour))
        c = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
        return c @ [0.2126, 0.7152, 0.0722]

    shade = luminance(contours(X, Y, Z, **LABELS).collections[0].get_cmap()(1.0))
    for colour in lu.plots.COLOURS[:3]:  # contrast 3 with white leaves 2 with the shade
        assert (shade + 0.05) / (luminance(colour) + 0.05) > 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: contours(X, Y, Z.T, **LABELS), r"\(4, 5\), expected \(5, 4\): value\[i"),
        (lambda: contours(X, Y, Z[0], **LABELS), r"value has shape \(4,\)"),
        (lambda: contours(X.flip(0), Y, Z, **LABELS), "x is .* ascending"),
        (lambda: contours(X, Y[:1], Z[:, :1], **LABELS), "y is .* two or more"),
        (lambda: contours(X, Y, 0 * Z, **LABELS), "no two different finite numbers"),
        (lambda: contours(X, Y, Z * torch.nan, **LABELS), "no two different finite"),
        (lambda: contours(X, Y, Z - 5, scale="log", **LABELS), "holds -4, .* log scale"),
        (lambda: contours(X, Y, Z, scale="symlog", **LABELS), "scale is 'symlog'"),
        (lambda: contours(X, Y, Z, {"a": ([1, 2], [1])}, **LABELS), "x of a has 2 values"),
        (lambda: contours(X, Y, Z, {"a": ([], [])}, **LABELS), "a is empty"),
    ],
)
def test_mistakes_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
