
// The page: the change of each edit in a grid, if they make one, and all edits as a table.

const darkness = matchMedia("(prefers-color-scheme: dark)");
const COLUMNS = ["edit", "change", "size", "value"];
const ROWS = data.grid === null ? 0 : data.grid.cells.length;
const ACROSS = ROWS ? data.grid.cells[0].length : 0;
const most = Math.max(...data.entries.map((entry) => Math.abs(entry.change))) || 1;
const state = { picked: largest(), column: "size", down: true };
let words = data.words[document.documentElement.lang];
document.addEventListener("language", () => change({}));

// The number of the entry that changes most.
function largest() {
  return data.entries.reduce((best, entry, n) => (Math.abs(entry.change) > Math.abs(data.entries[best].change) ? n : best), 0);
}

// Four digits that matter; with a sign for a change.
function number(value, sign = false) {
  const size = Math.abs(value);
  const text = size !== 0 && (size < 0.001 || size >= 100000) ? size.toExponential(2) : size >= 100 ? size.toFixed(1) : size.toFixed(4);
  return (value < 0 ? "−" : sign ? "+" : "") + text;
}

// Two digits: .12, −1.3, 25.
function short(value) {
  const size = Math.abs(value);
  const text = size >= 9.95 ? size.toFixed(0) : size >= 0.995 ? size.toFixed(1) : size.toFixed(2).replace("0.", ".");
  return (value < 0 ? "−" : "") + text;
}

// From 0 outwards: orange is less, blue is more; on a dark page from dark to light.
function colourOf(value) {
  const hues = value < 0 ? data.colours.less : data.colours.more;
  const stops = (darkness.matches ? [data.colours.none, ...hues.slice(1).reverse()] : hues).map((text) => [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16)));
  const along = Math.min(1, Math.abs(value) / most) * (stops.length - 1);
  const below = Math.min(Math.floor(along), stops.length - 2);
  return stops[below].map((from, c) => Math.round(from + (stops[below + 1][c] - from) * (along - below)));
}

function change(values, told) {
  Object.assign(state, values);
  words = data.words[document.documentElement.lang];
  const focused = document.activeElement?.id;
  show();
  if (focused) find(focused)?.focus({ preventScroll: true });
  if (told) find("live").textContent = told();
}

function said(n) {
  const entry = data.entries[n];
  return filled(words.said, { edit: entry.name, change: number(entry.change, true), value: number(entry.value) });
}


function pick(n) {
  change({ picked: n }, () => said(n));
}

function showGrid() {
  find("grid-part").hidden = data.grid === null;
  if (data.grid === null) return;
  const table = find("cells");
  table.replaceChildren();
  const head = made(made(table, "thead"), "tr");
  made(head, "th", words.grid.across, { className: "corner", scope: "col" });
  data.grid.columns.forEach((column) => made(head, "th", column, { scope: "col" }));
  const body = made(table, "tbody");
  data.grid.cells.forEach((numbers, row) => {
    const line = made(body, "tr");
    made(line, "th", words.grid.rows[row], { scope: "row" });
    numbers.forEach((n, column) => {
      const cell = made(line, "td", "", { id: `cell-${row}-${column}` });
      cell.setAttribute("role", "gridcell");
      cell.tabIndex = -1;
      if (n === null) return;
      const { change: by } = data.entries[n];
      const rgb = colourOf(by);
      cell.style.background = `rgb(${rgb.join(" ")})`;
      cell.style.color = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2] > 140 ? "#16202e" : "#ffffff";
      if (Math.abs(by) >= most / 20) cell.textContent = short(by);
      cell.title = said(n);
      cell.setAttribute("aria-label", said(n));
      cell.setAttribute("aria-selected", String(n === state.picked));
      if (n === state.picked) cell.tabIndex = 0;
      cell.addEventListener("click", () => move(row, column));
    });
  });
  const scale = find("key-scale").getContext("2d");
  for (let at = 0; at < 129; at++) {
    scale.fillStyle = `rgb(${colourOf(((at - 64) / 64) * most).join(" ")})`;
    scale.fillRect(at, 0, 1, 1);
  }
  find("least").textContent = number(-most, true);
  find("most").textContent = number(most, true);
  find("picked").textContent = said(state.picked);
}

function move(row, column) {
  const n = data.grid.cells[row][column];
  if (n !== null) pick(n);
  find(`cell-${row}-${column}`).focus();
}

function ordered() {
  const value = { edit: (n) => n, change: (n) => data.entries[n].change, size: (n) => Math.abs(data.entries[n].change), value: (n) => data.entries[n].value }[state.column];
  const order = data.entries.map((_, n) => n).sort((a, b) => value(a) - value(b) || a - b);
  return state.down ? order.reverse() : order;
}

function sortBy(column) {
  const down = state.column === column ? !state.down : column !== "edit";
  change({ column, down }, () => {
    if (column === "edit") return down ? words.as_made_back : words.as_made;
    return filled(words[down ? "sorted_down" : "sorted_up"], { column: words.columns[column] });
  });
}

function showTable() {
  for (const column of COLUMNS) {
    const head = made(find("headings"), "th", undefined, { scope: "col" });
    const sorted = state.column === column;
    head.setAttribute("aria-sort", sorted ? (state.down ? "descending" : "ascending") : "none");
    const press = made(head, "button", `${words.columns[column]}${sorted ? (state.down ? " ▼" : " ▲") : ""}`, { id: `sort-${column}`, type: "button" });
    press.addEventListener("click", () => sortBy(column));
  }
  for (const n of ordered()) {
    const entry = data.entries[n];
    const row = made(find("rows"), "tr", undefined, { className: n === state.picked ? "picked" : "" });
    const press = made(made(row, "th", undefined, { scope: "row" }), "button", entry.name, { id: `edit-${n}`, type: "button" });
    press.setAttribute("aria-pressed", String(n === state.picked));
    press.addEventListener("click", () => pick(n));
    for (const text of [number(entry.change, true), number(Math.abs(entry.change)), number(entry.value)]) made(row, "td", text);
  }
}

function show() {
  for (const id of ["headings", "rows"]) find(id).replaceChildren();
  find("title").textContent = data.model ? filled(words.title_of, { model: data.model }) : words.title;
  find("facts").textContent = filled(words.facts, { measure: words.measure, base: number(data.base), place: data.place, token: data.tokens[data.place], edits: data.entries.length }) + (data.by === "gradient" ? ` ${words.gradient}` : "");
  find("text").textContent = data.text;
  find("grid-title").textContent = words.grid_title;
  find("hint").textContent = words.hint;
  find("table-title").textContent = words.table;
  find("table-hint").textContent = data.grid === null ? words.list_hint : words.table_hint;
  showGrid();
  showTable();
}

find("cells").addEventListener("keydown", (event) => {
  const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], Home: [0, -ACROSS], End: [0, ACROSS] }[event.key];
  const at = /^cell-(\d+)-(\d+)$/.exec(event.target.id);
  if (by === undefined || at === null) return;
  event.preventDefault();
  const within = (value, count) => Math.max(0, Math.min(count - 1, value));
  move(within(Number(at[1]) + by[0], ROWS), within(Number(at[2]) + by[1], ACROSS));
});
darkness.addEventListener("change", show);
show();
