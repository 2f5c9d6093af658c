"""Names of models on a hub, resolved through huggingface_hub to a folder in its cache."""

from __future__ import annotations

import difflib
import logging
import re
import sys
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from clearhead.errors import ClearheadError, FolderError
from clearhead.hub import sentences
from clearhead.hub.families import conversion, reading
from clearhead.hub.jsonfile import read_table
from clearhead.hub.weights import INDEX, WEIGHTS, complete, foreign, shards
from clearhead.language_model import no_tokenizer

log = logging.getLogger(__name__)

# Files of which a folder with a tokenizer has some; where it has none, weights were kept alone.
TOKENIZERS = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
)
# What describes the weights; nothing else is fetched beside them.
SMALL = (
    "config.json",
    "generation_config.json",
    *TOKENIZERS,
    "chat_template.jinja",
    *sentences.FILES,
    "additional_chat_templates/*.jinja",
    INDEX,
)
VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt")  # one of them makes a tokenizer
# As the hub allows them: NAME or OWNER/NAME, of at most 96 characters; @ and a branch, tag or commit may follow.
_NAME = re.compile(r"(?=[^@]{1,96}(@|$))(?P<model>\w[\w.-]*(/\w[\w.-]*)?)(@(?P<revision>\w[\w./-]*))?", re.ASCII)
# Pasted from a browser; a Path has one slash after the colon.
_ADDRESS = re.compile(r"https?:/{1,2}[^/]+/(?P<model>\w[\w.-]*(/(?!(tree|blob|resolve)/)\w[\w.-]*)?)(/.*)?", re.ASCII)
SHOWN_AFTER = 1.0  # seconds without a bar of progress: what is in the cache already takes less


def find(name: str | Path, *, weights: bool = True, text: bool = False) -> Path:
    """The folder of that name or, where there is none, that of the model of that name on the hub, fetched as needed.

    ``name`` is a folder, "gpt2" or "Qwen/Qwen3-0.6B", the latter two with @REVISION if wanted. Without ``weights``
    only what describes them is fetched; with ``text`` nothing of a model without a tokenizer. What was fetched once is
    not fetched again, and a file whose transfer is cut goes on where it was cut. huggingface_hub honours HF_HOME,
    HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE.

    Raises FolderError saying why there is none, TextError for a model on the hub that has no tokenizer and needs one.
    """
    folder = Path(name)
    if folder.is_dir():
        return folder
    asked = _NAME.fullmatch(str(name))
    below = len(folder.parts) > 1 and Path(folder.parts[0]).is_dir()
    if asked is None or below or folder.exists():
        raise FolderError(f"{name}: {_no_folder(folder)}")
    with _explained(str(name), asked["model"], asked["revision"]):
        return _fetched(asked["model"], asked["revision"], weights, text)


def pinned(name: str | Path, folder: Path) -> str:
    """The name with the commit that ``find`` found in the hub's cache; a folder as it is named."""
    asked = None if Path(name).is_dir() else _NAME.fullmatch(str(name))
    return str(name) if asked is None else f"{asked['model']}@{folder.name}"


def _fetched(model: str, revision: str | None, weights: bool, text: bool) -> Path:
    """Of a commit that is known by its name nothing is asked again."""
    from huggingface_hub import constants

    folder = _snapshot(model, revision, SMALL)
    _check(model, folder, text)
    if weights:
        if not complete(folder) and not constants.HF_HUB_OFFLINE:
            log.info("%s: fetching it into %s", model, folder)
        _snapshot(model, folder.name, [WEIGHTS, *SMALL])
        if not (folder / WEIGHTS).exists():
            if not (folder / INDEX).exists():
                raise FolderError(f"{model}: there is no {WEIGHTS}{foreign(_listed(model, folder), folder, model)}")
            _snapshot(model, folder.name, [*shards(folder / INDEX), *SMALL])
            if not complete(folder):
                _listed(model, folder)  # raises where the cache is all that there is
    return folder


def _check(model: str, folder: Path, text: bool) -> None:
    """Raises FolderError for what would not open here, before its weights are fetched."""
    if not (folder / "config.json").exists():
        _listed(model, folder)  # what there is in place of the weights says more, unless it is a part that was kept
        return
    settings = read_table(folder / "config.json")
    reading(settings, str(folder / "config.json"))
    if not any((folder / name).exists() for name in VOCABULARIES):
        known = [] if complete(folder) else _listed(model, folder)  # weights are fetched after this was looked at
        pieces = [name for name in known if name.endswith(".model")]
        if not pieces and not any((folder / name).exists() for name in TOKENIZERS):
            if text:
                raise no_tokenizer(model)
            return
        way = (
            f"; {pieces[0]} is a SentencePiece model, which is not read; convert it with transformers: "
            + conversion(model, settings)
            if pieces
            else ""
        )
        raise FolderError(f"{model}: there is no {', '.join(VOCABULARIES[:-1])} or {VOCABULARIES[-1]}{way}")


