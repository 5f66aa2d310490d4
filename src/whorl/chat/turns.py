"""How a chat template takes turns, found by rendering a conversation: nothing else tells."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import dropwhile, takewhile
from typing import TYPE_CHECKING

from whorl.chat.renderer import Renderer
from whorl.chat.template import Message
from whorl.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_SYSTEM, _USER, _ASSISTANT, _NEXT = "sysword", "userword", "replyword", "nextword"
_LEAST = 3  # characters of a label that opens the user's turn; fewer may stand in any text


@dataclass(frozen=True, slots=True)
class Turns:
    """What a template does with a conversation.

    merged: it takes no system turn: its words go before the user's.
    parts: it takes what is said as a list of parts only, never as a string.
    deaf: it takes a system turn and leaves its words out.
    opening, told: what it puts between the user's words and the assistant's, before these are
        spoken and when they are past.
    after: what follows the assistant's words where the conversation ends.
    between: what follows them up to the user's next words; empty if the template takes no more.
    """

    merged: bool
    parts: bool
    deaf: bool
    opening: str
    told: str
    after: str
    between: str

    def messages(self, said: Sequence[tuple[str, str]]) -> list[Message]:
        """A conversation of (role, words) as the template takes it."""
        if self.merged and said[0][0] == "system":
            (_, system), (role, user), *rest = said
            said = [(role, f"{system}\n\n{user}"), *rest]
        return _messages(said, parts=self.parts)


def find_turns(renderer: Renderer) -> Turns:
    """Try a template out. Raises `UserError` with the reason, if it takes no conversation."""
    system, user = ("system", _SYSTEM), ("user", _USER)
    reply, following = ("assistant", _ASSISTANT), ("user", _NEXT)
    error = ""
    for parts in (False, True):
        asked = renderer.render(_messages((user,), parts=parts), opened=True)
        if asked.error or _USER not in asked.text:
            error = error or asked.error or "it leaves out what the user says"
            if asked.beyond:
                break
            continue
        told, finished, longer = (
            renderer.render(_messages(said, parts=parts), opened=opened)
            for said, opened in (
                ((system, user), True),
                ((user, reply), False),
                ((user, reply, following), True),
            )
        )
        before, _, after = finished.text.rpartition(_ASSISTANT)
        return Turns(
            merged=_USER not in told.text,
            parts=parts,
            deaf=_USER in told.text and _SYSTEM not in told.text,
            opening=asked.text.rpartition(_USER)[2],
            told=before.rpartition(_USER)[2],
            after=after if before else "",
            between=longer.text.rpartition(_ASSISTANT)[2].partition(_NEXT)[0]
            if _ASSISTANT in longer.text
            else "",
        )
    raise UserError(error)


@dataclass(frozen=True, slots=True)
class Ends:
    """How the assistant's turn ends.

    end: what follows a finished turn in training, and nothing else does.
    tokens: a sampled one of them ends the turn, whether by its end or by running on into the next.
    stops: texts that do, where no token does. They are no part of the turn.
    """

    end: tuple[int, ...]
    tokens: frozenset[int]
    stops: tuple[str, ...]


def find_ends(
    tokenizer: PreTrainedTokenizerBase, turns: Turns, declared: Collection[int]
) -> Ends | None:
    """What ends a turn that the template ended. None if neither it nor the model says.

    declared: tokens that the model's configuration calls ends of a sequence.
    """
    eos = tokenizer.eos_token_id
    tokens = {*declared, *([] if eos is None else [eos])}
    stops: list[str] = []
    after = _marks(tokenizer, turns.after)
    between = _marks(tokenizer, turns.between)
    if after:
        end: tuple[int, ...] = after
    elif between and between[0] in tokens:  # as GLM's, whose turn ends where the user's begins
        end = between[:1]
    elif text := turns.after.strip():
        end = tuple(tokenizer.encode(text, add_special_tokens=False))
        stops.append(text)
    elif eos is not None:
        end = (eos,)
    else:
        return None
    if not stops:
        special = _special(tokenizer)
        tokens |= {end[-1], *(token for token in end if token not in special)}
    ended = str(tokenizer.decode(list(end)))
    rest = turns.between.partition(ended)[2] if ended in turns.between else turns.between
    if opener := _marks(tokenizer, rest):
        if not _structured(tokenizer, turns):
            tokens.add(opener[0])
    elif len(label := rest.strip()) >= _LEAST:
        stops.append("\n" + label if "\n" in rest[: rest.index(label)] else label)
    return Ends(end, frozenset(tokens), tuple(stops))


def _messages(said: Sequence[tuple[str, str]], *, parts: bool) -> list[Message]:
    return [
        {"role": role, "content": [{"type": "text", "text": words}] if parts else words}
        for role, words in said
    ]


def _marks(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[int, ...]:
    """The first tokens in a text that were added to the vocabulary to mark something, as far as
    they stand together."""
    added = tokenizer.added_tokens_decoder
    ids = tokenizer.encode(text, add_special_tokens=False)
    return tuple(takewhile(added.__contains__, dropwhile(lambda i: i not in added, ids)))


def _structured(tokenizer: PreTrainedTokenizerBase, turns: Turns) -> bool:
    """Whether the assistant itself writes marks, as gpt-oss does between thought and answer: what
    opens a turn may then stand within one."""
    extra = turns.told.removeprefix(turns.opening)
    ids = tokenizer.encode(extra, add_special_tokens=False)
    return extra != turns.told and not _special(tokenizer).isdisjoint(ids)


def _special(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """The tokens that no text is made of."""
    return {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
