"""Every formula of the four papers: worked out from its definition here, and computed by the code.

    python benchmarks/fidelity.py

The left column uses nothing of whorl's but trees to put numbers into: sums, enumerations, autograd
on a loss that is written out sample by sample. The right column is what a recipe, a loss or a
measure says of the same numbers. The exit status is 1 if any two differ. The last line is a JSON
object.
"""

import json
import math
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from whorl import credit
from whorl.chat import Chat
from whorl.drive import drive
from whorl.engines import toy
from whorl.engines.function import Function
from whorl.evaluate.measures import pass_at
from whorl.example import Likelihood
from whorl.learn import losses
from whorl.learn.corpus import encode
from whorl.learn.layout import Share, lay_out
from whorl.learn.network import logits
from whorl.learn.pack import Packing
from whorl.models import POLICY
from whorl.problem import Problem
from whorl.recipes import Process, Sigma, Sphere
from whorl.recipes.guide import wanted_reward
from whorl.search import Uct, select
from whorl.steps import AfterMarker, split_evenly
from whorl.tree import ROOT, Node, Tree

PROBLEM = Problem("p", "Mia has 12 apples and buys 5.", "17")
SUMS, VISITS = (3, 1, 0), (4, 4, 2)
"""Sums of outcomes and visits of three siblings whose parent has 10 visits."""

Row = tuple[str, Any, Any]
"""A formula, its value by hand and its value by the code."""


def main() -> None:
    torch.set_num_threads(1)
    rows = list(formulas())
    print("| formula | by hand | by the code | |\n| --- | --- | --- | --- |")
    for name, wanted, found in rows:
        word = "equal" if same(wanted, found) else "**differs**"
        print(f"| {name} | {shown(wanted)} | {shown(found)} | {word} |")
    equal = sum(same(wanted, found) for _, wanted, found in rows)
    print(json.dumps({"formulas": len(rows), "equal": equal}))
    sys.exit(equal != len(rows))


