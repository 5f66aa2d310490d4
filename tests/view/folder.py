"""A run folder to look at: ordinary trees, large ones, and such as an enemy would write."""

import json
from collections import Counter
from pathlib import Path

from tests.report.conftest import refined, searched

from whorl.ask import Prompt
from whorl.data.examples import write_examples
from whorl.evaluate import Attempt, Record
from whorl.evaluate.scores import Place, write_records, write_scores
from whorl.example import Pair, Weighted
from whorl.loop.folder import RunFolder
from whorl.loop.harvest import Harvested
from whorl.loop.variety import Variety
from whorl.problem import Problem
from whorl.tree import ROOT, Node, Tree
from whorl.view.facts import facts_of
from whorl.watch import Progress, Quiet
from whorl.watch.events import recorded

ENEMY = (
    "<script>document.title='taken'; fetch('https://evil.example/1')</script>"
    "<img src=https://evil.example/2 onerror=\"document.title='taken'\">"
    "<style>body{display:none}</style></div></main><a href=javascript:alert(1)>x</a>"
    "{{ 7*7 }} {% raw %} \u202e\u0000\u200b "
    r"$\href{javascript:document.title='taken'}{y}$ $\text{<img src=x onerror=alert(1)>}$ "
    r"$\hspace{9999em}x$ $\style{position:fixed}{z}$"
)
"""Text that runs, fetches, hides or moves something wherever it is taken for markup."""


def small(number: int) -> Tree:
    """An ordinary tree with critiques and a revision."""
    tree = refined(number) if number % 3 else searched(number)
    old = tree.problem
    tree.problem = Problem(f"pool:{number}", old.question, old.answer, level=str(number % 5))
    tree.provenance = {"recipe": "sigma", "arm": "T=0.4"}
    return tree


def wide(nodes: int = 2_000) -> Tree:
    """A tree of so many nodes, of a depth of some ten steps."""
    tree = Tree(Problem("large", "A large tree?", "1"), provenance={"arm": ""})
    while len(tree.nodes) < nodes:
        parent = (len(tree.nodes) * 7919) % len(tree.nodes)
        if tree.depth(parent) > 10:
            parent = ROOT
        number = len(tree.nodes)
        tree.add(Node(parent, f"Step {number}.\n\n", visits=1 + number % 9, total=number % 2))
    return tree


def odd() -> list[Tree]:
    """A 2,000-node tree, one of 40 steps, a step of a megabyte, other scripts, and an enemy's."""
    deep = Tree(Problem("deep", "Forty steps?", "40"), provenance={"arm": ""})
    at = ROOT
    for k in range(40):
        at = deep.add(Node(at, f"Add 1, which makes {k + 1}.\n\n", visits=3, total=2.0))
    deep.nodes[at].terminal, deep.nodes[at].reward, deep.tip = True, 1.0, at
    long = Tree(Problem("long", "A long step?", "0"), provenance={"arm": ""})
    long.add(Node(ROOT, "word " * 200_000, visits=1))
    long.add(Node(ROOT, "x" * 1_000_000, visits=1))
    scripts = Tree(
        Problem("scripts", "كم يساوي ٢+٢؟ 二加二等于多少？ $2+2$", "4"), provenance={"arm": ""}
    )
    scripts.add(Node(ROOT, "الجواب هو $2+2=4$ في النهاية.", terminal=True, reward=1.0, value=0.2))
    scripts.add(Node(ROOT, "答案是 $2+2=\\frac{8}{2}$。", terminal=True, reward=0.0, value=0.9))
    scripts.add(Node(ROOT, "<think>So $x$.</think>```py\nprint(4)\n``` broken $\\frac{1}{$ here"))
    enemy = Tree(Problem(f"enemy {ENEMY[:60]}", ENEMY, ENEMY), provenance={"arm": "../<b>"})
    first = enemy.add(Node(ROOT, ENEMY, note=f"Errors: {ENEMY}", visits=1))
    enemy.add(Node(first, ENEMY, author="reviser", terminal=True, reward=1.0))
    enemy.add(Node(ROOT, ENEMY[::-1]))
    enemy.tip = 2
    return [wide(), deep, long, scripts, enemy]


def run_folder(path: Path, trees: int = 60) -> Path:
    """A run folder of one round, finished, with examples, evaluations and events."""
    settings = {"recipe": {"name": "sigma", "reviser_tokens": 9}, "problems": "p", "engines": {}}
    inner = path / "round-1"
    with RunFolder.open(path, settings, version="0"), RunFolder.open(inner, {}, version="0"):
        pass
    grown = [*map(small, range(trees)), *odd()]
    with (inner / "trees.jsonl").open("w") as file:
        for tree in grown:
            file.write(tree.to_json() + "\n")
    ask = Prompt("", "Problem")
    taught = [
        Weighted(ask, tree.text(tree.tip), 0.5, origin=tree.origin(tree.tip))
        for tree in grown[: trees // 2]
        if tree.tip
    ]
    pair = Pair(ask, ENEMY, "b", origin=grown[0].origin(1, 2))
    write_examples(inner / "examples.jsonl", [*taught, pair])
    key = {"problem": "pool:3", "arm": "T=0.4"}
    dropped = {**key, "dropped": {"wrong after revision": 1}}
    (inner / "examples.dropped.jsonl").write_text(json.dumps(dropped) + "\n")
    cost = sum((Counter(tree.cost) for tree in grown), Counter())
    told = [facts for facts in map(facts_of, grown) if facts.refined]
    tally = Counter(f"{facts.before} to {facts.after}" for facts in told if facts.before)
    reasons, variety = {"wrong after revision": 1}, Variety(4.0, 2.0, 0.5)
    harvested = Harvested(len(grown), len(taught) + 1, reasons, dict(tally), dict(cost), variety)
    harvested.write(inner)
    for number in (0, 1):
        evaluation(path / f"scores-{number}.jsonl", number)
    with recorded(Quiet(), path / "events.jsonl", {}) as watch:
        watch.round(1, 1, "local:policy")
        progress = Progress(total=len(grown), done=len(grown), errors={"a#": ENEMY})
        with watch.stage("grow", progress):
            pass
    return path


def evaluation(path: Path, number: int) -> None:
    """An evaluation of twelve problems; the later one fixed some and broke one."""
    records = []
    for k in range(12):
        right = float(k % 3 == 0 or (number > 0 and k % 3 == 1)) if k != 3 else 1.0 - number
        said = k if right else k + 1
        text = f"It is $\\frac{{{k}}}{{1}}$, so \\boxed{{{said}}}." if k else ENEMY
        attempt = Attempt(text, f"{said}", right, "equal" if right else "another number", tokens=9)
        records.append(Record(Problem(f"test:{k}", f"What is {k}/1?", f"{k}"), (attempt,)))
    place = Place(path)
    write_scores(path, write_records(place.attempts, records))
