"""A noisy loss keeps the loss's contract, and at level 0 it is the loss itself."""

import copy
import pickle
from collections import Counter

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

import lossutils as lu
from lossutils.noise import (
    AR1,
    Bursts,
    Exponential,
    Gaussian,
    LabelFlips,
    Laplace,
    MeanDrift,
    Multiplicative,
    NoisyLoss,
    PowerLaw,
    SaltAndPepper,
    StudentT,
    Uniform,
    VarianceDrift,
    noisy_log_loss,
    noisy_mae_loss,
    noisy_mse_loss,
)

PLACES = ("target", "input", "value")
WHITE = [Gaussian(0.1), Laplace(0.1), Uniform(0.1), Exponential(0.1), StudentT(3.0, 0.1)]
SERIES = [AR1(0.1, 0.5), PowerLaw(0.1, 1.0), VarianceDrift(Gaussian(0.1), 1.0, 2.0)]
SERIES += [Bursts(Gaussian(0.1), 0.3, 3, 4.0), Gaussian(0.1) + MeanDrift(0.0, 1.0)]
MODELS = [*WHITE, *SERIES, Multiplicative(Gaussian(0.1)), SaltAndPepper(0.3)]
NONE = [Gaussian(0.0), Laplace(0.0), Uniform(0.0), Exponential(0.0), StudentT(3.0, 0.0)]
NONE += [AR1(0.0, 0.5), PowerLaw(0.0, 1.0), VarianceDrift(Gaussian(0.0), 1.0, 2.0)]
NONE += [Bursts(Gaussian(0.0), 0.3, 3, 4.0), MeanDrift(0.0, 0.0)]
NONE += [Multiplicative(Gaussian(0.0)), Multiplicative(AR1(0.0, 0.5))]
REGRESSION = [e.function for e in lu.CATALOGUE.values() if e.task == "regression"]

models = pytest.mark.parametrize("noise", MODELS, ids=repr)
places = pytest.mark.parametrize("on", PLACES)


def places_of(noise):
    """Where it may fall on a reduced loss: a series has no time on one number."""
    return PLACES if noise.white else PLACES[:2]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def pair(*shape, dtype=torch.float64):
    g = seeded(11)
    input, target = (torch.rand(shape, dtype=torch.float64, generator=g) for _ in range(2))
    return input.to(dtype).requires_grad_(), target.to(dtype)


def value_and_gradient(loss, input, target, **options):
    input = input.detach().clone().requires_grad_()
    value = loss(input, target, **options)
    (gradient,) = torch.autograd.grad(value, input, torch.ones_like(value))
    return value.detach(), gradient


# ------------------------------------------------------------------ the noise's place


@models
def test_each_place(noise):
    x, t = pair(6, 3)
    noisy_x, noisy_t = noise(x, generator=seeded()), noise(t, generator=seeded())
    each = lu.mse(x, t, reduction="none")
    expected = {
        "target": lu.mse(x, noisy_t),
        "input": lu.mse(noisy_x, t),
        "value": noise(each, generator=seeded()),
    }
    for on, value in expected.items():
        options = {"reduction": "none"} if on == "value" else {}
        found = NoisyLoss(lu.mse, noise, on=on)(x, t, generator=seeded(), **options)
        assert torch.equal(found, value), on
    if noise.white:
        scalar = NoisyLoss(lu.mse, noise, on="value")(x, t, generator=seeded())
        assert torch.equal(scalar, noise(lu.mse(x, t), generator=seeded()))


def test_target_is_the_default():
    assert NoisyLoss(lu.mse, Gaussian(0.1)).on == "target"


@places
@pytest.mark.parametrize("noise", NONE, ids=repr)
def test_level_0_is_the_loss_to_the_last_bit(noise, on):
    for loss in (*REGRESSION, lu.binary_cross_entropy):
        for reduction, dtype in (("none", torch.float64), ("mean", torch.bfloat16)):
            x, t = pair(7, 2, dtype=dtype)
            t[:2] = x[:2].detach()  # kinks
            if reduction == "mean" and on not in places_of(noise):
                continue
            noisy = NoisyLoss(loss, noise, on=on)
            found = value_and_gradient(noisy, x, t, reduction=reduction)
            for a, b in zip(
                found, value_and_gradient(loss, x, t, reduction=reduction), strict=True
            ):
                assert a.dtype == b.dtype
                assert torch.equal(a, b), loss.__name__


