"""What is in a model folder: ``clearhead.describe``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from clearhead import hub, recipes
from clearhead.errors import TextError
from clearhead.generation import Defaults, defaults
from clearhead.language_model import LanguageModel
from clearhead.model import Network, rounded_to
from clearhead.recipes import Recipe
from clearhead.runs.folder import LOG, RECIPE
from clearhead.text.chat.templates import check
from clearhead.training import Evaluated, Evaluation, read_end, read_log


@dataclass(frozen=True, kw_only=True, eq=False)
class Description:
    """A model folder without the values of its weights.

    model: with its weights on the meta device
    family: the model family whose layout the folder has
    weights, inner, active: numbers of weights: all, those outside the embeddings, those used for each token
    weight_bytes: memory of the weights in their dtype
    state_bytes: memory of the generation state for one text of full length; 0 for a model that does not generate
    generation: the folder's generation settings; None without a tokenizer
    unusable_template: why ``clearhead chat`` cannot use the default chat template; None if it can or there is none
    recipe: the recipe of the run in the folder; None if there is no run
    best: the evaluation at which the run saved this model; None if there is no run or it was not logged, or if the
        model was kept between evaluations
    final: the evaluation of this model at the end of the run; None if there is no run or it is not finished
    kept: the steps whose models the run keeps (``train --keep``)
    """

    model: LanguageModel
    family: str
    weights: int
    inner: int
    active: int
    weight_bytes: int
    state_bytes: int
    generation: Defaults | None
    unusable_template: str | None
    recipe: Recipe | None
    best: Evaluated | None
    final: Evaluation | None
    kept: list[int]


def describe(name: str | Path) -> Description:
    """Describes a run, a released model's folder or a model on the hub; the weights are neither read nor downloaded.

    Raises FolderError, naming the file, for a missing, truncated or altered folder.
    """
    model = hub.outline(name)
    config, network, folder = model.config, model.network, model.folder
    recipe, best, end = None, None, None
    if folder is not None and (folder / RECIPE).is_file():
        recipe = recipes.read_recipe(folder / RECIPE)
        reports, own, asked = read_log(folder / LOG), hub.saved_step(folder), hub.named(name).step
        step = own if asked is None else asked
        best = next((each for each in reports if isinstance(each, Evaluated) and each.step == step), None)
        end = None if best is None or step != own else read_end(folder / LOG)
    return Description(
        model=model,
        family=model.metadata.family or hub.family(config),
        weights=config.parameters(),
        inner=config.inner_parameters(),
        active=config.active_parameters(),
        weight_bytes=config.parameters() * network.dtype.itemsize if rounded_to(network) is None else _bytes(network),
        state_bytes=network.state_bytes(1, config.context),
        generation=defaults(model) if model.has_tokenizer else None,
        unusable_template=_unusable(model),
        recipe=recipe,
        best=best,
        final=None if end is None else end.evaluation,
        kept=[] if folder is None else hub.steps(folder),
    )


def _bytes(network: Network) -> int:
    return sum(tensor.nbytes for tensor in network.state_dict().values())


def _unusable(model: LanguageModel) -> str | None:
    template = model.tokenizer.templates.get("default") if model.has_tokenizer else None
    if template is None:
        return None
    try:
        check(template)
    except TextError as error:
        return str(error).removeprefix("chat template: ")
    return None
