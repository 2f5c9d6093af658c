
// The page: one state, one function that shows it.

const state = { query: head.query, key: 0, masked: true };
let words = data.words[document.documentElement.lang];
document.addEventListener("language", () => change({}));

function label(place) {
  return `${place} ${data.labels[place]}`;
}

function change(values) {
  Object.assign(state, values);
  words = data.words[document.documentElement.lang];
  show();
}

// The key that the query attends most to.
function mostAttended(query) {
  const row = head.steps.weights[query];
  return row.indexOf(Math.max(...row));
}

// Every step: an id, a title, what it does in a sentence, and the shapes that go in and come out.
function stepsNow(now) {
  const { rules, norm } = head;
  const s = head.steps;
  const E = WIDTH, D = HEAD_WIDTH, T = TOKENS, F = head.joined[0].length;
  const to = (name) => `${name} (${T} × ${D})`;
  const asked = s.turned_query ?? s.normed_query ?? s.query;
  const offered = s.turned_key ?? s.normed_key ?? s.key;
  const root = number(Math.sqrt(D));
  const plain = Math.abs(rules.scale * Math.sqrt(D) - 1) < 1e-6;
  const found = [...new Set(head.hidden.flat().filter((why) => why !== null))];
  const parts = [
    { id: "x", text: filled(words.x_text, { width: E }), result: `X ${T} × ${E}`, arrows: [] },
    {
      id: "project", text: words.project_text, result: `Q K V ${T} × ${D}`,
      arrows: ["Q", "K", "V"].map((name, n) => `X (${T} × ${E}) · W_${name}ᵀ (${E} × ${D})${head.weights[`${["query", "key", "value"][n]}_bias`] ? ` + b (${D})` : ""} → ${to(name)}`),
    },
    norm && { id: "norm", text: norm.query_squares ? words.norm_all_text : words.norm_text, result: `Q K ${T} × ${D}`, arrows: [`Q, K (${T} × ${D}) → Q, K (${T} × ${D})`] },
    rules.turned && { id: "turn", text: filled(words.turn_text, { turned: rules.turned }), result: `Q K ${T} × ${D}`, arrows: [`Q, K (${T} × ${D}) → Q, K (${T} × ${D})`] },
    { id: "score", text: words.score_text, result: `Q Kᵀ ${T} × ${T}`, arrows: [`Q (${T} × ${D}) · Kᵀ (${D} × ${T}) → Q Kᵀ (${T} × ${T})`] },
    {
      id: "scale", result: `S ${T} × ${T}`, arrows: [`Q Kᵀ (${T} × ${T}) × ${number(rules.scale)} → S (${T} × ${T})`],
      text: [plain ? filled(words.scale_text, { root, head_width: D }) : filled(words.scale_other_text, { scale: number(rules.scale) }), rules.softcap === null ? "" : filled(words.cap_text, { cap: rules.softcap })].filter(Boolean).join(words.marks.sentence),
    },
    {
      id: "mask", result: `S ${T} × ${T}`, arrows: [`S (${T} × ${T}) → S (${T} × ${T})`],
      text: hidesSomething ? filled(words.mask_text, { why: found.map((why) => words.why[why]).join(words.marks.list) }) : words.nothing_hidden,
    },
    { id: "softmax", text: words.softmax_text + (rules.sink === null ? "" : words.marks.sentence + filled(words.sink_text, { sink: number(rules.sink) })), result: `A ${T} × ${T}`, arrows: [`S (${T} × ${T}) → A (${T} × ${T})`] },
    { id: "mix", text: words.mix_text, result: `O ${T} × ${D}`, arrows: [`A (${T} × ${T}) · V (${T} × ${D}) → O (${T} × ${D})`] },
    { id: "join", text: filled(words.join_text, { heads: head.heads, first: head.head * D, last: (head.head + 1) * D - 1 }), result: `${T} × ${F}`, arrows: [`${head.heads} × O (${T} × ${D}) → (${T} × ${F})`] },
    { id: "out", text: words.out_text, result: `${T} × ${E}`, arrows: [`(${T} × ${F}) · W_Oᵀ (${F} × ${E}) → (${T} × ${E})`] },
  ];
  const tables = {
    x: (at) => table(at, "X", "X", head.x),
    project: (at) => {
      for (const [name, step] of [["Q", "query"], ["K", "key"], ["V", "value"]]) table(at, name, name, s[step]);
      for (const [name, step] of [["W_Q", "query"], ["W_K", "key"], ["W_V", "value"]]) matrix(at, name, head.weights[step], head.weights[`${step}_bias`]);
    },
    norm: (at) => pair(at, "normed", s.normed_query, s.normed_key),
    turn: (at) => pair(at, "turned", s.turned_query, s.turned_key),
    score: (at) => {
      table(at, "products", "Q Kᵀ", s.products, { tokens: true });
      worked(at, [filled(words.worked_score, { ...names(), terms: terms(asked[state.query], offered[state.key]), sum: number(s.products[state.query][state.key]) })]);
    },
    scale: (at) => {
      const sum = s.products[state.query][state.key];
      table(at, "scores", "S", s.scores, { tokens: true });
      worked(at, [filled(rules.softcap === null ? words.worked_scale : words.worked_cap, { sum: number(sum), scale: number(rules.scale), scaled: number(sum * rules.scale), cap: rules.softcap, score: number(s.scores[state.query][state.key]) })]);
    },
    mask: (at) => {
      table(at, "masked", "S", now.scores, { tokens: true, why: state.masked ? head.hidden : undefined });
      const side = put(at, "div");
      maskSwitch(side, "mask-here");
      if (hidesSomething) put(side, "p", words.mask_note, "hint");
    },
    softmax: (at) => {
      const sums = (place) => now.weights[place].reduce((sum, weight) => sum + weight, 0);
      table(at, "weights", "A", now.weights, { tokens: true, largest: 1, why: state.masked ? head.hidden : undefined, extra: [words.sum, sums] });
      const score = now.scores[state.query][state.key];
      const total = now.scores[state.query].reduce((sum, each) => sum + Math.exp(each), rules.sink === null ? 0 : Math.exp(rules.sink));
      const lines = [score === -Infinity
        ? filled(words.worked_hidden, names())
        : filled(words.worked_softmax, { score: number(score), power: number(Math.exp(score)), total: number(total), weight: number(now.weights[state.query][state.key]) })];
      if (rules.sink !== null) lines.push(`${words.sink}${words.marks.colon}${number(1 - sums(state.query))}`);
      worked(at, lines);
    },
    mix: (at) => {
      table(at, "mixed", "O", now.mixed);
      const order = now.weights[state.query].map((weight, key) => [weight, key]).sort((a, b) => b[0] - a[0]).filter((one) => one[0] > 0);
      const some = order.slice(0, 4).map(([weight, key]) => `${number(weight)} · v(${data.labels[key]})`);
      worked(at, [filled(words.worked_mix, { ...names(), terms: some.join(" + ") + (order.length > 4 ? ` + … (${order.length})` : "") })]);
    },
    join: (at) => {
      const bar = put(at, "div", "", "heads");
      for (let n = 0; n < head.heads; n++) put(bar, "span", head.heads > 40 ? "" : String(n), n === head.head ? "own" : "");
      table(at, "joined", "[O₀ … ]", now.joined, { first: head.head * D });
    },
    out: (at) => {
      table(at, "share", words.share, now.share);
      table(at, "others", rules.out_bias ? words.others_bias : words.others, head.others);
      table(at, "output", words.output, now.output);
      matrix(at, "W_O", head.weights.out, null, head.head * D);
    },
  };
  return parts.filter(Boolean).map((part) => ({ ...part, title: words[part.id], tables: tables[part.id] }));
}

