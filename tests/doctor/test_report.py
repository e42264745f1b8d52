"""The reports: what each shows of a diagnosis, and that it stands where it is shown."""

import itertools
import json
import math
import re
from html.parser import HTMLParser

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt

from lossutils.doctor import report
from lossutils.doctor.findings import Curve, Diagnosis, Finding, NoiseResponse

SITE = "https://example.github.io/fork/"
PAGE = "chapters/loss_taxonomy/regression_losses.html#where-it-breaks"
SEVERITY = {"error": "ERROR", "warning": "WARNING", "note": "NOTE"}


def finding(check="finite", severity="error", **changes):
    fields = {
        "summary": "The gradient is NaN where the error is zero.",
        "evidence": {"gradient at zero error": math.nan, "value there": 0.123456},
        "remedy": "Put the epsilon under the root.",
        "chapter": PAGE,
    }
    return Finding(check, severity, **(fields | changes))


def diagnosis(*findings, **changes):
    fields = {
        "name": "MyLoss",
        "task": "regression",
        "findings": findings,
        "passed": ("shape", "gradient"),
        "skipped": {"compile": "ask for it with compile=True"},
        "measurements": {},
    }
    return Diagnosis(**(fields | changes))


def three():
    return (
        finding("finite", "error"),
        finding("plateau", "warning"),
        finding("outliers", "note"),
    )


def curve(label="target 1", function=np.square, axis="error", x=None):
    x = np.linspace(-5, 5, 201) if x is None else x
    value = function(x)
    slope = np.gradient(value, x)
    return Curve(
        label,
        axis,
        x.tolist(),
        value.tolist(),
        slope.tolist(),
        np.gradient(slope, x).tolist(),
    )


NOISE = NoiseResponse(
    [0.01, 0.1, 1.0], [5e-5, 5.1e-3, 0.45], [1e-5, 4e-4, 0.04], [5e-5, 5e-3, 0.5]
)
LONG = " ".join(["wherever"] * 40)


# Text


@pytest.mark.parametrize(
    ("findings", "first"),
    [
        ((), "MyLoss for regression: healthy. No error, no warning; no notes."),
        ((finding(severity="note"),), "healthy. No error, no warning; 1 note."),
        ((finding(severity="note"),) * 2, "healthy. No error, no warning; 2 notes."),
        (three(), "MyLoss for regression: 1 error, 1 warning, 1 note"),
        ((finding(),) * 2, "MyLoss for regression: 2 errors, no warnings, no notes"),
        ((finding(severity="warning"),), ": no errors, 1 warning, no notes"),
    ],
)
def test_the_first_line_says_it_all(findings, first):
    assert str(diagnosis(*findings)).splitlines()[0].endswith(first)


def test_nothing_examined_is_not_called_healthy():
    d = diagnosis(passed=())
    assert "healthy" not in str(d) + d._repr_html_()
    assert str(d).startswith("MyLoss for regression: nothing examined")


def test_a_text_in_full(monkeypatch):
    monkeypatch.setattr(report, "SITE", "")
    assert str(diagnosis(*three()[::2])) == (
        "MyLoss for regression: 1 error, no warnings, 1 note\n"
        "\n"
        "ERROR finite  The gradient is NaN where the error is zero.\n"
        "      gradient at zero error = nan\n"
        "      value there = 0.1235\n"
        "    Remedy: Put the epsilon under the root.\n"
        f"    Read: {PAGE}\n"
        "\n"
        "NOTE outliers  The gradient is NaN where the error is zero.\n"
        "      gradient at zero error = nan\n"
        "      value there = 0.1235\n"
        "    Remedy: Put the epsilon under the root.\n"
        f"    Read: {PAGE}\n"
        "\n"
        "Passed: shape, gradient\n"
        "Skipped: compile (ask for it with compile=True)\n"
        'The pages to read are in the book "Loss Functions, Tested"'
    )


def test_the_last_line_says_where_to_read_if_there_is_something_to_read(monkeypatch):
    monkeypatch.setattr(report, "SITE", SITE)
    assert str(diagnosis(*three())).endswith(f"\nThe pages to read are under {SITE}")
    assert "read" not in str(diagnosis())
    monkeypatch.setattr(report, "SITE", "")
    assert "read" not in str(diagnosis())


