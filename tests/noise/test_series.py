"""Coloured and changing noise: covariances, spectra, shares, and what a filter leaves."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.linalg import toeplitz

import lossutils as lu
from lossutils.noise import (
    AR1,
    Bursts,
    Exponential,
    Gaussian,
    LabelFlips,
    MeanDrift,
    Multiplicative,
    PowerLaw,
    StudentT,
    Uniform,
    VarianceDrift,
    filtered_variance,
)

EXPONENTS = [-1.0, 0.0, 0.5, 1.0, 1.5, 2.0]
STATIONARY = [AR1(0.7, 0.9), AR1(0.7, -0.6), AR1(0.7, 0.0)]
STATIONARY += [PowerLaw(0.7, exponent) for exponent in EXPONENTS]
CHANGING = [
    VarianceDrift(Gaussian(0.5), 0.2, 3.0),
    Bursts(Gaussian(0.5), 0.2, 5, 4.0),
    MeanDrift(-1.0, 2.0),
]
colours = pytest.mark.parametrize("noise", STATIONARY, ids=repr)
all_series = pytest.mark.parametrize("noise", [*STATIONARY, *CHANGING], ids=repr)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def series(noise, n, columns, seed=0):
    like = torch.empty(n, columns, dtype=torch.float64)
    return noise.draw(like, generator=seeded(seed))


def map_of(noise, n, monkeypatch):
    """The matrix by which a draw of n comes from 2n independent standard normals."""
    with monkeypatch.context() as patch:
        patch.setattr(torch, "randn", lambda shape, **more: torch.eye(*shape).double())
        return noise.draw(torch.empty(n, 2 * n, dtype=torch.float64))


# ------------------------------------------------------------ stationary series


@pytest.mark.parametrize("n", [1, 2, 7, 64])
@colours
def test_covariance_of_a_draw_is_the_autocovariance(noise, n, monkeypatch):
    """Exactly: no simulation. It is Toeplitz, so no draw is closer to another by its place
    alone, and the first is no nearer to the last than n − 1 steps."""
    m = map_of(noise, n, monkeypatch)
    expected = toeplitz(noise.autocovariance(n))
    np.testing.assert_allclose(m @ m.T, expected, atol=1e-12)


@colours
@pytest.mark.parametrize("seed", [1, 2])
def test_covariance_of_many_draws(noise, seed):
    n, columns = 16, 20_000
    z = series(noise, n, columns, seed)
    c = torch.from_numpy(toeplitz(noise.autocovariance(n)))
    found = z @ z.T / columns
    # Of Gaussians Var(x_i x_j) = c_ii c_jj + c_ij². Of 136 elements 5 sd is 1e-4 in all.
    band = ((c.diag()[:, None] * c.diag() + c**2) / columns).sqrt()
    assert ((found - c).abs() < 5 * band).all()
    assert (z.mean(1).abs() < 4.5 * noise.sd / math.sqrt(columns)).all()


@colours
@pytest.mark.parametrize("n", [1, 2, 9, 1000])
def test_level_is_the_sd_at_any_length(noise, n):
    covariance = noise.autocovariance(n)
    assert (covariance.shape, covariance.dtype) == ((n,), torch.float64)
    assert covariance[0].item() == pytest.approx(noise.sd**2, rel=1e-12)
    assert noise.sd == 0.7


@colours
def test_one_draw_is_gaussian(noise):
    z = series(noise, 8, 5_000, seed=4)[-1].numpy()
    reference = stats.norm(scale=0.7)
    assert stats.kstest(z, reference.cdf).statistic < stats.kstwo.isf(1e-5, len(z))
    x = torch.linspace(-3, 3, 13, dtype=torch.float64)
    np.testing.assert_allclose(noise.cdf(x), reference.cdf(x), rtol=1e-12)
    assert noise.moment(4) == pytest.approx(3 * 0.7**4)
    for found, expected in zip(noise.nodes(), Gaussian(0.7).nodes(), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("rho", [-0.99, -0.5, 0.0, 0.3, 0.999])
@pytest.mark.parametrize("n", [1, 2, 50, 501])
def test_autocovariance_of_ar1(rho, n):
    found = AR1(0.3, rho).autocovariance(n)
    np.testing.assert_allclose(found, 0.09 * np.power(rho, np.arange(n)), atol=1e-15)


@pytest.mark.parametrize("rho", [-0.999, -0.5, 0.5, 0.999])
def test_no_power_of_ar1_is_negative(rho):
    """Else the embedding would be no covariance, and clamping would change the noise."""
    assert AR1(1.0, rho).power(300).min() > 0


def test_ar1_obeys_its_recursion():
    z = series(AR1(1.0, 0.8), 200, 2000)
    innovation = z[1:] - 0.8 * z[:-1]
    n = innovation.numel()
    assert innovation.var().item() == pytest.approx(0.36, abs=4 * 0.36 * math.sqrt(2 / n))
    product = (innovation[1:] * z[:-2]).mean()
    assert abs(product) < 4 * 0.6 / math.sqrt(n)


@pytest.mark.parametrize("n", [2, 5, 200])
def test_power_law_of_exponent_0_is_white(n):
    noise = PowerLaw(0.7, 0.0)
    np.testing.assert_allclose(
        noise.autocovariance(n), Gaussian(0.7).autocovariance(n), atol=1e-15
    )
    mean = torch.full((n,), 1 / n, dtype=torch.float64)
    assert filtered_variance(noise, mean, n) == pytest.approx(0.49 / n)


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_power_is_the_law(exponent):
    power = PowerLaw(0.7, exponent).power(100)
    f = torch.arange(1, 101) / 200
    law = f**-exponent
    np.testing.assert_allclose(power[1:] / power[50], law / law[49], rtol=1e-6)
    assert power[0] == (power[1] if exponent == 0 else 0)


def spectrum(z):
    """Periodogram of tapered columns. Without the taper the jump from the last draw to the
    first leaks 1/f² into all frequencies, and no exponent above 2 could be seen."""
    taper = torch.hann_window(len(z), periodic=False, dtype=z.dtype)
    return torch.fft.rfft(taper[:, None] * z, dim=0).abs() ** 2


def expected_spectrum(covariance):
    """The mean of `spectrum` over all series of this autocovariance."""
    n = len(covariance)
    taper = torch.hann_window(n, periodic=False, dtype=torch.float64).numpy()
    own = np.correlate(taper, taper, "full")[n - 1 :]
    terms = torch.from_numpy(own) * covariance
    return 2 * torch.fft.rfft(terms).real - terms[0]


# Every fourth frequency: under this taper the others are correlated.
N, COLUMNS = 1024, 800
BINS = torch.arange(8, N // 4, 4)
LOG_F = BINS.double().log() - BINS.double().log().mean()


def slope(power):
    y = power[BINS].log()
    return LOG_F @ y / (LOG_F @ LOG_F)


@pytest.mark.parametrize("exponent", EXPONENTS)
@pytest.mark.parametrize("seed", [1, 2])
def test_slope_of_the_spectrum(exponent, seed):
    noise = PowerLaw(0.7, exponent)
    slopes = slope(spectrum(series(noise, N, COLUMNS, seed)))
    # The logarithm of an exponential variable has variance π²/6.
    error = math.pi / math.sqrt(6) / LOG_F.norm().item()
    band = 4 * error / math.sqrt(COLUMNS)
    assert abs(slopes.mean().item() + exponent) < band + 0.01  # what the taper bends
    assert abs(slopes.mean() - slope(expected_spectrum(noise.autocovariance(N)))) < band
    assert slopes.std().item() == pytest.approx(error, rel=4 / math.sqrt(2 * COLUMNS))
    assert band < 0.03  # so that neighbouring exponents are told apart


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_the_taper_bends_no_slope_by_more_than_a_hundredth(exponent):
    found = slope(expected_spectrum(PowerLaw(0.7, exponent).autocovariance(N)))
    assert found.item() == pytest.approx(-exponent, abs=0.01)


@pytest.mark.parametrize("exponent", [1.0, 2.0])
def test_red_series_neither_close_nor_have_mean_0(exponent):
    z = series(PowerLaw(1.0, exponent), 500, 400)
    closing, stepping = (z[-1] - z[0]).std(), (z[1] - z[0]).std()
    assert closing > 1.5 * stepping  # of a periodic series they are equal
    n = torch.full((500,), 1 / 500, dtype=torch.float64)
    variance = filtered_variance(PowerLaw(1.0, exponent), n, 500)
    assert variance > 10 / 500  # ten times that of white noise
    assert z.mean(0).var().item() == pytest.approx(variance, rel=4 * math.sqrt(2 / 400))


@pytest.mark.parametrize("exponent", [-300.0, 300.0])
def test_power_law_of_a_large_exponent_is_finite(exponent):
    z = PowerLaw(1.0, exponent).draw(torch.empty(2000), generator=seeded())
    assert z.isfinite().all()
    assert PowerLaw(1.0, exponent).autocovariance(2000)[0].item() == pytest.approx(1)


@colours
def test_columns_are_independent(noise):
    z = series(noise, 4, 40_000)
    neighbours = (z[:, 1:] * z[:, :-1]).mean(1)
    assert (neighbours.abs() < 4.5 * 0.49 / math.sqrt(40_000)).all()


# ------------------------------------------------------------- what changes in time


@pytest.mark.parametrize("noise", [Gaussian(0.5), AR1(0.5, 0.9), Uniform(0.5)], ids=repr)
def test_variance_drift_is_a_ramp_times_the_noise(noise):
    like = torch.empty(101, 3, dtype=torch.float64)
    plain = noise.draw(like, generator=seeded())
    drifting = VarianceDrift(noise, 0.2, 3.0).draw(like, generator=seeded())
    ramp = torch.linspace(0.2, 3.0, 101, dtype=torch.float64)[:, None]
    torch.testing.assert_close(drifting, plain * ramp, rtol=1e-15, atol=0)


def test_sd_of_variance_drift_is_its_root_mean_square():
    noise = VarianceDrift(Gaussian(0.5), 0.2, 3.0)
    ramp = np.linspace(0.2, 3.0, 100_001)
    assert noise.sd == pytest.approx(0.5 * math.sqrt((ramp**2).mean()), rel=1e-4)
    z = series(noise, 1000, 400)
    assert (z**2).mean().item() == pytest.approx(noise.sd**2, rel=4 * 2 / math.sqrt(4e5))
    assert VarianceDrift(Gaussian(0.5), 1.0, 1.0).sd == 0.5


def lengths_of_runs(inside):
    """Of the runs of True within a column, those that both begin and end there."""
    edges = np.flatnonzero(np.diff(inside.astype(int)))
    starts = edges[inside[edges + 1]]
    ends = edges[~inside[edges + 1]]
    ends = ends[ends > starts[0]]
    return ends - starts[: len(ends)]


@pytest.mark.parametrize(("share", "length"), [(0.05, 7), (0.4, 3), (0.2, 1)])
def test_bursts_have_their_share_length_and_factor(share, length):
    n = 100_000
    like = torch.empty(n, dtype=torch.float64)
    plain = Gaussian(0.5).draw(like, generator=seeded(1))
    z = Bursts(Gaussian(0.5), share, length, 4.1).draw(like, generator=seeded(1))
    strength = z / plain
    inside = (strength - 4.1).abs() < 1e-12  # float64 to the last digits
    assert (inside | (strength == 1)).all()
    # A place is quiet when none of `length` starts happened: neighbours share them, so
    # the variance of the mean is that of n places times at most 2 · length.
    band = 4.5 * math.sqrt(share * (1 - share) * 2 * length / n)
    assert abs(inside.double().mean() - share) < band
    runs = lengths_of_runs(inside.numpy())
    assert runs.min() == length
    start = 1 - (1 - share) ** (1 / length)
    alone = (1 - start) ** length  # no other begins during or right after it
    expected, count = (runs == length).mean(), len(runs)
    assert abs(expected - alone) < 4.5 * math.sqrt(alone * (1 - alone) / count)


def test_a_burst_is_as_likely_at_the_first_draw():
    noise, hits = Bursts(Gaussian(1.0), 0.3, 20, 0.0), torch.zeros(5)
    g, repeats = seeded(), 4000
    for _ in range(repeats):
        hits += noise.draw(torch.empty(5), generator=g) == 0
    assert ((hits / repeats - 0.3).abs() < 4.5 * math.sqrt(0.21 / repeats)).all()


def test_sd_of_bursts():
    noise = Bursts(Gaussian(0.5), 0.3, 10, 4.0)
    g = seeded()
    z = torch.stack([noise.draw(torch.empty(100), generator=g) for _ in range(3000)])
    each = (z**2).mean(1)
    assert noise.sd == pytest.approx(0.5 * math.sqrt(0.7 + 0.3 * 16))
    assert abs(each.mean() - noise.sd**2) < 4 * each.std() / math.sqrt(3000)
    assert Bursts(Gaussian(0.5), 0.0, 10, 4.0).sd == 0.5


def test_bursts_come_in_all_columns_at_once():
    like = torch.empty(300, 4)
    plain = Gaussian(0.5).draw(like, generator=seeded())
    strength = Bursts(Gaussian(0.5), 0.3, 5, 4.0).draw(like, generator=seeded()) / plain
    inside = strength > 2
    assert (inside == inside[:, :1]).all()
    assert inside.any()
    assert not inside.all()


def test_no_bursts_at_share_0():
    like = torch.empty(1000)
    plain = Gaussian(0.5).draw(like, generator=seeded())
    assert torch.equal(
        Bursts(Gaussian(0.5), 0.0, 3, 9.0).draw(like, generator=seeded()), plain
    )


def test_mean_drift_draws_nothing():
    before = torch.get_rng_state()
    z = MeanDrift(-1.0, 2.0).draw(torch.empty(4, 2, dtype=torch.float64))
    assert torch.equal(torch.get_rng_state(), before)
    assert z.tolist() == [[-1, -1], [0, 0], [1, 1], [2, 2]]
    assert MeanDrift(-1.0, 2.0).sd == 0


def test_sums_of_series():
    noise = AR1(0.3, 0.5) + Gaussian(0.4)
    assert noise.white is False
    assert noise.sd == pytest.approx(0.5)
    expected = 0.09 * 0.5 ** np.arange(5) + 0.16 * (np.arange(5) == 0)
    np.testing.assert_allclose(noise.autocovariance(5), expected, rtol=1e-12)
    wandering = Gaussian(1.0) + MeanDrift(0.0, 2.0)
    like = torch.zeros(11, 20_000, dtype=torch.float64)
    z = wandering.draw(like, generator=seeded())
    band = 4.5 / math.sqrt(20_000)
    assert ((z.mean(1) - torch.linspace(0, 2, 11)).abs() < band).all()
    assert wandering.sd == 1


@pytest.mark.parametrize("noise", [AR1(0.2, 0.9), *CHANGING], ids=repr)
def test_multiplied_series(noise):
    values = torch.full((20,), 3.0)
    z = noise.draw(values, generator=seeded())
    assert torch.equal(Multiplicative(noise)(values, generator=seeded()), values * (1 + z))
    assert Multiplicative(noise).white is False


# ------------------------------------------------- shape, type, device, randomness


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64]
)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (5,), (0, 3), (3, 0), (4, 2, 3)])
@all_series
def test_shape_and_type_are_kept(noise, shape, dtype):
    z = noise.draw(torch.zeros(shape, dtype=dtype), generator=seeded())
    assert (z.shape, z.dtype) == (shape, dtype)
    assert z.isfinite().all()


@all_series
def test_meta_and_other_default_device(noise):
    z = noise.draw(torch.zeros(4, 3, dtype=torch.float64, device="meta"))
    assert (z.shape, z.dtype, z.device.type) == ((4, 3), torch.float64, "meta")
    expected = noise.draw(torch.zeros(4, 3), generator=seeded())
    with torch.device("meta"):
        assert torch.equal(
            noise.draw(torch.zeros(4, 3, device="cpu"), generator=seeded()), expected
        )


@colours
def test_autocovariance_is_made_where_numbers_are(noise):
    with torch.device("meta"):
        assert noise.autocovariance(3).device.type == "cpu"


@all_series
def test_noise_makes_whole_numbers_floating(noise):
    noisy = noise(torch.arange(5), generator=seeded())
    assert noisy.dtype == torch.float32
    assert torch.equal(noisy, noise(torch.arange(5.0), generator=seeded()))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("n", [3000, 150_000])
def test_ramps_of_half_types_are_those_of_float32(dtype, n):
    fine = MeanDrift(0.0, 1.0).draw(torch.empty(n))
    coarse = MeanDrift(0.0, 1.0).draw(torch.empty(n, dtype=dtype))
    assert torch.equal(coarse, fine.to(dtype))


@pytest.mark.parametrize("noise", [*STATIONARY, *CHANGING[:2]], ids=repr)
def test_generators_and_global_state(noise):
    like, g, before = torch.zeros(30), seeded(), torch.get_rng_state()
    first, second = noise.draw(like, generator=g), noise.draw(like, generator=g)
    assert torch.equal(first, noise.draw(like, generator=seeded()))
    assert not torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(noise.draw(like), noise.draw(like))


@colours
def test_generator_of_another_device_is_refused(noise):
    class Elsewhere(torch.Tensor):
        device = torch.device("cuda", 1)

    with pytest.raises(ValueError, match="on cpu and the values on cuda:1"):
        noise.draw(torch.ones(3).as_subclass(Elsewhere), generator=seeded())


# ----------------------------------------------------------- filtered variance


KERNELS = {
    "mean of 8": torch.full((8,), 1 / 8, dtype=torch.float64),
    "difference": torch.tensor([1.0, -1.0], dtype=torch.float64),
    "one": torch.tensor([2.0], dtype=torch.float64),
    "uneven": torch.tensor([0.5, -0.1, 0.3, 0.7, 0.0, 0.2], dtype=torch.float64),
}
FILTERED = [*STATIONARY, Gaussian(0.7), Uniform(0.7), AR1(0.3, 0.5) + Gaussian(0.4)]


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
@pytest.mark.parametrize("noise", FILTERED, ids=repr)
def test_filtered_variance_is_the_double_sum(noise, kernel):
    n = 40
    c = noise.autocovariance(n).tolist()
    pairs = [
        a * b * c[abs(i - j)]
        for i, a in enumerate(kernel.tolist())
        for j, b in enumerate(kernel.tolist())
    ]
    found = filtered_variance(noise, kernel, n)
    assert found == pytest.approx(math.fsum(pairs), rel=1e-12, abs=1e-14)
    assert isinstance(found, float)


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
@pytest.mark.parametrize("noise", FILTERED, ids=repr)
def test_filtered_variance_is_that_of_smoothed_draws(noise, kernel):
    n, columns = 24, 10_000
    smoothed = lu.noise.smooth(series(noise, n, columns, seed=2), kernel)
    expected = filtered_variance(noise, kernel, n)
    # One row: its squares are independent across columns. Kurtosis is 3 at most here.
    found = (smoothed[-1] ** 2).mean().item()
    assert found == pytest.approx(expected, rel=4.5 * math.sqrt(2 / columns))


def test_filtered_variance_of_closed_forms():
    mean = torch.full((200,), 1 / 200, dtype=torch.float64)
    n, rho = 200, 0.9
    closed = (n + 2 * sum((n - k) * rho**k for k in range(1, n))) / n**2
    assert filtered_variance(AR1(1.0, rho), mean, n) == pytest.approx(closed, rel=1e-12)
    assert filtered_variance(Gaussian(0.1), mean, n) == pytest.approx(0.01 / n, rel=1e-13)


def test_filtered_variance_of_a_long_kernel_needs_no_square_of_memory():
    n = 200_000  # of which the square has 40 thousand million elements
    kernel = torch.full((n,), 1 / n, dtype=torch.float64)
    assert filtered_variance(Gaussian(2.0), kernel, n) == pytest.approx(4 / n, rel=1e-9)


@pytest.mark.parametrize(
    "kernel", [torch.ones(2, 2), torch.ones(0), torch.ones(11), torch.tensor(1.0)]
)
def test_filtered_variance_refuses_other_kernels(kernel):
    with pytest.raises(ValueError, match=r"kernel has shape .*one axis with 1 to 10"):
        filtered_variance(Gaussian(1.0), kernel, 10)


def test_filtered_variance_of_a_list_is_refused():
    with pytest.raises(TypeError, match=r"kernel is a list, .*torch\.tensor\("):
        filtered_variance(Gaussian(1.0), [0.5, 0.5], 10)


@pytest.mark.parametrize("noise", [*CHANGING, CHANGING[0] + Gaussian(1.0)], ids=repr)
def test_what_changes_has_no_autocovariance_moments_or_cdf(noise):
    assert noise.white is False
    with pytest.raises(TypeError, match="not stationary"):
        filtered_variance(noise, torch.ones(1), 10)
    with pytest.raises(TypeError, match="no moments"):
        noise.moment(2)
    with pytest.raises(TypeError, match="no distribution"):
        noise.nodes()
    with pytest.raises(TypeError, match="no distribution function"):
        noise.cdf(torch.zeros(1))


# ------------------------------------------------------------------ mistakes


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AR1(-1.0, 0.5), "level is -1.0"),
        (lambda: AR1(1.0, 1.0), "correlation is 1.0, expected a number between -1 and 1"),
        (lambda: AR1(1.0, -1.0), "correlation is -1.0"),
        (lambda: AR1(1.0, math.nan), "correlation is nan"),
        (lambda: PowerLaw(math.inf, 1.0), "level is inf"),
        (lambda: PowerLaw(1.0, math.nan), "exponent is nan"),
        (lambda: PowerLaw(1.0, math.inf), "exponent is inf"),
        (lambda: VarianceDrift(Gaussian(1.0), -1.0, 1.0), "start is -1.0"),
        (lambda: VarianceDrift(Gaussian(1.0), 1.0, math.nan), "end is nan"),
        (lambda: Bursts(Gaussian(1.0), 1.0, 3, 2.0), r"share is 1.0, .* \[0, 1\)"),
        (lambda: Bursts(Gaussian(1.0), math.nan, 3, 2.0), "share is nan"),
        (lambda: Bursts(Gaussian(1.0), 0.1, 0, 2.0), "length is 0, expected a whole"),
        (lambda: Bursts(Gaussian(1.0), 0.1, 2.5, 2.0), "length is 2.5, expected a whole"),
        (lambda: Bursts(Gaussian(1.0), 0.1, 3, -2.0), "factor is -2.0"),
        (lambda: MeanDrift(math.nan, 1.0), "start is nan, expected a finite"),
        (lambda: MeanDrift(0.0, math.inf), "end is inf, expected a finite"),
    ],
)
def test_bad_parameters(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: VarianceDrift(LabelFlips(0.1), 1.0, 2.0), "VarianceDrift takes noise"),
        (lambda: Bursts(0.1, 0.1, 3, 2.0), "Bursts of a float, expected a noise"),
        (lambda: Bursts(Multiplicative(Gaussian(1.0)), 0.1, 3, 2.0), "Bursts takes noise"),
    ],
)
def test_only_additive_noise_is_modulated(make, message):
    with pytest.raises(TypeError, match=message):
        make()


@pytest.mark.parametrize("noise", [StudentT(3.0, 1.0), Exponential(1.0)], ids=repr)
def test_any_additive_noise_is_modulated(noise):
    z = VarianceDrift(noise, 0.0, 1.0).draw(torch.empty(5), generator=seeded())
    assert z[0] == 0
    assert z[-1] == noise.draw(torch.empty(5), generator=seeded())[-1]