function names() {
  return { query: data.labels[state.query], key: data.labels[state.key] };
}

function terms(a, b) {
  const some = a.slice(0, 3).map((value, n) => `${number(value)} × ${number(b[n])}`);
  return some.join(" + ") + (a.length > 3 ? ` + … (${a.length})` : "");
}

function pair(at, id, query, key) {
  table(at, `${id}-q`, "Q", query);
  table(at, `${id}-k`, "K", key);
}

// A trained matrix as stored: one row for each number it computes.
function matrix(at, name, rows, bias, from = null) {
  const title = filled(words.show_matrix, { name: bias ? `${name}, b` : name, shape: shape(rows) });
  details(at, `matrix-${name}`, title, (inside) => {
    const labels = rows.map((_, n) => String(n));
    table(inside, name, name + (from === null ? "" : ` [:, ${from}:${from + rows[0].length}]`), rows, { labels });
    if (bias) table(inside, `${name}-b`, "b", [bias], { labels: ["b"] });
  });
}

function worked(at, lines) {
  const box = put(at, "div", "", "worked");
  for (const line of lines) put(box, "p", line);
}

function show() {
  const focused = document.activeElement?.id;
  const now = shownSteps(state.masked);
  showHead();
  const main = find("steps");
  const steps = stepsNow(now);
  showWay(steps);
  main.replaceChildren();
  steps.forEach((step, n) => {
    const arrow = put(main, "div", "", "arrow");
    for (const text of step.arrows) put(arrow, "div", text);
    const section = put(main, "section", "", "step");
    section.id = `step-${step.id}`;
    const title = put(section, "h2", `${n + 1}. ${step.title}`);
    if (!state.masked && steps.findIndex((one) => one.id === "mask") <= n) put(title, "span", words.off, "badge");
    put(section, "p", step.text, "says");
    step.tables(put(section, "div", "", "tables"));
    const code = data.code[step.id];
    if (!code) return;
    section.classList.add("coded");
    const beside = put(section, "div", "", "code");
    put(beside, "div", words.code, "hint");
    put(beside, "pre", code).tabIndex = 0;
  });
  showCheck(main);
  showProgram(main);
  if (focused) find(focused)?.focus({ preventScroll: true });
}