@pytest.mark.parametrize("order", list(itertools.permutations(three())))
def test_the_most_severe_comes_first(order):
    text = str(diagnosis(*order))
    places = [text.index(f"\n{word} ") for word in SEVERITY.values()]
    assert places == sorted(places)
    shown = re.findall(r"\b(?:ERROR|WARNING|NOTE)\b", diagnosis(*order)._repr_html_())
    assert shown == list(SEVERITY.values())
    assert list(diagnosis(*order).to_frame()["severity"]) == list(SEVERITY)
    assert [f["severity"] for f in diagnosis(*order).to_dict()["findings"]] == list(
        SEVERITY
    )


def test_long_texts_are_wrapped_and_complete():
    d = diagnosis(
        finding(summary=LONG, remedy=LONG, evidence={LONG: LONG}),
        skipped={"vmap": LONG},
        passed=("sample-separable",) * 12,
    )
    lines = str(d).splitlines()
    assert max(map(len, lines)) <= 88
    assert str(d).count("wherever") == 5 * 40
    assert str(d).count("sample-separable") == 12
    (remedy,) = (i for i, line in enumerate(lines) if line.startswith("    Remedy: "))
    assert lines[remedy + 1].startswith(" " * 8 + "wherever")


def test_the_time_it_took_is_no_part_of_the_reports():
    slow, fast = (diagnosis(*three(), seconds=s) for s in (2.75, 1.25))
    assert str(slow) == str(fast) == repr(fast)
    assert slow._repr_html_() == fast._repr_html_()
    assert slow.to_dict() == fast.to_dict()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (123456.789, "1.235e+05"),
        (0.00012345678, "0.0001235"),
        (1_000_000, "1000000"),
        (2.0, "2"),
        (-0.0, "0"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (True, "yes"),
        (None, "none"),
        ("(64, 1)", "(64, 1)"),
        ((0.5, math.nan), "[0.5, nan]"),
        (list(range(20)), "[0, 1, 2, 3, 4, 5, 6, 7, ... (20 in all)]"),
        ({"float16": math.inf, "float32": 1.0}, "float16: inf, float32: 1"),
        ({}, "none"),
        (["exact fit, target 0", "one sample"], "[exact fit, target 0; one sample]"),
        ([[1, 2], [3, 4]], "[[1, 2]; [3, 4]]"),
        (torch.tensor(1 / 3), "0.3333"),
        (torch.tensor([0.0, 1.0], requires_grad=True), "[0, 1]"),
        (np.float32(1 / 3), "0.3333"),
        (np.bool_(False), "no"),
        (np.arange(3), "[0, 1, 2]"),
        (torch.float16, "torch.float16"),
        ("two\nlines\tand \x1b[31m red", r"two lines and \x1b[31m red"),
    ],
)
def test_evidence_is_shown(value, shown):
    d = diagnosis(finding(evidence={"it": value}))
    assert f"\n      it = {shown}\n" in str(d)
    assert f">{shown}</dd>" in d._repr_html_()
    assert d.to_frame()["evidence"][0] == f"it = {shown}"


def test_a_finding_without_evidence():
    d = diagnosis(finding(evidence={}))
    assert " = " not in str(d)
    assert "<dl" not in d._repr_html_()
    assert d.to_frame()["evidence"][0] == ""


# Dictionary and table


