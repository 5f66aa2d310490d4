"""Text to token ids: one renderer for sampling and for training, so both see the same ids.

`tokenizer` loads a model's own, `template` is what renders, `renderer` has it do so within limits,
`turns` finds out what a template does, `thoughts` knows a model's marks, `named` has templates for
base models, `growing` tokenizes what grows.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from whorl import prompts
from whorl.ask import Prompt
from whorl.chat.growing import Growing
from whorl.chat.tokenizer import load_tokenizer
from whorl.errors import UserError, reason
from whorl.prompts.wording import SETS
from whorl.steps import paragraphs

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SEPARATOR = "<extra_0>"
"""The token that Qwen2.5-Math-PRM finds behind every step."""


class Chat:
    """A model's tokenizer and chat template.

    `tokenizer` must be a fast one (it gives character offsets) and have a chat template that takes
    a conversation and ends a turn, or else an end-of-sequence token; `UserError` says what is
    missing or refused, before anything is asked.

    declared: end-of-sequence ids that the model's configuration names.

    `end` is what training puts behind a finished turn, as the template does. Sampling ends a turn
    at any of the tokens `ends`, or where the text comes to one of `stops`; `endings` are both as
    texts, for who samples elsewhere. Thoughts in prompts and
    in what `decode` gives stand between `<think>` and `</think>`; the model sees its own marks.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        name: str = "the tokenizer",
        declared: Collection[int] = (),
    ) -> None:
        if not tokenizer.is_fast:
            raise UserError(f"{name} is a slow tokenizer; whorl needs one with a tokenizer.json")
        if not tokenizer.chat_template:
            raise UserError(
                f"{name} has no chat template; add chat_template.jinja to the folder, or name one "
                "behind the model: ?template=qwen, alpaca, plain or FILE.jinja"
            )
        from whorl.chat.renderer import renderer
        from whorl.chat.template import frozen
        from whorl.chat.thoughts import find_thoughts
        from whorl.chat.turns import find_ends, find_turns

        self.tokenizer = tokenizer
        self.name = name
        source = str(tokenizer.get_chat_template())
        if (dated := frozen(source)) != source:
            tokenizer.chat_template = dated  # it is saved with what is trained under it
        tokens = tuple(sorted((n, str(t)) for n, t in tokenizer.special_tokens_map.items()))
        self._renderer = renderer(dated, tokens)
        try:
            self.turns = find_turns(self._renderer)
        except UserError as error:
            raise UserError(f"{name}: its chat template takes no conversation: {error}") from error
        found = find_ends(tokenizer, self.turns, declared)
        if found is None:
            raise UserError(f"{name} has no end-of-sequence token, and its template ends no turn")
        self.end, self.ends, self.stops = found.end, found.tokens, found.stops
        self.endings = tuple(dict.fromkeys((*self.stops, *map(self._text, sorted(self.ends)))))
        self.thoughts = find_thoughts(tokenizer, self.turns.opening)
        self._turns = lru_cache(maxsize=4096)(self._render)  # a search asks about one question
        self._growing = Growing(tokenizer.backend_tokenizer)
        begun = tokenizer("x")["input_ids"][0] == tokenizer.bos_token_id
        self._opening = str(tokenizer.bos_token) if begun else ""

    @classmethod
    def load(cls, folder: Path) -> Chat:
        """Tokenizer and template of a model folder. Raises `UserError` if they cannot be used."""
        return cls(load_tokenizer(folder), name=str(folder), declared=_declared(folder))

    def render(self, prompt: Prompt) -> str:
        """The text the model continues: the template's turns, then the assistant's turn so far.

        Without system and user the prefix is a whole text in a form of its own; only the token that
        the tokenizer begins texts with is put before it.
        """
        if not prompt.system and not prompt.user:
            return self._opening + prompt.prefix
        return self._turns(prompt.system, prompt.user) + self.thoughts.own(prompt.prefix)

    def _text(self, token: int) -> str:
        return str(self.tokenizer.decode([token]))

    def _render(self, system: str, user: str) -> str:
        said = [("system", system)] if system else []
        told = self.turns.messages([*said, ("user", user)])
        made = self._renderer.render(told, opened=True)
        if made.error:
            raise UserError(f"{self.name}: its chat template refuses a prompt: {made.error}")
        return made.text

    def encode(self, prompt: Prompt) -> list[int]:
        """Token ids of `render(prompt)`."""
        return self._growing.ids(self.render(prompt))

    def encode_step(self, prompt: Prompt) -> list[int]:
        """Token ids up to the last step of `prompt.prefix`, at the last of which a process reward
        model of ours scores the step. Blank space after the step is no part of it.

        prompt: `user` is the bare question, which is asked in the words of the house.
        """
        asked = prompts.solve(prompt.user)
        return self.encode(replace(asked, prefix=prompt.prefix.rstrip()))

    def encode_steps(self, prompt: Prompt) -> list[int]:
        """As `encode_step`, for Qwen2.5-Math-PRM: in the words of its model card, with `SEPARATOR`
        behind every step, at the last of which the last step is scored. Steps are the prefix's
        paragraphs; the separator stands in the place of the blank lines."""
        asked = prompts.solve(prompt.user, SETS["qwen"])
        text = "".join(step + SEPARATOR for step in paragraphs(prompt.prefix))
        return self.encode(replace(asked, prefix=text))

    def encode_completion(
        self, prompt: Prompt, text: str, *, ended: bool = True
    ) -> tuple[list[int], int]:
        """Token ids of context + completion (+ end of turn if `ended`), and how many are context.

        The whole text is tokenized once. Where a token straddles the end of the context, it counts
        as completion: the model has to predict it.
        """
        whole = self.render(replace(prompt, prefix=prompt.prefix + text))
        context = self.render(prompt)
        while not whole.startswith(context):  # a mark lies across the border
            context = context[:-1]
        encoded = self.tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
        ids: list[int] = list(encoded["input_ids"])
        ends = (end for _, end in encoded["offset_mapping"])
        start = next((i for i, end in enumerate(ends) if end > len(context)), len(ids))
        return ([*ids, *self.end] if ended else ids), start

    def decode(self, ids: list[int]) -> str:
        """Text of sampled ids; special tokens are left out, and the marks of a thought are ours."""
        return self.thoughts.decode(self.tokenizer, ids)

    def begun(self, prompt: Prompt) -> str:
        """What a sample begins with before anything is sampled: the opening of a thought, where the
        template writes that."""
        return self.thoughts.begun(prompt.prefix) if prompt.system or prompt.user else ""


def _declared(folder: Path) -> list[int]:
    """End-of-sequence ids that a model folder's configuration names. Raises `UserError` if a file
    of it cannot be read, or names what is no id."""
    files = (folder / name for name in ("config.json", "generation_config.json"))
    return [id for file in files if file.is_file() for id in _ends(file)]


def _ends(file: Path) -> list[int]:
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read: {reason(error)}; {_AGAIN}") from error
    if not isinstance(said, dict):
        raise UserError(f"{file} should hold an object in braces; {_AGAIN}")
    text = said.get("text_config")
    ids = said.get("eos_token_id", text.get("eos_token_id") if isinstance(text, dict) else None)
    each = [] if ids is None else ids if isinstance(ids, list) else [ids]
    if not all(type(id) is int and id >= 0 for id in each):  # True is an int as well
        raise UserError(
            f"{file}: eos_token_id should be a token's number, or a list of them, not "
            f"{json.dumps(ids)[:60]}; {_AGAIN}"
        )
    return each


_AGAIN = "mend it, or fetch the model again"
