"""What people do wrong, and what they read then: what was given, what was expected,
and how to mend it. Where the answer is a value instead, it is the right one.
"""

import math

import numpy as np
import pytest
import torch
from cases import Case, cases, devices

import lossutils as lu

DEFAULT_CASES = [case for case in cases() if not case.parameters]
OTHER_DEVICE = next((d for d in devices() if d != "cpu"), "meta")

every_loss = pytest.mark.parametrize("case", DEFAULT_CASES, ids=lambda c: c.entry.name)


def says(error: type[Exception], *words: str):
    """The call raises `error`, and its message has all these words, in this order."""
    return pytest.raises(error, match="(?s)" + ".*".join(words))


# Shapes


@every_loss
def test_column_against_row(case: Case) -> None:
    input, target = case.batch((5,))
    if not case.multiclass:
        with says(ValueError, r"\(5, 1\)", r"\(5,\)", r"input\.squeeze\(-1\)"):
            case.loss(input[:, None], target)
        with says(ValueError, r"\(5,\)", r"\(5, 1\)", r"target\.squeeze\(-1\)"):
            case.loss(input, target[:, None])
    else:
        with says(ValueError, r"\(5, 3\)", r"\(5, 1\)", r"target\.squeeze\("):
            case.loss(input, target[:, None])


def test_one_row_for_many() -> None:
    with says(
        ValueError, r"\(4, 2\)", r"\(2,\)", "nothing is broadcast", "each prediction"
    ):
        lu.mse(torch.zeros(4, 2), torch.zeros(2))


def test_same_elements_in_another_shape() -> None:
    with says(ValueError, r"\(2, 3\)", r"\(3, 2\)", r"reshape\(input\.shape\)"):
        lu.mse(torch.zeros(2, 3), torch.zeros(3, 2))


def test_one_hot_where_indices_are_expected() -> None:
    one_hot = torch.eye(3, dtype=torch.int64)
    with says(ValueError, r"\(3, 3\)", "argmax"):
        lu.cross_entropy(torch.zeros(3, 3), one_hot)


@every_loss
def test_weight_of_another_shape(case: Case) -> None:
    input, target = case.batch((4, 3))
    with says(ValueError, "weight", r"\(4,\)", r"\(4, 3\)", r"expand\(4, 3\)"):
        case.loss(input, target, weight=torch.ones(4))
    with says(ValueError, "weight", r"\(3,\)", r"\(4, 3\)", "per element"):
        case.loss(input, target, weight=torch.ones(3))


# Types


@every_loss
def test_array_instead_of_tensor(case: Case) -> None:
    input, target = case.batch()
    with says(TypeError, "input is a ndarray", "torch.Tensor", "as_tensor"):
        case.entry.function(input.numpy(), target)
    with says(TypeError, "target is a ndarray", "torch.Tensor", "as_tensor"):
        case.entry.function(input, target.numpy())
    with says(TypeError, "weight is a ndarray", "torch.Tensor", "as_tensor"):
        case.entry.function(input, target, weight=np.ones(7))
    with says(TypeError, "input is a list", "torch.Tensor"):
        case.entry.function(input.tolist(), target)


@every_loss
def test_integer_input(case: Case) -> None:
    input, target = case.batch()
    with says(TypeError, "torch.int64", "floating-point", r"input\.float\(\)"):
        case.loss(input.long(), target)


def test_integer_and_boolean_targets_are_converted() -> None:
    input = torch.tensor([0.5, 3.0])
    assert lu.mse(input, torch.tensor([0, 1])) == 2.125
    assert lu.mse(input, torch.tensor([False, True])) == 2.125
    logits = torch.tensor([0.0, 0.0])
    expected = torch.tensor(math.log(2))
    for target in (torch.tensor([0, 1]), torch.tensor([False, True])):
        torch.testing.assert_close(
            lu.binary_cross_entropy_with_logits(logits, target), expected
        )


