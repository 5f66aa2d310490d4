"""Reports and trees like those of a real run."""

from collections.abc import Callable
from random import Random

import pytest

from whorl.problem import Problem
from whorl.prompts.critique import Critique, write_critique, write_critiques
from whorl.report import (
    Cells,
    Figure,
    FigureTable,
    Interval,
    Level,
    Report,
    ReportTree,
    ResultRow,
)
from whorl.tree import ROOT, Node, Tree

QUESTION = (
    "Mia has {a} boxes with {b} apples each. She gives {c} apples to Tom and then buys twice as "
    "many apples as she has left. How many apples does she have in the end?"
)


def searched(seed: int, *, branches: int = 3, simulations: int = 60) -> Tree:
    """A search of one problem: several wordings and mistakes per step, statistics that add up."""
    random = Random(seed)
    a, b, c = random.randint(3, 9), random.randint(4, 12), random.randint(2, 11)
    problem = Problem(
        id=f"apples-{seed:04d}",
        question=QUESTION.format(a=a, b=b, c=c),
        answer=str(3 * (a * b - c)),
        source="synthetic",
        level=str(1 + seed % 5),
    )
    tree = Tree(problem, provenance={"recipe": "sigma", "arm": "t0.7", "seed": str(seed)})
    state = {ROOT: (0, 0)}  # steps done, apples
    for _ in range(simulations):
        leaf = ROOT
        while tree.nodes[leaf].children:
            leaf = random.choice(tree.nodes[leaf].children)
        if tree.nodes[leaf].terminal:
            _backup(tree, leaf)
            continue
        done, apples = state[leaf]
        for child in range(branches):
            slip = random.choice((0, 0, 0, 1, -1, 10))
            text, total = _step(done, (a, b, c), apples, slip, child)
            i = tree.add(Node(leaf, text, tokens=len(text) // 3, terminal=done == 3))
            state[i] = (done + 1, total)
            if done == 3:
                tree.nodes[i].reward = float(total == 3 * (a * b - c))
                _backup(tree, i)
    tree.cost = {"policy": sum(node.tokens for node in tree.nodes)}
    leaves = list(tree.leaves())
    tree.tip = max(leaves, key=lambda i: (tree.nodes[i].reward, tree.nodes[i].visits), default=ROOT)
    return tree


def _step(
    done: int, numbers: tuple[int, int, int], apples: int, slip: int, child: int
) -> tuple[str, int]:
    a, b, c = numbers
    if done == 0:
        total = a * b + slip
        return (
            f"{('At first', 'So', 'First,')[child % 3]} Mia has {a}*{b}={total} apples.\n\n",
            total,
        )
    if done == 1:
        total = apples - c + slip
        return f"She gives {c} to Tom: {apples}-{c}={total} apples are left.\n\n", total
    if done == 2:
        total = (2 if slip < 10 else 3) * apples + apples
        return f"She buys 2*{apples}={total - apples} and has {total}.\n\n", total
    return f"The answer is \\boxed{{{apples + (slip if slip < 10 else 0)}}}.", apples + (slip % 10)


def _backup(tree: Tree, leaf: int) -> None:
    reward = tree.nodes[leaf].reward or 0.0
    for i in (ROOT, *tree.path(leaf)):
        tree.nodes[i].visits += 1
        tree.nodes[i].total += reward


def critique(step: int) -> Critique:
    if step == 1:
        return Critique("the product of boxes and apples per box", verdict="keep")
    return Critique(
        expected=f"the running total after step {step}",
        errors=(f"the total of step {step} is one too high", "a carry is lost"),
        missing=("the alternatives name what is left",),
        avoid=("adding what is given away",),
        suggestion=f"work the difference of step {step} out again",
        verdict="edit" if step < 4 else "replace",
    )


def refined(seed: int, *, whole_path: bool = False, accept: bool = True) -> Tree:
    """A searched tree whose worst solution was criticised and rewritten."""
    tree = searched(seed)
    wrong = [i for i in tree.leaves() if tree.nodes[i].reward == 0.0]
    best = tree.path(max(wrong or tree.leaves(), key=lambda i: tree.nodes[i].visits))
    critiques = [critique(k) for k in range(1, len(best) + 1)]
    for i, said in zip(best, critiques, strict=True):
        tree.nodes[i].note = "" if whole_path else write_critique(said)
    if whole_path:
        tree.nodes[best[-1]].note = write_critiques(critiques)
    at = ROOT if whole_path else best[0]
    for i in best if whole_path else best[1:]:
        old = tree.nodes[i]
        text = old.text if i == best[1] else old.text.replace("has", "now has").replace("1", "7")
        reward = float(accept) if old.terminal else None
        at = tree.add(Node(at, text, author="reviser", terminal=old.terminal, reward=reward))
    tree.tip = at if accept else best[-1]
    tree.cost |= {"critic": 214, "reviser": 120}
    return tree


@pytest.fixture
def search() -> Callable[..., Tree]:
    return searched


@pytest.fixture
def refine() -> Callable[..., Tree]:
    return refined


def sample_report() -> Report:
    def share(value: float, half: float) -> Interval:
        return Interval(value, value - half, value + half)

    return Report(
        title="SIGMA on synthetic word problems",
        lead="Training on 4,812 refined solutions raised held-out accuracy from 51.3 % to 63.9 % "
        "on 1,200 problems (paired test, p = 3.1·10⁻¹²).",
        figures=(
            Figure("base accuracy", "51.3 %", "greedy, 1,200 held-out problems"),
            Figure("tuned accuracy", "63.9 %", "+12.6 points"),
            Figure("generated tokens", 3481224, "all roles"),
            Figure("seconds", 412, "of which set-up 63"),
        ),
        rows=(
            ResultRow("base policy", share(0.513, 0.028), 1200),
            ResultRow(
                "SIGMA",
                share(0.639, 0.027),
                1200,
                fixed=214,
                broken=63,
                difference=share(0.1258, 0.031),
                p_value=3.1e-12,
                examples=4812,
                tokens=3481224,
                note="per-depth critique, temperatures 0.4 and 0.7",
            ),
            ResultRow(
                "unrefined MCTS paths",
                share(0.602, 0.0277),
                1200,
                fixed=188,
                broken=81,
                difference=share(0.0892, 0.0297),
                p_value=0.00021,
                examples=4813,
                tokens=2118402,
            ),
            ResultRow(
                "RFT (rejection sampling fine-tuning)",
                share(0.588, 0.0278),
                1200,
                fixed=171,
                broken=82,
                difference=share(0.0742, 0.0301),
                p_value=0.0134,
                examples=4814,
                tokens=1904511,
            ),
            ResultRow("teacher, asked to solve", share(0.871, 0.019), 1200, note="black box"),
        ),
        remarks=(
            "The teacher has seen more training than the policy: part of the gain is distillation.",
            "One seed; three seeds are in the benchmark.",
        ),
        levels=tuple(
            Level(f"level {k}", 240, share(0.9 - 0.16 * k, 0.05), share(0.95 - 0.14 * k, 0.045))
            for k in range(1, 6)
        ),
        cells=Cells(right_right=2411, right_wrong=37, wrong_right=906, wrong_wrong=646),
        counters=(
            FigureTable(
                "Guards",
                (
                    Figure("critiques ignored", 118, "the revision equals the original"),
                    Figure("empty praise", 41),
                    Figure("formatting-only edits", 77),
                ),
                "Of 4,000 trees.",
            ),
            FigureTable(
                "Dropped", (Figure("no solution found", 301), Figure("revision is wrong", 683))
            ),
        ),
        trees=tuple(
            ReportTree(refined(k, whole_path=k == 1, accept=k != 2) if k % 4 != 3 else searched(k))
            for k in range(8)
        ),
        settings=(
            FigureTable(
                "Search",
                (
                    Figure("recipe", "sigma"),
                    Figure("simulations", 16),
                    Figure("uct constant", "1.414"),
                ),
            ),
            FigureTable("Provenance", (Figure("whorl", "0.1.0"), Figure("seed", 0))),
        ),
    )
