"""Whatever a server says is read, or is a broken answer; nothing else comes of it."""

import json
from collections.abc import Sequence
from random import Random
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.ask import Failure, Prompt, Reply, paid
from whorl.ask import made as samples
from whorl.engines.server.http import Response
from whorl.engines.server.reading import count, number, read_said
from whorl.engines.server.scores import Plain
from whorl.engines.server.transport import RefusedError
from whorl.engines.server.wire import Abilities, Request, Watch, Wire

WIRE = Wire("model", Abilities("chat"), None)
NUMBERS = st.one_of(st.integers(), st.floats(), st.booleans(), st.text(max_size=3), st.none())


def asked(n: int = 1, *, stop: Sequence[str] = (), streamed: bool = False) -> Request:
    return Request("", {}, tuple(stop), n, 100, 7, streamed)


def answered(said: Any, request: Request | None = None, wire: Wire = WIRE) -> Sequence[Reply]:
    body = json.dumps(said).encode()
    return wire.read(request or asked(), Response(200, "application/json", body, 0.0))


def chat(content: object, finish: object = "stop", **more: object) -> dict[str, Any]:
    message = {"role": "assistant", "content": content, **more}
    return {"choices": [{"index": 0, "finish_reason": finish, "message": message}]}


@pytest.fixture(scope="module")
def recorded(load_benchmark: Any) -> ModuleType:
    module: ModuleType = load_benchmark("recorded")
    return module


def test_recorded_replies_are_read(recorded: ModuleType) -> None:
    first, second = answered(recorded.VLLM, asked(2, stop=["\n\n"]))
    assert first == Reply("3 + 12 = 15.", "stop", 2, None, pytest.approx(-0.3), 31, 16)
    assert second == Reply("Anna has 15.", "length", 1, None, -1.5)
    (whole,) = answered(recorded.CHAT)
    assert whole == Reply(
        "<think>\nTwo and two.\n</think>\n\nThe answer is \\boxed{4}.", "eos", 15, None, None, 20
    )
    (parts,) = answered(recorded.PARTS)
    assert parts.text == "<think>\nmaybe 5\n</think>\n\nThe answer is \\boxed{4}."
    (llama,) = answered(recorded.LLAMA, asked(stop=["\n\n"]))
    assert (llama.finished, llama.tokens, llama.cached_tokens) == ("stop", 8, 29)
    body = "".join(f"data: {json.dumps(one)}\n\n" for one in recorded.STREAM).encode()
    (stream,) = WIRE.read(asked(streamed=True), Response(200, "text/event-stream", body, 0.0))
    assert stream.text == "<think>\nTwo.\n</think>\n\nThe answer is 4."
    assert stream.finished == "eos"
    assert (stream.tokens, stream.prompt_tokens) == (9, 20)


@pytest.mark.parametrize(
    "finish", ["abort", "error", "insufficient_system_resource", "", None, "x" * 999]
)
def test_a_sample_that_is_not_whole_is_a_broken_answer(finish: str | None) -> None:
    for said in (
        chat("The answer is 4. Let me che", finish),
        {"choices": [{"text": "4", "finish_reason": finish}]},
    ):
        with pytest.raises(ValueError, match="ended"):
            answered(said)


@pytest.mark.parametrize("finish", ["length", "max_tokens", "MAX_TOKENS"])
def test_a_sample_that_was_cut_off_is_not_ended(finish: str) -> None:
    assert answered(chat("4", finish))[0].finished == "length"


def test_what_a_server_keeps_from_us_fails_and_the_rest_is_kept() -> None:
    said = chat("4")
    for finish in ("content_filter", "tool_calls"):
        said["choices"] += chat(None, finish)["choices"]
    with pytest.raises(RefusedError, match="tool_calls") as refused:
        answered(said, asked(3))
    assert [reply.text for reply in refused.value.made] == ["4"]


