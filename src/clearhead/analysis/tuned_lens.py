"""The tuned lens: a trained map at each layer to what the last layer would make of the stream (Belrose et al. 2023)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from clearhead.analysis.logit_lens import AT_ONCE, divergence, read, stream_sites, streams
from clearhead.attend import wide
from clearhead.errors import FolderError, OptionError, TextError, TrainingError, many
from clearhead.files import paths_in
from clearhead.language_model import LanguageModel, check_model
from clearhead.machine import check_free
from clearhead.model import Network, evaluating, needs
from clearhead.products import product
from clearhead.tap import Site
from clearhead.tensorfile import OWN, read_tensors, write_tensors
from clearhead.text import Tokens, sources, split, tokenize

FORMAT = "1"
SAMPLED = 1024  # numbers of each weight in a fingerprint
LONGEST = 256  # places of a window
MEASURED = 8  # windows of held-out text

OnStep = Callable[[int, int, float], None]  # called with (steps done, steps, mean KL over the layers)


@dataclass(frozen=True, kw_only=True, eq=False)
class TunedLens:
    """x + W x + b for the stream x at each site but the last (S sites), trained on what the model itself predicts.

    before_S, after_S: on held-out text, the mean KL(model's own || read at each site) in nats, without and with it
    fingerprint: of the model's weights; tokens: read in training; name: of the model, for messages
    """

    sites: tuple[Site, ...]
    weight_SEE: Tensor
    bias_SE: Tensor
    before_S: Tensor
    after_S: Tensor
    fingerprint: str
    tokens: int
    name: str = ""

    def __repr__(self) -> str:
        return f"TunedLens({self.name or 'a model'}: {len(self.sites)} layers, {self.tokens:,} tokens)"

    def __call__(self, site: Site, x_TE: Tensor) -> Tensor:
        """The stream at a site, mapped. The last layer's stays as it is."""
        if site not in self.sites:
            return x_TE
        at = self.sites.index(site)
        return _mapped(x_TE, self.weight_SEE[at].to(x_TE.device), self.bias_SE[at].to(x_TE.device))

    def check(self, model: LanguageModel) -> None:
        """Raises OptionError unless the lens was trained for this model."""
        found = fingerprint(model.network)
        if found != self.fingerprint:
            raise OptionError(
                f"tuned lens: it was trained for {self.name or 'another model'}, whose weights have the fingerprint "
                f"{self.fingerprint[:12]}; those of this model have {found[:12]}; train one for it (clearhead lens "
                "MODEL --train FILE --out FILE)"
            )

    def save(self, path: str | Path) -> None:
        """Writes a .safetensors file. Raises FolderError if it cannot be written."""
        tensors = {"before": self.before_S, "after": self.after_S}
        for at, site in enumerate(self.sites):
            tensors |= {f"{site}.weight": self.weight_SEE[at], f"{site}.bias": self.bias_SE[at]}
        notes = {"lens": FORMAT, "fingerprint": self.fingerprint, "tokens": str(self.tokens), "model": self.name}
        write_tensors(Path(path), tensors, {OWN + name: value for name, value in notes.items()})


def read_lens(path: str | Path, model: LanguageModel) -> TunedLens:
    """A lens that ``TunedLens.save`` wrote.

    Raises FolderError if the file is missing, altered or not a lens, OptionError if it was trained for another model.
    """
    check_model(model, "read_lens")
    tensors, notes = read_tensors(Path(path), own=True)
    if notes.get(f"{OWN}lens") != FORMAT:
        raise FolderError(f"{path}: not a tuned lens; train one with clearhead lens MODEL --train FILE --out FILE")
    sites = tuple(stream_sites(model)[:-1])
    made_for = notes.get(f"{OWN}model", "")
    E = model.config.width
    shapes = {"before": (len(sites),), "after": (len(sites),)}
    shapes |= {f"{site}.weight": (E, E) for site in sites} | {f"{site}.bias": (E,) for site in sites}
    if {name: tuple(tensor.shape) for name, tensor in tensors.items()} != shapes:
        raise OptionError(
            f"{path}: it was trained for {made_for or 'another model'}, with other layers or another width; this model "
            f"has {many(len(sites), 'layer')} of width {E}"
        )
    found = TunedLens(
        sites=sites,
        weight_SEE=torch.stack([tensors[f"{site}.weight"] for site in sites]),
        bias_SE=torch.stack([tensors[f"{site}.bias"] for site in sites]),
        before_S=tensors["before"],
        after_S=tensors["after"],
        fingerprint=notes[f"{OWN}fingerprint"],
        tokens=int(notes[f"{OWN}tokens"]),
        name=made_for,
    )
    found.check(model)
    return found


def fingerprint(network: Network) -> str:
    """A hash of names, shapes and, of each weight, up to SAMPLED numbers spread evenly, rounded to bfloat16.

    Equal for the same weights in float32 and bfloat16.
    """
    digest = hashlib.sha256()
    for name, weight in sorted(network.named_parameters()):
        digest.update(f"{name} {tuple(weight.shape)}\n".encode())
        flat = weight.detach().flatten()
        some = flat[:: -(-len(flat) // SAMPLED)].to(torch.bfloat16).contiguous()
        digest.update(some.view(torch.uint8).cpu().numpy().tobytes())
    return digest.hexdigest()


def tune_lens(
    model: LanguageModel,
    files: str | Path | Sequence[str | Path],
    *,
    steps: int = 250,
    batch: int = 8,
    rate: float = 1e-3,
    seed: int = 0,
    progress: OnStep | None = None,
) -> TunedLens:
    """Trains a tuned lens on text: the last tenth of it is held out to compare it with the logit lens.

    files: as ``train`` takes them. steps: of Adam, its rate falling to 0. batch: windows of up to LONGEST tokens a step

    The maps start as the identity, where the tuned lens is the logit lens, and minimise KL(model's own || read here).
    The model itself does not change. Raises OptionError as ``lens`` does, or for steps, batch or rate out of range,
    TextError if the text is too short, MemoryNeededError if training does not fit in the free memory.
    """
    check_model(model, "tune_lens")
    network = model.network
    if "next tokens" not in network.abilities:
        needs(network, "masked tokens", "a tuned lens")
    sites = stream_sites(model)[:-1]
    if steps < 1 or batch < 1 or not 0 < rate < 1:
        raise OptionError(
            f"tuned lens: steps {steps}, batch {batch}, rate {rate:g}; the first two must be at least 1, the rate "
            "between 0 and 1"
        )
    train, valid = split(tokenize(sources(paths_in(files, "tune_lens")), model.tokenizer))
    length = min(model.config.context, LONGEST)
    if len(train) <= length or len(valid) < 2:
        raise TextError(
            f"tuned lens: the text has {many(len(train) + len(valid), 'token')}; it takes more than "
            f"{length * 10 // 9:,}, of which the last tenth is held out"
        )
    _check_memory(model, batch * length, len(sites))
    generator = torch.Generator().manual_seed(seed)
    with torch.inference_mode(mode=False), evaluating(network):
        training = _Training(model, sites)
        for done in range(steps):
            starts_B = torch.randint(len(train) - length, (batch,), generator=generator)
            ids_BT = torch.stack([_window(train, start, length) for start in starts_B.tolist()])
            loss = training.step(ids_BT.to(network.device), rate * (1 - done / steps))
            if progress is not None:
                progress(done + 1, steps, loss)
        counted = max(1, min(MEASURED, len(valid) // length))
        windows = [_window(valid, n * length, length).to(network.device) for n in range(counted)]
        before_S, after_S = training.measured(windows)
    return TunedLens(
        sites=tuple(sites),
        weight_SEE=training.weight_SEE.detach().cpu(),
        bias_SE=training.bias_SE.detach().cpu(),
        before_S=before_S.cpu(),
        after_S=after_S.cpu(),
        fingerprint=fingerprint(network),
        tokens=steps * batch * length,
        name=model.name,
    )


def _window(tokens: Tokens, start: int, length: int) -> Tensor:
    """Up to ``length`` ids_T of a stream that may be larger than memory."""
    return torch.from_numpy(tokens.ids[start : start + length].astype("int64"))


class _Training:
    """The maps of all sites, each with its own loss, and one optimizer."""

    def __init__(self, model: LanguageModel, sites: Sequence[Site]) -> None:
        self._model = model
        self._sites = [*sites, stream_sites(model)[-1]]
        S, E = len(sites), model.config.width
        self.weight_SEE = torch.zeros(S, E, E, dtype=wide(model.dtype), device=model.device).requires_grad_()
        self.bias_SE = torch.zeros(S, E, dtype=wide(model.dtype), device=model.device).requires_grad_()
        self._adam = torch.optim.Adam([self.weight_SEE, self.bias_SE])
        self._rows = max(1, AT_ONCE // model.config.vocabulary)

    def step(self, ids_BT: Tensor, rate: float) -> float:
        """One step of all maps; the mean KL in nats. Raises TrainingError if it is not finite."""
        last_NE, x_SNE = self._streams(ids_BT)
        total = 0.0
        self._adam.zero_grad()
        for at in range(0, len(last_NE), self._rows):
            rows = slice(at, at + self._rows)
            logp_NV = read(self._model, last_NE[rows])
            for site, x_NE in enumerate(x_SNE[:, rows]):
                with torch.enable_grad():
                    read_NV = read(self._model, _mapped(x_NE, self.weight_SEE[site], self.bias_SE[site]))
                    loss = divergence(logp_NV, read_NV).sum() / len(last_NE)
                    loss.backward(inputs=[self.weight_SEE, self.bias_SE])
                total += float(loss.detach())
        if not total < float("inf"):
            raise TrainingError(f"tuned lens: the KL is {total}; take a smaller rate or a wider dtype (float32)")
        for group in self._adam.param_groups:
            group["lr"] = rate
        self._adam.step()
        return total / len(x_SNE)

    def measured(self, windows_T: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """The mean KL in nats at each site, without the maps and with them."""
        sums_2S, places = torch.zeros(2, len(self._sites) - 1, dtype=torch.float64), 0
        with torch.no_grad():
            for window_T in windows_T:
                last_NE, x_SNE = self._streams(window_T[None])
                places += len(last_NE)
                for at in range(0, len(last_NE), self._rows):
                    rows = slice(at, at + self._rows)
                    logp_NV = read(self._model, last_NE[rows])
                    for site, x_NE in enumerate(x_SNE[:, rows]):
                        mapped_NE = _mapped(x_NE, self.weight_SEE[site], self.bias_SE[site])
                        for lens, each_NE in enumerate((x_NE, mapped_NE)):
                            sums_2S[lens, site] += divergence(logp_NV, read(self._model, each_NE)).sum().double().cpu()
        before_S, after_S = (sums_2S / places).unbind()
        return before_S, after_S

    def _streams(self, ids_BT: Tensor) -> tuple[Tensor, Tensor]:
        """The last stream (N, E) and the others (S, N, E), all places of the batch in a row."""
        with torch.no_grad():
            x_SNE = streams(self._model, self._sites, {"ids_BT": ids_BT}).flatten(1, 2)
        return x_SNE[-1], x_SNE[:-1]


def _mapped(x_NE: Tensor, weight_EE: Tensor, bias_E: Tensor) -> Tensor:
    """x + W x + b in x's dtype."""
    wide_NE = x_NE.to(weight_EE.dtype)
    return (wide_NE + product(wide_NE, weight_EE, bias_E)).to(x_NE.dtype)


def _check_memory(model: LanguageModel, places: int, sites: int) -> None:
    E, size = model.config.width, wide(model.dtype).itemsize
    need = 4 * sites * (E + 1) * E * size + 3 * places * (sites + 1) * E * size
    need += 8 * max(AT_ONCE, model.config.vocabulary) * size
    check_free(
        need,
        model.device,
        f"training a tuned lens needs about {need / 1e9:.1f} GB beside the model",
        "take a smaller --batch",
    )
