"""Prompts: what each role is shown, in the words that a recipe passes on."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from whorl.answer.thoughts import shown
from whorl.ask import Prompt
from whorl.prompts.wording import CORRECTED, SETS, WHORL, Wording, filled, untold
from whorl.tree import Tree

__all__ = [
    "CORRECTED",
    "TEMPLATES",
    "Candidate",
    "Template",
    "alpaca",
    "critique_path",
    "critique_step",
    "plain",
    "planted",
    "questions",
    "reflect",
    "revise_path",
    "revise_step",
    "solve",
    "solve_again",
]


class Candidate(NamedTuple):
    """A step as a critic sees it: its text and its mean outcome on the search's reward scale, None
    if it is not told."""

    text: str
    q: float | None = None


def solve(question: str, words: Wording = WHORL) -> Prompt:
    """Ask for a solution, step by step, after the solved examples that there are."""
    system, user = words.solve.about(question=question)
    shots = (f"{words.solve.about(question=e.question)[1]}\n\n{e.solution}" for e in words.examples)
    return Prompt(system, "\n\n".join((*shots, user)))


def solve_again(question: str, missed: Sequence[str], words: Wording = WHORL) -> Prompt:
    """Ask for a solution of a problem to which the answers `missed` are known to be wrong."""
    known = filled(words.missed, {"answers": " or ".join(missed)}) if missed else ""
    return solve(question + known, words)


def alpaca(question: str) -> Prompt:
    """Ask for a solution as DART-Math does (2407.13690; `alpaca` in its code): the whole text, in
    the place of a chat template."""
    return Prompt("", "", f"{_ALPACA}\n\n### Instruction:\n{question}\n\n### Response:")


@dataclass(frozen=True, slots=True)
class Template:
    """A way to ask for a solution, and the strings at which one ends."""

    ask: Callable[[str], Prompt]
    stop: tuple[str, ...] = ()


def _boxed(question: str) -> Prompt:
    return solve(question, SETS["qwen"])


TEMPLATES = {
    "whorl": Template(solve),
    "dart": Template(alpaca, stop=("### Instruction:", "### Response:")),
    "qwen": Template(_boxed),
}
"""Ways to ask for a solution by the names that evaluations give them; `solve` is what models are
trained under."""


def planted(tree: Tree, words: Wording) -> Tree:
    """`tree`, which says that its question is asked in these words."""
    tree.asked = None if words.default else solve(tree.problem.question, words)
    return tree


def plain(tree: Tree) -> Prompt:
    """The question of a tree, as the policy is asked it."""
    return tree.asked or solve(tree.problem.question)


def questions(prompt: Prompt) -> tuple[str, ...]:
    """Texts that may be the question of a prompt: all that the user says, and that without the
    words that our prompts put before and behind a question; behind the last of a label that the
    text begins with, without a label on the line behind it."""
    whole = prompt.user or prompt.prefix
    inner = _BEHIND.split(whole.removeprefix("Problem: "), maxsplit=1)[0]
    if instruction := _INSTRUCTION.search(whole):
        inner = instruction[1]
    label = _LABEL_BEFORE.match(whole)
    last = whole.rpartition(f"\n\n{label[0]}")[2].removeprefix(label[0]) if label else whole
    found = (whole, whole.removeprefix("Problem: "), inner, last, _LABEL_BEHIND.sub("", last))
    return tuple(dict.fromkeys(found))


def critique_step(
    question: str,
    prefix: str,
    step: Candidate,
    siblings: Sequence[Candidate],
    *,
    gold: str | None = None,
    words: Wording = WHORL,
) -> Prompt:
    """Ask for a critique of `step` against its siblings. `gold` is shown only if given."""
    system, user = words.critique.about(
        question=question,
        prefix=shown(prefix) or "none",
        step=_shown(step),
        alternatives=_alternatives(siblings, words),
        reference=_reference(gold, words),
    )
    return Prompt(_instructions(system, (step, *siblings)), user)


def revise_step(  # noqa: PLR0913 (what a reviser sees)
    question: str,
    prefix: str,
    step: str,
    critique: str,
    *,
    gold: str | None = None,
    missed: str | None = None,
    words: Wording = WHORL,
) -> Prompt:
    """Ask for the step rewritten after the critique; `missed` is an earlier try's wrong answer."""
    system, user = words.revise.about(
        question=question,
        prefix=shown(prefix) or "none",
        step=shown(step),
        critique=critique.strip() or "none",
        reference=_reference(gold, words),
        mismatch=_mismatch(missed, words),
    )
    return Prompt(system, user)


def critique_path(
    question: str,
    steps: Sequence[Candidate],
    siblings: Sequence[Sequence[Candidate]],
    *,
    gold: str | None = None,
    words: Wording = WHORL,
) -> Prompt:
    """Ask for a critique of every step at once; `siblings[i]` belong to `steps[i]`."""
    blocks = (
        f"{_numbered(number, _shown(step), words)}\n{_alternatives(others, words)}\n\n"
        for number, (step, others) in enumerate(zip(steps, siblings, strict=True), start=1)
    )
    system, user = words.critique_path.about(
        question=question, steps="".join(blocks), reference=_reference(gold, words)
    )
    return Prompt(_instructions(system, [*steps, *(s for own in siblings for s in own)]), user)


def revise_path(
    question: str,
    steps: Sequence[str],
    critique: str,
    *,
    gold: str | None = None,
    missed: str | None = None,
    words: Wording = WHORL,
) -> Prompt:
    """Ask for the whole solution rewritten after the critique."""
    numbered = (_numbered(k, shown(step), words) for k, step in enumerate(steps, start=1))
    system, user = words.revise_path.about(
        question=question,
        steps="\n".join(numbered),
        critique=critique.strip() or "none",
        reference=_reference(gold, words),
        mismatch=_mismatch(missed, words),
    )
    return Prompt(system, user)


def reflect(question: str, solution: str, words: Wording = WHORL) -> Prompt:
    """Ask for the first error of a wrong solution and, after the line `CORRECTED`, for a new
    solution (SPHERE, 2503.04813, stage 2; the words are ours)."""
    return Prompt(*words.reflect.about(question=question, solution=shown(solution)))


def _instructions(system: str, candidates: Sequence[Candidate]) -> str:
    """Instructions for a critic; they name outcomes only to a critic who is told some."""
    return system if any(each.q is not None for each in candidates) else untold(system)


def _shown(candidate: Candidate) -> str:
    text = shown(candidate.text)
    return text if candidate.q is None else f"{text} [Q {candidate.q:.1f}]"


def _numbered(number: int, step: str, words: Wording) -> str:
    return filled(words.step, {"number": str(number), "step": step})


def _alternatives(siblings: Sequence[Candidate], words: Wording) -> str:
    if not siblings:
        return f"{words.alternatives} none"
    return "\n".join((words.alternatives, *(f"- {_shown(sibling)}" for sibling in siblings)))


def _reference(gold: str | None, words: Wording) -> str:
    return "" if gold is None else filled(words.reference, {"gold": gold})


def _mismatch(missed: str | None, words: Wording) -> str:
    return "" if missed is None else filled(words.mismatch, {"missed": missed})


_ALPACA = (
    "Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request."
)
_BEHIND = re.compile(r"\n\n(?:Solution(?: so far)?:\n|Step 1: )")
_INSTRUCTION = re.compile(r"### Instruction:\n(.*?)\n\n### Response:", re.DOTALL)
_LABEL_BEFORE = re.compile(r"\A\w[\w ]{0,20}:\s*")
_LABEL_BEHIND = re.compile(r"\n+\w[\w ]{0,20}:\s*\Z")
