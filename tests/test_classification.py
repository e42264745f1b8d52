"""Classification losses: their peers, their worked numbers, and what people get wrong.

What every loss promises is tested in `test_contract.py`; here is what only these do.
"""

import math
import re

import mpmath
import numpy as np
import pytest
import sklearn.metrics
import torch
import torch.nn.functional as F

import lossutils as lu

nan, inf = math.nan, math.inf
close = torch.testing.assert_close

G = torch.Generator().manual_seed(0)
X = 2 * torch.randn(40, generator=G, dtype=torch.float64)
Y = torch.randint(2, (40,), generator=G)
SIGNS = 2 * Y - 1
LOGITS = 2 * torch.randn(40, 4, generator=G, dtype=torch.float64)
LABELS = torch.randint(4, (40,), generator=G)
SOFT = torch.rand(40, 4, generator=G, dtype=torch.float64).softmax(1)
CLASS_WEIGHT = torch.tensor([0.5, 1.0, 2.0, 3.0], dtype=torch.float64)
REDUCTIONS = ("none", "mean", "sum")

INDEX_LOSSES = {  # multi-class losses of logits and indices, with an ignored index
    name: getattr(lu, name)
    for name in (
        "cross_entropy",
        "focal",
        "generalized_cross_entropy",
        "symmetric_cross_entropy",
        "poly1_cross_entropy",
    )
}
SOFT_LOSSES = {  # multi-class losses whose target may be a distribution
    "cross_entropy": lu.cross_entropy,
    "brier": lambda x, *args, **kw: lu.brier(x.softmax(-1), *args, **kw),
    "probability_mae": lambda x, *args, **kw: lu.probability_mae(
        x.softmax(-1), *args, **kw
    ),
}


def over(losses):
    return pytest.mark.parametrize("loss", losses.values(), ids=losses)


def gradient(loss, *inputs):
    inputs = [x.detach().clone().requires_grad_() for x in inputs]
    return torch.autograd.grad(loss(*inputs).sum(), inputs)[0]


# ---------------------------------------------------------- peers, where they agree


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_two_class_losses_agree_with_torch(reduction):
    p, y = X.sigmoid(), Y.double()
    soft = y * 0.9 + 0.05
    named = {"reduction": reduction}
    for t in (y, soft):
        ours = lu.binary_cross_entropy(p, t, **named)
        close(ours, F.binary_cross_entropy(p, t, **named))
        ours = lu.binary_cross_entropy_with_logits(X, t, **named)
        close(ours, F.binary_cross_entropy_with_logits(X, t, **named))
    close(lu.soft_margin(X, SIGNS, **named), F.soft_margin_loss(X, SIGNS.double(), **named))


@pytest.mark.parametrize("pos_weight", [torch.tensor(3.0), torch.arange(1.0, 5)])
def test_pos_weight_agrees_with_torch(pos_weight):
    t = (LOGITS > 0.3).double()
    ours = lu.binary_cross_entropy_with_logits(LOGITS, t, pos_weight=pos_weight)
    close(ours, F.binary_cross_entropy_with_logits(LOGITS, t, pos_weight=pos_weight))


def test_pos_weight_as_a_number_or_with_one_entry():
    t = (LOGITS > 0.3).double()
    expected = lu.binary_cross_entropy_with_logits(LOGITS, t, pos_weight=torch.tensor(3.0))
    for three in (3, 3.0, torch.tensor([3.0])):
        close(lu.binary_cross_entropy_with_logits(LOGITS, t, pos_weight=three), expected)
    single = lu.binary_cross_entropy_with_logits(X[0], Y[0], pos_weight=torch.tensor([3.0]))
    assert single.shape == ()


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("ignore_index", [-100, 2])
@pytest.mark.parametrize("class_weight", [None, CLASS_WEIGHT])
@pytest.mark.parametrize("shape", [(40,), (5, 8), (2, 4, 5)])
def test_cross_entropy_agrees_with_torch(
    shape, class_weight, ignore_index, label_smoothing, reduction
):
    x, t = LOGITS.reshape(*shape, 4).movedim(-1, 1), LABELS.reshape(shape)
    named = {
        "ignore_index": ignore_index,
        "label_smoothing": label_smoothing,
        "reduction": reduction,
    }

    def ours(x):
        return lu.cross_entropy(x, t, class_weight=class_weight, **named)

    def theirs(x):
        return F.cross_entropy(x, t, weight=class_weight, **named)

    close(ours(x), theirs(x))
    close(gradient(ours, x), gradient(theirs, x))


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("class_weight", [None, CLASS_WEIGHT])
def test_cross_entropy_of_probabilities_agrees_with_torch(class_weight, label_smoothing):
    for reduction in ("none", "sum", "mean"):
        named = {"label_smoothing": label_smoothing, "reduction": reduction}
        ours = lu.cross_entropy(LOGITS, SOFT, class_weight=class_weight, **named)
        theirs = F.cross_entropy(LOGITS, SOFT, weight=class_weight, **named)
        if class_weight is not None and reduction == "mean":
            # torch divides by N, we by what the samples count.
            theirs = theirs * len(SOFT) / (SOFT @ class_weight).sum()
        close(ours, theirs)


