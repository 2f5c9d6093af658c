"""Translators trained for the same minutes on the same pairs, against a plain loop over transformers' Marian.

    python benchmarks/translation.py --language deu --minutes 30

The pairs are those of Tatoeba, split by source sentence as `clearhead train --pairs` does. Both get the same training
pairs and are scored on the same held-out ones, with 5 beams, by sacrebleu. The peer has our tokenizer, which is learned
within our minutes, so it has a little more time to train. Its loop is what a tutorial would write: MarianMTModel with
--layers blocks in each stack, batches of --batch pairs of like length, AdamW with a warm-up of a twentieth and a linear
decay to 0 by the clock, label smoothing of 0.1, clipping at 1.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import transformers
from torch.nn import functional as F

import clearhead as ch
from clearhead import hub
from clearhead.generation import Scores, score, stream_translations
from clearhead.language_model import LanguageModel
from clearhead.recipes import TextConfig
from clearhead.runs import Material, prepare
from clearhead.text import Batch, PairBatches
from measure import DATA, need

PEER: dict[str, Any] = {
    "dropout": 0.1,
    "attention_dropout": 0.0,
    "activation_function": "swish",
    "scale_embedding": True,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--language", default="deu", choices=("deu", "fra", "cmn"), help="translated into")
    parser.add_argument("--minutes", type=float, default=30.0, help="for each of the two")
    parser.add_argument("--layers", type=int, default=3, help="of each of the peer's stacks")
    parser.add_argument("--width", type=int, default=256, help="of the peer")
    parser.add_argument("--batch", type=int, default=64, help="pairs of a step of the peer")
    parser.add_argument("--rate", type=float, default=5e-4, help="the peer's peak learning rate")
    parser.add_argument("--threads", type=int, default=2, help="of the peer")
    parser.add_argument("--most", type=int, default=1000, help="held-out pairs that are translated")
    chosen = parser.parse_args()
    transformers.logging.set_verbosity_error()
    pairs = need(DATA / "tatoeba" / f"eng-{chosen.language}.tsv")
    with tempfile.TemporaryDirectory() as place:
        run = ch.train(pairs=pairs, minutes=chosen.minutes, out=Path(place, "ours"), say=print)
        config = TextConfig(layout="pairs", sources=(str(pairs),))
        material = prepare(config, run.folder, print)
        ours = scored(run.model, material, chosen.most)
        torch.set_num_threads(chosen.threads)
        peer = scored(trained(material, chosen, Path(place, "peer")), material, chosen.most)
    print(f"clearhead: {run.model.config.described()['layers']}, {run.model.config.parameters():,} weights")
    for name, found in (("peer", peer), ("clearhead", ours)):
        print(f"{name}: BLEU {found.bleu:.2f}, chrF {found.chrf:.2f}  ({found.bleu_signature})")
    print(f"difference: BLEU {ours.bleu - peer.bleu:+.2f}, chrF {ours.chrf - peer.chrf:+.2f}")


def scored(model: LanguageModel, material: Material, most: int) -> Scores:
    """Of the translations of the first held-out pairs."""
    both = material.valid.sentences(most)
    made = [str(each) for each in stream_translations(model, [source for source, _ in both])]
    return score(made, [target for _, target in both])


def trained(material: Material, chosen: argparse.Namespace, folder: Path) -> LanguageModel:
    """The peer after its minutes, opened here: both families' outputs are equal, and so is the search."""
    tokenizer, end = material.tokenizer, material.train.end
    config = transformers.MarianConfig(
        **PEER,
        vocab_size=tokenizer.vocab_size,
        d_model=chosen.width,
        encoder_layers=chosen.layers,
        decoder_layers=chosen.layers,
        encoder_attention_heads=chosen.width // 64,
        decoder_attention_heads=chosen.width // 64,
        encoder_ffn_dim=4 * chosen.width,
        decoder_ffn_dim=4 * chosen.width,
        max_position_embeddings=256,
        pad_token_id=end,
        eos_token_id=end,
        decoder_start_token_id=material.train.start,
        forced_eos_token_id=None,
    )
    torch.manual_seed(0)
    model = transformers.MarianMTModel(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=chosen.rate, betas=(0.9, 0.98), weight_decay=0.01)
    per_pair = material.train.both / material.train.count
    batches = PairBatches(material.train, tokens=round(chosen.batch * per_pair), seed=0)
    began, step, done, loss = time.perf_counter(), 0, 0.0, torch.zeros(())
    while done < 1:
        for group in optimizer.param_groups:
            group["lr"] = chosen.rate * min(max(done, 1e-3) / 0.05, (1 - done) / 0.95)
        loss = smoothed_loss(model, batches.at(step))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step, done = step + 1, (time.perf_counter() - began) / (60 * chosen.minutes)
    weights = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    print(f"peer: {weights:,} weights, {step:,} steps, last loss {float(loss.detach()):.3f}")
    model.save_pretrained(folder)
    material.tokenizer.save(folder)
    return hub.load(folder)


def smoothed_loss(model: transformers.MarianMTModel, batch: Batch) -> torch.Tensor:
    """The mean cross-entropy of a batch, with labels smoothed by 0.1."""
    assert batch.source_BS is not None
    source_BS = torch.from_numpy(batch.source_BS)
    lengths_B = batch.source_lengths_B
    mask_BS = torch.ones_like(source_BS)
    if lengths_B is not None:
        mask_BS = (torch.arange(source_BS.shape[1]) < torch.from_numpy(lengths_B)[:, None]).long()
    logits_BTV = model(
        input_ids=source_BS, attention_mask=mask_BS, decoder_input_ids=torch.from_numpy(batch.ids_BT)
    ).logits
    targets_BT = torch.from_numpy(batch.targets_BT)
    return F.cross_entropy(logits_BTV.flatten(0, 1), targets_BT.flatten(), ignore_index=-100, label_smoothing=0.1)


if __name__ == "__main__":
    main()
