"""A model folder under another chat template, or under its own with something settled.

The choice becomes a folder of links to the model's files with a `chat_template.jinja` of its own,
so that whatever reads the folder, this program or another one, finds the same template; and what is
trained from it has it too.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from datetime import date
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any

from whorl.chat.named import BEGINNING, TEMPLATES
from whorl.chat.renderer import renderer
from whorl.chat.template import DAY, frozen, told
from whorl.data.cache import cached
from whorl.engines.hub import called
from whorl.errors import UserError
from whorl.prompts.families import FAMILIES

LOG = logging.getLogger("whorl.engines")

TEMPLATE = "chat_template.jinja"


def dressed(folder: Path, settings: Mapping[str, str]) -> tuple[Path, dict[str, str]]:
    """The folder under the template that `settings` choose, and the settings that are not about it.

    template: `alpaca`, `qwen`, `plain` or a Jinja file; else the folder's own. date: what day the
    template is told that it is, as 2026-11-28. family: one of `FAMILIES`, whose switch for thoughts
    is set. And whatever the template itself looks at, such as `enable_thinking`. Raises `UserError`
    if one of them cannot be used.
    """
    if not settings:
        return folder, {}
    source = _source(folder, settings.get("template", ""))
    known = _variables(folder, source)
    switch = _switch(settings.get("family", ""))
    for name in sorted(switch.keys() - known):
        _tell_deaf(settings["family"], folder, name)
    said = switch | {name: read_value(text) for name, text in settings.items()}
    values = {name: value for name, value in said.items() if name in known}
    own = {"template", "date", "family", *values}
    rest = {name: text for name, text in settings.items() if name not in own}
    if len(rest) == len(settings):
        return folder, rest
    chosen = told(frozen(source, _day(settings)), values)
    about = f"{folder.resolve()}\n{sorted(path.name for path in folder.iterdir())}\n{chosen}"
    digest = hashlib.blake2b(about.encode(), digest_size=8).hexdigest()
    return cached(
        "dressed",
        digest,
        called(folder).rpartition("/")[2],
        make=lambda new: _link(folder, chosen, new),
    ), rest


def template_names(folder: Path) -> list[str]:
    """What may be settled of the folder's own template."""
    return ["template", "date", "family", *sorted(_variables(folder, _source(folder, "")))]


def _variables(folder: Path, source: str) -> set[str]:
    """What a template looks at. Raises `UserError` if it cannot be read within limits."""
    found = renderer(source).variables()
    if found.error:
        raise UserError(f"the chat template of {folder} cannot be read: {found.error}")
    return set(found.text.split())


def unknown(scheme: str, name: str, names: list[str]) -> UserError:
    """That an engine of this kind has no such setting."""
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
    return UserError(f"{scheme}: has no setting {name!r}; {hint}")


def read_value(text: str) -> Any:
    """A number, a truth value or a structure as JSON writes it, else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def own_template(folder: Path) -> str:
    """A folder's own chat template; empty if it has none."""
    if (folder / TEMPLATE).is_file():
        return (folder / TEMPLATE).read_text(encoding="utf-8")
    try:
        said = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    found = said.get("chat_template") or ""
    if isinstance(found, list):  # several by name
        found = {each.get("name"): each.get("template", "") for each in found}.get("default", "")
    return str(found)


@lru_cache(maxsize=64)  # a run asks for a model's folder several times, and is told once
def _tell_deaf(family: str, folder: Path, name: str) -> None:
    LOG.warning(
        "family=%s: the chat template of %s does not look at %s; its model thinks as it likes",
        family,
        folder,
        name,
    )


def _switch(family: str) -> dict[str, object]:
    """What a family's template is told for the model to think."""
    if family and family not in FAMILIES:
        raise UserError(f"family={family} is none of {', '.join(FAMILIES)}")
    return dict(FAMILIES[family].switch) if family else {}


def _source(folder: Path, chosen: str) -> str:
    if not chosen:
        return own_template(folder)
    if chosen in TEMPLATES:
        return _suited(folder, chosen)
    try:
        return Path(chosen).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        known = ", ".join(TEMPLATES)
        raise UserError(
            f"template={chosen} is no file that can be read, and none of {known}"
        ) from error


def _suited(folder: Path, chosen: str) -> str:
    """One of `TEMPLATES` for the folder's tokenizer. Raises `UserError` if that lacks a mark."""
    from whorl.chat.tokenizer import load_tokenizer

    tokenizer = load_tokenizer(folder)
    source = TEMPLATES[chosen]
    for mark in ("<|im_start|>", "<|im_end|>"):
        if mark in source and mark not in tokenizer.get_vocab():
            raise UserError(
                f"template={chosen} needs a tokenizer that knows {mark}, which that of {folder} "
                "does not; use alpaca or plain"
            )
    first = next(iter(tokenizer("x")["input_ids"]), None)
    begins = first is not None and first == tokenizer.bos_token_id
    return BEGINNING + source if begins else source


def _day(settings: Mapping[str, str]) -> date:
    text = settings.get("date")
    if text is None:
        return DAY
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise UserError(f"date={text} is no day; write it as {DAY}") from error


def _link(folder: Path, template: str, new: Path) -> None:
    for file in folder.iterdir():
        if file.is_file() and file.name != TEMPLATE:
            (new / file.name).symlink_to(file.resolve())
    (new / TEMPLATE).write_text(template, encoding="utf-8")
