"""The tokenizer files of M2M-100's folders: a SentencePiece model, the ids of its pieces, a token for each language."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken

from clearhead.errors import FolderError, shown
from clearhead.text.tokenizers.languages import PIECES
from clearhead.text.tokenizers.special import put_around, role_tokens, with_special

IDS = "vocab.json"
FILES = (IDS, PIECES)
CLASS = "M2M100Tokenizer"
ROLES = {"bos": "<s>", "eos": "</s>", "unk": "<unk>", "sep": "</s>", "pad": "<pad>"}
# The languages by ``language_codes`` of tokenizer_config.json, in the order of their ids, which follow the pieces'.
LANGUAGES = {
    "m2m100": "af,am,ar,ast,az,ba,be,bg,bn,br,bs,ca,ceb,cs,cy,da,de,el,en,es,et,fa,ff,fi,fr,fy,ga,gd,gl,gu,ha,he,hi,hr,"
    "ht,hu,hy,id,ig,ilo,is,it,ja,jv,ka,kk,km,kn,ko,lb,lg,ln,lo,lt,lv,mg,mk,ml,mn,mr,ms,my,ne,nl,no,ns,oc,or,"
    "pa,pl,ps,pt,ro,ru,sd,si,sk,sl,so,sq,sr,ss,su,sv,sw,ta,th,tl,tn,tr,uk,ur,uz,vi,wo,xh,yi,yo,zh,zu",
    "wmt21": "en,ha,is,ja,cs,ru,zh,de",
}


def is_in(folder: Path, name: object = None) -> bool:
    """Whether a folder has such files, given the class ``name`` of its tokenizer; None if none is named.

    As in transformers, they take precedence over a tokenizer.json for M2M-100's class, not for others (NLLB-200's).
    """
    there = [(folder / file).exists() for file in FILES]
    if not (folder / "tokenizer.json").exists():
        return any(there) if name == CLASS else all(there) and name is None
    return all(there) and name == CLASS


def add_languages(library: tokenizers.Tokenizer, settings: Mapping[str, Any], path: Path) -> None:
    """Adds the tokens of the languages behind the ids in the vocab.json at ``path``.

    Raises FolderError if ids are missing in it, or for an unknown list of languages.
    """
    listed = settings.get("language_codes", "m2m100")
    if not isinstance(listed, str) or listed not in LANGUAGES:
        raise FolderError(
            f"tokenizer_config.json: language_codes is {shown(listed)}; it must be {' or '.join(LANGUAGES)}; copy it "
            "again"
        )
    size = library.get_vocab_size()
    tokens = [f"__{code}__" for code in LANGUAGES[listed].split(",")]
    with_special(library, [AddedToken(token, special=True) for token in tokens])
    ids = list(map(library.token_to_id, tokens))
    if max(library.get_vocab(with_added_tokens=False).values()) != size - 1 or ids != [*range(size, size + len(ids))]:
        raise FolderError(f"{path}: altered: the ids of its {size:,} pieces are not 0 to {size - 1:,}; copy it again")


def put_language_around(library: tokenizers.Tokenizer, settings: Mapping[str, Any]) -> None:
    """Puts the token of the language that ``src_lang`` names, English by default, before a text and </s> behind it.

    Raises FolderError for a language without a token.
    """
    named = settings.get("src_lang")
    token, end = f"__{'en' if named is None else named}__", role_tokens(settings)["eos"]
    if library.token_to_id(token) is None:
        raise FolderError(f"tokenizer_config.json: src_lang is {shown(named)}, which has no token; copy it again")
    put_around(library, [token], [end])
