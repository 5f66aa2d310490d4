"""A GGUF file as a model folder, read as transformers reads it."""

import hashlib
import logging
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import Any

from whorl.data.cache import cached
from whorl.errors import UserError, reason

LOG = logging.getLogger("whorl.engines")


def unpacked(file: Path) -> Path:
    """The folder made of a GGUF file, with its weights in float32. It is made once and lies in the
    cache. Raises `UserError` if transformers cannot read the file."""
    about = file.stat()
    digest = _digest(file, about.st_size, about.st_mtime_ns)

    def make(folder: Path) -> None:
        _examine(file)
        LOG.info("unpacking %s: it is read from the cache from now on", file)
        _unpack(file, folder)

    return cached("gguf", digest, file.stem, make=make)


def quantised(file: Path) -> str:
    """The name of a type of fewer than 16 bits in which a GGUF file holds matrices, the one that
    most have; empty if none has one."""
    from gguf import GGUFReader

    kinds = Counter(str(tensor.tensor_type.name) for tensor in GGUFReader(file).tensors)
    for whole in ("F32", "F16", "BF16", "F64"):
        kinds.pop(whole, None)
    return kinds.most_common(1)[0][0] if kinds else ""


@lru_cache(maxsize=64)  # a run asks for a model's folder several times
def _digest(file: Path, size: int, time: int) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=8)).hexdigest()


def _examine(file: Path) -> None:
    """Raises `UserError` if a file is no GGUF, is not whole, or holds a model of an architecture
    that transformers does not know. No weights are read for it."""
    from gguf import GGUFReader
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    with file.open("rb") as stream:
        if stream.read(4) != b"GGUF":
            raise UserError(f"{file} is no GGUF file, whatever its name says")
    try:
        GGUFReader(file)
    except Exception as error:  # it looks behind the file's end, or at what makes no sense
        raise UserError(f"{file} is damaged, or was not downloaded to its end") from error
    try:
        load_gguf_checkpoint(file)  # type: ignore[no-untyped-call]
    except Exception as error:
        raise _unusable(file, error) from error


def _unusable(file: Path, error: Exception) -> UserError:
    return UserError(f"{file} cannot be made a model folder: {reason(error)}")


def _unpack(file: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging as said

    told: dict[str, Any] = {"gguf_file": file.name, "trust_remote_code": False}
    shown = said.is_progress_bar_enabled()
    said.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        tokenizer = AutoTokenizer.from_pretrained(file.parent, **told)
        model: Any = AutoModelForCausalLM.from_pretrained(file.parent, dtype=torch.float32, **told)
        plain = _unmarked(model)
        if tokenizer.eos_token_id is not None:
            plain.generation_config.eos_token_id = tokenizer.eos_token_id
        plain.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    except Exception as error:  # whatever a file makes of the loader, it is one line here
        raise _unusable(file, error) from error
    finally:
        if shown:
            said.enable_progress_bar()  # type: ignore[no-untyped-call]


def _unmarked(model: Any) -> Any:
    """The same model without the mark of quantisation, with which it would not be saved."""
    import torch

    config = model.config.to_dict()
    config.pop("quantization_config", None)
    with torch.device("meta"):
        plain = type(model)(type(model.config).from_dict(config))
    plain.load_state_dict(model.state_dict(), assign=True)
    plain.tie_weights()
    return plain
