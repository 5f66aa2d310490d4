"""Whatever answers asks: models, judges, functions."""
