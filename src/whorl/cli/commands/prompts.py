"""`whorl prompts`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whorl.cli import options

if TYPE_CHECKING:
    from whorl.ask import Prompt, Role
    from whorl.recipe import Recipe

EXAMPLES = (
    "whorl prompts run.toml",
    "whorl prompts --recipe sigma --set words=prose",
    "whorl prompts --recipe rft --model policy",
)
QUESTION = "Mia has 7 apples and buys 5 more. How many apples does she have now?"
STEPS = ("She has 7 + 5 = 13 apples.\n\n", "The answer is \\boxed{13}.")


def prompts(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Run file.", show_default=False)
    ] = None,
    recipe: options.Recipe = "sigma",
    overrides: options.Overrides = None,
    model: Annotated[
        str,
        typer.Option(help="Show the text that this model continues, under its chat template."),
    ] = "",
) -> None:
    """Show what each role is asked, on a made-up problem.

    The words are the recipe's setting `words`, in a run file \\[prompts]: the
    name of a set (whorl, prose, script, qwen), or a table that starts from one:

        \\[prompts]
        set = "prose"
        solve.user = "Question: {question}"
        examples = [{question = "1+1?", solution = "It is \\boxed{2}."}]

    There are solve, critique, revise, critique_path, revise_path and reflect,
    each with system and user; names in braces stand for what is asked about.
    """
    from whorl import settings
    from whorl.chat import Chat
    from whorl.cli.given import given
    from whorl.engines.model import find_model
    from whorl.errors import UserError
    from whorl.loop.runfile import read_run
    from whorl.recipes import name_of

    changes = overrides or ()
    if file and given("recipe"):
        raise UserError(f"{file} says its recipe; leave out --recipe, or the file")
    if file:
        chosen = read_run(file, changes).recipe
    else:
        chosen = settings.read_recipe({"name": recipe}, changes)
    chat = Chat.load(find_model(model).folder) if model else None
    typer.echo(f"{name_of(chosen)} asks", err=True)
    for role, what, prompt in asked(chosen):
        typer.echo(f"\n=== {role}: {what}")
        if chat:
            typer.echo(chat.render(prompt))
            continue
        for name, text in (("system", prompt.system), ("user", prompt.user)):
            if text:
                typer.echo(f"--- {name}\n{text}")


def asked(recipe: "Recipe") -> "list[tuple[Role, str, Prompt]]":
    """The prompts of the roles that a recipe asks, each with its purpose."""
    from whorl import prompts as made
    from whorl.prompts import Candidate
    from whorl.recipe import words_of

    words = words_of(recipe)
    right, siblings = "12", [Candidate("She has 7 + 5 = 12 apples.", 1.0)]
    path = [Candidate(text, -1.0) for text in STEPS]
    critique = "What the critic said."
    found: list[tuple[Role, str, Prompt]] = []
    for role in recipe.roles:
        if role in ("policy", "small", "teacher"):
            found.append((role, "solve", made.solve(QUESTION, words)))
    gold = right if getattr(recipe, "show_gold", False) else None
    if "critic" in recipe.roles and getattr(recipe, "mode", "") == "whole_path":
        found += [
            ("critic", "critique_path", made.critique_path(
                QUESTION, path, [siblings, []], gold=gold, words=words)),
            ("reviser", "revise_path", made.revise_path(
                QUESTION, STEPS, critique, gold=gold, words=words)),
        ]  # fmt: skip
    elif getattr(recipe, "mode", "") == "afresh":
        found.append(("reviser", "solve, missed", made.solve_again(QUESTION, ["17", "2"], words)))
    elif "critic" in recipe.roles:
        found += [
            ("critic", "critique", made.critique_step(
                QUESTION, "", path[0], siblings, gold=gold, words=words)),
            ("reviser", "revise", made.revise_step(
                QUESTION, "", STEPS[0], critique, gold=gold, words=words)),
        ]  # fmt: skip
    if getattr(recipe, "tries", 0):
        found.append(("policy", "reflect", made.reflect(QUESTION, "".join(STEPS), words)))
    return found
