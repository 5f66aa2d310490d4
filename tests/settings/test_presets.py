"""Presets: every value that a paper or an authors' script states, and the documented table (see
docs/papers.md, "Presets")."""

from dataclasses import replace
from pathlib import Path

import pytest

from whorl.compare.methods import attempts
from whorl.evaluate import PRESETS as PROTOCOLS
from whorl.evaluate import Decoding
from whorl.example import Likelihood, Preference
from whorl.learn.training import Training
from whorl.loop.runfile import read_run
from whorl.prompts.wording import SETS
from whorl.recipes import RECIPES, Grpo, Marge, Process, Rft, Sigma, Sphere
from whorl.settings.presets import (
    DPO,
    POLICY_GRADIENT,
    PRESETS,
    SFT,
    Preset,
    presets_of,
    usual_training,
)
from whorl.steps import AfterMarker, Words

DOCS = Path(__file__).parents[2] / "docs"
LEAST = 'run = "r"\nproblems = "p.jsonl"\nengines.policy = "local:m"\n'

OURS = ("laptop", "gpu", "tiny")
"""Presets whose training is whorl's own."""


def read(folder: Path, text: str) -> Preset:
    """The preset that a run file comes to."""
    file = folder / "run.toml"
    file.write_text(LEAST + text)
    run = read_run(file)
    return Preset(
        run.recipe,
        run.train,
        run.rounds,
        run.patience,
        run.questions,
        run.evaluate,
        run.protocol,
    )


@pytest.mark.parametrize("name", RECIPES)
def test_a_run_file_that_names_a_recipe_is_its_preset(name: str, tmp_path: Path) -> None:
    presets = presets_of(RECIPES[name])
    assert read(tmp_path, f'recipe.name = "{name}"') == next(iter(presets.values()))
    for which, preset in presets.items():
        assert preset.protocol in PROTOCOLS
        said = read(tmp_path, f'recipe = {{name = "{name}", preset = "{which}"}}')
        assert said == preset


def test_what_a_run_file_says_is_changed_alone(tmp_path: Path) -> None:
    text = 'rounds = 3\ntrain.lr = 2e-6\n[recipe]\nname = "marge"\npool = 4\n'
    paper = PRESETS[Marge]["paper"]
    train = replace(paper.train, lr=2e-6)
    recipe = replace(paper.recipe, pool=4)  # type: ignore[call-arg, type-var]
    assert read(tmp_path, text) == replace(paper, rounds=3, train=train, recipe=recipe)


def test_sigma_is_its_paper_and_its_script() -> None:
    paper = PRESETS[Sigma]["paper"]
    assert paper.train == Training(epochs=3, lr=1e-5, batch=128, max_length=4096, warmup=0.03)
    rates = {which: PRESETS[Sigma][which].train.lr for which in ("paper_deepseek", "paper_mistral")}
    assert rates == {"paper_deepseek": 5e-5, "paper_mistral": 4e-6}
    assert isinstance(paper.recipe, Sigma)
    assert (paper.recipe.uct.children, paper.recipe.uct.depth) == (3, 16)
    assert paper.recipe.temperatures == (0.4, 0.7) and paper.recipe.siblings == 2
    assert (paper.recipe.show_q, paper.recipe.gates) == ("none", ())
    assert paper.recipe.words == SETS["prose"] and not paper.recipe.show_gold
    assert (paper.protocol, paper.rounds) == ("dart", 1)
    code = PRESETS[Sigma]["code"].recipe
    assert isinstance(code, Sigma)
    assert (code.mode, code.best, code.shown, code.show_q) == ("whole_path", "first", "end", "path")
    assert code.show_gold and not code.check and code.retries == 0
    assert 4 * code.critic_tokens == 4 * code.reviser_tokens == 4000


