
// The page: one state, a function that renders it, and the event handlers that change it.

const find = (id) => document.getElementById(id);
const state = { head: heads[data.chosen], query: data.query, key: null, pinned: false };
const large = new LargeMap(find("large"), find("large-frame"));
const layers = [...new Set(heads.map((head) => head.packed.site))];
const columns = Math.max(...heads.map((head) => head.head)) + 1;
const names = []; // of the grid's rows
const ROWS = 10;
let colours = palette();

function put(parent, tag, text = "", name = "") {
  const made = parent.appendChild(document.createElement(tag));
  made.textContent = text;
  if (name) made.className = name;
  return made;
}

// A head whose queries are another text starts at its last token.
function change(values) {
  if (values.head && values.head.own !== state.head.own) Object.assign(state, { query: values.head.end - 1, pinned: false });
  if (values.head && values.head.read !== state.head.read) state.key = null;
  Object.assign(state, values);
  state.query = clamp(state.query, state.head.first, state.head.end);
  find("place-fault").textContent = "";
  show();
}

function clamp(place, first, end) {
  return Math.min(end - 1, Math.max(first, place));
}

// Rendered again in another language.
function setWords() {
  const language = document.documentElement.lang;
  const count = new Set(layers.map((site) => site.split(".").slice(0, 2).join("."))).size;
  const texts = {
    model: data.model ?? words.unnamed,
    text: data.text ?? "",
    facts: words.facts(count, heads.length, Object.values(data.texts).map((text) => text.length.toLocaleString(language))),
    "text-title": words.text, "text-hint": words.textHint, "grid-title": words.grid, "grid-hint": words.gridHint,
    "large-hint": words.largeHint, "place-label": words.place, "scale-words": words.scale, "hidden-words": words.hidden,
  };
  for (const [id, text] of Object.entries(texts)) find(id).textContent = text;
  find("reading-head").replaceChildren();
  for (const text of words.columns) put(find("reading-head"), "th", text).scope = "col";
  for (const head of heads) {
    head.button.setAttribute("aria-label", head.name);
    head.button.title = head.name;
  }
  setNotes();
}

// Rendered once.
function setUp() {
  for (const mark of [0, 0.01, 0.05, 0.1, 0.25, 0.5, 1]) {
    put(find("scale-marks"), "span", String(mark)).style.left = `${Math.sqrt(mark) * 100}%`;
  }
  setUpGrid();
}

// The tokens of a stack's text as chips in a list, if it has others.
function setTokens(list, stack) {
  if (list.dataset.stack === stack) return;
  list.dataset.stack = stack;
  list.replaceChildren();
  data.texts[stack].forEach((token, place) => {
    const chip = put(list, "div", token, "token");
    chip.setAttribute("role", "option");
    chip.dataset.place = place;
  });
}

function setUpGrid() {
  const grid = find("grid");
  find("columns").classList.toggle("many", columns > 16);
  grid.style.gridTemplateColumns = `repeat(${columns + 1}, max-content)`;
  put(grid, "span");
  for (let head = 0; head < columns; head++) put(grid, "span", String(head));
  for (const site of layers) {
    const line = heads.filter((head) => head.packed.site === site);
    names.push(put(grid, "span", line[0].site));
    for (let n = 0; n < columns; n++) {
      const head = line.find((one) => one.head === n);
      const cell = put(grid, head ? "button" : "span", "", head ? "head" : "");
      if (!head) continue;
      head.button = cell;
      cell.type = "button";
      cell.setAttribute("role", "radio");
      head.canvas = put(cell, "canvas");
      cell.addEventListener("click", () => change({ head }));
    }
  }
}

function setNotes() {
  find("notes").replaceChildren();
  const worst = Math.max(...heads.map((head) => head.error));
  const error = worst === 0 ? "0" : worst.toExponential(0);
  const sums = heads.some((head) => head.packed.sink !== null) ? words.noteSink(error) : words.noteSum(error);
  const notes = [sums, data.kind === "full" ? words.noteFull : words.noteTop(...data.covers, Math.max(...heads.map((head) => head.most)))];
  if (data.among !== null) {
    notes.unshift(words.noteChosen(heads[data.chosen].name, words.among(data.among), exact(data.farWeight)));
  }
  for (const note of notes) put(find("notes"), "li", note);
  put(find("notes"), "li", words.noteShrunk).id = "note-shrunk";
  put(find("notes"), "li", words.noteLabels).id = "note-labels";
}

