"""`import lossutils` is cheap, needs torch alone, and gives everything it should."""

import subprocess
import sys

import pytest

import lossutils as lu
from lossutils.catalogue import CATALOGUE
from lossutils.losses import classification, pathological, regression, robust

FAMILIES = (regression, robust, classification, pathological)
HEAVY = (
    "matplotlib",
    "seaborn",
    "sklearn",
    "keras",
    "pandas",
    "scipy",
    "opacus",
    "IPython",
)
ROOMS = ("datasets", "distributed", "landscape", "noise", "plots")


def fresh(code: str) -> str:
    """What `code` prints in a new interpreter."""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_import_is_cheap() -> None:
    """It brings its own modules, those of the standard library that they need, no others.

    The seconds that this takes are on reference/benchmarks.
    """
    code = """
import sys, torch
before = set(sys.modules)
import lossutils
new = set(sys.modules) - before
own = {name for name in new if name.partition(".")[0] == "lossutils"}
print(len(own), *sorted(new - own))
"""
    own, *others = fresh(code).split()
    assert int(own) <= 40
    foreign = [m for m in others if m.partition(".")[0] not in sys.stdlib_module_names]
    assert not foreign
    assert len(others) <= 5, others


def test_heavy_packages_wait_until_their_room_is_entered() -> None:
    code = f"""
import sys, torch
before = set(sys.modules)
import lossutils as lu
brought = {{name.partition(".")[0] for name in set(sys.modules) - before}}
assert "lossutils" in brought
assert not brought & set({HEAVY}), brought
for room in {ROOMS}:
    assert "lossutils." + room not in sys.modules, room
    assert room in dir(lu)
    assert getattr(lu, room).__name__ == "lossutils." + room
"""
    fresh(code)


def test_torch_alone_is_enough() -> None:
    code = f"""
import sys
for name in {HEAVY}:
    sys.modules[name] = None  # import raises ModuleNotFoundError
import torch, lossutils as lu
print(lu.huber(torch.tensor([0.5, 3.0]), torch.zeros(2)).item())
try:
    lu.plots
except ModuleNotFoundError as error:
    print(error.name.partition(".")[0])
"""
    value, missing = fresh(code).split()
    assert float(value) == 1.3125
    assert missing in HEAVY


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="'lossutils' has no attribute 'hubert'"):
        _ = lu.hubert


def test_face_gives_every_loss() -> None:
    for entry in CATALOGUE.values():
        assert getattr(lu, entry.name) is entry.function
        assert getattr(lu, entry.module.__name__) is entry.module
        for alias in entry.aliases:
            assert getattr(lu, alias) is entry.function


def test_families_export_what_is_catalogued_and_no_more() -> None:
    for family in FAMILIES:
        entries = [
            e for e in CATALOGUE.values() if e.function.__module__ == family.__name__
        ]
        names = {n for e in entries for n in (e.name, e.module.__name__, *e.aliases)}
        assert names <= set(family.__all__)
        losses = [loss for e in entries for loss in (e.function, e.module)]
        others = {n for n in family.__all__ if getattr(family, n) not in losses}
        assert not others, (
            f"{family.__name__} exports {sorted(others)}, not in the catalogue"
        )


def test_face_shows_nothing_private() -> None:
    exported = {n for f in FAMILIES for n in f.__all__}
    exported |= set(lu.__all__)
    assert not any(name.startswith("_") for name in exported)
    ours = {
        name
        for name, value in vars(lu).items()
        if not name.startswith("_")
        and str(getattr(value, "__module__", "")).startswith("loss")
    }
    assert ours <= exported, f"lossutils shows {sorted(ours - exported)}"
