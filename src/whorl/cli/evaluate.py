"""`whorl evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

from whorl.cli import options

EXAMPLES = (
    "whorl evaluate --model local:models/small --problems test.jsonl --out before.jsonl",
    "whorl evaluate --model local:runs/a/checkpoint --problems test.jsonl --out after.jsonl "
    "--against before.jsonl",
    "whorl evaluate --model local:models/small --problems test.jsonl --out at16.jsonl "
    "--samples 16 --temperature 0.7",
)


def evaluate(  # noqa: PLR0913 (each parameter is an option)
    model: Annotated[str, typer.Option(help="Model, as local:FOLDER.", show_default=False)],
    problems: options.Problems,
    out: Annotated[Path, typer.Option(help="File of scores to write.", show_default=False)],
    samples: Annotated[int, typer.Option(min=1, help="Attempts at each problem.")] = 1,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 is greedy decoding.")] = 0.0,
    max_tokens: Annotated[int, typer.Option(min=1, help="Tokens per attempt at most.")] = 2048,
    against: Annotated[
        Path | None,
        typer.Option(help="Scores to compare with, of the same problems.", show_default=False),
    ] = None,
    seed: options.Seed = 0,
    processes: options.Processes = 1,
    as_json: options.Json = False,
) -> None:
    """Measure a model on held-out problems.

    Prints pass@1, and pass@k for several samples, with 95 % intervals; with
    --against, a paired test (exact McNemar) of whether the difference is more
    than luck.
    """
    import json

    from whorl import iterate
    from whorl.cli.display import Display
    from whorl.cli.table import as_mapping, print_summary
    from whorl.evaluate import Decoding, paired, read_scores, summarise, write_scores

    before = read_scores(against) if against else None
    decoding = Decoding(samples, temperature, max_tokens=max_tokens)
    display = Display()
    scores = iterate.measure(
        iterate.Engines(model, processes=processes), problems, decoding, display, seed=seed
    )
    write_scores(out, scores)
    summary = summarise(scores, ks=sorted({1, samples}))
    comparison = paired(before, scores) if before else None
    print_summary(summary, comparison)
    display.wrote(out, f"scores of {len(scores):,} problems")
    if as_json:
        typer.echo(json.dumps(as_mapping(summary, comparison)))
