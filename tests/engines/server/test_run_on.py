"""A server that goes on behind the end of a turn: none of that gets into a reply or a tree."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.engines.server.conftest import SOLVE, Opened, answer

from whorl.ask import Ask
from whorl.drive import drive
from whorl.engines.dress import dressed
from whorl.engines.judge import Judges
from whorl.models import POLICY
from whorl.problem import Problem
from whorl.recipes import Rft, StepDpo
from whorl.rollout import Sampling
from whorl.search import Uct

Server = Callable[..., str]
ON = "\n### Instruction:\nWhat is 1 + 0?\n\n### Response:The answer is \\boxed{1}."
WHOLE = Ask(SOLVE, n=4, max_tokens=400, seed=3)


@pytest.fixture(scope="module")
def folder() -> Path:
    """The shipped policy's tokenizer under a template whose turns words open."""
    return dressed(POLICY, {"template": "alpaca"})[0]


@pytest.mark.parametrize(
    "lacks", [[], ["stop"], ["stop_reason"], ["stop", "logprobs"], ["extras"], ["completions"]]
)
def test_a_reply_ends_where_the_turn_does(
    folder: Path, lacks: list[str], rig_server: Server, opened: Opened
) -> None:
    url = rig_server(tokenizer=str(folder), runs_on=ON, lacks=lacks)
    engine = opened(url, tokenizer=folder)
    for reply in answer(engine, WHOLE):
        assert "###" not in reply.text and reply.text.count("boxed") == 1
        assert reply.finished == "eos"
        if "stop" in lacks:  # the server told of more than is left
            assert reply.logprob is None
    for reply in answer(engine, replace(WHOLE, stop=("\n\n",))):
        assert "###" not in reply.text
        assert ("boxed" in reply.text) == (reply.finished == "eos")


def test_an_end_that_is_a_token_ends_the_text_where_a_server_shows_it(
    rig_server: Server, opened: Opened
) -> None:
    on = "<|eos|><|user|>And then?"
    url = rig_server(tokenizer=str(POLICY), runs_on=on, lacks=["stop"])
    for reply in answer(opened(url), WHOLE):
        assert reply.text.endswith("}.") and reply.finished == "eos"


@pytest.mark.parametrize("lacks", [[], ["stop"]])
def test_nothing_behind_the_end_gets_into_a_tree_or_an_example(
    folder: Path, lacks: list[str], rig_server: Server, opened: Opened
) -> None:
    url = rig_server(tokenizer=str(folder), runs_on=ON, lacks=lacks)
    engine, judge = opened(url, tokenizer=folder), Judges()
    recipes = Rft(samples=4), StepDpo(uct=Uct(children=2, simulations=4), sampling=Sampling())
    for recipe in recipes:
        problems = [Problem(f"p{k}", f"What is {k} + 1?", "42") for k in range(3)]
        searches = ((problem.id, recipe.grow(problem)) for problem in problems)
        ended = list(drive(searches, {"policy": engine, "judge": judge}))
        trees = [one.result for one in ended if one.result is not None]
        assert len(trees) == 3
        assert not any("###" in node.text for tree in trees for node in tree.nodes)
        examples = [repr(one) for tree in trees for one in recipe.harvest(tree).examples]
        assert examples and not any("###" in text.split("prefix=")[1] for text in examples)
    judge.close()
