"""Run notebooks again, as other processors and other seeds would have it.

    python -m tools.again [PATH ...] [--cpu default,avx2,native] [--threads 1,2]
                          [--seeds 1-9] [--jobs 2]

No notebook is changed. On another processor, emulated by the settings below, each must
print and draw what is stored: it runs as `pytest --nbval` runs it. With another number
in the line `SEED = 0` of its first own cell outputs may differ, asserts must hold: every
cell that raises is named. With none of the three options all are done, as written above,
which takes hours for the whole book; with some of them, only what they name.
"""

import argparse
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbformat import NotebookNode

from tools import FOLDERS, ROOT, SEED_LINE, find_notebooks, refresh

# What makes libraries compute as they do on an older processor. Each was seen to change
# the last bits of something (torch 2.13, NumPy 2.4, SciPy 1.17, glibc 2.36, AVX-512):
#   ATEN_CPU_CAPABILITY       torch's own kernels; at "default" even what randn draws
#   ONEDNN_MAX_CPU_ISA        convolutions in float32
#   MKL_CBWR                  torch's products, decompositions, FFTs, exp and log
#   OPENBLAS_CORETYPE         products and decompositions of NumPy, SciPy, scikit-learn
#   NPY_DISABLE_CPU_FEATURES  exp, log and powers of NumPy
#   GLIBC_TUNABLES            sin, exp and log of Python and of NumPy
# MKL_ENABLE_INSTRUCTIONS acts on what MKL_CBWR does, on Intel's own processors alone.
PROCESSORS: dict[str, dict[str, str]] = {
    "native": {},
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_CBWR": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
        "NPY_DISABLE_CPU_FEATURES": "X86_V4",
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX512VL",
    },
    "default": {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_CBWR": "COMPATIBLE",
        "OPENBLAS_CORETYPE": "Nehalem",
        "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4",
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX2,-FMA",
    },
}
EVERYTHING = {"cpu": "default,avx2,native", "threads": "1,2", "seeds": "1-9"}
ANSI = re.compile(r"\x1b\[[0-9;]*m")
SHOWN = 12  # lines of what differs in a cell


class Run(NamedTuple):
    """One notebook under one condition, and how to find out what is wrong with it."""

    notebook: Path
    condition: str
    faults: Callable[[], list[str]]


def environment(cpu: str, threads: int) -> dict[str, str]:
    """Return what to add to the environment of a kernel."""
    return {
        **PROCESSORS[cpu],
        "OMP_NUM_THREADS": str(threads),
        "TEST_THREADS": str(threads),  # what conftest.py lets through
        "OMP_WAIT_POLICY": "passive",  # runs side by side do not keep each other waiting
    }