def test_agreement_with_scikit_learn():
    p, scores = X.sigmoid().numpy(), LOGITS.numpy()
    rows, labels, signs = LOGITS.softmax(1), LABELS.numpy(), SIGNS.numpy()
    weight = torch.arange(1.0, 41, dtype=torch.float64)
    named = {"sample_weight": weight.numpy()}
    for ours, theirs in {
        lu.log_loss(X.sigmoid(), Y, weight=weight): sklearn.metrics.log_loss(Y, p, **named),
        lu.cross_entropy(LOGITS, LABELS, weight=weight): sklearn.metrics.log_loss(
            labels, rows.numpy(), **named
        ),
        lu.hinge(X, SIGNS, weight=weight): sklearn.metrics.hinge_loss(signs, X, **named),
        lu.multiclass_hinge(LOGITS, LABELS, weight=weight): sklearn.metrics.hinge_loss(
            labels, scores, **named
        ),
        lu.brier(rows, LABELS, weight=weight): np.average(
            ((np.eye(4)[labels] - rows.numpy()) ** 2).sum(1), weights=weight
        ),
    }.items():
        assert ours.item() == pytest.approx(theirs, rel=1e-12)


def test_two_class_brier_is_twice_scikit_learns():
    p = X.sigmoid()
    ours = lu.brier(torch.stack([1 - p, p], 1), Y)
    assert ours.item() == pytest.approx(2 * sklearn.metrics.brier_score_loss(Y, p))


def test_multiclass_hinge_is_not_torchs():
    x, t = torch.tensor([[0.0, 1.0, 2.0]]), torch.tensor([0])
    assert lu.multiclass_hinge(x, t) == 3  # 1 + max(1, 2) - 0
    assert F.multi_margin_loss(x, t) == pytest.approx((2 + 3) / 3)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@over(SOFT_LOSSES)
def test_one_hot_rows_are_their_indices(loss, label_smoothing):
    more = {}
    if loss is lu.cross_entropy:
        more = {"class_weight": CLASS_WEIGHT, "label_smoothing": label_smoothing}
    one_hot = F.one_hot(LABELS).double()
    weight = torch.arange(40.0)
    for reduction in REDUCTIONS:
        named = {"reduction": reduction, "weight": weight, **more}
        close(loss(LOGITS, one_hot, **named), loss(LOGITS, LABELS, **named))


