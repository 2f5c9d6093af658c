"""The picture: a grid of all heads beside one large head with its tokens. Matplotlib without pyplot."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass, replace

from matplotlib.figure import Figure

from clearhead.observe import fonts, panels
from clearhead.observe.focus import Focus
from clearhead.observe.legible import legible, scientific, short, shortened
from clearhead.observe.observation import Observation
from clearhead.observe.panels import DPI, Canvas
from clearhead.observe.reading import Reading, read
from clearhead.observe.shrink import Shrinker

Progress = Callable[[int, int], None]

# Inches. A head in the grid is between these; the large head's side follows from the number of tokens.
GRID_SIDE, SMALL, LARGE_SIDE, LARGEST_CELL = 8.0, (0.42, 2.2), (4.5, 8.0), 0.9
LONG_SIDE = 9.0
MARGIN, TITLE, HEADING, STRIP, LABELS = 0.3, 0.95, 0.4, 1.0, 0.75
NOTE = 0.23

# Named keys of the query: at most TOP_KEYS, and after the first only those with a weight of at least NAMED.
TOP_KEYS, NAMED = 5, 0.005


@dataclass(frozen=True, kw_only=True)
class Words:
    """Every string of the picture, made first: fonts are chosen for them."""

    title: str
    subtitle: str
    labels: tuple[str, ...]


def words(observation: Observation, model: str | None) -> Words:
    """Title, subtitle and tick labels as they will be drawn."""
    text = observation.text if observation.text is not None else "".join(observation.tokens)
    heads = sum(observation.heads(site) for site in observation.seen())
    about = [legible(model)] if model else []
    about += [f"{len(observation.seen())} layers, {heads} heads", f"{len(observation.tokens):,} tokens"]
    return Words(
        title=legible(text),
        subtitle="   ".join(about),
        labels=tuple(f"{place} {legible(token)}" for place, token in enumerate(observation.tokens)),
    )


def draw(observation: Observation, focus: Focus, drawn: Words, families: list[str], progress: Progress) -> Figure:
    """The whole figure at DPI dots per inch. ``progress`` hears (heads done, heads)."""
    sites = observation.seen()
    L, H = len(sites), max(observation.heads(site) for site in sites)
    K = observation.shape[1]
    cell = panels.whole(min(SMALL[1], max(SMALL[0], min(GRID_SIDE / H, GRID_SIDE / L))))
    side = panels.whole(min(LARGE_SIDE[1] if K < 1000 else LONG_SIDE, max(LARGE_SIDE[0], LARGEST_CELL * K)))
    font = min(13.0, max(8.0, side * 72 / K / 1.3))
    longest = panels.longest(drawn.labels, font)

    left, grid = MARGIN + 0.45, (H * cell, L * cell)
    grid_width = max(grid[0], 5.2)
    large_left = left + grid_width + 0.75 + longest
    width = panels.whole(max(large_left + side + MARGIN + 0.25, 14.0))
    heading_lines = 2
    body = max(
        HEADING * heading_lines + 0.3 + grid[1] + 1.1,
        HEADING * heading_lines + longest + 0.15 + side + 0.25 + STRIP + LABELS,
    )
    reading = _read(observation, focus)
    canvas = Canvas(Figure(figsize=(width, 1.0), dpi=DPI), families, "bold" if fonts.have_bold(families) else "normal")
    small, large = Shrinker(observation, panels.small_cells(cell)), Shrinker(observation, panels.large_cells(side))

    heads, error = panels.heads(observation, small, cell, progress)
    step = panels.label_step(K, side, font)
    notes = _notes(observation, focus, small, large, step, error, drawn)
    lines = [line for note in notes for line in textwrap.wrap(note, int((width - 2 * MARGIN) * 13))]
    height = panels.whole(MARGIN + TITLE + body + 0.2 + NOTE * len(lines) + MARGIN)
    canvas.resize(width, height)

    fits = int((width - 2 * MARGIN) * 72 / (16 * 0.62))
    canvas.text(MARGIN, MARGIN, shortened(drawn.title, fits), size=16, weight=canvas.bold)
    canvas.text(MARGIN, MARGIN + 0.38, drawn.subtitle, size=12, color=panels.QUIET)

    top = MARGIN + TITLE
    canvas.text(MARGIN, top, "All heads", size=13, weight=canvas.bold)
    canvas.text(MARGIN, top + 0.27, "a row for each layer, a column for each head", size=10, color=panels.QUIET)
    grid_top = top + HEADING * heading_lines + 0.3
    panels.grid(canvas, (left, grid_top, *grid), heads, sites, H, (sites.index(focus.site), focus.head))
    panels.scale(canvas, left, grid_top + grid[1] + 0.3, grid_width)

    place = focus.row + observation.first_place
    start = large_left - longest
    canvas.text(start, top, f"Layer {focus.site.layer}, head {focus.head}", size=13, weight=canvas.bold)
    canvas.text(
        start, top + 0.27, "each row is a token that reads, each column a token that is read", size=10,
        color=panels.QUIET,
    )  # fmt: skip
    box = (large_left, top + HEADING * heading_lines + longest + 0.15, side, side)
    image = large.image(focus.site, focus.head)
    panels.matrix(canvas, box, image, drawn.labels, observation.first_place, place, reading.keys, font)
    strip = (large_left, box[1] + side + 0.25, side, STRIP)
    row = observation.map(focus.site, focus.head)[focus.row].numpy()
    panels.strip(canvas, strip, row, reading, drawn.labels)
    for n, line in enumerate(lines):
        canvas.text(MARGIN, height - MARGIN - NOTE * (len(lines) - n), line, size=9.5, color=panels.QUIET)
    return canvas.figure


def _read(observation: Observation, focus: Focus) -> Reading:
    reading = read(observation, focus.site, focus.head, focus.row, TOP_KEYS)
    kept = max(1, sum(weight >= NAMED for weight in reading.weights))
    return replace(reading, keys=reading.keys[:kept], weights=reading.weights[:kept])


def _notes(
    observation: Observation, focus: Focus, small: Shrinker, large: Shrinker, step: int, error: float, drawn: Words
) -> list[str]:
    """What a reader must know to read the picture rightly; one string a paragraph."""
    place = focus.row + observation.first_place
    chosen = "the head asked for"
    if focus.among is not None:
        group = "all heads" if focus.among == "all" else f"the heads of {focus.among}"
        chosen = f"of {group} the one with the least weight on the first token at the query ({short(focus.first, 3)})"
    first = f"Large: {chosen}. Outlined: the query ({drawn.labels[place]}), with the weights of its row below."
    exact = f"Weights are computed exactly; in all heads, rows sum to 1 within {scientific(error)}."
    notes: list[str] = []
    for name, shrinker in (("the grid", small), ("the large head", large)):
        if shrinker.pooled:
            tall, wide = shrinker.covers
            notes.append(f"A cell of {name} is the largest of up to {tall} x {wide} weights.")
    if step > 1:
        notes.append(f"Every {_nth(step)} token is labelled, and the query and its top keys where there is room.")
    if any(shortened(label, panels.LABEL) != label for label in drawn.labels):
        notes.append(f"Labels longer than {panels.LABEL} characters are cut and end in ….")
    return [f"{first} {exact}", " ".join(notes)] if notes else [f"{first} {exact}"]


def _nth(number: int) -> str:
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"
