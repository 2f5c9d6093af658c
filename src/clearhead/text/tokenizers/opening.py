"""Opens a tokenizer from the files of a folder, as transformers does."""

from __future__ import annotations

import gc
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeGuard, cast

import tokenizers
from tokenizers import AddedToken, decoders, models

from clearhead.errors import FolderError, shown, unread
from clearhead.files import read_bounded
from clearhead.text.chat.template_files import templates_beside
from clearhead.text.child import DiedError, LateError, ShortError, ask
from clearhead.text.tokenizers import m2m_100, marian
from clearhead.text.tokenizers.learned import byte_characters
from clearhead.text.tokenizers.marian import MarianPieces
from clearhead.text.tokenizers.refusals import panics_as
from clearhead.text.tokenizers.sentence_pieces import Pieces, library_of_ids, refuse_sampling
from clearhead.text.tokenizers.shapes import LAYOUT, in_use
from clearhead.text.tokenizers.special import ROLES, added_token, put_around, role_tokens, with_special
from clearhead.text.tokenizers.vocabularies import (
    CONFIG,
    LARGEST_VOCABULARY,
    TokenizerClass,
    build,
    class_of,
    content_of,
    text_of,
)

log = logging.getLogger(__name__)

TOKENIZER = "tokenizer.json"
LAST = (TOKENIZER, marian.SOURCE, m2m_100.PIECES)  # the file of a tokenizer that is written last
EXTRA = ("extra_special_tokens", "additional_special_tokens")

TRIAL = Path(__file__).with_name("trial.py")
TRIAL_SECONDS, TRIAL_MEMORY = 4, 1 << 29  # plus 0.5 s and 60 MB per MB of the file
SHOWN = 8  # bytes without a token, by name
LARGEST_SETTINGS = 2**22  # bytes; the largest in use (Gemma 3) has 1.2 MB; parsed, it takes 20 times that


@dataclass(frozen=True, kw_only=True)
class Opened:
    """The parts of a folder's tokenizer.

    config: tokenizer_config.json's entries and the tokens by role; None without either
    templates: chat templates by name; the usual one is "default"
    start: the id before a translation, by generation_config.json or config.json
    ends: the ids that end a text, by the same files
    pieces: cuts texts instead of the library, which then only knows the ids
    source: the parts of the source language's tokenizer if that is another
    files: content by name of the files that make the tokenizer, if they are not a tokenizer.json
    """

    library: tokenizers.Tokenizer
    config: dict[str, Any] | None
    templates: dict[str, str]
    start: int | None
    ends: frozenset[int]
    pieces: Pieces | None = None
    source: Opened | None = None
    files: Mapping[str, bytes] = field(default_factory=dict[str, bytes])


def open_tokenizer(path: Path) -> Opened:
    """Opens a tokenizer.json, or a folder with one or with the vocabulary of a known class.

    Raises FolderError if something is missing, damaged or unsupported.
    """
    folder = path if path.is_dir() else path.parent
    file = path / TOKENIZER if path.is_dir() else path
    config = read_settings(folder / CONFIG)
    settings = {**(config or {}), **_legacy(folder, config or {})}
    described = read_settings(folder / "config.json") or {}
    named = described.get("tokenizer_class")
    if settings.get("tokenizer_class") is None and isinstance(named, str):
        settings["tokenizer_class"] = named
    name, known = class_of(folder, settings, described.get("model_type"))
    if path.is_dir() and marian.is_in(folder):
        return _two_sided(folder, settings, described)
    if path.is_dir() and m2m_100.is_in(folder, settings.get("tokenizer_class")):
        return _of_many_languages(folder, settings, described)
    if path.is_dir() and not file.exists():
        library = build(folder, name, known, settings)
        if known.trial:
            _try(library.to_str(), folder / known.files[0])
        settings.setdefault("tokenizer_class", name)
    else:
        library = _library(file)
        if known.flags is not None:
            known.flags(library, settings)
        known = TokenizerClass(roles=known.roles)
    for role, token in known.roles.items():
        settings.setdefault(f"{role}_token", token)
    _add(library, settings, folder)
    _check(library, file)
    roles = {role: token for role, token in role_tokens(settings).items() if library.token_to_id(token) is not None}
    if known.finish is not None:
        known.finish(library, roles, settings)
    kept = {**settings, **{f"{role}_token": token for role, token in roles.items()}}
    start, ends = _marks(folder, described)
    return Opened(
        library=library,
        config=kept if kept or config is not None else None,
        templates=templates_beside(folder),
        start=start,
        ends=ends,
    )


