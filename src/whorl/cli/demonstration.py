"""The results of the demo, as JSON, as a table and as a report."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any

from rich.table import Table

from whorl.cli.terminal import console
from whorl.compare.demo import METHODS, SIGMA, Size, sampled_tokens
from whorl.compare.findings import Findings, MethodResult, figures_of_seed
from whorl.data.forest import read_trees
from whorl.evaluate import Paired, Rate, Score, paired, summarise
from whorl.recipes.refinement import ends_of_tries
from whorl.report import Figure, Report, ReportTree, ResultRow
from whorl.report import FigureTable as Counters
from whorl.report.rows import cells, figures, levels, reference, row
from whorl.tree import Tree
from whorl.view.report import write_report

NOTES = {
    "unrefined paths": "the same trees without critique and revision",
    "RFT": "right ones of 8 whole solutions by the policy",
    "teacher solves": "distillation: its own solutions",
}
REMARKS = (
    "The teacher that criticises and revises has seen more training than the policy, worked "
    "solutions and critiques of the same families among it.",
    "The problems are made from templates and the models are tiny: the figures show that the "
    "machinery works, not what it does for a large model.",
    "Greedy decoding; a solution counts if its final answer is right.",
)


def write_demo(folder: Path, findings: Findings, size: Size, seconds: float) -> Path:
    """Write the report into the folder of a demo that took `seconds`; returns its path."""
    trees = list(_telling(folder / findings.results[0].method.forest / "trees.jsonl"))
    page = folder / "report.html"
    write_report(page, demo_report(findings, trees, size, seconds))
    return page


def demo_as_json(findings: Findings) -> dict[str, Any]:
    """The results of the demo as JSON."""
    base, first = findings.base[0], findings.results[0].last.greedy
    change = paired(base, first)
    return {
        "base_accuracy": _right(base).value,
        "tuned_accuracy": _right(first).value,
        "p_value": change.p_value,
        "problems": change.problems,
        "generated_tokens": sampled_tokens(findings),
        "methods": [
            {
                "name": result.method.name,
                "accuracy": _right(result.last.greedy).value,
                "examples": result.last.point.examples,
                "generated_tokens": result.last.point.tokens,
                "against_policy": asdict(_against(findings, result)),
                "against_first": asdict(paired(first, result.last.greedy)),
            }
            for result in findings.results
        ],
    }


def print_demo(findings: Findings) -> None:
    """Print a table with one row per method of the demo."""
    table = Table("", "right", "95 %", "gain", "95 %", "p", "tokens", box=None, pad_edge=False)
    base = _right(findings.base[0])
    table.add_row("policy", f"{100 * base.value:.1f}", _interval(base))
    for result in findings.results:
        rate, change = _right(result.last.greedy), _against(findings, result)
        table.add_row(
            result.method.name,
            f"{100 * rate.value:.1f}",
            _interval(rate),
            f"{100 * change.difference.value:+.1f}",
            _interval(change.difference),
            f"{change.p_value:.1g}",
            f"{result.last.point.tokens:,}",
        )
    terminal = console()
    terminal.print(table)
    terminal.print(
        f"% of {len(findings.base[0]):,} held-out problems; every student learned from "
        f"{findings.results[0].last.point.examples:,} examples; p: exact McNemar test; tokens: "
        "sampled to make the examples"
    )


def demo_report(findings: Findings, trees: Sequence[Tree], size: Size, seconds: float) -> Report:
    """The results of the demo as a report."""
    base, first = findings.base[0], findings.results[0]
    point, against = first.last.point, _against(findings, first)
    change = against.difference
    return Report(
        title="whorl demo: SIGMA on the shipped models",
        lead=(
            f"Fine-tuned on {point.examples:,} refined solutions, the policy went from "
            f"{100 * _right(base).value:.1f} % to {100 * _right(first.last.greedy).value:.1f} % on "
            f"{len(base):,} held-out problems ({100 * change.value:+.1f} points, 95 % "
            f"interval {100 * change.low:+.1f} to {100 * change.high:+.1f}, "
            f"p = {against.p_value:.2g})."
        ),
        figures=(
            Figure("training problems", size.problems, "answers only, no solutions"),
            Figure("held-out problems", len(base), "disjoint by arithmetic, not by wording"),
            Figure("examples per method", point.examples),
            Figure(
                "generated tokens",
                sampled_tokens(findings),
                "all trees, discarded branches included",
            ),
            Figure("seconds", round(seconds), "of this call; set-up is not in it"),
        ),
        rows=(reference("policy", base), *(_row(base, result) for result in findings.results)),
        remarks=REMARKS,
        levels=tuple(levels(base, first.last.greedy)),
        cells=cells(point.tally),
        counters=tuple(
            Counters(f"{title}, {result.method.name}", figures(dict(sorted(counts.items()))))
            for result in findings.results
            for title, counts in _counts(result)
            if counts
        ),
        trees=tuple(ReportTree(tree) for tree in trees),
        settings=(
            _settings("SIGMA", SIGMA),
            _settings("search", SIGMA.uct),
            _settings("fine-tuning", METHODS[0].train),
        ),
    )


def _row(base: Sequence[Score], result: MethodResult) -> ResultRow:
    name, point = result.method.name, result.last.point
    return replace(
        row(name, base, result.last.greedy),
        examples=point.examples,
        tokens=point.tokens,
        note=NOTES.get(name, ""),
    )


def _counts(result: MethodResult) -> Iterator[tuple[str, Mapping[str, int]]]:
    """Counters of a method; counters of trees that methods share stand at the method that grew
    them."""
    point = result.last.point
    if result.method.grow is result.method.harvest:
        yield "Counted", point.tally
        yield "Tokens", {role: count for role, count in point.cost.items() if count}
    yield "Left out of the examples", point.dropped


def _settings(title: str, settings: object) -> Counters:
    shown = {key: value for key, value in asdict(settings).items() if not isinstance(value, dict)}  # type: ignore[call-overload]
    return Counters(title, tuple(Figure(key, str(value)) for key, value in shown.items()))


def _telling(path: Path, most: int = 12) -> list[Tree]:
    """Trees worth looking at: first those that revision turned right, then a few others."""
    trees = list(islice(read_trees(path), 400))
    turned = [
        t for t in trees if ends_of_tries(t) and t.tip in ends_of_tries(t) and _wrong_before(t)
    ]
    others = [t for t in trees if t not in turned and ends_of_tries(t)]
    return (turned[: most * 2 // 3] + others)[:most]


def _wrong_before(tree: Tree) -> bool:
    return any("wrong to" in name for name in SIGMA.tally(tree))


def _against(findings: Findings, result: MethodResult) -> Paired:
    return figures_of_seed(findings, result).against_base


def _right(scores: Sequence[Score]) -> Rate:
    return summarise(scores).passed[1]


def _interval(rate: Rate) -> str:
    return f"{100 * rate.low:.1f} to {100 * rate.high:.1f}"
