"""Log-probabilities of completions under the reference model: computed once, kept on disk."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import reduce
from numpy.typing import NDArray
from torch import nn

from whorl.chat.tokenizer import load_tokenizer
from whorl.data.atomic import replacing
from whorl.errors import UserError
from whorl.example import Likelihood, Objective
from whorl.learn import losses, network
from whorl.learn.batches import plan_steps
from whorl.learn.corpus import Encoded
from whorl.learn.layout import LogProbs, Share, lay_out, to_device
from whorl.learn.pack import Packing, batches

CHUNK = 1024
"""Examples that are packed together; more would only take longer to arrange."""


def check_tokens(model: Path, place: Path, objective: Objective) -> None:
    """Raises `UserError` if the reference model in `place` has other tokens than `model`, as far as
    its folder tells: a chat template it needs none, and it may come without a tokenizer."""
    sizes = {network.vocabulary(network.read_config(each)) for each in (model, place)}
    other = objective.compares_distributions and len(sizes) > 1
    if any(place.glob("tokenizer*")):
        ours, theirs = (load_tokenizer(each).get_vocab() for each in (model, place))
        other = other or ours != theirs
    if other:
        raise UserError(
            f"the reference model {place} has other tokens than {model}, so it cannot say how "
            "likely they are; take one of the same family"
        )


def reference_log_probs(
    model: nn.Module,
    groups: Sequence[Sequence[Encoded]],
    packing: Packing,
    file: Path,
    *,
    bf16: bool = False,
) -> LogProbs:
    """Log-probability of every completion token under `model`, by path of the corpus.

    Read from `file` if it is there, else computed by all processes together and kept there.
    """
    lengths = _lengths(groups)
    state = PartialState()
    if not file.exists():
        values = _compute(model, groups, packing, lengths, bf16)
        if state.is_main_process:
            with replacing(file) as stream:
                np.save(stream, values)
        state.wait_for_everyone()
    return np.split(np.load(file), np.cumsum(lengths)[:-1])


def _lengths(groups: Sequence[Sequence[Encoded]]) -> list[int]:
    """Numbers of completion tokens, by path."""
    lengths = {
        example.first + side: path.learnt
        for group in groups
        for example in group
        for side, path in enumerate(example.paths)
    }
    return [lengths[number] for number in range(len(lengths))]


def _compute(
    model: nn.Module,
    groups: Sequence[Sequence[Encoded]],
    packing: Packing,
    lengths: Sequence[int],
    bf16: bool,
) -> NDArray[np.float32]:
    """Compute this process's share of the batches, then sum over processes."""
    state = PartialState()
    device = state.device
    starts = np.concatenate([[0], np.cumsum(lengths)])
    values = np.zeros(starts[-1], np.float32)
    model.to(device).train(False)
    (chunks,) = plan_steps(groups, size=CHUNK, epochs=1, seed=0)
    every = (batch for chunk in chunks for batch in batches(chunk, packing))
    for number, examples in enumerate(every):
        if number % state.num_processes != state.process_index:
            continue
        batch = to_device(lay_out(examples, Likelihood(), Share(1, 1), packing), device)
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            scores = network.logits(model, batch).flatten(0, 1)
        found = (
            losses.log_probs(scores, batch["tokens"], batch["at"])[batch["members"]].cpu().numpy()
        )
        at = 0
        for example in examples:
            for side, path in enumerate(example.paths):
                start = starts[example.first + side]
                values[start : start + path.learnt] = found[at : at + path.learnt]
                at += path.learnt
    total: torch.Tensor = reduce(torch.from_numpy(values).to(device), "sum")
    return total.cpu().numpy()
