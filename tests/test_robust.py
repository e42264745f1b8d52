"""The robust family against 50-digit arithmetic, and the properties its names promise."""

import functools
import math

import mpmath
import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from mpmath import mpf

import lossutils as lu
from lossutils.losses._general_robust import _exp_difference

# Loss -> its scale parameter, its default, where its slope is largest (over the scale).
FAMILY = {
    "charbonnier": ("delta", 1.0, math.inf),
    "cauchy": ("c", 2.3849, 1.0),
    "geman_mcclure": ("c", 3.7874, 1 / math.sqrt(3)),
    "welsch": ("c", 2.9846, 1 / math.sqrt(2)),
    "tukey": ("c", 4.6851, 1 / math.sqrt(5)),
}
REDESCENDING = [name for name in FAMILY if name != "charbonnier"]
DTYPES = (torch.float32, torch.float64)
ALPHAS = (
    *(-math.inf, -1e6, -10.0, -2.0, -1.0, -1e-3, -1e-6, -1e-12, -0.0, 0.0, 1e-12, 1e-7),
    *(1e-3, 0.5, 0.99, 1.0, 1.01, 1.5, 2 - 1e-6, 2 - 1e-12, 2.0, 2 + 1e-12, 2 + 1e-6),
    *(2.5, 2.99, 3.0, 3.01, 4.0, 10.0, 1e6, math.inf),
)
ERRORS = (
    *(10.0**k for k in range(-20, 21, 4)),
    *(0.1, 0.3, 0.7, 1.0, 1.3, 2.0, 2.9, 4.0, 5.5, 7.3, 10.0, 12.0, 20.0),
)

properties = settings(derandomize=True, deadline=None, max_examples=100)
errors = st.floats(-1e6, 1e6)
scales = st.floats(1e-2, 1e2)
shapes = st.one_of(st.floats(-20, 6), st.sampled_from(ALPHAS))


def unreduced(name, e, scale=None, **parameters):
    e = torch.as_tensor(e, dtype=getattr(e, "dtype", torch.float64))
    if scale is not None:
        parameters[FAMILY[name][0] if name in FAMILY else "c"] = scale
    zeros = torch.zeros_like(e)
    return getattr(lu, name)(e, zeros, reduction="none", **parameters)


def slope(name, e, scale=None, **parameters):
    e = torch.as_tensor(e, dtype=getattr(e, "dtype", torch.float64)).requires_grad_()
    (gradient,) = torch.autograd.grad(unreduced(name, e, scale, **parameters).sum(), e)
    return gradient


# ---------------------------------------------------------------- round-off


def exactly(name, e, scale):
    """The definition, at mpmath's precision."""
    s = (mpf(e) / mpf(scale)) ** 2
    share = {
        "charbonnier": lambda: mpmath.sqrt(1 + s) - 1,
        "cauchy": lambda: mpmath.log1p(s) / 2,
        "geman_mcclure": lambda: s / (1 + s) / 2,
        "welsch": lambda: -mpmath.expm1(-s) / 2,
        "tukey": lambda: (1 - max(1 - s, 0) ** 3) / 6,
    }
    return mpf(scale) ** 2 * share[name]()


def exactly_general(z, alpha):
    """Barron's equation 8, with its limits, at mpmath's precision."""
    s, alpha = mpf(z) ** 2, mpf(alpha)
    if alpha == 2:
        return s / 2
    if alpha == 0:
        return mpmath.log1p(s / 2)
    if mpmath.isinf(alpha):
        sign = mpmath.sign(alpha)
        return sign * mpmath.expm1(sign * s / 2)
    b = abs(alpha - 2)
    return b / alpha * mpmath.expm1(alpha / 2 * mpmath.log1p(s / b))