@pytest.mark.parametrize(("kept", "made"), [(0, [10, 10, 10]), (1, [10, 10]), (3, [])])
def test_what_a_server_keeps_from_us_is_paid_for(kept: int, made: list[int]) -> None:
    said = {"usage": {"prompt_tokens": 50, "completion_tokens": 30}, "choices": []}
    for slot in range(3):
        said["choices"] += chat("4", "content_filter" if slot < kept else "stop")["choices"]
    try:
        answer: Any = answered(said, asked(3))
    except RefusedError as error:
        answer = Failure(str(error), error.made, error.withheld)
        assert [reply.text for reply in error.withheld] == [""] * kept
    assert [reply.tokens for reply in samples(answer)] == made
    assert sum(reply.tokens for reply in paid(answer)) == 30
    assert sum(reply.prompt_tokens for reply in paid(answer)) == 50


@pytest.mark.parametrize(
    "said",
    [
        chat(None, refusal="I cannot help with that."),
        chat([{"type": "refusal", "refusal": "I cannot help with that."}]),
    ],
)
def test_a_refusal_is_no_empty_solution(said: Any) -> None:
    with pytest.raises(RefusedError, match="refusal"):
        answered(said)


@pytest.mark.parametrize(
    "field",
    [
        {"reasoning_content": [{"type": "text", "text": "Two."}]},
        {"reasoning": {"type": "text", "text": "Two."}},
        {"thinking": "Two."},
    ],
)
def test_a_thought_is_read_in_whatever_field_and_form_it_comes(field: dict[str, Any]) -> None:
    (reply,) = answered(chat("It is 4.", refusal=None, **field))
    assert reply.text == "<think>\nTwo.\n</think>\n\nIt is 4."


def test_a_stop_string_in_the_text_makes_a_sample_whole_however_it_ended() -> None:
    (reply,) = answered(chat("3 + 4 = 7\n\nSo", "abort"), asked(stop=["\n\n"]))
    assert (reply.text, reply.finished) == ("3 + 4 = 7", "stop")


def test_a_server_that_never_says_why_is_believed_its_tokens() -> None:
    silent = Wire("model", Abilities("chat", tells_end=False), None)
    for tokens, finished in ((99, "eos"), (100, "length")):
        said = {**chat("4", None), "usage": {"completion_tokens": tokens}}
        assert answered(said, wire=silent)[0].finished == finished


@pytest.mark.parametrize(
    "usage",
    [
        None, [], [7], "7", 7, {}, {"completion_tokens": None}, {"completion_tokens": [15]},
        {"completion_tokens": -1}, {"completion_tokens": 10**30}, {"completion_tokens": True},
        {"prompt_tokens": {}, "prompt_tokens_details": [{"modality": "TEXT", "token_count": 20}]},
    ],
)  # fmt: skip
def test_odd_counts_are_not_believed(usage: object) -> None:
    (reply,) = answered({**chat("twelve chars"), "usage": usage})
    assert (reply.tokens, reply.prompt_tokens, reply.cached_tokens) == (4, 7, 0)


@pytest.mark.parametrize("logprobs", [{"content": []}, {"token_logprobs": []}])
def test_an_empty_list_is_no_log_probabilities(logprobs: object) -> None:
    said = {**chat("4"), "usage": {"completion_tokens": 90}}
    said["choices"] = [{**said["choices"][0], "logprobs": logprobs}] * 3
    replies = answered(said, asked(3))
    assert [(reply.tokens, reply.logprob) for reply in replies] == [(30, None)] * 3


def test_no_more_of_a_prompt_is_known_than_was_read() -> None:
    usage = {
        "completion_tokens": 3.0,
        "prompt_tokens": 20,
        "prompt_tokens_details": {"cached_tokens": 999},
    }
    (reply,) = answered({**chat("4"), "usage": usage})
    assert (reply.tokens, reply.prompt_tokens, reply.cached_tokens) == (3, 20, 20)


