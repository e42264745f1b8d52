"""The true value of every loss, from its published formula, in mpmath.

One function an entry of the catalogue, by its name, for one sample: `x` and `t` are
mpmath numbers; for multi-class losses `x` is the list of the sample's values and `t`
the index of its class. Parameters are what the sample's loss was called with, and, where
the loss depends on it, the `place` of the number among a sample's `outputs`. Numbers
of several hundred digits without overflow need no care with cancellation, so these are
the textbook formulas, written without a look at `lossutils.losses`.
"""

from collections.abc import Callable
from typing import Any

from mpmath import mp, mpf

REFERENCES: dict[str, Callable[..., Any]] = {}


def reference(function):
    REFERENCES[function.__name__] = function
    return function


def _exp(x):
    """exp, but 0 where no type of torch holds it: mpmath would compute exp(-1e616)."""
    return mp.exp(x) if x > -1e6 else mpf(0)


# Regression, Gauss to Vapnik.


@reference
def mse(x, t):
    return (x - t) ** 2


@reference
def mae(x, t):
    return abs(x - t)


@reference
def huber(x, t, delta):
    e = abs(x - t)
    return e**2 / 2 if e <= delta else delta * (e - delta / 2)


@reference
def smooth_l1(x, t, beta):
    e = abs(x - t)
    return e**2 / (2 * beta) if e < beta else e - beta / 2


@reference
def log_cosh(x, t):
    e = abs(x - t)  # cosh itself, but for a factor taken out: cosh 1e308 fits nowhere
    return e + mp.log((1 + _exp(-2 * e)) / 2)


@reference
def quantile(x, t, q):
    return (1 - q) * (x - t) if x > t else q * (t - x)


@reference
def expectile(x, t, tau):
    return (tau if x < t else 1 - tau) * (x - t) ** 2


@reference
def epsilon_insensitive(x, t, epsilon):
    return max(mpf(0), abs(x - t) - epsilon)


# Robust.


@reference
def charbonnier(x, t, delta):
    return delta**2 * (mp.sqrt(1 + ((x - t) / delta) ** 2) - 1)


@reference
def cauchy(x, t, c):
    return c**2 / 2 * mp.log(1 + ((x - t) / c) ** 2)


@reference
def geman_mcclure(x, t, c):
    return (x - t) ** 2 / 2 / (1 + ((x - t) / c) ** 2)


@reference
def welsch(x, t, c):
    return c**2 / 2 * (1 - _exp(-(((x - t) / c) ** 2)))


@reference
def tukey(x, t, c):
    inside = max(mpf(0), 1 - ((x - t) / c) ** 2)
    return c**2 / 6 * (1 - inside**3)


@reference
def general_robust(x, t, alpha, c):  # Barron (2019), equation 8
    s = ((x - t) / c) ** 2
    if alpha == 2:
        return s / 2
    if alpha == 0:
        return mp.log(s / 2 + 1)
    if alpha == mp.ninf:
        return 1 - _exp(-s / 2)
    if alpha == mp.inf:
        return mp.exp(s / 2) - 1
    b = abs(alpha - 2)
    return b / alpha * ((s / b + 1) ** (alpha / 2) - 1)


# Pathological.


@reference
def plateau_mae(x, t, threshold, plateau_slope):
    e = abs(x - t)
    return e if e <= threshold else threshold + plateau_slope * (e - threshold)


@reference
def asymmetric_mse(x, t, over, under):
    return (over if x > t else under) * (x - t) ** 2


@reference
def mse_with_linear_term(x, t, quadratic, linear):
    return quadratic * (x - t) ** 2 + linear * (x - t)


@reference
def ill_conditioned_mse(x, t, condition_number, place, outputs):
    return (x - t) ** 2 / mp.root(condition_number, max(outputs - 1, 1)) ** place


# Two classes: probabilities, logits x with p = 1/(1 + exp(-x)), and scores with t = ±1.


