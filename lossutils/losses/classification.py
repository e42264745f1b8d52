"""Classification losses: on probabilities, logits or signed scores.

Whether a function takes probabilities or logits stands in its name or its first line.
Two-class losses take `input` and `target` of one shape, any shape. Multi-class losses
take an input of shape (N, C) or (N, C, ...) with the C classes on axis 1, and a target
of class indices of shape (N, ...); an input (C,) with a target () is one sample. Nothing
is broadcast, half types are computed in float32, the mean is the weighted mean, and the
mean over nothing is 0.

On the CPU, values that cannot be right (a probability of 3, a label 0 for a hinge, an
index that no class has) raise a ValueError. Elsewhere, and in compiled code, they are not
looked at, since that would wait for the device.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from lossutils.losses._core import (
    Reduction,
    as_module,
    check_input,
    check_pair,
    check_positive,
    check_range,
    check_target,
    check_values,
    check_weight,
    reduce,
    reduce_over,
)

__all__ = [
    "BinaryCrossEntropyLoss",
    "BinaryCrossEntropyWithLogitsLoss",
    "BinaryFocalWithLogitsLoss",
    "BrierLoss",
    "CrossEntropyLoss",
    "FocalLoss",
    "GeneralizedCrossEntropyLoss",
    "HingeLoss",
    "LogLoss",
    "MulticlassHingeLoss",
    "Poly1CrossEntropyLoss",
    "ProbabilityMAELoss",
    "SoftMarginLoss",
    "SquaredHingeLoss",
    "SymmetricCrossEntropyLoss",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "binary_focal_with_logits",
    "brier",
    "cross_entropy",
    "focal",
    "generalized_cross_entropy",
    "hinge",
    "log_loss",
    "multiclass_hinge",
    "poly1_cross_entropy",
    "probability_mae",
    "soft_margin",
    "squared_hinge",
    "symmetric_cross_entropy",
]


# Two classes


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Binary cross-entropy (log loss) of probabilities, −y log p − (1 − y) log(1 − p).

    Estimates the probability of class 1. Each logarithm is clipped at -100, as in torch:
    p = 0 costs 100 where y = 1, not infinity, and the slope (p − y)/(p(1 − p)) there is
    (p − y)·10¹². A sigmoid that saturates loses the difference between wrong and hopeless;
    `binary_cross_entropy_with_logits` keeps it. Also called `log_loss`.

    Parameters
    ----------
    input, target : Tensor
        Probabilities and labels of one shape, any shape, both in [0, 1]. The input is
        floating-point and decides the type; labels may be soft.
    weight : Tensor, optional
        Non-negative, one per element, of the input's shape.
    reduction : {"mean", "sum", "none"}
        Default "mean", the weighted mean Σwℓ / Σw; "none" keeps the input's shape.

    Returns
    -------
    Tensor
        In the input's type, in nats. Where a value outside [0, 1] cannot be refused (off
        the CPU, or compiled), the loss is NaN.

    Raises
    ------
    ValueError
        Shapes or devices differ, a value is outside [0, 1], a weight is negative, the
        reduction is unknown.
    TypeError
        An argument is no tensor, or the input is not floating-point.

    References
    ----------
    Good (1952), Rational decisions.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> lu.binary_cross_entropy(torch.tensor([0.9, 0.2]), torch.ones(2), reduction="none")
    tensor([0.1054, 1.6094])
    """
    p, t = check_pair(input, target)
    check_range(
        p, 0, 1, "input", "for logits use binary_cross_entropy_with_logits(input, target)"
    )
    _check_label(t)
    # torch's kernel stops on NaN as it does on 3, on a GPU by killing the process.
    outside = ~((p >= 0) & (p <= 1) & (t >= 0) & (t <= 1))
    safe_p, safe_t = p.masked_fill(outside, 0.5), t.masked_fill(outside, 0.5)
    loss = F.binary_cross_entropy(safe_p, safe_t, reduction="none")
    loss = loss + torch.zeros_like(p).masked_fill(outside, math.nan) * p  # slope NaN too
    return reduce(loss, weight, reduction, input.dtype)


