"""Machines that a command runs its searches on: this one, or those of a cluster."""

from functools import partial
from pathlib import Path

from whorl.cli.given import given
from whorl.engines.roles import Opened, Opener
from whorl.errors import UserError

PATIENCE = 300.0
"""Seconds that a command of many stages waits for memory: hours of work would end with it."""


def opener(cluster: str, folder: Path, *, shard: str = "", patience: float = 0.0) -> Opener:
    """Where engines are opened. cluster: as the option says it; empty for this process. folder: on
    storage that all machines of a cluster share. patience: as `Opened` has it, in this process.
    Raises `UserError` if it cannot be read, or shards are wanted too."""
    needless = shard and given("shard") and not given("cluster")  # the user's default alone
    if not cluster or needless:
        return partial(Opened, patience=patience) if patience else Opened
    if shard:
        raise UserError("--cluster divides the problems itself; leave out --shard")
    from whorl.engines.cluster import Address
    from whorl.engines.cluster.crew import on_cluster

    return partial(on_cluster, Address.read(cluster), folder)
