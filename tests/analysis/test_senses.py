"""Senses: vectors against a pass by hand, accuracy against scikit-learn, what heads read, and clear errors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

import clearhead as ch
from clearhead.analysis.usage import Use, contextual, find, read_uses, sense_score, senses
from clearhead.analysis.usage.placing import place, units
from clearhead.analysis.usage.telling import unit
from clearhead.errors import OptionError, TextError
from clearhead.language_model import LanguageModel
from clearhead.model import build
from clearhead.text import Tokenizer
from little_configs import BERT, QWEN3, RIVALS

SENTENCES = {
    "person": [
        "Server, may I pay?",
        "The server brought soup.",
        "A server came.",
        "Our server smiled.",
        "Kind server!",
    ],
    "computer": [
        "I crashed the server.",
        "The server has no disk.",
        "A server runs.",
        "Server down.",
        "Reboot a server!",
    ],
}
CONFIGS = {"causal": QWEN3, "encoder": BERT, "lstm": RIVALS["lstm"]}
TOKENIZER = Tokenizer.train_bpe(
    [" ".join([*SENTENCES["person"], *SENTENCES["computer"]]) * 9], 260
)  # ·server is several


def made(kind: str, tokenizer: Tokenizer = TOKENIZER) -> LanguageModel:
    network = build(replace(CONFIGS[kind], vocabulary=tokenizer.vocab_size, context=64), seed=3)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return LanguageModel(network.eval(), tokenizer)


@pytest.fixture(scope="module")
def causal() -> LanguageModel:
    return made("causal")


@pytest.fixture(scope="module")
def encoder() -> LanguageModel:
    return made("encoder")


def labelled() -> list[Use]:
    return [replace(find("server", text)[0], sense=sense) for sense, texts in SENTENCES.items() for text in texts]


@pytest.mark.parametrize("kind", CONFIGS)
def test_vectors_are_the_mean_of_the_stream_at_the_tokens_of_the_word(kind: str):
    """Each text alone, its word found by hand, against all in padded batches."""
    model, uses = made(kind), labelled()
    found = contextual(model, uses)
    assert any(len(tokens) > 1 for tokens in found.tokens)
    table_VE = model.network.embedding.weight
    for number, use in enumerate(uses):
        ids = model.encode(use.text)
        pieces = model.pieces(ids)
        ends = [len("".join(pieces[: place + 1])) for place in range(len(ids))]
        own = [p for p, end in enumerate(ends) if pieces[p] and end > use.start and end - len(pieces[p]) < use.end]
        assert "".join(pieces[p] for p in own).strip() == use.text[use.start : use.end]
        with torch.no_grad(), ch.watch(model, keep="residual") as record:
            model.network.hidden(torch.tensor([ids]))
        for level, site in enumerate(found.levels):
            expected_E = record.only().output(site)[own].mean(0)
            torch.testing.assert_close(found.x_LNE[level, number], expected_E, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(found.static_NE[number], table_VE[[ids[p] for p in own]].mean(0))
        seen = range(1, own[0] if found.causal else len(ids))
        others = [ids[p] for p in seen if p not in own]
        expected_E = table_VE[others].mean(0) if others else torch.zeros(table_VE.shape[1])
        torch.testing.assert_close(found.around_NE[number], expected_E)


def test_a_causal_model_gives_a_word_that_comes_first_one_vector_and_an_encoder_does_not(
    causal: LanguageModel, encoder: LanguageModel
):
    texts = ["Server, may I pay?", "Server down."]
    distances = [senses(model, "server", texts).distances for model in (causal, encoder)]
    assert max(rows[0][1] for rows in distances[0]) < 1e-6
    assert distances[1][-1][0][1] > 1e-3
    found = senses(causal, "server", [*texts, "I crashed the server."])
    assert [use.first for use in found.uses] == [True, True, False]
    score = sense_score(causal, labelled())
    assert score.causal
    assert max(value for value in score.spread if value is not None) < 1e-6


@pytest.mark.parametrize("kind", ["causal", "encoder"])
def test_accuracy_is_that_of_scikit_learn_on_the_same_vectors_and_folds(kind: str):
    generator = torch.Generator().manual_seed(1)
    uses = [
        replace(use, text=f"{use.text} {number}", sense=sense, groups={"story": str(number // 2), "scene": str(number)})
        for number, use in enumerate(labelled() * 4)
        for sense in [("person", "computer", "tennis")[int(torch.randint(3, (), generator=generator))]]
    ]
    model = made(kind, Tokenizer.bytes())
    score, found = sense_score(model, uses), contextual(model, uses)
    sets = {"static": found.static_NE, "around": found.around_NE}
    sets |= {str(site): x_NE for site, x_NE in zip(found.levels, found.x_LNE, strict=True)}
    assert [split.kind for split in score.splits] == ["story", "scene"]
    for split in score.splits:
        assert [each.vectors for each in split.told] == list(sets)
        check_folds(uses, split.folds, split.kind)
        for each in split.told:
            units_NE = unit(sets[each.vectors])
            if len(torch.unique(units_NE.round(decimals=4), dim=0)) < len(units_NE):
                continue  # equal vectors: scikit-learn takes any of the nearest
            x, y, cut = units_NE.numpy(), score.truth, PredefinedSplit(split.folds)
            assert list(each.nearest) == list(cross_val_predict(KNeighborsClassifier(1), x, y, cv=cut))
            assert list(each.centroid) == list(cross_val_predict(NearestCentroid(), x, y, cv=cut))
        deepest = split.told[-1]
        right = sum(told == true for told, true in zip(deepest.nearest, score.truth, strict=True))
        assert score.accuracy(deepest.nearest) == right / len(uses)


def check_folds(uses: Sequence[Use], folds: Sequence[int], kind: str) -> None:
    """Groups stay whole, and every fold leaves references of every sense."""
    of_group: dict[str, set[int]] = defaultdict(set)
    for use, fold in zip(uses, folds, strict=True):
        of_group[use.groups[kind]].add(fold)
    assert all(len(each) == 1 for each in of_group.values())
    assert len(set(folds)) > 1
    for fold in set(folds):
        assert {use.sense for use, its in zip(uses, folds, strict=True) if its != fold} == {use.sense for use in uses}


def test_equal_vectors_are_told_by_the_most_frequent_sense_among_the_nearest(causal: LanguageModel):
    """By hand: five texts that begin with the word, three of them in one sense."""
    texts = {"person": ["Server a", "Server b", "Server c", "Server d"], "computer": ["Server e", "Server f"]}
    uses = [replace(find("server", text)[0], sense=sense) for sense, each in texts.items() for text in each]
    score = sense_score(causal, uses)
    assert score.senses == {"server": ("person", "computer")}
    for told in score.splits[0].told:
        assert told.nearest == (0,) * 6
        assert told.centroid == (0,) * 6
    assert score.accuracy(score.majority) == 4 / 6


@pytest.mark.parametrize("kind", ["causal", "encoder"])
def test_what_a_word_reads_is_the_attention_of_its_tokens_summed_over_those_of_each_word(kind: str):
    model = made(kind)
    found = senses(model, "server", ["The server has no disk.", "I crashed the server."], control="I saw the server.")
    for use in (*found.uses, found.control):
        assert use is not None
        record = ch.observe(model, use.text)
        placed = place(model, use.text)
        own = placed.of(use.start, use.end)
        assert len(use.heads) == len(list(record))
        for each in use.heads:
            row_K = record.map(next(s for s in record.seen() if str(s) == each.site), each.head)[own[0] : own[-1] + 1]
            row_K = row_K.mean(0)
            assert sum(read.weight for read in each.reads) == pytest.approx(float(row_K.sum()), abs=1e-5)
            weights = [read.weight for read in each.reads]
            assert weights == sorted(weights, reverse=True)
            for word in units(use.text, placed):
                expected = float(row_K[list(word.places)].sum())
                assert (
                    any(r.label == word.label and abs(r.weight - expected) < 1e-6 for r in each.reads) or not expected
                )
        ranked = [each.word.weight for each in use.ranked if each.word is not None]
        assert ranked == sorted(ranked, reverse=True)
    words = {read.label for read in found.uses[1].words if read.is_word}
    assert words == {"I", "crashed", "the", "server"}
    assert [read.label for read in found.uses[1].words if read.own] == ["server"]


@pytest.mark.parametrize("tokenizer", ["bytes", "characters", "bpe"])
def test_words_of_several_tokens_and_chinese_words_have_their_places(tokenizer: str):
    text = "服务器又崩了，the server 服务器。"
    of_kind = {
        "bytes": Tokenizer.bytes,
        "characters": lambda: Tokenizer.characters([text]),
        "bpe": lambda: Tokenizer.train_bpe([text * 9], 290),
    }
    model = made("causal", of_kind[tokenizer]())
    for use in (*find("服务器", text), *find("server", text)):
        placed = place(model, text)
        own = placed.of(use.start, use.end)
        decoded = model.tokenizer.decode([placed.ids[at] for at in own]).strip()
        assert use.text[use.start : use.end] in decoded
        assert tokenizer == "bpe" or len(decoded) == use.end - use.start
    if tokenizer == "characters":
        assert [each.label for each in units(text, placed) if each.is_word] == [
            *"服务器又崩了",
            "the",
            "server",
            *"服务器",
        ]


def test_a_model_without_attention_has_distances_and_no_heads():
    model = made("lstm")
    found = senses(model, "server", SENTENCES["person"][:2])
    assert found.uses[0].heads == found.uses[0].words == ()
    assert found.distances[-1][0][1] > 1e-4
    with pytest.raises(OptionError, match="no attention, so a control has nothing to show; use clearhead look --by"):
        senses(model, "server", SENTENCES["person"][:2], control="A server.")


def test_a_word_that_is_not_there_is_named_with_the_nearest_words_of_its_sentence(causal: LanguageModel):
    with pytest.raises(
        TextError, match=r"sentence 2: the word 'server' is not in 'Two servers ran\.'; words there: serv"
    ):
        senses(causal, "server", ["A server.", "Two servers ran."])
    with pytest.raises(
        TextError, match=r"the control: the word 'server' is not in 'I saw it\.'; words there: I, saw, it"
    ):
        senses(causal, "server", ["A server.", "No server."], control="I saw it.")
    with pytest.raises(TextError, match=r"1 use of 'server'; give two sentences"):
        senses(causal, "server", ["A server."])


HEADER = "word\tsense\tsentence\n"


def test_a_table_of_uses_is_read(tmp_path: Path):
    (tmp_path / "uses.tsv").write_text(
        "sense\tsentence\tword\tform\nsound\tThe bell rang.\tring\trang\n\njewel\tA ring, a ring.\tring\t\n"
    )
    uses = read_uses(tmp_path / "uses.tsv")
    assert [(use.word, use.sense, use.text[use.start : use.end], use.start) for use in uses] == [
        ("ring", "sound", "rang", 9),
        ("ring", "jewel", "ring", 2),
        ("ring", "jewel", "ring", 10),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("word\tsentence\nring\tA ring.\n", r"line 1: the columns are \['word', 'sentence'\]; it lacks 'sense'"),
        ("ring\n", r"line 1: the columns are \['ring'\]; it lacks 'word', 'sense', 'sentence'"),
        ("word\tsense\tsentence\tword\n", "line 1: .* a column is named twice"),
        (HEADER + "ring\tA ring.\n", "line 2: it has 2 cells, and the header 3: word, sense, sentence; put tabs"),
        (HEADER + "ring\t\tA ring.\n", "line 2: the cell 'sense' is empty"),
        (HEADER + "\nring\tjewel\tA rung.\n", "line 3: the word 'ring' is not in 'A rung.'; words there: rung"),
        (HEADER, "it has no uses below its header"),
    ],
)
def test_a_faulty_table_is_refused_with_its_line(tmp_path: Path, content: str, message: str):
    (tmp_path / "uses.tsv").write_text(content)
    with pytest.raises(TextError, match=message):
        read_uses(tmp_path / "uses.tsv")


def test_one_sense_or_a_sense_with_one_use_is_refused(causal: LanguageModel):
    uses = labelled()
    with pytest.raises(TextError, match="every use of 'server' has one sense, 'person'; label uses in at least two"):
        sense_score(causal, uses[:5])
    with pytest.raises(TextError, match="the sense 'computer' of 'server' has uses in one sentence only"):
        sense_score(causal, uses[:6])
    with pytest.raises(OptionError, match="no uses were given"):
        sense_score(causal, [])
