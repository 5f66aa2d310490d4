"""Forms of critique and revision, each as a search over one recorded tree: what a critic is asked
of the tree's best path, and which solution comes of it."""

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from whorl import prompts
from whorl.answer import concluded
from whorl.ask import Ask, Asking, Prompt
from whorl.credit import siblings
from whorl.prompts.wording import SETS, WHORL
from whorl.recipes.refinement import ASKED, Refinement, best_own, ends_of_tries
from whorl.recipes.sigma import Sigma
from whorl.rollout import Sampling
from whorl.tree import Tree

MOST = Sampling(temperature=0.0, solution_tokens=400)
SAMPLES = 4
SHOWN = 3  # solutions that a critic compares
UNSURE = replace(WHORL, missed="\n\nOthers found {answers}; some of it is wrong, or all.")


@dataclass
class Outcome:
    """What came of a best path.

    ends: the solutions that came out; one, or the samples of a vote.
    said: what the critic said.
    revised, steps: of the path's steps, how many were rewritten, if that can be told.
    """

    ends: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    revised: int | None = None
    steps: int = 0


Form = Callable[[Tree], Asking[Outcome]]


def solve(tree: Tree) -> Asking[Outcome]:
    """Plain re-decoding: the problem alone, greedy."""
    end = yield from _solved(tree, "")
    return Outcome([end])


def vote(tree: Tree) -> Asking[Outcome]:
    """The problem alone, several times, for a vote."""
    prompt = prompts.solve(tree.problem.question)
    most = MOST.solution_tokens
    (sampled,) = yield [Ask(prompt, "critic", n=SAMPLES, max_tokens=most, temperature=0.7)]
    return Outcome([reply.text for reply in sampled])


def refined(**settings: object) -> Form:
    """SIGMA's own refinement under such settings, the first try."""
    sigma = Sigma(**{"retries": 0, **settings})  # type: ignore[arg-type]

    def form(tree: Tree) -> Asking[Outcome]:
        tree = Tree.from_json(tree.to_json())
        best = best_own(tree)
        yield from Refinement(sigma, tree, best).run()
        path = tree.path(best)
        said = [tree.nodes[i].note for i in path if tree.nodes[i].note]
        tries = ends_of_tries(tree)
        if not tries:
            return Outcome([tree.text(best)], said, 0, len(path))
        revised = sum(tree.nodes[i].mark in ASKED[2:] for i in tree.path(tries[-1]))
        return Outcome([tree.text(tries[-1])], said, revised, len(path))

    return form


def first(
    *, led: bool = True, outcomes: bool = False, told: bool = False, gold: bool = False
) -> Form:
    """The first wrong step alone is named; what is behind it is written afresh.

    led: the critic's reply is begun for him, so that he looks at the first step before he judges.
    outcomes: what siblings of each step ended in is shown. told: a critic is asked of wrong paths
    alone, and told that they are. gold: he is shown the reference answer.
    """

    def form(tree: Tree) -> Asking[Outcome]:
        best = best_own(tree)
        path, own = tree.path(best), tree.text(best)
        user = _first_user(tree, path, outcomes=outcomes)
        if told:
            user += f"\n\nIts answer, {concluded(own)}, is known to be wrong."
        if gold:
            user += f"\n\nThe reference answer is {tree.problem.answer}."
        prompt = Prompt(_FIRST, f"{user}\n\nFind the first wrong step.", "Step 1:" if led else "")
        ((reply,),) = yield [Ask(prompt, "critic", max_tokens=400, temperature=0.0)]
        at = first_named(reply.text, len(path))
        if told and at == 0:
            at = 1  # it is wrong somewhere
        if not at:
            return Outcome([own], [reply.text], 0, len(path))
        before = "".join(tree.nodes[i].text for i in path[: at - 1])
        rest = yield from _solved(tree, before)
        return Outcome([before + rest], [reply.text], len(path) - at + 1, len(path))

    return _of_wrong_paths(form) if told else form


