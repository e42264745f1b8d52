"""Set where the book is published, in every file that holds it.

    python -m tools.address https://github.com/OWNER/NAME [--site URL]
    python -m tools.address --none

Writes lossutils/_address.py, which the library, the tools and the site read, and what
cannot read it: the first code cell of each notebook, CITATION.cff, and the last line of
the doctor's report in README.md. Give an address that is yours: readers install from it.
Without --site, the site is the one that GitHub Pages would give the repository.
"""

import argparse
import re
import sys
from pathlib import Path

import nbformat

from lossutils.doctor.report import where_to_read
from tools import ROOT, find_notebooks, refresh, setup_cell

OWNER = r"(?P<owner>[A-Za-z0-9](?:-?[A-Za-z0-9]){0,38})"
NAME = r"(?P<name>[A-Za-z0-9._-]{1,100})"
REPOSITORY = re.compile(rf"https://github\.com/{OWNER}/{NAME}")
HOST = r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?::[0-9]+)?"
SITE = re.compile(rf"https://{HOST}(?:/[A-Za-z0-9._~-]+)*/?")

# What a cell must begin and end with to be taken for the setup cell of some address.
SETUP = re.compile(r"try:\n    import lossutils as lu\n.*\nlu\.plots\.use_style\(\)", re.S)
# How the printed report in the README ends.
REPORTS_END = rf"^(?:{re.escape(where_to_read(''))}|{where_to_read('https://.*')})$"


def site_of(repository: str, site: str | None = None) -> str:
    """Return the address of the site, which ends in a stroke, once both are found right.

    Raises
    ------
    ValueError
        One of them is no address that the book could be published under.
    """
    parts = REPOSITORY.fullmatch(repository)
    # GitHub keeps ".git" for the address to clone, which has no pages.
    if not parts or parts["name"] in (".", "..") or repository.endswith(".git"):
        raise ValueError(
            f"{repository!r} is not https://github.com/OWNER/NAME, with nothing behind "
            "it. It must be on GitHub: the links to source and to Colab are made for it"
        )
    if site is None:
        host = f"{parts['owner'].lower()}.github.io"
        own = parts["name"].lower() == host  # the owner's own site, at the root
        site = f"https://{host}/" if own else f"https://{host}/{parts['name']}/"
    if not SITE.fullmatch(site):
        raise ValueError(f"the site {site!r} is not https://HOST/PATH/")
    return site if site.endswith("/") else site + "/"


def changes(repository: str, site: str, root: Path = ROOT) -> dict[Path, str]:
    """Return the files that must change to hold these addresses, and their new text.

    Raises
    ------
    ValueError
        A file lacks the place where its address stands.
    """
    texts = {
        root / "lossutils" / "_address.py": (
            ("^REPOSITORY: str = .*", f'REPOSITORY: str = "{repository}"'),
            ("^SITE: str = .*", f'SITE: str = "{site}"'),
        ),
        root / "README.md": ((REPORTS_END, where_to_read(site)),),
        root / "CITATION.cff": (
            (
                r"^license: (.*)\n(?:repository-code: .*\n)?",
                r"license: \1" + "\n" + _citation(repository),
            ),
        ),
    }
    new = {path: _replaced(path, pairs) for path, pairs in texts.items()}
    for path in find_notebooks((root / "chapters", root / "reference")):
        new[path] = _notebook(path, setup_cell(repository))
    return {path: text for path, text in new.items() if text != _read(path)}


def _citation(repository: str) -> str:
    return f'repository-code: "{repository}"\n' if repository else ""


def _read(path: Path) -> str:
    return path.read_bytes().decode()  # with the line ends that it has


def _replaced(path: Path, pairs: tuple[tuple[str, str], ...]) -> str:
    text = _read(path)
    for pattern, replacement in pairs:
        text, found = re.subn(pattern, replacement, text, flags=re.MULTILINE)
        if found != 1:
            raise ValueError(f"{path} has {found} places like {pattern!r}, not one")
    return text


def _notebook(path: Path, source: str) -> str:
    nb = nbformat.reads(_read(path), as_version=4)  # type: ignore[no-untyped-call]
    first = next((cell for cell in nb.cells if cell.cell_type == "code"), None)
    if first is None or not SETUP.fullmatch(first.source):
        raise ValueError(f"the first code cell of {path} is not the setup cell")
    first.source = source
    return refresh.normalise(nb)


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.address",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    address = parser.add_mutually_exclusive_group(required=True)
    address.add_argument("repository", nargs="?", metavar="https://github.com/OWNER/NAME")
    address.add_argument("--none", action="store_true", help="there is no address")
    parser.add_argument("--site", metavar="URL", help="where the built book stands")
    given = parser.parse_args(arguments)
    repository = "" if given.none else given.repository
    if given.none and given.site:
        parser.error("--site goes with a repository, not with --none")
    try:
        site = "" if given.none else site_of(repository, given.site)
        changed = changes(repository, site, root)
    except ValueError as error:
        parser.error(str(error))
    for path, text in changed.items():
        path.write_bytes(text.encode())
        print(path.relative_to(root).as_posix())
    if changed:
        print(
            "The doctor's stored reports may show another address: run\n"
            "    python -m tools.refresh reference/doctor.ipynb"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
