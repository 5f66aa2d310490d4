"""Curriculum of the shipped models: the stream of token sequences of a stage of training."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random

from whorl.chat import Chat
from whorl.data.story import Story
from whorl.models import lessons, slips
from whorl.models.plans import Stage
from whorl.models.slips import Situation


@dataclass(frozen=True, slots=True)
class Item:
    """Token ids of one sequence; `learn[i]` says whether token i is predicted in training."""

    ids: list[int]
    learn: list[bool]


class Curriculum:
    """Draws the items of a stage. `sampled`: steps to review that a model wrote, may be empty."""

    def __init__(self, stage: Stage, chat: Chat, rng: Random, sampled: Sequence[Situation]) -> None:
        self._chat = chat
        self._rng = rng
        self._stories = lessons.pretraining(rng, stage.levels)
        self._tasks, self._shares = list(stage.mix), list(stage.mix.values())
        self._share_sampled = stage.sampled if sampled else 0.0
        self._sampled = sampled

    def item(self) -> Item:
        task = self._rng.choices(self._tasks, self._shares)[0]
        if task == "drill":
            return self._drill()
        rng, story = self._rng, next(self._stories)
        if task == "solve":
            example = lessons.solution_lesson(story)
        elif task == "critique":
            example = lessons.critique_lesson(rng, self._situation(story))
        elif task == "revise":
            example = lessons.revision_lesson(rng, self._situation(story))
        elif task == "critique_path":
            example = lessons.path_critique_lesson(rng, slips.path(rng, story))
        else:
            example = lessons.path_revision_lesson(rng, slips.path(rng, story))
        ids, start = self._chat.encode_completion(example.prompt, example.text, ended=example.ended)
        return Item(ids, [i >= start for i in range(len(ids))])

    def batches(self, size: int) -> Iterator[list[Item]]:
        """Endless batches of items of similar length."""
        while True:
            items = sorted((self.item() for _ in range(1024)), key=lambda item: len(item.ids))
            groups = [items[i : i + size] for i in range(0, len(items), size)]
            self._rng.shuffle(groups)
            yield from groups

    def _situation(self, story: Story) -> Situation:
        if self._rng.random() < self._share_sampled:
            return self._rng.choice(self._sampled)
        return slips.situation(self._rng, story, self._rng.randrange(len(story.solution)))

    def _drill(self) -> Item:
        """Equations, of which the results are to be learned."""
        text = lessons.drill_lesson(list(islice(self._stories, 4)), self._rng)
        encoded = self._chat.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        learn = [
            "=" in text[text.rfind("\n", 0, start) + 1 : start]
            for start, _ in encoded["offset_mapping"]
        ]
        bos = self._chat.tokenizer.bos_token_id
        return Item([bos, *encoded["input_ids"]], [False, *learn])
