"""The descent explorer: its paths are torch.optim.SGD's, its rates those of theory."""

import functools
import itertools
import math
import re

import numpy as np
import pytest
import torch
from pages import ATTRIBUTES, EDGES, READ, Page, document, number, put, tour
from test_noise_explorers import OVERLAPS, STYLES, assert_same, pixels, shown

import lossutils as lu

# Many tests look at the same states; what is built from one is always the same.
explorer = functools.cache(lu.plots.descent_explorer)

STEPS, FAR = 200, 1e4
RATES, MOMENTA = (0.001, 0.01, 0.035, 0.063, 0.2, 1.3, 4.5), (0.0, 0.5, 0.9, 0.99)
CONDITIONS, STARTS = (1.0, 13.0, 50.0, 1000.0), ((-3.0, 1.0), (2.3, -1.7), (0.0, 0.4))
VALLEYS = list(itertools.product(["valley"], RATES, MOMENTA, CONDITIONS, STARTS))
OTHERS = list(itertools.product(["plateau", "cliff"], RATES, MOMENTA, [50.0], STARTS[:2]))
NAMES = ("landscape", "rate", "momentum", "condition_number", "start")


def given(case):
    return dict(zip(NAMES, case, strict=True))


# What torch and theory say


def loss_of(theta, landscape, condition):
    """Of one place, or of each of several."""
    zeros = torch.zeros_like(theta)
    if landscape == "plateau":
        return lu.plateau_mae(theta, zeros, reduction="none").sum(-1)
    if landscape == "cliff":
        each = lu.asymmetric_mse(theta, zeros, over=50.0, under=1.0, reduction="none")
        return each.sum(-1)
    condition = torch.as_tensor(condition, dtype=theta.dtype)
    return (theta[..., 0] ** 2 + condition * theta[..., 1] ** 2) / 2


@functools.cache
def sgd_together(landscape, rate, momentum, places):
    """200 steps of torch's optimiser at each (condition, start), and the losses along them.

    Each row of the parameter goes its own way: no term of the sum has two of them.
    """
    condition = torch.tensor([c for c, _ in places], dtype=torch.float64)
    starts = torch.tensor([start for _, start in places], dtype=torch.float64)
    theta = torch.nn.Parameter(starts)
    optimiser = torch.optim.SGD([theta], lr=rate, momentum=momentum)
    paths, losses = [], []
    for _ in range(STEPS + 1):
        optimiser.zero_grad()
        loss = loss_of(theta, landscape, condition)
        paths.append(theta.detach().clone())
        losses.append(loss.detach())
        loss.sum().backward()
        optimiser.step()
    return torch.stack(paths, 1).numpy(), torch.stack(losses, 1).numpy()


GRID = tuple(itertools.product(CONDITIONS, STARTS))


def sgd(landscape, rate, momentum, condition, start):
    """The path of torch's optimiser, to where it is too far out, and the loss along it."""
    place = condition, start
    places = GRID if place in GRID else (place,)
    paths, losses = sgd_together(landscape, rate, momentum, places)
    path, loss = (of[places.index(place)] for of in (paths, losses))
    with np.errstate(over="ignore"):  # where it is far out already
        far = np.flatnonzero(np.hypot(*path.T) > FAR)
    end = far[0] + 1 if len(far) else len(path)
    return path[:end], loss[:end]


def arrival(path):
    """The first step from which on all distances are at most 1 % of the first."""
    distance = np.hypot(*path.T)
    inside = distance <= 0.01 * distance[0] * (1 + 1e-9)
    return next((k for k in range(len(path)) if inside[k:].all()), None)


def decay(path):
    """Factor a step of the largest distance that is still to come, over the second half."""
    distance = np.hypot(*path.T)
    distance = distance[: np.flatnonzero(distance > 1e-9 * distance[0]).max() + 1]
    to_come = np.maximum.accumulate(distance[::-1])[::-1]
    half, end = len(distance) // 2, int(0.9 * len(distance))
    slope, _ = np.polyfit(np.arange(half, end), np.log(to_come[half:end]), 1)
    return math.exp(slope)


