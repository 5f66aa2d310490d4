"""Attempts at problems, and the wall between the model and the answers."""

import ast
import subprocess
import sys
from inspect import getsource, signature

import pytest

from whorl import prompts
from whorl.answer.thoughts import CLOSE, OPEN
from whorl.ask import Ask, Replies, Reply
from whorl.engines.function import Function
from whorl.errors import UserError
from whorl.evaluate import (
    PRESETS,
    Decoding,
    Score,
    Setup,
    attempt_problems,
    score_of,
    summarise,
    wilson,
)
from whorl.evaluate import attempts as module
from whorl.problem import Problem
from whorl.prompts import thinking
from whorl.prompts.families import FAMILIES

TEN = [Problem(str(n), f"What is {n} + {n}?", str(2 * n), level=str(n % 2)) for n in range(10)]


def solves(ask: Ask) -> Replies:
    """Right below 5, wrong from 5, cut off at 7, no sense at 9; fails at 8."""
    number = int(ask.prompt.user.split()[3])
    if number == 8:
        raise RuntimeError("out of memory")
    text = f"Double it.\n\nThe answer is \\boxed{{{2 * number + (number >= 5)}}}."
    text = {7: "Double it.\n\nSo", 9: "I give up."}.get(number, text)
    finished = "length" if number == 7 else "eos"
    return (Reply(text, finished=finished, tokens=3),) * ask.n


def test_evaluating_attempts_every_problem() -> None:
    engine = Function(solves)
    records = {r.problem.id: r for r in attempt_problems(TEN, {"policy": engine}, setup=Setup())}
    found = {id: score_of(record) for id, record in records.items()}
    assert sorted(found) == [problem.id for problem in TEN]
    assert [found[str(n)].right for n in range(8)] == [(1.0,)] * 5 + [(0.0,)] * 3
    assert found["3"] == Score("3", "1", (1.0,), ("6",))
    assert (found["7"].answers, found["7"].cut) == ((None,), 1)
    assert found["8"].error == "policy: RuntimeError: out of memory"
    summary = summarise(list(found.values()))
    assert summary.passed == {1: wilson(5, 10)}
    assert (summary.failed, summary.unanswered, summary.cut) == (1, 2, 1)
    assert {level: (n, rate.value) for level, (n, rate) in summary.levels.items()} == {
        "0": (5, 0.6),
        "1": (5, 0.4),
    }


def test_what_comparison_cannot_settle_goes_to_the_judge() -> None:
    problem = Problem("p", "Factor it.", "(x-1)(x+1)")
    replies = [r"\boxed{x^2-1}", r"\boxed{x^2-2}", r"\boxed{x^{2^2}}"]
    verdicts = {"x^2-1": 1.0, "x^2-2": 0.0, "x^{2^2}": None}
    engines = {
        "policy": Function(lambda ask: tuple(Reply(text) for text in replies)),
        "judge": Function(lambda ask: (Reply(value=verdicts[ask.prompt.prefix]),)),
    }
    setup = Setup(decoding=Decoding(n=3, temperature=0.7))
    (record,) = attempt_problems([problem], engines, setup=setup)
    found = score_of(record)
    assert found.right == (1.0, 0.0, None)


def test_attempts_are_asked_as_told() -> None:
    asked: list[Ask] = []

    def answer(ask: Ask) -> Replies:
        asked.append(ask)
        return (Reply(r"\boxed{0}"),) * ask.n

    decoding = Decoding(n=4, temperature=0.8, top_p=0.9, max_tokens=77)
    setup = Setup(decoding=decoding)
    list(attempt_problems(TEN[:2], {"policy": Function(answer)}, setup=setup, seed=3))
    assert {(a.n, a.temperature, a.top_p, a.max_tokens) for a in asked} == {(4, 0.8, 0.9, 77)}
    assert len({a.seed for a in asked}) == 2


@pytest.mark.parametrize("wrong", [{"n": 0}, {"max_tokens": 0}, {"n": 2}])
def test_decoding_is_checked(wrong: dict[str, int]) -> None:
    with pytest.raises(UserError):
        Decoding(**wrong)


