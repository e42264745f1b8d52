"""Predictions of what noise does, against closed forms, scipy and simulation."""

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import integrate, stats

import lossutils as lu
from lossutils.noise import (
    AR1,
    Exponential,
    Gaussian,
    LabelFlips,
    Laplace,
    MeanDrift,
    Moments,
    Multiplicative,
    SaltAndPepper,
    StudentT,
    Uniform,
    VarianceDrift,
    delta_method,
    monte_carlo,
    probability_outside,
    quadrature,
)

E = torch.tensor([-1.2, -0.3, 0.0, 0.5, 2.0], dtype=torch.float64)
T = torch.tensor([0.2, 0.9, -0.4, 0.5, 1.0], dtype=torch.float64)
FIELDS = Moments._fields
LIGHT = [Gaussian(0.4), Laplace(0.4), Uniform(0.4), Exponential(0.4)]
# How scipy knows them: density, support, and where it has a kink or a jump.
DENSITIES = {
    Gaussian(0.4): (stats.norm(scale=0.4).pdf, -4, 4, [0]),
    Laplace(0.4): (stats.laplace(scale=0.4 / math.sqrt(2)).pdf, -11, 11, [0]),
    Uniform(0.4): (
        stats.uniform(-0.4 * 3**0.5, 0.8 * 3**0.5).pdf,
        -0.4 * 3**0.5,
        0.4 * 3**0.5,
        [],
    ),
    Exponential(0.4): (stats.expon(-0.4, 0.4).pdf, -0.4, 15, []),
}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def assert_moments(found, expected, **tolerance):
    for name, a, b in zip(FIELDS, found, expected, strict=True):
        torch.testing.assert_close(
            a, b, **tolerance, msg=lambda text, name=name: f"{name}: {text}"
        )


def moments_of_squares(noise):
    """Exact moments of (e − z)², and of its slope 2(e − z), from those of z."""
    m2, m3, m4 = (noise.moment(k) for k in (2, 3, 4))
    variance = 4 * E**2 * m2 - 4 * E * m3 + m4 - m2**2
    return Moments(E**2 + m2, variance, 2 * E, torch.full_like(E, 4 * m2))


# -------------------------------------------------------------- delta method


@pytest.mark.parametrize("noise", [*LIGHT, StudentT(5.0, 0.4), Gaussian(0.0)], ids=repr)
def test_delta_method_is_exact_for_squares(noise):
    found = delta_method(lu.mse, T + E, T, noise=noise)
    assert_moments(found, moments_of_squares(noise), rtol=1e-12, atol=1e-14)


def test_delta_method_of_gaussian_noise_by_hand():
    s = 0.4
    found = delta_method(lu.mse, T + E, T, noise=Gaussian(s))
    variance = 4 * E**2 * s**2 + s**4 * (3 - 1)
    by_hand = Moments(E**2 + s**2, variance, 2 * E, torch.full_like(E, 4 * s**2))
    assert_moments(found, by_hand, rtol=1e-12, atol=1e-14)


def test_delta_method_on_the_input_and_the_value():
    noise, x = Exponential(0.4), T + E
    on_input = delta_method(lu.mse, x, T, noise=noise, on="input")
    m2, m3, m4 = (noise.moment(k) for k in (2, 3, 4))
    variance = 4 * E**2 * m2 + 4 * E * m3 + m4 - m2**2  # the sign of the skewness turns
    expected = Moments(E**2 + m2, variance, 2 * E, torch.full_like(E, 4 * m2))
    assert_moments(on_input, expected, rtol=1e-12, atol=1e-14)
    on_value = delta_method(lu.mse, x, T, noise=noise, on="value")
    expected = Moments(E**2, torch.full_like(E, m2), 2 * E, torch.zeros_like(E))
    assert_moments(on_value, expected, rtol=1e-12, atol=1e-14)