@pytest.mark.parametrize("noise", [*WHITE, *SERIES], ids=repr)
def test_noise_added_to_the_value_leaves_the_gradient_to_the_last_bit(noise):
    for loss in (*REGRESSION, lu.binary_cross_entropy):
        for reduction in ("none", "mean") if noise.white else ("none",):
            x, t = pair(7, 2)
            plain = value_and_gradient(loss, x, t, reduction=reduction)
            noisy = value_and_gradient(
                NoisyLoss(loss, noise, on="value"), x, t, reduction=reduction
            )
            assert torch.equal(noisy[1], plain[1]), loss.__name__
            assert not torch.equal(noisy[0], plain[0])


def test_multiplied_value_multiplies_the_gradient():
    x, t = pair(5)
    z = Gaussian(0.3).draw(x, generator=seeded())
    noisy = NoisyLoss(lu.mse, Multiplicative(Gaussian(0.3)), on="value")
    found = value_and_gradient(noisy, x, t, generator=seeded(), reduction="none")
    plain = value_and_gradient(lu.mse, x, t, reduction="none")
    for a, b in zip(found, plain, strict=True):
        torch.testing.assert_close(a, b * (1 + z), rtol=1e-15, atol=0)


def test_noise_in_two_places_comes_from_one_generator():
    x, t = pair(5)
    inner = NoisyLoss(lu.mse, Gaussian(0.1), on="target")
    both = NoisyLoss(inner, Gaussian(0.2), on="input")
    before, g = torch.get_rng_state(), seeded()
    found = both(x, t, generator=seeded())
    assert torch.equal(torch.get_rng_state(), before)
    noisy_x = Gaussian(0.2)(x, generator=g)
    assert torch.equal(found, lu.mse(noisy_x, Gaussian(0.1)(t, generator=g)))


# -------------------------------------------------------------- the loss's contract


@places
def test_errors_of_the_loss_come_through(on):
    noisy = NoisyLoss(lu.mse, Gaussian(0.1), on=on)
    x, t = pair(4, 3)
    for wrong in (t[:, :1], t[0], t.T, t[:, 0]):
        with pytest.raises(ValueError, match=r"input has shape \(4, 3\) and target \("):
            noisy(x, wrong)
    with pytest.raises(ValueError, match="reduction is 'avg'"):
        noisy(x, t, reduction="avg")
    with pytest.raises(TypeError, match="nonsense"):
        noisy(x, t, nonsense=1)


@places
def test_options_go_to_the_loss(on):
    x, t = pair(6)
    weight = torch.arange(6.0, dtype=torch.float64)
    options = {"weight": weight, "reduction": "sum", "delta": 0.2}
    found = NoisyLoss(lu.huber, Gaussian(0.1), on=on)(x, t, generator=seeded(), **options)
    z = Gaussian(0.1)
    expected = {
        "target": lambda: lu.huber(x, z(t, generator=seeded()), **options),
        "input": lambda: lu.huber(z(x, generator=seeded()), t, **options),
        "value": lambda: z(lu.huber(x, t, **options), generator=seeded()),
    }
    assert torch.equal(found, expected[on]())


@places
@models
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_type_and_device_follow_the_input(noise, on, dtype):
    reductions = ("none", "mean") if on in places_of(noise) else ("none",)
    for device in ("cpu", "meta"):
        for reduction in reductions:
            x, t = (v.detach().to(device) for v in pair(6, 2, dtype=dtype))
            loss = NoisyLoss(lu.mse, noise, on=on)
            for found in value_and_gradient(loss, x, t, reduction=reduction):
                assert (found.dtype, found.device.type) == (dtype, device)
                assert device == "meta" or found.isfinite().all()


