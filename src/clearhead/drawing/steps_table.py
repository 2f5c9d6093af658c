"""One attention head step by step in the terminal: the shapes, and every number of one query's row."""

from __future__ import annotations

import math
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text
from torch import Tensor

from clearhead.analysis import Steps
from clearhead.drawing.legible import legible, scientific, shortened
from clearhead.drawing.steps_page import words
from clearhead.drawing.terminal import bar
from clearhead.wrapping import wrapped

# In terminal cells: a number, the widest label of a token, a bar.
NUMBER, LABEL, BAR = 9, 16, 12


class StepsTable:
    """A rich renderable: as many numbers of each vector as fit on a line, and one line for every key."""

    def __init__(self, steps: Steps, query: int, language: str) -> None:
        self._steps, self._query, self._words = steps, query, words(language)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        steps, says, width = self._steps, self._words, options.max_width
        T, E, D, F = len(steps.record.tokens), steps.x_TE.shape[1], steps.head_width, steps.joined_TF.shape[1]
        yield from wrapped(self._heading(), width)
        yield from wrapped(Text(self._facts(T, E, D), "dim"), width)
        yield Text()
        number = iter(range(1, 99))
        named = {"T": T, "E": E, "D": D, "F": F}
        for step, shape, vectors in self._vectors():
            title = Text(f"{next(number)}. {says[step]}", "bold").append(f"  {shape.format_map(named)}", "cyan")
            yield title
            yield from wrapped(Text(self._sentence(step), "dim"), width)
            if step == "score":
                yield from self._keys(width)
            room = max((cell_len(name) for name, _ in vectors), default=0)
            for name, row in vectors:
                yield self._vector(_padded(name, room), row, width)
        yield Text()
        for line in self._checked():
            yield from wrapped(Text(line, "dim"), width)

    def _heading(self) -> Text:
        steps, says = self._steps, self._words
        place = says["attends"].format(token=legible(steps.record.tokens[self._query]), place=self._query)
        named = says["heading"].format(layer=steps.site.layer, head=steps.head)
        model = steps.record.model
        colon = says["marks"]["colon"]
        line = Text(legible(model), style="bold").append(colon, "default") if model else Text()
        return line.append(f"{named}{colon}").append(place, "bold")

    def _facts(self, places: int, width: int, head_width: int) -> str:
        steps, says = self._steps, self._words
        facts = says["facts"].format(
            heads=steps.heads,
            head_width=head_width,
            width=width,
            tokens=places,
            dtype=steps.dtype,
            kernel=steps.kernel,
        )
        group = steps.heads // steps.key_heads
        if group == 1:
            return facts
        first = steps.key_head * group
        shared = says["shared"].format(
            first=first, last=first + group - 1, key_head=steps.key_head, key_heads=steps.key_heads
        )
        return f"{facts} · {shared}"

    def _vectors(self) -> list[tuple[str, str, list[tuple[str, Tensor]]]]:
        """Each step: its name in the words, its shapes, and the rows it computes for the query."""
        steps, taken, says = self._steps, self._steps.taken, self._words
        made: list[tuple[str, str, list[tuple[str, Tensor]]]] = [
            ("x", "X ({T} × {E})", [("x", steps.x_TE)]),
            (
                "project",
                "X ({T} × {E}) · W_Qᵀ, W_Kᵀ, W_Vᵀ ({E} × {D}) → Q, K, V ({T} × {D})",
                [("q", taken["query"]), ("k", taken["key"]), ("v", taken["value"])],
            ),
        ]
        for step, name in (("norm", "normed"), ("turn", "turned")):
            if f"{name}_query" in taken:
                rows = [("q", taken[f"{name}_query"]), ("k", taken[f"{name}_key"])]
                made.append((step, "Q, K ({T} × {D})", rows))
        made += [
            ("score", "Q ({T} × {D}) · Kᵀ ({D} × {T}) → ({T} × {T}), " + self._scaling() + ", softmax", []),
            ("mix", "A ({T} × {T}) · V ({T} × {D}) → O ({T} × {D})", [("o", taken["mixed"])]),
            ("join", f"{steps.heads} × ({{T}} × {{D}}) → ({{T}} × {{F}})", []),
            (
                "out",
                "({T} × {F}) · W_Oᵀ ({F} × {E}) → ({T} × {E})",
                [
                    (says["share"], steps.share_TE),
                    (says["others_bias" if steps.out_bias else "others"], steps.others_TE),
                    (says["output"], steps.output_TE),
                ],
            ),
        ]
        return made

    def _sentence(self, step: str) -> str:
        steps, says, D = self._steps, self._words, self._steps.head_width
        if step == "score":
            return says["marks"]["sentence"].join(self._scoring())
        if step == "norm" and steps.norm is not None and steps.norm.query_squares_T is not None:
            return says["norm_all_text"]
        return says[f"{step}_text"].format(
            width=steps.x_TE.shape[1],
            turned=None if steps.cos_TD is None else steps.cos_TD.shape[1],
            heads=steps.heads,
            first=steps.head * D,
            last=(steps.head + 1) * D - 1,
        )

    def _scoring(self) -> list[str]:
        """From products to weights, one sentence per step."""
        steps, says, D = self._steps, self._words, self._steps.head_width
        plain = math.isclose(steps.scale * math.sqrt(D), 1)
        why = {why for row in steps.hidden for why in row if why is not None}
        cap = steps.score.softcap
        return [
            says["score_text"],
            says["scale_text" if plain else "scale_other_text"].format(
                root=f"{math.sqrt(D):.4g}", head_width=D, scale=f"{steps.scale:.4g}"
            ),
            *([] if cap is None else [says["cap_text"].format(cap=f"{cap:g}")]),
            says["mask_text"].format(why=says["marks"]["list"].join(says["why"][each] for each in sorted(why)))
            if why
            else says["nothing_hidden"],
            says["softmax_text"],
            *([] if steps.sink is None else [says["sink_text"].format(sink=f"{steps.sink:.4g}")]),
        ]

    def _scaling(self) -> str:
        score = self._steps.score
        cap = "" if score.softcap is None else f", {score.softcap:g} tanh(s / {score.softcap:g})"
        return f"× {self._steps.scale:.4g}{cap}"

    def _vector(self, name: str, rows: Tensor, width: int) -> Text:
        row = rows[self._query].tolist()
        total = self._words["numbers_left"].format(count=len(row))
        line = Text("   ").append(name, "dim").append(" ")
        room = width - line.cell_len - cell_len(total) - 1
        most = max(2, room // NUMBER)
        line.append("".join(f"{number:>{NUMBER}.4g}" for number in row[:most]))
        return line.append(f" {total}", "dim") if len(row) > most else line

    def _keys(self, width: int) -> RenderResult:
        """One line for each key: q.k, the score after scale, cap and mask, and the weight."""
        steps, says = self._steps, self._words
        labels = [f"{place} {legible(token)}" for place, token in enumerate(steps.record.tokens)]
        room = min(LABEL + 4, max(map(cell_len, labels)))
        names: list[str] = says["columns"]
        yield Text("   ").append(
            _padded(names[0], room) + "".join(_right(name, NUMBER + 1) for name in names[1:]), "dim"
        )
        rows = (steps.products_TT, steps.scores_TT, steps.weights_TT)
        products, scores, weights = (each[self._query].tolist() for each in rows)
        for place, label in enumerate(labels):
            why = steps.hidden[self._query][place]
            line = Text("   ").append(
                _padded(shortened(label, room), room), "bold" if place == self._query else "default"
            )
            line.append(f"{products[place]:>{NUMBER + 1}.4g}")
            line.append(f"{scores[place]:>{NUMBER + 1}.4g}" if why is None else _right("−∞", NUMBER + 1))
            line.append(f"{weights[place]:>{NUMBER + 1}.4f} ")
            line.append(bar(weights[place], BAR), "cyan") if why is None else line.append(says["hidden"][why], "dim")
            yield line
        if steps.sink is not None:
            line = Text("   ").append(_padded(says["sink"], room + NUMBER + 1))
            yield line.append(f"{steps.sink:>{NUMBER + 1}.4g}{1 - sum(weights):>{NUMBER + 1}.4f}")

    def _checked(self) -> list[str]:
        steps, says = self._steps, self._words
        found: dict[str, Any] = says["names"]
        differences = (f"{found[name]} {scientific(value)}" for name, value in steps.differences.items())
        return [
            says["check_text"].format(dtype=steps.dtype),
            says["marks"]["list"].join(differences),
            says["all_numbers"],
        ]


def _padded(text: str, cells: int) -> str:
    return text + " " * (cells - cell_len(text))


def _right(text: str, cells: int) -> str:
    return " " * (cells - cell_len(text)) + text
