
// Drawing: weights to colours, images to canvases.

const darkness = matchMedia("(prefers-color-scheme: dark)");

// 256 colours over the square root of the weight, then the hidden colour, as [r, g, b].
function palette() {
  const { scale, hidden } = data.colours[darkness.matches ? "dark" : "light"];
  const rgb = (text) => [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
  const stops = scale.map(rgb);
  const colours = Array.from({ length: 256 }, (_, n) => {
    const along = (n / 255) * (stops.length - 1);
    const below = Math.min(Math.floor(along), stops.length - 2);
    return stops[below].map((from, c) => Math.round(from + (stops[below + 1][c] - from) * (along - below)));
  });
  return [...colours, rgb(hidden)];
}

function colourOf(level, colours) {
  return colours[level === HIDDEN ? 256 : Math.round(level * 255)];
}

function css([red, green, blue]) {
  return `rgb(${red} ${green} ${blue})`;
}

// Pools to at most (rows, columns) cells, each the largest value it covers.
function shrink(levels, height, width, rows, columns) {
  if (rows >= height && columns >= width) return { levels, height, width };
  const down = Math.min(rows, height);
  const across = Math.min(columns, width);
  const small = new Float32Array(down * across).fill(HIDDEN);
  for (let y = 0; y < height; y++) {
    const start = Math.floor((y * down) / height) * across;
    for (let x = 0; x < width; x++) {
      const cell = start + Math.floor((x * across) / width);
      const level = levels[y * width + x];
      if (level > small[cell]) small[cell] = level;
    }
  }
  return { levels: small, height: down, width: across };
}

// A head's map as an image of this many device pixels; cells are never blended. ``shrunk``: there were too few pixels.
function paintMap(context, head, across, down, colours) {
  const [fullHeight, fullWidth] = data.image;
  const { levels, height, width } = shrink(head.levels, fullHeight, fullWidth, down, across);
  const image = context.createImageData(across, down);
  const dots = new Uint32Array(image.data.buffer);
  const packed = colours.map(([red, green, blue]) => (255 << 24) | (blue << 16) | (green << 8) | red);
  for (let y = 0; y < down; y++) {
    const row = Math.floor((y * height) / down) * width;
    for (let x = 0; x < across; x++) {
      dots[y * across + x] = colourOf(levels[row + Math.floor((x * width) / across)], packed);
    }
  }
  return { image, shrunk: height < fullHeight || width < fullWidth };
}

// The large map with its tokens. Keeps the geometry, to find the cell under a pointer.
class LargeMap {
  constructor(canvas, frame) {
    Object.assign(this, { canvas, frame, context: canvas.getContext("2d"), thinned: false, widths: new Map() });
  }

  get family() {
    return getComputedStyle(document.body).fontFamily;
  }

  // Room for the longest label at a font size.
  room(size) {
    if (!this.widths.has(size)) {
      this.context.font = `${size}px ${this.family}`;
      const longest = data.tokens.reduce((most, _, place) => Math.max(most, this.context.measureText(this.label(place)).width), 0);
      this.widths.set(size, Math.ceil(longest) + 10);
    }
    return this.widths.get(size);
  }

  // The image under labels and lines, cached until head, size or colours change.
  base(head, across, down, colours) {
    const kept = this.kept;
    if (!kept || kept.head !== head || kept.across !== across || kept.down !== down || kept.colours !== colours) {
      this.kept = { head, across, down, colours, image: paintMap(this.context, head, across, down, colours).image };
    }
    return this.kept.image;
  }

  draw(head, query, key, colours) {
    const style = getComputedStyle(document.documentElement);
    const ink = (name) => style.getPropertyValue(name).trim();
    const dots = window.devicePixelRatio || 1;
    const context = this.context;
    const room = Math.max(260, this.frame.clientWidth);
    const most = Math.min(this.room(14), Math.floor(room * 0.3));
    const limit = Math.min(room - most - 4, Math.max(380, window.innerHeight - most - 340));
    const side = Math.floor(Math.min(limit, KEYS * 84));
    const pitch = side / KEYS;
    const size = Math.round(Math.max(10, Math.min(14, pitch / 1.25)));
    const labels = Math.min(this.room(size), most);
    const step = Math.max(1, Math.ceil((size * 1.25) / pitch));
    this.thinned = step > 1;
    const down = Math.max(1, Math.round(pitch * QUERIES));
    Object.assign(this, { labels, side, down });

    const width = labels + side + 4;
    const height = labels + down + 4;
    this.canvas.width = Math.round(width * dots);
    this.canvas.height = Math.round(height * dots);
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    const start = Math.round(labels * dots);
    context.putImageData(this.base(head, Math.round(side * dots), Math.round(down * dots), colours), start, start);
    context.setTransform(dots, 0, 0, dots, 0, 0);
    context.font = `${size}px ${this.family}`;
    context.textBaseline = "middle";
    this.lines(pitch, ink("--line"));

    const top = head.top(query, 5).filter((one) => one.weight >= 0.005).map((one) => one.key);
    const taken = this.spaced([query], data.first, step);
    for (const place of taken) {
      const y = labels + (place - data.first + 0.5) * (down / QUERIES);
      this.write(place, labels - 6, y, 0, place === query, ink);
    }
    for (const place of this.spaced([key, ...top, query].filter((one) => one !== null), 0, step)) {
      const x = labels + (place + 0.5) * pitch;
      this.write(place, x, labels - 6, -Math.PI / 2, place === key || top.includes(place), ink);
    }
    context.strokeStyle = ink("--query");
    context.lineWidth = pitch >= 8 ? 2.5 : 1; // a thick line would cover a thin row
    context.strokeRect(labels, labels + (query - data.first) * (down / QUERIES), side, Math.max(1, down / QUERIES));
    if (key !== null) {
      context.strokeRect(labels + key * pitch, labels + (query - data.first) * (down / QUERIES), Math.max(2, pitch), Math.max(2, down / QUERIES));
    }
    if (pitch >= 44 && data.kind === "full") this.numbers(head, pitch, size);
  }

  label(place) {
    const text = label(place);
    return text.length > 22 ? `${text.slice(0, 21)}…` : text;
  }

  // Every step-th place; marked places come first, and others near them are left out.
  spaced(marked, first, step) {
    const taken = [];
    const regular = Array.from({ length: Math.ceil((KEYS - first) / step) }, (_, n) => first + n * step);
    for (const place of [...marked, ...regular]) {
      if (taken.every((other) => Math.abs(other - place) >= step)) taken.push(place);
    }
    return taken;
  }

  write(place, x, y, turn, strong, ink) {
    const context = this.context;
    context.save();
    context.translate(x, y);
    context.rotate(turn);
    context.textAlign = turn ? "left" : "right";
    context.fillStyle = strong ? ink("--query") : ink("--ink");
    context.fillText(this.label(place), 0, 0, this.labels - 8);
    context.restore();
  }

  lines(pitch, colour) {
    const context = this.context;
    context.strokeStyle = colour;
    context.lineWidth = 1;
    context.strokeRect(this.labels - 0.5, this.labels - 0.5, this.side + 1, this.down + 1);
    if (pitch < 9) return;
    context.lineWidth = 0.5;
    context.beginPath();
    for (let n = 1; n < KEYS; n++) {
      context.moveTo(this.labels + n * pitch, this.labels);
      context.lineTo(this.labels + n * pitch, this.labels + this.down);
    }
    for (let n = 1; n < QUERIES; n++) {
      context.moveTo(this.labels, this.labels + (n * this.down) / QUERIES);
      context.lineTo(this.labels + this.side, this.labels + (n * this.down) / QUERIES);
    }
    context.stroke();
  }

  // Large enough cells show their weight as a number.
  numbers(head, pitch, size) {
    const context = this.context;
    context.textAlign = "center";
    context.font = `${size}px ${this.family}`;
    for (let query = data.first; query < KEYS; query++) {
      head.row(query).forEach((weight, key) => {
        if (weight === HIDDEN) return;
        const text = weight > 0 && weight < 0.005 ? "<.01" : weight.toFixed(2);
        context.fillStyle = weight > 0.3 === darkness.matches ? "#0b1220" : "#ffffff";
        context.fillText(text, this.labels + (key + 0.5) * pitch, this.labels + (query - data.first + 0.5) * pitch);
      });
    }
  }

  // The cell under a pointer event: {query, key}; key is null over the row labels; null outside.
  cell(event) {
    const box = this.canvas.getBoundingClientRect();
    const x = event.clientX - box.left - this.labels;
    const y = event.clientY - box.top - this.labels;
    if (y < 0 || y >= this.down || x >= this.side) return null;
    const query = data.first + Math.floor((y * QUERIES) / this.down);
    return { query, key: x < 0 ? null : Math.floor((x * KEYS) / this.side) };
  }
}
