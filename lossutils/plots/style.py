"""One style for the whole book."""

import sys
from typing import Any

from cycler import cycler
from matplotlib import style

__all__ = ["COLOURS", "INK", "LINESTYLES", "MARKERS", "MUTED", "use_style"]

INK = "#222222"
MUTED = "#767676"

# seaborn's "colorblind" palette, with near-black from Okabe and Ito's, in an order where
# the first four differ in lightness, stay apart under each kind of colour blindness, and
# have contrast 3 with white (tests/test_plots.py measures all three).
COLOURS = (
    "#0173b2",  # blue
    "#d55e00",  # vermilion
    INK,
    "#cc78bc",  # pink
    "#029e73",  # green
    "#de8f05",  # orange
    "#56b4e9",  # sky
    "#ca9161",  # tan
)
# Only the first is solid: where curves coincide, what lies below shows in the gaps.
LINESTYLES: tuple[Any, ...] = (
    "solid",
    (0, (5, 1.5)),
    (0, (1.2, 1.2)),
    (0, (5, 1.5, 1.2, 1.5)),
    (0, (2.5, 1.5)),
    (0, (8, 2)),
    (0, (5, 1.5, 1.2, 1.5, 1.2, 1.5)),
    (0, (8, 1.5, 2.5, 1.5)),
)
MARKERS = ("o", "D", "s", "^")

_RC: dict[str, Any] = {
    # 12 pt on 6.5 in are 9 px on a phone, where the figure is 350 px wide.
    "figure.figsize": (6.5, 3.9),
    "figure.dpi": 144,
    "figure.constrained_layout.use": True,
    "savefig.dpi": "figure",
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same on every machine
    "font.size": 12,
    "axes.titlesize": 12,
    "axes.labelsize": 12,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "legend.fontsize": 11.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.8,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "lines.linewidth": 2,
    "lines.markersize": 6,
    "lines.dash_capstyle": "butt",
    "lines.solid_capstyle": "butt",  # a segment ends where its curve jumps
    "axes.prop_cycle": cycler(color=COLOURS) + cycler(linestyle=LINESTYLES),
    "patch.linewidth": 2,
    "legend.frameon": False,
    "legend.handletextpad": 0.5,
    "legend.columnspacing": 1.2,
    "legend.borderaxespad": 0.3,
    "axes.unicode_minus": True,
    "svg.hashsalt": "lossutils",
}
_PRINT = {"bbox_inches": "tight", "metadata": {"Software": None}}


def use_style() -> None:
    """Draw every figure from here on in the book's style.

    In a notebook it also makes the pictures plain PNGs of the same bytes on every run:
    no name and version of the software in them.
    """
    style.use(_RC)
    if "IPython" in sys.modules and (shell := sys.modules["IPython"].get_ipython()):
        from matplotlib_inline.config import InlineBackend

        backend = InlineBackend.instance(parent=shell)
        backend.set_trait("figure_formats", {"png"})
        backend.set_trait("print_figure_kwargs", _PRINT)