// Rendered again when the window's size or the colour scheme changes.
function paintAll() {
  colours = palette();
  const dots = window.devicePixelRatio || 1;
  const room = find("grid-frame").clientWidth - Math.max(...names.map((name) => name.offsetWidth)) - 16;
  const between = columns > 16 ? 4 : 6;
  const side = Math.round(Math.max(16, Math.min(150, room / columns - between)) * dots);
  let shrunk = false;
  for (const head of heads) {
    Object.assign(head.canvas, { width: side, height: side });
    head.canvas.style.width = head.canvas.style.height = `${side / dots}px`;
    const context = head.canvas.getContext("2d");
    const painted = paintMap(context, head, side, side, colours);
    context.putImageData(painted.image, 0, 0);
    shrunk ||= painted.shrunk;
  }
  find("note-shrunk").hidden = !shrunk;
  find("hidden-mark").hidden = !heads.some((head) => head.levels.includes(HIDDEN));
  const bar = find("scale-bar").getContext("2d");
  for (let x = 0; x < 512; x++) {
    bar.fillStyle = css(colourOf(x / 511, colours));
    bar.fillRect(x, 0, 1, 1);
  }
  show();
}

// Rendered again when the state changes.
function show() {
  const { head, query, key } = state;
  large.draw(head, query, key, colours);
  find("note-labels").hidden = !large.thinned;
  find("large-title").textContent = head.name;
  find("large").setAttribute("aria-label", words.largeLabel(head.name));
  Object.assign(find("place"), { min: head.first, max: head.end - 1 });
  for (const one of heads) {
    one.button.setAttribute("aria-checked", String(one === head));
    one.button.tabIndex = one === head ? 0 : -1;
  }
  showTokens();
  showReading();
}

function showTokens() {
  const { head, query } = state;
  const row = head.row(query);
  const top = new Map(row ? [] : head.top(query, head.most).map((one) => [one.key, one.weight]));
  const weightOn = (place) => (row ? row[place] : head.level(query, place) === HIDDEN ? HIDDEN : (top.get(place) ?? 0));
  setTokens(find("tokens"), head.own);
  paintTokens(find("tokens"), head.within ? weightOn : () => 0, query);
  find("read").hidden = head.within;
  if (head.within) return;
  setTokens(find("read"), head.read);
  paintTokens(find("read"), weightOn, null);
}

// Colours the tokens of a list by their weights, and outlines the query.
function paintTokens(list, weightOn, query) {
  for (const chip of list.children) {
    const place = Number(chip.dataset.place);
    const weight = weightOn(place);
    const shown = `${weight} ${place === query} ${darkness.matches}`;
    if (chip.shown === shown) continue;
    chip.shown = shown;
    const colour = colourOf(weight === HIDDEN ? 0 : Math.sqrt(weight), colours);
    chip.style.background = css(colour);
    const bright = (colour[0] * 299 + colour[1] * 587 + colour[2] * 114) / 1000 > 140;
    chip.style.color = weight === HIDDEN ? "" : bright ? "#0b1220" : "#ffffff";
    chip.classList.toggle("hidden-key", weight === HIDDEN);
    chip.setAttribute("aria-selected", String(place === query));
    chip.tabIndex = place === query ? 0 : -1;
  }
}

function showReading() {
  const { head, query } = state;
  find("reading-title").textContent = words.reading(data.texts[head.own][query], query);
  find("place").value = query;
  find("pinned").textContent = state.pinned ? words.pinned : "";
  const rows = find("reading-rows");
  rows.replaceChildren();
  const top = head.top(query, ROWS);
  for (const { key, weight } of top) {
    const row = put(rows, "tr");
    put(row, "td", String(key));
    put(row, "td", data.texts[head.read][key]);
    put(put(row, "td"), "div", "", "bar").style.width = `${weight * 100}%`;
    put(row, "td", exact(weight));
  }
  if (!top.length) put(put(rows, "tr"), "td", words.nothing).colSpan = 4;
  const measures = head.measures(query);
  const sink = head.sink(query);
  const list = find("measures");
  list.replaceChildren();
  for (const [name, text] of [
    ...(measures ? [
      [words.entropy, `${measures.entropy.toFixed(3)} ${words.nats}`],
      [words.first, short(measures.first)],
    ] : []),
    ...(measures && head.within ? [
      [words.previous, short(measures.previous)],
      [words.distance, `${measures.distance.toFixed(2)} ${words.tokens}`],
    ] : []),
    ...(sink === null ? [] : [[words.sink, short(sink)]]),
  ]) {
    const pair = put(list, "div");
    put(pair, "dt", name);
    put(pair, "dd", text);
  }
}

// What a query attends to, or one cell's weight, as text.
function told(query, key) {
  const { head } = state;
  if (key === null) {
    const top = head.top(query, 5).map((one) => `${exact(one.weight)}  ${label(head.read, one.key)}`);
    return [words.reading(data.texts[head.own][query], query), ...(top.length ? top : [words.nothing])].join("\n");
  }
  const weight = head.weight(query, key);
  const names = [label(head.own, query), label(head.read, key)];
  if (weight !== null) return words.cell(...names, weight === HIDDEN ? words.unseen : exact(weight));
  const about = head.level(query, key) ** 2;
  return words.cell(...names, words.pooledCell(about.toPrecision(2)));
}

