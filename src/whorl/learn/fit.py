"""Running `transformers.Trainer` from its last checkpoint to the saved model."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from accelerate import PartialState
from torch import nn
from transformers import EarlyStoppingCallback, PretrainedConfig, TrainerCallback, TrainerState
from transformers.utils import logging

from whorl.learn.moments import MOMENTS, save_moments
from whorl.learn.saving import Saver
from whorl.learn.trainer import Reporter, Task, TreeTrainer, arguments
from whorl.learn.training import Training, TrainingWatch
from whorl.learn.unfinished import explain_full_disk, latest_checkpoint

SAVED = "model"
"""Folder of the trained model in the working folder."""


def fit(
    net: nn.Module,
    task: Task,
    sizes: Sequence[int],
    settings: Training,
    partial: Path,
    watch: TrainingWatch | None,
) -> TrainerState:
    """Train `net` from its last checkpoint in `partial` and save it there as `SAVED`.

    sizes: optimizer steps of each epoch.

    Raises `UserError` if the training diverges.
    """
    config = cast(PretrainedConfig, net.config)
    use_cache = getattr(config, "use_cache", None)  # Trainer switches it off
    held_out = task.held_out is not None
    often = not (settings.save_steps or held_out)  # measuring keeps to the checkpoints of epochs
    callbacks: list[TrainerCallback] = [Saver()] if often else []
    callbacks.append(Reporter(watch))  # behind it: what is saved is reported first
    if held_out:
        callbacks.append(EarlyStoppingCallback(settings.patience))
    trainer = TreeTrainer(
        net,
        task,
        arguments(settings, partial, steps=sum(sizes), per_epoch=sizes[0], held_out=held_out),
        callbacks,
    )
    checkpoint = latest_checkpoint(partial)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    trainer.check()
    if use_cache is None:  # it is said of the text alone, in a configuration of its own
        vars(config).pop("use_cache", None)
    else:
        config.use_cache = use_cache
    with explain_full_disk(partial):
        trainer.save_model(str(partial / SAVED))
        if PartialState().is_main_process:  # a pickle, of no use to whoever gets the model
            (partial / SAVED / "training_args.bin").unlink(missing_ok=True)
            if settings.carry:
                assert trainer.optimizer is not None
                save_moments(trainer.optimizer, partial / SAVED / MOMENTS)
    return trainer.state


def last_epoch(state: TrainerState, steps: int) -> float:
    """Mean loss over the last `steps` steps, from the logged means."""
    since = max(0, state.global_step - steps)
    total = 0.0
    before = 0
    for entry in (entry for entry in state.log_history if "loss" in entry):
        step = int(entry["step"])
        total += entry["loss"] * max(0, step - max(before, since))
        before = step
    return total / (state.global_step - since)


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Context without progress bars and warnings of transformers; a training reports through
    `on_log`."""
    shown, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
