"""Scores of steps from servers: vLLM's pooling endpoint, or any that is told a question and steps.

    POST /v1/score   {"question": "...", "steps": ["...", ...]} -> {"scores": [0.9, ...]}

with one number in [0, 1] for every step, and "model" beside the question where one is named.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from whorl.ask import Ask, Failure, Prompt, Replies, Reply
from whorl.chat import SEPARATOR, Chat
from whorl.engines.admission import fitting
from whorl.engines.affinity import question
from whorl.engines.server.background import Answer
from whorl.engines.server.http import Response
from whorl.engines.server.probe import served
from whorl.engines.server.reading import count, number
from whorl.engines.server.tokenizer import load_chat
from whorl.engines.server.transport import RefusedError, Transport, read_json
from whorl.errors import UserError
from whorl.steps import paragraphs

_SPARE = 1 << 20  # bytes of a response besides its scores
_ECHOED = 64  # times the request: two probabilities for each token of it, written out

_TRIED = Prompt("", "What is 3 + 4?", "3 + 4 = 7\n\nThe answer is 7.")


class Scorer(Protocol):
    """A way to have the last step of a prompt's prefix scored."""

    @property
    def path(self) -> str: ...

    def body(self, prompt: Prompt) -> Mapping[str, object]:
        """Raises `RefusedError` if the prompt cannot be sent."""

    def reply(self, said: Any, prompt: Prompt) -> Reply:
        """What a response says. Raises ValueError if it does not."""


@dataclass(frozen=True, slots=True)
class Pooling:
    """vLLM's endpoint. It gives the probabilities of "bad" and "good" at every token, or at every
    `SEPARATOR` (Qwen2.5-Math-PRM, 2501.07301); either way the last pair is of the last step."""

    model: str
    chat: Chat
    context: int | None
    path: str = "/pooling"

    def body(self, prompt: Prompt) -> Mapping[str, object]:
        separated = SEPARATOR in self.chat.tokenizer.get_vocab()
        encode = self.chat.encode_steps if separated else self.chat.encode_step
        ids = fitting(prompt, encode, self.context)
        if isinstance(ids, Failure):
            raise RefusedError(ids.error)
        return {"model": self.model, "input": ids}

    def reply(self, said: Any, prompt: Prompt) -> Reply:
        try:
            _, good = said["data"][0]["data"][-1]
            usage = said.get("usage")
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise ValueError("no pair of probabilities came for the last step") from error
        read = count(usage.get("prompt_tokens")) if isinstance(usage, dict) else None
        return Reply(value=_chance(good), prompt_tokens=read or 0)


@dataclass(frozen=True, slots=True)
class Plain:
    """An endpoint that is told the question and the steps in words."""

    model: str
    path: str = "/v1/score"

    def body(self, prompt: Prompt) -> Mapping[str, object]:
        named = {"model": self.model} if self.model else {}
        return {**named, "question": prompt.user, "steps": paragraphs(prompt.prefix)}

    def reply(self, said: Any, prompt: Prompt) -> Reply:
        scores = said.get("scores") if isinstance(said, dict) else None
        steps = len(paragraphs(prompt.prefix))
        if not isinstance(scores, list) or len(scores) != steps:
            got = len(scores) if isinstance(scores, list) else "no"
            raise ValueError(f"{got} scores for {steps} steps")
        return Reply(value=_chance(scores[-1]))


async def begin(transport: Transport) -> Answer:
    """Find out how the servers of an address score steps, and answer accordingly.

    The address's urls are those of the servers themselves, without the API's version. Raises
    `UserError` if one does not score steps, none is in reach, or they are not alike.
    """
    (first, scorer), *others = (await transport.each(partial(_scorer, transport))).items()
    for url, other in others:
        if (other.path, other.model) != (scorer.path, scorer.model):
            raise UserError(f"{url} and {first} differ; use servers that are alike")
    return partial(answer, transport, scorer)


async def _scorer(transport: Transport, url: str) -> Pooling | Plain:
    """What an endpoint understands, tried out: token ids, if we are told the tokenizer or if it
    takes no words."""
    plain, trouble = Plain(transport.address.model), ""
    if not transport.address.tokenizer:
        try:
            plain.reply(await transport.once(url, plain.path, plain.body(_TRIED)), _TRIED)
            return plain
        except (RefusedError, ValueError) as error:  # vLLM has something else at that place
            trouble = transport.shown(error)
    model = await served(transport, f"{url}/v1")
    chat = load_chat(transport.address.tokenizer, model.name)
    if chat is None:
        raise UserError(f"{trouble}; a server that takes token ids needs tokenizer=FOLDER")
    pooling = Pooling(model.name, chat, model.context)
    try:
        pooling.reply(await transport.once(url, pooling.path, pooling.body(_TRIED)), _TRIED)
    except (RefusedError, ValueError) as error:
        raise UserError(
            f"{url} does not score steps: {transport.shown(error)}; is it a process reward model, "
            "and started with --runner pooling?"
        ) from error
    return pooling


async def answer(transport: Transport, scorer: Scorer, ask: Ask) -> Replies:
    """How good the last step of the ask's prefix is, told `n` times."""
    if ask.role != "prm":
        raise RefusedError(f"a process reward model scores steps and is no {ask.role}")
    if not ask.prompt.prefix.strip():
        raise RefusedError("there is no step to score")

    def read(response: Response) -> Reply:
        return scorer.reply(read_json(response), ask.prompt)

    home = question(ask.prompt)
    reply = await transport.post(
        scorer.path, scorer.body(ask.prompt), read, home, most=lambda sent: _SPARE + _ECHOED * sent
    )
    return (reply, *(Reply(value=reply.value),) * (ask.n - 1))


def _chance(said: Any) -> float:
    """A probability, rounded as the embedded reward model's are."""
    chance = number(said)
    if not 0 <= chance <= 1:
        raise ValueError(f"{chance} is no probability")
    return round(chance, 6)
