"""Noise in losses: draw it, put it where it enters, predict what it does, filter it.

>>> import torch, lossutils as lu
>>> noisy = lu.noise.NoisyLoss(lu.mse, lu.noise.Gaussian(0.1), on="target")

| part | holds |
|---|---|
| `models` | white noise of five distributions, added or multiplied; flips |
| `series` | coloured noise, noise whose variance or mean drifts, bursts |
| `wrappers` | `NoisyLoss` and the three noisy losses of the book's source article |
| `moments` | bias and variance of a noisy loss and its gradient, predicted and simulated |
| `smoothing` | moving, exponential and convolutional averages, also inside a loss |
"""

from lossutils.noise.models import *
from lossutils.noise.models import __all__ as _models
from lossutils.noise.moments import *
from lossutils.noise.moments import __all__ as _moments
from lossutils.noise.series import *
from lossutils.noise.series import __all__ as _series
from lossutils.noise.smoothing import *
from lossutils.noise.smoothing import __all__ as _smoothing
from lossutils.noise.wrappers import *
from lossutils.noise.wrappers import __all__ as _wrappers

__all__ = [*_models, *_series, *_wrappers, *_moments, *_smoothing]
