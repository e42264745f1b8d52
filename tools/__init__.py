"""What keeps the book current; run from the root as `python -m tools.<name>`."""

import re
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = (ROOT / "chapters", ROOT / "reference")

# The first code cell of every notebook: it runs in a checkout and in Colab alike.
SETUP_CELL = """\
try:
    import lossutils as lu
except ModuleNotFoundError:  # in Colab
    %pip install -q "lossutils[book] @ git+https://github.com/loss-functions-tested/book"
    import lossutils as lu
import torch
lu.plots.use_style()"""


def find_notebooks(paths: Iterable[Path] = FOLDERS) -> list[Path]:
    """Return the notebooks among `paths` and in those that are folders.

    Folders that begin with a dot or an underscore hold copies, not sources.
    """
    found: set[Path] = set()
    for path in paths:
        inside = [path] if path.suffix == ".ipynb" else path.rglob("*.ipynb")
        found.update(p for p in inside if not _is_copy(p.relative_to(path)))
    return sorted(found)


def _is_copy(path: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.parts)


def headings(markdown: str) -> list[tuple[int, str]]:
    """Return the level and the text of each heading, comments in code left out."""
    prose = re.sub(r"^(```|~~~).*?^\1", "", markdown, flags=re.MULTILINE | re.DOTALL)
    found = re.findall(r"^(#{1,6})\s+(.+?)\s*$", prose, re.MULTILINE)
    return [(len(signs), text) for signs, text in found]