@functools.cache
def theory(landscape, rate, momentum, condition, start):
    """The factor a step: of matrices in the valley, of a normalised orbit on the cliff."""
    if landscape == "valley":
        return max(
            np.abs(np.linalg.eigvals([[1 + momentum - rate * k, -momentum], [1, 0]])).max()
            for k, e in zip((1, condition), start, strict=True)
            if e
        )
    if landscape == "plateau" or momentum:
        return None
    found = []
    for e in filter(None, start):
        theta, logs = torch.tensor([e, 0.0], dtype=torch.float64), []
        while len(logs) < 40 and theta.any():  # it may step onto the minimum
            theta = theta / theta.abs().max()
            theta.requires_grad_()
            (slope,) = torch.autograd.grad(loss_of(theta, "cliff", 0.0), theta)
            theta = theta.detach() - rate * slope
            logs.append(theta.abs().max().log().item())
        found.append(math.exp(np.mean(logs[-20:])))
    return max(found)


# On paper


@pytest.mark.parametrize("case", OTHERS + VALLEYS[::5], ids=str)
def test_first_numbers(case):
    made = explorer(**given(case))
    path, losses = sgd(*case)
    assert len(made.path) == len(path)
    scale = np.maximum.accumulate(np.abs(path).max(1))  # kinks and growth amplify round-off
    assert (np.abs(np.array(made.path) - path).max(1) <= 1e-9 * scale).all()
    assert made.loss == pytest.approx(losses, rel=1e-6, abs=1e-9 * losses.max())
    assert made.steps == arrival(path)
    assert made.predicted == (
        None if theory(*case) is None else pytest.approx(theory(*case), abs=1e-7)
    )


@pytest.mark.parametrize("condition", CONDITIONS)
def test_plain_descent_has_the_known_factor(condition):
    for rate in RATES:
        made = explorer(rate=rate, condition_number=condition)
        known = max(abs(1 - rate), abs(1 - rate * condition))
        assert made.predicted == pytest.approx(known, rel=1e-12)


def test_measured_and_predicted_agree():
    """Each by its own means, where the path is long enough to tell."""
    worst, checked = 0.0, 0
    for case in VALLEYS:
        made = explorer(**given(case))
        if made.predicted < 0.999 and len(made.path) > STEPS:
            path, _ = sgd(*case)
            if arrival(path) is not None and arrival(path) > 12:
                worst = max(worst, abs(made.measured - made.predicted))
                assert made.measured == pytest.approx(decay(path), abs=0.03), case
                checked += 1
    assert checked > 60
    assert worst < 0.03


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("momentum", MOMENTA)
def test_says_diverges_where_torch_does(condition, momentum):
    limit = 2 * (1 + momentum) / condition
    said = set()
    for rate in (0.7 * limit, 0.9 * limit, 1.1 * limit, 1.4 * limit):
        made = explorer(condition_number=condition, momentum=momentum, rate=rate)
        path, _ = sgd("valley", made.rate, momentum, condition, made.start)
        # 10 000 times as far is as far as 200 steps of 1.04 get.
        farther = np.hypot(*path.T)[-1] > 30 * math.hypot(*made.start)
        verdict = Page(made.html).text["verdict"]
        assert verdict.startswith("Diverges") == (made.rate > limit) == farther, verdict
        said.add(farther)
        if farther:
            name = "2(1 + μ)/λmax" if momentum else "2/λmax"
            shown_limit = re.search(rf"above {re.escape(name)} = ([\d.]+)\.$", verdict)[1]
            assert float(shown_limit) == pytest.approx(limit, rel=0.005)
    assert said == {True, False}


