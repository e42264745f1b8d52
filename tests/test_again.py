"""`tools.again` sees what hangs on a processor and what hangs on a seed."""

import os
import shutil

import pytest
from nbformat import v4

from tools import ROOT, again, refresh

PROCESSOR = "import torch\nprint(torch.backends.cpu.get_cpu_capability())"
THREADS = "import torch\nprint(torch.get_num_threads())"
SEEDED = """\
import numpy as np
SEED = 0
draw = np.random.default_rng(SEED).normal(size=9)"""


@pytest.fixture
def book(tmp_path, monkeypatch):
    """`book(*cells)`: a notebook with these cells, stored as run, under this conftest."""
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.setattr(again, "ROOT", tmp_path)

    def store(*cells):
        nb = v4.new_notebook(cells=[v4.new_code_cell(cell) for cell in cells])
        refresh.run(nb, tmp_path, {"OMP_NUM_THREADS": "1"})
        path = tmp_path / "toy.ipynb"
        path.write_text(refresh.normalise(nb), encoding="utf-8")
        return path

    return store


def faults(run):
    return "\n".join(run.faults())


def test_what_hangs_on_the_processor_is_seen(book, capsys):
    path = book("print(6 * 7)", PROCESSOR, "1 + 1", THREADS)
    before = path.read_bytes()
    if "DEFAULT" in path.read_text(encoding="utf-8"):
        pytest.skip("this processor is as old as the oldest emulated")
    native, two, default, _ = again.runs([path], ["native", "default"], [1, 2], [])
    assert faults(native) == ""
    if os.cpu_count() > 1:
        assert faults(two).startswith("Cell 3: ")
    assert "Cell 1" in faults(default)
    assert "DEFAULT" in faults(default)
    assert "Cell 0" not in faults(default)
    assert again.main([str(path), "--cpu", "default"]) == 1
    printed = capsys.readouterr().out
    assert "differs" in printed
    assert "toy.ipynb  default, 1 thread\n" in printed
    assert "1 runs, 1 differ" in printed
    assert path.read_bytes() == before


def test_what_hangs_on_the_seed_is_seen(book, capsys):
    path = book(SEEDED, "assert draw.std() < 3", "assert draw[0] > 0.125", "1 / 1")
    before = path.read_bytes()
    seen = {run.condition: faults(run) for run in again.runs([path], [], [], [0, 3, 4])}
    assert seen["seed 0"] == seen["seed 3"] == ""
    assert seen["seed 4"] == "cell 2 (Cell 2 of nbval): AssertionError: "
    assert again.main([str(path), "--seeds", "0,3"]) == 0
    assert "2 runs, 0 differ" in capsys.readouterr().out
    assert path.read_bytes() == before


def test_a_notebook_that_draws_nothing_has_no_other_seed(book):
    assert again.runs([book("1 + 1")], [], [], [1, 2]) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--cpu", "avx512"], "--cpu has ['avx512'], expected some of native, avx2"),
        (["--seeds", "few"], "take numbers: 1,2 or 1-9"),
        (["nowhere"], "no notebook in nowhere"),
    ],
)
def test_what_it_cannot_do_it_says(arguments, words, capsys):
    with pytest.raises(SystemExit):
        again.main(arguments)
    assert words in capsys.readouterr().err


def test_elsewhere_no_processor_is_emulated(monkeypatch, capsys):
    monkeypatch.setattr(again.platform, "machine", lambda: "arm64")
    with pytest.raises(SystemExit):
        again.main(["--cpu", "avx2", "--threads", "1"])
    assert "this machine is arm64: only --cpu native" in capsys.readouterr().err


def test_numbers():
    assert again.numbers("1-3,7") == [1, 2, 3, 7]
    assert again.numbers("") == []
