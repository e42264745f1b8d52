"""Does the loss behave as a function, on any device and under torch's transforms?"""

from __future__ import annotations

import importlib
import logging
import math
import warnings
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lossutils.doctor.examination import NOISE, Examination, Found, Skip, check, same
from lossutils.doctor.patient import Refused, to_device


@check(
    "deterministic",
    "safe",
    ("warning",),
    needs=("values",),
    chapter=f"{NOISE}/where_noise_enters.html",
)
def deterministic(exam: Examination) -> Iterator[Found]:
    """Does the same batch cost the same twice?

    Probes: one batch, three times from the same random state, then from four others.

    Thresholds: 1e-9 of the value (1e-5 for losses that compute in float32).

    Remedy: switch dropout off (`module.eval()`), draw random numbers from an explicit
    `generator=`, and keep no running averages inside the loss.
    """
    values = exam.repeats
    if not all(same(values[0], v, exam.round_off) for v in values):
        summary = (
            "The same batch from the same random state costs differently each time "
            f"({', '.join(f'{v:.4g}' for v in values)}): the loss remembers earlier calls, "
            "or draws from a generator of its own."
        )
        remedy = "Keep running statistics out of the loss; update them in the training loop"
        yield Found("warning", summary, remedy, {"values": values})
        return
    values = exam.reseeded
    if exam.steady:
        return
    mean = sum(values) / len(values)
    spread = math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))
    summary = (
        "The loss is random: the same batch costs "
        f"{', '.join(f'{v:.4g}' for v in values[:3])} in three calls."
    )
    remedy = (
        "Is dropout left on (call .eval()), or noise added inside? Draw it from an "
        "explicit generator=, so that a run can be repeated"
    )
    yield Found("warning", summary, remedy, {"mean": mean, "standard deviation": spread})


@check("pure", "safe", ("error", "warning", "note"))
def pure(exam: Examination) -> Iterator[Found]:
    """Does a call leave its arguments, torch's settings and the random state alone?

    Probes: copies of prediction and target before and after a forward pass,
    the global random state, grad mode, the default type, and what is printed.

    Thresholds: none; every bit counts.

    Remedy: use the versions without a trailing underscore, `clamp` for `clamp_`, and clone
    a target before writing into it.
    """
    patient = exam.patient
    for form in (exam.form,):
        input, target = form.batch()
        leaf = patient.cast(input, exam.fine).requires_grad_()
        prediction, copied = leaf.clone(), patient.cast(target, exam.fine)
        before = prediction.detach().clone(), copied.clone()
        versions = {"prediction": prediction._version, "target": copied._version}
        patient.output(prediction, copied)
        state = torch.get_rng_state()
        patient.reseed(patient.seed)
        drawn = not torch.equal(state, torch.get_rng_state())
        for name, now, then in (
            ("prediction", prediction, before[0]),
            ("target", copied, before[1]),
        ):
            # An in-place operation counts the version up, even one without effect here;
            # a write through .data or NumPy does not, and shows in the values.
            same_values = now.shape == then.shape and torch.equal(now.detach(), then)
            if now._version == versions[name] and same_values:
                continue
            summary = (
                f"The call changes its {name} in place: what the caller does with it next "
                "is wrong, and backward may raise."
            )
            remedy = (
                "Use operations without a trailing underscore (clamp, not clamp_), and "
                "clone before writing: target = target.clone()"
            )
            evidence: dict[str, Any] = {"in-place operations": now._version}
            if now.shape == then.shape and not same_values:
                at = int((now != then).flatten().nonzero()[0])
                evidence["before"] = float(then.flatten()[at])
                evidence["after"] = float(now.detach().flatten()[at])
            yield Found("error", summary, remedy, evidence)
        for setting in sorted(patient.left_changed):
            what = {
                "grad mode": "gradients switched off",
                "default dtype": "another default dtype set",
            }[setting]
            summary = f"The call leaves {what} for the whole program."
            remedy = "Use a context, `with torch.no_grad():`, or pass dtype= where needed"
            yield Found("error", summary, remedy, {"changed": setting})
        if drawn:
            summary = (
                "The call moves the global random state: it draws random numbers or "
                "seeds, and so changes everything random that comes after it."
            )
            remedy = "Draw from an explicit generator=, and never seed inside a loss"
            yield Found("warning", summary, remedy, {"random state": "changed"})
        break
    if patient.printed.strip():
        yield Found(
            "note",
            "The loss prints: its output was held back.",
            "Remove the print, or use logging",
            {"printed": patient.printed.strip()[:80]},
        )


