"""What servers cannot do is found out, worked round where that is possible, and told."""

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from tests.engines.server.conftest import (
    SOLVE,
    STEP,
    Chatting,
    Opened,
    Served,
    Spoken,
    answer,
    answers,
    chat,
    says,
)

from whorl.ask import Ask, Failure, Prompt
from whorl.budget import Budget, Price, Prices
from whorl.budget.purse import Purse
from whorl.chat import Chat
from whorl.engines.server import transport
from whorl.errors import UserError
from whorl.models import POLICY

Server = Callable[..., str]
WHOLE = Ask(SOLVE, max_tokens=400, seed=3)


def table(caplog: pytest.LogCaptureFixture) -> dict[str, str]:
    rows = (line.split("  ", 1) for line in caplog.messages[-1].splitlines())
    return {name.strip(): said.strip() for name, said in rows}


@pytest.fixture(autouse=True)
def told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "whorl.engines")


def test_a_server_that_can_do_everything(
    rig_server: Server, opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    engine = opened(rig_server(tokenizer=str(POLICY)))
    assert table(caplog)["prompts"].startswith("token ids")
    assert table(caplog)["context"] == "4,096 tokens"
    replies = answer(engine, STEP)
    assert len({reply.text for reply in replies}) == 3
    assert {reply.finished for reply in replies} == {"stop", "eos"}  # as this seed has it
    assert all(reply.logprob is not None for reply in replies)
    assert [reply.prompt_tokens > 0 for reply in replies] == [True, False, False]


@pytest.mark.parametrize(
    ("lack", "row", "said"),
    [
        ("n", "several at once", "no"),
        ("stop_reason", "stop strings", "not told"),
        ("stop", "stop strings", "not told"),
        ("logprobs", "log-probabilities", "no"),
        ("ids", "prompts", "text"),
        ("usage", "tokens are counted", "here"),
        ("extras", "prompts", "token ids"),
        ("context", "context", "not said"),
    ],
)
def test_a_step_is_the_same_whatever_a_server_lacks(
    lack: str,
    row: str,
    said: str,
    rig_server: Server,
    opened: Opened,
    caplog: pytest.LogCaptureFixture,
) -> None:
    whole = answer(opened(rig_server(tokenizer=str(POLICY))), STEP)
    replies = answer(opened(rig_server(tokenizer=str(POLICY), lacks=[lack])), STEP)
    assert table(caplog)[row].startswith(said)
    assert (replies[0].text, replies[0].finished) == (whole[0].text, whole[0].finished)
    assert len(replies) == 3
    assert all("\n\n" not in reply.text for reply in replies)
    assert all(0 < reply.tokens < 64 for reply in replies)


def test_a_server_that_speaks_as_llama_cpp_does(
    rig_server: Server, opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    usual = opened(rig_server(tokenizer=str(POLICY)))
    engine = opened(rig_server(tokenizer=str(POLICY), llama=True, slots=4))
    found = table(caplog)
    assert found["several at once"] == "up to 4"
    assert found["stop strings"] == "yes, of one sample at a time"
    assert found["log-probabilities"] == "yes"
    greedy = replace(STEP, n=1, temperature=0.0)  # elsewhere n and seeds make other samples
    assert answer(engine, greedy)[0].text == answer(usual, greedy)[0].text
    steps = answer(engine, replace(STEP, n=12))
    assert {reply.finished for reply in steps} == {"stop", "eos"}  # as these seeds have it
    assert all((reply.logprob is None) == (reply.finished == "stop") for reply in steps)
    alone = [answer(engine, replace(STEP, n=1, seed=STEP.seed + number)) for number in range(12)]
    assert [one for (one,) in alone] == list(steps)
    many = answer(engine, replace(WHOLE, n=10))
    read = Chat.load(POLICY).tokenizer
    lengths = [len(read(reply.text)["input_ids"]) + 1 for reply in many]
    assert [reply.tokens for reply in many] == lengths
    assert len(set(lengths)) > 1
    assert all(reply.logprob is not None for reply in many)


@pytest.mark.parametrize("lack", ["stop_reason", "stop"])
def test_the_end_of_the_turn_is_no_stop_string(
    lack: str, rig_server: Server, opened: Opened
) -> None:
    ends = [
        answer(opened(rig_server(tokenizer=str(POLICY), lacks=lacks)), replace(STEP, prompt=last))
        for lacks in ((), (lack,))
        for last in [replace(SOLVE, prefix="We add 7 and 5.\n\n" * 7)]
    ]
    assert "eos" in {reply.finished for reply in ends[0]}
    assert ends[0][0].finished == ends[1][0].finished


def test_a_missing_finish_reason_is_made_up_for(rig_server: Server, opened: Opened) -> None:
    engine = opened(rig_server(tokenizer=str(POLICY), lacks=["finish_reason"]))
    (whole,), (short,) = answer(engine, WHOLE), answer(engine, replace(WHOLE, max_tokens=5))
    assert (whole.finished, short.finished) == ("eos", "length")
    assert short.tokens == 5


def test_without_completions_the_conversation_is_continued(
    rig_server: Server, opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    engine = opened(rig_server(tokenizer=str(POLICY), lacks=["completions"]))
    assert table(caplog)["prompts"].startswith("messages")
    assert table(caplog)["a prefix is continued"] == "yes"
    assert len(answer(engine, replace(STEP, prompt=replace(SOLVE, prefix="First, 7.\n\n")))) == 3


def test_where_a_prefix_cannot_be_continued_whole_solutions_are_left(
    rig_server: Server, opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    url = rig_server(lacks=["completions", "continuation"])
    engine = opened(url, tokenizer=None)
    assert table(caplog)["a prefix is continued"].startswith("no")
    (whole,) = answer(engine, WHOLE)
    assert whole.finished == "eos"
    (failure,) = answers(engine, [Ask(Prompt("", "Problem: x", "Step 1"))])
    assert isinstance(failure, Failure)
    assert "continue a prefix" in failure.error


def continuing(body: dict[str, Any]) -> Spoken:
    """What is said by a server that continues a prefix: a new turn would cost some tokens more."""
    status, said, headers = chat(body)
    words = sum(len(message["content"].split()) for message in body["messages"])
    return status, said | {"usage": {"prompt_tokens": 10 + words, "completion_tokens": 10}}, headers


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
def test_a_server_that_is_busy_is_asked_again_before_a_worse_way_is_taken(
    status: int,
    chatting: Chatting,
    opened: Opened,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transport, "_PAUSE", 0.01)
    monkeypatch.setattr(transport, "_UNSAID", 0.01)
    refusals = 5

    def say(body: dict[str, Any]) -> Spoken:
        nonlocal refusals
        if body["messages"][-1]["role"] == "assistant" and refusals:
            refusals -= 1
            return status, {"error": "too many requests"}, {}
        return continuing(body)

    opened(chatting(say), tokenizer=None)
    assert table(caplog)["a prefix is continued"] == "yes"
    refusals = -1  # for good
    with pytest.raises(UserError, match=rf"says {status}: too many requests \(for 0 s\);") as busy:
        opened(chatting(say), tokenizer=None, patience=0.1)
    assert "\n" not in str(busy.value)


def test_a_server_without_temperature_answers_greedy_asks_only(
    rig_server: Server, opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    engine = opened(rig_server(tokenizer=str(POLICY), lacks=["temperature"]))
    assert table(caplog)["samples"].startswith("no")
    greedy, sampled = answers(engine, [replace(WHOLE, temperature=0.0), WHOLE])
    assert not isinstance(greedy, Failure)
    assert isinstance(sampled, Failure)


def test_a_greedy_ask_is_sampled_once(rig_server: Server, opened: Opened) -> None:
    engine = opened(rig_server(tokenizer=str(POLICY)))
    first, second = answer(engine, replace(WHOLE, n=2, temperature=0.0))
    assert first.text == second.text
    assert first.tokens > 0 == second.tokens


def test_what_cannot_be_used_is_refused_at_the_start(
    rig_server: Server, opened: Opened, tmp_path: Path
) -> None:
    url = rig_server(tokenizer=str(POLICY))
    with pytest.raises(UserError, match="lists rig"):
        opened(url, model="another")
    with pytest.raises(UserError, match="is the server running"):
        opened("http://127.0.0.1:9/v1")
    with pytest.raises(UserError, match="no tokenizer folder"):
        opened(url, tokenizer="nowhere")
    with pytest.raises(UserError, match=r"says 404: .*is that its address, up to /v1\?"):
        opened(url.replace("/v1", "/v2"))
    with pytest.raises(UserError, match=r"says 404: .*an OpenAI-style server, up to /v1\?"):
        opened(url.replace("/v1", "/v2"), model="rig")
    bare = tmp_path / "bare"
    shutil.copytree(POLICY, bare, ignore=shutil.ignore_patterns("*.jinja"))
    with pytest.raises(UserError, match=r"no chat template; add chat_template\.jinja"):
        opened(url, tokenizer=bare)
    with pytest.raises(UserError, match="differ in several"):
        opened(url, rig_server(tokenizer=str(POLICY), lacks=["n"]))


def test_another_models_tokenizer_is_noticed(
    rig_server: Server, opened: Opened, llama: Callable[..., object]
) -> None:
    url = rig_server(tokenizer=str(POLICY), lacks=["ids"])
    with pytest.raises(UserError, match="not that of its model"):
        opened(url, tokenizer=llama())


@pytest.mark.parametrize("folder", ["empty", "another model", "a template is missing"])
def test_a_folder_may_be_called_as_the_model_is(  # noqa: PLR0913 (fixtures)
    folder: str,
    rig_server: Server,
    opened: Opened,
    llama: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    if folder == "empty":
        Path("rig").mkdir()
    elif folder == "another model":
        Path("rig").symlink_to(llama())
    else:
        shutil.copytree(POLICY, "rig", ignore=shutil.ignore_patterns("*.jinja"))
    url = rig_server(tokenizer=str(POLICY), lacks=["ids"])
    assert len(answer(opened(url, tokenizer=None), WHOLE)) == 1
    assert table(caplog)["prompts"].startswith("messages")
    with pytest.raises(UserError):
        opened(url, tokenizer="rig")


def test_a_key_opens_the_server_and_is_never_said(
    rig_server: Server,
    opened: Opened,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    url = rig_server(key="sesame", tokenizer=str(POLICY))
    with pytest.raises(UserError, match="OPENAI_API_KEY"):
        opened(url)
    monkeypatch.setenv("RIG_KEY", "wrong-sesame")
    with pytest.raises(UserError, match="RIG_KEY") as refused:
        opened(url, key="RIG_KEY")
    assert "sesame" not in str(refused.value)
    monkeypatch.setenv("RIG_KEY", "sesame")
    assert answer(opened(url, key="RIG_KEY"), STEP)
    assert "sesame" not in caplog.text


def test_a_key_in_a_fault_that_is_answered_with_200_is_not_repeated(
    chatting: Chatting, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RIG_KEY", "sesame-opens")
    url = chatting(lambda body: (200, {"error": "wrong key: sesame-opens"}, {}))
    with pytest.raises(UserError, match=r"wrong key: \*\*\*") as refused:
        opened(url, key="RIG_KEY", tokenizer=None)
    assert "sesame" not in str(refused.value)


@pytest.mark.parametrize("refused", [False, True])
@pytest.mark.parametrize("cut", [False, True])
def test_a_stream_costs_its_prompt(
    refused: bool, cut: bool, chatting: Chatting, opened: Opened
) -> None:
    """As the server counts it, if it takes the wish; else, or if it is cut, as its text has it."""

    def say(body: dict[str, Any]) -> Spoken:
        if not body.get("stream"):
            return chat(body)
        if refused and "stream_options" in body:
            return 400, {"error": "stream_options: extra fields are not permitted"}, {}
        said = "A step.\n\nMore." if cut else "A step."
        events = [{"choices": [{"delta": {"content": said}, "finish_reason": "stop"}]}]
        if body.get("stream_options") == {"include_usage": True}:
            events.append({"choices": [], "usage": {"prompt_tokens": 70, "completion_tokens": 7}})
        lines = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
        return 200, lines.encode(), {"Content_Type": "text/event-stream"}

    engine = opened(chatting(say), tokenizer=None)
    (reply,) = answer(engine, Ask(Prompt("", "x" * 400), stop=("\n\n",)))
    assert reply.text == "A step."
    assert reply.prompt_tokens == (100 if refused or cut else 70)


def test_samples_that_are_withheld_are_paid_by_the_usage_of_their_server(
    chatting: Chatting, opened: Opened
) -> None:
    def say(body: dict[str, Any]) -> Spoken:
        bad = body["messages"][-1]["content"] == "bad"
        return chat(body, "content_filter" if bad else "stop")

    prices = Prices(policy=Price(prompt=1000, sampled=1000))
    purse = Purse(Budget(money=1.0, prices=prices))
    engine = purse.wrap(opened(chatting(say), tokenizer=None))
    (failure,) = answers(engine, [Ask(Prompt("", "bad"), n=3)])
    assert isinstance(failure, Failure) and "content_filter" in failure.error
    assert purse.spent.money == pytest.approx((50 + 30) / 1000)


def test_a_prompt_longer_than_the_context_fails_alone(rig_server: Server, opened: Opened) -> None:
    engine = opened(rig_server(tokenizer=str(POLICY), context=100))
    long = replace(STEP, prompt=replace(SOLVE, prefix="We add 7 and 5.\n\n" * 20))
    failure, replies = answers(engine, [long, replace(STEP, max_tokens=4000)])
    assert isinstance(failure, Failure)
    assert "the model takes 100: start the server with a longer context" in failure.error
    assert not isinstance(replies, Failure)  # what is left of the context is enough


def test_a_context_that_the_server_does_not_say_is_said_when_it_is_exceeded(
    rig_server: Server, opened: Opened
) -> None:
    engine = opened(rig_server(tokenizer=str(POLICY), context=100, lacks=["context"]))
    failure, replies = answers(engine, [replace(STEP, max_tokens=4000), STEP])
    assert isinstance(failure, Failure)
    assert "says 400: This model's maximum context length is 100 tokens" in failure.error
    assert not isinstance(replies, Failure)


def test_a_server_that_says_nothing_is_not_taken_for_one_that_does_not_sample(
    rig_server: Server, opened: Opened
) -> None:
    engine = opened(rig_server(tokenizer=str(POLICY), faults={"empty": 1.0}))
    assert [reply.text for reply in answer(engine, STEP)] == [""] * 3


def test_a_web_page_is_not_repeated_at_length(served: Served, opened: Opened) -> None:
    def page(handler: BaseHTTPRequestHandler) -> None:
        says(handler, 501, b"<html>no</html>", Content_Type="text/html")

    with pytest.raises(UserError, match="is that its address") as refused:
        opened(f"{served(page)}/v1")
    assert "<" not in str(refused.value)
