"""Losses that a doctor must not blame: no error and no warning on any of them.

Written from published formulas and from what practitioners write, without a look at the
doctor's checks, so that the set can judge them. Where a loss has a true, known defect,
`allowed` names the check that may say so and `why` tells what is true.

A hand-written loss guards its shapes (`same`): the silent broadcast of (N, 1) against
(N,) is a defect, so a healthy loss has none.
"""

import functools
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossutils.catalogue import CATALOGUE, Entry

Loss = Callable[..., Any]
NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Healthy:
    """A loss without a fault.

    Attributes
    ----------
    name : str
        Unique; the id of its test.
    task : str or None
        None where the reader's own batch says what it is.
    loss, make : callable
        The loss, or what makes it where that needs an import that a collection of tests
        should not pay for.
    options : dict
        What the reader tells `diagnose` besides.
    allowed : frozenset of str
        Checks that may blame it, because they would be right.
    why : str
        What they would be right about.
    best : callable or None
        Target -> the prediction that costs least, where it is not the obvious one.
    """

    name: str
    task: str | None
    loss: Loss | None = None
    make: Callable[[], Loss] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    allowed: frozenset[str] = NOTHING
    why: str = ""
    best: Callable[[Tensor], Tensor] | None = None

    def build(self) -> Loss:
        found = self.make() if self.make else self.loss
        assert found is not None, self.name
        return found

    def __str__(self) -> str:
        return self.name


HEALTHY: list[Healthy] = []


def add(name: str, task: str | None, loss: Loss, **others: Any) -> None:
    others["allowed"] = frozenset(others.get("allowed", ()))
    HEALTHY.append(Healthy(name, task, loss, **others))


def healthy(task: str | None, **others: Any) -> Callable[[Loss], Loss]:
    """Put the function or class that follows on the list; a class is instantiated."""

    def register(loss: Loss) -> Loss:
        made = loss() if isinstance(loss, type) else loss
        add(loss.__name__, task, made, **others)
        return loss

    return register


def same(p: Tensor, t: Tensor) -> None:
    if p.shape != t.shape:
        raise ValueError(f"input {tuple(p.shape)} and target {tuple(t.shape)} differ")


def one_hot(t: Tensor, p: Tensor) -> Tensor:
    """Indices as rows like those of `p`; `F.one_hot` fails under vmap of a gradient."""
    return (t[:, None] == torch.arange(p.shape[1], device=p.device)).to(p.dtype)


def rows(p: Tensor) -> Tensor:
    """(N,) and (N, D) as (N, D)."""
    return p.reshape(len(p), -1)


# --- batches of a reader's own --------------------------------------------------------


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def batch(
    *shape: int, scale: float = 1.0, offset: float = 0.0, error: float = 0.5
) -> dict[str, Tensor]:
    """Predictions near targets, in the units of `scale`."""
    target = offset + scale * draw(*shape)
    return {"input": target + error * scale * draw(*shape, seed=1), "target": target}


def positive(*shape: int) -> dict[str, Tensor]:
    """Targets and predictions between 1 and 5."""
    make = functools.partial(torch.rand, *shape)
    first, second = (torch.Generator().manual_seed(seed) for seed in (0, 1))
    return {
        "input": 1 + 4 * make(generator=first),
        "target": 1 + 4 * make(generator=second),
    }


def counts(n: int, log: bool) -> dict[str, Tensor]:
    """Counts, and the rates (or their logarithms) that a model predicts."""
    generator = torch.Generator().manual_seed(0)
    rate = torch.exp(0.5 * draw(n) + 1)
    target = torch.poisson(rate, generator=generator)
    return {"input": rate.log() if log else rate, "target": target}


def classes(n: int, c: int, ignored: int = 0) -> dict[str, Tensor]:
    """Logits and class indices; the first `ignored` targets are −100."""
    target = torch.arange(n) % c
    target[:ignored] = -100
    return {"input": 2 * draw(n, c), "target": target}


# --- the catalogue --------------------------------------------------------------------

# What an entry estimates, where it is neither mean nor median nor between them.
_MODE = {"cauchy", "geman_mcclure", "welsch", "tukey"}


def _catalogue() -> Iterator[Healthy]:
    for entry in CATALOGUE.values():
        if entry.ailments:  # test_catalogue.py asks for what ails it
            continue
        for parameters in entry.variants:
            yield _of_catalogue(entry, parameters, entry.function)
        yield _of_catalogue(entry, {}, entry.module)


def _of_catalogue(entry: Entry, parameters: dict[str, Any], part: Any) -> Healthy:
    given = ",".join(
        f"{k}={v.tolist() if isinstance(v, Tensor) else v}" for k, v in parameters.items()
    )
    options: dict[str, Any] = {}
    allowed: frozenset[str] = NOTHING
    why = ""
    if "q" in parameters and entry.name == "quantile":
        options["expects"] = parameters["q"]
    if "tau" in parameters:
        allowed, why = frozenset({"asymmetry", "minimiser"}), "an expectile is meant"
    narrow = parameters.get("c", 1.0) <= 1
    if (entry.name in _MODE and narrow) or parameters.get("alpha", 1) <= 0:
        options["expects"] = "mode"
    if "class_weight" in parameters:
        options |= classes(24, len(parameters["class_weight"]))
    if "ignore_index" in parameters:
        allowed, why = frozenset({"plateau"}), "class 1 has no slope, as was asked for"
    if entry.name == "generalized_cross_entropy" and parameters.get("q") == 1.0:
        allowed |= {"plateau"}
        why += "; 1 − p_y has a slope of p_y (1 − p_y): none on a confident mistake"
    loss = part(**parameters) if isinstance(part, type) else part
    if parameters:
        loss = functools.partial(entry.function, **parameters)
    name = f"lu.{part.__name__}({given})"
    return Healthy(name, entry.task, loss, None, options, allowed, why)


HEALTHY += _catalogue()

