"""Process reward models: what they say of the last step of a solution so far.

Two kinds are known. Ours is a token-classification model of two labels. It is asked the question in
the words of the house and read at the last token of the step; `whorl train --objective prm` makes
one. Qwen2.5-Math-PRM (2501.07301) is asked in those of its model card, finds a special token behind
every step and is read there.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForTokenClassification, Qwen2Config, Qwen2Model
from transformers.modeling_outputs import TokenClassifierOutput
from transformers.models.qwen2.modeling_qwen2 import Qwen2PreTrainedModel
from transformers.utils import logging

from whorl.ask import Ask, Failure, Prompt, Replies, Reply
from whorl.chat import Chat
from whorl.engines.admission import fitting
from whorl.errors import UserError, reason

GOOD = 1
"""The label of a good step; the other one is 0."""


def unsupported(config: Mapping[str, Any]) -> str | None:
    """Why a `config.json` is not one of a process reward model; None if it is."""
    architecture = next(iter(config.get("architectures") or ()), "no architecture")
    labels = len(config.get("id2label") or (0, 1))
    if architecture == Qwen2ForProcessRewardModel.__name__:
        return None
    if not architecture.endswith("ForTokenClassification"):
        return f"{architecture} does not classify tokens"
    return None if labels == 2 else f"it has {labels} labels instead of two"


class Prm:
    """Answers asks of role `prm` with the model in `folder`: `Reply.value` is the probability that
    the last step of `Prompt.prefix` is good. It samples nothing, so `Reply.tokens` is 0.

    Each `poll` scores one batch: prompts of about the same length, with at most `tokens` tokens in
    all, padding included (a longer prompt comes alone). What else is in a batch changes a value by
    no more than float32's rounding, which the value's six decimals mostly hide. Raises `UserError`
    if the model cannot be loaded.
    """

    def __init__(self, folder: Path, *, tokens: int = 8192) -> None:
        self.chat = Chat.load(folder)
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        self._separated = Qwen2ForProcessRewardModel.__name__ in (config.architectures or ())
        self._network = _load(folder, separated=self._separated)
        self._limit: int = getattr(config, "max_position_embeddings", None) or 2**31
        self._tokens = tokens
        self._waiting: list[tuple[int, Ask, list[int]]] = []
        self._failed: list[tuple[int, Replies | Failure]] = []

    def submit(self, ticket: int, ask: Ask) -> None:
        ids: list[int] | Failure
        if ask.role != "prm":
            error = f"a process reward model scores steps and writes none; it is no {ask.role}"
            ids = Failure(error)
        elif not ask.prompt.prefix.strip():
            ids = Failure("there is no step to score")
        else:
            ids = fitting(ask.prompt, self._encode, self._limit)
        if isinstance(ids, Failure):
            self._failed.append((ticket, ids))
        else:
            self._waiting.append((ticket, ask, ids))

    def poll(self, timeout: float) -> Sequence[tuple[int, Replies | Failure]]:
        done, self._failed = self._failed, []
        if self._waiting:
            self._waiting.sort(key=lambda waiting: len(waiting[2]))
            longest = len(self._waiting[-1][2])
            first = -max(1, self._tokens // longest)
            batch, self._waiting = self._waiting[first:], self._waiting[:first]
            values = self._values([ids for _, _, ids in batch])
            for (ticket, ask, ids), value in zip(batch, values, strict=True):
                reply = Reply(value=value, prompt_tokens=len(ids))
                done.append((ticket, (reply,) + (Reply(value=value),) * (ask.n - 1)))
        return done

    def close(self) -> None:
        self._waiting.clear()
        self._failed.clear()
        del self._network

    def _encode(self, prompt: Prompt) -> list[int]:
        chat = self.chat
        return chat.encode_steps(prompt) if self._separated else chat.encode_step(prompt)

    @torch.inference_mode()
    def _values(self, prompts: Sequence[list[int]]) -> list[float]:
        """Probability of the good label at the last token of each prompt."""
        width = max(map(len, prompts))
        ids = torch.tensor([prompt + [0] * (width - len(prompt)) for prompt in prompts])
        last = torch.tensor([len(prompt) - 1 for prompt in prompts])
        seen = (torch.arange(width) <= last[:, None]).long()
        logits = self._network(input_ids=ids, attention_mask=seen, use_cache=False).logits
        chances = logits[torch.arange(len(prompts)), last].double().softmax(-1)
        return [round(chance, 6) for chance in chances[:, GOOD].tolist()]


class Qwen2ForProcessRewardModel(Qwen2PreTrainedModel):
    """Qwen2.5-Math-PRM's architecture, which transformers leaves to code beside the weights."""

    def __init__(self, config: Qwen2Config) -> None:
        super().__init__(config)
        self.model = Qwen2Model(config)
        size = config.hidden_size
        self.score = nn.Sequential(nn.Linear(size, size), nn.ReLU(), nn.Linear(size, 2))
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(self, input_ids: Tensor, **others: Any) -> TokenClassifierOutput:
        hidden = self.model(input_ids, **others).last_hidden_state
        return TokenClassifierOutput(logits=self.score(hidden))


def _load(folder: Path, *, separated: bool) -> Any:
    """The model in float32, for inference."""
    kind: Any = Qwen2ForProcessRewardModel if separated else AutoModelForTokenClassification
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        network, report = kind.from_pretrained(
            folder,
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    except Exception as error:  # whatever a damaged folder makes of the loader, it is one line here
        raise UserError(f"the model in {folder} cannot be loaded: {reason(error)}") from error
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
    if report["missing_keys"]:
        raise UserError(f"the model in {folder} lacks weights: {min(report['missing_keys'])}")
    return network.train(False)
