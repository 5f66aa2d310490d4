"""`python -m whorl` is `whorl`; what `torchrun -m whorl` starts."""

import sys


def main() -> None:
    """The `whorl` command; Ctrl-C while it still loads ends it like one that comes later."""
    try:
        from whorl.cli import main as command
    except KeyboardInterrupt:
        sys.exit(130)
    command()


if __name__ == "__main__":
    main()
