"""Second derivatives: how a loss curves, and how unevenly."""

import inspect
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from lossutils.landscape._parameters import (
    FUNCTIONAL,
    Objective,
    Parameters,
    check_floating,
    flatten,
    gradients,
    scalar,
    unflatten,
    upright,
)

__all__ = [
    "Eigenpairs",
    "condition_number",
    "hessian_eigenvalues",
    "output_hessian",
    "parameter_hessian",
]


class Eigenpairs(NamedTuple):
    """Eigenvalues and eigenvectors of a Hessian, as `torch.linalg.eigh` gives them.

    Attributes
    ----------
    eigenvalues : Tensor
        Shape (m,), ascending.
    eigenvectors : Tensor
        Shape (p, m), a column of length 1 each, whose largest component is positive. The
        rows are in the order of the flattened parameters.
    """

    eigenvalues: Tensor
    eigenvectors: Tensor


def output_hessian(
    loss: Callable[[Tensor, Tensor], Tensor], input: Tensor, target: Tensor
) -> Tensor:
    """Second derivatives of a loss with respect to the predictions.

    Diagonal where the loss is a sum over the elements; its eigenvalues are then the
    curvatures of the elements.

    Parameters
    ----------
    loss : callable
        `loss(input, target)` returns a scalar.
    input : Tensor
        Floating-point, any shape, n elements; float64 for digits.
    target : Tensor
        Whatever the loss takes.

    Returns
    -------
    Tensor
        Shape (n, n), in the order of `input.flatten()`, of its type and device, outside
        the graph. At a kink, what autograd makes of it.

    Raises
    ------
    ValueError
        The input is empty, or the loss returns no scalar or does not depend on it.
    TypeError
        `input` is no floating-point tensor, or the loss returns no tensor.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> x = torch.tensor([0.5, 3.0])
    >>> lu.landscape.output_hessian(lu.huber, x, torch.zeros(2))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.0000]])
    """
    check_floating("input", input)
    remedy = "the input: use it in the loss"
    return _explicit(*_products(lambda x: loss(x, target), input, "input", "loss", remedy))


def parameter_hessian(objective: Objective, parameters: Parameters) -> Tensor:
    """All second derivatives of an objective with respect to its parameters.

    One backward pass for each of p parameters and p² numbers: for small models. For large
    ones there is `hessian_eigenvalues`.

    Parameters
    ----------
    objective : callable
        `objective(parameters)` returns a scalar; twice differentiable by autograd.
    parameters : Tensor or dict of Tensors
        Floating-point, of one type, p numbers; float64 for digits.

    Returns
    -------
    Tensor
        Shape (p, p). Rows and columns in the order of the flattened dict: the tensors one
        after the other, each row by row. Outside the graph. At a kink, what autograd makes
        of it.

    Raises
    ------
    ValueError
        The parameters are empty or of several types, or the objective returns no scalar or
        does not depend on them.
    TypeError
        Something other than floating-point tensors was given or returned.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> x = torch.tensor([[1.0, 2.0], [1.0, 4.0]])
    >>> y = torch.tensor([0.0, 1.0])
    >>> lu.landscape.parameter_hessian(lambda w: lu.mse(x @ w, y), torch.zeros(2))
    tensor([[ 2.,  6.],
            [ 6., 20.]])
    """
    return _explicit(*_products(objective, parameters))