def test_relations_between_the_losses():
    none = {"reduction": "none"}
    p = LOGITS.softmax(1)
    nats = lu.cross_entropy(LOGITS, LABELS, **none)
    true = p.gather(1, LABELS[:, None]).squeeze(1)
    close(lu.focal(LOGITS, LABELS, gamma=0, **none), nats)
    close(lu.focal(LOGITS, LABELS, gamma=3, **none), (1 - true) ** 3 * nats)
    close(lu.generalized_cross_entropy(LOGITS, LABELS, q=0, **none), nats)
    close(lu.probability_mae(p, LABELS, **none), 2 * (1 - true))
    close(lu.generalized_cross_entropy(LOGITS, LABELS, q=1, **none), 1 - true)
    close(lu.poly1_cross_entropy(LOGITS, LABELS, epsilon=0, **none), nats)
    close(lu.symmetric_cross_entropy(LOGITS, LABELS, alpha=1, beta=0, **none), nats)
    reverse = lu.symmetric_cross_entropy(LOGITS, LABELS, alpha=0, **none)
    clamped = F.one_hot(LABELS).double().clamp(min=math.exp(-4))
    close(reverse, -(p * clamped.log()).sum(1))  # as in Wang et al., with log 0 = -4

    nats = lu.binary_cross_entropy_with_logits(X, Y, **none)
    close(lu.binary_focal_with_logits(X, Y, gamma=0, **none), nats)
    close(lu.soft_margin(X, SIGNS, **none), nats)
    close(lu.cross_entropy(torch.stack([0 * X, X], 1), Y, **none), nats)
    close(lu.squared_hinge(X, SIGNS, **none), lu.hinge(X, SIGNS, **none) ** 2)
    two = lu.focal(torch.stack([0 * X, X], 1), Y, gamma=0.5, **none)
    close(lu.binary_focal_with_logits(X, Y, gamma=0.5, **none), two)
    soft = 0.25 * lu.binary_focal_with_logits(X, torch.ones_like(X), **none)
    soft += 0.75 * lu.binary_focal_with_logits(X, torch.zeros_like(X), **none)
    close(lu.binary_focal_with_logits(X, torch.full_like(X, 0.25), **none), soft)
    alphas = torch.where(Y == 1, 0.3, 0.7)
    balanced = lu.binary_focal_with_logits(X, Y, alpha=0.3, **none)
    close(balanced, alphas * lu.binary_focal_with_logits(X, Y, **none))
    wider = lu.multiclass_hinge(LOGITS, LABELS, margin=2.5, **none)
    close(wider, 2.5 * lu.multiclass_hinge(LOGITS / 2.5, LABELS, **none))


@pytest.mark.parametrize("q", [0.0, 5e-324, 1e-300, 1e-160, 1e-150, 1e-12, 1e-6, 0.5, 1.0])
def test_generalized_cross_entropy_is_continuous_in_q(q):
    found = lu.generalized_cross_entropy(LOGITS, LABELS, q=q, reduction="none")
    with mpmath.workdps(400):
        for x, t, value in zip(
            LOGITS.tolist(), LABELS.tolist(), found.tolist(), strict=True
        ):
            p = mpmath.exp(x[t]) / sum(mpmath.exp(v) for v in x)
            exact = (1 - p ** mpmath.mpf(q)) / q if q else -mpmath.log(p)
            assert value == pytest.approx(float(exact), rel=1e-13)


# ------------------------------------------------------------------- worked numbers


@pytest.mark.parametrize("loss", [lu.binary_cross_entropy, lu.log_loss])
def test_worked_log_loss(loss):
    p, y = torch.tensor([0.9, 0.2, 0.12]), torch.tensor([1, 0, 1])
    found = loss(p, y, reduction="none").tolist()
    assert found == pytest.approx([0.105361, 0.223144, 2.120264], rel=1e-5)


def test_worked_cross_entropy_with_a_probability_of_zero():
    p, onehot = torch.tensor([[0.01, 0.0, 0.99]]), torch.tensor([[1.0, 0.0, 0.0]])
    assert (onehot * p.log()).sum().isnan()  # 0 · log 0, as often written
    for t in (torch.tensor([0]), onehot):
        assert lu.cross_entropy(p.log(), t).item() == pytest.approx(4.605170, rel=1e-6)


def test_worked_two_class_cross_entropy():
    x = torch.tensor([[0.6, 0.4]]).log()
    difference = x[:, 0] - x[:, 1]
    assert lu.cross_entropy(x, torch.tensor([0])).item() == pytest.approx(
        0.510826, rel=1e-5
    )
    close(
        lu.binary_cross_entropy_with_logits(difference, torch.ones(1)),
        lu.cross_entropy(x, torch.tensor([0])),
    )


def test_worked_hinge_table():
    scores = torch.tensor([0.0, 0.5, 0.9, 1.0, 2.5])
    expected = torch.tensor([1.0, 0.5, 0.1, 0.0, 0.0])
    close(lu.hinge(scores, torch.ones(5), reduction="none"), expected)
    close(lu.hinge(-scores, -torch.ones(5), reduction="none"), expected)
    assert lu.hinge(torch.tensor(-2.0), torch.tensor(-1)) == 0


def test_hinge_gradient_at_the_kink_is_zero():
    at_margin = torch.tensor([1.0, -1.0])
    assert gradient(lambda x: lu.hinge(x, at_margin), at_margin).tolist() == [0, 0]
    assert gradient(lambda x: (1 - x).clamp(min=0), torch.ones(1)) == -1  # torch.clamp


