// descent.py draws the first state by the same steps.
function explorer(root, model) {
  const { count, arrived, far, edge, slope, over, under, levels, xlim, ylim } = model;
  const plot = panel(model.box, model.slots);
  const { along, up, left, right, upper, lower } = plot;
  const steplim = [0, count];
  const part = (name) => root.querySelector(`[data-part="${name}"]`);

  // A landscape is the sum of one term in x and one in y; w is its weight. The inverse
  // gives, of the two places where the term has a value, the one of the sign.
  const side = (e) => (e > 0 ? over : under);
  const TERMS = {
    valley: {
      value: (e, w) => (w * e * e) / 2,
      slope: (e, w) => w * e,
      inverse: (v, sign, w) => sign * Math.sqrt((2 * v) / w),
    },
    plateau: {
      value: (e) => (Math.abs(e) <= edge ? Math.abs(e) : edge + slope * (Math.abs(e) - edge)),
      slope: (e) => Math.sign(e) * (Math.abs(e) <= edge ? 1 : slope),
      inverse: (v, sign) => sign * (v <= edge ? v : edge + (v - edge) / slope),
    },
    cliff: {
      value: (e) => side(e) * e * e,
      slope: (e) => 2 * side(e) * e,
      inverse: (v, sign) => sign * Math.sqrt(v / side(sign)),
    },
  };

  // The larger root of r² − (1 + μ − ηλ) r + μ, by its absolute value.
  function radius(rate, momentum, curvature) {
    const middle = 1 + momentum - rate * curvature;
    const inside = middle * middle - 4 * momentum;
    return inside < 0 ? Math.sqrt(momentum) : (Math.abs(middle) + Math.sqrt(inside)) / 2;
  }

  // The factor a step in the end; directions where the start is 0 stay at 0.
  function predict({ landscape, rate, momentum, weights, x, y }) {
    const factors = [];
    [x, y].forEach((e, i) => {
      if (e === 0) return;
      if (landscape === "valley") {
        factors.push(radius(rate, momentum, weights[i]));
      } else if (landscape === "cliff" && momentum === 0) {
        const [here, there] = [side(e), side(-e)].map((s) => 1 - 2 * s * rate);
        if (here >= 0) factors.push(here); // never on the other side
        else factors.push(there >= 0 ? there : Math.sqrt(here * there));
      }
    });
    return factors.length ? Math.max(...factors) : null;
  }

  function descend(state) {
    const { landscape, rate, momentum, weights, x, y } = state;
    const term = TERMS[landscape];
    const at = [x, y], speed = [0, 0];
    const points = [[x, y]], distance = [Math.hypot(x, y)];
    while (points.length <= count && distance.at(-1) <= far) {
      for (const i of [0, 1]) {
        speed[i] = momentum * speed[i] + term.slope(at[i], weights[i]);
        at[i] -= rate * speed[i];
      }
      points.push([...at]);
      distance.push(Math.hypot(...at));
    }
    const loss = points.map(
      ([px, py]) => term.value(px, weights[0]) + term.value(py, weights[1])
    );
    const first = distance[0], last = distance.length - 1;
    // From which step on the distance is at most a share of the first.
    const settled = (share) =>
      distance.findLastIndex((d) => d > share * first * (1 + 1e-9)) + 1;
    const moved = Math.min(settled(1e-9), last); // after that, rounding is all that is left
    const steps = settled(arrived);
    // The farthest of a last window beside that of an earlier one: paths swing.
    const wide = Math.max(1, Math.floor(moved / 4));
    let apart = Math.min(2 * wide, moved - wide + 1);
    const most = (values, before) =>
      Math.max(...values.slice(moved - before + 1 - wide, moved - before + 1));
    const sizes = [0, 1].map((i) => points.map((p) => Math.abs(p[i])));
    let leading = 0, measured = null, turns = 0;
    if (moved) {
      leading = +(most(sizes[1], 0) > most(sizes[0], 0));
      while (most(distance, apart) === 0) apart += 1; // on the way through the minimum
      measured = (most(distance, 0) / most(distance, apart)) ** (1 / apart);
    }
    for (let k = 0; k < moved; k++) turns += points[k][leading] * points[k + 1][leading] < 0;
    return {
      points, loss, distance, steps: steps <= last ? steps : null, measured,
      predicted: predict(state), leading, turns, moved, lost: distance[last] > far,
    };
  }

  const digits = (v, n) => String(+(v * (1 + 1e-12)).toPrecision(n));
  const grouped = (n) => n.toFixed(0).replace(/\B(?=(\d{3})+$)/g, "\u202f");

  function motion({ turns, moved }) {
    return turns / moved > 0.5 ? "Bounces" : turns > 1 ? "Swings" : "Crawls";
  }
  // On the plateau: what is farther out than its edge.
  function stuck({ points }, { rate, momentum }) {
    const out = Math.max(...points.at(-1).map(Math.abs));
    if (out <= edge) return null;
    const there = TERMS.plateau.slope(out), share = there / TERMS.plateau.slope(edge);
    const pace = (rate * there) / (1 - momentum);
    const steps = Math.ceil(+(((out - edge) / pace) * (1 + 1e-12)).toExponential(1));
    return `Stuck on the plateau: a step is ${digits(share, 1)} of one near the minimum, ` +
      `and the edge is ${grouped(steps)} step${steps > 1 ? "s" : ""} away.`;
  }
  function diverging({ predicted, measured, lost }, { landscape, momentum, condition }) {
    const grows = predicted === null ? lost || measured > 1.001 : predicted > 1 + 1e-9;
    if (landscape === "valley") {
      const limit = digits((2 * (1 + momentum)) / condition, 3);
      const name = momentum ? "2(1 + μ)/λmax" : "2/λmax";
      if (grows) return `Diverges: the learning rate is above ${name} = ${limit}.`;
      if (predicted > 1 - 1e-9) {
        return `Bounces for ever: the learning rate is ${name} = ${limit}.`;
      }
    } else if (grows) {
      return "Diverges: from wall to gentle side and back the distance grows by " +
        `${shown(measured, 3)} a step.`;
    }
    return null;
  }
  function place({ leading }, { landscape, condition }, how) {
    if (landscape === "cliff") {
      // Down the wall no rate is slow enough to crawl.
      return how === "Crawls" ? "along the gentle side" : "between wall and gentle side";
    }
    if (landscape === "plateau" || condition < 2) {
      return how === "Crawls" ? "towards the minimum" : "about the minimum";
    }
    return ["along the valley", "across the valley"][leading];
  }
  function verdict(run, state) {
    const { points, distance, steps, measured } = run;
    const { landscape } = state;
    if (measured === null) return "The start is the minimum: nothing moves.";
    const found = (landscape === "plateau" ? stuck : diverging)(run, state);
    if (found) return found;
    const how = motion(run), factor = shown(measured, 3);
    const ways = `${how} ${place(run, state, how)}: `;
    let story;
    if (steps !== null && steps <= count / 4) {
      story = `Arrives: 1\u00a0% of the distance after ${steps} step${steps === 1 ? "" : "s"}.`;
    } else if (landscape === "plateau") {
      const [[ax, ay], [bx, by]] = points.slice(-2);
      const long = shown(Math.hypot(bx - ax, by - ay), 3);
      story = `${ways}the slope does not shrink, and the last step is ${long} long.`;
    } else if (steps === null) {
      story = `${ways}${factor} a step, and not there after ${count}.`;
    } else {
      story = `${ways}${factor} a step, 1\u00a0% of the distance after ${steps} steps.`;
    }
    const farthest = Math.max(...distance) / distance[0];
    if (landscape === "cliff" && farthest > 1.5) {
      const begun = story[0].toLowerCase() + story.slice(1);
      return `Thrown back ${shown(farthest, 1)} times as far, then ${begun}`;
    }
    return story;
  }

  // What of a level is x's part, at the places of a contour in one quadrant.
  function shares(level, landscape) {
    const found = Array.from({ length: 13 }, (_, k) => Math.sin((Math.PI * k) / 24) ** 2);
    if (landscape === "plateau" && level > edge) found.push(edge / level, 1 - edge / level);
    return [...new Set(found)].sort((a, b) => a - b);
  }
  function contour(level, { landscape, weights }) {
    const { inverse } = TERMS[landscape], rising = shares(level, landscape);
    const falling = [...rising].reverse();
    const quarters = [[1, 1, falling], [-1, 1, rising], [-1, -1, falling], [1, -1, rising]];
    const points = quarters.flatMap(([sx, sy, there]) =>
      there.slice(0, -1).map((s) => [
        along(inverse(level * s, sx, weights[0]), xlim),
        up(inverse(level * (1 - s), sy, weights[1]), ylim),
      ])
    );
    return `${path(points)}Z`;
  }
  // Equal steps on the plateau; elsewhere each is twice the one inside it.
  function heights({ landscape, weights }) {
    const all = Array.from({ length: levels }, (_, k) => k);
    if (landscape === "plateau") return all.slice(0, 10).map((k) => (k + 1) / 10);
    const { value } = TERMS[landscape];
    const most = value(xlim[1], weights[0]) + value(ylim[1], weights[1]);
    return all.map((k) => 2 ** (k - 3)).filter((level) => level < most);
  }

  const power = (text) =>
    text && "10" + text.replace(/./g, (c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["−0123456789".indexOf(c)]);

  function losses({ loss, steps, predicted }) {
    const first = loss[0];
    const least = Math.max(Math.min(...loss), 1e-10 * first) || 1; // nothing: all is 0
    const top = Math.ceil(Math.log10(Math.max(...loss) || 1));
    const limits = [Math.min(Math.floor(Math.log10(least)), top - 4), top];
    const height = (v) => up(Math.log10(Math.max(v, 1e-99)), limits);
    let dashed = "";
    if (predicted !== null) {
      const end = Math.log10(first) + 2 * count * Math.log10(Math.max(predicted, 1e-9));
      dashed = path([[left, height(first)], [right, up(end, limits)]]);
    }
    const axis = plot.axis("loss-y", "y", limits, 4);
    for (const slot of Object.values(axis)) if (slot.text) slot.text = power(slot.text);
    const at = along(steps ?? 0, steplim), late = steps > count / 2;
    return {
      ...axis,
      "loss-line": { d: path(loss.map((v, k) => [along(k, steplim), height(v)])) },
      "loss-predicted": { d: dashed },
      "loss-there": { d: steps ? `M${fixed(at, 1)} ${upper}V${lower}` : "" },
      "loss-there-label": {
        x: fixed(at + (late ? -5 : 5), 1),
        "text-anchor": late ? "end" : "start",
        text: steps ? `1\u00a0% at step ${steps}` : "",
      },
    };
  }

  function table({ steps, measured, predicted }) {
    let expected = "–";
    if (predicted !== null) {
      const there = predicted > 0 ? Math.log(arrived) / Math.log(predicted) : 1;
      expected = predicted < 1 - 1e-9 ? grouped(Math.ceil(there - 1e-9)) : "never";
    }
    return {
      "table-steps-measured": { text: steps === null ? `not within ${count}` : `${steps}` },
      "table-steps-predicted": { text: expected },
      "table-factor-measured": { text: measured === null ? "–" : shown(measured, 3) },
      "table-factor-predicted": { text: predicted === null ? "–" : shown(predicted, 3) },
    };
  }

  // Twenty values a decade, of two digits.
  const value = (position) => +(10 ** (position / 20)).toExponential(1);

  live(root, ["landscape", "rate", "momentum", "condition", "x", "y"], (controls) => {
    const rate = value(controls.rate), condition = value(controls.condition);
    const state = { ...controls, rate, condition, weights: [1, condition] };
    const { landscape, momentum, x, y } = state;
    const run = descend(state);
    const places = run.points.map(([px, py]) => [along(px, xlim), up(py, ylim)]);
    const lines = heights(state).map((level) => contour(level, state));
    while (lines.length < levels) lines.push("");
    const out = {
      rate: { "aria-valuetext": `${rate}` },
      condition: {
        "aria-valuetext": `${condition}`,
        disabled: landscape === "valley" ? null : "",
      },
      "rate-value": { text: `${rate}` },
      "momentum-value": { text: number(momentum, 2) },
      "condition-value": { text: `${condition}` },
      "x-value": { text: number(x, 1) },
      "y-value": { text: number(y, 1) },
      "path-line": { d: path(places) },
      "path-dots": { d: places.map((p) => `M${pair(p)}h0`).join("") },
      handle: { transform: shift(...places[0]) },
      // The path goes towards the minimum: the label is on the other side of the start.
      "handle-label": {
        x: x > 0 ? "8" : "-8",
        y: y < 0 ? "20" : "-13",
        "text-anchor": x > 0 ? "end" : "start",
      },
      ...losses(run),
      ...table(run),
      verdict: { text: verdict(run, state) },
    };
    lines.reverse().forEach((d, k) => (out[`level-${k}`] = { d }));
    return out;
  });

  const handle = part("handle"), sliders = [part("x"), part("y")];
  function drag(event) {
    const point = new DOMPoint(event.clientX, event.clientY);
    const to = handle.ownerSVGElement.getScreenCTM().inverse();
    const { x: px, y: py } = point.matrixTransform(to);
    sliders[0].value = xlim[0] + ((px - left) / (right - left)) * (xlim[1] - xlim[0]);
    sliders[1].value = ylim[0] + ((lower - py) / (lower - upper)) * (ylim[1] - ylim[0]);
    sliders[0].dispatchEvent(new Event("input", { bubbles: true }));
  }
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
  const label = part("handle-label");
  label.textContent = "drag me";
  root.addEventListener("input", () => (label.textContent = "start"), { once: true });
}
