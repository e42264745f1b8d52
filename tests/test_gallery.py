"""The gallery shows the catalogue as it is now, and describes what it draws."""

import dataclasses
import json
import re
from collections import Counter
from inspect import signature
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
import torch

from lossutils.catalogue import CATALOGUE
from lossutils.doctor import CHECKS, Diagnosis, Finding
from tools import gallery

REFRESH = "run: python -m tools.gallery"
ENTRIES = CATALOGUE.values()
NAMES = list(CATALOGUE)
AILING = [entry for entry in ENTRIES if entry.ailments]


@pytest.fixture(scope="module")
def committed():
    return nbformat.read(gallery.PAGE, as_version=4)


@pytest.fixture(scope="module")
def generated():
    return gallery.notebook()


@pytest.fixture(scope="module")
def helpers():
    found = {"lu": gallery.lu, "torch": torch}
    exec(gallery.HELPERS, found)
    exec(gallery.ALONG, found)
    exec(gallery.NOTES, found)
    return found


def content(nb):
    return [(cell.id, cell.cell_type, cell.source, cell.metadata) for cell in nb.cells]


def all_code(nb):
    return "\n".join(cell.source for cell in nb.cells if cell.cell_type == "code")


def test_is_current(committed, generated):
    stored, made = content(committed), content(generated)
    assert [cell[0] for cell in stored] == [cell[0] for cell in made], REFRESH
    stale = [cell[0] for cell, fresh in zip(stored, made, strict=True) if cell != fresh]
    assert not stale, f"{stale} changed; {REFRESH}"


def test_every_entry_appears_once(committed):
    text = "\n".join(c.source for c in committed.cells if c.cell_type == "markdown")
    titles = Counter(re.findall(r"^### (.+)$", text, re.MULTILINE))
    assert titles == Counter(entry.title for entry in ENTRIES), REFRESH
    links = Counter(re.findall(r'href="#([^"]+)"', text))
    anchors = Counter(re.findall(r'id="([^"]+)"', text))
    assert links == anchors == Counter(map(gallery.anchor, ENTRIES)), REFRESH
    drawn = Counter(
        name
        for cell in committed.cells
        if cell.id.endswith("-drawing")
        for name in re.findall(r"lu\.(\w+)[,)]", cell.source.partition("\n")[0])
    )
    examined = Counter(
        re.findall(r"lu\.diagnose\(lu\.(\w+), task=\"(\w+)\"\)", all_code(committed))
    )
    assert drawn == Counter(NAMES), REFRESH
    assert examined == Counter((e.name, e.task) for e in ENTRIES), REFRESH


def test_every_family_and_task_is_known():
    assert {entry.family for entry in ENTRIES} == set(gallery.FAMILIES)
    assert {entry.task for entry in ENTRIES} <= set(gallery.TASKS)


def test_every_reference_exists():
    text = gallery.BIBLIOGRAPHY.read_text(encoding="utf-8")
    keys = set(re.findall(r"^@\w+\{([^,\s]+)", text, re.MULTILINE))
    missing = {e.name: e.reference for e in ENTRIES if e.reference not in keys}
    assert not missing


def test_every_parameter_that_shapes_a_loss_is_drawn():
    plain = {"weight", "class_weight", "ignore_index", "reduction"}
    shaped = {
        entry.name
        for entry in ENTRIES
        for p in signature(entry.function).parameters.values()
        if p.kind is p.KEYWORD_ONLY and p.name not in plain
    }
    assert set(gallery.OVERLAID) == shaped


def test_descriptions_differ(generated):
    figures = [cell.metadata["mystnb"] for cell in generated.cells if "-drawing" in cell.id]
    alts = {figure["image"]["alt"] for figure in figures}
    captions = {figure["figure"]["caption"] for figure in figures}
    assert len(figures) == len(alts) == len(captions) == len(CATALOGUE)


@pytest.mark.parametrize("entry", ENTRIES, ids=NAMES)
def test_influence_is_what_the_gradient_does(entry, helpers):
    far = torch.tensor([1e2, 1e4, 1e6], dtype=torch.float64)
    task = gallery.TASKS[entry.task]
    call = task.curves.format(loss=f"lu.{entry.name}", varied="")
    worse = {"x": far if task.axis == "error" else -far, "p": 1 / far}
    [curve] = eval(call, {**helpers, **worse}).values()
    [near] = eval(call, helpers).values()
    pull = curve.slope.abs()
    growth = (pull[1:] / pull[:-1]).tolist()
    if entry.influence == "unbounded":
        assert min(growth) > 50
    elif entry.influence == "bounded":
        assert growth[1] == pytest.approx(1, rel=1e-3)
        assert pull[2] > 1e-4 * near.slope.abs().max()
    else:
        assert pull[2] < 1e-4 * near.slope.abs().max()


