"""`whorl compare`."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from whorl.cli import options
from whorl.cli.defaults import options_from
from whorl.cli.given import given, settings_typed
from whorl.recipes import RECIPES

MODELS = ("policy", "critic", "reviser", "teacher", "small", "prm", "student")

if TYPE_CHECKING:
    from whorl.compare.comparison import Comparison
    from whorl.compare.made_up import ComparisonPreset
    from whorl.engines.roles import Engines, Opener

EXAMPLES = (
    "whorl compare --preset smoke",
    "whorl compare --preset smoke --recipes sigma,rft --run runs/compare --json",
)


def compare(  # noqa: PLR0913 (each parameter is an option)
    file: Annotated[
        Path | None,
        typer.Argument(
            help="File of these options, as in runs/real-gsm8k.toml; those given besides are "
            "taken instead of the file's; --set adds to its settings.",
            callback=options_from,
            is_eager=True,
            show_default=False,
        ),
    ] = None,
    preset: Annotated[
        str,
        typer.Option(
            help="smoke or small: the shipped models on made-up problems. For your own: paper (if "
            "not given), laptop or gpu, the preset of every recipe that has it; one that has not "
            "is compared only if --recipes names it, by its paper."
        ),
    ] = "",
    recipes: Annotated[
        str,
        typer.Option(
            help=f"Comma-separated: {', '.join(RECIPES)} (all that have the preset if not "
            "given), your own as module:Class, or variants: sigma_unrefined, sigma_no_siblings, "
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
    often: Annotated[
        Path | None,
        typer.Option(help="File of problems to attempt several times, for pass@k; else --test's."),
    ] = None,
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
        int | None,
        typer.Option(
            min=1,
            help="Recipes at work at once, on one thread each; 1, or with a preset of the shipped "
            "models one per core.",
        ),
    ] = None,
    width: options.Width = 256,
    processes: options.Processes = 0,
    cluster: options.Cluster = "",
    repair: options.Repair = False,
    dry_run: options.DryRun = False,
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
    paper says, and ours where the paper is silent (docs/papers.md, "Presets");
    --preset laptop fits half a billion parameters on a few cores, gpu seven
    billion on one GPU.
    A round has an equal share of the tokens and draws no questions of its own;
    all rounds are played. All are measured alike: one greedy attempt, and 8 at
    temperature 0.8 for pass@k, as long as the presets have it. A recipe of your
    own is trained as its objective usually is, and called by its class.
    --set NAME.recipe.KEY=VALUE and NAME.train.KEY=VALUE change a recipe,
    NAME.shares=[0.5,1] when its students are trained and measured (of recipes that
    are compared; FILE may have settings of others), evaluate.n=16
    the attempts for pass@k, evaluate.max_tokens=512 their length.

    A control harvests the trees of its recipe, at no tokens, with something
    spoilt: verdicts drawn at random, as often right as there are; a fifth of
    them flipped (--set NAME_flipped.control.rate=0.4); all of them right; or
    other numbers in the answers. What it gains is no gain by the verdicts. The
    search itself saw the true ones. Its settings are those of its recipe.

    With --student the base model samples and another one learns, from the
    recipes that can teach another: not from on-policy ones (marge, grpo,
    process). --set protocol=dart asks it as SIGMA's evaluation does, where it
    learns and where it is measured.

    --cluster auto grows and measures on the Ray cluster that this machine belongs
    to, a recipe after the other, and trains here: docs/cluster.md. CPU minutes
    are then those of this machine alone.
    """
    from dataclasses import replace

    from whorl.cli.machines import PATIENCE, opener
    from whorl.compare.comparison import check_comparison
    from whorl.compare.made_up import PRESETS, made_up
    from whorl.engines.roles import Engines
    from whorl.errors import UserError
    from whorl.loop.folder import RunFolder
    from whorl.settings import read_settings

    where = opener(cluster, run.absolute().parent, patience=PATIENCE)
    if cluster and given("jobs") and (jobs or 1) > 1:
        raise UserError("--cluster divides the searches of a recipe; leave out --jobs")
    names = [name.strip() for name in recipes.split(",") if name.strip()]
    own, attempts, protocol = _sorted(overrides or ())
    typed = _sorted(settings_typed())[0]
    _check_typed(student if preset not in PRESETS else "")
    size: ComparisonPreset | None = None
    if preset in PRESETS:
        if given("problems", "test", "often", *MODELS):
            raise UserError("a preset has its own models and problems; leave those options out")
        size = _sized(PRESETS[preset], names, seeds, tokens)
        chosen = made_up(run, size, own, typed)
        chosen = replace(chosen, engines=replace(chosen.engines, processes=processes))
    else:
        preset = _known(preset)
        if not (problems and test and policy and tokens):
            needed = "--problems, --test, --policy and --tokens"
            raise UserError(f"name a --preset of the shipped models, or give {needed}")
        engines = Engines(
            *(policy, critic, reviser, small or policy, prm, student),
            processes=processes,
            teacher=teacher,
        )
        chosen = _of_files((problems, test, often), engines, names, (own, typed), tokens, preset)
        chosen = replace(chosen, seeds=seeds or chosen.seeds, protocol=protocol)
        check_comparison(chosen)
    evaluate = read_settings(chosen.evaluate, attempts)
    at_once = 1 if cluster else jobs or chosen.jobs
    chosen = replace(chosen, jobs=at_once, width=width, evaluate=evaluate)
    said = {"preset": preset, "evaluate": attempts} if size else _said(chosen)
    RunFolder.check(run, said)
    if dry_run:
        return _describe(chosen, run)
    _play(run, chosen, (said, size), where, repair=repair, as_json=as_json)


