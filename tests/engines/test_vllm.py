"""vLLM in this process, on the shipped policy. `make test-vllm` runs it."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from whorl import prompts
from whorl.ask import Ask, Engine, Failure, Prompt, Replies
from whorl.chat import Chat
from whorl.data.synthetic import problems
from whorl.drive import drive
from whorl.engines import open_engine
from whorl.engines.judge import Judges
from whorl.errors import UserError
from whorl.models import POLICY
from whorl.recipes.rft import Rft
from whorl.search import Sampling

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("ignore")]

SETTINGS = "dtype=float32&enforce_eager=true&kv_cache_memory_bytes=536870912&block_size=32"
QUESTIONS = [problem.question for problem in problems("test", 64, seed=1)]
PROMPT = prompts.solve(QUESTIONS[0])


@pytest.fixture(scope="module")
def vllm() -> Iterator[Engine]:
    engine = open_engine(f"vllm:{POLICY}?{SETTINGS}", processes=0)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def local() -> Iterator[Engine]:
    engine = open_engine(f"local:{POLICY}", processes=0)
    yield engine
    engine.close()


def answer(engine: Engine, asks: Sequence[Ask]) -> list[Replies | Failure]:
    for ticket, ask in enumerate(asks):
        engine.submit(ticket, ask)
    answers: dict[int, Replies | Failure] = {}
    while len(answers) < len(asks):
        answers.update(engine.poll(0.0))
    return [answers[ticket] for ticket in range(len(asks))]


def replies(engine: Engine, ask: Ask) -> Replies:
    (answered,) = answer(engine, [ask])
    assert not isinstance(answered, Failure)
    return answered


def test_greedy_text_is_that_of_the_embedded_engine(vllm: Engine, local: Engine) -> None:
    asks = [Ask(prompts.solve(question), temperature=0.0) for question in QUESTIONS]
    answers, seconds = [], []
    for engine in (vllm, local):
        start = time.process_time()
        answers.append(answer(engine, asks))
        seconds.append(time.process_time() - start)
    theirs, ours = answers
    tokens = 0
    for their, our in zip(theirs, ours, strict=True):
        assert not isinstance(their, Failure) and not isinstance(our, Failure)
        assert (their[0].text, their[0].finished, their[0].tokens) == (
            our[0].text,
            our[0].finished,
            our[0].tokens,
        )
        assert their[0].logprob == pytest.approx(our[0].logprob, abs=1e-3)
        tokens += our[0].tokens
    print(
        f"greedy, {len(asks)} problems: all texts equal; tokens per CPU second: "
        f"vLLM {tokens / seconds[0]:,.0f}, embedded {tokens / seconds[1]:,.0f}"
    )


def test_samples_end_at_stops_and_repeat_with_their_seed(vllm: Engine) -> None:
    ask = Ask(PROMPT, n=8, stop=("\n\n", ""), temperature=1.8, seed=5, max_tokens=64)
    first = replies(vllm, ask)
    assert len(first) == 8
    assert "stop" in {reply.finished for reply in first}
    assert not any("\n\n" in reply.text for reply in first)
    assert len({reply.text for reply in first}) > 1
    assert all(reply.logprob is not None and reply.logprob < 0 for reply in first)
    assert [r.text for r in replies(vllm, ask)] == [r.text for r in first]
    assert [r.text for r in replies(vllm, replace(ask, seed=999))] != [r.text for r in first]


def test_a_greedy_sample_is_paid_for_once(vllm: Engine) -> None:
    one, again = replies(vllm, Ask(PROMPT, n=2, temperature=0.0))
    assert one.text == again.text
    assert one.tokens > again.tokens == 0


def test_a_sample_that_is_cut_off_says_so(vllm: Engine) -> None:
    (reply,) = replies(vllm, Ask(PROMPT, max_tokens=3, temperature=0.0))
    assert (reply.finished, reply.tokens) == ("length", 3)


def test_a_longer_prefix_finds_the_shorter_one_in_the_cache(vllm: Engine) -> None:
    prompt = prompts.solve(QUESTIONS[1])
    (whole,) = replies(vllm, Ask(prompt, temperature=0.0))
    longer = replace(prompt, prefix=whole.text[: len(whole.text) // 2])
    (rest, other) = replies(vllm, Ask(longer, n=2, temperature=0.5))
    assert rest.prompt_tokens == len(Chat.load(POLICY).encode(longer))
    assert 0 < rest.cached_tokens < rest.prompt_tokens
    assert other.prompt_tokens == other.cached_tokens == 0


def test_what_does_not_fit_fails_alone(vllm: Engine) -> None:
    asks = [Ask(Prompt("", "x " * 5000)), Ask(PROMPT, temperature=-1.0), Ask(PROMPT, max_tokens=4)]
    long, cold, good = answer(vllm, asks)
    assert isinstance(long, Failure) and "the model takes 4096" in long.error
    assert isinstance(cold, Failure) and "temperature" in cold.error and "\n" not in cold.error
    assert not isinstance(good, Failure)


def test_more_prompts_than_one_step_takes_are_read_with_their_seeds(vllm: Engine) -> None:
    asks = [Ask(Prompt("", f"{n} " * 500), max_tokens=4, seed=n) for n in range(1, 17)]
    assert not [each for each in answer(vllm, asks) if isinstance(each, Failure)]


def test_searches_run_on_it(vllm: Engine) -> None:
    recipe = Rft(samples=4, sampling=Sampling(temperature=0.7))
    searches = [(p.id, recipe.grow(p)) for p in problems("test", 8, seed=2)]
    judges = Judges()
    try:
        found = list(drive(searches, {"policy": vllm, "judge": judges}))
    finally:
        judges.close()
    assert [finished.error for finished in found] == [None] * 8
    assert sum(finished.cost["policy"] for finished in found) > 100


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("dtpye=float32", "no engine argument 'dtpye'; did you mean dtype"),
        ("dtype=float7", "cannot start with .*float7"),
    ],
)
def test_a_wrong_setting(setting: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        open_engine(f"vllm:{POLICY}?{setting}", processes=0)
    assert "\n" not in str(caught.value)