def _two_sided(folder: Path, settings: Mapping[str, Any], described: Mapping[str, Any]) -> Opened:
    """Marian's tokenizers: the target language's, with the source language's as its ``source``."""
    roles = {f"{role}_token": token for role, token in marian.ROLES.items()}
    settings = {"tokenizer_class": "MarianTokenizer", **roles, **settings}
    source = target = _side(folder, marian.SOURCE, marian.IDS, settings, described)
    if marian.separate(settings):  # the ids that tokenizer_config.json lists are the source's
        target = _side(folder, marian.TARGET, marian.TARGET_IDS, {**settings, "added_tokens_decoder": {}}, described)
    else:
        target = _side(folder, marian.TARGET, marian.IDS, settings, described)
    eos = role_tokens(settings)["eos"]
    if source.library.token_to_id(eos) != target.library.token_to_id(eos):
        raise FolderError(
            f"{folder}: {shown(eos)}, which ends the texts of both languages, has the id "
            f"{source.library.token_to_id(eos)} in {marian.IDS} and {target.library.token_to_id(eos)} in "
            f"{marian.TARGET_IDS}; copy both again"
        )
    files = {**target.files, **source.files}
    return replace(target, config=source.config, files=files, source=replace(source, files=files))


def _side(folder: Path, model: str, listed: str, settings: Mapping[str, Any], described: Mapping[str, Any]) -> Opened:
    """The tokenizer of one language: a SentencePiece model, and the ids of its pieces."""
    library = _ids(folder / listed, settings)
    _add(library, settings, folder)
    put_around(library, [], [role_tokens(settings)["eos"]])
    return _of_pieces(folder, library, (listed, model), MarianPieces, settings, described)


def _of_many_languages(folder: Path, settings: Mapping[str, Any], described: Mapping[str, Any]) -> Opened:
    """M2M-100's tokenizer, which has a token for each language."""
    roles = {f"{role}_token": token for role, token in m2m_100.ROLES.items()}
    settings = {"tokenizer_class": m2m_100.CLASS, **roles, **settings}
    refuse_sampling(settings)
    library = _ids(folder / m2m_100.IDS, settings)
    m2m_100.add_languages(library, settings, folder / m2m_100.IDS)
    _add(library, settings, folder)
    m2m_100.put_language_around(library, settings)
    return _of_pieces(folder, library, m2m_100.FILES, Pieces, settings, described)


def _ids(path: Path, settings: Mapping[str, Any]) -> tokenizers.Tokenizer:
    """A library that only knows the ids in a vocab.json."""
    return library_of_ids(path, _parsed(text_of(path), f"{path}: truncated or altered"), role_tokens(settings))


def _of_pieces(
    folder: Path,
    library: tokenizers.Tokenizer,
    files: tuple[str, str],
    pieces: type[Pieces],
    settings: Mapping[str, Any],
    described: Mapping[str, Any],
) -> Opened:
    """The tokenizer of two files: the ids that ``library`` has, and the SentencePiece model."""
    start, ends = _marks(folder, described)
    contents = {name: content_of(folder / name) for name in files}
    model = folder / files[1]
    return Opened(
        library=library,
        config={**settings},
        templates=templates_beside(folder),
        start=start,
        ends=ends,
        pieces=pieces.opened(contents[files[1]], model, library, role_tokens(settings)["unk"]),
        files=contents,
    )


