"""Samples from servers: who answers, as whom, and with what."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from functools import partial

from whorl.ask import Ask, Failure, Replies, Reply, repeated
from whorl.chat import Chat
from whorl.engines.affinity import question
from whorl.engines.server.background import Answer
from whorl.engines.server.probe import (
    OtherTokenizer,
    Served,
    differences,
    probe,
    served,
    table,
)
from whorl.engines.server.tokenizer import load_chat
from whorl.engines.server.transport import LostError, RefusedError, Transport
from whorl.engines.server.wire import Abilities, Request, Watch, Wire
from whorl.errors import UserError

LOG = logging.getLogger("whorl.engines")


async def begin(transport: Transport) -> Answer:
    """Find out what the servers of an address can do, say so, and answer accordingly.

    Raises `UserError` if one cannot be used, none is in reach, or they are not alike.
    """
    found = await transport.each(partial(served, transport))
    urls = [*found]
    model, *others = sorted({one.name for one in found.values()})
    if others:
        raise UserError(
            f"the endpoints serve different models, {model} and {others[0]}; name one: model=NAME"
        )
    named = transport.address.tokenizer
    chat = load_chat(named, model)
    try:
        abilities = await _probed(transport, found, chat)
    except OtherTokenizer:
        if named:
            raise
        chat = None  # a folder that is called as the model is, and is another one
        abilities = await _probed(transport, found, chat)
    for url, other in zip(urls[1:], abilities[1:], strict=True):
        if unlike := differences(abilities[0], other):
            raise UserError(
                f"{url} and {urls[0]} differ in {', '.join(unlike)}; use servers that are alike"
            )
    tell(urls, model, abilities[0], chat)
    return partial(answer, transport, Wire(model, abilities[0], chat))


async def _probed(
    transport: Transport, found: Mapping[str, Served], chat: Chat | None
) -> list[Abilities]:
    """What each endpoint can do with the model that was found there."""
    return await asyncio.gather(*(probe(transport, url, one, chat) for url, one in found.items()))


async def answer(transport: Transport, wire: Wire, ask: Ask) -> Replies | Failure:
    """An ask's `n` replies, of as many requests as that takes. If one of them is refused for good,
    the others are awaited and what they brought is handed over with the failure."""
    requests = wire.requests(ask)
    home = question(ask.prompt)

    async def post(request: Request) -> Replies:
        watch = partial(Watch, (*request.stop, *request.ends)) if request.streamed else None
        read = partial(wire.read, request)
        return await transport.post(
            request.path, request.body, read, home, most=request.most, watch=watch
        )

    if not requests:
        return (Reply(finished="length", logprob=0.0),) * ask.n
    said = await asyncio.gather(*map(post, requests), return_exceptions=True)
    replies: Replies = ()
    for one in said:
        replies += one if isinstance(one, tuple) else getattr(one, "made", ())
    faults = [one for one in said if isinstance(one, BaseException)]
    for fault in faults:
        if isinstance(fault, LostError):
            fault.made = replies
        if not isinstance(fault, RefusedError):
            raise fault
    if faults:
        withheld = [one for fault in faults for one in getattr(fault, "withheld", ())]
        return Failure(str(faults[0]), replies, tuple(withheld))
    return replies if len(replies) == ask.n else repeated(replies[0], ask.n)  # greedy ones


def tell(urls: Sequence[str], model: str, abilities: Abilities, chat: Chat | None) -> None:
    """Log what was found as one table."""
    rows = [("server", ", ".join(urls)), ("model", model), *table(abilities)]
    if chat is None:
        rows.append(("tokenizer", "none: give tokenizer=FOLDER to send prompts as the model's own"))
    width = max(len(name) for name, _ in rows)
    LOG.info("\n".join(f"{name:{width}}  {said}" for name, said in rows))