def test_the_dictionary_is_json():
    numbers = {
        "nan": math.nan,
        "inf": torch.tensor(math.inf),
        "minus": np.float64(-math.inf),
        "list": [1, (2.5, np.float32(math.nan))],
        "tensor": torch.arange(2),
        "type": torch.float32,
        "flag": np.bool_(True),
        "set": {"b", "a"},
        3: None,
    }
    d = diagnosis(
        finding(evidence={"e": numbers}),
        measurements=numbers,
        curves=(Curve("t", "error", [0.0], [math.inf], [math.nan], [1.0]),),
        noise=NOISE._replace(error=[math.nan] * 3),
    )
    back = json.loads(json.dumps(d.to_dict(), allow_nan=False))
    assert back == d.to_dict()
    assert list(back) == [
        *("name", "task", "ok", "findings", "passed", "skipped"),
        *("measurements", "curves", "noise"),
    ]
    assert back["measurements"] == back["findings"][0]["evidence"]["e"]
    assert back["measurements"] == {
        "nan": "nan",
        "inf": "inf",
        "minus": "-inf",
        "list": [1, [2.5, "nan"]],
        "tensor": [0, 1],
        "type": "torch.float32",
        "flag": True,
        "set": ["a", "b"],
        "3": None,
    }
    assert back["ok"] is False
    assert back["passed"] == ["shape", "gradient"]
    assert back["skipped"] == {"compile": "ask for it with compile=True"}
    assert back["curves"] == [
        {
            "label": "t",
            "axis": "error",
            "x": [0.0],
            "value": ["inf"],
            "slope": ["nan"],
            "curvature": [1.0],
        }
    ]
    assert back["noise"]["error"] == ["nan"] * 3
    assert back["noise"]["levels"] == NOISE.levels


def test_the_dictionary_of_a_healthy_loss():
    d = diagnosis(finding(severity="note", evidence={}))
    assert d.to_dict()["ok"] is True
    assert d.to_dict()["noise"] is None
    assert d.to_dict()["findings"] == [
        {
            "check": "finite",
            "severity": "note",
            "summary": "The gradient is NaN where the error is zero.",
            "evidence": {},
            "remedy": "Put the epsilon under the root.",
            "chapter": PAGE,
        }
    ]


def test_the_table_has_a_row_for_each_finding():
    frame = diagnosis(*three()).to_frame()
    assert list(frame.columns) == report.COLUMNS
    assert list(frame["check"]) == ["finite", "plateau", "outliers"]
    assert frame["evidence"][0] == "gradient at zero error = nan; value there = 0.1235"
    assert set(frame["chapter"]) == {PAGE}


def test_the_table_of_no_findings_has_the_same_columns():
    frame = diagnosis().to_frame()
    assert len(frame) == 0
    assert list(frame.columns) == report.COLUMNS
    assert frame[frame["severity"] == "error"].empty


# HTML

TAGS = {"div", "span", "strong", "dl", "dt", "dd", "a", "wbr"}
UNSAFE = "<script>alert('\"&amp;')</script> $x$ <b>"


