"""Trains the shipped models for Countdown: `python -m whorl.models.countdown --out DIR`."""

import argparse
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from random import Random

import torch
from transformers import LlamaForCausalLM
from transformers.utils import logging

from whorl import prompts
from whorl.answer import concluded
from whorl.answer.countdown import check
from whorl.chat import Chat
from whorl.data.countdown import problems
from whorl.models import walks
from whorl.models.curriculum import Item
from whorl.models.decode import Decoder
from whorl.models.plans import COUNTDOWN_PLANS, Stage, TrainingPlan, smoke
from whorl.models.pretrain import learn, learning_rate, new_model, optimisers, save, say_progress
from whorl.models.tokenizer import train_tokenizer
from whorl.problem import Problem

LEVELS = (3, 4)
MAX_TOKENS = 320  # the longest lessons have 300


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the models")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="a run of seconds that learns nothing")
    options = parser.parse_args()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    tokenizer = train_tokenizer(corpus(Random(f"{options.seed}/tokenizer")), vocabulary=384)
    chat = Chat(tokenizer)
    model: LlamaForCausalLM | None = None
    for name, plan in COUNTDOWN_PLANS.items():
        plan = smoke(plan) if options.smoke else plan
        model = model or new_model(plan, tokenizer)
        teach(model, chat, plan, Random(f"{options.seed}/{name}"), name=name)
        save(model, tokenizer, options.out / name)


def corpus(rng: Random) -> Iterator[str]:
    """Texts in every form that the models will meet, to train a tokenizer on."""
    for _ in range(1000):
        lesson = walks.lesson(rng, LEVELS, misses=False)
        yield f"{lesson.prompt.user}\n\n{lesson.text}"
        yield walks.drill(rng)


def teach(
    model: LlamaForCausalLM, chat: Chat, plan: TrainingPlan, rng: Random, *, name: str
) -> None:
    """Train `model` by `plan`, with a look at dev now and then."""
    parts = optimisers(model, plan.lr)
    dev = list(problems("dev", plan.check_on, seed=1000, levels=LEVELS))
    step = tokens = 0
    for stage in plan.stages:
        for batch in islice(_batches(stage, chat, rng, plan.batch), stage.steps):
            loss = learn(model, parts, batch, lr=plan.lr * learning_rate(step, plan))
            step += 1
            tokens += sum(len(item.ids) for item in batch)
            if step % 50 == 0:
                told = f"{tokens} tokens, loss {loss:.3f}"
                say_progress(f"{name}: step {step}/{plan.steps}, {told}")
            if step % plan.check_every == 0 or step == plan.steps:
                shares = ", ".join(
                    f"{level} numbers {accuracy(model, chat, dev, level):.3f}" for level in LEVELS
                )
                say_progress(f"{name}: greedy accuracy on dev: {shares}")


def accuracy(model: LlamaForCausalLM, chat: Chat, asked: Sequence[Problem], level: int) -> float:
    """Share of a level's problems that greedy decoding solves."""
    own = [problem for problem in asked if problem.level == str(level)]
    asked_of = [prompts.solve(problem.question) for problem in own]
    texts = Decoder(model, chat).replies(asked_of, max_tokens=MAX_TOKENS)
    right = [check(p.answer, concluded(t) or "").right for p, t in zip(own, texts, strict=True)]
    return sum(found is True for found in right) / max(1, len(own))


def _batches(stage: Stage, chat: Chat, rng: Random, size: int) -> Iterator[list[Item]]:
    """Endless batches of items of similar length."""
    tasks, shares = list(stage.mix), list(stage.mix.values())
    while True:
        drawn = rng.choices(tasks, shares, k=32 * size)
        items = [
            _drill(chat, walks.drill(rng))
            if task == "drill"
            else _solution(chat, stage, rng, misses=task == "miss")
            for task in drawn
        ]
        items.sort(key=lambda item: len(item.ids))
        groups = [items[start : start + size] for start in range(0, len(items), size)]
        rng.shuffle(groups)
        yield from groups


def _solution(chat: Chat, stage: Stage, rng: Random, *, misses: bool) -> Item:
    lesson = walks.lesson(rng, stage.levels, misses=misses)
    ids, start = chat.encode_completion(lesson.prompt, lesson.text, ended=lesson.ended)
    return Item(ids, [place >= start for place in range(len(ids))])


def _drill(chat: Chat, text: str) -> Item:
    """Lines of which what stands after the colon is to be learned."""
    encoded = chat.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    learn = [
        ":" in text[text.rfind("\n", 0, start) + 1 : start]
        for start, _ in encoded["offset_mapping"]
    ]
    return Item([chat.tokenizer.bos_token_id, *encoded["input_ids"]], [False, *learn])


if __name__ == "__main__":
    main()
