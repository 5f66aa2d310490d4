"""Rows of a comparison that outlast its run folder: which student got which test problem right.

    python benchmarks/kept_rows.py keep runs/real-gsm8k FILE --seed 0
    python benchmarks/kept_rows.py table FILE
    python benchmarks/kept_rows.py against FILE sigma:rft process:base

`keep` adds the base model and every student of a seed to FILE, or puts them in the place of rows
of the same name (`rft`, and `rft/1` of seed 1); of a recipe that is measured on the way the last
student is kept, and `--mark @300k` behind its name keeps it beside one of fewer tokens. A row
takes a kilobyte: digits for the greedy attempts (1 right, 0 wrong, - not decided), and how many of
the sampled attempts were right. `table` and `against` compute accuracy, pass@k, intervals and
paired tests from FILE alone. Rows of other test problems or beside another base model do not go
into the same file. `A,B,C:base` is the mean of several. The last line of `against` is a JSON
object.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from whorl.compare.findings import read_both_scores, read_student
from whorl.data.atomic import replacing
from whorl.errors import UserError
from whorl.evaluate import Score, paired_over, pass_rate

Row = dict[str, Any]
MARKS = {1.0: "1", 0.0: "0", None: "-"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    keeping = commands.add_parser("keep")
    keeping.add_argument("run", type=Path)
    keeping.add_argument("--seed", type=int, default=0)
    keeping.add_argument("--mark", default="", help="behind the names of students")
    shown = commands.add_parser("table")
    pairing = commands.add_parser("against")
    for command in (keeping, shown, pairing):
        command.add_argument("file", type=Path)
    pairing.add_argument("pairs", nargs="+", metavar="A:B")
    options = parser.parse_args()
    try:
        if options.command == "keep":
            keep(options.run, options.seed, options.file, options.mark)
        elif options.command == "table":
            print("\n".join(table(read_rows(options.file))))
        else:
            print_pairs(read_rows(options.file), options.pairs)
    except (UserError, OSError) as error:
        raise SystemExit(f"error: {error}") from error


def print_pairs(rows: dict[str, Row], pairs: Sequence[str]) -> None:
    found = {}
    for pair in pairs:
        one, _, other = pair.partition(":")
        found[pair] = own = against(rows, one, other or "base")
        within = f"{own['low']:+.1f} to {own['high']:+.1f}"
        print(f"{pair}: {own['points']:+.1f} ({within}), p {own['p']:.2g}")
    print(json.dumps(found))


def keep(run: Path, seed: int, file: Path, mark: str = "") -> None:
    """Add the students of a comparison to `file`. Raises `UserError` if they were measured on other
    problems than those in it, or beside another base model."""
    rows = read_rows(file) if file.exists() else {}
    for row in rows_of(run, seed):
        first = next(iter(rows.values()), row)
        if any(first[name] != row[name] for name in ("problems", "often")):
            raise UserError(f"{run} is measured on other problems than the rows of {file}")
        if row["student"] == "base" and first["right"] != row["right"]:
            raise UserError(f"the base model of {run} is another one than that of {file}")
        name = row["student"] if row["student"] == "base" else f"{row['student']}{mark}"
        rows[name] = row | {"student": name}
    about = {name: next(iter(rows.values()))[name] for name in ("problems", "often")}
    own = [{k: said for k, said in row.items() if k not in about} for row in rows.values()]
    lines = [json.dumps(each, separators=(",", ":")) for each in (about, *own)]
    with replacing(file) as out:
        out.write("".join(f"{line}\n" for line in lines).encode())
    print(f"{file}: {', '.join(rows)}")


def rows_of(run: Path, seed: int) -> Iterator[Row]:
    """A row for the base model, and one for every student that is there."""
    yield {"student": "base", **judged(*read_both_scores(run / "base"))}
    points = (run / f"seed-{seed}").rglob("point.json")
    for point in sorted(points, key=lambda each: int(each.parent.name)):
        student = read_student(point.parent)
        name = point.relative_to(run / f"seed-{seed}").parts[0]
        cost = student.point
        yield {
            "student": f"{name}/{seed}" if seed else name,
            "tokens": cost.tokens,
            "questions": cost.problems,
            "examples": cost.examples,
            "cpu_min": round((cost.growing_cpu + cost.cpu) / 60, 1),
            **judged(student.greedy, student.sampled),
        }


def judged(greedy: Sequence[Score], sampled: Sequence[Score]) -> Row:
    """Who was right where, problems in the order of their ids."""
    greedy, sampled = (sorted(each, key=lambda score: score.id) for each in (greedy, sampled))
    return {
        "right": "".join(MARKS[score.right[0]] if score.right else "-" for score in greedy),
        "often_right": [[score.right.count(1.0), len(score.right)] for score in sampled],
        "problems": [score.id for score in greedy],
        "often": [score.id for score in sampled],
    }


def read_rows(file: Path) -> dict[str, Row]:
    """The rows of a file by the name of their student."""
    about, *rows = (json.loads(line) for line in file.read_text().splitlines())
    return {row["student"]: {**row, **about} for row in rows}


def scores(row: Row) -> tuple[list[Score], list[Score]]:
    """Greedy and sampled scores of a row, without the answers."""
    by_mark = {mark: right for right, mark in MARKS.items()}
    greedy = [
        Score(name, "", (by_mark[mark],), (None,))
        for name, mark in zip(row["problems"], row["right"], strict=True)
    ]
    sampled = [
        Score(name, "", (1.0,) * right + (0.0,) * (count - right), (None,) * count)
        for name, (right, count) in zip(row["often"], row["often_right"], strict=True)
    ]
    return greedy, sampled


def table(rows: dict[str, Row]) -> Iterator[str]:
    """A Markdown table of all rows, in points; gain and p are against `base`."""
    yield (
        "| recipe | right % | 95 % | gain | 95 % | p | pass@1, pass@4 % | tokens | problems | "
        "examples | CPU min |"
    )
    yield "| --- |" + " ---: |" * 10
    for name, row in rows.items():
        greedy, sampled = scores(row)
        rate = pass_rate(greedy, 1)
        ks = [k for k in (1, 4) if sampled and k <= len(sampled[0].right)]
        often = ", ".join(f"{100 * pass_rate(sampled, k).value:.1f}" for k in ks)
        cells = [name if name == "base" else f"`{name}`", f"{100 * rate.value:.1f}"]
        cells += [f"{100 * rate.low:.1f} to {100 * rate.high:.1f}"]
        if name == "base":
            cells += ["", "", "", often, "", "", "", ""]
        else:
            own = against(rows, name, "base")
            cells += [f"{own['points']:+.1f}", f"{own['low']:+.1f} to {own['high']:+.1f}"]
            cells += [f"{own['p']:.2g}", often, f"{row['tokens']:,}", f"{row['questions']:,}"]
            cells += [f"{row['examples']:,}", f"{row['cpu_min']:.1f}"]
        yield f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |")


def against(rows: dict[str, Row], one: str, other: str) -> dict[str, float]:
    """How much better `one` is than `other`, in points of greedy accuracy (McNemar's test); of
    several, `A,B,C`, the mean of each problem over them (a paired t-test over problems)."""
    several = one.split(",")
    for name in (*several, other):
        if name not in rows:
            raise UserError(f"there is no row {name}; there are {', '.join(rows)}")
    before = scores(rows[other])[0]
    found = paired_over([(before, scores(rows[name])[0]) for name in several])
    return {
        "points": 100 * found.difference.value,
        "low": 100 * found.difference.low,
        "high": 100 * found.difference.high,
        "p": found.p_value,
    }


if __name__ == "__main__":
    main()
