"""The README tells the truth: its example prints what it says, its links lead somewhere."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lossutils as lu

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


EXAMPLES = re.findall(r"```python\n(.*?)```\s+```text\n(.*?)```", README, re.S)


def test_every_block_of_python_shows_what_it_prints():
    assert len(EXAMPLES) == README.count("```python\n") >= 2


@pytest.mark.parametrize(("code", "shown"), EXAMPLES, ids=["doctor", "lossutils"])
def test_the_example_prints_what_the_readme_shows(code, shown):
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    error = run.stderr.strip().splitlines()[-1:]  # one that ends in an error shows it
    assert "\n".join([run.stdout.rstrip("\n"), *error]) + "\n" == shown


def test_links_lead_to_files():
    links = [link for link in re.findall(r"\]\(([^)#]+)", README) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).is_file()] == []


@pytest.mark.parametrize("end", ["jupyter-book build", "pytest --nbval"])
def test_ci_finds_the_line_it_runs(end):
    lines = re.findall(rf"^python3 -m venv .*{end}.*$", README, re.M)
    assert len(lines) == 1
    assert "-r requirements.txt" in lines[0] or "-qr requirements.txt" in lines[0]


def test_counts_are_those_of_the_catalogue_and_the_ledger():
    ledger = (ROOT / "reference" / "claims.md").read_text(encoding="utf-8")
    claims = len(re.findall(r"^\| `[A-Z]-\d+", ledger, re.M))
    assert f"stand {len(lu.CATALOGUE)} losses" in README
    assert f"They answer {claims} claims" in README
    assert f"puts {len(lu.doctor.CHECKS)} questions" in README


def test_the_doctors_score_is_that_of_its_tests(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tests" / "doctor")
    planted = importlib.import_module("planted").PLANTED
    missed = importlib.import_module("test_planted").MISSED
    healthy = importlib.import_module("healthy").HEALTHY
    score = f"finds {len(planted) - len(missed)} of {len(planted)} planted faults"
    blamed = f"blames none of {len(healthy)} healthy losses"
    words = " ".join(README.split())
    assert score in words
    assert blamed in words