# The redescending ones for a reader who says nothing of what is expected: their slope is
# smaller far away, yet it is there.
add("lu.cauchy, nothing expected", "regression", CATALOGUE["cauchy"].function)
add(
    "lu.mse, weights of the outputs",
    "regression",
    lambda p, t: CATALOGUE["mse"].function(
        p, t, weight=p.new_tensor([0.5, 1.0, 1.5]).expand_as(p)
    ),
    options=batch(32, 3),
)

_BCE_HALF = "its gradient in float16 is NaN at a perfect 0: its guard of 1e-12 is 0 there"

# --- torch.nn -------------------------------------------------------------------------

for _reduction in ("mean", "none"):
    for _class in (nn.L1Loss, nn.MSELoss, nn.SmoothL1Loss, nn.HuberLoss):
        add(
            f"nn.{_class.__name__}({_reduction})",
            "regression",
            _class(reduction=_reduction),
        )
    add(
        f"nn.BCELoss({_reduction})",
        "binary_probabilities",
        nn.BCELoss(reduction=_reduction),
        allowed={"half-precision"},
        why=_BCE_HALF,
    )
    add(
        f"nn.BCEWithLogitsLoss({_reduction})",
        "binary_logits",
        nn.BCEWithLogitsLoss(reduction=_reduction),
    )
    add(
        f"nn.CrossEntropyLoss({_reduction})",
        "multiclass_logits",
        nn.CrossEntropyLoss(reduction=_reduction),
    )
    add(
        f"nn.MultiMarginLoss({_reduction})",
        "multiclass_logits",
        nn.MultiMarginLoss(reduction=_reduction),
    )
    add(
        f"nn.SoftMarginLoss({_reduction})",
        "signed_scores",
        nn.SoftMarginLoss(reduction=_reduction),
        allowed={"finite", "half-precision"},
        why="exp(100) is infinite, its gradient NaN; exp(12) is infinite in float16",
    )
    add(
        f"nn.MultiLabelSoftMarginLoss({_reduction})",
        "binary_logits",
        nn.MultiLabelSoftMarginLoss(reduction=_reduction),
        allowed={"shape"},
        why="broadcasts (N, 1) against (N,) in silence",
    )

add("nn.SmoothL1Loss(beta=0.1)", "regression", nn.SmoothL1Loss(beta=0.1))
add("nn.HuberLoss(delta=5)", "regression", nn.HuberLoss(delta=5.0))
add("F.mse_loss", "regression", F.mse_loss)
add("F.l1_loss", "regression", F.l1_loss)
add("F.smooth_l1_loss", "regression", F.smooth_l1_loss)
add(
    "F.binary_cross_entropy",
    "binary_probabilities",
    F.binary_cross_entropy,
    allowed={"half-precision"},
    why=_BCE_HALF,
)
add("F.cross_entropy", "multiclass_logits", F.cross_entropy)
add(
    "F.binary_cross_entropy_with_logits(pos_weight=2)",
    "binary_logits",
    functools.partial(F.binary_cross_entropy_with_logits, pos_weight=torch.tensor(2.0)),
)
add(
    "nn.CrossEntropyLoss(label_smoothing=0.1)",
    "multiclass_logits",
    nn.CrossEntropyLoss(label_smoothing=0.1),
    allowed={"half-precision"},
    why="the smoothing's sum over a batch of 20,000 overflows in float16",
)
add(
    "nn.CrossEntropyLoss(weight)",
    "multiclass_logits",
    nn.CrossEntropyLoss(weight=torch.tensor([0.5, 1.0, 2.0])),
    options=classes(24, 3),
)
add(
    "nn.CrossEntropyLoss, soft targets",
    "multiclass_logits",
    nn.CrossEntropyLoss(),
    options={"input": 2 * draw(24, 4), "target": draw(24, 4, seed=1).softmax(1)},
    best=torch.log,
)
add(
    "nn.CrossEntropyLoss, some targets −100",
    "multiclass_logits",
    nn.CrossEntropyLoss(),
    options=classes(24, 4, ignored=5),
    allowed={"finite"},
    why="0/0 where every target is −100",
)
add("nn.MultiMarginLoss(p=2)", "multiclass_logits", nn.MultiMarginLoss(p=2))
add(
    "nn.NLLLoss of log_softmax",
    "multiclass_logits",
    lambda z, t: F.nll_loss(z.log_softmax(1), t),
)
add(
    "nn.NLLLoss, own log-probabilities",
    None,
    nn.NLLLoss(),
    options={"input": draw(24, 4).log_softmax(1), "target": torch.arange(24) % 4},
    best=lambda t: (6.0 * F.one_hot(t, 4)).log_softmax(1),
)
add(
    "nn.KLDivLoss of log_softmax",
    "multiclass_logits",
    lambda z, t: F.kl_div(z.log_softmax(1), t, reduction="batchmean"),
    allowed={"shape"},
    why="broadcasts in silence",
    options={"input": 2 * draw(24, 4), "target": draw(24, 4, seed=1).softmax(1)},
    best=torch.log,
)
add(
    "nn.KLDivLoss, own log-probabilities",
    None,
    nn.KLDivLoss(reduction="batchmean"),
    options={
        "input": draw(24, 4).log_softmax(1),
        "target": draw(24, 4, seed=1).softmax(1),
    },
    allowed={"shape"},
    why="broadcasts in silence",
    best=torch.log,
)
add(
    "nn.PoissonNLLLoss(log_input=False)",
    "regression",
    nn.PoissonNLLLoss(log_input=False),
    options=counts(48, log=False),
    allowed={"shape", "explosion"},
    why="broadcasts in silence; the slope 1 − t/p has no bound as the rate goes to 0",
)
add(
    "nn.PoissonNLLLoss(log_input=True)",
    "regression",
    nn.PoissonNLLLoss(log_input=True),
    options=counts(48, log=True),
    allowed={"shape", "minimiser", "asymmetry", "explosion", "half-precision"},
    why="broadcasts in silence; predicts the logarithm of the mean, and exp grows so",
    best=lambda t: t.clamp(min=1e-3).log(),
)
add(
    "F.gaussian_nll_loss(var=0.5)",
    "regression",
    functools.partial(F.gaussian_nll_loss, var=0.5),
    allowed={"shape", "compile", "vmap"},
    why="broadcasts in silence, and changes the variance in place",
)
add(
    "nn.GaussianNLLLoss of a tensor of variances",
    "regression",
    lambda p, t: nn.GaussianNLLLoss()(p, t, torch.full_like(p, 0.5)),
    allowed={"shape", "compile", "vmap"},
    why="broadcasts in silence, and looks at the values of the variance",
)
add(
    "nn.HingeEmbeddingLoss, own distances",
    None,
    nn.HingeEmbeddingLoss(),
    options={
        "input": draw(24).abs(),
        "target": torch.tensor([1.0, -1.0]).repeat(12),
    },
    allowed={"shape"},
    why="broadcasts in silence",
    best=lambda t: (1 - t).clamp(min=0),
)

