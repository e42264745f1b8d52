"""The loss on a line or a plane through the parameters, and runs seen in that plane."""

import math
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from lossutils.landscape._parameters import (
    Objective,
    Parameters,
    check_axis,
    flatten,
    flatten_like,
    pieces,
    scalar,
    unflatten,
    upright,
)

__all__ = [
    "Line",
    "Plane",
    "PrincipalDirections",
    "Trajectory",
    "line",
    "plane",
    "principal_directions",
    "random_direction",
    "trajectory",
]


class Line(NamedTuple):
    """An objective along a line.

    Attributes
    ----------
    a : Tensor
        Shape (m,), the coefficients of the direction; the parameters are at 0.
    value : Tensor
        Shape (m,).
    """

    a: Tensor
    value: Tensor


class Plane(NamedTuple):
    """An objective on a grid in a plane; `lossutils.plots.contours(*plane)` draws it.

    Attributes
    ----------
    a, b : Tensor
        Shapes (m,) and (n,), the coefficients of the two directions; the parameters are
        at (0, 0).
    value : Tensor
        Shape (m, n): `value[i, j]` is at `a[i]`, `b[j]`.
    """

    a: Tensor
    b: Tensor
    value: Tensor


class Trajectory(NamedTuple):
    """A run seen in a plane.

    Attributes
    ----------
    coordinates : Tensor
        Shape (T, 2): a and b of the place in the plane that is nearest to each point.
    explained : Tensor
        Shape (T,), from 0 to 1: the share of each point's squared distance from the origin
        that lies in the plane. Where it is small, the picture shows little of the run. 1 at
        the origin itself.
    """

    coordinates: Tensor
    explained: Tensor


class PrincipalDirections(NamedTuple):
    """The two directions in which a run varies most.

    Attributes
    ----------
    first, second : Tensor
        Shape (p,), of length 1 and orthogonal; the largest component is positive.
    explained : Tensor
        Shape (2,): each one's share of the variance of the run about its mean.
    """

    first: Tensor
    second: Tensor
    explained: Tensor


def random_direction(
    parameters: Parameters,
    *,
    normalise: Literal["filter", "layer"] | None = "filter",
    generator: torch.Generator | None = None,
) -> Tensor | dict[str, Tensor]:
    """Draw a random direction in the space of the parameters.

    The plain Gaussian direction makes a network with small weights look sharper than the
    same function with large ones. Scaled to the weights, slices of different networks can
    be compared.

    Parameters
    ----------
    parameters : Tensor or dict of Tensors
        Floating-point, of one type.
    normalise : {"filter", "layer"} or None
        "filter": each row of each tensor, all weights of one neuron or convolution filter,
        gets the length of that row of the parameters. Tensors of one axis or none, biases
        and batch normalisation, stay as they are: their direction is 0, as with
        `ignore=biasbn` in the authors' code. "layer": each tensor gets the length of the
        parameter, biases too. None: independent standard normal numbers. Default "filter".
    generator : torch.Generator, optional
        Default torch's own.

    Returns
    -------
    Tensor or dict of Tensors
        Like the parameters. Two draws in many dimensions are nearly orthogonal.

    Raises
    ------
    ValueError
        `normalise` is unknown, the parameters are empty or of several types, or the
        direction would be 0 throughout.
    TypeError
        The parameters are no floating-point tensors.

    References
    ----------
    Li, Xu, Taylor, Studer and Goldstein (2018), Visualizing the loss landscape of neural
    nets.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> w = torch.tensor([[3.0, 4.0], [0.0, 1.0]])
    >>> g = torch.Generator().manual_seed(0)
    >>> lu.landscape.random_direction(w, generator=g).norm(dim=1)
    tensor([5.0000, 1.0000])
    """
    if normalise not in ("filter", "layer", None):
        raise ValueError(f"normalise is {normalise!r}, expected 'filter', 'layer' or None")
    drawn = []
    for weight in pieces(parameters).values():
        noise = torch.randn(
            weight.shape, dtype=weight.dtype, device=weight.device, generator=generator
        )
        if normalise == "filter" and weight.ndim < 2:
            noise.zero_()
        elif normalise is not None and weight.numel():
            rows = weight.shape[0] if normalise == "filter" else 1
            length = weight.reshape(rows, -1).norm(dim=1, keepdim=True)
            unit = torch.nn.functional.normalize(noise.reshape(rows, -1), dim=1)
            noise = (unit * length).reshape(weight.shape)
        drawn.append(noise.flatten())
    vector = torch.cat(drawn)
    if not bool(vector.any()):
        raise ValueError(
            f"with normalise={normalise!r} the direction is 0: every tensor has fewer than "
            "two axes or is 0; take normalise='layer' or None"
        )
    return unflatten(vector, parameters)