def round_off(got, exact, condition, dtype, unit=1.0):
    """Hold a result to 4 eps times (1 + its condition number), or say how far it is off.

    The condition number Σ|xᵢ ∂f/∂xᵢ|/|f| is what a relative error of 1 in each argument
    does to the result: rounding the arguments alone costs that, so no formula can
    promise less. Infinity is right only for what does not fit the type. Below the
    smallest normal number a result is good to 4 of the type's smallest steps, times the
    `unit` that the loss is multiplied by in the end (scale², or its inverse).
    """
    info = torch.finfo(dtype)
    step = mpf(info.tiny) * info.eps
    if abs(exact) > info.max:
        return abs(got) > 0.99 * info.max
    if not math.isfinite(got):
        return False
    allowed = 4 * info.eps * (1 + condition) * abs(exact) + 4 * step * unit
    return abs(mpf(got) - exact) <= allowed


def relative_derivative(f, x, order=1):
    """x f'(x), taken in the logarithm of x, so that the step fits any size of x."""
    return mpmath.diff(lambda t: f(x * mpmath.exp(t)), 0, order)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("factor", [1.0, 0.1, 30.0])
@pytest.mark.parametrize("name", FAMILY)
def test_value_and_gradient_to_round_off(name, factor, dtype):
    scale = FAMILY[name][1] * factor
    largest = torch.finfo(dtype).max
    e = torch.tensor([*ERRORS, largest / 2, largest], dtype=dtype)
    e = e[(e / scale).sub(1).abs() > 1e-3]  # mpmath cannot differentiate Tukey's edge
    value, gradient = unreduced(name, e, scale), slope(name, e, scale)
    unit = max(scale**2, scale**-2)
    with mpmath.workdps(400):
        for x, v, g in zip(*(a.tolist() for a in (e, value, gradient)), strict=True):

            def f(x):
                return exactly(name, x, scale)

            def relative_slope(x):
                return relative_derivative(f, x)

            exact, x_slope = f(mpf(x)), relative_slope(mpf(x))
            assert round_off(v, exact, x_slope / exact, dtype, unit), (x, v, exact)
            bend = relative_derivative(f, mpf(x), 2) - x_slope  # x² f''
            condition = abs(bend / x_slope) if x_slope else 0
            assert round_off(g, x_slope / x, condition, dtype, unit), (x, g, x_slope / x)


@functools.cache
def exact_general(alpha, z):
    """(ρ, ∂ρ/∂z, ∂ρ/∂α), each with its condition number, for α and z in their type.

    At α = 2 the derivative in α does not exist, and at ±∞ it is 0.
    """
    with mpmath.workdps(200):
        alpha, z = mpf(alpha), mpf(z)

        def f(z, a):
            return exactly_general(z, a)

        def in_z(z, a):
            return relative_derivative(lambda z: f(z, a), z) / z

        def bend(z, a):
            return (relative_derivative(lambda z: f(z, a), z, 2) / z - in_z(z, a)) / z

        fixed = mpmath.isinf(alpha) or alpha == 2

        def partial(g, z):
            return mpf(0) if fixed else mpmath.diff(lambda a: g(z, a), alpha)

        value, dz = f(z, alpha), in_z(z, alpha)
        da = partial(f, z)

        def condition(of_z, of_alpha, result):
            if result == 0:
                return mpf(0)
            times_alpha = 0 if fixed else alpha * of_alpha
            return (abs(z * of_z) + abs(times_alpha)) / abs(result)

        mixed = partial(in_z, z)
        twice = mpf(0) if fixed else mpmath.diff(lambda a: f(z, a), alpha, 2)
        return (
            (value, condition(dz, da, value)),
            (dz, condition(bend(z, alpha), mixed, dz)),
            None if alpha == 2 else (da, condition(mixed, twice, da)),
        )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("alpha", ALPHAS)
