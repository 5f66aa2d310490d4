"""The site of documentation is built without a network, and says what the code does."""

import html
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from whorl import __all__ as DOOR
from whorl import settings
from whorl.cli import app
from whorl.recipes import RECIPES, find_recipe

ROOT = Path(__file__).parent.parent
ELSEWHERE = re.compile(r'<(?:script|link|img|iframe)[^>]+(?:src|href)="?(?:https?:)?//[^>]*>')


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("material")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(out)]
    proxies = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")  # leads nowhere
    own = {"NO_MKDOCS_2_WARNING": "1", **proxies}
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | own, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr
    return out


def words(page: Path) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", page.read_text()))


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        for tag in ELSEWHERE.findall(page.read_text()):
            assert "canonical" in tag or "alternate" in tag, (page.name, tag)


def test_every_command_and_option_is_there(site: Path) -> None:
    text = words(site / "commands.html")
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        assert f"whorl {name}" in text
        for parameter in command.params:
            assert all(option in text for option in parameter.opts if option.startswith("-"))


def test_every_setting_is_there_with_its_meaning(site: Path) -> None:
    text = (site / "settings.html").read_text()
    rows = re.findall(r"<tr>\s*<td><code>([\w.]+)</code></td>\s*<td>(.*?)</td>", text, re.DOTALL)
    known = {name for name, _ in rows}
    for name in RECIPES:
        said = settings.as_table(find_recipe(name)())
        for key, _ in settings.flat_items(said):
            assert any(key == one or key.startswith(f"{one}.") for one in known | {"name"}), key
    silent = sorted({name for name, meaning in rows if not meaning.strip()})
    assert not silent


def test_everything_at_the_door_is_there(site: Path) -> None:
    text = (site / "python.html").read_text()
    assert [name for name in DOOR if f"<code>{name}</code>" not in text] == []


def test_formulas_and_source_stand_beside_each_other(site: Path) -> None:
    page = (site / "methods.html").read_text()
    assert page.count("<math") > 15 and "$" not in words(site / "methods.html").replace("$(", "")
    assert "{{" not in page and words(site / "methods.html").count("def harvest") == 4


@pytest.mark.parametrize("name", ["tutorial", "recipe", "index", "failures"])
def test_commands_that_pages_show_are_commands(name: str) -> None:
    """They are parsed, not run: `test_help` runs each command's examples."""
    text = (ROOT / "docs" / f"{name}.md").read_text()
    shown = [line.split("#")[0] for line in text.splitlines() if line.startswith("    whorl ")]
    commands = get_command(app).commands  # type: ignore[attr-defined]
    for line in shown:
        _, command, *rest = shlex.split(line.split("|")[0])
        commands[command].make_context(command, rest, resilient_parsing=False).close()
    assert shown or name == "failures"


def test_pictures_are_those_that_pages_show() -> None:
    kept = {path.name for path in (ROOT / "docs" / "pictures").iterdir()}
    texts = [path.read_text() for path in (*(ROOT / "docs").glob("*.md"), ROOT / "README.md")]
    assert kept == set(re.findall(r"pictures/([\w-]+\.png)", "".join(texts)))
