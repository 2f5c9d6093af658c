"""What transformers' tokenizer classes take for granted, and how they build a tokenizer from a vocabulary alone."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors

from clearhead.errors import FolderError, nearest, shown
from clearhead.files import read_bounded
from clearhead.text.tokenizers import languages
from clearhead.text.tokenizers.learned import QWEN2_WORDS
from clearhead.text.tokenizers.piece_file import CONTROL, UNIGRAM, UNKNOWN, USER_DEFINED, PieceFile
from clearhead.text.tokenizers.refusals import panics_as
from clearhead.text.tokenizers.special import put_around, role_tokens, with_special

log = logging.getLogger(__name__)

TOKENIZER_AT_MOST = 2**28  # bytes of a tokenizer file; the largest in use has 33 MB
LARGEST_VOCABULARY = 2**22  # 16 times the largest in use; each unused id below the largest takes 36 bytes
PIECES = "spiece.model"  # T5's
CONFIG = "tokenizer_config.json"
SENTINELS, SENTINELS_AT_MOST = 100, 2**16  # T5's <extra_id_0>, <extra_id_1>, ..., which stand for spans
ENDOFTEXT = "<|endoftext|>"
SPACE = "Ġ"  # how byte-level vocabularies write a space
LONGEST, SPLIT = 128, 10_000  # characters of the longest token in use, and how many tokens are tried to split
BRACKETS = (("<", ">"), ("[", "]"))  # around special tokens
BERT_ROLES = {"unk": "[UNK]", "sep": "[SEP]", "pad": "[PAD]", "cls": "[CLS]", "mask": "[MASK]"}
ROBERTA_ROLES = {
    "bos": "<s>", "eos": "</s>", "unk": "<unk>", "sep": "</s>", "pad": "<pad>", "cls": "<s>", "mask": "<mask>"
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TokenizerClass:
    """What one of transformers' tokenizer classes takes for granted.

    files: the vocabulary's, in the order ``build`` takes them; empty if a tokenizer.json is required
    roles: default tokens by role
    build: the files' paths and tokenizer_config.json's entries -> the tokenizer, without added tokens
    flags: applies tokenizer_config.json's entries to a tokenizer.json
    finish: called once roles and added tokens are known
    trial: whether what ``build`` makes must stand a trial, as parts of it come from the file
    """

    files: tuple[str, ...] = ()
    roles: Mapping[str, str] = field(default_factory=dict[str, str])
    build: Callable[[list[Path], Mapping[str, Any]], tokenizers.Tokenizer] | None = None
    flags: Callable[[tokenizers.Tokenizer, Mapping[str, Any]], None] | None = None
    finish: Callable[[tokenizers.Tokenizer, Mapping[str, str], Mapping[str, Any]], None] | None = None
    trial: bool = False


def content_of(path: Path) -> bytes:
    """The bytes of a tokenizer file. Raises FolderError if it cannot be read or is too large."""
    try:
        return read_bounded(path, TOKENIZER_AT_MOST)
    except OSError as fault:
        raise FolderError(f"{path}: cannot be read: {fault.strerror}; check its permissions and the disk") from fault


def text_of(path: Path) -> str:
    """The text of a tokenizer file. Raises FolderError if it cannot be read, is too large or not UTF-8."""
    try:
        text = content_of(path).decode()
    except UnicodeDecodeError as fault:
        raise FolderError(f"{path}: is not UTF-8: {fault}; copy it again") from fault
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _byte_level(files: list[Path], settings: Mapping[str, Any]) -> tokenizers.Tokenizer:
    made = _byte_pairs(files, settings)
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=flag(settings, "add_prefix_space", False))
    return made


def _qwen2(files: list[Path], settings: Mapping[str, Any]) -> tokenizers.Tokenizer:
    made = _byte_pairs(files, settings)
    made.normalizer = normalizers.NFC()
    spaced = flag(settings, "add_prefix_space", False)
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=spaced, use_regex=False),
        ]
    )
    return made


def _byte_pairs(files: list[Path], settings: Mapping[str, Any]) -> tokenizers.Tokenizer:
    vocabulary, merges = files
    listed, lines = text_of(vocabulary), text_of(merges).split("\n")
    try:
        ids = json.loads(listed)
        pairs = [tuple(line.split(" ")) for line in lines if line and not line.startswith("#version")]
        made_of_pairs = {"".join(pair) for pair in pairs}
        unmade = _unmade(ids, made_of_pairs)
        if unmade:
            raise ValueError(f"no merge makes {len(unmade):,} of its tokens, such as {unmade[0]!r}")
        model = models.BPE(vocab=ids, merges=pairs, continuing_subword_prefix="", end_of_word_suffix="")  # pyright: ignore[reportArgumentType]
    except Exception as fault:  # the library raises Exception itself, nothing narrower
        raise FolderError(
            f"{vocabulary} and {merges.name}: truncated, altered or of two tokenizers: {shown(fault)}; copy both"
        ) from fault
    if cut := _cut_off(ids, made_of_pairs, set(role_tokens(settings).values())):
        log.warning(
            "%s: no merge makes %d of the tokens in %s, such as %r, which two others add up to; if lines are missing "
            "at its end, texts get other tokens: copy it again",
            merges,
            len(cut),
            vocabulary.name,
            cut[0],
        )
    made = tokenizers.Tokenizer(model)
    made.decoder = decoders.ByteLevel()
    return made


def _unmade(ids: dict[str, int], made: set[str]) -> list[str]:
    """Tokens of several characters that no merge makes, though one should.

    Special tokens are in no merge either, but none of them begins with a space, and they come before or after all
    others or stand in brackets.
    """
    places = [ids[token] for token in made if token in ids]
    first, last = min(places, default=0), max(places, default=0)
    return [
        token
        for token, place in ids.items()
        if len(token) > 1
        and token not in made
        and (token[0] == SPACE or (first < place < last and (token[0], token[-1]) not in BRACKETS))
    ]


def _cut_off(ids: Mapping[str, int], made: set[str], special: set[str]) -> list[str]:
    """Tokens that no merge makes, though two other tokens add up to each, as to everything that a merge makes.

    Perhaps their merges are missing, but each may also be a word that somebody added.
    """
    unmade = (
        token
        for token in ids
        if 1 < len(token) <= LONGEST
        and token not in made
        and token not in special
        and (token[0], token[-1]) not in BRACKETS
    )
    return [
        token
        for token in islice(unmade, SPLIT)
        if any(token[:at] in ids and token[at:] in ids for at in range(1, len(token)))
    ]


def _word_pieces(files: list[Path], settings: Mapping[str, Any]) -> tokenizers.Tokenizer:
    lines = io.StringIO(text_of(files[0]))  # one token per line; a form feed or U+2028 does not end a line
    ids = {line.rstrip("\n"): n for n, line in enumerate(lines)}
    unknown = role_tokens(settings).get("unk", BERT_ROLES["unk"])
    made = tokenizers.Tokenizer(models.WordPiece(vocab=ids, unk_token=unknown))
    made.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=flag(settings, "tokenize_chinese_chars", True),
        strip_accents=flag(settings, "strip_accents", None),
        lowercase=bool(flag(settings, "do_lower_case", True)),
    )
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece(prefix="##")
    return made


def _t5(files: list[Path], settings: Mapping[str, Any]) -> tokenizers.Tokenizer:
    """The pieces of spiece.model and, behind them, the sentinels <extra_id_99> to <extra_id_0>."""
    try:
        found = PieceFile.of(content_of(files[0]))
    except ValueError as fault:
        raise FolderError(f"{files[0]}: truncated or altered: {fault}; copy it again") from fault
    if found.algorithm != UNIGRAM:
        raise FolderError(f"{files[0]}: its pieces are not a unigram model, as T5's are; it belongs to another model")
    count = settings.get("extra_ids", SENTINELS)
    if type(count) is not int or not 0 <= count <= SENTINELS_AT_MOST:
        raise FolderError(f"{CONFIG}: extra_ids = {shown(count)} must be 0 to {SENTINELS_AT_MOST:,}; copy it again")
    sentinels = [f"<extra_id_{n}>" for n in reversed(range(count))]
    pieces = found.pieces + [(token, 0.0) for token in sentinels]
    if len(dict(pieces)) < len(pieces):
        raise FolderError(f"{files[0]}: has tokens such as {sentinels[0]} itself; set extra_ids to 0 in {CONFIG}")
    made = tokenizers.Tokenizer(models.Unigram(pieces, unk_id=found.kinds.index(UNKNOWN), byte_fallback=False))
    if found.charsmap:
        try:
            with panics_as(ValueError):
                made.normalizer = normalizers.Precompiled(found.charsmap)
        except Exception as fault:  # the library raises Exception itself, nothing narrower
            raise FolderError(f"{files[0]}: truncated or altered: {fault}; copy it again") from fault
    made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    made.decoder = decoders.Metaspace()
    own = [text for (text, _), kind in zip(found.pieces, found.kinds, strict=True) if kind in (CONTROL, USER_DEFINED)]
    with_special(made, [AddedToken(token, normalized=False, special=True) for token in (*own, *sentinels)])
    return made


def _flags_bert(made: tokenizers.Tokenizer, settings: Mapping[str, Any]) -> None:
    normalizer = made.normalizer
    if not isinstance(normalizer, normalizers.BertNormalizer):
        return
    names = {
        "do_lower_case": "lowercase",
        "strip_accents": "strip_accents",
        "tokenize_chinese_chars": "handle_chinese_chars",
    }
    for name, attribute in names.items():
        if flag(settings, name, None) is not None:
            setattr(normalizer, attribute, settings[name])
    made.normalizer = normalizer


def _flags_byte_level(made: tokenizers.Tokenizer, settings: Mapping[str, Any]) -> None:
    words = made.pre_tokenizer
    if isinstance(words, pre_tokenizers.ByteLevel):
        words.add_prefix_space = flag(settings, "add_prefix_space", False)
        made.pre_tokenizer = words


def _around_bert(made: tokenizers.Tokenizer, roles: Mapping[str, str], settings: Mapping[str, Any]) -> None:
    put_around(made, [_token(roles, "cls")], [_token(roles, "sep")], second=())


def _around_roberta(made: tokenizers.Tokenizer, roles: Mapping[str, str], settings: Mapping[str, Any]) -> None:
    vocabulary = made.get_vocab(with_added_tokens=True)
    sep, cls = ((token, vocabulary[token]) for token in (_token(roles, "sep"), _token(roles, "cls")))
    options = flag(settings, "trim_offsets", True), flag(settings, "add_prefix_space", False)
    made.post_processor = processors.RobertaProcessing(sep, cls, *options)


def _around_t5(made: tokenizers.Tokenizer, roles: Mapping[str, str], settings: Mapping[str, Any]) -> None:
    put_around(made, [], [_token(roles, "eos")])


def _around_gpt2(made: tokenizers.Tokenizer, roles: Mapping[str, str], settings: Mapping[str, Any]) -> None:
    front = [_token(roles, "bos")] if flag(settings, "add_bos_token", False) else []
    back = [_token(roles, "eos")] if flag(settings, "add_eos_token", False) else []
    if front or back:
        put_around(made, front, back)


def _token(roles: Mapping[str, str], role: str) -> str:
    if role not in roles:
        raise FolderError(f"the vocabulary lacks {role}_token, which goes around every text; copy it again")
    return roles[role]


def flag(settings: Mapping[str, Any], name: str, default: bool | None) -> Any:
    """A boolean in tokenizer_config.json. Raises FolderError for anything else."""
    value = settings.get(name)
    if value is not None and not isinstance(value, bool):
        raise FolderError(f"{CONFIG}: {name} = {shown(value)} must be true or false; copy it again")
    return default if value is None else value


_PAIRS = ("vocab.json", "merges.txt")
_GPT2 = TokenizerClass(
    files=_PAIRS,
    roles={"bos": ENDOFTEXT, "eos": ENDOFTEXT, "unk": ENDOFTEXT},
    build=_byte_level,
    flags=_flags_byte_level,
    finish=_around_gpt2,
)
_ROBERTA = TokenizerClass(
    files=_PAIRS, roles=ROBERTA_ROLES, build=_byte_level, flags=_flags_byte_level, finish=_around_roberta
)
_QWEN2 = TokenizerClass(
    files=_PAIRS, roles={"eos": ENDOFTEXT, "unk": ENDOFTEXT, "pad": ENDOFTEXT}, build=_qwen2, finish=_around_gpt2
)
_BERT = TokenizerClass(
    files=("vocab.txt",), roles=BERT_ROLES, build=_word_pieces, flags=_flags_bert, finish=_around_bert
)
_T5 = TokenizerClass(
    files=(PIECES,), roles={"eos": "</s>", "unk": "<unk>", "pad": "<pad>"}, build=_t5, finish=_around_t5, trial=True
)
_LLAMA = TokenizerClass(roles={"bos": "<s>", "eos": "</s>", "unk": "<unk>"})
_GEMMA = TokenizerClass(roles={"bos": "<bos>", "eos": "<eos>", "unk": "<unk>", "pad": "<pad>", "mask": "<mask>"})
_NEOX = TokenizerClass(
    roles={"bos": ENDOFTEXT, "eos": ENDOFTEXT, "unk": ENDOFTEXT, "pad": "<|padding|>"}, flags=_flags_byte_level
)
_NLLB = TokenizerClass(roles=ROBERTA_ROLES, flags=languages.around("eng_Latn"))
_MBART = TokenizerClass(roles=ROBERTA_ROLES, flags=languages.around("en_XX", behind=True))
_MBART50 = TokenizerClass(roles=ROBERTA_ROLES, flags=languages.around("en_XX"))
_ANY = TokenizerClass()  # PreTrainedTokenizerFast and unknown classes: everything is in tokenizer.json

# By tokenizer_class, without "Tokenizer" and "Fast".
CLASSES = {
    "GPT2": _GPT2,
    "Roberta": _ROBERTA,
    "Qwen2": _QWEN2,
    "Bert": _BERT,
    "DistilBert": _BERT,
    "Electra": _BERT,
    "Llama": _LLAMA,
    "Gemma": _GEMMA,
    "GPTNeoX": _NEOX,
    "T5": _T5,
    "Nllb": _NLLB,
    "MBart": _MBART,
    "MBart50": _MBART50,
}
# By config.json's model_type, if neither file names a class.
MODELS: dict[str, str] = {
    "gpt2": "GPT2",
    "gpt_neox": "GPTNeoX",
    "roberta": "Roberta",
    "qwen2": "Qwen2",
    "qwen3": "Qwen2",
    "qwen3_moe": "Qwen2",
    "bert": "Bert",
    "distilbert": "DistilBert",
    "t5": "T5",
    "mt5": "T5",
}


def class_of(folder: Path, settings: Mapping[str, Any], model_type: object) -> tuple[str | None, TokenizerClass]:
    """The name of the class in the folder's files, if any, and what it takes for granted (nothing if unknown)."""
    name, known = _named(settings, model_type)
    if name is None and not (folder / "tokenizer.json").exists():  # the oldest folders name no class
        if (folder / "vocab.json").exists():
            return "GPT2Tokenizer", _GPT2
        if (folder / "vocab.txt").exists():
            return "BertTokenizer", _BERT
    return name, known


