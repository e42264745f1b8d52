"""The notebooks as documents: what readers, GitHub, Colab and the site need of them.

Nothing is executed here; `pytest --nbval` does that. Each rule is a function that
yields the faults it finds, and is tried below on notebooks that break it.
"""

import ast
import copy
import json
import re
from collections import Counter
from urllib.parse import unquote

import nbformat
import pytest
from nbformat import v4

from tools import ROOT, SEED_LINE, SETUP_CELL, claims, find_notebooks, headings, refresh

FIRST_SECTION = "The question"
ITS_WORDS = ("minute", "second", "data")  # to read, to run, and what it runs on
LAST_SECTIONS = ["Exercises", "Summary", "References"]
FREE_FORM = {"index.ipynb", "article_line_by_line.ipynb"}  # in chapters/

LINES, HIDDEN_LINES, COLUMNS = 12, 20, 88
ALT_TEXT = 20  # characters
TAGS = {"hide-cell", "hide-input", "hide-output", "remove-input", "raises-exception"}

MACHINE_PATH = re.compile(r"/(root|home|tmp|work|Users|private|opt)/|ipykernel_\d")
DIRECTIVE = re.compile(r"^\s*(`{3,}\s*\{|~{3,}\s*\{|:{3,})|\{[\w:-]+\}`|^\([\w-]+\)=", re.M)
ASSERT = re.compile(r"\bassert\b|assert_|check_|testing\.")
CODE = re.compile(r"^(```|~~~).*?^\1|`[^`\n]+`|\$\$.*?\$\$|\$[^$\n]+\$", re.M | re.S)
LINK = re.compile(r"\]\(\s*<?([^)\s>]+)")

# Calls that take a seed, first or by name, and names of arguments that hold one.
SEEDED = {"manual_seed", "manual_seed_all", "default_rng", "RandomState", "seed"}
SEED_WORDS = {"seed", "random_state"}
# torch's functions that draw, and modules that do when they are made or called.
TORCH_DRAWS = {
    *("rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial"),
    *("poisson", "rand_like", "randn_like", "randint_like"),
    *("dropout", "Dropout", "Linear", "Conv1d", "Conv2d", "Embedding", "LSTM", "GRU"),
}
TENSOR_DRAWS = {
    *("normal_", "uniform_", "bernoulli_", "random_", "exponential_", "cauchy_"),
    *("geometric_", "log_normal_", "multinomial", "bernoulli"),
}
PYTHON_DRAWS = {"random", "choice", "choices", "sample", "shuffle", "gauss", "uniform"}
NUMPY_SEEDED = SEEDED | {"Generator", "SeedSequence", "PCG64"}


def code_cells(nb):
    return [
        (i, cell)
        for i, cell in enumerate(nb.cells)
        if cell.cell_type == "code" and cell.source.strip()
    ]


def markdown_cells(nb):
    return [(i, cell) for i, cell in enumerate(nb.cells) if cell.cell_type == "markdown"]


def was_run_in_order(nb, path):
    for expected, (i, cell) in enumerate(code_cells(nb), 1):
        if cell.execution_count != expected:
            yield (
                f"cell {i} was run as number {cell.execution_count}, expected "
                f"{expected}: python -m tools.refresh {path}"
            )


def starts_with_setup(nb, path):
    cells = code_cells(nb)
    if not cells or cells[0][1].source != SETUP_CELL:
        yield f"the first code cell is not the setup cell:\n{SETUP_CELL}"


def outputs_are_clean(nb, path):
    for i, cell in code_cells(nb):
        for output in cell.outputs:
            data = {k: v for k, v in output.get("data", {}).items() if k != "image/png"}
            text = json.dumps({**output, "data": data})
            if output.get("name") == "stderr":
                yield f"cell {i} stores stderr: {output.text[:60]!r}"
            if output.output_type == "error" and "raises-exception" not in tags(cell):
                yield f"cell {i} stores an error without the tag raises-exception"
            if "Traceback" in text:
                yield f"cell {i} stores the traceback of a library: refresh leaves it out"
            if found := MACHINE_PATH.search(text):
                yield f"cell {i} stores a path of one machine, {found[0]!r}"