# What the doctor says.


def ailing(severity):
    """What a doctor says who finds one thing wrong, or one property."""
    found = Finding("finite", severity, "The loss is NaN at 0.", {"value": 0}, "", "")
    return Diagnosis("mse", "regression", (found,), ("shape",), {}, {})


@pytest.mark.parametrize("severity", ["error", "warning"])
def test_an_ailment_that_is_not_in_the_catalogue_stops_the_page(generated, severity):
    cells = [cell for cell in generated.cells if cell.id.endswith("-doctor")]
    assert len(cells) == len(CATALOGUE)
    doctor = SimpleNamespace(
        **{name: name for name in NAMES}, diagnose=lambda loss, task: ailing(severity)
    )
    for cell in cells:
        with pytest.raises(AssertionError):
            exec(cell.source, {"lu": doctor, "in_short": str})


@pytest.mark.parametrize("entry", AILING, ids=[e.name for e in AILING])
def test_a_specimen_that_the_doctor_finds_healthy_stops_the_page(generated, entry):
    [cell] = [cell for cell in generated.cells if cell.id == f"{entry.name}-doctor"]
    doctor = SimpleNamespace(
        **{entry.name: entry}, diagnose=lambda loss, task: ailing("note")
    )
    with pytest.raises(AssertionError):
        exec(cell.source, {"lu": doctor, "in_short": str})


@pytest.mark.parametrize(
    ("severity", "summary", "line"),
    [
        ("note", "no error, no warning", "*finite*"),
        ("warning", "no error, 1 warning", "**warning** *finite*"),
        ("error", "1 error, no warning", "**error** *finite*"),
    ],
)
def test_a_finding_is_one_line(helpers, severity, summary, line):
    text = helpers["in_short"](ailing(severity)).data
    assert text.splitlines() == [
        f"**What the doctor says:** {summary}.",
        "",
        f"- {line}: The loss is NaN at 0.",
    ]


def test_stored_notes_name_public_checks(committed):
    for cell in committed.cells:
        if cell.id.endswith("-doctor"):
            [output] = cell.outputs
            entry = CATALOGUE[cell.id.removesuffix("-doctor")]
            first, blank, *notes = output.data["text/markdown"].splitlines()
            healthy = first.endswith("no error, no warning.")
            assert (healthy, blank) == (not entry.ailments, "")
            named = [re.match(r"- (\*\*\w+\*\* )?\*([\w-]+)\*: \S", note) for note in notes]
            assert all(named), cell.id  # one line each
            assert {match[2] for match in named} <= set(CHECKS), cell.id
            assert {match[2] for match in named if match[1]} == set(entry.ailments), cell.id


def test_specimens_stand_last_and_say_so(committed):
    text = [c.source for c in committed.cells if c.cell_type == "markdown"]
    headings = [s.splitlines()[0] for s in text if s.startswith("## ")]
    assert headings[-1] == "## Pathological: specimens, not recommendations"
    [index] = [c.source for c in committed.cells if c.id == "index"]
    healthy, ailing = index.split("Specimens of what can ail a loss, not to train with:")
    for entry in ENTRIES:
        there, not_there = (ailing, healthy) if entry.ailments else (healthy, ailing)
        assert f">{entry.title}</a>" in there
        assert f">{entry.title}</a>" not in not_there
        [facts] = [c.source for c in committed.cells if c.id == entry.name]
        assert ("**Ailment:**" in facts) is bool(entry.ailments)


# How curves are described.

