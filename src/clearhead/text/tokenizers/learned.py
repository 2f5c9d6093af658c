"""The kinds of tokenizer that are learned here."""

from __future__ import annotations

import importlib.util
import json
import logging
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers

from clearhead.errors import MissingExtraError, OptionError, TextError, shown
from clearhead.text.child import DiedError, ShortError, ask
from clearhead.text.tokenizers.characters import SEEN, Characters, Units
from clearhead.text.tokenizers.pieces import CUT_QWEN2, SEPARATOR, TextBlock, WordEnds, cut

log = logging.getLogger(__name__)

MASK = "[MASK]"  # BERT's
ADDED = ([SEPARATOR], [SEPARATOR, MASK])  # the tokens added to a vocabulary learned here, without a mask and with one

# Words of Qwen 2 and 3: like GPT-2's, but a newline never joins what follows and each digit is a word. Models trained
# here have Qwen 3's shape; and text can be cut at any line end (pieces.py), even between paragraphs.
QWEN2_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# The words of a vocabulary learned here: Qwen 2's, with runs of at most 256 characters. Learning time grows with the
# square of the longest word: 100,000 letters without a space (DNA, base64) took 4.6 s, 400,000 took 30 s. With this
# limit a million take 1 s. The pattern is stored in tokenizer.json, so encoding cuts words at the same places.
OWN_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}{1,256}|\p{N}| ?[^\s\p{L}\p{N}]{1,256}[\r\n]{0,256}"
    r"|\s{0,256}[\r\n]{1,256}|\s{1,256}(?!\S)|\s{1,256}"
)
LLAMA3_WORDS = QWEN2_WORDS.replace(r"|\p{N}|", r"|\p{N}{1,3}|")

# BPE is learned from 4 to 8 MB spread evenly over the text: the learner needs 90 bytes per byte of Chinese (its words
# are whole phrases, nearly all different), so 8 MB take 0.7 GB, 13.4 MB 1.2 GB. Loss in bytes per token against
# learning from everything, at 8 MB and at 4: books-en 0.2 and 0.5 % with 8,192 tokens, 0.5 and 1.2 % with 32,768;
# books-zh 0.2 and 0.5 % with 4,096, 0.4 and 1.3 % with 16,384.
LEARN_BYTES = 8_000_000
UNIGRAM_BYTES = 4_000_000  # a unigram model's learner takes a minute for 8 MB of Chinese

# Merges of characters are kept if they make a third of the tokens or more unnecessary (docs/LOG.md).
WORTH = 1 / 3

LARGEST_SIZE = 2**20  # four times the largest vocabulary in use; the learner allocates memory for all of it up front
LEARNER, UNIGRAM_LEARNER = (Path(__file__).with_name(name) for name in ("learning.py", "learning_unigram.py"))

# How SentencePiece writes the tokens that are bytes; the tokenizers library knows them by these names (byte_fallback).
BYTE_TOKENS = {f"<0x{byte:02X}>": byte for byte in range(256)}

OnMerges = Callable[[int, int], None]  # called with tokens so far and in total


def vocabulary_size(text_bytes: int) -> int:
    """Size of a byte-level BPE vocabulary for this much text: the power of two nearest the root, 512 to 65,536.

    Heaps' law: the number of distinct words grows about as the root of the text's length, so the share of tokens too
    rare to learn stays the same: 1 MB gives 1,024, 13 MB 4,096, 59 MB 8,192. 65,536 is the last that fits 16 bits.
    """
    return 2 ** min(16, max(9, round(math.log2(max(1, text_bytes)) / 2)))