def test_complex_target() -> None:
    with says(TypeError, "complex64", "real numbers"):
        lu.mse(torch.zeros(2), torch.zeros(2, dtype=torch.complex64))


@every_loss
@pytest.mark.parametrize(
    "dtypes", [(torch.float64, torch.float32), (torch.float32, torch.float64)]
)
def test_model_and_target_of_different_precision(case: Case, dtypes) -> None:
    input, target = case.batch(dtype=dtypes[0])
    if target.is_floating_point():
        target = target.to(dtypes[1])
    weight = torch.ones(target.shape, dtype=dtypes[1])
    loss = case.loss(input.requires_grad_(), target, weight=weight)
    loss.backward()
    assert loss.dtype == input.grad.dtype == dtypes[0]
    as_input = target.to(dtypes[0]) if target.is_floating_point() else target
    torch.testing.assert_close(loss, case.loss(input, as_input))


# Arguments exchanged


def test_exchanged_arguments() -> None:
    logits, labels = torch.tensor([[-3.0, 0.5, 2.0]]), torch.tensor([2])
    for loss in (lu.cross_entropy, lu.focal, lu.multiclass_hinge):
        with says(TypeError, "int64", "exchanged", r"loss\(input, target\)"):
            loss(labels, logits)
    with says(TypeError, "int64", "exchanged"):
        lu.mse(torch.tensor([1, 2]), torch.tensor([0.5, 1.5]))
    with says(ValueError, "target", "-3", r"\[0, 1\]"):
        lu.binary_cross_entropy_with_logits(
            torch.tensor([1.0, 0.0]), torch.tensor([-3.0, 2.0])
        )
    with says(ValueError, "target", "0.7"):
        lu.hinge(torch.tensor([1.0, -1.0]), torch.tensor([0.7, -0.2]))


# Targets outside the domain

BINARY = (
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "binary_focal_with_logits",
)
SIGNED = ("hinge", "squared_hinge", "soft_margin")
INDEXED = (
    "cross_entropy",
    "multiclass_hinge",
    "focal",
    "brier",
    "probability_mae",
    "generalized_cross_entropy",
    "symmetric_cross_entropy",
    "poly1_cross_entropy",
)


@pytest.mark.parametrize("name", BINARY)
def test_mask_of_255(name: str) -> None:
    mask = torch.tensor([0, 255], dtype=torch.uint8)
    with says(ValueError, "target holds 255", r"\[0, 1\]", "255"):
        getattr(lu, name)(torch.tensor([0.5, 0.5]), mask)


@pytest.mark.parametrize("name", BINARY)
def test_signs_where_zero_and_one_are_expected(name: str) -> None:
    with says(ValueError, "target holds -1", r"\[0, 1\]", r"\+ 1\) / 2"):
        getattr(lu, name)(torch.tensor([0.5, 0.5]), torch.tensor([-1.0, 1.0]))


@pytest.mark.parametrize("name", SIGNED)
def test_zero_and_one_where_signs_are_expected(name: str) -> None:
    with says(ValueError, r"target holds 0, expected -1 or 1", r"2 ?\* ?target - 1"):
        getattr(lu, name)(torch.tensor([0.5, 0.5]), torch.tensor([0.0, 1.0]))


@pytest.mark.parametrize("name", INDEXED)
@pytest.mark.parametrize("index", [3, -1])
def test_index_out_of_range(name: str, index: int) -> None:
    with says(ValueError, "target holds", str(index), "0, "):
        getattr(lu, name)(torch.full((2, 3), 1 / 3), torch.tensor([0, index]))


def test_logits_where_probabilities_are_expected() -> None:
    with says(
        ValueError, "input holds 2.5", r"\[0, 1\]", "binary_cross_entropy_with_logits"
    ):
        lu.binary_cross_entropy(torch.tensor([0.5, 2.5]), torch.tensor([0.0, 1.0]))
    for loss in (lu.brier, lu.probability_mae):
        with says(ValueError, "input", "2.5", "softmax"):
            loss(torch.tensor([[2.5, -1.0, 0.0]]), torch.tensor([0]))


