"""The doctor blames no healthy loss; and the healthy ones are healthy."""

import functools
import warnings

import pytest
import torch
import torch.nn.functional as F
from healthy import (
    HEALTHY,
    NOTHING,
    Healthy,
    NotAModule,
    bce_by_logsigmoid,
    bce_by_softplus,
    charbonnier_by_hand,
    confidence_penalty,
    cross_entropy_by_gather,
    cross_entropy_by_logsumexp,
    focal_by_exp_of_bce,
    focal_by_exp_of_cross_entropy,
    focal_by_gather,
    huber_by_clamp,
    huber_by_where,
    label_smoothing_by_hand,
    log_cosh_by_softplus,
    log_softmax_twice,
    ordinal_levels,
    pinball_by_where,
    pinball_low,
    poly1_by_hand,
    right_backward_by_hand,
    smooth_l1_by_where,
    soft_dice,
    soft_tversky,
    squared_hinge_by_relu,
)
from torch import Tensor

import lossutils as lu
from lossutils.doctor import Diagnosis, diagnose

BY_NAME = {case.name: case for case in HEALTHY}


def examine(case: Healthy, wrap=lambda loss: loss) -> Diagnosis:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, of a broadcast that it does report
        return diagnose(wrap(case.build()), task=case.task, **case.options)


@functools.cache
def unchanged(name: str) -> Diagnosis:
    """The diagnosis of a loss as it stands, beside which others are laid."""
    return examine(BY_NAME[name])


def blamed(diagnosis: Diagnosis, allowed: frozenset[str] = NOTHING) -> set[str]:
    found = diagnosis.errors + diagnosis.warnings
    return {f.check for f in found} - allowed


# --- the doctor -----------------------------------------------------------------------


@pytest.mark.parametrize("case", HEALTHY, ids=str)
def test_no_false_alarm(case: Healthy) -> None:
    diagnosis = examine(case)
    wrong = blamed(diagnosis, case.allowed)
    assert not wrong, f"{case.name} is blamed for {sorted(wrong)}\n{diagnosis}"


def scaled(loss, factor: float, input: Tensor, target: Tensor) -> Tensor:
    return factor * loss(input, target)


def in_units(loss, unit: float, input: Tensor, target: Tensor) -> Tensor:
    return loss(unit * input, unit * target)


SCALED = (
    "mse_by_hand",
    "mae_by_hand",
    "mse_per_sample",
    "gaussian_log_density",
    "huber_by_where",
    "pinball_low",
    "rmse_with_eps",
    "bce_by_softplus",
    "bce_plus_dice",
    "hinge_by_hand",
    "focal_by_gather",
    "label_smoothing_by_hand",
    "brier_by_hand",
)


@pytest.mark.parametrize("factor", [1e-3, 1e3])
@pytest.mark.parametrize("name", SCALED)
def test_a_factor_changes_no_verdict(name: str, factor: float) -> None:
    case = BY_NAME[name]
    before = unchanged(name)
    after = examine(case, lambda loss: functools.partial(scaled, loss, factor))
    verdicts = [{(f.check, f.severity) for f in d.findings} for d in (before, after)]
    assert verdicts[0] == verdicts[1], f"{before}\n\ntimes {factor}:\n{after}"


# Where an error k times as large costs a power of k as much, units are a factor.
HOMOGENEOUS = ("mse_by_hand", "mae_by_hand", "pinball_low", "lu.expectile()")
# Where not, another unit is another loss, yet one as healthy.
OTHERS = ("huber_by_where", "lu.log_cosh()", "charbonnier_by_hand", "elastic")


@pytest.mark.parametrize("unit", [1e-3, 1e3])
@pytest.mark.parametrize("name", HOMOGENEOUS + OTHERS)
def test_units_change_no_verdict(name: str, unit: float) -> None:
    case = BY_NAME[name]
    before = unchanged(name)
    after = examine(case, lambda loss: functools.partial(in_units, loss, unit))
    both = f"{before}\n\nin units of {unit}:\n{after}"
    # The square of an error in thousandths really is 0 in float16, in thousands infinite.
    float16 = frozenset({"half-precision"})
    assert not blamed(after, case.allowed | float16), both
    if name in HOMOGENEOUS:
        verdicts = [
            {(f.check, f.severity) for f in d.findings if f.check not in float16}
            for d in (before, after)
        ]
        assert verdicts[0] == verdicts[1], both


