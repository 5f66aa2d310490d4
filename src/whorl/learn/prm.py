"""Training process reward models: how good is the last step of a solution so far?

Math-Shepherd (2312.08935, eq. 3): cross-entropy between what the model says of a step and the
step's label, hard or soft. The model is the one that training starts from, with a new head of two
labels in place of the vocabulary; it is read at the step's last token.

So a label is a token that the model predicts after the step, out of two. A soft label is both of
them, weighted. That makes it ordinary weighted likelihood: prefix-tree packing computes a tree with
all its steps as one row, and batches, loss, checkpoints and resuming are those of `train`.
"""

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from accelerate import PartialState
from scipy.stats import rankdata
from torch import nn
from transformers import AutoModelForTokenClassification, PreTrainedModel

from whorl import __version__
from whorl.chat import Chat
from whorl.engines.hub import called
from whorl.engines.model import check_layers, read_config
from whorl.errors import UserError
from whorl.example import Likelihood, Rated
from whorl.learn import network
from whorl.learn.batches import Steps, plan_steps
from whorl.learn.corpus import Corpus, Encoded, TokenPath
from whorl.learn.fit import SAVED, fit, last_epoch
from whorl.learn.layout import Share, lay_out, to_device
from whorl.learn.pack import Packing, batches, cheaper_packing
from whorl.learn.train import carry_out, check_corpus, dropped_examples, hold_out
from whorl.learn.trainer import Task
from whorl.learn.training import Training, TrainingWatch, TrainResult, check_trackers
from whorl.learn.unfinished import identify, read_finished

LABELS = ("bad", "good")
GOOD = LABELS.index("good")

OBJECTIVE = Likelihood(average="sum")


def train_prm(
    model: Path,
    steps: Iterable[Rated],
    out: Path,
    *,
    settings: Training,
    watch: TrainingWatch | None = None,
) -> TrainResult:
    """Train a process reward model on `steps`, from the causal model in folder `model`; write the
    model folder `out`, which the engine `prm:OUT` opens.

    An example of `settings` is a label: a step with a value between 0 and 1 has two. The loss is in
    nats per label. With `settings.holdout` the result has `auc` and `accuracy` on the held-out
    questions' steps: whether steps of a value above 0.5 score higher than those of a value below,
    and on the right side of 0.5.

    Interrupted, it goes on as `train` does. Raises `UserError` as `train` does, and if low-rank
    adapters or the state of another optimizer are wanted.
    """
    if settings.lora.rank:
        raise UserError("a process reward model is trained with all its weights; set lora.rank=0")
    if settings.carry:
        raise UserError("a process reward model is trained in one go; leave carry out")
    check_layers(model, read_config(model))
    chat = Chat.load(model)
    corpus = encode_steps(steps, chat, max_length=network.context(model, settings))
    check_corpus(corpus, model, "step")
    identity = identify(model, corpus, OBJECTIVE, settings)
    identity["settings"]["objective"] = "prm"
    if out.exists():
        return read_finished(out, identity)
    check_trackers(settings.trackers)

    def play(partial: Path) -> tuple[Path, TrainResult]:
        return partial / SAVED, _train(model, corpus, partial, settings, watch)

    def card(folder: Path, result: TrainResult) -> None:
        (folder / "README.md").write_text(_card(model, settings, result))

    return carry_out(out, identity, chat, play, card)


def encode_steps(steps: Iterable[Rated], chat: Chat, *, max_length: int) -> Corpus:
    """Every step as one or two examples: its tokens and then a label, weighted by its share."""
    corpus = Corpus()
    groups: dict[tuple[str, str], list[Encoded]] = {}
    for step in steps:
        ids = chat.encode_step(step.prompt)
        if len(ids) >= max_length:
            corpus.dropped["too long"] += 1
            continue
        group = groups.setdefault((step.prompt.system, step.prompt.user), [])
        for label, weight in ((GOOD, step.value), (1 - GOOD, 1 - step.value)):
            if weight:
                path = TokenPath(np.array([*ids, label], np.int32), len(ids))
                group.append(Encoded((path,), weight, corpus.paths, step.origin))
                corpus.paths += 1
        corpus.longest = max(corpus.longest, len(ids) + 1)
        corpus.highest = max(corpus.highest, *ids)
    corpus.groups = list(groups.values())
    return corpus


