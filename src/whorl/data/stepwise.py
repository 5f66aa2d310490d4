"""Step labels for process reward models, from the outcomes in grown trees.

Math-Shepherd (2312.08935, section 3.3) samples completions from a step and calls the step good if
some of them (hard estimation), or to the degree that they (soft estimation), reach the right
answer. A tree holds such completions already: the solutions below the step.

Differences from the paper
1. Completions are not a fixed number of independent samples per step but what the search grew
   below it: they share steps, and where the search liked to go there are more of them. `counts`
   says how many there are.
2. The last step of a solution is labelled by that solution alone.
3. A completion whose answer cannot be judged does not count. One that was cut off or states no
   answer is wrong, as it does not reach the right one.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from whorl.ask import Prompt
from whorl.credit import outcome
from whorl.data.export import Exported, ExportRow, write_rows
from whorl.errors import UserError
from whorl.example import Rated
from whorl.tree import Tree

MARKER = " ки"
"""What stands behind each step in Math-Shepherd's data set."""


@dataclass(frozen=True, slots=True)
class Stepwise:
    """A solution and, for each of its steps, counts of the completions through it.

    right, judged: completions with the right answer, and all that count as right or wrong; equal
    samples count as often as they were drawn.
    """

    question: str
    steps: tuple[str, ...]
    right: tuple[int, ...]
    judged: tuple[int, ...]

    @property
    def values(self) -> tuple[float, ...]:
        """Soft estimates: the right share of each step's completions."""
        return tuple(r / n for r, n in zip(self.right, self.judged, strict=True))


def label(tree: Tree) -> Iterator[Stepwise]:
    """The policy's judged solutions, in order of creation.

    Solutions with a revised step are passed over and count nowhere: whoever revised was shown a
    critique, which says nothing about where the policy gets to from the step.
    """
    nodes = tree.nodes
    right, judged = _completions(tree)
    for leaf in judged_ends(tree):
        path = tree.path(leaf)
        yield Stepwise(
            tree.problem.question,
            tuple(nodes[i].text.strip() for i in path),
            tuple(right[i] for i in path),
            tuple(judged[i] for i in path),
        )


def rated_steps(tree: Tree, *, enough: float | None = None) -> Iterator[Rated]:
    """Every step once that completions go through or end in with a verdict, with its value, in
    order of creation.

    The value is the soft estimate, or with `enough` the hard one: 1 if more than this share of the
    step's completions is right, else 0.
    """
    right, judged = _completions(tree)
    prompt = Prompt("", tree.problem.question)
    origin = f"{tree.problem.id}#{tree.provenance.get('arm', '')}/"
    for step, node in enumerate(tree.nodes):
        whole = node.children or node.reward is not None
        if judged[step] and whole and node.text.strip():
            value = right[step] / judged[step]
            if enough is not None:
                value = float(value > enough)
            yield Rated(replace(prompt, prefix=tree.text(step)), value, f"{origin}{step}")


def export_steps(
    trees: Iterable[Tree], out: Path, *, enough: float = 0.0, marker: str = MARKER
) -> Exported:
    """Write one row per solution. The file appears when it is complete.

    prompt, completions, labels: TRL's stepwise supervision; `labels` are booleans, because its PRM
    trainer cuts numbers down to integers.
    values, counts: the soft estimate of each step, and from how many completions it is.
    input: question and steps with `marker` behind each step, for OpenRLHF: `input_key input`, with
    `label_key labels` (hard) or `values` (soft), `reward_tokens + -`, and as `placeholder_token`
    the marker, which has to be one token of the model.

    enough: a step is good if more than this share of its completions is right; 0 is the paper's
    hard estimation.
    Raises `UserError` if there is no solution to write.
    """
    if not 0 <= enough < 1:
        raise UserError(f"enough must be at least 0 and below 1, not {enough:g}")
    if not marker.strip():
        raise UserError("the marker must be a visible text")
    dropped: Counter[str] = Counter()

    def rows() -> Iterator[ExportRow]:
        for tree in trees:
            dropped.update(_passed_over(tree))
            for solution in label(tree):
                if any(marker.strip() in text for text in (solution.question, *solution.steps)):
                    dropped["the text holds the marker"] += 1
                elif not all(solution.steps):
                    dropped["a step is empty"] += 1
                else:
                    yield _row(solution, enough, marker)

    return Exported(write_rows(out, rows(), dropped), dropped, {})


def judged_ends(tree: Tree) -> list[int]:
    """Ends of the policy's own solutions whose answers were judged."""
    nodes = tree.nodes
    return [
        leaf for leaf in tree.leaves() if nodes[leaf].reward is not None and tree.first_hand(leaf)
    ]


def _completions(tree: Tree) -> tuple[list[int], list[int]]:
    """By node, the number of right completions through it, and of all that count."""
    nodes = tree.nodes
    right, judged = [0] * len(nodes), [0] * len(nodes)
    for end in range(1, len(nodes)):
        reward = outcome(nodes[end])
        if reward is None or nodes[end].children or not tree.first_hand(end):
            continue
        for node in tree.path(end):
            right[node] += nodes[end].copies * (reward == 1.0)
            judged[node] += nodes[end].copies
    return right, judged


def _passed_over(tree: Tree) -> Counter[str]:
    """Reasons why leaves are not among `label(tree)`, counted."""
    reasons: Counter[str] = Counter()
    for leaf in tree.leaves():
        if tree.nodes[leaf].reward is None:
            reasons["the answer was not judged"] += 1
        elif not tree.first_hand(leaf):
            reasons["not the policy's alone"] += 1
    reasons["the tree has no solution"] = int(not any(tree.leaves()))
    return +reasons


def _row(solution: Stepwise, enough: float, marker: str) -> ExportRow:
    return {
        "prompt": solution.question,
        "completions": list(solution.steps),
        "labels": [value > enough for value in solution.values],
        "values": list(solution.values),
        "counts": list(solution.judged),
        "input": f"{solution.question} " + "\n".join(step + marker for step in solution.steps),
    }
