"""The root conftest.py: what nbval would pass, fails. One notebook holds every fault."""

import copy
import io
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from matplotlib import image
from matplotlib.figure import Figure
from nbformat import v4

from tools import ROOT, refresh

SETUP = """\
import matplotlib.pyplot as plt
import numpy as np
def draw(height=1.0, colour="C0", seed=0):
    plt.figure(figsize=(4, 3))
    plt.plot([0, 1, 2], [0, height, 4], color=colour)
    plt.plot(np.linspace(0, 2, 9), np.random.default_rng(seed).normal(size=9), "o")
    plt.show()"""
TEXT, FIGURE, ERROR = "print(6 * 7)", "draw()", "1 / 0"


def source(text):
    return lambda cell: cell.update(source=text)


def tag(*tags):
    return lambda cell: cell.metadata.update(tags=list(tags))


def never_run(cell):
    cell.update(execution_count=None, outputs=[])


def without_png(cell):
    del cell.outputs[0].data["image/png"]


def extra_figure(cell):
    png = cell.outputs[0].data["image/png"]
    cell.outputs.append(v4.new_output("display_data", data={"image/png": png}))


def stderr(cell):
    cell.source += "\nimport sys; print('careful', file=sys.stderr)"
    cell.outputs.append(v4.new_output("stream", name="stderr", text="careful\n"))


def jpeg(cell):
    cell.outputs[0].data["image/jpeg"] = cell.outputs[0].data["image/png"]


# What is done to the stored cell, and what the failure says.
FAULTS = {
    "never run": (TEXT, never_run, "never run: python -m tools.refresh"),
    "text changed": (TEXT, source("print(43)"), "mismatch 'stdout'"),
    "text gone": (TEXT, source("pass"), "Missing output fields"),
    "figure not stored": (FIGURE, without_png, "0 figures are stored"),
    "figure not drawn": (FIGURE, source("plt.figure(); plt.close()"), "Missing output"),
    "figure stored twice": (FIGURE, extra_figure, "2 figures are stored"),
    "line moved": (FIGURE, source("draw(height=1.1)"), "figure 1 changed"),
    "colour changed": (FIGURE, source("draw(colour='C4')"), "figure 1 changed"),
    "another seed": (FIGURE, source("draw(seed=1)"), "figure 1 changed"),
    "JPEG": (FIGURE, jpeg, "nothing can compare"),
    "stderr": (TEXT, stderr, "stderr is stored"),
    "output ignored": (TEXT, tag("nbval-ignore-output"), "never ignored"),
    "skipped": (TEXT, tag("nbval-skip"), "never ignored"),
    "not executed": (TEXT, tag("skip-execution"), "never ignored"),
    "skipped by a comment": (TEXT, source(f"# NBVAL_SKIP\n{TEXT}"), "never ignored"),
    "no error after all": (TEXT, tag("raises-exception"), "remove the tag"),
    "other error": (ERROR, source("1 / 0.0"), "mismatch 'evalue'"),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """{notebook: {cell: the failure's text, or None}} of one run of pytest --nbval."""
    folder = tmp_path_factory.mktemp("guarded")
    shutil.copy(ROOT / "conftest.py", folder)
    error = v4.new_code_cell(ERROR, metadata={"tags": ["raises-exception"]})
    good = v4.new_notebook(
        cells=[v4.new_code_cell(text) for text in (SETUP, TEXT, FIGURE)] + [error]
    )
    refresh.run(good, folder)
    cells = {cell.source: cell for cell in good.cells}
    bad = v4.new_notebook(cells=[cells[SETUP]])
    for start, spoil, _ in FAULTS.values():
        bad.cells.append(copy.deepcopy(cells[start]))
        spoil(bad.cells[-1])
    for name, nb in (("good", good), ("bad", bad)):
        (folder / f"{name}.ipynb").write_text(refresh.normalise(nb), encoding="utf-8")

    command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env"]
    command += ["-n", "0", "--color=no", "--junitxml=report.xml", f"--rootdir={folder}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert (folder / "report.xml").exists(), done.stdout + done.stderr
    found = {"good": {}, "bad": {}}
    for case in ElementTree.parse(folder / "report.xml").iter("testcase"):
        failure = case.find("failure")
        cell = int(case.get("name").split()[-1])
        found[case.get("classname").split(".")[0]][cell] = (
            None if failure is None else failure.text
        )
        assert case.find("error") is None
        assert case.find("skipped") is None
    return found


def test_a_good_notebook_passes(results):
    assert results["good"] == dict.fromkeys(range(4))


def test_a_fault_does_not_spread(results):
    assert len(results["bad"]) == 1 + len(FAULTS)
    assert results["bad"][0] is None


@pytest.mark.parametrize(("number", "name"), list(enumerate(FAULTS, 1)), ids=list(FAULTS))
def test_each_fault_fails(results, number, name):
    failure = results["bad"][number]
    assert failure is not None, f"{name}: passed"
    assert FAULTS[name][2] in failure


@pytest.fixture(scope="module")
def guard(pytestconfig):
    """The root conftest.py as pytest loaded it."""
    return pytestconfig.pluginmanager.get_plugin(str(ROOT / "conftest.py"))


def chart(*, height=1.0, colour="C0", width=6.0, scale=1.0):
    figure = Figure(figsize=(width, 3), dpi=144)
    axes = figure.subplots()
    x = np.linspace(-2, 2, 200)
    axes.plot(x, height * x**2 * scale, color=colour, linewidth=2)
    axes.set(xlabel="error", ylabel="loss", ylim=(0, 5))
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def pad(png, rows, columns):
    """The same picture with a wider margin, as a tight bounding box may round it."""
    picture = image.imread(io.BytesIO(png))
    margin = ((rows, 0), (columns, 0), (0, 0))
    file = io.BytesIO()
    image.imsave(file, np.pad(picture, margin, constant_values=1.0))
    return file.getvalue()


@pytest.mark.parametrize(
    "other",
    [chart(), chart(scale=1 + 1e-4), pad(chart(), 1, 0), pad(chart(), 2, 2)],
    ids=["again", "rounding", "one row more", "two rows and columns more"],
)
def test_invisible_differences_pass(guard, other):
    assert guard.figure_difference(chart(), other) < guard.FIGURE_TOLERANCE / 4


@pytest.mark.parametrize(
    "other",
    [
        chart(height=1.03),
        chart(colour="C3"),
        chart(colour="C4"),
        chart(width=6.1),
        pad(chart(), 5, 0),
    ],
    ids=["moved", "red", "purple", "wider", "five rows more"],
)
def test_visible_differences_fail(guard, other):
    assert guard.figure_difference(chart(), other) > 2 * guard.FIGURE_TOLERANCE
