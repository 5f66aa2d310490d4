"""An evaluation that is killed and goes on, what it leaves to open, and tables of many."""

import csv
import io
import json
import re
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from whorl.data.problems import write_problems
from whorl.data.synthetic import problems
from whorl.evaluate import Place, Score, read_records, read_scores, score_of, write_scores
from whorl.models import POLICY

MODEL = f"local:{POLICY}"
WHORL = "from whorl.__main__ import main; main()"
SAMPLED = ("--samples", "4", "--temperature", "0.8", "--max-tokens", "80", "--processes", "0")


def answers(journal: Path) -> int:
    try:
        with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as database:
            return int(database.execute("SELECT count(*) FROM answer").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def test_killed_it_goes_on_and_asks_nothing_again(whorl, tmp_path: Path) -> None:
    test, out, whole = (tmp_path / f"{name}.jsonl" for name in ("test", "out", "whole"))
    write_problems(test, problems("test", 30, seed=0, levels=[1]))
    command = ["evaluate", "--model", MODEL, "--problems", str(test), *SAMPLED, "--out"]
    place = Place(out)
    process = subprocess.Popen([sys.executable, "-c", WHORL, *command, str(out)])
    while not (known := answers(place.journal)) and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGSTOP)
    twice = whorl(*command, out)
    assert twice.exit_code == 2 and f"is in use by process {process.pid}" in twice.stderr
    process.send_signal(signal.SIGKILL)
    process.wait()
    known = answers(place.journal)
    assert known and not out.exists()
    other = whorl(*command, out, "--seed", "1")
    assert other.exit_code == 2 and "seed: 1 here, 0 there" in other.stderr

    on = whorl(*command, out)
    assert on.exit_code == 0, on.output
    assert f", {known:,} asks recalled" in on.stderr
    begun, counted = "evaluate: 30 problems\n", "evaluate: 30/30 done"
    assert 0 <= on.stderr.find(begun) < on.stderr.find(counted)
    assert not place.journal.exists()
    assert whorl(*command, whole).exit_code == 0
    assert out.read_bytes() == whole.read_bytes()
    assert place.attempts.read_bytes() == Place(whole).attempts.read_bytes()

    again = whorl(*command, out)
    assert again.exit_code == 0 and "evaluate:" not in again.stderr
    assert again.stdout == on.stdout
    records = list(read_records(place.attempts))
    assert sorted(map(score_of, records), key=lambda each: each.id) == read_scores(out)
    summary, *listed = whorl("show", out).stdout.replace("\n\n", "\n").splitlines()
    assert summary.startswith(f"{len(records)} problems: ")
    assert [line.split(":")[0] for line in listed] == [r.problem.id for r in records]
    shown = whorl("show", out, records[0].problem.id).stdout
    assert "4. " in shown and records[0].attempts[0].text.splitlines()[0] in shown
    assert whorl("show", out, "none").exit_code == 2


@pytest.fixture
def scores(tmp_path: Path) -> dict[str, Path]:
    """Two models on two benchmarks; one that the second was trained on."""
    rights = {
        "a/easy": [(1.0, 1.0), (1.0, 0.0), (0.0, 0.0), (1.0, 1.0)],
        "b/easy": [(1.0, 1.0), (1.0, 1.0), (0.0, 0.0), (1.0, 1.0)],
        "b/hard_1": [(0.0, 0.0)] * 8 + [(1.0, 0.0)] * 2,
    }
    found = {}
    for name, right in rights.items():
        model, test = name.split("/")
        place = Place(tmp_path / f"{model}-{test}.jsonl")
        seen = int(name == "b/hard_1")
        place.begin(
            {
                "setup": {"template": "whorl", "decoding": {"temperature": 0.8, "top_p": 1.0}},
                "about": {
                    "model": f"local:runs/{model}/checkpoint",
                    "problems": f"data/{test}.jsonl",
                    "trained_on": seen,
                },
            }
        )
        place.end(
            Score(str(n), "", each, tuple("yes" if r else "no" for r in each))
            for n, each in enumerate(right)
        )
        found[name] = place.scores
    return found


