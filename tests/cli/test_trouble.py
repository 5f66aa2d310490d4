"""Whatever is wrong: one line that says what to do, and an exit code; never a traceback."""

import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from whorl.ask import Prompt
from whorl.cli.guard import guarded
from whorl.data.examples import write_examples
from whorl.example import Weighted
from whorl.models import POLICY

GOOD = '{"id": "a", "question": "1+1?", "answer": "2"}\n'


def told(result) -> str:
    """The one line of trouble on stderr, behind what may have been said of models that load."""
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    said = result.stderr.strip().splitlines()
    before = ("opening ", "objective ", "loading ", "evaluate: ")
    (line,) = [each for each in said if not each.startswith(before)]
    assert line.startswith("error: ")
    return line


def grow(whorl, problems: Path, run: Path, *more: object, policy: object = POLICY):
    model = f"local:{policy}"
    return whorl(
        *("grow", "--recipe", "rft", "--problems", problems, "--policy", model, "--run", run),
        *("--set", "samples=2", "--set", "sampling.solution_tokens=40", "--processes", 0, *more),
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "there is no such file"),
        ("", "holds no problem (it is empty)"),
        (GOOD + '{"question": \n', "line 2: broken JSON"),
        (GOOD + GOOD, "line 2: the id 'a' occurs twice"),
        ('{"question": "1+1?"}\n', "line 1: no answer"),
        ('{"question": "1+1?", "answer": null}\n', "line 1: no answer"),
        ('{"question": "1+1?", "answer": " "}\n', "line 1: no answer"),
        (GOOD + '{"question": "1+1?", "solution": "It is 2."}\n', "line 2: no answer"),
        ('{"question": "1+1?", "answer": "{2"}\n', "line 1: the answer cannot be parsed"),
    ],
)
def test_bad_problems_leave_no_run_folder(
    whorl, tmp_path: Path, text: str | None, why: str
) -> None:
    problems = tmp_path / "p.jsonl"
    if text is not None:
        problems.write_text(text)
    assert why in told(grow(whorl, problems, tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "words",
    [
        "evaluate --model policy --problems bad --out out/o.jsonl",
        "evaluate --model policy --problems bad --out out/o.jsonl --shard 1/2",
        "evaluate --model policy --problems easy --out out/o.jsonl --against none.jsonl",
        "evaluate --model policy --problems easy --out out/o.jsonl --against others.jsonl",
        "evaluate --model policy --problems learned --out out/o.jsonl --trained-on learned",
        "compare --policy policy --tokens 9 --recipes rft --run out/r --problems bad --test easy",
        "compare --policy policy --tokens 9 --recipes rft --run out/r --problems easy --test bad",
        "demo --model policy --run out/r --problems bad",
        "demo --model policy --run out/r --problems easy --test bad",
        "demo --model nowhere --run out/r",
        "train --model policy --examples empty.jsonl --out out/m",
        "probe policy --recall bad",
    ],
)
def test_a_bad_file_is_refused_before_a_model_is_opened_and_nothing_is_left(
    whorl, easy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    def opened(spec: str, **_: object) -> NoReturn:
        raise AssertionError(f"{spec} is opened")

    monkeypatch.setattr("whorl.engines.roles.open_engine", opened)
    monkeypatch.setattr("whorl.engines.open_engine", opened)
    monkeypatch.chdir(tmp_path)
    Path("out").mkdir()
    Path("bad").write_text(GOOD + "{\n")
    Path("learned").write_text(GOOD)
    Path("empty.jsonl").touch()
    Path("others.jsonl").write_text('{"id": "a", "right": [1.0], "tokens": [3]}\n')
    names = {"easy": str(easy), "policy": str(POLICY)}
    refused = whorl(*(names.get(word, word) for word in words.split()))
    assert refused.exit_code == 2, refused.output
    assert refused.stderr.splitlines()[-1].startswith("error: ")
    assert not list(Path("out").iterdir())


def test_a_demo_repairs_what_is_in_folders_of_its_own_alone(whorl, tmp_path: Path) -> None:
    journal = tmp_path / "base" / "journal.db"
    journal.parent.mkdir()
    journal.write_bytes(b"damaged")
    refused = whorl("demo", "--repair", "--run", tmp_path)
    assert refused.exit_code == 2 and "not a run folder" in refused.stderr.splitlines()[-1]
    assert [path.name for path in journal.parent.iterdir()] == ["journal.db"]
    assert journal.read_bytes() == b"damaged"


@pytest.mark.parametrize("option", ["--smoke", "--json"])
def test_a_demo_with_ones_own_model_takes_no_option_without_effect(
    whorl, tmp_path: Path, option: str
) -> None:
    refused = told(whorl("demo", "--model", "policy", option, "--run", tmp_path / "run"))
    assert refused == "error: --smoke and --json go without --model"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("lost", "why"),
    [
        ("config.json", "it has no config.json"),
        ("tokenizer*", "has no tokenizer"),
        ("chat_template.jinja", "has no chat template"),
        ("model.safetensors", "has no weights"),
    ],
)
def test_a_model_folder_that_lacks_something(
    whorl, tmp_path: Path, easy: Path, lost: str, why: str
) -> None:
    model = tmp_path / "model"
    shutil.copytree(POLICY, model)
    for path in model.glob(lost):
        path.unlink()
    line = told(grow(whorl, easy, tmp_path / "run", policy=model))
    assert why in line and str(model) in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (["--recipe", "sgima"], "no recipe 'sgima'; did you mean sigma?"),
        (["--set", "sample=1"], "unknown setting sample; did you mean samples?"),
        (["--set", "samples=many"], "samples should be a valid integer, not 'many'"),
        (["--recipe", "sigma", "--set", "retries=0"], "unknown setting samples"),
        (["--recipe", "marge", "--policy", ""], "marge asks a policy, and none is named"),
        (["--policy", "locl:x"], "did you mean local"),
    ],
)
def test_bad_settings(whorl, tmp_path: Path, easy: Path, more: list[str], why: str) -> None:
    assert why in told(grow(whorl, easy, tmp_path / "run", *more))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("named", "lacks"),
    [(("prm",), "small"), (("small",), "prm")],
)
def test_sphere_says_whom_it_lacks(
    whorl, tmp_path: Path, easy: Path, named: tuple[str, ...], lacks: str
) -> None:
    flags = [part for role in named for part in (f"--{role}", f"local:{POLICY}")]
    run = tmp_path / "run"
    result = whorl(
        *("grow", "--recipe", "sphere", "--problems", easy, "--run", run),
        *("--policy", f"local:{POLICY}", *flags),
    )
    assert f"sphere asks a {lacks}, and none is named; give --{lacks} " in told(result)
    assert not run.exists()


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ('engines.policy = "locl:m"', "did you mean local:?"),
        ('recipe.name = "distill"\nengines.teacher = "local:m"', "not none: name one as engines."),
        (f'engines.policy = "local:{POLICY}"\npatience = 2', "problems into 8 to learn from and 0"),
    ],
)
def test_a_run_that_cannot_work_leaves_no_folder(
    whorl, tmp_path: Path, easy: Path, more: str, why: str
) -> None:
    file = tmp_path / "run.toml"
    usual = {"recipe": 'recipe.name = "rft"\n', "engines": "engines = {}\n"}
    unsaid = "".join(line for key, line in usual.items() if key not in more)
    file.write_text(f'run = "{tmp_path / "run"}"\nproblems = "{easy}"\n{unsaid}{more}\n')
    assert why in told(whorl("run", file, "--set", "holdout=0.001"))
    assert not (tmp_path / "run").exists()