def _named(settings: Mapping[str, Any], model_type: object) -> tuple[str | None, TokenizerClass]:
    name = settings.get("tokenizer_class")
    if isinstance(name, str):
        short = name.removesuffix("Fast").removesuffix("Tokenizer")
        return (None if short in ("PreTrained", "TokenizersBackend") else name), CLASSES.get(short, _ANY)
    known = MODELS.get(model_type) if isinstance(model_type, str) else None
    return (f"{known}Tokenizer", CLASSES[known]) if known else (None, _ANY)


def build(folder: Path, name: str | None, known: TokenizerClass, settings: Mapping[str, Any]) -> tokenizers.Tokenizer:
    """Builds the tokenizer from the folder's vocabulary. Raises FolderError for files that are missing or damaged."""
    paths = [folder / file for file in known.files]
    if known.build is not None and all(path.exists() for path in paths):
        return known.build(paths, settings)
    known_files = (*_PAIRS, "vocab.txt", "tokenizer.model", languages.PIECES, PIECES)
    given = [file for file in known_files if (folder / file).exists()]
    code = f"from transformers import AutoTokenizer as A; A.from_pretrained('{folder}').save_pretrained('{folder}')"
    convert = f'it needs a tokenizer.json; with transformers installed, make one:\n  python -c "{code}"'
    if not given:
        raise FolderError(
            f"{folder / 'tokenizer.json'}: no such file, and neither vocab.json with merges.txt nor vocab.txt; "
            "give a tokenizer.json or its folder"
        )
    if given[-1].endswith(".model"):
        raise FolderError(f"{folder / given[-1]}: a SentencePiece model alone is not supported; {convert}")
    if name is not None and known.build is None:
        near = nearest(name, [f"{short}Tokenizer" for short, each in CLASSES.items() if each.build is not None])
        raise FolderError(f"{folder}: cannot build a {shown(name)} from {given[0]}{near}; {convert}")
    missing = ", ".join(path.name for path in paths if not path.exists())
    raise FolderError(f"{folder}: {missing} missing; without a tokenizer.json, a {name} needs it")
