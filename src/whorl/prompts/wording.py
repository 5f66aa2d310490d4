"""The words in which models are asked, as a value: named sets of them, and what may be changed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields

from whorl.prompts.critique import FORM

CORRECTED = "Corrected solution:"
"""The line between what a reflection says of a solution and the new solution."""


@dataclass(frozen=True, slots=True)
class Request:
    """The texts that ask for one thing.

    system: the instructions.
    user: the user's turn. `{question}` and other names in braces stand for what it is about.
    """

    system: str
    user: str

    def about(self, **what: str) -> tuple[str, str]:
        """System and user text, with each name in braces that `what` knows replaced."""
        return self.system, filled(self.user, what)


@dataclass(frozen=True, slots=True)
class Shot:
    """A solved problem that is shown before the one to be solved."""

    question: str
    solution: str


_SOLVE = """\
Solve the problem step by step. Write one step per paragraph, with a blank line between steps. \
End with a last step that gives the final answer as \\boxed{answer}."""

_TOLD_Q = (
    ", and for each the mean outcome Q of the solutions that went through it (-1 always wrong, "
    "1 always right)"
)

_FORM = "\n".join(f"{name.capitalize()}: {what}" for name, what in FORM.items())

_CRITIQUE = f"""\
You review one step of a solution. You do not solve the problem. You see the step, the \
alternatives that were tried in its place{_TOLD_Q}. Look at the mathematics, not at the \
formatting. Answer with these six lines and nothing else:
{_FORM}"""

_REVISE = """\
You rewrite one step of a solution. Repair every fault that the critique names, take over what it \
says is missing, and continue from the solution so far. Keep what is right. If the step gives the \
final answer, write it as \\boxed{answer}. Answer with the rewritten step and nothing else."""

_CRITIQUE_PATH = f"""\
You review a solution step by step. You do not solve the problem. You see each step, the \
alternatives that were tried in its place{_TOLD_Q}. Look at the mathematics, not at the \
formatting. For every step write a line "Step k:" and then these six lines, and nothing else:
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

_BEFORE = "Problem: {question}\n\nSolution so far:\n{prefix}\n\n"
_SO_FAR = _BEFORE + "Next step: {step}\n\n"


@dataclass(frozen=True, slots=True)
class Wording:
    """Every word said to a model. Recipes pass it on; `prompts` makes prompts of it.

    solve: asks for a solution. In `user`: {question}.
    critique, critique_path: ask for a critique of a step or of a path. In `user`: {question},
        {prefix} and {step}, or {steps}; {alternatives} and {reference}.
    revise, revise_path: ask for them rewritten; also {critique} and {mismatch}.
    reflect: asks for the first error of {solution} and, after the line `CORRECTED`, a new one.
    examples: solved problems, shown before the one to be solved, each as `solve` asks for it.
    alternatives: what stands before the siblings of a step.
    reference: names the gold answer, {gold}; mismatch: an earlier try's wrong answer, {missed}.
    missed: stands behind a question that is asked again; names wrong {answers} to it.
    step: a step of a path, by its {number}.
    """

    solve: Request = Request(_SOLVE, "Problem: {question}")
    critique: Request = Request(
        _CRITIQUE, _SO_FAR + "{alternatives}\n\n{reference}Review the next step."
    )
    revise: Request = Request(
        _REVISE,
        _SO_FAR + "Critique:\n{critique}\n\n{reference}{mismatch}Rewrite the next step.",
    )
    critique_path: Request = Request(
        _CRITIQUE_PATH, "Problem: {question}\n\n{steps}{reference}Review every step."
    )
    revise_path: Request = Request(
        _REVISE_PATH,
        "Problem: {question}\n\n{steps}\n\nCritique:\n{critique}\n\n"
        "{reference}{mismatch}Rewrite the solution.",
    )
    reflect: Request = Request(
        _REFLECT,
        "Problem: {question}\n\nSolution:\n{solution}\n\n"
        "Find the first error, then solve the problem again.",
    )
    examples: tuple[Shot, ...] = ()
    alternatives: str = "Alternatives:"
    reference: str = "Reference answer: {gold}\n"
    mismatch: str = "An earlier rewrite ended in {missed}, which is wrong.\n"
    missed: str = "\n\nOthers found {answers}; all of that is wrong."
    step: str = "Step {number}: {step}"

    def __post_init__(self) -> None:
        for name, needed in _NEEDED.items():
            for what in needed:
                if what not in getattr(self, name).user:
                    raise ValueError(f"{name}.user should name {what}")
        if "{answers}" not in self.missed:
            raise ValueError("missed should name {answers}")

    @property
    def default(self) -> bool:
        """Whether a solution is asked for in the words of the house."""
        return self.solve == WHORL.solve and not self.examples


