"""What the shipped models can do: solve, critique, revise; and what a critique is worth.

All on test problems. A step to review follows a right prefix and is sampled from the policy, as are
its siblings; every Q is the mean outcome of rollouts of the policy. Steps are right or wrong by
comparison with the program that made the problem. Rates have 95 % intervals. The last line is one
JSON object.

Run: .venv/bin/python benchmarks/teacher.py
"""

import argparse
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import torch
from transformers.utils import logging

from whorl import prompts
from whorl.ask import Prompt
from whorl.chat import Chat
from whorl.data.story import Story
from whorl.data.synthetic import generate
from whorl.evaluate import pass_at, wilson
from whorl.models import POLICY, TEACHER
from whorl.models.decode import Decoder
from whorl.models.pretrain import is_solved, load_model
from whorl.models.slips import Situation, claims, review, wrong_attempt
from whorl.prompts import Candidate
from whorl.prompts.critique import Critique, read_critique, write_critique

SAMPLES = 16
TEMPERATURES = (0.7, 1.0)
ROLLOUTS = 4
TRIES = 3  # the step and its siblings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=600, help="test problems to solve")
    parser.add_argument("--steps", type=int, default=800, help="steps to review")
    parser.add_argument("--policy", type=Path, default=POLICY)
    parser.add_argument("--teacher", type=Path, default=TEACHER)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    policy = Decoder(load_model(options.policy), Chat.load(options.policy))
    teacher = Decoder(load_model(options.teacher), Chat.load(options.teacher))

    stories = list(generate("test", options.problems, seed=options.seed))
    result: dict[str, Any] = {
        "policy_greedy": solving(policy, stories),
        "teacher_greedy": solving(teacher, stories),
        "policy_pass_at": sampling(policy, stories),
    }
    for temperature in TEMPERATURES:
        rng = Random(options.seed)
        seen, majorities = situations(policy, rng, options.steps, temperature=temperature)
        alone = [replace(situation, siblings=()) for situation in seen]
        starts = [_continued(s.story, s.prefix) for s in seen]
        result[f"steps_at_{temperature}"] = {
            "policy_sampled": rate(is_right(s, s.step.text) for s in seen),
            "policy_greedy": rate(map(is_right, seen, policy.steps(starts))),
            "policy_majority_of_3": rate(map(is_right, seen, majorities)),
            "teacher_decodes": rate(map(is_right, seen, teacher.steps(starts))),
            "with_siblings": reviewed(teacher, seen),
            "without_siblings": reviewed(teacher, alone),
            **revisions(teacher, rng, seen),
        }
    result["cpu_seconds"] = round(time.process_time(), 1)
    print(json.dumps(result))


def solving(decoder: Decoder, stories: Sequence[Story]) -> dict[str, Any]:
    """Greedy accuracy, of all and level by level."""
    texts = decoder.replies([prompts.solve(story.question) for story in stories])
    right = [is_solved(story, text) for story, text in zip(stories, texts, strict=True)]
    levels = {
        f"level_{level}": rate(r for s, r in zip(stories, right, strict=True) if s.level == level)
        for level in sorted({story.level for story in stories})
    }
    return {"all": rate(right), **levels}


def sampling(decoder: Decoder, stories: Sequence[Story]) -> dict[str, Any]:
    """pass@k at temperature 1, and how many problems at least one sample solved."""
    asks = [prompts.solve(story.question) for story in stories for _ in range(SAMPLES)]
    texts = decoder.replies(asks, temperature=1.0)
    counts = [
        sum(is_solved(story, text) for text in texts[SAMPLES * i : SAMPLES * (i + 1)])
        for i, story in enumerate(stories)
    ]
    estimates = {
        str(k): round(sum(pass_at(SAMPLES, c, k) for c in counts) / len(counts), 4)
        for k in (1, 4, 8)
    }
    return {**estimates, str(SAMPLES): rate(count > 0 for count in counts)}


def situations(
    policy: Decoder, rng: Random, n: int, *, temperature: float
) -> tuple[list[Situation], list[str]]:
    """Steps to review, and the majority of the three samples that each was taken from."""
    stories = list(generate("test", n, seed=rng.randrange(10**6)))
    places = [rng.randrange(len(story.solution)) for story in stories]
    starts = [
        _continued(story, "".join(f"{step}\n\n" for step in story.solution[:index]))
        for story, index in zip(stories, places, strict=True)
    ]
    samples = policy.steps(
        [start for start in starts for _ in range(TRIES)], temperature=temperature
    )
    groups = [samples[TRIES * i : TRIES * (i + 1)] for i in range(n)]
    distinct = [list(dict.fromkeys(group)) for group in groups]
    values = iter(_rollouts(policy, stories, starts, distinct))
    found = []
    for story, index, texts in zip(stories, places, distinct, strict=True):
        step, *siblings = [Candidate(text, next(values)) for text in texts]
        found.append(Situation(story, index, step, tuple(siblings)))
    majorities = [max(group, key=lambda text: group.count(text)) for group in groups]
    return found, majorities


