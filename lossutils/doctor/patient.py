"""The loss under examination: called so that nothing it does can harm the examination.

Every call works on copies, starts from the same random state, is silenced, has a time
limit, and turns whatever goes wrong into one exception, `Refused`.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
import io
import math
import random
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["Answer", "Patient", "Refused"]

TIME_LIMIT = 10.0  # seconds a single call may take
TICK = 0.1  # seconds between looks at the clock: an alarm for each call would cost more


class Refused(Exception):
    """A call of the loss raised, hung or returned no number; says so in one line."""

    def __init__(self, reason: str, *, hung: bool = False) -> None:
        super().__init__(reason)
        self.hung = hung


class _TimeUp(BaseException):
    """Not an Exception, so that a loss which catches those cannot swallow it."""


class Answer(NamedTuple):
    """What the loss said of one batch.

    Attributes
    ----------
    value : float
        The loss, the mean of `output`.
    gradient : Tensor or None
        Of `value`, with respect to the prediction; None where the loss has none.
    output : Tensor
        What was returned, detached.
    """

    value: float
    gradient: Tensor | None
    output: Tensor

    @property
    def finite(self) -> bool:
        return self.output.isfinite().all().item() and (
            self.gradient is None or self.gradient.isfinite().all().item()
        )  # type: ignore[return-value]


class Patient:
    """A loss, whatever it is, as a function of prediction and target.

    Attributes
    ----------
    name : str
        What it is called.
    swapped : bool
        Whether it is called as `loss(y_true, y_pred)`, Keras's order.
    keras : bool
        Whether it is a Keras loss object or function.
    printed : str
        What it has printed so far, which the reader is spared.
    warned : list of str
        The warnings of the last call.
    unlike_tensor : str
        The type it returned where it did not return a tensor, else "".
    needs_graph : bool
        Whether it differentiates inside, and so needs a prediction that requires grad.
    left_changed : set of str
        Settings of torch that a call left changed, and the examination put back.
    """

    def __init__(self, loss: Any, seed: int, device: torch.device) -> None:
        if not callable(loss):
            raise TypeError(
                f"loss is a {type(loss).__name__}, expected a callable loss(input, "
                "target): a function, an nn.Module or a Keras loss"
            )
        if isinstance(loss, type):
            name = loss.__name__
            raise TypeError(f"loss is the class {name}, expected an instance: {name}()")
        self.loss = private(loss)
        self.seed = 24_021 + seed  # not one that a loss is likely to set itself
        self.device = device
        self.name = _name(loss)
        self.keras = _is_keras(loss)
        self.swapped = self.keras or _positional_names(loss)[:2] == ("y_true", "y_pred")
        self.printed = ""
        self.warned: list[str] = []
        self.unlike_tensor = ""
        self.left_changed: set[str] = set()
        self.needs_graph = False
        self._hung = ""
        self._deadline = math.inf
        self._silence = io.StringIO()
        self._caught: list[warnings.WarningMessage] = []
        self._filters: list[Any] = []

    def accepts(self, keyword: str) -> bool:
        """Whether the loss has a parameter of this name, of its own or as a Module."""
        target = self.loss.forward if isinstance(self.loss, nn.Module) else self.loss
        try:
            return keyword in inspect.signature(target).parameters
        except (TypeError, ValueError):
            return False

    def raw(self, input: Tensor, target: Tensor, **others: Any) -> Any:
        """Call the loss as its author would, in its own order of arguments."""
        pair = (target, input) if self.swapped else (input, target)
        return self.loss(*pair, **others)

    def output(self, input: Tensor, target: Tensor, **others: Any) -> Tensor:
        """Call it under guard and return its output, a tensor in the graph."""
        with self.guarded():
            returned = self.raw(input, target, **others)
        return self._tensor(returned)

    def answer(
        self,
        input: Tensor,
        target: Tensor,
        *,
        dtype: torch.dtype = torch.float64,
        slope: bool = True,
        **others: Any,
    ) -> Answer:
        """Value and gradient for one batch, computed on copies in `dtype`."""
        leaf = self.cast(input, dtype)
        copied = self.cast(target, dtype)
        if not slope and not self.needs_graph:
            with torch.no_grad():
                output = self.output(leaf, copied, **others)
            return Answer(_value(output), None, output)
        leaf.requires_grad_()
        # A model's output is no leaf: a loss may change it in place unpunished.
        output = self.output(leaf.clone(), copied, **others)
        gradient = self.differentiate(output, leaf) if slope else None
        return Answer(_value(output), gradient, output.detach())

    def along(
        self,
        s: float,
        build: Callable[[Tensor], tuple[Tensor, Tensor]],
        *,
        dtype: torch.dtype = torch.float64,
        slope: bool = True,
    ) -> tuple[float, float]:
        """Value and slope with respect to `s` of the batch that `build(s)` makes."""
        leaf = torch.tensor(s, dtype=torch.float64, requires_grad=slope or self.needs_graph)
        input, target = build(leaf)
        with torch.set_grad_enabled(slope or self.needs_graph):
            moved = input.to(self.device, dtype if input.is_floating_point() else None)
            output = self.output(moved, self.cast(target, dtype))
        if not slope:
            return _value(output), math.nan
        gradient = self.differentiate(output, leaf)
        return _value(output), math.nan if gradient is None else float(gradient)

    def differentiate(self, output: Tensor, leaf: Tensor) -> Tensor | None:
        """The gradient of the mean output; None if the output does not depend on leaf."""
        if not output.requires_grad or output.numel() == 0:
            return None
        with self.guarded(reseed=False):  # it goes on where the forward pass ended
            (gradient,) = torch.autograd.grad(output.mean(), leaf, allow_unused=True)
        return None if gradient is None else gradient.detach()

    def cast(self, tensor: Tensor, dtype: torch.dtype) -> Tensor:
        """A copy on the examination's device, in `dtype` unless it holds indices."""
        kept = dtype if tensor.is_floating_point() else tensor.dtype
        return tensor.detach().to(self.device, kept, copy=True)

    def _tensor(self, returned: Any) -> Tensor:
        if isinstance(returned, Tensor):
            if returned.numel() == 0:
                raise Refused("it returns an empty tensor")
            if returned.is_complex() or returned.is_meta:
                kind = "complex" if returned.is_complex() else "meta"
                raise Refused(f"it returns a {kind} tensor")
            if not returned.is_floating_point():
                self.unlike_tensor = f"a tensor of {returned.dtype}"
                return returned.cpu().double()
            return returned if returned.layout == torch.strided else returned.to_dense()
        if isinstance(returned, (dict, list, tuple, set)) or returned is None:
            raise Refused(
                f"it returns a {type(returned).__name__}; the doctor examines one loss at "
                "a time: pass a function that returns the tensor to minimise"
            )
        try:
            tensor = torch.as_tensor(float(returned), dtype=torch.float64)
        except Exception:
            try:
                tensor = torch.as_tensor(returned, dtype=torch.float64)
            except Exception:
                kind = type(returned).__name__
                raise Refused(f"it returns a {kind}, expected a tensor") from None
        module = type(returned).__module__
        name = type(returned).__name__
        self.unlike_tensor = f"a {name}" if module == "builtins" else f"a {module}.{name}"
        return tensor

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Silence the loss and stand ready to interrupt it, for all calls in the body.

        To set this up costs as much as to call a loss: `guarded` does what is left.
        """
        with (
            warnings.catch_warnings(record=True) as self._caught,
            contextlib.redirect_stdout(self._silence),
            contextlib.redirect_stderr(self._silence),
            self._interruptible(),
        ):
            warnings.simplefilter("always")
            self._filters = list(warnings.filters)
            yield

    @contextlib.contextmanager
    def guarded(self, limit: float | None = None, reseed: bool = True) -> Iterator[None]:
        """Run the body under guard; to overrun a `limit` of its own is forgiven."""
        if self._hung:  # once is enough: every further call might cost as long
            raise Refused(self._hung, hung=True)
        if reseed:
            self.reseed(self.seed)
        self._caught.clear()
        grad, dtype = torch.is_grad_enabled(), torch.get_default_dtype()
        self._deadline = time.monotonic() + (limit or TIME_LIMIT)
        try:
            yield
        except _TimeUp:
            if limit:
                raise Refused(f"did not return within {limit:g} s") from None
            self._hung = f"did not return within {TIME_LIMIT:g} s"
            raise Refused(self._hung, hung=True) from None
        except Refused:
            raise
        except (Exception, SystemExit) as error:
            raise Refused(_one_line(error)) from None
        finally:
            self._deadline = math.inf
            if torch.is_grad_enabled() != grad:
                self.left_changed.add("grad mode")
                torch.set_grad_enabled(grad)
            if torch.get_default_dtype() != dtype:
                self.left_changed.add("default dtype")
                torch.set_default_dtype(dtype)
            if warnings.filters != self._filters:  # the next call starts as this one did
                warnings.resetwarnings()
                warnings.filters[:] = self._filters  # type: ignore[index]
            self.warned = [str(w.message) for w in self._caught]
            if self._silence.tell():
                self.printed = (self.printed + self._silence.getvalue())[:1000]
                self._silence.seek(0)
                self._silence.truncate()

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Interrupt a call in the body that overruns its deadline.

        Only signals interrupt a Python loop from outside, and only the main thread gets
        them: elsewhere than in Unix's main thread a call takes as long as it takes.
        """
        main = threading.current_thread() is threading.main_thread()
        if not main or not hasattr(signal, "setitimer"):
            yield
            return

        def look(number: int, frame: FrameType | None) -> None:
            if time.monotonic() > self._deadline:
                raise _TimeUp

        before = signal.signal(signal.SIGALRM, look)
        start = time.monotonic()
        outer, interval = signal.setitimer(signal.ITIMER_REAL, TICK, TICK)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before if before is not None else signal.SIG_DFL)
            if outer:  # the caller's own alarm, with what is left of its time
                left = max(outer - (time.monotonic() - start), 1e-3)
                signal.setitimer(signal.ITIMER_REAL, left, interval)

    @staticmethod
    def reseed(seed: int) -> None:
        """Start every generator a loss may draw from at the same place."""
        torch.default_generator.manual_seed(seed)
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            torch.cuda.manual_seed_all(seed)
        random.seed(seed)
        numpy = sys.modules.get("numpy")
        if numpy is not None:
            numpy.random.seed(seed % 2**32)