def test_clip_of_log_loss_at_the_edge():
    p = torch.tensor([0.0, 1.0], dtype=torch.float64)
    wrong = 1 - p
    assert lu.binary_cross_entropy(p, wrong, reduction="none").tolist() == [100, 100]
    assert lu.binary_cross_entropy(p, p, reduction="none").tolist() == [0, 0]
    slope = gradient(lambda x: lu.binary_cross_entropy(x, wrong, reduction="sum"), p)
    assert slope.tolist() == pytest.approx([-1e12, 1e12], rel=1e-7)
    logit = torch.tensor(-200.0)
    assert lu.binary_cross_entropy_with_logits(logit, torch.tensor(1)) == 200


def test_worked_label_smoothing():
    x = torch.tensor([[3.0, 0.0]])
    nats = -x.log_softmax(1)[0]
    smoothed = lu.cross_entropy(x, torch.tensor([0]), label_smoothing=0.2)
    close(smoothed, 0.9 * nats[0] + 0.1 * nats[1])


ETA = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)


def sharpened(power):
    return ETA**power / (ETA**power).sum()


@pytest.mark.parametrize(
    ("loss", "parameters", "optimum"),
    [
        ("cross_entropy", {}, ETA),
        ("cross_entropy", {"label_smoothing": 0.3}, 0.7 * ETA + 0.1),
        ("generalized_cross_entropy", {"q": 0.7}, sharpened(1 / 0.3)),
    ],
)
def test_what_a_loss_estimates(loss, parameters, optimum):
    """With labels drawn from ETA the expected slope vanishes at the stated optimum."""
    labels = torch.arange(3)

    def expected(x):
        each = getattr(lu, loss)(x.expand(3, 3), labels, reduction="none", **parameters)
        return (ETA * each).sum()

    assert gradient(expected, optimum.log()).abs().max() < 1e-15
    assert gradient(expected, (0.9 * optimum + 0.1 / 3).log()).abs().max() > 1e-3


@pytest.mark.parametrize("eta", [0.2, 0.5, 0.9])
def test_what_two_class_losses_estimate(eta):
    log_odds = math.log(eta / (1 - eta))
    for loss, optimum in (
        (lu.soft_margin, log_odds),
        (lu.squared_hinge, 2 * eta - 1),
    ):

        def expected(f, loss=loss):
            return eta * loss(f, torch.ones_like(f)) + (1 - eta) * loss(
                f, -torch.ones_like(f)
            )

        at = torch.tensor([optimum, optimum + 0.1], dtype=torch.float64)
        assert abs(gradient(expected, at[0])) < 1e-15
        assert gradient(expected, at[1]) > 1e-3


@pytest.mark.parametrize(
    ("name", "sharper"), [("focal", False), ("poly1", True), ("sce", True)]
)
def test_where_probabilities_are_drawn(name, sharper):
    """The minimiser keeps the order of the classes and moves the largest as documented."""
    loss = {
        "focal": lu.focal,
        "poly1": lu.poly1_cross_entropy,
        "sce": lu.symmetric_cross_entropy,
    }[name]
    x = ETA.log().requires_grad_()
    optimiser = torch.optim.LBFGS([x], max_iter=200, line_search_fn="strong_wolfe")

    def closure():
        optimiser.zero_grad()
        expected = (ETA * loss(x.expand(3, 3), torch.arange(3), reduction="none")).sum()
        expected.backward()
        return expected

    optimiser.step(closure)
    p = x.detach().softmax(0)
    assert p[0] > p[1] > p[2]
    assert (p[0] - ETA[0] > 0.01) if sharper else (p[0] - ETA[0] < -0.01)


# --------------------------------------------- where peers overflow, cancel or give NaN


@pytest.mark.parametrize(
    ("dtype", "score"),
    [(torch.float32, -89.0), (torch.float16, -12.0), (torch.float64, -800.0)],
)
def test_soft_margin_is_finite_where_torchs_is_not(dtype, score):
    x, t = torch.tensor([score], dtype=dtype), torch.ones(1, dtype=dtype)
    formula = torch.log(1 + torch.exp(-t * x))
    assert formula.isinf()
    if dtype != torch.float16:  # which torch may compute in float32
        assert F.soft_margin_loss(x, t).isinf()
    assert lu.soft_margin(x, t) == pytest.approx(-score, rel=1e-5)
    assert gradient(lambda x: lu.soft_margin(x, t), x) == pytest.approx(-1, rel=1e-5)