def test_a_table_of_models_and_benchmarks(whorl, scores: dict[str, Path], tmp_path: Path) -> None:
    done = whorl("table", *scores.values())
    assert done.exit_code == 0, done.output
    header, rule, a, b, *_ = done.stdout.splitlines()
    assert header == "| model | easy | hard_1 | mean |" and rule.count("---:") == 3
    assert a.startswith("| a/checkpoint | 62.5 (") and a.endswith("|  |  |")
    assert b.startswith("| b/checkpoint | 75.0 (") and "| 10.0† (" in b and "| 42.5† (" in b
    assert "† trained on some of these questions" in done.stdout
    assert "prompt whorl, samples 2, temperature 0.8, top_p 1.0" in done.stdout

    latex = whorl("table", "--format", "latex", "--measure", "pass@2", *scores.values()).stdout
    assert r"model & easy & hard\_1 & mean \\" in latex
    assert r"20.0$^\dagger$ {\scriptsize [" in latex and latex.count(r"\\") == 3

    out = tmp_path / "all.csv"
    assert whorl("table", "--format", "csv", "--out", out, *scores.values()).exit_code == 0
    rows = list(csv.DictReader(io.StringIO(out.read_text())))
    assert len(rows) == 3 * 3  # pass@1, pass@2 and maj@2 of each
    (one,) = [r for r in rows if (r["model"][0], r["measure"]) == ("a", "pass@2")]
    assert (float(one["value"]), one["samples"], one["trained_on"]) == (0.75, "2", "0")


def test_a_table_that_would_mislead_is_refused(
    whorl, scores: dict[str, Path], tmp_path: Path
) -> None:
    bare = tmp_path / "bare.jsonl"
    write_scores(bare, read_scores(scores["a/easy"]))
    for arguments, complaint in (
        ([scores["a/easy"], scores["a/easy"]], "are both checkpoint on easy"),
        ([f"x,t={scores['a/easy']}", f"y,t={scores['b/hard_1']}"], "not of the same problems"),
        ([bare], "how .* was made is not known"),
        ([f"x={bare}"], "MODEL,BENCHMARK=FILE is expected"),
        ([f"x,y={bare}", "--measure", "mean"], "no measure 'mean'"),
        ([f"x,y={bare}", "--measure", "pass@4"], "too few for @4"),
        ([f"x,y={bare}", "--format", "html"], "no format 'html'"),
    ):
        done = whorl("table", *arguments)
        assert done.exit_code == 2
        assert re.search(complaint, done.stderr), done.stderr
    named = whorl("table", f"Our model,Easy|1={bare}")
    assert named.exit_code == 0 and r"| model | Easy\|1 |" in named.stdout


