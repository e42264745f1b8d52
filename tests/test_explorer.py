"""The explorer: its numbers are lossutils' minimisers, on paper and in a real browser."""

import functools
import re
import tomllib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pages import ATTRIBUTES, EDGES, READ, Page, document, number, tour
from scipy.optimize import linprog

import lossutils as lu
from lossutils.plots.explorers.outliers import LOSSES

ROOT = Path(__file__).parents[1]
PATIENTS = lu.datasets.diabetes(test_share=0)
BMI = PATIENTS.feature_names.index("bmi")
X, Y = PATIENTS.x_train[::20, BMI], PATIENTS.y_train[::20]
XLIM, YLIM = (-3, 9), (0, 700)


@functools.cache
def explorer(**changed):
    given = {
        "outlier": (-1.2, 600),
        "xlabel": "body-mass index (sd)",
        "ylabel": "progression (points)",
        "xlim": XLIM,
        "ylim": YLIM,
    }
    return lu.plots.outlier_explorer(X, Y, **{**given, **changed})


# What lossutils says


def losses(delta, c):
    return {
        "mse": lu.mse,
        "mae": lu.mae,
        "huber": lambda i, t, **kw: lu.huber(i, t, delta=delta, **kw),
        "tukey": lambda i, t, **kw: lu.tukey(i, t, c=c, **kw),
    }


class Reference:
    """Lines that minimise lossutils' losses, found by other means than the explorer's."""

    def __init__(self, outlier, delta, scale, c=4.6851):
        self.x = torch.cat([X, X.new_tensor([outlier[0]])])
        self.y = torch.cat([Y, Y.new_tensor([outlier[1]])])
        self.losses, self.scale = losses(delta, c), scale
        # In a basis where all directions are alike, so that plain descent converges.
        self.basis = torch.linalg.qr(torch.stack([torch.ones_like(self.x), self.x], 1))[0]

    def errors(self, name, prediction, reduction="sum"):
        loss = self.losses[name]
        return loss(prediction / self.scale, self.y / self.scale, reduction=reduction)

    def prediction(self, line):
        return line[0] + line[1] * self.x

    def line(self, prediction):
        design = torch.stack([torch.ones_like(self.x), self.x], 1)
        return torch.linalg.lstsq(design, prediction[:, None]).solution[:, 0]

    def descend(self, name, start):
        def objective(theta):
            return self.errors(name, self.basis @ theta)

        theta = self.basis.T @ start
        rate = self.scale**2 / 2  # below 1 / curvature: each step goes down
        for _ in range(20_000):
            theta.requires_grad_()  # torch.func.grad would import torch's compiler: 2 s
            (slope,) = torch.autograd.grad(objective(theta), theta)
            theta = theta.detach() - rate * slope
            if slope.abs().max() * self.scale < 1e-9:
                break
        assert slope.abs().max() * self.scale < 1e-7
        return self.line(self.basis @ theta)

    def least_absolute(self):
        """The linear program: minimise the sum of u + v with prediction + u − v = y."""
        n = len(self.y)
        cost = np.concatenate([np.zeros(2), np.ones(2 * n)])
        design = np.stack([np.ones(n), self.x.numpy()], 1)
        equal = np.hstack([design, np.eye(n), -np.eye(n)])
        bounds = [(None, None)] * 2 + [(0, None)] * 2 * n
        solved = linprog(cost, A_eq=equal, b_eq=self.y.numpy(), bounds=bounds)
        line = torch.from_numpy(solved.x[:2])
        total = lu.mae(self.prediction(line), self.y, reduction="sum").item()
        assert total == pytest.approx(solved.fun, rel=1e-9)
        return line

    def fits(self):
        absolute = self.least_absolute()
        start = self.prediction(absolute)
        found = {name: self.descend(name, start) for name in ("mse", "huber", "tukey")}
        return {"mae": absolute, **found}

    def pull(self, name, line):
        """Minus the slope of the loss in the outlier's prediction, in units of σ."""
        prediction = self.prediction(line).requires_grad_()
        self.errors(name, prediction).backward()
        pull = -self.scale * prediction.grad
        gap = (self.y - self.prediction(line)).abs()
        if name == "mae" and gap[-1] < 1e-9 * self.scale:
            # At the kink: the two points on the line balance the pulls of all others.
            on_line = gap < 1e-9 * self.scale
            assert on_line.sum() == 2
            design = torch.stack([torch.ones_like(self.x), self.x])
            rest = design[:, ~on_line] @ pull[~on_line]
            pull[on_line] = torch.linalg.solve(design[:, on_line], -rest)
            assert pull.abs().max() <= 1  # so the line is a minimiser
        return pull[-1].item()

    def table(self):
        """What the table should show."""
        rows = {}
        for name, line in self.fits().items():
            residual = ((self.y - self.prediction(line))[-1] / self.scale).item()
            rows[name] = [line[1].item(), line[0].item(), residual, self.pull(name, line)]
        return rows


