
// What pages with tables of numbers share: their data, elements and numbers.

const data = JSON.parse(document.getElementById("data").textContent);

function find(id) {
  return document.getElementById(id);
}

function made(parent, kind, text, values = {}) {
  const element = Object.assign(document.createElement(kind), values);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

function filled(text, values) {
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

// As in the terminal: three decimals, or one from 100 on.
function shown(value) {
  if (value === null) return "–";
  return (Math.abs(value) >= 100 ? value.toFixed(1) : value.toFixed(3)).replace("-", "−");
}