def test_bad_lines_can_be_passed_over_and_other_settings_are_refused(whorl, tmp_path: Path) -> None:
    problems, run = tmp_path / "p.jsonl", tmp_path / "run"
    problems.write_text(GOOD + "{\n" + GOOD.replace('"a"', '"b"'))
    result = grow(whorl, problems, run, "--skip-bad")
    assert result.exit_code == 0
    assert "passed over 1 bad lines" in result.stderr and "line 2: broken JSON" in result.stderr
    assert f"wrote {run / 'trees.jsonl'}: 2 trees" in result.stderr.replace("\n", " ")
    for more in ((), ("--dry-run",)):
        line = told(grow(whorl, problems, run, "--skip-bad", "--seed", "1", *more))
        assert "belongs to other settings (seed: 1 here, 0 in the run folder)" in line
    assert grow(whorl, problems, run, "--skip-bad", "--dry-run").exit_code == 0


def test_dry_runs_refuse_a_folder_that_the_command_would(
    whorl, easy: Path, held: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "mine").write_text("")
    file, names = tmp_path / "run.toml", (f'run = "{run}"', f'problems = "{easy}"')
    engine = f'engines.policy = "local:{POLICY}"'
    file.write_text("\n".join([*names, engine, 'recipe.name = "rft"']))
    models = ("--problems", easy, "--test", held, "--policy", f"local:{POLICY}")
    for command in (
        ("run", file),
        ("compare", "--preset", "smoke", "--run", run),
        ("compare", *models, "--tokens", "1000", "--recipes", "rft", "--run", run),
    ):
        line = told(whorl(*command, "--dry-run"))
        assert f"{run} is not empty and not a run folder" in line


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(
    whorl, tmp_path: Path, easy: Path
) -> None:
    result = grow(whorl, easy, tmp_path / "run", "--dry-run", "--limit", "3")
    assert result.exit_code == 0
    assert "samples = 2  # default 8" in result.stdout.splitlines()
    for line in ("problems: 3", "searches: 3, 6 samples at most"):
        assert line in result.stdout.splitlines()
    assert not (tmp_path / "run").exists()