VERDICTS = {
    "Crawls along the valley: 0.965 a step, 1 % of the distance after 128 steps.": {},
    "Crawls along the valley: 0.980 a step, and not there after 200.": {"rate": 0.02},
    "Bounces for ever: the learning rate is 2/λmax = 0.04.": {"rate": 0.04},
    "Diverges: the learning rate is above 2/λmax = 0.04.": {"rate": 0.045},
    "Bounces across the valley: 0.975 a step, 1 % of the distance after 182 steps.": {
        "rate": 0.79,
        "condition_number": 2.5,
        "start": (0.0, 1.0),
    },
    "Swings along the valley: 0.948 a step, 1 % of the distance after 87 steps.": {
        "momentum": 0.9
    },
    "Arrives: 1 % of the distance after 1 step.": {"condition_number": 1, "rate": 1},
    "Crawls towards the minimum: 0.990 a step, and not there after 200.": {
        "condition_number": 1,
        "rate": 0.01,
    },
    "The start is the minimum: nothing moves.": {"start": (0, 0)},
    "Stuck on the plateau: a step is 0.001 of one near the minimum, and the edge is 71 000 "
    "steps away.": {"landscape": "plateau"},
    "Bounces about the minimum: the slope does not shrink, and the last step is 0.141 "
    "long.": {"landscape": "plateau", "rate": 0.1, "start": (0.4, 0.3)},
    "Crawls towards the minimum: the slope does not shrink, and the last step is 0.001 "
    "long.": {"landscape": "plateau", "rate": 0.001, "start": (0.4, 0)},
    "Crawls along the gentle side: 0.980 a step, and not there after 200.": {
        "landscape": "cliff",
        "rate": 0.01,
    },
    "Crawls along the gentle side: 0.920 a step, 1 % of the distance after 56 steps.": {
        "landscape": "cliff",
        "rate": 0.04,
        "start": (-1, -0.5),
    },
    "Arrives: 1 % of the distance after 44 steps.": {
        "landscape": "cliff",
        "rate": 0.001,
        "start": (1, 1),
    },
    "Thrown back 2.9 times as far, then arrives: 1 % of the distance after 27 steps.": {
        "landscape": "cliff",
        "rate": 0.1,
    },
    "Diverges: from wall to gentle side and back the distance grows by 2.569 a step.": {
        "landscape": "cliff",
        "rate": 0.56,
    },
}


@pytest.mark.parametrize(("sentence", "changed"), VERDICTS.items())
def test_verdict(sentence, changed):
    verdict = Page(explorer(**changed).html).text["verdict"]
    assert re.sub("[\u00a0\u202f]", " ", verdict) == sentence


def test_the_edge_of_the_plateau_is_as_far_as_said():
    """Torch walks there: a rate at which it takes some hundred steps."""
    made = explorer(landscape="plateau", rate=5, start=(1.9, 0.0))
    said = re.search(r"edge is (\d+) steps", Page(made.html).text["verdict"])[1]
    theta = torch.nn.Parameter(torch.tensor(made.path[-1], dtype=torch.float64))
    optimiser = torch.optim.SGD([theta], lr=5)
    walked = 0
    while theta[0] > 0.5:
        optimiser.zero_grad()
        loss_of(theta, "plateau", 0.0).backward()
        optimiser.step()
        walked += 1
    assert walked > 50
    assert float(said) == pytest.approx(walked, abs=2, rel=0.05)


@pytest.mark.parametrize("landscape", ["valley", "plateau", "cliff"])
def test_contours_are_level(landscape):
    """The loss is one along each contour, and the next is twice that, or 0.1 more."""
    page = Page(explorer(landscape).html)
    values = []
    for k in reversed(range(17)):
        d = page.parts[f"level-{k}"]["d"]
        if not d:
            continue
        px, py = pixels(d)
        x, y = (px - 182) / 34, (126 - py) / 34
        near = (np.abs(x) < 4) & (np.abs(y) < 3)  # pixels far out are not of use
        points = torch.tensor(np.stack([x, y], 1)[near])
        if len(points) < 3:
            continue
        found = loss_of(points.requires_grad_(), landscape, 50.0)
        (slopes,) = torch.autograd.grad(found.sum(), points)
        found = found.detach()
        off = (found - found.median()).abs()  # coordinates are rounded to 0.1 pixel
        assert (off <= 0.004 * slopes.norm(dim=1).amax() + 1e-3).all(), k
        values.append(found.median().item())
    assert len(values) >= 8
    if landscape == "plateau":
        assert np.sort(values) == pytest.approx(np.arange(1, 11) / 10, abs=0.005)
    else:
        ratios = np.sort(values)[1:] / np.sort(values)[:-1]
        assert ratios == pytest.approx(2 * np.ones(len(ratios)), rel=0.05)


