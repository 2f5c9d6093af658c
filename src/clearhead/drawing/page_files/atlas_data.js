
// The atlas: what the page works out from its numbers.

// Heads in the order of a column, those without a value last; by layer and head without a column.
function ordered(column, down) {
  if (column === null) return data.heads;
  const at = data.columns.indexOf(column);
  return [...data.heads].sort((a, b) => {
    const [x, y] = [a.values[at], b.values[at]];
    if (x === null || y === null) return (x === null) - (y === null);
    return down ? y - x : x - y;
  });
}

// A colour of the scale, [r, g, b], for a shade from 0 to 1; grey for none.
function colourOf(shade, scale) {
  if (shade === null) return [128, 128, 128];
  const stops = scale.map((text) => [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16)));
  const along = shade * (stops.length - 1);
  const below = Math.min(Math.floor(along), stops.length - 2);
  return stops[below].map((from, c) => Math.round(from + (stops[below + 1][c] - from) * (along - below)));
}
