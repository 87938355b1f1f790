// Plots: trees of formulas are evaluated with their derivatives, nothing is compiled.
(() => {
  // A number with its derivative: [value, slope].
  const chain = (f, df) => ([a, s]) => [f(a), s === 0 ? 0 : df(a) * s];
  const sigmoid = (a) => (a >= 0 ? 1 / (1 + Math.exp(-a)) : Math.exp(a) / (1 + Math.exp(a)));
  const logSigmoid = (a) => (a >= 0 ? -Math.log1p(Math.exp(-a)) : a - Math.log1p(Math.exp(a)));
  const pick = (better) => (...parts) => parts.reduce((a, b) => (better(b[0], a[0]) ? b : a));
  const power = ([a, s], [b, t]) => {
    const value = a ** b;
    const slope = (s === 0 ? 0 : b * a ** (b - 1) * s) + (t === 0 ? 0 : value * Math.log(a) * t);
    return [value, slope];
  };
  const add = (...parts) => parts.reduce(([a, s], [b, t]) => [a + b, s + t], [0, 0]);
  const multiply = (...parts) => parts.reduce(([a, s], [b, t]) => [a * b, s * b + a * t], [1, 0]);
  const operations = {
    "+": add,
    "*": multiply,
    "^": power,
    // FUNCTIONS
  };
  const evaluate = (tree, values) => {
    if (typeof tree === "number") return [tree, 0];
    if (typeof tree === "string") return values.get(tree) ?? [NaN, NaN];
    const [name, ...parts] = tree;
    if (name === "sum" || name === "prod") {
      const [index, length, body] = parts;
      const terms = [];
      for (let at = 1; at <= evaluate(length, values)[0]; at += 1)
        terms.push(evaluate(body, new Map(values).set(index, [at, 0])));
      return name === "sum" ? add(...terms) : multiply(...terms);
    }
    if (!Object.hasOwn(operations, name)) return [NaN, NaN];
    return operations[name](...parts.map((part) => evaluate(part, values)));
  };
  // For tests and for whoever wants the numbers: a tree at given values, with d/d(axis).
  globalThis.midpoEvaluate = (tree, given, axis) =>
    evaluate(tree, new Map(Object.entries(given).map(([k, v]) => [k, [v, k === axis ? 1 : 0]])));

  const shown = (x) => {
    if (!Number.isFinite(x)) return "undefined";
    const tiny = x !== 0 && (Math.abs(x) < 1e-3 || Math.abs(x) >= 1e5);
    return (tiny ? x.toExponential(2) : String(Number(x.toPrecision(4)))).replaceAll("-", "\u2212");
  };
  const draw = (tag, attributes, text) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    if (text !== undefined) node.textContent = text;
    return node;
  };
  const ticks = (low, high) => {
    const rough = (high - low) / 5;
    const unit = 10 ** Math.floor(Math.log10(rough));
    const step = unit * ([1, 2, 5, 10].find((m) => m * unit >= rough) ?? 10);
    const found = [];
    for (let at = Math.ceil(low / step); at * step <= high + step / 1e6; at += 1) found.push(at * step);
    return found;
  };
  const WIDTH = 420, HEIGHT = 270, LEFT = 58, RIGHT = 12, TOP = 30, BOTTOM = 34, POINTS = 161;

  // What is drawn follows the curves themselves; one to compare with may leave the panel.
  const extent = (curves) => {
    const of = (some) => some.flatMap((c) => c.ys).filter(Number.isFinite);
    const own = of(curves.filter((c) => !c.reference));
    if (!own.length) return [0, 1];
    let [low, high] = [Math.min(...own), Math.max(...own)];
    if (high - low < 1e-9) { low -= 0.5; high += 0.5; }
    const [least, most] = [low - (high - low) / 2, high + (high - low) / 2];
    for (const y of of(curves)) {
      low = Math.min(low, Math.max(y, least));
      high = Math.max(high, Math.min(y, most));
    }
    return [low, high];
  };
  const panel = (words, xs, curves, at, axisWords) => {
    let [low, high] = extent(curves);
    const pad = (high - low) * 0.06;
    [low, high] = [low - pad, high + pad];
    const [from, to] = [xs[0], xs.at(-1)];
    const px = (x) => LEFT + ((x - from) / (to - from)) * (WIDTH - LEFT - RIGHT);
    const py = (y) => HEIGHT - BOTTOM - ((y - low) / (high - low)) * (HEIGHT - TOP - BOTTOM);
    const svg = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" });
    svg.append(draw("text", { x: 4, y: 16 }, words));
    for (const y of ticks(low, high)) {
      svg.append(draw("path", { class: "grid", d: `M${LEFT} ${py(y)}H${WIDTH - RIGHT}` }));
      svg.append(draw("text", { x: LEFT - 6, y: py(y) + 4, "text-anchor": "end" }, shown(y)));
    }
    for (const x of ticks(from, to))
      svg.append(draw("text", { x: px(x), y: HEIGHT - BOTTOM + 17, "text-anchor": "middle" }, shown(x)));
    svg.append(draw("path", { class: "axis", d: `M${LEFT} ${TOP}V${HEIGHT - BOTTOM}H${WIDTH - RIGHT}` }));
    svg.append(draw("path", { class: "at", d: `M${px(at)} ${TOP}V${HEIGHT - BOTTOM}` }));
    curves.forEach((curve, place) => {
      let path = "", pen = "M";
      curve.ys.forEach((y, i) => {
        if (!Number.isFinite(y) || y < low || y > high) { pen = "M"; return; }
        path += `${pen}${px(xs[i]).toFixed(1)} ${py(y).toFixed(1)}`;
        pen = "L";
      });
      const kind = curve.reference ? "reference" : place ? "own other" : "own";
      svg.append(draw("path", { class: kind, d: path || "M0 0" }));
      if (curves.length === 1) return;
      const y = TOP + 12 + 17 * place;
      svg.append(draw("path", { class: kind, d: `M${WIDTH - 42} ${y - 4}H${WIDTH - RIGHT}` }));
      svg.append(draw("text", { x: WIDTH - 48, y, "text-anchor": "end" }, curve.words));
    });
    const ends = curves.map((c) => `${c.words} goes from ${shown(c.ys.find(Number.isFinite))} to ` +
      shown(c.ys.findLast(Number.isFinite)));
    svg.setAttribute("aria-label", `${words} against ${axisWords}: ${ends.join("; ")}`);
    return svg;
  };

  const start = (figure) => {
    const plot = JSON.parse(figure.querySelector("script").textContent);
    const knobs = [...figure.querySelectorAll("[data-knob]")];
    const axisChoice = figure.querySelector("[data-axis]");
    const at = figure.querySelector("[data-at]");
    const place = (input) => input.parentElement.querySelector("output");
    const value = (input) => {
      if (input.dataset.scale !== "log") return Number(input.value);
      const [low, high] = [Number(input.dataset.low), Number(input.dataset.high)];
      return low * (high / low) ** (input.value / 200);
    };
    const redraw = () => {
      const [axis, axisWords, low, high] = plot.axes[axisChoice ? axisChoice.value : 0];
      const values = new Map();
      for (const knob of knobs) {
        values.set(knob.dataset.knob, [value(knob), 0]);
        const text = shown(value(knob));
        place(knob).textContent = text;
        knob.setAttribute("aria-valuetext", text);
        knob.disabled = knob.dataset.knob === axis;
      }
      const value0 = (tree, x, part) => {
        const here = new Map(values).set(axis, [x, 1]);
        if (plot.bounds.some((bound) => evaluate(bound, here)[0] > 1e-12)) return NaN;
        return evaluate(tree, here)[part];
      };
      const curveAt = (curve, x) => (curve.slope ? -value0(curve.tree, x, 1) : value0(curve.tree, x, 0));
      const xs = Array.from({ length: POINTS }, (_, i) => low + ((high - low) * i) / (POINTS - 1));
      const here = low + ((high - low) * at.value) / 200;
      const readings = [];
      figure.querySelector(".panels").replaceChildren(...plot.panels.map((part) => {
        const curves = part.curves.map((c) => ({ ...c, ys: xs.map((x) => curveAt(c, x)) }));
        const [own, ...others] = part.curves.map((c) => [c.words, shown(curveAt(c, here))]);
        const beside = others.map(([name, y]) => `${name}: ${y}`).join("; ");
        readings.push(`${part.words}: ${own[1]}${beside && ` (${beside})`}`);
        return panel(part.words, xs, curves, here, axisWords);
      }));
      place(at).textContent = shown(here);
      at.setAttribute("aria-valuetext", `${axisWords}: ${shown(here)}`);
      figure.querySelector(".readout").textContent =
        `At ${axisWords.split(":")[0]} = ${shown(here)}: ${readings.join("; ")}.`;
    };
    const reset = () => {
      for (const knob of knobs) knob.value = knob.dataset.scale === "log" ? 100 : knob.dataset.value;
      at.value = 130;
      redraw();
    };
    figure.addEventListener("input", redraw);
    axisChoice?.addEventListener("change", redraw);
    figure.querySelector(".reset").addEventListener("click", reset);
    redraw();
  };
  // A figure is drawn when it comes near the screen: a catalogue has hundreds.
  const watch = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      watch.unobserve(entry.target);
      start(entry.target);
    }
  }, { rootMargin: "600px" });
  const figures = document.querySelectorAll("figure.plot");
  for (const figure of figures) watch.observe(figure);
  addEventListener("beforeprint", () => {
    for (const figure of figures) if (!figure.querySelector("svg")) { watch.unobserve(figure); start(figure); }
  });
})();