def read_settings(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None if there is no file. Raises FolderError for anything else."""
    try:
        table = json.loads(read_bounded(path, LARGEST_SETTINGS).decode())
    except FileNotFoundError:
        return None
    except OSError as fault:
        raise FolderError(f"{path}: cannot be read: {fault.strerror}; check its permissions and the disk") from fault
    except (ValueError, RecursionError) as fault:
        raise FolderError(f"{path}: truncated or altered: {unread(fault)}; copy it again from where it came") from fault
    if not isinstance(table, dict):
        raise FolderError(f"{path}: altered: not a JSON object; copy it again")
    return cast(dict[str, Any], table)


def _marks(folder: Path, described: Mapping[str, Any]) -> tuple[int | None, frozenset[int]]:
    """decoder_start_token_id and eos_token_id (one id or a list), from generation_config.json or else config.json.

    ``clearhead.generation`` checks the values.
    """
    named = {**described, **(read_settings(folder / "generation_config.json") or {})}
    start, ends = named.get("decoder_start_token_id"), named.get("eos_token_id")
    listed = cast(list[Any], ends) if isinstance(ends, list) else [ends]
    return (start if _whole(start) else None), frozenset(filter(_whole, listed))


def _whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _library(file: Path) -> tokenizers.Tokenizer:
    if not file.exists():
        raise FolderError(f"{file}: no such file; a tokenizer is a tokenizer.json or its folder")
    text, broken = text_of(file), f"{file}: truncated, altered or not a tokenizer.json"
    state = _parsed(text, broken)
    _check_layout(state, file)
    try:
        if not in_use(state):
            _try(text, file)
        with panics_as(ValueError):
            return tokenizers.Tokenizer.from_str(text)
    except (FolderError, MemoryError):
        raise
    except Exception as fault:  # the library raises Exception itself, nothing narrower
        raise FolderError(f"{broken}: {str(fault)[:300]}; copy it again from where it came") from fault


def _check_layout(state: Any, file: Path) -> None:
    """Raises FolderError unless the file is a table and each of its entries of the right type."""
    if not isinstance(state, dict):
        raise FolderError(f"{file}: holds {shown(state)}; a tokenizer.json is a table; copy it again")
    for name, value in cast(dict[str, Any], state).items():
        rule, fits = LAYOUT.get(name, (None, None))
        if fits is not None and not fits(value):
            raise FolderError(f"{file}: altered: {name} is {shown(value)}; it must be {rule}; copy it again")


def _parsed(text: str, broken: str) -> Any:
    """The JSON value. Raises FolderError that says it is ``broken``.

    Parsing makes no garbage, and looking for it among three million lists took 1.5 of 1.7 s.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        return json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as fault:
        raise FolderError(f"{broken}: {unread(fault)}; copy it again from where it came") from fault
    finally:
        if collecting:
            gc.enable()


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Builds a JSON object. Raises ValueError for a repeated key: the library might take the other value."""
    table = dict(pairs)
    if len(table) < len(pairs):
        raise ValueError("an entry appears twice")
    return table


def _try(text: str, file: Path) -> None:
    """Opens and uses a tokenizer in a limited process. Raises FolderError if it fails there."""
    part = "text"

    def note(name: Any) -> None:
        nonlocal part
        part = name

    megabytes = len(text) / 1e6
    seconds, memory = TRIAL_SECONDS + 0.5 * megabytes, TRIAL_MEMORY + 60 * len(text)
    try:
        fault = ask(TRIAL, {"text": text}, seconds=seconds, memory=memory, note=note)
    except LateError:
        fault = f"{part}: it takes more than {seconds:.0f} seconds"
    except ShortError:
        fault = f"{part}: it takes more than {memory >> 20:,} MB"
    except DiedError as reason:
        fault = f"{part}: the library crashed: {reason}"
    if fault is not None:
        raise FolderError(
            f"{file}: the tokenizer failed a trial, {fault}; it is damaged or hostile, so it is not opened; copy it "
            "again from where it came"
        )


def _check(library: tokenizers.Tokenizer, file: Path) -> None:
    ids = library.get_vocab(with_added_tokens=True).values()
    if not ids:
        raise FolderError(f"{file}: has no tokens; copy it again from where it came")
    if max(ids) >= LARGEST_VOCABULARY:
        raise FolderError(
            f"{file}: altered: a token has the id {max(ids)}; ids lie below {LARGEST_VOCABULARY}; copy it again"
        )
    model = library.model
    whole = not isinstance(model, models.BPE) or model.unk_token is not None or model.byte_fallback
    if isinstance(library.decoder, decoders.ByteLevel) and not whole:
        lacking = [byte for letter, byte in byte_characters().items() if library.token_to_id(letter) is None]
        if lacking:  # the library leaves them out of every text
            named = ", ".join(repr(chr(byte)) if 32 <= byte < 127 else f"0x{byte:02X}" for byte in lacking[:SHOWN])
            log.warning(
                "%s: no token for %d of 256 bytes, so they are dropped from texts: %s", file, len(lacking), named
            )


def _legacy(folder: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """Entries of special_tokens_map.json, which applies if tokenizer_config.json has no table of added tokens."""
    if "added_tokens_decoder" in config:
        return {}
    table = read_settings(folder / "special_tokens_map.json") or {}
    return {name: value for name, value in table.items() if name in {*(f"{role}_token" for role in ROLES), *EXTRA}}


def _add(library: tokenizers.Tokenizer, settings: Mapping[str, Any], folder: Path) -> None:
    """Adds the tokens in settings and added_tokens.json that are not yet added tokens of the library."""
    roles = role_tokens(settings)
    listed = [
        (id_of(key, CONFIG), added_token(value, f"{CONFIG}: added_tokens_decoder"))
        for key, value in _table(settings.get("added_tokens_decoder"), "added_tokens_decoder").items()
    ]
    if "added_tokens_decoder" not in settings:
        special = set(roles.values())
        for text, number in (read_settings(folder / "added_tokens.json") or {}).items():
            table = {"content": text, "special": text in special, "normalized": text not in special}
            listed.append((id_of(number, "added_tokens.json"), added_token(table, "added_tokens.json")))
    listed.sort(key=lambda item: item[0])
    with_special(library, [token for _, token in listed])
    for number, token in listed:
        if library.token_to_id(token.content) != number:
            raise FolderError(
                f"{folder}: the added token {shown(token.content)} has the id {number} in one file and "
                f"{library.token_to_id(token.content)} in the others; copy the tokenizer's files again"
            )
    named = {token.content: token for _, token in listed}
    tokens = [
        named.get(roles[role], added_token(settings[f"{role}_token"], f"{role}_token"))
        for role in roles
        if library.token_to_id(roles[role]) is not None  # a token outside the vocabulary has no embedding
    ]
    extra = [token for name in EXTRA for token in _list(settings.get(name), name)]
    with_special(library, [*tokens, *(token for token in extra if library.token_to_id(token.content) is not None)])


def _list(value: object, name: str) -> list[AddedToken]:
    """More special tokens: a list, or a table by name."""
    listed = list(cast(Mapping[str, Any], value).values()) if isinstance(value, dict) else value or []
    if not isinstance(listed, list):
        raise FolderError(f"{CONFIG}: {name} is not a list: {shown(value)}; copy it again")
    return [added_token(token, name) for token in cast(list[object], listed)]


def id_of(value: object, where: str) -> int:
    """A token's id, from a number or a string of digits."""
    if isinstance(value, str) and value.isdecimal():
        value = int(value) if len(value) < 10 else -1
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < LARGEST_VOCABULARY:
        raise FolderError(f"{where}: {shown(value)} is not a token id; copy it again")
    return value


def _table(value: object, name: str) -> Mapping[str, Any]:
    if value is not None and not isinstance(value, dict):
        raise FolderError(f"{CONFIG}: {name} is not a table: {shown(value)}; copy it again")
    return cast(Mapping[str, Any], value or {})