@pytest.mark.parametrize(
    "choice",
    [
        None, 7, "4", [], {}, {"message": None}, {"message": []}, {"message": {"content": 7}},
        {"message": {"content": {"text": "4"}}}, {"message": {"content": [{"type": "image_url"}]}},
        {"message": {"content": [7]}}, {"message": {"content": [[]]}}, {"text": 7}, {"text": ["4"]},
        {"text": "4", "logprobs": {"token_logprobs": [None]}},
        {"text": "4", "logprobs": {"content": [{"logprob": "x"}]}},
        {"text": "4", "logprobs": {"content": [10**400]}},
        {"text": "4", "finish_reason": {"type": "stop"}},
    ],
)  # fmt: skip
def test_a_choice_that_cannot_be_read_is_a_broken_answer(choice: Any) -> None:
    full = {"finish_reason": "stop", **choice} if isinstance(choice, dict) else choice
    with pytest.raises(ValueError):
        answered({"choices": [full]})


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ([], "no JSON object"),
        ({"error": {"message": "out of memory"}}, "out of memory"),
        ({"choices": None}, "choices are missing"),
        ({"choices": []}, "no choices"),
        ({"choices": chat("4")["choices"] * 2}, "2 choices instead of 1"),
    ],
)
def test_what_is_no_answer_says_why(said: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        answered(said)


def test_halves_of_a_character_are_joined_across_a_stream() -> None:
    pieces = ['"\\ud83d"', '"\\ude00 \\ud800"', '"!"']
    lines = [f'data: {{"choices": [{{"delta": {{"content": {one}}}}}]}}\n' for one in pieces]
    body = "".join([*lines, f"data: {json.dumps(chat('', 'stop'))}\n"]).encode()
    (reply,) = WIRE.read(asked(streamed=True), Response(200, "text/event-stream", body, 0.0))
    assert reply.text == "\N{GRINNING FACE} \N{REPLACEMENT CHARACTER}!"


@given(NUMBERS)
def test_counts_and_numbers_are_what_they_say_or_nothing(said: Any) -> None:
    counted = count(said)
    assert counted is None or (type(counted) is int and counted == said and counted >= 0)
    try:
        assert number(said) == float(said)
    except ValueError:
        assert not isinstance(said, int | float) or isinstance(said, bool) or said != said


@settings(max_examples=400)
@given(st.randoms(use_true_random=False), st.booleans(), st.booleans())
def test_nothing_but_a_broken_answer_comes_of_a_damaged_reply(
    recorded: ModuleType, random: Random, streamed: bool, told: bool
) -> None:
    stop = random.choice([(), ("\n\n",)])
    wire = Wire("model", Abilities("chat", tells_end=told), None)
    if streamed:
        events = recorded.damaged(recorded.STREAM, random)
        lines = (
            [f"data: {json.dumps(one)}" for one in events if events]
            if isinstance(events, list)
            else []
        )
        body, kind = "\n\n".join([*lines, "data: [DONE]"]).encode(), "text/event-stream"
    else:
        body = json.dumps(recorded.damaged(random.choice(recorded.WHOLE), random)).encode()
        kind = "application/json"
    body = recorded.torn(body, random)
    request = asked(random.choice([1, 2]), stop=stop, streamed=streamed)
    for start in range(0, len(body), 50):
        Watch(stop)(body[start : start + 50])
    try:
        replies = wire.read(request, Response(200, kind, body, 0.0))
    except (ValueError, RefusedError) as error:
        assert str(error)
        return
    assert len(replies) == (1 if streamed else request.n)
    for reply in replies:
        reply.text.encode()
        assert (
            0 <= reply.tokens <= 10**8 and 0 <= reply.cached_tokens <= reply.prompt_tokens <= 10**8
        )
        assert reply.logprob is None or reply.logprob == reply.logprob


@settings(max_examples=100)
@given(st.randoms(use_true_random=False))
def test_nothing_but_a_broken_answer_comes_of_damaged_scores(
    recorded: ModuleType, random: Random
) -> None:
    said = recorded.damaged(recorded.SCORES, random)
    try:
        reply = Plain("").reply(said, Prompt("", "q", "one\n\ntwo"))
    except ValueError:
        return
    assert reply.value is not None and 0 <= reply.value <= 1


def test_what_a_body_may_have_grows_with_what_was_asked_for() -> None:
    assert asked(2).most(1000) == (1 << 20) + 8000 + 2 * 100 * 1024
    read_said({"choices": []})