function showHead() {
  const named = filled(words.heading, head);
  find("model").textContent = `${head.model ?? words.unnamed}${words.marks.colon}${named}`;
  const group = head.heads / head.key_heads;
  const shared = group === 1 ? "" : ` · ${filled(words.shared, { first: head.key_head * group, last: (head.key_head + 1) * group - 1, ...head })}`;
  find("facts").textContent = filled(words.facts, { ...head, head_width: HEAD_WIDTH, width: WIDTH, tokens: TOKENS }) + shared;
  find("text").textContent = head.text ?? "";
  find("query-label").textContent = words.query;
  find("key-label").textContent = words.key;
  chips(find("queries"), "query", state.query, (query) => change({ query }));
  chips(find("keys"), "key", state.key, (key) => change({ key }));
  find("bar-mask").replaceChildren();
  maskSwitch(find("bar-mask"), "mask");
}

function showWay(steps) {
  const way = find("way");
  way.replaceChildren();
  way.setAttribute("aria-label", words.overview);
  const list = put(way, "ol");
  for (const step of steps) {
    const link = put(put(list, "li"), "a", `${step.title.split(/[:：]/)[0]} `);
    link.href = `#step-${step.id}`;
    put(link, "small", step.result);
  }
}

function showCheck(main) {
  const section = put(main, "section", "", "step");
  section.id = "step-check";
  put(section, "h2", words.check);
  put(section, "p", filled(words.check_text, head), "says");
  const made = put(section, "table", "", "check");
  const top = put(put(made, "thead"), "tr");
  for (const name of ["step", "difference", "largest"]) put(top, "th", words[name]).scope = "col";
  const body = put(made, "tbody");
  for (const [name, difference] of Object.entries(head.differences)) {
    const line = put(body, "tr");
    put(line, "td", words.names[name]);
    put(line, "td", error(difference));
    put(line, "td", number(Math.max(...head.steps[name].flat().map(Math.abs))));
  }
  const made2 = workedOut(true);
  put(section, "p", filled(words.check_page, { error: error(largestDifference(made2.mixed, head.steps.mixed)), error_out: error(largestDifference(made2.output, head.steps.output)) }), "says");
}

function showProgram(main) {
  const section = put(main, "section", "", "step");
  section.id = "step-program";
  put(section, "h2", words.python);
  put(section, "p", words.program, "says");
  const line = put(section, "div", "", "more");
  saver(line, "save-numbers", words.save_numbers, "steps.json", () => JSON.stringify(head));
  saver(line, "save-code", words.save_code, "by_hand.py", () => data.program);
  details(section, "program", "by_hand.py", (inside) => (put(inside, "pre", data.program).tabIndex = 0));
}

state.key = mostAttended(state.query);
show();
