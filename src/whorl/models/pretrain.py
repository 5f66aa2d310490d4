"""Trains the shipped language models from nothing: `python -m whorl.models.pretrain --out DIR`."""

import argparse
import copy
import re
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from random import Random

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging

from whorl import prompts
from whorl.chat import Chat
from whorl.data.story import Story
from whorl.data.synthetic import generate
from whorl.models import lessons
from whorl.models.curriculum import Curriculum, Item
from whorl.models.decode import Decoder
from whorl.models.plans import ALL, POLICY_PLAN, SMALL_PLAN, TEACHER_PLAN, TrainingPlan, smoke
from whorl.models.sampled import sample_situations
from whorl.models.slips import Situation
from whorl.models.tokenizer import train_tokenizer

_FROM_NOTHING = {"policy": POLICY_PLAN, "small": SMALL_PLAN}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the models")
    parser.add_argument("--model", choices=(*_FROM_NOTHING, "teacher", "all"), default="all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="a run of seconds that learns nothing")
    options = parser.parse_args()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    torch.set_num_threads(1)  # a second thread gains little here, and loses much on a busy machine
    adapt = smoke if options.smoke else lambda plan: plan
    stories = 100 if options.smoke else 2000
    corpus = lessons.corpus(Random(f"{options.seed}/tokenizer"), ALL, stories=stories)
    tokenizer = train_tokenizer(corpus)
    for name, plan in _FROM_NOTHING.items():
        if options.model in (name, "all"):
            plan = adapt(plan)
            torch.manual_seed(options.seed)
            model = new_model(plan, tokenizer)
            pretrain(model, tokenizer, plan, options.out / name, seed=options.seed)
    if options.model in ("teacher", "all"):
        policy = options.out / "policy"
        plan = adapt(TEACHER_PLAN)
        torch.manual_seed(options.seed)
        model = grown(load_model(policy), plan)
        pretrain(model, tokenizer, plan, options.out / "teacher", seed=options.seed, policy=policy)


def new_model(plan: TrainingPlan, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A Llama of the plan's shape with random weights from torch's global generator."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=plan.hidden,
            num_hidden_layers=plan.layers,
            num_attention_heads=plan.heads,
            num_key_value_heads=plan.kv_heads,
            intermediate_size=plan.ffn,
            max_position_embeddings=4096,
            tie_word_embeddings=True,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )


def grown(model: LlamaForCausalLM, plan: TrainingPlan) -> LlamaForCausalLM:
    """The model with the plan's number of layers, computing the same: new layers write nothing
    yet."""
    config = copy.deepcopy(model.config)
    config.num_hidden_layers = plan.layers
    deeper = LlamaForCausalLM(config)
    deeper.load_state_dict(model.state_dict(), strict=False)
    for layer in deeper.model.layers[model.config.num_hidden_layers :]:
        torch.nn.init.zeros_(layer.self_attn.o_proj.weight)
        torch.nn.init.zeros_(layer.mlp.down_proj.weight)
    return deeper


def pretrain(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    plan: TrainingPlan,
    out: Path,
    *,
    seed: int,
    policy: Path | None = None,
) -> None:
    """Train `model` by `plan`; write it to `out`, and a snapshot beside it at every look at dev.

    policy: the model whose steps a stage with `sampled` reviews.
    """
    chat, name = Chat(tokenizer), out.name
    parts = optimisers(model, plan.lr)
    dev = list(generate("dev", plan.check_on, seed=1000))
    step = tokens = 0
    score = 0.0
    for number, stage in enumerate(plan.stages):
        rng = Random(f"{seed}/{name}/{number}")
        sampled: list[Situation] = []
        if stage.sampled and policy is not None:
            decoder = Decoder(load_model(policy), Chat.load(policy))
            sampled = sample_situations(decoder, rng, stories=stage.stories)
            say_progress(f"{len(sampled)} steps to review, sampled from {policy.name}")
        curriculum = Curriculum(stage, chat, rng, sampled)
        for items in islice(curriculum.batches(plan.batch), stage.steps):
            if score >= plan.stop_at:
                break
            loss = learn(model, parts, items, lr=plan.lr * learning_rate(step, plan))
            step += 1
            tokens += sum(len(item.ids) for item in items)
            if step % 100 == 0:
                say_progress(f"{name}: step {step}/{plan.steps}, {tokens} tokens, loss {loss:.3f}")
            if step >= plan.check_from and step % plan.check_every == 0:
                score = accuracy(model, chat, dev)
                say_progress(f"{name}: step {step}, greedy accuracy on dev {score:.3f}")
                save(model, tokenizer, out.with_name(f"{name}-{step}"))
    save(model, tokenizer, out)
    say_progress(f"{name}: done after {step} steps, {tokens} tokens")


def optimisers(model: LlamaForCausalLM, lr: float) -> list[torch.optim.Optimizer]:
    """The optimisers: Muon for the matrices, AdamW for embedding and norms."""
    matrices: list[Tensor] = []
    rest: list[Tensor] = []
    for name, parameter in model.named_parameters():
        is_matrix = parameter.ndim == 2 and "embed" not in name
        (matrices if is_matrix else rest).append(parameter)
    return [
        torch.optim.Muon(matrices, lr=lr, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=lr, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def learning_rate(step: int, plan: TrainingPlan) -> float:
    """Learning rate at a step, as a fraction of the peak: warm-up, plateau, linear decay."""
    left = (plan.steps - step) / (plan.steps * (1 - plan.decay_from))
    return min(1.0, (step + 1) / plan.warmup, left)


def learn(
    model: LlamaForCausalLM,
    parts: Sequence[torch.optim.Optimizer],
    items: Sequence[Item],
    *,
    lr: float,
) -> float:
    """One step of every optimiser; returns the loss before it."""
    model.train()
    for part in parts:
        for group in part.param_groups:
            group["lr"] = lr
    loss = loss_of(model, items)
    torch.autograd.backward(loss)
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for part in parts:
        part.step()
        part.zero_grad()
    return loss.item()


def loss_of(model: LlamaForCausalLM, items: Sequence[Item]) -> Tensor:
    """Mean negative log-likelihood of the tokens to be learned, in nats.

    Padding is on the right, where causal attention cannot see it, so no mask is needed.
    """
    width = max(len(item.ids) for item in items)
    gaps = [width - len(item.ids) for item in items]
    ids = torch.tensor([item.ids + [0] * n for item, n in zip(items, gaps, strict=True)])
    learn = torch.tensor([item.learn + [False] * n for item, n in zip(items, gaps, strict=True)])
    hidden = model.model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state
    return F.cross_entropy(model.lm_head(hidden[learn[:, 1:]]), ids[:, 1:][learn[:, 1:]])


def accuracy(model: LlamaForCausalLM, chat: Chat, stories: Sequence[Story]) -> float:
    """Share of the stories solved by greedy decoding."""
    texts = Decoder(model, chat).replies([prompts.solve(story.question) for story in stories])
    return sum(is_solved(s, t) for s, t in zip(stories, texts, strict=True)) / len(stories)


def is_solved(story: Story, text: str) -> bool:
    """Whether the solution ends in the right answer."""
    found = re.findall(r"\\boxed\{(-?\d+)\}", text)
    return bool(found) and found[-1] == str(story.answer)


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write an ordinary Hugging Face folder, weights in bfloat16."""
    copy.deepcopy(model).bfloat16().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def load_model(folder: Path) -> LlamaForCausalLM:
    """Read a model back, in float32."""
    return LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)


def say_progress(message: str) -> None:
    """Print a line with the CPU minutes used so far."""
    print(f"[{time.process_time() / 60:6.2f} CPU min] {message}", flush=True)


if __name__ == "__main__":
    main()
