"""Forms of critique over a small tree with replies sent by hand, and the table made of them."""

from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

from whorl.ask import Ask, Reply
from whorl.problem import Problem
from whorl.tree import Node, Tree


@pytest.fixture(scope="module")
def forms(load_benchmark: Callable[[str], ModuleType]) -> ModuleType:
    return load_benchmark("critique_forms")


@pytest.fixture(scope="module")
def script(load_benchmark: Callable[[str], ModuleType]) -> ModuleType:
    return load_benchmark("critique")


def tree(name: str = "p/0", *, right: bool = False) -> Tree:
    """Two solutions of 6 * 7: the best path says 48 (or 42), the other one 40."""
    grown = Tree(Problem(id=name, question="What is 6 * 7?", answer="42"))
    first = grown.add(Node(0, "We multiply.\n\n", visits=2, total=float(right)))
    end = "So it is \\boxed{42}." if right else "So it is \\boxed{48}."
    grown.add(Node(first, end, terminal=True, reward=float(right), visits=1, total=float(right)))
    other = grown.add(Node(0, "We add.\n\n", visits=1))
    grown.add(Node(other, "So it is \\boxed{40}.", terminal=True, reward=0.0, visits=1))
    if not right:
        grown.nodes[first].total = 0.5  # or both would be as good
    return grown


def play(form: Callable, over: Tree, *said: str) -> tuple[list[Ask], object]:
    """The asks of a form that is answered so, and what came of it."""
    search, replies, asked = form(over), iter(said), []
    answers = None
    while True:
        try:
            asks = search.send(answers)
        except StopIteration as ended:
            assert next(replies, None) is None
            return asked, ended.value
        asked += asks
        answers = [tuple(Reply(next(replies), tokens=1) for _ in range(a.n)) for a in asks]


def test_only_what_is_behind_the_first_wrong_step_is_written_afresh(forms: ModuleType) -> None:
    asks, outcome = play(
        forms.first(outcomes=True), tree(), "First wrong step: 2", "6 * 7 = \\boxed{42}"
    )
    assert "led to 40" in asks[0].prompt.user
    assert asks[1].prompt.prefix == "We multiply.\n\n"
    assert outcome.ends == ["We multiply.\n\n6 * 7 = \\boxed{42}"]
    assert (outcome.revised, outcome.steps) == (1, 2)


def test_a_path_without_a_wrong_step_is_kept(forms: ModuleType) -> None:
    _, outcome = play(forms.first(), tree(), "All good.\n**First wrong step: 0**")
    assert outcome.ends[0].endswith("\\boxed{48}.") and outcome.revised == 0
    _, outcome = play(forms.first(told=True), tree(right=True))
    assert outcome.ends[0].endswith("\\boxed{42}.")
    asks, _ = play(forms.first(told=True), tree(), "First wrong step: 0", "\\boxed{42}")
    assert asks[1].prompt.prefix == ""  # it is known to be wrong, so all of it is solved afresh


def test_of_different_answers_one_is_chosen(forms: ModuleType) -> None:
    form = forms.choose(rival=False)
    asks, _ = play(form, tree(), "Right: none", "\\boxed{42}")
    letter = "A" if asks[0].prompt.user.index("40") < asks[0].prompt.user.index("48") else "B"
    _, outcome = play(form, tree(), f"They part at once.\nRight: {letter}")
    assert outcome.ends == ["We add.\n\nSo it is \\boxed{40}."]
    _, outcome = play(forms.choose(rival=True), tree(), "\\boxed{42}", "Right: none")
    assert outcome.ends == ["\\boxed{42}"]


@pytest.mark.parametrize(
    ("text", "number"),
    [("First wrong step: 3", 3), ("First wrong step: step 2.", 2), ("none", 0), ("... step: 9", 0)],
)
def test_the_number_of_a_step_is_read(forms: ModuleType, text: str, number: int) -> None:
    assert forms.first_named(text, 4) == number


def rows(critic: str, form: str, ends: dict[str, list[str]]) -> Iterator[dict[str, object]]:
    for name, texts in ends.items():
        boxed = [f"\\boxed{{{text}}}" for text in texts]
        yield {"problem": name, "critic": critic, "form": form, "ends": boxed, "tokens": 100}


def test_the_table_counts_over_the_same_paths_at_the_same_tokens(
    script: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    trees = {f"p/{n}": tree(f"p/{n}", right=n >= 4) for n in range(8)}
    wrong, right = list(trees)[:4], list(trees)[4:]
    found = [
        *rows(
            "critic", "first", {**{key: ["42"] for key in wrong}, **{key: ["41"] for key in right}}
        ),
        *rows("critic", "solve", {key: ["42"] for key in trees}),
        *rows("critic", "vote", {key: ["40", "40", "40"] for key in trees}),
        *rows("policy", "vote", {key: ["1", "2", "2", "42"] for key in trees}),
    ]
    figures = script.report(trees, found, "policy")
    held = [name for name in trees if script.half_of(name) == 1]
    assert figures["wrong_paths"] == figures["repaired"] == len([n for n in held if n in wrong])
    assert figures["right_paths"] == figures["broken"] == len([n for n in held if n in right])
    # hundred tokens buy two solutions of the critic, one right, and four of the policy, one right
    assert figures["redecoded"] == figures["wrong_paths"] and figures["majority"] == 0
    assert "critic" in capsys.readouterr().out