@contextlib.contextmanager
def unharmed() -> Iterator[None]:
    """Work with gradients on, and give the caller's random states back as they were."""
    state, python = torch.get_rng_state(), random.getstate()
    on_gpu = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    gpu = torch.cuda.get_rng_state_all() if on_gpu else None
    numpy = sys.modules.get("numpy")
    arrays = numpy.random.get_state() if numpy is not None else None
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.enable_grad())
            if torch.get_default_device().type != "cpu":
                # The probes are made on the CPU. Only then: this slows every call.
                stack.enter_context(torch.device("cpu"))
            yield
    finally:
        torch.set_rng_state(state)
        if gpu is not None:
            torch.cuda.set_rng_state_all(gpu)
        random.setstate(python)
        if numpy is not None:
            numpy.random.set_state(arrays)


def private(loss: Any) -> Any:
    """A copy that may be changed by being called; a function is its own copy."""
    if inspect.isroutine(loss):
        return loss
    if isinstance(loss, functools.partial) and inspect.isroutine(loss.func):
        return loss
    try:
        return copy.deepcopy(loss)
    except Exception:
        return loss  # it holds what cannot be copied: a file, a graph


def to_device(loss: Any, device: str) -> Any:
    """A copy of the loss with the tensors that it owns openly on `device`.

    These are a Module's parameters and buffers, which `.to()` moves, and the arguments of
    a `functools.partial`. A tensor in a plain attribute or a closure stays behind, as it
    does for the reader.
    """
    if isinstance(loss, nn.Module):
        return private(loss).to(device)
    if isinstance(loss, functools.partial):
        args = [a.to(device) if isinstance(a, Tensor) else a for a in loss.args]
        given = {
            k: v.to(device) if isinstance(v, Tensor) else v
            for k, v in loss.keywords.items()
        }
        return functools.partial(to_device(loss.func, device), *args, **given)
    return private(loss)


