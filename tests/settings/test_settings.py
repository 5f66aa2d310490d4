"""Run files and overrides: read strictly, said back faithfully, refused in one line."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.ask import Role
from whorl.budget import Budget, Limits, Price, Prices
from whorl.engines.roles import Engines
from whorl.errors import UserError
from whorl.loop.run import Run
from whorl.loop.runfile import answered, read_run
from whorl.prompts.wording import SETS, WHORL, Shot
from whorl.recipe import Recipe
from whorl.recipes import RECIPES, name_of
from whorl.recipes.distill import Distill
from whorl.recipes.rft import Rft
from whorl.recipes.sigma import Sigma
from whorl.recipes.sphere import Sphere
from whorl.rollout import Sampling
from whorl.search import Uct
from whorl.settings import (
    as_table,
    flat_items,
    read_budget,
    read_preset,
    read_recipe,
    read_settings,
)
from whorl.settings.presets import PRESETS, presets_of
from whorl.steps import BlankLine, Segmenter, StepMarker, Tokens, Words

LEAST = """
run = "runs/a"
problems = "p.jsonl"
engines.policy = "local:m"
recipe.name = "sigma"
"""


def run_file(folder: Path, text: str) -> Path:
    path = folder / "run.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_a_run_file_does_not_say_has_its_default(tmp_path: Path) -> None:
    run = read_run(run_file(tmp_path, LEAST))
    paper = PRESETS[Sigma]["paper"]
    expected = Run(Path("runs/a"), Path("p.jsonl"), Engines("local:m"), paper.recipe)
    assert run == replace(expected, protocol="dart")


def test_tables_inside_tables_change_only_what_they_name(tmp_path: Path) -> None:
    text = LEAST + "recipe.uct.simulations = 8\n[train]\nlr = 1\n[evaluate]\nn = 4\ntemperature=1.0"
    run = read_run(run_file(tmp_path, text), ["recipe.temperatures=[0.5, 1]", "limit=3"])
    own = Sigma(uct=Uct(simulations=8), temperatures=(0.5, 1.0), show_q="none", words=SETS["prose"])
    assert run.recipe == own
    assert (run.train.lr, run.train.epochs, run.evaluate.n, run.limit) == (1.0, 3, 4, 3)


def test_a_budget_is_read_from_a_run_file_and_from_overrides_alike(tmp_path: Path) -> None:
    text = LEAST + (
        "[budget]\ntokens = 100\nmoney = 2.5\n[budget.problem]\nrequests = 7\n"
        "[budget.prices.policy]\nprompt = 0.1\nsampled = 0.4\ncached = 0.05\n"
    )
    run = read_run(run_file(tmp_path, text), ["budget.tokens=200"])
    prices = Prices(policy=Price(0.1, 0.4, 0.05))
    assert run.budget == Budget(200, money=2.5, problem=Limits(requests=7), prices=prices)
    said = [f"budget.{key}={value}" for key, value in flat_items(as_table(run.budget))]
    assert read_budget([*said, "uct.depth=3"]) == run.budget
    assert read_budget(["samples=3"]) == Budget()


def test_a_preset_is_where_settings_start_from() -> None:
    code = PRESETS[Sigma]["code"].recipe
    assert read_recipe({"name": "sigma", "preset": "code"}) == code
    assert read_recipe({"name": "sigma"}, ["preset=code", "retries=1"]) == replace(code, retries=1)  # type: ignore[call-arg, type-var]


def test_bare_words_and_toml_both_do_as_values() -> None:
    for value in ("whole_path", '"whole_path"'):
        recipe = read_recipe({"name": "sigma"}, [f"mode={value}"])
        assert recipe == replace(PRESETS[Sigma]["paper"].recipe, mode="whole_path")  # type: ignore[call-arg, type-var]
    marked = read_recipe({"name": "rft"}, ["sampling.steps=step_marker"])
    assert marked == Rft(sampling=Sampling(steps=StepMarker()))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("wdth = 3", "unknown setting wdth; did you mean width?"),
        ("recipe.uct.simulation = 3", "unknown setting recipe.uct.simulation; did you mean "),
        ("recipe.simulations = 3", "did you mean recipe.uct.simulations?"),
        ("zzz = 3", "unknown setting zzz; there are run, problems, engines, recipe, "),
        ("seed = 'one'", "seed should be a valid integer, not 'one'"),
        ("seed = true", "seed should be a valid integer, not True"),
        ("recipe.check = 1", "recipe.check should be a valid boolean, not 1"),
        (
            "recipe.mode = 'deep'",
            "recipe.mode should be 'per_depth', 'whole_path' or 'afresh', not 'deep'",
        ),
        ("recipe.temperatures = 0.5", "recipe.temperatures should be a valid list, not 0.5"),
        ("recipe.temperatures = ['hot']", "recipe.temperatures should be a valid number"),
        ("recipe.uct = 3", "recipe.uct should be a table of settings, not 3"),
        ("recipe.uct.depth = 0", "recipe.uct: depth must be at least 1, not 0"),
        ("recipe.preset = 'papre'", "recipe.preset: no preset 'papre'; did you mean paper?"),
        ("recipe.sampling.steps = 'blankline'", "did you mean blank_line?"),
        ("evaluate.n = 4", "evaluate: several attempts at temperature 0"),
        ("train.batch = 0", "train: batch must be at least 1, not 0"),
        ("rounds = 0", "rounds should be at least 1, not 0"),
        ("patience = -1", "patience should be at least 0"),
        ("holdout = 1.0", "holdout above 0 and below 1"),
        ("budget.token = 9", "unknown setting budget.token; did you mean budget.tokens?"),
        ("budget.tokens = 0", "budget: tokens must be above 0, not 0"),
        ("budget.requests = 1.5", "budget.requests should be a valid integer, not 1.5"),
        ("budget.problem.seconds = -1", "budget.problem: seconds must be above 0, not -1"),
        ("budget.money = 2", "budget: money needs prices, for example prices.policy.sampled ="),
        ("budget.prices.policy.sampled = -1", "prices.policy: a price must not be negative"),
        ("budget.prices.judge.sampled = 1", "unknown setting budget.prices.judge; there are po"),
        ("start = 'middle'", "start should be 'last' or 'first', not 'middle'"),
        ("test = 1979-05-27", "test should be a valid string, not datetime.date(1979, 5, 27)"),
        ("seed = = 1", "is not TOML"),
        ("run = 'again'", "is not TOML"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, line: str, told: str) -> None:
    path = run_file(tmp_path, LEAST + line)
    with pytest.raises(UserError) as caught:
        read_run(path)
    assert told in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["run", "problems", "engines", "recipe"])
def test_what_is_missing_is_named(tmp_path: Path, name: str) -> None:
    kept = [line for line in LEAST.splitlines() if not line.startswith(name)]
    with pytest.raises(UserError, match=f"{name} is missing"):
        read_run(run_file(tmp_path, "\n".join(kept)))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("recipe.samples=3", "unknown setting recipe; did you mean samples=3?"),
        ("recipe.sampling.top_p=0.5", "did you mean sampling.top_p=0.5?"),
        ("recipe.samples=2020-01-01", 'did you mean samples="2020-01-01"?'),
        ("recipe.none=3", "unknown setting recipe; did you mean words.revise?"),
    ],
)
def test_the_spelling_of_run_files_leads_to_that_of_a_recipe(said: str, told: str) -> None:
    with pytest.raises(UserError, match=re.escape(told)):
        read_recipe({"name": "rft"}, [said])


def test_recipes_are_suggested_or_listed() -> None:
    with pytest.raises(UserError, match="no recipe 'sgima'; did you mean sigma"):
        read_recipe({"name": "sgima"})
    with pytest.raises(UserError, match="name should be a valid string, not 3; there are sigma"):
        read_recipe({"name": 3})
    with pytest.raises(UserError, match=r"name is missing; there are sigma.* as module:Class"):
        read_recipe({})
    with pytest.raises(UserError, match="no recipe 'x'; there are sigma, process, marge, "):
        read_recipe({"name": "x"})


@pytest.mark.parametrize("text", ["uct.simulations", "=3", "uct.=3", ".x=3", "uct..depth=3"])
def test_an_override_is_a_key_and_a_value(text: str) -> None:
    with pytest.raises(UserError, match="--set needs KEY=VALUE"):
        read_recipe({"name": "sigma"}, [text])


def test_a_value_cannot_smuggle_in_other_keys() -> None:
    with pytest.raises(UserError, match="retries should be a valid integer"):
        read_recipe({"name": "sigma"}, ["retries=1\ncheck=false"])


def test_a_missing_run_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read: No such file"):
        read_run(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"run = '\xe9'")
    with pytest.raises(UserError, match="is not TOML"):
        read_run(tmp_path / "latin.toml")


sigmas = st.builds(
    Sigma,
    uct=st.builds(Uct, children=st.integers(1, 9), constant=st.floats(-1e9, 1e9)),
    sampling=st.builds(Sampling, steps=st.sampled_from([Sampling().steps, StepMarker()])),
    temperatures=st.lists(st.floats(0, 2), min_size=1, max_size=3).map(tuple),
    show_gold=st.booleans(),
    mode=st.sampled_from(["per_depth", "whole_path"]),
)


@given(sigmas | st.builds(Rft, samples=st.integers(1, 99), keep=st.integers(1, 9)))
def test_what_is_said_can_be_read_again(recipe: Recipe) -> None:
    said = as_table(recipe)
    assert read_recipe(said) == recipe
    lines = [f"{key}={value}" for key, value in flat_items(said) if key != "name"]
    assert read_recipe({"name": said["name"]}, lines) == recipe


@pytest.mark.parametrize("name", RECIPES)
def test_every_preset_says_itself(name: str) -> None:
    presets = presets_of(RECIPES[name])
    assert next(iter(presets)) == "paper" and list(presets)[-1] == "tiny"
    for which, preset in presets.items():
        recipe = preset.recipe
        assert name_of(recipe) == name
        assert read_recipe(as_table(recipe)) == recipe
        assert read_preset({"name": name, "preset": which}) == preset
        assert read_recipe({"name": name, "preset": which}) == recipe


@pytest.mark.parametrize(
    ("said", "steps"),
    [
        ("{name = 'words', size = 3}", Words(size=3)),
        ("{name = 'tokens', size = 32}", Tokens(size=32)),
        ("{name = 'blank_line', min_chars = 0}", BlankLine(min_chars=0)),
        ("{min_chars = 5}", BlankLine(min_chars=5)),
        ("'step_marker'", StepMarker()),
    ],
)
def test_a_rule_for_steps_can_be_told_more(said: str, steps: Segmenter) -> None:
    recipe = read_recipe({"name": "rft"}, [f"sampling.steps={said}"])
    assert recipe == Rft(sampling=Sampling(steps=steps))
    assert read_recipe(as_table(recipe)) == recipe


def test_a_family_says_how_its_makers_sample() -> None:
    def sampled(**said: object) -> Sampling:
        recipe = read_recipe({"name": "rft", "sampling": said})
        assert isinstance(recipe, Rft)
        return recipe.sampling

    as_made = replace(Rft().sampling, temperature=0.6, top_p=0.95, thought_tokens=32768)
    assert sampled(family="qwen3") == sampled(family="deepseek-r1") == as_made
    assert sampled(family="magistral", top_p=0.9, thought_tokens=2048) == replace(
        as_made, temperature=0.7, top_p=0.9, thought_tokens=2048
    )
    assert (sampled(family="gpt-oss").temperature, sampled(family="gpt-oss").top_p) == (1.0, 1.0)
    with pytest.raises(UserError, match="no family 'qwen'; did you mean qwen3"):
        sampled(family="qwen")


def test_a_rule_for_steps_that_is_wrong_is_said_in_one_line() -> None:
    with pytest.raises(
        UserError, match=r"steps.name: no rule for steps 'word'; did you mean words"
    ):
        read_recipe({"name": "rft"}, ["sampling.steps={name='word'}"])
    with pytest.raises(
        UserError, match=r"unknown setting sampling.steps.min_chars; there are size"
    ):
        read_recipe({"name": "rft"}, ["sampling.steps={name='words', min_chars=3}"])
    with pytest.raises(UserError, match=r"sampling.steps: size must be at least 1"):
        read_recipe({"name": "rft"}, ["sampling.steps={name='tokens', size=0}"])


WORDS = """
[prompts]
set = "prose"
solve.user = "Question: {question}\\nAnswer:"
examples = [{question = "1+1?", solution = "\\\\boxed{2}"}]
"""


def test_the_words_of_a_run_file_are_the_recipes(tmp_path: Path) -> None:
    recipe = read_run(run_file(tmp_path, LEAST + WORDS)).recipe
    assert isinstance(recipe, Sigma)
    assert recipe.words.solve.user == "Question: {question}\nAnswer:"
    assert recipe.words.solve.system == WHORL.solve.system
    assert recipe.words.critique == SETS["prose"].critique
    assert recipe.words.examples == (Shot("1+1?", "\\boxed{2}"),)
    assert read_recipe(as_table(recipe)) == recipe
    lines = [f"{key}={value}" for key, value in flat_items(as_table(recipe)) if key != "name"]
    assert read_recipe({"name": "sigma"}, lines) == recipe


def test_words_have_names_and_those_of_the_house_are_not_said() -> None:
    assert as_table(read_recipe({"name": "rft"}, ["words=qwen"]))["words"] == "qwen"
    assert "words" not in as_table(read_recipe({"name": "rft"}, ["words=whorl"]))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("prompts = 'pros'", "recipe.words: no set of words 'pros'; did you mean prose?"),
        ("prompts.set = 'x'", "recipe.words.set: no set of words 'x'; there are whorl, prose, qw"),
        (
            "prompts.sove = 'x'",
            "unknown setting recipe.words.sove; did you mean recipe.words.so",
        ),
        ("prompts.solve.user = 'x'", "recipe.words: solve.user should name {question}"),
        ("prompts.examples = [{question = 'x'}]", "recipe.words.examples field required"),
        ("prompts = 'qwen'\nrecipe.words = 'qwen'", "recipe.words are said twice"),
    ],
)
def test_words_that_are_wrong_are_said_in_one_line(tmp_path: Path, line: str, told: str) -> None:
    with pytest.raises(UserError) as caught:
        read_run(run_file(tmp_path, LEAST + line))
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_a_whole_run_says_itself(tmp_path: Path) -> None:
    run = read_run(run_file(tmp_path, LEAST + "test = 't.jsonl'\nlimit = 9"))
    lines = [f"{key} = {value}" for key, value in flat_items(as_table(run))]
    assert read_run(run_file(tmp_path, "\n".join(lines))) == run


def test_overrides_of_plain_settings() -> None:
    assert read_settings(Uct(), ["depth=4"]) == Uct(depth=4)
    with pytest.raises(UserError, match="unknown setting dept; did you mean depth"):
        read_settings(Uct(), ["dept=4"])


@dataclass(frozen=True, slots=True)
class AsksAVerifier(Rft):
    """RFT that asks a role which there is not."""

    roles: ClassVar[Sequence[Role]] = ("policy", "verifier")  # type: ignore[assignment]


def test_every_role_that_is_asked_needs_an_engine() -> None:
    run = Run(Path("a"), Path("p"), Engines("local:m", "local:c"), Sigma())
    assert answered(run).engines == Engines("local:m", "local:c", "local:m")
    assert answered(replace(run, recipe=Rft())).engines == run.engines, "nobody else is asked"
    with pytest.raises(UserError, match=r"asks a teacher, .* tiny ones are called teacher\)"):
        answered(replace(run, recipe=Distill()))
    with pytest.raises(UserError, match="sigma asks a policy, and none is named; give --policy "):
        answered(replace(run, engines=Engines(critic="local:c", reviser="local:c")))
    sphere = replace(run, recipe=Sphere())
    with pytest.raises(
        UserError,
        match=r"asks a prm and a small, .* --prm MODEL and --small M.* called prm:prm, small\)",
    ):
        answered(sphere)
    with pytest.raises(UserError, match=r"asks a small, .* or engines\.small in a run file"):
        answered(replace(sphere, engines=Engines("local:m", prm="prm:p")))
    answered(replace(sphere, recipe=Sphere(score="rollouts", small_candidates=0)))
    with pytest.raises(UserError, match="asks a verifier; the roles there are: policy, crit"):
        answered(replace(run, recipe=AsksAVerifier()))


def test_a_rule_for_steps_takes_parameters() -> None:
    fine = Rft(sampling=Sampling(steps=BlankLine(min_chars=0)))
    assert read_recipe({"name": "rft"}, ["sampling.steps.min_chars=0"]) == fine
    assert read_recipe(as_table(fine)) == fine
    assert "sampling.steps.min_chars" in dict(flat_items(as_table(fine)))
    with pytest.raises(UserError, match=r"unknown setting sampling\.steps\.min; there are min_"):
        read_recipe({"name": "rft"}, ["sampling.steps.min=0"])


@pytest.mark.parametrize("name", RECIPES)
def test_rounds_start_where_the_recipe_says_unless_the_run_does(tmp_path: Path, name: str) -> None:
    run = read_run(run_file(tmp_path, LEAST), [f"recipe.name={name}"])
    assert run.starts == read_recipe({"name": name}).starts
    assert {replace(run, start=start).starts for start in ("first", "last")} == {"first", "last"}
