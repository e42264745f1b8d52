"""reference/checks.md: written from the checks' docstrings, with links that lead on."""

import re
from types import SimpleNamespace

import pytest

from tools import checks

TAXONOMY = "chapters/loss_taxonomy/index.html"
DOC = """Is |value| finite wherever training may go?

    Probes: an exact fit, errors of up to 1,000 times
    the scale of the targets.

    A word on `torch.where` between them.

    Thresholds: none, because NaN is never right.

    Remedy: put the epsilon under the root.
    """


def check(group="safe", chapter=TAXONOMY, severities=("note", "error"), doc=DOC):
    return SimpleNamespace(
        group=group, chapter=chapter, classes=chapter, severities=severities, doc=doc
    )


def registry():
    return {
        "plateau": check("fit", severities=("warning",)),
        "half-precision": check(chapter="reference/checks.html#half-precision"),
        "sample-separable": check(chapter="chapters/loss_taxonomy/index.html#see-it-fail"),
    }


def sections(page):
    """Heading -> what stands below it, "" being the top."""
    first, *others = re.split(r"^## ", page, flags=re.M)
    return {"": first} | dict(part.split("\n", 1) for part in others)


def test_page_in_full():
    page = checks.page({"finite": check()})
    _, _, end = page.partition('`checks=["finite", "shape"]`.\n')
    assert end == (
        "\n"
        "**Correct and safe.** Does the loss compute what it should, on every batch, "
        "wherever it runs?\n"
        "\n"
        "| Check | What it asks | Can give |\n"
        "|---|---|---|\n"
        r"| [finite](#finite) | Is \|value\| finite wherever training may go? "
        "| error, note |\n"
        "\n"
        "## finite\n"
        "\n"
        "Is |value| finite wherever training may go?\n"
        "\n"
        "**Probes:** an exact fit, errors of up to 1,000 times the scale of the targets.\n"
        "\n"
        "A word on `torch.where` between them.\n"
        "\n"
        "**Thresholds:** none, because NaN is never right.\n"
        "\n"
        "**Remedy:** put the epsilon under the root.\n"
        "\n"
        "Read: [What a loss does](../chapters/loss_taxonomy/index.ipynb)\n"
    )


def test_every_check_has_a_row_and_a_section():
    page = sections(checks.page(registry()))
    assert list(page) == ["", "half-precision", "sample-separable", "plateau"]
    safe, fit = page[""].split("**Fit to learn from.**")
    linked = [re.findall(r"^\| \[(.+)\]\(#\1\) \|", part, re.M) for part in (safe, fit)]
    assert linked == [["half-precision", "sample-separable"], ["plateau"]]
    assert "puts 3 questions to a loss" in page[""]


def test_a_link_to_a_section_and_none_to_itself():
    page = sections(checks.page(registry()))
    assert page["sample-separable"].endswith(
        'Read: <a href="../chapters/loss_taxonomy/index.html#see-it-fail">'
        "What a loss does</a>\n\n"
    )
    assert "Read:" not in page["half-precision"]


def test_a_markdown_page_is_found_too():
    page = checks.page({"pure": check(chapter="reference/glossary.html")})
    assert page.endswith("\nRead: [Glossary](glossary.md)\n")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"doc": DOC.replace("Probes", "Tries")}, r"'pure'.*begins \"Probes:\""),
        ({"doc": "What?"}, r"begins \"Probes:\", \"Thresholds:\", \"Remedy:\""),
        ({"doc": ""}, "begins"),
        ({"doc": DOC.partition("\n\n")[2]}, "'pure'"),
        ({"group": "odd"}, "group is 'odd', expected safe or fit"),
        ({"severities": ()}, "no severity"),
        ({"chapter": "chapters/nowhere.html"}, "no page 'chapters/nowhere.html'"),
        ({"chapter": "reference/checks.html#finite"}, "another check's section"),
    ],
)
def test_an_incomplete_check_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        checks.page({"pure": check(**changes)})


def test_the_doctors_own_checks_fill_the_page():
    from lossutils.doctor import CHECKS

    page = sections(checks.page(CHECKS))
    assert set(page) == {"", *CHECKS}
    for name, registered in CHECKS.items():
        assert (
            registered.doc.split("\n\n")[0].split() == page[name].split("\n\n")[0].split()
        )


def test_the_page_is_up_to_date():
    from lossutils.doctor import CHECKS

    stored = checks.PAGE.read_text(encoding="utf-8")
    assert stored == checks.page(CHECKS), "run python -m tools.checks"
