"""What a trained model gets right: the loss by place in the context, and the answers of associative recall."""

from __future__ import annotations

import numpy as np
import torch

from clearhead.attend import FULL, documents
from clearhead.lab.bins import Bin, binned
from clearhead.model import Network, evaluating, log_probabilities
from clearhead.text import Tokens, sequential

LOGITS_AT_ONCE = 2**23


def loss_by_place(network: Network, tokens: Tokens, *, context: int) -> tuple[Bin, ...]:
    """Mean nats of a token, by how many tokens the model sees before it: those of its document in its window."""
    seen: list[np.ndarray] = []
    nats: list[np.ndarray] = []
    batch = max(1, LOGITS_AT_ONCE // (context * network.config.vocabulary))
    with torch.no_grad(), evaluating(network):
        for each in sequential(tokens, context=context, batch=batch):
            ids_BT, targets_BT = (torch.from_numpy(a).to(network.device) for a in (each.ids_BT, each.targets_BT))
            mask, starts_BT = FULL, np.zeros_like(each.ids_BT)
            if each.documents_BT is not None:
                mask = documents(torch.from_numpy(each.documents_BT).to(network.device))
                places = np.arange(context)
                begins = np.diff(each.documents_BT, axis=1, prepend=each.documents_BT[:, :1]) != 0
                starts_BT = np.maximum.accumulate(np.where(begins, places, 0), axis=1)
            logits_BTV = network(ids_BT, mask=mask)
            counted_BT = each.targets_BT >= 0
            found_BT = log_probabilities(logits_BTV).gather(-1, targets_BT.clamp(min=0)[..., None])[..., 0]
            nats.append(-found_BT.cpu().double().numpy()[counted_BT])
            seen.append((np.arange(context) + 1 - starts_BT)[counted_BT])
    return binned(np.concatenate(seen), np.concatenate(nats))


def recalled(network: Network, rows: Tokens) -> tuple[float, tuple[Bin, ...]]:
    """Share of the answers of associative recall that are likeliest, in all and by the distance of key and query."""
    right: list[np.ndarray] = []
    distances: list[np.ndarray] = []
    length = network.config.context
    with torch.no_grad(), evaluating(network):
        for each in sequential(rows, context=length, batch=64):
            x_BTE = network.hidden(torch.from_numpy(each.ids_BT).to(network.device))
            rows_N, places_N = np.nonzero(each.targets_BT >= 0)
            x_1NE = x_BTE[torch.from_numpy(rows_N), torch.from_numpy(places_N)].unsqueeze(0)
            found_N = network.unembed(x_1NE)[0].argmax(dim=-1).cpu().numpy()
            right.append(found_N == each.targets_BT[rows_N, places_N])
            queries_N = each.ids_BT[rows_N, places_N]
            told_N = (each.ids_BT[rows_N] == queries_N[:, None]).argmax(axis=1)  # the first time, in the pairs
            distances.append(places_N - told_N)
    every = np.concatenate(right).astype(np.float64)
    return float(every.mean()), binned(np.concatenate(distances), every)
