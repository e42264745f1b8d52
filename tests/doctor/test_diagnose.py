"""`diagnose` and `check_loss` as a reader meets them: arguments, batches, bad patients."""

import functools
import logging
import os
import random
import re
import sys
import threading
import time
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import lossutils as lu
from lossutils.doctor import CHECKS, TASKS, LossCheckError, patient

QUICK = ("differentiable", "shape", "pure")


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def squared(input, target):
    if input.shape != target.shape:
        raise ValueError("shapes differ")
    return ((input - target) ** 2).mean()


def by_severity(diagnosis, severity):
    return [f.check for f in diagnosis.findings if f.severity == severity]


def finding(diagnosis, check):
    [found] = [f for f in diagnosis.findings if f.check == check]
    return found


# --- bad arguments: each message says what was given, what is expected, how to mend it

LABELS = torch.tensor([0.0, 1.0, 1.0, 0.0])
WRONG = {
    "unknown task": (
        {"task": "ranking"},
        ValueError,
        ["task is 'ranking'", *TASKS],
    ),
    "neither task nor batch": ({}, ValueError, ["task", "input=", "target=", "regression"]),
    "unknown check": (
        {"task": "regression", "checks": ["finite", "fnite"]},
        ValueError,
        ["'fnite'", *CHECKS],
    ),
    "one unknown check": (
        {"task": "regression", "checks": "finit"},
        ValueError,
        ["'finit'", "finite"],
    ),
    "checks is a number": (
        {"task": "regression", "checks": 3},
        TypeError,
        ["checks is", "3"],
    ),
    "whole numbers to train in": (
        {"task": "regression", "dtype": torch.int64},
        ValueError,
        ["dtype is torch.int64", "floating-point"],
    ),
    "probabilities that are none": (
        {"input": 3 * normal(4), "target": LABELS, "task": "binary_probabilities"},
        ValueError,
        ["input runs from", "[0, 1]", "binary_probabilities", "binary_logits"],
    ),
    "labels 0 and 1 as signs": (
        {"input": normal(4), "target": LABELS, "task": "signed_scores"},
        ValueError,
        ["signed_scores", "-1", "2 * target - 1"],
    ),
    "input without target": (
        {"input": normal(8)},
        ValueError,
        ["input is given without target", "give both"],
    ),
    "target without input": (
        {"target": normal(8), "task": "regression"},
        ValueError,
        ["target is given without input", "give both"],
    ),
    "expects beyond 1": (
        {"task": "regression", "expects": 90},
        ValueError,
        ["expects is 90", "between 0 and 1"],
    ),
    "expects on the edge": (
        {"task": "regression", "expects": 1.0},
        ValueError,
        ["expects is 1.0", "between 0 and 1"],
    ),
    "expects is NaN": (
        {"task": "regression", "expects": float("nan")},
        ValueError,
        ["expects is nan", "between 0 and 1"],
    ),
    "expects in an unknown word": (
        {"task": "regression", "expects": "average"},
        ValueError,
        ["expects is 'average'", '"mean"', '"median"', '"mode"', "quantile"],
    ),
    "expects is a truth": (
        {"task": "regression", "expects": True},
        ValueError,
        ["expects is True", '"mean"'],
    ),
    "arrays": (
        {"input": np.zeros(4), "target": np.zeros(4)},
        TypeError,
        ["input is a ndarray", "torch.Tensor", "torch.as_tensor(input)"],
    ),
    "integer input": (
        {"input": torch.arange(8), "target": normal(8)},
        TypeError,
        ["input has dtype torch.int64", "floating-point", "exchanged"],
    ),
    "NaN in the input": (
        {"input": torch.tensor([0.0, torch.nan]), "target": torch.zeros(2)},
        ValueError,
        ["input holds NaN", "clean"],
    ),
    "infinity in the target": (
        {"input": torch.zeros(2), "target": torch.tensor([0.0, torch.inf])},
        ValueError,
        ["target holds NaN or infinite", "clean"],
    ),
    "mask of 255": (
        {"input": normal(4), "target": 255 * LABELS, "task": "binary_logits"},
        ValueError,
        ["0 to 255", "[0, 1]", "binary_logits", "divide", "255"],
    ),
    "mask of 255 in bytes": (
        {"input": LABELS / 2, "target": (255 * LABELS).byte(), "task": TASKS[1]},
        ValueError,
        ["0 to 255", "divide", "255"],
    ),
    "scores of 2": (
        {
            "input": normal(4),
            "target": torch.tensor([-2.0, 1.0, 1.0, -1.0]),
            "task": TASKS[3],
        },
        ValueError,
        ["-2 to 1", "[-1, 1]", "signed_scores"],
    ),
    "class out of range": (
        {"input": normal(6, 3), "target": torch.tensor([0, 1, 2, 3, 0, 1])},
        ValueError,
        ["class 3", "3 columns", "0 to 2"],
    ),
    "logits without classes": (
        {"input": normal(6), "target": torch.arange(6) % 2, "task": "multiclass_logits"},
        ValueError,
        ["shape (6,)", "(N, C)", "multiclass_logits"],
    ),
    "one sample": (
        {"input": normal(1, 3), "target": normal(1, 3)},
        ValueError,
        ["shape (1, 3)", "at least two"],
    ),
    "no axis": (
        {"input": torch.tensor(1.0), "target": torch.tensor(2.0)},
        ValueError,
        ["shape ()", "at least two"],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_bad_arguments(name):
    options, kind, words = WRONG[name]
    with pytest.raises(kind) as raised:
        lu.diagnose(squared, **options)
    message = str(raised.value)
    assert not [word for word in words if word not in message], message
    assert raised.value.__cause__ is None  # no traceback from the inside
    # `check_loss` hands the same on: no LossCheckError, the loss was not examined.
    with pytest.raises(kind, match=re.escape(message)):
        lu.check_loss(squared, **options)


UNEQUAL = {
    "lengths": (squared, normal(6), normal(5)),
    "one more axis": (squared, normal(6, 1), normal(6)),
    "classes": (lu.cross_entropy, normal(6, 3), torch.arange(5) % 3),
}


@pytest.mark.parametrize("name", UNEQUAL)
def test_batch_of_unequal_shapes(name):
    """A guarded loss refuses it; that the doctor's own batches fit is no answer."""
    loss, input, target = UNEQUAL[name]
    with pytest.raises((TypeError, ValueError)) as raised:
        lu.diagnose(loss, input=input, target=target)
    assert raised.value.__suppress_context__ or raised.value.__context__ is None
    assert re.search(r"shape|size|does not take the batch", str(raised.value))


def test_class_instead_of_instance():
    with pytest.raises(TypeError, match=r"the class HuberLoss.*instance: HuberLoss\(\)"):
        lu.diagnose(lu.HuberLoss, task="regression")


@pytest.mark.parametrize("loss", ["mse", None, torch.zeros(3), [lu.mse]])
def test_not_callable(loss):
    kind = type(loss).__name__
    with pytest.raises(TypeError, match=rf"loss is a {kind}, expected a callable"):
        lu.diagnose(loss, task="regression")


def test_options_are_by_keyword():
    with pytest.raises(TypeError, match="positional"):
        lu.diagnose(lu.mse, "regression")


# --- losses that do not answer --------------------------------------------------------


def needs_a_mask(input, target, mask):
    return (mask * (input - target) ** 2).mean()


def raises_always(input, target):
    raise RuntimeError("expected\n 7 images")


@pytest.mark.parametrize("task", TASKS)
def test_raises_on_everything(task):
    with pytest.raises(TypeError) as raised:
        lu.diagnose(raises_always, task=task)
    message = str(raised.value)
    for words in ("raises_always", task, "RuntimeError: expected 7 images"):
        assert words in message
    assert "diagnose(loss, input=prediction, target=target)" in message
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


def test_a_further_argument_is_named_with_its_remedy():
    with pytest.raises(TypeError, match=r"'mask'.*functools\.partial"):
        lu.diagnose(needs_a_mask, task="regression")
    bound = functools.partial(needs_a_mask, mask=torch.ones(()))
    assert lu.diagnose(bound, task="regression", checks=["differentiable"]).ok


def test_refuses_the_readers_batch():
    with pytest.raises(TypeError, match=r"raises_always.*\(N, 3\).*7 images"):
        lu.diagnose(raises_always, input=normal(6, 3), target=normal(6, 3))


@pytest.mark.parametrize(
    ("returned", "kind"),
    [
        (lambda e: {"loss": e.mean()}, "dict"),
        (lambda e: (e.mean(), e), "tuple"),
        (lambda e: [e.mean()], "list"),
        (lambda e: None, "NoneType"),
        (lambda e: "0.5 or so", "str"),
    ],
)
def test_returns_no_tensor(returned, kind):
    with pytest.raises(TypeError) as raised:
        lu.diagnose(lambda p, t: returned((p - t) ** 2), task="regression")
    assert f"returns a {kind}" in str(raised.value)
    assert "tensor" in str(raised.value)


CALLS: list[str] = []  # of a loss that hangs


def loops(input, target):
    CALLS.append("loops")
    while True:
        try:
            time.sleep(0.01)
        except Exception:  # as it might
            continue


def test_loops_for_ever(monkeypatch):
    monkeypatch.setattr(patient, "TIME_LIMIT", 0.5)
    CALLS.clear()
    with pytest.raises(TypeError, match=r"loops did not return within 0\.5 s"):
        lu.diagnose(loops, task="regression")
    assert len(CALLS) == 1  # not for every probe


def loops_at_exact_fit(input, target):
    if bool((input == target).all()):
        CALLS.append("loops_at_exact_fit")
        while True:
            time.sleep(0.01)
    return squared(input, target)


def test_loops_for_ever_on_one_batch_only(monkeypatch):
    """What was found before stays, and the reader learns of the loop."""
    monkeypatch.setattr(patient, "TIME_LIMIT", 0.5)
    CALLS.clear()
    diagnosis = lu.diagnose(loops_at_exact_fit, task="regression")
    assert len(CALLS) == 1
    assert "did not return within 0.5 s" in str(diagnosis)
    assert not diagnosis.ok, str(diagnosis)


def test_the_callers_own_alarm_is_kept(monkeypatch):
    signal = pytest.importorskip("signal")
    if not hasattr(signal, "setitimer"):
        pytest.skip("no timers here")
    rung = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(True))
    try:
        signal.setitimer(signal.ITIMER_REAL, 100)
        lu.diagnose(squared, task="regression", checks=["differentiable"])
        left, _ = signal.setitimer(signal.ITIMER_REAL, 0)
        assert 50 < left <= 100
        signal.raise_signal(signal.SIGALRM)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert rung == [True]


def test_in_a_thread():
    """Where no signal arrives there is no time limit, and no error."""
    found = []

    def work():
        found.append(lu.diagnose(squared, task="regression", checks=["differentiable"]))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert found[0].ok


def test_interrupt_gets_through():
    def interrupted(input, target):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lu.diagnose(interrupted, task="regression")


# --- losses that do more than answer --------------------------------------------------


def prints(input, target):
    print("loss of", len(input))
    print("to stderr", file=sys.stderr)
    warnings.warn("a warning", UserWarning, stacklevel=2)
    return squared(input, target)


def test_printing_is_held_back(capsys, recwarn):
    diagnosis = lu.diagnose(prints, task="regression", checks=QUICK)
    assert capsys.readouterr() == ("", "")
    assert not [w for w in recwarn if "a warning" in str(w.message)]
    note = finding(diagnosis, "pure")
    assert note.severity == "note"
    assert "prints" in note.summary
    assert "loss of" in str(note.evidence)
    print("the caller prints again")
    assert capsys.readouterr().out == "the caller prints again\n"


def draws(input, target):
    noise = torch.rand(()) + random.random() + np.random.random()  # noqa: NPY002
    return squared(input, target) + 1e-3 * float(noise)


def seeds(input, target):
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    return squared(input, target)


def drawn():
    arrays = np.random.random(3).tolist()  # noqa: NPY002
    return torch.rand(3).tolist(), random.random(), arrays


def start_generators():
    torch.manual_seed(5)
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002


@pytest.mark.parametrize("loss", [squared, draws, seeds, raises_always])
def test_random_states_are_unharmed(loss):
    start_generators()
    expected = drawn()
    start_generators()
    try:
        lu.diagnose(loss, task="regression", checks=("deterministic", "pure", "vmap"))
    except TypeError:
        assert loss is raises_always
    assert drawn() == expected


@pytest.mark.parametrize("loss", [draws, seeds])
def test_moving_the_random_state_is_found(loss):
    diagnosis = lu.diagnose(loss, task="regression", checks=["pure"])
    assert by_severity(diagnosis, "warning") == ["pure"]
    assert "random state" in finding(diagnosis, "pure").summary


def switches_gradients_off(input, target):
    value = squared(input, target)
    torch.set_grad_enabled(False)
    return value


def test_gradients_stay_on():
    try:
        diagnosis = lu.diagnose(switches_gradients_off, task="regression")
        assert torch.is_grad_enabled()
    finally:
        torch.set_grad_enabled(True)
    assert "pure" in by_severity(diagnosis, "error")
    assert "gradients switched off" in finding(diagnosis, "pure").summary
    # The damage is done to what comes after, not to its own value: that is examined.
    assert by_severity(diagnosis, "error") == ["pure"], str(diagnosis)


def test_under_no_grad():
    with torch.no_grad():
        diagnosis = lu.diagnose(squared, task="regression", checks=QUICK)
        assert not torch.is_grad_enabled()
    assert diagnosis.ok, str(diagnosis)


def test_under_inference_mode():
    with torch.inference_mode():
        diagnosis = lu.diagnose(squared, task="regression", checks=QUICK)
        assert torch.is_inference_mode_enabled()
    assert diagnosis.ok, str(diagnosis)


def changes_the_default_type(input, target):
    torch.set_default_dtype(torch.float64)
    return squared(input, target)


def test_default_type_is_kept():
    try:
        diagnosis = lu.diagnose(changes_the_default_type, task="regression", checks=QUICK)
        assert torch.get_default_dtype() == torch.float32
    finally:
        torch.set_default_dtype(torch.float32)
    assert "pure" in by_severity(diagnosis, "error") + by_severity(diagnosis, "warning")


def test_a_module_is_left_as_it_was():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(2.0))
            self.register_buffer("shift", torch.tensor(0.0))

        def forward(self, input, target):
            return self.scale.detach() * squared(input, target) + self.shift

    loss = Scaled()
    lu.diagnose(loss, task="regression")
    assert loss.training
    assert loss.scale.grad is None
    assert {k: (v.item(), v.device.type) for k, v in loss.state_dict().items()} == {
        "scale": (2.0, "cpu"),
        "shift": (0.0, "cpu"),
    }


