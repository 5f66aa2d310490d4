"""Controls: what they spoil, that sums and tips follow from it, and that trees are shared."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from sqlite3 import connect

import pytest
from tests.compare.watching import Heard

from whorl.answer import concluded, equal
from whorl.compare.comparison import Comparison
from whorl.compare.controls import KINDS, Control, Spoilt, spoilt
from whorl.compare.findings import read_student
from whorl.compare.methods import methods, select_methods
from whorl.compare.students import Part, play_part
from whorl.data.examples import read_examples
from whorl.data.problems import write_problems
from whorl.data.synthetic import problems
from whorl.drive import drive
from whorl.engines import toy
from whorl.engines.function import Function
from whorl.engines.roles import Engines, Opened
from whorl.errors import UserError
from whorl.evaluate import Decoding
from whorl.models import POLICY
from whorl.problem import Problem
from whorl.recipe import Recipe, chosen_of, heeds_verdicts
from whorl.recipes import Process, Rft, Sigma, Sphere, StepDpo
from whorl.rollout import Sampling
from whorl.search import Uct
from whorl.steps import BlankLine
from whorl.tree import ROOT, Node, Tree

SHORT = Sampling(steps=BlankLine(min_chars=0))
RECIPES: Sequence[Recipe] = (
    Rft(SHORT, samples=6),
    Sigma(Uct(simulations=6), SHORT, temperatures=(0.7,)),
    Process(uct=Uct(constant=1.4, wrong=0.0, children=3, simulations=6), sampling=SHORT),
    StepDpo(uct=Uct(constant=1.4, wrong=0.0, children=3, simulations=6), sampling=SHORT),
)


def grown(recipe: Recipe, count: int = 12) -> list[Tree]:
    searches = ((p.id, recipe.grow(p)) for p in toy.problems(count))
    engines = dict.fromkeys(("policy", "critic", "reviser"), Function(toy.answer))
    done = sorted(drive(searches, engines), key=lambda finished: finished.key)
    assert not any(finished.error for finished in done)
    return [finished.result for finished in done if finished.result]


def again(trees: Sequence[Tree]) -> list[Tree]:
    return [Tree.from_json(tree.to_json()) for tree in trees]


def controlled(
    trees: Sequence[Tree], control: Control, recipe: Recipe, seed: int = 0
) -> list[Tree]:
    return list(spoilt(lambda: again(trees), control, recipe, seed))


def verdicts(trees: Sequence[Tree]) -> list[float]:
    return [n.reward for tree in trees for n in tree.nodes if n.terminal and n.reward is not None]


def own(tree: Tree, index: int) -> tuple[int, float]:
    """Simulations that ended at a node, and the sum of their outcomes."""
    node = tree.nodes[index]
    below = [tree.nodes[child] for child in node.children]
    return node.visits - sum(n.visits for n in below), node.total - sum(n.total for n in below)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: type(r).__name__)
def test_a_recipe_chooses_from_the_tree_what_it_chose_while_it_grew(recipe: Recipe) -> None:
    trees = grown(recipe)
    assert [chosen_of(recipe, tree) for tree in trees] == [tree.tip for tree in trees]
    same = controlled(trees, Control("flipped", 0.0), recipe)
    assert [tree.to_json() for tree in same] == [tree.to_json() for tree in trees]


@pytest.mark.parametrize("kind", ["random", "flipped", "unfiltered"])
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: type(r).__name__)
def test_sums_follow_from_the_verdicts(recipe: Recipe, kind: Spoilt) -> None:
    trees = grown(recipe)
    for tree in controlled(trees, Control(kind, 0.5), recipe):
        for index, node in enumerate(tree.nodes):
            ended, total = own(tree, index)
            if node.terminal and node.reward is not None:
                assert total == pytest.approx(ended * node.reward)
            else:
                assert total == pytest.approx(0.0), "only ends add to the sums"
            assert 0 <= node.total <= node.visits


def test_random_verdicts_have_the_rate_of_the_true_ones_and_tell_nothing() -> None:
    recipe = RECIPES[0]
    trees = grown(recipe, 150)
    true = verdicts(trees)
    drawn = [verdicts(controlled(trees, Control("random"), recipe, seed)) for seed in range(4)]
    assert drawn[0] != drawn[1] and drawn[0] == verdicts(
        controlled(trees, Control("random"), recipe)
    )
    copies = [n.copies for tree in trees for n in tree.nodes if n.terminal]
    rate = sum(v * n for v, n in zip(true, copies, strict=True)) / sum(copies)
    assert 0.1 < rate < 0.9
    flat = [value for found in drawn for value in found]
    assert sum(flat) / len(flat) == pytest.approx(rate, abs=0.05)
    agreeing = sum(a == b for a, b in zip(true * 4, flat, strict=True)) / len(flat)
    by_chance = sum(rate if v else 1 - rate for v in true) / len(true)
    assert agreeing == pytest.approx(by_chance, abs=0.06)


def test_a_share_of_the_verdicts_is_flipped() -> None:
    recipe = RECIPES[0]
    trees = grown(recipe, 150)
    true = verdicts(trees)
    for rate in (0.2, 1.0):
        found = verdicts(controlled(trees, Control("flipped", rate), recipe))
        turned = sum(a != b for a, b in zip(true, found, strict=True)) / len(true)
        assert turned == pytest.approx(rate, abs=0.05)


def test_a_text_has_one_verdict_however_often_it_is_sampled() -> None:
    recipe = RECIPES[0]
    trees = [*grown(recipe, 40), *grown(Rft(SHORT, samples=12), 40)]
    seen: dict[tuple[str, str], float | None] = {}
    repeated = 0
    for tree in controlled(trees, Control("flipped", 0.5), recipe):
        for leaf in tree.leaves():
            key, reward = (tree.problem.id, tree.text(leaf)), tree.nodes[leaf].reward
            repeated += key in seen
            assert seen.setdefault(key, reward) == reward
    assert repeated > 20


def by_hand() -> Tree:
    tree = Tree(Problem("p", "Add 3 and 4.", "7"))
    tree.add(Node(ROOT, "3+4=7\n\nSo \\boxed{7}.", terminal=True, reward=1.0, visits=1, total=1.0))
    tree.add(Node(ROOT, "\\boxed{12}", terminal=True, reward=0.0, visits=2))
    tree.add(Node(ROOT, "I do not know", pruned=True, mark="no answer"))
    tree.add(Node(ROOT, "3+4", pruned=True, mark="cut off"))
    tree.add(Node(ROOT, "", pruned=True, mark="empty"))
    tree.nodes[ROOT].visits, tree.nodes[ROOT].total = 3, 1.0
    return tree


def test_unfiltered_means_whatever_was_written() -> None:
    (tree,) = controlled([by_hand()], Control("unfiltered"), Rft())
    crop = Rft().harvest(tree)
    assert [(one.text, one.ended) for one in crop.examples] == [
        ("3+4=7\n\nSo \\boxed{7}.", True),
        ("\\boxed{12}", True),
        ("I do not know", True),
        ("3+4", False),
    ]
    assert (tree.nodes[ROOT].visits, tree.nodes[ROOT].total) == (3, 3.0)


def test_perturbed_answers_are_others_and_the_way_there_stays() -> None:
    for seed in range(30):
        (tree,) = controlled([by_hand()], Control("perturbed"), Rft(), seed)
        first, second = tree.nodes[1].text, tree.nodes[2].text
        assert first.startswith("3+4=7\n\nSo \\boxed{") and first.endswith("}.")
        assert 1 <= abs(int(first.partition("{")[2][:-2]) - 7) <= 9
        assert second != "\\boxed{12}" and verdicts([tree]) == [1.0, 0.0]


@pytest.mark.parametrize(
    "text",
    [
        "The answer is \\boxed{5}. Check: 15 - 10 = 5, so \\boxed{5}.",
        "**Answer:** 5\n\nSo he has 5 apples left after 15 days.",
        "The solutions are $\\boxed{2}$ and $\\boxed{3}$.",
        "$-\\boxed{5}$",
        "#### 5\n(step 5 of 5)",
    ],
)
def test_what_is_perturbed_says_another_answer(text: str) -> None:
    tree = Tree(Problem("p", "?", "5"))
    tree.add(Node(ROOT, text, terminal=True, reward=1.0))
    for seed in range(10):
        (other,) = controlled([tree], Control("perturbed"), Rft(), seed)
        said = concluded(other.text(1))
        assert said and said != concluded(text) and other.nodes[1].reward == 1.0


def test_a_perturbed_fraction_is_another_number() -> None:
    tree = Tree(Problem("p", "?", "1/2"))
    tree.add(Node(ROOT, "So \\boxed{1/2}.", terminal=True, reward=1.0))
    for seed in range(100):
        (other,) = controlled([tree], Control("perturbed"), Rft(), seed)
        assert other.nodes[1].pruned or equal("1/2", concluded(other.text(1)) or "") is False


def test_an_answer_that_cannot_be_perturbed_is_left_out() -> None:
    tree = Tree(Problem("p", "?", "x"))
    tree.add(Node(ROOT, "So \\boxed{x}.", terminal=True, reward=1.0, visits=1, total=1.0))
    tree.nodes[ROOT].visits, tree.nodes[ROOT].total = 1, 1.0
    (other,) = controlled([tree], Control("perturbed"), Rft())
    assert other.nodes[1].pruned and other.nodes[ROOT].total == 0.0 and other.tip == ROOT


def test_values_by_rollouts_follow_from_the_verdicts() -> None:
    tree = Tree(Problem("p", "?", "5"))
    step = tree.add(Node(ROOT, "a\n\n", value=2 / 3))
    tree.add(Node(step, "\\boxed{5}", author="rollout", terminal=True, reward=1.0, copies=2))
    tree.add(Node(step, "\\boxed{6}", author="rollout", terminal=True, reward=0.0))
    tree.add(Node(ROOT, "\\boxed{7}", terminal=True, reward=0.0, value=0.0))
    (other,) = controlled([tree], Control("flipped", 1.0), Sphere(score="rollouts"))
    assert [node.value for node in other.nodes[1:]] == [pytest.approx(1 / 3), None, None, 1.0]
    tree.nodes[2].author = tree.nodes[3].author = "policy"
    (other,) = controlled([tree], Control("flipped", 1.0), Sphere())
    assert other.nodes[1].value == 2 / 3, "a reward model's"


def test_names_and_overrides() -> None:
    tiny = methods("tiny")
    sets = ["rft.recipe.samples=3", "rft.recipe.keep=2", "rft_flipped.control.rate=0.4"]
    names = ["rft", "rft_flipped", "rft_random", "sigma_unrefined_perturbed", "process_flipped"]
    rft, flipped, drawn, perturbed, rounds = select_methods(tiny, names, sets)
    assert flipped == replace(rft, name="rft_flipped", control=Control("flipped", 0.4))
    assert (drawn.forest, drawn.grow) == ("rft", rft.grow) and drawn.harvest == rft.harvest
    assert (perturbed.forest, perturbed.control) == ("sigma", Control("perturbed"))
    assert rounds.rounds and rounds.forest == "process_flipped", "its students grow trees"
    (once,) = select_methods(tiny, ["process_flipped"], ["process.shares=[1]"])
    assert once.rounds and once.forest == "process", "its student grows none"
    assert rft.control is None
    for names, sets, message in (
        (["rft_radnom"], [], "no recipe 'rft_radnom'"),
        (["simga_random"], [], "no recipe 'simga'; did you mean sigma"),
        (["rft"], ["rft.control.rate=0.5"], "rft is no control; rft_flipped is one"),
        (["rft_flipped"], ["rft_flipped.control.rate=1.5"], r"should be in \[0, 1\], not 1.5"),
        (
            ["rft_random"],
            ["rft_random.recipe.keep=2"],
            "rft_random differs from rft by .*: write rft.recipe.keep=2",
        ),
        (["rft_random"], ["rft_random.train.lr=1"], "what it spoils alone: write rft.train.lr=1"),
        (["process_random"], ["process_random.rounds=false"], "write process.rounds=false"),
        (["sigma_random"], ["sigma.recipe.check=false"], "sigma_random: this recipe uses no verd"),
    ):
        with pytest.raises(UserError, match=message):
            select_methods(tiny, names, sets)
    assert select_methods(tiny, ["sigma_perturbed"], ["sigma.recipe.check=false"])
    assert [heeds_verdicts(Sigma(check=c)) for c in (True, False)] == [True, False]


def test_a_recipe_from_elsewhere_has_controls_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    name = "examples/rloo.py:Rloo"
    for names in ([name, "Rloo_random"], [f"{name}_random", name]):
        found = select_methods(methods("tiny"), names, ["Rloo.recipe.samples=4"], which="tiny")
        one, control = sorted(found, key=lambda entry: entry.name)
        assert control == replace(one, name="Rloo_random", control=Control("random"))


@pytest.mark.slow
def test_controls_learn_from_the_same_trees_at_no_tokens(tmp_path: Path) -> None:
    write_problems(tmp_path / "p.jsonl", problems("pool", 3, seed=0, levels=[1]))
    write_problems(tmp_path / "t.jsonl", problems("test", 2, seed=1, levels=[1]))
    sets = ["rft.recipe.samples=2", "rft.train.epochs=1", "rft.shares=[1]"]
    names = ["rft", *(f"rft_{kind}" for kind in KINDS)]
    comparison = Comparison(
        tmp_path / "p.jsonl",
        tmp_path / "t.jsonl",
        Engines(f"local:{POLICY}", processes=0),
        select_methods(methods("tiny"), names, sets),
        900,
        seeds=1,
        evaluate=Decoding(n=1, temperature=0.8, max_tokens=60),
    )
    asked, texts, points = [], {}, {}
    for method in comparison.methods:
        part = Part(tmp_path / "run", comparison, method, 0)
        with Opened(comparison.engines) as opened:
            play_part(part, opened, Heard())
        with closing(connect(next((tmp_path / "run").rglob("journal.db")))) as journal:
            asked.append(journal.execute("SELECT count(*) FROM answer").fetchone())
        (home,) = part.homes()
        points[method.name] = read_student(home).point
        texts[method.name] = [one.text for one in read_examples(home / "examples.jsonl")]  # type: ignore[union-attr]
    assert len(set(asked)) == 1, "nothing is asked for a control"
    assert len({point.tokens for point in points.values()}) == 1, "each is charged the whole forest"
    assert not list((tmp_path / "run" / "seed-0" / "trees").glob("*_*"))
    assert set(texts["rft"]) < set(texts["rft_unfiltered"])
    assert len(texts["rft_perturbed"]) == len(texts["rft"])
    assert not set(texts["rft_perturbed"]) & set(texts["rft"])
