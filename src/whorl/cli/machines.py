"""Machines that a command runs its searches on: this one, or those of a cluster."""

from functools import partial
from pathlib import Path

from whorl.engines.roles import Opened, Opener
from whorl.errors import UserError


def opener(cluster: str, folder: Path, *, shard: str = "") -> Opener:
    """Where engines are opened. cluster: as the option says it; empty for this process. folder: on
    storage that all machines of a cluster share. Raises `UserError` if it cannot be read, or shards
    are wanted too."""
    if not cluster:
        return Opened
    if shard:
        raise UserError("--cluster divides the problems itself; leave out --shard")
    from whorl.engines.cluster import Address
    from whorl.engines.cluster.crew import on_cluster

    return partial(on_cluster, Address.read(cluster), folder)
