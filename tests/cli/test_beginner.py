"""The first hour of a beginner: the whole journey, and what goes wrong on it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from whorl.data.problems import write_problems
from whorl.data.synthetic import problems

QUICK = """
rounds = 2
limit = 6
engines.processes = 0
train.epochs = 1
evaluate.max_tokens = 60
recipe.samples = 2
recipe.sampling.solution_tokens = 60
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A fresh folder with tables of one's own, which is the current one."""
    folder = tmp_path_factory.mktemp("home")
    before = Path.cwd()
    os.chdir(folder)
    for name, split in (("mine.csv", "pool"), ("exam.csv", "test")):
        rows = [
            f'"{each.question}",{each.answer}' for each in problems(split, 6, seed=0, levels=[1])
        ]
        Path(name).write_text("\n".join(["Aufgabe,Ergebnis", *rows]) + "\n")
    yield folder
    os.chdir(before)


@pytest.mark.timeout(900)
def test_the_journey_from_a_table_to_a_table(whorl, home: Path) -> None:
    """Every command of it, interrupted in the middle, and what each says last."""
    columns = ("--map", "question=Aufgabe,answer=Ergebnis")
    for table, out in (("mine.csv", "problems.jsonl"), ("exam.csv", "test.jsonl")):
        made = whorl("problems", "--from", table, *columns, "--out", out)
        assert f"wrote {out}: 6 problems of {table}" in made.stderr
        assert last(made) == f"next: whorl init --problems {out} --policy MODEL"
    files = ("--problems", "problems.jsonl", "--test", "test.jsonl")
    begun = whorl("init", "--recipe", "rft", *files, "--policy", "policy")
    assert last(begun) == "next: whorl run run.toml --dry-run, or whorl run run.toml"
    changes = [part for line in QUICK.split("\n") if line for part in ("--set", line)]
    run = ("run", "run.toml", *changes)
    looked = whorl(*run, "--dry-run")
    assert looked.stdout.splitlines()[-1] == "the engines open; nothing was written"

    # not by -m: a Ctrl-C inside a text that is executed, as dataclasses do while modules load, then
    # ends Python by the signal, whatever code the command asked for
    with subprocess.Popen(
        [sys.executable, "-c", "from whorl.__main__ import main; main()", *run],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as child:
        assert child.stderr is not None
        said = child.stderr.readline()
        time.sleep(1.0)
        child.send_signal(signal.SIGINT)
        rest = child.stderr.read().splitlines()
    assert said == "opening policy (policy)\n" and child.returncode == 130
    assert rest[-1].startswith("stopped, and nothing finished is lost. To go on, repeat: whorl run")

    played = whorl(*run)
    assert played.exit_code == 0, played.output
    assert "wrote runs/first/report.html: report; open it in a browser" in played.stderr
    assert last(played) == "next: whorl view runs/first, or whorl show runs/first"
    assert "round-1:" in whorl("show", "runs/first").stdout
    page = "wrote runs/first/report.html: report; open it in a browser"
    assert last(whorl("report", "runs/first")) == page
    harvested = whorl("harvest", "runs/first")
    assert "wrote runs/first/examples.jsonl: " in harvested.stderr, harvested.output
    assert "examples of 12 trees" in harvested.stderr
    assert last(harvested) == (
        "next: whorl train --model policy --examples runs/first/examples.jsonl --out "
        "runs/first/checkpoint"
    )
    assert last(
        whorl("export", "--format", "trl", "runs/first", "--out", "out/sft.jsonl")
    ).endswith(" examples")
    learned = Path("runs/first/round-2/examples.jsonl").read_bytes()
    for where in (("runs/first", "--round", 2), ("runs/first/round-2",)):
        refused = whorl("harvest", *where, "--protocol", "dart")
        assert refused.exit_code == 2 and "name another --out" in refused.stderr
        assert whorl("harvest", *where, "--out", "out/other.jsonl").exit_code == 0
    assert Path("runs/first/round-2/examples.jsonl").read_bytes() == learned
    one = whorl("export", "--format", "trl", "runs/first", "--round", 2, "--out", "out/2.jsonl")
    assert last(one).startswith("wrote out/2.jsonl: ")
    common = ("--problems", "test.jsonl", "--max-tokens", 60, "--processes", 0)
    assert whorl("evaluate", "--model", "policy", *common, "--out", "before.jsonl").exit_code == 0
    newest = "runs/first/round-2/checkpoint"
    after = whorl("evaluate", "--model", newest, *common, "--out", "after.jsonl")
    assert last(after).startswith("next: whorl show after.jsonl, or whorl table after.jsonl")
    assert "| checkpoint |" in whorl("table", "before.jsonl", "after.jsonl").stdout


def last(result) -> str:
    assert result.exit_code == 0, result.output
    return [line for line in result.stderr.splitlines() if not line.startswith("then: ")][-1]


GROW = "grow --recipe rft --problems good.jsonl --policy policy --run new"
WRONG = {
    "grow": "Missing option '--problems'",
    "gorw --problems good.jsonl": "No such command 'gorw'",
    GROW.replace("good", "gone"): "gone.jsonl: there is no such file",
    GROW.replace(
        "good.jsonl", "odd.csv"
    ): "--map question=COLUMN,answer=COLUMN --out problems.jsonl",
    GROW.replace("good.jsonl", "empty.jsonl"): "holds no problem (it is empty)",
    GROW.replace("good.jsonl", "prose.txt"): "prose.txt, line 1: broken JSON at column 1",
    GROW.replace(
        "--policy policy", "--policy Qwen"
    ): "there is no model folder 'Qwen'; write local:",
    GROW.replace(
        " --policy policy", ""
    ): "rft asks a policy, and none is named; give --policy MODEL",
    GROW.replace("rft", "sgima"): "did you mean sigma?",
    GROW.replace("rft", "sphere"): "give --prm MODEL and --small MODEL",
    GROW + " --set sample=2": "unknown setting sample; did you mean samples?",
    GROW + " --set samples": "--set needs KEY=VALUE, for example seed=1, not 'samples'",
    GROW + " --set budget.tokens=-1": "tokens must be above 0, not -1",
    GROW.replace("--run new", "--run full"): "full is not empty and not a run folder; use another",
    GROW.replace("--run new", "--run good.jsonl"): "good.jsonl is a file, not a run folder",
    GROW.replace("good.jsonl", "wide.csv"): "wide.csv is text in UTF-16; save it as UTF-8",
    GROW.replace("good.jsonl", "latin.csv"): "latin.csv, line 2: not UTF-8; save the file as UTF-8",
    GROW.replace("good.jsonl", "book.xlsx"): "book.xlsx is no text; save it as CSV in UTF-8, JSON",
    GROW.replace("good.jsonl", "list.json"): "not a JSON object, but a list; write its objects one",
    GROW.replace("good.jsonl", "."): " is a folder; name a .jsonl",
    GROW.replace("--policy policy", "--policy http://h:1/v1"): "write server:http://h:1/v1",
    GROW.replace("--policy policy", "--policy policy?wieghts=int8"): "has no setting 'wieghts'",
    GROW + " --report-to wandv": "report_to = wandv: there are ",
    GROW + " --shard 5/4": "a shard is written as 3/16, the third of sixteen, not '5/4'",
    GROW + " --set samples=lots": "samples should be a valid integer, not 'lots'",
    "run typo.toml": "typo.toml: unknown setting problem; did you mean problems?",
    "status gone": "gone does not exist; name a run folder",
    "show good.jsonl": "good.jsonl:1: not a tree: it has no problem",
    "problems --from gsm8kk --out q.jsonl": "no data set 'gsm8kk'; did you mean gsm8k?",
    "judge good.jsonl": "line 1: no 'gold' among id, question, answer",
    "compare --preset nix": "no preset 'nix'; there are smoke",
    "prompts --recipe sigmaa": "no recipe 'sigmaa'; did you mean sigma?",
    "merge gone": "gone has no shards; `whorl grow --shard` makes them",
    "view full": "full is not a run folder: it has no manifest.json",
    "run gone.toml": "the run file gone.toml cannot be read: No such file or directory",
    "run good.jsonl": "good.jsonl is not TOML",
    "harvest gone": "gone is not a run folder",
    "harvest full --round 3": "full is not a run folder",
    "train --model policy --examples good.jsonl --out new": "good.jsonl:1: unknown column 'answer'",
    "train --model nobody --examples good.jsonl --out new": "there is no model folder 'nobody'",
    "evaluate --model policy --problems gone.jsonl --out e.jsonl": "gone.jsonl: there is no such",
    "evaluate --model policy --problems good.jsonl --preset gpt --out e": "there is no preset",
    "show gone": "gone cannot be read",
    "table gone.jsonl": "there is no file gone.jsonl; `whorl evaluate --out gone.jsonl` writes one",
    "export --format csv full --out e": "Invalid value for '--format'",
    "init --problems gone.jsonl --policy policy": "there is no file gone.jsonl; `whorl pro",
}


@pytest.mark.parametrize(("typed", "told"), WRONG.items())
def test_a_wrong_input_is_one_line_that_says_what_to_do(
    whorl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_problems("good.jsonl", problems("pool", 2, seed=0, levels=[1]))
    Path("odd.csv").write_text("task,result\n1+1?,2\n")
    Path("empty.jsonl").touch()
    Path("wide.csv").write_bytes("question,answer\n1+1?,2\n".encode("utf-16"))
    Path("latin.csv").write_bytes("question,answer\nWieviel für 2?,2\n".encode("latin-1"))
    Path("book.xlsx").write_bytes(b"PK\x03\x04\x14\x00")
    Path("list.json").write_text('[{"question": "1+1?", "answer": "2"}]')
    Path("typo.toml").write_text('problem = "good.jsonl"\n')
    Path("prose.txt").write_text("What is 1+1?\n")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "photo.jpg").touch()
    before = sorted(tmp_path.rglob("*"))
    result = whorl(*typed.split())
    assert result.exit_code == 2, result.output
    text = " ".join(result.stderr.replace("│", " ").split())
    assert told in text and "Traceback" not in text
    if text.startswith("error:"):
        assert result.stderr.count("error:") == 1 and len(result.stderr.splitlines()) <= 3
    assert sorted(tmp_path.rglob("*")) == before, "nothing was written"
