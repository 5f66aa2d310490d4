"""The methods under `examples/`, which others begin theirs with."""

import pytest

from whorl.ask import Ask, Replies, Reply
from whorl.drive import drive
from whorl.engines.function import Function
from whorl.problem import Problem
from whorl.recipes import find_recipe

CUT = Reply("So the total is \\boxed{4}. Let me also", "length", 20)
ENDED = Reply("I say \\boxed{5}", "eos", 5)


@pytest.mark.parametrize("name", ["rloo.py:Rloo", "new_paper.py:Shortest", "best_of_n.py:BestOfN"])
def test_no_model_is_taught_to_end_where_it_was_cut_off(name: str) -> None:
    recipe = find_recipe(f"examples/{name}")(samples=2)  # type: ignore[call-arg]

    def answer(ask: Ask) -> Replies:
        if ask.role == "prm":
            return (Reply(value=float("4" in ask.prompt.prefix)),)
        return CUT, ENDED

    search = recipe.grow(Problem("p", "2 + 2?", "4"))
    (found,) = drive([("p", search)], dict.fromkeys(("policy", "prm"), Function(answer)))
    assert found.result is not None, found.error
    taught = {e.text: e.ended for e in recipe.harvest(found.result).examples}  # type: ignore[union-attr]
    assert taught.pop(CUT.text) is False
    assert taught in ({}, {ENDED.text: True})
