"""One entry per loss. Gallery, contract tests and doctor read it; nothing is listed twice."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor, nn

from lossutils.losses import regression

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
        formula=r"\begin{cases} e^2/2 & |e| \le \delta \\ \delta(|e| - \delta/2) & |e| > \delta "
        r"\end{cases}",
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
        formula=r"\begin{cases} e^2/(2\beta) & |e| \le \beta \\ |e| - \beta/2 & |e| > \beta "
        r"\end{cases}",
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

_ROBUST: tuple[Entry, ...] = ()

_CLASSIFICATION: tuple[Entry, ...] = ()

CATALOGUE: dict[str, Entry] = {
    entry.name: entry for entry in _REGRESSION + _ROBUST + _CLASSIFICATION
}