def assert_shown(table, reference):
    """Each number of the table is the reference's, to the digits shown."""
    for name, row in reference.table().items():
        for shown, true, digits in zip(table[name], row, (1, 1, 2, 2), strict=True):
            assert shown == pytest.approx(true, abs=0.5001 * 10**-digits), (name, row)


STATES = {
    "above": ((-1.2, 600), 1.35),
    "below": ((3.0, 0), 1.35),
    "inside": ((0.0, 150), 1.35),
    "far right": ((9.0, 0), 1.35),
    "small delta": ((-1.2, 600), 0.1),
    "large delta": ((6.0, 50), 3.0),
}
states = pytest.mark.parametrize(("outlier", "delta"), STATES.values(), ids=STATES)


# On paper


def table_of(text):
    return {
        name: [
            number(text[f"{name}-{c}"]) for c in ("slope", "intercept", "residual", "pull")
        ]
        for name in LOSSES
    }


def test_html_is_well_formed_and_complete():
    html = explorer().html
    page = Page(html)
    assert page.ids == ["outlier-explorer", "outlier-explorer-clip"]
    assert "://" not in html
    assert "innerHTML" not in html
    assert not re.search(
        r"\b(nan|inf|Infinity|undefined|None)\b", html.split("<script>")[0]
    )
    assert html == explorer()._repr_html_()


def test_nothing_but_the_id_tells_two_explorers_apart():
    one, two = explorer().html, explorer(id="second").html
    assert not set(Page(one).ids) & set(Page(two).ids)
    assert one.replace("outlier-explorer", "second") == two


def test_text_of_the_caller_stays_text():
    html = explorer(xlabel='<b>"x" & y</b>').html
    assert "<b>&quot;" not in html
    assert '<b>"' not in html
    assert "&lt;b&gt;&quot;x&quot; &amp; y&lt;/b&gt;" in html


def test_repr_has_no_address():
    assert repr(explorer()) == "Explorer(outlier=(-1.2, 600.0), delta=1.35, c=4.6851)"


def test_files_are_packaged():
    """Colab installs from the repository, not in editable mode."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = config["tool"]["setuptools"]["package-data"]["lossutils"]
    found = [f for f in (ROOT / "lossutils" / "plots").rglob("*") if f.is_file()]
    found = [f for f in found if f.suffix not in (".py", ".pyc")]
    assert {file.suffix for file in found} == {".css", ".html", ".js"}
    for file in found:
        name = file.relative_to(ROOT / "lossutils")
        assert any(name.match(pattern) for pattern in patterns), name


def test_scale_is_that_of_the_clean_data():
    made = explorer()
    reference = Reference((0, 0), 1.35, made.scale)
    reference.x, reference.y = X, Y
    residuals = Y - reference.prediction(reference.least_absolute())
    assert made.scale == pytest.approx(1.4826 * np.median(residuals.abs()), rel=1e-9)
    assert explorer(outlier=(9, 0)).scale == made.scale


@states
def test_first_numbers_are_minimisers(outlier, delta):
    made = explorer(outlier=outlier, delta=delta)
    assert (made.outlier, made.delta) == (outlier, delta)
    reference = Reference(outlier, delta, made.scale)
    for name, line in reference.fits().items():
        assert made.fits[name] == pytest.approx(line.tolist(), rel=1e-6, abs=1e-5), name
    assert_shown(table_of(Page(made.html).text), reference)


@states
def test_no_step_from_a_fit_goes_down(outlier, delta):
    """Subgradients included: every directional slope of lossutils' loss is at least 0."""
    made = explorer(outlier=outlier, delta=delta)
    reference = Reference(outlier, delta, made.scale)
    angles = torch.linspace(0, 2 * torch.pi, 361, dtype=torch.float64)
    for name, line in made.fits.items():
        here = reference.prediction(torch.tensor(line, dtype=torch.float64))
        lowest = reference.errors(name, here)
        for angle in angles:
            way = reference.basis @ torch.stack([angle.cos(), angle.sin()])
            assert reference.errors(name, here + 1e-3 * made.scale * way) >= lowest, name