def line(
    objective: Objective, parameters: Parameters, direction: Parameters, steps: Tensor
) -> Line:
    """Evaluate an objective on a line through the parameters.

    Parameters
    ----------
    objective : callable
        `objective(parameters)` returns a scalar; it need not be differentiable. It is
        called once a step, with copies and without a graph.
    parameters : Tensor or dict of Tensors
        Floating-point, of one type, p numbers.
    direction : Tensor or dict of Tensors
        Like the parameters, or a vector of p numbers.
    steps : Tensor
        1-D: the objective is taken at parameters + step · direction.

    Returns
    -------
    Line
        a (the steps) and value.

    Raises
    ------
    ValueError
        Shapes or names differ from the parameters', something is empty, the direction is 0
        or not finite, or the objective returns no scalar.
    TypeError
        Something other than floating-point tensors was given or returned.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> w = torch.tensor([1.0, 0.0])
    >>> steps = torch.tensor([-1.0, 0.0, 1.0])
    >>> lu.landscape.line(lambda w: (w**2).sum(), w, torch.tensor([1.0, 1.0]), steps).value
    tensor([1., 1., 5.])
    """
    origin = flatten(parameters)
    along = _direction("direction", direction, parameters)
    a = check_axis("steps", steps)
    points = (origin + step * along for step in a.to(origin))
    return Line(a, _values(objective, parameters, points))


def plane(
    objective: Objective,
    parameters: Parameters,
    first: Parameters,
    second: Parameters,
    steps: Tensor | tuple[Tensor, Tensor],
) -> Plane:
    """Evaluate an objective on a grid in a plane through the parameters.

    Parameters
    ----------
    objective : callable
        `objective(parameters)` returns a scalar; it need not be differentiable. It is
        called once a node of the grid, with copies and without a graph.
    parameters : Tensor or dict of Tensors
        Floating-point, of one type, p numbers.
    first, second : Tensor or dict of Tensors
        Like the parameters, or vectors of p numbers; not parallel. Angles in the picture
        are true where they are orthogonal and of one length.
    steps : Tensor or pair of Tensors
        1-D, for both directions or one for each: the objective is taken at
        parameters + a · first + b · second for all a and b.

    Returns
    -------
    Plane
        a, b, and value of shape (len(a), len(b)).

    Raises
    ------
    ValueError
        Shapes or names differ from the parameters', something is empty, the directions are
        parallel or not finite, or the objective returns no scalar.
    TypeError
        Something other than floating-point tensors was given or returned.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> w = torch.zeros(2)
    >>> first, second = torch.eye(2)
    >>> steps = torch.tensor([0.0, 1.0]), torch.tensor([0.0, 1.0, 2.0])
    >>> lu.landscape.plane(lambda w: w[0] + 10 * w[1], w, first, second, steps).value
    tensor([[ 0., 10., 20.],
            [ 1., 11., 21.]])
    """
    origin = flatten(parameters)
    along, across = _basis(first, second, parameters).T.to(origin)
    pair = (steps, steps) if isinstance(steps, Tensor) else tuple(steps)
    if len(pair) != 2:
        raise ValueError(f"steps are {len(pair)}, expected one tensor or two")
    a, b = (check_axis("steps", each) for each in pair)
    points = (origin + i * along + j * across for i in a.to(origin) for j in b.to(origin))
    return Plane(a, b, _values(objective, parameters, points).reshape(len(a), len(b)))