class Parsed(HTMLParser):
    """The elements of a page, checked for balance, and its words."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.open, self.words = [], [], ""
        self.feed(source)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag != "wbr":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += data


@pytest.mark.parametrize("site", ["", SITE])
def test_html_escapes_every_text(monkeypatch, site):
    monkeypatch.setattr(report, "SITE", site)
    d = diagnosis(
        finding(summary=UNSAFE, evidence={UNSAFE: UNSAFE}, remedy=UNSAFE, chapter=UNSAFE),
        name=UNSAFE,
        skipped={UNSAFE: UNSAFE},
    )
    page = Parsed(d._repr_html_())
    assert {tag for tag, _ in page.tags} <= TAGS
    assert page.words.count(UNSAFE) == 8
    page = Parsed(diagnosis(*three())._repr_html_())
    assert {tag for tag, _ in page.tags} == (TAGS if site else TAGS - {"a"})


@pytest.mark.parametrize("site", ["", SITE])
def test_html_stands_alone(monkeypatch, site):
    monkeypatch.setattr(report, "SITE", site)
    page = Parsed(diagnosis(*three())._repr_html_())
    for tag, attributes in page.tags:
        allowed = {"style", "class"} if tag == "div" else {"style"}
        assert set(attributes) <= allowed | ({"href"} if tag == "a" else set())
        assert "url(" not in attributes.get("style", "")


@pytest.mark.parametrize(("site", "links"), [("", []), (SITE, [SITE + PAGE] * 3)])
def test_html_links_to_the_chapter_where_there_is_a_site(monkeypatch, site, links):
    monkeypatch.setattr(report, "SITE", site)
    page = Parsed(diagnosis(*three())._repr_html_())
    assert [a["href"] for tag, a in page.tags if tag == "a"] == links
    assert page.words.count(f"Read: {PAGE}") == 3


@pytest.mark.parametrize("site", ["", SITE])
def test_html_says_what_the_text_says(monkeypatch, site):
    monkeypatch.setattr(report, "SITE", site)
    d = diagnosis(*three())
    words = Parsed(d._repr_html_()).words
    assert words.startswith("MyLoss for regression: 1 error, 1 warning, 1 note")
    for f in d.findings:
        assert f"{SEVERITY[f.severity]} {f.check}{f.summary}" in words
        assert f"Remedy: {f.remedy}Read: {f.chapter}" in words
    assert "Passed: shape, gradient" in words
    assert "Skipped: compile (ask for it with compile=True)" in words


@pytest.mark.parametrize("site", ["", SITE])
@pytest.mark.parametrize("findings", [(), three(), three()[1:]])
def test_html_keeps_contrast_in_any_theme(monkeypatch, findings, site):
    """Each element's colour is set, on a ground that is set, with contrast 4.5."""
    monkeypatch.setattr(report, "SITE", site)

    def light(colour):
        channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(
            channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4
        )
        return linear @ [0.2126, 0.7152, 0.0722]

    class Colours(HTMLParser):
        seen, stack = 0, [(None, None)]

        def handle_starttag(self, tag, attrs):
            style = dict(attrs).get("style", "")
            own = [
                re.search(rf"(?:^|;){name}:(#\w{{6}})", style)
                for name in ("color", "background")
            ]
            colours = tuple(
                m[1] if m else old for m, old in zip(own, self.stack[-1], strict=True)
            )
            if tag != "wbr":
                self.stack.append(colours)

        def handle_endtag(self, tag):
            self.stack.pop()

        def handle_data(self, data):
            bright, dark = sorted(map(light, self.stack[-1]), reverse=True)
            assert (bright + 0.05) / (dark + 0.05) >= 4.5, (data, self.stack[-1])
            self.seen += 1

    page = Colours()
    page.feed(diagnosis(*findings)._repr_html_())
    assert page.seen >= 6


@pytest.mark.parametrize("width", [1000, 390])
@pytest.mark.parametrize(
    "theme", ["background:#fff;color:#222", "background:#111;color:#eee"]
)
def test_html_in_a_browser(browser, axe, width, theme):
    """It fits the window, and axe finds nothing, with two on the page."""
    sick = diagnosis(finding(evidence={"x" * 60: "y" * 90, "short": 1.0}), *three())
    blocks = sick._repr_html_() + diagnosis()._repr_html_()
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.set_content(
        "<!doctype html><html lang=en><head><title>reports</title>"
        "<meta name=viewport content='width=device-width'></head>"
        f"<body style='{theme}'><main><h1>Reports</h1>{blocks}</main></body></html>"
    )
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    violations = axe(page)
    page.close()
    assert not [(v["id"], [n["html"][:150] for n in v["nodes"]]) for v in violations]


# Figure


@pytest.fixture(autouse=True)
def drawing():
    with mpl.rc_context():
        mpl.use("agg")
        yield
        plt.close("all")


def drawn(d):
    figure = d.plot()
    figure.canvas.draw()
    return figure, dict(
        zip(("value", "gradient", "curvature", "noise"), figure.axes, strict=True)
    )


def words(ax):
    return " ".join(" ".join(t.get_text() for t in ax.texts).split())


def legend(figure):
    (only,) = figure.legends
    return only.get_title().get_text(), [t.get_text() for t in only.get_texts()]