def _play(
    run: Path,
    chosen: "Comparison",
    bound: tuple[dict[str, Any], "ComparisonPreset | None"],
    where: "Opener",
    *,
    repair: bool,
    as_json: bool,
) -> None:
    """Play a comparison and write its results. bound: to what the folder is; the size of made-up
    problems, which are written first. where: opens engines. repair: damaged journals."""
    import json

    from whorl import __version__
    from whorl.cli.comparison import (
        FILES,
        as_list,
        others,
        print_comparison,
        write_comparison,
    )
    from whorl.cli.display import Display
    from whorl.compare.made_up import write_made_up
    from whorl.compare.play import play_comparison
    from whorl.engines.repair import mended
    from whorl.loop.folder import RunFolder
    from whorl.watch.events import recorded

    display, (said, size) = Display(), bound
    display.say(f"comparing {', '.join(method.name for method in chosen.methods)} in {run}")
    with RunFolder.open(run, said, version=__version__) as folder:
        display.say_all(mended(run.rglob("*journal.db")) if repair else ())
        if size:
            write_made_up(run, size)
        with recorded(display, folder.events, {}) as watch:
            findings = play_comparison(folder, chosen, watch, where=where)
    missing = others(run, chosen)
    write_comparison(run, findings, chosen)
    print_comparison(findings)
    for name in FILES:
        display.wrote(run / name, f"{len(chosen.methods)} recipes, {chosen.seeds} seeds")
    if missing:
        display.say(
            f"no longer in these tables: {', '.join(missing)}; to have all in one, name them in "
            "--recipes too (what is complete is not done again)"
        )
    if as_json:
        typer.echo(json.dumps(as_list(findings)))


def _describe(chosen: "Comparison", run: Path) -> None:
    """Say what a comparison would do and take at most. Raises `UserError` if a model it has yet to
    ask is not there."""
    from whorl.cli.estimate import evaluation_at_most, findable_gain
    from whorl.compare.play import check_models
    from whorl.data.problems import read_problems

    names = ", ".join(method.name for method in chosen.methods)
    students = len(chosen.methods) * chosen.seeds
    forests = len({method.forest for method in chosen.methods}) * chosen.seeds
    shared = ", as some share their trees" if forests < students else ""
    typer.echo(f"recipes: {names}")
    typer.echo(
        f"growing: {chosen.tokens:,} tokens for each recipe and seed, "
        f"{chosen.tokens * forests:,} in all{shared}"
    )
    typer.echo(f"training: {students:,} students at least, more where a recipe plays rounds")
    for method in chosen.methods:
        own, rounds = method.train, len(method.shares) if method.rounds else 1
        times = f"{own.epochs:,} {'epochs' if own.epochs > 1 else 'epoch'}"
        adapters = f", adapters of rank {own.lora.rank}" if own.lora.rank else ""
        typer.echo(
            f"  {method.name}: {rounds:,} {'rounds' if rounds > 1 else 'round'}, {times}, "
            f"lr {own.lr:g}, batches of {own.batch:,} {own.batch_of}, warm-up "
            f"{own.warmup:g}, {own.max_length:,} tokens{adapters}"
        )
    for name, exam in chosen.exams().items():
        if exam.problems.exists():
            count = sum(1 for _ in read_problems(exam.problems))
            typer.echo(f"{evaluation_at_most(exam.setup.decoding, count)}, for each student")
            if name == "greedy":
                typer.echo(findable_gain(count))
    for line in check_models(run, chosen, download=False):
        typer.echo(line)
    typer.echo("nothing was written")


