"""What is left of a run of rounds, by the stages that are over."""

from whorl.watch.course import Course


def test_a_first_round_counts_what_was_seen_and_no_training() -> None:
    course = Course()
    course.begin("evaluate", 0.0)  # before the first round
    course.round, course.rounds = 1, 2
    course.begin("grow", 30.0)
    assert not course.trains
    assert course.left(None, 40.0) is None, "nobody knows how long this one takes"
    assert course.left(90.0, 40.0) == 90 + 30 + (100 + 30), "and the second round as the first"


def test_a_training_is_a_stage_of_its_own_and_tells_what_is_left_of_it() -> None:
    course = Course(round=1, rounds=2)
    course.begin("grow", 0.0)
    course.train(1, 5, 100.0)
    assert course.trains and course.of_training(100.0) is None
    course.train(3, 5, 120.0)
    assert course.of_training(120.0) == 20.0
    assert course.left(20.0, 120.0) == 20 + (100 + 40)
    course.train(5, 5, 140.0)
    assert course.running is None and course.of_training(140.0) is None
    course.train(1, 5, 200.0)
    assert [stage.title for stage in course.stages] == ["grow", "train", "train"]


def test_the_mean_of_earlier_rounds_counts_and_interrupted_stages_add_up() -> None:
    course = Course(round=1, rounds=3)
    for begun, ended in ((0.0, 60.0), (100.0, 140.0)):  # the second after a restart
        course.begin("grow", begun)
        course.end(ended)
    course.round = 2
    course.begin("grow", 200.0)
    assert course.left(None, 230.0) == 70 + 100
    assert course.left(500.0, 230.0) == 500 + 100, "longer than before"
    assert Course().left(5.0, 0.0) is None