def _snapshot(model: str, revision: str | None, files: Iterable[str]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils.tqdm import tqdm

    class Bar(tqdm):
        """On a terminal, and for what takes long."""

        def __init__(self, *values: Any, **options: Any) -> None:
            options["disable"] = bool(options.get("disable")) or not sys.stderr.isatty()
            self.shown_from = time.monotonic() + SHOWN_AFTER
            super().__init__(*values, **options)

        def display(self, *values: Any, **options: Any) -> Any:
            return time.monotonic() < self.shown_from or super().display(*values, **options)

    return Path(snapshot_download(model, revision=revision, allow_patterns=list(files), tqdm_class=Bar))


@contextmanager
def _explained(name: str, model: str, revision: str | None) -> Generator[None]:
    """Raises FolderError saying what the hub's errors mean for the one who gave the name."""
    from huggingface_hub import constants, errors

    none, hub = f"{name}: there is no such folder", constants.ENDPOINT
    try:
        yield
    except ClearheadError:
        raise
    except errors.GatedRepoError:
        raise FolderError(
            f"{name}: its owner wants an agreement first; accept it at {hub}/{model}, and set HF_TOKEN to a token of "
            "that account"
        ) from None
    except errors.RepositoryNotFoundError:
        raise FolderError(
            f"{none}, and {hub} has no model {model!r} for you{_near(model)}; a private one needs HF_TOKEN"
        ) from None
    except errors.RevisionNotFoundError:
        raise FolderError(
            f"{none}, and {hub}/{model} has no revision {revision!r}; leave it out, or name one"
        ) from None
    except errors.LocalEntryNotFoundError as error:
        offline = constants.HF_HUB_OFFLINE
        way = "HF_HUB_OFFLINE is set" if offline else f"{hub} cannot be reached{_reason(error)}"
        raise FolderError(f"{none}, the cache {constants.HF_HUB_CACHE} has not all of it, and {way}") from None
    except Exception as error:  # of the network's library, of the system's, of huggingface_hub: no common base
        raise FolderError(f"{none}, and fetching {model} from {hub} failed{_reason(error)}; try again") from None


def _reason(error: BaseException) -> str:
    """The first line of what went wrong beneath."""
    first = error.__cause__ or error
    return f" ({type(first).__name__}: {(str(first) or 'no reason was given').splitlines()[0]})"


def _near(model: str) -> str:
    """A clause with the nearest name that the hub knows."""
    from huggingface_hub import HfApi

    word = model.rpartition("/")[2]
    known: list[str] = []
    with suppress(Exception):  # the error that is being told does not depend on it
        for part in (word, word[: len(word) // 2 + 1]):
            known = known or [found.id for found in HfApi().list_models(search=part, sort="downloads", limit=50)]
    close = difflib.get_close_matches(model, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def _listed(model: str, folder: Path) -> list[str]:
    """All files that the hub has of a commit; none where it will not say.

    Raises LocalEntryNotFoundError where the hub cannot be asked: huggingface_hub then gives what it has, in parts too.
    """
    from huggingface_hub import HfApi, errors

    try:
        return HfApi().list_repo_files(model, revision=folder.name)
    except errors.HfHubHTTPError:  # the error that is being told does not depend on it
        return []
    except Exception as error:  # of the network's library, of the system's, of huggingface_hub: no common base
        raise errors.LocalEntryNotFoundError(f"{model}: parts of it are in the cache") from error


def _no_folder(folder: Path) -> str:
    """Why what was given is no model, and what to give."""
    address = _ADDRESS.fullmatch(str(folder))
    if address is not None:
        return f"is an address; give the model by its name, {address['model']}"
    if folder.exists():
        what = f"is {'a file' if folder.is_file() else 'no folder'}, and a model is a folder"
        if (folder.parent / "config.json").exists():
            return f"{what}; give the one that it lies in, {folder.parent}"
        return f"{what} that `clearhead train` made or a model's name on the hub"
    return (
        "there is no such folder; a run is made by `clearhead train`; for a released model give its name on the hub "
        f"(OWNER/NAME) or the folder that it was fetched to{_beside(folder)}"
    )


def _beside(folder: Path) -> str:
    """A clause with the nearest name of a folder that is there."""
    beside: list[str] = []
    with suppress(OSError):
        beside = [other.name for other in folder.parent.iterdir() if other.is_dir()]
    close = difflib.get_close_matches(folder.name, beside, n=1)
    return f"; did you mean {str(folder.parent / close[0])!r}?" if close else ""
