"""Other architectures, through transformers' generate()."""

from pathlib import Path

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from whorl.ask import Ask, Failure, Prompt
from whorl.engines import open_engine
from whorl.engines.generate import Generate
from whorl.engines.local import Local


def collect(engine, asks):
    for ticket, ask in enumerate(asks):
        engine.submit(ticket, ask)
    answers = {}
    while len(answers) < len(asks):
        answers |= engine.poll(0.0)
    return [answers[ticket] for ticket in range(len(asks))]


def test_agrees_with_the_embedded_engine(llama) -> None:
    folder = llama()
    asks = [
        Ask(Prompt("", "Anna has " * k), n=2, stop=stop, max_tokens=20, temperature=0.0)
        for k in (1, 3, 7)
        for stop in ((), ("e", "\n\n"))
    ]
    ours, theirs = collect(Local(folder), asks), collect(Generate(folder), asks)
    for mine, other in zip(ours, theirs, strict=True):
        assert [(r.text, r.finished, r.tokens) for r in mine] == [
            (r.text, r.finished, r.tokens) for r in other
        ]
        assert [r.logprob for r in mine] == pytest.approx([r.logprob for r in other], abs=1e-4)


def test_in_bfloat16_both_are_near_to_what_they_are_in_float32(llama) -> None:
    folder = llama()
    first = [Ask(Prompt("", "Anna has " * k), max_tokens=1, temperature=0.0) for k in range(1, 9)]
    exact = [reply.logprob for (reply,) in collect(Local(folder), first)]
    for kind in (Local, Generate):
        near = [r.logprob for (r,) in collect(kind(folder, dtype=torch.bfloat16), first)]
        assert near == pytest.approx(exact, rel=0.1) and near != exact


def test_samples_and_refuses(llama) -> None:
    engine = Generate(llama(max_position_embeddings=64))
    sampled, long = collect(
        engine,
        [Ask(Prompt("", "Anna"), n=4, max_tokens=8, seed=3), Ask(Prompt("", "7" * 99))],
    )
    assert len({reply.text for reply in sampled}) == 4
    assert isinstance(long, Failure)
    assert "the model takes 64" in long.error


def test_another_architecture_is_opened_with_a_word(tokenizer, tmp_path: Path) -> None:
    config = GPT2Config(vocab_size=len(tokenizer), n_positions=64, n_embd=32, n_layer=1, n_head=2)
    GPT2LMHeadModel(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match="GPT2LMHeadModel is not one of"):
        engine = open_engine(f"local:{tmp_path}", processes=0)
    ((reply,),) = collect(engine, [Ask(Prompt("", "Anna"), max_tokens=5, seed=1)])
    assert reply.tokens <= 5
    engine.close()
