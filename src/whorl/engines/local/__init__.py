"""The embedded engine: `engine` batches, `llama` computes, `rows` and `prefix` remember, `sampling`
chooses, `stops` ends."""

from whorl.engines.local.engine import Local

__all__ = ["Local"]
