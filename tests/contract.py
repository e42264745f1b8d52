"""The loss contract: one function a clause, each with its promise as the first line.

A `check_<clause>(case)` returns when the promise is kept and raises an AssertionError
that says how it is broken. `test_contract.py` runs every clause over the catalogue, and
over losses with a planted fault; the gallery prints what was promised and what held.
"""

import copy
import functools
import hashlib
import inspect
import math
import pickle
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from cases import Case
from mpmath import mp, mpf
from references import REFERENCES
from torch import Tensor

REDUCTIONS = ("none", "mean", "sum")
HALF_TYPES = (torch.float16, torch.bfloat16)
ROUNDINGS = 8  # of the compute type, that an evaluation of a formula may add up to
STEP = mpf(10) ** -25  # of the one-sided difference quotients of the true loss


@contextmanager
def promised(what: str) -> Iterator[None]:
    """Report any exception as a broken promise."""
    try:
        yield
    except AssertionError:
        raise
    except Exception as error:
        reason = (str(error) or "no message").strip().splitlines()[0]
        raise AssertionError(f"{what}: {type(error).__name__}: {reason}") from error


def assert_refuses(
    call: Callable[[], Any], *words: str, error: type[Exception] = ValueError
) -> None:
    """The call raises such an error, and its message has all these words."""
    try:
        call()
    except error as raised:
        message = str(raised)
    else:
        raise AssertionError(
            f"nothing was raised, expected a {error.__name__} naming {', '.join(words)}"
        )
    missing = [word for word in words if word not in message]
    assert not missing, f"the message lacks {', '.join(missing)}: {message}"


def assert_same(found: Tensor, expected: Tensor, what: str) -> None:
    """Equal to round-off of float64, or of the type they share."""
    eps = torch.finfo(expected.dtype).eps
    torch.testing.assert_close(
        found, expected, rtol=64 * eps, atol=64 * eps, msg=lambda text: f"{what}: {text}"
    )


def value_and_gradient(
    loss: Callable[..., Tensor], input: Tensor, *others: Any, **named: Any
) -> tuple[Tensor, Tensor]:
    input = input.detach().clone().requires_grad_()
    value = loss(input, *others, **named)
    (gradient,) = torch.autograd.grad(value, input, torch.ones_like(value))
    return value.detach(), gradient


def weights(target: Tensor, dtype: torch.dtype) -> Tensor:
    steps = torch.arange(target.numel(), dtype=dtype, device=target.device)
    return (0.5 + steps % 3).reshape(target.shape)


# The true loss


class Truth(NamedTuple):
    """The true loss of one sample, with its slopes to the left and right of each input."""

    value: mpf
    slopes: list[tuple[mpf, mpf]]


def truth(case: Case, x: list[mpf], t: Any, parameters: dict[str, Any]) -> Truth:
    formula = REFERENCES[case.entry.name]

    def at(x: list[mpf]) -> mpf:
        return mpf(formula(x if case.multiclass else x[0], t, **parameters))

    value = at(x)
    slopes = []
    for i, x_i in enumerate(x):
        before, after = x.copy(), x.copy()
        before[i], after[i] = x_i - STEP, x_i + STEP
        slopes.append(((value - at(before)) / STEP, (at(after) - value) / STEP))
    return Truth(value, slopes)


def neighbours(
    case: Case, x: list[mpf], t: Any, parameters: dict[str, Any], step: float
) -> Iterator[Truth]:
    """The true loss where an input, or the real parameters, are off by a relative step."""
    for factor in (1 + step, 1 - step):
        scaled = {k: _scale(v, factor) for k, v in parameters.items()}
        yield truth(case, x, t, scaled)
        if case.entry.task == "regression":  # of which the one input is the error
            yield truth(case, [t + (x[0] - t) * factor], t, parameters)
        else:
            for i in range(len(x)):
                moved = [value * factor if i == j else value for j, value in enumerate(x)]
                yield truth(case, moved, t, parameters)


def _exact(value: Any) -> Any:
    if isinstance(value, Tensor):
        value = value.tolist()
    if isinstance(value, list):
        return [_exact(v) for v in value]
    return mpf(value) if isinstance(value, float) else value


def _scale(value: Any, factor: float) -> Any:
    if isinstance(value, list):
        return [_scale(v, factor) for v in value]
    return value * factor if isinstance(value, mpf) else value