def test_delta_method_of_multiplied_noise():
    s, x = 0.3, T + E
    noise = Multiplicative(Gaussian(s))
    on_input = delta_method(lu.mse, x, T, noise=noise, on="input")
    # The slope in x of (x(1 + z) − t)² is 2(1 + z)(x(1 + z) − t).
    torch.testing.assert_close(on_input.value, E**2 + s**2 * x**2)
    torch.testing.assert_close(on_input.gradient, 2 * E + 2 * s**2 * x)
    variance = 4 * s**2 * (E + x) ** 2 + 8 * s**4 * x**2
    torch.testing.assert_close(on_input.gradient_variance, variance)
    on_value = delta_method(lu.mse, x, T, noise=noise, on="value")
    torch.testing.assert_close(on_value.gradient, 2 * E)
    torch.testing.assert_close(on_value.gradient_variance, 4 * s**2 * E**2)


def test_delta_method_of_a_sum_of_noises():
    noise = Gaussian(0.3) + Gaussian(0.4)
    found = delta_method(lu.mse, T + E, T, noise=noise)
    single = delta_method(lu.mse, T + E, T, noise=Gaussian(0.5))
    assert_moments(found, single, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("noise", LIGHT, ids=lambda noise: type(noise).__name__)
def test_error_of_the_delta_method_falls_with_the_third_order(noise):
    """Of log-cosh: what is missing is of third order (skewed noise) or fourth."""
    errors = []
    for level in (0.2, 0.1):
        small = type(noise)(level)
        found, true = (
            method(lu.log_cosh, E, 0 * E, noise=small)
            for method in (delta_method, quadrature)
        )
        errors.append((found.value - true.value).abs().max())
    assert errors[1] < errors[0] / (2**3 - 1)
    assert errors[1] < 1e-3


@pytest.mark.parametrize("df", [2.5, 3.0, 3.5, 4.0])
def test_delta_method_where_the_fourth_moment_is_infinite(df):
    found = delta_method(lu.mse, E, 0 * E, noise=StudentT(df, 1.0))
    assert (found.value_variance == math.inf).all()
    torch.testing.assert_close(found.value, E**2 + df / (df - 2))
    # The gradient is linear in z: its variance needs the second moment only.
    torch.testing.assert_close(found.gradient_variance, 0 * E + 4 * df / (df - 2))


# ------------------------------------------------------------------- quadrature


SMOOTH = {  # torch's loss, value and slope in the error x − t
    "mse": (lu.mse, lambda e: e**2, lambda e: 2 * e),
    "log_cosh": (lu.log_cosh, lambda e: math.log(math.cosh(e)), math.tanh),
    "cauchy": (
        lambda x, t: torch.log1p((x - t) ** 2).mean(),
        lambda e: math.log1p(e * e),
        lambda e: 2 * e / (1 + e * e),
    ),
}


def by_scipy(value, derivative, noise, sign, kinks=()):
    density, low, high, points = DENSITIES[noise]

    def mean(f, e):
        cuts = sorted(
            {p for p in [*points, *(sign * (k - e) for k in kinks)] if low < p < high}
        )
        edges = [low, *cuts, high]
        return sum(
            integrate.quad(
                lambda z: f(e + sign * z) * density(z), a, b, epsabs=1e-12, limit=200
            )[0]
            for a, b in itertools.pairwise(edges)
        )

    rows = []
    for e in E.tolist():
        v, g = mean(value, e), mean(derivative, e)
        rows.append(
            [
                v,
                mean(lambda x: value(x) ** 2, e) - v**2,
                g,
                mean(lambda x: derivative(x) ** 2, e) - g**2,
            ]
        )
    return Moments(*torch.tensor(rows, dtype=torch.float64).T)


@pytest.mark.parametrize("noise", DENSITIES, ids=repr)
@pytest.mark.parametrize("name", SMOOTH)
def test_quadrature_of_smooth_losses(name, noise):
    loss, value, derivative = SMOOTH[name]
    for on, sign in (("target", -1), ("input", 1)):
        found = quadrature(loss, T + E, T, noise=noise, on=on)
        expected = by_scipy(value, derivative, noise, sign)
        assert_moments(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("noise", DENSITIES, ids=repr)
def test_quadrature_of_losses_with_kinks(noise):
    mae = quadrature(lu.mae, T + E, T, noise=noise)
    expected = by_scipy(abs, np.sign, noise, -1, [0])
    assert_moments(mae, expected, rtol=0, atol=2e-3)  # of a jump from −1 to 1
    assert (mae.value - expected.value).abs().max() < 1e-6

    def huber(e):
        return e * e / 2 if abs(e) < 0.3 else 0.3 * (abs(e) - 0.15)

    found = quadrature(lambda x, t: lu.huber(x, t, delta=0.3), T + E, T, noise=noise)
    expected = by_scipy(huber, lambda e: np.clip(e, -0.3, 0.3), noise, -1, [-0.3, 0.3])
    assert_moments(found, expected, rtol=0, atol=1e-6)


def test_absolute_error_in_closed_form():
    s = 0.4
    found = quadrature(lu.mae, E, 0 * E, noise=Gaussian(s))
    erf = torch.erf(E / (s * math.sqrt(2)))
    folded = s * math.sqrt(2 / math.pi) * torch.exp(-((E / s) ** 2) / 2) + E * erf
    torch.testing.assert_close(found.value, folded, rtol=0, atol=1e-7)
    torch.testing.assert_close(
        found.value_variance, E**2 + s**2 - folded**2, rtol=0, atol=1e-7
    )
    torch.testing.assert_close(found.gradient, erf, rtol=0, atol=1e-3)
    torch.testing.assert_close(found.gradient_variance, 1 - erf**2, rtol=0, atol=2e-3)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_softplus_of_noisy_logits(label):
    found = quadrature(
        lu.binary_cross_entropy_with_logits,
        E,
        0 * E + label,
        noise=Gaussian(0.4),
        on="input",
    )
    expected = by_scipy(
        lambda x: math.log1p(math.exp(x)) - label * x,
        lambda x: 1 / (1 + math.exp(-x)) - label,
        Gaussian(0.4),
        1,
    )
    assert_moments(found, expected, rtol=0, atol=1e-9)


def test_quadrature_of_labels_is_the_sum_over_cases():
    logits, rate = E, 0.2
    found = quadrature(
        lu.binary_cross_entropy_with_logits, logits, 0 * E, noise=LabelFlips(rate)
    )
    stay, flip = F.softplus(logits), F.softplus(-logits)
    p = torch.sigmoid(logits)
    variance = rate * (1 - rate)
    expected = Moments(
        (1 - rate) * stay + rate * flip,
        variance * (stay - flip) ** 2,
        p - rate,
        torch.full_like(p, variance),
    )
    assert_moments(found, expected, rtol=1e-12, atol=1e-14)


def test_quadrature_of_salt_and_pepper():
    noise = SaltAndPepper(0.3, low=-1.0, high=2.0)
    found = quadrature(lu.mse, E, T, noise=noise, on="input")
    kept, low, high = (E - T) ** 2, (-1 - T) ** 2, (2 - T) ** 2
    torch.testing.assert_close(found.value, 0.7 * kept + 0.15 * (low + high))
    # A replaced input has no slope.
    torch.testing.assert_close(found.gradient, 0.7 * 2 * (E - T))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("noise", [Gaussian(0.4), StudentT(5.0, 0.4)], ids=repr)
def test_coarse_types_are_integrated_in_float64(noise, dtype):
    """The tails of StudentT reach 10¹⁷, and the square of that leaves float32."""
    x = torch.tensor([0.5, 1.0], dtype=dtype)
    found = quadrature(lu.mse, x, 0 * x, noise=noise)
    fine = quadrature(lu.mse, x.double(), 0 * x.double(), noise=noise)
    for a, b in zip(found, fine, strict=True):
        assert torch.equal(a, b.to(dtype))


def test_quadrature_gives_nan_where_the_loss_does():
    noise = Multiplicative(Gaussian(0.1))
    p, one = torch.tensor([0.4, 0.9], dtype=torch.float64), torch.ones(2).double()
    found = quadrature(lu.binary_cross_entropy, p, one, noise=noise, on="input")
    for moment in found:
        assert moment.isnan().tolist() == [False, True]
    certain = SaltAndPepper(0.0, low=-1.0, high=-1.0)
    kept = quadrature(lu.binary_cross_entropy, p, one, noise=certain, on="input")
    torch.testing.assert_close(kept.value, -p.log())
    with_nan = torch.tensor([0.5, math.nan], dtype=torch.float64)
    for method in (quadrature, delta_method):
        found = method(lu.mse, with_nan, 0 * one, noise=Gaussian(0.1))
        assert found.value.isnan().tolist() == [False, True]


def test_quadrature_of_an_infinite_loss():
    def loss(x, t):
        return (x - t).abs().log().mean()

    found = quadrature(loss, 0 * E, 0 * E, noise=LabelFlips(0.5))
    assert (found.value == -math.inf).all()
    assert found.value_variance.isnan().all()  # inf − inf


# ------------------------------------------------------- simulation beside integral


LOSSES = {
    "mse": lu.mse,
    "mae": lu.mae,
    "huber": lu.huber,
    "log_cosh": lu.log_cosh,
    "welsch": lu.welsch,
    "bce": lu.binary_cross_entropy_with_logits,
}
NOISES = [*LIGHT, StudentT(12.0, 0.3), Gaussian(1.5), Multiplicative(Gaussian(0.3))]
DRAWS = 4000
# Six by seven by three by five elements with four moments each: of 2520 comparisons one
# in a thousand such runs has one beyond this.
BAND = stats.norm.isf(0.5e-3 / 2520)


@pytest.mark.parametrize("on", ["target", "input", "value"])
@pytest.mark.parametrize("noise", NOISES, ids=repr)
@pytest.mark.parametrize("name", LOSSES)
def test_quadrature_agrees_with_simulation(name, noise, on):
    if name == "bce" and on == "target":
        target, noise = torch.tensor([0.0, 1, 1, 0, 1], dtype=E.dtype), LabelFlips(0.2)
    else:
        target = T.clamp(0, 1)
    input = target + E
    true = quadrature(LOSSES[name], input, target, noise=noise, on=on)
    found, error = monte_carlo(
        LOSSES[name], input, target, noise=noise, on=on, draws=DRAWS, generator=seeded(6)
    )
    jump = 2e-3 if name == "mae" else 1e-6
    for what, a, b, se in zip(FIELDS, found, true, error, strict=True):
        assert ((a - b).abs() <= BAND * se + jump).all(), (what, (a - b) / se)
        assert (se <= 0.1 * (1 + b.abs())).all()  # so that the band says something


def test_simulation_notices_another_level():
    """The test above has power: noise an eighth too strong is seen in each element."""
    true = quadrature(lu.mse, E, 0 * E, noise=Gaussian(0.4))
    found, error = monte_carlo(
        lu.mse, E, 0 * E, noise=Gaussian(0.45), draws=DRAWS, generator=seeded(6)
    )
    beyond = (found.gradient_variance - true.gradient_variance) / error.gradient_variance
    assert (beyond > BAND).all()


@pytest.mark.parametrize("noise", [Gaussian(0.4), LabelFlips(0.3)], ids=repr)
def test_standard_errors_are_the_spread_of_repeats(noise):
    """Also where a loss has two values: there the kurtosis is far from a Gaussian's."""
    labels = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    g, results, errors = seeded(3), [], []
    for _ in range(300):
        found, error = monte_carlo(
            lu.mse, E[:3], labels, noise=noise, draws=400, generator=g
        )
        results.append(torch.stack(found))
        errors.append(torch.stack(error))
    spread, claimed = torch.stack(results).std(0), torch.stack(errors).mean(0)
    # The sd of 300 has a relative error of 1/√600; the claims vary by a tenth or less.
    torch.testing.assert_close(spread, claimed, rtol=4.5 / math.sqrt(600), atol=0)


def test_monte_carlo_of_little_noise():
    found, error = monte_carlo(lu.mse, E, 0 * E, noise=Gaussian(0.0), draws=2)
    assert_moments(found, Moments(E**2, 0 * E, 2 * E, 0 * E))
    assert not any(e.any() for e in error)
    # Two values of equal weight: the fourth moment says the variance is known exactly, but
    # that of 100 draws is not.
    _, error = monte_carlo(
        lu.mse, E, 0 * E + 0.5, noise=Gaussian(0.4), draws=100, generator=seeded()
    )
    assert all((e > 0).all() for e in error)


def test_monte_carlo_takes_sums_and_generators():
    noise = Gaussian(0.3) + Laplace(0.4)
    before = torch.get_rng_state()
    first, second = (
        monte_carlo(lu.mse, E, T, noise=noise, draws=500, generator=seeded(1))
        for _ in range(2)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert_moments(first[0], second[0], rtol=0, atol=0)
    other = monte_carlo(lu.mse, E, T, noise=noise, draws=500)
    assert not torch.equal(other[0].value, first[0].value)


# ----------------------------------------------------------------- the whole batch


def test_of_mean_is_the_noisy_mean():
    x, t, noise, repeats = T + E, T, Gaussian(0.4), 20_000
    predicted = quadrature(lu.mse, x, t, noise=noise).of_mean()
    z = noise.draw(torch.empty(repeats, 5, dtype=torch.float64), generator=seeded(2))
    values = ((x - t - z) ** 2).mean(1)
    gradients = 2 * (x - t - z) / 5
    torch.testing.assert_close(predicted.value, (E**2).mean() + 0.16)
    band = 4 * values.std() / math.sqrt(repeats)
    assert (values.mean() - predicted.value).abs() < band
    assert values.var().item() == pytest.approx(predicted.value_variance.item(), rel=0.06)
    torch.testing.assert_close(predicted.gradient, 2 * E / 5, atol=1e-9, rtol=0)
    torch.testing.assert_close(
        predicted.gradient_variance,
        gradients.var(0),
        rtol=4 * math.sqrt(2 / repeats),
        atol=0,
    )
    assert predicted.value.shape == predicted.value_variance.shape == ()
    assert predicted.gradient.shape == (5,)


# --------------------------------------------------------------- what they share


METHODS = {
    "delta_method": delta_method,
    "quadrature": quadrature,
    "monte_carlo": lambda *args, **more: monte_carlo(*args, draws=20, **more)[0],
}
methods = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


@methods
@pytest.mark.parametrize("shape", [(), (1,), (2, 3), (2, 1, 2)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shape_and_type_are_kept_and_no_graph(method, shape, dtype):
    x = torch.rand(shape, dtype=dtype).requires_grad_()
    for on in ("target", "input", "value"):
        for moment in method(lu.mse, x, 0 * x.detach(), noise=Gaussian(0.1), on=on):
            assert (moment.shape, moment.dtype) == (shape, dtype)
            assert not moment.requires_grad
            moment += 1  # has memory of its own


@methods
def test_elements_do_not_mix(method):
    if method is METHODS["monte_carlo"]:
        together = monte_carlo(lu.mse, E, T, noise=Gaussian(0.0), draws=2)[0]
        alone = [
            monte_carlo(lu.mse, e, t, noise=Gaussian(0.0), draws=2)[0]
            for e, t in zip(E, T, strict=True)
        ]
    else:
        together = method(lu.mse, E, T, noise=Gaussian(0.3))
        alone = [
            method(lu.mse, e, t, noise=Gaussian(0.3)) for e, t in zip(E, T, strict=True)
        ]
    assert_moments(together, Moments(*map(torch.stack, zip(*alone, strict=True))))


@methods
def test_torchs_losses_modules_and_own_ones(method):
    own = lambda x, t: ((x - t) ** 2).sum()  # noqa: E731
    with torch.random.fork_rng():
        results = []
        for loss in (lu.mse, F.mse_loss, torch.nn.MSELoss(), lu.MSELoss(), own):
            torch.manual_seed(0)
            results.append(method(loss, E, T, noise=Gaussian(0.1)))
    for other in results[1:]:
        assert_moments(results[0], other)


@methods
@pytest.mark.parametrize(
    ("arguments", "more", "error", "message"),
    [
        ((E, T[:3]), {}, ValueError, r"input has shape \(5,\) and target \(3,\)"),
        ((E, T[:, None]), {}, ValueError, "expected one shape"),
        ((E[:0], T[:0]), {}, ValueError, r"input has shape \(0,\), expected an element"),
        ((E, T), {"on": "output"}, ValueError, "on is 'output', expected 'target'"),
        ((E, torch.arange(5)), {}, TypeError, "target is torch.int64, expected a floating"),
        (([0.0], T), {}, TypeError, "input is list, expected a floating-point tensor"),
        (
            (E, T),
            {"noise": VarianceDrift(Gaussian(1.0), 0.0, 1.0)},
            TypeError,
            "noise|white",
        ),
        ((E, T), {"noise": MeanDrift(0.0, 1.0)}, TypeError, "MeanDrift"),
        ((E, T), {"noise": 0.1}, TypeError, "a float, expected a noise"),
    ],
)
def test_mistakes(method, arguments, more, error, message):
    with pytest.raises(error, match=message):
        method(lu.mse, *arguments, **{"noise": Gaussian(0.1), **more})


@methods
def test_a_loss_that_does_not_reduce_is_refused(method):
    def loss(x, t):
        return lu.mse(x, t, reduction="none")

    with pytest.raises(
        ValueError, match=r"has shape \(1,\), expected a scalar: reduction="
    ):
        method(loss, E, T, noise=Gaussian(0.1))


@pytest.mark.parametrize("method", [quadrature, METHODS["monte_carlo"]])
def test_labels_out_of_range_are_refused(method):
    """Under vmap no value can be looked at: without a look before it they would pass."""
    with pytest.raises(ValueError, match="label is -1"):
        method(lu.mse, E, torch.full_like(E, -1), noise=LabelFlips(0.1))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: delta_method(lu.mse, E, T, noise=StudentT(2.0, 1.0)),
            ValueError,
            "infinite variance.*use quadrature",
        ),
        (
            lambda: delta_method(lu.mse, E, T, noise=LabelFlips(0.1)),
            TypeError,
            "delta_method takes noise that is added",
        ),
        (
            lambda: quadrature(lu.mse, E, T, noise=Gaussian(1.0) + Gaussian(1.0)),
            TypeError,
            "use monte_carlo",
        ),
        (
            lambda: monte_carlo(lu.mse, E, T, noise=AR1(1.0, 0.5)),
            TypeError,
            "not white: draws of one element are not independent",
        ),
        (
            lambda: monte_carlo(lu.mse, E, T, noise=Gaussian(1.0), draws=1),
            ValueError,
            "draws is 1, expected 2 or more",
        ),
    ],
)
def test_what_a_method_cannot_do(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_mse_of_torch_fails_under_two_vmaps_one_of_which_maps_the_noise():
    """Why `_table` is flat. If this fails torch has mended it: simplify there."""

    def value(x, t, z):
        return F.mse_loss(x.reshape(1), (t + z).reshape(1))

    z = torch.rand(7, 5, dtype=torch.float64)
    over_noise = torch.func.vmap(value, in_dims=(None, None, 0))
    with pytest.raises(RuntimeError, match="invalid for input of size"):
        torch.func.vmap(over_noise, in_dims=(0, 0, 1))(E, T, z)
    flat = torch.func.vmap(value)(E.repeat(7), T.repeat(7), z.flatten()).reshape(7, 5)
    torch.testing.assert_close(flat, (E - T - z) ** 2)


# ------------------------------------------------------------- leaving an interval


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_probabilities_of_nan_in_the_articles_log_loss(dtype):
    p = torch.tensor([0.7, 0.8, 0.9, 0.95, 0.99], dtype=dtype)
    found = probability_outside(p, noise=Multiplicative(Gaussian(0.1)))
    assert (found.dtype, found.shape) == (dtype, p.shape)
    rounded = [float(f"{v:.2g}") for v in found.tolist()[:2]]
    assert rounded == [9.1e-6, 0.0062]
    assert [round(v, 3) for v in found.tolist()[2:]] == [0.133, 0.299, 0.460]
    q = p.double().numpy()
    exact = stats.norm.sf((1 / q - 1) / 0.1) + stats.norm.cdf(-1 / 0.1)
    np.testing.assert_allclose(found, exact, rtol=1e-5)


REFERENCES = {
    Gaussian(0.2): stats.norm(scale=0.2),
    Laplace(0.2): stats.laplace(scale=0.2 / math.sqrt(2)),
    Uniform(0.2): stats.uniform(-0.2 * 3**0.5, 0.4 * 3**0.5),
    Exponential(0.2): stats.expon(-0.2, 0.2),
    StudentT(3.0, 0.2): stats.t(3, scale=0.2),
    AR1(0.2, 0.9): stats.norm(scale=0.2),
}


@pytest.mark.parametrize("noise", REFERENCES, ids=repr)
@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-0.5, 1.2)])
def test_probability_outside_is_scipys_and_that_of_draws(noise, low, high):
    p = torch.tensor([0.02, 0.3, 0.7, 0.9, 0.99], dtype=torch.float64)
    z = REFERENCES[noise]
    draws = noise.draw(torch.empty(1, 50_000, dtype=torch.float64), generator=seeded(1))
    for model in (noise, Multiplicative(noise)):
        factor = p.numpy() if isinstance(model, Multiplicative) else 1.0
        below, above = (low - p.numpy()) / factor, (high - p.numpy()) / factor
        found = probability_outside(p, noise=model, low=low, high=high)
        np.testing.assert_allclose(found, z.cdf(below) + z.sf(above), atol=1e-14)
        noisy = model.corrupt(p[:, None], draws)
        share = ((noisy < low) | (noisy > high)).double().mean(1)
        band = 4.5 * (found * (1 - found) / 50_000).sqrt()
        assert ((share - found).abs() <= band + 1e-12).all()


