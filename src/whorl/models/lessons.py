"""What the tiny models learn: solutions, critiques and revisions, in the forms of `prompts`."""

from collections.abc import Iterator, Sequence
from itertools import islice
from random import Random

from whorl import prompts
from whorl.critique import Critique, write_critique, write_critiques
from whorl.data.families import draw
from whorl.data.story import Story, equation
from whorl.data.synthetic import split_of
from whorl.example import Weighted
from whorl.models import slips
from whorl.models.slips import Situation, claims, miscalculated, review, wrong_attempt


def pretraining(rng: Random, levels: Sequence[int]) -> Iterator[Story]:
    """Endless stories of the pretraining split; repeats are allowed."""
    while True:
        story = draw(rng, rng.choice(levels))
        if split_of(story) == "pretrain":
            yield story


def corpus(rng: Random, levels: Sequence[int], *, stories: int) -> Iterator[str]:
    """Text in every form the models will meet, for a tokenizer to be trained on."""
    for story in islice(pretraining(rng, levels), stories):
        seen = slips.situation(rng, story, rng.randrange(len(story.solution)))
        path = slips.path(rng, story)
        for example in (
            solve(story),
            critique(rng, seen),
            revise(rng, seen),
            critique_path(rng, path),
            revise_path(rng, path),
        ):
            yield f"{example.prompt.user}\n\n{example.text}"


def solve(story: Story) -> Weighted:
    """A problem and its solution."""
    return Weighted(prompts.solve(story.question), "\n\n".join(story.solution))


def drill(stories: Sequence[Story], rng: Random, *, equations: int = 8) -> str:
    """Equations out of solutions, one a line: arithmetic without the words."""
    pool = [
        equation(step, story.results, index)
        for story in stories
        for index, step in enumerate(story.steps)
    ]
    return "\n".join(rng.choices(pool, k=equations)) + "\n"


def critique(rng: Random, seen: Situation) -> Weighted:
    """A step with its siblings, and the right critique."""
    gold = _sometimes(rng, 0.05, str(seen.story.answer))
    prompt = prompts.critique_step(
        seen.story.question, seen.prefix, seen.step, seen.siblings, gold=gold
    )
    return Weighted(prompt, write_critique(review(seen)))


def revise(rng: Random, seen: Situation) -> Weighted:
    """A step with a critique, mostly the right one, and the right step."""
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


def critique_path(rng: Random, seen: Sequence[Situation]) -> Weighted:
    """A path with its siblings, and the right critique of every step."""
    story = seen[0].story
    prompt = prompts.critique_path(
        story.question,
        [s.step for s in seen],
        [s.siblings for s in seen],
        gold=_sometimes(rng, 0.05, str(story.answer)),
    )
    return Weighted(prompt, write_critiques([review(s) for s in seen]))


def revise_path(rng: Random, seen: Sequence[Situation]) -> Weighted:
    """A path with the right critiques, and the right solution."""
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
    """A critique of no use: empty, praise of a step whatever it is, or a wrong expectation."""
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
