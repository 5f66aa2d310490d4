"""A folder's weights as OpenVINO keeps them, in sixteen, eight or four bits, and the cache of
folders that were converted before."""

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import openvino
from numpy.typing import NDArray
from openvino import opset13 as op
from safetensors import safe_open

from whorl.data.cache import cached
from whorl.data.place import place_of
from whorl.engines.openvino_graph import Node, Shape, graph
from whorl.engines.weights import weight_files, weights_digest
from whorl.errors import UserError, reason

LOG = logging.getLogger("whorl.engines")

Kind = Literal["f16", "int8", "int4"]
"""How matrices are kept: float16; eight bits with a scale for each row; four bits with a scale and
a zero for each group of a row, where embeddings and the output matrix have eight."""

KINDS: tuple[Kind, ...] = get_args(Kind)

_FORMAT = "1"  # of what is written: another one is another place in the cache
_ROOM = 24 << 30  # bytes of the cache: three models of seven billion weights in int8
_ROWS = 8192  # of a matrix at once, so that none is held in float32 as a whole
_GROUPS = (128, 64, 32)  # weights of a row that share a scale: the largest that divides it
_OUTER = ("model.embed_tokens.weight", "lm_head.weight")

_Packed = tuple[NDArray[Any], ...]
"""A matrix's numbers, then its scales, then its zeros, as far as it has them."""


def converted_apart(folder: Path, kind: str) -> None:
    """`converted`, in a process of its own, which gives back what memory it took. Raises
    `UserError` if it fails."""
    command = [sys.executable, "-m", "whorl.engines.openvino_weights", str(folder), kind]
    if place_of("openvino", _name(folder, kind)).is_dir():
        return
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        why = done.stdout.strip() or f"exit code {done.returncode}"
        raise UserError(f"{folder} cannot be converted for OpenVINO: {why}")


def converted(folder: Path, kind: Kind) -> Path:
    """A folder with the model of `folder` as OpenVINO reads it. It is made once, which takes some
    seconds for each billion of weights, and lies in the cache under the weights' digest, with those
    that were used last: every round of a run brings another model."""

    def make(place: Path) -> None:
        LOG.info("%s: converting the weights to %s; they are kept in the cache", folder, kind)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        with ExitStack() as stack:
            model = _model(folder, config, kind, stack)
            openvino.save_model(model, place / "openvino_model.xml", compress_to_fp16=False)

    return cached("openvino", _name(folder, kind), make=make, room=_ROOM)


def _name(folder: Path, kind: str) -> str:
    return f"{weights_digest(folder)}-{kind}-{_FORMAT}"


def _model(folder: Path, config: dict[str, Any], kind: Kind, stack: ExitStack) -> openvino.Model:
    files = [stack.enter_context(safe_open(path, framework="pt")) for path in weight_files(folder)]
    home = {name: file for file in files for name in file.keys()}  # noqa: SIM118 (no mapping)
    shape = Shape.read(config)
    total, done = len(home), 0

    def weights(name: str) -> Node:
        nonlocal done
        done += 1
        if done % 100 == 0:
            LOG.info("%s: %d of %d weights converted", folder, done, total)
        part = home[name].get_slice(name)
        if len(part.get_shape()) == 1:
            return op.constant(part[:].float().numpy())
        small = kind if kind != "int4" or name not in _OUTER else "int8"
        return _read(part, small)

    return graph(shape, weights, home.__contains__)


def _read(part: Any, kind: Kind) -> Node:
    """A matrix of a file as the node that gives it in float32."""
    rows, width = part.get_shape()
    group = next((size for size in _GROUPS if width % size == 0), 0)
    pack: Callable[[NDArray[np.float32]], _Packed] = {
        "f16": lambda block: (block.astype(np.float16),),
        "int8": packed_int8,
        "int4": lambda block: packed_int4(block, group),
    }[kind if group or kind != "int4" else "int8"]
    blocks = [pack(part[at : at + _ROWS].float().numpy()) for at in range(0, rows, _ROWS)]
    parts = [np.concatenate(each) for each in zip(*blocks, strict=True)]
    match parts:
        case [numbers]:
            return op.convert(op.constant(numbers), np.float32)
        case [numbers, scales]:
            return op.multiply(op.convert(op.constant(numbers), np.float32), op.constant(scales))
        case [numbers, scales, zeros]:
            centred = op.subtract(
                op.convert(_nibbles(numbers), np.float32), op.convert(_nibbles(zeros), np.float32)
            )
            grouped = op.multiply(centred, op.constant(scales))
            return op.reshape(grouped, op.constant(np.array([rows, width])), False)
    raise AssertionError(f"a matrix has one to three parts, not {len(parts)}")


def packed_int8(block: NDArray[np.float32]) -> _Packed:
    """Rows as whole numbers from -127 to 127 and a scale for each `[rows, 1]`."""
    scales = np.abs(block).max(1, keepdims=True) / 127
    safe = np.where(scales > 0, scales, 1).astype(np.float32)
    return np.rint(block / safe).astype(np.int8), safe


def packed_int4(block: NDArray[np.float32], group: int) -> _Packed:
    """Groups of rows `[rows, groups, group]` as whole numbers from 0 to 15, a scale for each
    `[rows, groups, 1]`, and the number that stands for nought."""
    grouped = block.reshape(len(block), -1, group)
    low = np.minimum(grouped.min(2, keepdims=True), 0)
    high = np.maximum(grouped.max(2, keepdims=True), 0)
    scales = ((high - low) / 15).astype(np.float32)
    scales = np.where(scales > 0, scales, 1).astype(np.float32)  # of numbers next to nought it is 0
    zeros = np.rint(-low / scales)
    numbers = np.clip(np.rint(grouped / scales) + zeros, 0, 15)
    return numbers.astype(np.uint8), scales, zeros.astype(np.uint8)


def _nibbles(numbers: NDArray[np.uint8]) -> Node:
    """A constant of four bits a number."""
    flat = numbers.reshape(-1)
    if len(flat) % 2:
        flat = np.append(flat, np.uint8(0))
    tensor = openvino.Tensor(openvino.Type.u4, openvino.Shape(list(numbers.shape)))
    tensor.data[:] = (flat[0::2] | flat[1::2] << 4).reshape(tensor.data.shape)
    return op.constant(tensor)


def _main() -> None:
    """Convert the folder that the command line names, and say how far it is; on stdout why not."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    folder, kind = sys.argv[1:]
    try:
        converted(Path(folder), next(known for known in KINDS if known == kind))
    except Exception as error:
        print(reason(error))
        sys.exit(1)


if __name__ == "__main__":
    _main()
