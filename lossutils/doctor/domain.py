"""Which batches a loss takes: shapes, types, and whether only positive numbers."""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

from lossutils.doctor.examination import Examination
from lossutils.doctor.forms import (
    BinaryForm,
    Form,
    MulticlassForm,
    RegressionForm,
    form_of_batch,
    forms_of,
)
from lossutils.doctor.patient import Patient, Refused

__all__ = ["admitted"]


def admitted(
    patient: Patient,
    task: str | None,
    input: Tensor | None,
    target: Tensor | None,
    dtype: torch.dtype,
) -> Examination:
    """Find the forms that the loss takes and start the examination with them."""
    if input is not None and target is not None:
        form = _own_form(input, target, task)
        own = (input.detach().cpu(), target.detach().cpu())
        _try_own(patient, form.words, *own)
        # A small image in place of a large one first, for time's sake; then the doctor's
        # usual number of samples, then the reader's.
        groups = [[form], [form.of_samples(len(input))]]
        if math.prod(form.shape) > 2048:
            groups.insert(0, [form.shrunk()])
    else:
        assert task is not None
        groups, own = forms_of(task), None
    refused: dict[str, str] = {}
    for fine in (torch.float64, torch.float32):
        taken = _taken(patient, groups, fine, refused)
        if not taken:
            continue
        missing = set() if own is not None else _missing(groups[0], taken)
        noted = {w: r for w, r in refused.items() if w in missing}
        exam = Examination(patient, taken, dtype, fine, own=own, refused=noted)
        if own is not None and task is None:
            exam.notes += _doubt(taken[0], own[1])
        _look_for_domain(exam)
        return exam
    raise TypeError(_no_form(patient, groups, refused, own is not None))


def _taken(
    patient: Patient, groups: list[list[Form]], fine: torch.dtype, refused: dict[str, str]
) -> list[Form]:
    """The forms of the first group that holds one the loss takes; `refused` gains others.

    Of many classes, the first group that it takes with indices: a loss with weights for
    three classes refuses five, but may take any rows.
    """
    found: list[Form] = []
    for group in groups:
        taken = []
        for form in group:
            try:
                patient.answer(*form.batch(), dtype=fine, slope=False)
                taken.append(form)
            except Refused as error:
                if error.hung:
                    raise TypeError(_hangs(patient, error)) from None
                if not patient.needs_graph and "does not require grad" in str(error):
                    patient.needs_graph = True  # it differentiates inside: try again
                    return _taken(patient, groups, fine, refused)
                refused[form.words] = str(error)
        indices = any(not (isinstance(f, MulticlassForm) and f.rows) for f in taken)
        if taken and (indices or not found):
            found = taken
        if indices:
            break
    return found


def _missing(first: list[Form], taken: list[Form]) -> set[str]:
    """The forms, in words, of a kind that none of those taken is of."""
    if not isinstance(first[0], MulticlassForm):
        return {form.words for form in first} - {form.words for form in taken}
    kinds = {form.rows for form in taken if isinstance(form, MulticlassForm)}
    return {f.words for f in first if isinstance(f, MulticlassForm) and f.rows not in kinds}


def _hangs(patient: Patient, error: Refused) -> str:
    return (
        f"{patient.name} {error}: does it loop until a condition on the values holds? "
        "The doctor needs an answer for any batch"
    )


def _no_form(
    patient: Patient,
    groups: list[list[Form]],
    refused: dict[str, str],
    own: bool,
) -> str:
    words, reason = next(iter(refused.items()), ("", "no reason"))
    if own:
        return (
            f"{patient.name} takes the batch that was given, but none of the doctor's own "
            f"of its shape {words}: {reason}. It needs other numbers of that shape, with "
            "targets in floating point or class indices"
        )
    tried = ", ".join(form.words for form in groups[0])
    task = groups[0][0].task
    return (
        f"{patient.name} takes no batch of the task {task} (tried {tried} and others; "
        f"for {words}: {reason}). If it needs other shapes or arguments, pass a "
        "batch of your own: diagnose(loss, input=prediction, target=target), and bind "
        "further arguments with functools.partial"
    )


def _try_own(patient: Patient, words: str, input: Tensor, target: Tensor) -> None:
    reason = ""
    for fine in (torch.float64, torch.float32, torch.float64):
        try:
            patient.answer(input, target, dtype=fine, slope=False)
            return
        except Refused as refused:
            reason = reason or str(refused)
            patient.needs_graph |= "does not require grad" in str(refused)
    raise TypeError(
        f"{patient.name} does not take the batch that was given, {words}: {reason}"
    )


def _doubt(form: Form, target: Tensor) -> list[str]:
    """What to say of a task that was inferred and might be another."""
    if form.task != "regression" or not bool(((target >= 0) & (target <= 1)).all()):
        return []
    return [
        "The task was taken for a regression, with targets between 0 and 1; for soft "
        'labels pass task="binary_logits" or "binary_probabilities"'
    ]