# --- Keras ----------------------------------------------------------------------------


def keras(name: str, **parameters: Any) -> Callable[[], Loss]:
    """A factory: Keras takes seconds to import, and reads its backend as it does."""

    def make() -> Loss:
        os.environ.setdefault("KERAS_BACKEND", "torch")
        losses = __import__("keras").losses
        found = getattr(losses, name)
        if isinstance(found, type):
            return found(**parameters)
        return functools.partial(found, **parameters) if parameters else found

    return make


def add_keras(name: str, task: str | None, **others: Any) -> None:
    parameters = others.pop("parameters", {})
    others["allowed"] = frozenset(others.get("allowed", ()))
    given = ",".join(f"{k}={v}" for k, v in parameters.items())
    title = f"keras.{name}({given})"
    HEALTHY.append(Healthy(title, task, None, keras(name, **parameters), **others))


for _name in ("MeanSquaredError", "MeanAbsoluteError", "Huber", "LogCosh"):
    add_keras(_name, "regression")
for _name in ("mean_squared_error", "mean_absolute_error", "huber", "log_cosh"):
    add_keras(_name, "regression")
add_keras("MeanSquaredError", "regression", parameters={"reduction": "none"})
add_keras(
    "MeanAbsolutePercentageError",
    "regression",
    options=positive(48),
    allowed={"minimiser", "asymmetry", "explosion", "finite", "half-precision"},
    why="a median weighted by 1/|t| is meant; a target of 0 is divided by 1e-7",
)
add_keras(
    "MeanSquaredLogarithmicError",
    "regression",
    options=positive(48),
    allowed={"minimiser", "asymmetry", "plateau"},
    why="a geometric mean is meant; predictions below 0 are clipped and have no slope",
)
add_keras(
    "Poisson",
    "regression",
    options=positive(48),
    allowed={"explosion"},
    why="the slope 1 − t/p reaches 1e7 as the rate goes to 0",
)
add_keras(
    "CosineSimilarity",
    "regression",
    options=batch(32, 8),
    allowed={"minimiser", "plateau", "explosion", "conditioning", "finite"},
    why="says nothing of the length, so it is flat along it; slope 1/|p|, NaN at p = 0",
)
_CLIPPED = "clips probabilities at 1e-7: a saturated mistake has no slope"
add_keras("BinaryCrossentropy", "binary_logits", parameters={"from_logits": True})
add_keras("BinaryCrossentropy", "binary_probabilities", allowed={"plateau"}, why=_CLIPPED)
add_keras(
    "BinaryCrossentropy",
    "binary_logits",
    parameters={"from_logits": True, "label_smoothing": 0.1},
)
add_keras("CategoricalCrossentropy", "multiclass_logits", parameters={"from_logits": True})
add_keras(
    "CategoricalCrossentropy", "multiclass_probabilities", allowed={"plateau"}, why=_CLIPPED
)
add_keras(
    "SparseCategoricalCrossentropy", "multiclass_logits", parameters={"from_logits": True}
)
add_keras(
    "SparseCategoricalCrossentropy",
    "multiclass_probabilities",
    allowed={"plateau"},
    why=_CLIPPED,
)
add_keras(
    "BinaryFocalCrossentropy", "binary_probabilities", allowed={"plateau"}, why=_CLIPPED
)
add_keras(
    "BinaryFocalCrossentropy",
    "binary_logits",
    parameters={"from_logits": True},
    allowed={"plateau", "continuity"},
    why="takes the sigmoid, then clips: a logit of −20 against 1 has a slope of 3e-8, and "
    "from 13 on the value climbs in steps of float32's round-off in 1 − p",
)
add_keras(
    "CategoricalFocalCrossentropy",
    "multiclass_probabilities",
    allowed={"plateau"},
    why=_CLIPPED,
)
add_keras(
    "CategoricalFocalCrossentropy",
    "multiclass_logits",
    parameters={"from_logits": True},
    allowed={"plateau"},
    why="takes the softmax, then clips: no slope on a confident mistake",
)
add_keras(
    "CategoricalGeneralizedCrossEntropy",
    "multiclass_probabilities",
    allowed={"finite", "explosion", "half-precision", "vmap", "compile", "device"},
    why="p ** 0.5 at p = 0: the slope is −inf for the true class, NaN for the others; "
    "looks at the values of the labels",
)
_LABELS = "looks at the labels' values to learn whether they are 0 and 1"
for _name in ("Hinge", "SquaredHinge"):
    add_keras(_name, "signed_scores", allowed={"vmap", "compile", "device"}, why=_LABELS)
add_keras("CategoricalHinge", "multiclass_logits")
add_keras("KLDivergence", "multiclass_probabilities", allowed={"plateau"}, why=_CLIPPED)
for _name in ("Dice", "Tversky"):
    add_keras(
        _name,
        "binary_probabilities",
        allowed={"plateau", "minimiser", "reduction"},
        why="an empty mask costs 1 and has no slope, even where the answer is right; "
        "one number for the batch leaves sample_weight nothing to weigh",
    )
for _name in ("hinge", "squared_hinge"):
    add_keras(
        _name,
        "signed_scores",
        allowed={"shape", "vmap", "compile", "device"},
        why=f"the function broadcasts in silence, and {_LABELS}",
    )


