"""Recipes by name: the table, those of others, and what is said of what is none."""

import pickle
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from whorl.errors import UserError
from whorl.recipe import arms_of, lacks, unsound
from whorl.recipes import RECIPES, Rft, Sigma, find_recipe, name_of
from whorl.settings import as_table, flat_items, read_preset, read_recipe
from whorl.settings.presets import presets_of

MINE = """
from dataclasses import dataclass
from whorl import Harvest, Likelihood, Sampling, Tree, sample
import {helper}

@dataclass(frozen=True)
class Pieces:
    size: int = 3
    stop = ("\\n",)
    glue = "\\n"
    def split(self, text):
        return [text]

@dataclass(frozen=True{slots})
class Mine:
    samples: int = 2
    sampling: Sampling = Sampling(steps=Pieces(5))
    roles = ("policy",)
    objective = Likelihood()
    starts = "last"
    samples_at_most = 2

    def grow(self, problem, last=None):
        tree = Tree(problem)
        yield from sample(tree, self.samples, self.sampling)
        return tree

    def harvest(self, tree):
        return Harvest((), {{}})

    def tally(self, tree):
        return {{}}

@dataclass(frozen=True)
class Bound(Mine):
    needed: int = None

@dataclass(frozen=True)
class Half:
    roles = ("policy",)

class Plain:
    pass

nothing = 3
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A module of this test's own in the current folder, beside one that it imports."""
    name = "mine_" + "".join(c if c.isalnum() else "_" for c in request.node.name)
    (tmp_path / f"{name}_helper.py").write_text("")
    (tmp_path / f"{name}.py").write_text(MINE.format(helper=f"{name}_helper", slots=", slots=True"))
    monkeypatch.chdir(tmp_path)
    return name


def test_the_table_names_what_it_holds() -> None:
    for name, kind in RECIPES.items():
        assert name_of(kind()) == name and find_recipe(name) is kind
        assert kind.__module__ == f"whorl.recipes.{name}" and not lacks(kind)
    assert find_recipe("whorl.recipes.rft:Rft") is Rft


@pytest.mark.parametrize("form", ["{}:Mine", "{}.py:Mine", "./{}.py:Mine"])
def test_one_of_a_strangers_is_found_again_by_its_name(mine: str, form: str) -> None:
    before = list(sys.path)
    recipe = find_recipe(form.format(mine))()
    name = form.format(mine).removeprefix("./")
    assert name_of(recipe) == name and find_recipe(name) is type(recipe)
    assert sys.path == before
    assert arms_of(recipe) == {"": recipe}
    said = as_table(read_recipe({"name": name}, ["samples=7"]))
    assert said["name"] == name and said["samples"] == 7
    assert read_recipe(said) == type(recipe)(samples=7)
    lines = [f"{key}={value}" for key, value in flat_items(said) if key != "name"]
    assert read_recipe({"name": name}, [*lines, "sampling.steps.size=9"]).sampling.steps.size == 9  # type: ignore[attr-defined]


@pytest.mark.parametrize("form", ["{}:Mine", "{}.py:Mine"])
def test_it_goes_to_another_process_which_does_not_know_it(mine: str, form: str) -> None:
    recipe = find_recipe(form.format(mine))(samples=5)
    Path("pickled").write_bytes(pickle.dumps(recipe))
    code = "import pickle, sys; sys.path.remove(''); print(pickle.load(open('pickled', 'rb')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == repr(recipe), done.stderr


