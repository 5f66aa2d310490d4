r"""A model that is large and yet writes real solutions: the shipped policy, swollen.

It computes what the policy computes, at the cost of a Llama of about 1.5 B parameters, so that
what a search costs on a GPU can be measured without the weights of a real model. The policy's
numbers fill a corner of each matrix, the rest is zero, and layers that add nothing follow. As many
bytes are read and as many products computed as with any other weights; a GPU that its power limits
may be somewhat faster with zeros.

    python benchmarks/swollen.py FOLDER
    python benchmarks/swollen.py FOLDER --hidden 512 --intermediate 704 --layers 3 \
        --heads 8 --shared 4 --head 32
"""

import argparse
import math
import shutil
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import LlamaConfig

from whorl.models import POLICY


@dataclass(frozen=True, slots=True)
class Size:
    """How large the model becomes. hidden and head: the policy's times a power of 4."""

    hidden: int = 2048
    intermediate: int = 8192
    layers: int = 24
    heads: int = 16
    shared: int = 8
    head: int = 128


def swell(out: Path, size: Size, model: Path = POLICY) -> int:
    """Write the folder `out`, with the tokenizer of `model`; its number of parameters.

    The residual stream keeps the policy's numbers in its first dimensions, and zeros after them.
    RMSNorm divides by the root of the mean square of more dimensions, so its weights shrink by the
    root of the factor, and its epsilon by the factor. Scores are divided by the root of a larger
    head, so queries grow by the root of that factor. Powers of two in all: nothing is rounded.
    """
    small = LlamaConfig.from_pretrained(model)
    assert small.head_dim is not None and small.num_key_value_heads is not None
    grown = size.hidden / small.hidden_size
    shrink = math.sqrt(1 / grown)
    assert math.log2(shrink).is_integer() and math.log2(size.head / small.head_dim) % 2 == 0
    given = load_file(model / "model.safetensors")
    place = _rotary(small.head_dim, size.head)
    query = _heads(small.num_attention_heads, small.num_key_value_heads, size, place)
    key = torch.cat([n * size.head + place for n in range(small.num_key_value_heads)])
    stream, inner = torch.arange(small.hidden_size), torch.arange(small.intermediate_size)
    width, keys, most = size.heads * size.head, size.shared * size.head, size.intermediate
    tensors = {
        "model.embed_tokens.weight": _put(
            given["model.embed_tokens.weight"],
            (small.vocab_size, size.hidden),
            torch.arange(small.vocab_size),
            stream,
        ),
        "model.norm.weight": _spread(given["model.norm.weight"] * shrink, size.hidden),
    }
    for layer in range(size.layers):
        name = f"model.layers.{layer}."

        def weight(part: str, rows: Tensor, columns: Tensor, name: str = name) -> Tensor:
            """None of the policy's in the layers that it has not."""
            return given.get(f"{name}{part}.weight", torch.zeros(len(rows), len(columns)))

        for part, shape, rows, columns, factor in (
            ("self_attn.q_proj", (width, size.hidden), query, stream, _sharper(small, size)),
            ("self_attn.k_proj", (keys, size.hidden), key, stream, 1.0),
            ("self_attn.v_proj", (keys, size.hidden), key, stream, 1.0),
            ("self_attn.o_proj", (size.hidden, width), stream, query, 1.0),
            ("mlp.gate_proj", (most, size.hidden), inner, stream, 1.0),
            ("mlp.up_proj", (most, size.hidden), inner, stream, 1.0),
            ("mlp.down_proj", (size.hidden, most), stream, inner, 1.0),
        ):
            corner = weight(part, rows, columns) * factor
            tensors[f"{name}{part}.weight"] = _put(corner, shape, rows, columns)
        for part in ("input_layernorm", "post_attention_layernorm"):
            scale = given.get(f"{name}{part}.weight", torch.ones(small.hidden_size))
            tensors[f"{name}{part}.weight"] = _spread(scale * shrink, size.hidden)
    out.mkdir(parents=True, exist_ok=True)
    for file in model.glob("*"):
        if file.name not in ("README.md", "model.safetensors", "config.json"):
            shutil.copy(file, out)
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
    small.update(
        {
            "hidden_size": size.hidden,
            "intermediate_size": size.intermediate,
            "num_hidden_layers": size.layers,
            "num_attention_heads": size.heads,
            "num_key_value_heads": size.shared,
            "head_dim": size.head,
            "rms_norm_eps": small.rms_norm_eps / grown,
        }
    )
    small.save_pretrained(out)
    return sum(tensor.numel() for tensor in tensors.values())


def _rotary(small: int, large: int) -> Tensor:
    """Where the dimensions of a head go. Dimension i turns with i + half, the faster the smaller i
    is; pair i of the small head turns as fast as pair i * large / small of the large one."""
    pairs = torch.arange(small // 2) * (large // small)
    return torch.cat([pairs, pairs + large // 2])


def _heads(count: int, groups: int, size: Size, place: Tensor) -> Tensor:
    """Rows of the policy's queries: each head stays with the keys that it reads."""
    each, room = count // groups, size.heads // size.shared
    assert groups <= size.shared and each <= room
    heads = [group * room + head for group in range(groups) for head in range(each)]
    return torch.cat([head * size.head + place for head in heads])


def _sharper(small: LlamaConfig, size: Size) -> float:
    assert small.head_dim is not None
    return math.sqrt(size.head / small.head_dim)


def _put(corner: Tensor, shape: tuple[int, int], rows: Tensor, columns: Tensor) -> Tensor:
    whole = torch.zeros(shape, dtype=torch.bfloat16)
    whole[rows[:, None], columns] = corner.bfloat16()
    return whole


def _spread(scale: Tensor, hidden: int) -> Tensor:
    """What the norm does to dimensions that are always zero does not matter."""
    whole = torch.ones(hidden, dtype=torch.bfloat16)
    whole[: len(scale)] = scale.bfloat16()
    return whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("folder", type=Path)
    for part in fields(Size):
        parser.add_argument(f"--{part.name}", type=int, default=part.default)
    sizes = vars(parser.parse_args())
    folder = sizes.pop("folder")
    print(f"{swell(folder, Size(**sizes)) / 1e6:,.1f} M parameters")


if __name__ == "__main__":
    main()
