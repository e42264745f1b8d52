"""What `pytest --nbval` leaves out, closed here.

nbval runs each notebook and compares every text its cells print. It passes a cell that
was never run, a figure that changed or is missing, a warning that was stored with the
outputs, and whatever a tag or a comment tells it to ignore. Here each of these fails.

nbval starts its cells from its own class, so its methods are replaced, not inherited.
"""

import base64
import io
import os
import re
from pathlib import Path

import numpy as np
import pytest
from nbval.plugin import IPyNbCell, comment_markers
from PIL import Image, ImageFilter

# For this process, and all that it starts: kernels, subprocesses, other ranks. What is
# tested is small, and on small tensors a second thread only waits for the first, ten times
# as long where several processes share the cores. torch reads this when it is imported.
# `tools.again` asks for more, to see that nothing hangs on their number.
os.environ["OMP_NUM_THREADS"] = os.environ.get("TEST_THREADS", "1")
# A backend that is exported would keep the figures out of the notebooks.
os.environ.pop("MPLBACKEND", None)

# How far two drawings of one figure may differ (`figure_difference`: 0 for the same
# picture, 1 for white instead of black). Measured with 2 pt lines at 144 dpi:
#   the same       run again 0; data changed by 1e-4 of itself 0.003
#   not the same   the two closest colours of the palette exchanged 0.046; a band 10 %
#                  wider 0.066; one small point of 60 missing 0.14; one digit in a
#                  label 0.13; a curve moved by 1 % of the axis 0.13; another seed 0.37
# Another matplotlib shapes its letters differently (3.10 beside 3.11: 0.16 and five
# pixels of height): refresh the notebooks when the pinned version changes.
FIGURE_TOLERANCE = 0.04
TILE = 24  # pixels, about two letters of a label
SHIFT = 2  # pixels: rounding of the tight bounding box moves a drawing by one or two

IGNORING_TAGS = {"nbval-skip", "nbval-ignore-output", "skip-execution"}
UNCOMPARED = {"image/jpeg", "application/vnd.jupyter.widget-view+json"}


def figure_difference(stored: bytes, fresh: bytes) -> float:
    """How far two PNGs differ: the RMS difference in the tile where it is largest.

    Over the whole picture a thin line that moved would drown in the white around it;
    in its tile it does not. Both are blurred by a pixel and each tile may have moved
    by up to two, so that anti-aliasing does not count. Sizes that differ by more than
    that twice over give infinity.
    """
    if stored == fresh:
        return 0.0
    first, second = _pixels(stored), _pixels(fresh)
    if np.abs(np.subtract(first.shape, second.shape)).max() > 2 * SHIFT:
        return float("inf")
    height, width = np.minimum(first.shape, second.shape)[:2] - 2 * SHIFT
    middle = first[SHIFT : SHIFT + height, SHIFT : SHIFT + width]
    moves = range(2 * SHIFT + 1)
    tiles = [
        _rms_per_tile(middle - second[y : y + height, x : x + width])
        for y in moves
        for x in moves
    ]
    return float(np.minimum.reduce(tiles).max())


def _pixels(png: bytes) -> np.ndarray:
    picture = Image.open(io.BytesIO(png)).convert("RGBA")
    page = Image.new("RGBA", picture.size, "white")
    page.alpha_composite(picture)
    blurred = page.convert("RGB").filter(ImageFilter.BoxBlur(1))
    return np.asarray(blurred, dtype=np.float32) / 255


def _rms_per_tile(difference: np.ndarray) -> np.ndarray:
    squares = (difference**2).mean(axis=2)
    rows, columns = (range(0, n, TILE) for n in squares.shape)
    sums = np.add.reduceat(np.add.reduceat(squares, rows, axis=0), columns, axis=1)
    return np.sqrt(sums) / TILE


def stored_fault(cell) -> str | None:
    """What is wrong with a cell as it is stored, whatever running it gives."""
    tags = set(cell.metadata.get("tags", []))
    marks = comment_markers.keys() & re.findall(r"^\s*#+\s*(\w+)\s*$", cell.source, re.M)
    kinds = {kind for output in cell.outputs for kind in output.get("data", {})}
    if cell.source.strip() and cell.execution_count is None:
        return "never run: python -m tools.refresh PATH"
    if ignored := (tags & IGNORING_TAGS) | marks:
        return f"{', '.join(sorted(ignored))}: outputs are compared, never ignored"
    if any(output.get("name") == "stderr" for output in cell.outputs):
        return "stderr is stored: remove what warns or writes there, then refresh"
    if uncompared := kinds & UNCOMPARED:
        return f"{', '.join(sorted(uncompared))} is stored, which nothing can compare"
    if "raises-exception" in tags and not any(
        output.output_type == "error" for output in cell.outputs
    ):
        return "tagged raises-exception, yet no error is stored: remove the tag"
    return None


def _figures(outputs) -> list[bytes]:
    pngs = (output.get("data", {}).get("image/png") for output in outputs)
    return [base64.b64decode(png) for png in pngs if png]


def changed_figures(stored: list[bytes], fresh: list[bytes], folder: Path) -> str | None:
    """Say which figures of a cell are missing, extra or changed; save the changed ones."""
    if len(stored) != len(fresh):
        return f"{len(stored)} figures are stored, running the cell draws {len(fresh)}"
    for number, pair in enumerate(zip(stored, fresh, strict=True), 1):
        difference = figure_difference(*pair)
        if difference > FIGURE_TOLERANCE:
            folder.mkdir(parents=True, exist_ok=True)
            for name, png in zip(("stored", "fresh"), pair, strict=True):
                (folder / f"{name}-{number}.png").write_bytes(png)
            return (
                f"figure {number} changed: difference {difference:.3f}, at most "
                f"{FIGURE_TOLERANCE} passes. Look at both in {folder}; if the new one "
                "is right: python -m tools.refresh PATH"
            )
    return None


_nbval_runtest = IPyNbCell.runtest
_nbval_compare_outputs = IPyNbCell.compare_outputs


def _runtest(self):
    fault = stored_fault(self.cell)
    self.options["skip"] = False
    try:
        _nbval_runtest(self)  # even so: the cells that follow need its names
    finally:
        if fault:
            self.raise_cell_error(fault)


def _compare_outputs(self, test, ref, skip_compare=None):
    same = _nbval_compare_outputs(self, test, ref, skip_compare)
    notebook = self.path.relative_to(self.config.rootpath).with_suffix("")
    folder = self.config.rootpath / ".pytest_cache/figures" / notebook / self.name
    change = changed_figures(_figures(ref), _figures(test), folder)
    if change:
        self.comparison_traceback.append(change)
    return same and not change


# The tests of these share nothing, and are too many for one worker.
SPLIT = (
    "tests/doctor/test_healthy.py",
    "tests/doctor/test_planted.py",
    "tests/test_contract.py",
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """One worker takes a whole file, or one test of those that are split.

    A notebook's cells share a kernel, the site's tests a build, a browser's tests it.
    (`--dist loadgroup` would do, but xdist 3.8 cannot mark groups under pytest 9.)
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            file = nodeid.partition("::")[0]
            return nodeid if file in SPLIT else file

    return ByFile(config, log)


IPyNbCell.runtest = _runtest
IPyNbCell.compare_outputs = _compare_outputs
