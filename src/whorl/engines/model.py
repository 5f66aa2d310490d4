"""Models of this machine by name: a folder, a model of the hub, a GGUF file, or one that came with
whorl. Whatever it is, it becomes a model folder here."""

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from whorl.data.content import content
from whorl.engines.dress import TEMPLATE, dressed
from whorl.engines.hub import HubModel, described, fetch, missing
from whorl.engines.spec import HERE, Spec
from whorl.engines.unpack import unpacked
from whorl.engines.weights import layer_count
from whorl.errors import UserError

SHIPPED = ("policy", "teacher", "small", "prm", "countdown_policy", "countdown_teacher")
"""Names of the tiny models that come with whorl. A folder of that name is meant first."""

SERVERS = ("count", "gpus")
"""Settings that say how many servers of a model there are, and of what: nothing of the model."""

_HUB = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5")


@dataclass(frozen=True, slots=True)
class Model:
    """A model of this machine.

    folder: with its weights, tokenizer and the chat template it is to be used under.
    settings: those of its name that are the engine's.
    origin: the folder before another template was chosen.
    known: what names its content already, as a commit does; empty if only its bytes do.
    """

    folder: Path
    settings: dict[str, str]
    origin: Path
    known: str

    def identity(self) -> str:
        """The model by its content, wherever it lies. A folder is read for it."""
        first = self.known or content(self.origin)
        return first if self.folder == self.origin else f"{first} {content(self.folder / TEMPLATE)}"


def find_model(name: str) -> Model:
    """The model that `[SCHEME:]PLACE[?NAME=VALUE&...]` names, downloaded or unpacked if need be.

    Raises `UserError` if there is none, or none that can be used.
    """
    named = Spec.read(name)
    origin, known = _located(named)
    folder, settings = dressed(origin, named.settings)
    return Model(folder, settings, origin, known)


def engine_settings(name: str) -> dict[str, str]:
    """Settings of a name that are the engine's, not the chat template's; all of them if the model
    is no longer there."""
    try:
        return find_model(name).settings
    except UserError:
        return Spec.read(name).settings


def model_folder(name: str) -> Path | None:
    """The folder of a model of this machine; None for a model elsewhere, or one that is not to be
    had."""
    try:
        return find_model(name).folder if Spec.read(name).scheme in HERE else None
    except UserError:
        return None


def check_there(name: str) -> None:
    """Raises `UserError` if a model of this machine is not to be had, or has no weights that can be
    read; one of the hub is downloaded. A model behind a server is not asked."""
    if Spec.read(name).scheme in HERE:
        read_config(find_model(name).folder)


def model_content(name: str) -> str:
    """What replies depend on: a model of this machine by its content, which training may have
    changed in its place, one behind a server by its name if that is given, wherever it is."""
    named = Spec.read(name)
    if named.scheme in HERE:
        try:
            model = find_model(name)
        except UserError:
            return str(named)
        settings = {key: text for key, text in model.settings.items() if key not in SERVERS}
        return str(replace(named, place=model.identity(), query=urlencode(settings)))
    return unaddressed(name)


def unaddressed(name: str) -> str:
    """The name of a model that stays true where its server has another address: what the model is
    called there, if that is given. A model of this machine is called as it was."""
    named = Spec.read(name)
    told = "" if named.scheme in HERE else named.settings.get("model", "")
    return f"{named.scheme}:{told}" if told else name


def copy_model(model: Model, out: Path) -> None:
    """A folder of the model's own files, without links. Raises `UserError` if `out` is there, or if
    the model has no weights that can be used."""
    read_config(model.folder)
    if out.exists():
        raise UserError(f"{out} exists; choose another folder")
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        shutil.copytree(model.folder, partial)
        partial.rename(out)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise UserError(f"{out} cannot be written: {error.strerror or error}") from error


def refuse_code(wanted: object) -> None:
    """Raises `UserError` if it is wanted that code which comes with a model is run."""
    if wanted:
        raise UserError("whorl runs no code that comes with a model; leave out trust_remote_code")


def pending(name: str) -> str:
    """What has to be done before a model can be opened, in words; empty if nothing has to, and for
    a model behind a server."""
    named = Spec.read(name)
    if named.scheme not in HERE:
        return ""
    if (found := _of_hub(named.place)) and (lacking := missing(found)).files:
        return f"{found} is to be downloaded: {described(lacking)}"
    return ""


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration of a model folder whose weights can be read without running anything.

    Raises `UserError` if it cannot be read, if the weights are lacking or pickled, or if the model
    is nothing without code of its own.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{folder} is not a model folder: it has no config.json") from error
    except ValueError as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise UserError(f"{path} holds no settings")
    if config.get("auto_map") and not _known(config.get("model_type")):
        raise UserError(
            f"{folder} holds a model that needs code of its own, and whorl runs no code that comes "
            f"with a model; transformers knows no {config.get('model_type')!r}"
        )
    _check_weights(folder)
    return config


def check_layers(folder: Path, config: Mapping[str, Any]) -> None:
    """Raises `UserError` if a model has weights of more layers than its configuration says: it
    would be sampled without the rest. Layers that draft further tokens are numbered behind."""
    layers, held = config.get("num_hidden_layers"), layer_count(folder)
    if isinstance(layers, int) and held > layers + (config.get("num_nextn_predict_layers") or 0):
        raise UserError(
            f"{folder} holds weights of {held} layers, and its config.json says {layers}: one of "
            "the two is of another model"
        )


def _known(kind: object) -> bool:
    """Whether transformers has an architecture of that name."""
    from transformers import CONFIG_MAPPING

    return kind in CONFIG_MAPPING


def _check_weights(folder: Path) -> None:
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        try:
            named = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
            parts = {str(Path(part)) for part in named}
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise UserError(f"{index} cannot be read: {error!r}") from error
        if lacking := sorted(part for part in parts if not (folder / part).is_file()):
            raise UserError(f"{folder} lacks a part of its weights: {lacking[0]}")
        return
    if any(folder.glob("*.safetensors")):
        return
    pickled = next((file for kind in _PICKLED for file in sorted(folder.glob(kind))), None)
    if pickled:
        raise UserError(
            f"{folder} has pickled weights ({pickled.name}), which can run anything when they are "
            "read; whorl takes safetensors only"
        )
    raise UserError(f"{folder} has no weights; save the model's safetensors beside config.json")


def _located(named: Spec) -> tuple[Path, str]:
    """The folder of a place, and what names its content already, if anything does."""
    place = named.place
    if place and Path(place).is_dir():
        return Path(place), ""
    if place.endswith(".gguf"):
        if not Path(place).is_file():
            raise UserError(f"there is no file {place!r}")
        folder = unpacked(Path(place))
        return folder, f"{Path(place).name} {folder.parent.name}"
    if place in SHIPPED:
        return Path(__file__).parents[1] / "models" / place, ""
    if found := _of_hub(place):
        folder = fetch(found)
        return folder, f"{found.repo}@{folder.name}"
    raise UserError(
        f"there is no model folder {place!r}; write {named.scheme}:FOLDER, a model of the hub as "
        "OWNER/NAME, or FILE.gguf"
    )


def _of_hub(place: str) -> HubModel | None:
    """The hub's model that a place names, if it is nothing on this machine."""
    matched = _HUB.fullmatch(place)
    if matched is None or Path(place).exists() or place.endswith(".gguf"):
        return None
    return HubModel(matched["repo"], matched["revision"] or "main")
