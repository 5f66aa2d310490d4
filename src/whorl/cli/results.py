"""Scores of an evaluation and figures of rounds, printed and as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.markup import escape
from rich.table import Table

from whorl.cli.terminal import console
from whorl.evaluate import Paired, Rate, Score, Summary, paired, pass_rate

SCORES = {
    "held out": ("held_out", ".1%"),
    "loss": ("loss", ".4f"),
    "seconds": ("seconds", ",.0f"),
}
DATA = {
    "tokens": ("generated_tokens", ","),
    "examples": ("examples", ","),
    "learned": ("learned", ","),
    "negative": ("negative", ".0%"),
    "sharing": ("sharing", ".1f"),
    "solutions": ("solutions", ".1f"),
    "right": ("right", ".2f"),
    "entropy": ("entropy", ".2f"),
    "usable": ("usable", ".0%"),
}
"""Columns of the rounds: a measure of `rounds.metrics`, and how it is written."""


def print_summary(summary: Summary, comparison: Paired | None) -> None:
    """Print a table of the shares, then the comparison in words."""
    table = Table("measure", "problems", "%", "95 % interval", box=None, pad_edge=False)
    n = summary.problems
    samples = max(summary.passed)
    mean = f"pass@1 = avg@{samples}" if samples > 1 else "pass@1"
    rows = [(mean if k == 1 else f"pass@{k}", n, rate) for k, rate in summary.passed.items()]
    rows += [(f"maj@{k}", n, rate) for k, rate in summary.majority.items()]
    for what, groups in (("level", summary.levels), ("subject", summary.subjects)):
        if len(groups) > 1:
            rows += [
                (f"{what} {name or 'none'}", own, rate) for name, (own, rate) in groups.items()
            ]
    for name, count, rate in rows:
        table.add_row(escape(name), f"{count:,}", f"{100 * rate.value:.1f}", _interval(rate))
    terminal = console()
    terminal.print(table)
    if again := summary.repeats:
        terminal.print(
            f"{again.times} evaluations: {100 * again.mean:.2f} ± {100 * again.error:.2f} "
            "(mean and its standard error)"
        )
    for name in ("failed", "unanswered", "undecided"):
        if count := getattr(summary, name):
            terminal.print(f"{name}: {count:,}, counted as not right")
    if summary.cut:
        terminal.print(f"cut off at the token limit: {summary.cut:,}")
    if comparison:
        _print_difference(comparison)


def print_rounds(
    lines: Sequence[Mapping[str, Any]], before: Sequence[Score], after: Sequence[Score]
) -> None:
    """Print a table of the rounds of a run: scores, then counts of what each learned from; then
    what the last model has over the first, if they were measured."""
    ks = sorted(lines[0]["passed"]) if "passed" in lines[0] else []
    rates = [name for k in ks for name in (f"pass@{k}", "95 %")]
    scores = Table("round", *rates, *SCORES, box=None, pad_edge=False)
    data = Table("round", *DATA, box=None, pad_edge=False)
    if before:
        scores.add_row("0", *_rates([pass_rate(before, int(k)) for k in ks]))
    for line in lines:
        number = str(line["round"])
        own = _rates([Rate(*line["passed"][k]) for k in ks])
        scores.add_row(number, *own, *_cells(line, SCORES))
        data.add_row(number, *_cells(line, DATA))
    terminal = console()
    terminal.print(scores)
    terminal.print()
    terminal.print(data)
    terminal.print(
        "solutions, different right ones, and entropy of their answers (nats): per problem, "
        "sampled by the policy of the round before"
    )
    if before and after:
        _print_difference(paired(before, after), "the last model against the first")


def _print_difference(comparison: Paired, what: str = "difference") -> None:
    several = comparison.attempts > 1
    console().print(
        f"{what}{', first attempts' * several}: {100 * comparison.difference.value:+.1f} points "
        f"({_interval(comparison.difference)}): {comparison.fixed:,} fixed, "
        f"{comparison.broken:,} broken, p = {comparison.p_value:.2g} (McNemar, exact)"
    )
    console().print(
        f"bootstrap of the difference{', over all attempts' * several}: "
        f"{100 * comparison.mean.value:+.1f} points ({_interval(comparison.mean)})"
    )


def summary_as_json(summary: Summary, comparison: Paired | None) -> dict[str, Any]:
    """A summary and a comparison as JSON."""
    said = asdict(summary)
    return said | ({"against": asdict(comparison)} if comparison else {})


def _cells(line: Mapping[str, Any], columns: Mapping[str, tuple[str, str]]) -> list[str]:
    return [format(line[key], form) if key in line else "" for key, form in columns.values()]


def _rates(rates: Sequence[Rate]) -> list[str]:
    return [cell for rate in rates for cell in (f"{100 * rate.value:.1f}", _interval(rate))]


def _interval(rate: Rate) -> str:
    return f"{100 * rate.low:.1f} to {100 * rate.high:.1f}"
