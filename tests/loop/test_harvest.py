"""Harvesting a file of trees in one pass, and the counts that are kept of it."""

import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from whorl import prompts
from whorl.ask import Asking, Prompt
from whorl.data.examples import read_examples
from whorl.data.forest import Forest, read_trees
from whorl.drive import drive
from whorl.engines import toy
from whorl.engines.crew import Here
from whorl.engines.function import Function
from whorl.errors import UserError
from whorl.evaluate import PRESETS
from whorl.example import Likelihood, Weighted
from whorl.loop.folder import RunFolder
from whorl.loop.grow import GrowPlan, grow
from whorl.loop.harvest import Harvested, _asked, distinct_examples, harvest
from whorl.loop.variety import Solutions
from whorl.problem import Problem
from whorl.prompts import alpaca
from whorl.recipe import Harvest
from whorl.recipes.marge import Marge
from whorl.recipes.rft import Rft
from whorl.recipes.sigma import Sigma
from whorl.search import Uct
from whorl.tree import ROOT, Node, Tree

RECIPE = Sigma(uct=Uct(simulations=4))
COUNT = 8


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with SIGMA's trees, two arms for each problem."""
    engines = dict.fromkeys(("policy", "critic", "reviser"), Function(toy.answer))
    problems = list(toy.problems(COUNT))
    searches = ((f"{p.id}#{a}", r.grow(p)) for p in problems for a, r in RECIPE.arms().items())
    order = [(problem.id, arm) for problem in problems for arm in RECIPE.arms()]
    with Forest(tmp_path / "trees.jsonl") as forest:
        for finished in drive(searches, engines):
            assert finished.result is not None
            finished.result.provenance = {"arm": finished.key.partition("#")[2]}
            finished.result.cost = dict(finished.cost)
            forest.append(finished.result)
        forest.finish(order)
    return tmp_path


def harvested(folder: Path) -> Harvested:
    return harvest(folder / "trees.jsonl", RECIPE, folder / "examples.jsonl")


def test_the_counts_are_those_of_the_files(folder: Path) -> None:
    found = harvested(folder)
    trees = list(read_trees(folder / "trees.jsonl"))
    crops = [RECIPE.harvest(tree) for tree in trees]
    assert found.trees == len(trees) == 2 * COUNT
    assert found.examples == len(list(read_examples(folder / "examples.jsonl"))) > 0
    equal = sum(len(crop.examples) for crop in crops) - found.examples
    dropped = sum((Counter(crop.dropped) for crop in crops), Counter())
    assert Counter(found.dropped) == dropped + Counter({"equal to another example": equal})
    assert Counter(found.tally) == sum((Counter(RECIPE.tally(tree)) for tree in trees), Counter())
    assert Counter(found.cost) == sum((Counter(tree.cost) for tree in trees), Counter())
    solutions = Solutions()
    for first, second in zip(trees[::2], trees[1::2], strict=True):
        assert first.problem == second.problem
        solutions.add([first, second])
    assert found.variety == solutions.variety
    assert found.variety.solutions > 0


def test_searches_that_never_end_are_remarked_upon(tmp_path: Path) -> None:
    open_tree, ended = Tree(Problem("p", "q", "1")), Tree(Problem("p", "q", "1"))
    ended.add(Node(ROOT, "\\boxed{1}", terminal=True, reward=1.0))
    for count, told in ((1, False), (2, True)):
        path = tmp_path / f"{count}.jsonl"
        path.write_text("".join(tree.to_json() + "\n" for tree in [ended] + [open_tree] * count))
        found = harvest(path, RECIPE, tmp_path / "out.jsonl")
        assert any("2 of 3 searches came to no end" in line for line in found.remarks) is told


def test_thoughts_that_never_close_are_remarked_upon(tmp_path: Path) -> None:
    lost = Tree(Problem("p", "q", "1"))
    lost.add(Node(ROOT, "<think>\nHm, \\boxed{1}\n\n", pruned=True, mark="cut off"))
    (tmp_path / "trees.jsonl").write_text(lost.to_json() + "\n")
    found = harvest(tmp_path / "trees.jsonl", RECIPE, tmp_path / "out.jsonl")
    assert found.remarks[-1].startswith("1 of 1 searches came to no end of a solution: thoughts do")


def test_every_tree_is_parsed_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: Counter[str] = Counter()
    whole = Tree.from_json

    def counting(line: str) -> Tree:
        tree = whole(line)
        parsed[tree.origin(0)] += 1
        return tree

    monkeypatch.setattr(Tree, "from_json", counting)
    harvested(folder)
    assert len(parsed) == 2 * COUNT and set(parsed.values()) == {1}


def test_counts_that_are_kept_come_back(folder: Path) -> None:
    assert Harvested.read(folder) is None
    found = harvested(folder)
    found.write(folder)
    assert Harvested.read(folder) == found


def test_a_folder_whose_variety_is_a_file_of_its_own_is_read(folder: Path) -> None:
    found = harvested(folder)
    found.write(folder)
    said = json.loads((folder / "harvested.json").read_text())
    variety = said.pop("variety")
    (folder / "harvested.json").write_text(json.dumps(said))
    assert Harvested.read(folder) is None, "it was killed between the two"
    (folder / "variety.json").write_text(json.dumps(variety))
    assert Harvested.read(folder) == found


