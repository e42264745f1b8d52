"""Every loss of the catalogue keeps every clause of the contract, on every device here;
and every clause catches a loss that breaks it.
"""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch
from cases import Case, cases, devices
from contract import CLAUSES, check, check_compile, digest, error_in_ulps, promise
from references import REFERENCES

from lossutils.catalogue import CATALOGUE, Entry
from lossutils.losses._core import as_module, check_pair, reduce

RECORD = Path(__file__).parents[1] / "reference" / "contract.json"
REFRESH = (
    "python -m pytest -n 0 tests/test_contract.py --record-contract reference/contract.json"
)


@pytest.mark.parametrize("clause", CLAUSES)
@pytest.mark.parametrize("case", [c for d in devices() for c in cases(d)], ids=str)
def test_clause(case: Case, clause: str, record_property) -> None:
    name = case.entry.name
    reason = case.entry.exempt.get(clause)
    if reason:
        record_property("contract", (name, clause, f"exempt: {reason}"))
        pytest.skip(f"exempt: {reason}")
    record_property("contract", (name, clause, "passed"))
    check(case, clause)
    if clause == "reference":
        record_property("ulps", error_in_ulps(case))


COMPILERS = ("c++", "g++", "clang++")


@pytest.mark.skipif(not any(map(shutil.which, COMPILERS)), reason="no C++ compiler")
@pytest.mark.parametrize(
    "name", sorted({"huber", "general_robust", "cross_entropy"} & set(CATALOGUE))
)
def test_compile_to_machine_code(name: str) -> None:
    check_compile(Case(CATALOGUE[name]), backend="inductor")


# The suite is complete.


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=lambda entry: entry.name)
def test_entry_can_be_tested(entry: Entry) -> None:
    assert entry.name in REFERENCES, f"tests/references.py has no formula of {entry.name}"
    assert entry.variants[0] == {}, "the first variant is the default one"
    for clause, reason in entry.exempt.items():
        assert clause in CLAUSES, f"{clause} is no clause of the contract"
        assert len(reason.split()) >= 5, f"why is {entry.name} exempt from {clause}?"


def test_every_clause_says_what_it_promises() -> None:
    for clause in CLAUSES:
        assert promise(clause).endswith("."), f"check_{clause} has no summary sentence"


def test_exempt_clause_is_skipped_with_its_reason() -> None:
    entry = dataclasses.replace(
        CATALOGUE["mse"], exempt={"nan": "the planted reason why it does not apply"}
    )
    with pytest.raises(pytest.skip.Exception, match="the planted reason"):
        test_clause(Case(entry), "nan", lambda *_: None)


# The committed record, which the gallery prints.


@pytest.mark.skipif("config.getoption('--record-contract')", reason="is being written")
@pytest.mark.skipif(not RECORD.exists(), reason=f"no record yet: {REFRESH}")
def test_record_is_current() -> None:
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    assert record["sources"] == digest(), f"losses or clauses changed; run: {REFRESH}"
    covered = {name: set(clauses) for name, clauses in record["results"].items()}
    assert covered == {name: set(CLAUSES) for name in CATALOGUE}, f"run: {REFRESH}"
    assert set(record["error"]) == set(CATALOGUE), f"run: {REFRESH}"


# The documented gradient at each kink: entry, parameters, input, target, gradient.

KINKS = [
    ("mae", {}, 2.0, 2.0, 0.0),
    *(("quantile", {"q": q}, 2.0, 2.0, 0.5 - q) for q in (0.1, 0.5, 0.9)),
    *(("epsilon_insensitive", {"epsilon": 0.5}, x, 2.0, 0.0) for x in (1.5, 2.5)),
    ("epsilon_insensitive", {"epsilon": 0.0}, 2.0, 2.0, 0.0),
    *(("plateau_mae", {}, 2.0 + e, 2.0, g) for e, g in ((-0.5, -1.0), (0, 0), (0.5, 1.0))),
    *(("hinge", {}, y, y, 0.0) for y in (1.0, -1.0)),
    ("multiclass_hinge", {}, [1.0, 0.0, -9.0], 0, [0.0, 0.0, 0.0]),
    ("multiclass_hinge", {}, [0.0, 0.0, 0.0], 0, [-1.0, 0.5, 0.5]),
    ("probability_mae", {}, [0.5, 0.5], [0.5, 0.5], [0.0, 0.0]),
]


@pytest.mark.parametrize(("name", "parameters", "input", "target", "gradient"), KINKS)
def test_documented_subgradient(name, parameters, input, target, gradient) -> None:
    x = torch.tensor(input, dtype=torch.float64, requires_grad=True)
    t = torch.tensor(target)
    if t.is_floating_point():
        t = t.double()
    CATALOGUE[name].function(x, t, **parameters, reduction="sum").backward()
    torch.testing.assert_close(x.grad, torch.tensor(gradient, dtype=torch.float64))


