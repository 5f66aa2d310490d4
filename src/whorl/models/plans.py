"""Plans of training for the shipped models: shapes, stages and mixes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

Task = Literal["solve", "miss", "drill", "critique", "revise", "critique_path", "revise_path"]

EASY = (1, 1, 1, 2, 2)
ALL = (1,) * 5 + (2,) * 5 + (3,) * 4 + (4,) * 3 + (5,) * 3


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of training on one mix of lessons.

    steps: of the optimiser.
    levels: of the stories; a level given twice comes twice as often.
    mix: tasks and their shares; `miss`, a solution that fails, is of Countdown alone.
    sampled: share of the steps to review that are sampled from the policy, not made by template.
    stories: pretraining stories they are sampled on.
    """

    steps: int
    levels: tuple[int, ...]
    mix: Mapping[Task, float]
    sampled: float = 0.0
    stories: int = 3000


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """Plan of training for one model.

    hidden, layers, heads, kv_heads, ffn: the Llama's shape.
    lr: peak learning rate, of Muon and of AdamW.
    warmup: optimiser steps to reach it.
    decay_from: fraction of all steps after which it falls linearly to 0.
    batch: sequences per optimiser step.
    check_from, check_every, check_on: first look at dev, steps between looks, problems in a look.
    stop_at: greedy accuracy on dev at which training ends early; 1 never does.
    """

    stages: tuple[Stage, ...]
    hidden: int = 128
    layers: int = 3
    heads: int = 4
    kv_heads: int = 2
    ffn: int = 352
    lr: float = 6e-3
    warmup: int = 50
    decay_from: float = 0.7
    batch: int = 16
    check_from: int = 500
    check_every: int = 500
    check_on: int = 200
    stop_at: float = 1.0

    @property
    def steps(self) -> int:
        return sum(stage.steps for stage in self.stages)


# Stopped half-way down the learning rate's decay: good enough to be right about every second time,
# with much more in its samples than in its greedy answer.
POLICY_PLAN = TrainingPlan(
    stages=(
        Stage(1200, EASY, {"solve": 0.6, "drill": 0.4}),
        Stage(3500, ALL, {"solve": 0.85, "drill": 0.15}),
    ),
    check_from=2000,
    check_every=100,
    check_on=300,
    stop_at=0.49,
)

# Of the policy's family and taught as it was, with two fifths of its parameters: SPHERE's small
# model, which makes the mistakes that the policy does not make any more.
SMALL_PLAN = replace(POLICY_PLAN, hidden=96, layers=2, heads=3, kv_heads=1, ffn=256, stop_at=0.3)

# The policy, two layers deeper and trained on; at last on steps that the policy itself wrote,
# because templates hold only the mistakes that somebody thought of.
TEACHER_PLAN = TrainingPlan(
    stages=(
        Stage(
            2200,
            ALL,
            {
                "solve": 0.40,
                "drill": 0.08,
                "critique": 0.28,
                "revise": 0.18,
                "critique_path": 0.03,
                "revise_path": 0.03,
            },
        ),
        Stage(
            1300,
            ALL,
            {
                "solve": 0.22,
                "critique": 0.44,
                "revise": 0.26,
                "critique_path": 0.04,
                "revise_path": 0.04,
            },
            sampled=0.6,
        ),
    ),
    layers=5,
    lr=5e-3,
    decay_from=0.55,
)


_WALKS = TrainingPlan(
    (
        Stage(400, (3,), {"solve": 0.5, "drill": 0.5}),
        Stage(900, (3, 3, 4), {"solve": 0.65, "miss": 0.15, "drill": 0.2}),
    ),
    batch=32,
    check_every=250,
)

# Of Countdown. The policy is also taught walks that give up, so that it knows the form better than
# the aim, and its samples hold more than its greedy answer. The teacher is the policy, taught on
# with walks that reach their target.
COUNTDOWN_PLANS = {
    "countdown_policy": _WALKS,
    "countdown_teacher": replace(_WALKS, stages=(Stage(700, (3, 4), {"solve": 1.0}),)),
}
"""Plans of the models for Countdown, in the order in which one becomes the next; a stage's levels
are how many numbers there are."""


def smoke(plan: TrainingPlan) -> TrainingPlan:
    """The plan shrunk to seconds; its model can do nothing."""
    stages = tuple(replace(stage, steps=4, stories=4) for stage in plan.stages)
    return replace(plan, stages=stages, batch=4, check_from=8, check_every=8, check_on=4)
