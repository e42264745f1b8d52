"""Every figure of the book. Takes arrays or tensors, knows no loss::

    lu.plots.use_style()                   # once, in the first cell
    lu.plots.lines(x, {"mse": y}, xlabel="error", ylabel="loss")
    plt.show()

Each function draws one finished figure (layout, labels, legend) and returns its Axes,
or its Figure where there are several panels, so that a cell may add to it. It does not
show it: a cell ends with `plt.show()`, which emits one picture and no text. Curves
differ by dash as well as by colour, points by shape. The explorers are no pictures but
pages to play with: a cell ends with one.
"""

from lossutils.plots.explorers.descent import DescentExplorer, descent_explorer
from lossutils.plots.explorers.minima import MinimaExplorer, minima_explorer
from lossutils.plots.explorers.noise import Moments, NoiseExplorer, noise_explorer
from lossutils.plots.explorers.outliers import Explorer, outlier_explorer
from lossutils.plots.figures import contours, dots, histogram, lines, points, profiles
from lossutils.plots.style import COLOURS, INK, LINESTYLES, MARKERS, MUTED, use_style

__all__ = [
    "COLOURS",
    "INK",
    "LINESTYLES",
    "MARKERS",
    "MUTED",
    "DescentExplorer",
    "Explorer",
    "MinimaExplorer",
    "Moments",
    "NoiseExplorer",
    "contours",
    "descent_explorer",
    "dots",
    "histogram",
    "lines",
    "minima_explorer",
    "noise_explorer",
    "outlier_explorer",
    "points",
    "profiles",
    "use_style",
]
