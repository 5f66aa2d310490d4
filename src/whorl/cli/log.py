"""Log messages of the library, shown on stderr."""

import logging

import typer


class _Shown(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        typer.echo(self.format(record), err=True)


def show_log() -> None:
    """Show log messages of whorl's modules from now on; calling once is enough."""
    log = logging.getLogger("whorl")
    log.setLevel(logging.INFO)
    if not any(isinstance(handler, _Shown) for handler in log.handlers):
        log.addHandler(_Shown())