def _sorted(overrides: Iterable[str]) -> tuple[list[str], list[str], str]:
    """The settings of recipes, those of the attempts for pass@k, and the protocol."""
    own: list[str] = []
    attempts: list[str] = []
    protocol = "whorl"
    for text in overrides:
        if text.startswith("evaluate."):
            attempts.append(text.removeprefix("evaluate."))
        elif text.startswith("protocol="):
            protocol = text.removeprefix("protocol=")
        else:
            own.append(text)
    return own, attempts, protocol


def _check_typed(student: str) -> None:
    """Raises `UserError` for a protocol on the command line without a student that is asked by
    it."""
    from whorl.errors import UserError

    if not student and any(text.startswith("protocol=") for text in settings_typed()):
        raise UserError("protocol says how a --student is asked, and there is none; leave it out")


def _sized(
    preset: "ComparisonPreset", names: Sequence[str], seeds: int | None, tokens: int | None
) -> "ComparisonPreset":
    """A preset with the methods, seeds and tokens that options name."""
    from dataclasses import replace

    return replace(
        preset,
        names=tuple(names) or preset.names,
        seeds=seeds or preset.seeds,
        tokens=tokens or preset.tokens,
    )


def _known(preset: str) -> str:
    """The name of a preset that recipes have. Raises `UserError` if none has it."""
    from whorl.compare.made_up import PRESETS
    from whorl.errors import UserError
    from whorl.settings.presets import presets_of

    known = dict.fromkeys(which for kind in RECIPES.values() for which in presets_of(kind))
    if preset and preset not in known:
        raise UserError(f"no preset {preset!r}; there are {', '.join([*PRESETS, *known])}")
    return preset


def _of_files(
    files: tuple[Path, Path, Path | None],
    engines: "Engines",
    names: Sequence[str],
    overrides: tuple[Sequence[str], Sequence[str]],
    tokens: int,
    preset: str,
) -> "Comparison":
    """A comparison of the user's own models and problems. files: to learn from, to measure on, and
    to attempt several times. overrides: all, and those that have to change something."""
    from dataclasses import replace

    from whorl.compare.comparison import Comparison
    from whorl.compare.methods import attempts, methods, select_methods, without_prm
    from whorl.loop.run import on_policy
    from whorl.settings.presets import presets_of

    problems, test, often = files
    own, typed = overrides
    known = methods(preset) if engines.prm else without_prm(methods(preset))
    usual = [name for name in known if not preset or preset in presets_of(RECIPES[name])]
    teach = [name for name in usual if not on_policy(known[name].harvest)]
    named = names or (teach if engines.student else usual)
    compared = select_methods(known, named, own, which=preset, typed=typed)
    chosen = Comparison(problems, test, engines, compared, tokens, often)
    length = attempts(preset).max_tokens
    return replace(chosen, evaluate=replace(chosen.evaluate, max_tokens=length))


def _said(chosen: "Comparison") -> dict[str, Any]:
    """The settings that the folder of a comparison is bound to: tokens, recipes and seeds are not
    among them."""
    from whorl import settings
    from whorl.data.content import content
    from whorl.engines.model import unaddressed

    student = chosen.engines.student
    return {
        "problems": content(chosen.problems),
        "test": content(chosen.test),
        **({"often": content(chosen.often)} if chosen.often else {}),
        "engines": {role: unaddressed(spec) for role, spec in chosen.engines.named().items()},
        **({"student": student, "protocol": chosen.protocol} if student else {}),
        "evaluate": settings.as_table(chosen.evaluate),
    }
