"""One run: its folder, its problems, and its rounds of growing, harvesting, training, measuring."""
