// The logit lens: a table of layers and places, and the likeliest tokens of one cell.

const data = JSON.parse(document.getElementById("data").textContent);
const found = data.lens;
const COLOURS = ["probability", "rank", "kl"];
const LAYERS = found.sites.length;
const PLACES = found.tokens.length;
const state = { layer: LAYERS - 1, place: PLACES - 1, colour: "probability" };
let words = data.words[document.documentElement.lang];
document.addEventListener("language", () => change({}));

const find = (id) => document.getElementById(id);

function put(parent, tag, text = "", name = "") {
  const made = parent.appendChild(document.createElement(tag));
  made.textContent = text;
  if (name) made.className = name;
  return made;
}

function filled(template, values) {
  return template.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

function layerName(layer) {
  return layer === 0 ? words.embedding : filled(words.layer, { layer: layer - 1 });
}

function label(id) {
  return data.labels[id];
}

// From 0 to 1: how strongly a cell is coloured.
function strength(layer, place) {
  if (state.colour === "rank") return 1 / found.rank_of_final[layer][place];
  if (state.colour === "kl") return Math.exp(-found.kl[layer][place]);
  return found.probabilities[layer][place][0];
}

// The scale of every picture, in the square root of the weight.
function paint(cell, weight) {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const scale = data.colours[dark ? "dark" : "light"];
  const along = Math.sqrt(Math.min(1, Math.max(0, weight))) * (scale.length - 1);
  const low = Math.min(scale.length - 2, Math.floor(along));
  const rgb = [1, 3, 5].map((at) => {
    const [a, b] = [scale[low], scale[low + 1]].map((colour) => parseInt(colour.slice(at, at + 2), 16));
    return Math.round(a + (b - a) * (along - low));
  });
  cell.style.background = `rgb(${rgb.join(" ")})`;
  cell.style.color = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2] > 140 ? "#16202e" : "#ffffff";
}

function change(values) {
  Object.assign(state, values);
  words = data.words[document.documentElement.lang];
  show();
}

function cellName(layer, place) {
  const top = label(found.top[layer][place][0]);
  return `${layerName(layer)}, ${place} ${data.shown[place]}: ${top} ${found.probabilities[layer][place][0].toFixed(3)}`;
}

function showTable() {
  const table = find("lens");
  table.replaceChildren();
  const head = put(put(table, "thead"), "tr");
  put(head, "th", "", "corner");
  data.shown.forEach((token, place) => (put(head, "th", `${place} ${token}`).scope = "col"));
  const body = put(table, "tbody");
  for (let layer = LAYERS - 1; layer >= 0; layer--) {
    const line = put(body, "tr");
    put(line, "th", layerName(layer)).scope = "row";
    for (let place = 0; place < PLACES; place++) {
      const cell = put(line, "td", label(found.top[layer][place][0]));
      cell.id = `cell-${layer}-${place}`;
      cell.setAttribute("role", "gridcell");
      cell.setAttribute("aria-label", cellName(layer, place));
      cell.title = cellName(layer, place);
      cell.addEventListener("click", () => choose(layer, place));
      paint(cell, strength(layer, place));
    }
  }
  mark(state.layer, state.place, true);
}

function mark(layer, place, on) {
  const cell = find(`cell-${layer}-${place}`);
  cell.setAttribute("aria-selected", String(on));
  cell.tabIndex = on ? 0 : -1;
}

function choose(layer, place) {
  mark(state.layer, state.place, false);
  Object.assign(state, { layer, place });
  mark(layer, place, true);
  find(`cell-${layer}-${place}`).focus();
  showCell();
}

function showCell() {
  const { layer, place } = state;
  find("cell-title").textContent = filled(words.cell, { layer: layerName(layer), place, token: data.shown[place] });
  find("measures").textContent = filled(words.measures, {
    final: label(found.final[place]), rank: found.rank_of_final[layer][place],
    probability: found.probability_of_final[layer][place].toFixed(4),
    entropy: found.entropy[layer][place].toFixed(2), kl: found.kl[layer][place].toFixed(3),
  });
  const rows = find("rows");
  rows.replaceChildren();
  found.top[layer][place].forEach((token, n) => {
    const line = put(rows, "tr");
    put(line, "td", label(token));
    put(put(line, "td"), "div", "", "bar").style.width = `${100 * found.probabilities[layer][place][n]}%`;
    put(line, "td", found.probabilities[layer][place][n].toFixed(4));
  });
  find("live").textContent = cellName(layer, place);
}

function showColours() {
  const parent = find("colours");
  parent.replaceChildren();
  for (const name of COLOURS) {
    const made = put(parent, "button", words.by[name]);
    made.type = "button";
    made.id = `colour-${name}`;
    made.setAttribute("role", "radio");
    made.setAttribute("aria-checked", String(name === state.colour));
    made.addEventListener("click", () => change({ colour: name }));
  }
}

function show() {
  const focused = document.activeElement?.id;
  const lens = found.tuned ? words.tuned : words.logit;
  find("title").textContent = found.model ? `${found.model}: ${lens}` : lens;
  find("facts").textContent = filled(words.facts, { layers: LAYERS - 1, places: PLACES });
  find("text").textContent = found.text ?? "";
  find("table-title").textContent = words.table;
  find("hint").textContent = words.hint;
  find("notes").textContent = found.tuned ? words.note_tuned : words.note_logit;
  find("colours").setAttribute("aria-label", words.colour);
  showColours();
  showTable();
  showCell();
  if (focused) find(focused)?.focus({ preventScroll: true });
}

find("lens").addEventListener("keydown", (event) => {
  const moves = { ArrowUp: [1, 0], ArrowDown: [-1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], Home: [0, -PLACES], End: [0, PLACES] };
  const moved = moves[event.key];
  if (moved === undefined) return;
  event.preventDefault();
  const within = (value, count) => Math.max(0, Math.min(count - 1, value));
  choose(within(state.layer + moved[0], LAYERS), within(state.place + moved[1], PLACES));
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
show();