def tags(cell):
    return set(cell.metadata.get("tags", []))


def tags_are_known(nb, path):
    for i, cell in enumerate(nb.cells):
        raised = any(out.output_type == "error" for out in cell.get("outputs", ()))
        if "raises-exception" in tags(cell) and not raised:
            yield f"cell {i} has the tag raises-exception and raises nothing"
        if unknown := tags(cell) - TAGS:
            yield f"cell {i} has tags {sorted(unknown)}, expected some of {sorted(TAGS)}"
        prompt = cell.metadata.get("mystnb", {}).get("code_prompt_show")
        if "hide-cell" in tags(cell) and not prompt:
            yield f"cell {i} is folded without mystnb.code_prompt_show to say what opens"


def code_is_short(nb, path):
    for i, cell in code_cells(nb):
        lines = [line for line in cell.source.splitlines() if line.strip()]
        limit = HIDDEN_LINES if "hide-cell" in tags(cell) else LINES
        if len(lines) > limit:
            yield f"cell {i} has {len(lines)} lines, at most {limit}"
        width = max(map(len, lines))
        if width > COLUMNS and cell.source != SETUP_CELL:  # %pip cannot break its line
            yield f"cell {i} is {width} columns wide, at most {COLUMNS}"


def figures_are_described(nb, path):
    for i, cell in code_cells(nb):
        drawn = sum("image/png" in output.get("data", {}) for output in cell.outputs)
        mystnb = cell.metadata.get("mystnb", {})
        figure = mystnb.get("figure", {})
        if drawn > 1:
            yield f"cell {i} draws {drawn} figures, at most one"
        if not drawn and (figure or "image" in mystnb):
            yield f"cell {i} describes a figure that it does not draw"
        if drawn and len(mystnb.get("image", {}).get("alt", "")) < ALT_TEXT:
            yield f"cell {i}: mystnb.image.alt says what the figure shows"
        if drawn and not figure.get("caption"):
            yield f"cell {i}: mystnb.figure.caption says the finding"
        if drawn and not figure.get("name", "").startswith("fig-"):
            yield f"cell {i}: mystnb.figure.name begins with fig-"


def markdown_is_plain(nb, path):
    for i, cell in markdown_cells(nb):
        if found := DIRECTIVE.search(cell.source):
            yield f"cell {i} holds {found[0]!r}, which shows raw on GitHub and in Colab"


def formulas_stand_apart(nb, path):
    for i, cell in markdown_cells(nb):
        prose = re.sub(r"^```.*?^```", "", cell.source, flags=re.M | re.S)
        for paragraph in re.split(r"\n\s*\n", prose):
            text = paragraph.strip()
            if "$$" in text and not re.fullmatch(r"\$\$[^$]+\$\$", text):
                yield f"cell {i}: a formula in $$ needs an empty line before and after it"


def links_lead_somewhere(nb, path):
    for i, cell in markdown_cells(nb):
        for link in LINK.findall(CODE.sub("", cell.source)):
            target = unquote(link.partition("#")[0])
            outside = re.match(r"[a-z]+:", target)
            if target and not outside and not (path.parent / target).exists():
                yield f"cell {i} links to {link}, which is not there"


def has_the_anatomy(nb, path):
    found = [h for _, cell in markdown_cells(nb) for h in headings(cell.source)]
    if [level for level, _ in found].count(1) != 1 or found[0][0] != 1:
        yield "one heading of level 1, the title, comes first"
    if path.parent.parent.name != "chapters" or path.name in FREE_FORM:
        return
    sections = [text for level, text in found if level == 2]
    if sections[:1] != [FIRST_SECTION]:
        yield f"the first section is {sections[:1]}, expected {FIRST_SECTION!r}"
    else:
        prose = "\n".join(cell.source for _, cell in markdown_cells(nb))
        opening = prose.split(f"## {FIRST_SECTION}")[1].split("\n## ")[0].lower()
        for word in ITS_WORDS:
            if word not in opening:
                yield f"{FIRST_SECTION!r} has no word of {word}"
    if sections[-3:] != LAST_SECTIONS:
        yield f"the last sections are {sections[-3:]}, expected {LAST_SECTIONS}"


