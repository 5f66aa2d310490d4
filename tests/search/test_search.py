"""The moves of tree search, on the toy world and on replies sent by hand."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count
from random import Random
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.ask import Ask, Asking, Failure, Replies, Reply
from whorl.credit import ended
from whorl.drive import drive
from whorl.engines import toy
from whorl.engines.function import Function
from whorl.problem import Problem
from whorl.rollout import Sampling
from whorl.search import Uct, expand, mcts, score, select, too_deep
from whorl.search.selection import Selection, puct
from whorl.steps import BlankLine
from whorl.tree import ROOT, Node, Tree

SAMPLING = Sampling(steps=BlankLine(min_chars=0))
PROBLEM = Problem("p", "Add 3, 4 and 5.", "12")


class Shuffled:
    """An engine that answers a few asks at a time, in random order."""

    def __init__(self, seed: int) -> None:
        self._inner = Function(toy.answer)
        self._done: list[tuple[int, Replies | Failure]] = []
        self._rng = Random(seed)

    def submit(self, ticket: int, ask: Ask) -> None:
        self._inner.submit(ticket, ask)

    def poll(self, timeout: float) -> Sequence[tuple[int, Replies | Failure]]:
        self._done += self._inner.poll(0)
        self._rng.shuffle(self._done)
        few = self._rng.randint(0, len(self._done))
        out, self._done = self._done[:few], self._done[few:]
        return out

    def close(self) -> None:
        self._inner.close()


def searched(problem: Problem, uct: Uct, sampling: Sampling = SAMPLING) -> Asking[Tree]:
    tree = Tree(problem)
    yield from mcts(tree, sampling, uct)
    return tree


def grown(uct: Uct, *, problems: int = 6, seed: int = 0, shuffle: int | None = None) -> list[Tree]:
    engine = Function(toy.answer) if shuffle is None else Shuffled(shuffle)
    searches = ((p.id, searched(p, uct)) for p in toy.problems(problems))
    done = sorted(drive(searches, {"policy": engine}, seed=seed), key=lambda f: f.key)
    assert all(f.error is None for f in done)
    return [f.result for f in done if f.result is not None]


def answered(moves: Asking[object], *batches: list[Replies]) -> object:
    """Send a search its replies by hand; returns its result."""
    next(moves)
    for batch in batches:
        try:
            moves.send(batch)
        except StopIteration as stop:
            return stop.value
    raise AssertionError("the search asks for more")


def family(*children: Node) -> Tree:
    tree = Tree(PROBLEM)
    for child in children:
        tree.add(child)
        tree.nodes[ROOT].visits += child.visits
        tree.nodes[ROOT].total += child.total
    return tree


def test_uct_scores_match_the_check_values() -> None:
    # docs/papers.md, "Worked by hand"
    tree = family(Node(0, visits=4, total=3), Node(0, visits=4, total=1), Node(0, visits=2))
    uct = Uct(constant=math.sqrt(2), wrong=0.0, right=1.0)
    order = []
    for _ in range(3):
        child = select(tree, ROOT, uct, Counter())
        assert child is not None
        order.append(child)
        tree.nodes[child].pruned = True
    assert order == [1, 3, 2]
    assert select(tree, ROOT, uct, Counter()) is None


def test_an_unvisited_child_comes_first() -> None:
    tree = family(Node(0, visits=9, total=9), Node(0), Node(0))
    assert select(tree, ROOT, Uct(), Counter()) == 2


@pytest.mark.parametrize("rule", [select, puct])
def test_a_simulation_without_an_outcome_counts_as_one_of_the_mean(rule: Selection) -> None:
    """So a child whose simulations bring none is gone through less and less, and never given up."""
    tree = family(Node(0, visits=4, total=1), Node(0), Node(0))
    for node in tree.nodes:
        node.logprob = -1.0
    tree.nodes[ROOT].visits, tree.nodes[ROOT].total = 4, 1
    at = 2
    for _ in range(40):
        at = tree.add(Node(at))
    tree.add(Node(3))
    assert rule(tree, ROOT, Uct(), Counter()) == 3, "gone through once, where 1 was four times"
    tree.nodes[3].pruned = True
    assert rule(tree, ROOT, Uct(), Counter()) == 1, "2 was gone through forty times"
    assert rule(tree, ROOT, Uct(), Counter({1: 400})) == 2
    tree.nodes[1].pruned = True
    assert rule(tree, ROOT, Uct(), Counter()) == 2


def rambling(ask: Ask) -> Replies:
    """Two of three first steps lead to an answer after two more; behind the third none ever
    does."""
    depth, replies = ask.prompt.prefix.count("\n\n"), []
    for sample in range(ask.n):
        rng = Random(f"{ask.seed}/{sample}")
        if depth == 0:
            text = ("I ramble on.", "I add 3.", "I add 4.")[sample]
        elif ask.prompt.prefix.startswith("I ramble") or depth < 3:
            text = f"And so on, {rng.random()}."
        else:
            text = rng.choice(("\\boxed{12}", "\\boxed{13}"))
        finished = "eos" if "boxed" in text else "stop"
        replies.append(Reply(text, finished, tokens=4, logprob=-1.0))  # type: ignore[arg-type]
    return tuple(replies)


@pytest.mark.parametrize("parallel", [1, 4])
@pytest.mark.parametrize("selection", [None, "puct", "frontier"])
@pytest.mark.parametrize("gold", ["12", "7"])
def test_a_step_that_rambles_does_not_take_over_the_search(
    selection: Literal["puct", "frontier"] | None, parallel: int, gold: str
) -> None:
    uct = Uct(parallel=parallel, selection=selection)
    problem = replace(PROBLEM, answer=gold)
    (done,) = drive([("p", searched(problem, uct))], {"policy": Function(rambling)})
    assert done.result is not None, done.error
    assert done.result.nodes[ROOT].visits > uct.simulations - 4


def test_virtual_loss_sends_the_next_simulation_elsewhere() -> None:
    tree = family(Node(0, visits=4, total=3), Node(0, visits=4, total=2.5))
    uct = Uct(constant=0.1)
    assert select(tree, ROOT, uct, Counter()) == 1
    assert select(tree, ROOT, uct, Counter({1: 2})) == 2


def test_a_large_constant_explores_and_none_exploits() -> None:
    tree = family(Node(0, visits=50, total=30), Node(0, visits=2, total=1))
    assert select(tree, ROOT, Uct(constant=0.0), Counter()) == 1
    assert select(tree, ROOT, Uct(constant=5.0), Counter()) == 2


def test_the_reward_scale_changes_what_exploration_is_worth() -> None:
    tree = family(Node(0, visits=20, total=15), Node(0, visits=6, total=3))
    narrow = Uct(constant=1.0, wrong=0.0, right=1.0)
    assert select(tree, ROOT, narrow, Counter()) == 2
    assert select(tree, ROOT, replace(narrow, wrong=-5.0, right=5.0), Counter()) == 1


def test_expand_merges_equal_samples_and_judges_the_ends() -> None:
    tree = Tree(PROBLEM)
    moves = expand(tree, ROOT, SAMPLING, 5, fault=too_deep(9))
    replies = (
        Reply("3+4=7", "stop", 4),
        Reply("3+4=7", "stop", 4),
        Reply("\\boxed{12}", "eos", 3),
        Reply("\\boxed{13}", "stop", 3),
        Reply("hm", "eos", 1),
    )
    assert answered(moves, [replies]) == [1, 2, 3, 4]
    step, right, wrong, silent = tree.nodes[1:]
    assert (step.copies, step.text, step.terminal) == (2, "3+4=7\n\n", False)
    assert (right.terminal, right.reward) == (True, 1.0)
    assert (wrong.terminal, wrong.reward) == (True, 0.0)
    assert (silent.pruned, silent.mark) == (True, "no answer")


def test_equal_texts_that_ended_otherwise_are_steps_of_their_own() -> None:
    tree = Tree(PROBLEM)
    replies = (
        Reply("\\boxed{12}", "length", 9),
        Reply("\\boxed{12}", "eos", 9),
        Reply("hm", "eos", 9),
        Reply("hm", "length", 9),
    )
    for _ in range(2):
        answered(expand(tree, ROOT, SAMPLING, 4, fault=too_deep(9)), [replies])
    first, second, silent, cut = tree.nodes[1:]
    assert [node.copies for node in tree.nodes[1:]] == [2] * 4
    assert (ended(first), ended(second)) == (False, True)
    assert (silent.mark, cut.mark) == ("no answer", "cut off")


def test_expand_asks_once_with_the_path_as_prefix() -> None:
    tree = Tree(PROBLEM)
    child = tree.add(Node(ROOT, "3+4=7\n\n"))
    (ask,) = next(expand(tree, child, SAMPLING, 3, fault=too_deep(9)))
    assert (ask.n, ask.prompt.prefix, ask.stop) == (3, "3+4=7\n\n", ("\n\n",))


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply("a long st", "length", 9), "cut off"),
        (Reply("  ", "stop", 1), "empty"),
        (Reply("3+4=7", "stop", 1), "too deep"),
    ],
)
def test_what_leads_nowhere_is_pruned_with_a_reason(reply: Reply, reason: str) -> None:
    tree = Tree(PROBLEM)
    answered(expand(tree, ROOT, SAMPLING, 1, fault=too_deep(1)), [(reply,)])
    assert tree.nodes[1].pruned and tree.nodes[1].mark == reason


def test_an_answer_counts_even_where_the_reply_was_cut_off() -> None:
    tree = Tree(PROBLEM)
    answered(
        expand(tree, ROOT, SAMPLING, 1, fault=too_deep(1)), [(Reply("\\boxed{12}", "length"),)]
    )
    assert tree.nodes[1].reward == 1.0 and tree.nodes[1].terminal
    assert tree.nodes[1].mark == "cut off" and not ended(tree.nodes[1])


UCTS = st.builds(
    Uct,
    constant=st.floats(0, 4),
    children=st.integers(1, 4),
    depth=st.integers(2, 8),
    simulations=st.integers(1, 24),
    parallel=st.integers(1, 6),
    dead_ends=st.sampled_from(["leaf", "propagate"]),
)


@settings(max_examples=40, deadline=None)
@given(uct=UCTS, seed=st.integers(0, 99))
def test_every_tree_keeps_its_books(uct: Uct, seed: int) -> None:
    for tree in grown(uct, problems=2, seed=seed):
        nodes = tree.nodes
        for index, node in enumerate(nodes):
            own = node.visits - sum(nodes[c].visits for c in node.children)
            assert own >= 0
            assert own == 0 or node.terminal or node.pruned
            assert 0 <= node.total <= node.visits
            assert tree.path(index) == [] or nodes[tree.path(index)[0]].parent == ROOT
            assert node.pruned or not node.terminal or node.reward in (0.0, 1.0)
            assert tree.depth(index) <= uct.depth
            texts = [nodes[c].text for c in node.children]
            assert len(texts) == len(set(texts)) and len(texts) <= uct.children
        if uct.dead_ends == "leaf":
            assert nodes[ROOT].visits <= uct.simulations
        assert Tree.from_json(tree.to_json()) == tree


@settings(max_examples=25, deadline=None)
@given(uct=UCTS, shuffle=st.integers(0, 999))
def test_the_tree_does_not_depend_on_the_order_of_replies(uct: Uct, shuffle: int) -> None:
    expected = [tree.to_json() for tree in grown(uct, problems=4)]
    assert [tree.to_json() for tree in grown(uct, problems=4, shuffle=shuffle)] == expected


def test_parallel_simulations_ask_together() -> None:
    uct = Uct(simulations=8, parallel=4)
    widest = 0
    moves = searched(next(toy.problems(1)), uct)
    asks = next(moves)
    with pytest.raises(StopIteration):
        for seed in count():
            widest = max(widest, len(asks))
            asks = moves.send([toy.answer(replace(ask, seed=seed)) for ask in asks])
    assert widest > 1


def test_a_dead_end_is_counted_on_the_path_only_if_told_to() -> None:
    def nowhere(ask: Ask) -> Replies:
        return tuple(Reply(f"round {ask.seed} {i}", "length", 1) for i in range(ask.n))

    for dead_ends, visits in (("leaf", 0), ("propagate", 3)):
        uct = Uct(simulations=2, dead_ends=dead_ends)  # type: ignore[arg-type]
        (done,) = drive([("p", searched(PROBLEM, uct))], {"policy": Function(nowhere)})
        assert done.result is not None
        assert done.result.nodes[ROOT].visits == visits
        assert done.result.nodes[ROOT].pruned


@pytest.mark.parametrize("name", ["children", "depth", "simulations", "parallel"])
def test_settings_without_sense_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Uct(**{name: 0})


def test_an_undecided_answer_is_neither_right_nor_wrong() -> None:
    tree = Tree(replace(PROBLEM, answer="x+1"))
    moves = expand(tree, ROOT, SAMPLING, 1, fault=too_deep(3))
    answered(moves, [(Reply("\\boxed{1+x}"),)], [(Reply(value=None),)])
    assert tree.nodes[1].pruned and tree.nodes[1].reward is None
    assert tree.nodes[1].mark == "undecided"


@pytest.mark.parametrize("decided", [False, True])
def test_an_undecided_answer_backs_up_nothing_even_where_dead_ends_propagate(decided: bool) -> None:
    tree = Tree(replace(PROBLEM, answer="x+1"))
    verdict = Reply(value=0.0 if decided else None)
    engines = {
        "policy": Function(lambda ask: (Reply("\\boxed{1+x^2-x^2}", "eos"),) * ask.n),
        "judge": Function(lambda ask: (verdict,)),
    }
    uct = Uct(children=1, simulations=1, dead_ends="propagate")
    (done,) = drive([("p", mcts(tree, SAMPLING, uct))], engines)
    assert done.error is None
    assert [(n.visits, n.total) for n in tree.nodes] == [(int(decided), 0.0)] * 2
    assert tree.nodes[1].reward == (0.0 if decided else None)


def test_a_selection_of_ones_own_decides_where_a_search_goes() -> None:
    tree = Tree(PROBLEM)
    for text in ("3+4=7\n\n", "3+4=8\n\n"):
        tree.add(Node(ROOT, text))
    engines = {"policy": Function(lambda ask: (Reply("\\boxed{12}", "eos"),) * ask.n)}
    uct = Uct(children=1, simulations=3, parallel=1)

    def last(tree: Tree, node: int, uct: Uct, virtual: Mapping[int, int]) -> int | None:
        return tree.nodes[node].children[-1]

    (done,) = drive([("p", mcts(tree, SAMPLING, uct, selection=last))], engines)
    assert done.error is None
    assert [tree.nodes[i].visits for i in (1, 2)] == [0, 3]


def test_scores_come_from_the_process_reward_model_and_must_be_shares() -> None:
    tree = Tree(PROBLEM)
    steps = [tree.add(Node(ROOT, text)) for text in ("3+4=7\n\n", "3+4=8\n\n")]
    values = {"3+4=7\n\n": 0.9, "3+4=8\n\n": 0.1}
    prm = Function(lambda ask: (Reply(value=values[ask.prompt.prefix]),))
    (done,) = drive([("p", score(tree, steps))], {"prm": prm})
    assert done.error is None and [tree.nodes[i].value for i in steps] == [0.9, 0.1]
    (done,) = drive([("p", score(tree, steps))], {"prm": Function(lambda ask: (Reply(value=7.0),))})
    assert "[0, 1]" in (done.error or "")