def test_general_robust_to_round_off(alpha, dtype):
    z = torch.tensor(ERRORS, dtype=dtype, requires_grad=True)
    shape = torch.full_like(z, alpha, requires_grad=True)
    value = lu.general_robust(z, torch.zeros_like(z), alpha=shape, reduction="none")
    results = (value, *torch.autograd.grad(value.sum(), (z, shape)))
    for i, x in enumerate(z.tolist()):
        for what, got, exact in zip(
            ("value", "dz", "dalpha"),
            results,
            exact_general(shape[0].item(), x),
            strict=True,
        ):
            if exact is not None:
                assert round_off(got[i].item(), *exact, dtype), (what, x, got[i], exact)


@pytest.mark.parametrize("dtype", DTYPES)
def test_series_of_the_shape_derivative_reaches_its_limit(dtype):
    e3 = mpmath.exp(3)
    exact = {
        (0.0, 0.0, 3.0): (e3 - 1 - 3 - mpf(9) / 2) / 27,
        (3.0, 3.0, 3.0): (e3 / 2 - (e3 - (e3 - 1) / 3) / 3) / 3,
    }
    for points, value in exact.items():
        got = _exp_difference([torch.tensor(x, dtype=dtype) for x in points])
        assert round_off(got.item(), value, 0, dtype)


def test_shape_derivative_at_two_is_documented():
    x = torch.tensor([0.0, 1e-3, 1.0, 1e3, 1e10])
    alpha = torch.full_like(x, 2.0, requires_grad=True)
    lu.general_robust(x, torch.zeros_like(x), alpha=alpha, reduction="sum").backward()
    b = torch.finfo(x.dtype).eps ** 2
    for got, z in zip(alpha.grad.tolist(), x.tolist(), strict=True):
        with mpmath.workdps(100):
            exact = mpmath.diff(lambda a, z=z: exactly_general(z, a), 2 - mpf(b))
        assert got == pytest.approx(float(exact), rel=1e-5)


@pytest.mark.parametrize(("alpha", "x"), [(1.0, 1e-3), (1e-6, 1.0), (-1e-6, 3.0)])
def test_more_accurate_than_the_formula_as_printed(alpha, x):
    x, alpha = torch.tensor(x), torch.tensor(alpha)
    b = (alpha - 2).abs()
    printed = b / alpha * ((x.square() / b + 1) ** (alpha / 2) - 1)
    exact = exactly_general(x.item(), alpha.item())
    ours = unreduced("general_robust", x, alpha=alpha)
    assert abs(printed.item() / exact - 1) > 1e-3
    assert abs(ours.item() / exact - 1) < 4e-7


# --------------------------------------------------------------- properties


def both(test):
    """Run a test over the family and over the general loss."""
    return pytest.mark.parametrize("name", [*FAMILY, "general_robust"])(test)


def parameters_of(name, alpha):
    return {"alpha": alpha} if name == "general_robust" else {}


@both
@properties
@given(e=errors, scale=scales, alpha=shapes)
def test_zero_at_the_origin_and_symmetric(name, e, scale, alpha):
    more = parameters_of(name, alpha)
    assert unreduced(name, 0.0, scale, **more) == 0
    assert slope(name, 0.0, scale, **more) == 0
    assert unreduced(name, e, scale, **more) == unreduced(name, -e, scale, **more)
    assert slope(name, e, scale, **more) == -slope(name, -e, scale, **more)


@both
@properties
@given(e=errors, other=errors, scale=scales, alpha=shapes)
def test_never_falls_as_the_error_grows(name, e, other, scale, alpha):
    small, large = sorted((abs(e), abs(other)))
    more = parameters_of(name, alpha)
    below, above = (unreduced(name, x, scale, **more) for x in (small, large))
    assert below <= above * (1 + 1e-13)
    assert slope(name, large, scale, **more) >= 0


