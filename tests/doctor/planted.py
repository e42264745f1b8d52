"""Faulty losses, as practitioners write them: what the doctor must find.

Each carries a planted defect and the checks that name it; any one of these, at severity
error or warning, counts. What else the doctor says of it does not. Where a report is the
source, the formula is written anew from its description. `same` and its kin refuse
unequal shapes, so that a silent broadcast is a defect only where it is the planted one.

Written without a look at the checks' code, as a set that is fitted to the code measures
nothing. A case that the doctor misses is a finding about the doctor: it stays, unless it
is no defect.
"""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Planted:
    """One faulty loss.

    `checks`: any of them names the defect. `options`: further arguments for `diagnose`;
    a callable `input` or `target` makes the tensor. `factory`: `loss` makes the loss.
    """

    name: str
    loss: Callable[..., Any]
    task: str
    checks: frozenset[str]
    why: str
    source: str
    options: dict[str, Any] = field(default_factory=dict)
    factory: bool = False

    def __str__(self) -> str:
        return self.name

    def build(self) -> Callable[..., Any]:
        """The loss; a class or factory is called anew, so that no state survives."""
        return self.loss() if self.factory else self.loss

    def arguments(self) -> dict[str, Any]:
        """What `diagnose` takes besides the loss."""
        made = {k: v() if callable(v) else v for k, v in self.options.items()}
        return {"task": self.task, **made}


PLANTED: list[Planted] = []


def planted(
    *checks: str,
    task: str,
    why: str,
    source: str = "issue",
    options: dict[str, Any] | None = None,
    factory: bool = False,
) -> Callable[[Any], Any]:
    """Enter a loss, a Module class or (with `factory`) a maker of losses."""

    def enter(loss: Any) -> Any:
        PLANTED.append(
            Planted(
                loss.__name__,
                loss,
                task,
                frozenset(checks),
                why,
                source,
                options or {},
                factory or isinstance(loss, type),
            )
        )
        return loss

    return enter


def same(p: Tensor, t: Tensor) -> None:
    if p.shape != t.shape:
        raise ValueError(f"shapes differ: {tuple(p.shape)} and {tuple(t.shape)}")


def indices(z: Tensor, t: Tensor) -> None:
    if z.ndim != 2 or t.shape != z.shape[:1]:
        raise ValueError(f"(N, C) and (N,) wanted, not {tuple(z.shape)}, {tuple(t.shape)}")


def rows(z: Tensor, t: Tensor) -> Tensor:
    """The targets as rows of probabilities, be they indices or such rows already."""
    if t.is_floating_point():
        same(z, t)
        return t
    indices(z, t)
    classes = torch.arange(z.shape[1], device=t.device)
    return (t[:, None] == classes).to(z.dtype)  # F.one_hot would fail under vmap