def test_searches_that_fail_are_listed_with_the_way_to_try_again(whorl, tmp_path: Path) -> None:
    problems = tmp_path / "p.jsonl"
    long = json.dumps({"id": "long", "question": "1+" * 3000 + "1", "answer": "3001"})
    problems.write_text(GOOD + long + "\n")
    result = grow(whorl, problems, tmp_path / "run")
    assert result.exit_code == 1
    assert "failed: long#: policy: " in result.stderr
    assert "1 searches failed. To try them again, repeat: whorl" in result.stderr
    assert len((tmp_path / "run" / "trees.jsonl").read_text().splitlines()) == 1


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    out = tmp_path / "p.jsonl"
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from whorl.__main__ import main; main()",
            "problems",
            "--n",
            "300",
            "--out",
            str(out),
        ],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert "File too large" in done.stderr
    assert not out.exists()


def test_files_of_other_commands(whorl, tmp_path: Path) -> None:
    missing = tmp_path / "none"
    assert "is not a run folder" in told(whorl("harvest", missing))
    assert "cannot be read" in told(whorl("show", missing))
    assert "is not a run folder" in told(whorl("report", missing))
    assert "cannot be read" in told(whorl("run", missing))
    train = ("train", "--model", POLICY, "--out", tmp_path / "out", "--examples", missing)
    assert "cannot be read" in told(whorl(*train))
    write_examples(missing, [Weighted(Prompt("", "1+1?"), "2")])
    assert "did you mean epochs?" in told(whorl(*train, "--set", "epoch=1"))


def test_roles_that_nobody_answers_are_named_together(whorl, tmp_path: Path, easy: Path) -> None:
    asked = ("grow", "--recipe", "sphere", "--problems", easy, "--policy", f"local:{POLICY}")
    line = told(whorl(*asked, "--run", tmp_path / "run"))
    assert "sphere asks a prm and a small, and none is named; give --prm MODEL and --small" in line


def test_usage_errors_have_their_code(whorl) -> None:
    assert whorl("grow").exit_code == 2
    assert whorl("grwo").exit_code == 2


def test_a_fault_of_ours_is_one_line_unless_debugging(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import typer

    @guarded
    def broken() -> None:
        raise KeyError("x\ny")

    monkeypatch.delenv("WHORL_DEBUG", raising=False)
    with pytest.raises(typer.Exit) as ended:
        broken()
    assert ended.value.exit_code == 70
    assert capsys.readouterr().err == (
        "error: a fault in whorl: KeyError: 'x\\ny' (WHORL_DEBUG=1 shows where)\n"
    )
    monkeypatch.setenv("WHORL_DEBUG", "1")
    with pytest.raises(KeyError):
        broken()