def test_html_is_well_formed_and_complete():
    made = explorer()
    page = Page(made.html)
    assert page.ids == [f"descent-explorer{k}" for k in ("", "-path", "-loss")]
    assert "://" not in made.html
    assert "innerHTML" not in made.html
    assert not re.search(
        r"\b(nan|inf|Infinity|undefined|None)\b", made.html.split("<script>")[0]
    )
    assert made.html == made._repr_html_()
    two = explorer(id="second").html
    assert made.html.replace("descent-explorer", "second") == two


@pytest.mark.parametrize("landscape", ["valley", "plateau", "cliff"])
def test_html_is_small(landscape):
    for condition, momentum in itertools.product((1, 50, 1000), (0, 0.99)):
        made = explorer(landscape, condition_number=condition, momentum=momentum)
        assert len(made.html.encode()) < 60_000


def test_repr_has_no_address_and_no_page():
    assert repr(explorer()) == (
        "DescentExplorer(landscape='valley', condition_number=50.0, rate=0.035, "
        "momentum=0.0, start=(-3.0, 1.0))"
    )


def test_state_is_rounded_to_what_the_sliders_can_hold():
    made = explorer(rate=0.0301, momentum=0.333, condition_number=51, start=(0.04, 2.46))
    assert (made.rate, made.condition_number) == (0.032, 50.0)
    assert (made.momentum, made.start) == (0.33, (0.0, 2.5))
    ends = explorer(rate=0.001, condition_number=1000)
    assert (ends.rate, ends.condition_number) == (0.001, 1000.0)


WRONG = {
    "landscape": ({"landscape": "hill"}, "landscape is 'hill', expected one of 'valley'"),
    "rate": ({"rate": 0}, "rate is 0, expected a number from 0.001 to 10"),
    "nan": ({"rate": math.nan}, "rate is nan"),
    "momentum": ({"momentum": 1}, "momentum is 1, expected a number from 0 to 0.99"),
    "condition": ({"condition_number": 0.5}, "condition_number is 0.5, expected a number"),
    "x": ({"start": (4, 0)}, "x of the start is 4, expected a number from -3.8 to 3.8"),
    "y": ({"start": (0, -3)}, "y of the start is -3"),
    "three": ({"start": (0, 1, 2)}, r"start is \(0, 1, 2\), expected x and y"),
    "text": ({"start": "ab"}, "start is 'ab', expected x and y"),
    "id": ({"id": '"><script>'}, "expected a letter"),
}