def byte_characters() -> dict[str, int]:
    """The 256 characters that stand for bytes in byte-level vocabularies, with their bytes (GPT-2's encoder.py)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(others)}


def bytes_tokenizer() -> tokenizers.Tokenizer:
    """Ids 0 to 255 are the bytes of UTF-8; 256 is the separator."""
    made = tokenizers.Tokenizer(models.BPE(vocab=byte_characters(), merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    return _with_separator(made)


def characters_tokenizer(characters: Iterable[str]) -> tokenizers.Tokenizer:
    """Ids are the characters in code point order, then the separator. The library raises for any other character."""
    vocabulary = {character: n for n, character in enumerate(sorted(characters))}
    made = tokenizers.Tokenizer(models.WordLevel(vocab=vocabulary))
    made.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    made.decoder = decoders.Fuse()
    return _with_separator(made)


def characters_and_bytes_tokenizer(characters: Iterable[str]) -> tokenizers.Tokenizer:
    """Ids 0 to 255 are the bytes, then come the characters in code point order, then the separator.

    Any other character is the bytes of its UTF-8, as in SentencePiece's byte fallback. Bytes that are not UTF-8 decode
    to one U+FFFD each in the library, to one for each run here.
    """
    vocabulary = {token: n for n, token in enumerate([*BYTE_TOKENS, *sorted(characters)])}
    made = tokenizers.Tokenizer(models.BPE(vocab=vocabulary, merges=[], byte_fallback=True))
    made.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    made.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    return _with_separator(made)


def characters_of(texts: Iterable[str]) -> Characters:
    """The characters of the texts without their separators. Raises TextError if there are none."""
    found = Characters()
    for text in texts:
        for part in text.split(SEPARATOR):
            found.add(part)
    if not found.all():
        raise TextError("the text is empty: there are no characters to learn")
    return found


def words_tokenizer(words: Sequence[str]) -> tokenizers.Tokenizer:
    """Ids are the words in the order given; a text is words with white space between them. Nothing marks a document.

    The library raises for any other word.
    """
    made = tokenizers.Tokenizer(models.WordLevel(vocab={word: n for n, word in enumerate(words)}))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return made


def check_size(size: int | None) -> None:
    """Raises OptionError for a size that a BPE vocabulary cannot have."""
    if size is not None and not 257 <= size <= LARGEST_SIZE:
        given = f"{size:,}" if abs(size) < 1e21 else shown(size)
        raise OptionError(
            f"vocabulary size {given}: BPE has at least 257 tokens (256 bytes and the separator) and at "
            f"most {LARGEST_SIZE:,}"
        )


def bpe_tokenizer(
    texts: Iterable[str], size: int | None, units: Units | None, progress: OnMerges | None = None
) -> tokenizers.Tokenizer:
    """BPE over OWN_WORDS, at most ``size`` tokens; ``units``: what is merged, None for what suits the text.

    Over bytes: 256 bytes, merges, the separator. Over characters: 256 bytes for characters without a token, the
    frequent characters, merges, the separator; without the merges if ``units`` and ``size`` are both None and the
    merges save too little.
    """
    check_size(size)
    documents = (TextBlock(part, True) for text in texts for part in text.split(SEPARATOR))
    blocks, found = cut(documents, CUT_QWEN2, words=word_ends), Characters()
    kept, text_bytes = _spread(blocks if units == "bytes" else found.passing(blocks), LEARN_BYTES)
    if not text_bytes:
        raise TextError("the text is empty: there is nothing to learn a vocabulary from")
    merges = vocabulary_size(text_bytes)
    if (units or found.units()) == "bytes":
        # the separator is added below
        return _with_separator(
            _learned(bpe_untrained(), kept, (size or merges) - 1, sorted(byte_characters()), progress)
        )
    alphabet = sorted(found.frequent(None if size is None else size - 257))
    room = len(alphabet) + merges if size is None else size - 257
    kept = _cut_at_others(kept, found, alphabet)
    learned = _learned(_character_untrained(models.BPE()), kept, room, alphabet, progress)
    made = character_bpe(alphabet, [(a, b) for a, b in state_of(learned)["model"]["merges"]])
    if units is None and size is None and _saved(made, kept) < WORTH:
        return characters_and_bytes_tokenizer(alphabet)
    return made


def unigram_tokenizer(texts: Iterable[str], size: int | None) -> tokenizers.Tokenizer:
    """A unigram model (Kudo 2018) over OWN_WORDS: 256 bytes for characters without a token, the tokens, the separator.

    Of all ways to cut a word, it takes that with the most probable tokens. ``size`` as for BPE over characters.
    """
    check_size(size)
    if importlib.util.find_spec("sentencepiece") is None:
        raise MissingExtraError(
            "tokenizer unigram: learning one needs sentencepiece: pip install 'clearhead[translate]'"
        )
    documents = (TextBlock(part, True) for text in texts for part in text.split(SEPARATOR))
    found = Characters()
    kept, text_bytes = _spread(found.passing(cut(documents, CUT_QWEN2, words=word_ends)), UNIGRAM_BYTES)
    if not text_bytes:
        raise TextError("the text is empty: there is nothing to learn a vocabulary from")
    # the learner wants more pieces than characters
    alphabet = sorted(found.frequent(None if size is None else 10 * (size - 257) // 11))
    if not alphabet:
        return unigram([])
    room = len(alphabet) + vocabulary_size(text_bytes) if size is None else size - 257
    request = {"texts": _cut_at_others(kept, found, alphabet), "pattern": OWN_WORDS, "size": room}
    learned = _asked(UNIGRAM_LEARNER, request) or [(character, 0.0) for character in alphabet]
    pieces = [(token, round(score, 6)) for token, score in learned]
    return unigram(sorted(pieces, key=lambda piece: (-piece[1], piece[0])))


def _cut_at_others(texts: list[str], found: Characters, alphabet: list[str]) -> list[str]:
    """The texts in parts, since no token spans a character outside the alphabet."""
    others = "".join(re.escape(character) for character in sorted(set(found.all()) - set(alphabet)))
    return [part for text in texts for part in re.split(f"[{others}]+", text)] if others else texts


def _saved(made: tokenizers.Tokenizer, texts: list[str]) -> float:
    """The share of the characters of some of the texts that are not tokens of their own."""
    some = texts[:: max(1, len(texts) // 64)]
    return 1 - sum(len(made.encode(text).ids) for text in some) / max(1, sum(map(len, some)))


def _learned(
    untrained: tokenizers.Tokenizer, texts: list[str], size: int, alphabet: list[str], progress: OnMerges | None
) -> tokenizers.Tokenizer:
    """The tokenizer with merges, at most ``size`` tokens in all."""
    options = {"vocab_size": size, "min_frequency": SEEN, "initial_alphabet": alphabet}

    def note(stage: Mapping[str, Any]) -> None:
        if progress is not None and stage.get("stage") == "Compute merges":
            progress(stage["current"], stage["total"])

    request = {"tokenizer": untrained.to_str(), "texts": texts, "options": options}
    return tokenizers.Tokenizer.from_str(_asked(LEARNER, request, note))


def _asked(learner: Path, request: Mapping[str, Any], note: Callable[[Any], None] | None = None) -> Any:
    try:
        return ask(learner, request, note=note)
    except (DiedError, ShortError) as fault:
        raise TextError(
            f"the vocabulary was not learned: the learner's process ended ({str(fault) or 'out of memory'}); it needs "
            "about 90 bytes of memory per byte of text, so close other programs, or choose --tokenizer bytes"
        ) from None


def word_ends(text: str) -> list[int]:
    """The ends of the words of a vocabulary learned here, which have at most 257 characters."""
    words = pre_tokenizers.Split(Regex(OWN_WORDS), "isolated")
    return [end for _, (_, end) in words.pre_tokenize_str(text)]


# The ends of the words of a text, for each kind of tokenizer whose words have a maximum length.
WORD_ENDS: dict[str, WordEnds] = {
    "bytes": lambda text: list(range(1, len(text) + 1)),
    "characters": lambda text: list(range(1, len(text) + 1)),
    "bpe": word_ends,
    "character-bpe": word_ends,
    "unigram": word_ends,
}


def bpe_untrained() -> tokenizers.Tokenizer:
    """BPE over the bytes of OWN_WORDS, without merges."""
    made = tokenizers.Tokenizer(models.BPE())
    words = pre_tokenizers.Split(Regex(OWN_WORDS), "isolated")
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [words, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    made.decoder = decoders.ByteLevel()
    return made


def _character_untrained(model: models.Model) -> tokenizers.Tokenizer:
    """A tokenizer with this model over the characters of OWN_WORDS."""
    made = tokenizers.Tokenizer(model)
    made.pre_tokenizer = pre_tokenizers.Split(Regex(OWN_WORDS), "isolated")
    return made


def character_bpe(alphabet: list[str], merges: list[tuple[str, str]]) -> tokenizers.Tokenizer:
    """Ids 0 to 255 are the bytes, then come the alphabet, the merges and the separator.

    No merge spells the name of a byte, "<0xE4>", since OWN_WORDS cuts around digits.
    """
    tokens = dict.fromkeys([*BYTE_TOKENS, *alphabet, *(a + b for a, b in merges)])
    vocabulary = {token: n for n, token in enumerate(tokens)}
    made = _character_untrained(models.BPE(vocab=vocabulary, merges=merges, byte_fallback=True))
    made.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    return _with_separator(made)


def unigram(pieces: list[tuple[str, float]]) -> tokenizers.Tokenizer:
    """Ids 0 to 255 are the bytes, then come the pieces and the separator.

    The library wants a token for unknown text, which is never used, as all bytes are there; nor is a byte's score, as
    no word spells the name of one.
    """
    least = min((score for _, score in pieces), default=0.0)
    vocabulary = [*((token, least) for token in BYTE_TOKENS), *pieces]
    made = _character_untrained(models.Unigram(vocabulary, unk_id=0, byte_fallback=True))
    made.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    return _with_separator(made)


def _spread(blocks: Iterable[TextBlock], limit: int) -> tuple[list[str], int]:
    """Every k-th block, and the bytes of all; k is the least power of two that keeps them within ``limit`` bytes."""
    kept: list[str] = []
    held = total = 0
    step = 1
    for number, (text, _) in enumerate(blocks):
        size = len(text.encode())
        total += size
        if number % step:
            continue
        kept.append(text)
        held += size
        while held > limit and len(kept) > 1:
            step *= 2
            kept = kept[::2]
            held = sum(len(text.encode()) for text in kept)
    if held < total:
        log.info("learning the vocabulary from %.1f of %.1f MB, spread evenly over the text", held / 1e6, total / 1e6)
    return kept, total


def _with_separator(made: tokenizers.Tokenizer) -> tokenizers.Tokenizer:
    made.add_special_tokens([AddedToken(SEPARATOR, special=True, normalized=False)])
    return made


def plain_config(has_separator: bool) -> dict[str, Any]:
    """What transformers needs to open the folder; by default it would also remove spaces from decoded text."""
    special = {"bos_token": SEPARATOR, "eos_token": SEPARATOR} if has_separator else {}
    return {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False, **special}


def with_mask(made: tokenizers.Tokenizer, *, words: bool) -> tokenizers.Tokenizer:
    """A copy with the mask token.

    words: tokens of words hold the space in front of them, so a mask takes it too, as in RoBERTa and ModernBERT
    """
    copy = tokenizers.Tokenizer.from_str(made.to_str())
    copy.add_special_tokens([AddedToken(MASK, special=True, normalized=False, lstrip=words)])
    return copy


def without_mask(made: tokenizers.Tokenizer) -> tokenizers.Tokenizer:
    """A copy without the mask token."""
    state = state_of(made)
    state["added_tokens"] = [token for token in state["added_tokens"] if token["content"] != MASK]
    return tokenizers.Tokenizer.from_str(json.dumps(state))


def state_of(made: tokenizers.Tokenizer) -> dict[str, Any]:
    """The content of the tokenizer.json as a dict."""
    return json.loads(made.to_str())
