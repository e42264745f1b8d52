"""Losses of a batch that is split over processes.

DistributedDataParallel averages the *gradients* of the processes. A mean taken on each
process is then a mean of means: it counts an element of a short batch more than one of a
long batch, and the loss depends on how the batch was split.
"""

import torch
import torch.distributed as dist
from torch import Tensor

from lossutils.losses._core import check_weight

__all__ = ["global_mean"]


def global_mean(
    losses: Tensor,
    *,
    weight: Tensor | None = None,
    group: "dist.ProcessGroup | None" = None,
) -> Tensor:
    r"""Average over the elements of all processes: Σwℓ / Σw, as one process would.

    With sum :math:`S_p` and weight :math:`W_p` on process p of P, the value is
    :math:`\sum_q S_q / \sum_q W_q` on every process and the gradient that of
    :math:`P\,S_p / \sum_q W_q`. DistributedDataParallel, or whatever averages the gradients
    over processes, turns it into the gradient of the value: the P cancels.

    A function of means is taken of global means: the root mean square error is
    `global_mean(squares).sqrt()`, and Dice the ratio of three of them. Value and gradient
    are right; the second derivative is so for the mean alone. A contrastive loss, in which
    each element meets each other one, needs the elements of the other processes.

    Parameters
    ----------
    losses : Tensor
        Unreduced losses of this process (`reduction="none"`), of any shape but 0-d.
        The other processes may hold more, fewer or none. Where there are none, run the
        model on the empty batch all the same: its backward pass takes part in the average.
    weight : Tensor, optional
        One number from 0 per element, a constant. A mask of ignored targets is a weight:
        `weight=target != -100`. A NaN loss stays NaN under weight 0.
    group : ProcessGroup, optional
        The processes that share the batch; those over which the gradients are averaged.
        Default: all.

    Returns
    -------
    Tensor
        0-d, in the type and on the device of `losses`; half types are summed in float32.
        Over nothing, on all processes together, it is 0 with zero gradient. Where
        torch.distributed is not initialised, it is the mean over this process.

    Raises
    ------
    ValueError
        The losses are reduced already; the weight has another shape, is negative (seen on
        the CPU) or requires a gradient; this process is not in the group.
    TypeError
        The losses are not floating-point, or one of the two is no tensor.

    Notes
    -----
    It is one collective, an `all_reduce` of two numbers on the device of `losses`, without
    a host synchronisation. Every process of the group must call it, as often as the others:
    one that raises an error alone leaves the others waiting, and one that runs out of data
    passes empty batches (the `join` of DistributedDataParallel answers for its own
    collectives, not for this one). Scale nothing by the number of processes besides.

    Gradient accumulation splits the batch over time, and the mean of the micro-batches'
    means is wrong in the same way. On one process it needs no collective: count first, then
    divide each micro-batch's *sum* by the weight of the whole batch,

    .. code-block:: python

        total = sum(weight.sum() for _, _, weight in micro_batches)
        for input, target, weight in micro_batches:
            losses = lu.mse(model(input), target, reduction="none")
            ((losses * weight).sum() / total).backward()

    On several processes `total` is that of all of them (`all_reduce` it once a step), and
    the sum is multiplied by their number, because their gradients are averaged.

    References
    ----------
    PyTorch documentation, *DistributedDataParallel*: "the gradients between different nodes
    are averaged".

    Examples
    --------
    On one process, where nothing is split:

    >>> import torch, lossutils as lu
    >>> losses = torch.tensor([1.0, 2.0, 6.0])
    >>> lu.distributed.global_mean(losses)
    tensor(3.)
    >>> lu.distributed.global_mean(losses, weight=torch.tensor([True, True, False]))
    tensor(1.5000)
    """
    _check_losses(losses)
    processes = _processes(group)
    # The sums are at least float32: 65 504 elements are the end of float16, and in bfloat16
    # counting stops at 256.
    each = losses.to(torch.promote_types(losses.dtype, torch.float32))
    if weight is None:
        own = each.sum()
        own_weight = torch.full_like(own, losses.numel())
    else:
        weight = check_weight(each, weight)
        if weight.requires_grad:
            raise ValueError(
                "weight requires a gradient, which would have to pass through the sums of "
                "the other processes; expected constants: weight.detach()"
            )
        own = (each * weight).sum()
        own_weight = weight.sum()
    totals = torch.stack([own.detach(), own_weight])
    if processes > 1:
        dist.all_reduce(totals, group=group)
    total, total_weight = totals.unbind()
    total_weight = torch.where(total_weight == 0, 1, total_weight)
    value = total / total_weight
    own = own * (processes / total_weight)
    # Autograd does not see the other processes, nor need it. `own - own.detach()` is 0 with
    # the gradient of `own`; added to `value` it gives the value of all processes and the
    # gradient of this one. Where `own` is infinite that would be NaN: `own` is the value.
    joined = torch.where(own.isfinite(), value + (own - own.detach()), own)
    return joined.to(losses.dtype)


def _check_losses(losses: Tensor) -> None:
    if not isinstance(losses, Tensor):
        raise TypeError(
            f"losses is a {type(losses).__name__}, expected a torch.Tensor: the unreduced "
            "losses of this process"
        )
    if not losses.is_floating_point():
        raise TypeError(
            f"losses has dtype {losses.dtype}, expected losses in a floating-point type; "
            "convert them: losses.float()"
        )
    if losses.ndim == 0:
        raise ValueError(
            "losses is 0-d, reduced already, and its count is lost; expected one loss per "
            "element: give the loss reduction='none'"
        )


def _processes(group: "dist.ProcessGroup | None") -> int:
    """How many processes share the batch."""
    if group is None and not (dist.is_available() and dist.is_initialized()):
        return 1
    processes = dist.get_world_size(group)
    if processes < 1:
        raise ValueError(
            "this process is not a member of group; expected a group that holds it: call "
            "global_mean on the members alone, or leave group=None for all processes"
        )
    return processes