def test_names_and_files_of_a_table_may_hold_an_equals_sign(
    whorl, scores: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("lr=1e-4,n=2")
    folder.mkdir()
    for file in scores["a/easy"].parent.glob("*.json*"):
        (folder / file.name.replace(scores["a/easy"].stem, "one")).write_bytes(file.read_bytes())
    done = whorl("table", "lr=1e-4,n=2/one.jsonl")
    assert done.exit_code == 0, done.output
    assert "| a/checkpoint |" in done.stdout or "| checkpoint |" in done.stdout
    for names in ("lr=1e-4,easy", "model,k=2"):
        done = whorl("table", f"{names}=lr=1e-4,n=2/one.jsonl")
        model, benchmark = names.split(",")
        header, _, row, *_ = done.stdout.splitlines()
        assert header == f"| model | {benchmark} |" and row.startswith(f"| {model} |"), done.output
    for missing in ("lr=1e-4/none.jsonl", "none=lr"):
        assert f"there is no file {missing};" in whorl("table", missing).stderr
    assert "there is no file none.jsonl;" in whorl("table", "a,b=none.jsonl").stderr


def test_measures_are_told_as_json(whorl, easy: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.jsonl"
    done = whorl(
        *("evaluate", "--model", MODEL, "--problems", easy, "--out", out, *SAMPLED, "--json")
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert list(found["passed"]) == ["1", "2", "4"] and list(found["majority"]) == ["2", "4"]
    assert found["made"]["setup"]["decoding"]["n"] == 4
    assert set(found["subjects"]) == {s.subject for s in read_scores(out)}


def test_what_fails_is_told_and_tried_again(whorl, easy: Path, tmp_path: Path) -> None:
    test, out = tmp_path / "t.jsonl", tmp_path / "o.jsonl"
    first = easy.read_text().splitlines()[0]
    test.write_text(
        first + "\n" + json.dumps(json.loads(first) | {"id": "l", "question": "a " * 9000})
    )
    command = ("evaluate", "--model", MODEL, "--problems", test, *SAMPLED, "--out", out)
    done = whorl(*command)
    assert done.exit_code == 1 and "failed: 1, counted as not right" in done.stdout
    assert "\nfailed: l: policy: prompt has " in done.stderr
    assert "1 problems failed. The same command tries them again." in done.stderr
    assert "the model takes" in whorl("show", out).stdout
    test.write_text(test.read_text() + "\n")
    assert whorl(*command).exit_code == 2  # other problems
    test.write_text(test.read_text()[:-1])
    again = whorl(*command)
    assert again.exit_code == 1 and "1/2 done, 1 failed, 1 asks recalled, 0 tokens" in again.stderr


def test_other_problems_under_the_same_ids_are_not_compared(whorl, tmp_path: Path) -> None:
    """Data sets that number their lines have their ids in common."""
    before = tmp_path / "before.jsonl"
    for name, seed in (("a", 0), ("b", 1)):
        numbered = enumerate(problems("test", 3, seed=seed, levels=[1]))
        write_problems(tmp_path / name, (replace(p, id=str(n)) for n, p in numbered))
    short = ("evaluate", "--model", MODEL, "--max-tokens", "8", "--processes", "0", "--problems")
    assert whorl(*short, tmp_path / "a", "--out", before).exit_code == 0
    after = tmp_path / "after.jsonl"
    refused = whorl(*short, tmp_path / "b", "--out", after, "--against", before)
    assert refused.exit_code == 2 and "not of the same problems: '0' has an" in refused.stderr
    assert not Place(after).setup.exists()  # before anything is asked
    assert whorl(*short, tmp_path / "b", "--out", after).exit_code == 0
    for test, code in (("t", 2), ("other", 0)):
        done = whorl("table", f"x,t={before}", f"y,{test}={after}")
        assert done.exit_code == code, done.output
    filtered = ("--scores", before, "--pass-rate", "0:1", "--out", tmp_path / "f.jsonl")
    assert whorl("problems", "--from", tmp_path / "a", *filtered).exit_code == 0
    done = whorl("problems", "--from", tmp_path / "b", *filtered)
    assert done.exit_code == 2 and "the problems to filter are not of the same" in done.stderr


def test_two_names_never_share_the_files_beside_them(whorl, easy: Path, tmp_path: Path) -> None:
    short = ("evaluate", "--model", MODEL, "--max-tokens", "8", "--processes", "0")
    command = (*short, "--problems", easy, "--out")
    assert whorl(*command, tmp_path / "s.jsonl").exit_code == 0
    beside = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for name, why in (
        ("s", "scores are a .jsonl file; give --out"),
        ("t.json", "t.json.jsonl"),
        ("s.attempts.jsonl", "of no evaluation that is known"),
        ("t.attempts.jsonl", "choose another --out"),
    ):
        for more in ((), ("--shard", "1/2")):
            done = whorl(*command, tmp_path / name, *more)
            assert done.exit_code == 2, done.output
            assert why in done.stderr or "is there already" in done.stderr
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == beside
