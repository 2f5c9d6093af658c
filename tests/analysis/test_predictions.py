"""The next token's distribution: transformers' probabilities and warpers, the logit lens, and the errors."""

from dataclasses import replace
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from clearhead import hub
from clearhead.analysis import attribution, effect, lens, next_words, nll
from clearhead.errors import ClearheadError, OptionError, TextError
from clearhead.generation import generate
from clearhead.language_model import LanguageModel
from clearhead.model import build
from clearhead.text import Tokenizer
from clearhead.watching import Ablate
from heads import TEXT, lively
from little_configs import QWEN3
from looked import BYTES, speaking
from toy_recurrent import Toy, ToyConfig

TOKENIZER = Tokenizer.characters(["法国的首都是巴黎。"])


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[transformers.PreTrainedModel, LanguageModel]:
    """A little Llama of transformers, and the same opened here."""
    folder = tmp_path_factory.mktemp("llama")
    torch.manual_seed(3)
    config = transformers.LlamaConfig(
        vocab_size=TOKENIZER.vocab_size,
        hidden_size=24,
        intermediate_size=17,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=31,
        bos_token_id=TOKENIZER.vocab_size - 1,
        eos_token_id=TOKENIZER.vocab_size - 1,
        initializer_range=0.5,
    )
    theirs = transformers.LlamaForCausalLM(config).eval()
    theirs.save_pretrained(folder)
    TOKENIZER.save(folder)
    return theirs, hub.load(folder)


def expected(both: Any, text: str) -> tuple[Tensor, Any]:
    theirs, ours = both
    with torch.no_grad():
        out = theirs(ours.ids(text), output_hidden_states=True)
    return out.logits[:, -1].double(), out


def test_probabilities_are_those_of_transformers(both: Any):
    logits_1V, _ = expected(both, "法国的首都是")
    found = next_words(both[1], "法国的首都是", top=4)
    p_V = logits_1V[0].softmax(-1)
    most = p_V.topk(4)
    assert [each.id for each in found.candidates] == most.indices.tolist()
    assert [each.probability for each in found.candidates] == pytest.approx(most.values.tolist(), abs=1e-5)
    assert found.rest == pytest.approx(1 - float(most.values.sum()), abs=1e-5)
    assert found.entropy == pytest.approx(float(-(p_V * p_V.log()).sum()), abs=1e-4)
    assert (found.kept, found.vocabulary, found.sampled_rest) == (len(p_V), len(p_V), None)
    assert all(each.sampled is None for each in found.candidates)


@pytest.mark.parametrize(
    "settings",
    [{"temperature": 0.5}, {"top_k": 3}, {"top_p": 0.6}, {"temperature": 1.7, "top_k": 5, "top_p": 0.9}],
    ids=str,
)
def test_settings_do_what_the_warpers_of_transformers_do(both: Any, settings: dict[str, Any]):
    kinds = {"temperature": TemperatureLogitsWarper, "top_k": TopKLogitsWarper, "top_p": TopPLogitsWarper}
    logits_1V, _ = expected(both, "法国的")
    for name, value in settings.items():
        logits_1V = kinds[name](value)(None, logits_1V)
    p_V = logits_1V[0].softmax(-1)
    found = next_words(both[1], "法国的", top=len(p_V), **settings)
    for each in found.candidates:
        assert each.sampled == pytest.approx(float(p_V[each.id]), abs=1e-5)
    assert found.kept == int((p_V > 0).sum())
    assert found.sampled_rest == 0
    assert found.settings == settings


def test_a_temperature_of_zero_leaves_the_likeliest(both: Any):
    found = next_words(both[1], "法国", temperature=0, top=3)
    assert [each.sampled for each in found.candidates] == [1.0, 0.0, 0.0]
    assert found.kept == 1


def test_every_layer_is_read_through_the_final_norm_and_the_output_layer(both: Any):
    theirs, ours = both
    _, out = expected(both, "法国的首都是")
    streams = []
    handles = [layer.register_forward_hook(lambda p, g, made: streams.append(made)) for layer in theirs.model.layers]
    with torch.no_grad():
        theirs(ours.ids("法国的首都是"))
        for handle in handles:
            handle.remove()
        streams = [out.hidden_states[0], *(each[0] if isinstance(each, tuple) else each for each in streams)]
        logits = [theirs.lm_head(theirs.model.norm(each))[0, -1].double() for each in streams]
    found = next_words(ours, "法国的首都是", top=5, layers=True)
    assert [str(each.site) for each in found.layers] == [
        "decoder.0.embedding",
        *(f"decoder.{layer}.residual" for layer in range(3)),
    ]
    likeliest = found.candidates[0].id
    for each, logits_V in zip(found.layers, logits, strict=True):
        p_V = logits_V.softmax(-1)
        assert [one.probability for one in each.candidates] == pytest.approx(p_V.topk(5).values.tolist(), abs=1e-5)
        assert each.probability == pytest.approx(float(p_V[likeliest]), abs=1e-5)
        assert each.rank == p_V.argsort(descending=True).tolist().index(likeliest) + 1
        assert each.entropy == pytest.approx(float(torch.special.entr(p_V).sum()), abs=1e-4)


