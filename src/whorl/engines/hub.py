"""Models of the Hugging Face hub: what of one is needed, how large it is, and getting it.

They lie in the hub's ordinary cache, shared with every other program.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from whorl.errors import UserError

LOG = logging.getLogger("whorl.engines")

_WANTED = ("*.json", "*.jinja", "*.safetensors", "tokenizer*", "*.model", "vocab*", "merges.txt")
_UNWANTED = ("*/*", "consolidated*")  # other formats, and weights in a form of their maker's own
_SECONDS = 20.0  # for the hub to say something
_PICKLED = (".bin", ".pt", ".pth", ".ckpt")


@dataclass(frozen=True, slots=True)
class HubModel:
    """A model on the hub: its owner and name, and a branch, tag or commit."""

    repo: str
    revision: str = "main"

    def __str__(self) -> str:
        return self.repo if self.revision == "main" else f"{self.repo}@{self.revision}"


@dataclass(frozen=True, slots=True)
class Missing:
    """What a model lacks in the cache: so many files of so many bytes together."""

    files: int
    size: int


def missing(model: HubModel) -> Missing:
    """What `fetch` would download. Raises `UserError` as it does."""
    from huggingface_hub import snapshot_download

    commit = _commit(model)
    if commit is None:
        fetch(model)  # it is in the cache, or this says that it cannot be had
        return Missing(0, 0)
    with _spoken(model), _silent():
        planned = snapshot_download(
            model.repo,
            revision=commit,
            allow_patterns=list(_WANTED),
            ignore_patterns=list(_UNWANTED),
            dry_run=True,
        )
    lacking = [file for file in planned if file.will_download]
    return Missing(len(lacking), sum(file.file_size or 0 for file in lacking))


@lru_cache(maxsize=64)  # a run asks for a model's folder several times
def fetch(model: HubModel) -> Path:
    """The model's folder in the cache, with what it lacked downloaded.

    Without a network, or with HF_HUB_OFFLINE set, it has to be there already. Raises `UserError` if
    there is no such model, if it may not be had, or if it has pickled weights only.
    """
    from huggingface_hub import snapshot_download

    commit = _commit(model)
    if commit is not None and (lacking := missing(model)).files:
        LOG.info("downloading %s: %s", model, described(lacking))
    with _spoken(model):
        return Path(
            snapshot_download(
                model.repo,
                revision=model.revision,  # the cache keeps under this name what it was
                allow_patterns=list(_WANTED),
                ignore_patterns=list(_UNWANTED),
                local_files_only=commit is None,
            )
        )


def called(folder: Path) -> str:
    """What to call the model of a folder: the hub's cache names its folders by commits."""
    kept = folder.parent.parent.name
    if folder.parent.name == "snapshots" and kept.startswith("models--"):
        return kept.removeprefix("models--").replace("--", "/")
    return folder.name


def described(lacking: Missing) -> str:
    """In words."""
    return f"{lacking.files:,} files, {lacking.size / 1e9:,.2f} GB"


@lru_cache(maxsize=64)
def _commit(model: HubModel) -> str | None:
    """What the hub has under this name now; None if the hub is out of reach. Raises `UserError` if
    it has no such model or none that can be used."""
    from huggingface_hub import HfApi

    try:
        with _spoken(model):
            found = HfApi().model_info(model.repo, revision=model.revision, timeout=_SECONDS)
    except UserError:
        raise
    except Exception:  # whatever keeps the hub out of reach; its client's errors have no one root
        return None
    names = [file.rfilename for file in found.siblings or ()]
    if not any(name.endswith(".safetensors") for name in names):
        pickled = next((name for name in names if name.endswith(_PICKLED)), None)
        why = f"its weights are pickled ({pickled}), which" if pickled else "it has no weights that"
        raise UserError(f"{model} cannot be used: {why} whorl does not read; it takes safetensors")
    return found.sha


@contextmanager
def _silent() -> Iterator[None]:
    """No progress bar over what is only looked at."""
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    if are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


@contextmanager
def _spoken(model: HubModel) -> Iterator[None]:
    """The hub's refusals in one line each."""
    from huggingface_hub import errors

    try:
        try:
            yield
        except errors.DryRunError as error:  # what it looked for in vain says why
            raise error.__cause__ or error from None
    except errors.GatedRepoError as error:
        raise UserError(
            f"{model} needs its licence accepted: do so on its page at the hub, then log in: "
            "hf auth login"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise UserError(f"{model.repo} has no revision {model.revision!r} at the hub") from error
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise UserError(
            f"there is no folder {model.repo!r}, and no such model at the hub, or a private one "
            "that needs a login: hf auth login"
        ) from error
    except errors.LocalEntryNotFoundError as error:  # incomplete ones too
        raise UserError(
            f"there is no folder {model.repo!r}, and {model} is not complete in the hub's cache, "
            "and the hub is out of reach (is HF_HUB_OFFLINE set?)"
        ) from error