@both
@properties
@given(exponent=st.floats(-8, -0.5), scale=scales, alpha=shapes)
def test_quadratic_near_zero(name, exponent, scale, alpha):
    z = 10**exponent
    more = parameters_of(name, alpha)
    parabola = z**2 / 2 if name == "general_robust" else (z * scale) ** 2 / 2
    ratio = unreduced(name, z * scale, scale, **more).item() / parabola
    assert abs(ratio - 1) <= z**2 + 1e-14  # the next term of each series is below z² e²/2
    e = torch.zeros((), dtype=torch.float64, requires_grad=True)
    loss = unreduced(name, e, scale, **more)
    (first,) = torch.autograd.grad(loss, e, create_graph=True)
    (curvature,) = torch.autograd.grad(first, e)
    expected = 1 / scale**2 if name == "general_robust" else 1
    assert curvature.item() == pytest.approx(expected, rel=1e-14)


@both
@properties
@given(e=errors, scale=scales, k=st.floats(1e-3, 1e3), alpha=shapes)
def test_scale_behaviour(name, e, scale, k, alpha):
    more = parameters_of(name, alpha)
    before = unreduced(name, e, scale, **more).item()
    after = unreduced(name, e * k, scale * k, **more).item()
    assume(math.isfinite(before) and (alpha <= 3 or before < 1e12))  # else ill-conditioned
    expected = before if name == "general_robust" else k**2 * before
    assert after == pytest.approx(expected, rel=1e-11, abs=1e-300)


@pytest.mark.parametrize("name", FAMILY)
@properties
@given(e=errors, scale=scales)
def test_slope_is_bounded(name, e, scale):
    peak = FAMILY[name][2]
    bound = slope(name, scale * min(peak, 1e9), scale).item()
    exact = {
        "charbonnier": 1,
        "cauchy": 1 / 2,
        "geman_mcclure": 3 * math.sqrt(3) / 16,
        "welsch": math.exp(-1 / 2) / math.sqrt(2),
        "tukey": 16 / (25 * math.sqrt(5)),
    }
    assert bound == pytest.approx(exact[name] * scale, rel=1e-13)
    assert abs(slope(name, e, scale).item()) <= bound * (1 + 1e-13)


@properties
@given(e=errors, scale=scales, alpha=st.floats(-20, 1) | st.just(-math.inf))
def test_slope_of_the_general_loss_is_bounded_up_to_alpha_1(e, scale, alpha):
    if alpha == -math.inf:
        peak, bound = 1.0, math.exp(-1 / 2)
    elif alpha == 1:
        peak, bound = 1e9, 1.0
    else:
        peak = math.sqrt((2 - alpha) / (1 - alpha))
        bound = peak ** (alpha - 1)
    assert abs(slope("general_robust", e, scale, alpha=alpha)) <= bound / scale * (
        1 + 1e-12
    )
    at_peak = slope("general_robust", peak * scale, scale, alpha=alpha).item()
    assert at_peak == pytest.approx(bound / scale, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "alpha"),
    [
        *((name, None) for name in REDESCENDING),
        *(("general_robust", a) for a in (0.5, 0, -9)),
    ],
)
def test_redescending(name, alpha):
    more = {} if alpha is None else {"alpha": alpha}
    slopes = slope(name, 10.0 ** torch.arange(1, 19, dtype=torch.float64), **more)
    assert (slopes.diff() <= 0).all()
    assert slopes[-1] < 1e-8


@pytest.mark.parametrize("alpha", [1.1, 2.0, 2.5])
def test_general_loss_is_unbounded_above_alpha_1(alpha):
    assert slope("general_robust", 1e12, alpha=alpha) > 10


@properties
@given(e=errors, alpha=shapes, other=shapes)
def test_general_loss_rises_with_alpha(e, alpha, other):
    low, high = sorted((alpha, other))
    below, above = (unreduced("general_robust", e, alpha=a) for a in (low, high))
    assert below <= above * (1 + 1e-12)