@places
@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
def test_empty_batches(on, shape):
    x, t = pair(*shape)
    value, gradient = value_and_gradient(NoisyLoss(lu.mse, Gaussian(0.0), on=on), x, t)
    assert value == 0
    assert gradient.shape == shape
    noisy = NoisyLoss(lu.mse, Gaussian(0.1), on=on)
    assert noisy(x, t, reduction="none").shape == shape


@models
def test_same_seed_same_loss_and_anew_each_call(noise):
    x, t = pair(30)
    noisy, g, before = NoisyLoss(lu.mse, noise), seeded(), torch.get_rng_state()
    first, second = noisy(x, t, generator=g), noisy(x, t, generator=g)
    assert torch.equal(first, noisy(x, t, generator=seeded()))
    assert first != second
    assert torch.equal(torch.get_rng_state(), before)
    assert noisy(x, t) != noisy(x, t)


@models
def test_arguments_are_left_as_they_were(noise):
    x, t = pair(5)
    copies = x.detach().clone(), t.clone()
    for on in places_of(noise):
        NoisyLoss(lu.mse, noise, on=on)(x, t).backward()
    assert torch.equal(x.detach(), copies[0])
    assert torch.equal(t, copies[1])


class Recorder(TorchDispatchMode):
    """The operations that run, and the storages they make of a tensor's size or more."""

    def __init__(self, size):
        super().__init__()
        self.size, self.operations, self.storages = size, [], set()
        self.alive = []  # so that no address is used twice

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        given = {
            a.untyped_storage().data_ptr() for a in args if isinstance(a, torch.Tensor)
        }
        for made in out if isinstance(out, (tuple, list)) else [out]:
            if isinstance(made, torch.Tensor) and made.numel() >= self.size:
                name = func.overloadpacket.__name__
                if name not in ("view", "detach", "alias", "reshape", "_unsafe_view"):
                    self.operations.append(name)
                if made.untyped_storage().data_ptr() not in given:
                    self.alive.append(made)
                    self.storages.add(made.untyped_storage().data_ptr())
        return out


def recorded(loss, x, t):
    with Recorder(x.numel()) as recorder:
        value_and_gradient(loss, x, t, reduction="none")
    return Counter(recorder.operations), len(recorder.storages)


@places
def test_gaussian_noise_costs_one_draw_its_scaling_and_its_addition(on):
    x, t = pair(1000, dtype=torch.float32)
    plain, plain_storages = recorded(lu.mse, x, t)
    noisy, storages = recorded(NoisyLoss(lu.mse, Gaussian(0.1), on=on), x, t)
    assert noisy - plain == Counter(["randn", "mul_", "add"])
    assert not plain - noisy
    assert storages - plain_storages == 2  # the draw, and the noisy copy


@pytest.mark.parametrize("noise", WHITE, ids=repr)
def test_no_white_noise_is_more_than_a_handful_of_passes(noise):
    x, t = pair(1000, dtype=torch.float32)
    extra = recorded(NoisyLoss(lu.mse, noise), x, t)[0] - recorded(lu.mse, x, t)[0]
    assert extra["rand"] + extra["randn"] == (2 if isinstance(noise, StudentT) else 1)
    assert sum(extra.values()) <= 18


@places
@models
def test_no_value_reaches_the_host(noise, on):
    """A tensor on meta has no values: whoever asks for one fails."""
    x, t = (v.detach().to("meta") for v in pair(4, 3))
    value_and_gradient(NoisyLoss(lu.mse, noise, on=on), x, t, reduction="none")


def test_the_host_test_notices_a_value():
    class Peeking(Gaussian):
        def corrupt(self, values, z):
            return values + z if bool((z < 5).all()) else values

    with pytest.raises((RuntimeError, NotImplementedError)):
        test_no_value_reaches_the_host(Peeking(0.1), "target")


# ------------------------------------------------------------------ transforms


def with_global_seed(call, *arguments):
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return call(*arguments)