def torchvisions_focal(x, t, gamma):
    p = x.sigmoid()
    p_t = p * t + (1 - p) * (1 - t)
    nats = F.binary_cross_entropy_with_logits(x, t, reduction="none")
    return nats * (1 - p_t) ** gamma


@pytest.mark.parametrize("gamma", [0.0, 0.1, 0.5, 1.0, 1.5, 2.0, 5.0, 100.0])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
def test_focal_gradients_are_finite(gamma, dtype):
    x = torch.tensor([-3e4, -90, -1, 0, 1, 40, 90, 3e4], dtype=dtype)
    ones, labels = torch.ones_like(x), torch.ones(len(x), dtype=torch.long)
    if 0 < gamma < 1:
        assert gradient(lambda x: torchvisions_focal(x, ones, gamma), x).isnan().any()
    slope = gradient(lambda x: lu.binary_focal_with_logits(x, ones, gamma=gamma), x)
    assert slope.isfinite().all()
    rows = torch.stack([torch.zeros_like(x), x], 1)
    slopes = gradient(lambda r: lu.focal(r, labels, gamma=gamma), rows)
    close(slopes[:, 1], slope)
    close(slopes[:, 0], -slope)
    second = gradient(
        lambda x: torch.func.vmap(
            torch.func.grad(
                lambda v: lu.binary_focal_with_logits(v, v.new_ones(()), gamma=gamma)
            )
        )(x),
        x,
    )
    assert second.isfinite().all()


def test_generalized_cross_entropy_slope_at_a_hopeless_label():
    x = torch.tensor([[-1e4, 0.0]])
    label = torch.tensor([0])

    def printed(x):
        return (1 - x.softmax(1)[:, 0] ** 0.7) / 0.7

    assert gradient(printed, x).isnan().any()
    found = gradient(lambda x: lu.generalized_cross_entropy(x, label), x)
    assert found.tolist() == [[0, 0]]


@pytest.mark.parametrize("x", [-10.0, -20.0, -50.0])
def test_logits_of_confident_right_answers_do_not_cancel(x):
    logit, zero = torch.tensor(x), torch.tensor(0.0)
    exact = math.log1p(math.exp(x))
    theirs = F.binary_cross_entropy_with_logits(logit, zero).item()
    assert abs(theirs / exact - 1) > 5e-3
    for found in (
        lu.binary_cross_entropy_with_logits(logit, zero),
        lu.soft_margin(logit, zero - 1),
        lu.poly1_cross_entropy(torch.tensor([0.0, x]), torch.tensor(0), epsilon=0),
    ):
        assert found.item() == pytest.approx(exact, rel=3e-7)


@pytest.mark.parametrize("x", [20.5, 25.0, 30.0])
def test_wrong_answers_keep_float64_round_off(x):
    logit, zero = torch.tensor(x, dtype=torch.float64), torch.tensor(0.0)
    exact = x + math.log1p(math.exp(-x))
    assert abs(F.softplus(logit).item() / exact - 1) > 1e-15
    for loss in (
        lu.binary_cross_entropy_with_logits,
        lambda x, t: lu.binary_focal_with_logits(x, t, gamma=0),
        lambda x, t: lu.soft_margin(x, t - 1),
    ):
        assert loss(logit, zero).item() == pytest.approx(exact, rel=3e-16)
        slope = gradient(lambda x, loss=loss: loss(x, zero), logit).item()
        assert slope == pytest.approx(1 / (1 + math.exp(-x)), rel=3e-16)


