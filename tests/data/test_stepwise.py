import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.data.stepwise import Stepwise, export_steps, label, rated_steps
from whorl.errors import UserError
from whorl.models import POLICY
from whorl.problem import Problem
from whorl.tree import ROOT, Node, Tree


def grown() -> Tree:
    """Two first steps; below the first one right answer drawn three times and a wrong one."""
    tree = Tree(Problem("a", "1+1+1?", "3"))
    good = tree.add(Node(ROOT, "1+1=2\n\n"))
    tree.add(Node(good, "2+1=3 \\boxed{3}", terminal=True, reward=1.0, copies=3))
    tree.add(Node(good, "2+1=4 \\boxed{4}", terminal=True, reward=0.0))
    bad = tree.add(Node(ROOT, "1+1=3\n\n"))
    tree.add(Node(bad, "3+1=4 \\boxed{4}", terminal=True, reward=0.0, copies=2))
    tree.add(Node(bad, "3+1=", pruned=True, note="cut off at the token limit"))
    return tree


def test_a_step_has_what_its_completions_reach() -> None:
    first, second, third = label(grown())
    assert first == Stepwise("1+1+1?", ("1+1=2", "2+1=3 \\boxed{3}"), (3, 3), (4, 3))
    assert second.values == (0.75, 0.0)
    assert third.values == (0.0, 0.0) and third.judged == (3, 2), "what was cut off is wrong"


def test_every_step_is_rated_once_after_what_the_policy_saw() -> None:
    tree = grown()
    soft = list(rated_steps(tree))
    assert [(s.origin, s.value) for s in soft] == [
        ("a#/1", 0.75),
        ("a#/2", 1.0),
        ("a#/3", 0.0),
        ("a#/4", 0.0),
        ("a#/5", 0.0),
    ]
    assert {(s.prompt.system, s.prompt.user) for s in soft} == {("", "1+1+1?")}
    assert soft[1].prompt.prefix == "1+1=2\n\n2+1=3 \\boxed{3}"
    assert [s.value for s in rated_steps(tree, enough=0.0)] == [1, 1, 0, 0, 0]
    assert [s.value for s in rated_steps(tree, enough=0.75)] == [0, 1, 0, 0, 0]


def test_a_step_behind_which_nothing_ends_is_wrong_and_an_open_verdict_does_not_count() -> None:
    tree = Tree(Problem("a", "1+1+1?", "3"))
    first = tree.add(Node(ROOT, "1+1=2\n\n"))
    tree.add(Node(first, "so 2+1=3 \\boxed{3}", terminal=True, reward=1.0))
    tree.add(Node(first, "who knows", pruned=True, mark="no answer", copies=2))
    tree.add(Node(first, "on and", pruned=True, mark="cut off"))
    tree.add(Node(first, "\\boxed{3.0?}", pruned=True, mark="undecided"))
    endless = tree.add(Node(ROOT, "let us see\n\n"))
    tree.add(Node(endless, "and see", pruned=True, mark="cut off"))
    assert [(s.origin, s.value) for s in rated_steps(tree)] == [
        ("a#/1", 0.25),
        ("a#/2", 1.0),
        ("a#/6", 0.0),
    ]


def test_rows_hold_what_reward_trainers_read(tmp_path: Path) -> None:
    out = tmp_path / "steps.jsonl"
    assert export_steps([grown()], out).rows == 3
    first, second, _ = map(json.loads, out.read_text().splitlines())
    assert first == {
        "prompt": "1+1+1?",
        "completions": ["1+1=2", "2+1=3 \\boxed{3}"],
        "labels": [True, True],
        "values": [0.75, 1.0],
        "counts": [4, 3],
        "input": "1+1+1? 1+1=2 ки\n2+1=3 \\boxed{3} ки",
    }
    assert second["labels"] == [True, False]
    export_steps([grown()], out, enough=0.75)
    assert [json.loads(line)["labels"] for line in out.read_text().splitlines()] == [
        [False, True],
        [False, False],
        [False, False],
    ]


