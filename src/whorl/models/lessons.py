"""Lessons of the tiny models: solutions, critiques and revisions, in the forms of `prompts`."""

from collections.abc import Iterator, Sequence
from itertools import islice
from random import Random

from whorl import prompts
from whorl.data.families import draw
from whorl.data.story import Story, equation_text
from whorl.data.synthetic import split_of
from whorl.example import Weighted
from whorl.models import slips
from whorl.models.slips import Situation, claims, miscalculated, review, wrong_attempt
from whorl.prompts.critique import Critique, write_critique, write_critiques


def pretraining(rng: Random, levels: Sequence[int]) -> Iterator[Story]:
    """Endless stories of the pretraining split; stories may come again."""
    while True:
        story = draw(rng, rng.choice(levels))
        if split_of(story) == "pretrain":
            yield story


def corpus(rng: Random, levels: Sequence[int], *, stories: int) -> Iterator[str]:
    """Texts in every form that the models will meet, to train a tokenizer on."""
    for story in islice(pretraining(rng, levels), stories):
        seen = slips.situation(rng, story, rng.randrange(len(story.solution)))
        path = slips.path(rng, story)
        for example in (
            solution_lesson(story),
            critique_lesson(rng, seen),
            revision_lesson(rng, seen),
            path_critique_lesson(rng, path),
            path_revision_lesson(rng, path),
        ):
            yield f"{example.prompt.user}\n\n{example.text}"


def solution_lesson(story: Story) -> Weighted:
    """A lesson: a problem and its solution."""
    return Weighted(prompts.solve(story.question), "\n\n".join(story.solution))


def drill_lesson(stories: Sequence[Story], rng: Random, *, equations: int = 8) -> str:
    """A lesson: equations out of solutions, one a line, without the words."""
    pool = [
        equation_text(step, story.results, index)
        for story in stories
        for index, step in enumerate(story.steps)
    ]
    return "\n".join(rng.choices(pool, k=equations)) + "\n"


def critique_lesson(rng: Random, seen: Situation) -> Weighted:
    """A lesson: a step with its siblings, and the right critique."""
    gold = _sometimes(rng, 0.05, str(seen.story.answer))
    prompt = prompts.critique_step(
        seen.story.question, seen.prefix, seen.step, seen.siblings, gold=gold
    )
    return Weighted(prompt, write_critique(review(seen)))


def revision_lesson(rng: Random, seen: Situation) -> Weighted:
    """A lesson: a step with a critique, mostly the right one, and the right step."""
    said = write_critique(review(seen))
    if rng.random() < 0.13:
        said = _misleading(rng, seen)
    answer = seen.story.answer
    prompt = prompts.revise_step(
        seen.story.question,
        seen.prefix,
        seen.step.text,
        said,
        gold=_sometimes(rng, 0.1, str(answer)),
        missed=_sometimes(rng, 0.1, str(miscalculated(rng, answer))),
    )
    return Weighted(prompt, seen.right)


def path_critique_lesson(rng: Random, seen: Sequence[Situation]) -> Weighted:
    """A lesson: a path with its siblings, and the right critique of every step."""
    story = seen[0].story
    prompt = prompts.critique_path(
        story.question,
        [s.step for s in seen],
        [s.siblings for s in seen],
        gold=_sometimes(rng, 0.05, str(story.answer)),
    )
    return Weighted(prompt, write_critiques([review(s) for s in seen]))


def path_revision_lesson(rng: Random, seen: Sequence[Situation]) -> Weighted:
    """A lesson: a path with the right critiques, and the right solution."""
    story = seen[0].story
    prompt = prompts.revise_path(
        story.question,
        [s.step.text for s in seen],
        write_critiques([review(s) for s in seen]),
        gold=_sometimes(rng, 0.1, str(story.answer)),
        missed=_sometimes(rng, 0.1, str(miscalculated(rng, story.answer))),
    )
    return Weighted(prompt, "\n\n".join(story.solution))


def _misleading(rng: Random, seen: Situation) -> str:
    """A useless critique: empty, praise of a step whatever it is, or a wrong expectation."""
    kind = rng.choice(("empty", "praise", "wrong"))
    if kind == "empty":
        return write_critique(Critique())
    told = seen.step.text if kind == "praise" else wrong_attempt(rng, seen)
    equations = claims(told)
    if kind == "praise":
        return write_critique(Critique(", ".join(equations), verdict="keep"))
    return write_critique(
        Critique(
            expected=", ".join(equations),
            errors=claims(seen.step.text),
            suggestion=f"write {equations[0]}",
            verdict="edit",
        )
    )


def _sometimes(rng: Random, chance: float, text: str) -> str | None:
    return text if rng.random() < chance else None