def test_the_last_layer_is_the_model_itself():
    for model in (speaking(), lively("offset norm, partly rotated"), lively("biases, learned places")):
        found = next_words(model, TEXT, layers=True)
        assert found.layers[-1].candidates == found.candidates
        assert (found.layers[-1].rank, found.layers[-1].entropy) == (1, found.entropy)


def test_the_models_probability_is_the_same_everywhere():
    """Log softmax over all rows of the output layer, though the tokenizer has fewer tokens; only drawing differs."""
    model = LanguageModel(build(replace(QWEN3, vocabulary=300, tied=False), seed=0), BYTES)
    logp_TV = model.logits(TEXT).double().log_softmax(-1)
    found = next_words(model, TEXT, top=257, temperature=1.0)
    assert [each.probability for each in found.candidates] == pytest.approx(
        [float(logp_TV[-1, each.id].exp()) for each in found.candidates]
    )
    assert found.tokenless == pytest.approx(float(logp_TV[-1, 257:].exp().sum()))
    assert (found.rest, found.sampled_rest) == (pytest.approx(0), pytest.approx(0))
    assert sum(each.sampled or 0.0 for each in found.candidates) == pytest.approx(1)
    best = found.candidates[0]
    written = generate(model, TEXT, max_tokens=1, temperature=0)
    assert (written.ids, written.logprobs[0]) == ((best.id,), pytest.approx(float(logp_TV[-1, best.id]), abs=1e-5))
    assert attribution(model, TEXT).logprob == pytest.approx(float(logp_TV[-1, best.id]), abs=1e-5)
    integrated = attribution(model, TEXT, by="integrated-gradient")
    assert (integrated.token_id, integrated.logprob) == (best.id, pytest.approx(float(logp_TV[-1, best.id]), abs=1e-5))
    read = lens(model, TEXT, top=257)
    assert read[-1, -1].tokens[0][1:] == (best.id, pytest.approx(best.probability))
    assert float(read.entropy_RT[-1, -1]) == pytest.approx(found.entropy, rel=1e-5)
    changed = effect(model, TEXT, Ablate(layer=0), measures=nll, top=257)
    p_V = logp_TV[-1].exp()
    assert {each.id: each.before for each in changed.candidates} == pytest.approx(
        {each.id: float(p_V[each.id]) for each in found.candidates}, abs=1e-6
    )
    loss = -float(logp_TV[:-1].gather(1, model.ids(TEXT)[0, 1:, None]).mean())
    assert changed.measures[nll.name][0] == pytest.approx(loss, rel=1e-5)
    ids_1T = model.ids(TEXT)
    nats = model(ids_1T[:, :-1], targets_BT=ids_1T[:, 1:])
    assert float(nats.detach()) == pytest.approx(-float(logp_TV[:-1].gather(1, ids_1T[0, 1:, None]).sum()), rel=1e-5)


def test_a_byte_of_a_character_is_shown_as_part_of_it():
    """After 的's first two bytes its third is shown as 的₃; a byte that cannot end a character, by its number."""
    model = speaking()
    ids = [*model.encode("ab"), *"的".encode()[:2]]
    found = next_words(model, "ab", top=257)
    labels = {each.id: each.label for each in found.candidates}
    assert labels[ord("c")] == "c"
    assert labels["的".encode()[0]] == "<0xE7>"
    assert model.labels([*ids, "的".encode()[2]])[-1] == "的₃"


def test_only_translators_have_a_target():
    with pytest.raises(OptionError, match="needs a model that translates"):
        next_words(speaking(), "ab", target="c")


def test_masked_models_are_refused_with_the_way_out():
    with pytest.raises(OptionError, match=r"next needs a model that predicts the next token or .*clearhead fill"):
        next_words(lively("sees both sides"), "ab")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top": 0}, "top is 0; it must be at least 1 and at most 257"),
        ({"top": 258}, "top is 258"),
        ({"temperature": -1.0}, "temperature is -1.0"),
        ({"top_k": 0}, "top_k is 0"),
        ({"top_p": 1.5}, "top_p is 1.5"),
    ],
)
def test_numbers_out_of_range_are_refused(options: dict[str, Any], message: str):
    with pytest.raises(OptionError, match=message):
        next_words(speaking(), "ab", **options)


def test_texts_that_do_not_fit_and_logits_that_are_not_finite_are_refused():
    with pytest.raises(TextError, match="the model's context is 101"):
        next_words(speaking(), "a" * 101)
    model = lively("window")
    with torch.no_grad():
        model.network.embedding.weight[3] = float("inf")
    with pytest.raises(ClearheadError, match="a logit after 3 tokens is not finite"):
        next_words(model, "ab")


def test_a_model_without_a_stream_has_no_layers_to_read():
    config = ToyConfig(vocabulary=BYTES.vocab_size, context=9, layers=1, width=8, heads=2)
    network = Toy(config)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(0))
    model = LanguageModel(network, BYTES)
    assert len(next_words(model, "ab").candidates) == 10
    with pytest.raises(OptionError, match="no residual stream to read at each layer; leave --layers out"):
        next_words(model, "ab", layers=True)
