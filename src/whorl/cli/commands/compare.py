"""`whorl compare`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from whorl.cli import options
from whorl.recipes import RECIPES

if TYPE_CHECKING:
    from whorl.compare.comparison import Comparison
    from whorl.compare.made_up import ComparisonPreset
    from whorl.engines.roles import Engines

EXAMPLES = (
    "whorl compare --preset smoke",
    "whorl compare --preset smoke --recipes sigma,rft --run runs/compare --json",
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
            "sigma_whole_path, sigma_show_gold, process_once; or their "
            "controls: NAME_random, NAME_flipped, NAME_unfiltered, NAME_perturbed."
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
    teacher: options.Teacher = "",
    small: Annotated[
        str, typer.Option(help="Model that makes mistakes (SPHERE); else the base model.")
    ] = "",
    prm: Annotated[
        str, typer.Option(help="Process reward model (SPHERE); else rollouts score steps.")
    ] = "",
    student: Annotated[
        str, typer.Option(help="Model that learns, as local:FOLDER; else the base model.")
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
    folder.

    What is complete is not done again, and recipes, seeds and tokens can be
    added later. A larger --tokens in the same folder adds trees to those
    that are there and trains students beside those that are there, in
    folders named by the tokens they may use; rounds after the first grow
    trees of their own. The tokens of before write the figures of before
    again, and a number between takes the first of the trees.

    Each recipe searches, trains and plays rounds by its preset `paper`: what its
    paper says, and ours where the paper is silent (docs/papers.md, "Presets").
    A round has an equal share of the tokens. A recipe of your own is
    trained as its objective usually is, and called by its class.
    --set NAME.recipe.KEY=VALUE and NAME.train.KEY=VALUE change a recipe,
    NAME.shares=[0.5,1] when its students are trained and measured, evaluate.n=16
    the attempts for pass@k.

    A control harvests the trees of its recipe, at no tokens, with something
    spoilt: verdicts drawn at random, as often right as there are; a fifth of
    them flipped (--set NAME_flipped.control.rate=0.4); all of them right; or
    other numbers in the answers. What it gains is no gain by the verdicts. The
    search itself saw the true ones.

    With --student the base model samples and another one learns, from the
    recipes that can teach another: not from on-policy ones (marge, grpo,
    process). --set protocol=dart asks it as SIGMA's evaluation does, where it
    learns and where it is measured.
    """
    import json
    from dataclasses import replace

    from whorl import __version__
    from whorl.cli.comparison import FILES, as_list, print_comparison, write_comparison
    from whorl.cli.display import Display
    from whorl.compare.made_up import made_up, write_made_up
    from whorl.compare.play import play_comparison
    from whorl.engines.roles import Engines
    from whorl.errors import UserError
    from whorl.loop.folder import RunFolder
    from whorl.settings import read_settings
    from whorl.watch.events import recorded

    names = [name.strip() for name in recipes.split(",") if name.strip()]
    changes = overrides or ()
    own = [text for text in changes if not text.startswith("evaluate.")]
    attempts = [t.removeprefix("evaluate.") for t in changes if t.startswith("evaluate.")]
    size: ComparisonPreset | None = None
    if preset:
        if any((problems, test, policy, critic, reviser, teacher, small, prm, student)):
            raise UserError("a preset has its own models and problems; leave those options out")
        size = _sized(preset, names, seeds, tokens)
        chosen = made_up(run, size, own)
        chosen = replace(chosen, jobs=jobs or chosen.jobs)
    else:
        if not (problems and test and policy and tokens):
            needed = "--problems, --test, --policy and --tokens"
            raise UserError(f"name a --preset, or give {needed}")
        models = (policy, critic, reviser, small or policy, prm, student)
        engines = Engines(*models, processes, teacher=teacher)
        chosen = _of_files(problems, test, engines, names, own, tokens)
        chosen = replace(chosen, seeds=seeds or chosen.seeds, jobs=jobs or chosen.jobs)
    chosen = replace(chosen, width=width, evaluate=read_settings(chosen.evaluate, attempts))
    said = {"preset": preset, "evaluate": attempts} if preset else _said(chosen)
    display = Display()
    display.say(f"comparing {', '.join(method.name for method in chosen.methods)} in {run}")
    with RunFolder.open(run, said, version=__version__) as folder:
        if size:
            write_made_up(run, size)
        with recorded(display, folder.events, {}) as watch:
            findings = play_comparison(folder, chosen, watch)
    write_comparison(run, findings, chosen)
    print_comparison(findings)
    for name in FILES:
        display.wrote(run / name, f"{len(chosen.methods)} recipes, {chosen.seeds} seeds")
    if as_json:
        typer.echo(json.dumps(as_list(findings)))


def _sized(
    name: str, names: Sequence[str], seeds: int | None, tokens: int | None
) -> "ComparisonPreset":
    """The preset called `name`, with the methods, seeds and tokens that options name."""
    from dataclasses import replace

    from whorl.compare.made_up import PRESETS
    from whorl.errors import UserError

    if name not in PRESETS:
        raise UserError(f"no preset {name!r}; there are {', '.join(PRESETS)}")
    preset = PRESETS[name]
    return replace(
        preset,
        names=tuple(names) or preset.names,
        seeds=seeds or preset.seeds,
        tokens=tokens or preset.tokens,
    )


def _of_files(
    problems: Path,
    test: Path,
    engines: "Engines",
    names: Sequence[str],
    overrides: Sequence[str],
    tokens: int,
) -> "Comparison":
    """A comparison of the user's own models and problems. Raises `UserError` if one is missing."""
    from whorl.compare.comparison import Comparison, check_comparison
    from whorl.compare.methods import methods, select_methods, without_prm
    from whorl.loop.run import on_policy

    known = methods() if engines.prm else without_prm(methods())
    teach = [name for name, entry in known.items() if not on_policy(entry.harvest)]
    protocols = [text for text in overrides if text.startswith("protocol=")]
    own = [text for text in overrides if text not in protocols]
    chosen = Comparison(
        problems,
        test,
        engines,
        select_methods(known, names or (teach if engines.student else known), own),
        tokens,
        protocol=protocols[-1].removeprefix("protocol=") if protocols else "whorl",
    )
    check_comparison(chosen)
    return chosen


def _said(chosen: "Comparison") -> dict[str, Any]:
    """The settings that the folder of a comparison is bound to: tokens, recipes and seeds are not
    among them."""
    from whorl import settings
    from whorl.data.content import content

    student = chosen.engines.student
    return {
        "problems": content(chosen.problems),
        "test": content(chosen.test),
        "engines": chosen.engines.named(),
        **({"student": student, "protocol": chosen.protocol} if student else {}),
        "evaluate": settings.as_table(chosen.evaluate),
    }