log_loss = binary_cross_entropy


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    *,
    pos_weight: Tensor | float | None = None,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Binary cross-entropy of logits, y log(1 + exp(−x)) + (1 − y) log(1 + exp(x)).

    Estimates the log-odds of class 1: p = sigmoid(x). The slope in x is p − y. Accurate
    to round-off for confident right answers too, where torch's own formula cancels.

    Parameters
    ----------
    input, target : Tensor
        Logits and labels of one shape, any shape. The input is floating-point and decides
        the type; labels lie in [0, 1] and may be soft.
    pos_weight : float or Tensor, optional
        Non-negative factor of the first term, one number for all or one per entry of the
        last axis. Unlike `weight` it does not count in the mean: above 1 the loss grows.
    weight : Tensor, optional
        Non-negative, one per element, of the input's shape.
    reduction : {"mean", "sum", "none"}
        Default "mean", the weighted mean Σwℓ / Σw; "none" keeps the input's shape.

    Returns
    -------
    Tensor
        In the input's type, in nats.

    Raises
    ------
    ValueError
        Shapes or devices differ, a label is outside [0, 1], a weight is negative, the
        reduction is unknown, or pos_weight has neither one entry nor one per class.
    TypeError
        An argument is no tensor, or the input is not floating-point.

    References
    ----------
    Cox (1958), The regression analysis of binary sequences.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> x, y = torch.tensor([-200.0, 0.0, 200.0]), torch.ones(3)
    >>> lu.binary_cross_entropy_with_logits(x, y, reduction="none")
    tensor([200.0000,   0.6931,   0.0000])
    """
    x, t = check_pair(input, target)
    _check_label(t)
    positive = t if pos_weight is None else t * _check_pos_weight(x, pos_weight)
    loss = positive * _softplus(-x) + (1 - t) * _softplus(x)
    return reduce(loss, weight, reduction, input.dtype)


def binary_focal_with_logits(
    input: Tensor,
    target: Tensor,
    *,
    gamma: float = 2.0,
    alpha: float | None = None,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Binary focal loss of logits, −(1 − p)^γ log p with p the label's probability.

    Cross-entropy that turns away from what is already right: γ = 0 is cross-entropy. The
    most probable class is still the minimiser's, but its probability is drawn towards
    1/2: calibrate before reading it. Gradients are finite for every γ ≥ 0. A soft label
    y costs y times the loss of label 1 plus 1 − y times that of label 0.

    Parameters
    ----------
    input, target : Tensor
        Logits and labels of one shape, any shape. The input is floating-point and decides
        the type; labels lie in [0, 1] and may be soft.
    gamma : float
        Focus, at least 0. Default 2.
    alpha : float, optional
        Factor of label 1, in [0, 1]; label 0 has 1 − alpha. It does not count in the
        mean. Default None, factor 1 for both.
    weight : Tensor, optional
        Non-negative, one per element, of the input's shape.
    reduction : {"mean", "sum", "none"}
        Default "mean", the weighted mean Σwℓ / Σw; "none" keeps the input's shape.

    Returns
    -------
    Tensor
        In the input's type, in nats.

    Raises
    ------
    ValueError
        Shapes or devices differ, a label is outside [0, 1], a weight is negative, the
        reduction is unknown, gamma is negative, or alpha is outside [0, 1].
    TypeError
        An argument is no tensor, or the input is not floating-point.

    References
    ----------
    Lin, Goyal, Girshick, He and Dollár (2017), Focal loss for dense object detection.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> x = torch.tensor([-2.0, 0.0, 2.0])
    >>> lu.binary_focal_with_logits(x, torch.ones(3), reduction="none")
    tensor([1.6501, 0.1733, 0.0018])
    """
    x, t = check_pair(input, target)
    _check_label(t)
    _check_interval(0, math.inf, gamma=gamma)
    positive, negative = t, 1 - t
    if alpha is not None:
        _check_interval(0, 1, alpha=alpha)
        positive, negative = alpha * positive, (1 - alpha) * negative
    loss = positive * _focal(x, gamma) + negative * _focal(-x, gamma)
    return reduce(loss, weight, reduction, input.dtype)


