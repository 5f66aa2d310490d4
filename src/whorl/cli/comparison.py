"""The results of a comparison, written as JSON and as tables."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table

from whorl.cli.cells import markdown_cell
from whorl.cli.comparison_page import METHOD, page
from whorl.cli.terminal import console
from whorl.compare.comparison import Comparison
from whorl.compare.findings import (
    Findings,
    MethodFigures,
    MethodResult,
    figures_of_seed,
    figures_over_seeds,
)
from whorl.data.atomic import replacing
from whorl.evaluate import Paired, Rate, pass_rate, repeated
from whorl.view.report import write_report

FILES = ("compare.json", "compare.md", "compare.html")


def write_comparison(folder: Path, findings: Findings, comparison: Comparison) -> None:
    """Write the files named in `FILES` into the folder of the comparison."""
    texts = (json.dumps(comparison_as_json(findings), indent=2), markdown(findings))
    for name, text in zip(FILES, texts, strict=False):
        with replacing(folder / name) as file:
            file.write(text.encode() + b"\n")
    write_report(folder / FILES[-1], page(findings, comparison))


def others(folder: Path, comparison: Comparison) -> list[str]:
    """Recipes of the table that is there already which this comparison does not name."""
    try:
        rows = json.loads((folder / FILES[0]).read_text(encoding="utf-8"))["results"]
        there = dict.fromkeys(str(row["recipe"]) for row in rows)
    except (OSError, ValueError, KeyError, TypeError):
        return []
    named = {method.name for method in comparison.methods}
    return [name for name in there if name not in named]


def as_list(findings: Findings) -> list[dict[str, Any]]:
    """One JSON object per method and seed."""
    return [_as_mapping(findings, result) for result in findings.results]


def comparison_as_json(findings: Findings) -> dict[str, Any]:
    """The whole comparison as JSON: base model, methods under each seed, methods over all seeds."""
    base, sampled = findings.base
    rate = pass_rate(base, 1)
    return {
        "problems": len(base),
        "problems_for_pass_at_k": len(sampled),
        "base": {
            "accuracy": rate.value,
            "low": rate.low,
            "high": rate.high,
            "pass_at_k": {k: pass_rate(sampled, k).value for k in findings.ks()},
        },
        "method": METHOD,
        "results": as_list(findings),
        "over_seeds": [
            {"recipe": name, "seeds": len(own)} | _said(figures_over_seeds(findings, own))
            for name, own in findings.by_method()
        ],
    }


def _as_mapping(findings: Findings, result: MethodResult) -> dict[str, Any]:
    return {
        "recipe": result.method.name,
        "seed": result.seed,
        "tokens": result.last.point.tokens,
        **_said(figures_of_seed(findings, result)),
        "repeated": asdict(again) if (again := repeated(result.last.sampled)) else None,
        "left_out_tokens": result.left_out,
        "problems": result.problems,
        "passes": result.passes,
        "trees": result.trees,
        "failed": result.failed,
        "examples": result.examples,
        "entropy": result.entropy,
        "trained_tokens": result.trained_tokens,
        "cpu_minutes": round(result.cpu / 60, 2),
        "wall_minutes": round(result.wall / 60, 2),
        "curve": [
            {
                "tokens": student.point.tokens,
                "accuracy": pass_rate(student.greedy, 1).value,
                "pass_at_k": {k: pass_rate(student.sampled, k).value for k in findings.ks()},
            }
            for student in result.students
        ],
    }


def _said(figures: MethodFigures) -> dict[str, Any]:
    base, rft = figures.against_base, figures.against_rft
    return {
        "accuracy": figures.accuracy.value,
        "low": figures.accuracy.low,
        "high": figures.accuracy.high,
        "pass_at_k": {k: rate.value for k, rate in figures.passed.items()},
        "pass_at_k_low": {k: rate.low for k, rate in figures.passed.items()},
        "pass_at_k_high": {k: rate.high for k, rate in figures.passed.items()},
        "gain": base.difference.value,
        "gain_low": base.difference.low,
        "gain_high": base.difference.high,
        "p_vs_base": base.p_value,
        "minus_rft": rft.difference.value if rft else None,
        "p_vs_rft": rft.p_value if rft else None,
    }


HEAD = (
    *("recipe", "right %", "95 %", "gain", "95 %", "p", "minus RFT", "p", "pass@k %"),
    *("tokens", "problems", "passes", "trees", "examples", "trained", "entropy", "CPU min"),
)


def methods_table(findings: Findings) -> list[tuple[str, ...]]:
    """A table with one row per method, over its seeds; counts are means."""
    base, sampled = findings.base
    ks = "/".join(f"{100 * pass_rate(sampled, k).value:.1f}" for k in findings.ks())
    rate = pass_rate(base, 1)
    first = ("base", f"{100 * rate.value:.1f}", _interval(rate), *[""] * 5, ks, *[""] * 8)
    rows = [first]
    for name, own in findings.by_method():
        figures = figures_over_seeds(findings, own)
        rows.append((name, *_words(figures), *_counts(own)))
    return rows


def by_seed(findings: Findings) -> list[tuple[str, ...]]:
    """A table with one row per method and seed."""
    return [
        (f"{r.method.name}, {r.seed}", *_words(figures_of_seed(findings, r)), *_counts([r]))
        for r in findings.results
    ]


def _words(figures: MethodFigures) -> tuple[str, ...]:
    base, rft = figures.against_base, figures.against_rft
    return (
        f"{100 * figures.accuracy.value:.1f}",
        _interval(figures.accuracy),
        _points(base),
        _interval(base.difference, sign="+"),
        f"{base.p_value:.2g}",
        _points(rft) if rft else "",
        f"{rft.p_value:.2g}" if rft else "",
        "/".join(f"{100 * rate.value:.1f}" for rate in figures.passed.values()),
    )


def _counts(results: Sequence[MethodResult]) -> tuple[str, ...]:
    found = [
        (
            *(result.last.point.tokens, result.problems, result.passes),
            *(result.trees, result.examples, result.trained_tokens),
            *(result.entropy, result.cpu / 60),
        )
        for result in results
    ]
    means = [sum(column) / len(found) for column in zip(*found, strict=True)]
    *counts, entropy, minutes = means
    return (*(f"{mean:,.0f}" for mean in counts), f"{entropy:.2f}", f"{minutes:.1f}")


def _points(change: Paired) -> str:
    return f"{100 * change.difference.value:+.1f}"


def _interval(rate: Rate, sign: str = "") -> str:
    return f"{100 * rate.low:{sign}.1f} to {100 * rate.high:{sign}.1f}"


def print_comparison(findings: Findings) -> None:
    """Print the table of the methods over their seeds."""
    shown = Table(box=None, pad_edge=False)
    for name in HEAD:
        shown.add_column(name, justify="left" if name == "recipe" else "right", no_wrap=True)
    for row in methods_table(findings):
        shown.add_row(*row)
    # as wide as the table: a line that is too long for the terminal is wrapped by it
    terminal = console(width=250)
    terminal.print(shown)
    terminal.print(_legend(findings))


def _legend(findings: Findings) -> str:
    seeds = len({result.seed for result in findings.results})
    ks = ", ".join(map(str, findings.ks()))
    return (
        f"{len(findings.base[0]):,} problems greedily, {len(findings.base[1]):,} several times for "
        f"pass@k (k = {ks}); {seeds} seeds, counts are means; trained: completion tokens times "
        f"epochs; entropy: of the answers to a question in the trees, in nats. {METHOD}"
    )


def markdown(findings: Findings) -> str:
    """Both tables in Markdown."""
    lines = [_markdown(HEAD, methods_table(findings)), _legend(findings), ""]
    lines += [_markdown(("recipe, seed", *HEAD[1:]), by_seed(findings))]
    return "\n".join(lines)


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---", *["---:"] * (len(head) - 1)]
    shown = [list(map(markdown_cell, row)) for row in (head, *rows)]
    lines = [f"| {' | '.join(row)} |" for row in (shown[0], rule, *shown[1:])]
    return "\n".join(lines) + "\n"
