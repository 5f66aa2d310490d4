"""Asks for a thought, made of others: what is asked, and what comes back."""

from dataclasses import replace

import pytest

from whorl.answer.thoughts import CLOSE, OPEN
from whorl.ask import Ask, Asking, Prompt, Replies, Reply
from whorl.prompts.thinking import ENOUGH, STOP, thinking

ASK = Ask(Prompt("", "7 + 5?"), n=2, stop=("\n\n",), max_tokens=50, temperature=0.5, thought=20)


def moves(ask: Ask) -> Asking[Replies]:
    (replies,) = yield [ask]
    return replies


def played(ask: Ask, *answers: list[Replies]) -> tuple[list[list[Ask]], Replies]:
    """What a search for `ask` asks when it is answered so, and what it is told at last."""
    search = thinking(moves(ask))
    asked = [list(next(search))]
    for said in answers:
        try:
            asked.append(list(search.send(said)))
        except StopIteration as stop:
            return asked, stop.value
    raise AssertionError("it asks on")


def test_a_thought_is_asked_for_first_and_then_what_follows_it() -> None:
    thoughts = Reply("Hm, 12.\n", "stop", 4, logprob=-1.0), Reply("11?\n", "stop", 3, logprob=-2.0)
    said = Reply("It is 12.", "eos", 5, logprob=-0.5), Reply("It is 11.", "stop", 6, logprob=-0.25)
    asked, replies = played(ASK, [thoughts], [(said[0],), (said[1],)])
    bare = replace(ASK, thought=None)
    opened = Prompt("", "7 + 5?", OPEN)
    assert asked[0] == [replace(bare, prompt=opened, stop=(STOP,), max_tokens=20)]
    closed = [OPEN + "Hm, 12." + CLOSE, OPEN + "11?" + CLOSE]
    assert asked[1] == [replace(bare, prompt=Prompt("", "7 + 5?", text), n=1) for text in closed]
    assert [reply.text for reply in replies] == [closed[0] + "It is 12.", closed[1] + "It is 11."]
    assert [reply.finished for reply in replies] == ["eos", "stop"]
    assert [reply.tokens for reply in replies] == [9, 9]
    assert [reply.logprob for reply in replies] == [-1.5, -2.25]


def test_a_thought_that_never_ends_is_ended() -> None:
    cut = Reply("Hm, wait", "length", 20, logprob=-1.0)
    asked, replies = played(ASK, [(cut, cut)], [(Reply("12", tokens=1), Reply("13", tokens=1))])
    (rest,) = asked[1]  # equal thoughts are gone on with together
    assert rest.prompt.prefix == OPEN + "Hm, wait" + ENOUGH + CLOSE
    assert (rest.n, rest.max_tokens) == (2, 50)
    assert [reply.text.removeprefix(rest.prompt.prefix) for reply in replies] == ["12", "13"]
    assert replies[0].logprob is None  # one of the two was not told


def test_a_budget_of_nothing_closes_the_thought_at_once() -> None:
    asked, replies = played(replace(ASK, thought=0), [(Reply("12"), Reply("13"))])
    ((only,),) = asked
    assert only.prompt.prefix == OPEN + CLOSE
    assert replies[0].text == OPEN + CLOSE + "12"


@pytest.mark.parametrize("prefix", ["First, 7.\n\n", OPEN + "Hm." + CLOSE])
def test_behind_a_thought_or_without_one_nothing_is_thought(prefix: str) -> None:
    ask = replace(ASK, prompt=Prompt("", "7 + 5?", prefix))
    asked, replies = played(ask, [(Reply("12"), Reply("13"))])
    assert asked == [[replace(ask, thought=None)]]
    assert [reply.text for reply in replies] == ["12", "13"]


def test_a_thought_that_has_begun_goes_on_with_what_it_has_left() -> None:
    begun = OPEN + "x" * 32  # ten tokens, at four characters each
    ask = replace(ASK, prompt=Prompt("", "7 + 5?", begun), n=1)
    asked, (reply,) = played(ask, [(Reply(" so\n", "stop", 2),)], [(Reply("12", tokens=1),)])
    assert (asked[0][0].prompt.prefix, asked[0][0].max_tokens) == (begun, 10)
    assert reply.text == " so" + CLOSE + "12"
    ask = replace(ask, prompt=Prompt("", "7 + 5?", OPEN + "x" * 100))
    ((only,),), (reply,) = played(ask, [(Reply("12", tokens=1),)])
    assert only.prompt.prefix.endswith("x" + ENOUGH + CLOSE)
    assert reply.text == ENOUGH + CLOSE + "12"


def test_a_mark_in_the_question_is_none() -> None:
    ask = replace(ASK, prompt=Prompt("", "What does <think> mean? </think>"), n=1)
    asked, _ = played(ask, [(Reply("Hm", "stop"),)], [(Reply("12"),)])
    assert asked[0][0].prompt.prefix == OPEN


def test_asks_side_by_side_need_not_all_think() -> None:
    def both() -> Asking[list[Replies]]:
        return (yield [replace(ASK, n=1), Ask(Prompt("", "x"), "critic")])

    search = thinking(both())
    first = next(search)
    assert [ask.thought for ask in first] == [None, None]
    second = search.send([(Reply("Hm", "stop"),), (Reply("fine"),)])
    assert len(second) == 1
    with pytest.raises(StopIteration) as end:
        search.send([(Reply("12"),)])
    assert [replies[0].text for replies in end.value.value] == [OPEN + "Hm" + CLOSE + "12", "fine"]


@pytest.mark.parametrize("answered", [0, 1])
def test_what_is_thrown_in_reaches_the_search(answered: int) -> None:
    class Ended(Exception):
        pass

    def keeping() -> Asking[str]:
        try:
            yield [ASK]
        except Ended:
            ((verdict,),) = yield [Ask(Prompt("", "12", "12"), "judge")]
            return verdict.text
        return "whole"

    search = thinking(keeping())
    next(search)
    if answered:
        search.send([(Reply("Hm", "stop"),) * 2])
    (last,) = search.throw(Ended())
    assert last.role == "judge"
    with pytest.raises(StopIteration) as end:
        search.send([(Reply("kept"),)])
    assert end.value.value == "kept"