def hinge(
    input: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Hinge loss of scores, max(0, 1 − y f) for labels y = ±1.

    Estimates the majority class, as the sign of the score; the score's size is no
    confidence. Beyond the margin, y f > 1, an element has no influence, and none at the
    kink, y f = 1: the gradient there is 0 (`torch.clamp` would give −y).

    Parameters
    ----------
    input, target : Tensor
        Scores and labels of one shape, any shape. The input is floating-point and decides
        the type; labels are -1 and 1.
    weight : Tensor, optional
        Non-negative, one per element, of the input's shape.
    reduction : {"mean", "sum", "none"}
        Default "mean", the weighted mean Σwℓ / Σw; "none" keeps the input's shape.

    Returns
    -------
    Tensor
        In the input's type, in units of the score.

    Raises
    ------
    ValueError
        Shapes or devices differ, a label is not -1 or 1, a weight is negative, the
        reduction is unknown.
    TypeError
        An argument is no tensor, or the input is not floating-point.

    References
    ----------
    Cortes and Vapnik (1995), Support-vector networks.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> lu.hinge(torch.tensor([-1.0, 0.5, 2.0]), torch.ones(3), reduction="none")
    tensor([2.0000, 0.5000, 0.0000])
    """
    margin = _signed_margin(input, target)
    return reduce(F.relu(1 - margin), weight, reduction, input.dtype)


def squared_hinge(
    input: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Squared hinge loss of scores, max(0, 1 − y f)² for labels y = ±1.

    Smooth where the hinge has its kink. Estimates 2p − 1 with p the probability of
    label 1, so scores are calibrated, but a wrong label pulls without bound.

    Parameters
    ----------
    input, target : Tensor
        Scores and labels of one shape, any shape. The input is floating-point and decides
        the type; labels are -1 and 1.
    weight : Tensor, optional
        Non-negative, one per element, of the input's shape.
    reduction : {"mean", "sum", "none"}
        Default "mean", the weighted mean Σwℓ / Σw; "none" keeps the input's shape.

    Returns
    -------
    Tensor
        In the input's type, in squared units of the score.

    Raises
    ------
    ValueError
        Shapes or devices differ, a label is not -1 or 1, a weight is negative, the
        reduction is unknown.
    TypeError
        An argument is no tensor, or the input is not floating-point.

    References
    ----------
    Zhang (2004), Statistical behavior and consistency of classification methods based on
    convex risk minimization.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> lu.squared_hinge(torch.tensor([-1.0, 0.5, 2.0]), torch.ones(3), reduction="none")
    tensor([4.0000, 0.2500, 0.0000])
    """
    margin = _signed_margin(input, target)
    return reduce(F.relu(1 - margin).square(), weight, reduction, input.dtype)


def soft_margin(
    input: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Soft margin (logistic) loss of scores, log(1 + exp(−y f)) for labels y = ±1.

    Binary cross-entropy with other labels: estimates the log-odds of label 1. Finite for
    every score, where torch's `soft_margin_loss` overflows below -89 in float32.

    Parameters
    ----------
    input, target : Tensor
        Scores and labels of one shape, any shape. The input is floating-point and decides
        the type; labels are -1 and 1.
    weight : Tensor, optional
        Non-negative, one per element, of the input's shape.
    reduction : {"mean", "sum", "none"}
        Default "mean", the weighted mean Σwℓ / Σw; "none" keeps the input's shape.

    Returns
    -------
    Tensor
        In the input's type, in nats.

    Raises
    ------
    ValueError
        Shapes or devices differ, a label is not -1 or 1, a weight is negative, the
        reduction is unknown.
    TypeError
        An argument is no tensor, or the input is not floating-point.

    References
    ----------
    Cox (1958), The regression analysis of binary sequences.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> lu.soft_margin(torch.tensor([-1e4, 0.0, 1e4]), torch.ones(3), reduction="none")
    tensor([1.0000e+04, 6.9315e-01, 0.0000e+00])
    """
    margin = _signed_margin(input, target)
    return reduce(_softplus(-margin), weight, reduction, input.dtype)


# Several classes


def cross_entropy(
    input: Tensor,
    target: Tensor,
    *,
    class_weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int = -100,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Cross-entropy of logits, −log p with p the softmax probability of the label.

    Estimates the class probabilities. The slope in each logit is its probability minus
    the label's, so between -1 and 1. The label may be a distribution q over the classes,
    which costs −Σ q_c log p_c; a class with logit −∞ and q_c = 0 costs nothing.

    The mean is Σ w k ℓ / Σ w k, where k is the class weight of the label, Σ k_c q_c for a
    distribution. That is torch's mean for indices; for distributions torch divides by
    the number of samples instead, so that one-hot rows and their indices disagree there.

    Parameters
    ----------
    input : Tensor
        Logits, (N, C) or (N, C, ...) with the C classes on axis 1, or (C,) for one sample.
    target : Tensor
        Class indices of any integer type, (N, ...), or () for one sample. Or class
        probabilities of the input's shape, in a floating-point type.
    class_weight : Tensor, optional
        Non-negative, (C,): the factor of each class.
    label_smoothing : float
        Share of the label that is spread evenly over the classes, in [0, 1]. Default 0.
    ignore_index : int
        Label of elements to leave out: they cost 0, have no gradient, and do not count in
        the mean, which is 0 where nothing counts. Default -100. For indices only.
    weight : Tensor, optional
        Non-negative, one per element of the unreduced loss, (N, ...).
    reduction : {"mean", "sum", "none"}
        Default "mean", as above; "none" gives shape (N, ...), class weights applied.

    Returns
    -------
    Tensor
        In the input's type, in nats.

    Raises
    ------
    ValueError
        Shapes or devices do not fit, an index has no class, probabilities are outside
        [0, 1] or do not sum to 1, a weight is negative, the reduction is unknown, or
        label_smoothing is outside [0, 1].
    TypeError
        An argument is no tensor, the input is not floating-point, or indices are not
        integers.

    References
    ----------
    Bridle (1990), Probabilistic interpretation of feedforward classification network
    outputs; label smoothing: Szegedy, Vanhoucke, Ioffe, Shlens and Wojna (2016),
    Rethinking the Inception architecture for computer vision, section 7.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> lu.cross_entropy(torch.tensor([[0.1, 0.2, 0.7]]).log(), torch.tensor([2]))
    tensor(0.3567)
    >>> lu.cross_entropy(torch.zeros(2, 3), torch.tensor([-100, -100]))
    tensor(0.)
    """
    x, t, axis = _check_classes(input, target, soft=True, ignore_index=ignore_index)
    _check_interval(0, 1, label_smoothing=label_smoothing)
    weights = _check_class_weight(x, class_weight, axis)

    nats = 0 - F.log_softmax(x, axis)
    if t.is_floating_point():
        ruled_out = (t == 0) & (nats == math.inf)
        loss = (t * weights * nats.masked_fill(ruled_out, 0)).sum(axis)
        share = torch.ones_like(loss)
        if class_weight is not None:
            share = (t * weights).sum(axis)
        ignored = torch.zeros_like(share, dtype=torch.bool)
    else:
        t, ignored = _counted(t, ignore_index)
        share = _of_class(weights.expand_as(x), t, axis)
        loss = share * _of_class(nats, t, axis)
    if label_smoothing:
        # Scaled before the sum, which could overflow where its share does not.
        even = (weights * (label_smoothing / x.shape[axis]) * nats).sum(axis)
        loss = (1 - label_smoothing) * loss + even
    return _reduce(loss, share, ignored, weight, reduction, input.dtype)


def focal(
    input: Tensor,
    target: Tensor,
    *,
    gamma: float = 2.0,
    class_weight: Tensor | None = None,
    ignore_index: int = -100,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Focal loss of logits, −(1 − p)^γ log p with p the label's softmax probability.

    Cross-entropy that turns away from what is already right: γ = 0 is cross-entropy. The
    most probable class is still the minimiser's, but its probabilities are drawn together:
    calibrate before reading them. Gradients are finite for every γ ≥ 0.

    Parameters
    ----------
    input : Tensor
        Logits, (N, C) or (N, C, ...) with the C classes on axis 1, or (C,) for one sample.
    target : Tensor
        Class indices of any integer type, (N, ...), or () for one sample.
    gamma : float
        Focus, at least 0. Default 2.
    class_weight : Tensor, optional
        Non-negative, (C,): the factor of each class. It counts in the mean,
        Σ w k ℓ / Σ w k with k the class weight of the label.
    ignore_index : int
        Label of elements to leave out: they cost 0, have no gradient, and do not count in
        the mean, which is 0 where nothing counts. Default -100.
    weight : Tensor, optional
        Non-negative, one per element of the unreduced loss, (N, ...).
    reduction : {"mean", "sum", "none"}
        Default "mean", as above; "none" gives shape (N, ...), class weights applied.

    Returns
    -------
    Tensor
        In the input's type, in nats.

    Raises
    ------
    ValueError
        Shapes or devices do not fit, an index has no class, a weight is negative, the
        reduction is unknown, or gamma is negative.
    TypeError
        An argument is no tensor, the input is not floating-point, or indices are not
        integers.

    References
    ----------
    Lin, Goyal, Girshick, He and Dollár (2017), Focal loss for dense object detection.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> p = torch.tensor([[0.1, 0.9], [0.5, 0.5]])
    >>> lu.focal(p.log(), torch.tensor([1, 1]), reduction="none")
    tensor([0.0011, 0.1733])
    """
    x, t, axis = _check_classes(input, target, ignore_index=ignore_index)
    _check_interval(0, math.inf, gamma=gamma)
    t, ignored = _counted(t, ignore_index)
    weights = _check_class_weight(x, class_weight, axis)
    share = _of_class(weights.expand_as(x), t, axis)
    loss = share * _focal(_margin(x, t, axis), gamma)
    return _reduce(loss, share, ignored, weight, reduction, input.dtype)


def multiclass_hinge(
    input: Tensor,
    target: Tensor,
    *,
    margin: float = 1.0,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Crammer and Singer's hinge loss of scores, max(0, m + max_{j≠y} x_j − x_y).

    Asks the label's score to lead its best rival by the margin m, as in scikit-learn and
    optax. torch's `multi_margin_loss` is another loss, Weston and Watkins' Σ_{j≠y} of the
    hinges, divided by C. Estimates the majority class where it has more than half of the
    probability. At the kink the gradient is 0; rivals that tie share it evenly.

    Parameters
    ----------
    input : Tensor
        Scores, (N, C) or (N, C, ...) with the C classes on axis 1, or (C,) for one sample.
    target : Tensor
        Class indices of any integer type, (N, ...), or () for one sample.
    margin : float
        The lead that costs nothing, in units of the score, above 0. Default 1.
    weight : Tensor, optional
        Non-negative, one per element of the unreduced loss, (N, ...).
    reduction : {"mean", "sum", "none"}
        Default "mean", the weighted mean Σwℓ / Σw; "none" gives shape (N, ...).

    Returns
    -------
    Tensor
        In the input's type, in units of the score.

    Raises
    ------
    ValueError
        Shapes or devices do not fit, an index has no class, a weight is negative, the
        reduction is unknown, or margin is not above 0.
    TypeError
        An argument is no tensor, the input is not floating-point, or indices are not
        integers.

    References
    ----------
    Crammer and Singer (2001), On the algorithmic implementation of multiclass kernel-based
    vector machines.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> x = torch.tensor([[2.0, 0.0, 1.5], [2.0, 0.0, 0.5]])
    >>> lu.multiclass_hinge(x, torch.tensor([0, 0]), reduction="none")
    tensor([0.5000, 0.0000])
    """
    x, t, axis = _check_classes(input, target)
    check_positive(margin=margin)
    lead = _of_class(x, t, axis) - _rivals(x, t, axis).amax(axis)
    return reduce(F.relu(margin - lead), weight, reduction, input.dtype)


def brier(
    input: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Brier score of probabilities, Σ_c (p_c − q_c)² with q the label's distribution.

    The squared error of classification. Estimates the class probabilities, as
    cross-entropy does, with slopes between -2 and 2. Between 0 and 2, since it sums over
    all classes, as Brier did: twice the two-class score of class 1 alone.

    Parameters
    ----------
    input : Tensor
        Probabilities, (N, C) or (N, C, ...) with the C classes on axis 1, or (C,) for one
        sample. From logits: `input.softmax(1)`.
    target : Tensor
        Class indices of any integer type, (N, ...), or () for one sample. Or class
        probabilities of the input's shape, in a floating-point type.
    weight : Tensor, optional
        Non-negative, one per element of the unreduced loss, (N, ...).
    reduction : {"mean", "sum", "none"}
        Default "mean", the weighted mean Σwℓ / Σw; "none" gives shape (N, ...).

    Returns
    -------
    Tensor
        In the input's type.

    Raises
    ------
    ValueError
        Shapes or devices do not fit, an index has no class, probabilities are outside
        [0, 1] or do not sum to 1, a weight is negative, the reduction is unknown.
    TypeError
        An argument is no tensor, the input is not floating-point, or indices are not
        integers.

    References
    ----------
    Brier (1950), Verification of forecasts expressed in terms of probability.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> lu.brier(torch.tensor([[0.7, 0.2, 0.1]]), torch.tensor([0]))
    tensor(0.1400)
    """
    p, q, axis = _check_distributions(input, target)
    return reduce((p - q).square().sum(axis), weight, reduction, input.dtype)


def probability_mae(
    input: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Absolute error of probabilities, Σ_c |p_c − q_c| with q the label's distribution.

    2(1 − p) for a label of probability p. Estimates the majority class, with all its
    probability on it. Summed over all labels it is the same for every input, which is why
    evenly wrong labels do not move its minimiser; it learns slowly. The gradient at the
    kink, p_c = q_c, is 0.

    Parameters
    ----------
    input : Tensor
        Probabilities, (N, C) or (N, C, ...) with the C classes on axis 1, or (C,) for one
        sample. From logits: `input.softmax(1)`.
    target : Tensor
        Class indices of any integer type, (N, ...), or () for one sample. Or class
        probabilities of the input's shape, in a floating-point type.
    weight : Tensor, optional
        Non-negative, one per element of the unreduced loss, (N, ...).
    reduction : {"mean", "sum", "none"}
        Default "mean", the weighted mean Σwℓ / Σw; "none" gives shape (N, ...).

    Returns
    -------
    Tensor
        In the input's type, between 0 and 2.

    Raises
    ------
    ValueError
        Shapes or devices do not fit, an index has no class, probabilities are outside
        [0, 1] or do not sum to 1, a weight is negative, the reduction is unknown.
    TypeError
        An argument is no tensor, the input is not floating-point, or indices are not
        integers.

    References
    ----------
    Ghosh, Kumar and Sastry (2017), Robust loss functions under label noise for deep neural
    networks.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> lu.probability_mae(torch.tensor([[0.75, 0.25]]), torch.tensor([0]))
    tensor(0.5000)
    """
    p, q, axis = _check_distributions(input, target)
    return reduce((p - q).abs().sum(axis), weight, reduction, input.dtype)


def generalized_cross_entropy(
    input: Tensor,
    target: Tensor,
    *,
    q: float = 0.7,
    ignore_index: int = -100,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Generalised cross-entropy of logits, (1 − p^q)/q with p the label's probability.

    From cross-entropy (q = 0) to 1 − p, half of `probability_mae` (q = 1): the larger q,
    the less a confident mistake, perhaps a wrong label, pulls. Estimates the class
    probabilities to the power 1/(1 − q), made to sum to 1: sharper than they are.

    Parameters
    ----------
    input : Tensor
        Logits, (N, C) or (N, C, ...) with the C classes on axis 1, or (C,) for one sample.
    target : Tensor
        Class indices of any integer type, (N, ...), or () for one sample.
    q : float
        Robustness, in [0, 1]. Default 0.7.
    ignore_index : int
        Label of elements to leave out: they cost 0, have no gradient, and do not count in
        the mean, which is 0 where nothing counts. Default -100.
    weight : Tensor, optional
        Non-negative, one per element of the unreduced loss, (N, ...).
    reduction : {"mean", "sum", "none"}
        Default "mean", the weighted mean Σwℓ / Σw; "none" gives shape (N, ...).

    Returns
    -------
    Tensor
        In the input's type, between 0 and 1/q.

    Raises
    ------
    ValueError
        Shapes or devices do not fit, an index has no class, a weight is negative, the
        reduction is unknown, or q is outside [0, 1].
    TypeError
        An argument is no tensor, the input is not floating-point, or indices are not
        integers.

    References
    ----------
    Zhang and Sabuncu (2018), Generalized cross entropy loss for training deep neural
    networks with noisy labels.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> x = torch.tensor([[0.0, 0.0], [-1e4, 1e4]])
    >>> lu.generalized_cross_entropy(x, torch.tensor([0, 0]), q=0.5, reduction="none")
    tensor([0.5858, 2.0000])
    """
    x, t, axis = _check_classes(input, target, ignore_index=ignore_index)
    _check_interval(0, 1, q=q)
    t, ignored = _counted(t, ignore_index)
    loss = _softplus(-_margin(x, t, axis))
    # The loss is below 1/q, so for such a q no loss that occurs differs from q = 0, where
    # q·log p would sink below the smallest numbers.
    if q > math.sqrt(torch.finfo(x.dtype).tiny):
        loss = -torch.expm1(-q * loss) / q
    return _reduce(loss, torch.ones_like(loss), ignored, weight, reduction, input.dtype)


def symmetric_cross_entropy(
    input: Tensor,
    target: Tensor,
    *,
    alpha: float = 0.1,
    beta: float = 1.0,
    log_zero: float = -4.0,
    ignore_index: int = -100,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Symmetric cross-entropy of logits, −α log p − βA(1 − p), p the label's probability.

    Cross-entropy plus the reverse one, −Σ p_c log q_c, in which log 0 of the one-hot label
    counts as A (`log_zero`). The reverse half is bounded and tolerates wrong labels; the
    first half makes it learn. Estimates the class probabilities, sharper than they are.

    Parameters
    ----------
    input : Tensor
        Logits, (N, C) or (N, C, ...) with the C classes on axis 1, or (C,) for one sample.
    target : Tensor
        Class indices of any integer type, (N, ...), or () for one sample.
    alpha, beta : float
        Factors of cross-entropy and reverse cross-entropy, at least 0. Default 0.1 and 1.
    log_zero : float
        What log 0 counts as, at most 0. Default -4.
    ignore_index : int
        Label of elements to leave out: they cost 0, have no gradient, and do not count in
        the mean, which is 0 where nothing counts. Default -100.
    weight : Tensor, optional
        Non-negative, one per element of the unreduced loss, (N, ...).
    reduction : {"mean", "sum", "none"}
        Default "mean", the weighted mean Σwℓ / Σw; "none" gives shape (N, ...).

    Returns
    -------
    Tensor
        In the input's type, in nats.

    Raises
    ------
    ValueError
        Shapes or devices do not fit, an index has no class, a weight is negative, the
        reduction is unknown, alpha or beta is negative, or log_zero is above 0.
    TypeError
        An argument is no tensor, the input is not floating-point, or indices are not
        integers.

    References
    ----------
    Wang, Ma, Chen, Luo, Yi and Bailey (2019), Symmetric cross entropy for robust learning
    with noisy labels.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> lu.symmetric_cross_entropy(torch.zeros(1, 2), torch.tensor([0]))
    tensor(2.0693)
    """
    x, t, axis = _check_classes(input, target, ignore_index=ignore_index)
    _check_interval(0, math.inf, alpha=alpha, beta=beta)
    _check_interval(-math.inf, 0, log_zero=log_zero)
    t, ignored = _counted(t, ignore_index)
    margin = _margin(x, t, axis)
    loss = alpha * _softplus(-margin) + (beta * -log_zero) * torch.sigmoid(-margin)
    return _reduce(loss, torch.ones_like(loss), ignored, weight, reduction, input.dtype)


def poly1_cross_entropy(
    input: Tensor,
    target: Tensor,
    *,
    epsilon: float = 1.0,
    ignore_index: int = -100,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Poly-1 cross-entropy of logits, −log p + ε(1 − p) with p the label's probability.

    −log p is Σ (1 − p)^k / k; this changes the first coefficient of that series from 1 to
    1 + ε. Estimates the class probabilities, sharper than they are for ε > 0, flatter for
    ε < 0.

    Parameters
    ----------
    input : Tensor
        Logits, (N, C) or (N, C, ...) with the C classes on axis 1, or (C,) for one sample.
    target : Tensor
        Class indices of any integer type, (N, ...), or () for one sample.
    epsilon : float
        What is added to the first coefficient, at least -1: below, the loss would reward
        mistakes. Default 1.
    ignore_index : int
        Label of elements to leave out: they cost 0, have no gradient, and do not count in
        the mean, which is 0 where nothing counts. Default -100.
    weight : Tensor, optional
        Non-negative, one per element of the unreduced loss, (N, ...).
    reduction : {"mean", "sum", "none"}
        Default "mean", the weighted mean Σwℓ / Σw; "none" gives shape (N, ...).

    Returns
    -------
    Tensor
        In the input's type, in nats.

    Raises
    ------
    ValueError
        Shapes or devices do not fit, an index has no class, a weight is negative, the
        reduction is unknown, or epsilon is below -1.
    TypeError
        An argument is no tensor, the input is not floating-point, or indices are not
        integers.

    References
    ----------
    Leng, Tan, Liu, Cubuk, Shi, Cheng and Anguelov (2022), PolyLoss: a polynomial expansion
    perspective of classification loss functions.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> lu.poly1_cross_entropy(torch.zeros(1, 2), torch.tensor([0]))
    tensor(1.1931)
    """
    x, t, axis = _check_classes(input, target, ignore_index=ignore_index)
    _check_interval(-1, math.inf, epsilon=epsilon)
    t, ignored = _counted(t, ignore_index)
    margin = _margin(x, t, axis)
    loss = _softplus(-margin) + epsilon * torch.sigmoid(-margin)
    return _reduce(loss, torch.ones_like(loss), ignored, weight, reduction, input.dtype)


# Formulas that several losses share


def _softplus(x: Tensor) -> Tensor:
    # F.softplus returns x itself above 20, which float64 is too fine for. And 0 − 0 is 0,
    # where −0 would print as -0.
    return 0 - F.logsigmoid(-x)


def _focal(margin: Tensor, gamma: float) -> Tensor:
    """−(1 − p)^γ log p for p = sigmoid(margin)."""
    # Not a power of 1 − p: where that rounds to 0, a slope with γ < 1 would be infinite.
    # The clamp changes no value, but far below it γ·log p would overflow in the slope.
    return torch.exp(-gamma * _softplus(margin.clamp(min=-1000))) * _softplus(-margin)


def _of_class(values: Tensor, label: Tensor, axis: int) -> Tensor:
    return values.gather(axis, label.unsqueeze(axis)).squeeze(axis)


def _is_class(values: Tensor, label: Tensor, axis: int) -> Tensor:
    """One-hot rows, of the shape of `values` (`F.one_hot` would wait for the device)."""
    classes = torch.arange(values.shape[axis], device=values.device)
    return label.unsqueeze(axis) == classes.reshape(-1, *[1] * (values.ndim - axis - 1))


def _rivals(x: Tensor, label: Tensor, axis: int) -> Tensor:
    """The scores, with that of the label too low to count.

    Not −∞: where all rivals are ruled out by −∞ that would leave ∞ − ∞ in the slope.
    """
    return x.masked_fill(_is_class(x, label, axis), torch.finfo(x.dtype).min)


def _margin(x: Tensor, label: Tensor, axis: int) -> Tensor:
    """Log-odds of the label: its softmax probability is the sigmoid of that.

    So 1 − p is the sigmoid of the negative, without a difference that cancels.
    """
    rivals = _rivals(x, label, axis)
    # Relative to the best rival: the slope of logsumexp inherits its value's round-off.
    best = rivals.detach().amax(axis, keepdim=True)
    lead = _of_class(x, label, axis) - best.squeeze(axis)
    return lead - (rivals - best).logsumexp(axis)


def _signed_margin(input: Tensor, target: Tensor) -> Tensor:
    x, t = check_pair(input, target)
    check_values(
        t,
        lambda v: (v < -1) | ((v > -1) & (v < 1)) | (v > 1),
        "target holds {:.6g}, expected -1 or 1; from labels 0 and 1: 2 * target - 1",
    )
    return t * x


def _reduce(
    loss: Tensor,
    share: Tensor,
    ignored: Tensor,
    weight: Tensor | None,
    reduction: Reduction,
    dtype: torch.dtype,
) -> Tensor:
    """Reduce a class-weighted loss, where each element counts `share` in the mean."""
    loss, share = loss.masked_fill(ignored, 0), share.masked_fill(ignored, 0)
    if weight is not None:
        weight = check_weight(loss, weight)
        loss, share = loss * weight, share * weight
    total = share.sum()
    count = torch.where(total == 0, torch.ones_like(total), total)
    return reduce_over(loss, count, reduction, dtype)


# What is asked of arguments


def _check_classes(
    input: Tensor, target: Tensor, *, soft: bool = False, ignore_index: int | None = None
) -> tuple[Tensor, Tensor, int]:
    """Return the input to compute with, the target and the axis of the classes.

    The target comes as indices in int64 or, where `soft` allows them, as probabilities in
    the input's type.
    """
    x = check_input(input)
    check_target(input, target)
    if input.ndim == 0:
        raise ValueError("input has shape (), expected (N, C, ...), or (C,) for one sample")
    axis = min(1, input.ndim - 1)
    if soft and target.is_floating_point() and target.shape == input.shape:
        target = target.to(x.dtype)
        _check_probabilities(
            target,
            axis,
            "target",
            "for several labels a sample use binary_cross_entropy_with_logits",
        )
        return x, target, axis

    expected = input.shape[:axis] + input.shape[axis + 1 :]
    if target.shape != expected:
        raise ValueError(
            f"input has shape {tuple(input.shape)} and target {tuple(target.shape)}; "
            f"expected class indices of shape {tuple(expected)}"
            + (", or class probabilities of the input's shape" if soft else "")
            + f". {_class_remedy(input, target, axis, soft)}"
        )
    if target.is_floating_point() or target.is_complex() or target.dtype == torch.bool:
        raise TypeError(
            f"target has dtype {target.dtype} and the shape of class indices, which are "
            "integers: target.long()"
        )
    label = target.long()
    counts = f"class indices count from 0 to {x.shape[axis] - 1}, the classes of the input "
    counts += f"on axis {axis}; subtract 1 from labels that start at 1"
    if ignore_index is None:
        looked_at = label
    else:
        looked_at = label.masked_fill(label == ignore_index, 0)
        counts += ", and name a label to leave out: ignore_index=..."
    check_range(looked_at, 0, x.shape[axis] - 1, "target", counts)
    return x, label, axis


def _class_remedy(input: Tensor, target: Tensor, axis: int, soft: bool) -> str:
    if target.shape == (*input.shape[:axis], 1, *input.shape[axis + 1 :]):
        return f"Drop the target's axis {axis}: target.squeeze({axis})"
    if target.shape == input.shape and input.ndim == 1:
        return "A 1-D input is one sample; for two classes a binary loss takes these shapes"
    if target.shape == input.shape:
        also = ", or as probabilities: target.float()" if soft else ""
        return f"One-hot rows go in as indices: target.argmax({axis}){also}"
    if target.shape == input.shape[:-1]:
        return "Classes are expected on axis 1, not the last: input.movedim(-1, 1)"
    return "Mend the model's output or the batch so that each sample has its label"


def _counted(label: Tensor, ignore_index: int) -> tuple[Tensor, Tensor]:
    """Labels that index safely, and where they are ignored."""
    ignored = label == ignore_index
    return label.masked_fill(ignored, 0), ignored


def _check_distributions(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor, int]:
    """Return probabilities of input and target, and the axis of the classes."""
    p, q, axis = _check_classes(input, target, soft=True)
    _check_probabilities(p, axis, "input", f"from logits: input.softmax({axis})")
    return p, q if q.is_floating_point() else _is_class(p, q, axis).to(p.dtype), axis


def _check_probabilities(p: Tensor, axis: int, name: str, remedy: str) -> None:
    check_range(p, 0, 1, name, remedy)
    if p.device.type == "cpu":  # to the round-off of half types
        check_range(
            p.detach().sum(axis), 0.99, 1.01, f"a sum over classes of {name}", remedy
        )


def _check_label(target: Tensor) -> None:
    check_range(
        target,
        0,
        1,
        "target",
        "from a mask of 0 and 255: target / 255; from labels -1 and 1: (target + 1) / 2",
    )


def _check_interval(low: float, high: float, **parameters: float) -> None:
    """Refuse parameters outside the closed interval, and all that are not finite."""
    for name, value in parameters.items():
        if not (low <= value <= high and math.isfinite(value)):
            bounds = [f"at least {low}"] * (low > -math.inf)
            bounds += [f"at most {high}"] * (high < math.inf)
            raise ValueError(
                f"{name} is {value}, expected a finite number, {' and '.join(bounds)}"
            )


def _check_class_weight(x: Tensor, class_weight: Tensor | None, axis: int) -> Tensor:
    """Return the weight of each class, one by default, to multiply the input with."""
    classes = x.shape[axis]
    if class_weight is None:
        return x.new_ones(())
    check_target(x, class_weight, "class_weight")
    if class_weight.shape != (classes,):
        raise ValueError(
            f"class_weight has shape {tuple(class_weight.shape)}, expected ({classes},), "
            "one per class; for one weight per sample use weight="
        )
    check_range(class_weight, 0, math.inf, "class_weight", "a negative one rewards errors")
    trailing = [1] * (x.ndim - axis - 1)
    return class_weight.to(x.dtype).reshape(-1, *trailing)


def _check_pos_weight(x: Tensor, pos_weight: Tensor | float) -> Tensor | float:
    if not isinstance(pos_weight, Tensor):
        _check_interval(0, math.inf, pos_weight=pos_weight)
        return pos_weight
    check_target(x, pos_weight, "pos_weight")
    fits = pos_weight.ndim == 0 or pos_weight.shape == (1,)
    if not fits and (x.ndim == 0 or pos_weight.shape != x.shape[-1:]):
        raise ValueError(
            f"pos_weight has shape {tuple(pos_weight.shape)}, expected one number, or one "
            f"per entry of the last axis of the input, {tuple(x.shape)}; "
            "for one weight per element use weight="
        )
    check_range(pos_weight, 0, math.inf, "pos_weight", "a negative one rewards errors")
    return pos_weight.reshape(() if fits else pos_weight.shape).to(x.dtype)


BinaryCrossEntropyLoss = as_module(binary_cross_entropy, "BinaryCrossEntropyLoss")
LogLoss = BinaryCrossEntropyLoss
BinaryCrossEntropyWithLogitsLoss = as_module(
    binary_cross_entropy_with_logits, "BinaryCrossEntropyWithLogitsLoss"
)
BinaryFocalWithLogitsLoss = as_module(binary_focal_with_logits, "BinaryFocalWithLogitsLoss")
HingeLoss = as_module(hinge, "HingeLoss")
SquaredHingeLoss = as_module(squared_hinge, "SquaredHingeLoss")
SoftMarginLoss = as_module(soft_margin, "SoftMarginLoss")
CrossEntropyLoss = as_module(cross_entropy, "CrossEntropyLoss")
FocalLoss = as_module(focal, "FocalLoss")
MulticlassHingeLoss = as_module(multiclass_hinge, "MulticlassHingeLoss")
BrierLoss = as_module(brier, "BrierLoss")
ProbabilityMAELoss = as_module(probability_mae, "ProbabilityMAELoss")
GeneralizedCrossEntropyLoss = as_module(
    generalized_cross_entropy, "GeneralizedCrossEntropyLoss"
)
SymmetricCrossEntropyLoss = as_module(symmetric_cross_entropy, "SymmetricCrossEntropyLoss")
Poly1CrossEntropyLoss = as_module(poly1_cross_entropy, "Poly1CrossEntropyLoss")
