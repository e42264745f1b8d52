// noise.py draws the first state by the same steps.
function explorer(root, model) {
  const { target: t, grid, xlim, limits, coarse, fine, equal } = model;
  const plot = panel(model.box, model.slots);
  const ROOM = 90; // for a label beside a line, in pixels

  // Value and slope by the error e = prediction − target.
  const LOSSES = {
    mse: [(e) => e * e, (e) => 2 * e],
    mae: [Math.abs, Math.sign],
    huber: [
      (e) => (Math.abs(e) <= 1 ? (e * e) / 2 : Math.abs(e) - 0.5),
      (e) => clamp(e, -1, 1),
    ],
    log_cosh: [
      (e) => Math.abs(e) + Math.log1p(Math.exp(-2 * Math.abs(e))) - Math.LN2,
      Math.tanh,
    ],
  };
  // z of standard deviation 1 as a function of s in (0, 1), and its density times dz/ds but
  // for a factor: a sum over equal steps of s is an integral over z, tails included.
  const logit = (s) => Math.log(s / (1 - s));
  const NOISES = {
    gaussian: (s) => {
      const z = logit(s) / 1.7;
      return [z, Math.exp((-z * z) / 2) / (s * (1 - s))];
    },
    laplace: (s) => {
      const z = Math.SQRT2 * logit(s);
      return [z, Math.exp(-Math.SQRT2 * Math.abs(z)) / (s * (1 - s))];
    },
    uniform: (s) => [Math.sqrt(3) * (2 * s - 1), 1],
    student_t: (s) => [Math.tan(Math.PI * (s - 0.5)), Math.sin(Math.PI * s) ** 2],
  };
  // Of a loss (value, slope) with the noise z: value, and gradient in the prediction p.
  const NOISY = {
    target: ([f, d]) => [(p, z) => f(p - t - z), (p, z) => d(p - t - z)],
    prediction: ([f, d]) => [
      (p, z) => f(p * (1 + z) - t),
      (p, z) => d(p * (1 + z) - t) * (1 + z),
    ],
    value: ([f, d]) => [(p, z) => f(p - t) + z, (p) => d(p - t)],
  };

  function nodes(kind, m) {
    const z = new Float64Array(m), w = new Float64Array(m);
    for (let i = 0; i < m; i++) [z[i], w[i]] = NOISES[kind]((i + 0.5) / m);
    const total = w.reduce((a, b) => a + b, 0);
    return { z, w: w.map((v) => v / total) };
  }
  // m points of equal weight: the quantiles of (i + ½)/m.
  function quantiles({ z, w }, m) {
    const out = new Float64Array(m);
    for (let i = 0, j = 0, before = 0, c = w[0] / 2; i < m; i++) {
      const u = (i + 0.5) / m;
      while (c < u) [before, c, j] = [c, c + (w[j] + w[j + 1]) / 2, j + 1];
      out[i] = j ? z[j - 1] + ((z[j] - z[j - 1]) * (u - before)) / (c - before) : z[0];
    }
    return out;
  }
  const ready = {};
  function rules(kind) {
    if (!ready[kind]) {
      const dense = nodes(kind, fine);
      ready[kind] = { dense, rough: nodes(kind, coarse), even: quantiles(dense, equal) };
    }
    return ready[kind];
  }

  function values(f, p, z, level) {
    const v = new Float64Array(z.length);
    for (let i = 0; i < z.length; i++) v[i] = f(p, level * z[i]);
    return v;
  }
  function moments(f, p, { z, w }, level) {
    const v = values(f, p, z, level);
    let mean = 0, square = 0;
    for (let i = 0; i < v.length; i++) mean += w[i] * v[i];
    for (let i = 0; i < v.length; i++) square += w[i] * (v[i] - mean) ** 2;
    return { v, mean, sd: Math.sqrt(square) };
  }
  // What a share q of the values, which are sorted, lies below.
  const quantile = (v, q) => {
    const k = Math.round(q * v.length);
    return (v[k - 1] + v[k]) / 2;
  };
  const sorted = (f, p, even, level) => values(f, p, even, level).sort();

  function solve({ loss, noise, where, level, prediction: p }) {
    const { dense, rough, even } = rules(noise);
    const clean = LOSSES[loss].map((f) => grid.map((x) => f(x - t)));
    const noisy = NOISY[where](LOSSES[loss]);
    // The expected slope is negative on one side of the minimum, which lies between 0
    // and the target, and positive on the other.
    let low = Math.min(0, t), high = Math.max(0, t);
    for (let i = 0; i < 24; i++) {
      const x = (low + high) / 2;
      if (moments(noisy[1], x, dense, level).mean < 0) low = x;
      else high = x;
    }
    const minimum = (low + high) / 2;
    // Student's t with 3 degrees of freedom has no moment of order 4.
    const heavy = noise === "student_t" && loss === "mse" && level > 0;
    const squared = [
      heavy && (where === "target" || (where === "prediction" && p !== 0)),
      heavy && where === "prediction" && p !== 0,
    ];
    const sides = noisy.map((f, i) => {
      const there = grid.map((x) => moments(f, x, rough, level));
      const bands = grid.map((x) => sorted(f, x, even, level));
      const { v, mean, sd } = moments(f, p, dense, level);
      const part = sorted(f, p, even, level);
      return {
        clean: clean[i],
        mean: there.map((m) => m.mean),
        spread: there.map((m) => m.sd),
        low: bands.map((b) => quantile(b, 0.05)),
        high: bands.map((b) => quantile(b, 0.95)),
        at: {
          v, w: dense.w, ends: [quantile(part, 0.01), quantile(part, 0.99)],
          clean: LOSSES[loss][i](p - t), mean, sd: squared[i] ? Infinity : sd,
        },
      };
    });
    const onto = moments(noisy[0], minimum, dense, level).mean;
    const beside = [
      moments(noisy[1], t + level, dense, level).mean, LOSSES[loss][1](level),
    ];
    return { value: sides[0], slope: sides[1], minimum, onto, beside };
  }

  function verdict({ slope, minimum, beside }, level) {
    const largest = (values) => values.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
    const top = largest(slope.clean), spread = largest(slope.spread);
    const moved = largest(slope.mean.map((v, i) => v - slope.clean[i]));
    const sd = shown(slope.at.sd);
    if (level === 0) return "Without noise the curves coincide.";
    if (Math.max(moved, spread) < 1e-9 * top) {
      return "The gradient does not change: this noise never reaches the parameters.";
    }
    if (moved < 1e-3 * top) {
      const same = largest(slope.spread.map((v) => v - slope.at.sd)) < 1e-3 * spread;
      const ratio = String(+(slope.at.sd / level).toFixed(2)).replace(/^1$/, "");
      return `The expected gradient is unchanged; its spread is ${sd}` +
        (same ? ` = ${ratio}σ at every prediction.` : " here.");
    }
    if (shown(minimum) !== shown(t)) {
      const ridge = t / (1 + level ** 2);
      const formula = Math.abs(minimum - ridge) < 1e-3 * Math.abs(minimum - t);
      return `The minimum moves from ${shown(t)} to ${shown(minimum)}` +
        (formula ? " = t/(1 + σ²)." : ".");
    }
    const [there, before] = beside;
    if (shown(there) !== shown(before)) {
      return `One σ above the target the expected gradient is ${shown(there)} instead of ` +
        `${shown(before)}: it is ${there < before ? "flatter" : "steeper"} there.`;
    }
    return `The expected gradient hardly changes; its spread is ${sd} here.`;
  }

  function curves(name, side, ylim, minimum, onto, p) {
    const draw = (v) => plot.curve(grid, v, xlim, ylim);
    const back = plot.curve([...grid].reverse(), [...side.high].reverse(), xlim, ylim);
    const { along, up, left, right, upper, lower } = plot;
    const at = fixed(along(p, xlim), 1), zero = fixed(up(0, ylim), 1);
    return {
      ...plot.axis(`${name}-y`, "y", ylim, 4),
      [`${name}-zero`]: { d: `M${left} ${zero}H${right}` },
      [`${name}-band`]: { d: `${draw(side.low)}L${back.slice(1)}Z` },
      [`${name}-mean`]: { d: draw(side.mean) },
      [`${name}-clean`]: { d: draw(side.clean) },
      [`${name}-here`]: { d: `M${at} ${upper}V${lower}` },
      [`${name}-clean-low`]: { transform: shift(along(t, xlim), up(0, ylim)) },
      [`${name}-mean-low`]: {
        transform: shift(along(minimum, xlim), clamp(up(onto, ylim), upper, lower)),
      },
    };
  }

  // Bars of equal width with edges on its multiples, or centred on them.
  function histogram(name, { v, w, ends, clean, mean }, centred, p) {
    const { along, up, left, right, upper, lower } = plot;
    let low = Math.min(...ends, clean, mean), high = Math.max(...ends, clean, mean);
    const share = [];
    let width, first, offset = centred ? 0.5 : 0, below = 0, above = 0;
    if (high - low < 1e-9 * Math.max(1, Math.abs(clean))) {
      [width, first, offset, share[0]] = [0.08, 0, 0.5 - clean / 0.08, 1];
      [low, high] = [clean - 1, clean + 1];
    } else {
      width = step([low, high], 28);
      first = Math.floor(low / width + offset + 1e-9) - (centred ? 1 : 0);
      const last = Math.ceil(high / width + offset - 1e-9) + (centred ? 1 : 0);
      for (let k = first; k < last; k++) share.push(0);
      for (let i = 0; i < v.length; i++) {
        const k = Math.floor(v[i] / width + offset + 1e-9) - first;
        if (k < 0) below += w[i];
        else if (k >= share.length) above += w[i];
        else share[k] += w[i];
      }
      [low, high] = [(first - offset) * width, (last - offset) * width];
    }
    const sides = [low, high], shares = [0, 135 * Math.max(...share)];
    const bars = share.map((one, k) => {
      const x = (i) => along((first + i - offset) * width, sides);
      const [from, to] = [fixed(x(k) + 0.4, 1), fixed(x(k + 1) - 0.4, 1)];
      const top = fixed(up(100 * one, shares), 1);
      return one ? `M${from} ${lower}V${top}H${to}V${lower}Z` : "";
    });
    // Labels go outwards where there is room, else both to one side, one below the other;
    // then the outer line begins below the inner one's label.
    const names = clean <= mean + 1e-9 ? ["clean", "mean"] : ["mean", "clean"];
    const at = { clean: along(clean, sides), mean: along(mean, sides) };
    const [before, after] = [at[names[0]] - left > ROOM, right - at[names[1]] > ROOM];
    const rows = [before && !after ? 16 : 0, before ? 0 : 16];
    const marks = {};
    names.forEach((kind, i) => {
      const onRight = i ? after : !before;
      marks[`${name}-${kind}`] = { d: `M${fixed(at[kind], 1)} ${upper + rows[i]}V${lower}` };
      marks[`${name}-${kind}-label`] = {
        x: fixed(at[kind] + (onRight ? 5 : -5), 1), y: `${upper + 12 + rows[i]}`,
        "text-anchor": onRight ? "start" : "end",
        text: `${kind} ${shown(kind === "clean" ? clean : mean)}`,
      };
    });
    const percent = (s) => `${fixed(100 * s, 1)} %`;
    return {
      ...plot.axis(`${name}-x`, "x", sides),
      ...plot.axis(`${name}-y`, "y", shares, 4),
      [`${name}-title`]: { text: `${model.titles[name]} at prediction ${shown(p)}` },
      [`${name}-bars`]: { d: bars.join("") },
      ...marks,
      [`${name}-below`]: { text: below >= 0.0005 ? `← ${percent(below)}` : "" },
      [`${name}-above`]: { text: above >= 0.0005 ? `${percent(above)} →` : "" },
    };
  }

  live(root, ["loss", "noise", "where", "level", "prediction"], (state) => {
    const solved = solve(state);
    const { value, slope, minimum, onto } = solved;
    const { loss, level, prediction: p } = state;
    const low = plot.along(minimum, xlim);
    const out = {
      "level-value": { text: number(level, 2) },
      "prediction-value": { text: number(p, 2) },
      ...curves("value", value, limits[loss][0], minimum, onto, p),
      ...curves("slope", slope, limits[loss][1], minimum, 0, p),
      ...histogram("values", value.at, false, p),
      ...histogram("slopes", slope.at, true, p),
      "value-low-label": {
        x: fixed(clamp(low, plot.left + 36, plot.right - 36), 1),
        y: fixed(plot.up(0, limits[loss][0]) + 21, 1),
        text: `minimum ${shown(minimum)}`,
      },
      "table-minimum-clean": { text: shown(t) },
      "table-minimum-mean": { text: shown(minimum) },
      verdict: { text: verdict(solved, level) },
    };
    for (const [name, { at }] of Object.entries({ value, slope })) {
      for (const key of ["clean", "mean", "sd"]) {
        out[`table-${name}-${key}`] = { text: shown(at[key]) };
      }
    }
    return out;
  });
}