def test_every_documented_subgradient_is_tested() -> None:
    assert {name for name, *_ in KINKS} == {e.name for e in CATALOGUE.values() if e.kinks}


# Planted faults: losses that are wrong in one way, and the clause that has to notice.

FAULTS = []


def fault(clause: str, words: str, of: str = "mse"):
    """Register a loss that claims to be `of`; its failure has to say `words`."""

    def register(loss_of_error):
        FAULTS.append(
            pytest.param(loss_of_error, clause, words, of, id=loss_of_error.__name__)
        )
        return loss_of_error

    return register


def squares(input, target, weight=None, reduction="mean"):
    x, t = check_pair(input, target)
    return reduce((x - t).square(), weight, reduction, input.dtype)


@fault("reference", "value is")
def half_of_it(input, target, *, weight=None, reduction="mean"):
    return squares(input, target, weight, reduction) / 2


@fault("reference", "value is", of="log_cosh")
def cancels_near_zero(input, target, *, weight=None, reduction="mean"):
    size = (input - target).abs()
    loss = size + torch.log1p(torch.exp(-2 * size)) - torch.log(torch.full_like(size, 2))
    return reduce(loss, weight, reduction, input.dtype)


@fault("reference", "float16 .* value is")
def computes_in_half_precision(input, target, *, weight=None, reduction="mean"):
    if input.dtype != torch.float16:
        return squares(input, target, weight, reduction)
    loss = input.square() - 2 * input * target + target.square()
    return reduce(loss, weight, reduction, input.dtype)


@fault("gradient", "^gradcheck")
def half_of_the_graph(input, target, *, weight=None, reduction="mean"):
    return squares(input, target.detach(), weight, reduction)


@fault("gradient", "^gradgradcheck")
def no_second_derivative(input, target, *, weight=None, reduction="mean"):
    x, t = check_pair(input, target)
    e, fixed = x - t, (x - t).detach()
    return reduce(2 * e * fixed - fixed.square(), weight, reduction, input.dtype)


@fault("gradient", "undocumented kink", of="mae")
def undocumented_kink(input, target, *, weight=None, reduction="mean"):
    x, t = check_pair(input, target)
    return reduce((x - t).abs(), weight, reduction, input.dtype)


@fault("gradient", "gradient is nan", of="mae")
def no_gradient_at_the_kink(input, target, *, weight=None, reduction="mean"):
    x, t = check_pair(input, target)
    return reduce((x - t).square().sqrt(), weight, reduction, input.dtype)


@fault("extremes", "value is inf", of="log_cosh")
def overflows(input, target, *, weight=None, reduction="mean"):
    x, t = check_pair(input, target)
    return reduce(torch.log(torch.cosh(x - t)), weight, reduction, input.dtype)


@fault("extremes", "gradient is nan", of="log_cosh")
def gradient_through_the_branch_not_taken(input, target, *, weight=None, reduction="mean"):
    x, t = check_pair(input, target)
    size = (x - t).abs()
    far = size + torch.log1p(torch.exp(-2 * size)) - torch.log(torch.full_like(size, 2))
    near = torch.log1p(torch.sinh(size).square()) / 2
    return reduce(torch.where(size < 1, near, far), weight, reduction, input.dtype)


@fault("extremes", "value is", of="mae")
def clipped(input, target, *, weight=None, reduction="mean"):
    x, t = check_pair(input, target)
    return reduce((x - t).abs().clamp(max=1e4), weight, reduction, input.dtype)


@fault("shapes", "nothing was raised")
def broadcasts(input, target, *, weight=None, reduction="mean"):
    return reduce((input - target).square(), weight, reduction, input.dtype)


@fault("shapes", "the message lacks")
def says_no_shapes(input, target, *, weight=None, reduction="mean"):
    if input.shape != target.shape:
        raise ValueError("shapes differ")
    return squares(input, target, weight, reduction)


def weighted_squares(e, place, condition_number, weight, reduction):
    share = condition_number ** (-place / max(e.shape[-1] - 1 if e.ndim else 0, 1))
    return reduce(share * e * e, weight, reduction, e.dtype)


@fault("shapes", "the same elements in one row", of="ill_conditioned_mse")
def weights_by_the_place_in_the_batch(
    input, target, *, condition_number=1e4, weight=None, reduction="mean"
):
    x, t = check_pair(input, target)
    place = torch.arange(x.numel(), dtype=x.dtype, device=x.device).reshape(x.shape)
    return weighted_squares(x - t, place, condition_number, weight, reduction)


@fault("vmap", "vmapped value", of="ill_conditioned_mse")
def weights_along_the_first_axis(
    input, target, *, condition_number=1e4, weight=None, reduction="mean"
):
    x, t = check_pair(input, target)
    place = torch.arange(len(x), dtype=x.dtype, device=x.device)
    place = place.reshape(-1, *[1] * (x.ndim - 1)).expand_as(x)
    return weighted_squares(x - t, place, condition_number, weight, reduction)


