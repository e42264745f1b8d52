// What the noise and the minima explorer share; _svg.py draws the first state by the same
// steps, and tests/test_noise_explorers.py holds the two together.
const fixed = (v, d) => v.toFixed(d).replace(/^-(0\.?0*)$/, "$1");
const number = (v, d) => fixed(v, d).replace("-", "−");
const shown = (v, d = 2) => (v === Infinity ? "∞" : number(v * (1 + 1e-12), d));
const clamp = (v, low, high) => Math.min(Math.max(v, low), high);
const sum = (values) => values.reduce((total, v) => total + v, 0);
const pair = ([x, y]) => `${fixed(x, 1)} ${fixed(y, 1)}`;
const path = (points) => "M" + points.map(pair).join("L");
const shift = (x, y) => `translate(${pair([x, y])})`;

// The step of 1, 2 or 5 times a power of ten that fits about `count` times.
function step([low, high], count) {
  const wide = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(wide));
  const off = (k) => Math.abs(Math.log(wide / power / k));
  return power * [1, 2, 5, 10].reduce((best, k) => (off(k) < off(best) ? k : best));
}

function panel([left, upper, right, lower], slots) {
  const along = (v, [low, high]) => left + ((v - low) / (high - low)) * (right - left);
  const up = (v, [low, high]) => lower - ((v - low) / (high - low)) * (lower - upper);
  // Beyond the panel a curve may go far: no farther than these pixels.
  const curve = (xs, ys, xlim, ylim) =>
    path(xs.map((x, i) => [along(x, xlim), clamp(up(ys[i], ylim), -999, 1999)]));

  function axis(part, direction, limits, count = 5) {
    const by = step(limits, count), out = {};
    const first = Math.ceil(limits[0] / by), last = Math.floor(limits[1] / by);
    let grid = "";
    for (let k = 0; k < slots; k++) {
      const v = (first + k) * by;
      if (first + k > last) {
        out[`${part}-${k}`] = { x: "0", y: "0", text: "" };
        continue;
      }
      const text = String(+v.toPrecision(6)).replace("-", "−");
      if (direction === "x") {
        const at = fixed(along(v, limits), 1);
        grid += `M${at} ${upper}V${lower}`;
        out[`${part}-${k}`] = { x: at, y: `${lower + 14}`, text };
      } else {
        const at = up(v, limits);
        grid += `M${left} ${fixed(at, 1)}H${right}`;
        out[`${part}-${k}`] = { x: `${left - 5}`, y: fixed(at + 4, 1), text };
      }
    }
    out[`${part}-grid`] = { d: grid };
    return out;
  }
  return { along, up, curve, axis, left, upper, right, lower };
}

// Draws the scene of what the controls say, now and after each change of them.
function live(root, names, scene) {
  const part = (name) => root.querySelector(`[data-part="${name}"]`);
  const controls = names.map(part);
  const read = (c) => (c.type === "range" ? c.valueAsNumber : c.value);
  let telling;
  function draw() {
    const state = Object.fromEntries(names.map((name, i) => [name, read(controls[i])]));
    for (const [name, { text, ...attributes }] of Object.entries(scene(state))) {
      const element = part(name);
      if (text !== undefined) element.textContent = text;
      for (const [key, v] of Object.entries(attributes)) {
        if (v === null) element.removeAttribute(key);
        else element.setAttribute(key, v);
      }
    }
  }
  function change() {
    draw();
    clearTimeout(telling); // a screen reader hears the end of a movement, not each step
    telling = setTimeout(() => {
      part("status").textContent = part("verdict").textContent;
    }, 600);
  }
  for (const control of controls) control.addEventListener("input", change);
  part("reset").addEventListener("click", () => {
    for (const control of controls) {
      if (control.type === "range") control.value = control.defaultValue;
      else [...control.options].forEach((o) => (o.selected = o.defaultSelected));
    }
    change();
  });
  part("controls").hidden = false;
  draw();
}
