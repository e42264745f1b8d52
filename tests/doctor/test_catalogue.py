"""The doctor examines the whole catalogue: in time, repeatably, and it agrees with it.

That it blames no entry is tested in `test_healthy.py`, with all other healthy losses; here
is tested that every entry is on that list, but for those with ailments: of them the doctor
has to say what the catalogue says, no more and no less.
"""

import functools
import inspect
from types import SimpleNamespace

import pytest
import torch
from healthy import HEALTHY, Healthy

import lossutils as lu
from lossutils.catalogue import CATALOGUE, Entry
from lossutils.doctor import CHECKS

ENTRIES = list(CATALOGUE.values())
NAMES = list(CATALOGUE)
HEALTHY_ENTRIES = [e for e in ENTRIES if not e.ailments]
AILING = [e for e in ENTRIES if e.ailments]
# Of coupled samples, which `reduction` finds, no single point's pull can be said.
PULLING = [e for e in ENTRIES if e.task == "regression" and "reduction" not in e.ailments]
# With each of these a reader says what is meant, and the doctor is told so.
TOLD = {"expects", "input", "target"}
# Calls of the loss in a whole diagnosis. The catalogue takes 1,300 to 3,900 of them; what
# they cost in seconds is on reference/benchmarks, where a clock belongs.
CALLS = 4_000


@pytest.fixture(scope="module")
def diagnosed():
    """Each entry's diagnosis and the calls that it took, once for all tests."""

    @functools.cache
    def examine(name: str) -> SimpleNamespace:
        entry = CATALOGUE[name]
        counted = Counted(entry.function)
        found = lu.diagnose(counted, task=entry.task)
        return SimpleNamespace(diagnosis=found, calls=counted.calls)

    return examine


class Counted:
    """A loss that counts how often it is called; its copies count together."""

    def __init__(self, loss) -> None:
        self.loss, self.seen = loss, []
        self.__name__, self.__signature__ = loss.__name__, inspect.signature(loss)

    def __call__(self, *given, **named):
        self.seen.append(None)
        return self.loss(*given, **named)

    def __deepcopy__(self, memo):
        return self

    @property
    def calls(self) -> int:
        return len(self.seen)


# --- every entry, every variant, is among the healthy ----------------------------------


def parts(case: Healthy) -> tuple[object, dict]:
    """What a healthy loss is made of: a function or class of ours, and its parameters."""
    loss = case.loss
    if isinstance(loss, functools.partial):
        return loss.func, loss.keywords
    return (loss if callable(loss) and hasattr(loss, "__name__") else type(loss)), {}


def written(parameters: dict) -> str:
    """Parameters as text: two tensors have no plain truth of being equal."""
    return str(sorted((k, torch.as_tensor(v).tolist()) for k, v in parameters.items()))


COVERED = {
    (part, written(given)): case for case in HEALTHY for part, given in [parts(case)]
}


@pytest.mark.parametrize("entry", HEALTHY_ENTRIES, ids=lambda entry: entry.name)
def test_is_among_the_healthy(entry: Entry) -> None:
    for variant in entry.variants:
        case = COVERED.get((entry.function, written(variant)))
        assert case, f"healthy.py lacks lu.{entry.name} with {variant}"
        assert case.task == entry.task
    assert (entry.module, written({})) in COVERED, f"healthy.py lacks {entry.module}"


@pytest.mark.parametrize("entry", HEALTHY_ENTRIES, ids=lambda entry: entry.name)
def test_default_needs_no_excuse(entry: Entry) -> None:
    """An entry as a reader first calls it is healthy though nothing is said or allowed."""
    case = COVERED[entry.function, written({})]
    assert not case.allowed
    mode_like = "mode-like" in entry.estimates and set(case.options) == {"expects"}
    assert not case.options or mode_like


@pytest.mark.parametrize("entry", HEALTHY_ENTRIES, ids=lambda entry: entry.name)
def test_excuses_are_for_what_a_variant_asks(entry: Entry) -> None:
    for variant in entry.variants:
        case = COVERED[entry.function, written(variant)]
        assert set(case.options) <= TOLD
        assert case.allowed <= {"asymmetry", "minimiser", "plateau"}
        assert bool(case.allowed) == bool(case.why)


@pytest.mark.parametrize("entry", HEALTHY_ENTRIES, ids=lambda entry: entry.name)
def test_default_is_healthy(entry: Entry, diagnosed) -> None:
    """As the gallery shows it: the task is all that is said."""
    diagnosis = diagnosed(entry.name).diagnosis
    assert not diagnosis.errors + diagnosis.warnings, str(diagnosis)
    assert diagnosis.ok
    assert diagnosis.task == entry.task
    accounted = {f.check for f in diagnosis.findings}
    accounted |= {*diagnosis.passed, *diagnosis.skipped}
    assert accounted == set(CHECKS) - {"compile"}  # which runs only when asked for


# Where a Module may differ from its function: tensors of its own, their device and copies.
OF_MODULES = ("differentiable", "finite", "pure", "device", "vmap")


@pytest.mark.parametrize("entry", ENTRIES, ids=NAMES)
def test_modules_are_healthy_in_every_variant(entry: Entry) -> None:
    for variant in entry.variants:
        module = entry.module(**variant)
        diagnosis = lu.diagnose(module, task=entry.task, checks=OF_MODULES)
        assert not diagnosis.errors + diagnosis.warnings, f"{variant}\n{diagnosis}"
        assert diagnosis.name == entry.module.__name__


# --- what ails the others ---------------------------------------------------------------


