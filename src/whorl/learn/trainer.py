"""Training by `transformers.Trainer`, with our batches and our loss."""

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, fields, replace
from operator import itemgetter
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import (
    PretrainedConfig,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from whorl.errors import UserError
from whorl.example import Likelihood, Objective
from whorl.learn.batches import Steps
from whorl.learn.layout import Batch
from whorl.learn.losses import batch_loss, chance
from whorl.learn.moments import load_moments
from whorl.learn.network import logits, vocabulary
from whorl.learn.training import Training, TrainingWatch
from whorl.learn.unfinished import (
    drop_checkpoints,
    explain_full_disk,
    latest_checkpoint,
    on_disk,
)

DIVERGED = 3.0
"""Multiple of a guess's loss beyond which a training is said to diverge; a model that knows
anything is below 1."""
LEAST = 1024
"""Entries of the vocabulary that are guessed among at least: with few, as the two labels of a
process reward model, an honest error costs more than a guess."""


@dataclass(slots=True)
class Task:
    """The task of a training: objective, steps, held-out steps and reference model.

    steps: what each process computes for each optimizer step.
    held_out: the same for the measurement of held-out questions, as a single step; None without.
    reference: the model that an exact penalty compares with; None if it is the trained one without
        its adapters, or if there is no such penalty.
    moments: file of the state that the optimizer begins with; None if it begins anew.
    """

    objective: Objective
    steps: Steps
    held_out: Steps | None = None
    reference: nn.Module | None = None
    moments: Path | None = None


def arguments(
    settings: Training, folder: Path, *, steps: int, per_epoch: int, held_out: bool
) -> TrainingArguments:
    """`settings` as transformers' arguments. steps: optimizer steps in all."""
    save = settings.save_steps or per_epoch
    known = {field.name for field in fields(TrainingArguments)}
    kind = next(each for each in ("activation", "gradient") if f"{each}_checkpointing" in known)
    checkpointing: dict[str, Any] = {  # before transformers 5.20, which vLLM wants, it is gradient_
        f"{kind}_checkpointing": settings.checkpointing,
        f"{kind}_checkpointing_kwargs": {"use_reentrant": False},
    }
    return TrainingArguments(
        **checkpointing,
        output_dir=str(folder),
        num_train_epochs=1,  # the plan holds every epoch
        train_sampling_strategy="sequential",
        per_device_train_batch_size=1,  # an item of `Steps` is an optimizer step
        learning_rate=settings.lr,
        lr_scheduler_type="cosine",
        warmup_steps=int(settings.warmup * steps),
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.clip,
        bf16=settings.bf16,
        use_cpu=not torch.accelerator.is_available(),
        seed=settings.seed,
        save_steps=save,
        eval_strategy="steps" if held_out else "no",
        eval_steps=save if held_out else None,
        load_best_model_at_end=held_out,
        metric_for_best_model="loss" if held_out else None,
        greater_is_better=False if held_out else None,
        restore_callback_states_from_checkpoint=True,  # patience is counted across a kill
        logging_steps=_often(math.ceil(steps / 50), per_epoch),
        logging_nan_inf_filter=False,  # a loss that is not finite is an error, see `training_step`
        report_to=list(settings.trackers) or "none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available(),
        dataloader_num_workers=int(torch.cuda.is_available()),  # packs while the device computes
        ddp_find_unused_parameters=False,
    )


def _often(most: int, per_epoch: int) -> int:
    """Steps between two reports of the loss: at most so many, and none in two epochs."""
    return max(steps for steps in range(1, most + 1) if per_epoch % steps == 0)


class TreeTrainer(Trainer):
    """Trainer of `Task.steps`. The losses of a step's batches add up to the step's mean loss."""

    loss_is_scaled_for_ga = True

    def __init__(
        self,
        network: nn.Module,
        task: Task,
        settings: TrainingArguments,
        callbacks: Sequence[TrainerCallback],
    ) -> None:
        super().__init__(
            network,
            settings,
            data_collator=itemgetter(0),
            train_dataset=task.steps,
            eval_dataset=task.held_out,
            callbacks=list(callbacks),
        )
        self.remove_callback(PrinterCallback)
        self._task = task
        self._vocabulary = vocabulary(cast(PretrainedConfig, network.config))
        if task.reference is not None:
            task.reference.to(settings.device)

    def training_step(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor | Any],
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """Compute every batch of the step; gradients go between processes once, after the last.

        Raises `UserError` if the loss is not finite, or far beyond that of guessing, after a step;
        the last checkpoint is as it was. The k3 penalty is left to `check`: one token that became
        rare costs exp(d) for a step or two, and the penalty itself brings it back.
        """
        batches = cast(list[Batch], inputs)
        total = torch.zeros((), device=self.args.device)
        for number, batch in enumerate(batches, start=1):
            last = number == len(batches)
            self.accelerator.gradient_state._set_sync_gradients(last)
            with nullcontext() if last else self.accelerator.no_sync(model):
                loss = super().training_step(model, cast(dict[str, Any], batch))
            if not loss.isfinite():
                raise UserError(
                    f"the loss is {loss.item()} at step {self.state.global_step + 1}, on "
                    f"{_named(batch['origins'])}; try a lower lr, or look at these examples"
                )
            total += loss
        if self.state.global_step and not _has_k3(self._task.objective):
            self._check(total.item(), batches)
        return total

    def check(self) -> None:
        """Raises `UserError` if the trained model's loss of the first step, without a penalty, is
        beyond guessing."""
        self.model_wrapped.train(False)
        objective = self._task.objective
        if isinstance(objective, Likelihood):
            objective = replace(objective, kl=0.0)
        batches, total = self._task.steps[self.args.process_index], 0.0
        with torch.no_grad(), self.compute_loss_context_manager():
            for batch in batches:
                inputs = cast(Batch, self._prepare_inputs(cast(Any, batch)))
                total += float(batch_loss(objective, inputs, logits(self.model_wrapped, inputs)))
        self._check(total * int(self.args.world_size), batches)

    def _check(self, loss: float, batches: Sequence[Batch]) -> None:
        among = max(self._vocabulary, LEAST)
        guess = sum(chance(self._task.objective, batch, among) for batch in batches)
        loss /= int(self.args.world_size)
        if guess and not loss <= DIVERGED * guess:
            raise UserError(
                f"the training diverges: the loss is {loss:,.0f} after step "
                f"{self.state.global_step}, where guessing gives {guess:.1f}; try a lower lr than "
                f"{self.args.learning_rate:g}"
            )

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor | Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """The batch's part of the step's mean loss, times the number of processes, over which the
        mean is taken."""
        batch = cast(Batch, inputs)
        new = logits(model, batch)
        reference = self._reference_logits(model, batch)
        return batch_loss(self._task.objective, batch, new, reference) * int(self.args.world_size)

    def _reference_logits(self, model: nn.Module, batch: Batch) -> Tensor | None:
        if not self._task.objective.compares_distributions:
            return None
        # as the trained model computes, which the trainer lets do so by itself
        own = torch.autocast(self.args.device.type, torch.bfloat16, enabled=self.args.bf16)
        with torch.no_grad(), own:
            if self._task.reference is not None:
                return logits(self._task.reference, batch)
            bare: Any = self.accelerator.unwrap_model(model)
            with bare.disable_adapter():
                return logits(bare, batch)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Mean loss of the held-out questions, as `eval_loss`."""
        assert self._task.held_out is not None
        model = self.model_wrapped
        model.train(False)
        total = torch.zeros((), device=self.args.device)
        with torch.no_grad(), self.compute_loss_context_manager():
            for batch in self._task.held_out[self.args.process_index]:
                total += self.compute_loss(model, self._prepare_inputs(cast(Any, batch)))
        loss = self.accelerator.reduce(total, "mean").item()
        metrics = {"eval_loss": loss}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """The optimizer, with the state that it is to begin with; a checkpoint's comes later."""
        optimizer = super().create_optimizer(model)
        if self._task.moments is not None:
            load_moments(optimizer, self._task.moments)
        return optimizer

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        folder = Path(str(self.args.output_dir))
        with explain_full_disk(folder):
            super()._save_checkpoint(model, trial)
            if self.args.should_save and (checkpoint := latest_checkpoint(folder)):
                on_disk(checkpoint)
                best = Path(self.state.best_model_checkpoint or checkpoint)
                drop_checkpoints(folder, {checkpoint.name, best.name})

    def floating_point_ops(self, inputs: Any) -> int:
        """0: transformers' formula does not fit packed batches."""
        return 0


class Reporter(TrainerCallback):
    """Callback that passes the loss on to the watch."""

    def __init__(self, watch: TrainingWatch | None) -> None:
        self._watch = watch

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:  # a checkpoint's state says how often it was to be when that was written
        state.save_steps, state.eval_steps = int(args.save_steps), int(args.eval_steps or 0)

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        if control.should_save:  # or the losses since the last log would not survive a kill
            control.should_log = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        if self._watch and logs and "loss" in logs and state.is_world_process_zero:
            self._watch.training(state.global_step, state.max_steps, logs["loss"])


def _named(origins: Sequence[str]) -> str:
    """Origins of a batch's examples, the first few, for a message."""
    known = [origin for origin in origins if origin]
    if not known:
        return f"a batch of {len(origins)} examples"
    more = f" and {len(known) - 3} more" if len(known) > 3 else ""
    return ", ".join(known[:3]) + more


def _has_k3(objective: Objective) -> bool:
    return isinstance(objective, Likelihood) and objective.kl > 0 and objective.penalty == "k3"