def formulas() -> Iterator[Row]:
    """Every formula with both of its values."""
    for part in (searching, crediting, guiding, pruning, losing, measuring):
        yield from part()
    yield equal_samples()


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal to 1e-6, number by number."""
    if isinstance(one, float | int) and isinstance(other, float | int):
        return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-6)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(shown, value))
    return str(value)


# Search and credit: SIGMA, MCTS process supervision


def family(sums: Sequence[float], visits: Sequence[int]) -> Tree:
    tree = Tree(PROBLEM)
    for k, (total, count) in enumerate(zip(sums, visits, strict=True)):
        tree.add(Node(ROOT, f"{k}\n\n", author="policy", total=total, visits=count))
    tree.nodes[ROOT].visits, tree.nodes[ROOT].total = sum(visits), sum(sums)
    return tree


def descents(uct: Uct) -> list[int]:
    """The order in which `select` prefers the siblings: the best is closed, then asked again."""
    tree, order = family(SUMS, VISITS), []
    while (child := select(tree, ROOT, uct, {})) is not None:
        order.append(child)
        tree.nodes[child].pruned = True
    return order


def searching() -> Iterator[Row]:
    def ranks(wrong: float, constant: float) -> list[int]:
        scores = [
            wrong + (1 - wrong) * total / n + constant * math.sqrt(math.log(sum(VISITS)) / n)
            for total, n in zip(SUMS, VISITS, strict=True)
        ]
        return sorted(range(1, 4), key=lambda child: -scores[child - 1])

    yield "UCT of MCTS-PS, c = sqrt 2", ranks(0, math.sqrt(2)), descents(Process().uct)
    yield "UCT of SIGMA, +1 and -1, c = 2", ranks(-1, 2), descents(Sigma().uct)
    for waves in (1, 4):
        recipe = Process(uct=replace(Process().uct, parallel=waves))
        (tree, *_) = grown(recipe)
        starts = [i for i, node in enumerate(tree.nodes) if node.mark == "start"]
        each = [
            sum(tree.nodes[c].visits for c in tree.nodes[at].children if _tried(tree, c))
            for at in starts
        ]
        yield f"N of a search's candidates, waves of {waves}", [16] * len(starts), each
        by_ends, nodes = Counter[int](), tree.nodes
        for end in tree.leaves():
            for i in tree.path(end):
                by_ends[i] += nodes[end].visits * (nodes[end].reward == 1.0)
        inner = [i for i, n in enumerate(nodes) if i and n.visits]
        wanted, found = [by_ends[i] for i in inner], [nodes[i].total for i in inner]
        yield f"Q is the sum of outcomes below, waves of {waves}", sum(wanted), sum(found)
        yield f"... at {len(inner)} nodes", True, same(wanted, found)


def _tried(tree: Tree, child: int) -> bool:
    return tree.nodes[child].author == "policy"


def grown(recipe: Process | Sigma) -> list[Tree]:
    engines = dict.fromkeys(recipe.roles, Function(toy.answer))
    searches = ((p.id, recipe.grow(p)) for p in toy.problems(3))
    return [done.result for done in drive(searches, engines) if done.result is not None]


def crediting() -> Iterator[Row]:
    root = sum(SUMS) / sum(VISITS)
    scores = [total / n - root for total, n in zip(SUMS, VISITS, strict=True)]
    yield "score of MCTS-PS", scores, credit.relative_correctness(SUMS, VISITS)

    def weights(**own: Any) -> list[float]:
        tree = family(SUMS, VISITS)
        found = Process(**own).harvest(tree).examples
        return [example.weight for example in found]  # type: ignore[union-attr]

    clipped = [max(-1.0, min(1.0, 3 * score)) for score in scores]
    yield "weight, alpha 3, negatives kept", clipped, weights(alpha=3, negatives="keep")
    quarter = [w if w > 0 else w / 4 for w in clipped]
    yield "weight, negatives a quarter", quarter, weights(alpha=3, negatives="scale")
    yield "weight, negatives dropped", clipped[:1], weights(alpha=3, negatives="drop")
    free = [3 * score for score in scores]
    yield "weight, not clipped", free, weights(alpha=3, negatives="keep", clip=9)

    tree = Tree(PROBLEM)
    ends = []
    for reward, totals in ((0.0, (6, 5)), (1.0, (2, 1)), (1.0, (4, 1))):
        at = ROOT
        for depth, total in enumerate(totals):
            at = tree.add(Node(at, f"{totals}{depth}", author="policy", total=total, visits=8))
        tree.nodes[at].reward, tree.nodes[at].terminal = reward, True
        ends.append(at)
    yield "SIGMA's best path: right, highest mean Q", ends[2], credit.best_path(tree, ends)
    calls = Counter[str]()

    def counted(ask: Any) -> Any:
        calls[ask.role] += 1
        return toy.answer(ask)

    recipe = Sigma(retries=0)
    engines = dict.fromkeys(recipe.roles, Function(counted))
    (done,) = drive([("p", recipe.grow(next(iter(toy.problems(1)))))], engines)
    assert done.result is not None
    revised = sum(node.author == "reviser" for node in done.result.nodes)
    yield "SIGMA's calls, step by step", 2 * revised, calls["critic"] + calls["reviser"]


# MARGE


def guiding() -> Iterator[Row]:
    shares, threshold = (4 / 8, 5 / 8, 9 / 16, 8 / 16), (0.5, 0.5, 0.55, 0.55)
    wanted = [float(not value > limit) for value, limit in zip(shares, threshold, strict=True)]
    yield "MARGE's guide: right where hard", wanted, list(map(wanted_reward, shares, threshold))
    sizes = [12 // 5 + (piece < 12 % 5) for piece in range(5)]
    yield "12 tokens in 5", sizes, [len(run) for run in split_evenly(range(12), 5)]
    text = "Step 1: a\nStep 2: b\nStep 3: c"
    cuts = [text.index(f"Step {k}:") + len("Step k:") for k in (1, 2, 3)]
    lengths = [sum(map(len, AfterMarker().split(text)[: k + 1])) for k in range(3)]
    yield 'states end behind "Step k:"', cuts, lengths
    for right in (1, 2, 3, 4, 7):
        rewards = [1.0] * right + [0.0] * (8 - right)
        share = right / 8
        wide = math.sqrt(share * (1 - share))
        hand = [(reward - share) / wide for reward in rewards]
        found = credit.group_advantage(rewards) or []
        yield f"group advantage, {right} of 8: of a right and a wrong one", hand[::7], found[::7]
    yield "group advantage, 0 of 8", None, credit.group_advantage([0.0] * 8)


# SPHERE


def pruning() -> Iterator[Row]:
    def kept(values: Sequence[float], before: float) -> tuple[int, int]:
        tree = Tree(PROBLEM)
        at = tree.add(Node(ROOT, "before", value=before))
        steps = [tree.add(Node(at, f"{k}", value=v)) for k, v in enumerate(values)]
        best, worst = Sphere().prune(tree, steps)
        return steps.index(best), steps.index(worst)

    values, before = (0.7, 0.2, 0.9, 0.5, 0.9), 0.6
    for name, reward in (
        ("v_t - v_(t-1)", [v - before for v in values]),
        ("v_t + v_t - v_(t-1)", [2 * v - before for v in values]),
    ):
        hand = reward.index(max(reward)), reward.index(min(reward))
        yield f"S_max and S_min by {name}", hand, kept(values, before)
    low = (0.7, 0.01, 0.3)
    hand = 0, low.index(min(v for v in low if v >= 0.05))
    yield "S_min is plausible, floor 0.05", hand, kept(low, before)
    tree = Tree(PROBLEM)
    at = tree.add(Node(ROOT, "a", value=0.4, author="policy"))
    step = tree.add(Node(at, "b", value=0.9, author="policy"))
    found = [Sphere().reward(tree, at), Sphere().reward(tree, step)]
    yield "R(s_0) and R(s_1)", [0.4, 0.9 + (0.9 - 0.4)], found


# Losses


def losing() -> Iterator[Row]:
    new, old = torch.tensor([-1.5, -0.5]), torch.tensor([-1.0, -1.5])
    gaps = [0.5, -1.0]  # log reference - log new
    hand = [math.exp(d) - d - 1 for d in gaps]
    yield "k3", hand, losses.k3(new, old).tolist()
    yield "MARGE's linear penalty", gaps, losses.k1(old, new).tolist()
    p, q = [0.5, 0.3, 0.2], [0.4, 0.4, 0.2]
    divergence = sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    exact = losses.exact_kl(torch.tensor([p]).log(), torch.tensor([q]).log()).item()
    yield "KL(new, reference), exact", divergence, exact
    each = losses.k3(torch.tensor(p).log(), torch.tensor(q).log())
    yield "k3 over samples of the new model: the KL", divergence, float(each @ torch.tensor(p))
    chi = sum(b * b / a for a, b in zip(p, q, strict=True)) - 1
    back = sum(b * math.log(b / a) for a, b in zip(p, q, strict=True))
    mean = float(each @ torch.tensor(q))
    yield "k3 over samples of the reference: chi2 - KL(reference, new)", chi - back, mean
    margin = 0.1 * ((-10 + 11) - (-12 + 11))
    loss = losses.preference(
        torch.tensor([[-10.0, -12.0]]), torch.tensor([[-11.0, -11.0]]), beta=0.1
    )
    yield "DPO", math.log(1 + math.exp(-margin)), loss.item()


def measuring() -> Iterator[Row]:
    for n, right, k in ((8, 3, 1), (8, 3, 4), (5, 1, 5), (6, 0, 2)):
        draws = list(combinations(range(n), k))
        hand = sum(min(draw) < right for draw in draws) / len(draws)
        yield f"pass@{k}, {right} right of {n}", hand, pass_at(n, right, k)


# The gradient of a group, some of whose samples are equal


def equal_samples() -> Row:
    chat, kl = Chat.load(POLICY), 0.5
    new, old = (_network(seed) for seed in (0, 1))
    tree, samples = Tree(PROBLEM), []
    for text, reward, copies in (("Mia has 17", 1.0, 5), ("Mia has 18", 0.0, 2), ("No", 0.0, 1)):
        tree.add(Node(ROOT, text, author="policy", terminal=True, reward=reward, copies=copies))
        samples += [(text, reward)] * copies
    objective = Likelihood(kl=kl, penalty="k3", average="completion")
    examples = list(credit.reinforced(tree, ROOT, credit.completions(tree, ROOT)))
    share = sum(reward for _, reward in samples) / len(samples)
    wide = math.sqrt(share * (1 - share))
    total = torch.zeros(())
    for text, reward in samples:
        ids, first = chat.encode_completion(examples[0].prompt, text)
        own, other = (_scores(network, ids, first) for network in (new, old))
        gap = other.detach() - own
        total = total + ((gap.exp() - gap - 1) * kl - own * (reward - share) / wide).mean()
    hand = _gradient(new, total / len(samples))

    corpus = encode(examples, chat, objective, max_length=512)
    encoded = [example for group in corpus.groups for example in group]
    paths = [path for example in encoded for path in example.paths]
    known = [_scores(old, path.ids.tolist(), path.start).detach().numpy() for path in paths]
    batch = lay_out(encoded, objective, Share.of(encoded), Packing(10**6, "padded"), known)
    found = _gradient(new, losses.batch_loss(objective, batch, logits(new, batch)))
    hand, found = hand.double(), found.double()
    cosine = float(hand @ found / (hand.norm() * found.norm()))
    ratio = float(found.norm() / hand.norm())
    name = "REINFORCE + k3 of 8 samples, 3 distinct: cosine and ratio of gradients"
    return name, [1.0, 1.0], [cosine, ratio]


def _network(seed: int) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    config = LlamaConfig(vocab_size=897, num_attention_heads=4, initializer_range=0.2, **sizes)
    return LlamaForCausalLM(config)


def _scores(network: LlamaForCausalLM, ids: list[int], first: int) -> torch.Tensor:
    """Log-probabilities of a completion's tokens."""
    every = network(torch.tensor([ids])).logits[0, first - 1 : -1].log_softmax(-1)
    return every.gather(1, torch.tensor(ids[first:])[:, None])[:, 0]


def _gradient(network: LlamaForCausalLM, loss: torch.Tensor) -> torch.Tensor:
    network.zero_grad()
    torch.autograd.backward(loss)
    return torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])


if __name__ == "__main__":
    main()
