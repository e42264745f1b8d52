"""Write reference/claims.md, the ledger of claims, from the notebooks' claim cells.

    python -m tools.claims

A claim cell is a Markdown cell whose metadata names what it answers,
`{"claim": {"id": "T-41", "source": "003", "verdict": "conditional"}}` (or a list of
such), and whose text gives the claim and the verdict:

    **The article says** <the claim>. **Conditional.** <the truth>

A finding of the book's own starts with **The article leaves out** instead. Several
claims in one cell share its text, or have one such passage each, in the same order.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
from nbformat import NotebookNode

from tools import ROOT, find_notebooks, headings

PAGE = ROOT / "reference" / "claims.md"


class Source(NamedTuple):
    """A source article: its subject, its title, the letters its claims' ids begin with."""

    subject: str
    title: str
    letters: str


SOURCES = {
    "000": Source(
        "Noise in a loss",
        "Does adding random noise affect my custom loss function?",
        "N",
    ),
    "001": Source(
        "Slow convergence", "Why is custom loss function decreasing slowly?", "S"
    ),
    "002": Source(
        "High error and offset outputs in Keras",
        "Why does a custom loss function in Keras cause high MSE and output offset?",
        "K",
    ),
    "003": Source("Kinds of loss, noise and privacy", "Loss function notes", "TPM"),
    "004": Source(
        "Composite losses", "Understanding Loss Functions in Machine Learning", "C"
    ),
}
# The signs differ in shape: nothing rests on colour.
VERDICTS = {"confirmed": "✓", "conditional": "◐", "refuted": "✗", "untestable": "?"}

_PASSAGE = re.compile(
    r"\*\*The article (says|leaves out)\*\*\s+(.+?)\s*\*\*(\w+)\.?\*\*", re.DOTALL
)
_ID = re.compile(r"([A-Z])-(\d+)([a-z]?)")


class Claim(NamedTuple):
    """One claim, and where and how a notebook answers it."""

    id: str
    source: str
    verdict: str
    text: str
    left_out: bool  # by the article: a finding of the book's own
    notebook: Path
    title: str
    section: str


def claims_of(cell: Any) -> list[dict[str, str]]:
    """Return what a cell's metadata says that it answers."""
    claim = cell.metadata.get("claim", [])
    return list(claim) if isinstance(claim, list) else [claim]


def claims_in(nb: NotebookNode, notebook: Path) -> Iterator[Claim]:
    """Yield the claims that a notebook answers, in the order of its cells.

    Raises
    ------
    ValueError
        A claim cell is not written as this module's docstring says.
    """
    seen: list[str] = []
    for number, cell in enumerate(nb.cells):
        if cell.cell_type == "markdown":
            seen += [text for _, text in headings(cell.source)]
        answered = claims_of(cell)
        if not answered:
            continue
        try:
            passages = _passages(cell, len(answered))
            for fields, (says, text, verdict) in zip(answered, passages, strict=True):
                _check(fields, says == "leaves out", verdict.lower())
                yield Claim(
                    **fields,
                    text=" ".join(text.split()),
                    left_out=says == "leaves out",
                    notebook=notebook,
                    title=seen[0] if seen else notebook.stem,
                    section=seen[-1] if seen else "",
                )
        except ValueError as error:
            raise ValueError(f"{notebook}, cell {number}: {error}") from error


def _passages(cell: Any, count: int) -> list[tuple[str, str, str]]:
    passages = _PASSAGE.findall(cell.source) if cell.cell_type == "markdown" else []
    if len(passages) not in (1, count):
        raise ValueError(
            f"{count} claims in the metadata, {len(passages)} in the text; write one "
            "passage for all or one for each, in a Markdown cell: "
            "**The article says** <the claim>. **Confirmed.** <the truth>"
        )
    return passages if len(passages) == count else passages * count


