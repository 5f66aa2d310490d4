"""The stages from a script: any function is a model, and what cannot work is refused."""

from dataclasses import replace
from pathlib import Path

import pytest

from whorl import Function, Sampling, UserError, grow, harvest, measure, toy
from whorl.data.examples import read_examples
from whorl.data.synthetic import problems
from whorl.example import Likelihood, Pair, Preference, Prompt, Weighted
from whorl.loop.folder import RunFolder
from whorl.loop.harvest import Harvested
from whorl.loop.harvest import harvest as harvest_trees
from whorl.loop.stages import usual_objective
from whorl.recipes import Rft, Sigma, find_recipe
from whorl.settings import as_table

RFT = Rft(Sampling(temperature=1.0), samples=3)


def test_a_function_grows_trees_that_are_harvested(tmp_path: Path) -> None:
    asked = []

    def answer(ask):
        asked.append(ask)
        return toy.answer(ask)

    world = list(toy.problems(5))
    grown = grow(world, RFT, {"policy": Function(answer)}, tmp_path / "run")
    assert (grown.trees, len(asked)) == (5, 5)
    once_more = grow(iter(world), RFT, {"policy": Function(answer)}, tmp_path / "run")
    assert (once_more.trees, once_more.tokens, len(asked)) == (5, 0, 5)
    found = harvest(tmp_path / "run")
    assert found.examples == len(list(read_examples(tmp_path / "run" / "examples.jsonl"))) > 0
    fewer = harvest(tmp_path / "run", Rft(keep=1), out=tmp_path / "fewer.jsonl")
    assert 0 < fewer.examples <= min(5, found.examples)
    assert Harvested.read(tmp_path / "run") == found, "counts of the folder's own examples"
    again = harvest(tmp_path / "run", Rft(keep=1), out=tmp_path / "run" / "examples.jsonl")
    assert Harvested.read(tmp_path / "run") == again == fewer
    for other, what in ((Rft(samples=4), "recipe.samples: 4 here, 3"), (Rft(), "recipe.samp")):
        with pytest.raises(UserError, match=what):
            grow(world, other, {"policy": Function(answer)}, tmp_path / "run")
    with pytest.raises(UserError, match='problems: "problems '):
        grow(world[:4], RFT, {"policy": Function(answer)}, tmp_path / "run")


def test_trees_of_rounds_are_harvested_together_or_one_round_alone(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path / "run", {"recipe": as_table(RFT)}, version="test") as run:
        pass
    world = {"policy": Function(toy.answer)}
    grown = [
        grow(toy.problems(count), RFT, world, run.path / f"round-{number}")
        for number, count in ((1, 3), (2, 5))
    ]
    assert harvest(run.path).trees == sum(each.trees for each in grown) == 8
    assert harvest(str(run.path), round=2, out=tmp_path / "two.jsonl").trees == 5
    assert Harvested.read(run.path) == harvest(run.path)
    for own, number in ((run.path, 2), (run.path / "round-2", 0)):
        with pytest.raises(UserError, match="is what the run learns from in that round"):
            harvest(own, round=number)
    for number in (0, 1):
        with pytest.raises(UserError, match="is what the run learns from in that round"):
            harvest(run.path, round=number, out=run.path / "round-2" / "examples.jsonl")
    assert not list(run.path.glob("round-*/examples.jsonl"))
    with pytest.raises(UserError, match="has no round 3; there are 1, 2"):
        harvest(run.path, round=3)


def test_roles_are_checked_before_there_is_a_folder(tmp_path: Path) -> None:
    world = Function(toy.answer)
    with pytest.raises(UserError, match="sigma asks a policy, and `engines` names none"):
        grow(toy.problems(2), Sigma(), {"critic": world}, tmp_path / "run")
    with pytest.raises(UserError, match="no role 'polcy'; there are policy, critic"):
        grow(toy.problems(2), RFT, {"policy": world, "polcy": world}, tmp_path / "run")  # type: ignore[dict-item]
    with pytest.raises(UserError, match="'lcal' is no kind of engine"):
        grow(toy.problems(2), RFT, {"policy": "lcal:x"}, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_a_model_learned_from_is_not_measured(tmp_path: Path) -> None:
    from whorl.learn.folder import write_questions
    from whorl.problem import fingerprint

    held = list(problems("test", 2, seed=0, levels=[1]))
    model = tmp_path / "model"
    model.mkdir()
    write_questions(model, model, [fingerprint(held[0].question)])
    with pytest.raises(UserError, match="was trained on 1 of the questions"):
        measure(f"local:{model}", held, tmp_path / "scores.jsonl")
    assert not list(tmp_path.glob("scores.jsonl"))


def test_the_objective_follows_the_examples() -> None:
    prompt = Prompt("", "?")
    for first in (None, Weighted(prompt, "a")):
        assert usual_objective(None, first)[0] == Likelihood()
    assert usual_objective(None, Pair(prompt, "a", "b"))[0] == Preference()


@pytest.mark.parametrize("name", ["sphere", "process", "grpo"])
def test_examples_are_trained_on_as_the_recipe_that_harvested_them_says(
    tmp_path: Path, name: str
) -> None:
    recipe = find_recipe(name)()
    (tmp_path / "trees.jsonl").write_text("")
    file = tmp_path / "mine.jsonl"
    harvest_trees(tmp_path / "trees.jsonl", recipe, file)
    objective, why = usual_objective(file, None)
    assert objective == recipe.objective and why == f"of {name}, which harvested them"
    (tmp_path / "mine.objective.json").write_text("{}")
    with pytest.raises(UserError, match=r"mine\.objective\.json cannot be read: .*; harvest again"):
        usual_objective(file, None)


def test_two_problems_of_one_id_are_refused_before_there_is_a_folder(tmp_path: Path) -> None:
    one, other = toy.problems(2)
    for twice in ([one, one], [other, one, replace(other, id=one.id)]):
        with pytest.raises(UserError, match=f"two problems have the id '{one.id}'; give each an"):
            grow(twice, RFT, {"policy": Function(toy.answer)}, tmp_path / "run")
    assert not (tmp_path / "run").exists()