def test_there_is_one_label_at_each_placeholder_that_openrlhf_finds(tmp_path: Path) -> None:
    """It looks for the placeholder among the token ids of `input` and puts the labels there."""
    from datasets import load_dataset
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(POLICY)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|step|>"]})
    (placeholder,) = tokenizer.encode("<|step|>", add_special_tokens=False)
    out = tmp_path / "steps.json"
    export_steps([grown()], out, marker="<|step|>")
    loaded = load_dataset(
        "json", data_files=str(out), split="train", cache_dir=str(tmp_path / "cache")
    )
    types = [loaded.features[name].feature.dtype for name in ("labels", "values", "counts")]
    assert types == ["bool", "float64", "int64"]
    for row in loaded:
        ids = tokenizer(row["input"], add_special_tokens=False)["input_ids"]
        assert ids.count(placeholder) == len(row["labels"]) == len(row["values"])


def test_what_the_policy_did_not_find_by_itself_is_left_out(tmp_path: Path) -> None:
    tree = grown()
    revised = tree.add(Node(ROOT, "1+1=2\n\n", author="reviser"))
    tree.add(Node(revised, "\\boxed{3}", terminal=True, reward=1.0))
    tree.add(Node(ROOT, "who knows", terminal=True))
    out = tmp_path / "steps.jsonl"
    exported = export_steps([tree, Tree(Problem("b", "2?", "2"))], out)
    assert exported.rows == 3
    assert exported.dropped == {
        "not the policy's alone": 1,
        "the answer was not judged": 1,
        "the tree has no solution": 1,
    }


def test_a_text_with_the_marker_in_it_is_left_out(tmp_path: Path) -> None:
    tree = Tree(Problem("a", "1+1?", "2"))
    tree.add(Node(ROOT, "ки 2", terminal=True, reward=1.0))
    with pytest.raises(UserError, match=r"nothing to export \(the text holds the marker: 1\)"):
        export_steps([tree], tmp_path / "steps.jsonl")
    assert export_steps([tree], tmp_path / "steps.jsonl", marker="<s>").rows == 1


@pytest.mark.parametrize(("enough", "marker"), [(1.0, "+"), (-0.1, "+"), (0.0, " ")])
def test_settings_that_make_no_sense(tmp_path: Path, enough: float, marker: str) -> None:
    with pytest.raises(UserError, match="must be"):
        export_steps([grown()], tmp_path / "steps.jsonl", enough=enough, marker=marker)


NODES = st.lists(
    st.tuples(st.integers(0, 10), st.sampled_from((None, None, 0.0, 1.0)), st.integers(1, 3)),
    min_size=1,
    max_size=12,
)


@given(NODES)
def test_labels_follow_the_leaves(drawn: list[tuple[int, float | None, int]]) -> None:
    tree = Tree(Problem("a", "?", "1"))
    inner = [ROOT]
    for number, (parent, reward, copies) in enumerate(drawn):
        node = Node(inner[parent % len(inner)], f"{number}\n\n", reward=reward, copies=copies)
        node.terminal = reward is not None
        index = tree.add(node)
        if not node.terminal:
            inner.append(index)
    solutions = {solution.steps: solution for solution in label(tree)}
    assert len(solutions) == len(list(tree.leaves()))
    for leaf in tree.leaves():
        solution = solutions[tuple(tree.nodes[i].text.strip() for i in tree.path(leaf))]
        assert solution.values[-1] == tree.nodes[leaf].reward
        assert list(solution.judged) == sorted(solution.judged, reverse=True)
        for step, value in zip(tree.path(leaf), solution.values, strict=True):
            below = [i for i in tree.leaves() if step in tree.path(i)]
            total = sum(tree.nodes[i].copies for i in below)
            right = sum(tree.nodes[i].copies for i in below if tree.nodes[i].reward == 1.0)
            assert value == right / total