def untold(system: str) -> str:
    """Instructions for a critic who is told no outcomes."""
    return system.replace(_TOLD_Q, "")


def filled(text: str, what: Mapping[str, str]) -> str:
    """`text` with each name in braces that `what` knows replaced; other braces are LaTeX's."""
    return _NAME.sub(lambda match: what.get(match[1], match[0]), text)


def changes(words: Wording) -> dict[str, object]:
    """Values that differ from the words of the house, by field."""
    return {
        field.name: getattr(words, field.name)
        for field in fields(Wording)
        if getattr(words, field.name) != getattr(WHORL, field.name)
    }


_NAME = re.compile(r"\{([a-z]+)\}")
_NEEDED = {
    "solve": ("{question}",),
    "critique": ("{question}", "{prefix}", "{step}", "{alternatives}"),
    "revise": ("{question}", "{prefix}", "{step}", "{critique}"),
    "critique_path": ("{question}", "{steps}"),
    "revise_path": ("{question}", "{steps}", "{critique}"),
    "reflect": ("{question}", "{solution}"),
}

WHORL = Wording()

_REMARKS = (
    "Say in a few sentences what {it} does well, what is wrong or missing in it, and what the "
    "alternatives do better or worse. End with your advice on how to rewrite {it}. Look at the "
    "mathematics, not at the formatting."
)

SETS: Mapping[str, Wording] = {
    "whorl": WHORL,
    "prose": Wording(
        critique=Request(
            "You review one step of an unfinished solution: what comes after the step is not "
            "missing in it. You do not solve the problem. You see the step, the alternatives that "
            f"were tried in its place{_TOLD_Q}. " + _REMARKS.replace("{it}", "the step"),
            # called the next step, it is taken for what is still to come (docs/real-critique.md)
            _BEFORE + "Step under review: {step}\n\n{alternatives}\n\n{reference}Review that step.",
        ),
        revise=Request(
            _REVISE,
            _BEFORE + "Step to rewrite: {step}\n\nCritique:\n{critique}\n\n"
            "{reference}{mismatch}Rewrite that step, and nothing that comes after it.",
        ),
        critique_path=Request(
            "You review a solution step by step. You do not solve the problem. You see each step, "
            f"the alternatives that were tried in its place{_TOLD_Q}. For every step write a line "
            '"Step k:". ' + _REMARKS.replace("{it}", "the step"),
            WHORL.critique_path.user,
        ),
    ),
    "qwen": Wording(
        solve=Request(
            "Please reason step by step, and put your final answer within \\boxed{}.", "{question}"
        )
    ),
    "script": Wording(
        critique_path=Request(
            "You review a solution. You do not solve the problem; a reference answer only tells "
            "you whether the solution is right. You see each step, and what was written in its "
            f"place{_TOLD_Q}. Name errors in the logic, gaps and wrong conclusions, in code too; "
            "name what the alternatives have that the solution lacks, and what is weak in them. "
            "Answer with an outline alone: for every step one bullet with one short, definite "
            "suggestion.",
            WHORL.critique_path.user,
        ),
        revise_path=Request(
            "You rewrite a solution as a careful mathematician would. Repair every fault that the "
            "critique names and take over what it says is missing. The result has to be the "
            'reference answer. Begin each step with "Step k:", and let it hold one idea, in prose '
            "and without code. Leave out no link, and do not be shorter than the original. End "
            'with the line "The final answer is $answer$." Answer with the rewritten solution and '
            "nothing else.",
            WHORL.revise_path.user,
        ),
    ),
}
"""Words by name: the house's own, which its models are trained under; SIGMA's critique in prose, as
its paper has it; a solution asked for as Qwen2.5-Math's evaluation does; critique and revision of a
whole path as SIGMA's script asks for them."""
