"""What a sample of a run's problems tells of its training."""

from whorl.loop.sampling import Stopwatch


def test_a_step_takes_as_long_as_those_that_were_told_and_those_between() -> None:
    """A training of 100 steps tells of every second one."""
    seconds = iter([10.0, 14.0, 20.0])
    clock = Stopwatch(lambda: next(seconds))
    clock.training(2, 100, 0.5)
    assert clock.per_step() is None, "the first one took what comes before it too"
    clock.training(4, 100, 0.5)
    assert clock.per_step() == 2.0
    clock.training(6, 100, 0.5)
    assert clock.per_step() == 2.5
