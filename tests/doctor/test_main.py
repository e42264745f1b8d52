"""The command line: what it passes on, what it prints, how it exits."""

import importlib
import json
import os
import subprocess
import sys

import pytest
import torch

from lossutils import __main__ as command
from lossutils.doctor.findings import Diagnosis, Finding

MODULE = """
import torch

print("a word at import")


def squared(input, target):
    return (input - target) ** 2


class Plain(torch.nn.Module):
    def forward(self, input, target):
        return (input - target).abs().mean()


class Scaled(Plain):
    def __init__(self, scale):
        super().__init__()


class Breaks(Plain):
    def __init__(self):
        raise RuntimeError("no\\nweights")


class Custom(torch.autograd.Function):
    @staticmethod
    def forward(ctx, input, target):
        return input - target


class Space:
    squared = staticmethod(squared)


ready = Scaled(2.0)
number = 3
"""


@pytest.fixture
def losses(tmp_path, monkeypatch):
    """A module of losses in the current folder."""
    (tmp_path / "my_losses.py").write_text(MODULE, encoding="utf-8")
    (tmp_path / "broken.py").write_text("import no_such_package", encoding="utf-8")
    (tmp_path / "raising.py").write_text("raise OSError('no disk')", encoding="utf-8")
    (tmp_path / "quitting.py").write_text("import sys; sys.exit(0)", encoding="utf-8")
    (tmp_path / "wrong.py").write_text("def f(:\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    importlib.invalidate_caches()
    yield tmp_path
    for name in ("my_losses", "broken", "raising", "quitting", "wrong"):
        sys.modules.pop(name, None)


def diagnosis(severity="note", **changes):
    found = Finding(
        "finite", severity, "It is NaN.", {"value": float("nan")}, "Do.", "a.html"
    )
    fields = {"name": "L", "task": "regression", "findings": (found,), "passed": ()}
    return Diagnosis(**(fields | {"skipped": {}, "measurements": {}} | changes))


@pytest.fixture
def doctor(losses, monkeypatch):
    """A doctor that notes what it is asked, and answers `doctor.says`."""

    class Doctor:
        says, asked = diagnosis(), None

        def __call__(self, loss, **options):
            print("a word from the loss")
            self.asked = loss, options
            if isinstance(self.says, Exception):
                raise self.says
            return self.says

    made = Doctor()
    monkeypatch.setattr("lossutils.doctor.diagnose", made)
    return made


def run(*arguments):
    return command.main(["diagnose", *arguments])


REGRESSION = ("--task", "regression")


@pytest.mark.parametrize(
    ("severity", "status"), [("error", 1), ("warning", 0), ("note", 0)]
)
def test_report_and_status(doctor, capsys, severity, status):
    doctor.says = diagnosis(severity)
    assert run("my_losses:squared", *REGRESSION) == status
    out, err = capsys.readouterr()
    assert out == f"{doctor.says}\n"
    assert err == "a word at import\na word from the loss\n"
    assert run("my_losses:squared", *REGRESSION, "--json") == status
    assert json.loads(capsys.readouterr().out) == doctor.says.to_dict()


def test_options_are_passed_on(doctor):
    run("my_losses:squared", *REGRESSION)
    assert doctor.asked[1] == {"task": "regression"}
    options = "--expects 0.9 --checks finite,shape --device meta --dtype float64 --seed 0"
    run("my_losses:squared", "--task", "binary_logits", *options.split(), "--compile")
    assert doctor.asked[1] == {
        "task": "binary_logits",
        "expects": 0.9,
        "checks": ["finite", "shape"],
        "device": "meta",
        "dtype": torch.float64,
        "seed": 0,
        "compile": True,
    }
    run("my_losses:squared", *REGRESSION, "--expects", "median")
    assert doctor.asked[1]["expects"] == "median"


def test_what_can_be_named(doctor):
    def named(name):
        assert run(name, *REGRESSION) == 0
        return doctor.asked[0]

    function = named("my_losses:squared")
    assert function is sys.modules["my_losses"].squared
    assert named("my_losses:Space.squared") is function
    assert named("my_losses:ready") is sys.modules["my_losses"].ready
    assert type(named("my_losses:Plain")) is sys.modules["my_losses"].Plain
    assert named("my_losses:Custom.apply").__name__ == "apply"
    assert type(named("torch.nn:MSELoss")) is torch.nn.MSELoss
    assert named("torch.nn.functional:mse_loss") is torch.nn.functional.mse_loss


WRONG = {
    "no colon": ("my_losses.squared", "write package.module:name"),
    "no name": ("my_losses:", "write package.module:name"),
    "no module": ("no_such:f", "no module 'no_such' here; check its name"),
    "no submodule": ("my_losses.inner:f", "no module 'my_losses.inner' here"),
    "relative": (".my_losses:f", "importing '.my_losses' raises TypeError"),
    "import missing": ("broken:f", "'broken' imports 'no_such_package', which is missing"),
    "import raises": ("raising:f", "importing 'raising' raises OSError: no disk"),
    "import quits": ("quitting:f", "importing 'quitting' raises SystemExit: 0"),
    "syntax": ("wrong:f", "importing 'wrong' raises SyntaxError"),
    "path": ("src/my_losses.py:f", "is a path; write the module's name, src.my_losses"),
    "no attribute": ("my_losses:huber", "has no 'huber'"),
    "no inner": ("my_losses:Space.huber", "has no 'Space.huber'"),
    "not callable": ("my_losses:number", "is of type int and cannot be called"),
    "needs arguments": (
        "my_losses:Scaled",
        "needs arguments (TypeError: missing a required",
    ),
    "init raises": ("my_losses:Breaks", "Breaks() raises RuntimeError: no weights; write"),
    "autograd": ("my_losses:Custom", "write my_losses:Custom.apply"),
}


@pytest.mark.parametrize(("name", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_name_is_answered_in_one_line(doctor, capsys, name, message):
    assert run(name, *REGRESSION) == 2
    out, err = capsys.readouterr()
    assert doctor.asked is None
    assert out == ""
    *noise, line = err.splitlines()
    assert line.startswith("python -m lossutils: error: ")
    assert message in line
    assert noise in ([], ["a word at import"])


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            TypeError("L takes no batch;\npass input= and target="),
            "examined: L takes no batch;",
        ),
        (ValueError("checks has ['x']"), "examined: checks has ['x']"),
        (RuntimeError("no CUDA"), "examined: RuntimeError: no CUDA"),
        (AssertionError(), "examined: AssertionError"),
    ],
)
def test_a_loss_that_cannot_be_examined(doctor, capsys, error, message):
    doctor.says = error
    assert run("my_losses:squared", *REGRESSION) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert f"my_losses:squared cannot be {message}" in line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "required: --task"),
        (["--task", "ranking"], "invalid choice: 'ranking'"),
        ([*REGRESSION, "--expects", "1.5"], "'1.5' is neither mean, median, mode nor"),
        ([*REGRESSION, "--expects", "nan"], "'nan' is neither"),
        ([*REGRESSION, "--checks", ","], "no name of a check"),
        ([*REGRESSION, "--dtype", "int64"], "'int64' is no floating-point type"),
        ([*REGRESSION, "--dtype", "nn"], "'nn' is no floating-point type"),
    ],
)
def test_a_wrong_option_is_refused(capsys, options, message):
    with pytest.raises(SystemExit) as exit:
        run("my_losses:squared", *options)
    assert exit.value.code == 2
    assert message in capsys.readouterr().err


def test_help_names_every_task_and_the_statuses(capsys):
    with pytest.raises(SystemExit) as exit:
        run("--help")
    assert exit.value.code == 0
    text = capsys.readouterr().out
    assert all(task in text for task in command.TASKS)
    assert "exit status: 0 without an error, 1 with errors found, 2" in text


def test_tasks_are_the_doctors():
    from lossutils.doctor import TASKS

    assert set(command.TASKS) == set(TASKS)


@pytest.mark.parametrize(("name", "status"), [("squared", 0), ("detached", 1), ("gone", 2)])
def test_in_a_shell(losses, name, status):
    """The doctor itself, in a Python of its own, whose terminal knows ASCII only."""
    with (losses / "my_losses.py").open("a", encoding="utf-8") as file:
        file.write(
            "\n\ndef detached(input, target):\n    return ((input-target)**2).detach()"
        )
    options = [*REGRESSION, "--checks", "differentiable,finite"]
    done = subprocess.run(
        [sys.executable, *f"-m lossutils diagnose my_losses:{name}".split(), *options],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
    )
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    if status < 2:
        assert done.stdout.startswith(f"{name} for regression: ")
        assert ("ERROR differentiable" in done.stdout) == (status == 1)
