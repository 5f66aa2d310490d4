"""`python -m whorl` is `whorl`; what `torchrun -m whorl` starts."""

from whorl.cli import main

main()