def differences(notebook: Path, added: Mapping[str, str]) -> list[str]:
    """Run a notebook's test in a changed environment; return what fails, cell by cell."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "--nbval", "-n", "0", "-q"]
        run = subprocess.run(
            [*command, f"--junit-xml={report}", str(notebook)],
            cwd=ROOT,
            env={**os.environ, **added},
            capture_output=True,
            text=True,
        )
        if not report.exists():
            return [f"pytest did not run:\n{run.stdout[-2000:]}{run.stderr[-2000:]}"]
        cases = ElementTree.parse(report).iter("testcase")
        found = [
            f"{case.get('name', '').rpartition('::')[2]}: {shortened(fault.text or '')}"
            for case in cases
            for fault in (*case.iter("failure"), *case.iter("error"))
        ]
    if run.returncode and not found:
        found.append(f"pytest failed:\n{run.stdout[-2000:]}{run.stderr[-2000:]}")
    return found


def shortened(failure: str) -> str:
    """Return the lines of a failure that say what differs."""
    lines = ANSI.sub("", failure).rstrip().splitlines()
    start = next((i for i, line in enumerate(lines) if "Traceback" in line), 0)
    kept = [line for line in lines[start + 1 :] if line.strip()]
    return "\n".join([*kept[:SHOWN], "..."] if len(kept) > SHOWN else kept)


def with_seed(nb: NotebookNode, seed: int) -> bool:
    """Put another seed into a notebook; False if it has none, as it draws nothing."""
    for cell in nb.cells:
        if cell.cell_type == "code" and SEED_LINE.search(cell.source):
            cell.source = SEED_LINE.sub(f"SEED = {seed}", cell.source)
            return True
    return False


def broken(notebook: Path, seed: int) -> list[str]:
    """Run a copy of a notebook with another seed; return the cells that raise."""
    nb = nbformat.read(notebook, as_version=4)  # type: ignore[no-untyped-call]
    expected = [_errors(cell) for cell in nb.cells]
    with_seed(nb, seed)
    added = environment("native", 1)
    refresh.run(nb, notebook.parent, added, allow_errors=True)
    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    faults = []
    for number, cell in enumerate(nb.cells):
        raised = _errors(cell)
        if raised and not expected[number]:
            faults.append(f"cell {number} (Cell {code.index(cell)} of nbval): {raised[0]}")
        if expected[number] and not raised:
            faults.append(f"cell {number} raises nothing, as stored it does")
    return faults


def _errors(cell: NotebookNode) -> list[str]:
    found = (out for out in cell.get("outputs", ()) if out.output_type == "error")
    return [f"{out.ename}: {' '.join(out.evalue.split())[:200]}" for out in found]


def runs(
    notebooks: Iterable[Path], cpus: list[str], threads: list[int], seeds: list[int]
) -> list[Run]:
    """Return all runs that were asked for, each notebook's together."""
    asked = []
    for notebook in notebooks:
        for cpu in cpus:
            for n in threads:
                test = partial(differences, notebook, environment(cpu, n))
                condition = f"{cpu}, {n} thread{'s' * (n > 1)}"
                asked.append(Run(notebook, condition, test))
        nb = nbformat.read(notebook, as_version=4)  # type: ignore[no-untyped-call]
        if with_seed(nb, 0):
            asked += [
                Run(notebook, f"seed {seed}", partial(broken, notebook, seed))
                for seed in seeds
            ]
    return asked


def report(run: Run) -> bool:
    """Do one run and say what came of it."""
    start = time.perf_counter()
    faults = run.faults()
    seconds = time.perf_counter() - start
    path = run.notebook.resolve()
    name = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    head = f"{'differs' if faults else 'same':8}{seconds:6.0f} s  {name}  {run.condition}"
    lines = [head, *(line for fault in faults for line in fault.splitlines())]
    print("\n    ".join(lines), flush=True)
    return not faults


def numbers(text: str) -> list[int]:
    """Read "1,2" or "1-9" or both.

    Raises
    ------
    ValueError
        It is neither.
    """
    found: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.again",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH")
    parser.add_argument("--cpu", help=f"some of {', '.join(PROCESSORS)}")
    parser.add_argument("--threads", help="how many threads torch and BLAS may use: 1,2")
    parser.add_argument("--seeds", help="1-9 or 3,7")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args(argv)
    if given.cpu is given.threads is given.seeds is None:
        vars(given).update(EVERYTHING)
    elif given.cpu or given.threads:
        given.cpu, given.threads = given.cpu or "native", given.threads or "1"
    cpus = (given.cpu or "").split(",") if given.cpu else []
    if unknown := [cpu for cpu in cpus if cpu not in PROCESSORS]:
        parser.error(f"--cpu has {unknown}, expected some of {', '.join(PROCESSORS)}")
    machine = platform.machine()
    if machine not in ("x86_64", "AMD64") and any(PROCESSORS[cpu] for cpu in cpus):
        parser.error(f"this machine is {machine}: only --cpu native can be had here")
    try:
        threads, seeds = numbers(given.threads or ""), numbers(given.seeds or "")
    except ValueError:
        parser.error("--threads and --seeds take numbers: 1,2 or 1-9")
    notebooks = find_notebooks(given.paths or FOLDERS)
    if not notebooks:
        parser.error(f"no notebook in {', '.join(map(str, given.paths))}")
    asked = runs(notebooks, cpus, threads, seeds)
    with ThreadPoolExecutor(given.jobs) as pool:
        same = list(pool.map(report, asked))
    print(f"{len(asked)} runs, {same.count(False)} differ")
    return 0 if all(same) else 1


if __name__ == "__main__":
    sys.exit(main())
