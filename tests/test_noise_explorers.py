"""The noise and the minima explorer: numbers, on paper and in a browser, are lossutils'."""

import functools
import itertools
import math
import re
from dataclasses import astuple

import numpy as np
import pytest
import torch
from pages import ATTRIBUTES, EDGES, READ, Page, document, number, tour
from scipy import optimize, signal, stats

import lossutils as lu

noise_explorer, minima_explorer = lu.plots.noise_explorer, lu.plots.minima_explorer

T = 2.0
LOSSES = {"mse": lu.mse, "mae": lu.mae, "huber": lu.huber, "log_cosh": lu.log_cosh}
NOISES = {
    "gaussian": stats.norm(),
    "laplace": stats.laplace(scale=math.sqrt(1 / 2)),
    "uniform": stats.uniform(-math.sqrt(3), 2 * math.sqrt(3)),
    "student_t": stats.t(3, scale=math.sqrt(1 / 3)),
}
WHERE = ("target", "prediction", "value")
DRAWS = np.random.default_rng(0).standard_normal(40)


def states(*levels_and_predictions):
    return list(itertools.product(LOSSES, NOISES, WHERE, levels_and_predictions))


# What lossutils and integration say


def noisy(loss, where, level, p, z):
    """The values of lossutils' loss under the noise z, and their gradients in p."""
    z = level * torch.from_numpy(z)
    p = torch.full_like(z, p, requires_grad=True)
    seen = p * (1 + z) if where == "prediction" else p
    target = T + z if where == "target" else torch.full_like(z, T)
    value = LOSSES[loss](seen, target, reduction="none")
    (gradient,) = torch.autograd.grad(value.sum(), p)
    value = value + z if where == "value" else value
    return value.detach().numpy(), gradient.numpy()


def kinks(loss, where, level, p):
    """The z between which value and gradient are smooth."""
    errors = {"mae": [0], "huber": [-1, 1]}.get(loss, [])
    if where == "target" and level:
        return [(p - T - e) / level for e in errors]
    if where == "prediction" and level * p:
        return [((T + e) / p - 1) / level for e in errors]
    return []


def nodes(noise, breaks=()):
    """By Gauss and Legendre's rule, piece by piece, over z = sinh y: tails included."""
    edges = [*np.arange(-40, 40.25, 0.25), *np.arcsinh([*breaks, -(3**0.5), 3**0.5])]
    edges = np.unique(edges)
    nodes, weights = np.polynomial.legendre.leggauss(12)
    half = np.diff(edges)[:, None] / 2
    y = (edges[:-1, None] + half * (1 + nodes)).ravel()
    weight = (half * weights).ravel() * np.cosh(y) * NOISES[noise].pdf(np.sinh(y))
    return np.sinh(y)[weight > 0], weight[weight > 0]


def expectation(f, noise, breaks=()):
    z, weight = nodes(noise, breaks)
    return weight @ f(z)


def endless(loss, noise, where, level, p, side):
    """The fourth moment of Student's t with 3 degrees of freedom does not exist."""
    z_squared = {"target": side == 0, "prediction": p != 0, "value": False}[where]
    return loss == "mse" and noise == "student_t" and level > 0 and z_squared


@functools.cache
def reference(loss, noise, where, level, p):
    """(clean, mean, sd) of value and gradient at p."""
    z, weight = nodes(noise, kinks(loss, where, level, p))
    clean = noisy(loss, where, 0.0, p, np.zeros(1))
    rows = []
    for side, found in enumerate(noisy(loss, where, level, p, z)):
        mean, sd = weight @ found, math.inf
        if not endless(loss, noise, where, level, p, side):
            sd = (weight @ (found - mean) ** 2) ** 0.5
        rows.append((clean[side].item(), mean, sd))
    return rows


@functools.cache
def least(loss, noise, where, level):
    """Where the expected loss is least, by a search of its own."""

    def expected(p):
        breaks = kinks(loss, where, level, p)
        return expectation(lambda z: noisy(loss, where, level, p, z)[0], noise, breaks)

    bounds = {"bounds": (-1, 5), "method": "bounded", "options": {"xatol": 1e-6}}
    return optimize.minimize_scalar(expected, **bounds).x


