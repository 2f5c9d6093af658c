"use strict";
// The numbers, and what this page computes itself: softmax, weights times V and W_O, with the mask and without it.

const data = JSON.parse(document.getElementById("data").textContent);
const head = data.head;
const TOKENS = head.tokens.length;
const WIDTH = head.x[0].length;
const HEAD_WIDTH = head.steps.query[0].length;

// rows (n x d) times the transpose of matrix (m x d).
function product(rows, matrix) {
  return rows.map((row) => matrix.map((line) => row.reduce((sum, value, n) => sum + value * line[n], 0)));
}

function transposed(rows) {
  return rows[0].map((_, n) => rows.map((row) => row[n]));
}

// The scores after the mask: -Infinity where a key is hidden and the mask is on.
function maskedScores(masked) {
  return head.steps.scores.map((row, query) => row.map((score, key) => (masked && head.hidden[query][key] ? -Infinity : score)));
}

// Weights of every row; a sink counts in the sum. Zeros where no key is seen.
function softmax(scores, sink) {
  return scores.map((row) => {
    const peak = Math.max(...row, sink ?? -Infinity);
    if (peak === -Infinity) return row.map(() => 0);
    const powers = row.map((score) => Math.exp(score - peak));
    const total = powers.reduce((sum, power) => sum + power, sink === null ? 0 : Math.exp(sink - peak));
    return powers.map((power) => power / total);
  });
}

// The steps after the scores, in double precision, from the numbers of the pass.
function workedOut(masked) {
  const scores = maskedScores(masked);
  const weights = softmax(scores, head.rules.sink);
  const mixed = product(weights, transposed(head.steps.value));
  const share = product(mixed, head.weights.out);
  const output = share.map((row, place) => row.map((value, n) => value + head.others[place][n]));
  const first = head.head * HEAD_WIDTH;
  const joined = head.joined.map((row, place) => row.map((value, n) => mixed[place][n - first] ?? value));
  return { scores, weights, mixed, joined, share, output };
}

// With the mask, the page shows what the pass computed; without it, what this page computes.
function shownSteps(masked) {
  const made = workedOut(masked);
  if (!masked) return made;
  const { weights, mixed, share, output } = head.steps;
  return { scores: made.scores, weights, mixed, joined: head.joined, share, output };
}

function largestDifference(one, other) {
  return Math.max(...one.map((row, place) => Math.max(...row.map((value, n) => Math.abs(value - other[place][n])))));
}

const hidesSomething = head.hidden.some((row) => row.some((why) => why !== null));

// Three decimals, or a power of ten where those would say nothing.
function number(value) {
  if (value === -Infinity) return "−∞";
  const size = Math.abs(value);
  const text = size === 0 ? "0" : size >= 10000 || size < 0.0005 ? size.toExponential(1) : size.toFixed(3);
  return (value < 0 ? "−" : "") + text;
}

function error(value) {
  return value === 0 ? "0" : value.toExponential(1);
}

function filled(template, values) {
  return template.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}