def keras_ops() -> Any:
    """Keras's operations; the backend is chosen before its first import."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    return keras.ops


def normal(*shape: int, seed: int = 0, scale: float = 1.0) -> Callable[[], Tensor]:
    """A maker of a batch of normal numbers."""
    return lambda: scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def uniform(low: float, high: float, *shape: int, seed: int = 1) -> Callable[[], Tensor]:
    """A maker of a batch of uniform numbers."""
    return lambda: (
        low
        + (high - low) * torch.rand(shape, generator=torch.Generator().manual_seed(seed))
    )


def coins(*shape: int, seed: int = 2) -> Callable[[], Tensor]:
    """A maker of a batch of zeros and ones."""
    return lambda: (
        torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.4
    ).float()


# Regression: no gradient, or a wrong one


@planted(
    "differentiable",
    task="regression",
    why="round() has slope zero everywhere",
    source="github keras-team/keras#4175",
)
def mse_of_rounded(p, t):
    same(p, t)
    return ((p.round() - t) ** 2).mean()


@planted("differentiable", task="regression", why="a count of wrong signs has no slope")
def wrong_sign_rate(p, t):
    same(p, t)
    return ((p > 0) != (t > 0)).to(p.dtype).mean()


@planted(
    "differentiable",
    task="regression",
    why="each error is computed on plain data and put into a fresh tensor",
    source="github paiml/aprender#3034",
)
def smooth_l1_on_raw_data(p, t):
    same(p, t)
    values = [
        0.5 * d * d if abs(d) < 1 else abs(d) - 0.5
        for d in (
            a - b for a, b in zip(p.flatten().tolist(), t.flatten().tolist(), strict=True)
        )
    ]
    return torch.tensor(values, dtype=p.dtype, device=p.device).mean()


@planted("differentiable", task="regression", why="the prediction is detached")
def mse_of_detached(p, t):
    same(p, t)
    return ((p.detach() - t) ** 2).mean().requires_grad_()


@planted(
    "differentiable", "device", task="regression", why="NumPy in the middle cuts the graph"
)
def rmse_in_numpy(p, t):
    same(p, t)
    error = p.detach().cpu().numpy() - t.cpu().numpy()
    return torch.tensor(np.sqrt(np.mean(error**2) + 1e-6), requires_grad=True)


class _MseMeanBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, p, t):
        ctx.save_for_backward(p - t)
        return ((p - t) ** 2).mean()

    @staticmethod
    def backward(ctx, grad):
        (e,) = ctx.saved_tensors
        return grad * e.mean().expand_as(e), None


@planted(
    "gradient",
    task="regression",
    why="the hand-written gradient is the mean error, not that of the mean square",
    source="article 002",
)
def mse_with_mean_error_as_gradient(p, t):
    same(p, t)
    return _MseMeanBackward.apply(p, t)


class _HuberDeaf(torch.autograd.Function):
    @staticmethod
    def forward(ctx, p, t):
        e = p - t
        ctx.save_for_backward(e)
        return F.huber_loss(e, torch.zeros_like(e))

    @staticmethod
    def backward(ctx, grad):
        (e,) = ctx.saved_tensors
        return e.clamp(-1, 1) / e.numel(), None


@planted(
    "gradient",
    task="regression",
    why="backward ignores the gradient from above: 0.1 * loss pulls as hard as loss",
    source="github chainer/chainer#1175",
)
def huber_deaf_to_grad_output(p, t):
    same(p, t)
    return _HuberDeaf.apply(p, t)


class _HuberHalfClipped(torch.autograd.Function):
    @staticmethod
    def forward(ctx, p, t):
        e = p - t
        ctx.save_for_backward(e)
        return F.huber_loss(e, torch.zeros_like(e))

    @staticmethod
    def backward(ctx, grad):
        (e,) = ctx.saved_tensors
        return grad * e.clamp(max=1) / e.numel(), None


@planted(
    "gradient",
    task="regression",
    why="backward clips large positive errors only; right for all others",
)
def huber_clipped_on_one_side(p, t):
    same(p, t)
    return _HuberHalfClipped.apply(p, t)


class _LogCoshPerElement(torch.autograd.Function):
    @staticmethod
    def forward(ctx, p, t):
        e = p - t
        ctx.save_for_backward(e)
        return e + F.softplus(-2 * e) - math.log(2)

    @staticmethod
    def backward(ctx, grad):
        (e,) = ctx.saved_tensors
        return grad * torch.tanh(e) * 2, None


@planted(
    "gradient", task="regression", why="one value per element, gradient twice too large"
)
def log_cosh_with_doubled_backward(p, t):
    same(p, t)
    return _LogCoshPerElement.apply(p, t)


class _AbsoluteReversed(torch.autograd.Function):
    @staticmethod
    def forward(ctx, p, t):
        ctx.save_for_backward(p - t)
        return (p - t).abs().mean()

    @staticmethod
    def backward(ctx, grad):
        (e,) = ctx.saved_tensors
        return -grad * e.sign() / e.numel(), None


@planted(
    "gradient", task="regression", why="the sign of the hand-written gradient is reversed"
)
class ReversedGradientMAE(nn.Module):
    def forward(self, p, t):
        same(p, t)
        return _AbsoluteReversed.apply(p, t)


@planted(
    "differentiable",
    "gradient",
    task="regression",
    why="clamp_ changes what backward needs: it raises",
    source="github huggingface/pytorch-image-models#1500",
)
def mse_clamped_in_place(p, t):
    same(p, t)
    error = p - t
    square = error**2
    error.clamp_(-1, 1)
    return square.mean() + 0 * error.sum()


# Regression: not finite


@planted(
    "finite",
    task="regression",
    why="sqrt has infinite slope at zero error",
    source="github pytorch/pytorch#2421",
)
def rmse(p, t):
    same(p, t)
    return torch.sqrt(((p - t) ** 2).mean())


@planted(
    "finite",
    task="regression",
    why="the distance of each sample has gradient NaN where the sample is exact",
    source="github akanazawa/cmr#11",
)
def euclidean_per_sample(p, t):
    same(p, t)
    return (p - t).reshape(len(p), -1).pow(2).sum(1).pow(0.5)


@planted(
    "finite",
    task="regression",
    why="the square of a square root: 0 · ∞ in the gradient at zero error",
    source="github tensorflow/tensorflow#5562",
)
def square_of_distance(p, t):
    same(p, t)
    distance = torch.sqrt((p - t).reshape(len(p), -1).pow(2).sum(1))
    return (distance**2).mean()


@planted(
    "finite",
    task="regression",
    why="where() guards the value; the branch not taken still sends NaN",
    source="github tinygrad/tinygrad#15806",
)
def guarded_root(p, t):
    same(p, t)
    square = (p - t) ** 2
    return torch.where(square > 1e-12, torch.sqrt(square), torch.zeros_like(square)).mean()


@planted(
    "finite",
    "half-precision",
    task="regression",
    why="cosh overflows at an error of 90",
    source="github Lightning-AI/torchmetrics#3488",
)
def log_cosh_naive(p, t):
    same(p, t)
    return torch.log(torch.cosh(p - t)).mean()


@planted(
    "finite",
    task="regression",
    why="a target of zero: division by zero",
    source="github dmlc/xgboost#7586",
)
def mape(p, t):
    same(p, t)
    return ((p - t).abs() / t.abs()).mean()


@planted(
    "finite",
    task="regression",
    why="0/0 where prediction and target are both zero",
    source="github uber/causalml#1050",
)
def smape(p, t):
    same(p, t)
    return (2 * (p - t).abs() / (p.abs() + t.abs())).mean()


@planted(
    "finite",
    task="regression",
    why="log(1 + p) of an untrained model's negative outputs",
    source="github timeseriesAI/tsai#150",
    options={"input": normal(32, scale=2.0), "target": uniform(0, 50, 32)},
)
class MSLE(nn.Module):
    def forward(self, p, t):
        same(p, t)
        return F.mse_loss(torch.log(p + 1), torch.log(t + 1))


@planted(
    "finite",
    "bounded-below",
    "explosion",
    task="regression",
    why="log of the error: minus infinity at a perfect fit",
)
def log_of_absolute_error(p, t):
    same(p, t)
    return torch.log((p - t).abs()).mean()


@planted(
    "explosion",
    "bounded-below",
    task="regression",
    why="the epsilon hides the minus infinity; the slope reaches 1e9",
    source="article 002",
)
def unstable_loss(y_true, y_pred):
    same(y_true, y_pred)
    return torch.log((y_true - y_pred).abs() + 1e-9).mean()


@planted(
    "finite",
    "sample-separable",
    task="regression",
    why="1 - r²: the variance of a batch of one sample is zero",
    source="github tensorflow/tensorflow#85174",
)
def one_minus_r2(p, t):
    same(p, t)
    return ((p - t) ** 2).sum() / ((t - t.mean()) ** 2).sum()


@planted(
    "finite",
    "sample-separable",
    task="regression",
    why="correlation of a constant is 0/0",
    source="github NVIDIA-Genomics-Research/AtacWorks#104",
)
def pearson_naive(p, t):
    same(p, t)
    p, t = p.flatten() - p.mean(), t.flatten() - t.mean()
    return 1 - (p * t).sum() / (p.norm() * t.norm())


@planted(
    "finite",
    task="regression",
    why="the mean over targets above zero: of nothing, where there is none",
    source="github Deci-AI/super-gradients#912",
)
def mse_where_positive(p, t):
    same(p, t)
    mask = t > 0
    return ((p - t) ** 2 * mask).sum() / mask.sum()


@planted(
    "finite",
    "sample-separable",
    task="regression",
    why="keeps the hardest half; of one sample it keeps none, and the mean is NaN",
)
def hardest_half(p, t):
    same(p, t)
    loss = (p - t).abs().flatten().sort(descending=True).values
    return loss[: loss.numel() // 2].mean()


@planted(
    "finite",
    task="regression",
    why="the square roots are compared: slope infinite at an output of 0",
    source="github jzi040941/PercepNet#37",
    options={
        "input": lambda: torch.cat([torch.zeros(4), uniform(0, 1, 28)()]),
        "target": uniform(0, 1, 32, seed=5),
    },
)
def root_gain_loss(p, t):
    same(p, t)
    return ((t.clamp(min=0).sqrt() - p.clamp(min=0).sqrt()) ** 2).mean()


@planted(
    "continuity",
    "gradient",
    "half-precision",
    task="regression",
    why="Barron's loss written out for a shape of 1e-7: a staircase in float32",
)
class BarronNearZero(nn.Module):
    def __init__(self, alpha=1e-7):
        super().__init__()
        self.alpha = alpha

    def forward(self, p, t):
        same(p, t)
        b, a = abs(self.alpha - 2), self.alpha
        return (b / a * (((p - t) ** 2 / b + 1) ** (a / 2) - 1)).mean()


# Regression: half precision


@planted(
    "half-precision",
    task="regression",
    why="an epsilon of 1e-8 is zero in float16",
    source="github lightonai/pylate#239",
)
def charbonnier_tiny_epsilon(p, t):
    same(p, t)
    return torch.sqrt((p - t) ** 2 + 1e-8).mean()


@planted(
    "half-precision",
    task="regression",
    why="pixel units: the square of 255 overflows float16",
    source="symptoms",
)
def mse_in_grey_levels(p, t):
    same(p, t)
    return ((255 * (p - t)) ** 2).mean() / 255**2


@planted(
    "half-precision",
    task="regression",
    why="error over |target| + 1e-8: 0/0 in float16 where the target is zero",
    source="github rwightman/efficientdet-pytorch#291",
)
def relative_error_tiny_epsilon(p, t):
    same(p, t)
    error = (p - t).abs()
    return (error / (error + t.abs() + 1e-8)).mean() + error.mean()


# Regression: shapes and reductions


@planted(
    "shape",
    task="regression",
    why="(N,1) against (N,) gives N × N differences",
    source="github pytorch/pytorch#16045",
)
def mse_by_hand(p, t):
    return ((p - t) ** 2).mean()


@planted(
    "shape",
    "sample-separable",
    task="regression",
    why="only the prediction is squeezed: every column is broadcast, always",
    source="symptoms",
)
def mae_one_side_squeezed(p, t):
    return (p.squeeze(-1) - t).abs().mean()


@planted(
    "shape",
    task="regression",
    why="a Keras loss by hand broadcasts as well",
    source="github tensorflow/tensorflow#37770",
    factory=True,
)
def keras_mse_by_hand():
    ops = keras_ops()

    def mse(y_true, y_pred):
        return ops.mean(ops.square(y_true - y_pred))

    return mse


@planted(
    "reduction",
    task="regression",
    why="sum: twice the batch, twice the step",
    source="github jax-ml/jax#3113",
)
def sum_of_squares(p, t):
    same(p, t)
    return ((p - t) ** 2).sum()


@planted(
    "reduction",
    task="regression",
    why="sum where the mean is meant",
    source="github ml-stat-Sustech/TorchCP#27",
    options={"expects": 0.9},
)
class SummedPinball(nn.Module):
    def forward(self, p, t):
        same(p, t)
        error = t - p
        return torch.maximum(0.9 * error, -0.1 * error).sum()


@planted(
    "reduction",
    task="regression",
    why="the mean is divided by the batch size once more",
    source="github bhanML/Co-teaching#4",
)
def normalised_twice(p, t):
    same(p, t)
    return F.smooth_l1_loss(p, t) / p.shape[0]


@planted(
    "reduction", task="regression", why="the sum is divided by a fixed batch size of 32"
)
def fixed_batch_size(p, t):
    same(p, t)
    return ((p - t) ** 2).sum() / 32


@planted(
    "reduction",
    task="regression",
    why="the weight is accepted and ignored",
    source="github vandit15/Class-balanced-loss-pytorch#2",
)
def weight_ignored(p, t, weight=None):
    same(p, t)
    return ((p - t) ** 2).mean()


@planted(
    "reduction",
    task="regression",
    why="a Keras Loss whose call sums",
    source="github keras-team/keras-cv#1505",
    factory=True,
)
def keras_summed():
    ops = keras_ops()
    import keras

    class SummedAbsolute(keras.losses.Loss):
        def call(self, y_true, y_pred):
            same(y_true, y_pred)
            return ops.sum(ops.abs(y_true - y_pred))

    return SummedAbsolute()


@planted(
    "sample-separable",
    "finite",
    task="regression",
    why="the error in units of the batch's own deviation; of one sample it is NaN",
    source="symptoms",
)
def standardised_by_batch(p, t):
    same(p, t)
    return (((p - t) / t.std()) ** 2).mean()


@planted(
    "sample-separable",
    task="regression",
    why="the largest error of the batch scales all others",
    source="symptoms",
)
def scaled_by_largest_error(p, t):
    same(p, t)
    error = (p - t).abs()
    return (error**2 / (error.max() + 1e-3)).mean()


@planted(
    "sample-separable",
    task="regression",
    why="sorts both sides, so that a prediction meets another sample's target",
)
def sorted_against_sorted(p, t):
    same(p, t)
    return (p.sort(dim=0).values - t.sort(dim=0).values).abs().mean()


@planted(
    "sample-separable",
    "minimiser",
    task="regression",
    why="correlation of the batch: blind to offset and scale",
    source="github ForMyCat/SparseGS#24",
)
def pearson_with_epsilon(p, t):
    same(p, t)
    p, t = p.flatten(), t.flatten()
    p = (p - p.mean()) / (p.std(correction=0) + 1e-6)
    t = (t - t.mean()) / (t.std(correction=0) + 1e-6)
    return 1 - (p * t).mean()


# Regression: not repeatable, not pure, not portable


@planted(
    "deterministic",
    task="regression",
    why="noise is added to the loss",
    source="article 000",
)
def noisy_mae_loss(predictions, targets, noise_level=0.1):
    same(predictions, targets)
    error = (predictions - targets).abs()
    return (error + noise_level * torch.randn_like(error)).mean()


@planted(
    "deterministic",
    task="regression",
    why="noise is added to the targets",
    source="article 000",
)
def noisy_mse_loss(predictions, targets, noise_level=0.1):
    same(predictions, targets)
    noisy = targets + noise_level * torch.randn_like(targets)
    return ((predictions - noisy) ** 2).mean()


@planted("deterministic", task="regression", why="dropout is never switched off")
def mse_with_dropout(p, t):
    same(p, t)
    return F.dropout((p - t) ** 2, p=0.2).mean()


@planted(
    "deterministic",
    "pure",
    task="regression",
    why="divides by a moving average of itself",
    source="symptoms",
)
class MovingScale(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.ones(()))

    def forward(self, p, t):
        same(p, t)
        loss = F.mse_loss(p, t)
        self.scale = 0.9 * self.scale.to(loss) + 0.1 * loss.detach()
        return loss / self.scale


@planted(
    "deterministic",
    "pure",
    task="regression",
    why="a warm-up counts calls, evaluations too",
)
class WarmUp:
    def __init__(self):
        self.calls = 0

    def __call__(self, p, t):
        same(p, t)
        self.calls += 1
        return min(1.0, self.calls / 1000) * F.l1_loss(p, t)


@planted("pure", task="regression", why="sets the global seed at each call")
def reseeding(p, t):
    same(p, t)
    torch.manual_seed(0)
    return ((p - t + 1e-3 * torch.randn_like(p)) ** 2).mean()


@planted("deterministic", "pure", task="regression", why="draws from NumPy's global state")
def random_subset(p, t):
    same(p, t)
    keep = torch.from_numpy(np.random.rand(*p.shape) < 0.8).to(p)  # noqa: NPY002
    return (keep * (p - t) ** 2).mean()


@planted(
    "pure",
    task="regression",
    why="clips the caller's targets in place",
    source="symptoms",
)
def clips_targets_in_place(p, t):
    same(p, t)
    t.clamp_(min=0)
    return (p - t).abs().mean()


@planted("pure", task="regression", why="an in-place scaling through a view of the target")
def rescales_targets_through_a_view(p, t):
    same(p, t)
    flat = t.view(-1)
    flat *= 0.5
    return (0.5 * p.reshape(-1) - flat).pow(2).mean()


@planted(
    "device",
    task="regression",
    why="the threshold is a tensor on the CPU",
    source="github bernardo-torres/spectral-optimal-transport#3",
)
def huber_with_cpu_threshold(p, t):
    same(p, t)
    error = (p - t).abs()
    small = torch.minimum(error, torch.tensor([1.0], dtype=p.dtype))
    return (0.5 * small**2 + error - small).mean()


@planted(
    "device",
    task="regression",
    why="everything is moved to the CPU first",
    source="github jeshraghian/snntorch#188",
)
def mse_on_cpu(p, t):
    same(p, t)
    return F.mse_loss(p.cpu(), t.cpu())


@planted(
    "device",
    "vmap",
    task="regression",
    why=".item() for a log: waits for the GPU at each step",
    source="github pytorch/pytorch#158642",
)
class LoggingMAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.history = []

    def forward(self, p, t):
        same(p, t)
        loss = (p - t).abs().mean()
        self.history.append(loss.item())
        return loss


@planted(
    "device",
    "compile",
    "vmap",
    task="regression",
    why="a Python branch on a value of the batch",
    source="github kornia/kornia#3792",
)
def branch_on_nan(p, t):
    same(p, t)
    loss = (p - t) ** 2
    if torch.isnan(loss).any():
        loss = torch.nan_to_num(loss)
    return loss.mean()


@planted(
    "vmap",
    "compile",
    task="regression",
    why="boolean indexing: the shape depends on the values",
    source="github pytorch/vision#9518",
)
def huber_by_boolean_indexing(p, t):
    same(p, t)
    error = (p - t).abs()
    loss = error - 0.5
    small = error < 1
    return (loss[~small].sum() + (0.5 * error[small] ** 2).sum()) / error.numel()


@planted(
    "compile",
    "vmap",
    "device",
    task="regression",
    why="a graph break, and a number leaves the graph",
    source="github linkedin/Liger-Kernel#1274",
    options={"compile": True},
)
def compiled_with_nonzero(p, t):
    same(p, t)
    square = ((p - t) ** 2).flatten()
    hits = torch.nonzero(square > 0).flatten()
    return square[hits].sum() / square.numel()


# Regression: hard to learn from


@planted(
    "plateau",
    task="regression",
    why="the slope falls to a thousandth beyond an error of 0.5",
    source="article 001",
)
class PlateauLoss(nn.Module):
    def forward(self, predicted, target):
        same(predicted, target)
        error = (predicted - target).abs()
        return torch.where(error <= 0.5, error, 0.001 * error + 0.4995).mean()


@planted(
    "plateau", task="regression", why="the square is capped: large errors have no slope"
)
def capped_square(p, t):
    same(p, t)
    return torch.clamp((p - t) ** 2, max=1.0).mean()


@planted("plateau", task="regression", why="tanh of the square saturates")
def squashed_square(p, t):
    same(p, t)
    return torch.tanh((p - t) ** 2)


@planted(
    "plateau",
    "minimiser",
    task="regression",
    why="a prediction outside 0..1 is clamped and has no gradient back",
)
def mse_of_clamped_prediction(p, t):
    same(p, t)
    return ((p.clamp(0, 1) - t) ** 2).mean()


@planted(
    "plateau", task="regression", why="a correntropy a twentieth wide sees only near hits"
)
class NarrowCorrentropy(nn.Module):
    def forward(self, p, t):
        same(p, t)
        return (1 - torch.exp(-((p - t) ** 2) / (2 * 0.05**2))).mean()


@planted(
    "plateau",
    "asymmetry",
    "continuity",
    task="regression",
    why="the linear branch asks e > d without abs: no loss below -d",
    source="github marlbenchmark/on-policy#47",
)
def huber_without_abs(p, t):
    same(p, t)
    e, d = p - t, 1.0
    inner, outer = (e.abs() <= d).to(p), (e > d).to(p)
    return (inner * e**2 / 2 + outer * d * (e.abs() - d / 2)).mean()


@planted(
    "explosion",
    "finite",
    task="regression",
    why="exp of the error",
    source="symptoms",
)
def exponential_error(p, t):
    same(p, t)
    return (torch.exp((p - t).abs()) - 1).mean()


@planted(
    "explosion",
    task="regression",
    why="fourth power: slope × 1000 for error × 10",
    source="symptoms",
)
def fourth_power(p, t):
    same(p, t)
    return ((p - t) ** 4).mean()


@planted(
    "explosion",
    task="regression",
    why="the tenth root of the error: slope without bound near the fit",
)
def tenth_root(p, t):
    same(p, t)
    return ((p - t).abs() + 1e-12).pow(0.1).mean()


@planted(
    "explosion",
    "bounded-below",
    "finite",
    task="regression",
    why="the ratio is upside down: minus infinity at the fit",
    source="symptoms",
)
def upside_down(p, t):
    same(p, t)
    return -(1 / ((p - t).abs() + 1e-10)).mean()


@planted(
    "asymmetry",
    "minimiser",
    task="regression",
    why="squares above the target count five times",
    source="article 001",
)
class AsymmetricLoss(nn.Module):
    def __init__(self, scale=5.0):
        super().__init__()
        self.scale = scale

    def forward(self, predicted, target):
        same(predicted, target)
        e = predicted - target
        return torch.where(e > 0, self.scale * e**2, e**2).mean()


@planted(
    "minimiser",
    task="regression",
    why="0.01 e² + e has its minimum at an error of -50",
    source="article 001",
)
class PoorlyConditionedLoss(nn.Module):
    def forward(self, predicted, target):
        same(predicted, target)
        e = predicted - target
        return (0.01 * e**2 + e).mean()


@planted(
    "asymmetry",
    "minimiser",
    task="regression",
    why="overestimates count 0.7, underestimates 0.3",
    source="github IDKiro/CBDNet-pytorch#27",
)
def noise_level_loss(p, t):
    same(p, t)
    return ((0.3 - (t < p).to(p)).abs() * (p - t) ** 2).mean()


@planted(
    "asymmetry",
    "minimiser",
    "explosion",
    task="regression",
    why="LINEX: one side exponential",
)
def linex(p, t):
    same(p, t)
    e = p - t
    return (torch.exp(e) - e - 1).mean()


@planted(
    "minimiser",
    "asymmetry",
    task="regression",
    why="the 0.9 quantile is wanted, the error's sign is reversed: the 0.1 quantile",
    source="github ufal/npfl139#17",
    options={"expects": 0.9},
)
def pinball_reversed(p, t):
    same(p, t)
    e = p - t
    return torch.maximum(0.9 * e, -0.1 * e).mean()


@planted(
    "minimiser",
    "asymmetry",
    task="regression",
    why="a pinball at 0.75 left from another experiment, where the centre is wanted",
    source="symptoms",
)
def pinball_left_over(p, t):
    same(p, t)
    e = t - p
    return torch.where(e > 0, 0.75 * e, -0.25 * e).mean()


@planted(
    "bounded-below",
    "minimiser",
    task="regression",
    why="one branch has the wrong sign: below zero without end",
    source="github scikit-learn/scikit-learn#8087",
    options={"expects": 0.9},
)
def pinball_sign_of_one_branch(p, t):
    same(p, t)
    e = t - p
    return torch.where(e > 0, 0.9 * e, 0.1 * e).mean()


@planted(
    "bounded-below",
    "minimiser",
    "continuity",
    task="regression",
    why="the linear branch lacks abs: below zero without end on one side",
    source="github PaddlePaddle/Paddle#44019",
)
def huber_signed_linear_branch(p, t):
    same(p, t)
    e, d = t - p, 1.0
    return torch.where(e.abs() <= d, 0.5 * e**2, d * e - 0.5 * d**2).mean()


@planted("minimiser", task="regression", why="a target scaled by 0.9: ten per cent too low")
def scaled_target(p, t):
    same(p, t)
    return ((p - 0.9 * t) ** 2).mean()


@planted("minimiser", task="regression", why="an offset of 0.2 left in the error")
def offset_error(p, t):
    same(p, t)
    return F.smooth_l1_loss(p, t + 0.2)


@planted(
    "minimiser",
    task="regression",
    why="the weight stands inside the square, on the prediction alone",
    source="symptoms",
)
def weight_inside_the_square(p, t):
    same(p, t)
    return ((1.2 * p - t) ** 2).mean()


@planted(
    "minimiser",
    task="regression",
    why="a ridge on the predictions instead of the weights: a tenth too small",
    source="article 004",
)
def ridge_on_predictions(p, t):
    same(p, t)
    return ((p - t) ** 2).mean() + 0.1 * (p**2).mean()


@planted(
    "minimiser",
    task="regression",
    why="one healthy term hides one that pulls all predictions to zero",
    source="article 004",
)
class HuberPlusSparsity(nn.Module):
    def forward(self, p, t):
        same(p, t)
        return F.huber_loss(p, t) + 0.3 * p.abs().mean()


@planted(
    "bounded-below",
    "minimiser",
    task="regression",
    why="a distance is maximised: the minus belongs to similarities",
    source="github Unakar/Logic-RL#58",
)
def negative_mse(p, t):
    same(p, t)
    return -((p - t) ** 2).mean()


@planted(
    "bounded-below",
    task="regression",
    why="the difference of two losses falls without end far out",
    source="symptoms",
)
def difference_of_losses(p, t):
    same(p, t)
    e = p - t
    return (e.abs() - 0.1 * e**2).mean()


@planted(
    "continuity",
    task="regression",
    why="wing loss with + C for - C: the value drops at the joint",
    source="github TropComplique/wing-loss#9",
)
class WingLoss(nn.Module):
    def __init__(self, w=1.0, epsilon=0.2):
        super().__init__()
        self.w, self.epsilon = w, epsilon
        self.c = w - w * math.log(1 + w / epsilon)

    def forward(self, p, t):
        same(p, t)
        x = (p - t).abs()
        return torch.where(
            x < self.w, self.w * torch.log(1 + x / self.epsilon), x + self.c
        ).mean()


@planted(
    "continuity",
    task="regression",
    why="the quadratic branch is divided by 1 + v², the linear one is not",
    source="github unibas-gravis/scalismo#260",
)
def huber_divided(p, t):
    same(p, t)
    v = p - t
    return torch.where(v.abs() < 1, v**2 / 2 / (1 + v**2), v.abs() - 0.5).mean()


@planted(
    "continuity",
    task="regression",
    why="2 d (|e| - d) is zero where the quadratic branch has reached d²",
    source="github h2oai/h2o-3#6015",
)
def huber_misfactored(p, t):
    same(p, t)
    e, d = (p - t).abs(), 1.0
    return torch.where(e <= d, e**2, 2 * d * (e - d)).mean()


@planted("continuity", task="regression", why="a lump sum for the wrong sign")
def wrong_sign_penalty(p, t):
    same(p, t)
    return ((p - t) ** 2 + ((p * t) < 0).to(p)).mean()


@planted(
    "continuity", task="regression", why="errors beyond 1 count ten times, from one step on"
)
def stepped_weight(p, t):
    same(p, t)
    e = (p - t).abs()
    return (torch.where(e > 1, 10.0, 1.0) * e).mean()


@planted(
    "conditioning",
    task="regression",
    why="one output in millimetres, one in metres",
    options={"input": normal(32, 2), "target": normal(32, 2, seed=3)},
)
def mixed_units(p, t):
    same(p, t)
    unit = torch.tensor([1000.0, 1.0], dtype=p.dtype, device=p.device)
    return ((unit * (p - t)) ** 2).mean()


@planted(
    "conditioning",
    task="regression",
    why="the sum of the outputs counts 1e5 times more than each output",
    options={"input": normal(32, 3), "target": normal(32, 3, seed=3)},
)
def stiff_balance_term(p, t):
    same(p, t)
    e = p - t
    return (e**2).mean() + 1e5 * e.sum(-1).pow(2).mean()


@planted(
    "convexity",
    "plateau",
    task="regression",
    why="periodic in the error: false minima far out",
)
def one_minus_cosine(p, t):
    same(p, t)
    return (1 - torch.cos(3 * (p - t))).mean()


@planted(
    "convexity", task="regression", why="a ripple on the square: false minima on the way"
)
def rippled_square(p, t):
    same(p, t)
    e = p - t
    return (e**2 + 0.5 * torch.sin(8 * e) ** 2).mean()


@planted(
    "differentiable",
    task="regression",
    why="Keras's round has no gradient",
    source="github keras-team/keras#11157",
    factory=True,
)
def keras_of_rounded():
    ops = keras_ops()

    def rounded_mae(y_true, y_pred):
        same(y_true, y_pred)
        return ops.mean(ops.abs(y_true - ops.round(y_pred)), axis=-1)

    return rounded_mae


@planted(
    "finite",
    task="regression",
    why="a Keras loss with the square root of the mean square",
    source="github tensorflow/tensorflow#42889",
    factory=True,
)
def keras_rmse():
    ops = keras_ops()
    import keras

    class RootMeanSquare(keras.losses.Loss):
        def call(self, y_true, y_pred):
            same(y_true, y_pred)
            return ops.sqrt(ops.mean(ops.square(y_true - y_pred), axis=-1))

    return RootMeanSquare()


# Binary, from probabilities


@planted(
    "finite",
    task="binary_probabilities",
    why="0 · log 0 at a prediction that is right and certain",
    source="github ml-explore/mlx#1280",
)
def bce_naive(p, t):
    same(p, t)
    return -(t * torch.log(p) + (1 - t) * torch.log(1 - p)).mean()


@planted(
    "finite",
    task="binary_probabilities",
    why="nan_to_num cleans the value; the gradient stays NaN",
)
def bce_cleaned(p, t):
    same(p, t)
    return torch.nan_to_num(-(t * torch.log(p) + (1 - t) * torch.log(1 - p))).mean()


@planted(
    "half-precision",
    task="binary_probabilities",
    why="an epsilon of 1e-8 is zero in float16: 0 · log 0",
    source="github lisa-lab/DeepLearningTutorials#86",
)
def bce_tiny_epsilon(p, t):
    same(p, t)
    return -(t * torch.log(p + 1e-8) + (1 - t) * torch.log(1 - p + 1e-8)).mean()


@planted(
    "plateau",
    task="binary_probabilities",
    why="probabilities are clamped to 0.05..0.95: certain mistakes have no gradient",
)
def bce_clamped(p, t):
    same(p, t)
    p = p.clamp(0.05, 0.95)
    return -(t * p.log() + (1 - t) * (1 - p).log()).mean()


@planted(
    "minimiser",
    task="binary_probabilities",
    why="the labels' convention is reversed",
    source="symptoms",
)
def bce_for_other_class(p, t):
    same(p, t)
    return F.binary_cross_entropy(p, 1 - t)


@planted(
    "minimiser",
    task="binary_probabilities",
    why="the minus is missing",
    source="github davharris/mistnet#29",
)
def bce_without_minus(p, t):
    same(p, t)
    p = p.clamp(1e-4, 1 - 1e-4)
    return (t * p.log() + (1 - t) * (1 - p).log()).mean()


@planted(
    "minimiser",
    "plateau",
    task="binary_probabilities",
    why="only the positives are scored: 1 everywhere is best",
)
def positives_only(p, t):
    same(p, t)
    return -(t * torch.log(p.clamp(min=1e-6))).mean()


@planted(
    "minimiser",
    "plateau",
    "initial-value",
    task="binary_probabilities",
    why="probabilities go through the sigmoid again",
    source="symptoms",
)
def with_logits_of_probabilities(p, t):
    same(p, t)
    return F.binary_cross_entropy_with_logits(p, t)


@planted(
    "minimiser",
    "bounded-below",
    task="binary_probabilities",
    why="smoothing without the factor: targets of 0.5 and 1.4",
    source="github TimDettmers/ConvE#55",
)
class SmoothedTooMuch(nn.Module):
    def forward(self, p, t):
        same(p, t)
        t = 0.9 * t + 1 / 2
        p = p.clamp(1e-6, 1 - 1e-6)
        return -(t * p.log() + (1 - t) * (1 - p).log()).mean()


@planted(
    "finite",
    task="binary_probabilities",
    why="focal with gamma 0.5: infinite slope of the root at a perfect answer",
    source="github fizyr/keras-retinanet#706",
)
def focal_small_gamma(p, t):
    same(p, t)
    right = torch.where(t > 0.5, p, 1 - p)
    return -(((1 - right) ** 0.5) * torch.log(right.clamp(min=1e-7))).mean()


@planted(
    "deterministic",
    "finite",
    task="binary_probabilities",
    why="multiplicative noise on the predictions, which leaves 0..1",
    source="article 000",
)
def noisy_log_loss(predictions, targets, noise_level=0.1):
    same(predictions, targets)
    noisy = predictions * (1 + noise_level * torch.randn_like(predictions))
    return (-targets * noisy.log() - (1 - targets) * (1 - noisy).log()).mean()


@planted(
    "finite",
    task="binary_probabilities",
    why="Dice of an empty mask and an empty answer is 0/0",
    source="github neuronets/nobrainer#8",
)
def dice_without_smoothing(p, t):
    same(p, t)
    return 1 - 2 * (p * t).sum() / (p.sum() + t.sum())


@planted(
    "plateau",
    "minimiser",
    task="binary_probabilities",
    why="epsilon in the denominator only: 1 without slope on an empty mask",
    source="github open-mmlab/mmocr#408",
)
def dice_epsilon_below_only(p, t):
    same(p, t)
    return 1 - 2 * (p * t).sum() / (p.sum() + t.sum() + 1e-6)


@planted(
    "differentiable",
    task="binary_probabilities",
    why="the answer is thresholded before the Dice",
    source="github tensorlayer/TensorLayer#891",
)
def dice_of_thresholded(p, t):
    same(p, t)
    p = (p > 0.5).to(p)
    return 1 - (2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1)


@planted(
    "half-precision",
    task="binary_probabilities",
    why="a sum over a whole picture overflows float16",
    source="github qubvel-org/segmentation_models.pytorch#463",
    options={"input": uniform(0.5, 1, 4, 50_000), "target": lambda: torch.ones(4, 50_000)},
)
class SoftDiceOfPictures(nn.Module):
    def forward(self, p, t):
        same(p, t)
        return 1 - (2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1)


@planted(
    "half-precision",
    task="binary_probabilities",
    why="Dice with a smoothing of 1e-8: 0/0 in float16 on an empty mask",
    source="github ultralytics/ultralytics#24554",
)
def dice_tiny_smoothing(p, t):
    same(p, t)
    return 1 - (2 * (p * t).sum() + 1e-8) / (p.sum() + t.sum() + 1e-8)


@planted(
    "finite",
    task="binary_probabilities",
    why="minus the log of an overlap that is zero",
)
def log_dice(p, t):
    same(p, t)
    return -torch.log(2 * (p * t).sum() / (p.sum() + t.sum() + 1e-6))


@planted(
    "finite",
    task="binary_probabilities",
    why="one mean per class; of a class that is absent, a mean of nothing",
    source="github valerystrizh/pytorch-histogram-loss#12",
)
def mean_of_class_means(p, t):
    same(p, t)
    p = p.clamp(1e-6, 1 - 1e-6)
    positive, negative = t, 1 - t
    return -(
        (positive * p.log()).sum() / positive.sum()
        + (negative * (1 - p).log()).sum() / negative.sum()
    )


@planted(
    "device",
    "differentiable",
    "compile",
    "vmap",
    task="binary_probabilities",
    why="an empty mask returns a fresh zero: no graph, the wrong device",
    source="github Deci-AI/super-gradients#982",
)
def fresh_zero_for_empty_mask(p, t):
    same(p, t)
    if t.sum() == 0:
        return torch.tensor(0.0)
    return 1 - (2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1)


@planted(
    "pure",
    "differentiable",
    task="binary_probabilities",
    why="clamp_ on the caller's prediction",
    source="symptoms",
)
def clamps_prediction_in_place(p, t):
    same(p, t)
    p.clamp_(1e-6, 1 - 1e-6)
    return F.binary_cross_entropy(p, t)


@planted(
    "shape",
    task="binary_probabilities",
    why="the Brier score by hand broadcasts (N,1) against (N,)",
    source="github LAMDA-Tabular/TALENT#92",
)
def brier_by_hand(p, t):
    return (p - t).square().mean()


@planted(
    "minimiser",
    "plateau",
    "initial-value",
    task="binary_probabilities",
    why="a Keras cross-entropy told that probabilities are logits",
    source="github nfmcclure/tensorflow_cookbook#86",
    factory=True,
)
def keras_from_logits_by_mistake():
    keras_ops()
    import keras

    return keras.losses.BinaryCrossentropy(from_logits=True)


# Binary, from logits


@planted(
    "finite",
    task="binary_logits",
    why="log of a sigmoid that is exactly 0",
    source="github kuangliu/pytorch-retinanet#17",
)
def sigmoid_then_log(z, t):
    same(z, t)
    p = torch.sigmoid(z)
    return -(t * torch.log(p) + (1 - t) * torch.log(1 - p)).mean()


@planted(
    "plateau",
    "half-precision",
    task="binary_logits",
    why="the epsilon removes the NaN and the gradient of certain mistakes with it",
)
def sigmoid_then_log_epsilon(z, t):
    same(z, t)
    p = torch.sigmoid(z)
    return -(t * torch.log(p + 1e-12) + (1 - t) * torch.log(1 - p + 1e-12)).mean()


@planted(
    "plateau",
    "gradient",
    task="binary_logits",
    why="sigmoid, then BCELoss: the gradient of a certain mistake is zero",
    source="github pytorch/pytorch#103316",
)
class SigmoidThenBCE(nn.Module):
    def forward(self, z, t):
        same(z, t)
        return F.binary_cross_entropy(torch.sigmoid(z), t)


@planted(
    "plateau",
    "minimiser",
    "initial-value",
    task="binary_logits",
    why="the sigmoid is applied twice",
    source="symptoms",
)
def sigmoid_twice(z, t):
    same(z, t)
    return F.binary_cross_entropy_with_logits(torch.sigmoid(z), t)


@planted(
    "plateau",
    task="binary_logits",
    why="the square of a sigmoid is flat at certain mistakes",
)
def squared_sigmoid(z, t):
    same(z, t)
    return ((torch.sigmoid(z) - t) ** 2).mean()


@planted(
    "finite",
    task="binary_logits",
    why="log(1 + exp(z)) overflows at 89",
    source="github borgwang/tinynn#7",
)
def softplus_by_hand(z, t):
    same(z, t)
    return (torch.log(1 + torch.exp(z)) - t * z).mean()


@planted(
    "finite",
    task="binary_logits",
    why="a temperature of 0.01 inside exp overflows at scores of 1",
    source="symptoms",
)
class SharpTemperature(nn.Module):
    def __init__(self, tau=0.01):
        super().__init__()
        self.tau = tau

    def forward(self, z, t):
        same(z, t)
        z = z / self.tau
        return (torch.log(1 + torch.exp(z)) - t * z).mean()


@planted(
    "finite",
    task="binary_logits",
    why="focal with gamma 0.5: NaN gradient at saturated logits",
    source="github kornia/kornia#918",
)
def focal_logits_small_gamma(z, t):
    same(z, t)
    p, eps = torch.sigmoid(z), 1e-6
    return -(
        (1 - p) ** 0.5 * t * torch.log(p + eps) + p**0.5 * (1 - t) * torch.log(1 - p + eps)
    ).mean()


@planted(
    "reduction",
    task="binary_logits",
    why="sum for mean",
    source="github PreferredAI/cornac#537",
)
def summed_bce(z, t):
    same(z, t)
    return F.binary_cross_entropy_with_logits(z, t, reduction="sum")


@planted(
    "reduction",
    task="binary_logits",
    why="the weight is an argument that nothing reads",
    source="github tensorflow/tensorflow#28029",
)
class WeightUnread(nn.Module):
    def forward(self, z, t, weight=None):
        same(z, t)
        return F.binary_cross_entropy_with_logits(z, t)


@planted(
    "sample-separable",
    "finite",
    task="binary_logits",
    why="the positives' weight comes from the batch: infinite where there is none",
    source="github richardaecn/class-balanced-loss#17",
)
def weight_from_the_batch(z, t):
    same(z, t)
    weight = (t.numel() - t.sum()) / t.sum()
    return F.binary_cross_entropy_with_logits(z, t, pos_weight=weight)


@planted(
    "plateau",
    "minimiser",
    task="binary_logits",
    why="a hinge for ±1 fed with 0/1: the negatives' loss is 1 whatever the score",
    source="github bfortuner/ml-glossary#113",
)
def hinge_of_zero_one_labels(z, t):
    same(z, t)
    return torch.clamp(1 - t * z, min=0).mean()


class _BceNoSigmoid(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z, t):
        ctx.save_for_backward(z, t)
        return F.binary_cross_entropy_with_logits(z, t)

    @staticmethod
    def backward(ctx, grad):
        z, t = ctx.saved_tensors
        return grad * (z - t) / z.numel(), None


@planted(
    "gradient", task="binary_logits", why="the hand-written gradient forgets the sigmoid"
)
def bce_backward_without_sigmoid(z, t):
    same(z, t)
    return _BceNoSigmoid.apply(z, t)


@planted(
    "shape",
    task="binary_logits",
    why="a stable cross-entropy by hand, and still it broadcasts",
)
def stable_bce_by_hand(z, t):
    return (z.clamp(min=0) - z * t + torch.log1p(torch.exp(-z.abs()))).mean()


@planted(
    "differentiable",
    task="binary_logits",
    why="the error rate: a comparison has no slope",
)
def error_rate(z, t):
    same(z, t)
    return ((z > 0).to(t) - t).abs().mean()


@planted(
    "initial-value",
    "minimiser",
    task="binary_logits",
    why="a bias of 4 left inside: a score of 0 means 98 %",
)
def biased_logit(z, t):
    same(z, t)
    return F.binary_cross_entropy_with_logits(z + 4, t)


@planted(
    "plateau",
    task="binary_logits",
    why="hidden in a sum of two terms, both flat at certain mistakes",
    source="symptoms",
)
class DicePlusClampedBCE(nn.Module):
    def forward(self, z, t):
        same(z, t)
        p = torch.sigmoid(z)
        dice = 1 - (2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1)
        q = p.clamp(1e-2, 1 - 1e-2)
        return dice - (t * q.log() + (1 - t) * (1 - q).log()).mean()


# Signed scores


@planted("minimiser", task="signed_scores", why="the sign inside the hinge is reversed")
def hinge_reversed(z, t):
    same(z, t)
    return torch.clamp(1 + t * z, min=0).mean()


@planted(
    "explosion",
    "finite",
    task="signed_scores",
    why="the exponential loss overflows at a margin of -89",
    source="symptoms",
)
def exponential_loss(z, t):
    same(z, t)
    return torch.exp(-t * z).mean()


@planted(
    "finite", task="signed_scores", why="log(1 + exp(-tz)) overflows at a margin of -89"
)
def soft_margin_by_hand(z, t):
    same(z, t)
    return torch.log(1 + torch.exp(-t * z)).mean()


@planted(
    "plateau",
    task="signed_scores",
    why="a sigmoid of the margin: certain mistakes are flat",
)
def sigmoid_loss(z, t):
    same(z, t)
    return torch.sigmoid(-4 * t * z).mean()


@planted(
    "sample-separable",
    "plateau",
    task="signed_scores",
    why="max(0, ·) around the mean: good samples pay for bad ones",
    source="github Atcold/NYU-DLSP20#832",
)
def hinge_of_the_mean(z, t):
    same(z, t)
    return torch.clamp((1 - t * z).mean(), min=0)


@planted("differentiable", task="signed_scores", why="a count of margins below 1")
def margin_violations(z, t):
    same(z, t)
    return (t * z < 1).to(z).mean()


@planted(
    "asymmetry",
    "minimiser",
    task="signed_scores",
    why="labels are mapped to ±1 a second time: -3 and 1",
    source="github zhengruifeng/spark-libFM#9",
)
def labels_mapped_twice(z, t):
    same(z, t)
    return F.softplus(-(2 * t - 1) * z).mean()


@planted(
    "bounded-below",
    task="signed_scores",
    why="the margin without a floor: a large score pays without end",
)
def margin_without_hinge(z, t):
    same(z, t)
    return (1 - t * z).mean()


@planted("shape", task="signed_scores", why="the squared hinge by hand broadcasts")
def squared_hinge_by_hand(z, t):
    return (1 - t * z).clamp(min=0).square().mean()


@planted(
    "reduction",
    task="signed_scores",
    why="a Module that sums over the batch",
    source="github cleverhans-lab/cleverhans#529",
)
class SummedHinge(nn.Module):
    def forward(self, z, t):
        same(z, t)
        return F.relu(1 - t * z).sum()


# Classes, from logits


@planted(
    "plateau",
    "minimiser",
    "initial-value",
    task="multiclass_logits",
    why="softmax twice: certain mistakes are flat, the value never reaches 0",
    source="github ariecattan/SciCo#2",
)
def softmax_twice(z, t):
    indices(z, t)
    return F.cross_entropy(torch.softmax(z, 1), t)


@planted(
    "plateau",
    "minimiser",
    "initial-value",
    task="multiclass_logits",
    why="softmax twice, on one-hot rows",
    source="github jaehong31/CGES#1",
)
class SoftmaxTwiceOneHot(nn.Module):
    def forward(self, z, t):
        t = rows(z, t)
        return -(t * F.log_softmax(z.softmax(-1), -1)).sum(-1).mean()


@planted(
    "sample-separable",
    "minimiser",
    "plateau",
    task="multiclass_logits",
    why="softmax over the batch",
    source="github batra-mlp-lab/visdial-challenge-starter-pytorch#1",
)
def softmax_over_the_batch(z, t):
    indices(z, t)
    return F.nll_loss(F.log_softmax(z, dim=0), t)


@planted(
    "finite",
    task="multiclass_logits",
    why="log of a softmax that is exactly 0",
)
def softmax_then_log(z, t):
    indices(z, t)
    return F.nll_loss(torch.log(torch.softmax(z, 1)), t)


@planted(
    "plateau",
    "half-precision",
    task="multiclass_logits",
    why="log(softmax + 1e-8): no gradient where the probability is below that",
)
def softmax_then_log_epsilon(z, t):
    indices(z, t)
    return F.nll_loss(torch.log(torch.softmax(z, 1) + 1e-8), t)


@planted(
    "plateau",
    task="multiclass_logits",
    why="the log is missing: minus the probability, flat at certain mistakes",
    source="github lightly-ai/lightly#1340",
)
def nll_of_probabilities(z, t):
    indices(z, t)
    return F.nll_loss(torch.softmax(z, 1), t)


@planted(
    "differentiable",
    task="multiclass_logits",
    why="argmax has no gradient",
    source="github wonbeomjang/mobile-hair-segmentation-pytorch#3",
)
def distance_of_argmax(z, t):
    indices(z, t)
    return (z.argmax(1) - t).to(z).abs().mean()


@planted(
    "continuity",
    "differentiable",
    task="multiclass_logits",
    why="the second term is an argmax: it moves the value and never the gradient",
    source="github Ugenteraan/Deep_Hierarchical_Classification#6",
)
class CrossEntropyPlusErrorRate(nn.Module):
    def forward(self, z, t):
        indices(z, t)
        return F.cross_entropy(z, t) + (z.argmax(1) != t).to(z).mean()


@planted(
    "minimiser",
    task="multiclass_logits",
    why="classes counted from 1: each label one off",
    source="github mlverse/torch#681",
)
def labels_off_by_one(z, t):
    indices(z, t)
    return F.cross_entropy(z, (t - 1) % z.shape[1])


@planted(
    "reduction",
    task="multiclass_logits",
    why="sum for mean",
    source="github vanHavel/bp-mll-tensorflow#2",
)
def summed_cross_entropy(z, t):
    indices(z, t)
    return F.cross_entropy(z, t, reduction="sum")


@planted(
    "reduction",
    "initial-value",
    task="multiclass_logits",
    why="the mean over classes too: divided by N · C",
)
def mean_over_classes(z, t):
    return -(rows(z, t) * F.log_softmax(z, 1)).mean()


@planted(
    "finite",
    "sample-separable",
    task="multiclass_logits",
    why="class weights from the batch, normalised: infinity over infinity if one is absent",
    source="github fcakyon/balanced-loss#12",
)
def balanced_by_batch(z, t):
    indices(z, t)
    weight = 1 / rows(z, t).sum(0)
    weight = ((weight / weight.sum() * z.shape[1]) * rows(z, t)).sum(1)
    return (weight * F.cross_entropy(z, t, reduction="none")).mean()


@planted(
    "plateau",
    task="multiclass_logits",
    why="generalised cross-entropy of a clamped probability: no gradient below the clamp",
)
class ClampedGCE(nn.Module):
    def __init__(self, q=0.7):
        super().__init__()
        self.q = q

    def forward(self, z, t):
        indices(z, t)
        p = z.softmax(1).clamp(1e-3, 1).gather(1, t[:, None]).squeeze(1)
        return ((1 - p**self.q) / self.q).mean()


@planted(
    "bounded-below",
    "minimiser",
    task="multiclass_logits",
    why="the smoothing term lacks its minus: spread logits pay without end",
    source="symptoms",
)
class SmoothingWithWrongSign(nn.Module):
    def forward(self, z, t):
        indices(z, t)
        log_p = F.log_softmax(z, 1)
        return 0.9 * F.nll_loss(log_p, t) + 0.1 * log_p.mean()


@planted(
    "bounded-below",
    "minimiser",
    task="multiclass_logits",
    why="the log-likelihood is minimised",
    source="github eborboihuc/SoundNet-tensorflow#6",
)
def cross_entropy_without_minus(z, t):
    indices(z, t)
    return F.log_softmax(z, 1).gather(1, t[:, None]).mean()


@planted(
    "minimiser",
    task="multiclass_logits",
    why="the entropy bonus is a penalty: predictions too sure",
    source="symptoms",
)
def entropy_penalised(z, t):
    indices(z, t)
    log_p = F.log_softmax(z, 1)
    entropy = -(log_p.exp() * log_p).sum(1)
    return (F.cross_entropy(z, t, reduction="none") + 0.5 * entropy).mean()


@planted(
    "finite",
    task="multiclass_logits",
    why="the mean of the hard samples: of nothing once all are easy",
    source="github Deci-AI/super-gradients#1669",
)
class OnlineHardExamples(nn.Module):
    def forward(self, z, t):
        indices(z, t)
        loss = F.cross_entropy(z, t, reduction="none")
        return loss[loss > 0.35].mean()


@planted(
    "finite",
    "plateau",
    "minimiser",
    task="multiclass_logits",
    why="ignore_index=0 ignores a real class",
    source="github pytorch/pytorch#50224",
)
class ClassZeroIgnored(nn.Module):
    def forward(self, z, t):
        indices(z, t)
        return F.cross_entropy(z, t, ignore_index=0)


@planted(
    "finite",
    task="multiclass_logits",
    why="focal with gamma 0.5: the root's slope at a certain answer",
    source="github clcarwin/focal_loss_pytorch#13",
)
class FocalSmallGamma(nn.Module):
    def forward(self, z, t):
        indices(z, t)
        log_p = F.log_softmax(z, 1).gather(1, t[:, None]).squeeze(1)
        return -(((1 - log_p.exp()) ** 0.5) * log_p).mean()


@planted(
    "device",
    task="multiclass_logits",
    why="class weights are made without a device",
    source="github eth-easl/modyn#525",
)
def weights_without_device(z, t):
    indices(z, t)
    weight = torch.ones(z.shape[1], dtype=z.dtype)
    return F.cross_entropy(z, t, weight=weight)


@planted(
    "device",
    "vmap",
    task="multiclass_logits",
    why="one-hot rows by NumPy",
    source="symptoms",
)
def one_hot_by_numpy(z, t):
    indices(z, t)
    one_hot = torch.from_numpy(np.eye(z.shape[1])[t.cpu().numpy()]).to(z)
    return -(one_hot * F.log_softmax(z, 1)).sum(1).mean()


@planted(
    "finite",
    task="multiclass_logits",
    why="one mean per class; an absent class has none",
    source="github gnn-tracking/gnn_tracking#171",
)
def mean_per_class(z, t):
    indices(z, t)
    member = rows(z, t)
    loss = F.cross_entropy(z, t, reduction="none")
    return ((member * loss[:, None]).sum(0) / member.sum(0)).mean()


@planted("deterministic", task="multiclass_logits", why="dropout on the logits, always on")
def dropout_on_logits(z, t):
    indices(z, t)
    return F.cross_entropy(F.dropout(z, 0.1), t)


@planted("deterministic", task="multiclass_logits", why="a fresh Gumbel draw at each call")
def gumbel_loss(z, t):
    p = F.gumbel_softmax(z, dim=1)
    return ((p - rows(z, t)) ** 2).sum(1).mean()


@planted(
    "finite",
    task="multiclass_logits",
    why="log-sum-exp by hand overflows",
    source="github yxlijun/DSFD.pytorch#26",
)
def log_sum_exp_by_hand(z, t):
    indices(z, t)
    return (torch.log(torch.exp(z).sum(1)) - z.gather(1, t[:, None]).squeeze(1)).mean()


@planted(
    "finite",
    task="multiclass_logits",
    why="the maximum of the whole batch is subtracted: another row may underflow",
    source="github yxlijun/DSFD.pytorch#26",
)
def log_sum_exp_of_batch_maximum(z, t):
    indices(z, t)
    top = z.max().detach()
    total = torch.log(torch.exp(z - top).sum(1)) + top
    return (total - z.gather(1, t[:, None]).squeeze(1)).mean()


@planted(
    "finite",
    task="multiclass_logits",
    why="acos at a cosine of 1: infinite slope",
    source="github ronghuaiyang/arcface-pytorch#68",
)
class ArcMargin(nn.Module):
    def forward(self, z, t):
        one_hot = rows(z, t)
        angle = torch.acos(F.normalize(z, dim=1))
        return (
            -(one_hot * F.log_softmax(8 * torch.cos(angle + 0.3 * one_hot), 1))
            .sum(1)
            .mean()
        )


@planted(
    "finite",
    task="multiclass_logits",
    why="the sine as sqrt(1 - cos²): infinite slope at a cosine of 1",
    source="github MccreeZhao/FR-Loss-on-Mnist#2",
)
def arc_margin_by_sine(z, t):
    one_hot = rows(z, t)
    cosine = F.normalize(z, dim=1)
    sine = torch.sqrt((1 - cosine**2).clamp(min=0))
    moved = cosine * math.cos(0.3) - sine * math.sin(0.3)
    logits = 8 * (one_hot * moved + (1 - one_hot) * cosine)
    return -(one_hot * F.log_softmax(logits, 1)).sum(1).mean()


@planted(
    "initial-value",
    "minimiser",
    task="multiclass_logits",
    why="the margin is subtracted in the model and once more in the loss",
)
def margin_twice(z, t):
    indices(z, t)
    margin = 2.0 * rows(z, t)
    return F.cross_entropy(z - margin - margin, t)


@planted("pure", task="multiclass_logits", why="unsqueeze_ reshapes the caller's target")
def reshapes_target(z, t):
    indices(z, t)
    return -F.log_softmax(z, 1).gather(1, t.unsqueeze_(1)).mean()


@planted(
    "pure",
    "differentiable",
    task="multiclass_logits",
    why="the margin is subtracted from the caller's logits",
)
def margin_in_place(z, t):
    indices(z, t)
    z[torch.arange(len(t), device=z.device), t] -= 0.35
    return F.cross_entropy(z, t)


@planted(
    "deterministic",
    "pure",
    task="multiclass_logits",
    why="class frequencies gather over the calls",
    source="github samvanstroud/hepattn#49",
)
class RunningFrequencies(nn.Module):
    def __init__(self):
        super().__init__()
        self.counts = None

    def forward(self, z, t):
        seen = rows(z, t).sum(0).detach()
        self.counts = seen + 1 if self.counts is None else self.counts + seen
        weight = self.counts.sum() / self.counts
        return (weight[t] * F.cross_entropy(z, t, reduction="none")).mean()


class _CrossEntropyUnscaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z, t):
        ctx.save_for_backward(z, t)
        return F.cross_entropy(z, t)

    @staticmethod
    def backward(ctx, grad):
        z, t = ctx.saved_tensors
        return grad * (z.softmax(1) - F.one_hot(t, z.shape[1]).to(z)), None


@planted(
    "gradient",
    task="multiclass_logits",
    why="the value is a mean, the gradient a sum",
    source="github fetchai/ledger#1580",
)
def cross_entropy_backward_unscaled(z, t):
    indices(z, t)
    return _CrossEntropyUnscaled.apply(z, t)


class _FocalByGradientOnly(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z, t):
        ctx.save_for_backward(z, t)
        return F.cross_entropy(z, t)

    @staticmethod
    def backward(ctx, grad):
        z, t = ctx.saved_tensors
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            log_p = F.log_softmax(z, 1).gather(1, t[:, None])
            (g,) = torch.autograd.grad(-((1 - log_p.exp()) ** 2 * log_p).mean(), z)
        return grad * g, None


@planted(
    "gradient",
    task="multiclass_logits",
    why="the gradient is that of the focal loss, the value that of the cross-entropy",
    source="github davisking/dlib#2552",
)
def focal_in_gradient_only(z, t):
    indices(z, t)
    return _FocalByGradientOnly.apply(z, t)


@planted(
    "vmap",
    "compile",
    task="multiclass_logits",
    why="the valid rows are picked by a boolean mask",
    source="github pytorch/pytorch#114220",
)
def valid_rows_by_mask(z, t):
    indices(z, t)
    valid = t >= 0
    return F.cross_entropy(z[valid], t[valid], reduction="sum") / max(len(t), 1)


# Classes, from probabilities


@planted(
    "finite",
    task="multiclass_probabilities",
    why="log of an exact 0",
    source="github HealthML/active-segmentation#78",
)
def nll_of_log(p, t):
    indices(p, t)
    return F.nll_loss(torch.log(p), t)


@planted(
    "half-precision",
    task="multiclass_probabilities",
    why="an epsilon of 1e-8 is zero in float16",
    source="github pyg-team/pytorch_geometric#2106",
)
def nll_tiny_epsilon(p, t):
    indices(p, t)
    return -torch.log(p.gather(1, t[:, None]) + 1e-8).mean()


@planted(
    "plateau",
    task="multiclass_probabilities",
    why="probabilities below 0.05 are clamped: certain mistakes have no gradient",
)
def nll_clamped(p, t):
    indices(p, t)
    return -torch.log(p.clamp(min=0.05).gather(1, t[:, None])).mean()


@planted(
    "minimiser",
    "initial-value",
    task="multiclass_probabilities",
    why="a cross-entropy for logits, fed with probabilities",
    source="github gitabcworld/MatchingNetworks#5",
)
def cross_entropy_of_probabilities(p, t):
    indices(p, t)
    return F.cross_entropy(p, t)


@planted(
    "finite",
    task="multiclass_probabilities",
    why="t log t of a one-hot row: 0 · log 0",
    source="github harvardnlp/annotated-transformer#109",
)
def kl_by_hand(p, t):
    t = rows(p, t)
    return (t * torch.log(t / p)).sum(1).mean()


@planted(
    "finite",
    task="multiclass_probabilities",
    why="the arguments of the divergence are exchanged: log of the target's zeros",
    source="symptoms",
)
def kl_exchanged(p, t):
    t = rows(p, t)
    return (p * (torch.log(p.clamp(min=1e-7)) - torch.log(t))).sum(1).mean()


@planted(
    "finite",
    task="multiclass_probabilities",
    why="the slope of the square root at probability 0",
)
def hellinger(p, t):
    t = rows(p, t)
    return ((p.sqrt() - t.sqrt()) ** 2).sum(1).mean()


@planted(
    "differentiable",
    task="multiclass_probabilities",
    why="an F1 score of hard decisions",
)
def hard_f1(p, t):
    t = rows(p, t)
    hard = F.one_hot(p.argmax(1), p.shape[1]).to(p)
    hits = (hard * t).sum(0)
    return 1 - ((2 * hits + 1) / (hard.sum(0) + t.sum(0) + 1)).mean()


@planted(
    "sample-separable",
    task="multiclass_probabilities",
    why="the probabilities are normalised over the batch",
    source="github ethanfetaya/NRI#25",
)
def normalised_over_the_batch(p, t):
    indices(p, t)
    p = p / (p.sum(0) + 1e-4)
    return -torch.log(p.gather(1, t[:, None]).clamp(min=1e-4)).mean()


@planted(
    "reduction",
    "initial-value",
    task="multiclass_probabilities",
    why="the divergence's mean is over N · C",
    source="symptoms",
)
def kl_mean_over_classes(p, t):
    t = rows(p, t)
    return F.kl_div(torch.log(p.clamp(min=1e-6)), t, reduction="none").mean()


@planted(
    "finite",
    task="multiclass_probabilities",
    why="Dice per class: 0/0 for a class neither present nor predicted",
    source="github ivadomed/ivadomed#183",
)
class DicePerClass(nn.Module):
    def forward(self, p, t):
        t = rows(p, t)
        return 1 - (2 * (p * t).sum(0) / (p.sum(0) + t.sum(0))).mean()


@planted(
    "minimiser",
    task="multiclass_probabilities",
    why="one-hot rows rolled by one: the neighbour's class is learned",
)
def rolled_rows(p, t):
    return ((p - rows(p, t).roll(1, dims=1)) ** 2).sum(1).mean()


@planted(
    "differentiable",
    task="multiclass_probabilities",
    why="the probabilities are detached before the log",
    source="github guopengf/FL-MRCM#10",
)
def nll_of_detached(p, t):
    indices(p, t)
    return F.nll_loss(torch.log(p.detach().clamp(min=1e-6)), t)