def test_the_mae_line_goes_through_an_outlier_far_to_the_right():
    """And its pull is then inside the kink, as hard as balance needs."""
    *_, residual, pull = table_of(Page(explorer(outlier=(9, 0)).html).text)["mae"]
    assert residual == 0
    assert 0 < abs(pull) < 1


def test_clean_row_is_the_fit_without_the_outlier():
    cells = re.search(r"Clean</th>(.*?)</tr>", explorer().html, re.DOTALL)[1]
    slope, intercept = (number(cell) for cell in re.findall(r"<td>([−\d.]+)</td>", cells))
    centred = X - X.mean()
    true = (centred @ Y / centred.square().sum()).item()
    assert slope == pytest.approx(true, abs=0.0501)
    assert intercept == pytest.approx((Y.mean() - true * X.mean()).item(), abs=0.0501)


def test_state_is_rounded_to_what_the_sliders_can_hold():
    made = explorer(xlim=(-3.33, 9.01), outlier=(-3.33, 501.9), delta=1.345)
    assert made.outlier == (-3.3, 500)
    assert made.delta == 1.35


WRONG = {
    "nan": ({"x": [0, 1, np.nan, 3]}, "x holds nan"),
    "outside": ({"y": [0, 1, 2, 701]}, "y holds 701"),
    "lengths": ({"x": [0, 1, 2]}, "x has 3 values and y has 4"),
    "few": ({"x": [0, 1], "y": [0, 1]}, "2 values, expected 3 to 100"),
    "constant x": ({"x": [1, 1, 1, 1]}, "every x is 1"),
    "on a line": ({"y": [0, 1, 2, 3]}, "no scale"),
    "constant y": ({"y": [1, 1, 1, 1]}, "no scale"),
    "limits": ({"xlim": (9, -3)}, "xlim is"),
    "outlier": ({"outlier": (0, 701)}, "y of the outlier is 701"),
    "delta": ({"delta": 0}, "delta is 0"),
    "c": ({"c": 0}, "c is 0"),
    "id": ({"id": '"><script>'}, "expected a letter"),
}


