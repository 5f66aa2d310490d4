"""A real llama-server, on the shipped policy. `make test-llama` builds and runs it."""

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.engines.server.real import (
    Server,
    answer,
    killed_and_back,
    says_what_the_embedded_engine_says,
)

from whorl import prompts
from whorl.ask import Ask
from whorl.chat import Chat
from whorl.data.synthetic import problems
from whorl.engines import open_engine
from whorl.engines.gguf import write_gguf
from whorl.errors import UserError
from whorl.loop.trial import check_scores
from whorl.models import POLICY
from whorl.recipes import OnPolicyDistill

pytestmark = [pytest.mark.llama, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(900)]

HOME = Path(__file__).parents[3] / ".venv-llama" / "bin"
QUESTIONS = [problem.question for problem in problems("test", 64, seed=1)]
SLOTS = 16
STEPS = [
    Ask(prompts.solve(question), n=3, stop=("\n\n",), temperature=1.3, seed=100 * number)
    for number, question in enumerate(QUESTIONS[:16])
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("llama")
    model = folder / "policy.gguf"
    write_gguf(POLICY, model, dtype="float32")

    def command(port: int) -> list[str]:
        said = [str(HOME / "llama-server"), "-m", str(model), "--alias", "model"]
        said += ["--host", "127.0.0.1", "--port", str(port), "-t", "1", "-tb", "1"]
        said += ["-ctk", "f32", "-ctv", "f32", "-fa", "off"]  # or keys and values are rounded
        return [*said, "-np", str(SLOTS), "-c", str(2048 * SLOTS)]

    server = Server(command, folder / "log")
    try:
        print(f"llama-server: answers after {server.start():.1f} s")
        yield server
    finally:
        server.kill()


def spec(server: Server) -> str:
    return f"server:{server.url}?tokenizer={POLICY}"


def test_the_probe_finds_what_it_can_do(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "whorl.engines")
    open_engine(spec(server)).close()
    rows = (line.split("  ", 1) for line in caplog.messages[-1].splitlines())
    found = {name.strip(): said.strip() for name, said in rows}
    assert found["prompts"] == "token ids to /completions"
    assert found["a prefix is continued"] == found["samples"] == found["seeds"] == "yes"
    assert found["several at once"] == f"up to {SLOTS}"
    assert found["stop strings"] == "yes, of one sample at a time"
    assert found["log-probabilities"] == "yes"
    assert found["context"] == "2,048 tokens"


def test_greedy_text_is_that_of_the_embedded_engine(server: Server) -> None:
    says_what_the_embedded_engine_says(spec(server), QUESTIONS)


def test_greedy_steps_end_as_those_of_the_embedded_engine(server: Server) -> None:
    """At a stop string, at the end of the turn, and at the token limit."""
    asks = [replace(ask, n=1, temperature=0.0) for ask in STEPS]
    whole = answer(open_engine(f"local:{POLICY}", processes=0), [replace(a, stop=()) for a in asks])
    begun = [reply.text.rpartition("\n\n")[0] + "\n\n" for (reply,) in whole]
    asks += [
        replace(ask, prompt=replace(ask.prompt, prefix=prefix))
        for ask, prefix in zip(asks, begun, strict=True)
    ]
    asks += [replace(ask, max_tokens=4) for ask in asks]
    theirs = answer(open_engine(spec(server)), asks)
    ours = answer(open_engine(f"local:{POLICY}", processes=0), asks)
    for (their,), (our,) in zip(theirs, ours, strict=True):
        assert (their.text, their.finished, their.tokens) == (our.text, our.finished, our.tokens)
        assert (their.logprob is None) == (their.finished == "stop")  # it leaves some tokens out
    assert {reply.finished for (reply,) in theirs} == {"stop", "eos", "length"}


def test_seeds_repeat_samples_and_tell_them_apart(server: Server) -> None:
    first, again = (answer(open_engine(spec(server)), STEPS) for _ in range(2))
    assert [[r.text for r in one] for one in first] == [[r.text for r in one] for one in again]
    assert any(len({reply.text for reply in one}) > 1 for one in first)
    assert all("\n\n" not in reply.text for one in first for reply in one)


def test_more_samples_than_it_has_slots_are_several_requests(server: Server) -> None:
    ask = Ask(prompts.solve(QUESTIONS[0]), n=2 * SLOTS + 3, temperature=1.3, seed=5)
    (replies,) = answer(open_engine(spec(server)), [ask])
    assert len(replies) == ask.n
    read = Chat.load(POLICY).tokenizer
    for reply in replies:  # what a model writes need not be what the tokenizer makes of it
        assert abs(reply.tokens - 1 - len(read(reply.text)["input_ids"])) <= 2
    assert len({reply.tokens for reply in replies}) > 1
    firsts = [reply for reply in replies if reply.prompt_tokens]
    assert len(firsts) == 3
    assert max(reply.cached_tokens for reply in firsts) > 0  # which one comes first is open


def test_samples_are_those_of_the_distribution_that_was_asked_for(server: Server) -> None:
    """A nucleus of the hot distribution has many first tokens; cut before the temperature it has
    one."""
    ask = Ask(prompts.solve(QUESTIONS[0]), n=300, max_tokens=1, temperature=4.0, top_p=0.6)
    (theirs,) = answer(open_engine(spec(server)), [ask])
    (ours,) = answer(open_engine(f"local:{POLICY}", processes=0), [ask])
    counts = [Counter(reply.text for reply in replies) for replies in (theirs, ours)]
    assert min(map(len, counts)) > 5
    common = sum((counts[0] & counts[1]).values()) / ask.n
    assert common > 0.6, counts


def test_it_cannot_score_a_given_text_and_that_is_said(server: Server) -> None:
    """llama.cpp tells log-probabilities of what it samples alone, and refuses to echo a prompt."""
    engine = open_engine(spec(server))
    with pytest.raises(UserError, match="teacher: this engine cannot score a text"):
        check_scores(OnPolicyDistill(), {"teacher": engine})


def test_a_run_survives_a_server_that_is_killed_and_comes_back(
    server: Server, tmp_path: Path
) -> None:
    killed_and_back(server, spec(server), tmp_path)