@properties
@given(e=errors, scale=st.floats(0.1, 10))
def test_limits_of_the_general_loss(e, scale):
    def general(alpha, c):
        return unreduced("general_robust", e, c, alpha=alpha).item()

    def close(value):
        return pytest.approx(value.item() / scale**2, rel=1e-13, abs=1e-300)

    assert general(1.0, scale) == close(unreduced("charbonnier", e, scale))
    assert general(0.0, scale / math.sqrt(2)) / 2 == close(unreduced("cauchy", e, scale))
    assert general(-2.0, scale / 2) / 4 == close(unreduced("geman_mcclure", e, scale))
    welsch = unreduced("welsch", e, scale)
    assert general(-math.inf, scale / math.sqrt(2)) / 2 == close(welsch)
    assert general(2.0, scale) == close(unreduced("mse", e) / 2)


@pytest.mark.parametrize("limit", [0.0, 2.0, -math.inf, math.inf])
def test_general_loss_is_continuous_at_its_limits(limit):
    z = torch.linspace(-5, 5, 101, dtype=torch.float64)
    step = torch.tensor([1e-4, 1e-7, 1e-10], dtype=torch.float64)
    near = limit + step if math.isfinite(limit) else math.copysign(1, limit) / step
    there = unreduced("general_robust", z, alpha=limit)
    gaps = [(unreduced("general_robust", z, alpha=a) - there).abs().max() for a in near]
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < 1e-4 * gaps[0]


@both
@properties
@given(
    e=st.floats(width=32, allow_nan=False, allow_infinity=False),
    scale=scales,
    alpha=st.floats(width=32, allow_nan=False) | shapes,
)
@example(e=3.4028234663852886e38, scale=0.01, alpha=0.0)
@example(e=1.401298464324817e-45, scale=100.0, alpha=2.0)
def test_gradients_are_never_nan(name, e, scale, alpha):
    e = torch.tensor(e, dtype=torch.float32, requires_grad=True)
    more = {}
    if name == "general_robust":
        more = {"alpha": torch.tensor(alpha, dtype=torch.float32, requires_grad=True)}
    loss = unreduced(name, e, scale, **more)
    first = torch.autograd.grad(loss, (e, *more.values()), create_graph=True)
    assert not any(g.isnan() for g in (loss, *first))
    (second,) = torch.autograd.grad(first[0], e)
    assert not second.isnan() or (more and alpha > 2)  # there it overflows, inf − inf


@pytest.mark.parametrize(
    ("name", "more"),
    [*((name, {}) for name in FAMILY), *(("general_robust", {"alpha": a}) for a in ALPHAS)],
)
def test_nan_comes_out_as_nan(name, more):
    e = torch.tensor([1.0, math.nan, 1e30], requires_grad=True)
    loss = unreduced(name, e, **more)
    (gradient,) = torch.autograd.grad(loss.sum(), e)
    assert loss.isnan().tolist() == gradient.isnan().tolist() == [False, True, False]


@pytest.mark.parametrize("where", ["alpha", "input"])
def test_nan_comes_out_of_the_shape_derivative(where):
    nan = torch.tensor([1.0, math.nan, 2.0])
    alpha, e = (nan, torch.ones(3)) if where == "alpha" else (torch.zeros(3), nan)
    loss = unreduced("general_robust", e, alpha=alpha.requires_grad_())
    (gradient,) = torch.autograd.grad(loss.sum(), alpha)
    assert loss.isnan().tolist() == gradient.isnan().tolist() == [False, True, False]


@both
def test_infinite_error_costs_what_the_loss_tends_to(name):
    e = torch.tensor([math.inf, -math.inf])
    c = FAMILY[name][1] if name in FAMILY else 1.0
    limits = {
        "charbonnier": math.inf,
        "cauchy": math.inf,
        "geman_mcclure": c**2 / 2,
        "welsch": c**2 / 2,
        "tukey": c**2 / 6,
        "general_robust": math.inf,
    }
    assert unreduced(name, e).tolist() == pytest.approx([limits[name]] * 2)
    if name in ("geman_mcclure", "welsch", "tukey"):
        assert slope(name, e).tolist() == [0, 0]
    if name == "general_robust":
        assert unreduced(name, e, alpha=-2.0).tolist() == pytest.approx([2.0] * 2)
        assert slope(name, e, alpha=-2.0).tolist() == pytest.approx([0, 0])


