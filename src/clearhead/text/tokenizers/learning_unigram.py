"""Learns the pieces of a unigram model with sentencepiece, in a worker process (child.py).

The request has texts, pattern (a regular expression for their words) and size (pieces). The answer is a list of pieces
and their scores. One thread, since sums of several differ in their last digits.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import sentencepiece
from tokenizers import Regex, pre_tokenizers

# Characters that sentencepiece treats specially are replaced by private-use ones while it learns. Words with other such
# characters, or with private-use ones, are left out.
STAND_IN = str.maketrans({character: chr(0xE000 + n) for n, character in enumerate(" \t\n\r▁")})
BACK = {ord(private): chr(code) for code, private in STAND_IN.items()}
OTHERS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f▅\ue000-\ue004]")


def answer(request: dict[str, Any], note: Callable[[Any], None]) -> list[tuple[str, float]]:
    """Returns the pieces that occur in the texts, at most ``size``, and their log probabilities.

    None of them if the text is too little to learn from.
    """
    words = pre_tokenizers.Split(Regex(request["pattern"]), "isolated")
    counts = Counter(word for text in request["texts"] for word, _ in words.pre_tokenize_str(text))
    lines = [f"{word.translate(STAND_IN)}\t{n}" for word, n in sorted(counts.items()) if not OTHERS.search(word)]
    if not lines:
        return []
    file = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=file,
            input_format="tsv",
            vocab_size=request["size"] + 1,  # and one for unknown text
            bos_id=-1,
            eos_id=-1,
            hard_vocab_limit=False,
            character_coverage=1.0,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            add_dummy_prefix=False,
            split_by_whitespace=False,
            split_by_unicode_script=False,
            split_by_number=False,
            num_threads=1,
            minloglevel=2,
        )
    except RuntimeError as fault:
        if "no pieces are loaded" in str(fault):  # a text of one word that occurs once
            return []
        raise
    made = sentencepiece.SentencePieceProcessor(model_proto=file.getvalue())
    every = [n for n in range(made.get_piece_size()) if not made.is_unknown(n)]
    return [(made.id_to_piece(n).translate(BACK), made.get_score(n)) for n in every]