@pytest.mark.parametrize("noise", NOISES)
def test_the_reference_integrates(noise):
    assert expectation(np.ones_like, noise) == pytest.approx(1, abs=1e-9)
    assert expectation(np.square, noise) == pytest.approx(1, abs=1e-9)
    assert NOISES[noise].std() == pytest.approx(1)


# The noise explorer on paper

ONE_STATE = [(0.5, 3.0), (1.5, 0.25), (0.05, 2.1)]


@pytest.mark.parametrize(("loss", "noise", "where", "at"), states(*ONE_STATE))
def test_first_numbers(loss, noise, where, at):
    level, p = at
    made = noise_explorer(
        loss=loss, noise=noise, where=where, level=level, prediction=p, target=T
    )
    rows = reference(loss, noise, where, level, p)
    for found, row in zip((made.value, made.gradient), rows, strict=True):
        assert astuple(found) == pytest.approx(row, abs=1.5e-3, rel=1e-4)
    if where != "prediction":
        assert made.minimum == pytest.approx(T, abs=1e-3)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("noise", NOISES)
def test_noise_on_the_prediction_moves_the_minimum(loss, noise):
    made = noise_explorer(loss=loss, noise=noise, where="prediction", level=0.8)
    assert made.minimum == pytest.approx(least(loss, noise, "prediction", 0.8), abs=2e-3)
    if loss == "mse":
        assert made.minimum == pytest.approx(T / (1 + 0.8**2), abs=1e-4)
    assert made.minimum < T - 0.1


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("level", [0.3, 1.5])
def test_closed_forms_of_the_squared_error(noise, level):
    """E(e − z)² = e² + σ²; the gradient's mean stays, its sd is 2σ."""
    made = noise_explorer(noise=noise, level=level, prediction=3.5)
    assert made.value.mean == pytest.approx(1.5**2 + level**2, rel=1e-6)
    assert astuple(made.gradient) == pytest.approx((3.0, 3.0, 2 * level), rel=1e-6)
    # Var (e − z)² = 4e²σ² + (κ − 1)σ⁴, with the kurtosis κ
    kurtosis = {"gaussian": 3, "laplace": 6, "uniform": 9 / 5, "student_t": math.inf}[noise]
    variance = 4 * 1.5**2 * level**2 + (kurtosis - 1) * level**4
    assert made.value.sd == pytest.approx(math.sqrt(variance), rel=1e-5)


def test_closed_forms_of_the_absolute_error():
    """E sign(e − z) = erf(e/(σ√2)), and the folded normal mean."""
    for level, p in [(0.5, 2.5), (1.0, 4.0), (1.5, 1.0)]:
        e = p - T
        made = noise_explorer(loss="mae", level=level, prediction=p)
        share = math.erf(e / (level * math.sqrt(2)))
        assert made.gradient.mean == pytest.approx(share, abs=3e-4)
        assert made.gradient.sd == pytest.approx(math.sqrt(1 - share**2), abs=3e-4)
        folded = level * math.sqrt(2 / math.pi) * math.exp(-(e**2) / (2 * level**2))
        assert made.value.mean == pytest.approx(folded + e * share, abs=1e-5)


@pytest.mark.parametrize(("loss", "noise"), list(itertools.product(LOSSES, NOISES)))
def test_noise_on_the_value_never_reaches_the_gradient(loss, noise):
    made = noise_explorer(loss=loss, noise=noise, where="value", level=1.5, prediction=1.3)
    clean, mean, sd = astuple(made.gradient)
    assert mean == pytest.approx(clean, abs=1e-12)
    assert sd < 1e-12
    assert made.value.mean == pytest.approx(made.value.clean, rel=1e-9)
    assert made.value.sd == pytest.approx(1.5, rel=1e-6)


class Axis:
    """Values from pixels, by two numbers that stand along the axis."""

    def __init__(self, page, part, along="y"):
        text = [number(page.text[f"{part}-{k}"]) for k in (0, 1)]
        shift = 4 if along == "y" else 0
        at = [float(page.parts[f"{part}-{k}"][along]) - shift for k in (0, 1)]
        self.pixel = (text[1] - text[0]) / (at[1] - at[0])
        self.zero = at[0] - text[0] / self.pixel

    def __call__(self, pixels):
        return (np.asarray(pixels) - self.zero) * self.pixel


