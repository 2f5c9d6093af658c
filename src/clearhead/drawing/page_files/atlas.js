
// The page: one state, one function that shows it.

const darkness = matchMedia("(prefers-color-scheme: dark)");
const state = { column: null, down: true, picked: null };
let words = data.words[document.documentElement.lang];
document.addEventListener("language", () => change({}));
const CELL = 14;

function change(values, said) {
  Object.assign(state, values);
  words = data.words[document.documentElement.lang];
  show();
  if (said) find("live").textContent = said();
}

function title(column) {
  return words.columns[column][0];
}

function sortBy(column) {
  const down = state.column === column ? !state.down : true;
  change({ column, down }, () => filled(words[down ? "sorted_down" : "sorted_up"], { column: title(column) }));
  find(`sort-${column}`).focus();
}

function showGrid(grid) {
  const scale = data.colours[darkness.matches ? "dark" : "light"];
  const known = grid.values.flat().filter((value) => value !== null);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const most = ordered(grid.column, true)[0].name;
  const figure = made(find("grids"), "figure");
  const caption = made(figure, "figcaption", `${title(grid.column)} `);
  made(caption, "small", `${shown(low)} – ${shown(high)}`);
  const [rows, across] = [grid.shades.length, grid.shades[0].length];
  const canvas = made(figure, "canvas", undefined, { width: across, height: rows });
  canvas.style.width = `${across * CELL}px`;
  canvas.style.height = `${rows * CELL}px`;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", filled(words.grid_label, { column: title(grid.column), low: shown(low), high: shown(high), most }));
  const context = canvas.getContext("2d");
  grid.shades.forEach((row, y) => row.forEach((shade, x) => {
    const [red, green, blue] = colourOf(shade, scale);
    context.fillStyle = `rgb(${red} ${green} ${blue})`;
    context.fillRect(x, y, 1, 1);
  }));
  const at = (event) => {
    const y = Math.floor((event.offsetY / canvas.clientHeight) * rows);
    const x = Math.floor((event.offsetX / canvas.clientWidth) * across);
    return data.heads.find((head) => head.head === x && head.row === y) ?? null;
  };
  const said = (head) => filled(words.picked, { head: head.name, column: title(grid.column), value: shown(head.values[data.columns.indexOf(grid.column)]) });
  canvas.addEventListener("pointermove", (event) => {
    const head = at(event);
    canvas.title = head === null ? "" : said(head);
  });
  canvas.addEventListener("click", (event) => {
    const head = at(event);
    if (head === null) return;
    change({ picked: head.name }, () => said(head));
    document.querySelector(".picked").scrollIntoView({ block: "nearest" });
  });
}

function showTable() {
  const headings = find("headings");
  made(headings, "th", words.head, { scope: "col" });
  for (const column of data.columns) {
    const head = made(headings, "th", undefined, { scope: "col", title: words.columns[column][1] });
    const sorted = state.column === column;
    head.setAttribute("aria-sort", sorted ? (state.down ? "descending" : "ascending") : "none");
    const press = made(head, "button", `${title(column)}${sorted ? (state.down ? " ▼" : " ▲") : ""}`, { id: `sort-${column}`, type: "button" });
    press.addEventListener("click", () => sortBy(column));
  }
  for (const head of ordered(state.column, state.down)) {
    const row = made(find("rows"), "tr", undefined, { className: head.name === state.picked ? "picked" : "" });
    made(row, "th", head.name, { scope: "row" });
    head.values.forEach((value) => made(row, "td", shown(value)));
  }
  for (const column of data.columns) {
    made(find("meanings"), "dt", title(column));
    made(find("meanings"), "dd", words.columns[column][1]);
  }
}

function show() {
  for (const id of ["grids", "headings", "rows", "meanings"]) find(id).replaceChildren();
  find("model").textContent = data.model ?? words.unnamed;
  find("facts").textContent = filled(words.facts, { layers: data.layers, heads: data.heads.length, tokens: data.tokens });
  find("text").textContent = data.text;
  find("grids-title").textContent = words.grids;
  find("grids-hint").textContent = words.grids_hint;
  find("table-title").textContent = words.table;
  find("table-hint").textContent = words.table_hint;
  data.grids.forEach((grid) => showGrid(grid));
  showTable();
}

darkness.addEventListener("change", show);
show();