@pytest.mark.parametrize(("changed", "message"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_drawn_is_refused(changed, message):
    given = {"x": [0, 1, 2, 3], "y": [0, 2, 1, 3], "outlier": (0, 9), "xlabel": "x"}
    given |= {"ylabel": "y", "xlim": XLIM, "ylim": YLIM, **changed}
    with pytest.raises(ValueError, match=message):
        lu.plots.outlier_explorer(given.pop("x"), given.pop("y"), **given)


# In a real browser


@pytest.fixture(params=[1280, 390], ids=["desktop", "phone"])
def window(opened, request):
    """The explorer, opened from a file in a window of that width, without an error."""
    page = opened(document(explorer()), request.param)
    return SimpleNamespace(
        page=page, part=lambda name: page.locator(f'[data-part="{name}"]')
    )


def text(window):
    return window.page.locator(".lu-explorer").evaluate(READ)


SLIDERS = """root => ["x", "y", "delta"].map(
    k => Number(root.querySelector(`[data-part=${k}]`).value)
)"""


def state(window):
    root = window.page.locator(".lu-explorer")
    return state_of(root.evaluate(SLIDERS), root.evaluate(READ))


def state_of(sliders, shown):
    x, y, delta = sliders
    assert [number(shown[f"{k}-value"]) for k in ("x", "y", "delta")] == sliders
    return (x, y), delta


def assert_agrees(window):
    root = window.page.locator(".lu-explorer")
    assert_agree(*(root.evaluate(look) for look in (SLIDERS, READ, ATTRIBUTES)))


def assert_agree(sliders, text, parts):
    """The table shows lossutils' minimisers for what the sliders say; so do the marks."""
    shown = table_of(text)
    assert_shown(shown, Reference(*state_of(sliders, text), explorer().scale))
    for name, (_, _, residual, pull) in shown.items():
        place = parts[f"{name}-mark"]["transform"]
        px, py = map(float, re.findall(r"-?[\d.]+", place))
        assert px == pytest.approx(161 + 11.5 * np.clip(residual, -10, 10), abs=0.2)
        assert py == pytest.approx(135 - 111 / 3.2 * np.clip(pull, -3.2, 3.2), abs=0.4)


def handle(window):
    box = window.part("handle").locator(".dot").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def pixels(window, x, y):
    """Where a point of the left panel is in the window."""
    corners = window.page.locator(".lu-explorer clipPath path").evaluate(
        """path => {
            const to = path.ownerSVGElement.getScreenCTM(), box = path.getBBox();
            const corner = (x, y) => new DOMPoint(x, y).matrixTransform(to);
            const low = corner(box.x, box.y + box.height);
            const high = corner(box.x + box.width, box.y);
            return [low.x, low.y, high.x, high.y];
        }"""
    )
    left, lower, right, upper = corners
    return (
        left + (x - XLIM[0]) / (XLIM[1] - XLIM[0]) * (right - left),
        lower - (y - YLIM[0]) / (YLIM[1] - YLIM[0]) * (lower - upper),
    )


def test_script_draws_what_python_drew(window):
    """Attribute by attribute: the picture without script is the one with it."""
    drawn = Page(explorer().html)
    root = window.page.locator(".lu-explorer")
    attributes = root.evaluate(ATTRIBUTES)
    assert attributes["controls"].pop("class") == drawn.parts["controls"]["class"]
    assert {k: v for k, v in attributes.items() if k != "controls"} == {
        k: v for k, v in drawn.parts.items() if k != "controls"
    }
    shown = text(window)
    leaves = [k for k, v in drawn.text.items() if v.strip() and k != "handle-label"]
    assert {k: shown[k] for k in leaves} == {k: drawn.text[k] for k in leaves}
    assert len(leaves) > 20
    assert shown["handle-label"] == "drag me"


def test_dragged_with_the_mouse(window):
    for x, y in [(-2.5, 650), (4.0, 30), (9.0, 0), (0.5, 180)]:
        window.page.mouse.move(*handle(window))
        window.page.mouse.down()
        window.page.mouse.move(*pixels(window, x, y), steps=5)
        window.page.mouse.up()
        at, _ = state(window)
        assert at == pytest.approx((x, y), abs=5)
        assert at[0] == pytest.approx(x, abs=0.1)
        assert handle(window) == pytest.approx(pixels(window, *at), abs=1)
        assert_agrees(window)
    before, (px, py) = text(window), handle(window)
    window.page.mouse.move(px + 8, py - 8)  # let go: it stays
    # But for the status, which tells of the last movement in its own time.
    assert {**text(window), "status": ""} == {**before, "status": ""}


def test_dragged_beyond_the_edge_it_stops_there(window):
    window.page.mouse.move(*handle(window))
    window.page.mouse.down()
    window.page.mouse.move(*pixels(window, 9.5, -60), steps=5)
    window.page.mouse.up()
    assert state(window)[0] == (9.0, 0.0)
    assert_agrees(window)


@pytest.mark.parametrize("window", [390], ids=["phone"], indirect=True)
def test_dragged_with_a_finger(window):
    window.part("handle").scroll_into_view_if_needed()
    scrolled = window.page.evaluate("scrollY")
    touch = window.page.context.new_cdp_session(window.page)

    def finger(kind, *points):
        places = [{"x": px, "y": py} for px, py in points]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

    start, end = handle(window), pixels(window, 3.0, 100)
    finger("touchStart", start)
    for k in range(1, 6):
        finger(
            "touchMove", tuple(a + (b - a) * k / 5 for a, b in zip(start, end, strict=True))
        )
    finger("touchEnd")
    assert state(window)[0] == pytest.approx((3.0, 100), abs=5)
    assert window.page.evaluate("scrollY") == scrolled
    assert_agrees(window)


def test_moved_with_the_keyboard(window):
    """Tab reaches the three sliders, then the button; arrows move; focus is seen."""
    for part, press, times in [
        ("delta", "ArrowLeft", 12),
        ("x", "End", 1),
        ("y", "Home", 1),
    ]:
        window.page.keyboard.press("Tab")
        assert window.page.evaluate("document.activeElement.dataset.part") == part
        style, width = window.part(part).evaluate(
            "e => [getComputedStyle(e).outlineStyle, getComputedStyle(e).outlineWidth]"
        )
        assert style == "solid"
        assert float(width.removesuffix("px")) >= 2
        for _ in range(times):
            window.page.keyboard.press(press)
        assert_agrees(window)
    assert state(window) == ((9.0, 0.0), 0.75)
    window.page.keyboard.press("Tab")
    window.page.keyboard.press("Enter")
    assert state(window) == ((-1.2, 600.0), 1.35)
    assert_agrees(window)


@pytest.mark.parametrize("window", [1280], ids=["desktop"], indirect=True)
def test_agrees_wherever_the_sliders_stand(window):
    rng = np.random.default_rng(0)
    states = [
        {
            "x": f"{rng.integers(-30, 91) / 10:.1f}",
            "y": f"{5 * rng.integers(0, 141)}",
            "delta": f"{rng.integers(2, 61) / 20:.2f}",
        }
        for _ in range(25)
    ]
    for state, seen in zip(
        states, tour(window.page, states, SLIDERS, READ, ATTRIBUTES), strict=True
    ):
        assert seen[0] == [float(value) for value in state.values()]
        assert_agree(*seen)


def test_delta_moves_huber_alone(window):
    before, psi = table_of(text(window)), window.part("huber-psi").get_attribute("d")
    for delta in (0.1, 0.6, 3.0):
        window.part("delta").fill(str(delta))
        after = table_of(text(window))
        assert {k for k in LOSSES if after[k] != before[k]} == {"huber"}
        assert after["huber"][3] == delta  # far above its line, the outlier pulls by δ
        assert window.part("huber-psi").get_attribute("d") != psi
        assert_agrees(window)


def test_the_end_of_a_movement_is_told_once(window):
    status = window.part("status")
    assert status.get_attribute("role") == "status"
    assert status.text_content() == ""
    said = "e => { window.said = []; new MutationObserver(() => window.said.push("
    said += "e.textContent)).observe(e, {childList: true}); }"
    status.evaluate(said)
    window.part("x").focus()
    for _ in range(5):
        window.page.keyboard.press("ArrowRight")
    assert status.text_content() == ""
    window.page.wait_for_function("window.said.length > 0")
    shown = text(window)
    slopes = ", ".join(f"{title} {shown[f'{k}-slope']}" for k, title in LOSSES.items())
    assert window.page.evaluate("window.said") == [f"Slopes: {slopes}."]


def test_fits_the_window(window):
    page = window.page
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    card = page.locator(".lu-explorer").bounding_box()
    inside = ":is(table, .panels > svg, label, .note)"
    edges = page.locator(".lu-explorer").evaluate(EDGES, inside)
    assert len(edges) > 5
    for left, right in edges:
        assert card["x"] < left < right < card["x"] + card["width"]
    if page.viewport_size["width"] == 390:
        grip = window.part("handle").locator(".grip").bounding_box()
        assert min(grip["width"], grip["height"]) >= 40
    size = page.locator(".tick").first.evaluate(
        "e => parseFloat(getComputedStyle(e).fontSize) * e.getScreenCTM().a"
    )
    assert size >= 10


def test_is_accessible(window, axe):
    violations = axe(window.page)
    assert not [(v["id"], [n["html"][:150] for n in v["nodes"]]) for v in violations]


def test_two_on_a_page_do_not_meet(browser, tmp_path):
    (tmp_path / "two.html").write_text(
        document(explorer(), explorer(id="second", outlier=(3, 50))), encoding="utf-8"
    )
    (tmp_path / "none.html").write_text(document(), encoding="utf-8")
    page = browser.new_page()
    page.goto((tmp_path / "none.html").as_uri())
    bare = set(page.evaluate("Object.getOwnPropertyNames(window)"))
    page.goto((tmp_path / "two.html").as_uri())
    assert set(page.evaluate("Object.getOwnPropertyNames(window)")) == bare
    first, second = page.locator("#outlier-explorer"), page.locator("#second")
    before = first.evaluate(READ), first.evaluate(ATTRIBUTES)
    start = second.evaluate(READ)
    second.locator('[data-part="y"]').fill("600")
    assert (first.evaluate(READ), first.evaluate(ATTRIBUTES)) == before
    assert second.evaluate(READ)["mse-slope"] != start["mse-slope"]
    page.close()


def test_still_picture_without_script(opened):
    page = opened(document(explorer()), java_script_enabled=False)
    for name in LOSSES:
        for part in (f"{name}-fit", f"{name}-psi", f"{name}-mark", f"{name}-fit-label"):
            box = page.locator(f'[data-part="{part}"]').bounding_box()
            assert box["width"] + box["height"] > 5, part
    cells = page.locator(".lu-explorer td").all_inner_texts()
    assert cells[:4] == [
        Page(explorer().html).text[f"mse-{c}"]
        for c in ("slope", "intercept", "residual", "pull")
    ]
    assert page.locator('[data-part="handle-label"]').text_content() == "outlier"
    assert not page.locator(".lu-explorer .controls").is_visible()
