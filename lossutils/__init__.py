"""Loss functions for PyTorch that keep one tested contract.

>>> import torch, lossutils as lu
>>> lu.huber(torch.tensor([0.5, 3.0]), torch.zeros(2))
tensor(1.3125)
"""

import importlib
from types import ModuleType

from lossutils import doctor, losses
from lossutils.catalogue import CATALOGUE, Entry
from lossutils.doctor import Diagnosis, Finding, LossCheckError, check_loss, diagnose
from lossutils.losses.classification import *
from lossutils.losses.pathological import *
from lossutils.losses.regression import *
from lossutils.losses.robust import *

__version__ = "0.1.0"

# Imported when first used: they need packages that a loss does not.
_ROOMS = ("datasets", "distributed", "landscape", "noise", "plots")

__all__ = ["CATALOGUE", "Entry", *_ROOMS]
__all__ += ["Diagnosis", "Finding", "LossCheckError", "check_loss", "diagnose", "doctor"]
__all__ += losses.classification.__all__
__all__ += losses.pathological.__all__
__all__ += losses.regression.__all__
__all__ += losses.robust.__all__


def __getattr__(name: str) -> ModuleType:
    if name in _ROOMS:
        return importlib.import_module(f"lossutils.{name}")
    raise AttributeError(f"module 'lossutils' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
