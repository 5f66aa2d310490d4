"""Solutions played out, on replies sent by hand."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.answer.thoughts import CLOSE, OPEN
from whorl.ask import Ask, Asking, Prompt, Replies, Reply, T
from whorl.credit import ended, outcomes
from whorl.credit.branches import ends_of
from whorl.drive import drive
from whorl.engines.function import Function
from whorl.errors import UserError
from whorl.problem import Problem
from whorl.prompts.thinking import ENOUGH, STOP
from whorl.rollout import (
    Sampling,
    add_solution,
    complete,
    next_steps,
    roll_out,
    sample,
    step_node,
    verdicts,
)
from whorl.steps import BlankLine, Entropy, Tokens
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


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_solution_that_was_cut_at_a_step_which_others_share_is_counted(
    order: tuple[int, int],
) -> None:
    tree = Tree(PROBLEM)
    whole = Reply("3+4=7\n\n7+5=12\n\n\\boxed{12}")
    replies = (whole, Reply("3+4=7\n\n", "length"))
    ends = answered(sample(tree, 4, SAMPLING), [tuple(replies[i] for i in (*order, *order))])
    assert isinstance(ends, list)
    assert outcomes(tree) == {"right": 2, "wrong": 0, "no answer": 2}
    assert sorted((end.reward, end.copies) for end in ends_of(tree)) == [(0.0, 2), (1.0, 2)]
    assert not any(node.pruned and node.children for node in tree.nodes)
    assert sum(tree.nodes[i].copies for i in tree.nodes[ROOT].children) == 4


@pytest.mark.parametrize(
    "reply",
    [
        Reply("I cannot tell.", "eos"),
        Reply("\\boxed{x}", "eos"),
        Reply("and so on", "length"),
        Reply("\\boxed{7}", "length"),
    ],
)
def test_equal_solutions_of_two_asks_are_one_end(reply: Reply) -> None:
    tree = Tree(PROBLEM)
    engines = {
        "policy": Function(lambda ask: (reply,) * ask.n),
        "judge": Function(lambda ask: (Reply(value=None),)),
    }

    def twice() -> Asking[None]:
        yield from sample(tree, 2, SAMPLING)
        yield from sample(tree, 2, SAMPLING)

    (done,) = drive([("p", twice())], engines)
    assert done.error is None
    assert [node.copies for node in tree.nodes[1:]] == [4]


def test_no_solution_goes_through_a_step_that_search_has_closed() -> None:
    tree = Tree(PROBLEM)
    closed = tree.add(Node(ROOT, "3+4=7\n\n", pruned=True, mark="dead end"))
    answered(sample(tree, 1, SAMPLING), [(Reply("3+4=7\n\n\\boxed{12}"),)])
    assert not tree.nodes[closed].children and tree.nodes[closed].copies == 1


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


THOUGHTFUL = Sampling(temperature=0.5, step_tokens=40, solution_tokens=60, thought_tokens=30)
THOUGHT = OPEN + "Hm, 7 and then 5.\n\nThat is \\boxed{12}?" + CLOSE


def asked_in_turn(search: Asking[T], *answers: Reply) -> tuple[list[Ask], T]:
    """What a search asks, one ask at a time, and what it comes to."""
    asks = [next(search)[0]]
    for reply in answers:
        try:
            asks.append(search.send([(reply,)])[0])
        except StopIteration as stop:
            return asks, stop.value
    raise AssertionError("it asks on")


def test_a_thought_goes_with_the_first_step_and_is_no_step() -> None:
    text = THOUGHT + "First, take 7 apples.\n\nThen add all 5 of them.\n\nThe answer is 12."
    steps = THOUGHTFUL.split(text)
    assert steps[0] == THOUGHT + "First, take 7 apples.\n\n" and len(steps) == 3
    within = replace(THOUGHTFUL, inside=BlankLine(min_chars=5)).split(text)
    assert "".join(within) == text
    assert within[0] == OPEN + "Hm, 7 and then 5.\n\n" and len(within) == 4
    assert within[1].endswith("First, take 7 apples.\n\n")
    assert THOUGHTFUL.split(OPEN + "Hm\n\nand on") == [OPEN + "Hm\n\nand on"]


def test_a_model_that_thinks_unasked_makes_no_step_of_it() -> None:
    """Its thought is sampled on up to its end, whatever the rule for steps is."""
    plain = replace(THOUGHTFUL, thought_tokens=None)
    said = (
        Reply("<think>\nHm, 7 and 5.", "stop", 6),
        Reply("That is \\boxed{12}.\n", "stop", 5),
        Reply("First, take the 7 apples.", "stop", 8),
    )
    asks, (reply,) = asked_in_turn(next_steps(plain, Prompt("", "7 + 5?"), 1), *said)
    assert [ask.stop for ask in asks] == [("\n\n",), (STOP,), ("\n\n",)]
    assert reply.text == (
        "<think>\nHm, 7 and 5.\n\nThat is \\boxed{12}.\n</think>\n\nFirst, take the 7 apples."
    )
    node = step_node(Tree(PROBLEM), ROOT, reply, plain)
    assert not node.terminal and not node.pruned  # the box in the thought is no answer
    endless = Reply("<think>\nHm, so \\boxed{12}", "length", 40)
    assert step_node(Tree(PROBLEM), ROOT, endless, plain).mark == "cut off"


def test_steps_of_a_thought_end_by_their_own_rule_and_answer_nothing() -> None:
    within = replace(THOUGHTFUL, inside=BlankLine(min_chars=5))
    prompt = Prompt("", "7 + 5?")
    asks, (first,) = asked_in_turn(
        next_steps(within, prompt, 1), Reply("Hm, so it is \\boxed{12}.", "stop", 8)
    )
    assert asks[0].prompt.prefix == OPEN and asks[0].thought is None
    tree = Tree(PROBLEM)
    at = tree.add(step_node(tree, ROOT, first, within))
    assert tree.text(at) == OPEN + "Hm, so it is \\boxed{12}.\n\n"
    assert not tree.nodes[at].terminal
    said = Reply("It is 12.\n</think>", "stop", 5), Reply("The answer is 12.", "eos", 6)
    behind = replace(prompt, prefix=tree.text(at))
    _, (second,) = asked_in_turn(next_steps(within, behind, 1), *said)
    assert second.text == "It is 12.\n</think>\n\nThe answer is 12."
    assert step_node(tree, at, second, within).terminal
    long = replace(prompt, prefix=OPEN + "x" * 200)
    (ask, *_), _ = asked_in_turn(next_steps(within, long, 1), Reply("The answer is 12.", "eos", 6))
    assert ask.prompt.prefix.endswith(ENOUGH + CLOSE)


def test_a_step_by_entropy_ends_behind_a_decision() -> None:
    unsure = replace(THOUGHTFUL, thought_tokens=None, steps=Entropy(4, 0.5))
    said = (
        Reply("First we take", "length", 4, logprob=-0.4),
        Reply(" the seven apples", "length", 4, logprob=-1.9),
        Reply(" or the five", "length", 4, logprob=-2.0),
    )
    asks, (reply,) = asked_in_turn(next_steps(unsure, Prompt("", "7 + 5?"), 1), *said)
    assert [ask.max_tokens for ask in asks] == [4, 4, 4]
    assert (reply.text, reply.tokens) == ("First we take the seven apples or the five", 12)
    assert reply.finished == "stop"
    with pytest.raises(UserError, match="log-probabilities"):
        asked_in_turn(next_steps(unsure, Prompt("", "x"), 1), Reply("First", "length", 4))


TOKENS = Sampling(step_tokens=1, steps=Tokens(1))


def test_a_step_of_tokens_may_be_blank_and_the_last_one_the_end_of_the_turn() -> None:
    tree, at = Tree(PROBLEM), ROOT
    said = ("3+4+5=12.", "\n\n", "So", " ", "it", " ", "is", " ", "\\boxed{12", "}", ".")
    for text in said:
        prompt = Prompt("", "?", tree.text(at))
        _, (reply,) = asked_in_turn(next_steps(TOKENS, prompt, 1), Reply(text, "length", 1))
        at = tree.add(step_node(tree, at, reply, TOKENS))
        assert (reply.text, reply.finished, tree.nodes[at].pruned) == (text, "stop", False)
    _, (reply,) = asked_in_turn(next_steps(TOKENS, Prompt("", "?"), 1), Reply("", "eos", 1))
    end = step_node(tree, at, reply, TOKENS)
    assert (end.terminal, end.pruned, end.mark) == (True, False, "")
    nothing = step_node(tree, at, Reply("", "stop", 1), TOKENS)
    assert (nothing.pruned, nothing.mark) == (True, "empty")
    assert step_node(tree, at, Reply("\n", "eos", 1), SAMPLING).mark == "empty"


def test_blanks_between_two_pieces_of_a_step_by_entropy_are_kept() -> None:
    sure = replace(TOKENS, step_tokens=9, steps=Entropy(1, 0.5))
    said = (
        Reply("Seven.", "length", 1, logprob=-0.1),
        Reply("\n\n", "length", 1, logprob=-0.1),
        Reply("Five.", "length", 1, logprob=-0.9),
    )
    asks, (reply,) = asked_in_turn(next_steps(sure, Prompt("", "7 + 5?"), 1), *said)
    assert [ask.prompt.prefix for ask in asks] == ["", "Seven.", "Seven.\n\n"]
    assert (reply.text, reply.tokens) == ("Seven.\n\nFive.", 3)


@pytest.mark.parametrize(
    ("pieces", "ends"),
    [
        (["So the answer is 1", "24."], [False, False]),
        (["The answer is $\\frac{", "3}{4}$."], [False, False]),
        (["It is \\", "boxed", "{12", "4} apples"], [False, False, False, True]),
        (["It is \\boxed{\\frac{3}", "{4}}.", " Or is it?"], [False, True, False]),
        (["In \\boxed{answer}", " it is."], [False, False]),
    ],
)
def test_a_number_of_tokens_ends_a_solution_where_a_box_closes(
    pieces: list[str], ends: list[bool]
) -> None:
    tree, at, found = Tree(PROBLEM), ROOT, []
    sixteen = replace(THOUGHTFUL, thought_tokens=None, steps=Tokens(16))
    for text in pieces:
        prompt = Prompt("", "?", tree.text(at))
        _, (reply,) = asked_in_turn(next_steps(sixteen, prompt, 1), Reply(text, "length", 16))
        at = tree.add(step_node(tree, at, reply, sixteen))
        found.append(tree.nodes[at].terminal)
        assert not ended(tree.nodes[at]), "the policy did not end its turn"
    assert found == ends
    last = step_node(tree, at, Reply("The answer is 7.", "eos", 5), sixteen)
    assert last.terminal and ended(last)


def test_the_rule_of_a_thought_does_not_cut_the_step_behind_it() -> None:
    within = replace(THOUGHTFUL, inside=Tokens(9), thought_tokens=None)
    said = (
        Reply("7 and 5.\n</think>\n\nThe answer is 1", "length", 9),
        Reply("2, which is what was asked for.", "stop", 9),
    )
    asks, (reply,) = asked_in_turn(next_steps(within, Prompt("", "7 + 5?"), 1), *said)
    assert [ask.stop for ask in asks] == [(), ("\n\n",)]
    assert reply.text.endswith("The answer is 12, which is what was asked for.")