# --- the set itself -------------------------------------------------------------------


def usual_best(task: str | None, target: Tensor, input: Tensor) -> Tensor:
    """The obvious best prediction for a target."""
    if task in ("regression", "binary_probabilities"):
        return target
    if task == "binary_logits":
        return 3 * (2 * target - 1)
    if task == "signed_scores":
        return 2 * target
    row = target
    if not target.is_floating_point():
        row = F.one_hot(target.clamp(min=0), input.shape[1]).float()
    return row if task == "multiclass_probabilities" else 3 * row


def example(case: Healthy) -> tuple[Tensor, Tensor]:
    """A wrong prediction and its target: the reader's own batch where there is one."""
    if "input" in case.options:
        return case.options["input"], case.options["target"]
    generator = torch.Generator().manual_seed(7)
    noise = torch.randn(12, 3, generator=generator)
    bits = torch.tensor([1.0, 0.0, 0.0, 1.0, 1.0]).repeat(8)[:36].reshape(12, 3)
    indices = torch.arange(12) % 3
    one_hot = F.one_hot(indices, 3).float()
    takes_rows = "of_rows" in case.name or "keras.Categorical" in case.name
    takes_rows |= case.name.startswith("keras.KLD")
    if "Generalized" in case.name:
        takes_rows = False
    return {
        "regression": (3 * noise, torch.randn(12, 3, generator=generator)),
        "binary_probabilities": (torch.sigmoid(noise), bits),
        "binary_logits": (2 * noise, bits),
        "signed_scores": (2 * noise, 2 * bits - 1),
        "multiclass_logits": (2 * noise, one_hot if takes_rows else indices),
        "multiclass_probabilities": (noise.softmax(1), one_hot if takes_rows else indices),
    }[case.task or ""]


def called(case: Healthy, input: Tensor, target: Tensor) -> Tensor:
    """The loss in its own order of arguments."""
    backwards = case.name.startswith(("keras.", "keras_order"))
    pair = (target, input) if backwards else (input, target)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return case.build()(*pair)


def cost(case: Healthy, input: Tensor, target: Tensor) -> Tensor:
    """What training sees: the mean of what the loss returns."""
    return called(case, input, target).mean()


def fitting(case: Healthy) -> tuple[Tensor, Tensor]:
    input, target = example(case)
    if case.name == "only_vectors":
        return input[:, 0], target[:, 0]
    return input, target


@pytest.mark.parametrize("case", HEALTHY, ids=str)
def test_finite_with_a_slope_and_least_at_the_truth(case: Healthy) -> None:
    input, target = fitting(case)
    best = case.best(target) if case.best else usual_best(case.task, target, input)
    input = input.clone().requires_grad_()
    value = cost(case, input, target)
    value.backward()
    assert torch.isfinite(value)
    assert input.grad is not None
    assert torch.isfinite(input.grad).all()
    assert input.grad.abs().max() > 0
    least = cost(case, best.clone(), target)
    assert torch.isfinite(least)
    assert least < value
    if case.task == "regression":
        for step in (-0.1, 0.1):
            away = best + step * (1 + best.abs())
            if (best >= 0).all():  # counts and the like stay positive
                away = away.clamp(min=1e-3)
            assert cost(case, away, target) > least - 1e-6 * (1 + least.abs())


def broadcasts_in_silence(case: Healthy) -> bool | None:
    """Whether a column against a row gives another value, untold; None without columns."""
    input, target = fitting(case)
    if input.shape != target.shape or not target.is_floating_point():
        return None  # they differ in shape by design
    if "multiclass" in (case.task or ""):
        return None  # a row is one sample's target
    column, flat = input.reshape(-1, 1)[:12], target.reshape(-1)[:12]
    try:
        right = cost(case, column, flat.reshape(-1, 1))
    except (ValueError, IndexError, RuntimeError):
        return None
    backwards = case.name.startswith(("keras.", "keras_order"))
    loss = case.build()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            value = loss(flat, column) if backwards else loss(column, flat)
        except (ValueError, RuntimeError):
            return False
    return not told and not bool(torch.isclose(value.mean(), right, rtol=1e-4))


