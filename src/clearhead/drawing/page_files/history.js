
// The page: a line for each head over the steps, one measure at a time, and the same as a table.

const SVG = "http://www.w3.org/2000/svg";
const LOSS = "loss";
const WIDE = 900, HIGH = 340, LEFT = 58, RIGHT = 74, TOP = 12, BOTTOM = 40;
const NAMED = 5;
const darkness = matchMedia("(prefers-color-scheme: dark)");
const measures = [...(data.loss === null ? [] : [LOSS]), ...data.measures];
const state = { measure: data.measures[0], step: data.steps.length - 1, picked: null };
let words = data.words[document.documentElement.lang];
document.addEventListener("language", () => change({}));

function title(measure) {
  return measure === LOSS ? words.loss : words.columns[measure][0];
}

function span(values) {
  const known = values.filter((value) => value !== null);
  return known.length ? Math.max(...known) - Math.min(...known) : 0;
}

// What has a line, those that change most first: [{ name, values, change }].
function lines(measure) {
  if (measure === LOSS) return [{ name: words.whole, values: data.loss, change: span(data.loss) }];
  return data.heads
    .map((head) => ({ name: head.name, values: head.values[measure], change: span(head.values[measure]) }))
    .sort((a, b) => b.change - a.change);
}

// Five to ten round numbers from low to high.
function ticks(low, high) {
  const raw = (high - low) / 5 || 1;
  const size = 10 ** Math.floor(Math.log10(raw));
  const every = [1, 2, 5, 10].map((by) => by * size).find((each) => each >= raw);
  const first = Math.ceil(low / every - 1e-9);
  return Array.from({ length: Math.floor(high / every + 1e-9) - first + 1 }, (_, n) => Number(((first + n) * every).toPrecision(12)));
}

function change(values, said) {
  Object.assign(state, values);
  words = data.words[document.documentElement.lang];
  const focused = document.activeElement?.id;
  show();
  if (focused) find(focused)?.focus({ preventScroll: true });
  if (said) find("live").textContent = said();
}