class Rounding(NamedTuple):
    """What the round-off of a type allows."""

    step: float  # relative, of eight roundings in the type computed in
    last: float  # relative, of rounding the result to a half type
    floor: float  # below it a number counts as 0
    largest: float

    @classmethod
    def of(cls, dtype: torch.dtype) -> "Rounding":
        info, half = torch.finfo(dtype), dtype in HALF_TYPES
        computed = torch.finfo(torch.float32) if half else info
        return cls(
            step=ROUNDINGS * computed.eps,
            last=info.eps if half else 0.0,
            floor=max(info.tiny * info.eps, computed.tiny),
            largest=info.max,
        )

    def allows(self, found: float, true: list[mpf], scale: int) -> bool:
        """Whether `found` is, but for round-off, between the smallest and largest truth."""
        if math.isnan(found):
            return False
        size = max(abs(value) for value in true)
        tolerance = self.step * (scale + size) + self.last * size + self.floor
        if size + tolerance > self.largest:  # may round to infinity, of the right sign
            true = [self._clip(value) for value in true]
            found = self._clip(found)
        return min(true) - tolerance <= found <= max(true) + tolerance

    def _clip(self, value: Any) -> Any:
        return max(-self.largest, min(self.largest, value))

    def wrong(self, truths: list[Truth], value: float, gradient: list[float]) -> str:
        """What is wrong with a value and its gradient; "" if nothing."""
        if not self.allows(value, [n.value for n in truths], 0):
            return f"value is {value!r}, truly {mp.nstr(truths[0].value, 17)}"
        for i, g in enumerate(gradient):
            slopes = [slope for n in truths for slope in n.slopes[i]]
            if not self.allows(g, slopes, 1):
                return f"gradient is {g!r}, truly {mp.nstr(slopes[0], 17)}"
        return ""


def compare(
    case: Case, input: Tensor, target: Tensor, *, at_the_edge: bool = False
) -> list[float]:
    """Hold value and gradient against the true ones; return the values' errors in ulps.

    The rule is eight roundings, of the result, an input or a parameter. With ε the
    round-off of the type computed in (float32 for half types), a value is right within
    8ε|ℓ| of the true loss, or of what that ranges over while one input (for regression
    the error e) or the real parameters move by 8ε of themselves. A gradient is right
    between the left and the right slope of the true loss, within 8ε(1 + |slope|), with
    the same allowance. Half types round the result once more, and numbers below the
    smallest normal one count as 0. Where a true number fits the type, the computed one
    is finite. NaN is never right.

    At the edge of probabilities the slopes of logarithms are clipped, as torch documents,
    to 10¹²: of gradients there only that they are finite, where that fits, is asked.
    """
    dtype, rounding = input.dtype, Rounding.of(input.dtype)
    values, gradients = value_and_gradient(case.loss, input, target, reduction="none")
    assert values.shape == target.shape, f"unreduced loss has shape {values.shape}"
    x_rows = input.double().cpu().reshape(len(input), -1).tolist()
    g_rows = gradients.double().cpu().reshape(len(input), -1).tolist()
    parameters = {k: _exact(v) for k, v in case.all_parameters().items()}
    ulps = []
    with mp.workdps(80 + int(math.log10(rounding.largest))):
        numbers = zip(x_rows, target.tolist(), values.tolist(), g_rows, strict=True)
        for i, (x_row, label, value, gradient) in enumerate(numbers):
            where = f"{case} {dtype} at input {x_row}, target {label}"
            if at_the_edge:
                for g in gradient:
                    assert not math.isnan(g), f"{where}: gradient is nan"
                    assert math.isfinite(g) or rounding.largest < 1e12, (
                        f"{where}: gradient {g}"
                    )
                gradient = []
            x = [mpf(v) for v in x_row]
            t = mpf(label) if isinstance(label, float) else label
            given = parameters | case.place(i, len(input))
            truths = [truth(case, x, t, given)]
            wrong = rounding.wrong(truths, value, gradient)
            if wrong and not at_the_edge:
                truths += neighbours(case, x, t, given, rounding.step)
                wrong = rounding.wrong(truths, value, gradient)
            assert not wrong, f"{where}: {wrong}"
            size = abs(truths[0].value)
            if rounding.floor < size <= rounding.largest:
                unit = torch.finfo(dtype).eps * mpf(2) ** mp.floor(mp.log(size, 2))
                ulps.append(float(abs(mpf(value) - truths[0].value) / unit))
    return ulps