def test_no_silent_broadcast_but_where_it_is_said() -> None:
    found = {case.name: broadcasts_in_silence(case) for case in HEALTHY}
    asked = {name: silent for name, silent in found.items() if silent is not None}
    said = {name: "shape" in BY_NAME[name].allowed for name in asked}
    assert len(asked) >= 200
    assert asked == said


def pair(task: str) -> tuple[Tensor, Tensor]:
    input, target = example(Healthy("pair", task))
    return input.double(), target.double() if target.is_floating_point() else target


def dice_sample_by_sample(p: Tensor, t: Tensor) -> Tensor:
    each = [
        1 - (2 * (a * b).sum() + 1) / (a.sum() + b.sum() + 1)
        for a, b in zip(p, t, strict=True)
    ]
    return torch.stack(each).mean()


AGREE = [
    (huber_by_where, F.huber_loss, "regression"),
    (huber_by_clamp, F.huber_loss, "regression"),
    (smooth_l1_by_where, functools.partial(F.smooth_l1_loss, beta=1 / 9), "regression"),
    (log_cosh_by_softplus, lu.log_cosh, "regression"),
    (right_backward_by_hand, lu.log_cosh, "regression"),
    (NotAModule(), lu.log_cosh, "regression"),
    (
        lambda p, t: charbonnier_by_hand(p, t) - 1e-3,
        lambda p, t: lu.charbonnier(p, t, delta=1e-3) / 1e-3,
        "regression",
    ),
    (pinball_low, functools.partial(lu.quantile, q=0.1), "regression"),
    (pinball_by_where, functools.partial(lu.quantile, q=0.75), "regression"),
    (soft_dice, dice_sample_by_sample, "binary_probabilities"),
    (soft_tversky, lambda p, t: _tversky(p, t), "binary_probabilities"),
    (bce_by_softplus, F.binary_cross_entropy_with_logits, "binary_logits"),
    (bce_by_logsigmoid, F.binary_cross_entropy_with_logits, "binary_logits"),
    (
        ordinal_levels,
        lambda z, t: 3 * F.binary_cross_entropy_with_logits(z, t),
        "binary_logits",
    ),
    (focal_by_exp_of_bce, lu.binary_focal_with_logits, "binary_logits"),
    (squared_hinge_by_relu, lu.squared_hinge, "signed_scores"),
    (log_softmax_twice, F.cross_entropy, "multiclass_logits"),
    (cross_entropy_by_gather, F.cross_entropy, "multiclass_logits"),
    (cross_entropy_by_logsumexp, F.cross_entropy, "multiclass_logits"),
    (focal_by_gather, lu.focal, "multiclass_logits"),
    (focal_by_exp_of_cross_entropy, lu.focal, "multiclass_logits"),
    (
        label_smoothing_by_hand,
        functools.partial(F.cross_entropy, label_smoothing=0.1),
        "multiclass_logits",
    ),
    (poly1_by_hand, lu.poly1_cross_entropy, "multiclass_logits"),
    (
        confidence_penalty,
        lambda z, t: (
            F.cross_entropy(z, t)
            - 0.05 * torch.distributions.Categorical(logits=z).entropy().mean()
        ),
        "multiclass_logits",
    ),
]


def _tversky(p: Tensor, t: Tensor) -> Tensor:
    tp, fp, fn = ((a * b).sum(1) for a, b in ((p, t), (p, 1 - t), (1 - p, t)))
    return (1 - (tp + 1) / (tp + 0.3 * fp + 0.7 * fn + 1)).mean()


@pytest.mark.parametrize(("mine", "reference", "task"), AGREE)
def test_by_hand_agrees_with_a_reference(mine, reference, task: str) -> None:
    input, target = pair(task)
    both = [input.clone().requires_grad_() for _ in range(2)]
    values = [loss(x, target) for loss, x in zip((mine, reference), both, strict=True)]
    torch.testing.assert_close(*values)
    for value in values:
        value.backward()
    torch.testing.assert_close(both[0].grad, both[1].grad)


