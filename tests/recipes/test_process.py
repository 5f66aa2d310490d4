"""MCTS process supervision, driven by hand and over the toy world."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import count, pairwise
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.ask import Ask, Asking, Replies, Reply
from whorl.drive import drive
from whorl.engines import toy
from whorl.engines.function import Function
from whorl.errors import UserError
from whorl.example import Likelihood, Weighted
from whorl.problem import Problem
from whorl.recipes.process import Process, compared_prefixes
from whorl.rollout import Sampling
from whorl.search import Uct, mcts
from whorl.steps import BlankLine
from whorl.tree import ROOT, Node, Tree

SAMPLING = Sampling(top_p=0.95, steps=BlankLine(min_chars=0))
PROCESS = Process(sampling=SAMPLING)
ONE = replace(PROCESS, uct=replace(PROCESS.uct, parallel=1))
SPLIT = "highest UCB and most visits choose differently"
PROBLEM = Problem("p", "Add 3, 4 and 5.", "12")


def grown(recipe: Process, *, problems: int = 20, seed: int = 0) -> list[Tree]:
    searches = ((p.id, recipe.grow(p)) for p in toy.problems(problems))
    done = sorted(drive(searches, {"policy": Function(toy.answer)}, seed=seed), key=lambda f: f.key)
    assert [f.error for f in done] == [None] * problems
    return [f.result for f in done if f.result is not None]


class Script:
    """Answers with the next step listed for the prefix, and plays out as listed for it."""

    def __init__(self, steps: dict[str, Sequence[str]], rollouts: dict[str, Sequence[str]]):
        self.steps = {prefix: list(texts) for prefix, texts in steps.items()}
        self.rollouts = {prefix: list(texts) for prefix, texts in rollouts.items()}
        self.asked: list[Ask] = []

    def answer(self, ask: Ask) -> Replies:
        self.asked.append(ask)
        if not ask.stop:
            text = self.rollouts[ask.prompt.prefix].pop(0)
            return (Reply(text, "eos" if "boxed" in text else "length", 3),)
        text = self.steps[ask.prompt.prefix].pop(0)
        return (Reply(text, "eos" if "boxed" in text else "stop", 2),)

    def grow(self, recipe: Process, problem: Problem = PROBLEM) -> Tree:
        (done,) = drive([("p", recipe.grow(problem))], {"policy": Function(self.answer)})
        assert done.error is None, done.error
        assert done.result is not None
        return done.result


def sized(simulations: int, children: int, **others: int) -> Process:
    uct = replace(ONE.uct, simulations=simulations, children=children, **others)  # type: ignore[arg-type]
    return replace(ONE, uct=uct)


def weighted(recipe: Process, tree: Tree) -> list[Weighted]:
    examples = recipe.harvest(tree).examples
    return [example for example in examples if isinstance(example, Weighted)]


def family(*children: Node) -> Tree:
    tree = Tree(PROBLEM)
    for child in children:
        tree.add(child)
        tree.nodes[ROOT].visits += child.visits
        tree.nodes[ROOT].total += child.total
    return tree


SEVEN, EIGHT = "3+4=7\n\n", "3+4=8\n\n"


def test_a_search_tries_candidates_plays_them_out_and_goes_on_behind_the_best() -> None:
    behind = "7+5=12\n\n"
    script = Script(
        {"": ["3+4=7", "3+4=8"], SEVEN: ["\\boxed{12}", "7+5=12"]},
        {"": [], SEVEN: ["7+5=12\n\n\\boxed{12}"], EIGHT: ["\\boxed{13}"], SEVEN + behind: ["12"]},
    )
    tree = script.grow(sized(2, 2))
    nodes = tree.nodes
    assert [(n.parent, n.text, n.author, n.visits, n.total) for n in nodes[1:]] == [
        (0, SEVEN, "policy", 1, 1),
        (1, behind, "rollout", 1, 1),
        (2, "\\boxed{12}", "rollout", 1, 1),
        (0, EIGHT, "policy", 1, 0),
        (4, "\\boxed{13}", "rollout", 1, 0),
        (0, SEVEN, "spine", 2, 1),
        (6, "\\boxed{12}", "policy", 1, 1),
        (6, behind, "policy", 1, 0),
        (8, "12", "rollout", 1, 0),
    ]
    assert nodes[6].tokens == 0  # nothing was sampled for it
    assert nodes[9].pruned and nodes[9].mark == "cut off"
    assert tree.tip == 7
    assert [(e.prompt.prefix, e.text, e.weight, e.ended) for e in weighted(ONE, tree)] == [
        ("", SEVEN, 0.5, False),
        ("", EIGHT, -0.125, False),
        (SEVEN, "\\boxed{12}", 0.5, True),
        (SEVEN, behind, -0.125, False),
    ]
    assert [e.origin for e in weighted(ONE, tree)] == ["p#/1", "p#/4", "p#/7", "p#/8"]
    assert ONE.tally(tree) == {"right": 1, "prefixes": 2, "prefixes that tell": 2, SPLIT: 0}
    step, rollout = script.asked[:2]
    assert (step.n, step.stop, step.max_tokens, step.prompt.prefix) == (1, ("\n\n",), 256, "")
    assert (step.temperature, step.top_p) == (0.7, 0.95)
    assert (rollout.stop, rollout.max_tokens, rollout.prompt.prefix) == ((), 1022, SEVEN)


def test_a_step_sampled_twice_is_one_candidate_and_is_simulated_twice() -> None:
    script = Script(
        {"": ["3+4=7", "3+4=7"], SEVEN: ["\\boxed{12}", "\\boxed{12}"]},
        {SEVEN: ["\\boxed{12}", "\\boxed{13}", "\\boxed{12}"]},
    )
    tree = script.grow(sized(2, 2))
    first = tree.nodes[1]
    assert (first.copies, first.visits, first.total) == (2, 2, 1)
    assert [node.text for node in tree.nodes if node.author == "policy"] == [SEVEN, "\\boxed{12}"]


def test_a_full_node_is_passed_on_the_way_down_and_a_rollout_is_not() -> None:
    script = Script(
        {"": ["3+4=7"], SEVEN: ["7+5=12", "\\boxed{12}"]},
        {SEVEN: ["\\boxed{12}"], SEVEN + "7+5=12\n\n": ["\\boxed{13}"]},
    )
    tree = script.grow(sized(2, 1))
    deeper = tree.nodes[3]
    assert (deeper.parent, deeper.text, deeper.author) == (1, "7+5=12\n\n", "policy")
    assert (tree.nodes[1].visits, tree.nodes[1].total) == (2, 1)
    assert compared_prefixes(tree) == [ROOT, 5]  # what was found deeper down is not compared


@pytest.mark.parametrize(("dead_ends", "visits"), [("propagate", [1, 1, 1]), ("leaf", [0, 0, 0])])
def test_a_dead_end_counts_as_wrong_or_not_at_all(dead_ends: str, visits: list[int]) -> None:
    script = Script({"": ["3+4=7", " "], SEVEN: [" ", " "]}, {SEVEN: ["no answer"]})
    recipe = sized(2, 2)
    recipe = replace(recipe, uct=replace(recipe.uct, dead_ends=dead_ends))  # type: ignore[arg-type]
    tree = script.grow(recipe)
    assert [n.visits for n in tree.nodes[1:4]] == visits
    behind = ["spine", "policy"] if dead_ends == "propagate" else []  # what counts not is no step
    assert [n.author for n in tree.nodes[1:]] == ["policy", "rollout", "policy", *behind]
    assert tree.tip == ROOT and all(n.copies == 2 for n in tree.nodes[5:])
    assert recipe.harvest(tree).examples == ()
    assert recipe.tally(tree)["no solution"] == 1


def test_an_undecided_answer_is_neither_right_nor_wrong() -> None:
    def answer(ask: Ask) -> Replies:
        return (Reply("\\boxed{1+x}", tokens=1) if ask.role == "policy" else Reply(value=None),)

    problem = replace(PROBLEM, answer="x+1")
    engines = dict.fromkeys(("policy", "judge"), Function(answer))
    (done,) = drive([("p", PROCESS.grow(problem))], engines)
    assert done.result is not None
    assert (done.result.tip, done.result.nodes[ROOT].visits) == (ROOT, 0)
    assert PROCESS.harvest(done.result).examples == ()
    assert PROCESS.tally(done.result)["no solution"] == 1


def test_a_candidate_of_which_nothing_was_decided_is_not_the_next_step() -> None:
    steps = {"": ["3+4=7", "3+4=8"], EIGHT: ["\\boxed{x+1}"] * 2}
    rollouts = {SEVEN: ["\\boxed{1+x}"], EIGHT: ["\\boxed{9}"]}
    script = Script(steps, rollouts)  # type: ignore[arg-type]
    engines = {
        "policy": Function(script.answer),
        "judge": Function(lambda ask: (Reply(value=None if "1+x" in ask.prompt.prefix else 0.0),)),
    }
    recipe = sized(2, 2, depth=1)
    (done,) = drive([("p", recipe.grow(replace(PROBLEM, answer="x+1")))], engines)
    tree = done.result
    assert tree is not None, done.error
    nodes = tree.nodes
    assert [(n.text, n.visits) for n in nodes if n.author == "policy"] == [(SEVEN, 0), (EIGHT, 1)]
    assert [n.text for n in nodes if n.author == "spine"] == [EIGHT]


def test_a_candidate_that_is_never_decided_takes_no_more_than_its_share() -> None:
    """Where the others are all wrong it is worth as much as they are."""

    def answer(ask: Ask) -> Replies:
        if ask.role == "judge":
            return (Reply(value=None if "1+x" in ask.prompt.prefix else 0.0),)
        if not ask.stop:
            hard = ask.prompt.prefix.startswith("3+4=7")
            return (Reply("\\boxed{1+x}" if hard else "\\boxed{9}", "eos", 3),)
        if not ask.prompt.prefix:
            return (Reply("3+4=7" if ask.seed % 3 == 0 else f"3+4={ask.seed % 3}", "stop", 3),)
        return (Reply(f"and {ask.seed}", "stop", 3),)

    recipe = sized(24, 6, depth=1)
    engines = dict.fromkeys(("policy", "judge"), Function(answer))
    (done,) = drive([("p", recipe.grow(replace(PROBLEM, answer="x+1")))], engines)
    assert done.result is not None, done.error
    nodes = done.result.nodes
    undecided, *others = sorted(
        (n for n in nodes if n.parent == ROOT and n.author == "policy"), key=lambda n: n.visits
    )
    assert undecided.text == SEVEN and undecided.visits == 0 and others
    share = 24 / (len(others) + 1)
    assert nodes[ROOT].visits >= 24 - share - undecided.copies


def test_the_appended_step_is_of_the_highest_ucb() -> None:
    differ = 0
    for tree in grown(replace(PROCESS, uct=replace(PROCESS.uct, simulations=9))):
        nodes = tree.nodes
        for at in compared_prefixes(tree):
            rivals = [nodes[c] for c in nodes[at].children if nodes[c].author == "policy"]
            spine = [nodes[c].text for c in nodes[at].children if nodes[c].author == "spine"]
            log = math.log(sum(rival.visits for rival in rivals))
            by_ucb = max(rivals, key=lambda r: r.mean + math.sqrt(2 * log / r.visits))
            by_visits = max(rivals, key=lambda r: (r.visits, r.mean))
            assert (spine or [nodes[tree.tip].text]) == [by_ucb.text]
            assert (by_ucb.mark == "split") == (by_ucb is not by_visits)
            differ += by_ucb is not by_visits
    assert differ


@pytest.mark.parametrize(
    ("recipe", "weights"),
    [
        (PROCESS, [0.35, -0.0375, -0.1]),
        (replace(PROCESS, negatives="keep"), [0.35, -0.15, -0.4]),
        (replace(PROCESS, negatives="drop"), [0.35]),
        (replace(PROCESS, negatives="keep", alpha=4.0), [1, -0.6, -1]),
        (replace(PROCESS, negatives="keep", alpha=4.0, clip=9.0), [1.4, -0.6, -1.6]),
        (replace(PROCESS, negatives="keep", clip=0.2), [0.2, -0.15, -0.2]),
    ],
)
def test_scores_become_weights(recipe: Process, weights: list[float]) -> None:
    tree = family(
        Node(0, "a\n\n", visits=4, total=3), Node(0, "b\n\n", visits=4, total=1),
        Node(0, "c", visits=2, terminal=True, reward=0.0), Node(0, "d"),
    )  # fmt: skip
    crop = recipe.harvest(tree)
    assert [e.weight for e in weighted(recipe, tree)] == pytest.approx(weights)
    assert sum(crop.dropped.values()) == 3 - len(weights)


def test_what_was_cut_off_counts_among_its_siblings_and_is_not_learned_from() -> None:
    tree = family(
        Node(0, "a\n\n", visits=2, total=2), Node(0, "b", visits=1, pruned=True),
        Node(0, "whole but leading nowhere\n\n", visits=1, pruned=True),
        Node(0, "\\boxed{12}\n", visits=1, total=1, terminal=True, reward=1.0),
    )  # fmt: skip
    assert [(e.text, e.weight, e.ended) for e in weighted(PROCESS, tree)] == [
        ("a\n\n", 0.4, False),
        ("whole but leading nowhere\n\n", -0.15, False),
        ("\\boxed{12}", 0.4, True),
    ]
    assert PROCESS.harvest(tree).dropped == {"not a whole step": 1}


def test_a_prefix_without_a_way_on_is_still_compared() -> None:
    script = Script({"": ["3+4=7"], SEVEN: [" "]}, {SEVEN: ["\\boxed{12}"]})
    tree = script.grow(sized(4, 1))
    assert (tree.nodes[ROOT].pruned, tree.nodes[1].mark) == (True, "dead end")
    assert (tree.nodes[1].visits, tree.nodes[1].total) == (2, 1)
    assert (tree.tip, compared_prefixes(tree)) == (ROOT, [ROOT])


def test_trees_of_other_recipes_may_hold_rollouts() -> None:
    tree = family(Node(0, "a\n\n", visits=4, total=3), Node(0, "b\n\n", visits=1))
    tree.add(Node(1, "\\boxed{12}", "rollout", terminal=True, reward=1.0, visits=1, total=1))
    tree.add(Node(1, "c\n\n", visits=1, total=1))
    tree.add(Node(1, "d\n\n", visits=2, total=1))
    assert compared_prefixes(tree) == [ROOT, 1]


UCTS = st.builds(
    Uct,
    constant=st.floats(0, 4),
    wrong=st.just(0.0),
    children=st.integers(1, 4),
    depth=st.integers(2, 6),
    simulations=st.integers(1, 20),
    parallel=st.integers(1, 6),
    dead_ends=st.just("propagate"),
)


@settings(max_examples=30, deadline=None)
@given(uct=UCTS, seed=st.integers(0, 99))
def test_every_tree_keeps_its_books(uct: Uct, seed: int) -> None:
    recipe = replace(PROCESS, uct=uct)
    for tree in grown(recipe, problems=2, seed=seed):
        nodes = tree.nodes
        for index, node in enumerate(nodes):
            own = node.visits - sum(nodes[c].visits for c in node.children)
            assert own >= 0 and (own == 0 or node.terminal or node.pruned)
            assert 0 <= node.total <= node.visits
            steps = [nodes[c] for c in node.children if nodes[c].author == "policy"]
            assert sum(step.copies for step in steps) <= uct.children
            assert len({step.text for step in steps}) == len(steps)
            assert node.author != "spine" or tree.depth(index) <= uct.depth
        for at in compared_prefixes(
            tree
        ):  # every simulation counts once, for the prefix it started from
            steps = [nodes[c] for c in nodes[at].children if nodes[c].author == "policy"]
            assert sum(step.visits for step in steps) == uct.simulations
        spine = [i for i, node in enumerate(nodes) if node.author == "spine"]
        assert all(nodes[b].parent == a for a, b in pairwise([ROOT, *spine]))
        assert tree.tip == ROOT or tree.path(tree.tip) == [*spine, tree.tip]
        assert recipe.harvest(Tree.from_json(tree.to_json())) == recipe.harvest(tree)


@settings(max_examples=20, deadline=None)
@given(
    alpha=st.floats(0.1, 9),
    negatives=st.sampled_from(["keep", "drop", "scale"]),
    seed=st.integers(0, 9),
)
def test_examples_are_what_was_sampled_after_their_prefix(
    alpha: float, negatives: Literal["keep", "drop", "scale"], seed: int
) -> None:
    recipe = replace(PROCESS, alpha=alpha, negatives=negatives)
    for tree in grown(recipe, problems=2, seed=seed):
        sampled = {
            (tree.text(node.parent), node.text)
            for node in tree.nodes[1:]
            if node.author == "policy" and not node.pruned
        }
        examples = weighted(recipe, tree)
        for example in examples:
            assert (example.prompt.prefix, example.text) in sampled
            assert example.ended != example.text.endswith("\n\n")
            assert 0 < abs(example.weight) <= 1 and (negatives != "drop" or example.weight > 0)
        assert len({(e.prompt.prefix, e.text) for e in examples}) == len(examples)


def test_simulations_run_in_waves_or_one_by_one() -> None:
    def widest(recipe: Process) -> int:
        moves, width = recipe.grow(next(toy.problems(1))), 0
        asks = next(moves)
        with pytest.raises(StopIteration):
            for seed in count():
                width = max(width, len(asks))
                asks = moves.send([toy.answer(replace(ask, seed=seed)) for ask in asks])
        return width

    assert widest(ONE) == 1
    assert widest(PROCESS) == PROCESS.uct.parallel


def searched(problem: Problem) -> Asking[Tree]:
    tree = Tree(problem)
    yield from mcts(tree, SAMPLING, Uct())
    return tree


def test_trees_of_a_plain_search_are_harvested_at_every_prefix_that_was_passed() -> None:
    engine = Function(toy.answer)
    found = 0
    for done in drive(((p.id, searched(p)) for p in toy.problems(10)), {"policy": engine}):
        tree = done.result
        assert tree is not None
        nodes = tree.nodes
        assert all(nodes[at].visits for at in compared_prefixes(tree))
        for example in weighted(PROCESS, tree):
            node = nodes[int(example.origin.rpartition("/")[2])]
            parent = nodes[node.parent]
            assert node.visits and tree.text(node.parent) == example.prompt.prefix
            assert (example.weight > 0) == (node.mean > parent.mean)
            found += node.parent != ROOT
    assert found


def test_trees_without_visits_are_refused_and_empty_ones_teach_nothing() -> None:
    unvisited = family(Node(0, "\\boxed{12}", terminal=True, reward=1.0))
    with pytest.raises(UserError, match="visits"):
        PROCESS.harvest(unvisited)
    assert PROCESS.harvest(Tree(PROBLEM)).examples == ()


def test_the_objective_is_weighted_likelihood_under_an_exact_penalty() -> None:
    assert PROCESS.objective == Likelihood(kl=0.05, penalty="exact", average="token")
    assert replace(PROCESS, kl=0.2).objective == Likelihood(kl=0.2)


def test_no_search_asks_for_more_samples_than_announced() -> None:
    recipe = replace(PROCESS, uct=replace(PROCESS.uct, simulations=3, depth=5))
    for tree in grown(recipe, problems=5):
        steps = sum(n.copies for n in tree.nodes[1:] if n.author == "policy")
        assert 0 < steps <= recipe.samples_at_most // 2


@pytest.mark.parametrize("wrong", [{"alpha": 0.0}, {"kl": -1.0}])
def test_settings_without_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Process(**wrong)  # type: ignore[arg-type]


GOLDEN = Path(__file__).parent / "golden_process.jsonl"


def test_trees_are_those_of_a_known_good_run() -> None:
    # Written by `python tests/recipes/test_process.py`; a change here must be meant.
    assert [tree.to_json() for tree in _golden()] == GOLDEN.read_text().splitlines()


def _golden() -> list[Tree]:
    return grown(replace(PROCESS, uct=replace(PROCESS.uct, simulations=6, parallel=2)), problems=2)


if __name__ == "__main__":
    GOLDEN.write_text("".join(tree.to_json() + "\n" for tree in _golden()))
