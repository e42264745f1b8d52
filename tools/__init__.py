"""What keeps the book current; run from the root as `python -m tools.<name>`."""

import re
from collections.abc import Iterable
from pathlib import Path

from lossutils._address import REPOSITORY

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = (ROOT / "chapters", ROOT / "reference")

# Without an address nothing can be installed: say who can. What is missing may be torch.
_SAYS_HOW = """\
try:
    import lossutils as lu
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        f"{missing.name} is not installed. In the folder of a clone, run\\n"
        '  pip install -r requirements.txt   or   pip install ".[book]"\\n'
        'or install a wheel, pip install "<its file>[book]"; then restart the kernel.'
    ) from None
import torch
lu.plots.use_style()"""
_INSTALLS = """\
try:
    import lossutils as lu
except ModuleNotFoundError:  # in Colab
    %pip install -q "lossutils[book] @ git+{repository}"
    import lossutils as lu
import torch
lu.plots.use_style()"""


def setup_cell(repository: str) -> str:
    """Return the first code cell of every notebook, for that address or for none ("")."""
    return _INSTALLS.format(repository=repository) if repository else _SAYS_HOW


SETUP_CELL = setup_cell(REPOSITORY)

# A notebook that draws random numbers takes them all from one seed, which stands in its
# second code cell.
SEED_LINE = re.compile(r"^SEED = \d+$", re.MULTILINE)


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
