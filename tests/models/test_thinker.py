"""The tiny model that thinks, through every stage of a round."""

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from whorl import Sampling, Setup, grow, harvest, measure, read_trees, train
from whorl.answer.thoughts import CLOSE, OPEN, thinks, without_thoughts
from whorl.cli import app
from whorl.data.examples import read_examples
from whorl.data.problems import write_problems
from whorl.data.synthetic import problems
from whorl.evaluate import Decoding
from whorl.evaluate.scores import Place, read_records
from whorl.learn.training import Training
from whorl.loop.thoughts import Taught
from whorl.models import POLICY
from whorl.models.thinker import make_thinker
from whorl.prompts.thinking import ENOUGH
from whorl.recipes import Rft, StepDpo
from whorl.search import Uct
from whorl.steps import BlankLine, Entropy

THINKING = Sampling(temperature=0.7, solution_tokens=120, step_tokens=60, thought_tokens=80)


@pytest.fixture(scope="module")
def thinker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_thinker(tmp_path_factory.mktemp("thinker") / "model")


@pytest.fixture(scope="module")
def grown(thinker: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with trees of solutions that were thought of first."""
    folder = tmp_path_factory.mktemp("thinking") / "run"
    recipe = Rft(replace(THINKING, thought_tokens=24), samples=6)
    easy = list(problems("pool", 6, seed=1, levels=(1,)))
    done = grow(easy, recipe, {"policy": str(thinker)}, folder, processes=0)
    assert (done.trees, done.failures) == (6, {})
    return folder


def test_it_is_no_larger_than_the_shipped_policy(thinker: Path) -> None:
    files = [folder / "model.safetensors" for folder in (POLICY, thinker)]
    shipped, own = (file.stat().st_size for file in files)
    assert own < 2.1 * shipped  # it is in float32, the policy in bfloat16


def test_steps_of_a_solution_hold_its_thought_once(grown: Path) -> None:
    forced = solved = 0
    for tree in read_trees(grown / "trees.jsonl"):
        for index in tree.nodes[0].children:
            text = tree.nodes[index].text
            assert text.startswith(OPEN) and "</think>" in text
            forced += ENOUGH in text
        for leaf in tree.leaves():
            solved += tree.nodes[leaf].reward == 1.0
    assert solved and forced  # 24 tokens are too few for some


@pytest.mark.parametrize("thoughts", ["whole", "short", "none"])
def test_what_is_taught_is_learned_and_measured(
    thoughts: str, thinker: Path, grown: Path, tmp_path: Path
) -> None:
    out = tmp_path / "examples.jsonl"
    harvest(grown, out=out, how=Taught(thoughts, paragraphs=1))  # type: ignore[arg-type]
    texts = [example.text for example in read_examples(out)]  # type: ignore[union-attr]
    assert texts
    assert all(text.startswith(OPEN) == (thoughts != "none") for text in texts)
    assert thoughts == "whole" or not any(ENOUGH in text for text in texts)
    if thoughts == "short":
        return
    settings = Training(epochs=1, lr=1e-4, batch=8)
    train(thinker, out, tmp_path / "tuned", settings=settings)
    setup = Setup(decoding=Decoding(max_tokens=120, thought_tokens=60))
    held = list(problems("test", 4, seed=1, levels=(1,)))
    scores = measure(
        str(tmp_path / "tuned"), held, tmp_path / "scores.jsonl", setup=setup, processes=0
    )
    records = list(read_records(Place(tmp_path / "scores.jsonl").attempts))
    assert len(scores) == len(records) == 4
    for record in records:
        (attempt,) = record.attempts
        assert attempt.text.startswith(OPEN) and CLOSE in attempt.text
        assert attempt.answer is None or attempt.answer in without_thoughts(attempt.text)


def test_a_thought_that_is_not_closed_is_no_answer(thinker: Path, tmp_path: Path) -> None:
    """Without tokens of its own a thought takes those of the attempt."""
    held = list(problems("test", 4, seed=1, levels=(2,)))
    setup = Setup(decoding=Decoding(max_tokens=8))
    scores = measure(str(thinker), held, tmp_path / "scores.jsonl", setup=setup, processes=0)
    assert [score.answers for score in scores] == [(None,)] * 4
    assert all(score.cut == 1 and score.right == (0.0,) for score in scores)


def test_it_is_measured_under_a_familys_preset(thinker: Path, tmp_path: Path) -> None:
    """The thought may be longer than what the model can read, and ends where that does."""
    write_problems(tmp_path / "held.jsonl", problems("test", 2, seed=1, levels=(1,)))
    command = ["evaluate", "--model", f"{thinker}?family=qwen3", "--preset", "qwen3"]
    command += ["--problems", str(tmp_path / "held.jsonl"), "--out", str(tmp_path / "out.jsonl")]
    done = CliRunner().invoke(app, [*command, "--max-tokens", "40", "--processes", "0"])
    assert done.exit_code == 0, done.output
    assert "after a thought of at most 32,768" in done.output
    for record in read_records(Place(tmp_path / "out.jsonl").attempts):
        assert record.attempts[0].text.startswith(OPEN)


@pytest.mark.parametrize("inside", [BlankLine(min_chars=4), Entropy(4, 0.2)])
def test_a_search_goes_inside_of_the_thought(
    inside: BlankLine | Entropy, thinker: Path, tmp_path: Path
) -> None:
    recipe = StepDpo(
        Uct(children=2, simulations=4, depth=24, parallel=2), replace(THINKING, inside=inside)
    )
    easy = list(problems("pool", 2, seed=1, levels=(1,)))
    done = grow(easy, recipe, {"policy": str(thinker)}, tmp_path / "run", processes=0)
    assert done.failures == {}
    within = 0
    for tree in read_trees(tmp_path / "run" / "trees.jsonl"):
        for index, node in enumerate(tree.nodes[1:], start=1):
            here = thinks(tree.text(index))
            within += here
            assert not (here and node.terminal and node.reward is not None)
    assert within > 2
    whole = harvest(tmp_path / "run", out=tmp_path / "whole.jsonl")
    kept = harvest(tmp_path / "run", out=tmp_path / "none.jsonl", how=Taught("none"))
    assert kept.dropped.get("steps of a thought", 0) <= whole.examples
    for example in read_examples(tmp_path / "none.jsonl"):
        assert "think>" not in f"{example.prompt.prefix}{example.chosen}"  # type: ignore[union-attr]