def _train(
    model: Path, corpus: Corpus, partial: Path, settings: Training, watch: TrainingWatch | None
) -> TrainResult:
    """Train and save."""
    causal = network.load_model(model)
    packing, reason = network.packing(causal, settings, corpus.longest)
    if reason and watch:
        watch.say(f"steps are computed one by one, without packing: {reason}")
    net = with_head(causal)
    groups, held = hold_out(corpus.groups, settings)
    epochs = plan_steps(groups, size=settings.batch, epochs=settings.epochs, seed=settings.seed)
    processes = PartialState().num_processes

    def steps(planned: Sequence[Sequence[Encoded]]) -> Steps:
        return Steps(planned, OBJECTIVE, packing, processes=processes)

    task = Task(
        OBJECTIVE,
        steps([step for epoch in epochs for step in epoch]),
        steps([[example for group in held for example in group]]) if held else None,
    )
    sizes = list(map(len, epochs))
    state = fit(net, task, sizes, settings, partial, watch)
    result = TrainResult(
        loss=last_epoch(state, sizes[-1]),
        steps=state.global_step,
        examples=sum(map(len, groups)),
        tokens=sum(map(len, groups)),
        dropped=dropped_examples(corpus, held),
        held_out=state.best_metric,
        sharing=task.steps.sharing(),
    )
    return _measured(result, net, [example for group in held for example in group], packing)


def with_head(causal: PreTrainedModel) -> PreTrainedModel:
    """The model with a new head of two labels, which gives both 0.5, in place of its own.

    Raises `UserError` if transformers has no token classification for its architecture.
    """
    config = copy.deepcopy(causal.config)
    config.num_labels = len(LABELS)
    config.id2label = dict(enumerate(LABELS))
    config.label2id = {label: i for i, label in enumerate(LABELS)}
    config.classifier_dropout = 0.0
    try:
        with torch.device("meta"):  # its weights are those of `causal`
            net: PreTrainedModel = AutoModelForTokenClassification.from_config(config)  # type: ignore[no-untyped-call]
        head = cast(nn.Linear, net.get_submodule("score"))
    except (ValueError, AttributeError) as error:
        name = type(causal).__name__
        raise UserError(f"a process reward model cannot be made of a {name}") from error
    setattr(net, net.base_model_prefix, causal.base_model)
    head = head.to_empty(device=causal.device)
    for parameter in head.parameters():
        nn.init.zeros_(parameter)
    return net


def _measured(
    result: TrainResult, net: PreTrainedModel, held: Sequence[Encoded], packing: Packing
) -> TrainResult:
    """The result with measures on held-out steps that are rather good or rather bad."""
    clear = [example for example in held if example.weight > 0.5]
    if not clear:
        return result
    good, said = (np.array(column) for column in zip(*_said(net, clear, packing), strict=True))
    return replace(
        result, auc=auc(said[good], said[~good]), accuracy=float(((said > 0.5) == good).mean())
    )


def _said(
    net: PreTrainedModel, examples: Sequence[Encoded], packing: Packing
) -> Iterator[tuple[bool, float]]:
    """For each step whether its label is the good one, and the model's probability of that
    label."""
    net.train(False)
    device = next(net.parameters()).device
    packing = cheaper_packing(examples, packing)
    for some in batches(examples, packing):
        batch = to_device(lay_out(some, OBJECTIVE, Share.of(some), packing), device)
        with torch.no_grad():
            logits = network.logits(net, batch).flatten(0, 1)[batch["at"]]
        chances = logits.double().softmax(-1)[:, GOOD][batch["members"]]
        labels = (int(example.paths[0].ids[-1]) == GOOD for example in some)
        yield from zip(labels, chances.tolist(), strict=True)


def auc(good: Sequence[float], bad: Sequence[float]) -> float | None:
    """Area under the ROC curve: probability that a good step scores above a bad one, equal scores
    counting half. None if either kind is missing."""
    if not len(good) or not len(bad):
        return None
    above = rankdata([*good, *bad])[: len(good)].sum() - len(good) * (len(good) + 1) / 2
    return float(above / (len(good) * len(bad)))


def _card(model: Path, settings: Training, result: TrainResult) -> str:
    measured = ""
    if result.auc is not None:
        measured = f" On held-out questions: AUC {result.auc:.3f}, accuracy {result.accuracy:.1%}."
    return (
        "---\nlibrary_name: transformers\npipeline_tag: token-classification\n"
        "tags: [whorl, math, process reward model]\n---\n\n"
        f"# {called(model)} as a process reward model\n\n"
        f"From the model folder `{called(model)}`, with whorl {__version__}: {result.examples:,} "
        f"labels of steps, {result.steps:,} optimizer steps, loss {result.loss:.4f} nats per label."
        f"{measured} lr {settings.lr:g}, {settings.epochs} epochs, {settings.batch} labels a step; "
        "`training.json` has the rest.\n\n"
        "Label 1 at the last token of a step is the probability that the step is good. In whorl: "
        "`--prm prm:FOLDER`.\n"
    )
