"""Whatever answers asks: models, judges, functions. `open_engine` opens a model by its name."""

import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from whorl.ask import Engine
from whorl.engines.spec import Spec
from whorl.errors import UserError


def open_engine(spec: str, *, processes: int = 1) -> Engine:
    """The engine that `spec`, SCHEME:REST, names: `local:PATH` is a model folder,
    `prm:PATH` one of a process reward model, `vllm:PATH` and `openvino:PATH` a model folder for
    vLLM and for OpenVINO,
    `server:URL` a model elsewhere, `scores:URL` a process reward model elsewhere.

    A model of this machine runs in `processes` processes of its own; 0 is this one. Raises
    `UserError` if there is no such scheme or what it names cannot be used, before any process is
    started.
    """
    check(spec)
    named = Spec.read(spec)
    opener = _SCHEMES[named.scheme](named)
    if not processes or named.scheme in _ELSEWHERE:
        return opener()
    from whorl.engines.workers import Workers

    return Workers(spec, processes=processes)


def check(spec: str) -> None:
    """Raises `UserError` if `spec` cannot be read. To be called before it is shown or written: a
    key that was put into it is not repeated here, and would be elsewhere."""
    named = Spec.read(spec)
    if named.scheme not in _SCHEMES:
        near = get_close_matches(named.scheme, _SCHEMES, n=1, cutoff=0.4)
        known = ", ".join(f"{name}:..." for name in _SCHEMES)
        hint = f"; did you mean {near[0]}:?" if near else ""
        shown = named.scheme.partition("?")[0]
        raise UserError(f"{shown!r} is no kind of engine; known are {known}{hint}")
    if named.scheme in _ELSEWHERE:
        from whorl.engines.server.address import read_address

        read_address(named)


def _local(named: Spec) -> Callable[[], Engine]:
    """Look at a model folder, without loading it; what is returned opens it."""
    folder, config = _look(named)
    architectures = config.get("architectures") or ()
    if any(name.endswith("ForTokenClassification") for name in architectures):
        raise UserError(f"{folder} is a process reward model; write prm:{named.place}")

    def opener() -> Engine:
        from whorl.engines.local.llama import unsupported, weight_files

        reason = unsupported(config)
        if reason is None and not weight_files(folder):
            reason = "its weights are not in model.safetensors"
        if reason is None:
            from whorl.engines.local import Local

            return Local(folder)
        from whorl.engines.generate import Generate

        warnings.warn(
            f"{folder} is answered by generate(), which is slower: {reason}", stacklevel=2
        )
        return Generate(folder)

    return opener


def _prm(named: Spec) -> Callable[[], Engine]:
    """As `_local`, for a process reward model."""
    from whorl.engines.prm import Prm, unsupported

    folder, config = _look(named)
    if reason := unsupported(config):
        raise UserError(f"{folder} is no process reward model: {reason}")
    return lambda: Prm(folder)


def _scores(named: Spec) -> Callable[[], Engine]:
    """As `_server`, for a process reward model."""
    from whorl.engines.server.address import read_address
    from whorl.engines.server.background import Background
    from whorl.engines.server.scores import begin

    address = read_address(named)
    roots = tuple(url.removesuffix("/v1") for url in address.urls)
    return lambda: Background(replace(address, urls=roots), begin)


def _vllm(named: Spec) -> Callable[[], Engine]:
    """As `_local`, for vLLM; its engine arguments follow the path, as `?dtype=bfloat16`."""
    folder, _ = _look(named)
    settings = {name: _value(text) for name, text in named.settings.items()}
    if find_spec("vllm") is None:
        raise UserError(
            "vLLM is not installed: pip install vllm, in an environment of its own if it wants an "
            "older transformers, or start a server and write server:URL"
        )

    def opener() -> Engine:
        from whorl.engines.vllm import Vllm

        return Vllm(folder, settings)

    return opener


def _openvino(named: Spec) -> Callable[[], Engine]:
    """As `_local`, for OpenVINO; its one setting follows the path, as `?cache_gb=4`."""
    folder, config = _look(named)
    settings = {name: _value(text) for name, text in named.settings.items()}
    for name in settings.keys() - {"cache_gb"}:
        raise UserError(f"OpenVINO takes cache_gb, not {name!r}")
    if not isinstance(settings.get("cache_gb", 1), int) or settings.get("cache_gb", 1) < 1:
        raise UserError(f"cache_gb should be a whole number of GiB, not {settings['cache_gb']!r}")
    if find_spec("openvino_genai") is None or find_spec("gguf") is None:
        raise UserError("OpenVINO is not installed: pip install 'whorl[cpu]'")
    from whorl.engines.gguf import unsupported

    if reason := unsupported(config):
        raise UserError(f"OpenVINO cannot take {folder}: {reason}; write local:{named.place}")

    def opener() -> Engine:
        from whorl.engines.openvino import OpenVino

        return OpenVino(folder, **settings)

    return opener


def _value(text: str) -> Any:
    """A number, a truth value or a structure as JSON writes it, else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _look(named: Spec) -> tuple[Path, dict[str, Any]]:
    """A model folder that has all its parts, and its configuration."""
    from whorl.chat import Chat

    folder = Path(named.place)
    if not named.place or not folder.is_dir():
        raise UserError(f"there is no model folder {named.place!r}; write {named.scheme}:PATH")
    Chat.load(folder)
    if not any(next(folder.glob(f"*.{kind}"), None) for kind in ("safetensors", "bin")):
        raise UserError(f"{folder} has no weights; save the model's safetensors beside config.json")
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{folder / 'config.json'} cannot be read: {error}") from error
    return folder, config


def _server(named: Spec) -> Callable[[], Engine]:
    from whorl.engines.server.address import read_address
    from whorl.engines.server.background import Background
    from whorl.engines.server.text import begin

    address = read_address(named)
    return lambda: Background(address, begin)


_SCHEMES: dict[str, Callable[[Spec], Callable[[], Engine]]] = {
    "local": _local,
    "openvino": _openvino,
    "prm": _prm,
    "server": _server,
    "scores": _scores,
    "vllm": _vllm,
}
_ELSEWHERE = {"server", "scores"}
