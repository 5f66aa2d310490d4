"""Training on prefix trees against TRL's trainers and against unpacked rows, in one run.

The same token ids, starting weights, optimizer steps (forward, backward, clipping, AdamW) and loss
on all sides; one thread, CPU seconds of this process, from the beginning to the end of the
training loop. The sides take turns, in both orders; each figure is the best of its repeats. TRL's
is the best of its settings too: several batch sizes, rows by length or in our order, and rows
without padding. A random Llama, 3.4 M parameters if nothing else is said.

process: weight-1 likelihood on the candidate steps of MCTS process supervision, 4 at each of 8
    steps behind a question of 120 tokens, steps of about 40; `process_long`: of about 80;
    `process_grown`: trees that the recipe grew with the shipped policy.
dpo: a pair for each question; both share half of their 320 tokens, the question and the first half
    of the solution. One epoch; each side computes the reference model's log-probabilities once for
    every path, and that time counts. `dpo_steps`: a pair at each of the 8 steps of the trees above,
    as Step-DPO harvests them.
no_sharing: rows without a common token, `packed=True` against False.
share_of_ideal: how many times faster packed is than unpacked, for each time that it has fewer
    tokens.
max_grad_error: largest difference of an element of the gradient, packed and unpacked.
memory: what a forward and backward pass takes at its peak, packed over unpacked, both over as many
    tokens.

The last line is one JSON object.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is loaded

import argparse
import copy
import json
import random
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PrinterCallback,
    Trainer,
    TrainerCallback,
)
from transformers.trainer_utils import SaveStrategy
from transformers.utils import logging
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

from whorl.chat import Chat
from whorl.data.synthetic import problems
from whorl.drive import drive
from whorl.engines.judge import Judges
from whorl.engines.local import Local
from whorl.example import Likelihood, Objective, Preference
from whorl.learn import network, reference
from whorl.learn.batches import Steps, plan_steps
from whorl.learn.corpus import Encoded, TokenPath, encode
from whorl.learn.layout import Share, lay_out, to_device
from whorl.learn.losses import batch_loss
from whorl.learn.pack import TokenCount, batches
from whorl.learn.trainer import Task, TreeTrainer, arguments
from whorl.learn.training import Training
from whorl.models import POLICY
from whorl.recipes.process import Process

Groups = list[list[Encoded]]

WORKS = ("process", "process_long", "process_grown", "dpo", "dpo_steps")


@dataclass(frozen=True, slots=True)
class Bench:
    """What is trained, and how.

    model: the starting weights.
    settings: of our side; TRL's are the same where it has them.
    clock: seconds; those between two calls have been worked.
    sizes: rows that TRL is given at once; the fastest counts.
    """

    model: PreTrainedModel
    settings: Training
    clock: Callable[[], float]
    repeats: int
    sizes: tuple[int, ...] = (4, 8, 16, 32)


@dataclass(frozen=True, slots=True)
class Run:
    """A training: seconds in its loop, in its reference model, optimizer steps, mean loss."""

    loop: float
    reference: float
    steps: int
    loss: float

    @property
    def seconds(self) -> float:
        return self.loop + self.reference


class Watch(TrainerCallback):
    """Takes the time of the training loop."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.seconds = 0.0
        self._clock = clock

    def on_train_begin(self, *args: Any, **others: Any) -> None:
        self.seconds -= self._clock()

    def on_train_end(self, *args: Any, **others: Any) -> None:
        self.seconds += self._clock()


