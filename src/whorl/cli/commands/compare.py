"""`whorl compare`."""

from pathlib import Path
from typing import Annotated

import typer

from whorl.cli import options
from whorl.recipes import RECIPES

EXAMPLES = (
    "whorl compare --preset smoke",
    "whorl compare --preset small --run runs/compare --json",
    "whorl compare --problems train.jsonl --test test.jsonl --policy local:models/small "
    "--critic local:models/large --reviser local:models/large --recipes sigma,rft,process "
    "--tokens 20000000 --run runs/compare",
)


def compare(  # noqa: PLR0913 (each parameter is an option)
    preset: Annotated[
        str, typer.Option(help="smoke or small: the shipped models on made-up problems.")
    ] = "",
    recipes: Annotated[
        str,
        typer.Option(
            help=f"Comma-separated: {', '.join(RECIPES)} (all of them if not given), your own as "
            "module:Class, or variants: sigma_unrefined, sigma_no_siblings, "
            "sigma_whole_path, sigma_show_gold, black_box, process_once."
        ),
    ] = "",
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Seeds of each recipe; 3 if not given.")
    ] = None,
    tokens: Annotated[
        int | None, typer.Option(min=1, help="Sampled tokens for each recipe and seed.")
    ] = None,
    problems: Annotated[Path | None, typer.Option(help="File of problems to train on.")] = None,
    test: Annotated[Path | None, typer.Option(help="File of problems to measure on.")] = None,
    policy: Annotated[str, typer.Option(help="Base model, as local:FOLDER.")] = "",
    critic: Annotated[str, typer.Option(help="Model that criticises steps (SIGMA).")] = "",
    reviser: Annotated[str, typer.Option(help="Model that rewrites steps (SIGMA).")] = "",
    small: Annotated[
        str, typer.Option(help="Model that makes mistakes (SPHERE); else the base model.")
    ] = "",
    prm: Annotated[
        str, typer.Option(help="Process reward model (SPHERE); else rollouts score steps.")
    ] = "",
    run: Annotated[Path, typer.Option(help="Run folder to write.")] = Path("runs/compare"),
    overrides: options.Overrides = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Recipes at work at once; 1, or one per core.")
    ] = None,
    width: options.Width = 256,
    processes: options.Processes = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON list as the last line.")
    ] = False,
) -> None:
    """Compare recipes at equal cost.

    Every recipe may sample so many tokens for the same problems, discarded
    branches, critiques and rollouts included; its students start from the
    same model and are measured on the same held-out problems, under several
    seeds. Writes compare.json, compare.md and compare.html into the run
    folder. What is complete is not done again, and recipes and seeds can be
    added later.

    A recipe of your own is trained as its objective usually is, and called by
    its class. --set NAME.recipe.KEY=VALUE and NAME.train.KEY=VALUE change a recipe,
    NAME.shares=[0.5,1] when its students are trained and measured,
    evaluate.n=16 the attempts for pass@k. The training settings are the
    papers', or ours where a paper has none.
    """
    import json
    from dataclasses import replace

    from whorl import __version__, settings
    from whorl.cli.comparison import FILES, as_list, print_comparison, write
    from whorl.cli.display import Display
    from whorl.compare.methods import PAPERS, TINY, select, tiny, unscored
    from whorl.compare.play import ATTEMPTS, SIZES, Comparison, Size, check, made_up
    from whorl.compare.play import compare as play
    from whorl.data.content import content
    from whorl.engines.roles import Engines
    from whorl.errors import UserError
    from whorl.loop.folder import RunFolder

    names = [name.strip() for name in recipes.split(",") if name.strip()]
    own = [text for text in overrides or () if not text.startswith("evaluate.")]
    measure = [t.removeprefix("evaluate.") for t in overrides or () if t.startswith("evaluate.")]
    named = Engines(policy, critic, reviser, small or policy, prm, processes)
    size: Size | None = None
    if preset:
        if preset not in SIZES:
            raise UserError(f"no preset {preset!r}; there are {', '.join(SIZES)}")
        if problems or test or policy or critic or reviser or small or prm:
            raise UserError("a preset has its own models and problems; leave those options out")
        size = SIZES[preset]
        size = replace(
            size,
            names=tuple(names) or size.names,
            seeds=seeds or size.seeds,
            tokens=tokens or size.tokens,
        )
        select(TINY, size.names, own, other=tiny)  # what is wrong is said before there is a folder
        evaluate = settings.read_settings(ATTEMPTS, measure)
        said = {"preset": preset, "tokens": size.tokens, "evaluate": measure}
    else:
        if not (problems and test and policy and tokens):
            needed = "--problems, --test, --policy and --tokens"
            raise UserError(f"name a --preset, or give {needed}")
        chosen = Comparison(
            problems,
            test,
            named,
            select(PAPERS if prm else unscored(PAPERS), names or PAPERS, own),
            tokens,
            seeds=seeds or 3,
            width=width,
            jobs=jobs or 1,
        )
        chosen = replace(chosen, evaluate=settings.read_settings(chosen.evaluate, measure))
        check(chosen)
        said = {
            "problems": content(problems),
            "test": content(test),
            "tokens": tokens,
            "engines": named.named(),
            "evaluate": settings.say(chosen.evaluate),
        }
    display = Display()
    with RunFolder.open(run, said, version=__version__) as folder:
        if size:
            chosen = made_up(run, size, own)
            chosen = replace(chosen, evaluate=evaluate, jobs=jobs or chosen.jobs, width=width)
        outcome = play(folder, chosen, display)
    write(run, outcome, chosen)
    print_comparison(outcome)
    for name in FILES:
        display.wrote(run / name, f"{len(chosen.entries)} recipes, {chosen.seeds} seeds")
    if as_json:
        typer.echo(json.dumps(as_list(outcome)))
