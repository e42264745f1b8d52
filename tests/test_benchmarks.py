"""The benchmark page: complete, and written by its command. Its numbers are no test's."""

import re

from lossutils.catalogue import CATALOGUE
from tools import benchmarks

COMMAND = "run on a quiet machine: python -m tools.benchmarks"


def measured(**given):
    made = benchmarks.Measured(
        machine="Abacus, 2 cores",
        date="2026-01-31",
        import_seconds=0.125,
        diagnosed=[benchmarks.Diagnosed("huber", 3230, 0.256)],
        compile_seconds={"huber": 1.25},
        noise_milliseconds={"lu.mse": 0.52},
    )
    return made._replace(**given)


def test_the_page_shows_what_was_measured_where_and_when():
    text = benchmarks.page(measured())
    assert "Measured on 2026-01-31: Abacus, 2 cores." in text
    assert "| `huber` | 3,230 | 0.26 |" in text
    assert "| `huber` | 1.2 |" in text
    assert "| `lu.mse` | 0.5 |" in text


def test_the_committed_page_covers_the_catalogue():
    text = benchmarks.PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| [\d,]+ \| \d+\.\d\d \|$", text, re.M)
    assert rows == list(CATALOGUE), COMMAND
    assert re.search(r"^Measured on \d{4}-\d\d-\d\d: .+ cores, .+ torch \d", text, re.M)


def test_a_diagnosis_is_counted_and_timed():
    found = benchmarks.diagnosed("mae")
    assert 1_000 < found.calls < 4_000
    assert found.seconds > 0