def hessian_eigenvalues(
    objective: Objective,
    parameters: Parameters,
    *,
    k: int = 5,
    which: Literal["largest", "smallest", "both"] = "largest",
    tol: float = 1e-6,
    seed: int = 0,
) -> Eigenpairs:
    """Extreme eigenvalues of an objective's Hessian, without the Hessian.

    Lanczos iteration (`scipy.sparse.linalg.eigsh`) on Hessian-vector products, each the
    cost of a backward pass; the graph of one evaluation is kept meanwhile. Eigenvalues that
    occur several times are found as often. Where the iteration would span the whole space
    anyway (p of 20 or about 2k), and where it does not converge though p is 2048 at most,
    the explicit Hessian is decomposed.

    The largest eigenvalue λ, the sharpness, bounds the learning rate of gradient descent:
    near a minimum it diverges beyond 2/λ.

    Parameters
    ----------
    objective : callable
        `objective(parameters)` returns a scalar; twice differentiable by autograd. It is
        evaluated once.
    parameters : Tensor or dict of Tensors
        Floating-point, of one type, p numbers. Take float64: in float32 round-off is about
        1e-6 of the largest eigenvalue, and smaller ones drown in it.
    k : int
        How many, 1 to p; with "both" from each end, at most p/2. Default 5.
    which : {"largest", "smallest", "both"}
        In the algebraic sense: the smallest are the most negative ones, not those nearest
        to 0. Default "largest".
    tol : float
        At which residual ‖Hv − λv‖ to stop, as a share of the largest |λ|. An eigenvalue is
        off by at most that, as a rule by far less. Default 1e-6.
    seed : int
        Of the vector to start from; torch's own generator is not touched. Default 0.

    Returns
    -------
    Eigenpairs
        eigenvalues and eigenvectors, of the type and device of the parameters.

    Raises
    ------
    ValueError
        `k` is out of range, `which` is unknown, `tol` is not above 0, the parameters are
        empty or of several types, the objective returns no scalar or does not depend on
        them, or its second derivatives are not finite.
    TypeError
        Something other than floating-point tensors was given or returned.
    RuntimeError
        The iteration does not converge: the eigenvalues asked for lie too close together,
        as the smallest of a large model in a minimum do; or the objective differs from
        call to call.

    References
    ----------
    Pearlmutter (1994), Fast exact multiplication by the Hessian.
    Lehoucq, Sorensen and Yang (1998), ARPACK Users' Guide.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> curvature = torch.arange(1.0, 101.0, dtype=torch.float64)
    >>> def objective(w):
    ...     return (curvature * w**2).sum() / 2
    >>> w = torch.zeros(100, dtype=torch.float64)
    >>> lu.landscape.hessian_eigenvalues(objective, w, k=2, which="both").eigenvalues
    tensor([  1.0000,   2.0000,  99.0000, 100.0000], dtype=torch.float64)
    """
    if which not in ("largest", "smallest", "both"):
        raise ValueError(f"which is {which!r}, expected 'largest', 'smallest' or 'both'")
    if not tol > 0:
        raise ValueError(f"tol is {tol}, expected a number above 0")
    ends = 2 if which == "both" else 1
    p = len(flatten(parameters))
    if isinstance(k, bool) or not isinstance(k, int):
        raise TypeError(f"k is a {type(k).__name__}, expected a whole number")
    if not 1 <= k <= p // ends:
        raise ValueError(
            f"k is {k}, expected 1 to {p // ends}: {which} of {p} eigenvalues"
            if p >= ends
            else "which is 'both', but there is one parameter: which='largest'"
        )
    vector, multiply = _products(objective, parameters)
    pairs = None
    if p > max(20, 2 * k * ends + 1):
        pairs = _lanczos(vector, multiply, k, which, tol, seed)
        if pairs is None and p > DENSE:
            raise RuntimeError(
                f"Lanczos does not find the {k} {which} of {p} eigenvalues to {tol:g} of "
                "the largest: they lie too close together; raise tol, or ask for fewer"
            )
    values, vectors = pairs or _dense(_explicit(vector, multiply), k, which)
    return Eigenpairs(values.to(vector), upright(vectors).to(vector))


