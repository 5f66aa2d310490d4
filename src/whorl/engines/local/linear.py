"""Matrix products with the weight packed once, and what follows a product fused into it."""

from dataclasses import dataclass
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

Bend = Literal["swish", "gelu"]
"""Activations that a product may end in: SiLU, and GELU by its tanh formula."""


class Linear(Protocol):
    def __call__(
        self,
        x: Tensor,
        *,
        add: Tensor | None = None,
        times: Tensor | None = None,
        bend: Bend | None = None,
    ) -> Tensor:
        """`x W^T + b` for x `[rows, in]`; then one of: plus `add`, times `times`, or bent."""


def linear(weight: Tensor, bias: Tensor | None) -> Linear:
    """The fastest product for `weight` `[out, in]` on this machine."""
    packs = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if weight.dtype == torch.bfloat16:
        packs = packs and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    if packs and weight.dtype in (torch.float32, torch.bfloat16):
        return _Packed(torch.ops.mkldnn._reorder_linear_weight(weight, None), bias)
    return _Plain(weight, bias)


@dataclass(frozen=True, slots=True)
class _Packed:
    """oneDNN, as torch.compile calls it. Its rows do not depend on their number, and here it is
    twice as fast as MKL, which takes AVX2 kernels on AMD processors."""

    weight: Tensor
    bias: Tensor | None

    def __call__(
        self,
        x: Tensor,
        *,
        add: Tensor | None = None,
        times: Tensor | None = None,
        bend: Bend | None = None,
    ) -> Tensor:
        product = torch.ops.mkldnn._linear_pointwise
        if add is not None:
            result: Tensor = product.binary(x, add, self.weight, self.bias, "add")
        elif times is not None:
            result = product.binary(x, times, self.weight, self.bias, "mul")
        else:
            algorithm = "tanh" if bend == "gelu" else ""
            result = product(x, self.weight, self.bias, bend or "none", [], algorithm)
        return result


@dataclass(frozen=True, slots=True)
class _Plain:
    weight: Tensor
    bias: Tensor | None

    def __call__(
        self,
        x: Tensor,
        *,
        add: Tensor | None = None,
        times: Tensor | None = None,
        bend: Bend | None = None,
    ) -> Tensor:
        y = F.linear(x, self.weight, self.bias)
        if add is not None:
            y += add
        if times is not None:
            y *= times
        if bend == "gelu":
            return F.gelu(y, approximate="tanh")
        return F.silu(y) if bend == "swish" else y