@check("device", "safe", ("error", "note"), needs=("values", "gradient"))
def device(exam: Examination) -> Iterator[Found]:
    """Are the loss's own tensors made where the prediction lives?

    Probes: the loss on torch's `meta` device, which holds shapes and no values: a tensor
    made on the CPU, or a value wanted by Python, shows there on any machine. A Module's
    buffers and a partial's arguments are moved along; a tensor in a plain attribute is not.

    Thresholds: none. Another device is an error; a value wanted by Python (`.item()`, `if`,
    boolean indexing), for which a GPU has to be waited for, is a note.

    Remedy: `torch.zeros(n, device=input.device)`, `input.new_tensor(...)`, and
    `register_buffer` for a Module's constants.
    """
    _import_dynamo()
    if exam.patient.keras:
        raise Skip("Keras places tensors itself")
    input, target = exam.form.batch()
    try:
        moved = to_device(exam.patient.loss, "meta")
    except Exception as error:
        raise Skip(f"the loss cannot be copied: {type(error).__name__}") from None
    x = input.to("meta", exam.fine).requires_grad_()
    t = target.to("meta", exam.fine if target.is_floating_point() else None)
    pair = (t, x.clone()) if exam.patient.swapped else (x.clone(), t)
    watch = _CopiesToCpu()
    try:
        with warnings.catch_warnings(), exam.patient.guarded(), watch:
            warnings.simplefilter("ignore")
            output = moved(*pair)
    except Refused as refused:
        if watch.seen and exam.patient.swapped:
            raise Skip("Keras places tensors itself") from None
        if watch.seen:
            yield _moved("cpu")
        else:
            yield from _device_findings(str(refused))
        return
    if isinstance(output, Tensor) and output.device.type != "meta":
        if exam.patient.swapped:
            raise Skip("Keras places tensors itself")
        yield _moved(str(output.device))


def _import_dynamo() -> None:
    """Import what torch imports on demand here: no time limit may fall into that."""
    importlib.import_module("torch._dynamo")


