"""The shipped process reward model, and what made it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from whorl import drive, prompts
from whorl.ask import Ask, Reply
from whorl.chat import Chat
from whorl.data.synthetic import generate, problems
from whorl.engines import open_engine
from whorl.engines.judge import Judges
from whorl.learn.prm import auc
from whorl.models import POLICY, PRM, reward
from whorl.models.slips import claims
from whorl.recipes.sphere import Sphere
from whorl.rollout import Sampling


def answered(spec: str, asks: Sequence[Ask]) -> list[Reply]:
    engine = open_engine(spec, processes=0)
    for ticket, ask in enumerate(asks):
        engine.submit(ticket, ask)
    found: dict[int, Reply] = {}
    while len(found) < len(asks):
        found |= {ticket: replies[0] for ticket, replies in engine.poll(0.0)}
    return [found[ticket] for ticket in range(len(asks))]


def test_the_shipped_folder_is_complete_and_small() -> None:
    weights = load_file(PRM / "model.safetensors")
    assert {weight.dtype for weight in weights.values()} == {torch.bfloat16}
    assert sum(file.stat().st_size for file in PRM.iterdir()) < 1_500_000
    assert Chat.load(PRM).render(prompts.solve("1+1?")) == Chat.load(POLICY).render(
        prompts.solve("1+1?")
    )
    assert (PRM / "README.md").is_file()


def test_steps_on_the_right_way_score_higher_than_those_astray() -> None:
    stories = list(generate("dev", 60, seed=11))
    plain = [prompts.solve(story.question) for story in stories]
    asks = [Ask(prompt, max_tokens=160, temperature=0.8, seed=i) for i, prompt in enumerate(plain)]
    steps, right = [], []
    for story, prompt, reply in zip(stories, plain, answered(f"local:{POLICY}", asks), strict=True):
        written = reply.text.split("\n\n")[: len(story.solution)]
        for end in range(1, len(written) + 1):
            pairs = zip(written[:end], story.solution, strict=False)
            right.append(all(claims(got) == claims(wanted) for got, wanted in pairs))
            prefix = "\n\n".join(written[:end])
            steps.append(Ask(replace(prompt, prefix=prefix), role="prm"))
    values = [reply.value for reply in answered(f"prm:{PRM}", steps)]
    scored = list(zip(values, right, strict=True))
    found = auc([v for v, good in scored if good], [v for v, good in scored if not good])
    assert found is not None and found > 0.72  # the card's figure is 0.84


def test_sphere_searches_over_the_shipped_models() -> None:
    recipe = Sphere(
        sampling=Sampling(temperature=0.8, step_tokens=48, solution_tokens=120),
        depth=8,
        tries=0,
        small_candidates=5,
    )
    policy = open_engine(f"local:{POLICY}", processes=0)
    engines = {
        "policy": policy,
        "small": policy,
        "prm": open_engine(f"prm:{PRM}", processes=0),
        "judge": Judges(),
    }
    asked = problems("pool", 8, seed=3, levels=[1, 2])
    done = list(drive(((p.id, recipe.grow(p)) for p in asked), engines))
    assert [finished.error for finished in done] == [None] * 8
    trees = [finished.result for finished in done if finished.result]
    assert all(finished.cost["prm"] == 0 < finished.cost["policy"] for finished in done)
    kept = [n for tree in trees for n in tree.nodes[1:] if n.author == "policy" and not n.pruned]
    assert kept and all(node.value is not None and 0 <= node.value <= 1 for node in kept)
    assert any(recipe.harvest(tree).examples for tree in trees)


def test_the_command_that_made_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "prm"
    monkeypatch.setattr("sys.argv", ["reward", "--problems", "4", "--out", str(out)])
    reward.main()
    made, shipped = (load_file(folder / "model.safetensors") for folder in (out, PRM))
    assert {name: weight.shape for name, weight in made.items()} == {
        name: weight.shape for name, weight in shipped.items()
    }
    assert [path.name for path in tmp_path.iterdir()] == ["prm"]
