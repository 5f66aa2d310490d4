"""Steps to review that a policy wrote itself, labelled by the program that made the problem."""

from dataclasses import replace
from itertools import islice
from random import Random

from whorl import prompts
from whorl.ask import Prompt
from whorl.data.story import Story
from whorl.models import lessons, slips
from whorl.models.decode import Decoder
from whorl.models.plans import ALL
from whorl.models.slips import Situation

SIBLINGS = 2


def sample_situations(decoder: Decoder, rng: Random, *, stories: int) -> list[Situation]:
    """Steps and siblings on pretraining stories, three places in each.

    They continue the policy's own attempt at the steps before, right or wrong, as in a search; in
    the situation the steps before are right, as in a sweep that has revised them.
    """
    drawn = list(islice(lessons.pretraining(rng, ALL), stories))
    asks = [prompts.solve(story.question) for story in drawn]
    places: list[tuple[Story, int, bool]] = []
    starts: list[Prompt] = []
    for story, ask, text in zip(drawn, asks, decoder.replies(asks, temperature=1.0), strict=True):
        steps = text.split("\n\n")
        for index in rng.sample(range(len(story.solution)), k=3):
            if index <= len(steps):
                places.append((story, index, _slipped(story, steps[:index])))
                starts.append(replace(ask, prefix="".join(f"{s}\n\n" for s in steps[:index])))
    tries = 1 + SIBLINGS
    texts = decoder.steps([start for start in starts for _ in range(tries)], temperature=1.0)
    situations = []
    for i, (story, index, slipped) in enumerate(places):
        attempts = list(dict.fromkeys(filter(None, texts[tries * i : tries * (i + 1)])))
        if attempts:
            order = slips.ranked(rng, attempts, story.solution[index])
            dead = slipped or rng.random() < 0.3
            situations.append(slips.valued(rng, story, index, order, dead=dead))
    return situations


def _slipped(story: Story, steps: list[str]) -> bool:
    """Whether one of these first steps is wrong."""
    pairs = zip(steps, story.solution, strict=False)
    return any(slips.claims(got) != slips.claims(right) for got, right in pairs)