def _nats(p):
    """-log p with torch's documented clip at 100 nats: p = 0 costs 100, not infinity."""
    return min(-mp.log(p), mpf(100)) if p > 0 else mpf(100)


def _softplus(x):
    return max(x, mpf(0)) + mp.log(1 + _exp(-abs(x)))


@reference
def binary_cross_entropy(x, t):
    return t * _nats(x) + (1 - t) * _nats(1 - x)


@reference
def binary_cross_entropy_with_logits(x, t, pos_weight=None):
    positive = 1 if pos_weight is None else pos_weight
    return positive * t * _softplus(-x) + (1 - t) * _softplus(x)


@reference
def binary_focal_with_logits(x, t, gamma, alpha=None):
    p, not_p = _exp(-_softplus(-x)), _exp(-_softplus(x))
    positive, negative = (1, 1) if alpha is None else (alpha, 1 - alpha)
    return positive * t * not_p**gamma * _softplus(-x) + negative * (
        1 - t
    ) * p**gamma * _softplus(x)


@reference
def hinge(x, t):
    return max(mpf(0), 1 - t * x)


@reference
def squared_hinge(x, t):
    return max(mpf(0), 1 - t * x) ** 2


@reference
def soft_margin(x, t):
    return _softplus(-t * x)


# Several classes. Shifting logits by their maximum changes no softmax; without it the
# difference of two numbers near 1e308 would need more digits than there are.


def _softmax(x):
    powers = [_exp(value - max(x)) for value in x]
    return [power / sum(powers) for power in powers]


def _log_softmax(x):
    total = mp.log(sum(_exp(value - max(x)) for value in x))
    return [value - max(x) - total for value in x]


def _share(t, class_weight, ignore_index):
    """What a sample of class `t` counts."""
    if t == ignore_index:
        return mpf(0)
    return mpf(1) if class_weight is None else class_weight[t]


@reference
def cross_entropy(x, t, class_weight=None, label_smoothing=0, ignore_index=-100):
    if t == ignore_index:
        return mpf(0)
    nats = [-value for value in _log_softmax(x)]
    weights = class_weight or [mpf(1)] * len(x)
    smooth = sum(w * n for w, n in zip(weights, nats, strict=True)) / len(x)
    return (1 - label_smoothing) * weights[t] * nats[t] + label_smoothing * smooth


@reference
def multiclass_hinge(x, t, margin):
    rival = max(value for j, value in enumerate(x) if j != t)
    return max(mpf(0), margin + rival - x[t])


@reference
def focal(x, t, gamma, class_weight=None, ignore_index=-100):
    p = _softmax(x)
    not_p = sum(value for j, value in enumerate(p) if j != t)
    share = _share(t, class_weight, ignore_index)
    return share * not_p**gamma * -_log_softmax(x)[t]


@reference
def brier(x, t):
    return sum((p - (j == t)) ** 2 for j, p in enumerate(x))


@reference
def probability_mae(x, t):
    return sum(abs(p - (j == t)) for j, p in enumerate(x))


@reference
def generalized_cross_entropy(x, t, q, ignore_index=-100):
    if t == ignore_index:
        return mpf(0)
    if q == 0:
        return -_log_softmax(x)[t]
    return (1 - _exp(q * _log_softmax(x)[t])) / q


@reference
def symmetric_cross_entropy(x, t, alpha, beta, log_zero, ignore_index=-100):
    if t == ignore_index:
        return mpf(0)
    others = sum(p for j, p in enumerate(_softmax(x)) if j != t)
    return alpha * -_log_softmax(x)[t] + beta * -log_zero * others


@reference
def poly1_cross_entropy(x, t, epsilon, ignore_index=-100):
    if t == ignore_index:
        return mpf(0)
    others = sum(p for j, p in enumerate(_softmax(x)) if j != t)
    return -_log_softmax(x)[t] + epsilon * others