def error_in_ulps(case: Case, dtype: torch.dtype = torch.float32) -> float:
    """The largest error of a value over ordinary inputs, in units in the last place."""
    return max(compare(case, *case.batch((64,), dtype)))


# The clauses


def check_reference(case: Case) -> None:
    """Values and gradients are the published formula's, to round-off, in every type."""
    for dtype in case.dtypes:
        compare(case, *case.batch((16,), dtype))


def check_gradient(case: Case) -> None:
    """First and second derivatives are right; at a kink the gradient is a subgradient."""
    input, target = case.batch((6,))
    arguments = [input.requires_grad_()]
    if case.entry.task == "regression":
        arguments.append(target.requires_grad_())

    def loss(*tensors: Tensor) -> Tensor:
        return case.loss(tensors[0], (*tensors, target)[1], reduction="none")

    if case.finest == torch.float64:
        for test in (torch.autograd.gradcheck, torch.autograd.gradgradcheck):
            with promised(test.__name__):
                test(loss, arguments)
    input, target = case.kinks()
    compare(case, input, target)
    rows = input.reshape(len(input), -1).tolist()
    parameters = {k: _exact(v) for k, v in case.all_parameters().items()}
    with mp.workdps(80):
        for i, (row, label) in enumerate(zip(rows, target.tolist(), strict=True)):
            t = mpf(label) if isinstance(label, float) else label
            given = parameters | case.place(i, len(input))
            slopes = truth(case, [mpf(v) for v in row], t, given).slopes
            smooth = all(abs(right - left) < 1e-12 for left, right in slopes)
            assert smooth or case.entry.kinks, f"undocumented kink at {row}, target {label}"


def check_extremes(case: Case) -> None:
    """From 0 to the largest numbers: never NaN, and infinite only where the truth is."""
    for dtype in case.dtypes:
        at_the_edge = case.entry.task.endswith("probabilities")
        compare(case, *case.extremes(dtype), at_the_edge=at_the_edge)


def check_shapes(case: Case) -> None:
    """Unequal shapes are refused by name, nothing broadcasts, and any rank works."""
    input, target = case.batch((4, 3))
    if case.multiclass:  # input (4, C, 3), target (4, 3)
        wrong = [target[:, 0], target[0], target[:, :1], target[..., None], target[:3]]
        single, classes = case.batch((4,))  # input (4, C), target (4,)
        one_hot = torch.nn.functional.one_hot(classes, case.classes)
        pairs = [(input, t) for t in wrong]
        pairs += [(single, t) for t in (classes[:, None], classes[:1], classes[0], one_hot)]
    else:
        pairs = [(input, t) for t in (target[:, :1], target[0], target[:, 0], target.T)]
        pairs += [(input[:, :1], target[:, 0]), (input[:, 0], target[:, :1])]
        pairs += [(input[:1], target), (input, target[None]), (input, target[0, 0])]
    for x, t in pairs:
        for reduction in REDUCTIONS:
            refused = functools.partial(case.loss, x, t, reduction=reduction)
            assert_refuses(refused, str(tuple(x.shape)), str(tuple(t.shape)))

    for shape in ((), (1,), (5,), (2, 3), (2, 1, 3, 2)):
        input, target = case.batch(shape)
        with promised(f"a loss of shape {shape}"):
            found = case.loss(input, target, reduction="none")
        assert found.shape == shape, f"shape {shape} came out as {tuple(found.shape)}"
        row = input.reshape(-1)
        if case.multiclass:
            row = input.movedim(1 if shape else 0, -1).reshape(-1, case.classes)
        if case.outputs:  # places on the last axis count: one row after the other
            rows = (tensor.reshape(-1, *shape[-1:]) for tensor in (input, target))
            flat = sum(
                case.loss(*pair, reduction="sum") for pair in zip(*rows, strict=True)
            )
        else:
            flat = case.loss(row, target.reshape(-1), reduction="sum")
        assert_same(found.sum(), flat, f"shape {shape} and the same elements in one row")


