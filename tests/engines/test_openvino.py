"""OpenVINO in this process, against the embedded engine."""

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from whorl import prompts
from whorl.ask import Ask, Engine, Failure, Prompt, Replies
from whorl.data.synthetic import problems
from whorl.engines import open_engine
from whorl.engines.openvino_weights import converted_apart
from whorl.errors import UserError
from whorl.models import POLICY, TEACHER

QUESTIONS = [problem.question for problem in problems("test", 24, seed=1)]
SHAPES = {
    "llama": (LlamaConfig, LlamaForCausalLM, {"num_key_value_heads": 2}),
    "untied, one key head each": (
        LlamaConfig,
        LlamaForCausalLM,
        {"num_key_value_heads": 4, "tie_word_embeddings": False, "head_dim": 32},
    ),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM, {"num_key_value_heads": 2}),
}


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def engine() -> Engine:
    return open_engine(f"openvino:{POLICY}", processes=0)


def answer(engine: Engine, asks: Sequence[Ask]) -> list[Replies | Failure]:
    for ticket, ask in enumerate(asks):
        engine.submit(ticket, ask)
    answers: dict[int, Replies | Failure] = {}
    while len(answers) < len(asks):
        answers.update(engine.poll(0.02))
    return [answers[ticket] for ticket in range(len(asks))]


def said(answers: Sequence[Replies | Failure]) -> list[tuple[str, str]]:
    """The first sample of each."""
    assert not [each for each in answers if isinstance(each, Failure)]
    return [(replies[0].text, replies[0].finished) for replies in answers]  # type: ignore[index]


@pytest.mark.parametrize("folder", [POLICY, TEACHER])
def test_greedy_text_is_that_of_the_embedded_engine(folder: Path) -> None:
    asks = [
        Ask(prompts.solve(question), temperature=0.0, stop=stop)
        for question in QUESTIONS
        for stop in ((), ("\n\n",), ("is", " 1"))
    ]
    theirs, ours = (
        answer(open_engine(f"{scheme}:{folder}", processes=0), asks)
        for scheme in ("openvino", "local")
    )
    assert said(theirs) == said(ours)


@pytest.mark.parametrize("shape", SHAPES)
def test_other_shapes(tokenizer, tmp_path: Path, shape: str) -> None:
    config, model, others = SHAPES[shape]
    torch.manual_seed(0)
    settings = config(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=112,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=512,
        initializer_range=0.3,
        eos_token_id=tokenizer.eos_token_id,
        **others,
    )
    made = model(settings).half().float()  # OpenVINO reads float16
    for parameter in made.parameters():
        if parameter.ndim == 1:  # biases and norms are not all alike
            parameter.data.add_(torch.rand_like(parameter).half())
    made.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    asks = [Ask(Prompt("", f"Anna has {n}"), temperature=0.0, max_tokens=12) for n in range(8)]
    theirs, ours = (
        answer(open_engine(f"{scheme}:{tmp_path}", processes=0), asks)
        for scheme in ("openvino", "local")
    )
    assert said(theirs) == said(ours)


@pytest.mark.parametrize(("kind", "alike"), [("int8", 8), ("int4", 1)])
def test_rounded_weights_say_about_the_same(engine: Engine, kind: str, alike: int) -> None:
    asks = [Ask(prompts.solve(question), temperature=0.0) for question in QUESTIONS[:12]]
    rounded = open_engine(f"openvino:{POLICY}?weights={kind}", processes=0)
    pairs = list(zip(said(answer(engine, asks)), said(answer(rounded, asks)), strict=True))
    assert sum(a == b for a, b in pairs) >= alike
    assert all(text and finished == "eos" for _, (text, finished) in pairs[:alike])


def test_samples_repeat_with_their_seed_in_any_company(engine: Engine) -> None:
    ask = Ask(prompts.solve(QUESTIONS[0]), n=8, temperature=3.0, max_tokens=64, seed=2**62 + 5)
    (alone,) = answer(engine, [ask])
    others = [replace(ask, seed=seed, n=3) for seed in range(20)]
    _, again, *rest = answer(engine, [others[0], ask, *others[1:]])
    assert again == alone
    assert len({reply.text for reply in alone}) > 1
    assert len({replies[0].text for replies in rest}) > 1