# -------------------------------------------------------------- efficiency


def efficiency(name, scale):
    """(E ψ')² / E ψ² for standard normal errors, with ψ the slope of the loss.

    The trapezoid rule over ±12 standard deviations, exact to far below 1e-9.
    """
    e = torch.linspace(-12, 12, 20_001, dtype=torch.float64, requires_grad=True)
    loss = unreduced(name, e, scale)
    (psi,) = torch.autograd.grad(loss.sum(), e, create_graph=True)
    (bend,) = torch.autograd.grad(psi.sum(), e)
    density = torch.exp(-(e.detach() ** 2) / 2) / math.sqrt(2 * math.pi)
    step = 24 / 20_000
    psi = psi.detach()
    return ((bend * density).sum() * step) ** 2 / ((psi**2 * density).sum() * step)


@pytest.mark.parametrize("name", REDESCENDING)
def test_default_has_95_percent_efficiency(name):
    default = lu.CATALOGUE[name].function.__kwdefaults__["c"]
    assert default == FAMILY[name][1]
    # Defaults are given to four decimals: 0.95 lies within one unit of the last.
    assert efficiency(name, default - 1e-4) < 0.95 < efficiency(name, default + 1e-4)


def test_efficiency_of_charbonnier_is_as_documented():
    assert efficiency("charbonnier", 1.2870) < 0.95 < efficiency("charbonnier", 1.2872)
    assert float(efficiency("charbonnier", 1.0)) == pytest.approx(0.927, abs=5e-4)


# ------------------------------------------------- α and c as tensors, transforms

G = torch.Generator().manual_seed(0)
X = 3 * torch.randn(6, 3, generator=G, dtype=torch.float64)
T = torch.zeros_like(X)
TENSORS = {
    "scalar": torch.tensor(0.7, dtype=torch.float64),
    "per column": torch.tensor([-1.5, 0.0, 2.0], dtype=torch.float64),
    "per element": torch.linspace(-6, 6, 18, dtype=torch.float64).reshape(6, 3),
}


def test_alias():
    assert lu.pseudo_huber is lu.charbonnier


@pytest.mark.parametrize("alpha", TENSORS.values(), ids=TENSORS)
def test_tensor_shapes_equal_floats(alpha):
    together = lu.general_robust(X, T, alpha=alpha, c=alpha.abs() + 1, reduction="none")
    each = [
        lu.general_robust(x, t, alpha=a.item(), c=abs(a.item()) + 1)
        for x, t, a in zip(
            X.flatten(), T.flatten(), alpha.expand(6, 3).flatten(), strict=True
        )
    ]
    torch.testing.assert_close(together.flatten(), torch.stack(each), rtol=1e-15, atol=0)


@pytest.mark.parametrize("alpha", [-6.0, -2.0, 0.0, 1.0, 1.999, 2.001, 3.0, 4.0])
def test_gradcheck_in_input_shape_and_scale(alpha):
    e = torch.tensor([-9.0, -3, -1, -1e-2, 0, 0.3, 1.1, 4, 20], dtype=torch.float64)
    a = torch.full_like(e, alpha)
    c = torch.tensor(1.4, dtype=torch.float64)

    def loss(e, a, c):
        return lu.general_robust(e, torch.zeros_like(e), alpha=a, c=c, reduction="none")

    arguments = tuple(v.requires_grad_() for v in (e, a, c))
    assert torch.autograd.gradcheck(
        loss, arguments, check_forward_ad=True, check_batched_grad=True, atol=1e-6
    )
    assert torch.autograd.gradgradcheck(loss, arguments, atol=2e-5)


