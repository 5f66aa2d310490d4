"""Solutions played out, on replies sent by hand."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.ask import Ask, Asking, Replies, Reply
from whorl.drive import drive
from whorl.engines.function import Function
from whorl.problem import Problem
from whorl.rollout import Sampling, add_solution, complete, roll_out, sample, verdicts
from whorl.steps import BlankLine
from whorl.tree import ROOT, Node, Tree

SAMPLING = Sampling(steps=BlankLine(min_chars=0))
PROBLEM = Problem("p", "Add 3, 4 and 5.", "12")


def answered(moves: Asking[object], *batches: list[Replies]) -> object:
    """Send a search its replies by hand; returns its result."""
    next(moves)
    for batch in batches:
        try:
            moves.send(batch)
        except StopIteration as stop:
            return stop.value
    raise AssertionError("the search asks for more")


def test_a_state_and_its_completion_share_the_token_limit() -> None:
    tree = Tree(PROBLEM)
    state = tree.add(Node(ROOT, "3+4=7\n\n", author="guide", tokens=30))
    sampling = replace(SAMPLING, temperature=0.8, solution_tokens=100)
    (ask,) = next(complete(tree, state, 5, sampling))
    expected = Ask(ask.prompt, n=5, max_tokens=70, temperature=0.8)
    assert ask == expected and ask.prompt.prefix == "3+4=7\n\n"
    tree.nodes[state].tokens = 1000
    assert next(complete(tree, state, 5, sampling))[0].max_tokens == 1


@pytest.mark.parametrize("wrong", [{"temperature": -0.1}, {"top_p": 0.0}, {"step_tokens": 0}])
def test_sampling_without_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Sampling(**wrong)  # type: ignore[arg-type]


def test_sampled_solutions_share_the_steps_they_begin_with() -> None:
    tree = Tree(PROBLEM)
    replies = (
        Reply("3+4=7\n\n7+5=12\n\n\\boxed{12}"),
        Reply("3+4=7\n\n7+5=13\n\n\\boxed{13}"),
        Reply("3+4=7\n\n7+5=12\n\n\\boxed{12}"),
    )
    ends = answered(sample(tree, 3, SAMPLING), [replies])
    assert ends == [3, 5, 3]
    assert [node.copies for node in tree.nodes[1:]] == [3, 2, 2, 1, 1]
    assert [tree.nodes[i].reward for i in (3, 5)] == [1.0, 0.0]


@given(st.text(alphabet="ab\n.", max_size=60))
def test_a_solution_added_as_steps_keeps_its_text(text: str) -> None:
    tree = Tree(PROBLEM)
    end = add_solution(tree, ROOT, Reply(text), SAMPLING, author="policy")
    assert tree.text(end) == text


def test_only_what_arithmetic_cannot_settle_goes_to_the_judge() -> None:
    moves = verdicts("x+1", ["1+x", None, "x+1", "1+x"])
    (ask,) = next(moves)
    assert (ask.role, ask.prompt.user, ask.prompt.prefix) == ("judge", "x+1", "1+x")
    with pytest.raises(StopIteration) as stop:
        moves.send([(Reply(value=None),)])
    assert [verdict.right for verdict in stop.value.value] == [None, False, True, None]


def test_rolling_out_ends_at_a_step_that_ends_the_solution() -> None:
    tree = Tree(PROBLEM)
    open_step = tree.add(Node(ROOT, "3+4=7\n\n"))
    final = tree.add(Node(ROOT, "\\boxed{12}", terminal=True, reward=1.0))
    engines = {"policy": Function(lambda ask: (Reply("7+5=12 \\boxed{12}", "eos"),) * ask.n)}
    searches = [(str(at), roll_out(tree, at, 3, SAMPLING)) for at in (open_step, final)]
    ends = {done.key: done.result for done in drive(searches, engines)}
    assert ends[str(final)] == [final]
    (end,) = set(ends[str(open_step)] or [])
    assert (tree.nodes[end].author, tree.nodes[end].copies, tree.nodes[end].reward) == (
        "rollout",
        3,
        1.0,
    )
    assert tree.nodes[ROOT].visits == 0
