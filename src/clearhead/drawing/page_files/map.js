
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
  const [fullHeight, fullWidth] = head.image;
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

  // Room for the longest label of a head's texts at a font size.
  room(head, size) {
    return Math.max(...[head.own, head.read].map((stack) => {
      const asked = `${stack} ${size}`;
      if (!this.widths.has(asked)) {
        this.context.font = `${size}px ${this.family}`;
        const width = (_, place) => this.context.measureText(this.label(stack, place)).width;
        const longest = data.texts[stack].map(width).reduce((most, wide) => Math.max(most, wide), 0);
        this.widths.set(asked, Math.ceil(longest) + 10);
      }
      return this.widths.get(asked);
    }));
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
    const most = Math.min(this.room(head, 14), Math.floor(room * 0.3));
    const limit = Math.min(room - most - 4, Math.max(380, window.innerHeight - most - 340));
    const cell = Math.min(84, limit / Math.max(head.queries, head.places));
    const side = Math.floor(cell * head.places);
    const pitch = side / head.places;
    const size = Math.round(Math.max(10, Math.min(14, pitch / 1.25)));
    const labels = Math.min(this.room(head, size), most);
    const step = Math.max(1, Math.ceil((size * 1.25) / pitch));
    this.thinned = step > 1;
    const down = Math.max(1, Math.round(pitch * head.queries));
    Object.assign(this, { labels, side, down, head });

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
    for (const place of this.spaced([query], head.first, head.end, step)) {
      const y = labels + (place - head.first + 0.5) * (down / head.queries);
      this.write(this.label(head.own, place), labels - 6, y, 0, place === query, ink);
    }
    const marked = [key, ...top, head.within ? query : null].filter((one) => one !== null);
    for (const place of this.spaced(marked, 0, head.places, step)) {
      const x = labels + (place + 0.5) * pitch;
      this.write(this.label(head.read, place), x, labels - 6, -Math.PI / 2, place === key || top.includes(place), ink);
    }
    context.strokeStyle = ink("--query");
    context.lineWidth = pitch >= 8 ? 2.5 : 1; // a thick line would cover a thin row
    const y = labels + (query - head.first) * (down / head.queries);
    context.strokeRect(labels, y, side, Math.max(1, down / head.queries));
    if (key !== null) context.strokeRect(labels + key * pitch, y, Math.max(2, pitch), Math.max(2, down / head.queries));
    if (pitch >= 44 && data.kind === "full") this.numbers(head, pitch, size);
  }

  label(stack, place) {
    const text = label(stack, place);
    return text.length > 22 ? `${text.slice(0, 21)}…` : text;
  }

  // Every step-th place from the first up to the end; marked places come first, and others near them are left out.
  spaced(marked, first, end, step) {
    const taken = [];
    const regular = Array.from({ length: Math.ceil((end - first) / step) }, (_, n) => first + n * step);
    for (const place of [...marked, ...regular]) {
      if (taken.every((other) => Math.abs(other - place) >= step)) taken.push(place);
    }
    return taken;
  }

  write(text, x, y, turn, strong, ink) {
    const context = this.context;
    context.save();
    context.translate(x, y);
    context.rotate(turn);
    context.textAlign = turn ? "left" : "right";
    context.fillStyle = strong ? ink("--query") : ink("--ink");
    context.fillText(text, 0, 0, this.labels - 8);
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
    for (let n = 1; n < this.head.places; n++) {
      context.moveTo(this.labels + n * pitch, this.labels);
      context.lineTo(this.labels + n * pitch, this.labels + this.down);
    }
    for (let n = 1; n < this.head.queries; n++) {
      context.moveTo(this.labels, this.labels + (n * this.down) / this.head.queries);
      context.lineTo(this.labels + this.side, this.labels + (n * this.down) / this.head.queries);
    }
    context.stroke();
  }

  // Large enough cells show their weight as a number.
  numbers(head, pitch, size) {
    const context = this.context;
    context.textAlign = "center";
    context.font = `${size}px ${this.family}`;
    for (let query = head.first; query < head.end; query++) {
      head.row(query).forEach((weight, key) => {
        if (weight === HIDDEN) return;
        const text = weight > 0 && weight < 0.005 ? "<.01" : weight.toFixed(2);
        context.fillStyle = weight > 0.3 === darkness.matches ? "#0b1220" : "#ffffff";
        context.fillText(text, this.labels + (key + 0.5) * pitch, this.labels + (query - head.first + 0.5) * pitch);
      });
    }
  }

  // The cell under a pointer event: {query, key}; key is null over the row labels; null outside.
  cell(event) {
    const box = this.canvas.getBoundingClientRect();
    const x = event.clientX - box.left - this.labels;
    const y = event.clientY - box.top - this.labels;
    if (y < 0 || y >= this.down || x >= this.side) return null;
    const query = this.head.first + Math.floor((y * this.head.queries) / this.down);
    return { query, key: x < 0 ? null : Math.floor((x * this.head.places) / this.side) };
  }
}