def condition_number(matrix: Tensor) -> float:
    """Largest over smallest eigenvalue of a symmetric positive definite matrix.

    Gradient descent with the best constant rate reduces the distance to the minimum of a
    quadratic by (κ − 1)/(κ + 1) a step, so it takes about κ/2 steps for a factor e.

    Parameters
    ----------
    matrix : Tensor
        Shape (n, n), symmetric: a Hessian. Or shape (n,): all its eigenvalues, in any
        order. For a design matrix x of least squares give `x.T @ x`; a factor does not
        matter.

    Returns
    -------
    float
        1 or more. Infinite where the smallest eigenvalue is at most n ε times the largest
        absolute one, with ε the spacing of the matrix's type at 1 (2.2e-16 for float64): to
        round-off it is 0 or negative, and the quadratic has no single minimum. In float64
        condition numbers up to about 4e15/n can so be told from infinity; where that is not
        enough, `torch.linalg.cond(x) ** 2` does without the product.

    Raises
    ------
    ValueError
        The matrix is empty, not square, not symmetric or not finite.
    TypeError
        It is no floating-point tensor.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> lu.landscape.condition_number(torch.tensor([[2.0, 0.0], [0.0, 0.5]]))
    4.0
    >>> lu.landscape.condition_number(torch.tensor([1.0, 0.0, 3.0]))
    inf
    """
    check_floating("matrix", matrix)
    shape = tuple(matrix.shape)
    if matrix.ndim not in (1, 2) or shape[0] != shape[-1]:
        raise ValueError(
            f"matrix has shape {shape}, expected a square matrix (n, n), or its "
            "eigenvalues (n,); for a design matrix x give x.T @ x"
        )
    if matrix.numel() == 0:
        raise ValueError(f"matrix has shape {shape}, expected at least one number")
    given = _finite(matrix.detach().cpu().double(), "matrix")
    n, spacing = shape[0], torch.finfo(matrix.dtype).eps
    if given.ndim == 2:
        asymmetry = (given - given.T).abs().max()
        if asymmetry > 100 * n * spacing * given.abs().max():
            raise ValueError(
                "matrix is not symmetric: elements differ from their mirror image by up "
                f"to {asymmetry.item():.3g}; for a design matrix x give x.T @ x"
            )
    values = torch.linalg.eigvalsh(given) if given.ndim == 2 else given
    smallest = values.min().item()
    if smallest <= n * spacing * values.abs().max().item():
        return float("inf")
    return float(values.max().item() / smallest)


DENSE = 2048  # parameters up to which the explicit Hessian is a way out: 32 MB
RESTARTS = 1000  # of Lanczos, beyond

Multiply = Callable[[Tensor], Tensor]


def _products(
    objective: Objective,
    parameters: Parameters,
    name: str = "parameters",
    function: str = "objective",
    remedy: str = FUNCTIONAL,
) -> tuple[Tensor, Multiply]:
    """The flattened parameters, and v -> Hv from one evaluation.

    Backward through backward, and not forward mode: every loss that keeps the contract has
    it, and the objective may be any that autograd can follow.
    """
    vector = flatten(parameters, name).requires_grad_()
    with torch.enable_grad():
        value = scalar(objective(unflatten(vector, parameters)), function)
        (gradient,) = gradients(value, [vector], graph=True, remedy=remedy)

    def multiply(v: Tensor) -> Tensor:
        if not gradient.requires_grad:  # linear: a gradient that depends on nothing
            return torch.zeros_like(v)
        (product,) = torch.autograd.grad(
            gradient, vector, v, retain_graph=True, materialize_grads=True
        )
        return product.detach()

    return vector.detach(), multiply


def _explicit(vector: Tensor, multiply: Multiply) -> Tensor:
    identity = torch.eye(len(vector), dtype=vector.dtype, device=vector.device)
    return torch.stack([multiply(row) for row in identity])


def _dense(hessian: Tensor, k: int, which: str) -> tuple[Tensor, Tensor]:
    values, vectors = torch.linalg.eigh(_finite(hessian).cpu().double())
    p = len(values)
    low, high = list(range(k)), list(range(p - k, p))
    chosen = {"smallest": low, "largest": high, "both": low + high}[which]
    return values[chosen], vectors[:, chosen]


