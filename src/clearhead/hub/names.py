"""Names of models on a hub, resolved by huggingface_hub to a folder in its cache."""

from __future__ import annotations

import difflib
import logging
import re
import sys
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

from clearhead.errors import ClearheadError, FolderError, shown
from clearhead.hub import sentences
from clearhead.hub.families import conversion, parse_config
from clearhead.hub.jsonfile import read_table
from clearhead.hub.kept import named
from clearhead.hub.weights import INDEX, WEIGHTS, complete, foreign, shards
from clearhead.language_model import no_tokenizer
from clearhead.text.tokenizers import m2m_100, marian
from clearhead.text.tokenizers.vocabularies import PIECES

log = logging.getLogger(__name__)

# A folder with a tokenizer has at least one of these files; a folder without any holds weights alone.
TOKENIZERS = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
    "vocab.txt",
    *marian.FILES,
    m2m_100.PIECES,
    PIECES,
)
# The files that describe the weights; nothing else is fetched with them.
SMALL = (
    "config.json",
    "generation_config.json",
    *TOKENIZERS,
    "chat_template.jinja",
    *sentences.FILES,
    "additional_chat_templates/*.jinja",
    INDEX,
)
VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt", PIECES)  # one of them makes a tokenizer
# What the hub allows: NAME or OWNER/NAME, at most 96 characters; then optionally @ and a branch, tag or commit.
_NAME = re.compile(r"(?=[^@]{1,96}(@|$))(?P<model>\w[\w.-]*(/\w[\w.-]*)?)(@(?P<revision>\w[\w./-]*))?", re.ASCII)
# Pasted from a browser; a Path has one slash after the colon.
_ADDRESS = re.compile(r"https?:/{1,2}[^/]+/(?P<model>\w[\w.-]*(/(?!(tree|blob|resolve)/)\w[\w.-]*)?)(/.*)?", re.ASCII)
_NAMING = ("ETag", "X-Linked-ETag", "X-Repo-Commit")  # headers from which huggingface_hub names the files in its cache
SHOWN_AFTER = 1.0  # seconds before a progress bar appears: files in the cache take less


def find(name: str | Path, *, weights: bool = True, text: bool = False) -> Path:
    """The folder of that name; if there is none, the cached folder of that model on the hub, fetched as needed.

    ``name`` is a folder, for a run optionally with @STEP (kept.py), or a name such as "gpt2" or "Qwen/Qwen3-0.6B",
    optionally with @REVISION. Without ``weights`` only the files that describe them are fetched; with ``text`` the
    weights of a model without a tokenizer are not.
    Nothing is fetched twice, and an interrupted transfer continues where it stopped. huggingface_hub honours HF_HOME,
    HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE.

    Raises FolderError with the reason if there is no such model, OptionError if ``name`` is no text or path,
    TextError if ``text`` and it has no tokenizer.
    """
    folder = Path(named(name).name)
    if folder.is_dir():
        return folder
    asked = _NAME.fullmatch(str(name))
    below = len(folder.parts) > 1 and Path(folder.parts[0]).is_dir()
    if asked is None or below or folder.exists():
        raise FolderError(f"{name}: {_no_folder(folder)}")
    with _explained(str(name), asked["model"], asked["revision"]):
        return _fetched(asked["model"], asked["revision"], weights, text)


def pinned(name: str | Path, folder: Path) -> str:
    """The name with the commit that ``find`` resolved it to; that of a folder, or of a run's step, unchanged."""
    asked = None if Path(named(name).name).is_dir() else _NAME.fullmatch(str(name))
    return str(name) if asked is None else f"{asked['model']}@{folder.name}"


def _fetched(model: str, revision: str | None, weights: bool, text: bool) -> Path:
    """The folder in the hub's cache; the revision is resolved to a commit once."""
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
                _listed(model, folder)  # raises if offline: the cache is incomplete
    return folder


def _check(model: str, folder: Path, text: bool) -> None:
    """Raises FolderError if the model would not open, before its weights are fetched."""
    if not (folder / "config.json").exists():
        _listed(model, folder)  # raises if offline; else the weights' error says more
        return
    settings = read_table(folder / "config.json")
    parse_config(settings, str(folder / "config.json"))
    if not any((folder / name).exists() for name in VOCABULARIES):
        known = [] if complete(folder) else _listed(model, folder)  # weights are fetched after this was looked at
        pieces = [name for name in known if name.endswith(".model")]
        if not pieces and not any((folder / name).exists() for name in TOKENIZERS):
            if text:
                raise no_tokenizer(model)
            return
        way = (
            f"; {pieces[0]} is a SentencePiece model, which is not supported; convert it with transformers: "
            + conversion(model, settings)
            if pieces
            else ""
        )
        raise FolderError(f"{model}: there is no {', '.join(VOCABULARIES[:-1])} or {VOCABULARIES[-1]}{way}")


def _snapshot(model: str, revision: str | None, files: Iterable[str]) -> Path:
    from huggingface_hub import get_session, snapshot_download
    from huggingface_hub.utils.tqdm import tqdm

    class Bar(tqdm):
        """Appears only on a terminal, after SHOWN_AFTER seconds."""

        def __init__(self, *values: Any, **options: Any) -> None:
            options["disable"] = bool(options.get("disable")) or not sys.stderr.isatty()
            self.shown_from = time.monotonic() + SHOWN_AFTER
            super().__init__(*values, **options)

        def display(self, *values: Any, **options: Any) -> Any:
            return time.monotonic() < self.shown_from or super().display(*values, **options)

    hooks = get_session().event_hooks
    if _check_answer not in hooks["response"]:
        get_session().event_hooks = {**hooks, "response": [*hooks["response"], _check_answer]}
    return Path(snapshot_download(model, revision=revision, allow_patterns=list(files), tqdm_class=Bar))


