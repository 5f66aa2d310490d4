"""Process reward models: what is learned of steps, and that it is learned."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoModelForTokenClassification

from whorl import prompts
from whorl.ask import Ask, Prompt
from whorl.chat import Chat
from whorl.engines import open_engine
from whorl.errors import UserError
from whorl.example import Rated
from whorl.learn.prm import auc, encode_steps, train_prm, with_head
from whorl.learn.training import Lora, Training

SETTINGS = Training(epochs=6, lr=5e-3, batch=16, seed=1)


def steps(questions: range) -> list[Rated]:
    """Of every question four second steps after one first: good with apples, bad with pears, and
    the first step in between."""
    made = []
    for n in questions:
        prompt = Prompt("", f"Mia has {n} apples and buys {n % 4}.")
        first = f"Mia has {n} now.\n\n"
        made.append(Rated(replace(prompt, prefix=first), 0.5, f"{n}#/1"))
        for fruit, value in (("apples", 1.0), ("pears", 0.0)):
            for k in range(2):
                made.append(Rated(replace(prompt, prefix=f"{first}{k} {fruit}"), value, f"{n}#/2"))
    return made


@pytest.fixture(scope="module")
def trained(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("prm") / "out"
    result = train_prm(tiny_model, steps(range(24)), out, settings=replace(SETTINGS, holdout=0.2))
    assert (result.auc, result.accuracy) == (1.0, 1.0)
    assert result.dropped == {"held out": 5 * 6}
    assert result.examples == (24 - 5) * 6
    return out


def test_the_head_is_new_and_the_rest_is_taken_over(tiny_model: Path) -> None:
    causal = AutoModelForCausalLM.from_pretrained(tiny_model)
    before = {name: weight.clone() for name, weight in causal.model.state_dict().items()}
    net = with_head(causal)
    assert type(net).__name__ == "LlamaForTokenClassification"
    after = net.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert net.train()(torch.tensor([[5, 6, 7]])).logits.softmax(-1).unique().tolist() == [0.5]


def test_a_label_follows_the_ids_that_the_engine_reads(tiny_model: Path) -> None:
    chat = Chat.load(tiny_model)
    prompt = Prompt("", "1+1", "12+5=17\n\n")
    corpus = encode_steps([Rated(prompt, 0.25)], chat, max_length=999)
    ((good, bad),) = corpus.groups
    ids = chat.encode(replace(prompts.solve("1+1"), prefix="12+5=17"))
    assert good.paths[0].ids.tolist() == [*ids, 1] and good.weight == 0.25
    assert bad.paths[0].ids.tolist() == [*ids, 0] and bad.weight == 0.75
    assert good.paths[0].learnt == bad.paths[0].learnt == 1
    certain = encode_steps([Rated(prompt, 1.0), Rated(prompt, 0.0)], chat, max_length=999)
    assert [(e.paths[0].ids[-1], e.weight) for e in certain.groups[0]] == [(1, 1.0), (0, 1.0)]
    assert encode_steps([Rated(prompt, 1.0)], chat, max_length=9).dropped == {"too long": 1}


def test_what_was_learned_is_what_the_engine_says(trained: Path) -> None:
    engine = open_engine(f"prm:{trained}", processes=0)
    fresh = steps(range(40, 44))
    for ticket, step in enumerate(fresh):
        engine.submit(ticket, Ask(step.prompt, role="prm"))
    values = {ticket: reply.value for ticket, (reply,) in engine.poll(0.0)}
    assert len(values) == len(fresh)
    for ticket, step in enumerate(fresh):
        assert values[ticket] == pytest.approx(step.value, abs=0.15)


def test_the_folder_is_an_ordinary_one(trained: Path) -> None:
    assert [path.name for path in trained.parent.iterdir()] == ["out"]
    model = AutoModelForTokenClassification.from_pretrained(trained)
    assert model.config.id2label == {0: "bad", 1: "good"}
    assert model.config.use_cache
    assert "AUC 1.000" in (trained / "README.md").read_text()
    config = json.loads((trained / "config.json").read_text())
    assert config["architectures"] == ["LlamaForTokenClassification"]
    assert not any("gathered" in str(value) for value in config.values())


def test_packed_and_unpacked_learn_the_same(tiny_model: Path, apart, log, tmp_path: Path) -> None:
    losses, sharing = [], []
    for packed in (True, False):
        watch = log()
        settings = replace(SETTINGS, epochs=1, packed=packed)
        result = train_prm(
            tiny_model, steps(range(8)), tmp_path / str(packed), settings=settings, watch=watch
        )
        losses.append(watch.losses)
        sharing.append(result.sharing)
    assert sharing[0] > 1.5 and 0.9 < sharing[1] <= 1  # alone, some are padded
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)
    # Adam turns rounding of a near-zero gradient into a step
    assert apart(tmp_path / "True", tmp_path / "False") < 1e-2


def test_it_goes_on_after_a_stop_to_the_same_model(
    tiny_model: Path, apart, log, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, epochs=2, save_steps=2)
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    result = train_prm(tiny_model, steps(range(8)), straight, settings=settings)
    with pytest.raises(KeyboardInterrupt):
        train_prm(tiny_model, steps(range(8)), stopped, settings=settings, watch=log(3))
    assert not stopped.exists()
    watch = log()
    again = train_prm(tiny_model, steps(range(8)), stopped, settings=settings, watch=watch)
    assert watch.steps[0] == 3
    assert apart(straight, stopped) == 0
    assert again == result == train_prm(tiny_model, steps(range(8)), stopped, settings=settings)
    with pytest.raises(UserError, match="holds another training"):
        train_prm(tiny_model, steps(range(9)), stopped, settings=settings)


def test_trouble_is_one_line(tiny_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(UserError, match=r"no step to train on \(none were given\)"):
        train_prm(tiny_model, [], out, settings=SETTINGS)
    with pytest.raises(UserError, match=r"no step to train on \(120 too long\)"):
        train_prm(tiny_model, steps(range(24)), out, settings=replace(SETTINGS, max_length=8))
    with pytest.raises(UserError, match="set lora"):
        train_prm(tiny_model, steps(range(4)), out, settings=Training(lora=Lora(rank=4)))
    assert not out.exists()


scores = st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4, 0.5]), min_size=1, max_size=8)


@given(scores, scores)
def test_auc_is_the_share_of_pairs_in_order(good: list[float], bad: list[float]) -> None:
    pairs = [(g > b) + (g == b) / 2 for g in good for b in bad]
    assert auc(good, bad) == pytest.approx(np.mean(pairs))
    assert auc(bad, good) == pytest.approx(1 - np.mean(pairs))


def test_auc_needs_both_kinds() -> None:
    assert auc([], [0.5]) is None and auc([0.5], []) is None
