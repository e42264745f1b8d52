"""The loss doctor: examine a loss before training with it.

>>> import lossutils as lu
>>> lu.diagnose(lu.huber, task="regression").ok
True
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

import lossutils.doctor.checks  # noqa: F401, registers every check
import lossutils.doctor.response as response
from lossutils.doctor.domain import admitted
from lossutils.doctor.examination import CHECKS, Check, Examination, Found, Skip
from lossutils.doctor.findings import (
    SEVERITIES,
    Curve,
    Diagnosis,
    Finding,
    LossCheckError,
    NoiseResponse,
)
from lossutils.doctor.forms import TASKS
from lossutils.doctor.patient import Patient, Refused, unharmed

__all__ = [
    "CHECKS",
    "TASKS",
    "Check",
    "Curve",
    "Diagnosis",
    "Finding",
    "LossCheckError",
    "NoiseResponse",
    "check_loss",
    "diagnose",
]


def diagnose(
    loss: Callable[..., Any],
    *,
    task: str | None = None,
    input: Tensor | None = None,
    target: Tensor | None = None,
    expects: str | float | None = None,
    checks: Iterable[str] | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
    compile: bool = False,
) -> Diagnosis:
    """Examine a loss: what is wrong with it, with numbers and a remedy.

    The loss is called on batches and single samples made for its task, never trained
    with, and never changed. Give the task, or a batch of your own, around which the
    probes are then made, or both.

    Parameters
    ----------
    loss : callable
        `loss(input, target)`, the prediction first: a function, an `nn.Module`, a
        `functools.partial`. A Keras loss, or a function of `(y_true, y_pred)`, is called
        in that order. It returns a scalar, or one value per element or per sample, whose
        mean is then meant.
    task : str, optional
        "regression" (both of shape (N,) or (N, D)), "binary_probabilities" and
        "binary_logits" (targets 0 and 1 of the input's shape), "signed_scores" (targets
        −1 and 1), "multiclass_logits" and "multiclass_probabilities" (input (N, C), with
        class indices (N,) or rows of probabilities (N, C) as targets). Inferred from the
        batch where one is given.
    input, target : Tensor, optional
        A batch of predictions and targets as the loss gets them. Scale, shapes and signs
        of the probes follow it.
    expects : {"mean", "median", "mode"} or float, optional
        What a regression loss should estimate: a float in (0, 1) is a quantile. By
        default any estimate will do that is not displaced and errs on neither side, such
        as mean and median.
    checks : iterable of str, optional
        The names of the checks to run, see `lossutils.doctor.CHECKS`. Default: all.
    device : str or torch.device
        Where the probes live. Default "cpu".
    dtype : torch.dtype
        The type you train in, in which value and gradient have to be finite. Default
        torch.float32. The shape of the loss is measured in float64 where it allows.
    seed : int
        Where the random generators start before every call of the loss. Default 0. The
        same seed gives the same report.
    compile : bool
        Whether to run the loss through torch.compile too, which takes some seconds.

    Returns
    -------
    Diagnosis
        Its `ok` says whether there is no error; print it, or let a notebook show it.

    Raises
    ------
    TypeError
        The loss is not callable, or takes no batch of the task; then the message says
        why, and how to pass one of your own.
    ValueError
        Task, checks or expects are unknown, or input and target do not fit the task.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> def rmse(input, target):
    ...     return torch.sqrt(torch.mean((input - target) ** 2))
    >>> diagnosis = lu.diagnose(rmse, task="regression")
    >>> diagnosis.ok
    False
    >>> [finding.check for finding in diagnosis.errors]
    ['finite', 'shape']
    """
    start = time.perf_counter()
    chosen = _chosen(checks, compile)
    _check_options(task, input, target, expects)
    _check_dtype(dtype)
    _check_device(device)
    patient = Patient(loss, seed, torch.device(device))
    with unharmed(), patient.watched():
        exam = admitted(patient, task, input, target, dtype)
        exam.expects = expects
        findings, passed, skipped = _examine(exam, chosen)
        curves: tuple[Curve, ...] = ()
        noise: NoiseResponse | None = None
        if checks is None:
            with contextlib.suppress(Refused):  # `finite` has reported it
                curves = response.curves(exam)
                noise = response.noise(exam)
    findings.sort(key=lambda f: SEVERITIES.index(f.severity))
    return Diagnosis(
        name=patient.name,
        task=exam.form.task,
        findings=tuple(findings),
        passed=tuple(passed),
        skipped=skipped,
        measurements=dict(exam.measurements),
        curves=curves,
        noise=noise,
        seconds=time.perf_counter() - start,
    )


def check_loss(loss: Callable[..., Any], **options: Any) -> None:
    """Raise `LossCheckError` if the doctor finds an error: for your own test suite.

    Parameters
    ----------
    loss : callable
        See `diagnose`.
    **options
        All of `diagnose`'s: task, input, target, expects, checks, device, dtype, seed,
        compile.

    Raises
    ------
    LossCheckError
        An AssertionError whose text is the report, and whose `diagnosis` is the diagnosis.

    Examples
    --------
    >>> import lossutils as lu
    >>> lu.check_loss(lu.binary_cross_entropy_with_logits, task="binary_logits")
    """
    __tracebackhide__ = True  # pytest: what matters is the report
    diagnosis = diagnose(loss, **options)
    if not diagnosis.ok:
        raise LossCheckError(diagnosis)


def _examine(
    exam: Examination, chosen: list[Check]
) -> tuple[list[Finding], list[str], dict[str, str]]:
    findings: list[Finding] = []
    passed: list[str] = []
    skipped: dict[str, str] = {}
    for check in chosen:
        found: list[Found] = []
        why = ""
        try:
            wrong = any(
                f.check == "gradient" and "autograd" in f.evidence for f in findings
            )
            reason = _unmet(exam, check)
            if wrong and check.name in ("minimiser", "asymmetry"):
                reason = (
                    "the gradient, not the value, says where training goes: see gradient"
                )
            if reason:
                raise Skip(reason)
            for one in check.run(exam):
                found.append(one)  # kept, if the check breaks off later
        except Skip as skip:
            why = str(skip)
        except Refused as refused:
            why = f"the loss {refused}" if refused.hung else f"the loss raised {refused}"
        findings += [_finding(exam, check, f) for f in found]
        if why and not found:
            skipped[check.name] = why
        elif not found:
            passed.append(check.name)
    return findings, passed, skipped


def _finding(exam: Examination, check: Check, found: Found) -> Finding:
    return Finding(
        check=check.name,
        severity=found.severity,
        summary=found.summary,
        evidence=dict(found.evidence),
        remedy=found.remedy,
        chapter=check.chapter if exam.regression else check.classes,
    )


def _unmet(exam: Examination, check: Check) -> str:
    """Why a check cannot run, or ""."""
    if "values" in check.needs and not exam.has_values:
        return "the loss of an ordinary batch is not finite"
    if "steady" in check.needs and not exam.steady:
        return "the loss differs from call to call"
    if "gradient" in check.needs and not exam.has_gradient:
        return "the loss has no gradient"
    if "gradient" in check.needs and not exam.has_finite_gradient:
        return "the gradient of an ordinary batch is not finite"
    return ""


def _chosen(checks: Iterable[str] | None, compile: bool) -> list[Check]:
    if checks is None:
        return [c for c in CHECKS.values() if compile or c.name != "compile"]
    if not isinstance(checks, Iterable):
        raise TypeError(
            f'checks is {checks!r}, expected names of checks: checks=["finite", "shape"]'
        )
    names = [checks] if isinstance(checks, str) else list(checks)
    unknown = [name for name in names if name not in CHECKS]
    if unknown:
        raise ValueError(f"checks has {unknown}, expected some of {list(CHECKS)}")
    return [c for c in CHECKS.values() if c.name in names]


def _check_device(device: str | torch.device) -> None:
    try:
        usable = torch.empty(0, device=device).device.type != "meta"
    except Exception as error:
        usable, why = False, str(error).splitlines()[0]
    else:
        why = "it holds no values"
    if not usable:
        raise ValueError(f"device is {str(device)!r}, which cannot be used here: {why}")


def _check_dtype(dtype: torch.dtype) -> None:
    known = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
    if dtype not in known:
        raise ValueError(
            f"dtype is {dtype!r}, expected the floating-point type that you train in: "
            "torch.float32"
        )


def _check_options(
    task: str | None,
    input: Tensor | None,
    target: Tensor | None,
    expects: str | float | None,
) -> None:
    if task is not None and task not in TASKS:
        raise ValueError(f"task is {task!r}, expected one of {list(TASKS)}")
    if (input is None) != (target is None):
        given, missing = ("input", "target") if target is None else ("target", "input")
        raise ValueError(f"{given} is given without {missing}; give both, or only the task")
    if task is None and input is None:
        raise ValueError(
            'neither task nor a batch is given: diagnose(loss, task="regression"), or '
            "diagnose(loss, input=prediction, target=target)"
        )
    for name, tensor in (("input", input), ("target", target)):
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"{name} is a {type(tensor).__name__}, expected a torch.Tensor: "
                f"torch.as_tensor({name})"
            )
    words = ("mean", "median", "mode")
    quantile = isinstance(expects, (int, float)) and not isinstance(expects, bool)
    if quantile and not (math.isfinite(expects) and 0 < expects < 1):  # type: ignore[arg-type,operator]
        raise ValueError(f"expects is {expects}, expected a quantile between 0 and 1")
    if expects is not None and not quantile and expects not in words:
        raise ValueError(
            f'expects is {expects!r}, expected "mean", "median", "mode" or a quantile'
        )