class _CopiesToCpu(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees whether a tensor is copied to the CPU as a whole, as `.cpu()` does."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen = False

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        to = (kwargs or {}).get("device")
        if func is torch.ops.aten._to_copy.default and to is not None:
            self.seen |= torch.device(to).type == "cpu" and args[0].device.type != "cpu"
        return func(*args, **(kwargs or {}))


def _moved(device: str) -> Found:
    summary = f"The loss moves its tensors to {device}, away from the prediction's device."
    remedy = "Do not move tensors inside a loss: .cpu(), .cuda(), .to(...), .numpy()"
    return Found("error", summary, remedy, {"device": device})


def _device_findings(reason: str) -> Iterator[Found]:
    lower = reason.lower()
    other = (
        "same device" in lower
        or ("meta" in lower and "cpu" in lower and "copy out" not in lower)
        or "is not on the expected device" in lower
        or "found two devices" in lower
        or "found at least two devices" in lower
    )
    if other:
        summary = f"A tensor is made on another device than the prediction's ({reason})."
        remedy = (
            "Make it there: torch.zeros(n, device=input.device) or input.new_tensor(...); "
            "in a Module, register_buffer for constants, so that .to(device) moves them"
        )
        yield Found("error", summary, remedy, {"raised": reason})
        return
    looks = ["item()", "copy out", "local_scalar", "nonzero", "data-dependent", "numpy"]
    looks += ["boolean value", "cannot be called on meta"]
    if not any(word in lower for word in looks):
        raise Skip(f"on the meta device it raises {reason}")
    summary = (
        "Python looks at a value (.item(), if, boolean indexing, NumPy): on a GPU every "
        "call waits for the device."
    )
    remedy = "Use torch.where and masks multiplied in, and keep numbers as tensors"
    yield Found("note", summary, remedy, {"raised": reason})


COMPILE_LIMIT = 300.0  # seconds: compiling is slow, and no fault of the loss


@check("compile", "safe", ("error", "warning"), needs=("values", "steady", "gradient"))
def compiles(exam: Examination) -> Iterator[Found]:
    """Does torch.compile take the loss in one piece, and give the same?

    Probes: the graph breaks that `torch._dynamo.explain` finds, then value and gradient of
    `torch.compile(loss, backend="aot_eager")` beside the plain ones. The backend traces as
    the default one does and needs no C++ compiler. Runs with `compile=True`, or when named
    in `checks`.

    Thresholds: no break; 1e-6 of the value and of the largest gradient (1e-4 in float32).

    Remedy: a graph break comes from `.item()`, a Python `if` on values or boolean indexing;
    torch.where and multiplied masks do without.
    """
    patient = exam.patient
    if patient.keras:
        raise Skip("Keras compiles its models itself")
    _import_dynamo()
    input, target = exam.form.batch()
    plain = exam.answer(input, target)
    loss = patient.loss
    remedy = (
        "Replace .item(), Python branches on values and boolean indexing by torch.where "
        "and multiplied masks; torch._dynamo.explain(loss)(input, target) names the line"
    )
    torch._dynamo.reset()
    log = logging.getLogger("torch._dynamo")
    level = log.level
    log.setLevel(logging.CRITICAL)  # it prints what is reported here
    try:
        leaf = patient.cast(input, exam.fine).requires_grad_()
        with patient.guarded(COMPILE_LIMIT):
            explained = torch._dynamo.explain(patient.raw)(
                leaf.clone(), patient.cast(target, exam.fine)
            )
        torch._dynamo.reset()
        patient.loss = torch.compile(loss, backend="aot_eager")
        with patient.guarded(COMPILE_LIMIT):  # the first call compiles
            leaf = patient.cast(input, exam.fine).requires_grad_()
            output = patient.raw(leaf.clone(), patient.cast(target, exam.fine))
            output.mean().backward()
        found = exam.answer(input, target)
    except Refused as refused:
        reason = str(refused)
        yield Found(
            "warning", f"torch.compile fails: {reason}.", remedy, {"raised": reason}
        )
        return
    finally:
        log.setLevel(level)
        patient.loss = loss
        torch._dynamo.reset()
    if explained.break_reasons:
        reason = " ".join(str(explained.break_reasons[0].reason).split())[:120]
        count = len(explained.break_reasons)
        summary = f"torch.compile breaks the graph ({count} ×): {reason}."
        yield Found("warning", summary, remedy, {"graph breaks": count, "first": reason})
    off = abs(found.value - plain.value) / max(abs(plain.value), 1e-300)
    if plain.gradient is not None and found.gradient is not None:
        size = max(float(plain.gradient.abs().max()), 1e-300)
        gap = float((found.gradient - plain.gradient).abs().max()) / size
        off = max(off, gap) if math.isfinite(gap) else math.inf
    elif (plain.gradient is None) != (found.gradient is None):
        off = math.inf
    if not off <= (1e-6 if exam.eps < 1e-9 else 1e-4):  # so that NaN is no pass
        summary = (
            f"Compiled, the loss gives {found.value:.6g}, plain {plain.value:.6g}, or "
            "another gradient."
        )
        evidence = {"compiled": found.value, "plain": plain.value, "difference": off}
        yield Found("error", summary, remedy, evidence)


@check("vmap", "safe", ("error", "warning", "note"), needs=("values", "steady", "gradient"))
def vmap(exam: Examination) -> Iterator[Found]:
    """Does torch.func.vmap take the loss, as per-sample gradients need it?

    Probes: three batches stacked, value and gradient under vmap beside a loop. Parameters
    are as they are.

    Thresholds: 1e-6 of the largest gradient (1e-4 in float32). A fallback to a loop, or a
    failure under `vmap(grad(...))` only, is a note; a failure of vmap a warning; another
    result an error.

    Remedy: vmap does not allow `.item()`, a Python `if` on values or boolean indexing;
    torch.where and multiplied masks do without.
    """
    patient = exam.patient
    if patient.keras:
        raise Skip("Keras losses are not made for torch.func")
    _import_dynamo()
    if patient.left_changed:
        raise Skip("the loss changes torch's settings: see pure")
    pairs = exam.batches()
    inputs = torch.stack([patient.cast(i, exam.fine) for i, _ in pairs])
    targets = torch.stack([patient.cast(t, exam.fine) for _, t in pairs])

    def value(input: Tensor, target: Tensor) -> Tensor:
        output = patient.raw(input, target)
        if not isinstance(output, Tensor):
            raise TypeError(f"returns a {type(output).__name__}")
        return output.mean()

    remedy = (
        "Replace .item(), Python branches on values and boolean indexing by torch.where "
        "and multiplied masks"
    )
    # A loss that comes here draws, if at all, from a generator that it seeds itself: the
    # same numbers for each batch.
    transformed = partial(torch.func.vmap, randomness="same")
    expected = [exam.answer(*pair).gradient for pair in pairs]
    try:
        with patient.guarded():
            values = transformed(value)(inputs, targets)
    except Refused as refused:
        reason = str(refused)
        summary = f"torch.func.vmap fails, so per-sample gradients need a loop: {reason}."
        yield Found("warning", summary, remedy, {"raised": reason})
        return
    for pair, found_value in zip(pairs, values.detach().double().tolist(), strict=True):
        plain = exam.value(*pair)
        if not same(found_value, plain, 1e-6 if exam.eps < 1e-9 else 1e-4):
            summary = f"Under vmap the loss gives {found_value:.6g}, in a loop {plain:.6g}."
            yield Found("error", summary, remedy, {"vmap": found_value, "loop": plain})
            return
    try:
        with patient.guarded():
            found = transformed(torch.func.grad(value))(inputs, targets).detach()
    except Refused as refused:
        # torch 2.13's own one_hot fails so, and works under vmap alone.
        summary = f"vmap works, but not over torch.func.grad: {refused}."
        yield Found("note", summary, remedy, {"raised": str(refused)})
        return
    stacked = torch.stack([g for g in expected if g is not None])
    size = max(float(stacked.abs().max()), 1e-300)
    gap = float((found - stacked).abs().max()) / size
    if not gap <= (1e-6 if exam.eps < 1e-9 else 1e-4):
        summary = "Under vmap the loss gives another gradient than in a loop."
        yield Found("error", summary, remedy, {"largest difference": gap})
    elif any("performance drop" in w for w in patient.warned):
        summary = "vmap falls back to a loop over samples for an operation of the loss."
        yield Found("note", summary, remedy, {"warning": patient.warned[0][:120]})
