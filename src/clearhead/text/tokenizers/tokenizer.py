"""Text to ids and back: a wrapper of the tokenizers library, so every tokenizer saves as a tokenizer.json."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tokenizers

from clearhead.errors import OptionError, TextError
from clearhead.files import make_folder, refuse_link, replacing, write_text
from clearhead.text.chat.template_files import TEMPLATE, TEMPLATES, templates_in
from clearhead.text.chat.templates import Message, render
from clearhead.text.tokenizers.characters import Units
from clearhead.text.tokenizers.languages import code_of
from clearhead.text.tokenizers.learned import (
    MASK,
    SEPARATOR,
    OnMerges,
    bpe_tokenizer,
    bytes_tokenizer,
    characters_and_bytes_tokenizer,
    characters_of,
    characters_tokenizer,
    unigram_tokenizer,
    with_mask,
    without_mask,
)
from clearhead.text.tokenizers.lookup import table_of
from clearhead.text.tokenizers.opening import (
    CONFIG,
    LAST,
    TOKENIZER,
    Opened,
    open_tokenizer,
)
from clearhead.text.tokenizers.refusals import check_whole, encoding_errors, panics_as, row_of_ids
from clearhead.text.tokenizers.sentence_pieces import Pieces
from clearhead.text.tokenizers.special import put_around
from clearhead.text.tokenizers.stream import ByteStream, TextStream, WindowStream
from clearhead.text.tokenizers.vocabulary import Ids, Vocabulary
from clearhead.text.tokenizers.waiting import encoded
from clearhead.text.tokenizers.words import bytes_between

_Bytes = bytes  # the class below has a constructor of that name


class Tokenizer(Vocabulary):
    """A tokenizer of kind "bytes", "characters", "bpe", "character-bpe", "unigram" (learned here) or "file" (another).

    vocab_size: above every id; the ids in ``gaps`` are not used
    front, back: ids before and after a text: <|endoftext|> in front for the kinds learned here, for others what the
    file's post-processor adds. <|endoftext|> written in a text is that token, as in every tool that opens the
    tokenizer.json, so one file can hold several documents. Nothing else is added, nothing is truncated.
    separator: the id in front if there is exactly one, else None
    target_start: the id before a translation: the model's config names it, or it is the separator
    parts_pairs: whether special tokens tell the two texts of a pair apart; not for the kinds learned here
    document_end: ids that end each document of a token stream: ``back``, and in training the end token
    begin_only: ids in front that never end a text (<s>): they are never predicted
    unknown: the id for text outside the vocabulary; None if there is no such text (bytes), or encoding it is an error
    roles: tokens by role (special.ROLES)
    templates: chat templates by name; the usual one is "default"
    cuts: the rule for cutting long texts without changing their ids (pieces.py); None: never
    source: the tokenizer of the texts that a translator reads: this one, or Marian's for the source language
    """

    def __init__(
        self,
        library: tokenizers.Tokenizer,
        config: dict[str, Any] | None = None,
        templates: Mapping[str, str] | None = None,
        *,
        start: int | None = None,
        ends: Collection[int] = (),
        pieces: Pieces | None = None,
        files: Mapping[str, _Bytes] | None = None,
        source: Tokenizer | None = None,
    ) -> None:
        """As in ``Opened``, with ``source`` None if it is this one."""
        library.no_truncation()  # some files switch both on
        library.no_padding()
        super().__init__(library, config, start=start, ends=ends)
        self.parts_pairs = library.num_special_tokens_to_add(True) > 0
        library.encode_special_tokens = self._config.get("split_special_tokens") is True
        self._template_files = dict(templates or {})
        self.templates = self._template_files or templates_in(self._config)
        self._table = table_of(self.kind, library)
        self._pieces, self._files = pieces, files or {}
        self.source: Tokenizer = self if source is None else source

    @classmethod
    def bytes(cls) -> Tokenizer:
        """Ids 0 to 255 are the bytes of UTF-8, 256 is the separator: nothing is learned, no text is unknown."""
        return cls(bytes_tokenizer())

    @classmethod
    def characters(cls, texts: Iterable[str]) -> Tokenizer:
        """The characters of the texts in code point order (nanoGPT's ids), then the separator."""
        return cls(characters_tokenizer(characters_of(texts).all()))

    @classmethod
    def train_characters(cls, texts: Iterable[str]) -> Tokenizer:
        """As ``characters``, but with the bytes in front if some characters are Chinese, Japanese or Korean.

        Then bytes stand for rare characters, and for all others: no text is unknown.
        """
        found = characters_of(texts)
        if not found.has_large_script():
            return cls(characters_tokenizer(found.all()))
        return cls(characters_and_bytes_tokenizer(found.frequent()))

    @classmethod
    def train_bpe(
        cls,
        texts: Iterable[str],
        vocab_size: int | None = None,
        *,
        units: Units | None = "bytes",
        progress: OnMerges | None = None,
    ) -> Tokenizer:
        """BPE learned from the texts, with at most ``vocab_size`` tokens, bytes and separator included.

        units: whether bytes or characters are merged; None: characters if a fifth of the text or more is Chinese,
            Japanese or Korean (characters.py), and without merges (kind "characters") unless they save a third of the
            tokens. Bytes stand for characters without a token: no text is unknown.

        Unless given, the size over bytes is learned.vocabulary_size(bytes of text); over characters there are as many
        merges. It is smaller if the text has no more pairs to merge. Of more than learned.LEARN_BYTES, a part spread
        evenly over the text is used (and logged). No token is longer than 257 characters (learned.OWN_WORDS).
        ``progress`` is called with tokens so far and in total.
        """
        return cls(bpe_tokenizer(texts, vocab_size, units, progress))

    @classmethod
    def train_unigram(cls, texts: Iterable[str], vocab_size: int | None = None) -> Tokenizer:
        """A unigram model learned from the texts, with at most ``vocab_size`` tokens, bytes and separator included.

        Its size is that of BPE over characters unless given, and bytes stand for characters without a token, too.
        """
        return cls(unigram_tokenizer(texts, vocab_size))

    @classmethod
    def load(cls, path: str | Path) -> Tokenizer:
        """Opens a tokenizer.json, or a folder with one, with GPT-2's vocab.json and merges.txt, or BERT's vocab.txt.

        Tokens by role and chat templates come from the files beside it (opening.py). Raises FolderError if something
        is missing, damaged or unsupported.
        """
        return cls._of(open_tokenizer(Path(path)))

    @staticmethod
    def is_in(folder: Path) -> bool:
        """Whether a folder has all that ``save`` wrote."""
        return any((folder / name).exists() for name in LAST)

    @classmethod
    def _of(cls, opened: Opened) -> Tokenizer:
        return cls(
            opened.library,
            opened.config,
            opened.templates,
            start=opened.start,
            ends=opened.ends,
            pieces=opened.pieces,
            files=opened.files,
            source=None if opened.source is None else cls._of(opened.source),
        )

    def of_documents(self) -> Tokenizer:
        """This tokenizer for training: it marks documents the way the family's own training data was marked.

        GPT-2 and Qwen saw <|endoftext|> between documents, though their files put nothing in front of a prompt: it
        goes in front. Llama and Gemma saw <s> document </s>, though their files add only <s>: the end token goes into
        ``document_end``, unless it is also the token in front.
        """
        made = self
        if self._pieces is not None:  # of sentences, each with its own end
            return made
        if not self.front and self._library.token_to_id(SEPARATOR) is not None:
            library = tokenizers.Tokenizer.from_str(self.to_json())
            put_around(library, [SEPARATOR])
            config = {"bos_token": SEPARATOR, "eos_token": SEPARATOR, **self._config}
            made = self._remade(library, config)
        end = made.end
        if end is None or end in (*made.front, *made.back):
            return made
        config = dict(made._config)
        if made.role("eos") is None:  # only the model's config says which it is
            config["eos_token"] = self._library.id_to_token(end)
        made = self._remade(made._library, config)
        made.document_end = (*made.back, end)
        return made

    def with_source(self, language: str) -> Tokenizer:
        """This tokenizer with another language's token where it puts one beside a text (``around_source``).

        Raises OptionError for a language that it does not know, or if it puts none beside a text.
        """
        chosen, known = self.language(language), set(self.languages.values())
        if self.around_source is None:
            raise OptionError(
                f"source language {language!r}: this model's tokenizer puts none beside a text; leave it out"
            )
        if chosen in (*self.front, *self.back):  # a copy of a large tokenizer takes seconds
            return self
        front, back = ([chosen if token in known else token for token in side] for side in (self.front, self.back))
        library = tokenizers.Tokenizer.from_str(self.to_json())
        spelled = {number: token for token, number in library.get_vocab(with_added_tokens=True).items()}
        put_around(library, [spelled[token] for token in front], [spelled[token] for token in back])
        named = spelled[chosen] if self._pieces is None else code_of(spelled[chosen])  # as M2M-100's folders do
        return self._remade(library, {**self._config, "src_lang": named})

    def with_mask(self) -> Tokenizer:
        """This tokenizer with [MASK] as its last token, and a token for padding; itself if it has a mask token.

        Raises OptionError for a tokenizer of SentencePiece files, to which no token can be added.
        """
        if self.role("mask") is not None:
            return self
        if self._pieces is not None:
            raise OptionError("masked: this tokenizer of SentencePiece files has no mask token; take another tokenizer")
        library = with_mask(self._library, words=self.kind not in ("bytes", "characters"))
        padding = self.roles.get("pad") or self.roles.get("eos") or MASK
        named = {"pad_token": padding, "mask_token": MASK}
        return self._remade(library, {**self._config, **named}, self.document_end)

    def of_text(self) -> Tokenizer:
        """This tokenizer for texts in which the mask token of a tokenizer learned here is text like any other."""
        if self.kind == "file" or self._library.token_to_id(MASK) is None:
            return self
        return self._remade(without_mask(self._library), self._config, self.document_end)

    def _remade(self, library: tokenizers.Tokenizer, config: dict[str, Any], end: Collection[int] = ()) -> Tokenizer:
        made = Tokenizer(
            library,
            config,
            self._template_files,
            start=self._start,
            ends=self._ends,
            pieces=self._pieces,
            files=self._files,
        )
        made.document_end = tuple(end) or made.document_end
        return made

    @cached_property
    def fingerprint(self) -> str:
        """Equal for tokenizers that give a text the same ids, ``front`` apart, and end documents alike."""
        if self._pieces is not None:
            added = self._library.get_added_tokens_decoder()
            special = json.dumps({number: added[number].content for number in sorted(added)})
            return hashlib.blake2b(b"".join(self._files.values()) + special.encode(), digest_size=20).hexdigest()
        plain = self._library
        if self.kind == "file" and plain.post_processor is not None:  # ``front`` and ``back`` hold what it adds
            plain = tokenizers.Tokenizer.from_str(plain.to_str())
            plain.post_processor = None
        digest = hashlib.blake2b(plain.to_str(pretty=True).encode(), digest_size=20)
        if self.document_end:
            digest.update(str(self.document_end).encode())
        return digest.hexdigest()

    def to_json(self) -> str:
        """The content of its tokenizer.json."""
        return self._library.to_str(pretty=True)

    def save(self, folder: str | Path) -> None:
        """Writes tokenizer.json, tokenizer_config.json and chat templates as transformers' AutoTokenizer reads them."""
        place = Path(folder)
        make_folder(place)
        write_text(place / CONFIG, json.dumps(self._config, indent=2))  # ASCII: a lone surrogate stays an escape
        refuse_link(place / TEMPLATES)
        if self._template_files.keys() - {"default"}:
            make_folder(place / TEMPLATES)
        for name, text in self._template_files.items():
            write_text(place / TEMPLATE if name == "default" else place / TEMPLATES / f"{name}.jinja", text)
        for name, content in (self._files or {TOKENIZER: self.to_json().encode()}).items():
            with replacing(place / name) as file:  # the last is in LAST, so that a folder with it has the rest
                file.write(content)

    def encode(self, text: str) -> list[int]:
        """Ids of the text, nothing added. Raises TextError for a character outside the vocabulary."""
        return self.encode_arrays([text])[0].tolist()

    def encode_arrays(self, texts: Sequence[str]) -> list[Ids]:
        """Ids of many texts, on all cores, in ``dtype``."""
        for text in texts:
            check_whole(text)
        if self._table is not None:
            return [self._table.encode(text).astype(self.dtype) for text in texts]
        if self._pieces is not None:
            return [np.array(ids, dtype=self.dtype) for ids in self._pieces.encode(texts)]
        with encoding_errors():
            found = encoded(self._library.encode_batch_fast, texts)
        return [np.array(encoding.ids, dtype=self.dtype) for encoding in found]

    def encode_measured(self, texts: Sequence[str]) -> list[tuple[Ids, npt.NDArray[np.int32]]]:
        """Ids of whole texts, each with the bytes from the end of the previous id to its own end.

        For tokenizers whose ids do not stand for the same text everywhere. The last id gets the rest of the text.
        """
        for text in texts:
            check_whole(text)
        if self._pieces is not None:
            measured = map(self._pieces.measured, texts)
        else:
            with encoding_errors():
                encodings = encoded(self._library.encode_batch, texts)
            measured = ((found.ids, [end for _, end in found.offsets]) for found in encodings)
        return [
            (np.array(ids, dtype=self.dtype), bytes_between(text, ends))
            for text, (ids, ends) in zip(texts, measured, strict=True)
        ]

    def encode_document(self, text: str) -> list[int]:
        """``encode`` between ``front`` and ``back``.

        If ``front`` is <|endoftext|>, a text that begins with it gets no second one.
        """
        ids = self.encode(text)
        written = self.separator is not None and self.separator == self.end == next(iter(ids), None)
        return ids if written else [*self.front, *ids, *self.back]

    def chat(self, messages: Sequence[Message], *, prompt: bool = True, **variables: Any) -> str:
        """The messages as one text, by the model's chat template; see ``templates.render`` for options and errors.

        The template can use the tokens by role ("bos_token", ...). Pass its text to ``encode``: it already has what
        belongs in front. Raises TextError if there is no template.
        """
        template = self.templates.get("default")
        if template is None:
            named = f"; it has templates named {', '.join(self.templates)}" if self.templates else ""
            raise TextError(
                f"this model has no chat template{named}: it was not trained to chat, or its template is missing; "
                "let it continue a text with `clearhead generate`, or put a chat_template.jinja into its folder"
            )
        tokens = {f"{role}_token": token for role, token in self.roles.items()}
        return render(template, messages, prompt=prompt, **{**tokens, **variables})

    def encode_pair(self, first: str, second: str) -> tuple[list[int], list[int]]:
        """Ids of two texts that an encoder reads together, and the token type (0 or 1) of each."""
        check_whole(first)
        check_whole(second)
        with encoding_errors():
            found = self._library.encode(first, second, add_special_tokens=True)
        return found.ids, found.type_ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the ids, with separators spelled out; bytes that are not UTF-8 become U+FFFD.

        Raises TextError for an id outside the vocabulary.
        """
        known = row_of_ids(ids)
        parts = [self._part(token) for token in known]
        if self._pieces is not None:
            return self._pieces.decode(known)
        if self._joins:
            return b"".join(parts).decode("utf-8", "replace")
        with panics_as(TextError):
            return self._library.decode(known, skip_special_tokens=False)

    def stream(self) -> TextStream:
        """A decoder for ids that arrive one at a time."""
        return ByteStream(self._part) if self._joins else WindowStream(self.decode)