# --- the reader's own batch: the task is read off it ----------------------------------


def softmax(*shape):
    return normal(*shape).softmax(1)


def one_hot(n, c):
    return F.one_hot(torch.arange(n) % c, c).float()


OWN = {
    "regression": (lu.huber, normal(8), normal(8, seed=1), "regression"),
    "regression in columns": (lu.mse, normal(8, 3), normal(8, 3, seed=1), "regression"),
    "regression far from 0": (
        lu.mse,
        300 + 5 * normal(8),
        300 + 5 * normal(8, seed=1),
        "regression",
    ),
    "regression of halves": (
        lu.mse,
        normal(8, dtype=torch.float64),
        torch.tensor([0.0, 0.5, 1.0, 0.0, 0.5, 1.0, 0.0, 0.5]),
        "regression",
    ),
    "labels and probabilities": (
        lu.binary_cross_entropy,
        normal(4).sigmoid(),
        LABELS,
        "binary_probabilities",
    ),
    "labels and logits": (
        lu.binary_cross_entropy_with_logits,
        normal(4),
        LABELS,
        "binary_logits",
    ),
    "labels in columns": (
        lu.binary_cross_entropy_with_logits,
        normal(4, 2),
        torch.stack([LABELS, 1 - LABELS * 0], 1),
        "binary_logits",
    ),
    "signs": (lu.hinge, normal(4), 2 * LABELS - 1, "signed_scores"),
    "indices and logits": (
        lu.cross_entropy,
        normal(7, 3),
        torch.arange(7) % 3,
        "multiclass_logits",
    ),
    "indices, some ignored": (
        lu.cross_entropy,
        normal(7, 3),
        torch.tensor([-100, 0, 1, 2, 0, 1, 2]),
        "multiclass_logits",
    ),
    "indices and probabilities": (
        lu.brier,
        softmax(7, 3),
        torch.arange(7) % 3,
        "multiclass_probabilities",
    ),
    "rows and probabilities": (
        lu.brier,
        softmax(7, 3),
        one_hot(7, 3),
        "multiclass_probabilities",
    ),
    "rows and logits": (nn.CrossEntropyLoss(), normal(7, 3), one_hot(7, 3), TASKS[4]),
    "log-probabilities": (
        nn.NLLLoss(),
        normal(7, 3).log_softmax(1),
        torch.arange(7) % 3,
        "multiclass_logits",
    ),
    "rows and log-probabilities": (
        nn.KLDivLoss(reduction="batchmean"),
        normal(7, 3).log_softmax(1),
        normal(7, 3, seed=1).softmax(1),
        "multiclass_logits",
    ),
    "pixels": (
        nn.CrossEntropyLoss(),
        normal(4, 3, 5, 5),
        torch.arange(100).reshape(4, 5, 5) % 3,
        "multiclass_logits",
    ),
}


