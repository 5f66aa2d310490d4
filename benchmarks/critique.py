"""What critique and revision make of a real policy's best paths, against solving afresh and voting.

    python benchmarks/critique.py FOLDER

reads `trees.jsonl` and `replies.jsonl`, packed by gzip or not, which `critique_record.py` wrote,
and asks no model. For each critic and form it prints, over the wrong and the right best paths that
were put to it: how many wrong ones came out right (repaired), how many right ones wrong (broken),
the share of steps rewritten, and sampled tokens per path; beside it, over the same paths and at the
same tokens, solving afresh by the same critic (one solution, or the vote of as many as the tokens
buy) and the policy's vote. The form is chosen on half of the problems; its figures are those of the
other half.

The last line is one JSON object.
"""

import argparse
import gzip
import json
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whorl.answer import compare, concluded
from whorl.recipes.refinement import best_own
from whorl.tree import ROOT, Tree

Row = Mapping[str, Any]
PLAIN, VOTE = "solve", "vote"


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts over some best paths. share: of the steps, rewritten; None if it is not told."""

    wrong: int
    repaired: int
    right: int
    broken: int
    share: float | None
    tokens: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--policy", default="policy", help="its name as a critic in the replies")
    options = parser.parse_args()
    try:
        trees = read_trees(options.folder)
        rows = list(map(json.loads, lines(options.folder, "replies")))
    except OSError as error:
        raise SystemExit(f"error: {error}") from error
    print(json.dumps(report(trees, rows, options.policy)))


def lines(folder: Path, name: str) -> list[str]:
    """The lines of a file, which may be packed."""
    plain = folder / f"{name}.jsonl"
    if plain.exists():
        return plain.read_text(encoding="utf-8").splitlines()
    return gzip.decompress(plain.with_suffix(".jsonl.gz").read_bytes()).decode().splitlines()


def read_trees(folder: Path) -> dict[str, Tree]:
    """Trees that have a best path, by their problems."""
    trees = map(Tree.from_json, lines(folder, "trees"))
    return {tree.problem.id: tree for tree in trees if best_own(tree) != ROOT}


def report(trees: Mapping[str, Tree], rows: Sequence[Row], policy: str) -> dict[str, Any]:
    """Print the table; what is best, as figures."""
    by_form: dict[tuple[str, str], dict[str, Row]] = {}
    for row in rows:
        by_form.setdefault((row["critic"], row["form"]), {})[row["problem"]] = row
    afresh = {critic: solved(by_form, critic) for critic, _ in by_form}
    votes = by_form.get((policy, VOTE), {})
    print(
        f"{'critic':12} {'form':22} {'wrong':>5} {'repaired':>8} {'afresh':>6} {'vote':>5}"
        f" {'right':>5} {'broken':>6} {'afresh':>6} {'vote':>5} {'steps':>5} {'tokens':>6}"
    )
    for (critic, form), found in by_form.items():
        if form in (PLAIN, VOTE):
            continue
        ours, theirs, vote = against(trees, found, afresh[critic], votes)
        share = "" if ours.share is None else f"{ours.share:.0%}"
        print(
            f"{critic:12} {form:22} {ours.wrong:5} {ours.repaired:8} {theirs.repaired:6}"
            f" {vote.repaired:5} {ours.right:5} {ours.broken:6} {theirs.broken:6} {vote.broken:5}"
            f" {share:>5} {ours.tokens:6.0f}"
        )
    return best(trees, by_form, afresh, votes)


def solved(by_form: Mapping[tuple[str, str], Mapping[str, Row]], critic: str) -> dict[str, Row]:
    """What a critic makes of each problem afresh: its greedy solution, and its samples behind it
    where there are some."""
    more = by_form.get((critic, VOTE), {})
    found = {}
    for name, row in by_form.get((critic, PLAIN), {}).items():
        sampled = more.get(name, {"ends": [], "tokens": 0})
        ends, tokens = row["ends"] + sampled["ends"], row["tokens"] + sampled["tokens"]
        found[name] = {**row, "ends": ends, "tokens": tokens}
    return found


def best(
    trees: Mapping[str, Tree],
    by_form: Mapping[tuple[str, str], Mapping[str, Row]],
    afresh: Mapping[str, Mapping[str, Row]],
    votes: Mapping[str, Row],
) -> dict[str, Any]:
    """The form that repairs most, less what it breaks, on one half of the problems; its figures on
    the other half. Of the forms that were put to all paths, or to the most."""

    def part(found: Mapping[str, Row], half: int) -> dict[str, Row]:
        return {name: row for name, row in found.items() if half_of(name) == half}

    def merit(name: tuple[str, str]) -> float:
        figures = measured(trees, part(by_form[name], 0))
        return (figures.repaired / max(1, figures.wrong)) - (figures.broken / max(1, figures.right))

    forms = [name for name in by_form if name[1] not in (PLAIN, VOTE)]
    if not forms:
        return {}
    most = max(len(by_form[name]) for name in forms)
    forms = [name for name in forms if len(by_form[name]) == most]
    name = max(forms, key=merit)
    ours, theirs, vote = against(trees, part(by_form[name], 1), afresh[name[0]], votes)
    return {
        "critic": name[0],
        "form": name[1],
        "wrong_paths": ours.wrong,
        "repaired": ours.repaired,
        "right_paths": ours.right,
        "broken": ours.broken,
        "redecoded": theirs.repaired,
        "majority": vote.repaired,
        "tokens": round(ours.tokens),
    }


def against(
    trees: Mapping[str, Tree],
    found: Mapping[str, Row],
    plain: Mapping[str, Row],
    votes: Mapping[str, Row],
) -> tuple[Figures, Figures, Figures]:
    """A form, solving afresh and the policy's vote at its tokens, over the paths that have all
    three, as far as they were recorded at all."""
    common = {
        name: row
        for name, row in found.items()
        if (not plain or name in plain) and (not votes or name in votes)
    }
    ours = measured(trees, common)
    afresh = {name: bought(plain[name], ours.tokens) for name in common if name in plain}
    vote = {name: bought(votes[name], ours.tokens) for name in common if name in votes}
    return ours, measured(trees, afresh), measured(trees, vote)


def bought(row: Row, tokens: float) -> Row:
    """The answer that so many tokens buy of a problem solved again and again: the first solution,
    or the vote of as many as that is."""
    ends = row["ends"]
    each = row["tokens"] / len(ends)
    count = max(1, min(len(ends), round(tokens / each)))
    answers = [answer for end in ends[:count] if (answer := concluded(end))]
    most = Counter(answers).most_common(1)
    said = f"\\boxed{{{most[0][0]}}}" if most else ""
    return {**row, "ends": [said], "tokens": count * each}


def measured(trees: Mapping[str, Tree], found: Mapping[str, Row]) -> Figures:
    counts: Counter[str] = Counter()
    tokens = revised = steps = 0.0
    for name, row in found.items():
        tree = trees[name]
        before = tree.nodes[best_own(tree)].reward == 1.0
        after = is_right(tree.problem.answer, row["ends"][0])
        counts["right" if before else "wrong"] += 1
        counts["repaired"] += after and not before
        counts["broken"] += before and not after
        tokens += row["tokens"]
        if row.get("revised") is not None:
            revised += row["revised"]
            steps += row["steps"]
    return Figures(
        counts["wrong"],
        counts["repaired"],
        counts["right"],
        counts["broken"],
        revised / steps if steps else None,
        tokens / max(1, len(found)),
    )


def is_right(gold: str, solution: str) -> bool:
    answer = concluded(solution)
    return bool(answer) and compare(gold, answer).right is True


def half_of(problem: str) -> int:
    return zlib.crc32(problem.encode()) % 2


if __name__ == "__main__":
    main()
