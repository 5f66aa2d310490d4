"""What a model was trained on: known from its folder, from runs and files, and by its wording."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl import prompts
from whorl.data.contamination import check_apart, fingerprints_in, ids_among
from whorl.data.examples import write_examples
from whorl.data.problems import write_problems
from whorl.errors import UserError
from whorl.evaluate.seen import trained_on
from whorl.example import Pair, Weighted
from whorl.learn.folder import read_questions, write_questions
from whorl.problem import Problem, fingerprint
from whorl.tree import Tree

ASKED = [Problem(str(n), f"What is {n} + {n}?\n\nStep by step.", str(2 * n)) for n in range(4)]
FRESH = [Problem(f"f{n}", f"What is {n} - {n}?", "0") for n in range(4)]


@given(st.text(), st.sampled_from([" ", "\n", ", ", "$ "]))
def test_layout_and_case_make_no_other_wording(text: str, layout: str) -> None:
    spread = layout + text.replace(" ", layout).upper()
    if spread.casefold() == (layout + text.replace(" ", layout)).casefold():
        assert fingerprint(spread) == fingerprint(text)


def test_other_signs_and_no_words_are_told_apart() -> None:
    assert fingerprint("2+2?") != fingerprint("2-2?")
    assert fingerprint(" ?! ") == "" and not ids_among([Problem("a", "?!", "1")], {""})


def test_every_kind_of_file_names_its_questions(tmp_path: Path) -> None:
    trees, problems = tmp_path / "trees.jsonl", tmp_path / "p.jsonl.gz"
    trees.write_text("".join(Tree(problem).to_json() + "\n" for problem in ASKED))
    write_problems(problems, ASKED)
    weighted, pairs, others = (tmp_path / f"{name}.jsonl" for name in ("w", "p", "o"))
    write_examples(weighted, [Weighted(prompts.solve(p.question), "So") for p in ASKED])
    write_examples(pairs, [Pair(prompts.reflect(p.question, "No"), "1", "2") for p in ASKED])
    rows = ({"prompt": [{"role": "user", "content": p.question}]} for p in ASKED)
    others.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for path in (trees, problems, weighted, pairs, others):
        known = fingerprints_in(path)
        assert ids_among([*ASKED, *FRESH], known) == [p.id for p in ASKED], path


@pytest.mark.parametrize(
    "row", ["{", '{"text": "x"}', '{"nodes": [], "problem": 1}', '{"prompt": 1}']
)
def test_a_line_that_names_none_is_refused(tmp_path: Path, row: str) -> None:
    path = tmp_path / "odd.jsonl.gz"
    with gzip.open(path, "wt") as file:
        file.write(json.dumps({"question": "?"}) + "\n" + row + "\n")
    with pytest.raises(UserError, match=r"odd\.jsonl\.gz, line 2: "):
        fingerprints_in(path)


def test_a_model_knows_what_those_before_it_learned(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    write_questions(first, tmp_path / "none", [fingerprint(ASKED[0].question), ""])
    write_questions(second, first, [fingerprint(ASKED[1].question)])
    assert ids_among(ASKED, trained_on(f"local:{first}")) == ["0"]
    assert ids_among(ASKED, trained_on(f"vllm:{second}?dtype=bfloat16")) == ["0", "1"]
    assert trained_on("server:http://host/v1") == trained_on(f"local:{tmp_path}") == frozenset()
    assert (second / "trained-on.txt").read_text().splitlines() == sorted(read_questions(second))

    run = tmp_path / "run" / "round-1"
    run.mkdir(parents=True)
    (run / "trees.jsonl").write_text(Tree(ASKED[2]).to_json() + "\n")
    write_problems(tmp_path / "more.jsonl", ASKED[3:])
    others = [tmp_path / "run", tmp_path / "more.jsonl"]
    assert ids_among([*ASKED, *FRESH], trained_on(f"local:{second}", others)) == [
        "0",
        "1",
        "2",
        "3",
    ]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty holds no question"):
        trained_on("local:x", [tmp_path / "empty"])


def test_learning_and_measuring_stay_apart(tmp_path: Path) -> None:
    learn, test = tmp_path / "learn.jsonl", tmp_path / "test.jsonl"
    write_problems(learn, ASKED)
    write_problems(test, FRESH)
    check_apart(learn, test)
    write_problems(test, [*FRESH, Problem("x", ASKED[2].question.upper(), "4")])
    with pytest.raises(UserError, match=r"1 problems are both in .*, the first: 2; .*--against"):
        check_apart(learn, test)
