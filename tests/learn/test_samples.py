"""A policy gradient over samples, of which some are equal: by autograd, from its definition."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from whorl.chat import Chat
from whorl.credit import completions, group_advantage, reinforced, rewards
from whorl.example import Likelihood
from whorl.learn.corpus import encode
from whorl.learn.layout import Share, lay_out
from whorl.learn.losses import batch_loss, log_probs
from whorl.learn.network import logits
from whorl.learn.pack import Packing
from whorl.problem import Problem
from whorl.tree import ROOT, Node, Tree

TEXTS = [("Mia has 17", 1.0, 5), ("Mia has 18", 0.0, 2), ("Mia has 19", 0.0, 1)]
"""Completions of a state, each with its reward and how often it was sampled."""


@pytest.fixture
def networks(tiny_model: Path) -> tuple[PreTrainedModel, PreTrainedModel]:
    """A model and the one that it has moved away from."""
    start = AutoModelForCausalLM.from_pretrained(tiny_model)
    new = AutoModelForCausalLM.from_pretrained(tiny_model)
    torch.manual_seed(3)
    with torch.no_grad():
        for weight in new.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return new, start


def gradient(network: PreTrainedModel, loss: torch.Tensor) -> torch.Tensor:
    network.zero_grad()
    loss.backward()
    return torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])


@pytest.mark.parametrize("penalty", ["k3", "linear", "exact"])
@pytest.mark.parametrize("form", ["padded", "gathered"])
def test_equal_samples_count_each(
    tiny_model: Path,
    networks: tuple[PreTrainedModel, PreTrainedModel],
    penalty: str,
    form: str,
) -> None:
    new, start = networks
    chat, kl = Chat.load(tiny_model), 0.5
    tree = Tree(Problem("p", "Mia has 12 apples and buys 5.", "17"))
    for text, reward, copies in TEXTS:
        tree.add(Node(ROOT, text, author="policy", terminal=True, reward=reward, copies=copies))
    group = completions(tree, ROOT)
    examples = list(reinforced(tree, ROOT, group))

    def score(network: PreTrainedModel, text: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probabilities of a completion's tokens, and of all tokens in their places."""
        ids, first = chat.encode_completion(examples[0].prompt, text)
        shown = torch.tensor([ids])
        every = network(shown).logits[0, first - 1 : -1].float().log_softmax(-1)
        return every.gather(1, shown[0, first:, None])[:, 0], every

    # the definition: the mean over samples of -A * mean log-probability + kl * mean penalty
    advantages = group_advantage(rewards(group))
    assert advantages is not None
    samples = [text for text, _, copies in TEXTS for _ in range(copies)]
    total = torch.zeros(())
    for text, advantage in zip(samples, advantages, strict=True):
        own, whole = score(new, text)
        with torch.no_grad():
            other, other_whole = score(start, text)
        apart = {
            "k3": (other - own).exp() - (other - own) - 1,
            "linear": other - own,
            "exact": (whole.exp() * (whole - other_whole)).sum(-1),
        }[penalty]
        total = total + (-advantage * own + kl * apart).mean() / len(samples)
    wanted = gradient(new, total)

    objective = Likelihood(kl=kl, penalty=penalty, average="completion")  # type: ignore[arg-type]
    corpus = encode(examples, chat, objective, max_length=512)
    encoded = [example for own in corpus.groups for example in own]
    known = []
    for path in (path for example in encoded for path in example.paths):
        ids = torch.from_numpy(path.ids).long()
        with torch.no_grad():
            scores = start(ids[None]).logits[0]
        known.append(log_probs(scores[path.start - 1 : -1], ids[path.start :]).numpy())
    packing = Packing(10**6, form)  # type: ignore[arg-type]
    batch = lay_out(encoded, objective, Share.of(encoded), packing, known)
    attention = "gathered" if form == "gathered" else None
    for network in networks:
        if attention:
            from whorl.learn.attention import GATHERED, register

            register()
            network.set_attn_implementation(GATHERED)
    with torch.no_grad():
        reference = logits(start, batch)
    loss = batch_loss(objective, batch, logits(new, batch), reference)
    found = gradient(new, loss)
    assert loss.item() == pytest.approx(total.item(), rel=1e-5)
    assert float((found - wanted).norm() / wanted.norm()) < 1e-6
