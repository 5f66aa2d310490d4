"""vLLM in this process, on the shipped policy. `make test-vllm` runs it."""

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.engines.server.real import are_as_likely, given_texts

from whorl import prompts
from whorl.ask import Ask, Engine, Failure, Given, Lasting, Prompt, Replies, Reply
from whorl.chat import Chat
from whorl.data.synthetic import problems
from whorl.drive import drive
from whorl.engines import open_engine
from whorl.engines.judge import Judges
from whorl.engines.roles import Engines, Opened
from whorl.errors import UserError
from whorl.models import POLICY, TEACHER
from whorl.recipes.rft import Rft
from whorl.rollout import Sampling

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


def test_a_given_text_is_as_likely_as_to_the_embedded_engine(vllm: Engine, local: Engine) -> None:
    asks = given_texts(QUESTIONS[:16])
    theirs, ours = (
        [said for said in answer(engine, asks) if not isinstance(said, Failure)]
        for engine in (vllm, local)
    )
    are_as_likely(theirs, ours)
    (long,) = answer(vllm, [Ask(PROMPT, given=Given("a 7 " * 4000))])
    assert isinstance(long, Failure) and "the model takes" in long.error


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


def other_weights(folder: Path) -> Path:
    """The shipped policy with its weights disturbed, as a training would."""
    shutil.copytree(POLICY, folder)
    torch.manual_seed(0)
    weights = load_file(POLICY / "model.safetensors")
    for name, weight in weights.items():
        weights[name] = weight + 0.2 * weight.float().std().to(weight.dtype) * torch.randn_like(
            weight
        )
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def whole(engine: Engine) -> list[Reply]:
    """Greedy attempts at every question: solutions, and where they lead from half of them on."""
    asks = [Ask(prompts.solve(question), temperature=0.0) for question in QUESTIONS]
    asks += [replace(ask, prompt=replace(ask.prompt, prefix="First, ")) for ask in asks]
    answers = answer(engine, asks)
    assert not [each for each in answers if isinstance(each, Failure)]
    return [reply for replies in answers for reply in replies]  # type: ignore[union-attr]


def test_new_weights_answer_as_in_a_fresh_engine_also_what_was_asked_before(tmp_path: Path) -> None:
    """In a process of its own, as in a run: one after the other, and the first weights again."""
    first, second = f"vllm:{POLICY}?{SETTINGS}", f"vllm:{other_weights(tmp_path / 'b')}?{SETTINGS}"
    with Opened(Engines(second)) as opened:
        fresh = whole(opened.by_role()["policy"])
    with Opened(Engines(first, stay=True)) as opened:
        engine = opened.by_role()["policy"]
        assert isinstance(engine, Lasting) and not engine.lost
        before = whole(engine)
        known = sum(reply.cached_tokens for reply in whole(engine))
        opened.rest()
        opened.follow(Engines(second, stay=True))
        start = time.perf_counter()
        assert opened.by_role()["policy"] is engine
        seconds = time.perf_counter() - start
        after = whole(engine)
        opened.follow(Engines(first, stay=True))
        assert opened.by_role()["policy"] is engine
        again = whole(engine)
        assert not engine.rest()  # a CPU's memory stays taken
        assert not engine.reload(TEACHER)  # another shape
    assert known > 2 * sum(reply.cached_tokens for reply in after)
    for ours, theirs in ((after, fresh), (again, before)):
        assert [reply.text for reply in ours] == [reply.text for reply in theirs]
        logprobs = [reply.logprob for reply in theirs]
        assert [reply.logprob for reply in ours] == pytest.approx(logprobs, abs=1e-3)
    assert sum(a.text != b.text for a, b in zip(after, before, strict=True)) > len(after) / 2
    print(f"new weights in {seconds:.2f} s; {len(after)} texts as a fresh engine writes them")


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("dtpye=float32", "no engine argument 'dtpye'; did you mean dtype"),
        ("dtype=float7", "cannot start with .*float7"),
        ("enable_sleep_mode=true", "cannot start with .*not supported on current platform"),
    ],
)
def test_a_wrong_setting(setting: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        open_engine(f"vllm:{POLICY}?{setting}", processes=0)
    assert "\n" not in str(caught.value)