@healthy("regression")
def keras_order_mse(y_true: Tensor, y_pred: Tensor) -> Tensor:
    same(y_pred, y_true)
    return (y_true - y_pred).square().mean()


@healthy("regression", options={"expects": 0.9})
def keras_order_pinball(y_true: Tensor, y_pred: Tensor) -> Tensor:
    same(y_pred, y_true)
    e = y_true - y_pred
    return torch.maximum(0.9 * e, -0.1 * e).mean()


# True of any mean that is taken as a sum over a count.
_SUMS = "the sum over a large batch overflows in float16"

# --- regression, by hand --------------------------------------------------------------


@healthy("regression")
def mse_by_hand(pred: Tensor, target: Tensor) -> Tensor:
    same(pred, target)
    return ((pred - target) ** 2).mean()


@healthy("regression")
def mse_per_element(pred: Tensor, target: Tensor) -> Tensor:
    same(pred, target)
    return (pred - target) ** 2


@healthy("regression")
def mse_per_sample(pred: Tensor, target: Tensor) -> Tensor:
    same(pred, target)
    return rows((pred - target) ** 2).mean(1)


@healthy("regression")
def half_squared_norm_per_sample(pred: Tensor, target: Tensor) -> Tensor:
    """The sum over the outputs of a sample, the mean over samples."""
    same(pred, target)
    return 0.5 * rows((pred - target) ** 2).sum(1).mean()


@healthy("regression")
def only_rows(pred: Tensor, target: Tensor) -> Tensor:
    """Refuses (N,), which is no fault."""
    same(pred, target)
    if pred.ndim != 2:
        raise ValueError(f"expected (N, D), got {tuple(pred.shape)}")
    return (pred - target).square().sum(1)


@healthy("regression")
def only_vectors(pred: Tensor, target: Tensor) -> Tensor:
    """Refuses (N, D), which is no fault."""
    same(pred, target)
    if pred.ndim != 1:
        raise ValueError(f"expected (N,), got {tuple(pred.shape)}")
    return (pred - target).abs().mean()


@healthy("regression")
def mae_by_hand(output: Tensor, label: Tensor) -> Tensor:
    same(output, label)
    return torch.mean(torch.abs(output - label))


@healthy("regression", allowed={"half-precision"}, why=_SUMS)
def sum_over_count(pred: Tensor, target: Tensor) -> Tensor:
    same(pred, target)
    return (pred - target).abs().sum() / pred.numel()


@healthy("regression")
def gaussian_log_density(pred: Tensor, target: Tensor) -> Tensor:
    """With its constants: the value is negative near the truth, which is no fault."""
    same(pred, target)
    sigma = 0.1
    z = (pred - target) / sigma
    return (0.5 * z * z + math.log(sigma) + 0.5 * math.log(2 * math.pi)).mean()


@healthy("regression")
def laplace_log_density(pred: Tensor, target: Tensor) -> Tensor:
    same(pred, target)
    return ((pred - target).abs() / 0.2 + math.log(2 * 0.2)).mean()


@healthy("regression")
def logistic_log_density(pred: Tensor, target: Tensor) -> Tensor:
    same(pred, target)
    z = (pred - target) / 0.3
    return (F.softplus(z) + F.softplus(-z) + math.log(0.3)).mean()


@healthy("regression")
def student_t_log_density(pred: Tensor, target: Tensor) -> Tensor:
    same(pred, target)
    nu, scale = 4.0, 0.2
    constant = (
        math.lgamma(nu / 2)
        - math.lgamma((nu + 1) / 2)
        + 0.5 * math.log(nu * math.pi)
        + math.log(scale)
    )
    z = (pred - target) / scale
    return (0.5 * (nu + 1) * torch.log1p(z * z / nu) + constant).mean()


@healthy("regression")
def normal_of_torch_distributions(pred: Tensor, target: Tensor) -> Tensor:
    same(pred, target)
    normal = torch.distributions.Normal(pred, 0.25, validate_args=False)
    return -normal.log_prob(target).mean()


@healthy("regression")
def rmse_with_eps(pred: Tensor, target: Tensor) -> Tensor:
    same(pred, target)
    return torch.sqrt(((pred - target) ** 2).mean() + 1e-6)


@healthy("regression")
def log_cosh_by_softplus(pred: Tensor, target: Tensor) -> Tensor:
    same(pred, target)
    e = pred - target
    return (e + F.softplus(-2.0 * e) - math.log(2.0)).mean()


@healthy("regression")
def charbonnier_by_hand(pred: Tensor, target: Tensor) -> Tensor:
    same(pred, target)
    return torch.sqrt((pred - target) ** 2 + 1e-3**2).mean()


@healthy("regression")
def pseudo_huber_by_hand(pred: Tensor, target: Tensor) -> Tensor:
    same(pred, target)
    return (torch.sqrt(1 + (pred - target) ** 2) - 1).mean()


@healthy("regression")
def huber_by_where(pred: Tensor, target: Tensor, delta: float = 1.0) -> Tensor:
    same(pred, target)
    e = (pred - target).abs()
    return torch.where(e <= delta, 0.5 * e * e, delta * (e - 0.5 * delta)).mean()


@healthy("regression")
def huber_by_clamp(pred: Tensor, target: Tensor) -> Tensor:
    """Another way of writing it: q²/2 + δ (|e| − q) with q = min(|e|, δ)."""
    same(pred, target)
    e = (pred - target).abs()
    q = e.clamp(max=1.0)
    return (0.5 * q * q + (e - q)).mean()


@healthy("regression")
def smooth_l1_by_where(pred: Tensor, target: Tensor) -> Tensor:
    same(pred, target)
    beta = 1 / 9
    e = (pred - target).abs()
    return torch.where(e < beta, 0.5 * e * e / beta, e - 0.5 * beta).mean()


@healthy("regression")
def reverse_huber(pred: Tensor, target: Tensor) -> Tensor:
    same(pred, target)
    e = (pred - target).abs()
    return torch.where(e <= 1.0, e, (e * e + 1.0) / 2.0).mean()


