"""`whorl export`: from a run folder or a file, and what it says of what it leaves out."""

import json
from pathlib import Path

import pytest

from whorl.ask import Prompt
from whorl.data.examples import write_examples
from whorl.data.purpose import write_purpose
from whorl.errors import UserError
from whorl.example import Likelihood, Weighted
from whorl.loop.folder import RunFolder
from whorl.problem import Problem
from whorl.tree import ROOT, Node, Tree


def told(result) -> str:
    """The one line of trouble on stderr."""
    assert result.exit_code == 2, result.output
    line = result.stderr.strip()
    assert line.startswith("error: ") and "\n" not in line
    return line


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder with one tree and three examples."""
    tree = Tree(Problem("a", "1+1?", "2"))
    tree.add(Node(ROOT, "\\boxed{2}", terminal=True, reward=1.0))
    with RunFolder.open(tmp_path / "run", {}, version="0") as folder:
        folder.trees.write_text(tree.to_json() + "\n")
        write_examples(
            folder.examples,
            [
                Weighted(Prompt("", "1+1?"), "2"),
                Weighted(Prompt("", "1+1?", "It is"), " 2"),
                Weighted(Prompt("", "1+2?"), "3", weight=-1.0),
            ],
        )
    return folder.path


def test_a_run_or_its_file_is_exported_and_nothing_is_lost_in_silence(
    whorl, run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "mine.jsonl"
    assert "example 3 has the weight -1" in told(
        whorl("export", "--format", "trl", run, "--out", out)
    )
    assert not out.exists()
    for source in (run, run / "examples.jsonl"):
        done = whorl("export", "--format", "trl", source, "--out", out, "--drop-weights")
        assert done.exit_code == 0, done.output
        assert done.stderr.splitlines() == [
            "left out: goes on with a turn that has begun: 1",
            "left out: weight not above 0: 1",
            f"wrote {out}: 1 examples",
        ]
        assert json.loads(out.read_text())["completion"][0]["content"] == "2"


def test_it_says_who_reads_weights_and_penalty(whorl, run: Path, tmp_path: Path) -> None:
    write_purpose(run / "examples.jsonl", "process", Likelihood(kl=0.2, penalty="exact"))
    out = tmp_path / "mine.jsonl"
    refused = told(whorl("export", "--format", "trl", run, "--out", out))
    assert "which trl cannot say: `whorl train` reads weights" in refused
    done = whorl("export", "--format", "trl", run, "--out", out, "--drop-weights")
    assert done.stderr.splitlines()[-1] == (
        "trl knows no weights and no penalty, as process has them; whorl train --model MODEL "
        f"--examples {run / 'examples.jsonl'} --out {run / 'checkpoint'} reads both"
    )


def test_llama_factory_gets_its_list_of_data_sets(whorl, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.json"
    done = whorl("export", "--format", "llama-factory", run, "--out", out, "--drop-weights")
    assert done.exit_code == 0, done.output
    assert f"wrote {tmp_path / 'dataset_info.json'}: data set mine" in done.stderr
    assert json.loads((tmp_path / "dataset_info.json").read_text())["mine"]["ranking"] is False


def test_steps_are_labelled(whorl, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "steps.jsonl"
    for source in (run, run / "trees.jsonl"):
        done = whorl("export", "--format", "prm", source, "--out", out, "--marker", "<s>")
        assert done.exit_code == 0, done.output
        assert done.stderr == f"wrote {out}: 1 solutions\n"
        assert json.loads(out.read_text())["input"] == "1+1? \\boxed{2}<s>"


def test_trouble_is_one_line(whorl, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.jsonl"

    def trouble(form: str, source: Path, to: Path, *more: object) -> str:
        return told(whorl("export", "--format", form, source, "--out", to, *more))

    assert "cannot be read" in trouble("trl", tmp_path / "none.jsonl", out)
    assert "is not a run folder" in trouble("trl", tmp_path, out)
    assert "unknown column" in trouble("trl", run / "trees.jsonl", out)
    assert "not a tree" in trouble("prm", run / "examples.jsonl", out)
    assert "is what is read" in trouble("trl", run, run / "examples.jsonl")
    assert "must end in" in trouble("trl", run, tmp_path / "x.csv")
    assert "cannot be written" in trouble("prm", run, run / "trees.jsonl" / "x.jsonl")
    assert "are for prm, not for trl" in trouble("trl", run, out, "--enough", "0.5")
    assert "are not for prm" in trouble("prm", run, out, "--end-turns")
    assert "enough must be" in trouble("prm", run, out, "--enough", "1")
    (run / "examples.jsonl").unlink()
    assert f"`whorl harvest {run}`" in trouble("trl", run, out)
    assert not out.exists()
    assert whorl("export", "--format", "csv", run, "--out", out).exit_code == 2


def test_trees_are_written_for_others_and_a_set_with_its_card(
    whorl, run: Path, tmp_path: Path
) -> None:
    for form, name, count in (
        ("art", "a.jsonl", "1 groups"),
        ("verl", "v.jsonl", "1 problems"),
        ("traces", "sessions", "1 sessions"),
        ("dataset", "set", "3 examples"),
    ):
        done = whorl("export", "--format", form, run, "--out", tmp_path / name)
        assert done.exit_code == 0, done.output
        assert done.stderr.splitlines()[-1] == f"wrote {tmp_path / name}: {count}"
    assert "## Columns" in (tmp_path / "set" / "README.md").read_text()
    again = whorl("export", "--format", "dataset", run, "--out", tmp_path / "set")
    assert "is not empty" in told(again)
    wrong = whorl("export", "--format", "art", run, "--out", tmp_path / "b.jsonl", "--push", "a/b")
    assert "--push and --public are for dataset, not for art" in told(wrong)
    wrong = whorl("export", "--format", "verl", run, "--out", tmp_path / "b.jsonl", "--end-turns")
    assert "are not for verl, which reads trees" in told(wrong)


def test_what_could_not_be_uploaded_is_by_the_same_command(
    whorl, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Path] = []

    def push(folder: Path, repository: str, *, public: bool) -> str:
        sent.append(folder)
        if len(sent) == 1:
            raise UserError(f"{repository} was not written to: no network")
        return "https://hub/commit/1"

    monkeypatch.setattr("whorl.cli.exports.push_to_hub", push)
    out = tmp_path / "set"
    command = ("export", "--format", "dataset", run, "--out", out, "--push", "me/mine")
    refused = told(whorl(*command))
    assert "no network" in refused and f"{out} is complete, the same command uploads it" in refused
    done = whorl(*command)
    assert done.exit_code == 0 and "pushed to https://hub/commit/1" in done.stderr, done.output
    write_examples(run / "examples.jsonl", [Weighted(Prompt("", "1+1?"), "2")])
    assert "is not empty" in told(whorl(*command)), "it is another set now"
    assert sent == [out, out]