def choose(*, rival: bool = False, led: bool = True) -> Form:
    """One question: solutions that end in different answers are compared, and the right one is
    taken; if none is said to be, the problem is solved afresh. With one answer alone there is
    nothing to ask.

    rival: a fresh solution by the critic is among them. led: the critic's reply is begun for him.
    """

    def form(tree: Tree) -> Asking[Outcome]:
        best = best_own(tree)
        texts = _distinct(tree, best)
        fresh = ""
        if rival:
            fresh = yield from _solved(tree, "")
            texts = [*texts[: SHOWN - 1], fresh] if _new(texts, fresh) else texts
        texts = texts[:SHOWN]
        if len(texts) < 2:
            return Outcome(texts, [], 0, len(tree.path(best)))
        order = random.Random(tree.problem.id).sample(range(len(texts)), len(texts))
        shown = "\n\n".join(
            f"Solution {letter}:\n{texts[i].strip()}"
            for letter, i in zip("ABC", order, strict=False)
        )
        prompt = Prompt(
            _CHOOSE,
            f"Problem: {tree.problem.question}\n\n{shown}\n\nWhich solution is right?",
            "I compute each step from the words of the problem.\n\n" if led else "",
        )
        ((reply,),) = yield [Ask(prompt, "critic", max_tokens=400, temperature=0.0)]
        at = "ABC".find(chosen(reply.text, len(texts)) or "-")
        if at < 0 and not fresh:
            fresh = yield from _solved(tree, "")
        end = texts[order[at]] if at >= 0 else fresh
        return Outcome([end], [reply.text], int(end != texts[0]), 1)

    return form


def answers(*, told: bool = False) -> Form:
    """Nothing but the answers in which other solutions ended is shown to who solves the problem
    anew, before he does.

    told: of a wrong path, he is told that they are all wrong; a right one is left as it is.
    """

    def form(tree: Tree) -> Asking[Outcome]:
        best = best_own(tree)
        found = [concluded(text) for text in _distinct(tree, best)]
        ends = list(dict.fromkeys(answer for answer in found if answer))[:4]
        prompt = prompts.solve_again(tree.problem.question, ends, WHORL if told else UNSURE)
        most = MOST.solution_tokens
        ((end,),) = yield [Ask(prompt, "critic", max_tokens=most, temperature=0.0)]
        return Outcome([end.text], [], None, len(tree.path(best)))

    return _of_wrong_paths(form) if told else form


def hint(*, told: bool = False) -> Form:
    """The critic compares the path with other solutions and their answers, and says in a few words
    what has to be minded; who writes the solution anew sees those words, and no solution.

    told: of a wrong path, he is told that its answer is wrong; a right one is left as it is.
    """

    def form(tree: Tree) -> Asking[Outcome]:
        best = best_own(tree)
        own, steps = tree.text(best), len(tree.path(best))
        shown = "\n\n".join(
            f"Solution {letter}:\n{text.strip()}"
            for letter, text in zip("ABC", _distinct(tree, best)[:SHOWN], strict=False)
        )
        user = f"Problem: {tree.problem.question}\n\n{shown}"
        if told:
            user += f"\n\nThe answer of solution A, {concluded(own)}, is known to be wrong."
        ((reply,),) = yield [Ask(Prompt(_HINT, user), "critic", max_tokens=200, temperature=0.0)]
        prompt = prompts.solve(tree.problem.question)
        noted = (
            f"{prompt.user}\n\nNote of somebody who has seen attempts at it: {reply.text.strip()}"
        )
        most = MOST.solution_tokens
        ((end,),) = yield [
            Ask(Prompt(prompt.system, noted), "critic", max_tokens=most, temperature=0.0)
        ]
        return Outcome([end.text], [reply.text], steps, steps)

    return _of_wrong_paths(form) if told else form


def _of_wrong_paths(form: Form) -> Form:
    """A form that says that the path is wrong, so a right one is left as it is."""

    def told(tree: Tree) -> Asking[Outcome]:
        best = best_own(tree)
        if tree.nodes[best].reward == 1.0:
            return Outcome([tree.text(best)], [], 0, len(tree.path(best)))
        return (yield from form(tree))

    return told


_CALLED_NEXT = replace(
    SETS["prose"],
    critique=replace(
        SETS["prose"].critique,
        system=SETS["prose"].critique.system.replace(
            "one step of an unfinished solution: what comes after the step is not missing in it.",
            "one step of a solution.",
        ),
        user=WHORL.critique.user,
    ),
    revise=WHORL.revise,
)
"""The critique in prose as it was asked for before: it called the step the next one."""

