"""Make reference/gallery.ipynb, the loss gallery, from the catalogue.

    python -m tools.gallery

What it says comes from `lossutils.CATALOGUE`, from reference/contract.json, which the
contract tests write, from reference/references.bib, and, where it describes a drawing,
from the curves drawn. It is run and stored as `tools.refresh` does it.
"""

import inspect
import json
import sys
import textwrap
from collections.abc import Callable
from typing import Any, NamedTuple

import nbformat
import numpy as np
import torch
from nbformat import NotebookNode
from numpy.typing import NDArray
from pybtex.database import parse_file  # type: ignore[import-untyped]
from pybtex.richtext import Text  # type: ignore[import-untyped]

import lossutils as lu
from lossutils.landscape import Profile
from tools import ROOT, SETUP_CELL

PAGE = ROOT / "reference" / "gallery.ipynb"
RECORD = ROOT / "reference" / "contract.json"
BIBLIOGRAPHY = ROOT / "reference" / "references.bib"
RECORD_COMMAND = (
    "python -m pytest -n 0 tests/test_contract.py --record-contract reference/contract.json"
)

Array = NDArray[np.float64]

FAMILIES = {
    "regression": "Here $e$ is the error, input − target, in units of the target.",
    "robust": "Here too $e$ is the error, input − target, in units of the target. Far "
    "points pull less than they do on squared error, or not at all.",
    "classification": "Here $p$ is a probability, $x$ a logit or a score, and $y$ the "
    "target: 1 or 0 beside a probability or a logit of one class, 1 or −1 beside a score, "
    "the index of the true class where there are many. A loss of many classes is drawn "
    "for two.",
    "pathological": "Do not train with these. Each is right code for a loss with a known "
    "ailment, to be examined, and the doctor names the ailment. Here again $e$ is the "
    "error, input − target, in units of the target.",
}
HEADINGS = {"pathological": "Pathological: specimens, not recommendations"}


class Task(NamedTuple):
    """What a task is called, and how a loss of it is drawn."""

    words: str
    curves: str  # the call that computes the curves
    axis: str  # what they run over, in one word
    label: str  # and on the axis


TASKS = {
    "regression": Task(
        "regression", "curves({loss}, x{varied})", "error", "error, input − target"
    ),
    "binary_probabilities": Task(
        "two classes, probability",
        "curves({loss}, p, y=1.0{varied})",
        "probability",
        "probability, target 1",
    ),
    "binary_logits": Task(
        "two classes, logit",
        "curves({loss}, x, y=1.0{varied})",
        "logit",
        "logit, target 1",
    ),
    "signed_scores": Task(
        "two classes, score",
        "curves({loss}, x, y=1.0{varied})",
        "score",
        "score, target 1",
    ),
    "multiclass_logits": Task(
        "many classes, logits",
        "curves(of_logit({loss}), x{varied})",
        "logit",
        "logit of the true class (0 for the other)",
    ),
    "multiclass_probabilities": Task(
        "many classes, probabilities",
        "curves(of_probability({loss}), p{varied})",
        "probability",
        "probability of the true class",
    ),
}

# The parameter that shapes a loss, and the values drawn beside its default.
OVERLAID: dict[str, tuple[str, *tuple[float, ...]]] = {
    "huber": ("delta", 0.5, 3.0),
    "smooth_l1": ("beta", 0.5, 3.0),
    "quantile": ("q", 0.1, 0.9),
    "expectile": ("tau", 0.1, 0.9),
    "epsilon_insensitive": ("epsilon", 1.0, 3.0),
    "charbonnier": ("delta", 0.5, 3.0),
    "cauchy": ("c", 1.0, 4.0),
    "geman_mcclure": ("c", 1.0, 6.0),
    "welsch": ("c", 1.0, 6.0),
    "tukey": ("c", 2.0, 6.0),
    "general_robust": ("alpha", 2.0, 0.0, -2.0, -torch.inf),
    "binary_cross_entropy_with_logits": ("pos_weight", 3.0),
    "binary_focal_with_logits": ("gamma", 0.0, 0.5, 5.0),
    "cross_entropy": ("label_smoothing", 0.1, 0.3),
    "focal": ("gamma", 0.0, 0.5, 5.0),
    "multiclass_hinge": ("margin", 0.5, 3.0),
    "generalized_cross_entropy": ("q", 0.0, 1.0),
    "symmetric_cross_entropy": ("alpha", 0.5, 1.0),
    "poly1_cross_entropy": ("epsilon", -1.0, 4.0),
    "plateau_mae": ("plateau_slope", 0.1, 1.0),
    "asymmetric_mse": ("over", 2.0, 1.0),
    "mse_with_linear_term": ("quadratic", 0.02, 0.05),
    "ill_conditioned_mse": ("condition_number", 1.0),
}

