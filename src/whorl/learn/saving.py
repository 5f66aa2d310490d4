"""Checkpoints within an epoch that takes long."""

import time
from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

_LOST = 600.0  # seconds of training that a kill may cost
_SHARE = 20  # times what writing a checkpoint takes


class Saver(TrainerCallback):
    """Callback that has a checkpoint written once ten minutes went by without one, so that a kill
    costs no more of an epoch than that; where writing one takes long, once twenty times that long
    went by. With several processes there is none: their clocks differ, and they save together.

    clock: seconds, of any beginning.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._saved = self._stepped = clock()
        self._cost = 0.0

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        self._stepped = self._clock()
        due = self._saved + max(_LOST, _SHARE * self._cost)
        if args.world_size == 1 and self._stepped >= due:
            control.should_save = True

    def on_save(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        self._saved = self._clock()
        self._cost = self._saved - self._stepped
