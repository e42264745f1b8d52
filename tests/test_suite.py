"""The suite itself: no clock, one thread, an end to whatever hangs.

A test that reads a clock fails where the machine is busy and passes where it is fast. So
costs are counted, in calls and modules; `python -m tools.benchmarks` times them.
"""

import ast
import os
import re
import subprocess
import sys
import tomllib

import pytest
import torch
import yaml

from tools import ROOT

CLOCKS = {
    "time": {"time", "time_ns", "perf_counter", "perf_counter_ns"}
    | {"process_time", "process_time_ns", "monotonic", "monotonic_ns", "thread_time"},
    "timeit": {"timeit", "repeat", "default_timer", "Timer"},
    "resource": {"getrusage"},
    "os": {"times"},
    "datetime": {"now", "utcnow"},
}
NAMES = set().union(*CLOCKS.values())
TESTS = [*sorted((ROOT / "tests").rglob("*.py")), ROOT / "conftest.py"]


def clocks(source):
    """Where a program reads a clock: by `time.time`, or by a name imported from there."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in NAMES:
            owner = ast.unparse(node.value).rpartition(".")[2]
            if node.attr in CLOCKS.get(owner, ()):
                yield f"line {node.lineno}: {owner}.{node.attr}"
        if isinstance(node, ast.ImportFrom) and node.module in CLOCKS:
            for name in node.names:
                if name.name in CLOCKS[node.module]:
                    yield f"line {node.lineno}: {node.module}.{name.name}"


@pytest.mark.parametrize("path", TESTS, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_no_test_reads_a_clock(path):
    faults = list(clocks(path.read_text(encoding="utf-8")))
    assert not faults, f"{faults}: count calls, or time it in tools/benchmarks.py"


@pytest.mark.parametrize(
    "source",
    [
        "import time\ndef test(): assert time.perf_counter() - start < 3",
        "import time as t, time\nstart = time.process_time()",
        "from time import monotonic",
        "from timeit import default_timer as clock",
        "import datetime\ndatetime.datetime.now()",
    ],
)
def test_a_clock_is_seen(source):
    assert list(clocks(source))


def test_what_is_no_clock_passes():
    assert not list(clocks("import time\ntime.sleep(1)\nx.now()\nself.time()\ntimes = 3"))


def settings():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)["tool"]["pytest"]["ini_options"]


def test_a_cell_ends_before_its_test_is_ended(pytestconfig):
    """The first says which cell it was."""
    cell = int(re.search(r"--nbval-cell-timeout=(\d+)", settings()["addopts"])[1])
    assert 0 < cell < settings()["timeout"]
    assert pytestconfig.pluginmanager.hasplugin("timeout")


@pytest.mark.parametrize("body", ["while True: pass", "time.sleep(1e9)"])
def test_what_hangs_fails(tmp_path, body):
    (tmp_path / "test_hangs.py").write_text(f"import time\ndef test_hangs():\n    {body}\n")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--timeout=1", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    assert re.search(r"Timeout.*1\.0s", run.stdout)


def test_one_thread_and_no_backend_from_outside():
    """Set in the root conftest.py, before anything imports torch."""
    assert torch.get_num_threads() == 1
    code = "import torch; print(torch.get_num_threads())"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.strip() == "1"  # and so in kernels, and on other ranks
    assert "MPLBACKEND" not in os.environ


WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_read_and_no_more(path):
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    allowed = {"publish": {"pages": "write", "id-token": "write"}}
    jobs = workflow["jobs"].items()
    given = {name: job["permissions"] for name, job in jobs if "permissions" in job}
    assert given.items() <= allowed.items()


def test_the_site_is_published_after_all_other_jobs():
    jobs = yaml.safe_load((WORKFLOWS[0].parent / "test.yml").read_text("utf-8"))["jobs"]
    assert set(jobs["publish"]["needs"]) == jobs.keys() - {"publish"}
    publishing = [p.stem for p in WORKFLOWS if "deploy-pages" in p.read_text("utf-8")]
    assert publishing == ["test"]


def test_only_torch_comes_from_its_own_index():
    """Whoever puts another package there would have it installed by its name."""
    for path in [*WORKFLOWS, *sorted((ROOT / ".ci").iterdir())]:
        text = path.read_text(encoding="utf-8").replace(">\n", " ")
        assert "extra-index" not in text.lower().replace("_", "-"), path.name
        commands = re.split(r"\n(?!\s+\")", text)
        for command in commands:
            if "--index-url" in command:
                assert "--no-deps" in command, command
                assert "torch" in command.rpartition("index-url")[2], command
