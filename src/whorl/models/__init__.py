"""The six tiny models that come with whorl, and what made them."""

from pathlib import Path

POLICY = Path(__file__).parent / "policy"
TEACHER = Path(__file__).parent / "teacher"
SMALL = Path(__file__).parent / "small"
PRM = Path(__file__).parent / "prm"
COUNTDOWN_POLICY = Path(__file__).parent / "countdown_policy"
COUNTDOWN_TEACHER = Path(__file__).parent / "countdown_teacher"
