"""`python -m whorl` is `whorl`; what `torchrun -m whorl` starts."""

import sys


def main() -> None:
    """The `whorl` command; Ctrl-C while it still loads ends it like one that comes later."""
    try:
        from whorl.cli import app
    except KeyboardInterrupt:
        sys.exit(130)
    app()


if __name__ == "__main__":
    main()