@pytest.mark.parametrize(("changed", "message"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_drawn_is_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        explorer(**changed)


NO_NUMBER = {
    "rate": ({"rate": "0.1"}, "rate is '0.1', expected a number"),
    "momentum": ({"momentum": None}, "momentum is None"),
    "start": ({"start": 3}, "start is 3, expected x and y"),
    "x": ({"start": ("a", 0)}, "x of the start is 'a'"),
}


@pytest.mark.parametrize(("changed", "message"), NO_NUMBER.values(), ids=NO_NUMBER)
def test_what_is_no_number_is_refused(changed, message):
    with pytest.raises(TypeError, match=message):
        explorer(**changed)


# In a real browser


def position(value):
    return round(20 * math.log10(value))


def controls(case):
    """What the controls say in that case."""
    landscape, rate, momentum, condition, (x, y) = case
    logs = {"rate": position(rate), "condition": position(condition)}
    return {"landscape": landscape, "momentum": momentum, "x": x, "y": y, **logs}


def tour_of_cases(page, cases, *looks):
    return zip(cases, tour(page, map(controls, cases), *looks), strict=True)


FIRST = {
    "default": {},
    "momentum": {"momentum": 0.9},
    "diverging": {"rate": 0.2},
    "marginal": {"rate": 0.04},
    "nowhere": {"start": (0, 0)},
    "one direction": {"start": (0, -2), "momentum": 0.5},
    "round": {"condition_number": 1, "rate": 1},
    "narrow": {"condition_number": 1000, "rate": 0.001, "start": (3.8, -2.5)},
    "plateau": {"landscape": "plateau"},
    "over the edge": {"landscape": "plateau", "rate": 5, "momentum": 0.7},
    "in the hole": {"landscape": "plateau", "rate": 0.063, "start": (0.4, 0.3)},
    "cliff": {"landscape": "cliff", "rate": 0.1},
    "cliff with momentum": {"landscape": "cliff", "rate": 0.02, "momentum": 0.8},
    "off the cliff": {"landscape": "cliff", "rate": 0.56},
    "through the minimum": {"landscape": "cliff", "rate": 1, "momentum": 0.99},
}


@pytest.mark.parametrize("changed", FIRST.values(), ids=FIRST)
def test_script_draws_what_python_drew(opened, changed):
    made = explorer(**changed)
    drawn, page = Page(made.html), opened(document(made))
    attributes = page.locator(".lu-explorer").evaluate(ATTRIBUTES)
    assert attributes.keys() == drawn.parts.keys()
    assert len(attributes) > 50
    for part, there in drawn.parts.items():
        if part == "controls":
            continue
        assert attributes[part].keys() == there.keys(), part
        for key, value in there.items():
            assert_same(attributes[part][key], value or "", f"{part} {key}")
    text = shown(page)
    assert text["handle-label"] == "drag me"
    apart = ("landscape", "handle-label")
    leaves = [k for k, v in drawn.text.items() if v.strip() and k not in apart]
    assert {k: text[k] for k in leaves} == {k: drawn.text[k] for k in leaves}
    assert len(leaves) > 12


def assert_shows(page, case):
    root = page.locator(".lu-explorer")
    assert_shown(root.evaluate(READ), root.evaluate(ATTRIBUTES), case)


def assert_shown(text, parts, case):
    """Table, drawn path and drawn loss are those of torch and of theory."""
    landscape, rate, _, condition, _ = case
    path, losses = sgd(*case)
    steps, factor = arrival(path), theory(*case)
    assert text["table-steps-measured"] == (
        "not within 200" if steps is None else str(steps)
    )
    if factor is None:
        assert text["table-factor-predicted"] == text["table-steps-predicted"] == "–"
    else:
        assert number(text["table-factor-predicted"]) == pytest.approx(factor, abs=5.1e-4)
        predicted = text["table-steps-predicted"].replace("\u202f", "")
        if factor > 1 - 1e-9:
            assert predicted == "never"
        else:
            n = int(predicted)
            assert factor**n <= 0.01 * (1 + 1e-6)
            assert n == 1 or factor ** (n - 1) > 0.01 * (1 - 1e-6)
    made = explorer(**given(case))  # held to torch's path above
    assert number(text["table-factor-measured"]) == pytest.approx(made.measured, abs=6e-4)
    x, y = np.array(
        [xy.split() for xy in re.findall(r"M([^Mh]+)h0", parts["path-dots"]["d"])], float
    ).T
    scale = np.maximum.accumulate(np.abs(path).max(1))
    assert (np.abs(x - (182 + 34 * path[:, 0])) <= 0.051 + 1e-7 * scale).all()
    assert (np.abs(y - (126 - 34 * path[:, 1])) <= 0.051 + 1e-7 * scale).all()
    digits = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
    decades = [int(text[f"loss-y-{k}"][2:].translate(digits)) for k in (0, 1)]
    at = [float(parts[f"loss-y-{k}"]["y"]) - 4 for k in (0, 1)]
    decade = (at[1] - at[0]) / (decades[1] - decades[0])
    height = at[0] + (np.log10(np.maximum(losses, 1e-99)) - decades[0]) * decade
    k, drawn = pixels(parts["loss-line"]["d"])
    assert k == pytest.approx(46 + 272 / 200 * np.arange(len(losses)), abs=0.051)
    seen = (height > 0) & (height < 250)
    assert seen.any()
    assert drawn[seen] == pytest.approx(height[seen], abs=0.8)
    if factor:
        (_, x1), (y0, y1) = pixels(parts["loss-predicted"]["d"])
        assert x1 == 318
        fall = 400 * math.log10(max(factor, 1e-9)) * decade
        assert y1 - y0 == pytest.approx(fall, abs=1.5, rel=0.02)
    assert text["rate-value"] == f"{rate:g}"
    assert parts["rate"]["aria-valuetext"] == f"{rate:g}"
    assert parts["condition"]["aria-valuetext"] == f"{condition:g}"
    assert ("disabled" in parts["condition"]) == (landscape != "valley")


@pytest.mark.parametrize("landscape", ["valley", "plateau", "cliff"])
def test_numbers_over_all_choices(opened, landscape):
    page = opened(document(explorer()))
    cases = [c for c in VALLEYS[::3] + OTHERS if c[0] == landscape]
    assert len(cases) > 50
    for case, seen in tour_of_cases(page, cases, READ, ATTRIBUTES):
        try:
            assert_shown(*seen, case)
        except AssertionError as error:
            raise AssertionError(case) from error


KEYS = [
    ("landscape", "ArrowUp", "valley"),
    ("rate", "ArrowRight", str(position(0.04))),
    ("momentum", "ArrowRight", "0.01"),
    ("condition", "Home", "0"),
    ("x", "ArrowLeft", "-3.1"),
    ("y", "End", "2.5"),
]


@pytest.mark.parametrize("width", [1280, 390])
def test_moved_with_the_keyboard(opened, width):
    """Tab reaches each control, a key changes what is drawn; focus is seen."""
    page = opened(document(explorer()), width)
    before_all = shown(page)
    put(page, landscape="plateau")
    page.locator('[data-part="landscape"]').evaluate("e => e.options[0].parentNode.focus()")
    for k, (part, key, value) in enumerate(KEYS):
        before = page.locator(".lu-explorer").evaluate(ATTRIBUTES)
        if k:
            page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.dataset.part") == part
        style, thick = page.locator(f'[data-part="{part}"]').evaluate(
            "e => [getComputedStyle(e).outlineStyle, getComputedStyle(e).outlineWidth]"
        )
        assert style == "solid"
        assert float(thick.removesuffix("px")) >= 2
        page.keyboard.press(key)
        assert page.locator(f'[data-part="{part}"]').input_value() == value
        assert page.locator(".lu-explorer").evaluate(ATTRIBUTES) != before
    assert_shows(page, ("valley", 0.04, 0.01, 1.0, (-3.1, 2.5)))
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    after = shown(page)
    for part in ("status", "handle", "handle-label"):
        del before_all[part], after[part]
    assert after == before_all


def test_the_end_of_a_movement_is_told_once(opened):
    page = opened(document(explorer()), once=True)
    status = page.locator('[data-part="status"]')
    assert status.text_content() == ""
    page.clock.install(time=0)
    page.clock.pause_at(1000)
    page.locator('[data-part="rate"]').focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
        page.clock.run_for(500)
        assert status.text_content() == ""
    page.clock.run_for(200)
    assert status.text_content() == shown(page)["verdict"]
    assert status.text_content().startswith("Diverges")


@pytest.mark.parametrize("width", [1280, 390])
def test_the_start_is_dragged(opened, width):
    page = opened(document(explorer()), width)
    dot = page.locator(".handle .dot")
    dot.scroll_into_view_if_needed()
    box = dot.bounding_box()
    one = page.locator('[data-part="path-line"]').evaluate("e => e.getScreenCTM().a") * 34
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 50, box["y"] + 20)
    x, y = box["x"] + box["width"] / 2 + 5 * one, box["y"] + box["height"] / 2 + 2 * one
    page.mouse.move(x, y)
    page.mouse.up()
    there = [float(page.locator(f'[data-part="{k}"]').input_value()) for k in "xy"]
    assert there == pytest.approx([2, -1], abs=0.1001)
    assert shown(page)["handle-label"] == "start"
    assert_shows(page, ("valley", 0.035, 0.0, 50.0, tuple(there)))
    page.mouse.move(x - 8, y)  # still over it, but it is let go
    page.mouse.move(x - 12, y)
    assert [float(page.locator(f'[data-part="{k}"]').input_value()) for k in "xy"] == there


def test_labels_are_clear_of_each_other(opened):
    page = opened(document(explorer()), 390)
    corners = itertools.product((-3.8, 0.0, 3.8), (-2.5, 0.0, 2.5))
    cases = [("valley", 0.035, 0.0, 50.0, corner) for corner in corners]
    cases += [*VALLEYS[::11], *OTHERS[::5]]
    for case, (faults,) in tour_of_cases(page, cases, OVERLAPS):
        assert not faults, case


@pytest.mark.parametrize("width", [1280, 390])
def test_fits_the_window(opened, width):
    page = opened(document(explorer()), width)
    card = page.locator(".lu-explorer").bounding_box()
    inside = ":is(table, .panels > svg, label, select, .note, .legend > span)"
    looks = (
        "() => document.documentElement.scrollWidth - innerWidth",
        f"root => ({EDGES})(root, '{inside}')",
    )
    cases = (VALLEYS[0], OTHERS[0], OTHERS[-1])
    for _, (wide, edges) in tour_of_cases(page, cases, *looks):
        assert wide <= 0
        assert len(edges) > 12
        for left, right in edges:
            assert card["x"] < left < right < card["x"] + card["width"]
    size = page.locator(".tick").first.evaluate(
        "e => parseFloat(getComputedStyle(e).fontSize) * e.getScreenCTM().a"
    )
    assert size >= 10


@pytest.mark.parametrize("width", [1280, 390])
def test_is_accessible(opened, axe, width):
    violations = axe(opened(document(explorer()), width))
    assert not [(v["id"], [n["html"][:150] for n in v["nodes"]]) for v in violations]


def test_still_picture_without_script(opened):
    made = explorer()
    page = opened(document(made), java_script_enabled=False)
    assert not page.locator(".lu-explorer .controls").is_visible()
    verdict = page.locator('[data-part="verdict"]').inner_text()
    assert verdict.replace("\u00a0", " ") == next(iter(VERDICTS))
    for svg in page.locator(".lu-explorer .panels > svg").all():
        assert svg.locator(".tick:not(:empty)").count() >= 8
    for part in ("path-line", "loss-line"):
        assert page.locator(f'[data-part="{part}"]').bounding_box()["height"] > 50


def test_beside_others_on_a_page(opened):
    x, y = torch.linspace(0, 5, 6), torch.tensor([0.0, 1.5, 1.5, 3.0, 4.5, 4.5])
    limits = {"xlim": (-1, 6), "ylim": (-5, 10)}
    outlier = lu.plots.outlier_explorer(
        x, y, outlier=(1, 9), xlabel="x", ylabel="y", **limits
    )
    made = [explorer(), outlier, lu.plots.minima_explorer([-1.0, 0.0, 2.0])]
    together = opened(document(*made))
    for k, one in enumerate(made):
        alone = opened(document(one)).locator(".lu-explorer").evaluate(STYLES)
        assert len(alone) > 80
        assert together.locator(".lu-explorer").nth(k).evaluate(STYLES) == alone
    before = [shown(together, f".lu-explorer >> nth={k}") for k in range(3)]
    together.locator('#descent-explorer [data-part="rate"]').fill("-40")
    after = [shown(together, f".lu-explorer >> nth={k}") for k in range(3)]
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, True, True]