def claims_are_proved(nb, path):
    try:
        list(claims.claims_in(nb, path))
    except ValueError as error:
        yield str(error)
        return
    for i, cell in markdown_cells(nb):
        proof = [c.source for j, c in code_cells(nb) if j > i][:1]
        for claim in claims.claims_of(cell):
            if claim["verdict"] != "untestable" and not ASSERT.search("".join(proof)):
                yield f"cell {i}: the code cell after {claim['id']} asserts nothing"


def randomness_has_one_seed(nb, path):
    cells = code_cells(nb)
    seeded = own = False
    for number, (i, cell) in enumerate(cells):
        tree = python(cell)
        torch_seeded = any(is_torch_seed(node) for node in ast.walk(tree))
        draws = list(draws_in(tree, seeded or torch_seeded))
        seeded, own = seeded or torch_seeded, own or bool(draws)
        yield from (f"cell {i}, line {line}: {what}" for line, what in draws if what)
        if number != 1 and SEED_LINE.search(cell.source):
            yield f"cell {i} sets SEED, which stands in the second code cell"
    if own and not (len(cells) > 1 and SEED_LINE.search(cells[1][1].source)):
        yield "it draws, and has no line SEED = 0 in its second code cell"


def python(cell):
    """Parse a cell without IPython's magics."""
    if cell.source.startswith("%%"):
        return ast.parse("")
    lines = cell.source.splitlines()
    plain = (re.sub(r"^(\s*)[%!].*", r"\1pass", line) for line in lines)
    return ast.parse("\n".join(plain))


def draws_in(tree, torch_seeded):
    """Yield the line of each draw and seed, and what is wrong with it, if anything is."""
    seeded = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "manual_seed"
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.For | ast.comprehension):
            names = {word for word in names_in(node.target) if "seed" in word.lower()}
            if names and "SEED" not in names_in(node.iter):
                yield node.target.lineno, f"{names.pop()} goes over numbers without SEED"
        if not isinstance(node, ast.Call):
            continue
        *parts, name = ast.unparse(node.func).split(".")
        owner = ".".join(parts)
        if name == "Generator" and owner == "torch" and id(node) not in seeded:
            yield node.lineno, "a generator without manual_seed begins as it always does"
        seeds = [word.value for word in node.keywords if word.arg in SEED_WORDS]
        if name in SEEDED and (name != "seed" or owner.endswith(("random", "torch"))):
            first = [*node.args[:1], *seeds]
            seeds = first or [ast.Constant(None)]
        for seed in seeds:
            fixed = not names_in(seed)
            yield node.lineno, f"{ast.unparse(seed)} is no SEED" if fixed else ""
        if owner in ("np.random", "numpy.random") and name not in NUMPY_SEEDED:
            yield node.lineno, f"{name} draws from NumPy's global generator"
        if owner == "random" and name in PYTHON_DRAWS:
            yield node.lineno, f"{name} draws from Python's global generator"
        from_torch = owner.split(".")[0] in ("torch", "F", "nn") and name in TORCH_DRAWS
        given = any(word.arg == "generator" for word in node.keywords)
        if (from_torch or (owner and name in TENSOR_DRAWS)) and not given:
            yield node.lineno, "" if torch_seeded else f"{name} has no generator or seed"


def names_in(node):
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def is_torch_seed(node):
    return (
        isinstance(node, ast.Call)
        and ast.unparse(node.func) == "torch.manual_seed"
        and "SEED" in {name for arg in node.args for name in names_in(arg)}
    )


