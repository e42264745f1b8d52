"""One entry per loss, for gallery, contract tests and doctor: nothing is listed twice."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lossutils.losses import classification, pathological, regression, robust

Task = Literal[
    "regression",
    "binary_probabilities",
    "binary_logits",
    "signed_scores",
    "multiclass_logits",
    "multiclass_probabilities",
]
Influence = Literal["unbounded", "bounded", "redescending"]


@dataclass(frozen=True)
class Entry:
    """What is known of one loss.

    Attributes
    ----------
    title : str
        Its name in words.
    function, module : callable, type
        The two halves of one definition.
    task : str
        What input and target are, see `Task`.
    formula : str
        The loss of one element, in LaTeX, with e = input − target, or with the symbols
        that the formula's own text explains.
    estimates : str
        What the best prediction is a property of: "mean", "median", ...
    influence : str
        How the slope behaves as an error (or a wrong margin) grows: unbounded, bounded,
        or redescending (back to 0).
    reference : str
        Key in `reference/references.bib`.
    variants : tuple of dict
        Parameter sets that the contract tests run; the first is the default one.
    kinks : str
        Where the loss is not differentiable and what its gradient is there; "" if smooth.
    aliases : tuple of str
        Other names under which the face exports the same function.
    exempt : mapping
        Contract clause -> why it does not apply. Tests and gallery print the reason.
    ailments : mapping
        Check of the doctor -> why it is right to warn; empty for a loss to train with.
    """

    title: str
    function: Callable[..., Tensor]
    module: type[nn.Module]
    task: Task
    formula: str
    estimates: str
    influence: Influence
    reference: str
    variants: tuple[dict[str, Any], ...] = ({},)
    kinks: str = ""
    aliases: tuple[str, ...] = ()
    exempt: Mapping[str, str] = field(default_factory=dict)
    ailments: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def family(self) -> str:
        return self.function.__module__.rpartition(".")[2]


_REGRESSION = (
    Entry(
        title="Squared error",
        function=regression.mse,
        module=regression.MSELoss,
        task="regression",
        formula=r"e^2",
        estimates="mean",
        influence="unbounded",
        reference="gauss1809theoria",
    ),
    Entry(
        title="Absolute error",
        function=regression.mae,
        module=regression.MAELoss,
        task="regression",
        formula=r"|e|",
        estimates="median",
        influence="bounded",
        reference="laplace1774memoire",
        kinks="e = 0, gradient 0",
    ),
    Entry(
        title="Huber",
        function=regression.huber,
        module=regression.HuberLoss,
        task="regression",
        formula=r"\begin{cases} e^2/2 & |e| \le \delta \\ "
        r"\delta(|e| - \delta/2) & |e| > \delta \end{cases}",
        estimates="location between mean and median",
        influence="bounded",
        reference="huber1964robust",
        variants=({}, {"delta": 0.5}, {"delta": 3.0}),
    ),
    Entry(
        title="Smooth L1",
        function=regression.smooth_l1,
        module=regression.SmoothL1Loss,
        task="regression",
        formula=r"\begin{cases} e^2/(2\beta) & |e| \le \beta \\ "
        r"|e| - \beta/2 & |e| > \beta \end{cases}",
        estimates="location between mean and median",
        influence="bounded",
        reference="girshick2015fast",
        variants=({}, {"beta": 0.5}, {"beta": 3.0}),
    ),
    Entry(
        title="Log-cosh",
        function=regression.log_cosh,
        module=regression.LogCoshLoss,
        task="regression",
        formula=r"\log \cosh e",
        estimates="location between mean and median",
        influence="bounded",
        reference="green1990bayesian",
    ),
    Entry(
        title="Quantile (pinball)",
        function=regression.quantile,
        module=regression.QuantileLoss,
        task="regression",
        formula=r"\max\{(1-q)\,e,\; -q\,e\}",
        estimates="q-quantile",
        influence="bounded",
        reference="koenker1978regression",
        variants=({}, {"q": 0.1}, {"q": 0.9}),
        kinks="e = 0, gradient 1/2 − q",
    ),
    Entry(
        title="Expectile",
        function=regression.expectile,
        module=regression.ExpectileLoss,
        task="regression",
        formula=r"\begin{cases} \tau e^2 & e < 0 \\ (1-\tau)\, e^2 & e \ge 0 \end{cases}",
        estimates="τ-expectile",
        influence="unbounded",
        reference="newey1987asymmetric",
        variants=({}, {"tau": 0.1}, {"tau": 0.9}),
    ),
    Entry(
        title="ε-insensitive",
        function=regression.epsilon_insensitive,
        module=regression.EpsilonInsensitiveLoss,
        task="regression",
        formula=r"\max\{0,\; |e| - \epsilon\}",
        estimates="median, up to ε",
        influence="bounded",
        reference="vapnik1995nature",
        variants=({}, {"epsilon": 0.0}, {"epsilon": 1.0}),
        kinks="|e| = ε, gradient 0",
    ),
)

_ROBUST = (
    Entry(
        title="Charbonnier (pseudo-Huber)",
        function=robust.charbonnier,
        module=robust.CharbonnierLoss,
        task="regression",
        formula=r"\delta^2 \left(\sqrt{1 + (e/\delta)^2} - 1\right)",
        estimates="location between mean and median",
        influence="bounded",
        reference="charbonnier1994two",
        variants=({}, {"delta": 0.5}, {"delta": 3.0}),
        aliases=("pseudo_huber",),
    ),
    Entry(
        title="Cauchy (Lorentzian)",
        function=robust.cauchy,
        module=robust.CauchyLoss,
        task="regression",
        formula=r"\frac{c^2}{2} \log\left(1 + (e/c)^2\right)",
        estimates="location, ignoring far points (mode-like)",
        influence="redescending",
        reference="black1996robust",
        variants=({}, {"c": 0.5}, {"c": 20.0}),
    ),
    Entry(
        title="Geman–McClure",
        function=robust.geman_mcclure,
        module=robust.GemanMcClureLoss,
        task="regression",
        formula=r"\frac{e^2/2}{1 + (e/c)^2}",
        estimates="location, ignoring far points (mode-like)",
        influence="redescending",
        reference="geman1985bayesian",
        variants=({}, {"c": 0.5}, {"c": 20.0}),
    ),
    Entry(
        title="Welsch (Leclerc)",
        function=robust.welsch,
        module=robust.WelschLoss,
        task="regression",
        formula=r"\frac{c^2}{2} \left(1 - \exp(-(e/c)^2)\right)",
        estimates="location, ignoring far points (mode-like)",
        influence="redescending",
        reference="dennis1978techniques",
        variants=({}, {"c": 0.5}, {"c": 20.0}),
    ),
    Entry(
        title="Tukey's biweight",
        function=robust.tukey,
        module=robust.TukeyLoss,
        task="regression",
        formula=r"\begin{cases} \frac{c^2}{6} \left(1 - (1 - (e/c)^2)^3\right) & |e| \le c "
        r"\\ c^2/6 & |e| > c \end{cases}",
        estimates="location, ignoring far points (mode-like)",
        influence="redescending",
        reference="beaton1974fitting",
        variants=({}, {"c": 0.5}, {"c": 20.0}),
    ),
    Entry(
        title="Barron's general robust loss",
        function=robust.general_robust,
        module=robust.GeneralRobustLoss,
        task="regression",
        formula=r"\frac{|\alpha-2|}{\alpha} "
        r"\left(\left(\frac{(e/c)^2}{|\alpha-2|} + 1\right)^{\alpha/2} - 1\right)",
        estimates="location between mean and median (α ≥ 1), mode-like below",
        influence="bounded",
        reference="barron2019general",
        variants=(
            {},
            {"alpha": 0.0},
            {"alpha": -2.0},
            {"alpha": -math.inf},
            {"alpha": 2.0},
            {"alpha": 1.5, "c": 2.0},
        ),
    ),
)

_CLASSIFICATION = (
    Entry(
        title="Binary cross-entropy (log loss)",
        function=classification.binary_cross_entropy,
        module=classification.BinaryCrossEntropyLoss,
        task="binary_probabilities",
        formula=r"-y \log p - (1 - y) \log(1 - p)",
        estimates="class probability",
        influence="unbounded",
        reference="good1952rational",
        aliases=("log_loss",),
    ),
    Entry(
        title="Binary cross-entropy with logits",
        function=classification.binary_cross_entropy_with_logits,
        module=classification.BinaryCrossEntropyWithLogitsLoss,
        task="binary_logits",
        formula=r"y \log(1 + e^{-x}) + (1 - y) \log(1 + e^{x})",
        estimates="log-odds of the class",
        influence="bounded",
        reference="cox1958regression",
        variants=({}, {"pos_weight": torch.tensor(3.0)}),
    ),
    Entry(
        title="Binary focal with logits",
        function=classification.binary_focal_with_logits,
        module=classification.BinaryFocalWithLogitsLoss,
        task="binary_logits",
        formula=r"-y (1 - p)^\gamma \log p - (1 - y)\, p^\gamma \log(1 - p), "
        r"\quad p = \frac{1}{1 + e^{-x}}",
        estimates="majority class; its probability drawn towards 1/2",
        influence="bounded",
        reference="lin2017focal",
        variants=({}, {"gamma": 0.5}, {"gamma": 5.0, "alpha": 0.25}),
    ),
    Entry(
        title="Hinge",
        function=classification.hinge,
        module=classification.HingeLoss,
        task="signed_scores",
        formula=r"\max\{0,\; 1 - y x\}",
        estimates="majority class, as a sign",
        influence="bounded",
        reference="cortes1995support",
        kinks="yx = 1, gradient 0",
    ),
    Entry(
        title="Squared hinge",
        function=classification.squared_hinge,
        module=classification.SquaredHingeLoss,
        task="signed_scores",
        formula=r"\max\{0,\; 1 - y x\}^2",
        estimates="class probability p, as 2p − 1",
        influence="unbounded",
        reference="zhang2004statistical",
    ),
    Entry(
        title="Soft margin (logistic)",
        function=classification.soft_margin,
        module=classification.SoftMarginLoss,
        task="signed_scores",
        formula=r"\log(1 + e^{-y x})",
        estimates="log-odds of the class",
        influence="bounded",
        reference="cox1958regression",
    ),
    Entry(
        title="Cross-entropy",
        function=classification.cross_entropy,
        module=classification.CrossEntropyLoss,
        task="multiclass_logits",
        formula=r"-\log p_y, \quad p = \operatorname{softmax}(x)",
        estimates="class probabilities",
        influence="bounded",
        reference="bridle1990probabilistic",
        variants=(
            {},
            {"class_weight": torch.tensor([0.5, 1.0, 3.0]), "label_smoothing": 0.1},
            {"ignore_index": 1},
        ),
    ),
    Entry(
        title="Focal",
        function=classification.focal,
        module=classification.FocalLoss,
        task="multiclass_logits",
        formula=r"-(1 - p_y)^\gamma \log p_y, \quad p = \operatorname{softmax}(x)",
        estimates="majority class; probabilities drawn together",
        influence="bounded",
        reference="lin2017focal",
        variants=(
            {},
            {"gamma": 0.5, "class_weight": torch.tensor([0.5, 1.0, 3.0])},
            {"gamma": 5.0, "ignore_index": 1},
        ),
    ),
    Entry(
        title="Multi-class hinge (Crammer–Singer)",
        function=classification.multiclass_hinge,
        module=classification.MulticlassHingeLoss,
        task="multiclass_logits",
        formula=r"\max\{0,\; m + \max_{j \ne y} x_j - x_y\}",
        estimates="class of more than half the probability",
        influence="bounded",
        reference="crammer2001algorithmic",
        variants=({}, {"margin": 0.5}),
        kinks="a lead of exactly m, gradient 0; rivals that tie, gradient shared evenly",
    ),
    Entry(
        title="Brier score",
        function=classification.brier,
        module=classification.BrierLoss,
        task="multiclass_probabilities",
        formula=r"\sum_c (p_c - q_c)^2, \quad q \text{ the label, one-hot or soft}",
        estimates="class probabilities",
        influence="bounded",
        reference="brier1950verification",
    ),
    Entry(
        title="Absolute error of probabilities",
        function=classification.probability_mae,
        module=classification.ProbabilityMAELoss,
        task="multiclass_probabilities",
        formula=r"\sum_c |p_c - q_c|, \quad q \text{ the label, one-hot or soft}",
        estimates="majority class",
        influence="bounded",
        reference="ghosh2017robust",
        kinks="p_c = q_c, gradient 0",
    ),
    Entry(
        title="Generalised cross-entropy",
        function=classification.generalized_cross_entropy,
        module=classification.GeneralizedCrossEntropyLoss,
        task="multiclass_logits",
        formula=r"\frac{1 - p_y^q}{q}, \quad p = \operatorname{softmax}(x)",
        estimates="class probabilities to the power 1/(1 − q): sharpened",
        influence="redescending",
        reference="zhang2018generalized",
        variants=({}, {"q": 0.0}, {"q": 1.0, "ignore_index": 1}),
    ),
    Entry(
        title="Symmetric cross-entropy",
        function=classification.symmetric_cross_entropy,
        module=classification.SymmetricCrossEntropyLoss,
        task="multiclass_logits",
        formula=r"-\alpha \log p_y - \beta A (1 - p_y), "
        r"\quad p = \operatorname{softmax}(x), \; A = -4",
        estimates="class probabilities, sharpened",
        influence="bounded",
        reference="wang2019symmetric",
        variants=({}, {"alpha": 6.0, "log_zero": -6.0, "ignore_index": 1}),
    ),
    Entry(
        title="Poly-1 cross-entropy",
        function=classification.poly1_cross_entropy,
        module=classification.Poly1CrossEntropyLoss,
        task="multiclass_logits",
        formula=r"-\log p_y + \epsilon (1 - p_y), \quad p = \operatorname{softmax}(x)",
        estimates="class probabilities, sharpened (ε > 0) or flattened (ε < 0)",
        influence="bounded",
        reference="leng2022polyloss",
        variants=({}, {"epsilon": -1.0, "ignore_index": 1}),
    ),
)

# Specimens for the chapter on slow convergence: right code, each with a known ailment.
_PATHOLOGICAL = (
    Entry(
        title="Absolute error with a plateau",
        function=pathological.plateau_mae,
        module=pathological.PlateauMAELoss,
        task="regression",
        formula=r"\begin{cases} |e| & |e| \le \theta \\ "
        r"\theta + s\,(|e| - \theta) & |e| > \theta \end{cases}",
        estimates="location, all but ignoring far points (mode-like)",
        influence="bounded",
        reference="hampel1974influence",
        variants=(
            {},
            {"threshold": 2.0, "plateau_slope": 0.1},
            {"plateau_slope": 0.0},
        ),
        kinks="e = 0, gradient 0; |e| = θ, gradient ±1, the inner one",
        ailments={
            "plateau": "beyond the threshold the slope is a thousandth of that inside",
        },
    ),
    Entry(
        title="Asymmetric squared error",
        function=pathological.asymmetric_mse,
        module=pathological.AsymmetricMSELoss,
        task="regression",
        formula=r"\begin{cases} \mathrm{over} \cdot e^2 & e > 0 \\ "
        r"\mathrm{under} \cdot e^2 & e \le 0 \end{cases}",
        estimates="expectile, τ = under/(under + over) = 1/6",
        influence="unbounded",
        reference="newey1987asymmetric",
        variants=({}, {"over": 1.0, "under": 3.0}, {"over": 0.5, "under": 0.5}),
        ailments={
            "asymmetry": "it aims below the mean, at the 1/6-expectile: bias, unless meant",
        },
    ),
    Entry(
        title="Squared error with a linear term",
        function=pathological.mse_with_linear_term,
        module=pathological.MSEWithLinearTermLoss,
        task="regression",
        formula=r"a e^2 + b e, \quad a = \mathrm{quadratic}, \; b = \mathrm{linear}",
        estimates="mean minus b/(2a): 50 below the mean",
        influence="unbounded",
        reference="boyd2004convex",
        variants=({}, {"quadratic": 1.0, "linear": -0.5}, {"linear": 0.0}),
        ailments={
            "minimiser": "the least loss, −25, lies 50 units below the target",
        },
    ),
    Entry(
        title="Ill-conditioned squared error",
        function=pathological.ill_conditioned_mse,
        module=pathological.IllConditionedMSELoss,
        task="regression",
        formula=r"\kappa^{-j/(n-1)} e_j^2, \quad j = 0, \dots, n - 1",
        estimates="mean",
        influence="unbounded",
        reference="nesterov2004introductory",
        variants=({}, {"condition_number": 1.0}, {"condition_number": 100.0}),
        ailments={
            "conditioning": "its Hessian in the outputs has condition number κ, 10,000",
            "reduction": "a 1-D input is one sample: with more outputs each costs less",
        },
    ),
)

CATALOGUE: dict[str, Entry] = {
    entry.name: entry for entry in _REGRESSION + _ROBUST + _CLASSIFICATION + _PATHOLOGICAL
}