function tip(event, text) {
  const box = find("tip");
  box.textContent = text;
  box.hidden = false;
  const { width, height } = box.getBoundingClientRect();
  const left = event.clientX + 16 + width > innerWidth ? event.clientX - width - 12 : event.clientX + 16;
  const top = event.clientY + 18 + height > innerHeight ? event.clientY - height - 12 : event.clientY + 18;
  box.style.left = `${Math.max(4, left)}px`;
  box.style.top = `${Math.max(4, top)}px`;
}

function untip() {
  find("tip").hidden = true;
}

function say(text) {
  find("live").textContent = text;
}

function listen() {
  const tokens = find("tokens");
  const placeUnder = (event) => {
    const chip = event.target.closest(".token");
    return chip ? Number(chip.dataset.place) : null;
  };
  tokens.addEventListener("pointermove", (event) => {
    const place = placeUnder(event);
    if (place === null) return untip();
    if (!state.pinned && event.pointerType === "mouse" && place >= state.head.first && place !== state.query) {
      change({ query: place, key: null });
    }
    tip(event, told(state.query, place === state.query || !state.head.within ? null : place));
  });
  find("read").addEventListener("pointermove", (event) => {
    const place = placeUnder(event);
    if (place === null) return untip();
    tip(event, told(state.query, place));
  });
  tokens.addEventListener("click", (event) => {
    const place = placeUnder(event);
    if (place !== null && place >= state.head.first) pin(place, event);
  });
  tokens.addEventListener("keydown", (event) => {
    const moved = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity }[event.key];
    if (moved === undefined) return;
    event.preventDefault();
    change({ query: clamp(state.query + moved, state.head.first, state.head.end), key: null });
    tokens.children[state.query].focus();
    say(told(state.query, null));
  });

  const canvas = find("large");
  canvas.addEventListener("pointermove", (event) => {
    const cell = large.cell(event);
    if (!cell) return untip();
    if (!state.pinned && event.pointerType === "mouse" && cell.query !== state.query) change({ query: cell.query, key: null });
    tip(event, told(cell.query, cell.key));
  });
  canvas.addEventListener("click", (event) => {
    const cell = large.cell(event);
    if (cell) pin(cell.query, event, cell.key);
  });
  canvas.addEventListener("keydown", (event) => {
    const [down, across] = {
      ArrowUp: [-1, 0], ArrowDown: [1, 0], PageUp: [-10, 0], PageDown: [10, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1],
    }[event.key] ?? [0, 0];
    if (!down && !across) return;
    event.preventDefault();
    const { head } = state;
    const query = clamp(state.query + down, head.first, head.end);
    const key = across ? clamp((state.key ?? (head.within ? query : 0)) + across, 0, head.places) : state.key;
    change({ query, key });
    say(told(query, key));
  });

  find("grid").addEventListener("keydown", (event) => {
    const [down, across] = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key] ?? [0, 0];
    if (!down && !across) return;
    event.preventDefault();
    const line = layers.indexOf(state.head.packed.site) + down;
    const next = heads.find((head) => head.packed.site === layers[line] && head.head === state.head.head + across);
    if (!next) return;
    change({ head: next });
    next.button.focus();
    say(`${next.name}. ${told(state.query, null)}`);
  });
  find("place").addEventListener("change", (event) => {
    const asked = event.target.value; // also empty if it is not a number
    const place = asked === "" ? null : placeOf(Number(asked), state.head);
    change(place === null ? {} : { query: place, key: null, pinned: true });
    if (place === null && asked !== "") find("place-fault").textContent = words.outside(asked, state.head.first, state.head.end - 1);
    tokens.children[state.query].scrollIntoView({ block: "nearest" });
  });
  for (const place of [tokens, find("read"), canvas]) place.addEventListener("pointerleave", untip);
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    untip();
    change({ pinned: false, key: null });
  });
  let waiting = 0;
  addEventListener("resize", () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(paintAll);
  });
  darkness.addEventListener("change", paintAll);
  document.addEventListener("language", () => {
    untip();
    setWords();
    paintAll();
  });
}

// A click pins the query; a second click on the same place unpins it.
function pin(query, event, key = null) {
  const again = state.pinned && query === state.query && (key === null || key === state.key);
  change({ query, key: again ? null : key, pinned: !again });
  tip(event, told(query, key));
  say(told(query, key));
}

setUp();
setWords();
listen();
paintAll();
find("tokens").children[state.query].scrollIntoView({ block: "nearest" });