@healthy("regression")
def softplus_absolute(pred: Tensor, target: Tensor) -> Tensor:
    same(pred, target)
    e = 5 * (pred - target)
    return ((F.softplus(e) + F.softplus(-e) - 2 * math.log(2)) / 5).mean()


@healthy("regression")
def power_three_halves(pred: Tensor, target: Tensor) -> Tensor:
    same(pred, target)
    return (((pred - target) ** 2 + 1e-4) ** 0.75).mean()


@healthy("regression")
def mae_plus_mse(pred: Tensor, target: Tensor) -> Tensor:
    same(pred, target)
    return F.l1_loss(pred, target) + F.mse_loss(pred, target)


@healthy("regression")
def elastic(pred: Tensor, target: Tensor) -> Tensor:
    same(pred, target)
    e = pred - target
    return (0.3 * e.abs() + 0.7 * 0.5 * e.square()).mean()


@healthy("regression")
def euclidean_norm_with_eps(pred: Tensor, target: Tensor) -> Tensor:
    """One value per sample: the length of its error."""
    same(pred, target)
    return torch.sqrt(rows(pred - target).square().sum(1) + 1e-6)


@healthy("regression")
def mse_upcast(pred: Tensor, target: Tensor) -> Tensor:
    """What mixed precision asks for: the loss in float32."""
    same(pred, target)
    return F.mse_loss(pred.float(), target.float())


@healthy("regression")
def mean_absolute_scaled_error(pred: Tensor, target: Tensor) -> Tensor:
    """The error in units of a naive forecast's, a constant measured before training."""
    same(pred, target)
    return (pred - target).abs().mean() / 0.37


@healthy("regression")
def weighted_outputs(pred: Tensor, target: Tensor) -> Tensor:
    """The last output counts twice the first: a mild preference."""
    same(pred, target)
    e = rows(pred - target)
    weight = torch.linspace(1.0, 2.0, e.shape[1], dtype=e.dtype, device=e.device)
    return (weight * e.square()).mean()


@healthy("regression", allowed={"half-precision"}, why=_SUMS)
def masked_by_where(pred: Tensor, target: Tensor) -> Tensor:
    """Missing targets are NaN; the argument is guarded, not only the value."""
    same(pred, target)
    there = ~torch.isnan(target)
    e = torch.where(there, pred - torch.where(there, target, 0.0), 0.0)
    return e.square().sum() / there.sum().clamp(min=1)


@healthy("regression", allowed={"half-precision"}, why=_SUMS)
def masked_by_sentinel(pred: Tensor, target: Tensor) -> Tensor:
    same(pred, target)
    there = (target != -999.0).to(pred.dtype)
    return ((pred - target).abs() * there).sum() / there.sum().clamp(min=1.0)


@healthy("regression", options={"expects": 0.1})
def pinball_low(pred: Tensor, target: Tensor) -> Tensor:
    same(pred, target)
    e = target - pred
    return torch.max(0.1 * e, (0.1 - 1) * e).mean()


@healthy("regression", options={"expects": 0.75})
def pinball_by_where(pred: Tensor, target: Tensor) -> Tensor:
    same(pred, target)
    e = target - pred
    return torch.where(e >= 0, 0.75 * e, -0.25 * e).mean()


@healthy("regression", options={"expects": 0.25})
def overshoot_costs_thrice(pred: Tensor, target: Tensor) -> Tensor:
    """Costs of 3 above and 1 below are the quantile 1 / (1 + 3)."""
    same(pred, target)
    e = pred - target
    return torch.where(e > 0, 3.0 * e, -e).mean()


@healthy("regression", options={"expects": 0.9})
def smooth_pinball(pred: Tensor, target: Tensor) -> Tensor:
    """Quantile Huber with a narrow bowl."""
    same(pred, target)
    e, kappa = target - pred, 0.01
    size = e.abs()
    huber = torch.where(size <= kappa, 0.5 * e * e / kappa, size - 0.5 * kappa)
    return (torch.where(e < 0, 0.1, 0.9) * huber).mean()


@healthy("regression", options={"expects": "mode"})
def correntropy(pred: Tensor, target: Tensor) -> Tensor:
    same(pred, target)
    return (1 - torch.exp(-0.5 * (pred - target).square())).mean()


class _LogCosh(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(e: Tensor) -> Tensor:
        return e.abs() + F.softplus(-2 * e.abs()) - math.log(2)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0])

    @staticmethod
    def backward(ctx: Any, above: Tensor) -> Tensor:
        (e,) = ctx.saved_tensors
        return above * torch.tanh(e)


@healthy("regression")
def right_backward_by_hand(pred: Tensor, target: Tensor) -> Tensor:
    same(pred, target)
    return _LogCosh.apply(pred - target).mean()


@healthy("regression")
class LearnedUncertainty(nn.Module):
    """A term weighted by its learned precision: exp(−s) · MSE + s."""

    def __init__(self) -> None:
        super().__init__()
        self.log_variance = nn.Parameter(torch.tensor(-0.5))

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        same(pred, target)
        s = self.log_variance
        return torch.exp(-s) * F.mse_loss(pred, target) + s


@healthy("regression")
class TwoTerms(nn.Module):
    def __init__(self, share: float = 0.8) -> None:
        super().__init__()
        self.share = share
        self.first, self.second = nn.MSELoss(), nn.SmoothL1Loss()

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        same(pred, target)
        first, second = self.first(pred, target), self.second(pred, target)
        return self.share * first + (1 - self.share) * second


@healthy("regression")
class NotAModule:
    """A callable object, its reduction chosen by a word."""

    def __init__(self, reduction: str = "mean") -> None:
        self.reduction = reduction

    def __call__(self, preds: Tensor, targets: Tensor) -> Tensor:
        same(preds, targets)
        each = torch.log(torch.cosh((preds - targets).clamp(-10, 10)))
        far = (preds - targets).abs() - math.log(2)
        each = torch.where((preds - targets).abs() < 10, each, far)
        return each.mean() if self.reduction == "mean" else each