# Losses drawn otherwise than their task says, as what ails them would not show: a minimum
# far from the target, and outputs that differ. The call, and the label of its axis.
OTHERWISE = {
    "mse_with_linear_term": (
        "curves({loss}, 15 * x{varied})",
        TASKS["regression"].label,
    ),
    "ill_conditioned_mse": (
        "curves(of_second({loss}), x{varied})",
        "error of the second of two outputs",
    ),
}


# The second code cell: what the drawings are made with.
HELPERS = """\
from functools import partial
import matplotlib.pyplot as plt

x = torch.arange(-600, 601, dtype=torch.float64) / 100
p = torch.arange(100, 1000, dtype=torch.float64) / 1000

def curves(loss, x, y=0.0, **varied):
    \"\"\"Profile a loss along x for target y, for each value of a parameter if any.\"\"\"
    given = [{name: v} for name, values in varied.items() for v in values] or [{}]
    labels = [", ".join(f"{name}={v}" for name, v in g.items()) for g in given]
    profiles = [lu.landscape.profile(partial(loss, **g), x, y) for g in given]
    return dict(zip(labels, profiles, strict=True))"""

# The next: which number of a batch the x of a drawing is.
ALONG = """\
def of_logit(loss):
    \"\"\"The loss over the logit of the true one of two classes, the other's being 0.\"\"\"
    return lambda x, y, **given: loss(torch.stack([x, 0 * x], 1), y.long(), **given)

def of_probability(loss):
    \"\"\"The loss over the probability of the true one of two classes.\"\"\"
    return lambda p, y, **given: loss(torch.stack([p, 1 - p], 1), y.long(), **given)

def of_second(loss):
    \"\"\"The loss over the error of the second of two outputs, the first being right.\"\"\"
    return lambda x, y, **given: loss(
        torch.stack([y, x], 1), y[:, None].expand(-1, 2), reduction="sum", **given)"""

# The last: a note's line stands as Markdown, so that it wraps where printed text would
# run off a phone.
NOTES = """\
from IPython.display import Markdown

def in_short(diagnosis):
    count = {s: len(getattr(diagnosis, f"{s}s")) for s in ("error", "warning")}
    said = ", ".join(f"{n or 'no'} {s}{'s' * (n > 1)}" for s, n in count.items())
    lines = "".join(
        f"\\n- {'' if f.severity == 'note' else f'**{f.severity}** '}"
        f"*{f.check}*: {f.summary}" for f in diagnosis.findings)
    return Markdown(f"**What the doctor says:** {said}.\\n{lines}")"""


# What a curve shows, in words.


