"""What the doctor says: findings, and the diagnosis that holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from lossutils.doctor import report

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

__all__ = ["Curve", "Diagnosis", "Finding", "LossCheckError", "NoiseResponse"]

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One thing that a check noticed.

    Attributes
    ----------
    check : str
        Name of the check, stable and public; see `lossutils.doctor.CHECKS`.
    severity : str
        "error" (wrong or unsafe), "warning" (likely to hurt training) or "note" (a
        property to know).
    summary : str
        What is the matter, in one sentence.
    evidence : mapping
        The numbers: what was measured -> its value.
    remedy : str
        What to do about it.
    chapter : str
        The page of the book that explains it, relative to the site's root.
    """

    check: str
    severity: Severity
    summary: str
    evidence: Mapping[str, Any]
    remedy: str
    chapter: str


class Curve(NamedTuple):
    """A loss along one line of predictions, as lists of one length, for drawing.

    Attributes
    ----------
    label : str
        What the line is, "target 1" for instance.
    axis : str
        What it runs over, with its unit.
    x, value, slope, curvature : list of float
        NaN where the loss has none.
    """

    label: str
    axis: str
    x: list[float]
    value: list[float]
    slope: list[float]
    curvature: list[float]


class NoiseResponse(NamedTuple):
    """How noise of growing size on the predictions moves the mean loss.

    Attributes
    ----------
    levels : list of float
        Standard deviations of the noise, in units of the prediction.
    measured : list of float
        Mean loss with noise minus mean loss without.
    error : list of float
        Standard errors of `measured` − `predicted`.
    predicted : list of float
        Half the noise's variance times the mean curvature (second-order theory).
    """

    levels: list[float]
    measured: list[float]
    error: list[float]
    predicted: list[float]


@dataclass(frozen=True)
class Diagnosis:
    """The report on one loss.

    Attributes
    ----------
    name : str
        What the loss is called.
    task : str
        The task it was examined for.
    findings : tuple of Finding
        Errors first, then warnings, then notes.
    passed : tuple of str
        Checks that ran and found nothing.
    skipped : mapping
        Check -> why it did not run.
    measurements : mapping
        Every number that a check measured, under "check.name".
    curves : tuple of Curve
        The loss along a few lines of predictions.
    noise : NoiseResponse or None
        Its response to noise on the predictions, where it could be measured.
    seconds : float
        How long the examination took. No part of the reports, which the same seed
        repeats.
    """

    name: str
    task: str
    findings: tuple[Finding, ...]
    passed: tuple[str, ...]
    skipped: Mapping[str, str]
    measurements: Mapping[str, Any]
    curves: tuple[Curve, ...] = ()
    noise: NoiseResponse | None = None
    seconds: float = field(default=0.0, compare=False)

    @property
    def ok(self) -> bool:
        """Whether there is no error."""
        return not self.errors

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings of severity "error"."""
        return tuple(f for f in self.findings if f.severity == "error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings of severity "warning"."""
        return tuple(f for f in self.findings if f.severity == "warning")

    @property
    def notes(self) -> tuple[Finding, ...]:
        """The findings of severity "note"."""
        return tuple(f for f in self.findings if f.severity == "note")

    def to_dict(self) -> dict[str, Any]:
        """The diagnosis as plain lists, strings and numbers, ready for JSON."""
        return report.as_dict(self)

    def to_frame(self) -> DataFrame:
        """The findings as a pandas table, one row each."""
        return report.as_frame(self)

    def plot(self) -> Figure:
        """Draw value, gradient, curvature and response to noise, as one figure."""
        return report.as_figure(self)

    def __str__(self) -> str:
        return report.as_text(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return report.as_html(self)


class LossCheckError(AssertionError):
    """Raised by `check_loss`; its text is the report, `diagnosis` the diagnosis."""

    def __init__(self, diagnosis: Diagnosis) -> None:
        super().__init__(str(diagnosis))
        self.diagnosis = diagnosis
