"""Nothing that a text, an id or an error holds reaches a terminal as anything but text."""

import ast
import io
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.live import Live
from rich.text import Text
from rich.tree import Tree as Drawing
from typer.testing import Result

from whorl.cli.terminal import console, shown_as_text
from whorl.data.forest import Forest
from whorl.problem import Problem
from whorl.tree import Node, Tree

Whorl = Callable[..., Result]
SOURCE = Path(__file__).parents[2] / "src" / "whorl"
HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202etxt.exe\u2066\x08\x7f"
"""A window's title set, a screen cleared, colours the C1 way, text turned round, and more."""


def obeyed(shown: str) -> list[str]:
    """Characters of what was shown that a terminal does not show."""
    return [c for c in shown if not c.isprintable() and c not in "\n\t"]


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A file of problems, of pairs, and of trees, that say such things."""
    row = {"id": f"p{HOSTILE}", "question": f"1 + 1?{HOSTILE}", "answer": "2"}
    pair = {"id": row["id"], "gold": "2", "prediction": f"The answer is \\boxed{{{HOSTILE}}}"}
    (tmp_path / "problems.jsonl").write_text(json.dumps(row) + "\n")
    (tmp_path / "pairs.jsonl").write_text(json.dumps(pair) + "\n")
    (tmp_path / "broken.jsonl").write_text(json.dumps({HOSTILE: "1 + 1?"}) + "\n")
    tree = Tree(Problem(row["id"], row["question"], "2"))
    tree.add(Node(0, f"2{HOSTILE}", note=HOSTILE))
    tree.provenance = {"arm": HOSTILE}
    with Forest(tmp_path / "trees.jsonl") as forest:
        forest.append(tree)
    return tmp_path


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "trees.jsonl"), ("show", "trees.jsonl", f"p{HOSTILE}", "--notes"),
        ("show", "trees.jsonl", f"q{HOSTILE}"), ("judge", "pairs.jsonl"),
        ("judge", "broken.jsonl"), ("judge", "broken.jsonl", "--skip-bad"),
        ("problems", "broken.jsonl", "--out", "out.jsonl", "--skip-bad"),
        ("grow", "--recipe", "rft", "--problems", "problems.jsonl", "--run", "run",
         "--policy", f"local:{HOSTILE}"),
        ("grow", "--recipe", "rft", "--problems", "problems.jsonl", "--run", "run",
         "--policy", "policy", "--processes", 0, "--set", "samples=1", "--dry-run"),
        ("table", f"{HOSTILE},b=trees.jsonl"),
    ],
)  # fmt: skip
def test_no_command_lets_a_control_character_through(
    whorl: Whorl, hostile: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[object, ...]
) -> None:
    monkeypatch.chdir(hostile)
    done = whorl(*arguments)
    assert done.exit_code in (0, 2), done.output
    assert not obeyed(done.stdout) and not obeyed(done.stderr)
    assert done.output.strip()


def test_a_terminal_gets_colours_and_no_orders(hostile: Path) -> None:
    """In a terminal of its own, colours and all."""
    command = [sys.executable, "-m", "whorl", "show", str(hostile / "trees.jsonl"), f"p{HOSTILE}"]
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "200"}
    process = subprocess.Popen(command, stdout=follower, stderr=follower, env=environment)
    os.close(follower)
    shown = b""
    try:
        while piece := os.read(leader, 4096):
            shown += piece
    except OSError:  # how Linux says that the other side is closed
        pass
    os.close(leader)
    process.wait()
    assert re.search(rb"\x1b\[1m", shown)
    assert b"\x1b" not in re.sub(rb"\x1b\[[\d;]*m", b"", shown)
    text = shown.decode()
    assert "‹U+001B›]0;owned‹U+0007›" in text and "\u202e" not in text and "\x9b" not in text


def test_colours_of_our_own_pass_through_a_console_and_nothing_else_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stdout", out := io.StringIO())
    with shown_as_text():
        terminal = console()
        drawn = Drawing(Text(HOSTILE, "bold"))
        drawn.add(Text("right", "green"))
        terminal.print(drawn)
        with Live(get_renderable=lambda: Text("working"), console=terminal, transient=True):
            terminal.print(HOSTILE, markup=False)
    shown = out.getvalue()
    assert "\x1b[32mright\x1b[0m" in shown and "working" in shown
    assert "\x1b]0" not in shown and "\u202e" not in shown and "\x9b" not in shown
    assert shown.count("‹U+001B›]0;owned") == 2


def test_consoles_are_made_in_one_place() -> None:
    """A console of another module would let through what texts hold."""
    for path in SOURCE.rglob("*.py"):
        if path.name == "terminal.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "Console", f"{path}:{node.lineno}"