@pytest.mark.parametrize("entry", AILING, ids=[e.name for e in AILING])
def test_ailments_are_what_the_doctor_finds(entry: Entry, diagnosed) -> None:
    """As the gallery shows it: the task is all that is said."""
    diagnosis = diagnosed(entry.name).diagnosis
    blamed = {f.check for f in diagnosis.errors + diagnosis.warnings}
    assert blamed == set(entry.ailments), str(diagnosis)
    assert diagnosis.task == entry.task


@pytest.mark.parametrize("entry", AILING, ids=[e.name for e in AILING])
def test_every_ailment_has_its_reason(entry: Entry) -> None:
    for check, reason in entry.ailments.items():
        assert check in CHECKS, f"the doctor has no check {check}"
        assert len(reason.split()) >= 5, f"why is {check} right about {entry.name}?"


def test_the_pathological_family_is_the_ailing_one() -> None:
    family = [e.name for e in ENTRIES if e.family == "pathological"]
    assert family == [e.name for e in AILING]


CURES = {
    "plateau_mae": {"plateau_slope": 1.0},
    "asymmetric_mse": {"over": 1.0},
    "mse_with_linear_term": {"linear": 0.0},
    "ill_conditioned_mse": {"condition_number": 1.0},
}


@pytest.mark.parametrize("entry", AILING, ids=[e.name for e in AILING])
def test_without_its_ailment_it_is_healthy(entry: Entry) -> None:
    """So it is the ailment that the doctor blames, and not the way the loss is written."""
    cured = functools.partial(entry.function, **CURES[entry.name])
    diagnosis = lu.diagnose(cured, task=entry.task)
    assert not diagnosis.errors + diagnosis.warnings, str(diagnosis)


# --- what it measures is what the catalogue says ---------------------------------------


@pytest.mark.parametrize("entry", PULLING, ids=[e.name for e in PULLING])
def test_influence_is_the_catalogues(entry: Entry, diagnosed) -> None:
    diagnosis = diagnosed(entry.name).diagnosis
    assert diagnosis.measurements["outliers.influence"] == entry.influence
    [note] = [f for f in diagnosis.notes if f.check == "outliers"]
    assert entry.influence in note.summary


LIMITED = [e for e in PULLING if e.influence != "unbounded"]


@pytest.mark.parametrize("entry", LIMITED, ids=[e.name for e in LIMITED])
def test_largest_pull_is_a_bound(entry: Entry, diagnosed) -> None:
    """No point pulls harder than the report says; it is printed to four digits."""
    errors = torch.linspace(-30, 30, 60_001, dtype=torch.float64)
    pull = lu.landscape.profile(entry.function, errors).slope.abs().max().item()
    said = diagnosed(entry.name).diagnosis.measurements["outliers.largest slope"]
    assert said == pytest.approx(pull, rel=1e-3)


@pytest.mark.parametrize("name", ["cross_entropy", "binary_cross_entropy_with_logits"])
def test_uninformed_loss_is_log_of_the_number_of_classes(name: str, diagnosed) -> None:
    found = diagnosed(name).diagnosis.measurements
    expected = pytest.approx(found["initial-value.log_classes"], rel=1e-6)
    assert found["initial-value.uninformed"] == expected


# --- how much it takes -----------------------------------------------------------------


@pytest.mark.parametrize("entry", ENTRIES, ids=NAMES)
def test_takes_no_more_calls_than_it_says(entry: Entry, diagnosed) -> None:
    assert 1_000 < diagnosed(entry.name).calls <= CALLS


@pytest.mark.parametrize("name", ["huber", "binary_cross_entropy_with_logits", "focal"])
def test_is_compiled_where_that_is_asked_for(name: str) -> None:
    entry = CATALOGUE[name]
    chosen = ["compile"]
    diagnosis = lu.diagnose(entry.function, task=entry.task, checks=chosen)
    assert diagnosis.passed == ("compile",), str(diagnosis)


# --- subsets and repetition ------------------------------------------------------------


@pytest.mark.parametrize("name", ["mse", "hinge", "brier"])
def test_a_subset_runs_only_these(name: str, diagnosed) -> None:
    entry, chosen = CATALOGUE[name], ("shape", "finite", "initial-value")
    counted = Counted(entry.function)
    diagnosis = lu.diagnose(counted, task=entry.task, checks=chosen)
    found = [f.check for f in diagnosis.findings]
    assert {*found, *diagnosis.passed, *diagnosis.skipped} == set(chosen)
    assert {m.partition(".")[0] for m in diagnosis.measurements} <= set(chosen)
    assert diagnosis.curves == ()
    assert diagnosis.noise is None
    # It finds the same as all of them do.
    full = diagnosed(name).diagnosis
    assert counted.calls < diagnosed(name).calls / 2
    assert [f for f in full.findings if f.check in chosen] == list(diagnosis.findings)


@pytest.mark.parametrize("name", ["cauchy", "binary_cross_entropy", "cross_entropy"])
def test_same_seed_same_report(name: str, diagnosed) -> None:
    entry, first = CATALOGUE[name], diagnosed(name).diagnosis
    torch.manual_seed(3)  # the caller's own seed has no part in it
    again = lu.diagnose(entry.function, task=entry.task)
    assert str(again) == str(first)
    # By text, as NaN is not equal to itself.
    assert repr(again.to_dict()) == repr(first.to_dict())


@pytest.mark.parametrize("name", ["geman_mcclure", "squared_hinge", "focal"])
def test_another_seed_changes_no_verdict(name: str, diagnosed) -> None:
    entry, first = CATALOGUE[name], diagnosed(name).diagnosis
    other = lu.diagnose(entry.function, task=entry.task, seed=12)
    verdicts = [[(f.check, f.severity) for f in d.findings] for d in (first, other)]
    assert verdicts[0] == verdicts[1]
