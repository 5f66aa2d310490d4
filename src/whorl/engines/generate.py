"""Any other causal language model, answered with transformers' generate() in batches.

It differs from the embedded engine: a batch ends before the next begins; nothing is cached between
asks; only asks with equal settings share a batch; samples depend on the batch they were drawn in,
and the batch's seed is that of its first ask.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
)

from whorl.ask import Ask, Failure, Replies, Reply, repeated
from whorl.chat import Chat
from whorl.engines.admission import admitted, scored, to_score
from whorl.steps import cut

_Settings = tuple[tuple[str, ...], int, float, float, int]


class Generate:
    """Answers asks with the model in `folder`, at most `max_rows` samples at a time (an ask with
    more is answered alone). Each `poll` runs one batch."""

    def __init__(
        self, folder: Path, *, max_rows: int = 64, dtype: torch.dtype = torch.float32
    ) -> None:
        self.chat = Chat.load(folder)
        self._max_rows = max_rows
        self._model: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
        )
        # what a folder has as usual would fill in what an ask leaves open, such as penalties
        self._model.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]
        self._limit: int | None = getattr(
            self._model.config.get_text_config(), "max_position_embeddings", None
        )
        self._waiting: dict[_Settings, list[tuple[int, Ask, list[int]]]] = {}
        self._failed: list[tuple[int, Replies | Failure]] = []

    def submit(self, ticket: int, ask: Ask) -> None:
        if ask.given is not None:
            self._failed.append((ticket, self._scored(ask)))
            return
        known = self._model.get_input_embeddings().num_embeddings
        ids, answer = admitted(ask, self.chat.encode, self._limit, known=known)
        if answer is not None:
            self._failed.append((ticket, answer))
            return
        room = ask.max_tokens if self._limit is None else self._limit - len(ids)
        ask = replace(ask, max_tokens=min(ask.max_tokens, room))  # whatever its company is
        settings = (ask.stop, ask.max_tokens, ask.temperature, ask.top_p, ask.n)
        self._waiting.setdefault(settings, []).append((ticket, ask, ids))

    def poll(self, timeout: float) -> Sequence[tuple[int, Replies | Failure]]:
        failed, self._failed = self._failed, []
        if failed or not self._waiting:
            return failed
        settings = next(iter(self._waiting))
        queue = self._waiting[settings]
        batch = list(islice(queue, max(1, self._max_rows // settings[-1])))
        del queue[: len(batch)]
        if not queue:
            del self._waiting[settings]
        replies = self._answer([ask for _, ask, _ in batch], [ids for _, _, ids in batch])
        return list(zip((ticket for ticket, _, _ in batch), replies, strict=True))

    def close(self) -> None:
        self._waiting.clear()
        self._failed.clear()
        del self._model

    @torch.inference_mode()
    def _scored(self, ask: Ask) -> Replies | Failure:
        """The log-probabilities of the text that is given."""
        found = to_score(ask, self.chat, self._limit)
        if isinstance(found, Failure):
            return found
        ids, start = found
        known = torch.tensor([ids])
        scores = self._model(input_ids=known, use_cache=False).logits[0, start - 1 : -1]
        told = scores.float().log_softmax(-1).gather(1, known[0, start:, None]).squeeze(1)
        return scored(told.tolist(), start)

    @torch.inference_mode()
    def _answer(self, asks: Sequence[Ask], prompts: Sequence[list[int]]) -> list[Replies]:
        """Replies to asks that differ only in prompt and seed."""
        ask = asks[0]
        width = max(map(len, prompts))
        pad = self.chat.tokenizer.pad_token_id
        filler = self.chat.end[-1] if pad is None else pad
        ids = torch.tensor([[filler] * (width - len(prompt)) + prompt for prompt in prompts])
        mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
        sampled = ask.temperature > 0
        settings = GenerationConfig(  # type: ignore[no-untyped-call]
            do_sample=sampled,
            temperature=ask.temperature if sampled else None,
            top_p=ask.top_p if sampled else None,
            top_k=0 if sampled else None,
            num_return_sequences=ask.n if sampled else 1,
            max_new_tokens=ask.max_tokens,
            stop_strings=[*ask.stop, *self.chat.stops] or None,
            eos_token_id=sorted(self.chat.ends),
            pad_token_id=filler,
        )
        torch.manual_seed(ask.seed % 2**63)
        chances = _Chances()
        out = self._model.generate(
            input_ids=ids,
            attention_mask=mask,
            generation_config=settings,
            tokenizer=self.chat.tokenizer,
            logits_processor=LogitsProcessorList([chances]),
        )
        new, known = out[:, width:], chances.of(out)
        replies = [self._reply(row, chance, ask) for row, chance in zip(new, known, strict=True)]
        if not sampled:
            return [repeated(reply, ask.n) for reply in replies]
        return [tuple(replies[i : i + ask.n]) for i in range(0, len(replies), ask.n)]

    def _reply(self, ids: Tensor, chances: Tensor, ask: Ask) -> Reply:
        """A row up to its end: the end-of-sequence token, the first stop, or all of it."""
        tokens: list[int] = ids.tolist()
        stops = (*ask.stop, *self.chat.stops)
        begun = self.chat.begun(ask.prompt)
        ended = next((i for i, token in enumerate(tokens) if token in self.chat.ends), None)
        own = tokens[:ended]

        def stopped(count: int) -> tuple[str, str] | None:
            return cut(self.chat.decode(own[:count]), stops)

        if stops and stopped(len(own)):
            count = 1 + bisect_left(range(1, len(own)), True, key=lambda n: stopped(n) is not None)
            text, stop = stopped(count) or ("", "")
            finished: Literal["stop", "eos"] = "stop" if stop in ask.stop else "eos"
            return Reply(begun + text, finished, count, logprob=float(chances[:count].sum()))
        count = len(own) + (ended is not None)
        logprob, text = float(chances[:count].sum()), begun + self.chat.decode(own)
        return Reply(text, "length" if ended is None else "eos", count, logprob=logprob)


class _Chances(LogitsProcessor):
    """Log-probabilities of the chosen tokens under the model's own scores. They are taken a step at
    a time: the scores of all steps would be rows x steps x vocabulary."""

    def __init__(self) -> None:
        self._taken: list[Tensor] = []
        self._scores: Tensor | None = None  # of the newest step, [rows, vocabulary]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        self._take(input_ids)
        self._scores = scores.float().log_softmax(-1)
        return scores

    def of(self, ids: Tensor) -> Tensor:
        """[rows, steps], of what was sampled at the end of `ids`."""
        self._take(ids)
        return torch.stack(self._taken, dim=1)

    def _take(self, ids: Tensor) -> None:
        if self._scores is not None:
            self._taken.append(self._scores.gather(1, ids[:, -1:]).squeeze(1))
