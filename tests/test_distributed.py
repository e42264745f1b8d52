"""The mean over a split batch is that over the whole one: real processes, gloo, no GPU.

Two and three processes start once each, meet through a file and run every case; the tests
compare what they stored with the whole batch on this process, by torch's own means.
"""

from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.multiprocessing import spawn
from torch.nn.parallel import DistributedDataParallel

from lossutils.distributed import global_mean

IGNORED = -100
CLASSES = 4
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-6}
SPLITS = {  # elements on each process
    2: {"uneven": (5, 12), "one empty": (0, 9), "even": (8, 8), "all empty": (0, 0)},
    3: {"uneven": (2, 11, 4), "one empty": (6, 0, 3), "two empty": (0, 0, 7)},
}
KINDS = ("plain", "weighted", "masked", "tokens")
CASES = [
    (world, split, kind, dtype)
    for world, splits in SPLITS.items()
    for split in splits
    for kind in KINDS
    for dtype in TOLERANCE
]
cases = pytest.mark.parametrize(
    ("world", "split", "kind", "dtype"),
    CASES,
    ids=[f"{w}-{s}-{k}-{str(d)[6:]}" for w, s, k, d in CASES],
)
EMPTY = "all empty"
# More than the type counts to: it ends at 65 504; whole numbers have gaps beyond 256.
TOO_MANY = {torch.float16: 70_000, torch.bfloat16: 257}


# ------------------------------------------------------------------- on every process


def network(dtype):
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(3, 5), torch.nn.Tanh(), torch.nn.Linear(5, CLASSES)
    ).to(dtype)


def batch(kind, count, dtype):
    """Inputs, targets and weights of the whole batch; each input has several losses."""
    g = torch.Generator().manual_seed(1)
    x = torch.randn(count, 3, generator=g, dtype=torch.float64)
    y = 3 + torch.randn(count, CLASSES, generator=g, dtype=torch.float64)
    y = y * torch.arange(1, count + 1)[:, None]  # later elements have larger losses
    weight = torch.rand(count, CLASSES, generator=g, dtype=torch.float64)
    if kind == "masked":
        weight = weight > 0.4
        weight[:2] = False
    if kind == "tokens":
        x = torch.randn(count, 6, 3, generator=g, dtype=torch.float64)
        y = torch.randint(CLASSES, (count, 6), generator=g)
        length = torch.randint(1, 7, (count,), generator=g)
        y[torch.arange(6) >= length[:, None]] = IGNORED
        weight = y != IGNORED
        return x.to(dtype), y, weight
    return x.to(dtype), y.to(dtype), None if kind == "plain" else weight


def unreduced(output, target):
    if target.is_floating_point():
        return (output - target).square()
    return F.cross_entropy(
        output.movedim(-1, 1), target, reduction="none", ignore_index=IGNORED
    )


def part_of(tensors, split, rank):
    start = sum(split[:rank])
    return [t if t is None else t[start : start + split[rank]] for t in tensors]


def averaged(tensors):
    """As an own training loop would do it, without DistributedDataParallel."""
    for t in tensors:
        dist.all_reduce(t)
    return [t / dist.get_world_size() for t in tensors]


def flat(tensors):
    return torch.cat([t.detach().flatten() for t in tensors])


def measure(model, part, mean):
    """The loss on this process, and the gradients averaged by hand and by DDP."""
    x, y, weight = part
    value = mean(unreduced(model(x), y), weight)
    by_hand = averaged(torch.autograd.grad(value, list(model.parameters())))
    wrapped = DistributedDataParallel(model)
    mean(unreduced(wrapped(x), y), weight).backward()
    by_ddp = [p.grad for p in model.parameters()]
    return {"value": value.detach(), "by hand": flat(by_hand), "by ddp": flat(by_ddp)}


def curvature(model, part):
    """The Hessian of the averaged loss times a vector of ones, by double backward."""
    x, y, weight = part
    parameters = list(model.parameters())
    value = global_mean(unreduced(model(x), y), weight=weight)
    gradient = torch.autograd.grad(value, parameters, create_graph=True)
    slope = sum(g.sum() for g in gradient)
    return flat(averaged(torch.autograd.grad(slope, parameters)))