def check_reductions(case: Case) -> None:
    """none, mean, sum and weights agree; the mean is Σwℓ/Σw, and 0 over nothing."""
    input, target = case.batch((4, 3))
    weight = weights(target, case.finest)
    each = case.loss(input, target, reduction="none")
    shares = case.shares(target)
    assert_same(case.loss(input, target), each.sum() / shares.sum(), "mean")
    assert_same(case.loss(input, target, reduction="sum"), each.sum(), "sum")
    weighted = functools.partial(case.loss, input, target, weight=weight)
    assert_same(weighted(reduction="none"), weight * each, "weighted none")
    assert_same(weighted(reduction="sum"), (weight * each).sum(), "weighted sum")
    mean = (weight * each).sum() / (weight * shares).sum()
    assert_same(weighted(reduction="mean"), mean, "weighted mean")
    ones = torch.ones_like(target, dtype=torch.int64)
    assert_same(case.loss(input, target, weight=ones), case.loss(input, target), "ones")

    for wrong in (weight[:, :1], weight[0], weight[:, 0], weight[0, 0], weight[None]):
        refused = functools.partial(case.loss, input, target, weight=wrong)
        assert_refuses(refused, "weight", str(tuple(wrong.shape)), str(tuple(weight.shape)))
    if case.device == "cpu":  # elsewhere a look at the values would wait for the device
        assert_refuses(
            lambda: case.loss(input, target, weight=weight - 1), "weight", "-0.5"
        )
    assert_refuses(lambda: case.loss(input, target, reduction="avg"), "'avg'", "mean")

    for shape in ((0,), (0, 3), (2, 0)):
        scale = torch.ones((), dtype=case.finest, device=case.device, requires_grad=True)
        input, target = case.batch(shape)
        with promised(f"an empty batch of shape {shape}"):
            assert case.loss(input * scale, target, reduction="none").shape == shape
            for reduction in ("mean", "sum"):
                for weight in (None, weights(target, case.finest)):
                    value = case.loss(
                        input * scale, target, weight=weight, reduction=reduction
                    )
                    assert value == 0, f"{reduction} over shape {shape} is {value}"
                    (gradient,) = torch.autograd.grad(value, scale)
                    assert gradient == 0, f"gradient of an empty {reduction}: {gradient}"
    input, target = case.batch()
    nothing = torch.zeros(target.shape, dtype=case.finest, device=case.device)
    for reduction in REDUCTIONS:
        value, gradient = value_and_gradient(
            case.loss, input, target, weight=nothing, reduction=reduction
        )
        assert not value.any(), f"{reduction} with all weights 0 is {value}"
        assert not gradient.any(), f"gradient of {reduction} with all weights 0: {gradient}"


def check_module(case: Case) -> None:
    """The Module is the function: same values, shown parameters, pickles, state."""
    input, target = case.batch()
    weight = weights(target, case.finest)
    for reduction in REDUCTIONS:
        module = case.module(reduction=reduction)
        for given in (None, weight):
            expected = case.loss(input, target, weight=given, reduction=reduction)
            assert torch.equal(module(input, target, weight=given), expected), "not equal"
    expected = case.loss(input, target)
    module = case.module()
    assert torch.equal(module(input, target), expected), "defaults of the two halves differ"
    for name, value in case.all_parameters().items():
        assert f"{name}={value!r}" in repr(module), f"repr does not show {name}: {module!r}"
    assert "reduction='mean'" in repr(module), f"repr does not show reduction: {module!r}"
    for what, other in {
        "copy": copy.deepcopy(module),
        "pickle": pickle.loads(pickle.dumps(module)),
    }.items():
        assert torch.equal(other(input, target), expected), f"{what} differs"
    other = case.module()
    with promised("state_dict round trip"):
        other.load_state_dict(module.state_dict())
    assert torch.equal(other(input, target), expected), "state_dict loses something"
    assert_refuses(
        lambda: case.entry.module(nonsense=1),
        "nonsense",
        *case.all_parameters(),
        error=TypeError,
    )


def check_compile(case: Case, backend: str = "aot_eager") -> None:
    """torch.compile(fullgraph=True) gives the same value and gradient."""
    input, target = case.batch()
    named = {"weight": weights(target, case.finest)}
    loss = functools.partial(case.entry.function, **case.on(case.device))
    expected = value_and_gradient(loss, input, target, **named)
    torch._dynamo.reset()
    try:
        with promised("torch.compile"):
            compiled = torch.compile(loss, fullgraph=True, backend=backend)
            found = value_and_gradient(compiled, input, target, **named)
    finally:
        torch._dynamo.reset()
    for what, a, b in zip(("value", "gradient"), found, expected, strict=True):
        assert_same(a, b, f"compiled {what}")


