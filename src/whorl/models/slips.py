"""Steps to review, with siblings, as a sweep over a tree meets them: right, or wrong in a known
way."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from whorl.data.story import OPERATORS, Story, final, value, written_step
from whorl.prompts import Candidate
from whorl.prompts.critique import Critique


@dataclass(frozen=True, slots=True)
class Situation:
    """A step to review, at `index` of the story's solution; what is before it is right."""

    story: Story
    index: int
    step: Candidate
    siblings: tuple[Candidate, ...]

    @property
    def right(self) -> str:
        """The step as it should be."""
        return self.story.solution[self.index]

    @property
    def prefix(self) -> str:
        """The right solution before the step."""
        return "".join(text + "\n\n" for text in self.story.solution[: self.index])


def situation(rng: Random, story: Story, index: int) -> Situation:
    """A step at `index` and up to two siblings, by template.

    They were written after an earlier attempt at the steps before, which in some cases went wrong.
    """
    results = _earlier_attempt(rng, story, index)
    attempts = ranked(rng, _attempts(rng, story, index, results), story.solution[index])
    dead = results != story.results or rng.random() < 0.3
    return valued(rng, story, index, attempts, dead=dead)


def path(rng: Random, story: Story) -> tuple[Situation, ...]:
    """A whole path by template, right or with one slip that later steps build on; each step has its
    siblings."""
    dead = rng.random() < 0.4
    slipped = rng.randrange(len(story.steps)) if dead else len(story.solution)
    results = _slipped(rng, story, slipped) if dead else story.results
    situations = []
    for index, text in enumerate(story.written(results)):
        if index == slipped and rng.random() < 0.5:  # a slip of any kind, that goes unnoticed
            text = _attempt(rng, story, index, story.results)
        others = [t for t in _attempts(rng, story, index, results)[1:] if t != text]
        situations.append(valued(rng, story, index, [text, *others], dead=dead))
    return tuple(situations)


def ranked(rng: Random, attempts: Sequence[str], right: str) -> list[str]:
    """The attempts, mostly the right one first: a search's best path is likelier to be right."""
    order = list(attempts)
    rng.shuffle(order)
    if rng.random() < 0.75:
        order.sort(key=lambda text: claims(text) != claims(right))
    return order


def valued(
    rng: Random, story: Story, index: int, attempts: Sequence[str], *, dead: bool
) -> Situation:
    """The first attempt as the step, the others as its siblings, with Q as a search would have it.

    A sibling that no simulation went through has Q 0 (`recipes.sigma` shows it so); with few
    simulations that is every second one, right or wrong.

    dead: no path of the tree was right, so every Q is -1. Otherwise the path that was chosen is
    likely to be right, and a wrong step is seldom on any that is.
    """
    right = claims(story.solution[index])

    def q(text: str) -> float:
        if dead or (claims(text) != right and rng.random() < 0.9):
            return -1.0
        return rng.choice((1.0, rng.uniform(-0.9, 1.0)))

    step = Candidate(attempts[0], q(attempts[0]))
    siblings = (Candidate(t, 0.0 if rng.random() < 0.5 else q(t)) for t in attempts[1:])
    return Situation(story, index, step, tuple(siblings))


def wrong_attempt(rng: Random, seen: Situation) -> str:
    """A wrong step in the situation's place."""
    while True:
        text = _attempt(rng, seen.story, seen.index, seen.story.results)
        if claims(text) != claims(seen.right):
            return text


def review(situation: Situation) -> Critique:
    """The critique that is right by construction."""
    expected = claims(situation.right)
    found = claims(situation.step.text)
    others = [claim for sibling in situation.siblings for claim in claims(sibling.text)]
    avoid = tuple(dict.fromkeys(claim for claim in others if claim not in expected))
    if found == expected:
        return Critique(", ".join(expected), avoid=avoid, verdict="keep")
    wrong = tuple(dict.fromkeys(claim for claim in found if claim not in expected))
    same_operation = bool(found) and _operation(found[0]) == _operation(expected[0])
    return Critique(
        expected=", ".join(expected),
        errors=wrong or ("incomplete",),
        missing=tuple(c for c in expected if c in others and c not in found),
        avoid=avoid,
        suggestion=f"write {expected[0]}",
        verdict="edit" if same_operation else "replace",
    )


def claims(text: str) -> tuple[str, ...]:
    """The equations of a step and its boxed answer, in order; words and single numbers left out."""
    words = (word.strip(".,:;") for word in text.split())
    return tuple(w for w in words if re.search(r"\d", w) and re.search(r"[-+*/={]", w))


def _operation(claim: str) -> str:
    """The operation in an equation: `+` in `12+5=17`; an answer's is `\\`."""
    found = re.search(r"[-+*/\\]", claim)
    return found[0] if found else ""


def _attempts(rng: Random, story: Story, index: int, results: tuple[int, ...]) -> list[str]:
    """One to three different attempts at the step."""
    wanted = rng.choice((1, 2, 2, 3, 3))
    attempts: list[str] = []
    for _ in range(12):
        text = _attempt(rng, story, index, results)
        if text not in attempts:
            attempts.append(text)
        if len(attempts) == wanted:
            break
    return attempts


def _earlier_attempt(rng: Random, story: Story, index: int) -> tuple[int, ...]:
    """Results of an attempt at the whole solution that may have slipped before `index`."""
    if not index or rng.random() < 0.7:
        return story.results
    return _slipped(rng, story, rng.randrange(index))


def _slipped(rng: Random, story: Story, index: int) -> tuple[int, ...]:
    """Results of a solution with a slip in this step; below zero only if there is no other."""
    for _ in range(8):
        results = story.work({index: miscalculated(rng, story.results[index])})
        if min(results) >= 0:
            break
    return results


def _attempt(rng: Random, story: Story, index: int, results: tuple[int, ...]) -> str:
    """One attempt at the step, after the earlier attempt with these results."""
    if rng.random() < 0.55:
        return story.written(results)[index]
    if index == len(story.steps):
        return rng.choice(
            (
                final(miscalculated(rng, results[-1])),
                final(rng.choice(results)),
                story.written(results)[rng.randrange(index)],
            )
        )
    kind = rng.choice(("result", "result", "operand", "operand", "operation", "misplaced", "end"))
    if kind == "misplaced":
        return story.written(results)[rng.choice((index + 1, index + 1, max(0, index - 1)))]
    if kind == "end":
        return final(rng.choice(results[max(0, index - 1) : index + 1]))
    step = story.steps[index]
    a, b = value(step.a, results), value(step.b, results)
    op = step.op
    if kind == "operation":
        op = rng.choice([other for other in OPERATORS if other != op])
    if kind == "operand":
        known = [int(n) for n in re.findall(r"\d+", story.question)] + list(results[:index])
        a, b = rng.choice(((a, rng.choice(known)), (rng.choice(known), b)))
    result = OPERATORS[op](a, b) if b else a
    if kind == "result":
        result = miscalculated(rng, results[index])
    if result < 0:
        return _attempt(rng, story, index, results)
    changed = replace(step, a=a, op=op, b=b)
    return written_step(changed, (*results[:index], result, *results[index + 1 :]), index)


def miscalculated(rng: Random, result: int) -> int:
    """A result that is off by a little, by a carry, or has its digits swapped."""
    swapped = int(str(abs(result))[::-1])
    near = [result + by for by in (-10, -2, -1, 1, 2, 10) if result + by > 0] or [-result]
    return rng.choice([*near, swapped] if swapped not in (0, result) else near)
