"""`whorl evaluate`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from whorl.cli import options
from whorl.cli.given import given

if TYPE_CHECKING:
    from whorl.cli.display import Display
    from whorl.engines.roles import Crews, Engines, Opener
    from whorl.evaluate import Decoding, Score, Setup
    from whorl.evaluate.exam import Exam

EXAMPLES = (
    "whorl evaluate --model policy --problems test.jsonl --out before.jsonl",
    "whorl evaluate --model runs/a/checkpoint --problems test.jsonl --out after.jsonl "
    "--against before.jsonl",
    "whorl evaluate --model policy --problems problems.jsonl --out scores.jsonl --preset "
    "qwen --samples 4 --temperature 0.8 --top-p 0.95",
)


def evaluate(  # noqa: PLR0913 (each parameter is an option)
    model: Annotated[
        str,
        typer.Option(
            help="Model: a folder, OWNER/NAME of the hub, a GGUF file, or one that came with whorl "
            "(policy, teacher, small; countdown_policy, countdown_teacher), with local:, openvino: "
            "or vllm: before it; or server:URL.",
            show_default=False,
        ),
    ],
    problems: options.Problems,
    out: Annotated[Path, typer.Option(help="File of scores to write.", show_default=False)],
    preset: Annotated[
        str,
        typer.Option(
            help="Protocol: whorl; dart, which SIGMA follows; qwen, which MARGE follows; for "
            "models that think qwen3, deepseek-r1, gpt-oss, magistral. Other options change it. "
            "Not given: the one that the model was trained for, or whorl."
        ),
    ] = "",
    samples: Annotated[
        int | None, typer.Option(min=1, help="Attempts at each problem.", show_default="1")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(min=0.0, help="0 is greedy decoding.", show_default="0")
    ] = None,
    top_p: Annotated[
        float | None, typer.Option(max=1.0, help="Nucleus mass.", show_default="1")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Tokens per attempt at most.", show_default="2048")
    ] = None,
    thought_tokens: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Tokens of the thought before an attempt at most, beside those of the attempt; 0 "
            "closes it at once.",
            show_default="no limit of its own",
        ),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(help="Scores to compare with, of the same problems.", show_default=False),
    ] = None,
    trained_on: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="RUN|MODEL|FILE",
            help="What the model was trained on, besides what its folder says; may be repeated.",
        ),
    ] = None,
    allow_seen: Annotated[
        bool, typer.Option("--allow-seen", help="Measure on questions it was trained on too.")
    ] = False,
    report_to: options.ReportTo = None,
    seed: options.Seed = 0,
    processes: options.Processes = 1,
    cluster: options.Cluster = "",
    shard: options.Shard = "",
    repair: options.Repair = False,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
) -> None:
    """Measure a model on held-out problems.

    Prints the protocol, then pass@1 and, of several samples, pass@k and the
    majority vote of k, by level and subject, with 95 % intervals; with
    --against, a paired test (exact McNemar, and a bootstrap of the difference)
    of whether the change is more than luck.

    What the model wrote is kept beside OUT, with verdicts and reasons: see
    `whorl show OUT`. After a crash or Ctrl-C the same command goes on, and
    asks nothing again. Many results side by side: `whorl table`.

    With the preset `whorl` a model that whorl trained is asked in the words it
    was trained under, which its folder says.

    A model is not measured on questions it was trained on. A folder that whorl
    trained says which these are; for others name them with --trained-on.

    --shard 3/16 attempts the third of sixteen equal parts, in a folder beside
    OUT that other machines share; after all of them `whorl merge OUT` writes the
    scores.
    --cluster auto attempts them on a Ray cluster (docs/cluster.md).
    """
    import json

    from whorl.cli.display import Display
    from whorl.cli.machines import opener
    from whorl.cli.results import print_summary, summary_as_json
    from whorl.engines import check
    from whorl.engines.model import pending
    from whorl.engines.repair import mended
    from whorl.engines.roles import Engines
    from whorl.errors import UserError
    from whorl.evaluate import Place, paired, sensible_ks, summarise
    from whorl.evaluate.exam import Exam
    from whorl.loop.exam_shards import whole_exam
    from whorl.watch import trackers

    check(model)
    if shard and given("as_json", "against", "report_to"):
        raise UserError(
            "a shard has no figures; give --json, --against, --report-to without --shard"
        )
    if not shard:
        trackers.check(report_to or ())
    where = opener(cluster, out.absolute().parent, shard=shard)
    said = (samples, temperature, top_p, max_tokens, thought_tokens)
    lacking = pending(model) if dry_run else ""
    known = "" if lacking else model  # what a folder says is not known before it is there
    setup = _setup(known, preset, dict(zip(DECODING, said, strict=True)))
    before = _compared(against, problems)
    seen, what_it_knows = _seen(known, problems, trained_on or [], allow_seen)
    for line in (f"model     {model}", f"problems  {problems}", *_told(setup, seed), what_it_knows):
        typer.echo(line)
    engines = Engines(model, processes=processes)
    if dry_run:
        return _describe(engines, problems, setup.decoding, where, lacking)
    display, exam = Display(), Exam(problems, setup, seed, seen)
    if shard:
        return _attempt_shard(engines, exam, (out, shard), display, repair=repair)
    with whole_exam(out):
        display.say_all(mended([Place(out).journal]) if repair else ())
        with where(engines) as opened:
            scores = _measured(opened, exam, out, display, report_to or ())
    summary = summarise(scores, ks=sensible_ks(setup.decoding.n))
    comparison = paired(before, scores) if before else None
    print_summary(summary, comparison)
    display.wrote(out, f"scores of {len(scores):,} problems")
    display.wrote(Place(out).attempts, "what was written, and the verdicts")
    if as_json:
        typer.echo(json.dumps(summary_as_json(summary, comparison) | {"made": Place(out).said()}))
    _tell_end(scores, out, against, display)


def _compared(against: Path | None, problems: Path) -> "list[Score] | None":
    """The scores to compare with. Raises `UserError`, before a model is opened, if they or the
    problems cannot be read, or are not of the same problems."""
    from whorl.data.problems import problem_ids
    from whorl.evaluate import read_scores
    from whorl.evaluate.alike import Asked, check_alike
    from whorl.evaluate.pairing import check_same

    asked = problem_ids(problems)
    if against is None:
        return None
    before = read_scores(against)
    check_same({score.id for score in before}, set(asked))
    check_alike(Asked.of_scores(against), Asked.of_file(problems))
    return before


def _tell_end(
    scores: Sequence["Score"], out: Path, against: Path | None, display: "Display"
) -> None:
    """List the problems that failed, and leave with the code for it; else say what may be next."""
    from whorl.cli.guard import FAILED, whorl
    from whorl.cli.plan import tell_failures
    from whorl.evaluate import Place

    if failures := {score.id: score.error for score in scores if score.error}:
        again = "The same command tries them again."
        tell_failures(Place(out).attempts, failures, again, what="problems")
        raise typer.Exit(FAILED)
    both = (*(() if against is None else (against,)), out)
    display.next(whorl("show", out), whorl("table", *both), whorl("view", *both))


def _describe(
    engines: "Engines", problems: Path, decoding: "Decoding", where: "Opener", lacking: str
) -> None:
    """Say what an evaluation may take at most, and whether `where` can open the model. lacking:
    what has to be done first."""
    from whorl.cli.estimate import evaluation_at_most
    from whorl.data.problems import read_problems

    typer.echo(evaluation_at_most(decoding, sum(1 for _ in read_problems(problems))))
    if not lacking:
        with where(engines) as opened:
            opened.crew("policy")
    typer.echo(f"{lacking or 'the model opens'}; nothing was written")


def _measured(
    opened: "Crews", exam: "Exam", out: Path, display: "Display", report_to: Sequence[str]
) -> list["Score"]:
    """Scores of the policy; events of their making are kept beside them, and the trackers
    `report_to` are told them."""
    from whorl.ask import Role
    from whorl.engines.model import model_content
    from whorl.evaluate import Place
    from whorl.evaluate.exam import measure
    from whorl.watch.events import recorded

    models: dict[Role, str] = {"policy": model_content(opened.engines.policy)}
    with recorded(display, Place(out).events, models, report_to) as watch:
        return measure(opened, exam, watch, out=out)


DECODING = ("n", "temperature", "top_p", "max_tokens", "thought_tokens")


def _setup(model: str, preset: str, said: Mapping[str, float | None]) -> "Setup":
    """The setup of a preset, or of how a model was trained, if one is named, with what the command
    says of its decoding, by the names of `DECODING`."""
    from dataclasses import replace

    from whorl.data.taught import read_prompt, read_protocol
    from whorl.engines.model import find_model
    from whorl.engines.spec import HERE, Spec
    from whorl.errors import UserError
    from whorl.evaluate import PRESETS
    from whorl.prompts.wording import WHORL

    here = model and Spec.read(model).scheme in HERE
    folder = find_model(model).folder if here else None
    preset = preset or (read_protocol(folder) if folder else "whorl")
    if preset not in PRESETS:
        raise UserError(f"there is no preset {preset!r}; there are {', '.join(PRESETS)}")
    setup = replace(PRESETS[preset], words=read_prompt(folder) if folder else WHORL)
    own: Any = {name: value for name, value in said.items() if value is not None}
    return replace(setup, decoding=replace(setup.decoding, **own))


def _attempt_shard(
    engines: "Engines", exam: "Exam", part: tuple[Path, str], display: "Display", *, repair: bool
) -> None:
    """Attempt a shard of the problems, and say what comes next. part: the file of all scores, and
    the shard as written. repair: damaged journals."""
    from whorl.cli.guard import FAILED
    from whorl.data.shard import Shard
    from whorl.engines.roles import Opened
    from whorl.evaluate import Place
    from whorl.evaluate.exam import measure, tell_failed
    from whorl.loop.exam_shards import open_exam_part
    from whorl.watch.events import recorded

    out, share = part[0], Shard.read(part[1])
    with (
        open_exam_part(out, share, display.say if repair else None) as (own, what),
        recorded(display, Place(own).events, {"policy": engines.policy}) as watch,
        Opened(engines) as opened,
    ):
        scores = measure(opened, exam, watch, out=own, part=what)
    display.say(f"shard {share} has come to its end; after all of them: whorl merge {out}")
    if tell_failed(scores, display):
        raise typer.Exit(FAILED)


def _told(setup: "Setup", seed: int) -> list[str]:
    """The protocol of an evaluation, in words."""
    prompt, decoding = setup.ask("QUESTION"), setup.decoding
    parts = {"system": prompt.system, "user": prompt.user, "text": prompt.prefix}
    words = ", ".join(f"{name} {text!r}" for name, text in parts.items() if text)
    often = "1 sample" if decoding.n == 1 else f"{decoding.n:,} samples"
    how = "greedy" if decoding.temperature == 0 else f"temperature {decoding.temperature}"
    fallback = ", else the last formula or number" if setup.guess else ", no guess"
    thought = decoding.thought_tokens
    thinks = "" if thought is None else f", after a thought of at most {thought:,}"
    return [
        f"prompt    {setup.template}: {words}",
        f"decoding  {often}, {how}, top_p {decoding.top_p}, at most {decoding.max_tokens:,} "
        f"tokens{thinks}, seed {seed}",
        f'answer    the last \\boxed{{}}, else after "answer is"{fallback}',
    ]


def _seen(model: str, problems: Path, others: list[Path], allowed: bool) -> tuple[list[str], str]:
    """Ids of the problems that the model was trained on, and a line that says what is known of its
    training. Raises `UserError` if there are such problems and `allowed` is false."""
    from whorl.loop.stages import learned_among

    both = learned_among(problems, model, others, allowed=allowed)
    if both is None:
        return [], "training  not known; name it with --trained-on"
    if not both:
        return [], "training  none of the questions is among those known to be trained on"
    count = f"{len(both):,} of the questions in {problems}"
    return both, f"training  SEEN: it was trained on {count}; the figures say nothing of others"