function drawn(parent, kind, values, text) {
  const element = document.createElementNS(SVG, kind);
  for (const [name, value] of Object.entries(values)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

function showLines() {
  const every = lines(state.measure);
  const known = every.flatMap((line) => line.values).filter((value) => value !== null);
  const low = Math.min(0, ...known), high = Math.max(...known) > low ? Math.max(...known) : low + 1;
  const [first, last] = [data.steps[0], data.steps.at(-1)];
  const x = (at) => LEFT + ((data.steps[at] - first) / (last - first || 1)) * (WIDE - LEFT - RIGHT);
  const y = (value) => TOP + ((high - value) / (high - low)) * (HIGH - TOP - BOTTOM);
  const frame = find("frame");
  frame.replaceChildren();
  const label = filled(words.picture, { measure: title(state.measure), first, last, low: shown(Math.min(...known)), high: shown(Math.max(...known)), most: every[0].name });
  const chart = drawn(frame, "svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", "aria-label": label, id: "chart" });
  for (const value of ticks(low, high)) {
    drawn(chart, "line", { x1: LEFT, x2: WIDE - RIGHT, y1: y(value), y2: y(value), class: "rule" });
    drawn(chart, "text", { x: LEFT - 6, y: y(value) + 4, class: "tick end" }, String(value).replace("-", "−"));
  }
  let taken = -Infinity;
  data.steps.forEach((step, at) => {
    if (x(at) - taken < 60) return;
    taken = x(at);
    drawn(chart, "text", { x: x(at), y: HIGH - BOTTOM + 16, class: "tick middle" }, step.toLocaleString("en"));
  });
  drawn(chart, "text", { x: (LEFT + WIDE - RIGHT) / 2, y: HIGH - 6, class: "tick middle" }, words.step);
  drawn(chart, "line", { x1: x(state.step), x2: x(state.step), y1: TOP, y2: HIGH - BOTTOM, class: "at" });
  const names = [];
  // Drawn last is on top: the picked one, and before it the named ones, the first of them last.
  [...every.entries()].reverse().sort(([, a], [, b]) => (a.name === state.picked) - (b.name === state.picked)).forEach(([n, line]) => {
    const picked = line.name === state.picked;
    const kind = picked ? "picked" : n < NAMED ? `named-${n}` : "other";
    let path = "", open = false;
    line.values.forEach((value, at) => {
      if (value !== null) path += `${open ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
      open = value !== null;
    });
    drawn(chart, "path", { d: path, class: `line ${kind}` });
    line.values.forEach((value, at) => {
      const alone = value !== null && (line.values[at - 1] ?? null) === null && (line.values[at + 1] ?? null) === null;
      if (alone) drawn(chart, "circle", { cx: x(at), cy: y(value), r: 2.5, class: `dot ${kind}` });
    });
    const end = line.values.at(-1);
    if (kind !== "other" && end !== null && state.measure !== LOSS) names.push({ name: line.name, kind, y: y(end) + 4 });
  });
  // Names stand at the ends of their lines, moved apart.
  names.sort((a, b) => a.y - b.y);
  names.forEach((each, n) => { if (n) each.y = Math.max(each.y, names[n - 1].y + 14); });
  const over = names.length ? names.at(-1).y - (HIGH - BOTTOM + 4) : 0;
  for (const each of names) drawn(chart, "text", { x: WIDE - RIGHT + 6, y: over > 0 ? each.y - over : each.y, class: `name ${each.kind}` }, each.name);
  chart.addEventListener("click", (event) => {
    const box = chart.getBoundingClientRect();
    const asked = ((event.clientX - box.left) / box.width) * WIDE;
    const nearest = data.steps.reduce((best, _, at) => (Math.abs(x(at) - asked) < Math.abs(x(best) - asked) ? at : best), 0);
    change({ step: nearest }, said);
  });
}

function said() {
  const step = data.steps[state.step];
  const line = lines(state.measure).find((each) => each.name === state.picked) ?? lines(state.measure)[0];
  return filled(words.said, { head: line.name, measure: title(state.measure), value: shown(line.values[state.step]), step });
}

function showTable() {
  const step = data.steps[state.step];
  const heads = [words.head, data.steps[0], data.steps.at(-1)].map((each, n) => (n ? filled(words.at, { step: each }) : each));
  const names = [heads[0], heads[1], filled(words.at, { step }), heads[2], words.change];
  names.forEach((name) => made(find("headings"), "th", name, { scope: "col" }));
  for (const line of lines(state.measure)) {
    const picked = line.name === state.picked;
    const row = made(find("rows"), "tr", undefined, { className: picked ? "picked" : "" });
    const head = made(row, "th", undefined, { scope: "row" });
    if (state.measure === LOSS) head.textContent = line.name;
    else {
      const press = made(head, "button", line.name, { id: `head-${line.name}`, type: "button" });
      press.setAttribute("aria-pressed", String(picked));
      press.addEventListener("click", () => change({ picked: picked ? null : line.name }, picked ? undefined : said));
    }
    for (const value of [line.values[0], line.values[state.step], line.values.at(-1), line.change]) made(row, "td", shown(value));
  }
}

function showMeasures() {
  const parent = find("choices");
  parent.setAttribute("aria-label", words.measure);
  for (const name of measures) {
    const on = name === state.measure;
    const press = made(parent, "button", title(name), { id: `measure-${name}`, type: "button", tabIndex: on ? 0 : -1 });
    press.setAttribute("role", "radio");
    press.setAttribute("aria-checked", String(on));
    press.addEventListener("click", () => change({ measure: name }, said));
  }
}

function show() {
  for (const id of ["choices", "headings", "rows"]) find(id).replaceChildren();
  find("title").textContent = filled(words.title, { run: data.run });
  find("facts").textContent = filled(words.facts, { models: data.steps.length, first: data.steps[0].toLocaleString("en"), last: data.steps.at(-1).toLocaleString("en"), heads: data.heads.length, tokens: data.tokens });
  find("text").textContent = data.text;
  find("lines-title").textContent = title(state.measure);
  find("hint").textContent = words.hint;
  find("meaning").textContent = state.measure === LOSS ? words.loss_meaning : words.columns[state.measure][1];
  find("step-label").textContent = words.step;
  const slider = find("step");
  slider.max = data.steps.length - 1;
  slider.value = state.step;
  slider.setAttribute("aria-valuetext", String(data.steps[state.step]));
  find("step-at").textContent = data.steps[state.step].toLocaleString("en");
  find("table-title").textContent = words.table;
  find("table-hint").textContent = words.table_hint;
  showMeasures();
  showLines();
  showTable();
}

find("step").addEventListener("input", (event) => change({ step: Number(event.target.value) }));
find("choices").addEventListener("keydown", (event) => {
  const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (by === undefined) return;
  event.preventDefault();
  const measure = measures[(measures.indexOf(state.measure) + by + measures.length) % measures.length];
  change({ measure }, said);
  find(`measure-${measure}`).focus();
});
darkness.addEventListener("change", show);
show();