@pytest.mark.parametrize("name", OWN)
def test_task_is_read_off_the_batch(name):
    loss, input, target, task = OWN[name]
    kept = input.clone(), target.clone()
    diagnosis = lu.diagnose(loss, input=input, target=target, checks=QUICK)
    assert diagnosis.task == task
    assert "differentiable" in diagnosis.passed, str(diagnosis)
    assert torch.equal(input, kept[0])
    assert torch.equal(target, kept[1])


def test_a_given_task_goes_before_the_batch():
    """Labels 0 and 1 may be what a regression meets."""
    batch = {"input": normal(4), "target": LABELS}
    assert lu.diagnose(lu.mse, **batch, checks=QUICK).task == "binary_logits"
    given = lu.diagnose(lu.mse, **batch, task="regression", checks=QUICK)
    assert given.task == "regression"


def breaks_at_seven(input, target):
    """What only the reader's own numbers show."""
    if input.shape != target.shape:
        raise ValueError("shapes differ")
    error = input - target
    return torch.where(target == 7, torch.nan, error**2).mean()


def test_the_batch_itself_is_tried():
    target = normal(8, seed=1)
    batch = {"input": normal(8), "target": target}
    assert lu.diagnose(breaks_at_seven, **batch, checks=["finite"]).passed == ("finite",)
    target[2] = 7
    diagnosis = lu.diagnose(breaks_at_seven, **batch, checks=["finite"])
    assert by_severity(diagnosis, "error")[:1] == ["finite"], str(diagnosis)


