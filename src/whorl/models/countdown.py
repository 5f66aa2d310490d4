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
from whorl.example import Weighted
from whorl.models.curriculum import Item
from whorl.models.decode import Decoder
from whorl.models.plans import COUNTDOWN_LEVELS, COUNTDOWN_PLANS, TrainingPlan, smoke
from whorl.models.pretrain import learn, learning_rate, new_model, optimisers, save, say_progress
from whorl.models.tokenizer import train_tokenizer
from whorl.models.walks import lessons
from whorl.problem import Problem


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the models")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="a run of seconds that learns nothing")
    options = parser.parse_args()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    drawn = lessons(Random(f"{options.seed}/tokenizer"), COUNTDOWN_LEVELS, missed=0.5)
    texts = (f"{one.prompt.user}\n\n{one.text}" for one in islice(drawn, 2000))
    chat = Chat(train_tokenizer(texts, vocabulary=384))
    model: LlamaForCausalLM | None = None
    for name, (plan, missed) in COUNTDOWN_PLANS.items():
        plan = smoke(plan) if options.smoke else plan
        model = model or new_model(plan, chat.tokenizer)
        drawn = lessons(Random(f"{options.seed}/{name}"), COUNTDOWN_LEVELS, missed=missed)
        teach(model, chat, plan, (_item(chat, lesson) for lesson in drawn), name=name)
        save(model, chat.tokenizer, options.out / name)


def teach(
    model: LlamaForCausalLM, chat: Chat, plan: TrainingPlan, items: Iterator[Item], *, name: str
) -> None:
    """Train `model` by `plan` on `items`, with a look at dev now and then."""
    parts = optimisers(model, plan.lr)
    dev = list(problems("dev", plan.check_on, seed=1000, levels=sorted(set(COUNTDOWN_LEVELS))))
    tokens = 0
    for step in range(1, plan.steps + 1):
        batch = list(islice(items, plan.batch))
        loss = learn(model, parts, batch, lr=plan.lr * learning_rate(step - 1, plan))
        tokens += sum(len(item.ids) for item in batch)
        if step % 100 == 0:
            say_progress(f"{name}: step {step}/{plan.steps}, {tokens} tokens, loss {loss:.3f}")
        if step % plan.check_every == 0 or step == plan.steps:
            say_progress(f"{name}: greedy accuracy on dev {accuracy(model, chat, dev):.3f}")


def accuracy(model: LlamaForCausalLM, chat: Chat, asked: Sequence[Problem]) -> float:
    """Share of the problems solved by greedy decoding."""
    texts = Decoder(model, chat).replies([prompts.solve(problem.question) for problem in asked])
    answers = map(concluded, texts)
    pairs = zip(asked, answers, strict=True)
    return sum(check(problem.answer, said or "").right is True for problem, said in pairs) / len(
        asked
    )


def _item(chat: Chat, lesson: Weighted) -> Item:
    ids, start = chat.encode_completion(lesson.prompt, lesson.text, ended=lesson.ended)
    return Item(ids, [place >= start for place in range(len(ids))])


if __name__ == "__main__":
    main()