@pytest.mark.parametrize("content", ["{", "[]", "3", '{"trees": 3}', '{"variety": {"x": 1}}'])
def test_counts_that_are_broken_are_one_line(folder: Path, content: str) -> None:
    (folder / "harvested.json").write_text(content)
    (folder / "variety.json").write_text('{"solutions": 1, "right": 1, "entropy": 0}')
    with pytest.raises(UserError, match=r"harvested\.json cannot be read: .*delete it") as caught:
        Harvested.read(folder)
    assert "\n" not in str(caught.value)


@dataclass(frozen=True)
class Odd(Rft):
    """A recipe from outside the package whose harvest goes wrong."""

    way: str = "raises"

    def harvest(self, tree: Tree) -> Harvest:
        if self.way == "raises":
            raise KeyError("oops")
        return []  # type: ignore[return-value]


@pytest.mark.parametrize(("way", "said"), [("raises", "KeyError: 'oops'"), ("returns", "Harvest")])
def test_a_strangers_recipe_that_fails_is_named_with_the_tree(
    folder: Path, way: str, said: str
) -> None:
    with pytest.raises(UserError, match=rf"Odd fails at the tree of toy/0/0: .*{said}"):
        harvest(folder / "trees.jsonl", Odd(way=way), folder / "examples.jsonl")


def test_growing_nothing_is_said_with_the_recipes_name(tmp_path: Path) -> None:
    class Nothing(Rft):
        def grow(self, problem: Problem, last: Tree | None = None) -> Asking[Tree]:
            return None  # type: ignore[return-value]

    with RunFolder.open(tmp_path / "run", {}, version="test") as run:
        engines = {"policy": Function(toy.answer)}
        grown = grow(run, toy.problems(2), GrowPlan(Nothing(), "nothing"), Here(engines))
    assert grown.trees == 0
    assert all("generator that returns a Tree" in why for why in grown.failures.values())


def test_examples_for_a_student_of_its_own_are_after_its_own_words(folder: Path) -> None:
    plain, out = harvested(folder), folder / "asked.jsonl"
    found = harvest(folder / "trees.jsonl", RECIPE, out, setup=PRESETS["dart"])
    assert (found.examples, found.dropped) == (plain.examples, plain.dropped)
    both = zip(read_examples(folder / "examples.jsonl"), read_examples(out), strict=True)
    questions = {
        tree.problem.id: tree.problem.question for tree in read_trees(folder / "trees.jsonl")
    }
    for example, own in both:
        question = questions[example.origin.partition("#")[0]]
        assert own == replace(example, prompt=alpaca(question))


def test_steps_keep_their_prefix_and_other_requests_are_left_out(tmp_path: Path) -> None:
    tree = Tree(Problem("a", "1+1?", "2"))
    tree.add(Node(ROOT, "2"))
    with Forest(tmp_path / "trees.jsonl") as forest:
        forest.append(tree)
        forest.finish([("a", "")])
    out = tmp_path / "examples.jsonl"
    found = harvest(tmp_path / "trees.jsonl", TwoRequests(), out, setup=PRESETS["dart"])
    assert (found.examples, found.dropped) == (1, {"not after the plain question": 1})
    (example,) = read_examples(out)
    assert example.prompt == replace(alpaca("1+1?"), prefix=alpaca("1+1?").prefix + "Add.\n\n")


@dataclass(frozen=True)
class TwoRequests(Rft):
    """Harvests a step and a solution after another request than the plain question."""

    def harvest(self, tree: Tree) -> Harvest:
        step = Weighted(replace(prompts.plain(tree), prefix="Add.\n\n"), "2")
        return Harvest((step, Weighted(prompts.reflect("1+1?", "3"), "2")), {})


def test_a_harvest_that_fails_leaves_the_examples_and_their_purpose(folder: Path) -> None:
    trees, out = folder / "trees.jsonl", folder / "examples.jsonl"
    harvest(trees, Rft(), out)
    files = [out, *sorted(folder.glob("examples.*.json"))]
    before = [file.read_bytes() for file in files]
    with pytest.raises(UserError, match="has no guide"):
        harvest(trees, Marge(), out)
    assert [file.read_bytes() for file in files] == before and len(files) == 2


def test_what_was_sampled_behind_a_prefix_is_asked_in_other_words_behind_theirs() -> None:
    tree = Tree(Problem("p", "3+4", "7"), asked=Prompt("", "3+4", "So: "))
    tree.add(Node(ROOT, "\\boxed{7}", terminal=True, reward=1.0))
    (one,) = _asked(tree, Rft().harvest(tree).examples, PRESETS["dart"])
    assert one.prompt == alpaca("3+4")


def test_repeated_samples_stay_where_the_loss_is_a_mean_over_completions() -> None:
    one, other = (Weighted(prompts.solve("3+4"), text) for text in ("7", "8"))
    kept = {
        average: len(list(distinct_examples([one] * 7 + [other], Likelihood(average=average))))  # type: ignore[arg-type]
        for average in ("token", "completion", "sum")
    }
    assert kept == {"token": 2, "completion": 8, "sum": 8}