def test_a_greedy_sample_is_paid_for_once(engine: Engine) -> None:
    ((one, again),) = answer(engine, [Ask(prompts.solve(QUESTIONS[0]), n=2, temperature=0.0)])
    assert one.text == again.text
    assert one.tokens > again.tokens == 0
    assert one.prompt_tokens > again.prompt_tokens == 0


def test_what_does_not_fit_fails_alone_and_a_cut_says_so(engine: Engine) -> None:
    long = Ask(Prompt("", "x " * 5000))
    short = Ask(prompts.solve(QUESTIONS[0]), temperature=0.0, max_tokens=3)
    cold = replace(short, temperature=-1.0)
    failed, refused, (cut,) = answer(engine, [long, cold, short])
    assert isinstance(failed, Failure) and "the model takes 4096" in failed.error
    assert isinstance(refused, Failure) and "temperature" in refused.error
    assert "\n" not in refused.error
    assert (cut.finished, cut.tokens) == ("length", 3)


def test_samples_that_do_not_fit_into_the_cache_at_once_follow_one_another() -> None:
    engine = open_engine(f"openvino:{POLICY}?cache_gb=0.004", processes=0)  # 2,784 tokens
    ask = Ask(prompts.solve(QUESTIONS[0]), n=24, max_tokens=60, seed=5)
    parts = replace(ask, prompt=Prompt("", "1 + 1 " * 300))
    long = replace(ask, prompt=Prompt("", "1 + 1 " * 500))
    *answers, failed = answer(engine, [ask, ask, parts, long])
    for samples in answers:
        assert not isinstance(samples, Failure) and len(samples) == 24
        assert all(one.tokens == 60 for one in samples if one.finished == "length")
    assert answers[0] == answers[1] and len({one.text for one in answers[2]}) > 12
    assert isinstance(failed, Failure) and "a larger cache_gb holds more" in failed.error


def test_it_runs_in_a_process_of_its_own_on_any_core() -> None:
    engine = open_engine(f"openvino:{POLICY}?cache_gb=0.5")
    local = open_engine(f"local:{POLICY}", processes=0)
    asks = [Ask(prompts.solve(question), temperature=0.0) for question in QUESTIONS]
    (own,) = multiprocessing.active_children()
    assert own.pid
    seen, answers = set(), {}
    try:
        for ticket, ask in enumerate(asks):
            engine.submit(ticket, ask)
        while len(answers) < len(asks):
            answers.update(engine.poll(0.0))
            seen.add(frozenset(os.sched_getaffinity(own.pid)))
        assert said([answers[ticket] for ticket in sorted(answers)]) == said(answer(local, asks))
    finally:
        engine.close()
    # left to itself, OpenVINO computes on the machine's first core, in every process
    assert seen == {frozenset(os.sched_getaffinity(0))}


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("?cache=1", "has no setting 'cache'; did you mean cache_gb"),
        ("?cache_gb=some", "number of GiB above 0, not 'some'"),
        ("?cache_gb=0", "number of GiB above 0, not 0"),
        ("?cache_gb=true", "number of GiB above 0, not True"),
        ("?weights=int2", "one of f16, int8, int4, not 'int2'"),
    ],
)
def test_a_wrong_setting(query: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        open_engine(f"openvino:{POLICY}{query}", processes=0)
    assert "\n" not in str(caught.value)


def test_a_model_that_it_cannot_take(llama) -> None:
    folder = llama(rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4})
    with pytest.raises(UserError, match="frequencies are scaled; write local:"):
        open_engine(f"openvino:{folder}")


def test_weights_that_cannot_be_converted_are_told_in_a_line(
    llama, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = llama()
    (weights,) = folder.glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1000])  # as a full disk leaves them
    with pytest.raises(UserError, match=r"cannot be converted for OpenVINO: .*ncomplete"):
        converted_apart(folder, "int8")
    assert "Traceback" not in capfd.readouterr().err


def test_without_openvino_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whorl.engines.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'whorl\[cpu\]'"):
        open_engine(f"openvino:{POLICY}")
