"""Every word said to a model."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from whorl.ask import Prompt

CORRECTED = "Corrected solution:"
"""The line between what a reflection says of a solution and the new solution."""


class Candidate(NamedTuple):
    """A step as a critic sees it: its text and its mean outcome on the search's reward scale, None
    if it is not told."""

    text: str
    q: float | None = None


def solve(question: str) -> Prompt:
    """Ask for a solution, step by step."""
    return Prompt(_SOLVE, f"Problem: {question}")


def alpaca(question: str) -> Prompt:
    """Ask for a solution as DART-Math does (2407.13690; `alpaca` in its code): the whole text, in
    the place of a chat template."""
    return Prompt("", "", f"{_ALPACA}\n\n### Instruction:\n{question}\n\n### Response:")


def boxed(question: str) -> Prompt:
    """Ask for a solution as Qwen2.5-Math's evaluation does (`qwen25-math-cot` in its code)."""
    return Prompt(_BOXED, question)


@dataclass(frozen=True, slots=True)
class Template:
    """A way to ask for a solution, and the strings at which one ends."""

    ask: Callable[[str], Prompt]
    stop: tuple[str, ...] = ()


TEMPLATES = {
    "whorl": Template(solve),
    "dart": Template(alpaca, stop=("### Instruction:", "### Response:")),
    "qwen": Template(boxed),
}
"""Ways to ask for a solution by the names that evaluations give them; `solve` is what models are
trained under."""


def questions(prompt: Prompt) -> tuple[str, ...]:
    """What may be the question of a prompt made here, or of a user's own: all that the user says,
    and that without what our prompts put before and behind a question."""
    whole = prompt.user or prompt.prefix
    inner = _BEHIND.split(whole.removeprefix("Problem: "), maxsplit=1)[0]
    if instruction := _INSTRUCTION.search(whole):
        inner = instruction[1]
    return tuple({whole: None, whole.removeprefix("Problem: "): None, inner: None})


def critique_step(
    question: str,
    prefix: str,
    step: Candidate,
    siblings: Sequence[Candidate],
    *,
    gold: str | None = None,
) -> Prompt:
    """Ask for a critique of `step` against its siblings. `gold` is shown only if given."""
    user = (
        f"{_so_far(question, prefix)}\n\nNext step: {_shown(step)}\n\n"
        f"{_alternatives(siblings)}\n\n{_reference(gold)}Review the next step."
    )
    return Prompt(_CRITIQUE_STEP, user)


def revise_step(
    question: str,
    prefix: str,
    step: str,
    critique: str,
    *,
    gold: str | None = None,
    missed: str | None = None,
) -> Prompt:
    """Ask for the step rewritten after the critique; `missed` is an earlier try's wrong answer."""
    user = (
        f"{_so_far(question, prefix)}\n\nNext step: {step.strip()}\n\n"
        f"Critique:\n{critique.strip() or 'none'}\n\n"
        f"{_reference(gold)}{_mismatch(missed)}Rewrite the next step."
    )
    return Prompt(_REVISE_STEP, user)


def critique_path(
    question: str,
    steps: Sequence[Candidate],
    siblings: Sequence[Sequence[Candidate]],
    *,
    gold: str | None = None,
) -> Prompt:
    """Ask for a critique of every step at once; `siblings[i]` belong to `steps[i]`."""
    blocks = (
        f"Step {number}: {_shown(step)}\n{_alternatives(others)}\n\n"
        for number, (step, others) in enumerate(zip(steps, siblings, strict=True), start=1)
    )
    user = f"Problem: {question}\n\n{''.join(blocks)}{_reference(gold)}Review every step."
    return Prompt(_CRITIQUE_PATH, user)


def revise_path(
    question: str,
    steps: Sequence[str],
    critique: str,
    *,
    gold: str | None = None,
    missed: str | None = None,
) -> Prompt:
    """Ask for the whole solution rewritten after the critique."""
    numbered = "\n".join(f"Step {k}: {step.strip()}" for k, step in enumerate(steps, start=1))
    user = (
        f"Problem: {question}\n\n{numbered}\n\nCritique:\n{critique.strip()}\n\n"
        f"{_reference(gold)}{_mismatch(missed)}Rewrite the solution."
    )
    return Prompt(_REVISE_PATH, user)