def trajectory(
    points: Tensor | Sequence[Parameters],
    origin: Parameters,
    first: Parameters,
    second: Parameters,
) -> Trajectory:
    """Project a run onto a plane, and say how much of it the plane shows.

    Parameters
    ----------
    points : Tensor or sequence of Tensors or dicts
        The T places of the run, each like the origin or a vector of p numbers; or one
        tensor of shape (T, p).
    origin : Tensor or dict of Tensors
        Where the plane has its coordinates (0, 0): the parameters given to `plane`.
    first, second : Tensor or dict of Tensors
        The plane's directions, of any length and angle but not parallel.

    Returns
    -------
    Trajectory
        coordinates, those of the nearest place in the plane (least squares), and the share
        explained.

    Raises
    ------
    ValueError
        Shapes or names differ from the origin's, something is empty or not finite, or the
        directions are parallel.
    TypeError
        Something other than floating-point tensors was given.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> run = torch.tensor([[3.0, 4.0, 0.0], [0.0, 3.0, 4.0]])
    >>> first, second, _ = torch.eye(3)
    >>> lu.landscape.trajectory(run, torch.zeros(3), first, second)
    Trajectory(coordinates=tensor([[3., 4.], [0., 3.]]), explained=tensor([1.0000, 0.3600]))
    """
    moved = _points(points, origin) - flatten(origin).cpu().double()
    basis = _basis(first, second, origin)
    coordinates = torch.linalg.lstsq(basis, moved.T).solution.T
    total = moved.square().sum(1)
    inside = (coordinates @ basis.T).square().sum(1)
    explained = torch.where(total > 0, inside / total, 1.0).clamp(max=1.0)
    like = flatten(origin)
    return Trajectory(coordinates.to(like), explained.to(like))


def principal_directions(
    points: Tensor | Sequence[Parameters],
) -> PrincipalDirections:
    """Find the two directions in which a run varies most (principal component analysis).

    A plane through the last point along these shows more of the run than random directions
    do, which in many dimensions are nearly orthogonal to it. But even random walks look
    like smooth curves in it: read `explained` and the axes, not the shape.

    Parameters
    ----------
    points : Tensor or sequence of Tensors or dicts
        The T places of the run, 3 or more; or one tensor of shape (T, p), p 2 or more.

    Returns
    -------
    PrincipalDirections
        first, second: vectors of p numbers that `plane` and `trajectory` take; explained.

    Raises
    ------
    ValueError
        There are fewer than three points, or two numbers in each; they differ in shape, are
        not finite, or all the same.
    TypeError
        Something other than floating-point tensors was given.

    References
    ----------
    Li, Xu, Taylor, Studer and Goldstein (2018), Visualizing the loss landscape of neural
    nets.
    Antognini and Sohl-Dickstein (2018), PCA of high dimensional random walks with
    comparison to neural network training.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> run = torch.tensor([[0.0, 2.0, 5.0], [0.0, -2.0, 5.0], [1.0, 0.0, 5.0]])
    >>> lu.landscape.principal_directions(run).first
    tensor([0., 1., 0.])
    """
    if len(points) < 3:
        raise ValueError(f"points holds {len(points)}, expected three or more")
    run = _points(points, points[0])
    if run.shape[1] < 2:
        raise ValueError("points have one number each, expected two or more")
    centred = run - run.mean(0)
    _, singular, rows = torch.linalg.svd(centred, full_matrices=False)
    power = singular.square()
    # Rounding of the mean alone moves points that are all the same.
    if singular[0] <= 1e-14 * math.sqrt(run.numel()) * run.abs().max():
        raise ValueError("points are all the same, expected a run that moves")
    like = flatten(points[0])
    first, second = upright(rows[:2].T).T.to(like)
    return PrincipalDirections(first, second, (power[:2] / power.sum()).to(like))


def _values(objective: Objective, like: Parameters, points: Iterable[Tensor]) -> Tensor:
    # A loop and not vmap: it takes objectives that vmap cannot (.item(), branches, batch
    # normalisation), needs the memory of one evaluation, and gives what each one gives.
    with torch.no_grad():
        return torch.stack([scalar(objective(unflatten(p, like))).detach() for p in points])


def _direction(name: str, given: Parameters, like: Parameters) -> Tensor:
    vector = flatten_like(name, given, like)
    if not bool(vector.any()):
        raise ValueError(f"{name} is 0, expected a direction")
    return vector


def _basis(first: Parameters, second: Parameters, like: Parameters) -> Tensor:
    """The directions as columns, float64 on the CPU."""
    pair = [_direction("first", first, like), _direction("second", second, like)]
    basis = torch.stack(pair, dim=1).cpu().double()
    low, high = torch.linalg.svdvals(basis / basis.norm(dim=0))[[-1, 0]]
    if len(basis) < 2 or low < 1e-6 * high:
        raise ValueError(
            "first and second are parallel, expected directions that span a plane"
        )
    return basis


def _points(points: Tensor | Sequence[Parameters], like: Parameters) -> Tensor:
    """The run as rows, float64 on the CPU."""
    if len(points) == 0:
        raise ValueError("points is empty, expected one or more places")
    rows = [flatten_like(f"points[{i}]", point, like) for i, point in enumerate(points)]
    return torch.stack(rows).cpu().double()
