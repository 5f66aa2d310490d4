"""The one exception that is meant for a person."""

from importlib.util import find_spec


class UserError(Exception):
    """An error that the user can put right. The message is one line: what is wrong and what to
    do."""


def need(module: str, extra: str) -> None:
    """Look for an installed module. Raises `UserError` that names the extra which brings it."""
    if find_spec(module) is None:
        why = {
            "local": "a model in this process needs it, one behind a server (server:URL) does not",
            "train": "training needs it",
        }[extra]
        raise UserError(f"{module} is not installed: {why}; pip install 'whorl[{extra}]'")
