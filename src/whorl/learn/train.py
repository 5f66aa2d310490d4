"""Fine-tuning: from a model folder and examples to a model folder, resumable at any point.

One process trains on one device. Under `torchrun` or `accelerate launch` the same call trains on
all of them, and the first process alone touches files.
"""

import copy
import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from random import Random

import torch
from accelerate import PartialState
from torch import nn
from transformers import PreTrainedModel

from whorl.chat import Chat
from whorl.data.lock import held
from whorl.engines.model import check_layers, read_config
from whorl.engines.weights import weight_count
from whorl.errors import UserError
from whorl.example import Example, Likelihood, Objective
from whorl.learn import network, reference
from whorl.learn.batches import Steps, plan_steps
from whorl.learn.card import write_card
from whorl.learn.corpus import Corpus, Encoded, encode
from whorl.learn.fit import SAVED, fit, last_epoch, quiet_transformers
from whorl.learn.folder import write_questions
from whorl.learn.layout import LogProbs
from whorl.learn.memory import give_back
from whorl.learn.moments import moments_of
from whorl.learn.pack import Packing
from whorl.learn.precision import advice
from whorl.learn.trainer import Task
from whorl.learn.training import Training, TrainingWatch, TrainResult, check_trackers
from whorl.learn.unfinished import (
    Identity,
    explain_full_disk,
    explain_short_memory,
    identify,
    open_partial,
    publish,
    read_finished,
    write_record,
)


def train(
    model: Path,
    examples: Iterable[Example],
    out: Path,
    *,
    settings: Training,
    objective: Objective | None = None,
    watch: TrainingWatch | None = None,
) -> TrainResult:
    """Fine-tune the model folder `model` on `examples`; write the model folder `out`.

    objective: plain likelihood if not given. Its reference model is `model`, unless `settings` name
        another.

    `out` appears when it is complete; until then the work lies in `OUT.partial`, from whose last
    checkpoint the same call goes on, to the same weights on a CPU as if it had not been
    interrupted; it returns at once if `out` is complete. Raises `UserError` if nothing can be
    trained on, if a weight is negative and no penalty holds it, if the model cannot be loaded, if
    the loss is no longer finite, and if `out` or the unfinished work belongs to another training.
    """
    objective = objective or Likelihood()
    check_layers(model, read_config(model))
    chat = Chat.load(model)
    if settings.reference:
        reference.check_tokens(model, settings.reference, objective)
    corpus = read_corpus(model, examples, chat, objective, settings)
    identity = identify(model, corpus, objective, settings)
    if out.exists():
        return read_finished(out, identity)
    check_trackers(settings.trackers)
    moments = moments_of(model, settings)

    def play(partial: Path) -> tuple[Path, TrainResult]:
        training = _Training(model, corpus, objective, settings, partial)
        return training.run(watch, moments)

    def card(folder: Path, result: TrainResult) -> None:
        write_card(folder, model, objective, settings, result)
        write_questions(folder, model, corpus.questions)

    return carry_out(out, identity, chat, play, card)


def carry_out(
    out: Path,
    identity: Identity,
    chat: Chat,
    play: Callable[[Path], tuple[Path, TrainResult]],
    card: Callable[[Path, TrainResult], None],
) -> TrainResult:
    """Carry out a training in `OUT.partial`, and give its model folder the name `out` once it is
    complete. No other process trains it meanwhile.

    play: trains in the working folder and returns the saved model's folder in it. card: writes the
    model card. Raises `UserError` as `train` does.
    """
    state = PartialState(cpu=not torch.accelerator.is_available())
    partial = out.with_name(out.name + ".partial")
    with held(out) if state.is_main_process else nullcontext(), quiet_transformers():
        if state.is_main_process:
            open_partial(partial, identity)
        state.wait_for_everyone()
        with explain_short_memory():
            folder, result = play(partial)
        if state.is_main_process:
            with explain_full_disk(partial):
                chat.tokenizer.save_pretrained(folder)
                write_record(folder, identity, result)
                card(folder, result)
                if (tracked := partial / "runs").exists():  # TensorBoard's, as model hubs show it
                    shutil.copytree(tracked, folder / "runs", dirs_exist_ok=True)
                publish(folder, out)
            shutil.rmtree(partial)
        state.wait_for_everyone()
    give_back(weight_count(out))
    return result


def read_corpus(
    model: Path, examples: Iterable[Example], chat: Chat, objective: Objective, settings: Training
) -> Corpus:
    """Encode the examples. Raises `UserError` if this model cannot learn from them in this way."""
    corpus = encode(examples, chat, objective, max_length=network.context(model, settings))
    check_corpus(corpus, model, "example")
    held = isinstance(objective, Likelihood) and (objective.kl or objective.clip)
    if corpus.negative and not held:
        raise UserError(
            f"{corpus.negative:.0%} of the examples have a negative weight, and nothing holds the "
            "model back from making them ever less likely; give the objective a kl above 0, or clip"
        )
    return corpus


def check_corpus(corpus: Corpus, model: Path, what: str) -> None:
    """Raises `UserError` if there is nothing to learn, or if the model does not know the corpus's
    tokens.

    what: the corpus is made of, in the singular.
    """
    if not corpus.groups:
        reasons = ", ".join(f"{n} {reason}" for reason, n in sorted(corpus.dropped.items()))
        raise UserError(f"no {what} to train on ({reasons or 'none were given'})")
    known = network.vocabulary(network.read_config(model))
    if corpus.highest >= known:
        raise UserError(
            f"the tokenizer in {model} gives token {corpus.highest}, but its model knows only "
            f"{known} tokens: they do not belong together"
        )