def of_eight(input, target):
    if len(input) != 8:
        raise ValueError(f"expected 8 samples, got {len(input)}")
    return squared(input, target)


def of_whole_numbers(input, target):
    if target.is_floating_point():
        raise TypeError("expected whole numbers as targets")
    return squared(input, target)


@pytest.mark.parametrize(
    ("loss", "target"),
    [(of_eight, normal(8, seed=1)), (of_whole_numbers, torch.arange(8))],
)
def test_a_batch_that_it_takes_is_not_said_to_be_refused(loss, target):
    said = ""
    try:
        lu.diagnose(loss, input=normal(8), target=target, checks=["differentiable"])
    except TypeError as error:  # that it takes no other batch may be said
        said = str(error)
    assert "does not take the batch that was given" not in said


def test_batch_of_a_graph_is_taken():
    """A model's output as it stands, with its history, which must not grow a gradient."""
    model = nn.Linear(3, 1)
    input, target = model(normal(8, 3)), normal(8, 1, seed=1)
    assert lu.diagnose(lu.mse, input=input, target=target, checks=QUICK).ok
    assert model.weight.grad is None
    input.sum().backward()  # the graph is still there
    assert model.weight.grad is not None


def only_eight_by_eight(input, target):
    if input.shape[1:] != (1, 28, 28) or input.shape != target.shape:
        raise ValueError(f"expected (N, 1, 28, 28), got {tuple(input.shape)}")
    return ((input - target) ** 2).mean()


