"""`python -m lossutils diagnose package.module:name --task regression`."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import inspect
import json
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lossutils.doctor import Diagnosis

TASKS = (
    "regression",
    "binary_probabilities",
    "binary_logits",
    "signed_scores",
    "multiclass_logits",
    "multiclass_probabilities",
)

_EPILOG = """\
examples:
  python -m lossutils diagnose torch.nn:MSELoss --task regression
  python -m lossutils diagnose my_project.losses:FocalLoss --task binary_logits
  python -m lossutils diagnose losses:pinball --task regression --expects 0.9
  python -m lossutils diagnose losses:dice --task binary_logits --checks finite,shape

exit status: 0 without an error, 1 with errors found, 2 if the loss could not be examined
"""


class BadUsageError(Exception):
    """What the caller asks for cannot be done; the text says how to mend it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    args = _parser().parse_args(argv)
    try:
        # What a module or a loss prints is no part of the report.
        with contextlib.redirect_stdout(sys.stderr):
            loss = load(args.loss)
            diagnosis = _diagnose(loss, args)
    except BadUsageError as error:
        print(f"python -m lossutils: error: {error}", file=sys.stderr)
        return 2
    with contextlib.suppress(BrokenPipeError):  # piped into head, say
        _print(diagnosis, args)
    return 0 if diagnosis.ok else 1


def _print(diagnosis: Diagnosis, args: argparse.Namespace) -> None:
    if args.json:
        print(json.dumps(diagnosis.to_dict(), allow_nan=False, indent=2))
    else:
        # A terminal that lacks a sign shows it escaped.
        encoding = sys.stdout.encoding or "utf-8"
        print(str(diagnosis).encode(encoding, "backslashreplace").decode(encoding))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lossutils",
        description="Examine a loss function before training with it.",
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="diagnose")
    diagnose = commands.add_parser(
        "diagnose",
        help="say what is wrong with a loss, with numbers and remedies",
        description="Examine a loss and say what is wrong with it, with numbers, a remedy "
        "and the page of the book that explains it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = diagnose.add_argument
    add(
        "loss",
        metavar="MODULE:NAME",
        help="a function, a module or a loss object of an importable module; a class is "
        "instantiated without arguments",
    )
    add("--task", required=True, choices=TASKS, help="what the loss is for")
    add("--json", action="store_true", help="write the whole diagnosis as JSON")
    add(
        "--expects",
        type=_expects,
        metavar="WHAT",
        help="what the loss should estimate: mean, median, mode or a quantile between "
        "0 and 1; by default the mean or the median",
    )
    add(
        "--checks",
        type=_names,
        metavar="A,B",
        help="run these checks only, by name, separated by commas",
    )
    add("--device", help="where to examine it, cuda for instance")
    add("--dtype", type=_dtype, help="the probes' type, float64 for instance")
    add("--seed", type=int, help="of the random probes; the same seed, the same report")
    add("--compile", action="store_true", help="examine it under torch.compile as well")
    return parser


def _expects(text: str) -> str | float:
    if text in ("mean", "median", "mode"):
        return text
    with contextlib.suppress(ValueError):
        if 0 < (quantile := float(text)) < 1:
            return quantile
    raise argparse.ArgumentTypeError(
        f"{text!r} is neither mean, median, mode nor a quantile between 0 and 1"
    )


def _names(text: str) -> list[str]:
    if names := [name.strip() for name in text.split(",") if name.strip()]:
        return names
    raise argparse.ArgumentTypeError(
        "no name of a check, expected finite,shape for instance"
    )


def _dtype(text: str) -> Any:
    import torch

    dtype = getattr(torch, text.removeprefix("torch."), None)
    if isinstance(dtype, torch.dtype) and dtype.is_floating_point:
        return dtype
    raise argparse.ArgumentTypeError(
        f"{text!r} is no floating-point type of torch, expected float32 or float64"
    )


def load(spec: str) -> Any:
    """Return the loss that "package.module:name" names.

    Raises
    ------
    BadUsageError
        There is none; the text says how to mend it.
    """
    where, colon, name = spec.partition(":")
    if not (where and colon and name):
        raise BadUsageError(
            f"{spec!r} is no MODULE:NAME; write package.module:name, "
            "torch.nn:MSELoss for instance"
        )
    found: Any = _import(where)
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except Exception as error:
            raise BadUsageError(
                f"{where!r} has no {name!r} ({_brief(error)}); "
                "check the name after the colon"
            ) from error
    if inspect.isclass(found):
        found = _instantiate(found, spec)
    if not callable(found):
        raise BadUsageError(
            f"{spec} is of type {type(found).__name__} and cannot be called; name a "
            "function loss(input, target) or a loss object"
        )
    return found


def _import(where: str) -> Any:
    if where.endswith(".py") or "/" in where or os.sep in where:
        dotted = where.removesuffix(".py").replace(os.sep, ".").replace("/", ".")
        raise BadUsageError(
            f"{where!r} is a path; write the module's name, {dotted.strip('.')} for "
            "instance, from the folder that it can be imported from"
        )
    # As `python -m` does, also where it was told not to.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(where)
    except ModuleNotFoundError as error:
        if error.name and (where == error.name or where.startswith(f"{error.name}.")):
            raise BadUsageError(
                f"no module {error.name!r} here; check its name, and run this in the "
                "folder that it can be imported from"
            ) from error
        raise BadUsageError(
            f"{where!r} imports {error.name!r}, which is missing; install it in this Python"
        ) from error
    except (Exception, SystemExit) as error:
        raise BadUsageError(
            f"importing {where!r} raises {_brief(error)}; mend the module first"
        ) from error


def _instantiate(cls: type, spec: str) -> Any:
    import torch

    if issubclass(cls, torch.autograd.Function):
        raise BadUsageError(f"{spec} is an autograd function; write {spec}.apply")
    module = spec.partition(":")[0]
    remedy = (
        f"write `loss = {cls.__name__}(...)` in a module of yours, and name MODULE:loss"
    )
    try:
        inspect.signature(cls).bind()
    except TypeError as error:
        raise BadUsageError(
            f"{cls.__name__} of {module} needs arguments ({_brief(error)}); {remedy}"
        ) from error
    except ValueError:
        pass  # written in C, it does not say what it takes
    try:
        return cls()
    except Exception as error:
        raise BadUsageError(f"{cls.__name__}() raises {_brief(error)}; {remedy}") from error


def _diagnose(loss: Any, args: argparse.Namespace) -> Any:
    from lossutils.doctor import diagnose

    # Only what was given: the defaults are the doctor's.
    names = ("expects", "checks", "device", "dtype", "seed")
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    if args.compile:
        given["compile"] = True
    try:
        return diagnose(loss, task=args.task, **given)
    except Exception as error:
        # The doctor's own words need no type in front; those of others do.
        own = isinstance(error, TypeError | ValueError)
        says = " ".join(str(error).split()) if own else _brief(error)
        raise BadUsageError(f"{args.loss} cannot be examined: {says}") from error


def _brief(error: BaseException) -> str:
    """What the error says, on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


if __name__ == "__main__":
    sys.exit(main())
