"""Tokens per CPU-second: the embedded engine against transformers' generate(), and search on it.

Against generate(): one thread, a random Llama of 3.4 M parameters, 256 ragged prompts of 30 to 100
tokens with one sample each and 16 with 16 each, 96 new tokens, temperature 0.8; generate() is given
the prompts sorted by length. The sides take turns; each figure is the best of its repeats,
generate()'s also the best of its batch sizes, of which the slow ones run once.

Search: MCTS with 3 children, and SIGMA with the shipped policy in all three roles, against 16 whole
solutions per problem by the same engine, and SIGMA on OpenVINO (openvino_over_local). All go on at
once, in turns of half a CPU second, so that a busy machine slows them alike; counted from when the
batches are full; CPU seconds of this process, search included.

With `--model FOLDER` and without `--search` it measures a real model instead: `sigma_traffic.py`.

The last line is one JSON object.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is loaded

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from whorl import prompts as words
from whorl.ask import Ask, Asking, Engine, Failure, Prompt, Replies
from whorl.data.synthetic import problems as synthetic
from whorl.drive import drive
from whorl.engines import open_engine
from whorl.engines.judge import Judges
from whorl.engines.local import Local
from whorl.models import POLICY
from whorl.problem import Problem
from whorl.recipes.sigma import Sigma
from whorl.rollout import Sampling
from whorl.search import Uct, mcts
from whorl.tree import Tree

NEW_TOKENS = 96
TEMPERATURE = 0.8
BATCHES = (16, 32, 64, 128, 256)
WIDTH = 256  # searches in flight, as `whorl run` has them by default
WAITING = 32  # asks of 16 samples in flight: twice the engine's rows
TASKS = list(synthetic("test", 500, seed=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rows", type=int, nargs="+", default=[128], help="of the engine")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each side of a search")
    parser.add_argument("--search", action="store_true", help="measure search alone")
    parser.add_argument(
        "--model", type=Path, default=POLICY, help="that searches; a larger one is swollen.py's"
    )
    parser.add_argument("--problems", type=Path, help="for a real model; else synthetic ones")
    parser.add_argument("--sides", nargs="+", default=[], help="of a real model; else all")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.model != POLICY and not options.search:
        import sigma_traffic

        sigma_traffic.measure(options.model, options.problems, options.seconds, options.sides)
        return
    figures = measure_search(options.seconds, options.model)
    if not options.search:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            make_model(folder)
            figures |= measure(folder, options.repeats, options.rows)
    print(json.dumps(figures))


def make_model(folder: Path) -> None:
    """A random 3.4 M Llama with its own tokenizer of 1,024 tokens."""
    torch.manual_seed(0)
    tokenizer = make_tokenizer()
    config = LlamaConfig(
        vocab_size=1024,
        hidden_size=256,
        intermediate_size=704,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def make_tokenizer() -> PreTrainedTokenizerFast:
    rng = random.Random(0)
    syllables = [a + b for a in "bcdfghklmnprstvw" for b in ("a", "e", "i", "o", "u", "an", "er")]
    words = ["".join(rng.choices(syllables, k=rng.randint(1, 3))) for _ in range(3000)]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\n+|\d| ?[A-Za-z]+| ?[^\sA-Za-z\d]|\s"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1024,
        special_tokens=["<|pad|>", "<|bos|>", "<|eos|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = [" ".join(rng.choices(words, k=40)) + "\n\n" for _ in range(2000)]
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|bos|>",
        eos_token="<|eos|>",
        pad_token="<|pad|>",
        padding_side="left",
    )
    fast.chat_template = "{{ bos_token }}{% for m in messages %}{{ m['content'] }}{% endfor %}"
    return fast


def make_prompts(engine: Local, count: int) -> list[Prompt]:
    """Random texts of 30 to 100 tokens."""
    rng = random.Random(1)
    prompts = []
    for _ in range(count):
        ids = [rng.randrange(300, 1000) for _ in range(rng.randint(30, 100))]
        prompts.append(Prompt("", engine.chat.decode(ids)))
    return prompts


def measure(folder: Path, repeats: int, rows: Sequence[int]) -> dict[str, float]:
    model = LlamaForCausalLM.from_pretrained(folder)
    figures: dict[str, float] = {}
    for name, prompts, samples in (("256x1", 256, 1), ("16x16", 16, 16)):
        sides: dict[str, Callable[[int], float]] = {}
        probe = Local(folder)
        texts = make_prompts(probe, prompts)
        for size in BATCHES:
            if size >= samples:
                sides[f"generate {size}"] = generated(model, probe, texts, samples, size)
        for size in rows:
            sides[f"local {size}"] = answered(folder, texts, samples, size)
        best = dict.fromkeys(sides, 0.0)
        for repeat in range(repeats):
            top = max(best.values())
            for side, run in sides.items():
                if best[side] >= 0.85 * top or side.startswith("local"):
                    best[side] = max(best[side], run(repeat))
        for side, rate in best.items():
            print(f"{name} {side}: {rate:,.0f} tokens per CPU-second")
        theirs = max(rate for side, rate in best.items() if side.startswith("generate"))
        ours = max(rate for side, rate in best.items() if side.startswith("local"))
        figures[f"generate_{name}"] = round(theirs)
        figures[f"local_{name}"] = round(ours)
        figures[f"vs_generate_{name}"] = round(ours / theirs, 3)
    return figures


def generated(
    model: LlamaForCausalLM, engine: Local, prompts: Sequence[Prompt], samples: int, size: int
) -> Callable[[int], float]:
    """A run of generate() over the prompts, sorted by length, `size` samples in a batch."""
    chat = engine.chat
    ids = sorted((chat.encode(prompt) for prompt in prompts), key=len)
    per_batch = size // samples

    def run(seed: int) -> float:
        torch.manual_seed(seed)
        tokens = 0
        begun = time.process_time()
        for start in range(0, len(ids), per_batch):
            batch = chat.tokenizer.pad(
                {"input_ids": ids[start : start + per_batch]}, return_tensors="pt"
            )
            out = model.generate(
                **batch,
                do_sample=True,
                temperature=TEMPERATURE,
                top_k=0,
                num_return_sequences=samples,
                max_new_tokens=NEW_TOKENS,
            )
            new = out[:, batch["input_ids"].shape[1] :]
            ended = (new == chat.end[-1]).int()
            tokens += int((ended.cumsum(1) - ended == 0).sum())
        return tokens / (time.process_time() - begun)

    return run


def answered(
    folder: Path, prompts: Sequence[Prompt], samples: int, rows: int
) -> Callable[[int], float]:
    """A run of the engine over the prompts; the model is loaded, the cache is cold."""

    def run(seed: int) -> float:
        engine = Local(folder, max_rows=rows)
        tokens = waiting = 0
        begun = time.process_time()
        for ticket, prompt in enumerate(prompts):
            ask = Ask(prompt, n=samples, max_tokens=NEW_TOKENS, temperature=TEMPERATURE, seed=seed)
            engine.submit(ticket, ask)
            waiting += 1
        while waiting:
            for _, replies in engine.poll(0.0):
                assert isinstance(replies, tuple)
                tokens += sum(reply.tokens for reply in replies)
                waiting -= 1
        return tokens / (time.process_time() - begun)

    return run


class Side:
    """Work for an engine of its own that never ends: `tokens` and CPU `seconds` add up."""

    def __init__(
        self, name: str, work: Callable[[Engine, Engine], Iterator[object]], judges: Engine
    ) -> None:
        self.tokens = 0
        self.seconds = 0.0
        self._engine = open_engine(name, processes=0)
        self._work = work(self, judges)

    def turn(self, seconds: float) -> None:
        end = self.seconds + seconds
        while self.seconds < end:
            start = time.process_time()
            next(self._work)
            self.seconds += time.process_time() - start

    def submit(self, ticket: int, ask: Ask) -> None:
        self._engine.submit(ticket, ask)

    def poll(self, timeout: float) -> Sequence[tuple[int, Replies | Failure]]:
        answers = self._engine.poll(timeout)
        for _, replies in answers:
            assert isinstance(replies, tuple), replies
            self.tokens += sum(reply.tokens for reply in replies)
        return answers

    def close(self) -> None:
        self._engine.close()


def measure_search(seconds: float, model: Path) -> dict[str, float]:
    """Tokens per CPU-second of searches and of plain sampling, `seconds` each."""
    judges = Judges()
    local, openvino = f"local:{model}", f"openvino:{model}"
    sides = {
        "plain": Side(local, sampled, judges),
        "mcts": Side(local, partial(searched, mcts_tree), judges),
        "sigma": Side(local, partial(searched, sigma_tree), judges),
    }
    if find_spec("openvino_genai"):
        sides["plain_openvino"] = Side(openvino, sampled, judges)
        sides["sigma_openvino"] = Side(openvino, partial(searched, sigma_tree), judges)
    for side in sides.values():
        side.turn(4.0)
    before = {name: (side.tokens, side.seconds) for name, side in sides.items()}
    for _ in range(round(2 * seconds)):
        for side in sides.values():
            side.turn(0.5)
    judges.close()
    rates = {
        name: (side.tokens - before[name][0]) / (side.seconds - before[name][1])
        for name, side in sides.items()
    }
    for name, rate in rates.items():
        print(f"{name}: {rate:,.0f} tokens per CPU-second")
    found = {name: float(round(rate)) for name, rate in rates.items()}
    found["mcts_over_plain"] = round(rates["mcts"] / rates["plain"], 3)
    found["sigma_over_plain"] = round(rates["sigma"] / rates["plain"], 3)
    if "sigma_openvino" in rates:
        found["openvino_over_local"] = round(rates["sigma_openvino"] / rates["sigma"], 3)
    return found


def sampled(engine: Engine, judges: Engine) -> Iterator[object]:
    """Whole solutions, 16 per problem."""
    waiting = 0
    for ticket in count():
        problem = TASKS[ticket % len(TASKS)]
        ask = Ask(
            words.solve(problem.question), n=16, max_tokens=1024, temperature=0.7, seed=ticket
        )
        engine.submit(ticket, ask)
        waiting += 1
        while waiting == WAITING:
            waiting -= len(engine.poll(0.0))
            yield


def searched(
    grow: Callable[[Problem], Asking[Tree]], engine: Engine, judges: Engine
) -> Iterator[object]:
    """A search of one problem after the other, `WIDTH` at once."""
    engines: dict[str, Engine] = dict.fromkeys(("policy", "critic", "reviser"), engine)
    searches = ((f"{problem.id}/{n}", grow(problem)) for n in count() for problem in TASKS)
    for finished in drive(searches, engines | {"judge": judges}, width=WIDTH):
        assert finished.error is None, finished.error
        yield


def mcts_tree(problem: Problem) -> Asking[Tree]:
    tree = Tree(problem)
    yield from mcts(tree, Sampling(temperature=0.7), Uct(children=3))
    return tree


def sigma_tree(problem: Problem) -> Asking[Tree]:
    return Sigma().grow(problem)


if __name__ == "__main__":
    main()