def pixels(d):
    return np.array([xy.split() for xy in re.split("[MLZ]", d) if xy], dtype=float).T


def quantiles(loss, noise, level, e, side):
    """Of lossutils' loss with noise on the target, at 5 % and 95 %."""
    dist, shares = NOISES[noise], (0.05, 0.95)
    if side == 1:  # the gradient falls as z grows
        z = np.array([dist.ppf(q) for q in shares])
        return sorted(noisy(loss, "target", level, T + e, z)[1])

    def error(q):  # the value grows with |e − z|
        def missing(r):
            return dist.cdf((e + r) / level) - dist.cdf((e - r) / level) - q

        return optimize.brentq(missing, 0, 100)

    return [noisy(loss, "target", 0, T + error(q), np.zeros(1))[0].item() for q in shares]


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("loss", LOSSES)
def test_curves_and_bands(loss, noise):
    level, checked = 0.4, 0
    page = Page(noise_explorer(loss=loss, noise=noise, level=level).html)
    for side, part in enumerate(("value", "slope")):
        axis = Axis(page, f"{part}-y")
        x, mean = pixels(page.parts[f"{part}-mean"]["d"])
        clean = axis(pixels(page.parts[f"{part}-clean"]["d"])[1])
        band = axis(pixels(page.parts[f"{part}-band"]["d"])[1])
        mean, low, high = axis(mean), band[: len(x)], band[len(x) :][::-1]
        near = 0.15 * abs(axis.pixel)  # curve and two ticks, each rounded to 0.1
        for p in (-1.0, 0.35, 1.6, 1.95, 2.3, 3.1, 5.0):
            (k,) = np.flatnonzero(np.abs(x - (46 + 268 / 6 * (p + 1))) < 0.1)
            row = reference(loss, noise, "target", level, p)[side]
            assert (clean[k], mean[k]) == pytest.approx(row[:2], abs=near + 0.005)
            band_here = quantiles(loss, noise, level, p - T, side)
            assert (low[k], high[k]) == pytest.approx(band_here, abs=near, rel=0.01)
            checked += 1
    assert checked == 14


def bars(page, name):
    """(left end, right end, share in %) of each bar."""
    x, y = Axis(page, f"{name}-x", "x"), Axis(page, f"{name}-y")
    found = re.findall(
        r"M([\d.]+) 192V([\d.]+)H([\d.]+)V192Z", page.parts[f"{name}-bars"]["d"]
    )
    return [
        (float(x(float(a) - 0.4)), float(x(float(b) + 0.4)), float(y(float(top))))
        for a, top, b in found
    ]


@pytest.mark.parametrize("noise", NOISES)
def test_histogram_of_the_gradient(noise):
    """2(e − z) has the noise's own distribution: each bar is a piece of it."""
    page = Page(noise_explorer(noise=noise, level=0.5, prediction=3.0).html)
    found = bars(page, "slopes")
    assert len(found) > 15
    for low, high, share in found:
        true = np.diff(NOISES[noise].cdf([low - 2, high - 2])).item()
        assert share == pytest.approx(100 * true, abs=0.35)
    beyond = [page.text[f"slopes-{side}"] for side in ("below", "above")]
    beyond = sum(float(re.search(r"[\d.]+", text)[0]) for text in beyond if text)
    assert sum(share for *_, share in found) + beyond == pytest.approx(100, abs=0.8)


def test_what_does_not_scatter_is_one_full_bar():
    page = Page(noise_explorer(where="value").html)
    ((low, high, share),) = bars(page, "slopes")
    assert low < 2 < high
    assert share == pytest.approx(100, abs=0.5)
    assert len(bars(page, "values")) > 15
    sign = Page(noise_explorer(loss="mae", prediction=2.5).html)
    below, above = bars(sign, "slopes")
    assert below[2] == pytest.approx(100 * stats.norm.sf(1), abs=0.5)
    assert above[2] == pytest.approx(100 * stats.norm.cdf(1), abs=0.5)
    assert below[0] < -1 < below[1]
    assert above[0] < 1 < above[1]


