"""Process reward models behind (simulated) servers: what is sent, what is read, what is refused."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType

import pytest
from tests.engines.server.conftest import answers

from whorl.ask import Ask, Engine, Failure, Prompt
from whorl.chat import SEPARATOR, Chat
from whorl.engines import open_engine
from whorl.errors import UserError
from whorl.models import PRM

Server = Callable[..., str]
Opened = Callable[..., Engine]
STEPS = ["Anna has 3 + 12 = 15.", "She gives 5 away: 15 - 5 = 10.", "The answer is 10."]


def ask(*steps: str, n: int = 1) -> Ask:
    return Ask(Prompt("", "Anna has 3 apples.", "\n\n".join(steps)), role="prm", n=n)


@pytest.fixture(scope="module")
def separated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer that has the step token."""
    folder = tmp_path_factory.mktemp("separated")
    tokenizer = Chat.load(PRM).tokenizer
    tokenizer.add_special_tokens({"additional_special_tokens": [SEPARATOR]})
    tokenizer.save_pretrained(folder)
    (folder / "config.json").write_bytes((PRM / "config.json").read_bytes())
    return folder


@pytest.fixture
def opened() -> Iterator[Opened]:
    with ExitStack() as stack:

        def open_(url: str, query: str = "") -> Engine:
            engine = open_engine(f"scores:{url}{query}")
            stack.callback(engine.close)
            return engine

        yield open_


def values(engine: Engine, asks: list[Ask]) -> list[float]:
    found = answers(engine, asks)
    assert not [each for each in found if isinstance(each, Failure)]
    return [reply.value for (reply, *_) in found]  # type: ignore[misc, union-attr]


def test_words_are_sent_where_no_tokenizer_is_named(rig_server: Server, opened: Opened) -> None:
    engine = opened(rig_server())
    found = values(engine, [ask(*STEPS[: k + 1]) for k in range(3)])
    assert len(set(found)) == 3
    assert all(0 <= value <= 1 for value in found)
    (same, other) = values(engine, [ask("", STEPS[0] + "\n", " "), ask(STEPS[1])])
    assert same == found[0]  # blank space is no step
    assert other != found[1]  # a step is scored with what was before it


def test_token_ids_are_sent_with_the_step_token(
    rig_server: Server, opened: Opened, separated: Path
) -> None:
    engine = opened(rig_server(tokenizer=str(separated)), f"?tokenizer={separated}")
    (replies, *_) = answers(engine, [ask(*STEPS, n=2)])
    assert not isinstance(replies, Failure)
    one, again = replies
    assert one.value == again.value
    assert one.tokens == again.tokens == again.prompt_tokens == 0
    assert one.prompt_tokens == len(Chat.load(separated).encode_steps(ask(*STEPS).prompt))
    found = values(engine, [ask(*STEPS[: k + 1]) for k in range(3)])
    assert found[2] == one.value
    assert len(set(found)) == 3


def test_a_tokenizer_without_the_step_token_is_no_use_to_that_model(
    rig_server: Server, opened: Opened, separated: Path
) -> None:
    with pytest.raises(UserError, match=r"does not score steps: no pair .*--runner pooling"):
        opened(rig_server(tokenizer=str(separated)), f"?tokenizer={PRM}")


def test_what_cannot_be_scored_fails_alone(
    rig_server: Server, opened: Opened, separated: Path
) -> None:
    engine = opened(rig_server(tokenizer=str(separated)), f"?tokenizer={separated}")
    asks = [Ask(ask(*STEPS).prompt), ask("", " "), ask("7 " * 5000), ask(*STEPS)]
    policy, nothing, long, good = answers(engine, asks)
    assert isinstance(policy, Failure) and "is no policy" in policy.error
    assert isinstance(nothing, Failure) and "no step" in nothing.error
    assert isinstance(long, Failure) and "the model takes 4096" in long.error
    assert not isinstance(good, Failure)


def test_broken_answers_are_asked_again(
    rig: ModuleType, rig_server: Server, opened: Opened
) -> None:
    asks = [ask(*steps) for steps in itertools.permutations(STEPS)]
    sound = values(opened(rig_server()), asks)
    faults = {"malformed": 0.1, "count": 0.1, "cut": 0.1, "500": 0.1}
    faulty = rig_server(faults=faults, seed=5)  # which lets the first request pass
    assert values(opened(faulty), asks) == sound
    assert rig.stats(faulty)["requests"] > 1 + len(asks)


def test_a_server_of_something_else_is_refused(rig_server: Server, opened: Opened) -> None:
    with pytest.raises(UserError, match=r"`other` does not exist.*tokenizer=FOLDER"):
        opened(rig_server(), "?model=other")


def test_servers_that_differ_are_refused(
    rig_server: Server, opened: Opened, separated: Path
) -> None:
    urls = ",".join(rig_server(tokenizer=str(separated), model=name) for name in "ab")
    with pytest.raises(UserError, match="use servers that are alike"):
        opened(urls, f"?tokenizer={separated}")
