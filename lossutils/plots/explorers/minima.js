// minima.py draws the first state by the same steps.
function explorer(root, model) {
  const { draws, xlim, count } = model;
  const plot = panel(model.box, model.slots);

  // Value and slope by the error e = θ − target; c is the width of Welsch's loss.
  const LOSSES = {
    mse: [(e) => e * e, (e) => 2 * e],
    mae: [Math.abs, Math.sign],
    huber: [
      (e) => (Math.abs(e) <= 1 ? (e * e) / 2 : Math.abs(e) - 0.5),
      (e) => clamp(e, -1, 1),
    ],
    welsch: [
      (e, c) => (-(c * c) / 2) * Math.expm1(-((e / c) ** 2)),
      (e, c) => e * Math.exp(-((e / c) ** 2)),
    ],
  };
  const even = (parts) =>
    Array.from({ length: parts + 1 }, (_, i) => xlim[0] + (i * (xlim[1] - xlim[0])) / parts);

  // The connected sets of local minimisers whose walls are higher than the tolerance: down
  // by more than that, up by more than that. A set is [first, last], places in f.
  function valleys(f, tolerance) {
    const found = [];
    let falling = false, extreme = f[0], first = 0, last = 0;
    f.forEach((v, i) => {
      if (!falling) {
        extreme = Math.max(extreme, v);
        if (v < extreme - tolerance) [falling, extreme, first, last] = [true, v, i, i];
      } else if (v < extreme - 1e-6 * tolerance) {
        [extreme, first, last] = [v, i, i];
      } else if (v <= extreme + 1e-6 * tolerance) {
        last = i;
      } else if (v > extreme + tolerance) {
        found.push([first, last]);
        [falling, extreme] = [false, v];
      }
    });
    return found;
  }

  // The minimiser between two places that enclose it.
  function refined(f, low, high) {
    for (let i = 0; i < 40; i++) {
      const [a, b] = [low + (high - low) / 3, high - (high - low) / 3];
      if (f(a) < f(b)) high = b;
      else low = a;
    }
    return (low + high) / 2;
  }

  function solve({ loss, level, c }) {
    const targets = draws.map((z) => level * z);
    const [value, slope] = LOSSES[loss].map(
      (f) => (x) => sum(targets.map((t) => f(x - t, c))) / targets.length
    );
    const inside = targets.filter((t) => xlim[0] < t && t < xlim[1]);
    const fine = [...even(2 * count), ...inside].sort((a, b) => a - b);
    const f = fine.map(value);
    const range = Math.max(...f) - Math.min(...f);
    const minima = valleys(f, 1e-6 * range).map(([i, j]) =>
      i < j ? (fine[i] + fine[j]) / 2 : refined(value, fine[i - 1], fine[i + 1])
    );
    const x = even(count), clear = even(count / 2);
    const [cleanValue, cleanSlope] = LOSSES[loss].map((f) => clear.map((v) => f(v, c)));
    return {
      targets: inside, minima, onto: minima.map(value), x, clear,
      value: x.map(value), slope: x.map(slope), cleanValue, cleanSlope,
    };
  }

  function verdict({ minima, onto, slope }) {
    if (!minima.length) return `No local minimum from ${xlim.map((v) => number(v, 0)).join(" to ")}.`;
    const lowest = shown(minima[onto.indexOf(Math.min(...onto))]);
    if (minima.length > 1) {
      return `${minima.length} local minima, the lowest at ${lowest}; a convex loss keeps one.`;
    }
    const steepest = Math.max(...slope.map(Math.abs));
    const convex = slope.every((v, i) => !i || v >= slope[i - 1] - 1e-9 * steepest);
    return `One local minimum, at ${lowest}` +
      (convex ? ": the curve is convex." : ", though the curve is not convex.");
  }

  function panels(solved) {
    const { along, up, curve, axis, left, right, upper, lower } = plot;
    const { targets, minima, onto, x, clear, value, slope, cleanValue, cleanSlope } = solved;
    const [least, most] = [Math.min(...value), Math.max(...value)];
    const range = most - least;
    // Of a clean curve that goes far below the noisy one, only the beginning is shown.
    const floor = Math.max(Math.min(...cleanValue), least - range / 2);
    const ylim = [floor - 0.15 * (most - floor), most + 0.06 * range];
    const steep = 1.15 * Math.max(...slope.map(Math.abs));
    const sides = [-steep, steep];
    const dot = (limits) => (m, i) => {
      const at = pair([along(m, xlim) - 3.2, up(limits === ylim ? onto[i] : 0, limits)]);
      return `M${at}a3.2 3.2 0 1 0 6.4 0a3.2 3.2 0 1 0-6.4 0Z`;
    };
    const tick = (t) => `M${fixed(along(t, xlim), 1)} ${lower}V${lower - 8}`;
    const best = onto.indexOf(Math.min(...onto));
    const [px, py] = minima.length
      ? [along(minima[best], xlim), up(onto[best], ylim)]
      : [-999, -999];
    return {
      ...axis("value-y", "y", ylim, 4),
      ...axis("slope-y", "y", sides, 4),
      "value-clean": { d: curve(clear, cleanValue, xlim, ylim) },
      "value-noisy": { d: curve(x, value, xlim, ylim) },
      "value-minima": { d: minima.map(dot(ylim)).join("") },
      "value-lowest": { transform: shift(px, py) },
      "slope-lowest": { transform: shift(px, up(0, sides)) },
      "value-rug": { d: targets.map(tick).join("") },
      "slope-zero": { d: `M${left} ${fixed(up(0, sides), 1)}H${right}` },
      "slope-clean": { d: curve(clear, cleanSlope, xlim, sides) },
      "slope-noisy": { d: curve(x, slope, xlim, sides) },
      "slope-minima": { d: minima.map(dot(sides)).join("") },
    };
  }

  live(root, ["loss", "level", "c"], (state) => {
    const solved = solve(state);
    return {
      c: { disabled: state.loss === "welsch" ? null : "" },
      "level-value": { text: number(state.level, 2) },
      "c-value": { text: number(state.c, 2) },
      ...panels(solved),
      verdict: { text: verdict(solved) },
    };
  });
}