FORMS: Mapping[str, Form] = {
    "solve": solve,
    "choose": choose(),
    "rival": choose(rival=True),
    "first, outcomes": first(outcomes=True),
    "answers": answers(),
    "answers, told": answers(told=True),
    "hint": hint(),
    "hint, told": hint(told=True),
    "first, told": first(outcomes=True, told=True),
    "prose path": refined(mode="whole_path", words=SETS["prose"]),
    "six lines path": refined(mode="whole_path"),
    "vote": vote,
    "first": first(),
    "first, gold": first(outcomes=True, gold=True),
    "prose path, gold": refined(mode="whole_path", words=SETS["prose"], show_gold=True),
    "prose path, alone": refined(mode="whole_path", words=SETS["prose"], siblings=0, show_q="none"),
    "six lines path, no Q": refined(mode="whole_path", show_q="none"),
    "six lines per depth": refined(),
    "prose per depth": refined(words=SETS["prose"]),
    "prose per depth, called next": refined(words=_CALLED_NEXT),
    "choose, at once": choose(led=False),
    "first, at once": first(led=False, outcomes=True),
}
"""In the order in which they are recorded."""


def first_named(text: str, steps: int) -> int:
    """The number of the step that a critic calls the first wrong one; 0 for none, or none that can
    be read."""
    found = _NAMED.findall(text)
    number = int(found[-1]) if found else 0
    return number if number <= steps else 0


def chosen(text: str, count: int) -> str | None:
    """The letter of the solution that is called right; None if none is."""
    found = _RIGHT.findall(text)
    return found[-1] if found and found[-1] in "ABC"[:count] else None


def _solved(tree: Tree, before: str) -> Asking[str]:
    """The critic's own greedy solution, or what it writes behind the steps before."""
    prompt = prompts.solve(tree.problem.question)
    prompt = Prompt(prompt.system, prompt.user, before)
    ask = Ask(prompt, "critic", max_tokens=MOST.solution_tokens, temperature=0.0)
    ((reply,),) = yield [ask]
    return reply.text


def _first_user(tree: Tree, path: list[int], *, outcomes: bool) -> str:
    lines = [f"Problem: {tree.problem.question}", "Solution:"]
    for number, step in enumerate(path, start=1):
        lines.append(f"Step {number}: {tree.nodes[step].text.strip()}")
        if outcomes:
            for other in siblings(tree, step)[:2]:
                if ends := _answers_below(tree, other):
                    lines.append(
                        f"(Another step {number}, {tree.nodes[other].text.strip()!r}, led to "
                        f"{', '.join(ends)}.)"
                    )
    return "\n\n".join(lines)


def _answers_below(tree: Tree, node: int) -> list[str]:
    """The different answers in which solutions through a node end."""
    found = [concluded(tree.text(leaf)) for leaf in tree.leaves() if node in tree.path(leaf)]
    return list(dict.fromkeys(answer for answer in found if answer))[:3]


def _distinct(tree: Tree, best: int) -> list[str]:
    """The best path, then other solutions of the tree with other answers, the likeliest first."""
    nodes = tree.nodes
    ends = sorted(
        (i for i in tree.leaves() if nodes[i].reward is not None and i != best),
        key=lambda i: -sum(nodes[k].mean for k in tree.path(i)) / len(tree.path(i)),
    )
    texts = [tree.text(best)]
    for end in ends:
        if _new(texts, tree.text(end)):
            texts.append(tree.text(end))
    return texts


def _new(texts: list[str], text: str) -> bool:
    answer = concluded(text)
    return answer is not None and all(answer != concluded(other) for other in texts)


_FIRST = (
    "You check a solution step by step. For each step in turn, compute again what it computes and "
    "see whether it says what the problem says; one short line for each. Stop at the first step "
    'that is wrong and say so: "First wrong step:" and its number. If all are right, write "First '
    'wrong step: 0".'
)
_CHOOSE = (
    "You are shown solutions of a problem that end in different answers, so at most one is right. "
    "Find the first place where they part, and compute from the problem's own words which of them "
    'is right there. When you have done that, write "Right:" and the letter of the right solution, '
    "or none."
)
_HINT = (
    "You are shown attempts at a problem, some of which may be wrong. Write a note of at most 60 "
    "words for somebody who will solve it without seeing them: which words of the problem are "
    "easily misread, what has to be computed and in which order. Do not judge the attempts, do not "
    "solve it and give no numbers that are not in the problem."
)
_NAMED = re.compile(r"(?i)first wrong step[*_: ]{1,6}(?:step )?(\d{1,2})")
_RIGHT = re.compile(
    r"(?:(?i:right)[*_: ]{1,6}|boxed\{(?:\\text\{)?)(?i:solution )?([A-C]|none|None)\b"
)
