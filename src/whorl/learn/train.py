"""Fine-tuning: `transformers.Trainer` is the loop; the batches and the loss are ours.

The weights are trained and saved in float32, whatever the dtype of the model that comes in: at the
learning rates of fine-tuning most updates are smaller than half a bfloat16 step and would be lost,
within a training and again between rounds. The folder is twice the size of a bfloat16 one; an
engine may load it in any dtype.
"""

import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from operator import itemgetter
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    PreTrainedModel,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.utils import logging

from whorl.chat import Chat
from whorl.errors import UserError
from whorl.example import Example
from whorl.learn.batches import Batches, Corpus, encode, plan
from whorl.learn.losses import likelihood
from whorl.learn.sft import Sft, TrainResult

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(logits [B, T, V], labels [B, T], weights [B]) -> the loss summed over the batch's tokens."""

OnLog = Callable[[int, int, float], None]
"""(step, steps in all, mean loss since the last call)."""


def train(
    model: Path,
    examples: Iterable[Example],
    out: Path,
    *,
    settings: Sft,
    resume: bool = True,
    on_log: OnLog | None = None,
) -> TrainResult:
    """Fine-tune the model folder `model` on `examples`; write the model folder `out`.

    `out` appears when it is complete; until then the work lies in `OUT.partial`. With `resume` the
    same call goes on from the last checkpoint there, to the same weights on a CPU as if it had not
    been interrupted, and returns at once if `out` is complete; without it, unfinished work is
    thrown away. Raises `UserError` if nothing can be trained on, if the model cannot be loaded, if
    the loss is no longer finite, and if `out` or the unfinished work belongs to another training.
    """
    chat = Chat.load(model)
    corpus = encode(examples, chat, max_length=min(settings.max_length, _context(model)))
    if not corpus.examples:
        reasons = ", ".join(f"{n} {reason}" for reason, n in sorted(corpus.dropped.items()))
        raise UserError(f"no example to train on ({reasons or 'none were given'})")
    identity = _identity(model, corpus, settings)
    if out.exists():
        return _finished(out, identity)
    partial = out.with_name(out.name + ".partial")
    checkpoint = _open(partial, identity, resume)

    with _quiet():
        network = _load(model)
        use_cache = network.config.use_cache  # Trainer switches it off
        state = _fit(network, corpus, settings, partial, checkpoint, on_log)
        network.config.use_cache = use_cache
        result = TrainResult(
            loss=_last_epoch(state, settings.epochs),
            steps=state.global_step,
            examples=len(corpus.examples),
            tokens=corpus.tokens,
            dropped=dict(corpus.dropped),
        )
        with _writing(partial):
            network.save_pretrained(partial / "model")
            chat.tokenizer.save_pretrained(partial / "model")
            record = identity | {"result": asdict(result)}
            (partial / "model" / _RECORD).write_text(json.dumps(record))
            _publish(partial / "model", out)
    shutil.rmtree(partial)
    return result


_RECORD = "training.json"


