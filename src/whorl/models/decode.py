"""Plain batched decoding with `transformers`: what pretraining needs before there is an engine."""

from collections.abc import Sequence

import torch
from transformers import GenerationConfig, LlamaForCausalLM

from whorl.ask import Prompt
from whorl.chat import Chat


class Decoder:
    """A model with its tokenizer. Samples come from torch's global generator."""

    def __init__(self, model: LlamaForCausalLM, chat: Chat, *, rows: int = 256) -> None:
        self._model = model
        self._chat = chat
        self._rows = rows
        (self._blank,) = chat.tokenizer.encode("\n\n", add_special_tokens=False)

    def replies(
        self, prompts: Sequence[Prompt], *, temperature: float = 0.0, max_tokens: int = 160
    ) -> list[str]:
        """A whole reply to every prompt; greedy at temperature 0."""
        return self._decode(prompts, [*self._chat.end], max_tokens, temperature)

    def steps(self, prompts: Sequence[Prompt], *, temperature: float = 0.0) -> list[str]:
        """The next step after every prompt's prefix: a reply cut at its first blank line."""
        return self._decode(prompts, [*self._chat.end, self._blank], 48, temperature)

    @torch.inference_mode()
    def _decode(
        self, prompts: Sequence[Prompt], stop: list[int], max_tokens: int, temperature: float
    ) -> list[str]:
        """Replies in the prompts' order; computed in batches of similar length."""
        pad = self._chat.tokenizer.pad_token_id
        config = GenerationConfig(  # type: ignore[no-untyped-call]
            max_new_tokens=max_tokens,
            eos_token_id=stop,
            pad_token_id=pad,
            do_sample=temperature > 0,
            temperature=temperature or None,
            top_k=0 if temperature else None,
        )
        encoded = [self._chat.encode(prompt) for prompt in prompts]
        order = sorted(range(len(prompts)), key=lambda i: len(encoded[i]))
        texts = [""] * len(prompts)
        self._model.train(False)
        for start in range(0, len(order), self._rows):
            chosen = order[start : start + self._rows]
            width = max(len(encoded[i]) for i in chosen)
            left = [width - len(encoded[i]) for i in chosen]
            ids = [[pad] * n + encoded[i] for n, i in zip(left, chosen, strict=True)]
            mask = [[0] * n + [1] * (width - n) for n in left]
            output = self._model.generate(  # type: ignore[misc]
                torch.tensor(ids), attention_mask=torch.tensor(mask), generation_config=config
            )
            for i, reply in zip(chosen, output[:, width:].tolist(), strict=True):
                texts[i] = self._chat.decode(reply).strip()
        return texts
