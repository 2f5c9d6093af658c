
// The building blocks of a page of steps: elements, expandable tables of numbers, chips.

const find = (id) => document.getElementById(id);
const COLUMNS = 4; // of a vector, at first
const PLACES = 12; // columns and rows of tokens, at first
const open = new Set(); // ids of the expanded tables and details

function put(parent, tag, text = "", name = "") {
  const made = parent.appendChild(document.createElement(tag));
  made.textContent = text;
  if (name) made.className = name;
  return made;
}

function shape(rows) {
  return `${rows.length} × ${rows[0].length}`;
}

// `most` numbers around the one that must be visible.
function around(wanted, count, most) {
  const start = Math.max(0, Math.min(wanted - Math.floor(most / 2), count - most));
  return Array.from({ length: Math.min(most, count) }, (_, n) => start + n);
}

function button(parent, id, text, act) {
  const made = put(parent, "button", text);
  made.type = "button";
  made.id = id;
  made.addEventListener("click", act);
  return made;
}

// A button that opens or closes part of a table.
function opener(parent, id, name, count) {
  const opened = open.has(id);
  const text = filled(words[opened ? `fewer_${name}` : `all_${name}`], { count });
  button(parent, id, text, () => {
    opened ? open.delete(id) : open.add(id);
    show();
  }).setAttribute("aria-expanded", String(opened));
}

// Paints a cell by its size: weights in one colour, signed numbers in two.
function tint(cell, value, largest) {
  const share = largest > 0 && Number.isFinite(value) ? Math.min(1, Math.abs(value) / largest) : 0;
  const colour = value < 0 ? "var(--less)" : "var(--more)";
  cell.style.background = `color-mix(in srgb, ${colour} ${Math.round(share * 42)}%, transparent)`;
}

// A table of rows of numbers. Options: tokens (columns are tokens), first (the first column to show), labels (of rows),
// largest (what the colours are relative to), why (reasons why cells are hidden), extra ([heading, value of a row]).
function table(parent, id, name, rows, options = {}) {
  const frame = put(parent, "div", "", "frame");
  const scroll = put(frame, "div", "", "scroll");
  Object.assign(scroll, { tabIndex: 0, id: `${id}-scroll` });
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-label", `${name} (${shape(rows)})`);
  const made = put(scroll, "table", "", "numbers");
  const caption = put(made, "caption", `${name} `);
  put(caption, "small", shape(rows));
  const wide = rows[0].length;
  const labels = options.labels ?? null;
  const fewest = options.tokens ? PLACES : COLUMNS;
  const columns = open.has(`${id}-columns`)
    ? around(0, wide, wide)
    : options.tokens ? around(state.key, wide, fewest) : around((options.first ?? 0) + Math.floor(fewest / 2), wide, fewest);
  const places = open.has(`${id}-rows`) ? around(0, rows.length, rows.length) : around(labels ? 0 : state.query, rows.length, PLACES);
  const largest = options.largest ?? rows.reduce((most, row) => row.reduce((peak, value) => (Number.isFinite(value) ? Math.max(peak, Math.abs(value)) : peak), most), 0);
  const cut = columns.length < wide;
  const top = put(put(made, "thead"), "tr");
  put(top, "th");
  for (const n of columns) {
    const heading = put(top, "th", options.tokens ? label(n) : String(n), options.tokens && n === state.key ? "picked" : "");
    heading.scope = "col";
  }
  if (cut) put(top, "th", "…");
  if (options.extra) put(top, "th", options.extra[0]).scope = "col";
  const body = put(made, "tbody");
  for (const place of places) {
    const line = put(body, "tr", "", labels ? "" : place === state.query ? "picked" : "");
    put(line, "th", labels ? labels[place] : label(place)).scope = "row";
    for (const n of columns) fill(line, rows, place, n, largest, options);
    if (cut) put(line, "td", "…", "left");
    if (options.extra) put(line, "td", number(options.extra[1](place)), "left");
  }
  const more = put(frame, "div", "", "more");
  if (wide > fewest) opener(more, `${id}-columns`, "columns", wide);
  if (rows.length > PLACES) opener(more, `${id}-rows`, "rows", rows.length);
}

function fill(line, rows, place, n, largest, options) {
  const why = options.why?.[place][n];
  const value = rows[place][n];
  const cell = put(line, "td", number(value));
  cell.title = why ? words.hidden[why] : String(value);
  if (why) cell.className = "hidden";
  else tint(cell, value, largest);
  if (!options.tokens) return;
  cell.classList.add("cell");
  if (place === state.query && n === state.key) cell.classList.add("both");
  cell.addEventListener("click", () => change({ query: place, key: n }));
}

function details(parent, id, title, content, name = "") {
  const made = put(parent, "details", "", name);
  made.open = open.has(id);
  put(made, "summary", title).id = id;
  if (made.open) content(made);
  made.addEventListener("toggle", () => {
    if (made.open === open.has(id)) return;
    made.open ? open.add(id) : open.delete(id);
    show();
  });
}

// A row of chips of which one is chosen; arrow keys move.
function chips(parent, id, chosen, choose) {
  parent.replaceChildren();
  head.tokens.forEach((_, place) => {
    const chip = button(parent, `${id}-${place}`, label(place), () => choose(place));
    chip.setAttribute("role", "radio");
    chip.setAttribute("aria-checked", String(place === chosen));
    chip.tabIndex = place === chosen ? 0 : -1;
    chip.addEventListener("keydown", (event) => {
      const moved = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1, Home: -TOKENS, End: TOKENS }[event.key];
      if (moved === undefined) return;
      event.preventDefault();
      const next = Math.max(0, Math.min(TOKENS - 1, place + moved));
      choose(next);
      find(`${id}-${next}`).focus();
    });
  });
}

function maskSwitch(parent, id) {
  const made = button(parent, id, words.mask_on, () => change({ masked: !state.masked }));
  made.className = "switch";
  made.setAttribute("role", "switch");
  made.setAttribute("aria-checked", String(state.masked));
  made.disabled = !hidesSomething;
}

// Saves text as a file: nothing leaves the page.
function saver(parent, id, text, name, content) {
  button(parent, id, text, () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([content()], { type: "text/plain" }));
    link.download = name;
    link.click();
    URL.revokeObjectURL(link.href);
  });
}
