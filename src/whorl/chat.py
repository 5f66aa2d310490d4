"""Text to token ids: one renderer for sampling and for training, so both see the same ids."""

from __future__ import annotations

import re
from array import array
from dataclasses import replace
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from whorl.ask import Prompt
from whorl.errors import UserError
from whorl.steps import paragraphs

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase

_BLANK = "\n\n"
_LAST = re.compile(r".*\n\n(?=\S)", re.DOTALL)  # up to the last step, if steps are paragraphs
_ACROSS = re.compile(r"[\nĊ][^\sĊĠĉċČč]")  # in byte-level tokens Ċ is a line break, the rest space
_ENDS = ("a", "A", "7", ".", "}", "$", " ", "\n", "\t", "é", "数", "∑")
_STARTS = (*"aA7.}$-\\'<(é数∑\u0301", "'s", "42", "**", "#a")

SEPARATOR = "<extra_0>"
"""The token that Qwen2.5-Math-PRM finds behind every step."""


class Chat:
    """A model's tokenizer and chat template.

    `tokenizer` must be a fast one (it gives character offsets) and have a chat template and an
    end-of-sequence token; `UserError` says which of them is missing.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, name: str = "the tokenizer") -> None:
        if not tokenizer.is_fast:
            raise UserError(f"{name} is a slow tokenizer; whorl needs one with a tokenizer.json")
        if not tokenizer.chat_template:
            raise UserError(f"{name} has no chat template; add chat_template.jinja to the folder")
        if tokenizer.eos_token_id is None:
            raise UserError(f"{name} has no end-of-sequence token")
        self.tokenizer = tokenizer
        self.eos: int = tokenizer.eos_token_id
        self._turns = lru_cache(maxsize=4096)(self._render)  # a search asks about one question
        self._growing = Growing(tokenizer.backend_tokenizer)
        begun = tokenizer("x")["input_ids"][0] == tokenizer.bos_token_id
        self._opening = str(tokenizer.bos_token) if begun else ""

    @classmethod
    def load(cls, folder: Path) -> Chat:
        """Read the tokenizer of a model folder. Raises `UserError` if there is none to use."""
        from transformers import AutoTokenizer

        if not (folder / "config.json").is_file():
            raise UserError(f"{folder} is not a model folder: it has no config.json")
        if not any(folder.glob("tokenizer*")):
            raise UserError(f"{folder} has no tokenizer; save the model's tokenizer beside it")
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, KeyError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"the tokenizer in {folder} cannot be read: {reason}") from error
        return cls(tokenizer, name=str(folder))

    def render(self, prompt: Prompt) -> str:
        """The text the model continues: the template's turns, then the assistant's turn so far.

        Without system and user the prefix is a whole text in a form of its own; only the token that
        the tokenizer begins texts with is put before it.
        """
        if not prompt.system and not prompt.user:
            return self._opening + prompt.prefix
        return self._turns(prompt.system, prompt.user) + prompt.prefix

    def _render(self, system: str, user: str) -> str:
        messages = [{"role": "user", "content": user}]
        if system:
            messages.insert(0, {"role": "system", "content": system})
        text = self.tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True
        )
        return str(text)

    def encode(self, prompt: Prompt) -> list[int]:
        """Token ids of `render(prompt)`."""
        return self._growing.ids(self.render(prompt))

    def encode_step(self, prompt: Prompt) -> list[int]:
        """Token ids up to the last step of `prompt.prefix`, at the last of which a process reward
        model scores the step. Blank space after the step is no part of it."""
        return self.encode(replace(prompt, prefix=prompt.prefix.rstrip()))

    def encode_steps(self, prompt: Prompt) -> list[int]:
        """As `encode_step`, with `SEPARATOR` behind every step; at the last one the last step is
        scored. Steps are the prefix's paragraphs."""
        text = "".join(step + SEPARATOR for step in paragraphs(prompt.prefix))
        return self.encode(replace(prompt, prefix=text))

    def encode_completion(
        self, prompt: Prompt, text: str, *, ended: bool = True
    ) -> tuple[list[int], int]:
        """Token ids of context + completion (+ end of turn if `ended`), and how many are context.

        The whole text is tokenized once. Where a token straddles the end of the context, it counts
        as completion: the model has to predict it.
        """
        context = self.render(prompt)
        encoded = self.tokenizer(
            context + text, add_special_tokens=False, return_offsets_mapping=True
        )
        ids: list[int] = list(encoded["input_ids"])
        ends = (end for _, end in encoded["offset_mapping"])
        start = next((i for i, end in enumerate(ends) if end > len(context)), len(ids))
        return ([*ids, self.eos] if ended else ids), start

    def decode(self, ids: list[int]) -> str:
        """Text of sampled ids; special tokens are left out."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True))


class Growing:
    """A tokenizer that remembers what it has made of the last `room` texts that end in a blank
    line.

    The prompts of a search grow by a step at a time. Tokenizing them anew each time was a fifth of
    what a request to a server costs here. The ids are those of the whole text: where a
    tokenizer does not treat both sides of a blank line apart, nothing is put together.
    """

    def __init__(self, tokenizer: Tokenizer, room: int = 8192) -> None:
        self._tokenizer = tokenizer
        self._known: dict[str, array[int]] = {}
        self._room = room if parts_at_blank_lines(tokenizer) else 0

    def ids(self, text: str) -> list[int]:
        if (known := self._known.get(text)) is not None:
            return known.tolist()
        start = _LAST.match(text) if self._known else None
        known = self._known.get(start[0]) if start else None
        if start and known is not None:
            ids = known.tolist() + encoded(self._tokenizer, text[start.end() :])
        else:
            ids = encoded(self._tokenizer, text)
        if self._room and text.endswith(_BLANK):
            if len(self._known) == self._room:
                del self._known[next(iter(self._known))]
            self._known[text] = array("I", ids)  # a ninth of a list of numbers
        return ids


def encoded(tokenizer: Tokenizer, text: str) -> list[int]:
    """Token ids of a text as it stands. The fast tokenizers' own call is passed over: it costs more
    than this on a short text."""
    (encoding,) = tokenizer.encode_batch_fast([text], add_special_tokens=False)
    ids: list[int] = encoding.ids
    return ids


def parts_at_blank_lines(tokenizer: Tokenizer) -> bool:
    """Whether a text that goes on after a blank line has the tokens of both its parts.

    It has where text is cut into words before tokens are looked for, and line breaks are words of
    their own, as in Qwen's and Llama 3's tokenizers; not in GPT-2's, which sees what follows the
    line breaks, nor in those that put a space before a text. All kinds of characters are tried on
    both sides.
    """
    if any(token.lstrip for token in tokenizer.get_added_tokens_decoder().values()):
        return False  # it takes the line breaks before it
    if any(map(_ACROSS.search, tokenizer.get_vocab())):
        return False
    before = {end: encoded(tokenizer, end + _BLANK) for end in _ENDS}
    after = {start: encoded(tokenizer, start) for start in _STARTS}
    return all(
        encoded(tokenizer, end + _BLANK + start) == before[end] + after[start]
        for end, start in product(_ENDS, _STARTS)
    )
