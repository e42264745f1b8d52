"""Run notebooks and store their outputs as the repository keeps them.

    python -m tools.refresh [PATH ...]

A PATH is a notebook or a folder; without one, all of chapters/ and reference/. Each
notebook runs from its first cell in a new kernel of this Python. One that raises is
left as it was. The gallery is made anew from the catalogue first; reference/claims.md
from the notebooks and reference/checks.md from the doctor's checks last.
"""

import argparse
import hashlib
import os
import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
from ipykernel.kernelspec import RESOURCES, get_kernel_dict
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from tools import FOLDERS, checks, claims, find_notebooks, gallery

TIMEOUT = 600  # seconds a cell may take, as in pyproject.toml
NOTEBOOK_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"file_extension": ".py", "name": "python"},
}
FAILURES = (
    CellExecutionError,
    CellTimeoutError,
    DeadKernelError,
    FileNotFoundError,  # the gallery lacks its record
    ValueError,  # or an entry in it
)
CELL_METADATA = ("claim", "mystnb", "tags")
ANSI = re.compile(r"\x1b\[[0-9;]*m")


class ThisPython(KernelSpecManager):
    """Knows one kernel: the Python that runs this program."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        return KernelSpec(resource_dir=RESOURCES, **get_kernel_dict())


def run(
    nb: NotebookNode,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    allow_errors: bool = False,
) -> list[float]:
    """Run a notebook in `folder`, store its outputs in it, return seconds per cell.

    `environment` is added to the kernel's; with `allow_errors` cells after one that
    raises run all the same.
    """
    started: dict[int, float] = {}
    seconds = [0.0] * len(nb.cells)

    def start(cell: NotebookNode, cell_index: int) -> None:
        started[cell_index] = time.perf_counter()

    def stop(cell: NotebookNode, cell_index: int, execute_reply: object) -> None:
        seconds[cell_index] = time.perf_counter() - started[cell_index]

    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.execution_count, cell.outputs = None, []
    client = NotebookClient(
        nb,
        km=AsyncKernelManager(kernel_spec_manager=ThisPython()),
        timeout=TIMEOUT,
        allow_errors=allow_errors,
        resources={"metadata": {"path": str(folder)}},
        on_cell_execute=start,
        on_cell_executed=stop,
        extra_arguments=["--log-level=ERROR"],  # no word on its transport each time
    )
    client.owns_km = True  # and ends it after the last cell
    client.execute(env={**os.environ, "PYTHONHASHSEED": "0", **(environment or {})})
    return seconds


def normalise(nb: NotebookNode) -> str:
    """Return the text under which a notebook is stored: the same for the same content.

    What depends on who ran it, where or when goes: times, versions, widget states, ids
    that are missing or not unique. `nb` is changed.
    """
    nb.metadata = nbformat.from_dict(NOTEBOOK_METADATA)  # type: ignore[no-untyped-call]
    nb.nbformat, nb.nbformat_minor = 4, 5
    taken: set[str] = set()
    for cell in nb.cells:
        kept = {key: cell.metadata[key] for key in CELL_METADATA if key in cell.metadata}
        cell.metadata = nbformat.from_dict(kept)  # type: ignore[no-untyped-call]
        cell.id = _cell_id(cell, taken)
        taken.add(cell.id)
        if cell.cell_type == "code":
            cell.outputs = _merge_streams(cell.outputs)
            for output in cell.outputs:
                png = output.get("data", {}).get("image/png")
                if png:
                    output.data["image/png"] = "".join(png.split())
                if output.output_type == "error":
                    output.traceback = _own_frames(output.traceback)
    return str(nbformat.writes(nb)) + "\n"  # type: ignore[no-untyped-call]


def _cell_id(cell: NotebookNode, taken: set[str]) -> str:
    """Return the cell's own id, or one made from its text where it has none."""
    name = cell.get("id")
    salt = 0
    while not name or name in taken:
        name = hashlib.sha256(f"{salt}{cell.source}".encode()).hexdigest()[:8]
        salt += 1
    return str(name)


def _merge_streams(outputs: list[Any]) -> list[Any]:
    """Join what one stream wrote in several pieces: where it broke is chance."""
    merged: list[Any] = []
    for output in outputs:
        if merged and output.get("name", "") == merged[-1].get("name"):
            merged[-1].text += output.text
        else:
            merged.append(output)
    return merged


def _own_frames(traceback: list[str]) -> list[str]:
    """Keep the frames in the notebook's own cells and the message.

    The others are lines of libraries, at paths of the machine that ran them.
    """
    frames = [entry for entry in traceback[:-1] if ANSI.sub("", entry).startswith("Cell ")]
    return [*frames, *traceback[-1:]]


def refresh(notebook: Path) -> bool:
    """Run one notebook and store it; say how long it took, or what went wrong."""
    before = notebook.read_bytes()
    nb = nbformat.reads(before.decode(), as_version=4)  # type: ignore[no-untyped-call]
    begin = time.perf_counter()
    try:
        if notebook.resolve() == gallery.PAGE:
            nb = gallery.notebook()
        seconds = run(nb, notebook.parent)
    except FAILURES as error:
        print(f"FAILED {notebook}: left as it was\n{error}", file=sys.stderr)
        return False
    print(f"{time.perf_counter() - begin:6.1f} s  {notebook}")
    for index in sorted(range(len(seconds)), key=lambda i: -seconds[i])[:5]:
        first_line = nb.cells[index].source.strip().partition("\n")[0]
        if seconds[index] > 0:
            print(f"    {seconds[index]:6.2f} s  cell {index}: {first_line[:60]}")
    if notebook.read_bytes() != before:
        print(f"FAILED {notebook}: edited meanwhile, run again", file=sys.stderr)
        return False
    notebook.write_text(normalise(nb), encoding="utf-8")
    return True


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.refresh", description=__doc__)
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH")
    paths = parser.parse_args().paths
    notebooks = find_notebooks(paths or FOLDERS)
    if paths and not notebooks:
        parser.error(f"no notebook in {', '.join(map(str, paths))}")
    done = [refresh(notebook) for notebook in notebooks]
    for page in (claims, checks):
        try:
            page.write()
        except ValueError as error:
            print(f"FAILED {page.PAGE}: left as it was\n{error}", file=sys.stderr)
            done.append(False)
    return 0 if all(done) else 1


if __name__ == "__main__":
    sys.exit(main())