@over(INDEX_LOSSES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_all_ignored_moves_nothing(loss, reduction):
    ignored = torch.full((40,), -100)
    if loss is lu.cross_entropy and reduction == "mean":
        assert F.cross_entropy(LOGITS, ignored).isnan()
    value = loss(LOGITS, ignored, reduction=reduction)
    assert value.shape == (ignored.shape if reduction == "none" else ())
    assert not value.any()
    assert not gradient(lambda x: loss(x, ignored, reduction=reduction), LOGITS).any()


@over(INDEX_LOSSES)
@pytest.mark.parametrize("ignore_index", [-100, 255, 1])
def test_ignored_elements_do_not_count(loss, ignore_index):
    if ignore_index == 1:
        labels, left = LABELS, LABELS != 1
    else:
        left = torch.arange(40) % 3 != 0
        labels = LABELS.where(left, ignore_index)
    for reduction in ("mean", "sum"):
        named = {"reduction": reduction}
        found = loss(LOGITS, labels, ignore_index=ignore_index, **named)
        close(found, loss(LOGITS[left], labels[left], **named))
    each = loss(LOGITS, labels, ignore_index=ignore_index, reduction="none")
    assert torch.equal(each == 0, ~left)


@pytest.mark.parametrize("loss", [lu.cross_entropy, lu.focal])
def test_mean_is_weighted_by_class_and_element(loss):
    weight = torch.arange(40, dtype=torch.float64)
    named = {"class_weight": CLASS_WEIGHT, "ignore_index": 2}
    each = loss(LOGITS, LABELS, **named, reduction="none")
    share = CLASS_WEIGHT[LABELS].masked_fill(LABELS == 2, 0)
    close(each, share * loss(LOGITS, LABELS, reduction="none"))
    mean = loss(LOGITS, LABELS, **named, weight=weight)
    close(mean, (weight * each).sum() / (weight * share).sum())
    nothing = loss(LOGITS, LABELS, class_weight=torch.zeros(4))
    assert nothing == 0


def test_classes_ruled_out_by_minus_infinity():
    x = torch.tensor([[1.0, -inf, 0.5], [-inf, 2.0, 0.0]], requires_grad=True)
    q = torch.tensor([[0.75, 0.0, 0.25], [0.0, 0.5, 0.5]], requires_grad=True)
    assert F.cross_entropy(x, q).isnan()
    each = lu.cross_entropy(x, q, reduction="none")
    for row, keep in enumerate(([0, 2], [1, 2])):
        close(each[row], lu.cross_entropy(x[row, keep], q[row, keep]))
    slopes = torch.autograd.grad(each.sum(), (x, q))
    assert all(s.isfinite().all() for s in slopes)
    assert lu.cross_entropy(x[:1], torch.tensor([1])) == inf  # the label is ruled out
    broken = torch.tensor([[nan, 0.0, 0.0]])
    assert lu.cross_entropy(broken, torch.tensor([[0.0, 0.0, 1.0]])).isnan()


@over({**INDEX_LOSSES, "multiclass_hinge": lu.multiclass_hinge})
def test_all_rivals_ruled_out(loss):
    x = torch.tensor([[1.0, -inf, -inf], [1.0, -inf, 0.0]])
    each = loss(x, torch.tensor([0, 0]), reduction="none")
    assert each[0] == 0
    close(each[1], loss(x[1, [0, 2]], torch.tensor(0)))
    slopes = gradient(lambda x: loss(x, torch.tensor([0, 0]), reduction="none"), x)
    assert slopes.isfinite().all()
    assert not slopes[0].any()


def test_nan_is_not_swallowed_by_ranges_or_branches():
    p, one = torch.tensor([nan, 0.5], requires_grad=True), torch.ones(2)
    loss = lu.binary_cross_entropy(p, one, reduction="none")
    assert loss.isnan().tolist() == [True, False]
    (slope,) = torch.autograd.grad(loss.sum(), p)
    assert slope.isnan().tolist() == [True, False]
    loss = lu.binary_cross_entropy(one / 2, torch.tensor([nan, 1]), reduction="none")
    assert loss.isnan().tolist() == [True, False]
    assert lu.hinge(torch.tensor([nan]), one[:1]).isnan()
    assert lu.hinge(one[:1], torch.tensor([nan])).isnan()


def test_probability_that_cannot_be_refused_costs_nan():
    p, t = torch.tensor([0.5, 3.0, -1.0, nan]), torch.ones(4)

    def loss(p, t):
        return lu.binary_cross_entropy(p, t, reduction="none")

    expected = [False, True, True, True]
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    assert compiled(p, t).isnan().tolist() == expected
    assert torch.vmap(loss)(p, t).isnan().tolist() == expected
    torch._dynamo.reset()


# ----------------------------------------------------------- shapes, types, transforms


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32])
def test_any_integer_type_is_an_index(dtype):
    for loss in (*INDEX_LOSSES.values(), *SOFT_LOSSES.values(), lu.multiclass_hinge):
        close(loss(LOGITS, LABELS.to(dtype)), loss(LOGITS, LABELS))


