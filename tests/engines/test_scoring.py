"""Engines that say how likely a given text is: against transformers, and in other company."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from whorl.ask import Ask, Failure, Given, Prompt, Replies, Reply, digest
from whorl.engines.function import Function
from whorl.engines.generate import Generate
from whorl.engines.journal import Journal
from whorl.engines.local import Local
from whorl.engines.meter import Meter
from whorl.errors import UserError
from whorl.loop.trial import check_scores, check_teacher
from whorl.models import POLICY, TEACHER
from whorl.recipes import Distill, OnPolicyDistill

QUESTION = Prompt("", "Mia has 12 apples and buys 5. How many?")
TEXTS = ("Mia has 12+5=17 apples.\n\nThe answer is \\boxed{17}.", "17", "no", "数学 Café 12")
ASKS = [
    Ask(replace(QUESTION, prefix=prefix), "teacher", given=Given(text, ended))
    for text in TEXTS
    for prefix, ended in (("", True), ("So ", False), ("Mia has 12 apples.\n\n", True))
]


def answered(engine, asks: list[Ask]) -> list[Replies | Failure]:  # type: ignore[no-untyped-def]
    for ticket, ask in enumerate(asks):
        engine.submit(ticket, ask)
    found: dict[int, Replies | Failure] = {}
    while len(found) < len(asks):
        found |= dict(engine.poll(0.0))
    return [found[ticket] for ticket in range(len(asks))]


def test_the_embedded_engine_says_what_transformers_says(tiny_model: Path) -> None:
    engine = Local(tiny_model)
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    for ask, answer in zip(ASKS, answered(engine, ASKS), strict=True):
        assert ask.given is not None and not isinstance(answer, Failure)
        ids, start = engine.chat.encode_completion(
            ask.prompt, ask.given.text, ended=ask.given.ended
        )
        with torch.inference_mode():
            scores = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        wanted = [float(scores[i - 1, ids[i]]) for i in range(start, len(ids))]
        (reply,) = answer
        assert reply.logprobs == pytest.approx(wanted, abs=2e-5)
        assert (reply.text, reply.tokens, reply.prompt_tokens) == ("", len(wanted), start)
        assert reply.logprob == pytest.approx(sum(wanted), abs=1e-3)
    others = answered(Generate(tiny_model), ASKS)
    for ours, theirs in zip(answered(engine, ASKS), others, strict=True):
        assert not isinstance(ours, Failure) and not isinstance(theirs, Failure)
        assert ours[0].logprobs == pytest.approx(theirs[0].logprobs, abs=2e-5)


def test_scoring_beside_sampling_changes_neither(tiny_model: Path) -> None:
    sampling = [Ask(QUESTION, n=3, max_tokens=30, seed=seed) for seed in range(4)]
    apart = answered(Local(tiny_model), sampling), answered(Local(tiny_model), ASKS)
    mixed = answered(Local(tiny_model, max_rows=5), [*sampling, *ASKS])
    told = [
        [replace(reply, cached_tokens=0) for reply in answer] for answer in mixed[: len(sampling)]
    ]
    assert told == [[replace(reply, cached_tokens=0) for reply in answer] for answer in apart[0]]
    for ours, alone in zip(mixed[len(sampling) :], apart[1], strict=True):
        assert ours[0].logprobs == pytest.approx(alone[0].logprobs, abs=1e-5)


def test_a_sample_is_as_likely_when_it_is_read_as_when_it_was_drawn() -> None:
    engine = Local(POLICY)
    (sample,) = answered(engine, [Ask(QUESTION, max_tokens=200, temperature=0.0)])
    (reply,) = sample  # type: ignore[misc]
    assert reply.finished == "eos"
    read = Ask(QUESTION, given=Given(reply.text))
    ((again,),) = answered(engine, [read])  # type: ignore[misc]
    assert again.tokens == reply.tokens
    assert again.logprob == pytest.approx(reply.logprob, abs=1e-4)


def test_what_cannot_be_scored_is_a_failure(tiny_model: Path) -> None:
    engine = Local(tiny_model)
    for given, why in (
        (Given("", False), "no token to score"),
        (Given("a " * 600), "the model ta"),
    ):
        (answer,) = answered(engine, [Ask(QUESTION, given=given)])
        assert isinstance(answer, Failure) and why in answer.error


def test_what_was_said_is_recorded_once_and_counted(tmp_path: Path) -> None:
    asked: list[Ask] = []

    def answer(ask: Ask) -> Replies:
        asked.append(ask)
        return (Reply(tokens=2, logprob=-0.75, logprobs=(-0.5, -0.25)),)

    for _ in range(2):
        with Journal(tmp_path / "journal.db") as journal:
            meter = Meter(Function(answer))
            (found,) = answered(journal.wrap(meter), [ASKS[0]])
            assert found == (Reply(tokens=2, logprob=-0.75, logprobs=(-0.5, -0.25)),)
    assert len(asked) == 1
    names = {digest(ask) for ask in (*ASKS, *(replace(ask, given=None) for ask in ASKS))}
    assert len(names) == len(ASKS) + 3, "another text is another ask, and no text is another"


def test_an_engine_that_cannot_score_is_refused_before_anything_is_grown() -> None:
    deaf = Function(lambda ask: (Reply("It is 2.", tokens=4),))
    with pytest.raises(UserError, match="teacher: this engine cannot score a text"):
        check_scores(OnPolicyDistill(), {"teacher": deaf})
    check_scores(Distill(), {"teacher": deaf})
    check_scores(OnPolicyDistill(), {"teacher": Local(POLICY)})


def test_a_teacher_with_another_tokenizer_is_refused(tiny_model: Path) -> None:
    policy, teacher, other = f"local:{POLICY}", f"local:{TEACHER}", f"local:{tiny_model}"
    check_teacher(OnPolicyDistill(), policy, teacher)
    check_teacher(Distill(), policy, other)
    with pytest.raises(UserError, match=r"has another tokenizer than local:.*distill"):
        check_teacher(OnPolicyDistill(), policy, other)
    with pytest.raises(UserError, match="the tokenizer of server:http://x is not known"):
        check_teacher(OnPolicyDistill(), policy, "server:http://x")