def test_marge_is_its_paper_and_each_run_of_its_script() -> None:
    own = PRESETS[Marge]
    assert {
        (p.train.lr, p.train.warmup, p.train.max_length) for w, p in own.items() if w not in OURS
    } == {(1e-6, 0.1, 2048)}
    assert {w: (p.train.epochs, p.train.batch) for w, p in own.items() if w not in OURS} == {
        "paper": (2, 1024),
        "code": (2, 1024),
        "code_llama": (4, 2048),
        "code_qwen25": (2, 512),
    }
    assert {p.train.batch_of for w, p in own.items() if w not in OURS} == {"states"}
    assert {w: p.rounds for w, p in own.items()} == {
        "paper": 10, "code": 12, "code_llama": 12, "code_qwen25": 12,
        "laptop": 2, "gpu": 10, "tiny": 2,
    }  # fmt: skip
    code, llama, qwen = (
        recipe
        for w in ("code", "code_llama", "code_qwen25")
        if isinstance(recipe := own[w].recipe, Marge)
    )
    assert (code.lead, code.sampling.steps, code.pool, code.samples) == (
        "Step 1:", AfterMarker(), 16, 8,
    )  # fmt: skip
    assert (code.thresholds, code.window, code.start) == ((0.55, 0.51), (0.3, 0.7), "drop")
    assert (llama.lead, llama.sampling.steps, llama.states) == ("", Words(), 5)
    assert (llama.pool, llama.window) == (24, (0.1, 1.1))
    assert (qwen.sampling.temperature, qwen.sampling.top_p, qwen.rule) == (1.0, 1.0, "fixed")
    assert {p.recipe.objective for w, p in own.items() if w.startswith("code")} == {
        Likelihood(kl=0.01, penalty="linear", average="completion")
    }


def test_the_others() -> None:
    process, sphere = PRESETS[Process]["paper"], PRESETS[Sphere]["paper"]
    assert process.train.lora.rank and (process.rounds, process.questions) == (4, 1000)
    assert (sphere.train.lr, sphere.train.epochs, sphere.train.batch) == (5e-7, 1, 64)
    assert isinstance(sphere.recipe, Sphere) and sphere.recipe.candidates == 5
    assert PRESETS[Grpo]["paper"].train.lr == 1e-6


def test_everything_is_measured_by_one_greedy_attempt_of_the_documented_length() -> None:
    text = next(DOCS.glob("papers.*")).read_text()
    assert "one attempt of 2,048\ntokens (512 in `laptop`, 256 in `tiny`)" in text
    for presets in PRESETS.values():
        for which, preset in presets.items():
            tokens = {"laptop": 512, "tiny": 256}.get(which, 2048)
            assert preset.evaluate == Decoding(max_tokens=tokens)
            assert attempts(which) == preset.evaluate


def test_what_is_usual_follows_the_objective() -> None:
    assert usual_training(Rft().objective) == SFT
    assert usual_training(Preference()) == DPO
    assert usual_training(Likelihood(kl=0.1)) == POLICY_GRADIENT


def test_the_documented_table_is_that_of_the_code() -> None:
    """Rows of docs/papers.md, "Presets": what each preset says of a run."""
    section = (
        next(DOCS.glob("papers.*")).read_text().partition("## Presets")[2].partition("\n## ")[0]
    )
    rows = [
        tuple(cell.strip() for cell in line.strip("|").split("|"))
        for line in section.splitlines()
        if line.startswith("| ") and not line.startswith("| ---")
    ][1:]
    assert [row[:9] for row in rows] == [
        row(name, which, preset)
        for name, kind in RECIPES.items()
        for which, preset in PRESETS[kind].items()
    ]


def row(name: str, which: str, preset: Preset) -> tuple[str, ...]:
    train = preset.train
    return (
        name,
        which,
        f"{train.lr:g}",
        f"{train.epochs}",
        f"{train.batch:,}" + (" states" if train.batch_of == "states" else ""),
        f"{train.warmup:g}",
        f"{train.max_length:,}",
        f"{preset.rounds}" + (f", {preset.questions:,} questions each" if preset.questions else ""),
        "Alpaca" if preset.protocol == "dart" else "as asked",
    )