def _rollouts(
    policy: Decoder,
    stories: Sequence[Story],
    starts: Sequence[Prompt],
    steps: Sequence[Sequence[str]],
) -> list[float]:
    """Q in [-1, 1] of every step in order: the mean outcome of the policy's continuations at 1."""
    flat = [(story, start, step) for story, start, texts in zip(stories, starts, steps, strict=True)
            for step in texts]  # fmt: skip
    texts = iter(
        policy.replies(
            [replace(start, prefix=f"{start.prefix}{step}\n\n")
             for _, start, step in flat for _ in range(ROLLOUTS)],
            temperature=1.0,
        )
    )  # fmt: skip
    values = []
    for story, _, step in flat:
        wins = sum(is_solved(story, step if "boxed" in step else text)
                   for text, _ in zip(texts, range(ROLLOUTS), strict=False))  # fmt: skip
        values.append(2 * wins / ROLLOUTS - 1)
    return values


def reviewed(teacher: Decoder, seen: Sequence[Situation]) -> dict[str, Any]:
    """The teacher's critique of every step, and the step after its own revision."""
    said = teacher.replies(
        [prompts.critique_step(s.story.question, s.prefix, s.step, s.siblings) for s in seen]
    )
    critiques = [read_critique(text) for text in said]
    steps = _revised(teacher, seen, said)
    kept = [
        s.step.text if critique.verdict == "keep" else step
        for s, critique, step in zip(seen, critiques, steps, strict=True)
    ]
    before = [is_right(s, s.step.text) for s in seen]
    after = list(map(is_right, seen, kept))
    pairs = list(zip(before, after, critiques, seen, strict=True))
    return {
        "after_revision": rate(after),
        "fixes_wrong": rate(now for was, now, _, _ in pairs if not was),
        "keeps_right": rate(now for was, now, _, _ in pairs if was),
        "verdict_on_right": rate(c.verdict == "keep" for was, _, c, _ in pairs if was),
        "verdict_on_wrong": rate(c.verdict != "keep" for was, _, c, _ in pairs if not was),
        "expected_right": rate(c.expected == review(s).expected for _, _, c, s in pairs),
        "unreadable": sum(c.verdict is None for c in critiques),
    }


def revisions(teacher: Decoder, rng: Random, seen: Sequence[Situation]) -> dict[str, Any]:
    """How often a revision is right, given the right critique and given a wrong one."""
    right = [write_critique(review(s)) for s in seen]
    wrong = [_misled(s, wrong_attempt(rng, s)) for s in seen]
    result = {}
    for name, said in (("right_critique", right), ("wrong_critique", wrong)):
        steps = _revised(teacher, seen, said)
        outcomes = list(map(is_right, seen, steps))
        was_right = [is_right(s, s.step.text) for s in seen]
        pairs = list(zip(was_right, outcomes, strict=True))
        result[name] = {
            "of_wrong_step": rate(now for was, now in pairs if not was),
            "of_right_step": rate(now for was, now in pairs if was),
        }
    return result


def _revised(teacher: Decoder, seen: Sequence[Situation], critiques: Sequence[str]) -> list[str]:
    return teacher.replies(
        [
            prompts.revise_step(s.story.question, s.prefix, s.step.text, critique)
            for s, critique in zip(seen, critiques, strict=True)
        ]
    )


def _misled(situation: Situation, step: str) -> str:
    """A critique that wants a wrong step."""
    wanted = claims(step)
    return write_critique(
        Critique(
            expected=", ".join(wanted),
            errors=claims(situation.step.text),
            suggestion=f"write {wanted[0]}",
            verdict="edit",
        )
    )


def _continued(story: Story, prefix: str) -> Prompt:
    return replace(prompts.solve(story.question), prefix=prefix)


def is_right(situation: Situation, step: str) -> bool:
    """Whether a step says what the step in its place should say."""
    return claims(step) == claims(situation.right)


def rate(outcomes: Iterable[bool]) -> dict[str, float]:
    """A share with its 95 % interval and the number of cases."""
    listed = list(outcomes)
    if not listed:
        return {"n": 0}
    found = wilson(sum(listed), len(listed))
    return {
        "rate": round(found.value, 4),
        "low": round(found.low, 4),
        "high": round(found.high, 4),
        "n": len(listed),
    }


if __name__ == "__main__":
    main()
