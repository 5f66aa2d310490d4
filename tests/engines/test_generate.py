"""Other architectures, through transformers' generate()."""

import gc
import json
from itertools import count
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
    usual = {"repetition_penalty": 9.0, "no_repeat_ngram_size": 1, "min_new_tokens": 30}
    (folder / "generation_config.json").write_text(json.dumps(usual))  # for who asks without words
    asks = [
        Ask(Prompt("", "Anna has " * k), n=2, stop=stop, max_tokens=20, temperature=0.0)
        for k in (1, 3, 7)
        for stop in ((), ("e", "\n\n"))
    ]
    ours, theirs = collect(Local(folder), asks), collect(Generate(folder), asks)
    for mine, other in zip(ours, theirs, strict=True):
        assert [(r.text, r.finished) for r in mine] == [(r.text, r.finished) for r in other]
        assert [r.tokens for r in other] == [mine[0].tokens, 0], "made once"
        assert [r.logprob for r in mine] == pytest.approx([r.logprob for r in other], abs=1e-4)


def test_a_long_prompt_takes_no_room_from_its_company(llama) -> None:
    folder = llama(max_position_embeddings=128)
    asks = [Ask(Prompt("", "Anna has " * k), max_tokens=100, temperature=0.0) for k in (1, 30)]
    ours, theirs = collect(Local(folder), asks), collect(Generate(folder), asks)
    lengths = [[reply.tokens for (reply,) in each] for each in (ours, theirs)]
    assert lengths[0] == lengths[1] and lengths[0][0] > lengths[0][1]


def test_log_probabilities_are_the_models_whatever_is_sampled_from(llama) -> None:
    folder, prompt = llama(), Prompt("", "Anna has ")
    (ours,) = collect(Local(folder), [Ask(prompt, n=200, max_tokens=1, seed=1)])
    exact = {reply.text: reply.logprob for reply in ours}
    sharp = Ask(prompt, n=64, max_tokens=1, temperature=0.5, top_p=0.5, seed=1)
    (theirs,) = collect(Generate(folder), [sharp])
    both = [(reply.logprob, exact[reply.text]) for reply in theirs if reply.text in exact]
    assert len(both) > 9
    for known, right in both:
        assert known == pytest.approx(right, abs=1e-4)


def test_what_it_holds_does_not_grow_with_the_vocabulary_times_the_tokens(llama) -> None:
    engine = Generate(llama())
    held: list[int] = []
    steps = count(1)

    def look(_: torch.nn.Module, __: object, ___: object) -> None:
        if next(steps) not in (3, 10):  # going through all objects takes long
            return
        gc.collect()
        alive = (x for x in gc.get_objects() if type(x) is torch.Tensor)
        held.append(sum(x.numel() for x in alive if x.dim() > 1 and x.shape[-1] == vocabulary))

    vocabulary = engine._model.config.vocab_size
    hook = engine._model.register_forward_hook(look)
    collect(engine, [Ask(Prompt("", "Anna"), n=4, max_tokens=30, temperature=1.0, seed=1)])
    hook.remove()
    early, late = held
    assert late <= early


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
