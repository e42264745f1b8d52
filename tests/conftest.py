"""A real browser for whom asks; and `--record-contract FILE`.

With that option, what `test_contract.py` found is written, for the gallery.
"""

import datetime
import json
import os
import shutil
from collections import defaultdict
from pathlib import Path

import pytest


def without_browser(reason):
    if os.environ.get("REQUIRE_BROWSER") == "1":
        pytest.fail(f"{reason}, and REQUIRE_BROWSER=1")
    pytest.skip(reason)


@pytest.fixture(scope="module")
def browser():
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        without_browser("playwright is missing: pip install -r requirements-browser.txt")
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        without_browser(f"none of {', '.join(names)} is installed")
    flags = (
        "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
        "--disable-background-networking --disable-component-update"
    )
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=flags.split())
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def windows(browser):
    """Windows that no test is using, by what they were opened with."""
    return defaultdict(list)


@pytest.fixture
def opened(browser, windows, tmp_path):
    """`opened(html, width=1280)`: the page, read from a file, in a window of that width.

    An error, a warning or a request for anything but the file fails the test. The window
    may have shown another page before: a new one costs four times as much as a new page in
    it. `once` if it cannot be used again, as after its clock was stopped.
    """
    used, faults = [], []
    listeners = {
        "pageerror": lambda error: faults.append(str(error)),
        "console": lambda m: m.type in ("error", "warning") and faults.append(m.text),
        "request": lambda r: r.url.startswith("file:") or faults.append(r.url),
    }

    def window(kind, width, given):
        if windows[kind]:
            return windows[kind].pop()
        size = {"width": width, "height": 844}
        context = browser.new_context(viewport=size, has_touch=width == 390, **given)
        return context.new_page()

    def open_page(html, width=1280, once=False, **given):
        path = tmp_path / f"{len(used)}.html"
        path.write_text(html, encoding="utf-8")
        kind = (once, width, *given.items())
        page = window(kind, width, given)
        used.append((kind, page))
        for event, listener in listeners.items():
            page.on(event, listener)
        page.goto(path.as_uri())
        return page

    yield open_page
    for kind, page in used:
        for event, listener in listeners.items():
            page.remove_listener(event, listener)
        if kind[0]:
            page.context.close()
        else:
            page.mouse.move(0, 0)
            windows[kind].append(page)
    assert not faults


@pytest.fixture(scope="session")
def axe_script():
    try:
        from axe_playwright_python.base import AXE_SCRIPT
    except ModuleNotFoundError:
        without_browser("axe is missing: pip install -r requirements-browser.txt")
    return AXE_SCRIPT


@pytest.fixture
def axe(axe_script):
    """What axe finds wrong on a page: `axe(page)`."""

    def violations(page):
        page.evaluate(axe_script)
        given = "{resultTypes: ['violations'], preload: false}"
        return page.evaluate(f"axe.run({given}).then(found => found.violations)")

    return violations


def pytest_addoption(parser):
    parser.addoption(
        "--record-contract",
        metavar="FILE",
        type=Path,
        help="write the results of the loss contract, if all tests pass",
    )


def pytest_configure(config):
    path = config.getoption("--record-contract")
    if path and not hasattr(config, "workerinput"):  # with xdist, once
        config.pluginmanager.register(Recorder(path))


class Recorder:
    def __init__(self, path):
        self.path = path
        self.results = defaultdict(dict)
        self.ulps = defaultdict(float)

    def pytest_runtest_logreport(self, report):
        found = dict(report.user_properties)
        if report.when != "call" or "contract" not in found:
            return
        entry, clause, result = found["contract"]
        self.results[entry][clause] = result
        self.ulps[entry] = max(self.ulps[entry], found.get("ulps", 0))

    def pytest_sessionfinish(self, session, exitstatus):
        import torch
        from cases import devices
        from contract import CLAUSES, digest

        from lossutils.catalogue import CATALOGUE

        complete = {name: set(CLAUSES) for name in CATALOGUE}
        if exitstatus or {n: set(r) for n, r in self.results.items()} != complete:
            print(f"\n{self.path} not written: not every clause was run and passed")
            return
        record = {
            "torch": torch.__version__,
            "date": datetime.date.today().isoformat(),
            "devices": devices(),
            "sources": digest(),
            "results": {n: {c: self.results[n][c] for c in CLAUSES} for n in CATALOGUE},
            "error": {n: {"float32 ulps": round(self.ulps[n], 2)} for n in CATALOGUE},
        }
        text = json.dumps(record, indent=1, ensure_ascii=False)
        self.path.write_text(text + "\n", encoding="utf-8")