def _own_form(input: Tensor, target: Tensor, task: str | None) -> Form:
    if not input.is_floating_point():
        raise TypeError(
            f"input has dtype {input.dtype}, expected predictions in a floating-point "
            "type. Were input and target exchanged?"
        )
    if input.ndim == 0 or len(input) < 2:
        raise ValueError(
            f"input has shape {tuple(input.shape)}, expected a batch of at least two "
            "samples on the first axis"
        )
    for name, tensor in (("input", input), ("target", target)):
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise ValueError(f"{name} holds NaN or infinite values, expected a clean batch")
    form = form_of_batch(input, target, task)
    _check_shapes(form, input, target)
    t = target.detach().double()
    if isinstance(form, BinaryForm):
        low = -1.0 if form.task == "signed_scores" else 0.0
        if float(t.min()) < low or float(t.max()) > 1:
            raise ValueError(
                f"target runs from {float(t.min()):g} to {float(t.max()):g}, expected "
                f"values in [{low:g}, 1] for {form.task}; for a mask of 0 and 255, divide "
                "it by 255"
            )
        if form.kind == "scores" and bool((t.abs() < 1e-6).any()):
            raise ValueError(
                "target holds 0, expected -1 and 1 for signed_scores: 2 * target - 1"
            )
        outside = bool(((input < 0) | (input > 1)).any())
        if form.kind == "probabilities" and outside:
            raise ValueError(
                f"input runs from {float(input.min()):g} to {float(input.max()):g}, "
                f"expected values in [0, 1] for {form.task}; for logits pass "
                'task="binary_logits"'
            )
    elif isinstance(form, MulticlassForm) and not form.rows:
        valid = t[t >= 0]
        if valid.numel() and float(valid.max()) >= form.classes:
            raise ValueError(
                f"target holds class {int(valid.max())}, but input has {form.classes} "
                f"columns: classes run from 0 to {form.classes - 1}"
            )
    return form


def _check_shapes(form: Form, input: Tensor, target: Tensor) -> None:
    expected = tuple(input.shape)
    if isinstance(form, MulticlassForm) and not form.rows:
        expected = (len(input), *form.places)
    if tuple(target.shape) != expected:
        raise ValueError(
            f"input has shape {tuple(input.shape)} and target {tuple(target.shape)}, "
            f"expected {expected} for the target of {form.task}. "
            + _tip(tuple(input.shape), tuple(target.shape))
        )


def _tip(input: tuple[int, ...], target: tuple[int, ...]) -> str:
    for axis, size in enumerate(input):
        if size == 1 and input[:axis] + input[axis + 1 :] == target:
            return f"Drop the prediction's axis of 1: input.squeeze({axis})"
    for axis, size in enumerate(target):
        if size == 1 and target[:axis] + target[axis + 1 :] == input:
            return f"Drop the target's axis of 1: target.squeeze({axis})"
    return (
        "If the model has several outputs for one target, hold the others fixed: "
        "lambda mu, y: loss(torch.stack([mu, 0 * mu], 1), y)"
    )


def _look_for_domain(exam: Examination) -> None:
    """Narrow a regression to positive numbers if the loss is made for those alone.

    It is, if it is finite (or moves) for positive predictions and targets, 0 included,
    and not for negative ones: a Poisson deviance, a logarithmic error that clips at 0.
    A loss that breaks at 0 itself is not narrowed: `finite` reports it. One that breaks
    further down, log(1 + p), is narrowed, and `finite` reports that, too.
    """
    if not exam.regression:
        return
    if exam.own is not None:
        if isinstance(exam.form, RegressionForm) and exam.form.positive:
            _look_for_log_link(exam, [exam.form])
        return
    forms = [f for f in exam.forms if isinstance(f, RegressionForm)]
    one = torch.ones((3, *forms[0].shape), dtype=torch.float64)

    def value(p: float, t: float) -> float:
        try:
            return exam.value(p * one, t * one)
        except Refused:
            return math.nan

    sizes = (0.5, 1.0, 3.0)
    positive = [value(p, t) for p in (0.0, *sizes) for t in (0.0, *sizes)]
    if not all(map(math.isfinite, positive)) or len(set(positive)) == 1:
        return
    below = [value(-p, t) for p in sizes for t in sizes]
    lower = [value(p, -t) for p in sizes for t in sizes]
    # From 0 downwards: log(1 + p) has its edge elsewhere, within reach of any output.
    edge = [math.isfinite(value(-1e-3 * p, t)) for p in sizes for t in sizes]
    broken = not any(edge)
    beyond = [p for p in (*sizes, 10.0) if not math.isfinite(value(-p, 1.0))]
    if all(edge) and beyond:
        exam.breaks_below = -beyond[0]
    clipped = len({*below[0::3]}) == 1 and len({*lower[0:3]}) == 1
    if broken or exam.breaks_below or (clipped and len(set(below)) > 1):
        if not exam.breaks_below:
            why = "is not finite" if broken else "is the same"
            exam.notes.append(
                f"The loss {why} for negative predictions: it was examined on positive "
                "numbers. End the model in a softplus or exp, so that it stays there"
            )
        exam.forms = [
            dataclasses.replace(f, positive=True, positive_input=True) for f in forms
        ]
        return
    _look_for_log_link(exam, forms)


def _look_for_log_link(exam: Examination, forms: list[RegressionForm]) -> None:
    """Recognise a loss whose best prediction is the logarithm of the target."""
    form = dataclasses.replace(forms[0], positive=True)
    for target in form.targets():
        one = torch.ones((1, *form.shape), dtype=torch.float64)

        def value(p: float, target: float = target, one: Tensor = one) -> float:
            try:
                return exam.value(p * one, target * one)
            except Refused:
                return math.nan

        best = value(math.log(target))
        near = [value(math.log(target) + d) for d in (-1.0, -0.1, 0.1, 1.0)]
        if not math.isfinite(best) or not all(v > best for v in near):
            return
    exam.forms = [
        dataclasses.replace(f, positive=True, positive_input=False, link="log")
        for f in forms
    ]
    exam.notes.append(
        "The best prediction for a target t is log t (a log link): predictions were placed "
        "around log t, for positive targets"
    )
