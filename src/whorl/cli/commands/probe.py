"""`whorl probe`."""

from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = (
    "whorl probe policy",
    "whorl probe 'policy?template=alpaca'",
    "whorl probe 'server:http://localhost:8000/v1?tokenizer=policy' --question '3+4?'",
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
) -> None:
    """See what a model says and what its server can do.

    Of a server, prints how prompts are sent, whether a step can be continued,
    and what it lacks; of a model here, what its chat template does; then the
    model's greedy answer to a question.
    """
    from whorl import prompts
    from whorl.ask import Ask, Failure
    from whorl.cli.display import Display
    from whorl.engines import check, open_engine
    from whorl.engines.model import find_model
    from whorl.engines.spec import HERE, Spec
    from whorl.errors import UserError

    check(model)
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