def check_vmap(case: Case) -> None:
    """vmap over samples, of value and gradient, gives the unreduced loss, batched."""
    input, target = case.batch((7, *case.outputs))
    weight = weights(target, case.finest)

    def one(x: Tensor, t: Tensor, w: Tensor) -> Tensor:
        return case.loss(x, t, weight=w, reduction="sum")

    torch._C._functorch._set_vmap_fallback_enabled(False)  # a slow loop is no vmap
    try:
        with promised("vmap"):
            values = torch.vmap(one)(input, target, weight)
            gradients = torch.vmap(torch.func.grad(one))(input, target, weight)
    finally:
        torch._C._functorch._set_vmap_fallback_enabled(True)
    each, gradient = value_and_gradient(
        case.loss, input, target, weight=weight, reduction="none"
    )
    assert_same(values, each.reshape(7, -1).sum(1), "vmapped value")
    assert_same(gradients, gradient, "vmapped gradient")


def check_func(case: Case) -> None:
    """torch.func.grad, jacrev, jacfwd and hessian agree with autograd."""
    input, target = case.batch((4,))

    def loss(x: Tensor, reduction: str = "none") -> Tensor:
        return case.loss(x, target, reduction=reduction)

    def mean(x: Tensor) -> Tensor:
        return loss(x, "mean")

    jacobian = torch.autograd.functional.jacobian(loss, input)
    hessian = torch.autograd.functional.hessian(mean, input)
    for name, function, expected in (
        ("grad", torch.func.grad(mean), value_and_gradient(mean, input)[1]),
        ("jacrev", torch.func.jacrev(loss), jacobian),
        ("jacfwd", torch.func.jacfwd(loss), jacobian),
        ("hessian", torch.func.hessian(mean), hessian),
    ):
        with promised(f"torch.func.{name}"):
            found = function(input)
        assert_same(found, expected, f"torch.func.{name}")


def check_export(case: Case) -> None:
    """torch.export takes the Module, for batches of any size."""
    input, target = case.batch()
    any_size = {0: torch.export.Dim.AUTO}
    with promised("torch.export"):
        exported = torch.export.export(
            case.module(),
            (input, target),
            dynamic_shapes={"input": any_size, "target": any_size},
        ).module()
    for shape in ((7,), (11,)):
        input, target = case.batch(shape)
        with promised(f"the exported loss on {shape}"):
            found = exported(input, target)
        assert_same(found, case.loss(input, target), f"exported, {shape}")


def check_sync(case: Case) -> None:
    """Forward and backward never wait for the device: no value reaches the host."""

    def run(device: str) -> None:
        input, target = (tensor.to(device) for tensor in case.batch((4, 3)))
        weight = weights(target, case.finest).to(device)
        for reduction in REDUCTIONS:
            for given in (None, weight):
                x = input.detach().requires_grad_()
                loss = case.loss(x, target, weight=given, reduction=reduction)
                (gradient,) = torch.autograd.grad(
                    loss, x, torch.ones_like(loss), create_graph=True
                )
                if gradient.requires_grad:
                    torch.autograd.grad(gradient, x, torch.ones_like(gradient))

    with promised("needs a value on the host"):  # of which `meta` has none
        run("meta")
    if case.device == "cuda":
        run("cuda")  # the first run may set up what later ones reuse
        inputs = case.batch((4, 3))
        weight = weights(inputs[1], case.finest)
        x = inputs[0].requires_grad_()
        parameters = case.on("cuda")
        torch.cuda.set_sync_debug_mode("error")
        try:
            with promised("waits for the GPU"):
                loss = case.entry.function(x, inputs[1], weight=weight, **parameters)
                loss.backward()
        finally:
            torch.cuda.set_sync_debug_mode("default")


