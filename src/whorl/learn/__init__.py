"""From examples to a better model."""
