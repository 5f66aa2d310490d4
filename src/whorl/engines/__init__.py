"""Whatever answers asks: models, judges, functions. `open_engine` opens a model by its name."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from difflib import get_close_matches
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlencode

from whorl.ask import Engine
from whorl.engines.dress import read_value, template_names, unknown
from whorl.engines.model import Model, check_layers, find_model, read_config, refuse_code
from whorl.engines.spec import HERE, Spec
from whorl.errors import UserError, need, reason


def open_engine(spec: str, *, processes: int = 1) -> Engine:
    """The engine that `spec`, SCHEME:PLACE, names: `local:MODEL` runs a model in this machine's
    memory, `openvino:MODEL` and `vllm:MODEL` run it by OpenVINO and vLLM, `prm:MODEL` is a process
    reward model; `server:URL` is a model elsewhere, `scores:URL` a process reward model elsewhere.
    What MODEL may be says `model.find_model`; without a scheme it is `local:`.

    A model of this machine runs in `processes` processes of its own; 0 is this one. Raises
    `UserError` if there is no such scheme or what it names cannot be used, before any process is
    started.
    """
    check(spec)
    named = Spec.read(spec)
    if named.scheme not in HERE:
        return _ELSEWHERE[named.scheme](named)
    model = find_model(spec)
    opener = _HERE[named.scheme](model)
    _check_memory(named, model, max(1, processes))
    if named.scheme == "openvino":
        from whorl.engines.openvino_weights import converted_apart

        converted_apart(model.folder, model.settings.get("weights", "f16"))
    if not processes:
        try:
            return opener()
        except UserError:
            raise
        except Exception as error:  # whatever a damaged folder makes of a loader
            raise UserError(f"{spec} cannot be opened: {reason(error)}") from error
    from whorl.engines.workers import Workers

    found = replace(named, place=str(model.folder), query=urlencode(model.settings))
    return Workers(str(found), processes=processes)


def check(spec: str) -> None:
    """Raises `UserError` if `spec` cannot be read. To be called before it is shown or written: a
    key that was put into it is not repeated here, and would be elsewhere."""
    if not spec:
        raise UserError("an empty name is no model's; write local:FOLDER or server:URL")
    named = Spec.read(spec)
    if named.scheme not in (schemes := (*_HERE, *_ELSEWHERE)):
        if named.scheme in ("http", "https"):
            from whorl.engines.server.address import shown

            raise UserError(f"{shown(named)} is an address; write server:{shown(named)}")
        near = get_close_matches(named.scheme, schemes, n=1, cutoff=0.4)
        known = ", ".join(f"{name}:..." for name in schemes)
        hint = f"; did you mean {near[0]}:?" if near else ""
        raise UserError(f"{named.scheme!r} is no kind of engine; known are {known}{hint}")
    if twice := named.said_twice:
        raise UserError(f"{twice[0]} is given twice in the name of one engine; leave one out")
    if named.scheme in _ELSEWHERE:
        from whorl.engines.server.address import read_address

        read_address(named)


def _local(model: Model) -> Callable[[], Engine]:
    """Look at a model, without loading it; what is returned opens it. Its one setting follows the
    model: `?dtype=bfloat16` computes in that, instead of float32."""
    need("torch", "local")
    folder, config = model.folder, _look("local", model, "dtype")
    check_layers(folder, config)
    if (kind := model.settings.get("dtype", "float32")) not in ("float32", "bfloat16"):
        raise UserError(f"dtype should be float32 or bfloat16, not {kind!r}")
    architectures = config.get("architectures") or ()
    if any(name.endswith("ForTokenClassification") for name in architectures):
        raise UserError(f"{folder} is a process reward model; write prm:{model.origin}")

    def opener() -> Engine:
        import torch

        from whorl.engines.local.llama import unsupported
        from whorl.engines.weights import weight_files

        dtype = torch.bfloat16 if kind == "bfloat16" else torch.float32
        why = unsupported(config)
        if why is None and not weight_files(folder):
            why = "its weights are not in model.safetensors"
        if why is None:
            from whorl.engines.local import Local

            return Local(folder, dtype=dtype)
        from whorl.engines.generate import Generate

        warnings.warn(f"{folder} is answered by generate(), which is slower: {why}", stacklevel=2)
        return Generate(folder, dtype=dtype)

    return opener


def _prm(model: Model) -> Callable[[], Engine]:
    """As `_local`, for a process reward model."""
    need("torch", "local")
    from whorl.engines.prm import Prm, unsupported

    folder, config = model.folder, _look("prm", model)
    if why := unsupported(config):
        raise UserError(f"{folder} is no process reward model: {why}")
    return lambda: Prm(folder)


def _vllm(model: Model) -> Callable[[], Engine]:
    """As `_local`, for vLLM; its engine arguments follow the model, as `?dtype=bfloat16`."""
    settings = {name: read_value(text) for name, text in model.settings.items()}
    _look("vllm", model, *settings)
    refuse_code(settings.get("trust_remote_code"))
    if find_spec("vllm") is None:
        raise UserError(
            "vLLM is not installed: pip install vllm, in an environment of its own if it wants an "
            "older transformers, or start a server and write server:URL"
        )

    def opener() -> Engine:
        from whorl.engines.vllm import Vllm

        return Vllm(model.folder, settings)

    return opener


def _replicas(model: Model) -> Callable[[], Engine]:
    """Refuses: it takes a cluster to start servers."""
    raise UserError(
        "replicas: are servers that a cluster starts: grow, run, evaluate and compare take "
        f"--cluster; elsewhere serve {model.origin} yourself and write server:URL"
    )


def _openvino(model: Model) -> Callable[[], Engine]:
    """As `_local`, for OpenVINO; its settings follow the model, as `?weights=int8&cache_gb=4`."""
    folder, config = model.folder, _look("openvino", model, "weights", "cache_gb")
    check_layers(folder, config)
    settings = {name: read_value(text) for name, text in model.settings.items()}
    gb = settings.get("cache_gb", 1)
    if not isinstance(gb, int | float) or isinstance(gb, bool) or not 0 < gb < float("inf"):
        raise UserError(f"cache_gb should be a number of GiB above 0, not {gb!r}")
    if find_spec("openvino_genai") is None:
        raise UserError("OpenVINO is not installed: pip install 'whorl[cpu]'")
    from whorl.engines.openvino_graph import unsupported
    from whorl.engines.openvino_weights import KINDS

    if (kind := settings.get("weights", "f16")) not in KINDS:
        raise UserError(f"weights should be one of {', '.join(KINDS)}, not {kind!r}")
    if why := unsupported(config):
        raise UserError(f"OpenVINO cannot take {folder}: {why}; write local:{model.origin}")

    def opener() -> Engine:
        from whorl.engines.openvino import OpenVino

        return OpenVino(folder, **settings)

    return opener


def _check_memory(named: Spec, model: Model, processes: int) -> None:
    """Raises `UserError` where a model takes more memory than there is; vLLM looks itself."""
    from whorl.engines.memory import check_fit, need, need_openvino

    if named.scheme == "vllm":
        return
    others = {}
    if named.scheme == "openvino":
        cache = float(read_value(model.settings.get("cache_gb", "0")))
        wanted = need_openvino(model.folder, model.settings.get("weights", "f16"), cache)
        for kind in ("int8", "int4"):
            others[f"weights={kind}"] = need_openvino(model.folder, kind, cache)
    else:
        wanted = need(model.folder, model.settings.get("dtype", "float32"))
        if named.scheme == "local" and find_spec("openvino_genai"):
            for kind in ("int8", "int4"):
                name = f"openvino:{model.origin}?weights={kind}"
                others[name] = need_openvino(model.folder, kind, 0.0)
    check_fit(str(named), wanted, processes, others)


def _look(scheme: str, model: Model, *known: str) -> dict[str, Any]:
    """The configuration of a model that has all its parts, after a look at its settings, of which
    the engine knows these."""
    for name in model.settings:
        if name not in known:
            raise unknown(scheme, name, [*known, *template_names(model.folder)])
    from whorl.chat import Chat

    config = read_config(model.folder)
    Chat.load(model.folder)
    return config


def _server(named: Spec) -> Engine:
    from whorl.engines.server.address import read_address
    from whorl.engines.server.background import Background
    from whorl.engines.server.text import begin

    return Background(read_address(named), begin)


def _scores(named: Spec) -> Engine:
    """As `_server`, for a process reward model."""
    from whorl.engines.server.address import read_address
    from whorl.engines.server.background import Background
    from whorl.engines.server.scores import begin

    address = read_address(named)
    roots = tuple(url.removesuffix("/v1") for url in address.urls)
    return Background(replace(address, urls=roots), begin)


_HERE: dict[str, Callable[[Model], Callable[[], Engine]]] = {
    "local": _local,
    "openvino": _openvino,
    "prm": _prm,
    "vllm": _vllm,
    "replicas": _replicas,
}
_ELSEWHERE: dict[str, Callable[[Spec], Engine]] = {"server": _server, "scores": _scores}