def test_a_batch_opens_what_the_task_alone_cannot():
    with pytest.raises(TypeError, match=r"28, 28.*input=prediction"):
        lu.diagnose(only_eight_by_eight, task="regression")
    diagnosis = lu.diagnose(
        only_eight_by_eight,
        input=normal(4, 1, 28, 28),
        target=normal(4, 1, 28, 28, seed=1),
        checks=("differentiable", "finite", "reduction"),
    )
    assert diagnosis.task == "regression"
    assert {"differentiable", "finite", "reduction"} <= set(diagnosis.passed)


def of_large_numbers(input, target):
    """Healthy for targets near 300; of no use near 0, where it does not pull."""
    return lu.mse(F.relu(input - 200), F.relu(target - 200))


def test_probes_follow_the_batch():
    near_zero = lu.diagnose(of_large_numbers, task="regression", checks=["differentiable"])
    assert not near_zero.ok
    diagnosis = lu.diagnose(
        of_large_numbers,
        input=300 + 5 * normal(16),
        target=300 + 5 * normal(16, seed=1),
        checks=["differentiable", "gradient"],
    )
    assert set(diagnosis.passed) == {"differentiable", "gradient"}, str(diagnosis)


# --- what losses return ---------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_reductions_agree(reduction):
    loss = functools.partial(lu.huber, reduction=reduction)
    diagnosis = lu.diagnose(loss, task="regression")
    assert not diagnosis.errors + diagnosis.warnings, str(diagnosis)
    plain = lu.diagnose(lu.huber, task="regression")
    verdicts = [[(f.check, f.summary) for f in d.findings] for d in (diagnosis, plain)]
    assert verdicts[0] == verdicts[1]