def is_normalised(nb, path):
    if refresh.normalise(copy.deepcopy(nb)) != path.read_text(encoding="utf-8"):
        yield f"not stored as refresh stores it: python -m tools.refresh {path}"


RULES = [
    was_run_in_order,
    starts_with_setup,
    outputs_are_clean,
    tags_are_known,
    code_is_short,
    figures_are_described,
    markdown_is_plain,
    formulas_stand_apart,
    links_lead_somewhere,
    has_the_anatomy,
    claims_are_proved,
    randomness_has_one_seed,
    is_normalised,
]


def read(path):
    return nbformat.read(path, as_version=4)


NOTEBOOKS = find_notebooks()
NAMES = [path.relative_to(ROOT).as_posix() for path in NOTEBOOKS]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_notebook(path, rule):
    faults = list(rule(read(path), path))
    assert not faults, "\n".join(faults)


def repeated(names):
    return [name for name, count in Counter(names).items() if count > 1]


def figure_names(nb):
    figures = (cell.metadata.get("mystnb", {}).get("figure", {}) for cell in nb.cells)
    return [figure["name"] for figure in figures if "name" in figure]


def test_figure_names_are_unique():
    assert not repeated(name for path in NOTEBOOKS for name in figure_names(read(path)))


def test_claims_are_answered_once():
    assert not repeated(claim.id for claim in claims.read_claims(NOTEBOOKS))


def test_ledger_is_current():
    assert claims.PAGE.read_text(encoding="utf-8") == claims.page(
        claims.read_claims(NOTEBOOKS)
    ), "run: python -m tools.claims"


# The rules themselves, on a notebook that keeps them and on copies that break one each.

CLAIM = {"id": "T-41", "source": "003", "verdict": "conditional"}
CLAIM_TEXT = "**The article says** a | b, see [here](x.ipynb). **Conditional.** If so."
PNG = "iVBORw0KGgo="


@pytest.fixture
def path(tmp_path):
    """A section notebook of a chapter that keeps every rule."""
    nb = v4.new_notebook()
    nb.cells = [
        v4.new_markdown_cell("# Title\n\n## The question\n\n9 minutes, 5 seconds, data"),
        v4.new_code_cell(SETUP_CELL, execution_count=1),
        v4.new_markdown_cell("## Why\n\nSee [there](other.md#part) and `[x](y)`."),
        v4.new_code_cell(
            "lu.plots.lines()",
            execution_count=2,
            outputs=[v4.new_output("display_data", data={"image/png": PNG})],
            metadata={
                "mystnb": {
                    "image": {"alt": "Huber's gradient levels off at one"},
                    "figure": {"caption": "It levels off.", "name": "fig-huber"},
                }
            },
        ),
        v4.new_markdown_cell(CLAIM_TEXT.replace("x.ipynb", "other.md")),
        v4.new_code_cell(
            "assert 1\nprint(2)",
            execution_count=3,
            outputs=[v4.new_output("stream", text="2\n")],
        ),
        v4.new_markdown_cell(
            "## Exercises\n### One\n```python\n# no heading\n```\n## Summary\n## References"
        ),
    ]
    nb.cells[4].metadata["claim"] = CLAIM
    for number, cell in enumerate(nb.cells):
        cell.id = f"cell-{number}"
    path = tmp_path / "chapters" / "chapter" / "section.ipynb"
    path.parent.mkdir(parents=True)
    path.with_name("other.md").touch()
    path.write_text(refresh.normalise(nb), encoding="utf-8")
    return path


def test_rules_pass_a_good_notebook(path):
    assert [fault for rule in RULES for fault in rule(read(path), path)] == []


def test_index_and_reference_are_free_in_form(path):
    nb = read(path)
    del nb.cells[-1]
    assert list(has_the_anatomy(nb, path))
    assert not list(has_the_anatomy(nb, path.with_name("index.ipynb")))
    assert not list(has_the_anatomy(nb, path.parents[2] / "reference" / "gallery.ipynb"))