# NaN


@every_loss
def test_nan_reaches_the_loss(case: Case) -> None:
    input, target = case.batch()
    input[3] = math.nan
    assert case.loss(input, target).isnan()


def test_nan_in_the_weight() -> None:
    weight = torch.tensor([1.0, math.nan])
    assert lu.mse(torch.zeros(2), torch.ones(2), weight=weight).isnan()


# Devices


@every_loss
def test_two_devices(case: Case) -> None:
    input, target = case.batch()
    away = target.to(OTHER_DEVICE)
    with says(ValueError, "input is on cpu", f"target on {OTHER_DEVICE}", r"target\.to\("):
        case.loss(input, away)
    weight = torch.ones(7, device=OTHER_DEVICE)
    with says(ValueError, f"weight on {OTHER_DEVICE}", r"weight\.to\("):
        case.loss(input, target, weight=weight)


# Parameters


@every_loss
@pytest.mark.parametrize("reduction", ["avg", "batchmean", None, "Mean"])
def test_unknown_reduction(case: Case, reduction) -> None:
    input, target = case.batch()
    with says(ValueError, repr(reduction), "'mean', 'sum' or 'none'"):
        case.loss(input, target, reduction=reduction)


BAD_PARAMETERS = [
    *(("huber", "delta", v, "above 0") for v in (0, -1.0, math.inf, math.nan)),
    *(("smooth_l1", "beta", v, "above 0") for v in (0, -1.0, math.nan)),
    *(("quantile", "q", v, "between 0 and 1") for v in (0, 1, 1.5, -0.1, math.nan)),
    *(("expectile", "tau", v, "between 0 and 1") for v in (0, 1, 1.5, math.nan)),
    *(("epsilon_insensitive", "epsilon", v, "at least 0") for v in (-0.1, math.nan)),
    *(("charbonnier", "delta", v, "above 0") for v in (0, math.nan)),
    *((n, "c", v, "above 0") for n in ("cauchy", "welsch", "tukey") for v in (0, math.nan)),
    *(("geman_mcclure", "c", v, "above 0") for v in (0, -1.0, math.nan)),
    *(("general_robust", "c", v, "above 0") for v in (0.0, -1.0, math.nan)),
    *(("general_robust", "alpha", v, "") for v in (math.nan,)),
    *(("focal", "gamma", v, "") for v in (-1.0, math.nan)),
    *(("binary_focal_with_logits", "gamma", v, "") for v in (-1.0, math.nan)),
    *(("binary_focal_with_logits", "alpha", v, "") for v in (1.5, -0.1, math.nan)),
    *(("cross_entropy", "label_smoothing", v, "") for v in (1.5, -0.1, math.nan)),
    *(("generalized_cross_entropy", "q", v, "") for v in (1.5, -0.1, math.nan)),
    *(("symmetric_cross_entropy", "alpha", v, "") for v in (math.nan,)),
    *(("multiclass_hinge", "margin", v, "") for v in (math.nan,)),
    *(("poly1_cross_entropy", "epsilon", v, "") for v in (math.nan,)),
]


@pytest.mark.parametrize(("name", "parameter", "value", "expected"), BAD_PARAMETERS)
def test_bad_parameter(name: str, parameter: str, value: float, expected: str) -> None:
    (case,) = (c for c in DEFAULT_CASES if c.entry.name == name)
    input, target = case.batch()
    with says(ValueError, f"{parameter} (is|holds) {value}", "expected", expected):
        case.loss(input, target, **{parameter: value})


def test_parameter_that_is_none_of_the_losses() -> None:
    with says(TypeError, "HuberLoss has no parameter beta", "delta, reduction"):
        lu.HuberLoss(beta=1.0)