def ours(bench: Bench, groups: Groups, objective: Objective, *, packed: bool) -> Run:
    """One epoch of the real trainer."""
    settings = replace(bench.settings, packed=packed)
    model = copy.deepcopy(bench.model)
    longest = max(len(path) for group in groups for e in group for path in e.paths)
    packing, reason = network.packing(model, settings, longest)
    assert not reason, reason
    (planned,) = plan_steps(groups, size=settings.batch, epochs=1, seed=0)
    with tempfile.TemporaryDirectory() as name:
        known, begun = None, bench.clock()
        if objective.compares_tokens:
            file = Path(name) / "reference.npy"
            known = reference.reference_log_probs(model, groups, packing, file, bf16=settings.bf16)
        before = bench.clock() - begun
        steps = len(planned)
        told = arguments(settings, Path(name), steps=steps, per_epoch=steps, held_out=False)
        told.save_strategy = SaveStrategy.NO
        task = Task(objective, Steps(planned, objective, packing, reference=known))
        trainer = TreeTrainer(model, task, told, patience=1, watch=None)
        return finish(trainer, bench, before)


def theirs(bench: Bench, groups: Groups, objective: Objective, *, size: int, option: str) -> Run:
    """One epoch of TRL's trainer over the same examples, in as many optimizer steps."""
    settings = bench.settings
    (planned,) = plan_steps(groups, size=settings.batch, epochs=1, seed=0)
    examples = [example for step in planned for example in step]
    steps = len(planned)
    size = min(size, -(-len(examples) // steps))
    told: dict[str, Any] = {
        "per_device_train_batch_size": size,
        "gradient_accumulation_steps": -(-len(examples) // (steps * size)),
        "train_sampling_strategy": "group_by_length" if option == "by length" else "sequential",
        "learning_rate": settings.lr,
        "lr_scheduler_type": "cosine",
        "warmup_steps": int(settings.warmup * steps),
        "max_grad_norm": settings.clip,
        "num_train_epochs": 1,
        "max_length": None,
        "bf16": settings.bf16,
        "activation_checkpointing": False,
        "logging_steps": steps,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "use_cpu": not torch.cuda.is_available(),
    }
    model = copy.deepcopy(bench.model)
    tokenizer = Chat.load(POLICY).tokenizer  # for its padding; the rows are token ids
    with tempfile.TemporaryDirectory() as name:
        if isinstance(objective, Likelihood):
            rows = datasets.Dataset.from_list([likelihood_row(e) for e in examples])
            args = SFTConfig(name, **told, padding_free=option == "no padding")
            sft = SFTTrainer(model, args, train_dataset=rows, processing_class=tokenizer)
            return finish(sft, bench, 0.0)
        rows = datasets.Dataset.from_list([preference_row(e) for e in examples])
        told |= {"beta": objective.beta, "precompute_ref_log_probs": True}
        dpo = Dpo(bench, model, args=DPOConfig(name, **told), rows=rows, tokenizer=tokenizer)
        return finish(dpo, bench, dpo.before)


def likelihood_row(example: Encoded) -> dict[str, Any]:
    (path,) = example.paths
    ids = path.ids.tolist()
    return {"input_ids": ids, "labels": [-100] * path.start + ids[path.start :], "length": len(ids)}


def preference_row(example: Encoded) -> dict[str, Any]:
    chosen, rejected = example.paths
    return {
        "prompt_ids": chosen.ids[: chosen.start].tolist(),
        "chosen_ids": chosen.ids[chosen.start :].tolist(),
        "rejected_ids": rejected.ids[rejected.start :].tolist(),
        "length": max(len(chosen), len(rejected)),
    }


class Dpo(DPOTrainer):  # type: ignore[misc]
    """TRL's trainer on rows that are token ids already; takes the time of the reference model."""

    def __init__(
        self, bench: Bench, model: PreTrainedModel, *, args: DPOConfig, rows: Any, tokenizer: Any
    ) -> None:
        self._clock = bench.clock
        self.before = 0.0
        super().__init__(model, args=args, train_dataset=rows, processing_class=tokenizer)

    def _prepare_dataset(self, dataset: Any, *args: Any) -> Any:
        return dataset

    def _precompute_ref_logps(self, *args: Any) -> Any:
        begun = self._clock()
        found = super()._precompute_ref_logps(*args)
        self.before = self._clock() - begun
        return found


def finish(trainer: Trainer, bench: Bench, before: float) -> Run:
    """Train, and take the time."""
    watch = Watch(bench.clock)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(watch)
    result = trainer.train()
    return Run(watch.seconds, before, result.global_step, result.training_loss)


def fastest(bench: Bench, groups: Groups, objective: Objective) -> tuple[int, str]:
    """TRL's best setting for such examples: rows at once, and their arrangement."""
    (planned,) = plan_steps(groups, size=bench.settings.batch, epochs=1, seed=0)
    options = ["in order", "by length"]  # its DPO always pads
    if isinstance(objective, Likelihood):
        options.append("no padding")
    trials = {}
    for option in options:
        for size in bench.sizes:
            if option == "no padding" and size != bench.sizes[0]:
                continue  # its masks grow with the square
            tried = f"TRL on 32 examples, {size} at once, {option}"
            try:
                run = theirs(bench, [planned[0][:32]], objective, size=size, option=option)
            except torch.OutOfMemoryError:
                print(f"{tried}: out of memory", flush=True)
                continue
            print(f"{tried}: {run.seconds:.2f} s", flush=True)
            trials[size, option] = run.seconds
    return min(trials, key=lambda trial: trials[trial])


def compare(
    bench: Bench, groups: Groups, objective: Objective, setting: tuple[int, str]
) -> dict[str, Any]:
    """Packed, unpacked, and TRL in its best setting, taking turns."""
    size, option = setting
    sides: dict[str, Callable[[], Run]] = {
        "packed": partial(ours, bench, groups, objective, packed=True),
        "unpacked": partial(ours, bench, groups, objective, packed=False),
        "TRL": partial(theirs, bench, groups, objective, size=size, option=option),
    }
    best = race(sides, bench.repeats)
    same = theirs(bench, groups, objective, size=size, option="in order")
    paths = [path.ids for group in groups for e in group for path in e.paths]
    growing = TokenCount()
    for ids in paths:
        growing.add(ids)
    tokens = sum(map(len, paths))
    packed, unpacked, trl = (best[name].seconds for name in sides)
    sharing, faster = tokens / growing.size, unpacked / packed
    return {
        "vs_trl": trl / packed,
        "vs_trl_loop": best["TRL"].loop / best["packed"].loop,
        "vs_unpacked": faster,
        "sharing": sharing,
        "share_of_ideal": faster / sharing,
        "tokens": tokens,
        "examples": sum(map(len, groups)),
        "steps": best["packed"].steps,
        "steps_trl": best["TRL"].steps,
        "seconds": packed,
        "seconds_unpacked": unpacked,
        "seconds_trl": trl,
        "trl_setting": f"{size} rows, {option}",
        "loss_difference": abs(best["packed"].loss - same.loss),
    }


def race(sides: dict[str, Callable[[], Run]], repeats: int) -> dict[str, Run]:
    """The best run of each side; sides take turns, in one order and then in the other."""
    runs: dict[str, list[Run]] = {name: [] for name in sides}
    for repeat in range(repeats):
        for name in list(sides)[:: 1 - 2 * (repeat % 2)]:
            runs[name].append(sides[name]())
    return {name: min(found, key=lambda run: run.seconds) for name, found in runs.items()}


def gradient_error(bench: Bench, groups: Groups) -> tuple[float, float]:
    """Largest difference of an element, packed and unpacked; the same over the largest element."""
    found = []
    for packed in (True, False):
        model = copy.deepcopy(bench.model)
        packing, _ = network.packing(model, replace(bench.settings, packed=packed), 1)
        examples = [example for group in groups for example in group]
        for some in batches(examples, packing):
            batch = to_device(
                lay_out(some, Likelihood(), Share.of(examples), packing), model.device
            )
            batch_loss(Likelihood(), batch, network.logits(model, batch)).backward()
        found.append([p.grad for p in model.parameters() if p.grad is not None])
    difference = max(float((a - b).abs().max()) for a, b in zip(*found, strict=True))
    return difference, difference / max(float(gradient.abs().max()) for gradient in found[1])


def one_pass(bench: Bench, groups: Groups, *, packed: bool) -> Callable[[], None]:
    """A forward and backward pass: over the first tree, or over as many tokens of its rows."""
    model = copy.deepcopy(bench.model)
    packing, _ = network.packing(model, replace(bench.settings, packed=packed), 1)
    examples = groups[0]
    if not packed:
        growing = TokenCount()
        for example in examples:
            growing.add(example.paths[0].ids)
        (examples, *_) = batches(examples, replace(packing, tokens=growing.size))
    batch = to_device(lay_out(examples, Likelihood(), Share.of(examples), packing), model.device)

    def run() -> None:
        batch_loss(Likelihood(), batch, network.logits(model, batch)).backward()

    return run


def peak_here(work: Callable[[], None]) -> int:
    """Bytes that this process takes more while it works; Linux."""
    status = Path("/proc/self/status")

    def read(field: str) -> int:
        return 1024 * int(status.read_text().partition(f"{field}:")[2].split()[0])

    work()  # gradients and the like come to stay
    before = read("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM begins anew
    work()
    return read("VmHWM") - before


def peak_elsewhere(packed: bool) -> int:
    """The same in a process of its own, which has no freed memory to use again."""
    command = [sys.executable, __file__, *sys.argv[1:], "--peak", str(int(packed))]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def trees(count: int, step: int) -> Groups:
    """Trees of 8 steps with 4 candidates each; one path per candidate, the first one goes on."""
    rng = random.Random(step)
    groups: Groups = []
    for number in range(count):
        prefix, group = words(rng, 120), []
        for _ in range(8):
            candidates = [words(rng, max(5, int(rng.gauss(step, step / 4)))) for _ in range(4)]
            for candidate in candidates:
                group.append(single(prefix, candidate, number * 32 + len(group)))
            prefix = prefix + candidates[0]
        groups.append(group)
    return groups


def pairs_of(groups: Groups) -> Groups:
    """At each step the candidate that goes on is preferred to the next one."""
    found: Groups = []
    for group in groups:
        pairs = [(a.paths[0], b.paths[0]) for a, b in zip(group[::4], group[1::4], strict=True)]
        first = 2 * sum(map(len, found))
        found.append([Encoded(pair, 1.0, first + 2 * i) for i, pair in enumerate(pairs)])
    return found


def halves(count: int) -> Groups:
    """Pairs of 320 tokens each, of which the first 160 are the same."""
    rng = random.Random(0)
    found: Groups = []
    for number in range(count):
        prompt = words(rng, 160)
        chosen, rejected = (single(prompt, words(rng, 160), 0).paths[0] for _ in range(2))
        found.append([Encoded((chosen, rejected), 1.0, 2 * number)])
    return found


def strangers(count: int) -> Groups:
    """Rows of about 210 tokens, each of which begins with a token of its own."""
    rng = random.Random(0)
    return [
        [single([number, *words(rng, 59)], words(rng, max(5, int(rng.gauss(150, 50)))), number)]
        for number in range(count)
    ]


def grown(count: int) -> Groups:
    """What the recipe harvests from the trees of the shipped policy, every weight 1."""
    recipe, engine, judges = Process(), Local(POLICY), Judges()
    tasks = problems("test", count, seed=1)
    searches = drive(
        ((task.id, recipe.grow(task)) for task in tasks), {"policy": engine, "judge": judges}
    )
    examples = []
    for finished in searches:
        assert finished.result is not None, finished.error
        examples += [replace(e, weight=1.0) for e in recipe.harvest(finished.result).examples]
    judges.close()
    return encode(examples, Chat.load(POLICY), Likelihood(), max_length=4096).groups


def words(rng: random.Random, count: int) -> list[int]:
    return [rng.randrange(900) for _ in range(count)]


def single(prefix: list[int], completion: list[int], first: int) -> Encoded:
    ids = np.array(prefix + completion, np.int32)
    return Encoded((TokenPath(ids, len(prefix)),), 1.0, first)


def measure(
    bench: Bench, count: int, peak: Callable[[bool], int], chosen: Sequence[str] = WORKS
) -> dict[str, Any]:
    """Every figure over `count` trees; `peak` is the memory of a pass, packed or not."""
    some = trees(count, 40)
    found: dict[str, Any] = {"parameters": bench.model.num_parameters()}
    works: dict[str, tuple[Callable[[], Groups], Objective]] = {
        "process": (lambda: some, Likelihood()),
        "process_long": (lambda: trees(count, 80), Likelihood()),
        "process_grown": (lambda: grown(2 * count), Likelihood()),
        "dpo": (lambda: halves(16 * count), Preference()),
        "dpo_steps": (lambda: pairs_of(trees(2 * count, 40)), Preference()),
    }
    kinds = {name.partition("_")[0] for name in chosen}
    best = {kind: fastest(bench, works[kind][0](), works[kind][1]) for kind in sorted(kinds)}
    print(f"{'':14} {'/ TRL':>7} {'/ unpacked':>10} {'sharing':>8} {'of ideal':>8}  TRL's best")
    for name in chosen:
        make, objective = works[name]
        row = compare(bench, make(), objective, best[name.partition("_")[0]])
        print(
            f"{name:14} {row['vs_trl']:7.2f} {row['vs_unpacked']:10.2f} {row['sharing']:8.2f} "
            f"{row['share_of_ideal']:8.2f}  {row['trl_setting']}",
            flush=True,
        )
        found |= {f"{name}_{key}": value for key, value in row.items()}
    apart = strangers(32 * count)
    alone = race(
        {
            "packed": partial(ours, bench, apart, Likelihood(), packed=True),
            "unpacked": partial(ours, bench, apart, Likelihood(), packed=False),
        },
        bench.repeats + 2,
    )
    found["no_sharing_vs_unpacked"] = alone["unpacked"].seconds / alone["packed"].seconds
    if "process" in chosen:
        found["share_of_ideal"] = found["process_share_of_ideal"]
    found["max_grad_error"], found["max_grad_error_relative"] = gradient_error(bench, some)
    found["memory"] = peak(True) / peak(False)
    for name in ("no_sharing_vs_unpacked", "max_grad_error", "memory"):
        print(f"{name} {found[name]:.3g}")
    return {
        name: float(f"{value:.4g}") if isinstance(value, float) else value
        for name, value in found.items()
    }


def quiet() -> None:
    datasets.disable_caching()  # or a reference model would be computed in the first run only
    datasets.disable_progress_bars()
    logging.set_verbosity_error()
    warnings.simplefilter("ignore")
    os.environ["TQDM_DISABLE"] = "1"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--kv-heads", type=int, default=4, help="of 4; fewer are shared")
    parser.add_argument("--vocab", type=int, default=1024)
    parser.add_argument("--trees", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=Training().tokens, help="in a batch")
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    quiet()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=options.vocab,
        hidden_size=options.hidden,
        intermediate_size=int(2.75 * options.hidden),
        num_hidden_layers=options.layers,
        num_attention_heads=4,
        num_key_value_heads=options.kv_heads,
        tie_word_embeddings=True,
    )
    settings = Training(batch=64, tokens=options.tokens, lr=1e-4)
    bench = Bench(LlamaForCausalLM(config), settings, time.process_time, options.repeats)
    if options.peak is not None:
        print(peak_here(one_pass(bench, trees(1, 40), packed=bool(options.peak))))
        return
    print(json.dumps(measure(bench, options.trees, peak_elsewhere)))


if __name__ == "__main__":
    main()
