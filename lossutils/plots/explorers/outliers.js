// Fits a line by each of four losses to the data and one outlier, and redraws what depends
// on it. explorer.py draws the first state by the same steps; tests/test_explorer.py holds
// the two together. The state lives in the sliders, so that pointer and keyboard share it.
function explorer(root, model) {
  const { x, y, scale, c, digits, decimals, box, xlim, ylim, reach, peak, names } = model;
  const LOSSES = ["mse", "mae", "huber", "tukey"];
  const part = (name) => root.querySelector(`[data-part="${name}"]`);
  const sliders = { x: part("x"), y: part("y"), delta: part("delta") };
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

  // A line is [intercept, slope]; a residual is in units of the scale.
  const residuals = ([a, b], px, py) => py.map((v, i) => (v - a - b * px[i]) / scale);

  function leastSquares(px, py, w) {
    const total = sum(w);
    const mx = sum(px.map((v, i) => w[i] * v)) / total;
    const my = sum(py.map((v, i) => w[i] * v)) / total;
    const sxx = sum(px.map((v, i) => w[i] * (v - mx) ** 2));
    const b = sum(px.map((v, i) => w[i] * (v - mx) * (py[i] - my))) / sxx;
    return [my - b * mx, b];
  }

  // A line through two of the points has the least absolute error: try them all.
  function leastAbsolute(px, py) {
    let best = { error: Infinity };
    for (let i = 0; i < px.length; i++) {
      for (let j = i + 1; j < px.length; j++) {
        if (px[i] === px[j]) continue;
        const b = (py[j] - py[i]) / (px[j] - px[i]);
        const line = [py[i] - b * px[i], b];
        const error = sum(residuals(line, px, py).map(Math.abs));
        if (error < best.error - 1e-9) best = { error, line, through: [i, j] };
      }
    }
    return best;
  }

  // Least squares again and again, each point weighted by its pull per residual.
  function reweighted(px, py, line, weight) {
    const far = Math.max(...px.map(Math.abs));
    for (let step = 0, moved = Infinity; step < 20000 && moved > 1e-10 * scale; step++) {
      const next = leastSquares(px, py, residuals(line, px, py).map(weight));
      moved = Math.abs(next[0] - line[0]) + Math.abs(next[1] - line[1]) * far;
      line = next;
    }
    return line;
  }

  const huberWeight = (delta) => (r) => delta / Math.max(delta, Math.abs(r));
  const tukeyWeight = (r) => Math.max(0, 1 - (r / c) ** 2) ** 2;

  // What the outlier's residual and pull are on each fit. The pull is minus the slope of
  // the loss in the prediction. At its kink the absolute error has no slope: a point on
  // the line pulls as hard as it must to balance the others.
  function solve(at, delta) {
    const px = [...x, at.x], py = [...y, at.y], n = x.length;
    const squares = leastSquares(px, py, px.map(() => 1));
    const { line, through: [first, second] } = leastAbsolute(px, py);
    const fits = {
      mse: squares,
      mae: line,
      huber: reweighted(px, py, squares, huberWeight(delta)),
      tukey: reweighted(px, py, line, tukeyWeight),
    };
    const r = {};
    for (const name of LOSSES) r[name] = residuals(fits[name], [at.x], [at.y])[0];
    const pull = {
      mse: 2 * r.mse,
      mae: Math.sign(r.mae),
      huber: r.huber * huberWeight(delta)(r.huber),
      tukey: r.tukey * tukeyWeight(r.tukey),
    };
    if (second === n) {
      const others = residuals(line, x, y).map(Math.sign);
      const turning = sum(others.map((v, i) => v * (x[i] - x[first])));
      [r.mae, pull.mae] = [0, clamp(turning / (x[first] - at.x), -1, 1)];
    }
    return { fits, r, pull };
  }

  // Pixels and numbers
  const [left, upper, right, lower] = box;
  const fixed = (v, d) => v.toFixed(d).replace(/^-(0\.?0*)$/, "$1");
  const number = (v, d) => fixed(v, d).replace("-", "−");
  const along = (v, [low, high]) => left + ((v - low) / (high - low)) * (right - left);
  const up = (v, [low, high]) => lower - ((v - low) / (high - low)) * (lower - upper);
  const pair = (p) => p.map((v) => fixed(v, 1)).join(" ");
  const shift = (px, py) => `translate(${pair([px, py])})`;
  const path = (points) => "M" + points.map(pair).join("L");

  // Labels beside the ends of lines: in their order, clear of each other.
  function labels(kind, ends) {
    const order = Object.keys(ends).sort((i, j) => ends[i] - ends[j]);
    const at = {}, out = {};
    let last = upper - 14;
    for (const name of order) last = at[name] = Math.max(ends[name], last + 14);
    last = lower + 14;
    for (const name of order.reverse()) last = at[name] = Math.min(at[name], last - 14);
    for (const [name, end] of Object.entries(ends)) {
      const seen = upper <= end && end <= lower; // else it leaves through top or bottom
      const leader = seen ? path([[right, end], [right + 12, at[name]]]) : "";
      out[`${name}-${kind}-leader`] = { d: leader };
      out[`${name}-${kind}-label`] = { y: fixed(at[name] + 4, 1) };
    }
    return out;
  }

  function scene(at, delta) {
    const { fits, r, pull } = solve(at, delta);
    const sides = [-reach, reach], heights = [-peak, peak];
    const out = {
      handle: { transform: shift(along(at.x, xlim), up(at.y, ylim)) },
      "handle-label": at.x < (xlim[0] + xlim[1]) / 2
        ? { x: "13", "text-anchor": "start" }
        : { x: "-13", "text-anchor": "end" },
      "x-value": { text: number(at.x, decimals.x) },
      "y-value": { text: number(at.y, decimals.y) },
      "delta-value": { text: number(delta, decimals.delta) },
    };
    const bend = [[-reach, -delta], [-delta, -delta], [delta, delta], [reach, delta]];
    out["huber-psi"] = { d: path(bend.map(([e, p]) => [along(e, sides), up(p, heights)])) };
    const ends = {};
    for (const name of LOSSES) {
      const [a, b] = fits[name];
      const [e, p] = [clamp(r[name], ...sides), clamp(pull[name], ...heights)];
      const line = xlim.map((v) => [along(v, xlim), up(a + b * v, ylim)]);
      out[`${name}-fit`] = { d: path(line) };
      ends[name] = up(a + b * xlim[1], ylim);
      out[`${name}-mark`] = { transform: shift(along(e, sides), up(p, heights)) };
      out[`${name}-slope`] = { text: number(b, digits) };
      out[`${name}-intercept`] = { text: number(a, digits) };
      out[`${name}-residual`] = { text: number(r[name], 2) };
      out[`${name}-pull`] = { text: number(pull[name], 2) };
    }
    const levels = { mae: 1, huber: delta, tukey: 0 };
    for (const name in levels) levels[name] = up(levels[name], heights);
    Object.assign(out, labels("fit", ends), labels("psi", levels));
    const beyond = Math.abs(pull.mse) > peak;
    const over = clamp(Math.abs(r.mse), 0.45 * reach, 0.8 * reach); // clear of the line
    out["mse-beyond"] = {
      text: beyond ? `${names[0]} ${number(pull.mse, 1)}` : "",
      x: fixed(along(over * Math.sign(r.mse), sides), 1),
      y: fixed(pull.mse > 0 ? upper + 20 : lower - 12, 1),
    };
    return out;
  }

  let telling;
  function draw() {
    const at = { x: sliders.x.valueAsNumber, y: sliders.y.valueAsNumber };
    const drawn = scene(at, sliders.delta.valueAsNumber);
    for (const [name, { text, ...attributes }] of Object.entries(drawn)) {
      if (text !== undefined) part(name).textContent = text;
      for (const [key, v] of Object.entries(attributes)) part(name).setAttribute(key, v);
    }
    return drawn;
  }
  function change() {
    const drawn = draw();
    part("handle-label").textContent = "outlier";
    clearTimeout(telling); // a screen reader hears the end of a movement, not each step
    telling = setTimeout(() => {
      const slopes = LOSSES.map((name, i) => `${names[i]} ${drawn[`${name}-slope`].text}`);
      part("status").textContent = `Slopes: ${slopes.join(", ")}.`;
    }, 600);
  }

  function drag(event) {
    const svg = part("handle").ownerSVGElement;
    const point = new DOMPoint(event.clientX, event.clientY);
    const { x: px, y: py } = point.matrixTransform(svg.getScreenCTM().inverse());
    sliders.x.value = xlim[0] + ((px - left) / (right - left)) * (xlim[1] - xlim[0]);
    sliders.y.value = ylim[0] + ((lower - py) / (lower - upper)) * (ylim[1] - ylim[0]);
    change();
  }
  const handle = part("handle");
  handle.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    handle.setPointerCapture(event.pointerId);
    handle.addEventListener("pointermove", drag);
  });
  // A finger drags the point, not the page: touch-action does nothing inside an SVG.
  handle.addEventListener("touchstart", (event) => event.preventDefault());
  for (const end of ["pointerup", "pointercancel"]) {
    handle.addEventListener(end, () => handle.removeEventListener("pointermove", drag));
  }
  for (const slider of Object.values(sliders)) slider.addEventListener("input", change);
  part("reset").addEventListener("click", () => {
    for (const slider of Object.values(sliders)) slider.value = slider.defaultValue;
    change();
  });
  part("handle-label").textContent = "drag me";
  part("controls").hidden = false;
  draw();
}