class _Methods:
    def loss(self, yhat: Tensor, y: Tensor) -> Tensor:
        same(yhat, y)
        return (yhat - y).pow(2).mean()


def _scaled_mse(p: Tensor, t: Tensor, factor: float = 1.0, unit: float = 1.0) -> Tensor:
    same(p, t)
    return factor * ((unit * p - unit * t) ** 2).mean()


add("bound method", "regression", _Methods().loss)
add("mse times 1e-3", "regression", functools.partial(_scaled_mse, factor=1e-3))
add("mse times 1e3", "regression", functools.partial(_scaled_mse, factor=1e3))
add("mse in other units", "regression", functools.partial(_scaled_mse, unit=0.01))
add("mse plus a constant", "regression", lambda p, t: _scaled_mse(p, t) - 3.0)
add("lambda of nn.L1Loss", "regression", lambda p, t: (same(p, t), nn.L1Loss()(p, t))[1])
add("mse on prices", "regression", mse_by_hand, options=batch(40, scale=8e4, offset=2e5))
add("mae on prices", "regression", mae_by_hand, options=batch(40, scale=8e4, offset=2e5))
add("mse on micrometres", "regression", mse_by_hand, options=batch(40, scale=1e-5))
add("mae on micrometres", "regression", mae_by_hand, options=batch(40, scale=1e-5))
add("huber, own batch", "regression", huber_by_where, options=batch(40, 2))
add("mse, good fit", "regression", mse_by_hand, options=batch(40, error=0.01))
add("mse, eight outputs", "regression", mse_by_hand, options=batch(16, 8))
add("huber by partial", "regression", functools.partial(huber_by_where, delta=2.5))


@healthy("regression", options=batch(24, 6))
def series_and_its_steps(pred: Tensor, target: Tensor) -> Tensor:
    """Values along a row, and the steps between them."""
    same(pred, target)
    steps = F.mse_loss(pred.diff(dim=1), target.diff(dim=1))
    return F.mse_loss(pred, target) + 0.5 * steps


@healthy(
    "regression",
    options=batch(32, 8),
    allowed={"minimiser", "plateau", "explosion", "conditioning"},
    why="says nothing of the length, so it is flat along it; slope 1/|p|; flat at −t",
)
def cosine_distance_with_eps(pred: Tensor, target: Tensor) -> Tensor:
    same(pred, target)
    eps = 1e-2
    lengths = [torch.sqrt(x.square().sum(1) + eps**2) for x in (pred, target)]
    return (1 - (pred * target).sum(1) / (lengths[0] * lengths[1])).mean()


@healthy(
    "regression",
    options=positive(48),
    allowed={"minimiser", "asymmetry"},
    why="a geometric mean is meant",
)
def squared_log_error(pred: Tensor, target: Tensor) -> Tensor:
    same(pred, target)
    return (torch.log1p(pred.clamp(min=0)) - torch.log1p(target)).square().mean()


@healthy(
    "regression",
    options=positive(48),
    allowed={"explosion"},
    why="the slope 1 − t/p has no bound as the rate goes to 0",
)
def poisson_by_hand(pred: Tensor, target: Tensor) -> Tensor:
    same(pred, target)
    return (pred - target * torch.log(pred + 1e-4)).mean()


class ColumnWeights(nn.Module):
    """Weights in a buffer, so that they move with the module."""

    weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.tensor([0.5, 1.0, 2.0]))

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        same(pred, target)
        return (self.weight * (pred - target).abs()).sum(1).mean() / self.weight.sum()


add("ColumnWeights", "regression", ColumnWeights(), options=batch(32, 3))

# --- binary, probabilities ------------------------------------------------------------


@healthy("binary_probabilities")
def bce_with_eps(p: Tensor, t: Tensor) -> Tensor:
    same(p, t)
    eps = 1e-4
    return -(t * torch.log(p + eps) + (1 - t) * torch.log(1 - p + eps)).mean()


@healthy("binary_probabilities")
def binary_brier(p: Tensor, t: Tensor) -> Tensor:
    same(p, t)
    return (p - t).square().mean()


@healthy("binary_probabilities")
def binary_mae(p: Tensor, t: Tensor) -> Tensor:
    same(p, t)
    return (p - t).abs().mean()


@healthy("binary_probabilities")
def focal_of_probabilities(p: Tensor, t: Tensor) -> Tensor:
    same(p, t)
    p_true = p * t + (1 - p) * (1 - t)
    return -((1 - p_true) ** 2 * torch.log(p_true + 1e-4)).mean()


