"""Heads: how rows are split and joined, how many heads pay, and which columns belong to which head."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from clearhead.analysis.matrices import attention_at
from clearhead.drawing.report import Curve, Curves, Heatmap, Paragraph, Report, Table
from clearhead.lab.note.bench import Bench
from clearhead.lab.note.experiment import Experiment, Phrases
from clearhead.lab.note.variants import SHAPE, Variant, trained
from clearhead.model.parts.attention import Attention

ROWS, WIDTH, HEADS = 3, 1000, 8  # the note's example
COUNTS = (1, 2, 4, 8, 16)
COLUMNS = 8  # of the new rows that a table shows


@dataclass(frozen=True, kw_only=True)
class HeadsFound:
    """What the experiment on heads found.

    split, joined: shapes; same: whether splitting and joining give the same numbers
    column, owner, inside: an example: a column of the joined rows, the head it comes from, and its place there
    variants: the Transformer with 1 to 16 heads
    layer: of the model; shares: by head, for the first columns of the new rows: how much of a column's W_O reads the
        head, as a share of the squares
    largest: by layer, the largest share that one head has in any column; even: the share if all heads had the same
    """

    model: str
    split: tuple[int, ...]
    joined: tuple[int, ...]
    same: bool
    column: int
    owner: int
    inside: int
    variants: tuple[Variant, ...]
    layer: int
    shares: tuple[tuple[float, ...], ...]
    largest: tuple[float, ...]
    even: float


def run(bench: Bench) -> HeadsFound:
    """Splits and joins the note's rows, trains with 1 to 16 heads, and reads W_O of a model."""
    x_TE = torch.arange(ROWS * WIDTH, dtype=torch.float64).view(ROWS, WIDTH)
    x_HTD = x_TE.view(ROWS, HEADS, WIDTH // HEADS).transpose(0, 1)
    joined_TE = x_HTD.transpose(0, 1).reshape(ROWS, WIDTH)
    column = 300
    owner, inside = next(
        (head, at)
        for head in range(HEADS)
        for at in range(WIDTH // HEADS)
        if bool((x_HTD[head, :, at] == x_TE[:, column]).all())
    )
    model = bench.model()
    sites = [site for site in model.sites() if site.attends]
    shares_LHE = [_shares(attention_at(model.network, site, "lab heads")) for site in sites]
    layer = len(sites) // 2
    width = SHAPE["width"]
    tables = {
        str(count): {"attention": {"heads": count, "kv_heads": count, "head_width": width // count}} for count in COUNTS
    }
    return HeadsFound(
        model=model.name or bench.setting.corpus,
        split=tuple(x_HTD.shape),
        joined=tuple(joined_TE.shape),
        same=bool((joined_TE == x_TE).all()),
        column=column,
        owner=owner,
        inside=inside,
        variants=trained(bench, "heads", tables, bench.minutes("heads")),
        layer=sites[layer].layer or 0,
        shares=tuple(tuple(row) for row in shares_LHE[layer][:, :COLUMNS].tolist()),
        largest=tuple(float(shares_HE.max()) for shares_HE in shares_LHE),
        even=1 / len(shares_LHE[layer]),
    )


def _shares(attention: Attention) -> torch.Tensor:
    """Of each column of the new rows, the share of each head in the squares of W_O, (H, E)."""
    weight_EF = attention.out.matrix.detach().double()
    squares_HE = weight_EF.view(len(weight_EF), attention.heads, -1).square().sum(-1).T
    return squares_HE / squares_HE.sum(0)


def report(found: HeadsFound, says: Phrases) -> Report:
    """The findings in words and charts."""
    best = min(found.variants, key=lambda each: each.loss)
    largest = max(found.largest)
    return Report(
        title=says("title"),
        claim=says("claim"),
        holds="partly" if found.same and largest < 1 else "no",
        verdict=says(
            "verdict",
            largest=f"{largest:.0%}",
            even=f"{found.even:.0%}",
            best=best.name,
            loss=f"{best.loss:.3f}",
            one=f"{found.variants[0].loss:.3f}",
            most=f"{found.variants[-1].loss:.3f}",
        ),
        blocks=(
            Paragraph(text=says("slices")),
            Table(
                title=says("split"),
                header=says.listed("split_header"),
                rows=(
                    (says("rows"), f"{ROWS} × {WIDTH}", ""),
                    (says("heads"), " × ".join(map(str, found.split)), says("each", width=WIDTH // HEADS)),
                    (
                        says("joined"),
                        " × ".join(map(str, found.joined)),
                        says("same") if found.same else says("different"),
                    ),
                    (
                        says("column", column=found.column),
                        says("owner", head=found.owner, inside=found.inside),
                        f"{found.column} = {found.owner} × {WIDTH // HEADS} + {found.inside}",
                    ),
                ),
                note=says("split_note"),
            ),
            Heatmap(
                title=says("shares", layer=found.layer),
                down=says("head"),
                across=says("new_column"),
                rows=tuple(says("head_number", number=head) for head in range(len(found.shares))),
                columns=tuple(map(str, range(len(found.shares[0])))),
                values=found.shares,
                note=says("shares_note", even=f"{found.even:.0%}", largest=f"{largest:.0%}"),
            ),
            Curves(
                title=says("counts"),
                x=says("steps"),
                y=says("nats"),
                curves=tuple(
                    Curve(
                        name=says("count", count=each.name),
                        x=tuple(map(float, each.steps)),
                        y=each.losses,
                    )
                    for each in found.variants
                ),
            ),
            Table(
                title=says("table"),
                header=says.listed("table_header"),
                rows=tuple(
                    (each.name, f"{each.weights:,}", f"{each.loss:.4f}", f"{1000 * each.each:.0f}")
                    for each in found.variants
                ),
                note=says("table_note", steps=found.variants[0].steps[-1]),
            ),
        ),
        repeat=(
            "clearhead train --corpus world-en --recipe tiny --set model.width=128 --set model.attention.heads=8 "
            "--set model.attention.kv_heads=8 --set model.attention.head_width=16",
        ),
    )


EXPERIMENT = Experiment(name="heads", needs=("model", "heads"), found=HeadsFound, run=run, report=report)