def _context(model: Path) -> int:
    """Tokens the model can attend to."""
    try:
        config = AutoConfig.from_pretrained(model, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{model}/config.json cannot be read: {_first_line(error)}") from error
    return int(getattr(config, "max_position_embeddings", None) or 2**31)


def _identity(model: Path, corpus: Corpus, settings: Sft) -> dict[str, Any]:
    """What a training's result depends on, by content; paths do not matter."""
    weights = hashlib.blake2b(digest_size=16)
    for pattern in ("config.json", "*.safetensors", "*.bin"):
        for path in sorted(model.glob(pattern)):
            with path.open("rb") as file:
                weights.update(hashlib.file_digest(file, "blake2b").digest())
    learned = hashlib.blake2b(digest_size=16)
    for example in corpus.examples:
        learned.update(f"{len(example.ids)} {example.start} {example.weight!r} ".encode())
        learned.update(example.ids.numpy().tobytes())
    return {
        "model": weights.hexdigest(),
        "examples": learned.hexdigest(),
        "settings": asdict(settings),
    }


def _differences(ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    """Which parts of two identities differ, in words; empty if none does."""
    words = [f"the {part}" for part in ("model", "examples") if ours[part] != theirs.get(part)]
    before = theirs.get("settings", {})
    words += [
        f"{name} = {before.get(name)}, now {value}"
        for name, value in ours["settings"].items()
        if value != before.get(name)
    ]
    return "; ".join(words)


def _finished(out: Path, identity: dict[str, Any]) -> TrainResult:
    """The result of the training that wrote `out`, if it was this one."""
    try:
        record = json.loads((out / _RECORD).read_text())
        result = TrainResult(**record["result"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{out} exists and was not written by training; choose another") from error
    if different := _differences(identity, record):
        raise UserError(f"{out} holds another training ({different}); choose another folder")
    return result


def _open(partial: Path, identity: dict[str, Any], resume: bool) -> Path | None:
    """Make the working folder, or find the checkpoint to go on from in the one there is."""
    if not resume and partial.exists():
        shutil.rmtree(partial)
    record = partial / _RECORD
    if record.exists():
        if different := _differences(identity, json.loads(record.read_text())):
            raise UserError(
                f"{partial} is another unfinished training ({different}); delete it to start anew"
            )
    else:
        with _writing(partial):
            partial.mkdir(parents=True, exist_ok=True)
            unfinished = record.with_suffix(".partial")
            unfinished.write_text(json.dumps(identity))
            unfinished.replace(record)
    for checkpoint in _checkpoints(partial):
        if _complete(checkpoint):
            return checkpoint
        shutil.rmtree(checkpoint)
    return None


@contextmanager
def _writing(partial: Path) -> Iterator[None]:
    """A full disk, which torch and safetensors report each in its own way, is one clear line."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        raise UserError(
            f"{partial} cannot be written; is the disk full? ({_first_line(error)}) "
            "Put that right, then give the same command again"
        ) from error


def _checkpoints(partial: Path) -> list[Path]:
    """Latest first."""
    return sorted(partial.glob("checkpoint-*"), key=_step, reverse=True)


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def _complete(checkpoint: Path) -> bool:
    """Trainer writes a checkpoint's state last; a kill may have cut it short."""
    try:
        json.loads((checkpoint / "trainer_state.json").read_text())
    except (OSError, ValueError):
        return False
    return True


def _load(model: Path) -> PreTrainedModel:
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            model, dtype=torch.float32, local_files_only=True, output_loading_info=True
        )
    except Exception as error:  # whatever a damaged folder makes of the loader, it is one line here
        raise UserError(f"the model in {model} cannot be loaded: {_first_line(error)}") from error
    network, report = cast(tuple[PreTrainedModel, dict[str, set[str]]], loaded)
    if report["missing_keys"]:
        raise UserError(f"the model in {model} lacks weights: {min(report['missing_keys'])}")
    return network


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


@contextmanager
def _quiet() -> Iterator[None]:
    """Neither progress bars nor warnings from transformers; `on_log` is how a training speaks."""
    shown, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _fit(
    network: PreTrainedModel,
    corpus: Corpus,
    settings: Sft,
    partial: Path,
    checkpoint: Path | None,
    on_log: OnLog | None,
) -> TrainerState:
    """Train `network` in place."""
    batches = plan(
        [len(example.ids) for example in corpus.examples],
        size=settings.per_device,
        epochs=settings.epochs,
        seed=settings.seed,
    )
    accumulated = settings.batch // settings.per_device
    steps = math.ceil(len(batches) / accumulated)
    arguments = TrainingArguments(
        output_dir=str(partial),
        num_train_epochs=1,  # the plan holds every epoch
        train_sampling_strategy="sequential",
        per_device_train_batch_size=1,  # one planned batch
        gradient_accumulation_steps=accumulated,
        learning_rate=settings.lr,
        lr_scheduler_type="cosine",
        warmup_steps=int(settings.warmup * steps),
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.clip,
        bf16=settings.bf16,
        use_cpu=not torch.accelerator.is_available(),
        seed=settings.seed,
        save_steps=settings.save_steps or math.ceil(steps / settings.epochs),
        logging_steps=math.ceil(steps / 50),
        logging_nan_inf_filter=False,  # a loss that is not finite is an error, see _Watch
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available(),
    )
    if arguments.n_gpu > 1 or arguments.world_size > 1:
        raise UserError("training uses one device; set CUDA_VISIBLE_DEVICES to show only one")
    trainer = _Trainer(
        network, arguments, Batches(corpus.examples, batches), likelihood, _Watch(on_log)
    )
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return trainer.state


class _Trainer(Trainer):
    """The loop, with a loss of our own. A dataset's item is a whole batch."""

    loss_is_scaled_for_ga = True  # `compute_loss` divides by the tokens of the whole step

    def __init__(
        self,
        network: nn.Module,
        arguments: TrainingArguments,
        batches: Dataset[dict[str, Tensor]],
        loss: Loss,
        watch: TrainerCallback,
    ) -> None:
        super().__init__(
            network,
            arguments,
            data_collator=itemgetter(0),
            train_dataset=batches,
            callbacks=[watch],
        )
        self.remove_callback(PrinterCallback)
        self._loss = loss
        self.model_accepts_loss_kwargs = True  # has these tokens counted, for any model

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor | Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """The batch's share of the step's mean loss per completion token."""
        assert num_items_in_batch is not None
        logits = model(input_ids=inputs["ids"], use_cache=False).logits  # [B, T, V]
        return self._loss(logits, inputs["labels"], inputs["weights"]) / num_items_in_batch

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        with _writing(Path(str(self.args.output_dir))):
            super()._save_checkpoint(model, trial)


class _Watch(TrainerCallback):
    """Passes the loss on, keeps only the latest checkpoint, stops a training that has diverged."""

    def __init__(self, on_log: OnLog | None) -> None:
        self._on_log = on_log

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        if control.should_save:  # or the losses since the last log would not survive a kill
            control.should_log = True

    def on_save(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        for checkpoint in _checkpoints(Path(str(args.output_dir))):
            if _step(checkpoint) < state.global_step:
                shutil.rmtree(checkpoint)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        if not logs or "loss" not in logs:
            return
        if not math.isfinite(logs["loss"]):
            raise UserError(
                f"the loss is {logs['loss']} at step {state.global_step}; try a lower lr"
            )
        if self._on_log:
            self._on_log(state.global_step, state.max_steps, logs["loss"])


def _last_epoch(state: TrainerState, epochs: int) -> float:
    """Mean loss over the last epoch's steps, from the logged means."""
    logged = [entry for entry in state.log_history if "loss" in entry]
    since = state.max_steps - math.ceil(state.max_steps / epochs)
    total = 0.0
    before = 0
    for entry in logged:
        step = int(entry["step"])
        total += entry["loss"] * max(0, step - max(before, since))
        before = step
    return total / (state.max_steps - since)


def _publish(folder: Path, out: Path) -> None:
    """Give a complete folder its final name, once its files have reached the disk."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    out.parent.mkdir(parents=True, exist_ok=True)
    folder.rename(out)