def test_per_sample():
    def per_sample(input, target):
        return ((input - target) ** 2).reshape(len(input), -1).mean(1) + 0 * squared(
            input, target
        )

    diagnosis = lu.diagnose(per_sample, task="regression")
    assert not diagnosis.errors + diagnosis.warnings, str(diagnosis)


def test_a_sum_is_told_from_a_mean():
    def summed(input, target):
        return squared(input, target) * input.numel()

    diagnosis = lu.diagnose(summed, task="regression", checks=["reduction"])
    assert by_severity(diagnosis, "warning") == ["reduction"]


@pytest.mark.parametrize(
    "convert", [float, lambda v: v.detach().numpy(), torch.Tensor.item]
)
def test_a_number_is_no_loss(convert):
    diagnosis = lu.diagnose(lambda p, t: convert(squared(p, t)), task="regression")
    assert "differentiable" in by_severity(diagnosis, "error")


# --- Keras's order --------------------------------------------------------------------


def over(y_true, y_pred):
    """Ten times as dear above the truth as below: the order of arguments shows."""
    if y_true.shape != y_pred.shape:
        raise ValueError("shapes differ")
    e = y_pred - y_true
    return torch.where(e > 0, 10 * e, -e).mean()


def test_keras_order_is_told_by_the_names():
    seen = []

    def order(y_true, y_pred):
        seen.append((y_true.requires_grad, y_pred.requires_grad))
        return squared(y_pred, y_true)

    assert lu.diagnose(order, task="regression", checks=QUICK).ok
    assert (False, True) in seen
    assert (True, False) not in seen


def test_keras_order_reaches_the_verdict():
    quantile = 1 / 11  # what `over` estimates
    told = lu.diagnose(over, task="regression", expects=quantile)
    assert not told.errors + told.warnings, str(told)

    def torch_order(input, target):  # the same, in torch's order
        return over(target, input)

    again = lu.diagnose(torch_order, task="regression", expects=quantile)
    assert again.findings == told.findings
    wrong = lu.diagnose(over, task="regression", expects=1 - quantile)
    assert {"asymmetry", "minimiser"} & {f.check for f in (*wrong.errors, *wrong.warnings)}


def test_keras_losses():
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    if keras.backend.backend() != "torch":
        pytest.skip("Keras runs on another backend here")
    for loss in (keras.losses.BinaryCrossentropy(), keras.losses.binary_crossentropy):
        # Exchanged, labels of 0 and 1 would be the predictions: clipped, without a slope.
        diagnosis = lu.diagnose(
            loss,
            task="binary_probabilities",
            checks=("differentiable", "minimiser", "gradient"),
        )
        assert not diagnosis.errors + diagnosis.warnings, str(diagnosis)
        assert "differentiable" in diagnosis.passed


# --- types, devices, seeds ------------------------------------------------------------


def large_inside(input, target):
    """Squares of 1,000 times the batch's errors overflow in float32, not in float64."""
    return squared(input, target) * 1e28 / 1e28


def test_dtype_is_the_one_that_has_to_hold():
    far = {"input": 1e3 * normal(8), "target": 1e3 * normal(8, seed=1)}
    narrow = lu.diagnose(large_inside, **far, checks=["finite"])
    wide = lu.diagnose(large_inside, **far, checks=["finite"], dtype=torch.float64)
    assert by_severity(narrow, "error") == ["finite"] * len(narrow.findings) != []
    assert wide.passed == ("finite",), str(wide)