def test_compiled_module_trains_shape_and_scale():
    def module():
        alpha = torch.nn.Parameter(torch.tensor(0.7, dtype=torch.float64))
        c = torch.nn.Parameter(torch.tensor(1.7, dtype=torch.float64))
        return lu.GeneralRobustLoss(alpha=alpha, c=c)

    eager, compiled = module(), module()
    torch._dynamo.reset()
    call = torch.compile(compiled, backend="aot_eager", fullgraph=True)
    inputs = [X.clone().requires_grad_() for _ in range(2)]
    losses = eager(inputs[0], T), call(inputs[1], T)
    for loss in losses:
        loss.backward()
    torch.testing.assert_close(*losses)
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad)
    for p, q in zip(eager.parameters(), compiled.parameters(), strict=True):
        assert p.grad != 0
        torch.testing.assert_close(p.grad, q.grad)


@pytest.mark.parametrize("alpha", TENSORS.values(), ids=TENSORS)
def test_functional_transforms(alpha):
    def loss(x, a):
        return lu.general_robust(x, torch.zeros_like(x), alpha=a)

    x, a = X.clone().requires_grad_(), alpha.clone().requires_grad_()
    expected = torch.autograd.grad(loss(x, a), (x, a))
    for transform in (torch.func.grad, torch.func.jacrev, torch.func.jacfwd):
        torch.testing.assert_close(transform(loss, argnums=(0, 1))(X, alpha), expected)
    per_sample = torch.func.vmap(lambda x: loss(x, alpha if alpha.ndim < 2 else alpha[0]))(
        X
    )
    one = alpha if alpha.ndim < 2 else alpha[0]
    torch.testing.assert_close(per_sample, torch.stack([loss(x, one) for x in X]))


def test_per_sample_gradients_in_the_shape():
    def loss(a, x):
        return lu.general_robust(x, torch.zeros_like(x), alpha=a)

    alphas = torch.linspace(-2, 3, 6, dtype=torch.float64)
    together = torch.func.vmap(torch.func.grad(loss))(alphas, X)
    each = [torch.func.grad(loss)(a, x) for a, x in zip(alphas, X, strict=True)]
    torch.testing.assert_close(together, torch.stack(each))


@pytest.mark.parametrize("alpha", [1.0, -math.inf, TENSORS["per column"]])
def test_exported_module_keeps_value_and_gradient(alpha):
    module = lu.GeneralRobustLoss(alpha=alpha)
    exported = torch.export.export(module, (X, T)).module()
    inputs = [X.clone().requires_grad_() for _ in range(2)]
    losses = module(inputs[0], T), exported(inputs[1], T)
    for loss in losses:
        loss.backward()
    torch.testing.assert_close(*losses)
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad)


def test_half_types_keep_the_shape_trainable():
    alpha = torch.nn.Parameter(torch.tensor(1.0, dtype=torch.bfloat16))
    x = torch.tensor([0.5, 3.0, 100.0], dtype=torch.bfloat16, requires_grad=True)
    loss = lu.general_robust(x, torch.zeros_like(x), alpha=alpha)
    loss.backward()
    assert loss.dtype == x.grad.dtype == alpha.grad.dtype == torch.bfloat16
    assert alpha.grad > 0


# ------------------------------------------------------------------ mistakes


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("scale", [0.0, -1.0, math.inf, math.nan])
def test_scale_must_be_positive(name, scale):
    with pytest.raises(ValueError, match=f"{FAMILY[name][0]} is .*above 0"):
        unreduced(name, 1.0, scale)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"alpha": math.nan}, "alpha is nan"),
        ({"c": 0.0}, "c is 0.0, expected"),
        ({"c": torch.tensor(-1.0)}, "c holds -1, expected"),
        ({"alpha": torch.zeros(4)}, r"alpha has shape \(4,\).*input's, \(6, 3\)"),
        ({"alpha": torch.zeros(2, 6, 3)}, "alpha has shape"),
        ({"c": torch.ones(6)}, "c has shape"),
        ({"alpha": torch.zeros((), device="meta")}, "input is on cpu and alpha on meta"),
    ],
)
def test_shape_and_scale_mistakes(parameters, message):
    with pytest.raises(ValueError, match=message):
        lu.general_robust(X, T, **parameters)
