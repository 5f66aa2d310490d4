"""`whorl plan`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whorl.cli import options

if TYPE_CHECKING:
    from whorl.loop.forecast import Amount, Check, Forecast
    from whorl.loop.run import Run

EXAMPLES = (
    "whorl plan run.toml --sample 4 --machines 4 --hour 2.5",
    "whorl plan run.toml --check",
)


def plan(  # noqa: PLR0913 (each parameter is an option)
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Run file.", show_default=False)],
    overrides: options.Overrides = None,
    machines: Annotated[
        int, typer.Option(min=1, help="Machines, besides one alone, that it is told for.")
    ] = 8,
    sample: Annotated[
        int | None,
        typer.Option(min=2, help="Problems to measure.", show_default="16 to 48, by the width"),
    ] = None,
    devices: Annotated[int, typer.Option(min=1, help="Devices of a machine.")] = 1,
    hour: Annotated[float, typer.Option(min=0.0, help="Price of an hour of a device.")] = 0.0,
    check: Annotated[
        bool, typer.Option("--check", help="After the run: how far the plan was off.")
    ] = False,
) -> None:
    """Say what a run will take, before it is begun.

    Some of its problems, drawn by lot, are searched and trained on as the run
    would, in a folder beside that of the run; some of the test and some that are
    held out for `patience` are attempted. From what that took come
    tokens, money, storage, device hours and wall time for the whole run, on one
    machine and on several, each with a 90 % interval and what it assumes.

    After the run, or after some of its rounds, --check puts what it took beside
    what was planned.
    """
    from whorl.cli.display import Display
    from whorl.cli.given import given
    from whorl.cli.guard import whorl
    from whorl.cli.plan import opening
    from whorl.errors import UserError
    from whorl.loop.forecast import Forecast, checked, sample_size
    from whorl.loop.grow import ready
    from whorl.loop.runfile import answered, read_run
    from whorl.loop.sampling import folder_of, scale_of
    from whorl.loop.sampling import sample as measure

    if check and given("machines", "sample", "devices", "hour"):
        raise UserError(
            "--check compares a plan that is there with its run; leave out --machines, --sample, "
            "--devices and --hour"
        )
    chosen = answered(read_run(file, overrides or ()))
    place = folder_of(chosen) / "plan.json"
    if check:
        return _tell_check(checked(Forecast.read(place), chosen.folder))
    _ = chosen.weights  # what cannot be trained is not worth measuring
    display = Display()
    display.say(opening(chosen))
    with ready(chosen) as prepared:
        scale = scale_of(chosen, prepared.found)
        count = sample or sample_size(scale.problems, scale.arms, chosen.width)
        found = measure(chosen, prepared, min(count, scale.problems), display)
    forecast = Forecast.of(found, scale)
    forecast.write(place)
    for line in _lines(chosen, forecast, machines, devices, hour):
        typer.echo(line)
    display.wrote(place, "the plan; whorl plan --check compares it with the run")
    display.next(whorl("run", file))


def _lines(run: "Run", plan: "Forecast", machines: int, devices: int, hour: float) -> list[str]:
    """The plan in words and figures. hour: price of a device's hour."""
    from whorl.cli.estimate import ends_early
    from whorl.watch.line import clock

    scale, sample = plan.scale, plan.sample
    searches = scale.problems * scale.arms * scale.rounds
    measured = (
        f"measured: {len(sample.tokens):,} problems, {sum(sample.tokens):,.0f} tokens in "
        f"{clock(sample.seconds)}"
    )
    size = f"{scale.problems:,} problems, {scale.rounds:,} rounds, {searches:,} searches"
    if scale.held:
        size += f", {scale.held:,} problems held out and attempted {scale.exams:,} times"
    lines = [
        f"{run.folder}: {size}",
        measured,
        "",
        f"{'':24}{'expected':>14}   90 % interval",
    ]

    def row(name: str, kind: str, factor: float = 1.0, unit: str = "") -> None:
        amount = plan.amounts[kind].times(factor)
        lines.append(f"{name:24}{_figure(amount.expected, unit):>14}   {_span(amount, unit)}")

    row("tokens sampled", "tokens")
    row("tokens of prompts read", "prompt_tokens")
    row("requests", "requests")
    row("storage", "bytes", 1e-6, "MB")
    if plan.amounts["money"].expected:
        row("money for tokens", "money")
    for count in dict.fromkeys((1, machines)):
        wall = plan.wall(count)
        on = f"wall time, {count:,} machine{'s' if count > 1 else ''}"
        lines.append(
            f"{on:24}{clock(wall.expected):>14}   {clock(wall.low)} to {_until(wall.high)}"
        )
        used = wall.times(count * devices / 3600)
        lines.append(f"{'  device hours':24}{_figure(used.expected):>14}   {_span(used)}")
        if hour:
            cost = used.times(hour)
            lines.append(f"{'  money for devices':24}{_figure(cost.expected):>14}   {_span(cost)}")
    for part in ("grow", "evaluate", "train"):
        if part in plan.amounts:
            lines.append(f"{'  of one: ' + part:24}{clock(plan.amounts[part].expected):>14}")
    grown = {name: amount.expected for name, amount in plan.grown.items()}
    ending = ends_early(run, scale.problems, {**grown, "seconds": grown["grow"]})
    return [*lines, *ending, "", *_assumptions(plan)]


def _figure(number: float, unit: str = "") -> str:
    from math import isfinite

    if not isfinite(number):
        return "unknown"
    shown = f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
    return f"{shown} {unit}".rstrip()


def _span(amount: "Amount", unit: str = "") -> str:
    return f"{_figure(amount.low)} to {_figure(amount.high, unit)}"


def _until(seconds: float) -> str:
    from math import isfinite

    from whorl.watch.line import clock

    return clock(seconds) if isfinite(seconds) else "unknown"


def _assumptions(plan: "Forecast") -> list[str]:
    """Assumptions behind the figures, in words."""
    lines = [
        "assumed: problems are like those measured, and later rounds like the first; intervals",
        "  are of which problems were drawn, not of what differs from round to round; requests,",
        "  prompts, storage and seconds go with the tokens; machines divide searches and attempts",
        "  without loss, one of them trains; servers keep their pace. A sample with fewer searches",
        "  than the run has in flight makes the run look slower than it is. Training is timed over",
        "  the examples of the sample.",
    ]
    if "train" not in plan.amounts:
        lines.append("  NOT in it: training, as the sample gave too few examples to time a step.")
    if plan.sample.test is None:
        lines.append("  Nothing is measured on a test file, as the run names none.")
    if plan.scale.held:
        lines.append("  All rounds are played, though patience may end them sooner.")
    return lines


def _tell_check(check: "Check") -> None:
    """Say how far a plan was off."""
    from whorl.watch.line import clock

    typer.echo(f"{check.rounds:,} of {check.planned:,} rounds were played")
    typer.echo(f"{'':12}{'planned':>14}{'it was':>14}{'off by':>9}   90 % interval")
    for name, (amount, actual) in check.amounts.items():
        off = f"{100 * (actual / amount.expected - 1):+.0f} %" if amount.expected else "-"
        inside = "inside" if amount.low <= actual <= amount.high else "outside"
        show = clock if name == "wall" else "{:,.0f}".format
        typer.echo(f"{name:12}{show(amount.expected):>14}{show(actual):>14}{off:>9}   {inside}")