@fault("reference", "value is", of="ill_conditioned_mse")
def weights_from_the_last_output(
    input, target, *, condition_number=1e4, weight=None, reduction="mean"
):
    x, t = check_pair(input, target)
    place = torch.arange(x.numel(), dtype=x.dtype, device=x.device).flip(0)
    return weighted_squares(x - t, place, condition_number, weight, reduction)


@fault("reductions", "weighted mean")
def mean_of_the_weighted(input, target, *, weight=None, reduction="mean"):
    each = squares(input, target, weight, "none")
    return each if reduction == "none" else getattr(each, reduction)()


@fault("reductions", "mean over shape .* is nan")
def mean_over_nothing(input, target, *, weight=None, reduction="mean"):
    each = squares(input, target, weight, "none")
    if reduction == "mean" and weight is None:
        return each.sum() / each.numel()
    return squares(input, target, weight, reduction)


@fault("reductions", "all weights 0")
def divides_by_zero_weight(input, target, *, weight=None, reduction="mean"):
    if reduction == "mean" and weight is not None and weight.numel():
        each = squares(input, target, reduction="none")
        squares(input, target, weight)  # for the checks
        return (weight * each).sum() / weight.sum()
    return squares(input, target, weight, reduction)


@fault("module", "PicklingError")
def cannot_be_found_by_pickle(input, target, *, weight=None, reduction="mean"):
    return squares(input, target, weight, reduction)


for clause in ("compile", "vmap", "export", "sync"):

    @fault(clause, f"^(torch.{clause}|vmap|needs a value on the host)")
    def looks_at_its_values(input, target, *, weight=None, reduction="mean"):
        if bool((input > 100).any()):
            input = input.clamp(max=100)
        return squares(input, target, weight, reduction)


@fault("vmap", "vmap fallback")
def has_no_batching_rule(input, target, *, weight=None, reduction="mean"):
    loss = torch.nn.functional.soft_margin_loss(input, target, reduction="none")
    return reduce(loss, weight, reduction, input.dtype)


class OldStyle(torch.autograd.Function):
    @staticmethod
    def forward(ctx, e):
        ctx.save_for_backward(e)
        return e.square()

    @staticmethod
    def backward(ctx, gradient):
        (e,) = ctx.saved_tensors
        return 2 * e * gradient


@fault("func", "torch.func.grad")
def function_of_the_old_style(input, target, *, weight=None, reduction="mean"):
    x, t = check_pair(input, target)
    return reduce(OldStyle.apply(x - t), weight, reduction, input.dtype)


@fault("device", "on meta")
def constant_on_the_cpu(input, target, *, weight=None, reduction="mean"):
    return squares(input * torch.ones(input.shape), target, weight, reduction)


@fault("device", "not made on the input.s device")
def scalar_constant_on_the_default_device(input, target, *, weight=None, reduction="mean"):
    return squares(torch.tensor(1.0) * input, target, weight, reduction)


@fault("device", "is torch.float32")
def half_type_not_restored(input, target, *, weight=None, reduction="mean"):
    x, t = check_pair(input, target)
    return reduce((x - t).square(), weight, reduction, x.dtype)


@fault("pure", "target was changed")
def changes_its_argument(input, target, *, weight=None, reduction="mean"):
    return squares(input, target.mul_(2), weight, reduction)


@fault("pure", "random numbers")
def draws_random_numbers(input, target, *, weight=None, reduction="mean"):
    noise = torch.rand_like(input)
    return squares(input + noise, target, weight, reduction)


@fault("nan", "NaN in the input of .* became 0")
def swallows_nan(input, target, *, weight=None, reduction="mean"):
    x, t = check_pair(input, target)
    e = x - t
    loss = torch.where(e.abs() > 0, e.square(), torch.zeros_like(e))
    return reduce(loss, weight, reduction, input.dtype)


def plant(function, of: str) -> Case:
    function.__name__ = of
    module = as_module(function, "Planted")
    return Case(
        dataclasses.replace(CATALOGUE[of], function=function, module=module, kinks="")
    )


@pytest.mark.parametrize(("function", "clause", "words", "of"), FAULTS)
def test_planted_fault_is_caught(function, clause, words, of) -> None:
    with pytest.raises(AssertionError, match=words):
        check(plant(function, of), clause)


def test_module_of_another_loss_is_caught() -> None:
    entry = dataclasses.replace(CATALOGUE["mse"], module=CATALOGUE["mae"].module)
    with pytest.raises(AssertionError, match="not equal"):
        check(Case(entry), "module")


def test_every_clause_has_a_planted_fault() -> None:
    assert {param.values[1] for param in FAULTS} == set(CLAUSES)