class _Training:
    """One training, from the loaded model to the saved one."""

    def __init__(
        self,
        model: Path,
        corpus: Corpus,
        objective: Objective,
        settings: Training,
        partial: Path,
    ) -> None:
        self._model = model
        self._corpus = corpus
        self._objective = objective
        self._settings = settings
        self._partial = partial

    def run(self, watch: TrainingWatch | None, moments: Path | None) -> tuple[Path, TrainResult]:
        """Train and save; returns the model's folder and what came of it."""
        settings, corpus = self._settings, self._corpus
        net = network.load_model(self._model)
        other = self._reference() or net
        packing, reason = network.packing(net, settings, corpus.longest, other)
        if reason and watch:
            watch.say(f"examples are computed one by one, without packing: {reason}")
        if watch and (faster := advice(settings, net.num_parameters())):
            watch.say(faster)
        groups, held = hold_out(corpus.groups, settings)
        task, epochs = self._task(net, other, (groups, held), packing)
        trained: nn.Module = net
        if settings.lora.rank:
            trained = network.with_adapters(net, settings.lora, settings.seed)
        task.moments = moments
        sizes = list(map(len, epochs))
        state = fit(trained, task, sizes, settings, self._partial, watch)
        result = TrainResult(
            loss=last_epoch(state, sizes[-1]),
            steps=state.global_step,
            examples=sum(map(len, groups)),
            tokens=sum(p.learnt for group in groups for e in group for p in e.paths),
            dropped=dropped_examples(corpus, held),
            negative=corpus.negative,
            sharing=task.steps.sharing(),
            held_out=state.best_metric,
        )
        return self._whole(), result

    def _reference(self) -> PreTrainedModel | None:
        """The reference model that the settings name, if the objective asks one."""
        place, objective = self._settings.reference, self._objective
        if not place or not (objective.compares_tokens or objective.compares_distributions):
            return None
        model = network.load_model(place)
        model.requires_grad_(False)
        model.train(False)
        return model

    def _task(
        self,
        net: PreTrainedModel,
        other: PreTrainedModel,
        examples: tuple[list[list[Encoded]], list[list[Encoded]]],
        packing: Packing,
    ) -> tuple[Task, list[list[list[Encoded]]]]:
        """The task for the trainer, and the steps of each epoch. other: the reference model, which
        may be `net` as it begins. examples: in groups, to train on and to measure on."""
        settings, objective, (groups, held) = self._settings, self._objective, examples
        known: LogProbs | None = self._corpus.taught or None
        start: LogProbs | None = None
        if objective.compares_tokens:
            known = self._log_probs(other, packing, "reference.npy")
        if objective.compares_start:
            start = self._log_probs(net, packing, "start.npy")
        epochs = plan_steps(
            groups,
            size=settings.batch,
            epochs=settings.epochs,
            seed=settings.seed,
            of=settings.batch_of,
        )
        processes = PartialState().num_processes

        def steps(planned: list[list[Encoded]]) -> Steps:
            return Steps(
                planned, objective, packing, processes=processes, reference=known, start=start
            )

        task = Task(
            objective,
            steps([step for epoch in epochs for step in epoch]),
            steps([[example for group in held for example in group]]) if held else None,
        )
        if objective.compares_distributions and other is not net:
            task.reference = other
        elif objective.compares_distributions and not settings.lora.rank:
            task.reference = copy.deepcopy(net).requires_grad_(False).train(False)
        return task, epochs

    def _log_probs(self, model: nn.Module, packing: Packing, name: str) -> LogProbs:
        """Log-probabilities that a model gives every completion token, kept in the working folder
        as `name`."""
        return reference.reference_log_probs(
            model,
            self._corpus.groups,
            packing,
            self._partial / name,
            bf16=self._settings.bf16,
        )

    def _whole(self) -> Path:
        """The saved model's folder; an adapter is merged into its base model if settings say so."""
        saved, merged = self._partial / SAVED, self._partial / "merged"
        if not (self._settings.lora.rank and self._settings.lora.merge):
            return saved
        if PartialState().is_main_process:
            model = network.merge(self._model, saved)
            with explain_full_disk(self._partial):
                model.save_pretrained(merged)
        return merged


def dropped_examples(corpus: Corpus, held: Sequence[Sequence[Encoded]]) -> dict[str, int]:
    """Counts of the examples that are not trained on, by reason."""
    return dict(corpus.dropped) | ({"held out": sum(map(len, held))} if held else {})


def hold_out(
    groups: list[list[Encoded]], settings: Training
) -> tuple[list[list[Encoded]], list[list[Encoded]]]:
    """Groups of examples to train on, and groups to measure on: those of a share of the questions,
    and whatever else was asked about the same problems."""
    if not settings.holdout:
        return groups, []
    held = max(1, round(settings.holdout * len(groups)))
    if held >= len(groups):
        raise UserError(f"holdout = {settings.holdout} leaves nothing of {len(groups)} questions")
    shuffled = Random(settings.seed).sample(groups, len(groups))
    problems = {_problem(example) for group in shuffled[:held] for example in group} - {""}
    taught: list[list[Encoded]] = []
    also: list[list[Encoded]] = []
    for group in shuffled[held:]:
        (taught if problems.isdisjoint(map(_problem, group)) else also).append(group)
    if not taught:
        raise UserError(f"holdout = {settings.holdout} leaves nothing of {len(groups)} questions")
    return taught, shuffled[:held] + also


def _problem(example: Encoded) -> str:
    """The id of the problem that an example is of; empty if that is not known."""
    return example.origin.rpartition("#")[0]