def own_mean(losses, weight):
    return losses.mean()


def root(squares, prediction, target, mean):
    return mean(squares).sqrt()


def dice(squares, prediction, target, mean):
    p, t = prediction.sigmoid(), (target > 3).to(prediction)
    return 1 - 2 * mean(p * t) / (mean(p) + mean(t))


def of_means(function, part, mean):
    """Value and gradient of a loss that is a function of means."""
    model = network(torch.float64)
    x, y, _ = part
    value = function((model(x) - y).square(), model(x), y, mean)
    return value.detach(), torch.autograd.grad(value, list(model.parameters()))


def single_things(rank, world):
    """What needs no model; `found` has one entry a test."""
    found = {}
    for dtype, count in TOO_MANY.items():
        losses = torch.ones(count, dtype=dtype)
        losses[0] = 0
        value = global_mean(losses.requires_grad_())
        value.backward()
        found[dtype] = value.detach(), losses.grad[0]
    losses = torch.tensor([1.0, float("inf") if rank == 1 else 2.0], requires_grad=True)
    found["inf"] = global_mean(losses).detach()
    found["nan"] = global_mean(torch.tensor([1.0, float("nan") if rank == 1 else 2.0]))
    calls, original = [], dist.all_reduce
    dist.all_reduce = lambda tensor, **given: (
        calls.append(tensor.numel()) or original(tensor, **given)
    )
    global_mean(losses, weight=torch.ones(2))
    dist.all_reduce = original
    found["numbers sent"] = calls
    pair = dist.new_group([0, 1])
    try:
        found["group"] = global_mean(torch.full((rank + 1,), float(rank)), group=pair)
    except ValueError as error:
        found["group"] = str(error)
    return found