@pytest.mark.parametrize(
    ("noise", "on"),
    [*((noise, "target") for noise in MODELS), *((Gaussian(0.1), on) for on in PLACES[1:])],
    ids=repr,
)
def test_compile(noise, on):
    x, t = pair(6)
    noisy = NoisyLoss(lu.mse, noise, on=on)
    torch._dynamo.reset()
    compiled = torch.compile(noisy, fullgraph=True, backend="aot_eager")
    found = with_global_seed(value_and_gradient, compiled, x, t)
    expected = with_global_seed(value_and_gradient, noisy, x, t)
    torch._dynamo.reset()
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)


def test_compile_draws_anew_each_call():
    x, t = pair(6)
    torch._dynamo.reset()
    compiled = torch.compile(
        NoisyLoss(lu.mse, Gaussian(0.1)), fullgraph=True, backend="aot_eager"
    )
    assert compiled(x, t) != compiled(x, t)
    torch._dynamo.reset()


def test_compile_refuses_a_generator():
    """As documented. If this fails torch has learnt it: say so in `models.py`."""
    torch._dynamo.reset()
    compiled = torch.compile(
        NoisyLoss(lu.mse, Gaussian(0.1)), fullgraph=True, backend="aot_eager"
    )
    with pytest.raises(torch._dynamo.exc.TorchDynamoException):
        compiled(*pair(6), generator=seeded())
    torch._dynamo.reset()


@models
def test_vmap(noise):
    x, t = (v.detach()[:1].expand(50, 4) for v in pair(50, 4))
    for on in places_of(noise):
        loss = NoisyLoss(lu.mse, noise, on=on)
        different = torch.vmap(loss, randomness="different")(x, t)
        same = torch.vmap(loss, randomness="same")(x, t)
        assert different.shape == same.shape == (50,)
        assert len(different.unique()) > 1
        assert len(same.unique()) == 1
        with pytest.raises(RuntimeError, match="randomness"):
            torch.vmap(loss)(x, t)


def test_vmapped_draws_have_the_right_spread():
    x = torch.zeros(40_000, 1, dtype=torch.float64)
    loss = NoisyLoss(lu.mse, Gaussian(0.5), on="input")
    values = with_global_seed(torch.vmap(loss, randomness="different"), x, x)
    error = 0.25 * (2 / 40_000) ** 0.5
    assert values.mean().item() == pytest.approx(0.25, abs=4 * error)


@models
def test_functional_gradient(noise):
    x, t = pair(6)
    for on in places_of(noise):
        loss = NoisyLoss(lu.mse, noise, on=on)
        found = with_global_seed(torch.func.grad(loss), x.detach(), t)
        expected = with_global_seed(value_and_gradient, loss, x, t)[1]
        torch.testing.assert_close(found, expected)
        per_sample = torch.vmap(torch.func.grad(loss), randomness="different")
        assert per_sample(x.detach()[:, None], t[:, None]).shape == (6, 1)


@places
@pytest.mark.parametrize(
    "noise", [*WHITE, Multiplicative(Gaussian(0.1)), SaltAndPepper(0.3)], ids=repr
)
def test_export(noise, on):
    module = NoisyLoss(lu.MSELoss(), noise, on=on)
    any_size = {0: torch.export.Dim.AUTO}
    exported = torch.export.export(
        module,
        tuple(v.detach() for v in pair(7)),
        dynamic_shapes={"input": any_size, "target": any_size},
    ).module()
    x, t = pair(11)
    found = with_global_seed(exported, x, t)
    torch.testing.assert_close(found, with_global_seed(module, x, t))
    draws = torch.stack([exported(x, t) for _ in range(20)])
    assert len(draws.unique()) > 1


# ---------------------------------------------------------------------- the Module


