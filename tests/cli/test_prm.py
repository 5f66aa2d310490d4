"""From trees to a process reward model that searches ask, through the command line."""

from pathlib import Path

import pytest

from whorl.data.forest import Forest
from whorl.data.synthetic import problems
from whorl.models import POLICY
from whorl.tree import ROOT, Node, Tree


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One right and one wrong answer to each of six problems."""
    path = tmp_path_factory.mktemp("trees") / "trees.jsonl"
    with Forest(path) as forest:
        for problem in problems("pool", 6, seed=0, levels=[1]):
            tree = Tree(problem)
            for answer, reward in ((problem.answer, 1.0), ("7", 0.0)):
                text = f"The answer is \\boxed{{{answer}}}."
                tree.add(Node(ROOT, text, terminal=True, reward=reward))
            forest.append(tree)
    return path


def fit(whorl, trees: Path, out: Path, *more: object):
    return whorl(
        *("train", "--objective", "prm", "--model", POLICY, "--examples", trees, "--out", out),
        *("--set", "epochs=1", "--set", "batch=4", *more),
    )


def test_a_reward_model_is_trained_and_scores_a_search(
    whorl, trees: Path, easy: Path, tmp_path: Path
) -> None:
    out, run = tmp_path / "prm", tmp_path / "run"
    trained = fit(whorl, trees, out, "--set", "holdout=0.2", "--enough", 0.5)
    assert trained.exit_code == 0, trained.output
    assert "left out: held out: 2" in trained.stderr and "AUC" in trained.stderr
    assert f"use it as prm:{out}" in trained.stderr
    grown = whorl(
        *("grow", "--recipe", "sphere", "--problems", easy, "--limit", 2, "--run", run),
        *("--policy", f"local:{POLICY}", "--prm", f"prm:{out}", "--processes", 0),
        *("--set", "candidates=2", "--set", "small_candidates=0", "--set", "tries=0"),
        *("--set", "sampling.step_tokens=48", "--set", "depth=4"),
    )
    assert grown.exit_code == 0, grown.output
    lines = (run / "trees.jsonl").read_text().splitlines()
    tree_values = [node.value for line in lines for node in Tree.from_json(line).nodes]
    assert any(value is not None and 0 < value < 1 for value in tree_values)


def test_what_does_not_go_together_is_said(whorl, trees: Path, easy: Path, tmp_path: Path) -> None:
    out = tmp_path / "prm"
    both = fit(whorl, trees, out, "--recipe", "rft")
    assert both.exit_code == 2 and "learns from any trees" in both.stderr
    lora = fit(whorl, trees, out, "--set", "lora.rank=4")
    assert lora.exit_code == 2 and "set lora.rank=0" in lora.stderr
    alone = whorl("train", "--model", POLICY, "--examples", trees, "--out", out, "--enough", 0.5)
    assert alone.exit_code == 2 and "--enough is for --objective prm" in alone.stderr
    missing = fit(whorl, tmp_path / "none.jsonl", out)
    assert missing.exit_code == 2 and "cannot be read" in missing.stderr
    policy = whorl(
        *("grow", "--recipe", "sphere", "--problems", easy, "--run", tmp_path / "run"),
        *("--policy", f"local:{POLICY}", "--prm", f"prm:{POLICY}"),
        *("--set", "small_candidates=0"),
    )
    assert policy.exit_code == 2 and "does not classify tokens" in policy.stderr
    assert not out.exists()