def work(rank, world, folder):
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meet",
        rank=rank,
        world_size=world,
        timeout=timedelta(seconds=60),  # who waits in vain fails
    )
    found = single_things(rank, world)
    for case in CASES:
        case_world, split, kind, dtype = case
        if case_world != world:
            continue
        sizes = SPLITS[world][split]
        part = part_of(batch(kind, sum(sizes), dtype), sizes, rank)
        found[case] = measure(
            network(dtype), part, lambda losses, weight: global_mean(losses, weight=weight)
        )
        if dtype == torch.float64:
            found[case]["curvature"] = curvature(network(dtype), part)
        if kind == "plain" and 0 not in sizes:
            found[case]["naive"] = measure(network(dtype), part, own_mean)
    sizes = SPLITS[world]["uneven"]
    part = part_of(batch("plain", sum(sizes), torch.float64), sizes, rank)
    for function in (root, dice):
        value, gradient = of_means(function, part, global_mean)
        found[function] = value, flat(averaged(gradient))
    torch.save(found, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


# ------------------------------------------------------------------------ on this one


@pytest.fixture(scope="module")
def processes(tmp_path_factory):
    """`processes(world)`: what each of so many processes found."""
    kept = {}

    def start(world):
        if world not in kept:
            folder = tmp_path_factory.mktemp(f"processes{world}")
            spawn(work, (world, str(folder)), nprocs=world)
            kept[world] = [
                torch.load(folder / f"{rank}.pt", weights_only=False)
                for rank in range(world)
            ]
        return kept[world]

    return start


def whole(kind, count, dtype):
    """Value and gradient on one process, by torch's own reductions where it has them."""
    model = network(dtype)
    x, y, weight = batch(kind, count, dtype)
    output = model(x)
    if count == 0:
        value = 0 * output.sum()
    elif kind == "plain":
        value = F.mse_loss(output, y)
    elif kind == "tokens":
        value = F.cross_entropy(output.movedim(-1, 1), y, ignore_index=IGNORED)
    else:
        weight = weight.to(dtype)
        value = ((output - y).square() * weight).sum() / weight.sum()
    parameters = list(model.parameters())
    gradient = torch.autograd.grad(value, parameters, create_graph=True)
    curvature = None
    if count:
        curvature = flat(torch.autograd.grad(sum(g.sum() for g in gradient), parameters))
    return value.detach(), flat(gradient), curvature


def close(found, expected, dtype):
    """Within the tolerance of the largest number, or of 1 where that is smaller."""
    scale = expected.abs().max().clamp(min=1)
    torch.testing.assert_close(
        found / scale, expected / scale, rtol=0, atol=TOLERANCE[dtype]
    )


@cases
def test_value_and_gradient_are_those_of_one_process(world, split, kind, dtype, processes):
    value, gradient, _ = whole(kind, sum(SPLITS[world][split]), dtype)
    for found in processes(world):
        case = found[world, split, kind, dtype]
        assert case["value"].dtype == dtype
        close(case["value"], value, dtype)
        close(case["by hand"], gradient, dtype)
        close(case["by ddp"], gradient, dtype)
    assert (gradient.abs().max() > 0.01) == (split != EMPTY)


@pytest.mark.parametrize(("world", "split"), [(2, "uneven"), (3, "one empty")])
@pytest.mark.parametrize("kind", KINDS)
def test_second_derivatives_are_those_of_one_process(world, split, kind, processes):
    expected = whole(kind, sum(SPLITS[world][split]), torch.float64)[2]
    assert expected.abs().max() > 0.01
    for found in processes(world):
        close(
            found[world, split, kind, torch.float64]["curvature"], expected, torch.float64
        )


def test_over_nothing_it_is_zero(processes):
    for found in processes(2):
        for kind in KINDS:
            case = found[2, EMPTY, kind, torch.float64]
            assert case["value"] == 0
            assert not case["by hand"].any()
            assert not case["by ddp"].any()


@pytest.mark.parametrize(("world", "split"), [(2, "uneven"), (3, "uneven"), (2, "even")])
def test_the_mean_of_means_is_wrong_by_what_the_counts_say(world, split, processes):
    """In it an element of process p weighs 1/(P n_p); in the mean over all, 1/Σn.

    And it is right where the counts are equal.
    """
    sizes = SPLITS[world][split]
    model = network(torch.float64)
    x, y, _ = batch("plain", sum(sizes), torch.float64)
    losses = (model(x) - y).square().mean(dim=1)
    weight = [1 / (world * n) for n in sizes for _ in range(n)]
    predicted = (torch.tensor(weight, dtype=torch.float64) * losses).sum()
    gradient = flat(torch.autograd.grad(predicted, list(model.parameters())))
    right, right_gradient, _ = whole("plain", sum(sizes), torch.float64)
    found = [
        each[world, split, "plain", torch.float64]["naive"] for each in processes(world)
    ]
    measured = torch.stack([each["value"] for each in found]).mean()
    close(measured, predicted.detach(), torch.float64)
    close(found[0]["by ddp"], gradient, torch.float64)
    wrong = split != "even"
    assert ((measured - right).abs() > 0.01 * right) == wrong
    off = (found[0]["by ddp"] - right_gradient).norm()
    assert (off > 0.01 * right_gradient.norm()) == wrong


@pytest.mark.parametrize("function", [root, dice])
@pytest.mark.parametrize("world", SPLITS)
def test_functions_of_means_are_those_of_one_process(function, world, processes):
    everything = batch("plain", sum(SPLITS[world]["uneven"]), torch.float64)
    value, gradient = of_means(function, everything, torch.mean)
    assert flat(gradient).abs().max() > 0.01
    for found in processes(world):
        close(found[function][0], value, torch.float64)
        close(found[function][1], flat(gradient), torch.float64)


@pytest.mark.parametrize("dtype", TOO_MANY)
def test_half_types_are_summed_in_float32(dtype, processes):
    count = TOO_MANY[dtype]
    for found in processes(2):
        value, slope = found[dtype]
        assert value == torch.tensor(1 - 1 / count, dtype=dtype)
        assert slope == torch.tensor(1 / count, dtype=dtype)


def test_an_infinite_loss_is_infinite_on_every_process(processes):
    for found in processes(2):
        assert found["inf"] == float("inf")
        assert found["nan"].isnan()


def test_it_sends_two_numbers_once(processes):
    for world in SPLITS:
        assert all(found["numbers sent"] == [2] for found in processes(world))


def test_group_shares_the_batch_among_its_members(processes):
    first, second, outsider = (found["group"] for found in processes(3))
    assert first == second == torch.tensor(2 / 3)  # 0, 1 and 1
    assert "not a member of group" in outsider


# ------------------------------------------------------------------------- one process


def test_without_processes_it_is_the_mean():
    losses = torch.tensor([[1.0, 2.0], [3.0, 6.0]], requires_grad=True)
    value = global_mean(losses)
    value.backward()
    assert value == 3
    assert torch.equal(losses.grad, torch.full((2, 2), 0.25))
    weight = torch.tensor([[1.0, 0.0], [3.0, 0.0]])
    assert global_mean(losses, weight=weight) == 2.5
    assert global_mean(losses, weight=weight > 2) == 3
    assert torch.autograd.gradcheck(
        lambda x: global_mean(x, weight=weight), losses.detach().double().requires_grad_()
    )


@pytest.mark.parametrize("weight", [None, torch.zeros(0), torch.zeros(3)])
def test_without_processes_and_over_nothing_it_is_zero(weight):
    losses = torch.ones(3 if weight is not None and len(weight) else 0, requires_grad=True)
    value = global_mean(losses, weight=weight)
    value.backward()
    assert value == 0
    assert not losses.grad.any()


def test_a_world_of_one():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        assert global_mean(torch.tensor([1.0, 2.0, 6.0])) == 3
    finally:
        dist.destroy_process_group()


def test_it_works_where_there_is_nothing_to_look_at():
    """On the meta device a tensor has no values: .item() or `if tensor` would raise."""
    losses = torch.ones(3, device="meta", dtype=torch.bfloat16, requires_grad=True)
    value = global_mean(losses, weight=torch.ones(3, device="meta"))
    value.backward()
    assert (value.device.type, value.dtype, value.shape) == ("meta", torch.bfloat16, ())
    assert losses.grad.device.type == "meta"


@pytest.mark.parametrize(
    ("losses", "given", "error", "message"),
    [
        (torch.tensor(2.0), {}, ValueError, "reduction='none'"),
        (torch.tensor([1, 2]), {}, TypeError, r"int64.*losses\.float\(\)"),
        (torch.tensor([1j]), {}, TypeError, "complex64"),
        ([1.0, 2.0], {}, TypeError, "losses is a list"),
        (torch.ones(2), {"weight": torch.ones(3)}, ValueError, r"\(3,\).*\(2,\)"),
        (torch.ones(2, 3), {"weight": torch.ones(2)}, ValueError, r"weight\[:, None\]"),
        (
            torch.ones(2),
            {"weight": torch.tensor(1.0)},
            ValueError,
            r"weight has shape \(\)",
        ),
        (torch.ones(2), {"weight": torch.tensor([1.0, -1])}, ValueError, "negative"),
        (torch.ones(2), {"weight": [1.0, 1.0]}, TypeError, "weight is a list"),
        (
            torch.ones(2),
            {"weight": torch.ones(2, requires_grad=True)},
            ValueError,
            r"weight\.detach\(\)",
        ),
    ],
)
def test_errors_say_how_to_mend_them(losses, given, error, message):
    with pytest.raises(error, match=message):
        global_mean(losses, **given)


def test_the_docstrings_recipe_for_gradient_accumulation():
    """Sums of micro-batches over the total count give the gradient of the whole batch."""
    x, y, weight = batch("tokens", 7, torch.float64)
    value, expected, _ = whole("tokens", 7, torch.float64)
    model, running = network(torch.float64), 0.0
    parts = [part_of((x, y, weight), (1, 4, 2), rank) for rank in range(3)]
    total = sum(weight.sum() for _, _, weight in parts)
    for part_x, part_y, part_weight in parts:
        losses = unreduced(model(part_x), part_y)
        part = (losses * part_weight).sum() / total
        part.backward()
        running += part.detach()
    close(running, value, torch.float64)
    close(flat([p.grad for p in model.parameters()]), expected, torch.float64)