def test_a_module_inside_is_moved_and_saved_with_it():
    alpha = torch.nn.Parameter(torch.tensor(0.5))
    noisy = NoisyLoss(lu.GeneralRobustLoss(alpha=alpha), Gaussian(0.1))
    assert list(noisy.state_dict()) == ["loss.alpha"]
    assert next(iter(noisy.parameters())) is alpha
    x, t = pair(5, dtype=torch.float32)
    noisy(x, t).backward()
    assert alpha.grad.abs() > 0
    assert noisy.double().loss.alpha.dtype == torch.float64
    for other in (copy.deepcopy(noisy), pickle.loads(pickle.dumps(noisy))):
        a, b = (module(x, t, generator=seeded()) for module in (other, noisy))
        assert torch.equal(a, b)


def test_torchs_own_losses():
    x, t = pair(5)
    z = Gaussian(0.1)(t, generator=seeded())
    for loss in (F.mse_loss, torch.nn.MSELoss()):
        found = NoisyLoss(loss, Gaussian(0.1))(x, t, generator=seeded())
        assert torch.equal(found, F.mse_loss(x, z))
    logits = torch.randn(8, 3, generator=seeded(), dtype=torch.float64)
    labels = torch.arange(8) % 3
    flipped = LabelFlips(1.0, 3)(labels, generator=seeded())
    found = NoisyLoss(F.cross_entropy, LabelFlips(1.0, 3))(
        logits, labels, generator=seeded()
    )
    assert torch.equal(found, F.cross_entropy(logits, flipped))


def test_repr():
    assert repr(NoisyLoss(lu.mse, Gaussian(0.1), on="input")) == (
        "NoisyLoss(loss=mse, noise=Gaussian(level=0.1), on='input')"
    )
    inside = repr(NoisyLoss(lu.HuberLoss(delta=0.2), LabelFlips(0.1)))
    assert "HuberLoss(delta=0.2" in inside
    assert "noise=LabelFlips(rate=0.1, classes=2), on='target'" in inside
    assert "<lambda>" in repr(NoisyLoss(lambda x, t: x, Gaussian(0.1)))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((3, Gaussian(0.1)), TypeError, "loss is a int, expected a function or a Module"),
        ((lu.mse, 0.1), TypeError, r"noise is a float, .*lossutils\.noise\.Gaussian\("),
        ((lu.mse, Gaussian), TypeError, "noise is a ABCMeta"),
        ((lu.mse, torch.randn), TypeError, "noise is a builtin_function"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        NoisyLoss(*arguments)


@pytest.mark.parametrize("on", ["output", "targets", None, ""])
def test_bad_place(on):
    with pytest.raises(ValueError, match=f"on is {on!r}, expected 'target', 'input' or"):
        NoisyLoss(lu.mse, Gaussian(0.1), on=on)


@places
def test_bad_calls(on):
    noisy, (x, t) = NoisyLoss(lu.mse, Gaussian(0.1), on=on), pair(3)
    with pytest.raises(TypeError, match="generator is 42"):
        noisy(x, t, generator=42)
    with pytest.raises(TypeError, match="a list, expected a torch"):
        noisy(x, [0.0] * 3)


# ----------------------------------------------------- the article's three losses


def article_mae(predictions, targets, noise):
    abs_diff = torch.abs(predictions - targets)
    return torch.mean(abs_diff + noise)


def article_log(predictions, targets, noise):
    noisy = predictions * (1 + noise)
    return torch.mean(-targets * torch.log(noisy) - (1 - targets) * torch.log(1 - noisy))


def article_mse(predictions, targets, noise):
    return torch.mean((predictions - (targets + noise)) ** 2)


ARTICLE = {
    noisy_mae_loss: (article_mae, lu.mae),
    noisy_log_loss: (article_log, lu.binary_cross_entropy),
    noisy_mse_loss: (article_mse, lu.mse),
}
named = pytest.mark.parametrize("loss", ARTICLE, ids=lambda loss: loss.__name__)


@named
@pytest.mark.parametrize("level", [0.0, 0.1, 0.2])
@pytest.mark.parametrize("shape", [(), (3,), (4, 5)])
def test_named_losses_are_the_articles(loss, level, shape):
    g = seeded(2)
    x = 0.2 + 0.3 * torch.rand(shape, dtype=torch.float64, generator=g)
    t = torch.rand(shape, dtype=torch.float64, generator=g)
    noise = level * torch.randn(shape, dtype=torch.float64, generator=seeded(3))

    def ours(x, t):
        return loss(x, t, noise_level=level, generator=seeded(3))

    found = value_and_gradient(ours, x, t)
    expected = value_and_gradient(lambda x, t: ARTICLE[loss][0](x, t, noise), x, t)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-13, atol=1e-15)