def reflect(question: str, solution: str) -> Prompt:
    """Ask for the first error of a wrong solution and, after the line `CORRECTED`, for a new one
    (SPHERE, 2503.04813, stage 2; the words are ours)."""
    user = (
        f"Problem: {question}\n\nSolution:\n{solution.strip()}\n\n"
        "Find the first error, then solve the problem again."
    )
    return Prompt(_REFLECT, user)


def _so_far(question: str, prefix: str) -> str:
    return f"Problem: {question}\n\nSolution so far:\n{prefix.strip() or 'none'}"


def _shown(candidate: Candidate) -> str:
    text = candidate.text.strip()
    return text if candidate.q is None else f"{text} [Q {candidate.q:.1f}]"


def _alternatives(siblings: Sequence[Candidate]) -> str:
    if not siblings:
        return "Alternatives: none"
    return "\n".join(("Alternatives:", *(f"- {_shown(sibling)}" for sibling in siblings)))


def _reference(gold: str | None) -> str:
    return f"Reference answer: {gold}\n" if gold is not None else ""


def _mismatch(missed: str | None) -> str:
    return f"An earlier rewrite ended in {missed}, which is wrong.\n" if missed is not None else ""


_SOLVE = """\
Solve the problem step by step. Write one step per paragraph, with a blank line between steps. \
End with a last step that gives the final answer as \\boxed{answer}."""

_ALPACA = (
    "Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request."
)

_BOXED = "Please reason step by step, and put your final answer within \\boxed{}."

_BEHIND = re.compile(r"\n\n(?:Solution(?: so far)?:\n|Step 1: )")
_INSTRUCTION = re.compile(r"### Instruction:\n(.*?)\n\n### Response:", re.DOTALL)

_FORM = """\
Expected: what the step should establish, worked out by yourself before you judge it
Errors: wrong statements, gaps or wrong conclusions in it, separated by semicolons, or none
Missing: what the alternatives have and it lacks, separated by semicolons, or none
Avoid: mistakes of the alternatives that must not be taken over, separated by semicolons, or none
Suggestion: one concrete change, or none
Verdict: keep, edit or replace"""

_CRITIQUE_STEP = f"""\
You review one step of a solution. You do not solve the problem. You see the step, the \
alternatives that were tried in its place, and for each the mean outcome Q of the solutions that \
went through it (-1 always wrong, 1 always right). Look at the mathematics, not at the formatting. \
Answer with these six lines and nothing else:
{_FORM}"""

_REVISE_STEP = """\
You rewrite one step of a solution. Repair every fault that the critique names, take over what it \
says is missing, and continue from the solution so far. Keep what is right. If the step gives the \
final answer, write it as \\boxed{answer}. Answer with the rewritten step and nothing else."""

_CRITIQUE_PATH = f"""\
You review a solution step by step. You do not solve the problem. You see each step, the \
alternatives that were tried in its place, and for each the mean outcome Q of the solutions that \
went through it (-1 always wrong, 1 always right). Look at the mathematics, not at the formatting. \
For every step write a line "Step k:" and then these six lines, and nothing else:
{_FORM}"""

_REVISE_PATH = """\
You rewrite a solution. Repair every fault that the critique names, take over what it says is \
missing, and keep what is right. Write one step per paragraph, with a blank line between steps. \
End with a last step that gives the final answer as \\boxed{answer}. Answer with the rewritten \
solution and nothing else."""

_REFLECT = f"""\
You correct a solution. First find its first error and explain it in one paragraph. Then write the \
line "{CORRECTED}" and solve the problem again from the beginning. Write one step per paragraph, \
with a blank line between steps. End with a last step that gives the final answer as \
\\boxed{{answer}}."""
