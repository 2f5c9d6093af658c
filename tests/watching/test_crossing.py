"""A key of another text is hidden from the query that was named, whatever the two lengths, padding and caches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from clearhead.analysis import observe
from clearhead.attend import left_padding, padding
from clearhead.tap import Site
from clearhead.watching import Knockout, Record, read_record, watch
from little_translators import LETTERS, SEPARATOR, translator

CROSS = Site(1, "cross")
LONG, SHORT = "abcdefgh", "ab"


def without(p_QK: Tensor, query: int, key: int) -> Tensor:
    """Weights with one cell hidden: the rest of its row grows."""
    p_QK = p_QK.clone()
    p_QK[query, key] = 0
    p_QK[query] /= p_QK[query].sum()
    return p_QK


@pytest.mark.parametrize(("source", "target"), [(LONG, "xy"), (SHORT, "xyzxyz"), (SHORT, "xy")])
@pytest.mark.parametrize(("query", "key", "head"), [(1, 0, None), (2, 1, 3), (0, 2, None)])
def test_fewer_keys_as_many_or_more(
    source: str, target: str, query: int, key: int, head: int | None, tmp_path: Path
) -> None:
    """In layer 1, the last, so that its queries and keys are as they were."""
    plain = observe(translator(), source, target=target)
    edit = Knockout(layer=1, kind="cross", query=query, key=key, head=head)
    found = observe(translator(), source, target=target, edits=edit)
    found.save(tmp_path / "x.safetensors")
    again = read_record(tmp_path / "x.safetensors").only()
    for number in range(plain.heads(CROSS)):
        whole_QK = plain.map(CROSS, number)[:, :]
        expected_QK = whole_QK if head not in (None, number) else without(whole_QK, query, key)
        torch.testing.assert_close(found.map(CROSS, number)[:, :], expected_QK)
        torch.testing.assert_close(again.map(CROSS, number)[:, :], expected_QK)


def passed(ids: list[list[int]], sources: list[list[int]], edits: Any = ()) -> Record:
    """One pass over a batch, the targets padded on the left and the sources on the right."""
    T, S = max(map(len, ids)), max(map(len, sources))
    ids_BT = torch.tensor([[0] * (T - len(each)) + each for each in ids])
    source_BS = torch.tensor([each + [0] * (S - len(each)) for each in sources])
    with torch.inference_mode(), watch(translator(), edits) as record:
        translator().network.hidden(
            ids_BT,
            mask=left_padding(torch.tensor([T - len(each) for each in ids])),
            places_BT=torch.stack([(torch.arange(T) - (T - len(each))).clamp(min=0) for each in ids]),
            source_BS=source_BS,
            source_mask=padding(torch.tensor(list(map(len, sources)))),
        )
    return record


def test_rows_of_a_batch_have_places_of_their_own(tmp_path: Path) -> None:
    texts = [(LONG, "xy"), (SHORT, "xyzxyz"), ("abc", "x")]
    sources = [[*LETTERS.encode(source), SEPARATOR] for source, _ in texts]
    ids = [[SEPARATOR, *LETTERS.encode(target)] for _, target in texts]
    plain = passed(ids, sources)
    for text in (None, 1):
        record = passed(ids, sources, Knockout(layer=1, kind="cross", query=1, key=2, text=text))
        record.save(tmp_path / "x.safetensors")
        again = read_record(tmp_path / "x.safetensors")
        for number in range(3):
            whole_QK = plain.map(CROSS, 0, number)[:, :]
            expected_QK = without(whole_QK, 1, 2) if text in (None, number) else whole_QK
            torch.testing.assert_close(record.map(CROSS, 0, number)[:, :], expected_QK)
            torch.testing.assert_close(again.map(CROSS, 0, number)[:, :], expected_QK)