VERDICTS = {
    "The gradient does not change: this noise never reaches the parameters.": {
        "where": "value"
    },
    "The expected gradient is unchanged; its spread is 1.00 = 2σ at every prediction.": {},
    "The minimum moves from 2.00 to 1.60 = t/(1 + σ²).": {"where": "prediction"},
    "The minimum moves from −1.00 to −0.80 = t/(1 + σ²).": {
        "where": "prediction",
        "target": -1,
    },
    "One σ above the target the expected gradient is 0.68 instead of 1.00: it is flatter "
    "there.": {"loss": "mae"},
    "One σ above the target the expected gradient is 1.25 instead of 1.00: it is steeper "
    "there.": {"where": "prediction", "target": 0},
    "Without noise the curves coincide.": {"level": 0},
}


@pytest.mark.parametrize(("sentence", "given"), VERDICTS.items())
def test_verdict(sentence, given):
    assert Page(noise_explorer(**given).html).text["verdict"] == sentence


def test_the_formula_of_the_minimum_is_claimed_where_it_holds():
    for loss, noise in itertools.product(LOSSES, NOISES):
        made = noise_explorer(loss=loss, noise=noise, where="prediction", level=0.9)
        verdict = Page(made.html).text["verdict"]
        holds = abs(made.minimum - T / (1 + 0.9**2)) < 0.001
        assert verdict.startswith("The minimum moves from 2.00 to")
        assert ("t/(1 + σ²)" in verdict) == holds == (loss == "mse")


# The minima explorer on paper


def mean_loss(loss, level, c, theta):
    given = {"welsch": {"c": c}}.get(loss, {})
    targets = level * torch.from_numpy(DRAWS)[:, None]
    x, t = torch.broadcast_tensors(torch.from_numpy(theta), targets)
    return getattr(lu, loss)(x, t, reduction="none", **given).mean(0).numpy()


@functools.cache
def local_minima(loss, level, c):
    """On a fine grid, by SciPy's prominence."""
    theta = np.linspace(-4, 4, 40_001)
    f = mean_loss(loss, level, c, theta)
    f = np.round(
        f / np.ptp(f), 12
    )  # a flat bottom is flat: SciPy counts each of equal peaks
    found, _ = signal.find_peaks(-f, prominence=1e-6)
    return theta[found]