def test_an_edited_file_of_the_same_name_elsewhere_is_another_one(
    mine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = find_recipe(f"{mine}.py:Mine")
    (tmp_path / "inner").mkdir()
    text = (tmp_path / f"{mine}.py").read_text().replace("samples: int = 2", "samples: int = 4")
    (tmp_path / "inner" / f"{mine}.py").write_text(text.replace(f"import {mine}_helper", ""))
    monkeypatch.chdir(tmp_path / "inner")
    second = find_recipe(f"{mine}.py:Mine")
    assert (first().samples, second().samples) == (2, 4)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("sgima", "no recipe 'sgima'; did you mean sigma?, or module:Class for one of your own"),
        ("gone:Mine", "gone cannot be imported: ModuleNotFoundError: No module named 'gone'"),
        ("gone.py:Mine", "gone.py cannot be imported: FileNotFoundError: there is no file gone.py"),
        ("{}:Mien", "{} has no Mien; did you mean Mine?"),
        ("{}:nothing", "{}:nothing is no dataclass; a recipe is one, @dataclass(frozen=True)"),
        ("{}:Plain", "{}:Plain is no dataclass"),
        (
            "{}:Half",
            "{}:Half is no recipe: it lacks samples_at_most, objective, starts, grow, harvest, "
            "tally",
        ),
        ("{}:", "called module:Class, not '{}:'"),
        (":Mine", "called module:Class, not ':Mine'"),
        ("..up:Mine", "..up cannot be imported: TypeError"),
    ],
)
def test_what_is_no_recipe_is_told_in_one_line(mine: str, name: str, told: str) -> None:
    with pytest.raises(UserError) as caught:
        find_recipe(name.format(mine))
    assert told.format(mine) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import not_there_at_all", "ModuleNotFoundError: No module named 'not_there_at_all'"),
        ("def", "SyntaxError: invalid syntax"),
        ("raise ValueError('two\\nlines')", "ValueError: two lines"),
        ("import sys\nsys.exit(3)", "SystemExit: 3"),
    ],
)
def test_a_module_that_fails_says_how(mine: str, text: str, told: str) -> None:
    Path(f"{mine}.py").write_text(text)
    for name in (f"{mine}:Mine", f"{mine}.py:Mine"):
        with pytest.raises(UserError, match="cannot be imported") as caught:
            find_recipe(name)
        assert told in str(caught.value) and "\n" not in str(caught.value)


def test_types_that_cannot_be_read_and_names_that_are_taken(mine: str) -> None:
    text = Path(f"{mine}.py").read_text()
    Path("odd.py").write_text(text.replace("samples: int = 2", 'samples: "Unknown" = 2'))
    with pytest.raises(UserError, match="types of its settings cannot be read: name 'Unknown'"):
        find_recipe("odd.py:Mine")
    Path("taken.py").write_text(text.replace("samples: int = 2", "arms: int = 2; samples: int = 2"))
    with pytest.raises(UserError, match="arms is no name for a setting"):
        find_recipe("taken.py:Mine")
    Path("set.py").write_text(text.replace("samples: int = 2", "samples: set = frozenset()"))
    with pytest.raises(UserError, match="a setting that is a frozenset cannot be kept in a file"):
        as_table(find_recipe("set.py:Mine")())


def test_settings_without_defaults_have_to_be_given(mine: str) -> None:
    path = Path(f"{mine}.py")
    path.write_text(path.read_text().replace("    samples: int = 2\n", "    samples: int\n"))
    name = f"{mine}.py:Mine"
    assert presets_of(find_recipe(name)) == {}
    with pytest.raises(UserError, match="samples is missing"):
        read_recipe({"name": name})
    assert read_recipe({"name": name, "samples": 3}).samples == 3  # type: ignore[attr-defined]


def test_arms_are_the_recipes_own() -> None:
    assert list(arms_of(Sigma())) == ["T=0.4", "T=0.7"]
    own = {field.name for kind in RECIPES.values() for field in fields(kind)}  # type: ignore[arg-type]
    assert not own & {"roles", "objective", "starts"}


@pytest.mark.parametrize(
    ("member", "said"),
    [
        ('starts = "nowhere"', "starts should be one of last, first"),
        ("objective = None", "objective should be a Likelihood, Preference or Distillation"),
    ],
)
def test_members_that_no_run_can_use_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, member: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    text = MINE.format(helper="os", slots="")
    kept = "".join(
        f"    {member}\n" if line.strip().startswith(member.partition(" ")[0] + " =") else line
        for line in text.splitlines(keepends=True)
    )
    (tmp_path / "odd.py").write_text(kept)
    assert said in unsound(find_recipe("odd.py:Mine")())
    assert said in unsound(read_recipe({"name": "odd.py:Mine"}))
    with pytest.raises(UserError, match=f"odd.py:Mine is no recipe: {said}"):
        read_preset({"name": "odd.py:Mine"})


def test_a_file_has_one_name_however_it_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.py").write_text(MINE.format(helper="os", slots=""))
    named = {name_of(find_recipe(f"{path}:Mine")()) for path in ("one.py", tmp_path / "one.py")}
    assert named == {"one.py:Mine"}