def course(t: Array, y: Array, axis: str, t_sign: str = "", y_sign: str = "") -> str:
    """Say how `y` runs along `t`; the signs go before numbers, "±" for instance."""
    size = np.abs(y)
    last, top = len(y) - 1, int(size.argmax())
    near, far = ("up to", "beyond") if t[0] < t[last] else ("above", "below")

    def height(i: int) -> str:
        if size[i] < 0.02 * size[top]:
            return "almost 0" if y[i] else "0"
        return y_sign + _number(y[i])

    def place(i: int) -> str:
        return t_sign + _number(t[i])

    steps = np.flatnonzero(np.abs(np.diff(y)) > 1e-6 * size[top])
    if len(steps) == 0:
        return f"is {height(0)} throughout"
    if len(steps) == 1:  # between two samples: say the rounder one
        step = min(place(steps[0] + 1), place(steps[0]), key=len)
        return f"is {height(0)} {near} {step} and {height(last)} {far}"
    half, later, end = size[last // 2], size[last * 3 // 4], size[last]
    if end > 0.99 * size[top] and abs(end - size[last * 4 // 5]) < 0.05 * size[top]:
        said = f"levels off at {height(last)}"
    elif top == last:
        manner = "keeps growing" if end - later > 0.7 * (later - half) else "slows down"
        said = f"{manner}, to {height(last)} at {place(last)}"
    elif top == 0:
        said = f"falls from {height(0)} to {height(last)} at {place(last)}"
    else:
        said = f"peaks at {height(top)} ({axis} {place(top)}) and "
        gone = int(np.flatnonzero(size)[-1]) + 1  # from here on there are only zeros
        if gone <= last:
            said += f"is 0 {far} {place(gone)}"
        else:
            said += f"falls back to {height(last)} at {place(last)}"
    turned = np.flatnonzero((y * y[top] < 0) & (size > 0.005 * size[top]))
    if len(turned):
        sign = "negative" if y[turned[0]] < 0 else "positive"
        later = turned[0] > top
        said += f", {sign} {far if later else near} {place(turned[0 if later else -1])}"
    return said


def _number(value: float) -> str:
    return f"{float(f'{value:.2g}') + 0.0:g}".replace("-", "−")  # no −0


def describe(axis: str, t: Array, y: Array) -> str:
    """Say how a curve of a loss runs as the prediction gets worse."""
    if axis != "error":
        return course(t[::-1], y[::-1], axis)
    right, left = y[t > 0], y[t < 0][::-1]
    t = t[t > 0]
    alike = 1e-9 * np.abs(y).max()
    if np.ptp(right) <= alike and np.ptp(left) <= alike < abs(right[0] - left[0]):
        return f"jumps from {_number(left[0])} to {_number(right[0])} at 0"
    if np.abs(right - left).max() <= alike:
        return course(t, right, axis, t_sign="±")
    if np.abs(right + left).max() <= alike:
        return course(t, right, axis, t_sign="±", y_sign="±")
    return f"{course(t, right, axis)}, and below 0 {course(-t, left, axis)}"


# The notebook.


def markdown(name: str, text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": text}


def code(name: str, text: str, **metadata: Any) -> dict[str, Any]:
    cell = {**markdown(name, text), "cell_type": "code", "metadata": metadata}
    return {**cell, "execution_count": None, "outputs": []}


def drawing(entry: lu.Entry, helpers: dict[str, Any]) -> dict[str, Any]:
    """Return the cell that draws an entry, with its description."""
    task, call = TASKS[entry.task], _curves(entry)
    named: dict[str, Profile] = eval(call, helpers)  # the very curves that it draws
    said = {
        label: [describe(task.axis, c.errors.numpy(), y.numpy()) for y in c[1:]]
        for label, c in named.items()
    }
    first = next(iter(said))
    value, gradient, curvature = said[first]
    t = named[first].errors
    alt = (
        f"{entry.title}: value, gradient and curvature over the {task.axis}, from "
        f"{_number(t[0].item())} to {_number(t[-1].item())}. "
        f"{f'With {first} the' if first else 'The'} value {value}; "
        f"the gradient {gradient}; the curvature {curvature}."
    )
    pulls: dict[str, list[str]] = {}  # of the variants, those alike together
    for label, (_, pull, _) in said.items():
        pulls.setdefault(pull, []).append(label)
    found = [f"{pull} ({', '.join(at)})" if first else pull for pull, at in pulls.items()]
    _, axis = OTHERWISE.get(entry.name, (call, task.label))
    label = "" if axis == TASKS["regression"].label else f', xlabel="{axis}"'
    return code(
        f"{entry.name}-drawing",
        f"named = {call}\nlu.plots.profiles(named{label})\nplt.show()",
        mystnb={
            "image": {"alt": alt},
            "figure": {
                "caption": f"{entry.title}: the gradient {'; '.join(found)}.",
                "name": f"fig-{anchor(entry)}",
            },
        },
    )


def examination(entry: lu.Entry) -> dict[str, Any]:
    """Return the cell that shows what the doctor says of an entry."""
    held = "assert not diagnosis.errors + diagnosis.warnings"
    if entry.ailments:
        blamed = ", ".join(f'"{check}"' for check in sorted(entry.ailments))
        held = (
            "blamed = {f.check for f in diagnosis.errors + diagnosis.warnings}\n"
            f"assert blamed == {{{blamed}}}"
        )
    return code(
        f"{entry.name}-doctor",
        f'diagnosis = lu.diagnose(lu.{entry.name}, task="{entry.task}")\n'
        f"{held}\n"
        "in_short(diagnosis)",
    )


def _curves(entry: lu.Entry) -> str:
    varied = ""
    if entry.name in OVERLAID:
        name, *values = OVERLAID[entry.name]
        default = inspect.signature(entry.function).parameters[name].default
        listed = ", ".join(repr(v).replace("inf", "torch.inf") for v in (default, *values))
        varied = f", {name}=[{listed}]"
    call, _ = OTHERWISE.get(entry.name, (TASKS[entry.task].curves, ""))
    return call.format(loss=f"lu.{entry.name}", varied=varied)


def facts(
    entry: lu.Entry, record: dict[str, Any], sources: dict[str, Any]
) -> dict[str, Any]:
    """Return the cell that says what is known of an entry."""
    given = {
        "Estimates": entry.estimates,
        "Influence": entry.influence,
        "Kinks": entry.kinks,
        "Ailment": "; ".join(f"*{k}*, {why}" for k, why in entry.ailments.items()),
        "Also called": ", ".join(f"`lu.{alias}`" for alias in entry.aliases),
        "Contract": contract(entry, record),
        "Reference": reference(entry, sources),
    }
    lines = [f"- **{name}:** {fact}" for name, fact in given.items() if fact]
    text = [
        f'<a id="{anchor(entry)}"></a>',
        f"### {entry.title}",
        f"$$\\ell = {entry.formula}$$",
        "\n".join(lines),
        f"```python\n{call(entry.function)}\n{call(entry.module)}\n```",
    ]
    return markdown(entry.name, "\n\n".join(text))


def anchor(entry: lu.Entry) -> str:
    """Where links to an entry lead: the same on the site, in Jupyter and in Colab."""
    return f"loss-{entry.name.replace('_', '-')}"


def call(made: Callable[..., Any]) -> str:
    """Return how a function or Module is called, with its defaults."""
    given = inspect.signature(made).parameters.values()
    plain = inspect.Signature([p.replace(annotation=p.empty) for p in given])
    text = f"lu.{made.__name__}{plain}".replace("'", '"')
    if len(text) > 80:  # more than a laptop shows beside the sidebar
        name, _, inside = text.removesuffix(")").partition("(")
        inside = textwrap.indent(textwrap.fill(f"{inside},", 76), "    ")
        text = f"{name}(\n{inside}\n)"
    return text


def contract(entry: lu.Entry, record: dict[str, Any]) -> str:
    """Return what the tests found of an entry, in one line."""
    try:
        results = record["results"][entry.name]
        error = record["error"][entry.name]["float32 ulps"]
    except KeyError:
        raise ValueError(
            f"{RECORD.name} knows nothing of {entry.name}; record it: {RECORD_COMMAND}"
        ) from None
    held = sum(result == "passed" for result in results.values())
    line = f"{held} of {len(results)} clauses hold"
    for clause, result in results.items():
        if result != "passed":
            line += f"; {clause} is {result}"
    return f"{line}; float32 values err by at most {error:g} ulp on ordinary inputs"


def reference(entry: lu.Entry, sources: dict[str, Any]) -> str:
    """Return who published an entry, when and under which title."""
    if entry.reference not in sources:
        raise ValueError(
            f"the reference of {entry.name}, {entry.reference!r}, is not in "
            f"{BIBLIOGRAPHY.name}: add it there"
        )
    source = sources[entry.reference]
    names = [
        " ".join(_plain(part) for part in (*author.prelast_names, *author.last_names))
        for author in source.persons["author"]
    ]
    who = f"{names[0]} et al." if len(names) > 3 else " and ".join(names)
    if len(names) == 3:
        who = f"{names[0]}, {names[1]} and {names[2]}"
    title = _plain(source.fields["title"])
    return f"[{who} ({source.fields['year']})](bibliography.md), *{title}*"


def _plain(tex: str) -> str:
    return str(Text.from_latex(tex))


def index() -> str:
    """Return a table of all entries with links to them, the ailing ones last and apart."""
    healthy, ailing = (
        _table([e for e in lu.CATALOGUE.values() if bool(e.ailments) is ails])
        for ails in (False, True)
    )
    return f"{healthy}\n\nSpecimens of what can ail a loss, not to train with:\n\n{ailing}"


def _table(entries: list[lu.Entry]) -> str:
    lines = ["| Loss | Task | Estimates | Influence |", "|---|---|---|---|"]
    for entry in entries:
        cells = (
            f'<a href="#{anchor(entry)}">{entry.title}</a>',
            TASKS[entry.task].words,
            entry.estimates,
            entry.influence,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def introduction(record: dict[str, Any]) -> str:
    version = record["torch"].partition("+")[0]
    devices = " and ".join(record["devices"]).upper()
    return (
        "# Loss gallery\n\n"
        "<!-- generated by `python -m tools.gallery` from the catalogue: edit that -->\n\n"
        "Every loss of `lossutils` on one page: its formula, what its best prediction "
        "estimates, how hard a far point pulls, and how it is called. The line *Contract* "
        f"is what the tests found with PyTorch {version} on {devices}; "
        "[the API page](api.md) says what is promised. In the drawings the value is what "
        "you minimise, the gradient is the pull of one point on the fit, and the curvature "
        "sets the largest stable step. Below each drawing [the loss "
        "doctor](doctor.ipynb) says what it finds: nothing wrong, and properties to know; "
        "of the specimens at the end, what ails them. [Its checks](checks.md) are "
        "explained on a page of their own."
    )


def notebook() -> NotebookNode:
    """Return the gallery as it follows from the catalogue, not yet run."""
    if not RECORD.exists():
        raise FileNotFoundError(f"{RECORD} is missing; record it: {RECORD_COMMAND}")
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    sources = parse_file(str(BIBLIOGRAPHY)).entries
    helpers: dict[str, Any] = {"lu": lu, "torch": torch}
    exec(HELPERS, helpers)
    exec(ALONG, helpers)
    cells = [
        markdown("introduction", introduction(record)),
        markdown("index", index()),
        code("setup", SETUP_CELL),
        code(
            "helpers",
            HELPERS,
            tags=["hide-cell"],
            mystnb={"code_prompt_show": "Show how the drawings are made"},
        ),
        code(
            "along",
            ALONG,
            tags=["hide-cell"],
            mystnb={"code_prompt_show": "Show what the drawings run along"},
        ),
        code(
            "notes",
            NOTES,
            tags=["hide-cell"],
            mystnb={"code_prompt_show": "Show how the doctor's notes are set"},
        ),
    ]
    for family, symbols in FAMILIES.items():
        heading = HEADINGS.get(family, family.capitalize())
        cells.append(markdown(family, f"## {heading}\n\n{symbols}"))
        for entry in lu.CATALOGUE.values():
            if entry.family == family:
                cells += [facts(entry, record, sources), drawing(entry, helpers)]
                cells.append(examination(entry))
    nb = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    made: NotebookNode = nbformat.from_dict(nb)  # type: ignore[no-untyped-call]
    return made


if __name__ == "__main__":
    from tools import refresh

    sys.exit(not refresh.refresh(PAGE))
