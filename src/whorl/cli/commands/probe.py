"""`whorl probe`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from whorl.cli import options

EXAMPLES = (
    "whorl probe policy",
    "whorl probe 'policy?template=alpaca'",
    "whorl probe 'server:http://localhost:8000/v1?tokenizer=policy' --question '3+4?'",
    "whorl probe policy --recall test.jsonl --limit 100",
)


def probe(
    model: Annotated[
        str,
        typer.Argument(
            help="Model: server:URL, or a folder, OWNER/NAME of the hub or a GGUF file.",
            show_default=False,
        ),
    ],
    question: Annotated[
        str, typer.Option(help="What it is asked.")
    ] = "Mia has 7 apples and buys 5 more. How many apples does she have now?",
    recall: Annotated[
        Path | None,
        typer.Option(
            help="File of problems, .jsonl or .jsonl.gz: does it know their questions by heart?",
            show_default=False,
        ),
    ] = None,
    share: Annotated[
        float,
        typer.Option(min=0.01, max=0.99, help="Words of a question that are shown for --recall."),
    ] = 0.6,
    limit: options.Limit = None,
    as_json: options.Json = False,
) -> None:
    """See what a model says, what its server can do, and whether it knows a test.

    Of a server, prints how prompts are sent, whether a step can be continued,
    and what it lacks; of a model here, what its chat template does; then the
    model's greedy answer to a question.

    With --recall the model is shown the first words of every question as plain
    text and writes on, greedily. Printed is how often it wrote the rest of the
    question word for word, and how often it came to the right answer of a
    question that it had not read to the end. Of a model that has not seen the
    test both are about nothing: how much, problems made up today say.
    """
    from whorl import prompts
    from whorl.ask import Ask, Failure
    from whorl.cli.display import Display
    from whorl.cli.given import given
    from whorl.engines import check, open_engine
    from whorl.engines.model import find_model
    from whorl.engines.spec import HERE, Spec
    from whorl.errors import UserError

    if not recall and given("limit", "share"):
        raise UserError("--limit and --share are for --recall FILE; leave them out, or name it")
    if recall and given("question"):
        raise UserError("--recall asks the questions of its file; leave out --question")
    check(model)
    if recall:
        _recall(model, recall, share, limit, as_json)
        return
    Display().say(f"opening {model}")
    engine = open_engine(model, processes=0)
    try:
        engine.submit(0, Ask(prompts.solve(question), max_tokens=512, temperature=0.0))
        answered = engine.poll(1.0)
        while not answered:
            answered = engine.poll(1.0)
    finally:
        engine.close()
    if Spec.read(model).scheme in HERE:
        for line in _manner(find_model(model).folder):
            typer.echo(line, err=True)
    ((_, said),) = answered
    if isinstance(said, Failure):
        raise UserError(f"{model}: {said.error}")
    typer.echo(said[0].text)
    typer.echo(f"({said[0].tokens:,} tokens, ended by {said[0].finished})", err=True)
    if as_json:
        typer.echo(json.dumps({"text": said[0].text, "tokens": said[0].tokens}))


def _recall(model: str, file: Path, share: float, limit: int | None, as_json: bool) -> None:
    """Say how many questions of a file a model knows by heart."""
    from itertools import islice

    from whorl.cli.display import Display
    from whorl.data.problems import read_problems
    from whorl.engines.roles import Engines, Opened
    from whorl.errors import UserError
    from whorl.evaluate import wilson
    from whorl.evaluate.recall import askable, recall_questions

    problems = [one for one in islice(read_problems(file), limit) if askable(one.question)]
    if not problems:
        raise UserError(f"{file}: no question can be asked, none has two words")
    Display().say(f"opening {model}")
    with Opened(Engines(model, processes=0)) as opened:
        every = list(recall_questions(problems, opened.by_role("policy"), share=share))
    asked = [one for one in every if not one.error]
    if not asked:
        raise UserError(f"{file}: no question could be asked: {every[0].error}")
    counts = {
        "rest of the question word for word": sum(one.exact for one in asked),
        "right answer all the same": sum(one.right for one in asked),
    }
    typer.echo(f"{len(asked):,} questions, {100 * share:g} % of their words shown, greedy, as text")
    for what, count in counts.items():
        rate = wilson(count, len(asked))
        interval = f"{100 * rate.low:.1f} to {100 * rate.high:.1f}"
        typer.echo(f"{what:<36}{count:>6,}  {100 * rate.value:5.1f} % ({interval})")
    if failed := len(every) - len(asked):
        typer.echo(f"{failed:,} failed: {next(one.error for one in every if one.error)}", err=True)
    if as_json:
        exact, right = counts.values()
        said = {"questions": len(asked), "share": share, "failed": failed}
        typer.echo(json.dumps(said | {"exact": exact, "right": right}))


def _manner(folder: Path) -> list[str]:
    """The way a chat template takes turns, in words."""
    from whorl.chat import Chat

    chat = Chat.load(folder)
    system = "are left out" if chat.turns.deaf else "have a turn of their own"
    if chat.turns.merged:
        system = "go before the user's"
    tokens = " ".join(sorted(chat.tokenizer.convert_ids_to_tokens(sorted(chat.ends))))
    others = "".join(f", {text!r}" for text in chat.stops)
    return [
        f"system's words         {system}",
        f"training ends a turn   {chat.tokenizer.decode(list(chat.end))}",
        f"sampling ends it at    {tokens}{others}",
    ]