def _check_answer(response: Any) -> None:
    """Raises FolderError if a hash in the hub's answer is not a plain name. A response hook of httpx.

    huggingface_hub uses hashes unchecked as file names in its cache: an ETag of ../../x was written outside it.
    """
    found = [(name, response.headers[name]) for name in _NAMING if name in response.headers]
    if response.request.method == "GET" and "/api/" in response.url.path:
        response.read()
        with suppress(ValueError):  # not JSON: huggingface_hub says so
            found += _hashes(response.json())
    for name, value in found:
        if re.fullmatch(r"(W/)?\"?\w[\w.:+=-]*\"?", str(value), re.ASCII) is None:
            raise FolderError(
                f"{response.url.host}: its answer is not that of a hub: {name} is {shown(value)}, not a hash; nothing "
                "was written; check HF_ENDPOINT and the proxy, or give the folder of a model downloaded by other means"
            )


def _hashes(values: Any) -> list[tuple[str, Any]]:
    """The hashes in a JSON answer: that of the commit, and those of each file's content."""
    if isinstance(values, list):
        return [each for value in cast(list[Any], values) for each in _hashes(value)]
    if not isinstance(values, dict):
        return []
    table = cast(dict[str, Any], values)
    own = [(name, table[name]) for name in ("sha", "oid", "xetHash") if table.get(name) is not None]
    return own + [each for name in ("lfs", "siblings") for each in _hashes(table.get(name))]


@contextmanager
def _explained(name: str, model: str, revision: str | None) -> Generator[None]:
    """Turns the hub's errors into FolderErrors that say what they mean for the user."""
    from huggingface_hub import constants, errors

    none, hub = f"{name}: there is no such folder", constants.ENDPOINT
    try:
        yield
    except ClearheadError:
        raise
    except errors.GatedRepoError:
        raise FolderError(
            f"{name}: its owner requires an agreement; accept it at {hub}/{model}, then set HF_TOKEN to a token of "
            "that account"
        ) from None
    except errors.RepositoryNotFoundError:
        raise FolderError(
            f"{none}, and {hub} has no model {model!r} for you{_near(model)}; a private one needs HF_TOKEN"
        ) from None
    except errors.RevisionNotFoundError:
        raise FolderError(
            f"{none}, and {hub}/{model} has no revision {revision!r}; omit it, or name an existing one"
        ) from None
    except errors.LocalEntryNotFoundError as error:
        offline = constants.HF_HUB_OFFLINE
        why = "HF_HUB_OFFLINE is set" if offline else f"{hub} cannot be reached{_reason(error)}"
        raise FolderError(
            f"{none}, the cache {constants.HF_HUB_CACHE} does not have all of it, and {why}; check the name (a run is "
            f"runs/NAME), or {'unset HF_HUB_OFFLINE' if offline else 'go online'} once to fetch it"
        ) from None
    except Exception as error:  # from the network library, the system or huggingface_hub: no common base
        raise FolderError(f"{none}, and fetching {model} from {hub} failed{_reason(error)}; try again") from None


def _reason(error: BaseException) -> str:
    """A clause with the first line of the underlying error."""
    first = error.__cause__ or error
    return f" ({type(first).__name__}: {(str(first) or 'no reason given').splitlines()[0]})"


def _near(model: str) -> str:
    """A clause with the nearest name on the hub."""
    from huggingface_hub import HfApi

    word = model.rpartition("/")[2]
    known: list[str] = []
    with suppress(Exception):  # the error being reported is another one
        for part in (word, word[: len(word) // 2 + 1]):
            known = known or [found.id for found in HfApi().list_models(search=part, sort="downloads", limit=50)]
    close = difflib.get_close_matches(model, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def _listed(model: str, folder: Path) -> list[str]:
    """All files of a commit on the hub; none if the hub refuses to list them.

    Raises LocalEntryNotFoundError if the hub cannot be reached: huggingface_hub then returns an incomplete cache as is.
    """
    from huggingface_hub import HfApi, errors

    try:
        return HfApi().list_repo_files(model, revision=folder.name)
    except errors.HfHubHTTPError:  # the error being reported is another one
        return []
    except Exception as error:  # from the network library, the system or huggingface_hub: no common base
        raise errors.LocalEntryNotFoundError(f"{model}: parts of it are in the cache") from error


def _no_folder(folder: Path) -> str:
    """Why this is not a model, and what to give instead."""
    address = _ADDRESS.fullmatch(str(folder))
    if address is not None:
        return f"is a web address; give the model's name, {address['model']}"
    if folder.suffix == ".gguf" and folder.is_file():
        return "is a file of llama.cpp's, which is not trained further; make it a folder first (clearhead export)"
    if folder.exists():
        what = f"is {'a file' if folder.is_file() else 'not a folder'}, and a model is a folder"
        if (folder.parent / "config.json").exists():
            return f"{what}; give the one that contains it, {folder.parent}"
        return f"{what} that `clearhead train` made, or a model's name on the hub"
    return (
        "there is no such folder; `clearhead train` makes a run; for a released model give its name on the hub "
        f"(OWNER/NAME) or the folder it was downloaded to{_beside(folder)}"
    )


def _beside(folder: Path) -> str:
    """A clause with the nearest existing folder."""
    beside: list[str] = []
    with suppress(OSError):
        beside = [other.name for other in folder.parent.iterdir() if other.is_dir()]
    close = difflib.get_close_matches(folder.name, beside, n=1)
    return f"; did you mean {str(folder.parent / close[0])!r}?" if close else ""
