"""The report of a run folder: its counts are those of the files, whoever grew the trees."""

from pathlib import Path

import pytest

from whorl.data.examples import read_examples
from whorl.data.forest import Forest
from whorl.errors import UserError
from whorl.evaluate import Score, write_scores
from whorl.loop.folder import RunFolder
from whorl.loop.harvest import harvest
from whorl.problem import Problem
from whorl.recipes.rft import Rft
from whorl.report import Report
from whorl.tree import ROOT, Node, Tree
from whorl.view.shelf import Shown
from whorl.view.summary import TREES
from whorl.view.summary import summary as summary_of


def plant(name: str, *, reviser: bool = False) -> Tree:
    """Two right solutions that teach the same after the plain question, at five tokens each."""
    tree = Tree(Problem(name, "2+3?", "5"), cost={"policy": 10})
    author = "reviser" if reviser else "policy"
    for text in ("\\boxed{5}", f"So \\boxed{{{name}}}"):
        tree.add(Node(ROOT, text, author=author, terminal=True, reward=1.0, visits=1, total=1.0))
    return tree


def folder(path: Path, recipe: str = "rft") -> RunFolder:
    return RunFolder.open(path, {"recipe": {"name": recipe}, "seed": 0}, version="test")


def plant_in(run: RunFolder, *trees: Tree) -> None:
    with Forest(run.path / "trees.jsonl") as forest:
        for tree in trees:
            forest.append(tree)


def gather(run: RunFolder) -> None:
    harvest(run.trees, Rft(), run.examples).write(run.path)


def summary(run: RunFolder) -> Report:
    return summary_of(Shown(run.path, "run"))


def figures(report: Report) -> dict[str, str | int]:
    return {figure.label: figure.value for figure in report.figures}


def test_examples_that_were_harvested_again_are_counted_as_the_file_holds_them(
    tmp_path: Path,
) -> None:
    with folder(tmp_path) as run:
        plant_in(run, plant("a"), plant("b"))
        gather(run)
        lines = run.examples.read_bytes().splitlines(keepends=True)
        run.examples.write_bytes(lines[0])
        assert summary(run).lead == "2 trees taught 1 example."
        assert figures(summary(run))["examples"] == 1


def test_a_gain_is_told_with_what_chance_alone_can_make(tmp_path: Path) -> None:
    with folder(tmp_path) as run:
        plant_in(run, plant("a"))
        gather(run)
        for number, right in enumerate((3, 5)):
            scores = [Score(f"t{i}", "", (float(i < right),), ("5",)) for i in range(10)]
            write_scores(tmp_path / f"scores-{number}.jsonl", scores)
        said = summary(run).lead
    assert "from 30.0 % to 50.0 % right answers (95 %: -" in said


def test_examples_are_counted_as_they_were_written(tmp_path: Path) -> None:
    with folder(tmp_path) as run:
        for number in (1, 2):
            with folder(tmp_path / f"round-{number}") as inner:
                plant_in(inner, plant("a"), plant("b"), *[plant("c")] * (number - 1))
                gather(inner)
        said = summary(run)
    files = [tmp_path / f"round-{number}" / "examples.jsonl" for number in (1, 2)]
    written = sum(len(list(read_examples(file))) for file in files)
    assert figures(said) == {"trees": 5, "examples": written, "tokens, policy": 50}
    assert said.lead == f"5 trees taught {written} examples."
    (dropped,) = (table for table in said.counters if table.title.startswith("Left out"))
    equal = {figure.label: figure.value for figure in dropped.lines}["equal to another example"]
    assert isinstance(equal, int) and written + equal == 2 * 5


def test_trees_of_a_recipe_that_is_not_installed_are_reported(tmp_path: Path) -> None:
    with folder(tmp_path, "somebody.elses:Recipe") as run:
        plant_in(run, plant("a"), plant("b"))
        said = summary(run)
        assert said.title == "whorl: somebody.elses:Recipe"
        assert figures(said) == {"trees": 2, "examples": 0, "tokens, policy": 20}
        assert said.lead == "2 trees are grown and not harvested yet."
        gather(run)
        assert figures(summary(run))["examples"] == 3
        assert [grown.tree.problem.id for grown in said.trees] == ["a", "b"]


def test_trees_that_came_after_the_harvest_are_not_said_to_have_taught(tmp_path: Path) -> None:
    with folder(tmp_path) as run:
        plant_in(run, plant("a"))
        gather(run)
        plant_in(run, plant("b"), plant("c"))
        said = summary(run)
    assert said.lead == "1 tree taught 2 examples. 2 trees are grown and not harvested yet."
    assert figures(said) == {"trees": 3, "examples": 2, "tokens, policy": 30}


def test_trees_that_were_revised_are_shown_before_others(tmp_path: Path) -> None:
    with folder(tmp_path) as run:
        revised = {5, 20, TREES, TREES + 1}
        plant_in(run, *(plant(str(n), reviser=n in revised) for n in range(TREES + 2)))
        shown = [int(grown.tree.problem.id) for grown in summary(run).trees]
    assert shown[:5] == [5, 20, TREES, TREES + 1, 0] and len(shown) == len(set(shown)) == TREES


def test_each_outcome_of_a_revision_is_shown_however_rare(tmp_path: Path) -> None:
    with folder(tmp_path) as run:
        plant_in(run, *(plant(str(n), reviser=True) for n in range(TREES + 50)))
        spoilt = Tree(Problem("rare", "2+3?", "5"), cost={"policy": 10})
        spoilt.add(Node(ROOT, "\\boxed{5}", terminal=True, reward=1.0, visits=1, total=1.0))
        spoilt.tip = spoilt.add(
            Node(ROOT, "\\boxed{6}", author="reviser", terminal=True, reward=0.0)
        )
        plant_in(run, spoilt)
        shown = summary(run).trees
    assert "rare" in {grown.tree.problem.id for grown in shown[:2]} and len(shown) == TREES


def test_what_a_tree_taught_and_what_changed_is_part_of_the_report(shown: Path) -> None:
    said = summary_of(Shown(shown, "first"))
    taught = sum(len(grown.taught) for grown in said.trees)
    assert taught == figures(said)["examples"] == 31
    assert [one.change for one in said.attempts] == ["broken", *["fixed"] * 4]
    for one in said.attempts:
        (_, before), (_, after) = one.sides
        assert before.problem == after.problem
        assert before.attempts[0].right != after.attempts[0].right


def test_a_folder_without_trees_says_what_writes_them(tmp_path: Path) -> None:
    with folder(tmp_path) as run, pytest.raises(UserError, match="no trees; `whorl grow` writes"):
        summary(run)


def test_a_run_whose_test_problems_all_failed_has_its_chart(tmp_path: Path) -> None:
    with folder(tmp_path) as run:
        plant_in(run, plant("a"))
        (tmp_path / "metrics.jsonl").write_text('{"round": 1, "generated_tokens": 5}\n')
        right = [Score(name, "", (1.0, 0.0), ("5", "6")) for name in "bc"]
        none = [Score(name, "", (), (), error="no answer") for name in "bc"]
        for scores in ((none, right), (right, none), (none, none)):
            for number, each in enumerate(scores):
                write_scores(tmp_path / f"scores-{number}.jsonl", each)
            (chart,) = summary(run).charts
            assert [curve.name for curve in chart.curves] == (
                ["pass@1"] if scores == (none, none) else ["pass@1", "pass@2"]
            )
