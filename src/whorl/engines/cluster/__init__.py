"""Clusters: searches on many machines by Ray, which places, watches and carries; what is added is
leases of searches."""

from whorl.engines.cluster.address import Address

__all__ = ["Address"]
