"""What the library logs, shown as it is on stderr."""

import logging

import typer


class _Shown(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        typer.echo(self.format(record), err=True)


def show_log() -> None:
    """Show what whorl's modules log from now on; once is enough."""
    log = logging.getLogger("whorl")
    log.setLevel(logging.INFO)
    if not any(isinstance(handler, _Shown) for handler in log.handlers):
        log.addHandler(_Shown())