def source(cell, text):
    return lambda nb: nb.cells[cell].update(source=text)


def replace(cell, old, new):
    return lambda nb: nb.cells[cell].update(source=nb.cells[cell].source.replace(old, new))


def output(cell, **fields):
    return lambda nb: nb.cells[cell].outputs.append(v4.new_output(**fields))


def tag(cell, name):
    return lambda nb: nb.cells[cell].metadata.update(tags=[name])


def claim(**fields):
    return lambda nb: nb.cells[4].metadata.update(claim={**CLAIM, **fields})


def figure(part, **fields):
    return lambda nb: nb.cells[3].metadata["mystnb"].update({part: fields})


def no_figure(nb):
    nb.cells[3].outputs.clear()


def not_run(nb):
    nb.cells[3].execution_count = None


def run_twice(nb):
    nb.cells[5].execution_count = 7


FAULTS = {
    "not run": (not_run, was_run_in_order),
    "run out of order": (run_twice, was_run_in_order),
    "no setup": (source(1, "import lossutils as lu"), starts_with_setup),
    "stderr": (
        output(5, output_type="stream", name="stderr", text="x"),
        outputs_are_clean,
    ),
    "error": (
        output(5, output_type="error", ename="E", evalue="", traceback=[]),
        outputs_are_clean,
    ),
    "machine path": (
        output(5, output_type="stream", text="in /home/me/x.py"),
        outputs_are_clean,
    ),
    "ignore tag": (tag(5, "nbval-ignore-output"), tags_are_known),
    "fold without a name": (tag(5, "hide-cell"), tags_are_known),
    "raises nothing": (tag(5, "raises-exception"), tags_are_known),
    "a library's traceback": (
        output(5, output_type="stream", text="Traceback (most recent call last)"),
        outputs_are_clean,
    ),
    "13 lines": (source(5, "assert 1\n\n" * 13), code_is_short),
    "89 columns": (source(5, "assert 1" + " " * 80 + "#"), code_is_short),
    "two figures": (
        output(3, output_type="display_data", data={"image/png": PNG}),
        figures_are_described,
    ),
    "short alt text": (figure("image", alt="a plot"), figures_are_described),
    "no caption": (figure("figure", name="fig-x"), figures_are_described),
    "no figure name": (figure("figure", caption="Finding."), figures_are_described),
    "figure not drawn": (no_figure, figures_are_described),
    "directive": (source(2, "```{note}\nx\n```"), markdown_is_plain),
    "colon fence": (source(2, ":::{tip}\nx\n:::"), markdown_is_plain),
    "role": (source(2, "See {cite}`huber`."), markdown_is_plain),
    "label": (source(2, "(here)=\n## Why"), markdown_is_plain),
    "formula in a paragraph": (source(2, "So\n$$x = 1$$"), formulas_stand_apart),
    "dead link": (source(2, "See [it](gone.ipynb)."), links_lead_somewhere),
    "dead image": (source(2, "![It](gone.png)"), links_lead_somewhere),
    "two titles": (source(2, "# Another"), has_the_anatomy),
    "no title": (replace(0, "# Title", "Title"), has_the_anatomy),
    "no question": (replace(0, "The question", "What"), has_the_anatomy),
    "no minutes": (replace(0, "minutes", "pages"), has_the_anatomy),
    "no references": (replace(6, "## References", ""), has_the_anatomy),
    "summary too early": (
        source(6, "## Summary\n## Exercises\n## References"),
        has_the_anatomy,
    ),
    "no assert": (source(5, "print(2)"), claims_are_proved),
    "bad id": (claim(id="41"), claims_are_proved),
    "letter of another source": (claim(source="000"), claims_are_proved),
    "no verdict": (claim(verdict="true"), claims_are_proved),
    "two verdicts": (claim(verdict="refuted"), claims_are_proved),
    "no claim text": (source(4, "The article says so."), claims_are_proved),
    "literal seed": (
        source(3, "SEED = 0\ng = torch.Generator().manual_seed(0)"),
        randomness_has_one_seed,
    ),
    "literal seed by name": (
        source(3, "SEED = 0\nsvm = LinearSVC(random_state=0)"),
        randomness_has_one_seed,
    ),
    "SEED in a later cell": (
        source(5, "SEED = 0\ng = torch.Generator().manual_seed(SEED)"),
        randomness_has_one_seed,
    ),
    "no SEED": (
        source(3, "%matplotlib inline\ng = np.random.default_rng(SEED)"),
        randomness_has_one_seed,
    ),
    "a generator without a seed": (
        source(3, "SEED = 0\nx = torch.randn(3, generator=torch.Generator())"),
        randomness_has_one_seed,
    ),
    "torch's generator unseeded": (
        source(3, "SEED = 0\nx = torch.randn(3)"),
        randomness_has_one_seed,
    ),
    "a tensor filled unseeded": (
        source(3, "SEED = 0\nx = torch.ones(3).normal_()"),
        randomness_has_one_seed,
    ),
    "NumPy's generator unseeded": (
        source(3, "SEED = 0\ng = np.random.default_rng()"),
        randomness_has_one_seed,
    ),
    "NumPy's global generator": (
        source(3, "SEED = 0\nx = np.random.normal(3)"),
        randomness_has_one_seed,
    ),
    "seeds without SEED": (
        source(3, "SEED = 0\nruns = [run(seed) for seed in range(5)]"),
        randomness_has_one_seed,
    ),
    "kernel metadata": (
        lambda nb: nb.metadata.update(kernelspec={"name": "venv", "display_name": "v"}),
        is_normalised,
    ),
    "timing metadata": (
        lambda nb: nb.cells[5].metadata.update(execution={"iopub.status.busy": "now"}),
        is_normalised,
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_rules_find_each_fault(path, name):
    spoil, rule = FAULTS[name]
    nb = read(path)
    spoil(nb)
    path.write_text(nbformat.writes(nb) + "\n", encoding="utf-8")
    assert list(rule(nb, path)), f"{rule.__name__} finds nothing"


def test_one_seed_serves_a_notebook(path):
    nb = read(path)
    nb.cells[3].source = (
        "%matplotlib inline\n"
        "import torch\n"
        "SEED = 0\n"
        "g = torch.Generator().manual_seed(SEED + 1)\n"
        "runs = [run(seed) for seed in range(SEED, SEED + 5)]\n"
        "x = torch.randn(3, generator=g)"
    )
    nb.cells[5].source = "torch.manual_seed(SEED)\nx = torch.randn(3)"
    assert not list(randomness_has_one_seed(nb, path))


def test_an_untestable_claim_needs_no_proof(path):
    nb = read(path)
    nb.cells[4].metadata["claim"]["verdict"] = "untestable"
    nb.cells[4].source = nb.cells[4].source.replace("Conditional", "Untestable")
    nb.cells[5].source = "print(2)"
    assert not list(claims_are_proved(nb, path))


def test_repeated_names_are_found(path):
    nb = read(path)
    assert repeated(figure_names(nb) + figure_names(nb)) == ["fig-huber"]
    assert repeated(c.id for c in claims.read_claims([path, path])) == ["T-41"]


def test_ledger_row(path):
    page = claims.page(claims.read_claims([path]))
    row = next(line for line in page.splitlines() if line.startswith("| `T-41`"))
    assert r"| `T-41` <br> ◐&nbsp;conditional | A \| b, see here. <br> [Title](" in row
    assert row.endswith("chapters/chapter/section.ipynb), “Why” |")
    assert "| ◐ conditional | 1 |" in page
    assert "| ✓ confirmed | 0 |" in page


def test_ledger_is_ordered_by_source_and_number(path):
    nb = read(path)
    ids = ["P-02", "T-10", "T-9", "T-9a", "N-3"]
    nb.cells[4].metadata["claim"] = [
        {**CLAIM, "id": id, "source": "000" if id[0] == "N" else "003"} for id in ids
    ]
    path.write_text(nbformat.writes(nb), encoding="utf-8")
    found = [claim.id for claim in claims.read_claims([path])]
    assert found == ["N-3", "T-9", "T-9a", "T-10", "P-02"]


def test_one_passage_for_each_claim_or_one_for_all(path):
    nb = read(path)
    second = {"id": "T-42", "source": "003", "verdict": "confirmed"}
    nb.cells[4].metadata["claim"] = [CLAIM, second]
    assert list(claims_are_proved(nb, path))  # one passage, two verdicts
    nb.cells[4].source += "\n\n**The article leaves out** c. **Confirmed.** Indeed."
    assert not list(claims_are_proved(nb, path))
    first, other = claims.claims_in(nb, path)
    assert (first.text, first.left_out) == ("a | b, see [here](other.md).", False)
    assert (other.text, other.left_out) == ("c.", True)


# tools.refresh


def test_refresh_stores_what_running_gives(path, capsys):
    nb = v4.new_notebook(metadata={"widgets": {}})
    nb.cells = [
        v4.new_code_cell("import os, sys\nprint(1, flush=True)\nprint(2)"),
        v4.new_code_cell("os.path.basename(os.getcwd()), os.environ['PYTHONHASHSEED']"),
        v4.new_code_cell("sys.executable"),
    ]
    nb.cells[0].metadata["execution"] = {"iopub.status.busy": "2020"}
    path.write_text(nbformat.writes(nb), encoding="utf-8")
    assert refresh.refresh(path)
    assert capsys.readouterr().err == ""
    stored = read(path)
    assert list(is_normalised(stored, path)) == list(was_run_in_order(stored, path)) == []
    assert [out.text for out in stored.cells[0].outputs] == ["1\n2\n"]
    assert stored.cells[1].outputs[0].data["text/plain"] == "('chapter', '0')"
    assert stored.cells[2].outputs[0].data["text/plain"] == repr(refresh.sys.executable)
    assert "widgets" not in stored.metadata


def test_refresh_leaves_a_notebook_that_raises(path, capsys):
    nb = v4.new_notebook(cells=[v4.new_code_cell("x = 41\nassert x == 42, 'wrong x'")])
    path.write_text(nbformat.writes(nb), encoding="utf-8")
    before = path.read_bytes()
    assert not refresh.refresh(path)
    said = capsys.readouterr().err
    assert path.read_bytes() == before
    assert "assert x == 42" in said
    assert "wrong x" in said


def test_an_expected_error_is_stored_without_the_frames_of_libraries(tmp_path):
    source = "import json\ndef f():\n    json.loads('{')\nf()"
    nb = v4.new_notebook(cells=[v4.new_code_cell(source)])
    nb.cells[0].metadata["tags"] = ["raises-exception"]
    refresh.run(nb, tmp_path)
    assert "decoder.py" in json.dumps(nb.cells[0].outputs)
    refresh.normalise(nb)
    (stored,) = nb.cells[0].outputs
    assert [refresh.ANSI.sub("", entry).split()[0] for entry in stored.traceback] == [
        "Cell",
        "Cell",
        "JSONDecodeError:",
    ]
    assert not list(outputs_are_clean(nb, tmp_path))
    assert not list(tags_are_known(nb, tmp_path))


def test_cells_without_an_id_get_a_stable_one():
    def ids():
        nb = v4.new_notebook(cells=[v4.new_code_cell("a"), v4.new_code_cell("a")])
        for cell in nb.cells:
            del cell["id"]
        refresh.normalise(nb)
        return [cell.id for cell in nb.cells]

    assert ids() == ids()
    assert len(set(ids())) == 2


def test_copies_are_not_notebooks_of_the_book(tmp_path):
    for name in ("a/x.ipynb", "a/.ipynb_checkpoints/x.ipynb", "_build/x.ipynb"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert find_notebooks([tmp_path]) == [tmp_path / "a" / "x.ipynb"]