def _value(output: Tensor) -> float:
    if output.ndim == 0:
        return float(output)
    return float(output.detach().cpu().double().mean())


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()).rstrip(".")
    text = text if len(text) <= 200 else text[:197] + "..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _name(loss: Any) -> str:
    if isinstance(loss, functools.partial):
        given = ", ".join(f"{k}={_short(v)}" for k, v in loss.keywords.items())
        return f"{_name(loss.func)}({given})" if given else _name(loss.func)
    return str(getattr(loss, "__name__", None) or type(loss).__name__)


def _short(value: Any) -> str:
    text = repr(value.tolist()) if isinstance(value, Tensor) else repr(value)
    return text if len(text) <= 30 else "..."


def _is_keras(loss: Any) -> bool:
    # Asked by name, so that keras need not be installed.
    if isinstance(loss, functools.partial):
        return _is_keras(loss.func)
    kinds = type(loss).__mro__ if not inspect.isfunction(loss) else ()
    modules = [kind.__module__ for kind in kinds]
    modules.append(getattr(loss, "__module__", None) or "")
    return any(m == "keras" or m.startswith(("keras.", "tf_keras.")) for m in modules)


def _positional_names(loss: Any) -> tuple[str, ...]:
    target = loss.forward if isinstance(loss, nn.Module) else loss
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):
        return ()
    return tuple(
        p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    )
