"""The doctor finds each planted defect, by a check that names it."""

from typing import Any

import pytest
from planted import PLANTED, Planted

import lossutils as lu

CHECKS = {
    *("differentiable", "gradient", "finite", "half-precision", "shape", "reduction"),
    *("sample-separable", "deterministic", "pure", "device", "compile", "vmap"),
    *("plateau", "explosion", "minimiser", "asymmetry", "bounded-below", "continuity"),
    *("conditioning", "convexity", "outliers", "noise", "initial-value"),
}
TASKS = {
    *("regression", "binary_probabilities", "binary_logits", "signed_scores"),
    *("multiclass_logits", "multiclass_probabilities"),
}


# What the doctor does not call a fault. Strict: one that it learns to find has to leave.
MISSED = {
    "scaled_by_largest_error": "the others only scale the gradient: a note, as for RMSE",
    "labels_mapped_twice": "looks like a class weight, which is a note",
    "entropy_penalised": "sharpened probabilities: so are those of losses made for noise",
    "margin_twice": "a margin of 4 is as legal as one of 2",
}


def cases() -> list[Any]:
    return [
        pytest.param(
            case,
            id=case.name,
            marks=[pytest.mark.xfail(strict=True, reason=MISSED[case.name])]
            if case.name in MISSED
            else [],
        )
        for case in PLANTED
    ]


@pytest.mark.parametrize("case", cases())
def test_found(case: Planted) -> None:
    diagnosis = lu.diagnose(case.build(), **case.arguments())
    named = {finding.check for finding in (*diagnosis.errors, *diagnosis.warnings)}
    assert named & case.checks, (
        f"{case.name}: {case.why}\nnone of {sorted(case.checks)} found it\n{diagnosis}"
    )


def test_the_set_is_large_and_covers_tasks_and_checks() -> None:
    names = [case.name for case in PLANTED]
    assert len(set(names)) == len(names) >= 90
    assert {case.task for case in PLANTED} == TASKS
    meant = frozenset().union(*(case.checks for case in PLANTED))
    assert meant == CHECKS - {"outliers", "noise"}  # these state properties, not defects


def test_at_least_95_percent_are_found() -> None:
    assert MISSED.keys() <= {case.name for case in PLANTED}
    assert len(MISSED) <= 0.05 * len(PLANTED)


def test_half_of_the_set_is_from_public_reports() -> None:
    reported = [case for case in PLANTED if case.source.startswith("github ")]
    assert len(reported) >= len(PLANTED) / 2