LEVELS, WIDTHS = (0.0, 0.3, 1.0, 2.0), (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
CASES = [(loss, level, 0.1) for loss in ("mse", "mae", "huber") for level in LEVELS]
CASES += [("welsch", level, c) for level in LEVELS for c in WIDTHS]


@pytest.mark.parametrize(("loss", "level", "c"), CASES)
def test_local_minima(loss, level, c):
    made = minima_explorer(DRAWS, loss=loss, level=level, c=c)
    true = local_minima(loss, level, c)
    assert len(made.minima) == len(true)
    assert made.minima == pytest.approx(true, abs=2e-3)
    heights = mean_loss(loss, level, c, np.array(made.minima))
    lowest = made.minima[int(heights.argmin())]
    verdict = Page(made.html).text["verdict"]
    assert verdict_of(verdict)[0] == len(true)
    assert verdict_of(verdict)[1] == pytest.approx(lowest, abs=0.0051)
    assert ("convex loss keeps one" in verdict) == (len(true) > 1)
    if len(true) == 1:
        assert ("is convex" in verdict) == (loss != "welsch")


def verdict_of(text):
    """The number of minima, and where the lowest is."""
    count, place = re.match(r"(One|\d+) local minim.*? at ([−\d.]+\d)", text).groups()
    return 1 if count == "One" else int(count), number(place)


def test_the_cases_have_many_minima_and_few():
    counts = {
        len(minima_explorer(DRAWS, level=s, c=c).minima) for s in (1, 2) for c in WIDTHS
    }
    assert min(counts) == 1
    assert max(counts) > 15


def test_minima_of_the_convex_losses_are_mean_and_median():
    def minimum(loss):
        (found,) = minima_explorer(DRAWS, loss=loss).minima
        return found

    assert minimum("mse") == pytest.approx(DRAWS.mean(), abs=1e-6)
    assert minimum("mae") == pytest.approx(np.median(DRAWS), abs=1e-12)  # flat: its middle


def test_minima_that_nobody_sees_are_not_counted():
    made = minima_explorer([9.0, 10.0], loss="mse")
    assert made.minima == ()
    assert Page(made.html).text["verdict"] == "No local minimum from −4 to 4."


# Both on paper

EXPLORERS = {
    "noise": lambda **given: noise_explorer(**given),
    "minima": lambda **given: minima_explorer(DRAWS, **given),
}
both = pytest.mark.parametrize("make", EXPLORERS.values(), ids=EXPLORERS)


@both
def test_html_is_well_formed_and_complete(make):
    made = make()
    page = Page(made.html)
    name = page.ids[0]
    assert page.ids == [name, f"{name}-value", f"{name}-slope"]
    assert "://" not in made.html
    assert "innerHTML" not in made.html
    assert not re.search(
        r"\b(nan|inf|Infinity|undefined|None)\b", made.html.split("<script>")[0]
    )
    assert made.html == made._repr_html_()
    assert len(made.html.encode()) < 60_000
    two = make(id="second").html
    assert made.html.replace(name, "second") == two


def test_repr_has_no_address_and_no_page():
    assert repr(noise_explorer()) == (
        "NoiseExplorer(target=2.0, level=0.5, prediction=3.0, loss='mse', "
        "noise='gaussian', where='target')"
    )
    assert repr(minima_explorer(DRAWS)) == "MinimaExplorer(loss='welsch', level=1.0, c=0.1)"


def test_state_is_rounded_to_what_the_sliders_can_hold():
    made = noise_explorer(level=0.333, prediction=0.02)
    assert (made.level, made.prediction) == (0.35, 0.0)
    made = minima_explorer(DRAWS, level=0.02, c=0.06)
    assert (made.level, made.c) == (0.0, 0.05)


WRONG = {
    "target": (
        noise_explorer,
        {"target": 7},
        "target is 7, expected a number from -1 to 5",
    ),
    "nan": (noise_explorer, {"target": math.nan}, "target is nan"),
    "level": (
        noise_explorer,
        {"level": 1.6},
        "level is 1.6, expected a number from 0 to 1.5",
    ),
    "below": (noise_explorer, {"level": -0.1}, "level is -0.1"),
    "prediction": (noise_explorer, {"prediction": math.inf}, "prediction is inf"),
    "a list": (noise_explorer, {"loss": ["mse"]}, r"loss is \['mse'\], expected one of"),
    "loss": (noise_explorer, {"loss": "l2"}, "loss is 'l2', expected one of 'mse', 'mae'"),
    "noise": (noise_explorer, {"noise": "normal"}, "noise is 'normal'"),
    "where": (noise_explorer, {"where": "input"}, "where is 'input'"),
    "id": (noise_explorer, {"id": '"><script>'}, "expected a letter"),
    "draws": (minima_explorer, {"draws": [0, math.nan]}, "draws holds nan"),
    "one": (minima_explorer, {"draws": [0.0]}, "draws has 1 values, expected 2 to 100"),
    "many": (minima_explorer, {"draws": np.zeros(101)}, "draws has 101 values"),
    "table": (minima_explorer, {"draws": np.zeros((4, 2))}, r"draws has shape \(4, 2\)"),
    "minima loss": (minima_explorer, {"loss": "tukey"}, "loss is 'tukey'"),
    "c": (minima_explorer, {"c": 0}, "c is 0, expected a number from 0.05 to 2"),
    "minima level": (minima_explorer, {"level": 3}, "level is 3"),
    "minima id": (minima_explorer, {"id": "1st"}, "expected a letter"),
}


NO_NUMBER = {
    "target": (noise_explorer, {"target": "2"}, "target is '2', expected a number from -1"),
    "level": (noise_explorer, {"level": None}, "level is None, expected a number"),
    "c": (minima_explorer, {"c": [0.1]}, r"c is \[0.1\], expected a number from 0.05"),
}


@pytest.mark.parametrize(("make", "given", "message"), NO_NUMBER.values(), ids=NO_NUMBER)
def test_what_is_no_number_is_refused(make, given, message):
    given = {"draws": [0.0, 1.0]} | given if make is minima_explorer else given
    with pytest.raises(TypeError, match=message):
        make(**given)


@pytest.mark.parametrize(("make", "given", "message"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_drawn_is_refused(make, given, message):
    given = {"draws": [0.0, 1.0]} | given if make is minima_explorer else given
    with pytest.raises(ValueError, match=message):
        make(**given)


# In a real browser


def shown(page, css=".lu-explorer"):
    return page.locator(css).evaluate(READ)


def assert_same(one, two, part):
    """Equal, but that a half may round up here and down there in the digit of a pixel."""
    digits = r"-?\d+\.\d(?!\d)"
    assert re.sub(digits, "#", one) == re.sub(digits, "#", two), part
    pairs = zip(re.findall(digits, one), re.findall(digits, two), strict=True)
    assert all(abs(float(a) - float(b)) < 0.11 for a, b in pairs), part


FIRST = {
    "default": (noise_explorer, {}),
    "kink": (noise_explorer, {"loss": "mae", "noise": "laplace", "prediction": 2.5}),
    "tie": (noise_explorer, {"loss": "huber", "noise": "uniform", "prediction": 2.5}),
    "tail": (noise_explorer, {"noise": "student_t", "where": "prediction", "level": 1.5}),
    "tail on the target": (noise_explorer, {"noise": "student_t", "prediction": 0}),
    "smooth": (noise_explorer, {"loss": "log_cosh", "where": "prediction", "level": 0.9}),
    "value": (noise_explorer, {"loss": "huber", "where": "value", "prediction": -1}),
    "none": (noise_explorer, {"level": 0}),
    "nothing to scale": (noise_explorer, {"where": "prediction", "prediction": 0}),
    "left": (noise_explorer, {"target": -1, "where": "prediction", "level": 0.05}),
    "middle": (noise_explorer, {"target": 0, "loss": "mae", "where": "prediction"}),
    "minima": (minima_explorer, {}),
    "minima of mse": (minima_explorer, {"loss": "mse"}),
    "minima of mae": (minima_explorer, {"loss": "mae", "level": 2}),
    "flat": (minima_explorer, {"draws": [-1.0, -0.5, 0.5, 1.0], "loss": "mae"}),
    "minima of huber": (minima_explorer, {"loss": "huber", "level": 0}),
    "narrow": (minima_explorer, {"c": 0.05, "level": 2}),
    "wide": (minima_explorer, {"c": 2, "level": 0.3}),
    "outside": (minima_explorer, {"draws": [9.0, 10.0], "loss": "mse"}),
}


@pytest.mark.parametrize(("make", "given"), FIRST.values(), ids=FIRST)
def test_script_draws_what_python_drew(opened, make, given):
    given = {"draws": DRAWS} | given if make is minima_explorer else given
    html = make(**given).html
    drawn, page = Page(html), opened(document(make(**given)))
    attributes = page.locator(".lu-explorer").evaluate(ATTRIBUTES)
    assert attributes.keys() == drawn.parts.keys()
    assert len(attributes) > 30
    for part, given_there in drawn.parts.items():
        if part == "controls":
            continue
        assert attributes[part].keys() == given_there.keys(), part
        for key, value in given_there.items():
            assert_same(attributes[part][key], value or "", f"{part} {key}")
    text = shown(page)
    leaves = [k for k, v in drawn.text.items() if v.strip() and k not in ("loss", "noise")]
    assert {k: text[k] for k in leaves} == {k: drawn.text[k] for k in leaves}
    assert len(leaves) > 10


def row(text, name):
    return [
        math.inf
        if text[f"table-{name}-{key}"] == "∞"
        else number(text[f"table-{name}-{key}"])
        for key in ("clean", "mean", "sd")
    ]


def test_table_over_all_choices(opened):
    """Every loss, noise and place, at three levels and predictions."""
    page = opened(document(noise_explorer()))
    cases = [
        (*choices, *at) for *choices, at in states((0.5, 3.0), (1.5, 0.25), (0.0, 2.5))
    ]
    assert len(cases) == 144
    names = ("loss", "noise", "where", "level", "prediction")
    seen = tour(page, (dict(zip(names, case, strict=True)) for case in cases), READ)
    for (loss, noise, where, level, p), (text,) in zip(cases, seen, strict=True):
        true = reference(loss, noise, where, level, p)
        for name, expected in zip(("value", "slope"), true, strict=True):
            assert row(text, name) == pytest.approx(expected, abs=0.0065), (
                loss,
                noise,
                where,
            )
        if where != "prediction":
            assert text["table-minimum-mean"] == "2.00"


def test_minimum_in_the_table(opened):
    page = opened(document(noise_explorer(where="prediction")))
    cases = list(itertools.product(LOSSES, NOISES, (0.4, 1.2)))
    moved = ({"loss": loss, "noise": noise, "level": level} for loss, noise, level in cases)
    seen = tour(page, moved, READ)
    for (loss, noise, level), (text,) in zip(cases, seen, strict=True):
        found = number(text["table-minimum-mean"])
        assert found == pytest.approx(least(loss, noise, "prediction", level), abs=0.0075)


MINIMA_STATES = [{"loss": loss, "level": level, "c": c} for loss, level, c in CASES]


def test_minima_over_all_choices(opened):
    page = opened(document(minima_explorer(DRAWS)))
    for case, (text, attributes) in zip(
        CASES, tour(page, MINIMA_STATES, READ, ATTRIBUTES), strict=True
    ):
        count, _ = verdict_of(text["verdict"])
        assert count == len(local_minima(*case)), case
        for part in ("value-minima", "slope-minima"):
            assert attributes[part]["d"].count("M") == count
        assert ("disabled" in attributes["c"]) == (case[0] != "welsch")


KEYS = {
    "noise": [
        ("loss", "ArrowDown", "mae"),
        ("noise", "End", "student_t"),
        ("where", "ArrowDown", "prediction"),
        ("level", "ArrowRight", "0.55"),
        ("prediction", "Home", "-1"),
    ],
    "minima": [("loss", "ArrowUp", "huber"), ("level", "End", "2"), ("reset", "Enter", "")],
}


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("width", [1280, 390])
def test_moved_with_the_keyboard(opened, name, width):
    """Tab reaches each control, a key changes what is drawn; focus is seen."""
    made = EXPLORERS[name]()
    page = opened(document(made), width)
    first = shown(page)
    for part, key, value in KEYS[name]:
        before = page.locator(".lu-explorer").evaluate(ATTRIBUTES)
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.dataset.part") == part
        style, thick = page.locator(f'[data-part="{part}"]').evaluate(
            "e => [getComputedStyle(e).outlineStyle, getComputedStyle(e).outlineWidth]"
        )
        assert style == "solid"
        assert float(thick.removesuffix("px")) >= 2
        page.keyboard.press(key)
        assert (
            page.locator(f'[data-part="{part}"]').input_value() == value if value else True
        )
        assert page.locator(".lu-explorer").evaluate(ATTRIBUTES) != before
    if name == "noise":
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
    assert {k: v for k, v in shown(page).items() if k != "status"} == {
        k: v for k, v in first.items() if k != "status"
    }
    assert page.locator('[data-part="loss"]').input_value() == made.loss


@both
def test_the_end_of_a_movement_is_told_once(opened, make):
    page = opened(document(make()), once=True)
    status = page.locator('[data-part="status"]')
    assert status.get_attribute("role") == "status"
    assert status.text_content() == ""
    page.clock.install(time=0)
    page.clock.pause_at(1000)  # the page's time moves where the test moves it, only
    page.locator('[data-part="level"]').focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
        page.clock.run_for(500)
        assert status.text_content() == ""
    page.clock.run_for(200)
    assert (
        status.text_content() == shown(page)["verdict"] != Page(make().html).text["verdict"]
    )


OVERLAPS = """root => {
    const faults = [];
    for (const svg of root.querySelectorAll(".panels > svg")) {
        const texts = [...svg.querySelectorAll("text")].filter(e => e.textContent);
        const boxes = texts.map(e => e.getBoundingClientRect());
        const all = svg.getBoundingClientRect();
        boxes.forEach((a, i) => {
            if (a.left < all.left - 1 || a.right > all.right + 3 || a.top < all.top - 1
                || a.bottom > all.bottom + 3) faults.push(texts[i].textContent + " leaves");
            boxes.slice(i + 1).forEach((b, j) => {
                const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
                const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
                if (wide > 1 && high > 4) faults.push(
                    texts[i].textContent + " on " + texts[i + 1 + j].textContent);
            });
        });
    }
    return faults;
}"""


@pytest.mark.parametrize(
    ("width", "level", "p"), [(1280, 0.5, 3.0), (390, 1.5, -1.0), (390, 0.1, 2.0)]
)
def test_labels_of_noise_are_clear_of_each_other(opened, width, level, p):
    page = opened(document(noise_explorer(level=level, prediction=p)), width)
    names, choices = ("loss", "noise", "where"), itertools.product(LOSSES, NOISES, WHERE)
    cases = [dict(zip(names, chosen, strict=True)) for chosen in choices]
    for case, (faults,) in zip(cases, tour(page, cases, OVERLAPS), strict=True):
        assert not faults, case


def test_labels_of_minima_are_clear_of_each_other(opened):
    page = opened(document(minima_explorer(DRAWS)), 390)
    seen = tour(page, MINIMA_STATES, OVERLAPS)
    for case, (faults,) in zip(CASES, seen, strict=True):
        assert not faults, case


@both
@pytest.mark.parametrize("width", [1280, 390])
def test_fits_the_window(opened, make, width):
    page = opened(document(make()), width)
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    card = page.locator(".lu-explorer").bounding_box()
    inside = ":is(table, .panels > svg, label, select, .note, .legend > span)"
    edges = page.locator(".lu-explorer").evaluate(EDGES, inside)
    assert len(edges) > 10
    for left, right in edges:
        assert card["x"] < left < right < card["x"] + card["width"]
    size = page.locator(".tick").first.evaluate(
        "e => parseFloat(getComputedStyle(e).fontSize) * e.getScreenCTM().a"
    )
    assert size >= 10


@both
@pytest.mark.parametrize("width", [1280, 390])
def test_is_accessible(opened, axe, make, width):
    page = opened(document(make()), width)
    violations = axe(page)
    assert not [(v["id"], [n["html"][:150] for n in v["nodes"]]) for v in violations]


@both
def test_still_picture_without_script(opened, make):
    made = make()
    page = opened(document(made), java_script_enabled=False)
    assert not page.locator(".lu-explorer .controls").is_visible()
    assert (
        page.locator('[data-part="verdict"]').inner_text()
        == Page(made.html).text["verdict"]
    )
    for svg in page.locator(".lu-explorer .panels > svg").all():
        assert svg.locator(".tick:not(:empty)").count() >= 8
        assert svg.locator(".thick").bounding_box()["height"] > 50


STYLES = """root => [...root.querySelectorAll(":not(script)")].map(e => {
    const s = getComputedStyle(e);
    return [e.tagName, s.fill, s.fillOpacity, s.stroke, s.strokeWidth, s.strokeDasharray,
            s.color, s.fontSize, s.fontWeight, s.display, s.flexBasis, s.padding].join();
})"""


def test_three_on_a_page_do_not_meet(opened):
    x = torch.linspace(0, 5, 6)
    y = torch.tensor([0.0, 1.5, 1.5, 3.0, 4.5, 4.5])
    outlier = lu.plots.outlier_explorer(
        x, y, outlier=(1, 9), xlabel="x", ylabel="y", xlim=(-1, 6), ylim=(-5, 10)
    )
    made = [noise_explorer(), outlier, minima_explorer(DRAWS)]
    together = opened(document(*made))
    for k, one in enumerate(made):
        alone = opened(document(one)).locator(".lu-explorer").evaluate(STYLES)
        assert len(alone) > 80
        assert together.locator(".lu-explorer").nth(k).evaluate(STYLES) == alone
    before = [shown(together, f".lu-explorer >> nth={k}") for k in range(3)]
    together.locator('#noise-explorer [data-part="level"]').fill("1.2")
    after = [shown(together, f".lu-explorer >> nth={k}") for k in range(3)]
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, True, True]
    bare = set(opened(document()).evaluate("Object.getOwnPropertyNames(window)"))
    assert set(together.evaluate("Object.getOwnPropertyNames(window)")) == bare
