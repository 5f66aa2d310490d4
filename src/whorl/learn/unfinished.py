"""A training on disk: what it is bound to, its checkpoints, and how it becomes a finished
folder."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import asdict
from errno import ENOMEM
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors import SafetensorError

from whorl.data.atomic import replacing
from whorl.errors import UserError, reason
from whorl.example import Objective
from whorl.learn.corpus import Corpus
from whorl.learn.training import EXECUTION, Training, TrainResult

RECORD = "training.json"

_FULL = (
    *("DefaultCPUAllocator", "CUDA error: out of memory"),
    *("CUBLAS_STATUS_ALLOC_FAILED", "Cannot allocate memory"),
)
"""Words of those who report memory that ran out by an error of no kind of its own."""

Identity: TypeAlias = dict[str, Any]
"""What a training's result depends on, by content; paths do not matter."""


def identify(model: Path, corpus: Corpus, objective: Objective, settings: Training) -> Identity:
    """Identity of a training: its model's files, examples, objective and settings."""
    weights = hashlib.blake2b(digest_size=16)
    for path in _model_files(model):
        weights.update(_digest(path))
    for path in _model_files(settings.reference) if settings.reference else ():
        weights.update(_digest(path))
    learned = hashlib.blake2b(digest_size=16)
    for group in corpus.groups:
        for example in group:
            for taught in example.paths:
                learned.update(f"{len(taught)} {taught.start} {example.weight!r} ".encode())
                learned.update(taught.ids.tobytes())
    for said_by_teacher in corpus.taught:
        learned.update(said_by_teacher.tobytes())
    said = {
        name: value
        for name, value in asdict(settings).items()
        if name not in (*EXECUTION, "reference") and (name != "carry" or value)
    }
    if settings.holdout and settings.save_steps:  # the best checkpoint is taken, of these
        said["save_steps"] = settings.save_steps
    return {
        "model": weights.hexdigest(),
        "examples": learned.hexdigest(),
        "settings": {"objective": type(objective).__name__.lower(), **asdict(objective), **said},
    }


