"""Grown trees in the rows of programs that train on rollouts, or show them.

    verl    a row a problem for its reinforcement learning (`RLHFDataset`): data_source, prompt,
            ability, reward_model with the gold answer, extra_info with what the trees tell of it.
    art     a row a tree for OpenPipe ART: a group of trajectories, the solutions that the policy
            wrote by itself, each with the reward of its answer.
    traces  a file a tree, as the Hub's viewer of traces reads sessions: a line about the session,
            then its messages. The best solution of the search, what was said of it, and the
            revision that was chosen.

A solution whose answer is undecided has no reward, and is left out.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from whorl.answer.thoughts import inside, parted
from whorl.data.atomic import filling
from whorl.data.export import Exported, ExportRow, messages_of, write_rows
from whorl.data.forest import key_of
from whorl.data.stepwise import judged_ends
from whorl.errors import UserError
from whorl.problem import Problem
from whorl.prompts import plain
from whorl.tree import Tree

HARNESS = "whorl"
"""Name under which the Hub's viewer of traces shows a session."""


def export_problems(trees: Iterable[Tree], out: Path) -> Exported:
    """Write the problems of trees for verl, each once, in the order of the file; what all its trees
    found of it stands in `extra_info`. Ends in `.parquet`, which verl reads, or in `.jsonl`.

    Raises `UserError` if there is nothing to write.
    """
    found: dict[str, _Found] = {}
    for tree in trees:
        one = found.get(tree.problem.id)
        if one is None:
            one = found[tree.problem.id] = _Found(tree.problem, messages_of(plain(tree)))
        one.add(tree)
    rows = (
        {
            "data_source": one.problem.source or HARNESS,
            "prompt": one.prompt,
            "ability": "math",
            "reward_model": {"style": "rule", "ground_truth": one.problem.answer},
            "extra_info": {
                "split": "train",
                "index": number,
                "id": id,
                "solutions": one.solutions,
                "right": one.right,
            },
        }
        for number, (id, one) in enumerate(found.items())
    )
    return Exported(write_rows(out, rows, {}), {}, {})


@dataclass(slots=True)
class _Found:
    """Counts of a problem's solutions by the policy that were judged, and its first request."""

    problem: Problem
    prompt: list[dict[str, str]]
    solutions: int = 0
    right: int = 0

    def add(self, tree: Tree) -> None:
        for leaf in judged_ends(tree):
            node = tree.nodes[leaf]
            self.solutions += node.copies
            self.right += node.copies * (node.reward == 1.0)


def export_groups(trees: Iterable[Tree], out: Path) -> Exported:
    """Write a group of trajectories for each tree, for ART. Equal samples are as many trajectories
    as were drawn. Raises `UserError` if there is no judged solution."""
    dropped: Counter[str] = Counter()

    def rows() -> Iterator[ExportRow]:
        for tree in trees:
            ends = judged_ends(tree)
            if not ends:
                dropped["no judged solution of the policy"] += 1
                continue
            group = [
                _trajectory(tree, leaf) for leaf in ends for _ in range(tree.nodes[leaf].copies)
            ]
            yield {"trajectories": group}

    return Exported(write_rows(out, rows(), dropped), dropped, {})


def _trajectory(tree: Tree, leaf: int) -> ExportRow:
    problem, arm = key_of(tree)
    said = {"role": "assistant", "content": tree.text(leaf)}
    return {
        "reward": tree.nodes[leaf].reward,
        "metrics": {"depth": tree.depth(leaf)},
        "metadata": {"problem": problem, "arm": arm, "node": leaf},
        "messages_and_choices": [*messages_of(plain(tree)), said],
        "tools": None,
        "additional_histories": [],
        "logs": [],
    }


def export_traces(trees: Iterable[Tree], out: Path) -> Exported:
    """Write a session for each tree into the folder `out`. Raises `UserError` if the folder holds
    files already, or if no tree came to a solution."""
    dropped: Counter[str] = Counter()
    count = 0
    with filling(out, "the traces") as folder:
        for tree in trees:
            messages = session(tree)
            if not any(one["role"] == "assistant" for one in messages):
                dropped["no solution"] += 1
                continue
            header = {"type": "session", "harness": HARNESS, **about(tree)}
            lines = [header, *({"type": "message", "message": one} for one in messages)]
            write_rows(folder / f"{header['id']}.jsonl", lines, {})
            count += 1
        if not count:
            raise UserError("nothing to export: no tree came to a solution")
    return Exported(count, dropped, {})


def about(tree: Tree) -> ExportRow:
    """First line of a session: what it says of a tree; the id is a digest of problem, arm and seed,
    as every round has a tree of a problem."""
    problem, arm = key_of(tree)
    seed = tree.provenance.get("seed", "")
    return {
        "id": blake2b(f"{problem}#{arm}#{seed}".encode(), digest_size=8).hexdigest(),
        "name": " ".join(tree.problem.question.split())[:120],
        "problem": problem,
        "arm": arm,
        "recipe": tree.provenance.get("recipe", ""),
        "answer": tree.problem.answer,
        "right": tree.nodes[tree.tip].reward == 1.0,
        "nodes": len(tree.nodes) - 1,
        "tokens": tree.cost,
    }


def session(tree: Tree) -> list[dict[str, Any]]:
    """The conversation that a tree tells: the question, the best solution of the search, what was
    said of its steps, and the chosen solution where that is another one."""
    nodes = tree.nodes
    ends = [i for i in tree.leaves() if tree.first_hand(i)]
    told: list[dict[str, Any]] = [*messages_of(plain(tree))]

    def rank(end: int) -> tuple[int, bool, int]:
        remarks = sum(bool(nodes[i].note) for i in tree.path(end))
        return remarks, end == tree.tip, nodes[end].visits

    best = tree.path(max(ends, key=rank)) if ends else []
    if best:
        told.append(_spoken(tree, best))
    remarks = [(k, nodes[i].note) for k, i in enumerate(best, start=1) if nodes[i].note]
    if remarks:
        said = "\n\n".join(f"Step {k}\n{note}" for k, note in remarks)
        told.append({"role": "user", "content": said, "model": "critic"})
    chosen = tree.path(tree.tip)
    if chosen and chosen != best:
        told.append(_spoken(tree, chosen))
    return told


def _spoken(tree: Tree, path: list[int]) -> dict[str, Any]:
    """A solution as a message, thoughts apart."""
    thought, said = parted(tree.text(path[-1]))
    apart = {"reasoningContent": inside(thought)} if thought else {}
    authors = dict.fromkeys(tree.nodes[i].author for i in path)
    return {"role": "assistant", "content": said, **apart, "model": ", ".join(authors)}
