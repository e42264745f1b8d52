"""Draws against distribution functions, and those against scipy; what replaces values."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from scipy import integrate, stats

import lossutils as lu
from lossutils.noise import (
    Exponential,
    Gaussian,
    LabelFlips,
    Laplace,
    Multiplicative,
    SaltAndPepper,
    StudentT,
    Uniform,
)

LEVEL = 0.7
REFERENCES = {
    Gaussian(LEVEL): stats.norm(scale=LEVEL),
    Laplace(LEVEL): stats.laplace(scale=LEVEL / math.sqrt(2)),
    Uniform(LEVEL): stats.uniform(-math.sqrt(3) * LEVEL, 2 * math.sqrt(3) * LEVEL),
    Exponential(LEVEL): stats.expon(-LEVEL, LEVEL),
    StudentT(5.0, LEVEL): stats.t(5, scale=LEVEL),
    StudentT(0.8, LEVEL): stats.t(0.8, scale=LEVEL),
}
REPLACING = [SaltAndPepper(0.3), LabelFlips(0.3, 4)]
DRAWING = [*REFERENCES, *REPLACING, Multiplicative(Gaussian(LEVEL))]
DRAWING += [Gaussian(0.3) + Laplace(0.4)]
DISTRIBUTIONS = pytest.mark.parametrize("noise", REFERENCES, ids=repr)
ALL = pytest.mark.parametrize("noise", DRAWING, ids=repr)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


# ------------------------------------------------------------ the distributions


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("seed", [1, 2, 3])
@DISTRIBUTIONS
def test_draws_follow_the_distribution(noise, seed, dtype):
    n = 100_000
    z = noise.draw(torch.empty(n, dtype=dtype), generator=seeded(seed))
    distance = stats.kstest(z.double().numpy(), REFERENCES[noise].cdf).statistic
    # 36 tests here, of which one in ten thousand would fail by chance.
    assert distance < stats.kstwo.isf(1e-4 / 36, n)


def test_draws_notice_a_wrong_distribution():
    """The test above has power: five per cent in the level are seen."""
    n = 100_000
    z = Gaussian(1.0).draw(torch.empty(n), generator=seeded(1)).double().numpy()
    assert stats.kstest(1.05 * z, "norm").statistic > stats.kstwo.isf(1e-4 / 36, n)


@DISTRIBUTIONS
def test_cdf_is_scipys(noise):
    reference = REFERENCES[noise]
    z = np.concatenate([np.linspace(-6, 6, 1201), [-math.inf, math.inf]])
    found = noise.cdf(torch.from_numpy(z))
    np.testing.assert_allclose(found, reference.cdf(z), rtol=1e-12, atol=1e-15)
    assert noise.cdf(torch.tensor(math.nan)).isnan()


@DISTRIBUTIONS
def test_cdf_keeps_shape_and_type(noise):
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        z = torch.linspace(-1, 1, 6, dtype=dtype).reshape(2, 3).requires_grad_()
        found = noise.cdf(z)
        assert (found.shape, found.dtype) == (z.shape, dtype)
    assert noise.cdf(torch.tensor(0)).item() == pytest.approx(REFERENCES[noise].cdf(0))


@DISTRIBUTIONS
@pytest.mark.parametrize("order", range(5))  # above, scipy integrates numerically
def test_moments_are_scipys(noise, order):
    df = getattr(noise, "df", math.inf)
    if order >= df:
        expected = math.nan if order % 2 else math.inf
    elif order == 0:
        expected = 1.0
    else:
        expected = REFERENCES[noise].moment(order)
    assert noise.moment(order) == pytest.approx(expected, rel=1e-11, abs=1e-14, nan_ok=True)


@DISTRIBUTIONS
def test_mean_is_zero_and_sd_is_scipys(noise):
    if noise == StudentT(0.8, LEVEL):
        assert noise.sd == math.inf
        assert math.isnan(noise.moment(1))
    else:
        assert noise.moment(1) == 0
        assert noise.sd == pytest.approx(REFERENCES[noise].std(), rel=1e-12)


def test_higher_moments():
    assert [Gaussian(1.0).moment(k) for k in (5, 6, 8)] == [0, 15, 105]
    assert [Laplace(math.sqrt(2)).moment(k) for k in (5, 6)] == pytest.approx([0, 720])
    assert [Exponential(1.0).moment(k) for k in (5, 6, 7)] == [44, 265, 1854]
    assert Uniform(1 / math.sqrt(3)).moment(6) == pytest.approx(1 / 7)
    assert StudentT(9.0, 1.0).moment(6) == pytest.approx(15 * 9**3 / (7 * 5 * 3))


@pytest.mark.parametrize("df", [2.001, 2.01, 2.1, 3.0, 30.0])
def test_sd_of_student_t_where_its_tails_hold_most_of_it(df):
    assert StudentT(df, 2.0).sd == pytest.approx(2 * math.sqrt(df / (df - 2)), rel=1e-9)


@pytest.mark.parametrize("df", [0.5, 1.0, 2.0])
def test_sd_of_student_t_is_infinite_up_to_2_degrees(df):
    assert StudentT(df, 1.0).sd == math.inf


@pytest.mark.parametrize("noise", [n for n in REFERENCES if n.sd < math.inf], ids=repr)
def test_mean_and_variance_of_draws(noise):
    n = 400_000
    z = noise.draw(torch.empty(n, dtype=torch.float64), generator=seeded(7))
    m2, m4 = noise.moment(2), noise.moment(4)
    assert abs(z.mean()) < 4 * math.sqrt(m2 / n)
    # t with 5 degrees has no eighth moment, so this band rests on the fourth alone.
    assert abs((z**2).mean() - m2) < 4 * math.sqrt((m4 - m2**2) / n)


@DISTRIBUTIONS
def test_nodes_integrate_known_expectations(noise):
    z, weight = noise.nodes()
    assert z.dtype == weight.dtype == torch.float64
    assert weight.sum().item() == pytest.approx(1, rel=1e-12)
    assert (weight > 0).all()

    for f in (np.tanh, lambda x: np.exp(-(x**2)), lambda x: 1 / (1 + x**2)):
        # Over the quantiles: a finite interval, whatever the tails.
        expected, error = integrate.quad(
            lambda p, f=f: f(REFERENCES[noise].ppf(p)), 0, 1, epsabs=1e-9, limit=400
        )
        found = (weight * torch.from_numpy(f(z.numpy()))).sum().item()
        assert error < 1e-7
        assert found == pytest.approx(expected, abs=2e-7)
    # A jump costs at most the weight of a cell.
    below = weight[z < 0.3].sum().item()
    assert below == pytest.approx(REFERENCES[noise].cdf(0.3), abs=5e-4)


@pytest.mark.parametrize(
    "noise", [Laplace(1.0), Exponential(1.0), StudentT(0.9, 1.0)], ids=repr
)
def test_ten_million_draws_are_finite(noise):
    """Inverse distribution functions have a logarithm, and float32 uniforms reach 0."""
    z = noise.draw(torch.empty(10_000_000), generator=seeded(3))
    assert z.isfinite().all()


def test_ten_million_gaussian_draws_are_finite_and_reach_five():
    z = Gaussian(1.0).draw(torch.empty(10_000_000), generator=seeded(3))
    assert z.isfinite().all()
    assert z.abs().max() > 4.9  # P(all of 10⁷ below 4.9) is exp(−9.6)


@pytest.mark.parametrize("noise", [Laplace(1.0), Exponential(1.0)], ids=repr)
@pytest.mark.parametrize("u", [0.0, 0.5, 1 - 2**-24])
def test_extreme_uniforms_give_finite_draws(noise, u, monkeypatch):
    monkeypatch.setattr(torch, "rand", lambda shape, **more: torch.full(shape, u))
    assert noise.draw(torch.empty(3)).isfinite().all()


@pytest.mark.parametrize("u", [0.0, 0.5, 1 - 2**-24])
def test_extreme_uniforms_of_student_t_overflow_only_where_the_draw_does(u, monkeypatch):
    monkeypatch.setattr(torch, "rand", lambda shape, **more: torch.full(shape, u))
    z = StudentT(0.3, 1.0).draw(torch.empty(3))  # at u → 1 about 1e24, its square overflows
    radius = math.sqrt(0.3 * math.expm1(-2 / 0.3 * math.log1p(-u)))
    assert z[0].item() == pytest.approx(radius * math.cos(2 * math.pi * u), rel=1e-4)


def test_exponential_is_never_below_minus_its_level():
    for dtype in (torch.float32, torch.float64):
        z = Exponential(0.3).draw(torch.empty(1_000_000, dtype=dtype), generator=seeded())
        assert z.min() >= -torch.tensor(0.3, dtype=dtype)
        assert z.median().item() == pytest.approx(0.3 * (math.log(2) - 1), abs=2e-3)


# ------------------------------------------------- shape, type, device, randomness


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3, 4)])
@ALL
def test_shape_and_type_are_kept(noise, shape, dtype):
    values = torch.ones(shape, dtype=dtype)
    noisy = noise(values, generator=seeded())
    assert (noisy.shape, noisy.dtype, noisy.device) == (shape, dtype, values.device)
    assert torch.equal(values, torch.ones(shape, dtype=dtype))
    assert noise.draw(values).shape == shape


@ALL
def test_meta_gives_meta(noise):
    values = torch.ones(2, 3, dtype=torch.float64, device="meta")
    for generator in (None, seeded()):
        noisy = noise(values, generator=generator)
        assert (noisy.shape, noisy.dtype) == ((2, 3), torch.float64)
        assert noisy.device.type == "meta"


@ALL
def test_another_default_device_changes_nothing(noise):
    values = torch.ones(5)
    expected = noise(values, generator=seeded())
    with torch.device("meta"):
        assert torch.equal(noise(values, generator=seeded()), expected)


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool])
@DISTRIBUTIONS
def test_noise_makes_whole_numbers_floating(noise, dtype):
    whole = torch.tensor([0, 1, 1], dtype=dtype)
    noisy = noise(whole, generator=seeded())
    assert noisy.dtype == torch.get_default_dtype()
    assert torch.equal(noisy, noise(whole.float(), generator=seeded()))


@DISTRIBUTIONS
def test_half_types_are_drawn_in_float32(noise):
    fine = noise.draw(torch.empty(2000), generator=seeded())
    for dtype in (torch.float16, torch.bfloat16):
        coarse = noise.draw(torch.empty(2000, dtype=dtype), generator=seeded())
        assert torch.equal(coarse, fine.to(dtype))


@ALL
def test_same_seed_same_draw_and_anew_each_call(noise):
    like = torch.ones(50)
    g = seeded(5)
    first, second = noise.draw(like, generator=g), noise.draw(like, generator=g)
    assert torch.equal(first, noise.draw(like, generator=seeded(5)))
    assert not torch.equal(first, second)
    assert not torch.equal(noise.draw(like), noise.draw(like))


@ALL
def test_global_random_state_is_left_alone_beside_a_generator(noise):
    before = torch.get_rng_state()
    noise(torch.ones(50), generator=seeded())
    assert torch.equal(torch.get_rng_state(), before)
    noise(torch.ones(50))
    assert not torch.equal(torch.get_rng_state(), before)


@ALL
def test_global_seed_decides_without_a_generator(noise):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        first = noise.draw(torch.ones(50))
        torch.manual_seed(3)
        assert torch.equal(noise.draw(torch.ones(50)), first)


@pytest.mark.parametrize("noise", [Gaussian(0.1), Laplace(0.1), *REPLACING], ids=repr)
def test_generator_of_another_device_is_refused(noise):
    class Elsewhere(torch.Tensor):
        device = torch.device("cuda", 1)

    values = torch.ones(3).as_subclass(Elsewhere)
    message = r"generator is on cpu and the values on cuda:1; .*torch.Generator\('cuda:1'\)"
    with pytest.raises(ValueError, match=message):
        noise.draw(values, generator=seeded())


@ALL
def test_a_seed_is_no_generator(noise):
    with pytest.raises(TypeError, match=r"generator is 42, expected a torch\.Generator"):
        noise(torch.ones(3), generator=42)


@ALL
def test_what_is_no_tensor_is_refused(noise):
    with pytest.raises(TypeError, match=r"values is a list, .* torch\.as_tensor\(values"):
        noise([1.0, 0.0])


@DISTRIBUTIONS
def test_complex_values_are_refused(noise):
    with pytest.raises(TypeError, match="complex64, expected real"):
        noise(torch.ones(3, dtype=torch.complex64))


@ALL
def test_values_keep_their_gradient_and_draws_have_none(noise):
    values = torch.ones(40, dtype=torch.float64, requires_grad=True)
    assert not noise.draw(values).requires_grad
    z = noise.draw(values, generator=seeded())
    noisy = noise(values, generator=seeded())
    if isinstance(noise, LabelFlips):
        return  # labels carry none
    (gradient,) = torch.autograd.grad(noisy.sum(), values)
    expected = torch.ones(40, dtype=torch.float64)
    if isinstance(noise, Multiplicative):
        expected = 1 + z
    if isinstance(noise, SaltAndPepper):
        expected = (z >= noise.rate).double()
    assert torch.equal(gradient, expected)


@ALL
def test_a_model_is_a_value(noise):
    assert copy.deepcopy(noise) == pickle.loads(pickle.dumps(noise)) == noise
    assert hash(copy.deepcopy(noise)) == hash(noise)
    assert eval(repr(noise), vars(lu.noise)) == noise


def test_models_of_one_level_differ():
    assert Gaussian(1.0) != Laplace(1.0)


# ------------------------------------------------------------------ level 0


@pytest.mark.parametrize(
    "noise",
    [
        *(type(n)(0.0) for n in REFERENCES if not isinstance(n, StudentT)),
        StudentT(3.0, 0.0),
    ],
    ids=repr,
)
def test_no_noise_at_level_0(noise):
    assert noise.sd == 0
    assert [noise.moment(k) for k in range(5)] == [1, 0, 0, 0, 0]
    assert not noise.draw(torch.ones(1000), generator=seeded()).any()
    assert noise.cdf(torch.tensor([-1.0, 0.0, 1.0])).tolist() == [0, 1, 1]
    assert noise.cdf(torch.tensor([-1, 0, 1])).tolist() == [0, 1, 1]
    assert not noise.autocovariance(3).any()


# ------------------------------------------------- multiplied, added up


def test_multiplicative_is_a_factor_of_one_plus_the_draw():
    values = torch.tensor([0.0, 2.0, -3.0], dtype=torch.float64)
    inner = Laplace(0.3)
    z = inner.draw(values, generator=seeded())
    assert torch.equal(Multiplicative(inner)(values, generator=seeded()), values * (1 + z))


def test_multiplicative_describes_what_it_draws():
    inner = StudentT(5.0, 0.2)
    noise, z = Multiplicative(inner), torch.linspace(-1, 1, 5)
    assert (noise.sd, noise.white) == (inner.sd, True)
    assert noise.moment(4) == inner.moment(4)
    assert torch.equal(noise.cdf(z), inner.cdf(z))
    assert torch.equal(noise.autocovariance(3), inner.autocovariance(3))
    for found, expected in zip(noise.nodes(), inner.nodes(), strict=True):
        assert torch.equal(found, expected)
    assert Multiplicative(lu.noise.AR1(1.0, 0.5)).white is False


def test_a_sum_draws_both_from_one_generator():
    values, g = torch.zeros(5), seeded()
    first, second = (n.draw(values, generator=g) for n in (Gaussian(0.3), Laplace(0.4)))
    noise = Gaussian(0.3) + Laplace(0.4)
    assert torch.equal(noise(values, generator=seeded()), first + second)
    assert noise.sd == pytest.approx(0.5)


def test_moments_of_a_sum():
    noise = Gaussian(0.3) + Gaussian(0.4)
    for order in range(9):
        assert noise.moment(order) == pytest.approx(Gaussian(0.5).moment(order), abs=1e-15)
    skewed = Exponential(1.0) + Exponential(2.0)  # cumulants add up
    assert skewed.moment(3) == pytest.approx(2 + 2 * 2**3)
    assert (Gaussian(1.0) + StudentT(3.0, 1.0)).moment(2) == pytest.approx(4)
    assert math.isnan((Gaussian(1.0) + StudentT(3.0, 1.0)).moment(3))
    assert (Gaussian(1.0) + StudentT(3.0, 1.0)).moment(4) == math.inf


@pytest.mark.parametrize("n", [1, 4])
def test_white_noise_correlates_with_nothing_but_itself(n):
    covariance = Gaussian(0.1).autocovariance(n)
    assert covariance.dtype == torch.float64
    assert covariance.tolist() == [0.1**2] + [0] * (n - 1)
    noise = Gaussian(0.3) + Uniform(0.4)
    assert noise.autocovariance(n)[0].item() == pytest.approx(0.25, rel=1e-15)


# ------------------------------------------------------ what replaces values


def within(count, n, p):
    """A count of n lies within the central 1 − 10⁻⁵ of the binomial distribution."""
    low, high = stats.binom.interval(1 - 1e-5, n, p)
    return low <= count <= high


@pytest.mark.parametrize("rate", [0.01, 0.3, 0.9])
def test_salt_and_pepper_replaces_its_share_in_equal_parts(rate):
    n = 200_000
    noisy = SaltAndPepper(rate, low=-2.0, high=3.0)(torch.zeros(n), generator=seeded(1))
    assert within((noisy == -2).sum().item(), n, rate / 2)
    assert within((noisy == 3).sum().item(), n, rate / 2)
    assert ((noisy == 0) | (noisy == -2) | (noisy == 3)).all()


def test_salt_and_pepper_at_rates_0_and_1():
    values = torch.full((1000,), 0.5)
    assert torch.equal(SaltAndPepper(0.0)(values), values)
    assert not (SaltAndPepper(1.0)(values) == 0.5).any()


def test_salt_and_pepper_leaves_large_whole_numbers_to_the_last_bit():
    values = torch.tensor([2**24 + 1, 2**53 + 1, -(2**62) - 1])
    assert torch.equal(SaltAndPepper(0.0)(values), values)
    images = torch.full((1000,), 200, dtype=torch.uint8)
    noisy = SaltAndPepper(1.0, 0, 255)(images, generator=seeded())
    assert noisy.dtype == torch.uint8
    assert set(noisy.tolist()) == {0, 255}


def test_salt_and_pepper_refuses_a_fraction_among_whole_numbers():
    with pytest.raises(TypeError, match=r"int64, which does not hold .*0\.5.*float\(\)"):
        SaltAndPepper(0.5, 0.0, 0.5)(torch.tensor([1, 2]))


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.float32, torch.float16])
@pytest.mark.parametrize(("rate", "classes"), [(0.2, 2), (0.3, 5), (1.0, 10)])
def test_label_flips_to_each_other_class_as_often(rate, classes, dtype):
    n = 60_000
    labels = torch.arange(n) % classes
    noisy = LabelFlips(rate, classes)(labels.to(dtype), generator=seeded(1))
    assert noisy.dtype == dtype
    table = torch.bincount(labels * classes + noisy.long(), minlength=classes**2)
    for true, row in enumerate(table.reshape(classes, classes).tolist()):
        for other, count in enumerate(row):
            p = 1 - rate if other == true else rate / (classes - 1)
            assert within(count, sum(row), p), (true, other, count)


def test_label_flips_of_booleans():
    labels = torch.tensor([True, False, True])
    assert LabelFlips(1.0)(labels).tolist() == [False, True, False]
    assert LabelFlips(0.0)(labels).tolist() == labels.tolist()


def test_label_flips_at_rate_0_and_smallest_rate():
    labels = torch.arange(10) % 7
    for rate in (0.0, 1e-30):
        assert torch.equal(LabelFlips(rate, 7)(labels), labels)
    hit = LabelFlips(1e-30, 7).corrupt(labels, torch.zeros(10))  # z = 0 is below any rate
    assert torch.equal(hit, (labels + 1) % 7)


@pytest.mark.parametrize("bad", [-1.0, 2.0, 0.5, math.nan])
def test_label_flips_refuse_what_is_no_label(bad):
    labels = torch.tensor([0.0, bad, 1.0])
    with pytest.raises(ValueError, match=f"label is {bad:g}.*from 0 to 1"):
        LabelFlips(0.1)(labels)


@pytest.mark.parametrize("noise", REPLACING, ids=repr)
def test_nodes_of_what_replaces_values_are_its_cases(noise):
    z, weight = noise.nodes()
    many = 200_000
    cases = noise.corrupt(torch.ones(len(z)), z)
    noisy = noise(torch.ones(many), generator=seeded(2))
    for value in (0.0, 1.0, 2.0, 3.0):
        expected = weight[cases == value].sum().item()
        assert within((noisy == value).sum().item(), many, expected)
    assert weight.sum().item() == pytest.approx(1)
    assert (weight > 0).all()


@pytest.mark.parametrize("noise", [SaltAndPepper(0.0), LabelFlips(0.0, 3)], ids=repr)
def test_nodes_hold_no_case_that_cannot_occur(noise):
    assert noise.nodes()[1].tolist() == [1.0]


# ------------------------------------------------------------------ mistakes


@pytest.mark.parametrize("model", [Gaussian, Laplace, Uniform, Exponential])
@pytest.mark.parametrize("level", [-0.1, math.nan, math.inf])
def test_level_is_finite_and_not_negative(model, level):
    with pytest.raises(ValueError, match=f"level is {level}, expected .*0 or more"):
        model(level)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: StudentT(0.0, 1.0), "df is 0.0, expected a finite number above 0"),
        (lambda: StudentT(math.inf, 1.0), "df is inf"),
        (lambda: StudentT(math.nan, 1.0), "df is nan"),
        (lambda: StudentT(3.0, -1.0), "scale is -1.0"),
        (lambda: SaltAndPepper(1.1), r"rate is 1.1, expected a share in \[0, 1\]"),
        (lambda: SaltAndPepper(math.nan), "rate is nan"),
        (lambda: LabelFlips(-0.1), "rate is -0.1"),
        (lambda: LabelFlips(0.1, 1), "classes is 1, expected .*2 or more"),
        (lambda: LabelFlips(0.1, 2.5), "classes is 2.5, expected a whole number"),
    ],
)
def test_bad_parameters(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Multiplicative(0.1), "Multiplicative of a float, expected a noise"),
        (lambda: Multiplicative(LabelFlips(0.1)), "takes noise that is added.*LabelFlips"),
        (lambda: Multiplicative(Multiplicative(Gaussian(1.0))), "not Multiplicative"),
        (lambda: Gaussian(1.0) + 0.1, "a sum of a float"),
        (lambda: Gaussian(1.0) + SaltAndPepper(0.1), "a sum takes noise .*SaltAndPepper"),
        (lambda: SaltAndPepper(0.1) + Gaussian(1.0), "a sum takes noise"),
        (lambda: SaltAndPepper(0.1).sd, "no one sd"),
        (lambda: LabelFlips(0.1).sd, "no one sd"),
        (lambda: SaltAndPepper(0.1).moment(2), "no moments"),
        (lambda: LabelFlips(0.1).moment(1), "no moments"),
        (lambda: SaltAndPepper(0.1).cdf(torch.zeros(1)), "no distribution function"),
        (lambda: SaltAndPepper(0.1).autocovariance(2), "no one sd"),
        (lambda: (Gaussian(1.0) + Gaussian(1.0)).cdf(torch.zeros(1)), "draw and count"),
        (lambda: (Gaussian(1.0) + Gaussian(1.0)).nodes(), "use monte_carlo"),
    ],
)
def test_what_a_model_cannot_do_is_refused(make, message):
    with pytest.raises(TypeError, match=message):
        make()