T = np.arange(-600, 601) / 100
CURVES = {
    "line": (2 * T, "keeps growing, to ±12 at ±6"),
    "constant": (0 * T + 1, "is 1 throughout"),
    "zero, of either sign": (-0.0 * T, "is 0 throughout"),
    "sign": (np.sign(T), "jumps from −1 to 1 at 0"),
    "uneven sign": (np.where(T > 0, 0.9, -0.1), "jumps from −0.1 to 0.9 at 0"),
    "tube": (np.sign(T) * (np.abs(T) > 0.5), "is 0 up to ±0.5 and ±1 beyond"),
    "clipped": (T.clip(-1, 1), "levels off at ±1"),
    "bend": (3 * T / np.sqrt(9 + T**2), "slows down, to ±2.7 at ±6"),
    "bell": (1 / (1 + T**2), "falls from 1 to 0.027 at ±6"),
    "well": (
        np.where(np.abs(T) < 2, 4 - T**2, -1),
        "falls from 4 to −1 at ±6, negative beyond ±2",
    ),
    "hump": (
        T / (1 + T**2),
        "peaks at ±0.5 (error ±1) and falls back to ±0.16 at ±6",
    ),
    "bump": (
        T * (3 - T**2).clip(0),
        "peaks at ±2 (error ±1) and is 0 beyond ±1.7",
    ),
    "displaced": (
        (T + 2) ** 2 - 4,
        "keeps growing, to 60 at 6, and below 0 keeps growing, to 12 at −6, negative above "
        "−4",
    ),
    "crossing 0": (
        np.where(T < -2, -2 - T, -T * (T + 2) * 5) * (T < 0),
        "is 0 throughout, and below 0 peaks at 5 (error −1) and falls back to 4 at −6",
    ),
    "crooked": (
        np.where(T > 0, 2 * T, 0.5 * T),
        "keeps growing, to 12 at 6, and below 0 keeps growing, to −3 at −6",
    ),
}


@pytest.mark.parametrize("name", CURVES)
def test_describe(name):
    y, expected = CURVES[name]
    assert gallery.describe("error", T, y) == expected


def test_describe_classes_from_right_to_wrong():
    hinge = np.where(T < 1, -1.0, 0.0)
    assert gallery.describe("score", T, hinge) == "is 0 above 1 and −1 below"
    smooth = 1 / (1 + np.exp(-T)) - 0.9
    assert gallery.describe("logit", T, smooth) == "levels off at −0.9, positive above 2.2"


# What an entry says.


def test_call_shows_defaults():
    assert gallery.call(CATALOGUE["huber"].function) == (
        'lu.huber(input, target, *, delta=1.0, weight=None, reduction="mean")'
    )
    assert gallery.call(CATALOGUE["huber"].module) == (
        'lu.HuberLoss(*, delta=1.0, reduction="mean")'
    )


@pytest.mark.parametrize("entry", ENTRIES, ids=NAMES)
def test_calls_are_python(entry):
    for made in (entry.function, entry.module):
        text = gallery.call(made)
        assert max(map(len, text.splitlines())) <= 80
        inside = text.removeprefix(f"lu.{made.__name__}(").removesuffix(")")
        names = set(signature(made).parameters)
        defined = {}
        exec(f"def again({inside}): pass", {}, defined)
        assert set(signature(defined["again"]).parameters) == names


RESULTS = {"reference": "passed", "nan": "exempt: it has no floating-point input"}


def test_contract_line_gives_reasons():
    record = {"results": {"mse": RESULTS}, "error": {"mse": {"float32 ulps": 0.5}}}
    assert gallery.contract(CATALOGUE["mse"], record) == (
        "1 of 2 clauses hold; nan is exempt: it has no floating-point input; "
        "float32 values err by at most 0.5 ulp on ordinary inputs"
    )
    with pytest.raises(ValueError, match="nothing of mae; record it: python -m pytest"):
        gallery.contract(CATALOGUE["mae"], record)


def test_reference_is_read_from_the_bibliography():
    sources = gallery.parse_file(str(gallery.BIBLIOGRAPHY)).entries
    assert gallery.reference(CATALOGUE["charbonnier"], sources) == (
        "[Charbonnier et al. (1994)](bibliography.md), *Two Deterministic Half-Quadratic "
        "Regularization Algorithms for Computed Imaging*"
    )
    entry = dataclasses.replace(CATALOGUE["mse"], reference="nobody2000nothing")
    with pytest.raises(ValueError, match="'nobody2000nothing', is not in ref"):
        gallery.reference(entry, sources)


def test_missing_record_says_how_to_make_it(monkeypatch, tmp_path):
    monkeypatch.setattr(gallery, "RECORD", tmp_path / "contract.json")
    with pytest.raises(FileNotFoundError, match="--record-contract"):
        gallery.notebook()
    gallery.RECORD.write_text(json.dumps({"torch": "2", "devices": [], "results": {}}))
    with pytest.raises(ValueError, match="knows nothing of mse"):
        gallery.notebook()