def _lanczos(
    vector: Tensor, multiply: Multiply, k: int, which: str, tol: float, seed: int
) -> tuple[Tensor, Tensor] | None:
    """None where it does not converge."""
    import numpy as np
    from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

    p = len(vector)
    generator = np.random.default_rng(seed)
    # A restart takes about 20 products: where the explicit Hessian is the way out, give up
    # when it would have been cheaper.
    options: dict[str, Any] = {"maxiter": max(10, p // 20) if p <= DENSE else RESTARTS}
    if "rng" in inspect.signature(eigsh).parameters:  # before SciPy 1.17 it had its own
        options["rng"] = generator

    def product(v: Any) -> Any:
        given = torch.from_numpy(np.array(v, dtype=np.float64).ravel()).to(vector)
        return _finite(multiply(given)).cpu().double().numpy()

    def extreme(f: Any, n: int, tol: float, name: str = "LA") -> tuple[Any, Any]:
        start = generator.standard_normal(p)
        operator = LinearOperator((p, p), matvec=f, dtype=np.float64)
        pairs: tuple[Any, Any] = eigsh(
            operator, n, which=name, tol=tol, v0=start, **options
        )
        return pairs

    def end(sign: int, norm: float, taken: Any) -> tuple[Any, Any]:
        """The k largest of sign · H in what is orthogonal to the columns of `taken`."""
        vectors = np.zeros((p, 0))

        def others(v: Any) -> Any:
            # Shifted by two norms, all eigenvalues lie one to three norms from 0. ARPACK's
            # tolerance is relative to the eigenvalue: near 0 it would never be content.
            known = np.append(taken, vectors, axis=1)
            v = v - known @ (known.T @ v)
            v = sign * product(v) + 2 * norm * v
            return v - known @ (known.T @ v)

        values, vectors = extreme(others, k, tol / 3)
        # From one vector Lanczos finds one copy of an eigenvalue that occurs several times,
        # as 0 does in any overparametrised model. So look in what is orthogonal to those
        # found until nothing there is larger.
        for _ in range(p):  # each round finds another of p eigenvectors
            (value,), column = extreme(others, 1, tol / 3)
            if value <= values.min() + tol * norm:
                break
            keep = np.append(values, value).argsort()[1:]
            values = np.append(values, value)[keep]
            vectors = np.linalg.qr(np.append(vectors, column, axis=1)[:, keep])[0]
        else:
            raise RuntimeError(
                f"Lanczos finds an eigenvalue beyond all others {p} times over, where {p} "
                f"is their number: these are not the products of one symmetric matrix. Is "
                "the objective the same at each call? Fix what it draws at random"
            )
        return sign * (values - 2 * norm), vectors

    if not product(generator.standard_normal(p)).any():  # H = 0, which ARPACK refuses
        m = 2 * k if which == "both" else k
        return torch.zeros(m, dtype=torch.float64), torch.eye(p, m, dtype=torch.float64)
    try:
        # The norm to 1 % is enough.
        norm = abs(extreme(product, 1, 1e-2, "LM")[0][0])
        values, vectors = np.zeros(0), np.zeros((p, 0))
        for sign in {"smallest": [-1], "largest": [1], "both": [-1, 1]}[which]:
            more, columns = end(sign, norm, vectors)
            values = np.append(values, more)
            vectors = np.append(vectors, columns, axis=1)
    except ArpackNoConvergence:
        return None
    order = values.argsort()
    return torch.from_numpy(values[order]), torch.from_numpy(vectors[:, order])


def _finite(tensor: Tensor, name: str = "the Hessian") -> Tensor:
    if not bool(tensor.isfinite().all()):
        raise ValueError(f"{name} holds NaN or infinity, expected finite numbers")
    return tensor
