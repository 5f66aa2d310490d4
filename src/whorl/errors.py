"""The one exception that is meant for a person."""


class UserError(Exception):
    """An error that the user can put right. The message is one line: what is wrong and what to
    do."""