def _check(claim: dict[str, str], left_out: bool, stated: str) -> None:
    if claim.keys() != {"id", "source", "verdict"}:
        raise ValueError(f"claim is {claim}, expected the keys id, source and verdict")
    match = _ID.fullmatch(claim["id"])
    source = SOURCES.get(claim["source"])
    if match is None or source is None or match[1] not in source.letters:
        known = ", ".join(f"{s.letters} of {n}" for n, s in SOURCES.items())
        raise ValueError(
            f"id {claim['id']!r} of source {claim['source']!r}, expected a letter of "
            f"its source and a number, as T-41 of '003'; the letters are {known}"
        )
    if claim["verdict"] not in VERDICTS:
        raise ValueError(
            f"verdict of {claim['id']} is {claim['verdict']!r}, "
            f"expected one of {', '.join(VERDICTS)}"
        )
    if stated != claim["verdict"]:
        raise ValueError(
            f"the text calls {claim['id']} {stated!r}, "
            f"the metadata {claim['verdict']!r}; make them agree"
        )
    if left_out and claim["verdict"] != "confirmed":
        raise ValueError(
            f"{claim['id']} is what the article leaves out, a finding of our own: "
            f"its verdict is 'confirmed', not {claim['verdict']!r}"
        )


def read_claims(notebooks: Iterable[Path]) -> list[Claim]:
    """Return the claims that the notebooks answer, ordered by source and id."""

    def order(claim: Claim) -> tuple[str, int, int, str]:
        letter, number, suffix = _ID.fullmatch(claim.id).groups()  # type: ignore[union-attr]
        rank = SOURCES[claim.source].letters.index(letter)
        return claim.source, rank, int(number), suffix

    found: list[Claim] = []
    for path in notebooks:
        nb = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
        found += claims_in(nb, path)
    return sorted(found, key=order)


def page(claims: list[Claim]) -> str:
    """Return the ledger as a Markdown page."""
    count = Counter(claim.verdict for claim in claims)
    lines = [
        "# Claims ledger",
        "",
        "<!-- generated by `python -m tools.claims` from the notebooks: edit those -->",
        "",
        "This book grew out of five articles about loss functions, and this page lists "
        "what they say, claim by claim, in our words. Each claim is answered in one "
        "notebook, where the code cell after it asserts the proof, if it can be tested. "
        "A claim is confirmed, conditional (true only where a condition holds, which "
        "the notebook names), refuted, or untestable (taste, or a story without data).",
        "",
        f"Answered so far: {len(claims)}.",
        "",
        "| Verdict | Claims |",
        "|---|---|",
    ]
    lines += [f"| {sign} {word} | {count[word]} |" for word, sign in VERDICTS.items()]
    for number, source in SOURCES.items():
        own = [claim for claim in claims if claim.source == number]
        if own:
            lines += ["", f"## {source.subject}", ""]
            lines += [f"Article {number}, *{source.title}*.", ""]
            lines += ["| Verdict | Claim, and where it is answered |", "|---|---|"]
            lines += [_row(claim) for claim in own]
    return "\n".join(lines) + "\n"


def _row(claim: Claim) -> str:
    # A link in the text leads on from its own notebook, not from here: keep its words.
    text = re.sub(r"(?<!!)\[([^\]]*)\]\([^)]*\)", r"\1", claim.text)
    text = text.removeprefix("that ")
    text = text[0].upper() + text[1:]
    if claim.left_out:
        text = f"*Left out by the article:* {text}"
    link = Path(os.path.relpath(claim.notebook, PAGE.parent)).as_posix()
    # Two columns, so that a phone shows the verdict; code does not break at a hyphen.
    cells = (
        f"`{claim.id}` <br> {VERDICTS[claim.verdict]}&nbsp;{claim.verdict}",
        f"{text} <br> [{claim.title}]({link}), “{claim.section}”",
    )
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def write() -> None:
    """Write the ledger page."""
    claims = read_claims(find_notebooks())
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(claims), encoding="utf-8")
    print(f"{PAGE.relative_to(ROOT)}: {len(claims)} claims")


if __name__ == "__main__":
    write()