@over({**INDEX_LOSSES, **SOFT_LOSSES, "multiclass_hinge": lu.multiclass_hinge})
def test_one_sample_and_vmap(loss):
    each = loss(LOGITS, LABELS, reduction="none")
    close(loss(LOGITS[3], LABELS[3]), each[3])
    close(torch.func.vmap(loss)(LOGITS, LABELS), each)
    slopes = torch.func.vmap(torch.func.grad(loss))(LOGITS, LABELS)
    close(slopes, gradient(lambda x: loss(x, LABELS, reduction="none"), LOGITS))


def test_soft_targets_are_differentiable_and_vmapped():
    for loss in SOFT_LOSSES.values():
        each = loss(LOGITS, SOFT, reduction="none")
        close(torch.func.vmap(loss)(LOGITS, SOFT), each)
        slope = torch.func.grad(loss, argnums=1)(LOGITS, SOFT)
        assert slope.isfinite().all()
        assert slope.any()
    # A class that the label excludes has a slope too, unless its logit is −∞.
    slope = torch.func.grad(lu.cross_entropy, argnums=1)(LOGITS, F.one_hot(LABELS).double())
    close(slope, -LOGITS.log_softmax(1) / 40)


def test_class_weight_moves_with_its_module():
    module = lu.CrossEntropyLoss(class_weight=CLASS_WEIGHT.float(), label_smoothing=0.1)
    expected = lu.cross_entropy(
        LOGITS, LABELS, class_weight=CLASS_WEIGHT, label_smoothing=0.1
    )
    close(module.double()(LOGITS, LABELS), expected)
    assert torch.equal(module.state_dict()["class_weight"], CLASS_WEIGHT)


def test_aliases():
    assert lu.log_loss is lu.binary_cross_entropy
    assert lu.LogLoss is lu.BinaryCrossEntropyLoss


# --------------------------------------------------------------------------- mistakes

P2, Y2, I2 = torch.tensor([0.2, 0.9]), torch.tensor([0.0, 1.0]), torch.tensor([0, 1])
R2 = torch.tensor([[0.2, 0.8], [0.9, 0.1]])
IMAGE, MASK = torch.zeros(2, 3, 5, 4), torch.zeros(2, 5, 4, dtype=torch.long)


def bad(call, *words, error=ValueError):
    return pytest.param(call, words, error, id=" ".join(words)[:60])