def test_all_checks_in_float64():
    diagnosis = lu.diagnose(lu.log_cosh, task="regression", dtype=torch.float64)
    assert not diagnosis.errors + diagnosis.warnings, str(diagnosis)


def test_device_by_name_or_object():
    for device in ("cpu", torch.device("cpu")):
        assert lu.diagnose(squared, task="regression", device=device, checks=QUICK).ok


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu():
    diagnosis = lu.diagnose(squared, task="regression", device="cuda")
    assert not diagnosis.errors + diagnosis.warnings, str(diagnosis)


def test_seed_moves_a_stochastic_loss():
    def dropped(input, target):
        return squared(F.dropout(input, 0.5), target)

    reports = [lu.diagnose(dropped, task="regression", seed=s) for s in (0, 0, 1)]
    assert str(reports[0]) == str(reports[1]) != str(reports[2])
    assert all("deterministic" in by_severity(d, "warning") for d in reports)


# --- the diagnosis and check_loss -----------------------------------------------------


def rooted(input, target):
    """Root mean squared error: its gradient is NaN at an exact fit."""
    return squared(input, target).sqrt()


def test_diagnosis_is_in_order_and_complete():
    diagnosis = lu.diagnose(rooted, task="regression")
    assert diagnosis.name == "rooted"
    assert not diagnosis.ok
    order = [f.severity for f in diagnosis.findings]
    assert order == sorted(order, key=["error", "warning", "note"].index)
    assert "finite" in by_severity(diagnosis, "error")
    for f in diagnosis.findings:
        assert f.check in CHECKS
        assert f.severity in CHECKS[f.check].severities
        assert f.summary
        assert f.summary[0].isupper()
        assert f.remedy
        assert re.fullmatch(r"[\w/]+\.html(#[\w-]+)?", f.chapter)
    found = {f.check for f in diagnosis.findings}
    assert not found & {*diagnosis.passed}
    assert not found & {*diagnosis.skipped}
    assert all(diagnosis.skipped.values())


def test_name_shows_what_was_bound():
    diagnosis = lu.diagnose(
        functools.partial(lu.huber, delta=2.0), task="regression", checks=QUICK
    )
    assert diagnosis.name == "huber(delta=2.0)"
    module = lu.diagnose(lu.HuberLoss(delta=2.0), task="regression", checks=QUICK)
    assert module.name == "HuberLoss"


def test_check_loss_raises_with_the_report():
    with pytest.raises(LossCheckError) as raised:
        lu.check_loss(rooted, task="regression")
    assert isinstance(raised.value, AssertionError)
    diagnosis = raised.value.diagnosis
    assert str(raised.value) == str(diagnosis)
    assert "finite" in str(raised.value)
    assert diagnosis.findings == lu.diagnose(rooted, task="regression").findings


def test_check_loss_passes_options_on_and_warnings_through():
    lu.check_loss(rooted, task="regression", checks=["differentiable"])
    with pytest.raises(LossCheckError) as raised:
        lu.check_loss(rooted, task="regression", checks=["finite"])
    assert {f.check for f in raised.value.diagnosis.findings} == {"finite"}

    def summed(input, target):
        return squared(input, target) * input.numel()

    assert lu.diagnose(summed, task="regression", checks=["reduction"]).warnings
    assert lu.check_loss(summed, task="regression", checks=["reduction"]) is None


def test_no_check_is_no_diagnosis():
    diagnosis = lu.diagnose(squared, task="regression", checks=[])
    assert diagnosis.findings == diagnosis.passed == ()
    assert not diagnosis.skipped


def test_one_check_may_be_a_word():
    diagnosis = lu.diagnose(squared, task="regression", checks="finite")
    assert diagnosis.passed == ("finite",)


def test_checks_may_be_an_iterator_and_keep_their_own_order():
    diagnosis = lu.diagnose(squared, task="regression", checks=iter(["pure", "finite"]))
    order = [name for name in CHECKS if name in ("pure", "finite")]
    assert list(diagnosis.passed) == order


def test_nothing_is_logged(caplog):
    with caplog.at_level(logging.DEBUG):
        lu.diagnose(squared, task="regression")
    assert not caplog.records
