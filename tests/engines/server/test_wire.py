"""Streams are read as they come, and what cannot be read is a broken answer."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.engines.server.http import Response
from whorl.engines.server.wire import Abilities, Request, Watch, Wire

WIRE = Wire("model", Abilities("chat", tells_stop=0), None)
STOP = ("\n\n", "END")


def streamed(texts: Sequence[str], finish: str | None = "stop") -> bytes:
    choices = [{"delta": {"content": text}} for text in texts]
    choices.append({"delta": {}, "finish_reason": finish})
    lines = [f"data: {json.dumps({'choices': [choice]})}\n\n" for choice in choices]
    return "".join([*lines, 'data: {"choices": [], "usage": {}}\n\n', "data: [DONE]\n\n"]).encode()


def read(body: bytes) -> tuple[str, str, int]:
    request = Request("", {}, STOP, 1, 100, None, True)
    (reply,) = WIRE.read(request, Response(200, "text/event-stream", body, 0.0))
    return reply.text, reply.finished, reply.tokens


TEXTS = st.lists(st.text("aE ND\né∑", min_size=1, max_size=4), max_size=12)


@given(TEXTS, st.lists(st.integers(1, 60), min_size=1, max_size=30))
def test_a_stream_is_cut_as_soon_as_it_has_stopped(texts: list[str], sizes: list[int]) -> None:
    """However it comes in pieces, and without a change to what is read of it."""
    body = streamed(texts)
    watch, came, stopped = Watch(STOP), 0, False
    while came < len(body) and not stopped:
        size = sizes[came % len(sizes)]
        stopped = watch(body[came : came + size])
        came = min(len(body), came + size)
    assert stopped == any(stop in "".join(texts) for stop in STOP)
    assert read(body[:came]) == read(body)


@given(TEXTS)
def test_a_stream_that_ends_early_is_broken(texts: list[str]) -> None:
    if not any(stop in "".join(texts) for stop in STOP):
        with pytest.raises(ValueError, match="ended before"):
            read(streamed(texts, finish=None))


@pytest.mark.parametrize("line", ["[1]", "7", '"text"', "{", '{"choices": [7]}', '{"choices": 7}'])
def test_rubbish_in_a_stream_is_broken(line: str) -> None:
    with pytest.raises(ValueError):
        read(f"data: {line}\n\n".encode())
    Watch(STOP)(f"data: {line}\n\n".encode())
