"""The shape of a loss: over predictions, over parameters, and what it asks of an optimiser.

>>> import torch, lossutils as lu
>>> x = torch.tensor([[1.0, 0.0], [0.0, 10.0]], dtype=torch.float64)
>>> lu.landscape.condition_number(x.T @ x)
100.0

| part | holds |
|---|---|
| `profiles` | value, slope and curvature of a loss over the prediction |
| `hessian` | Hessians, their extreme eigenvalues, condition numbers |
| `slices` | the loss on a line or a plane through the parameters, and runs seen in it |
| `range_test` | the learning rates that an optimiser bears |

An `objective` is a function of the parameters alone that returns a scalar; the parameters
are a tensor, or a dict as `torch.func.functional_call` takes it::

    weights = dict(model.named_parameters())

    def objective(parameters):
        return loss(torch.func.functional_call(model, parameters, input), target)

Where a direction or a point is asked for, one vector of all p numbers does too, in the
order of the dict: an eigenvector, or `torch.nn.utils.parameters_to_vector`.
"""

from lossutils.landscape.hessian import (
    Eigenpairs,
    condition_number,
    hessian_eigenvalues,
    output_hessian,
    parameter_hessian,
)
from lossutils.landscape.profiles import Profile, profile
from lossutils.landscape.range_test import RangeTest, learning_rate_range_test
from lossutils.landscape.slices import (
    Line,
    Plane,
    PrincipalDirections,
    Trajectory,
    line,
    plane,
    principal_directions,
    random_direction,
    trajectory,
)

__all__ = [
    "Eigenpairs",
    "Line",
    "Plane",
    "PrincipalDirections",
    "Profile",
    "RangeTest",
    "Trajectory",
    "condition_number",
    "hessian_eigenvalues",
    "learning_rate_range_test",
    "line",
    "output_hessian",
    "parameter_hessian",
    "plane",
    "principal_directions",
    "profile",
    "random_direction",
    "trajectory",
]