def overlap(p: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """True positives, false positives, false negatives: one number a sample."""
    same(p, t)
    p, t = rows(p), rows(t)
    return (p * t).sum(1), (p * (1 - t)).sum(1), ((1 - p) * t).sum(1)


@healthy("binary_probabilities")
def soft_dice(p: Tensor, t: Tensor) -> Tensor:
    tp, fp, fn = overlap(p, t)
    return (1 - (2 * tp + 1) / (2 * tp + fp + fn + 1)).mean()


@healthy("binary_probabilities", allowed={"half-precision"}, why=_SUMS)
def soft_dice_of_the_batch(p: Tensor, t: Tensor) -> Tensor:
    """Over all pixels of all samples, as most code has it."""
    same(p, t)
    return 1 - (2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1)


@healthy("binary_probabilities")
def soft_jaccard(p: Tensor, t: Tensor) -> Tensor:
    tp, fp, fn = overlap(p, t)
    return (1 - (tp + 1) / (tp + fp + fn + 1)).mean()


@healthy("binary_probabilities")
def soft_tversky(p: Tensor, t: Tensor) -> Tensor:
    tp, fp, fn = overlap(p, t)
    return (1 - (tp + 1) / (tp + 0.3 * fp + 0.7 * fn + 1)).mean()


@healthy("binary_probabilities")
def log_cosh_dice(p: Tensor, t: Tensor) -> Tensor:
    return torch.log(torch.cosh(soft_dice(p, t)))


@healthy("binary_probabilities", allowed={"half-precision"}, why=_BCE_HALF)
def bce_plus_dice(p: Tensor, t: Tensor) -> Tensor:
    same(p, t)
    return F.binary_cross_entropy(p, t) + soft_dice(p, t)


# --- binary, logits -------------------------------------------------------------------


@healthy("binary_logits")
def bce_by_softplus(z: Tensor, t: Tensor) -> Tensor:
    same(z, t)
    return (F.softplus(z) - t * z).mean()


@healthy("binary_logits")
def bce_by_logsigmoid(z: Tensor, t: Tensor) -> Tensor:
    same(z, t)
    return -(t * F.logsigmoid(z) + (1 - t) * F.logsigmoid(-z)).mean()


@healthy("binary_logits")
def bce_per_element(z: Tensor, t: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(z, t, reduction="none")


@healthy("binary_logits")
def bce_weighted_by_target(z: Tensor, t: Tensor) -> Tensor:
    same(z, t)
    weight = torch.where(t > 0.5, 2.0, 1.0)
    return (weight * F.binary_cross_entropy_with_logits(z, t, reduction="none")).mean()


@healthy("binary_logits")
def bce_weight_argument(z: Tensor, t: Tensor) -> Tensor:
    same(z, t)
    return F.binary_cross_entropy_with_logits(z, t, weight=1 + t)


@healthy("binary_logits")
def bce_smoothed(z: Tensor, t: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(z, 0.9 * t + 0.05)


@healthy("binary_logits")
def focal_by_exp_of_bce(z: Tensor, t: Tensor) -> Tensor:
    bce = F.binary_cross_entropy_with_logits(z, t, reduction="none")
    return ((1 - torch.exp(-bce)) ** 2 * bce).mean()


@healthy("binary_logits")
def focal_with_alpha(z: Tensor, t: Tensor) -> Tensor:
    bce = F.binary_cross_entropy_with_logits(z, t, reduction="none")
    p = torch.sigmoid(z)
    p_true = p * t + (1 - p) * (1 - t)
    alpha = 0.25 * t + 0.75 * (1 - t)
    return (alpha * (1 - p_true) ** 2 * bce).mean()


@healthy("binary_logits")
def ordinal_levels(z: Tensor, levels: Tensor) -> Tensor:
    """Ordinal regression: one logit for each 'above level k', summed over levels."""
    same(z, levels)
    each = F.logsigmoid(z) * levels + (F.logsigmoid(z) - z) * (1 - levels)
    return -rows(each).sum(1).mean()


@healthy(
    "binary_logits",
    allowed={"plateau"},
    why="the sigmoid of a confident mistake has no slope, and nothing else helps",
)
def soft_dice_of_logits(z: Tensor, t: Tensor) -> Tensor:
    return soft_dice(torch.sigmoid(z), t)


@healthy("binary_logits")
def bce_plus_dice_of_logits(z: Tensor, t: Tensor) -> Tensor:
    same(z, t)
    bce = F.binary_cross_entropy_with_logits(z, t)
    return 0.5 * bce + 0.5 * soft_dice(torch.sigmoid(z), t)


@healthy("binary_logits")
class WeightedBCE(nn.Module):
    """`pos_weight` in a buffer."""

    pos_weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("pos_weight", torch.tensor(1.5))

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        same(logits, labels)
        return F.binary_cross_entropy_with_logits(
            logits, labels, pos_weight=self.pos_weight
        )


# --- scores against −1 and 1 ----------------------------------------------------------


@healthy("signed_scores")
def hinge_by_hand(score: Tensor, y: Tensor) -> Tensor:
    same(score, y)
    return torch.clamp(1 - y * score, min=0).mean()


@healthy("signed_scores")
def squared_hinge_by_relu(score: Tensor, y: Tensor) -> Tensor:
    same(score, y)
    return F.relu(1 - y * score).square().mean()


@healthy("signed_scores")
def logistic_by_softplus(score: Tensor, y: Tensor) -> Tensor:
    same(score, y)
    return F.softplus(-y * score).mean()


@healthy("signed_scores")
def logistic_in_bits(score: Tensor, y: Tensor) -> Tensor:
    same(score, y)
    return -F.logsigmoid(y * score) / math.log(2)


@healthy("signed_scores")
def smoothed_hinge(score: Tensor, y: Tensor) -> Tensor:
    """Linear below 0, a parabola between 0 and 1."""
    same(score, y)
    m = y * score
    bowl = 0.5 * (1 - m).clamp(min=0).square()
    return torch.where(m <= 0, 0.5 - m, bowl).mean()


@healthy("signed_scores")
def modified_huber(score: Tensor, y: Tensor) -> Tensor:
    same(score, y)
    m = y * score
    return torch.where(m >= -1, (1 - m).clamp(min=0).square(), -4 * m).mean()


# --- classes, logits ------------------------------------------------------------------


@healthy("multiclass_logits")
def log_softmax_twice(z: Tensor, t: Tensor) -> Tensor:
    """Harmless: log_softmax of log-probabilities changes nothing."""
    return F.cross_entropy(F.log_softmax(z, dim=1), t)


@healthy("multiclass_logits")
def cross_entropy_by_gather(z: Tensor, t: Tensor) -> Tensor:
    return -z.log_softmax(1).gather(1, t.unsqueeze(1)).squeeze(1).mean()


@healthy("multiclass_logits")
def cross_entropy_by_logsumexp(z: Tensor, t: Tensor) -> Tensor:
    return (z.logsumexp(1) - z.gather(1, t[:, None])[:, 0]).mean()


@healthy("multiclass_logits")
def cross_entropy_per_sample(z: Tensor, t: Tensor) -> Tensor:
    return F.cross_entropy(z, t, reduction="none")


@healthy("multiclass_logits")
def cross_entropy_of_rows(z: Tensor, t: Tensor) -> Tensor:
    """Takes one-hot or soft rows only."""
    same(z, t)
    return -(t * z.log_softmax(1)).sum(1).mean()


@healthy("multiclass_logits")
def cross_entropy_with_temperature(z: Tensor, t: Tensor) -> Tensor:
    return F.cross_entropy(z / 2.0, t)


@healthy("multiclass_logits")
def focal_by_gather(z: Tensor, t: Tensor) -> Tensor:
    log_p = z.log_softmax(1).gather(1, t[:, None])[:, 0]
    return -((1 - log_p.exp()) ** 2 * log_p).mean()


@healthy("multiclass_logits")
def focal_of_rows(z: Tensor, t: Tensor) -> Tensor:
    same(z, t)
    log_p = z.log_softmax(1)
    return -(t * (1 - log_p.exp()) ** 2 * log_p).sum(1).mean()


@healthy("multiclass_logits")
def focal_by_exp_of_cross_entropy(z: Tensor, t: Tensor) -> Tensor:
    ce = F.cross_entropy(z, t, reduction="none")
    return ((1 - torch.exp(-ce)) ** 2 * ce).mean()


@healthy("multiclass_logits")
def label_smoothing_by_hand(z: Tensor, t: Tensor) -> Tensor:
    log_p = z.log_softmax(1)
    nll = -log_p.gather(1, t[:, None])[:, 0]
    return (0.9 * nll - 0.1 * log_p.mean(1)).mean()


@healthy("multiclass_logits")
def confidence_penalty(z: Tensor, t: Tensor) -> Tensor:
    log_p = z.log_softmax(1)
    entropy = -(log_p.exp() * log_p).sum(1)
    return (F.cross_entropy(z, t, reduction="none") - 0.05 * entropy).mean()


@healthy("multiclass_logits")
def cross_entropy_with_z_term(z: Tensor, t: Tensor) -> Tensor:
    """A small pull on the normaliser, in float32 as its square needs."""
    size = z.float().logsumexp(1).square().mean()
    return F.cross_entropy(z.float(), t) + 1e-4 * size


@healthy("multiclass_logits")
def poly1_by_hand(z: Tensor, t: Tensor) -> Tensor:
    ce = F.cross_entropy(z, t, reduction="none")
    return (ce + (1 - torch.exp(-ce))).mean()


@healthy(
    "multiclass_logits",
    allowed={"vmap"},
    why="F.one_hot looks at its values under vmap of a gradient",
)
def one_against_rest(z: Tensor, t: Tensor) -> Tensor:
    y = F.one_hot(t, z.shape[1]).to(z.dtype)
    return F.binary_cross_entropy_with_logits(z, y, reduction="none").sum(1).mean()


@healthy("multiclass_logits")
def weston_watkins(z: Tensor, t: Tensor) -> Tensor:
    """The margins against every other class, summed."""
    true = z.gather(1, t[:, None])
    others = 1 - one_hot(t, z)
    return ((1 + z - true).clamp(min=0) * others).sum(1).mean()


@healthy("multiclass_logits", allowed={"half-precision"}, why=_SUMS)
def ignoring_index(z: Tensor, t: Tensor) -> Tensor:
    """Targets of −100 do not count; a batch of nothing else costs 0."""
    there = t != -100
    each = F.cross_entropy(z, t, reduction="none", ignore_index=-100)
    return each.sum() / there.sum().clamp(min=1)


add(
    "ignoring_index, some targets −100",
    "multiclass_logits",
    ignoring_index,
    options=classes(24, 4, ignored=5),
    allowed={"half-precision"},
    why=_SUMS,
)


class ClassWeights(nn.Module):
    """Class weights in a buffer; the mean is over samples, so that none is coupled."""

    weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.tensor([0.5, 1.0, 1.5, 1.0]))

    def forward(self, z: Tensor, t: Tensor) -> Tensor:
        weight = self.weight.to(z.dtype)
        return F.cross_entropy(z, t, weight=weight, reduction="none").mean()


add("ClassWeights", "multiclass_logits", ClassWeights(), options=classes(24, 4))
add(
    "cross-entropy, own batch, ten classes",
    None,
    F.cross_entropy,
    options=classes(40, 10),
)
add(
    "cross_entropy_by_gather of bound weights",
    "multiclass_logits",
    functools.partial(F.cross_entropy, weight=torch.tensor([1.0, 2.0, 1.0])),
    options=classes(24, 3),
)
add(
    "distillation",
    "multiclass_logits",
    lambda z, t: 4.0 * F.kl_div((z / 2.0).log_softmax(1), t, reduction="batchmean"),
    options={"input": 2 * draw(24, 5), "target": draw(24, 5, seed=1).softmax(1)},
    allowed={"shape"},
    why="kl_div broadcasts in silence",
    best=lambda t: 2.0 * t.log(),
)

# --- classes, probabilities -----------------------------------------------------------


def _rows_of(p: Tensor, t: Tensor) -> Tensor:
    """Targets as rows: indices become one-hot, rows must fit."""
    if t.is_floating_point():
        same(p, t)
        return t
    return one_hot(t, p)


@healthy("multiclass_probabilities")
def brier_by_hand(p: Tensor, t: Tensor) -> Tensor:
    return (p - _rows_of(p, t)).square().sum(1).mean()


@healthy("multiclass_probabilities")
def nll_with_eps(p: Tensor, t: Tensor) -> Tensor:
    return -(_rows_of(p, t) * torch.log(p + 1e-4)).sum(1).mean()


@healthy("multiclass_probabilities")
def squared_earth_mover(p: Tensor, t: Tensor) -> Tensor:
    """Between distributions over ordered classes."""
    gap = p.cumsum(1) - _rows_of(p, t).cumsum(1)
    return gap.square().sum(1).mean()


@healthy("multiclass_probabilities")
def dice_over_classes(p: Tensor, t: Tensor) -> Tensor:
    y = _rows_of(p, t)
    return (1 - (2 * (p * y).sum(1) + 1) / (p.sum(1) + y.sum(1) + 1)).mean()


@healthy("multiclass_probabilities")
def focal_of_class_probabilities(p: Tensor, t: Tensor) -> Tensor:
    return -(_rows_of(p, t) * (1 - p) ** 2 * torch.log(p + 1e-4)).sum(1).mean()
