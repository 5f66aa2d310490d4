"""Many methods at equal cost: the same model, problems, tokens, verifier and evaluation."""