@pytest.mark.parametrize("preset", PRESETS)
def test_no_model_sees_an_answer_and_no_judge_an_unfinished_text(preset: str) -> None:
    """Golds are markers that nothing else contains; every ask and reply is logged in its order."""
    golds = {str(n): rf"\sqrt{{7{n:03}1}}" for n in range(40)}
    problems = [Problem(id, f"Find the secret {id} .", gold) for id, gold in golds.items()]
    final: dict[str, str] = {}
    judged: set[str] = set()

    def policy(ask: Ask) -> Replies:
        shown = repr(ask.seeded(0))  # a seed has any digits
        assert ask.role == "policy" and not any(gold[6:-1] in shown for gold in golds.values())
        (id,) = [id for id in golds if f"secret {id} ." in shown]
        assert id not in final and id not in judged
        if ask.stop == (thinking.STOP,):  # a thought, before anything is said
            return (Reply("Where is it?", finished="stop"),) * ask.n
        final[id] = rf"x^2+{id}"
        return (Reply(rf"So it is \boxed{{{final[id]}}}."),) * ask.n

    def judge(ask: Ask) -> Replies:
        (id,) = [id for id, gold in golds.items() if gold == ask.prompt.user]
        assert ask.role == "judge" and ask.prompt.prefix == final[id]
        judged.add(id)
        return (Reply("no", value=0.0),)

    engines = {"policy": Function(policy), "judge": Function(judge)}
    records = list(attempt_problems(problems, engines, setup=PRESETS[preset], width=7))
    assert not [record.error for record in records if record.error]
    assert judged == set(golds) == {record.problem.id for record in records}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_familys_preset_asks_for_a_thought_and_samples_as_its_makers_do(name: str) -> None:
    asked: list[Ask] = []

    def policy(ask: Ask) -> Replies:
        asked.append(ask)
        return (Reply("Hm." if len(asked) == 1 else "\\boxed{0}"),)

    (record,) = attempt_problems(TEN[:1], {"policy": Function(policy)}, setup=PRESETS[name])
    assert score_of(record).right == (1.0,)
    thought, rest = asked
    family = FAMILIES[name]
    assert (thought.prompt.prefix, thought.max_tokens) == (OPEN, family.thought_tokens)
    assert (rest.prompt.prefix, rest.max_tokens) == (OPEN + "Hm." + CLOSE, 2048)
    assert {(ask.temperature, ask.top_p) for ask in asked} == {(family.temperature, family.top_p)}


def test_the_answer_joins_in_one_place_behind_the_texts() -> None:
    """What makes attempts is given a question; who reads `problem.answer` has waited for them."""
    assert list(signature(module.solve_question).parameters) == ["question", "setup"]
    tree = ast.parse(getsource(module))
    readers = [
        function
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        and any(
            isinstance(n, ast.Attribute) and ast.unparse(n) == "problem.answer"
            for n in ast.walk(function)
        )
    ]
    assert [reader.name for reader in readers] == ["_examined"]
    first, second = map(ast.unparse, readers[0].body)
    assert "solve_question(problem.question, setup)" in first and "answer" not in first
    assert "problem.answer" in second
    assert "problem" not in second.replace("problem.answer", "").replace("problem.check", "")


def test_evaluating_reaches_no_search_that_is_shown_answers() -> None:
    """Neither recipes nor prompts that can hold a gold answer."""
    code = (
        "import sys, whorl.evaluate, whorl.evaluate.seen\n"
        "sys.exit(any(m in sys.modules for m in ('scipy', 'numpy', 'torch', 'whorl.loop'))"
        " or any(m.startswith('whorl.recipes') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    told = {name for name, each in vars(prompts).items() if callable(each) and _takes_gold(each)}
    assert {"critique_step", "revise_step", "critique_path", "revise_path"} <= told
    asked = {template.ask.__name__ for template in prompts.TEMPLATES.values()}
    assert not asked & told
    names = {n.attr if isinstance(n, ast.Attribute) else n.id for n in _names(module)}
    assert not names & (told | {"mcts", "simulate", "settle"})


def _takes_gold(function) -> bool:
    return not isinstance(function, type) and "gold" in signature(function).parameters


def _names(of) -> list[ast.Attribute | ast.Name]:
    nodes = ast.walk(ast.parse(getsource(of)))
    return [n for n in nodes if isinstance(n, ast.Attribute | ast.Name)]


def test_presets_ask_and_read_as_the_harnesses_do() -> None:
    """DART-Math's alpaca prompt, which stops at its own headings and takes stated answers only;
    Qwen2.5-Math's system prompt, which falls back to the last number. Both greedy, 2,048 tokens."""
    dart, qwen = (prompts.TEMPLATES[PRESETS[name].template] for name in ("dart", "qwen"))
    assert dart.ask("1+1?").prefix == (
        "Below is an instruction that describes a task. Write a response that appropriately "
        "completes the request.\n\n### Instruction:\n1+1?\n\n### Response:"
    )
    assert dart.stop == ("### Instruction:", "### Response:")
    asked = qwen.ask("1+1?")
    assert asked.system == r"Please reason step by step, and put your final answer within \boxed{}."
    assert (asked.user, asked.prefix) == ("1+1?", "")
    assert PRESETS["dart"].decoding == PRESETS["qwen"].decoding == Decoding(1, 0.0, 1.0, 2048)
    engine = Function(lambda ask: (Reply("There are 3 apples and 2 pears, 5 in all"),))
    for name, answer, right in (("dart", None, 0.0), ("qwen", "5", 1.0), ("whorl", None, 0.0)):
        (record,) = attempt_problems(
            [Problem("a", "3+2?", "5")], {"policy": engine}, setup=PRESETS[name]
        )
        (attempt,) = record.attempts
        assert (attempt.answer, attempt.right) == (answer, right)


def test_an_unknown_template_is_refused() -> None:
    with pytest.raises(UserError, match="there are whorl, dart, qwen"):
        Setup("alpaca")