def check_device(case: Case) -> None:
    """Type, device and layout follow the input; constants are made where it lives."""
    for dtype in case.dtypes:
        for device in {case.device, "meta"}:
            input, target = (tensor.to(device) for tensor in case.batch((4, 3), dtype))
            for reduction in REDUCTIONS:
                weight = weights(target, dtype)
                with promised(f"{dtype} on {device}"):
                    loss = case.loss(
                        input.requires_grad_(), target, weight=weight, reduction=reduction
                    )
                    (gradient,) = torch.autograd.grad(loss, input, torch.ones_like(loss))
                for what, found in (("loss", loss), ("gradient", gradient)):
                    assert found.dtype == dtype, f"{what} of {dtype} is {found.dtype}"
                    assert found.device.type == device, f"{what} is on {found.device}"

    # A constant made without the input's device shows under another default.
    input, target = case.batch((4, 3))
    expected = case.loss(input, target)
    with promised("a constant is not made on the input's device"), torch.device("meta"):
        found = case.loss(input, target)
    assert torch.equal(found, expected), "the value depends on the default device"

    input, target = case.batch((2, 3, 4, 5) if not case.multiclass else (2, 4, 5))
    expected = case.loss(input, target, reduction="none")
    layouts = {
        "channels_last": input.contiguous(memory_format=torch.channels_last),
        "transposed": input.transpose(0, -1).contiguous().transpose(0, -1),
        "sliced": torch.stack([input, input], dim=-1)[..., 0],
    }
    for name, other in layouts.items():
        assert_same(case.loss(other, target, reduction="none"), expected, name)
    row, label = input[:1], target[:1]
    expanded = case.loss(
        row.expand_as(input), label.expand_as(target).contiguous(), reduction="sum"
    )
    assert_same(expanded, len(input) * case.loss(row, label, reduction="sum"), "expanded")


def check_pure(case: Case) -> None:
    """Same value twice; arguments and the global random state are left as they were."""
    input, target = case.batch()
    arguments = {"input": input, "target": target, "weight": weights(target, case.finest)}
    arguments |= {k: v for k, v in case.on(case.device).items() if isinstance(v, Tensor)}
    others = {k: v for k, v in case.parameters.items() if k not in arguments}
    copies = {name: tensor.clone() for name, tensor in arguments.items()}
    random_state = torch.get_rng_state()
    first = case.entry.function(**arguments, **others)
    for name, tensor in arguments.items():
        assert torch.equal(tensor, copies[name]), f"{name} was changed in place"
    assert torch.equal(torch.get_rng_state(), random_state), "random numbers were drawn"
    second = case.entry.function(**arguments, **others)
    assert torch.equal(first, second), f"{first} at first, then {second}"


def check_nan(case: Case) -> None:
    """A NaN comes out where it went in, and nowhere else."""
    for dtype in case.dtypes:
        input, target = case.batch((5,), dtype)
        healthy = case.loss(input, target, reduction="none")
        for column in range(case.classes if case.multiclass else 1):
            broken = input.clone()
            broken.reshape(5, -1)[2, column] = math.nan
            with promised("NaN in the input"):
                found = case.loss(broken, target, reduction="none")
            assert found[2].isnan(), f"NaN in the input of {dtype} became {found[2]}"
            others = torch.arange(5, device=found.device) != 2
            assert torch.equal(found[others], healthy[others]), "NaN spread to others"
            assert case.loss(broken, target).isnan(), "the mean hides the NaN"
        if target.is_floating_point():
            broken = target.clone()
            broken[2] = math.nan
            try:
                found = case.loss(input, broken, reduction="none")
            except ValueError:
                continue  # outside the domain, and said so
            assert found[2].isnan(), f"NaN in the target of {dtype} became {found[2]}"


CLAUSES: dict[str, Callable[[Case], None]] = {
    name.removeprefix("check_"): value
    for name, value in list(globals().items())
    if name.startswith("check_")
}


def digest() -> str:
    """Hash of all that a record of the results depends on."""
    root = Path(__file__).parents[1]
    sources = [
        *sorted((root / "lossutils" / "losses").glob("*.py")),
        root / "lossutils" / "catalogue.py",
        root / "tests" / "contract.py",
    ]
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()


def promise(clause: str) -> str:
    """What a clause promises, in a sentence."""
    return re.split(r"\n\n", inspect.getdoc(CLAUSES[clause]) or "")[0]


def check(case: Case, clause: str) -> None:
    """Run one clause; a warning is a broken promise too."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        with promised(clause):
            CLAUSES[clause](case)
