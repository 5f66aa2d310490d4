import re
from collections import Counter
from fractions import Fraction
from itertools import combinations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.data import synthetic
from whorl.data.families import LEVELS, draw
from whorl.data.story import OPERATORS, Story
from whorl.data.synthetic import Split, generate, problems, split_of
from whorl.errors import UserError
from whorl.steps import BlankLine

SPLITS: tuple[Split, ...] = ("test", "dev", "pool", "pretrain")

drawn = st.builds(
    lambda seed, level: draw(Random(seed), level), st.integers(), st.sampled_from(LEVELS)
)


def drawn_from(family: str) -> st.SearchStrategy[Story]:
    def first(seed: int, level: int) -> Story:
        rng = Random(seed)
        return next(s for s in iter(lambda: draw(rng, level), None) if s and s.family == family)

    return st.builds(first, st.integers(), st.sampled_from(LEVELS))


@given(drawn)
def test_every_equation_is_true_and_the_last_one_is_the_answer(story: Story) -> None:
    equations = [re.findall(r"(\d+)([-+*/])(\d+)=(\d+)", text)[0] for text in story.solution[:-1]]
    for a, op, b, result in equations:
        exact = Fraction(int(a)) / int(b) if op == "/" else OPERATORS[op](int(a), int(b))
        assert exact == int(result) > 0
    assert equations[-1][-1] == str(story.answer)
    assert story.solution[-1] == f"The answer is \\boxed{{{story.answer}}}."


@given(drawn)
def test_the_level_is_the_number_of_equations_less_one(story: Story) -> None:
    assert len(story.steps) == story.level + 1 == len(story.solution) - 1
    assert story.problem("test").level == str(story.level)


@given(drawn)
def test_the_question_holds_every_number_that_the_solution_starts_from(story: Story) -> None:
    literals = {n for step in story.steps for n in (step.a, step.b) if isinstance(n, int)}
    words = {"twice": 2, "50": 2, "25": 4, "20": 5}  # percentages are worked out by division
    said = {int(n) for n in re.findall(r"\d+", story.question)}
    said |= {n for word, n in words.items() if word in story.question}
    assert literals <= said


@given(drawn_from("expression"))
def test_an_expression_is_worth_its_answer(story: Story) -> None:
    expression = story.question.removeprefix("Calculate ").removesuffix(".")
    assert eval(re.sub(r"(\d+)", r"Fraction(\1)", expression)) == story.answer


@given(drawn_from("equation"))
def test_the_answer_solves_the_equation(story: Story) -> None:
    left, right = re.search(r"(\S*x\S*)=(\d+)", story.question).groups()  # type: ignore[union-attr]
    assert eval(left.replace("x", f"Fraction({story.answer})")) == int(right)


@given(drawn)
def test_steps_are_cut_where_they_were_joined(story: Story) -> None:
    text = "\n\n".join(story.solution)
    assert [step.strip() for step in BlankLine().split(text)] == list(story.solution)


@given(drawn, st.data())
def test_a_slip_changes_what_follows_from_it_and_nothing_before(
    story: Story, data: st.DataObject
) -> None:
    where = data.draw(st.integers(0, len(story.steps) - 1))
    results = story.work({where: story.results[where] + 1})
    assert results[:where] == story.results[:where]
    assert results[where] == story.results[where] + 1
    assert story.written(results)[:where] == story.solution[:where]
    assert story.work({}) == story.results


def test_splits_share_no_arithmetic_and_hold_their_share() -> None:
    found = {split: {s.digest for s in generate(split, 400, seed=3)} for split in SPLITS}
    assert all(len(digests) == 400 for digests in found.values())
    for one, other in combinations(SPLITS, 2):
        assert not found[one] & found[other]
    rng = Random(0)
    shares = Counter(split_of(draw(rng, 5)) for _ in range(2000))
    assert 0.07 < shares["test"] / 2000 < 0.13
    assert 0.36 < shares["pool"] / 2000 < 0.44


def test_other_names_and_words_are_the_same_problem() -> None:
    rng = Random(0)
    by_digest: dict[str, set[str]] = {}
    for _ in range(20_000):
        story = draw(rng, 1)
        by_digest.setdefault(story.digest, set()).add(story.question)
    assert max(len(questions) for questions in by_digest.values()) > 5
    repeated = next(q for q in by_digest.values() if len(q) > 5)
    assert len({re.sub(r"[^\d]+", " ", question) for question in repeated}) <= 3


def test_the_same_seed_gives_the_same_problems() -> None:
    assert list(problems("pool", 50, seed=1)) == list(problems("pool", 50, seed=1))
    assert list(problems("pool", 50, seed=1)) != list(problems("pool", 50, seed=2))


def test_a_problem_carries_its_split_and_a_unique_id() -> None:
    found = list(problems("dev", 300, seed=0, levels=(2, 3)))
    assert len({p.id for p in found}) == 300
    assert {p.level for p in found} == {"2", "3"}
    assert {(p.split, p.source) for p in found} == {("dev", "synthetic")}
    assert all(p.answer.isdecimal() for p in found)


def test_levels_come_equally_often() -> None:
    counts = Counter(s.level for s in generate("pool", 2000, seed=0))
    assert set(counts) == set(LEVELS)
    assert all(330 < count < 470 for count in counts.values())


@pytest.mark.parametrize("levels", [(), (0,), (1, 6)])
def test_unknown_levels_are_refused(levels: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="levels are 1 to 5"):
        list(generate("test", 1, seed=0, levels=levels))


def test_an_exhausted_split_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthetic, "_PATIENCE", 200)
    with pytest.raises(UserError, match="no more than"):
        list(generate("dev", 100_000, seed=0, levels=(1,)))