def read_finished(out: Path, identity: Identity) -> TrainResult:
    """The result of the training that wrote `out`. Raises `UserError` if that was another
    training, or if the model is no longer as it was written."""
    try:
        record = json.loads((out / RECORD).read_text())
        result = TrainResult(**record["result"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{out} exists and was not written by training; choose another") from error
    if different := _differences(identity, record):
        raise UserError(f"{out} holds another training ({different}); choose another folder")
    _check_files(out, record.get("files", {}))
    # of this training, if it was killed after it had published what it had made
    shutil.rmtree(out.with_name(f"{out.name}.partial"), ignore_errors=True)
    return result


def write_record(folder: Path, identity: Identity, result: TrainResult) -> None:
    """Write into a saved model's folder which training it is of, what came of that, and digests of
    its files, by which `read_finished` knows them again."""
    files = {path.name: _digest(path).hex() for path in _model_files(folder)}
    record = identity | {"result": asdict(result), "files": files}
    (folder / RECORD).write_text(json.dumps(record))


def open_partial(partial: Path, identity: Identity) -> None:
    """Make the working folder, or check that the one there belongs to this training.

    Raises `UserError` if it belongs to another training.
    """
    record = partial / RECORD
    if record.exists():
        if different := _differences(identity, json.loads(record.read_text())):
            raise UserError(
                f"{partial} is another unfinished training ({different}); delete it to start anew"
            )
        for checkpoint in _checkpoints(partial):
            if _usable(checkpoint):
                _name_best(checkpoint)
            else:
                shutil.rmtree(checkpoint)
    else:
        with explain_full_disk(partial):
            partial.mkdir(parents=True, exist_ok=True)
            unfinished = record.with_suffix(".partial")
            unfinished.write_text(json.dumps(identity))
            unfinished.replace(record)


def latest_checkpoint(partial: Path) -> Path | None:
    """The last usable checkpoint in the working folder; None if there is none."""
    return max(_checkpoints(partial), key=_step, default=None)


def drop_checkpoints(partial: Path, kept: Set[str]) -> None:
    """Delete the checkpoints in the working folder but those of these names."""
    for checkpoint in _checkpoints(partial):
        if checkpoint.name not in kept:
            shutil.rmtree(checkpoint)


def on_disk(folder: Path) -> None:
    """Return once all files of a folder are on disk."""
    for path in filter(Path.is_file, folder.rglob("*")):
        with path.open("rb") as file:
            os.fsync(file.fileno())


def publish(folder: Path, out: Path) -> None:
    """Rename a complete folder to its final name, once its files are on disk."""
    on_disk(folder)
    out.parent.mkdir(parents=True, exist_ok=True)
    folder.rename(out)


def memory_ran_out(error: BaseException) -> bool:
    """Whether an error says that memory, a GPU's or the machine's, is used up."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return getattr(error, "errno", None) == ENOMEM or any(said in str(error) for said in _FULL)


@contextmanager
def explain_short_memory() -> Iterator[None]:
    """Context in which memory that runs out, of a GPU or of the machine, is one clear line."""
    try:
        yield
    except (OSError, RuntimeError, MemoryError) as error:
        if not memory_ran_out(error):
            raise
        raise UserError(
            f"memory ran out ({reason(error)}); lower the tokens in one forward pass, "
            "train.tokens, or set train.checkpointing=true: neither changes the result, and the "
            "same command goes on from what was done"
        ) from error


@contextmanager
def explain_full_disk(partial: Path) -> Iterator[None]:
    """Context in which a full disk, which torch and safetensors report each in its own way, is one
    clear line."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        if memory_ran_out(error):
            raise
        raise UserError(
            f"{partial} cannot be written; is the disk full? ({reason(error)}) "
            "Put that right, then give the same command again"
        ) from error


def _differences(ours: Identity, theirs: Identity) -> str:
    """Parts in which two identities differ, in words; empty if none."""
    words = [f"the {part}" for part in ("model", "examples") if ours[part] != theirs.get(part)]
    now, before = ours["settings"], theirs.get("settings", {})
    words += [
        f"{name} = {before.get(name)}, now {now.get(name)}"
        for name in dict.fromkeys((*now, *before))
        if now.get(name) != before.get(name)
    ]
    return "; ".join(words)


def _model_files(folder: Path) -> list[Path]:
    """Configuration and weights of a model folder."""
    return [path for kind in ("config.json", "*.safetensors") for path in sorted(folder.glob(kind))]


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").digest()


def _check_files(out: Path, digests: Mapping[str, str]) -> None:
    """Raises `UserError` if a file of a finished model is missing or not as it was written: cut
    short, of another model, or damaged."""
    for name, digest in digests.items():
        path = out / name
        if path.is_file() and _digest(path).hex() == digest:
            continue
        fault = "is not as training wrote it" if path.exists() else "is missing"
        raise UserError(
            f"{path} {fault}; put a copy of it back, or delete {out} and give the same command "
            "again, which trains it anew"
        )


def _checkpoints(partial: Path) -> list[Path]:
    return list(partial.glob("checkpoint-*"))


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def _name_best(checkpoint: Path) -> None:
    """Let the state of a checkpoint name the best one by the place where it lies now: transformers
    takes the last one instead, without a word, where the folder was moved."""
    file = checkpoint / "trainer_state.json"
    state = json.loads(file.read_text())
    best = state.get("best_model_checkpoint")
    here = str(checkpoint.with_name(Path(best).name)) if best else None
    if here != best:
        with replacing(file) as out:
            out.write(json.dumps(state | {"best_model_checkpoint": here}).encode())


def _usable(checkpoint: Path) -> bool:
    """Whether a training can go on from a checkpoint. A kill may have cut its state, which is
    written last; and after a checkpoint at which patience had run out it would go on: from the best
    one, before that, it comes to the same end."""
    try:
        state = json.loads((checkpoint / "trainer_state.json").read_text())
    except (OSError, ValueError):
        return False
    stopped = state["stateful_callbacks"]["TrainerControl"]["args"]["should_training_stop"]
    return not stopped or state["global_step"] >= state["max_steps"]
