
// The numbers: every head decodes its own arrays when it is first looked at.

const data = JSON.parse(document.getElementById("data").textContent);
const HIDDEN = -1;

function decode(text, kind) {
  const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  return new kind(bytes.buffer);
}

// A token of the text that a stack reads or writes, with its place.
function label(stack, place) {
  return `${place} ${data.texts[stack][place]}`;
}

// The requested place of a head's queries, counted from the end if negative; null if it has no query.
function placeOf(asked, head) {
  const place = asked < 0 ? asked + head.end : asked;
  return Number.isInteger(place) && place >= head.first && place < head.end ? place : null;
}

// Six significant digits; float32 holds seven.
function exact(weight) {
  return weight === 0 ? "0" : weight.toPrecision(6);
}

// Three digits, as in the pictures; <.001 for numbers above zero that would read 0.000.
function short(weight) {
  return weight > 0 && weight < 0.0005 ? "<.001" : weight.toFixed(3);
}

class Head {
  constructor(values, index) {
    const { name, queries, keys, shape, first, image, top, wide } = data.sites[values.site];
    Object.assign(this, { index, head: values.head, error: values.error, packed: values });
    // the stacks of queries and keys; the places of the first query and after the last; the largest weights per row
    Object.assign(this, { site: name, own: queries, read: keys, first, end: first + shape[0], image, most: top, wide });
    [this.queries, this.places] = shape; // how many queries and keys there are
  }

  get name() {
    return words.head(this.site, this.head);
  }

  // Whether the queries attend to their own text.
  get within() {
    return this.own === this.read;
  }

  // The image: the square root of each cell's weight, HIDDEN if no key is visible.
  get levels() {
    if (!this.unpackedLevels) {
      const roots = data.kind === "full"
        ? this.weights.map((weight) => (weight === HIDDEN ? HIDDEN : Math.sqrt(weight)))
        : Float32Array.from(decode(this.packed.pixels, Uint8Array), (byte) => (byte === 255 ? HIDDEN : byte / 254));
      this.unpackedLevels = roots;
    }
    return this.unpackedLevels;
  }

  // Every weight (full), or those of the top keys.
  get weights() {
    return (this.unpackedWeights ??= decode(this.packed.weights, Float32Array));
  }

  get keys() {
    return (this.unpackedKeys ??= decode(this.packed.keys, this.wide ? Uint32Array : Uint16Array));
  }

  // One query's weights (full), or null.
  row(query) {
    if (data.kind !== "full") return null;
    const row = query - this.first;
    return this.weights.subarray(row * this.places, (row + 1) * this.places);
  }

  // The keys a query attends most to: [{key, weight}], in descending order, without hidden keys.
  top(query, most) {
    const row = this.row(query);
    if (row) {
      return Array.from(row, (weight, key) => ({ key, weight }))
        .filter((one) => one.weight !== HIDDEN)
        .sort((a, b) => b.weight - a.weight || a.key - b.key)
        .slice(0, most);
    }
    const from = (query - this.first) * this.most;
    return Array.from({ length: this.most }, (_, n) => ({ key: this.keys[from + n], weight: this.weights[from + n] }))
      .filter((one) => one.weight !== HIDDEN)
      .slice(0, most);
  }

  // One weight; HIDDEN if not visible, null if this page does not hold it.
  weight(query, key) {
    const row = this.row(query);
    if (row) return row[key];
    if (this.level(query, key) === HIDDEN) return HIDDEN;
    return this.top(query, this.most).find((one) => one.key === key)?.weight ?? null;
  }

  // The image's value at a query and key.
  level(query, key) {
    const [height, width] = this.image;
    const row = Math.floor(((query - this.first) * height) / this.queries);
    return this.levels[row * width + Math.floor((key * width) / this.places)];
  }

  // The weight of a query's row on the head's attention sink; null if it has none.
  sink(query) {
    if (this.packed.sink === null) return null;
    return (this.unpackedSink ??= decode(this.packed.sink, Float32Array))[query - this.first];
  }

  // Entropy and other measures of a query's row, without distances if the keys are another text; null if this page does
  // not hold the row.
  measures(query) {
    const row = this.row(query);
    if (!row) return null;
    let entropy = 0;
    let distance = 0;
    row.forEach((weight, key) => {
      if (weight > 0) {
        entropy -= weight * Math.log(weight);
        distance += weight * (query - key);
      }
    });
    const measures = { entropy: Math.max(0, entropy), first: Math.max(0, row[0]) };
    if (!this.within) return measures;
    return { ...measures, distance, previous: query > 0 ? Math.max(0, row[query - 1]) : 0 };
  }
}

const heads = data.heads.map((values, index) => new Head(values, index));