def test_there_are_many_and_each_has_its_name() -> None:
    assert len(HEALTHY) >= 90
    assert len(BY_NAME) == len(HEALTHY)
    assert all(case.why for case in HEALTHY if case.allowed)


# --- what is allowed is true ----------------------------------------------------------


def slope(loss, input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    input = input.clone().requires_grad_()
    value = loss(input, target).mean()
    (gradient,) = torch.autograd.grad(value, input)
    return value.detach(), gradient


def keras_slope(name: str, input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    loss = BY_NAME[name].build()
    return slope(lambda p, t: loss(t, p), input, target)


def test_torch_bce_has_no_gradient_in_float16_at_a_perfect_zero() -> None:
    p = torch.zeros(2, dtype=torch.float16)
    value, gradient = slope(F.binary_cross_entropy, p, torch.zeros_like(p))
    assert value == 0
    assert gradient.isnan().all()


def test_torch_label_smoothing_overflows_in_float16() -> None:
    z = torch.randn(20_000, 5, generator=torch.Generator().manual_seed(0)).half()
    t = torch.arange(20_000) % 5
    assert F.cross_entropy(z, t).isfinite()
    assert F.cross_entropy(z, t, label_smoothing=0.1).isinf()


def test_torch_soft_margin_overflows() -> None:
    value, gradient = slope(F.soft_margin_loss, torch.tensor([-100.0]), torch.ones(1))
    assert value.isinf()
    assert gradient.isnan()


def test_torch_one_hot_fails_under_vmap_of_a_gradient() -> None:
    def loss(z: Tensor, t: Tensor) -> Tensor:
        return (z - F.one_hot(t, 3)).square().sum()

    with pytest.raises(RuntimeError, match="vmap"):
        torch.func.vmap(torch.func.grad(loss))(torch.zeros(4, 3), torch.arange(4) % 3)


@pytest.mark.parametrize("name", ["keras.Dice()", "keras.Tversky()"])
def test_keras_overlap_is_flat_on_an_empty_mask(name: str) -> None:
    empty = torch.zeros(2, 4)
    value, gradient = keras_slope(name, torch.full_like(empty, 0.5), empty)
    assert value == 1
    assert not gradient.any()
    assert keras_slope(name, empty, empty)[0] == 1  # a perfect answer costs as much


@pytest.mark.parametrize(
    "name",
    [
        "keras.BinaryCrossentropy()",
        "keras.CategoricalCrossentropy()",
        "keras.CategoricalFocalCrossentropy()",
    ],
)
def test_keras_clips_the_slope_of_a_saturated_mistake(name: str) -> None:
    value, gradient = keras_slope(
        name, torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 0.0]])
    )
    assert value > 3
    assert not gradient.any()


@pytest.mark.parametrize("kind", ["Binary", "Categorical"])
def test_keras_focal_of_logits_is_flat_on_a_confident_mistake(kind: str) -> None:
    name = f"keras.{kind}FocalCrossentropy(from_logits=True)"
    value, gradient = keras_slope(
        name, torch.tensor([[-30.0, 30.0]]), torch.tensor([[1.0, 0.0]])
    )
    assert value > 3
    assert gradient.abs().max() < 1e-6


def test_keras_generalised_cross_entropy_has_no_gradient_at_zero() -> None:
    name = "keras.CategoricalGeneralizedCrossEntropy()"
    _, gradient = keras_slope(name, torch.tensor([[0.0, 1.0]]), torch.tensor([0]))
    assert not gradient.isfinite().any()


def test_keras_cosine_has_no_gradient_at_zero() -> None:
    _, gradient = keras_slope(
        "keras.CosineSimilarity()", torch.zeros(1, 3), torch.ones(1, 3)
    )
    assert gradient.isnan().all()


def test_a_sum_over_a_large_batch_overflows_in_float16() -> None:
    p = torch.ones(100_000, dtype=torch.float16)
    for name in ("sum_over_count", "masked_by_where", "masked_by_sentinel"):
        value = BY_NAME[name].build()(p, torch.zeros_like(p))
        assert value != 1, name