@pytest.mark.parametrize(
    ("call", "words", "error"),
    [
        # probabilities and two-class labels
        bad(lambda: lu.log_loss(4 * P2, Y2), "input holds 3.6", "logits", "_with_logits"),
        bad(lambda: lu.log_loss(P2, 255 * Y2), "target holds 255", "target / 255"),
        bad(lambda: lu.log_loss(P2, 2 * Y2 - 1), "target holds -1", "(target + 1) / 2"),
        bad(
            lambda: lu.binary_cross_entropy_with_logits(P2, 255 * Y2),
            "target holds 255",
            "target / 255",
        ),
        bad(lambda: lu.binary_focal_with_logits(P2, -Y2), "target holds -1", "+ 1) / 2"),
        bad(lambda: lu.hinge(P2, Y2), "holds 0", "-1 or 1", "2 * target - 1"),
        bad(lambda: lu.squared_hinge(P2, Y2 > 0), "holds 0", "2 * target - 1"),
        bad(lambda: lu.soft_margin(P2, 2 + Y2), "target holds 2", "expected -1 or 1"),
        # shapes of several classes
        bad(
            lambda: lu.cross_entropy(R2, I2[:, None]),
            "(2, 2) and target (2, 1)",
            "target.squeeze(1)",
        ),
        bad(lambda: lu.focal(IMAGE, MASK[:, None]), "(2, 1, 5, 4)", "target.squeeze(1)"),
        bad(
            lambda: lu.cross_entropy(R2, F.one_hot(I2)),
            "indices of shape (2,)",
            "target.argmax(1)",
            "target.float()",
        ),
        bad(lambda: lu.focal(R2, F.one_hot(I2)), "One-hot", "target.argmax(1)"),
        bad(lambda: lu.focal(R2, F.one_hot(I2).float()), "One-hot", "target.argmax(1)"),
        bad(
            lambda: lu.cross_entropy(IMAGE.movedim(1, -1), MASK),
            "axis 1",
            "input.movedim(-1, 1)",
        ),
        bad(lambda: lu.cross_entropy(P2, I2), "1-D input is one sample", "binary loss"),
        bad(lambda: lu.cross_entropy(R2, I2[:1]), "(2, 2)", "(1,)", "its label"),
        bad(lambda: lu.cross_entropy(P2[0], I2[0]), "input has shape ()", "(N, C, ...)"),
        # types and values of class labels
        bad(lambda: lu.cross_entropy(R2, Y2), "float32", "target.long()", error=TypeError),
        bad(lambda: lu.focal(R2, I2 > 0), "torch.bool", "target.long()", error=TypeError),
        bad(lambda: lu.cross_entropy(R2, [0, 1]), "target is a list", error=TypeError),
        bad(lambda: lu.cross_entropy(I2, R2), "int64", "exchanged", error=TypeError),
        *(
            bad(lambda f=f: f(R2, I2 + 1), "target holds 2", "[0, 1]", "start at 1")
            for f in (*INDEX_LOSSES.values(), lu.multiclass_hinge, *SOFT_LOSSES.values())
        ),
        bad(lambda: lu.cross_entropy(R2, I2 - 1), "target holds -1", "ignore_index"),
        bad(lambda: lu.multiclass_hinge(R2, I2 - 100), "target holds -100"),
        bad(lambda: lu.cross_entropy(R2, R2 + 1), "target holds 1.2", "expected [0, 1]"),
        bad(
            lambda: lu.cross_entropy(R2, torch.ones(2, 2)),
            "sum over classes of target holds 2",
            "binary_cross_entropy_with_logits",
        ),
        bad(lambda: lu.brier(4 * R2, I2), "input holds 3.2", "input.softmax(1)"),
        bad(lambda: lu.brier(R2 / 2, I2), "sum over classes of input", "input.softmax(1)"),
        bad(lambda: lu.probability_mae(-R2, I2), "input holds -0.2", "input.softmax(1)"),
        # parameters
        bad(
            lambda: lu.cross_entropy(R2, I2, class_weight=torch.ones(3)),
            "class_weight has shape (3,)",
            "expected (2,)",
        ),
        bad(
            lambda: lu.focal(R2, I2, class_weight=torch.tensor([1.0, -1.0])),
            "class_weight holds -1",
        ),
        bad(
            lambda: lu.cross_entropy(R2, I2, class_weight=[1.0, 2.0]),
            "class_weight is a list",
            "torch.as_tensor(class_weight",
            error=TypeError,
        ),
        bad(
            lambda: lu.binary_cross_entropy_with_logits(R2, R2, pos_weight=torch.ones(3)),
            "pos_weight has shape (3,)",
            "last axis",
        ),
        bad(
            lambda: lu.binary_cross_entropy_with_logits(
                R2, R2, pos_weight=torch.ones(2, 2)
            ),
            "pos_weight has shape (2, 2)",
            "weight=",
        ),
        bad(lambda: lu.binary_cross_entropy_with_logits(P2, Y2, pos_weight=-1), "is -1"),
        bad(lambda: lu.cross_entropy(R2, I2, label_smoothing=1.1), "1.1", "at most 1"),
        bad(lambda: lu.focal(R2, I2, gamma=-1), "gamma is -1", "at least 0"),
        bad(lambda: lu.focal(R2, I2, gamma=nan), "gamma is nan"),
        bad(lambda: lu.binary_focal_with_logits(P2, Y2, gamma=inf), "gamma is inf"),
        bad(
            lambda: lu.binary_focal_with_logits(P2, Y2, alpha=2), "alpha is 2", "at most 1"
        ),
        bad(lambda: lu.multiclass_hinge(R2, I2, margin=0), "margin is 0", "above 0"),
        bad(lambda: lu.generalized_cross_entropy(R2, I2, q=1.5), "q is 1.5", "at most 1"),
        bad(lambda: lu.symmetric_cross_entropy(R2, I2, beta=-1), "beta is -1"),
        bad(
            lambda: lu.symmetric_cross_entropy(R2, I2, log_zero=4), "log_zero", "at most 0"
        ),
        bad(lambda: lu.poly1_cross_entropy(R2, I2, epsilon=-2), "epsilon is -2"),
    ],
)
def test_mistakes_are_answered(call, words, error):
    with pytest.raises(error, match=re.escape(words[0])) as caught:
        call()
    for word in words:
        assert word in str(caught.value)