@pytest.mark.parametrize(
    "noise", [Gaussian(0.0), Exponential(0.0), StudentT(3.0, 0.0)], ids=repr
)
def test_nothing_leaves_without_noise_not_even_from_the_edge(noise):
    p = torch.tensor([0.0, 0.3, 1.0])
    assert probability_outside(p, noise=noise).tolist() == [0, 0, 0]
    assert probability_outside(p[1:], noise=Multiplicative(noise)).tolist() == [0, 0]


def test_half_leaves_from_the_edge():
    found = probability_outside(torch.tensor([0.0, 1.0]), noise=Gaussian(0.1))
    assert found.tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: probability_outside(torch.tensor([0.5, 1.5]), noise=Gaussian(0.1)),
            ValueError,
            r"values holds 1\.5, outside \[0, 1\] before any noise",
        ),
        (
            lambda: probability_outside(
                torch.tensor([0.5, 0.0]), noise=Multiplicative(Gaussian(0.1))
            ),
            ValueError,
            "values holds 0, expected numbers above 0",
        ),
        (
            lambda: probability_outside(torch.arange(2), noise=Gaussian(0.1)),
            TypeError,
            "values is torch.int64, expected a floating-point tensor",
        ),
        (
            lambda: probability_outside([0.5], noise=Gaussian(0.1)),
            TypeError,
            "values is list",
        ),
        (
            lambda: probability_outside(E[3:4], noise=LabelFlips(0.1)),
            TypeError,
            "probability_outside takes noise that is added",
        ),
        (
            lambda: probability_outside(E[3:4], noise=Gaussian(1.0) + Gaussian(1.0)),
            TypeError,
            "no distribution function",
        ),
    ],
)
def test_probability_outside_refuses(call, error, message):
    with pytest.raises(error, match=message):
        call()
