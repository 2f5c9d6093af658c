"""What a newcomer has before reading the pages: two texts, and folders named like released models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from clearhead import corpora
from clearhead.text.tokenizers.learned import bytes_tokenizer

# As Qwen's, in short.
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [*SPECIAL, "paris", "is", "the", "capital", "of", ".", "i", "server", "crashed"]
CHARACTERS = [*SPECIAL, *"服务器又崩了。巴黎是国的首都法"]
WHO = {"I": "Ich", "He": "Er", "Tom": "Tom", "My brother": "Mein Bruder", "The king": "Der König"}
VERBS = {"saw": "sah", "looked for": "suchte", "found": "fand", "bought": "kaufte", "painted": "malte"}
WHAT = {"the dog": "den Hund", "a house": "ein Haus", "her book": "ihr Buch", "the old bridge": "die alte Brücke"}
SIZES: dict[str, Any] = {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def write_texts(place: Path, characters: int = 150_000) -> None:
    """book.txt and other.txt: real prose. en-de.tsv, test.tsv: sentence pairs; letters.txt: sentences."""
    prose = "\n".join(corpora.get("python-docs").source().documents())
    (place / "book.txt").write_text(prose[:characters], encoding="utf-8")
    (place / "other.txt").write_text(prose[characters : characters + 20_000], encoding="utf-8")
    pairs = [
        f"{who} {verb} {what}.\t{wer} {tut} {was}."
        for who, wer in WHO.items()
        for verb, tut in VERBS.items()
        for what, was in WHAT.items()
    ]
    (place / "en-de.tsv").write_text("\n".join(pairs[:-6]) + "\n", encoding="utf-8")
    (place / "test.tsv").write_text("\n".join(pairs[-6:]) + "\n", encoding="utf-8")
    (place / "letters.txt").write_text("I see the dog.\n\nHe sees a house.\n", encoding="utf-8")


def write_released(place: Path) -> None:
    """Small random models, written by transformers under the names in the pages."""
    with_bytes = transformers.PreTrainedTokenizerFast(tokenizer_object=bytes_tokenizer(), chat_template=TEMPLATE)
    with_bytes.add_special_tokens({"eos_token": "<|endoftext|>"})
    rope = {"rope_type": "default", "rope_theta": 1e6}
    qwen3 = transformers.Qwen3Config(
        **SIZES, vocab_size=257, hidden_size=32, num_key_value_heads=1, head_dim=16, rope_parameters=rope,
        max_position_embeddings=512, bos_token_id=256, eos_token_id=256, tie_word_embeddings=True,
    )  # fmt: skip
    gpt2 = transformers.GPT2Config(
        vocab_size=257, n_layer=2, n_head=2, n_embd=32, n_positions=128, bos_token_id=256, eos_token_id=256
    )
    for name, model, tokenizer in (
        ("Qwen3-0.6B", transformers.Qwen3ForCausalLM(qwen3), with_bytes),
        ("gpt2", transformers.GPT2LMHeadModel(gpt2), with_bytes),
        ("bert-base", *_bert(WORDS)),
        ("bert-base-chinese", *_bert(CHARACTERS)),
    ):
        model.save_pretrained(place / name)
        tokenizer.save_pretrained(place / name)


def _bert(vocabulary: list[str]) -> tuple[transformers.PreTrainedModel, transformers.BertTokenizer]:
    words = Tokenizer(models.WordPiece({word: n for n, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    words.normalizer, words.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    roles = {f"{role}_token": f"[{role.upper()}]" for role in ("pad", "unk", "cls", "sep", "mask")}
    config = transformers.BertConfig(**SIZES, vocab_size=len(vocabulary), hidden_size=32, max_position_embeddings=64)
    return transformers.BertForMaskedLM(config), transformers.BertTokenizer(tokenizer_object=words, **roles)
