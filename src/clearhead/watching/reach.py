"""How far a mask reaches: which keys some queries may see, and which of its parts hide any of them.

Both follow from the parts' parameters, so only tiles along a border are evaluated cell by cell. Places are cells.
"""

from __future__ import annotations

from clearhead.attend.mask import Band, Causal, Documents, Knocked, Mask, Padding, Part, Window


def reach(mask: Mask, row: int, queries: range, keys: range) -> range:
    """A range of ``keys``, as short as known, that contains all keys any of ``queries`` can see."""
    for part in mask.parts:
        keys = _reach(part, row, queries, keys)
    return keys


def hiding(mask: Mask, row: int, heads: range, queries: range, keys: range) -> Mask:
    """The mask without the parts that show all of ``keys`` to all of ``queries`` in all of ``heads``."""
    return Mask(tuple(part for part in mask.parts if not _shows_all(part, row, heads, queries, keys)))


def _reach(part: Part, row: int, queries: range, keys: range) -> range:
    first, last = queries[0], queries[-1]
    match part:
        case Causal():
            return _between(keys, keys.start, last + 1)
        case Window():
            return _between(keys, first - part.size + 1, keys.stop)
        case Band():
            return _between(keys, first - part.size + 1, last + part.size)
        case Padding():
            return _between(keys, *part.spans[row])
        case Documents() if keys:
            low, high = part.ids_BK[row, first : last + 1].aminmax()
            ids_K = part.ids_BK[row, keys.start : keys.stop]
            own = ((ids_K >= low) & (ids_K <= high)).nonzero()
            return _between(keys, keys.start + int(own[0]), keys.start + int(own[-1]) + 1) if len(own) else keys[:0]
        case _:
            return keys


def _shows_all(part: Part, row: int, heads: range, queries: range, keys: range) -> bool:
    match part:
        case Causal():
            return keys[-1] <= queries[0]
        case Window():
            return keys[0] > queries[-1] - part.size
        case Band():
            return queries[-1] - keys[0] < part.size and keys[-1] - queries[0] < part.size
        case Padding():
            start, stop = part.spans[row]
            return start <= keys[0] and keys[-1] < stop
        case Documents():
            ids_K = part.ids_BK[row]
            own, read = (ids_K[each.start : each.stop].aminmax() for each in (queries, keys))
            return bool(own.min == own.max == read.min == read.max)
        case Knocked():
            start = part.starts[row] if part.starts else 0
            inside = start is not None and any(q + start in queries and k + start in keys for q, k in part.pairs)
            return not inside or (part.head is not None and part.head not in heads)
        case _:
            return False


def _between(keys: range, start: int, stop: int) -> range:
    start = max(keys.start, start)
    return range(start, max(start, min(keys.stop, stop)))
