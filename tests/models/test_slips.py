from random import Random

from hypothesis import given
from hypothesis import strategies as st

from whorl.data.families import LEVELS, draw
from whorl.models import lessons, slips
from whorl.prompts.critique import read_critique, write_critique

seeds = st.integers(0, 10**6)


def situation(seed: int) -> slips.Situation:
    rng = Random(seed)
    story = draw(rng, rng.choice(LEVELS))
    return slips.situation(rng, story, rng.randrange(len(story.solution)))


@given(seeds)
def test_attempts_differ_and_their_values_are_on_the_scale(seed: int) -> None:
    seen = situation(seed)
    shown = [seen.step, *seen.siblings]
    assert 1 <= len({candidate.text for candidate in shown}) == len(shown) <= 3
    assert all(-1 <= candidate.q <= 1 for candidate in shown)


@given(seeds)
def test_the_review_names_what_is_wrong_and_nothing_that_is_right(seed: int) -> None:
    seen = situation(seed)
    critique = slips.review(seen)
    right = slips.claims(seen.right)
    assert critique.expected == ", ".join(right)
    assert (critique.verdict == "keep") == (slips.claims(seen.step.text) == right)
    assert bool(critique.errors) == (critique.verdict != "keep")
    assert not set(right) & {*critique.errors, *critique.avoid}
    assert set(critique.missing) <= set(right)
    assert not critique.empty


@given(seeds)
def test_a_review_is_read_as_it_was_written(seed: int) -> None:
    critique = slips.review(situation(seed))
    assert read_critique(write_critique(critique)) == critique


@given(seeds)
def test_a_path_covers_the_solution_and_a_dead_one_has_no_value(seed: int) -> None:
    rng = Random(seed)
    story = draw(rng, rng.choice(LEVELS))
    path = slips.path(rng, story)
    assert [s.right for s in path] == list(story.solution)
    if any(s.step.q > -1 for s in path):
        assert all(s.step.text == s.right for s in path)


def test_steps_to_review_are_right_and_wrong_in_every_way() -> None:
    seen = [situation(seed) for seed in range(600)]
    verdicts = [slips.review(s).verdict for s in seen]
    assert 0.5 < verdicts.count("keep") / 600 < 0.7
    assert verdicts.count("edit") > 60 < verdicts.count("replace")
    premature = [s for s in seen if "boxed" in s.step.text and "boxed" not in s.right]
    assert premature


def test_a_revision_is_the_right_step_whatever_the_critique_said() -> None:
    rng = Random(0)
    examples = [(s, lessons.revision_lesson(rng, s)) for s in map(situation, range(300))]
    assert all(example.text == s.right for s, example in examples)
    misled = [e for s, e in examples if write_critique(slips.review(s)) not in e.prompt.user]
    assert 0.07 < len(misled) / 300 < 0.2