@named
def test_named_losses_at_level_0_are_the_losses(loss):
    x, t = pair(7)
    found = value_and_gradient(loss, x, t, noise_level=0.0)
    expected = value_and_gradient(ARTICLE[loss][1], x, t)
    assert torch.equal(found[1], expected[1])
    torch.testing.assert_close(found[0], expected[0], rtol=1e-15, atol=0)


@named
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_named_losses_keep_the_type(loss, dtype):
    x, t = torch.full((4,), 0.5, dtype=dtype), torch.ones(4, dtype=dtype)
    for found in value_and_gradient(loss, x, t, generator=seeded()):
        assert found.dtype == dtype
        assert found.isfinite().all()


@named
def test_named_losses_of_nothing_are_0_with_zero_gradient(loss):
    scale = torch.ones((), requires_grad=True)
    value = loss(torch.zeros(0, 3) * scale, torch.zeros(0, 3))
    assert value == 0
    assert torch.autograd.grad(value, scale)[0] == 0


@named
def test_default_level_is_a_tenth(loss):
    x, t = (0.3 * v.detach() for v in pair(7))
    first, second = (
        loss(x, t, generator=seeded(), **more) for more in ({}, {"noise_level": 0.1})
    )
    assert torch.equal(first, second)


@named
def test_named_losses_refuse_what_their_loss_refuses(loss):
    with pytest.raises(ValueError, match=r"input has shape \(3,\) and target \(3, 1\)"):
        loss(torch.ones(3) / 2, torch.ones(3, 1))
    with pytest.raises(ValueError, match=r"level is -0\.1"):
        loss(torch.ones(3) / 2, torch.ones(3), noise_level=-0.1)


def test_noisy_mae_moves_by_the_level_over_root_n_and_keeps_its_gradient():
    x, t = pair(25)
    g, clean = seeded(4), value_and_gradient(lu.mae, x, t)
    runs = [value_and_gradient(noisy_mae_loss, x, t, generator=g) for _ in range(2000)]
    values = torch.stack([value for value, _ in runs])
    assert all(torch.equal(gradient, clean[1]) for _, gradient in runs)
    assert values.std().item() == pytest.approx(0.1 / 5, rel=4 / (2 * 2000) ** 0.5)
    assert (values.mean() - clean[0]).abs() < 4 * 0.02 / 2000**0.5


def test_noisy_log_loss_outside_its_domain():
    x, t = torch.full((400,), 0.95), torch.ones(400)  # 30 in 100 leave
    with pytest.raises(ValueError, match=r"input holds 1\.\d+, expected \[0, 1\]"):
        noisy_log_loss(x, t, generator=seeded())
    if tuple(map(int, torch.__version__.split(".")[:2])) < (2, 13):
        pytest.skip("torch's compiler could not build a frozen dataclass yet")
    torch._dynamo.reset()
    compiled = torch.compile(noisy_log_loss, fullgraph=True, backend="aot_eager")
    assert compiled(x, t).isnan()
    torch._dynamo.reset()


@pytest.mark.parametrize("series", [AR1(1.0, 0.5), MeanDrift(0.0, 2.0)])
def test_a_series_on_one_number_is_refused(series):
    e = torch.zeros(5)
    on_value = NoisyLoss(lu.mse, series, on="value")
    with pytest.raises(ValueError, match="reduction='none'"):
        on_value(e, e)
    assert on_value(e, e, reduction="none").shape == (5,)
    assert NoisyLoss(lu.mse, series)(e, e).ndim == 0  # on the target it has its time