def test_figure_draws_curves_and_noise():
    figure, ax = drawn(diagnosis(curves=(curve(), curve("target 2", np.abs)), noise=NOISE))
    assert [a.get_title() for a in figure.axes] == [
        *("value", "gradient", "curvature", "response to noise")
    ]
    for name, attribute in (
        ("value", "value"),
        ("gradient", "slope"),
        ("curvature", "curvature"),
    ):
        first = ax[name].lines[0]
        assert np.array_equal(first.get_xdata(), curve().x)
        assert np.array_equal(first.get_ydata(), getattr(curve(), attribute))
        assert ax[name].get_xlabel() == "error"
        styles = {(line.get_color(), str(line.get_linestyle())) for line in ax[name].lines}
        assert len(styles) == 2
    (measured,) = ax["noise"].containers
    points, _, (bars,) = measured.lines
    assert points.get_ydata().tolist() == NOISE.measured
    spans = [np.ptp(segment[:, 1]) / 2 for segment in bars.get_segments()]
    assert np.allclose(spans, NOISE.error)
    predicted = next(x for x in ax["noise"].lines if x.get_label() == "noise: predicted")
    assert predicted.get_ydata().tolist() == NOISE.predicted
    assert legend(figure) == (
        "MyLoss for regression",
        ["target 1", "target 2", "noise: measured", "noise: predicted"],
    )


def test_figure_keeps_to_the_first_axis():
    curves = (curve("a"), curve("b", axis="scale of the score"), curve("c"))
    figure, ax = drawn(diagnosis(curves=curves))
    assert [line.get_label() for line in ax["value"].lines] == ["a", "c"]
    assert legend(figure)[1] == ["a", "c"]


@pytest.mark.parametrize(
    ("function", "x", "scales"),
    [
        (np.square, None, ("linear", "linear")),
        (np.zeros_like, None, ("linear", "linear")),
        (lambda x: np.cosh(3 * x), None, ("linear", "symlog")),
        (lambda x: 1e9 * np.square(x), None, ("linear", "linear")),
        (np.square, np.geomspace(1e-3, 1e4, 99), ("symlog", "symlog")),
    ],
)
def test_figure_is_logarithmic_where_values_span_decades(function, x, scales):
    _, ax = drawn(diagnosis(curves=(curve(function=function, x=x),)))
    assert (ax["value"].get_xscale(), ax["value"].get_yscale()) == scales


@pytest.mark.parametrize("worst", [math.inf, -math.inf, math.nan, 1.7e308])
def test_figure_survives_values_that_no_axis_holds(worst):
    some = curve()
    value = [*some.value[:100], worst, *some.value[101:]]
    bad = some._replace(value=value, slope=[worst] * 201)
    noise = NOISE._replace(
        measured=[worst] * 3, error=[math.nan] * 3, predicted=[worst] * 3
    )
    _, ax = drawn(diagnosis(curves=(bad,), noise=noise))
    assert ax["value"].get_ylim()[1] < 30
    assert words(ax["value"]) == words(ax["curvature"]) == ""
    assert words(ax["gradient"]) == "no finite slope"
    assert words(ax["noise"]) == "no finite response"


def test_figure_says_what_was_not_measured_and_why():
    skipped = {"noise": "the loss draws numbers", "plateau": "no gradient"}
    figure, ax = drawn(diagnosis(skipped=skipped, name="a $ b"))
    assert words(ax["noise"]) == "not measured: the loss draws numbers"
    assert words(ax["gradient"]) == "not measured: no gradient"
    assert words(ax["value"]) == "not measured: no part of this diagnosis"
    assert figure.get_suptitle() == r"a \$ b for regression"
    _, ax = drawn(diagnosis(curves=(curve(),), skipped={}))
    assert words(ax["noise"]) == "not measured: no part of this diagnosis"
    assert words(ax["value"]) == ""


def test_figure_fits_long_labels():
    curves = tuple(curve(f"target {i}, {LONG}", axis=LONG) for i in range(3))
    skipped = {"noise": LONG}
    figure, ax = drawn(diagnosis(curves=curves, skipped=skipped, name=LONG))
    boxes = [a.get_tightbbox() for a in figure.axes] + [
        figure.legends[0].get_window_extent()
    ]
    for box in boxes:
        assert figure.bbox.x0 - 1 <= box.x0 < box.x1 <= figure.bbox.x1 + 1
        assert figure.bbox.y0 - 1 <= box.y0 < box.y1 <= figure.bbox.y1 + 1
    assert ax["value"].get_window_extent().height > figure.bbox.height / 6
