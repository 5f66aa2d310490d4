"""Cells of tables carry text as text."""

import csv
import io
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.cli.cells import csv_cell, latex_cell, markdown_cell, plain
from whorl.errors import visible
from whorl.evaluate import Score, write_scores

HOSTILE = [
    "=cmd|' /C calc'!A0", "+1", "-1", "@SUM(1)", "\t=1", "＝1", "a|b", "`rm`", "<script>x</script>",
    "&lt;", "two\nlines", "\r\n=1", "\x1b[31mred", "turned\u202e", "**bold**", "_word_", "a_b",
    "[x](http://y)", "![x](y)", "# title", "- item", "1. item", "$x$", "50 %",
    "123) item", "2.", "62.5", "{a}", "\\input{x}", "[2em]",
    "*", "~", "^", "---", "https://example.com", "x\\", "'quoted'", '"quoted"',
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_shows_what_was_written(text: str) -> None:
    """As a reader of GitHub's Markdown sees it, in a table and in a paragraph."""
    markdown = pytest.importorskip("markdown_it")
    reader = markdown.MarkdownIt("commonmark").enable("table")
    page = reader.parse(f"| head |\n| --- |\n| {markdown_cell(text)} |\n\n{markdown_cell(text)}.")
    inline = [token for token in page if token.type == "inline"]
    assert [token.type for token in page].count("td_open") == 1
    kinds = {child.type for token in inline for child in token.children or ()}
    assert kinds <= {"text", "text_special"}, page
    cell, paragraph = ("".join(c.content for c in t.children or ()) for t in inline[1:])
    assert cell == plain(text) and paragraph == f"{plain(text)}."


@given(st.text())
def test_latex_has_no_order_in_it(text: str) -> None:
    rest = latex_cell(text)
    for word in ("backslash", "asciitilde", "asciicircum", "asciigrave", "less", "greater", "bar"):
        rest = rest.replace(f"\\text{word}{{}}", "")
    for escaped in ("{[}", "{*}", *(f"\\{char}" for char in "&%$#_{}")):
        rest = rest.replace(escaped, "")
    assert not set(rest) & set("\\{}[*&%$#_^~`<>|\n\r\t")


@given(st.text())
@pytest.mark.parametrize("text", HOSTILE)
def test_a_spreadsheet_sees_no_formula(text: str, other: str) -> None:
    file = io.StringIO()
    csv.writer(file).writerow([csv_cell(text), csv_cell(other)])
    ((one, two),) = csv.reader(io.StringIO(file.getvalue()))
    for cell, said in ((one, text), (two, other)):
        assert cell.removeprefix("'") == visible(" ".join(said.split())).removeprefix("'")
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


def test_tables_carry_hostile_names(whorl, tmp_path: Path) -> None:
    scores = tmp_path / "scores.jsonl"
    write_scores(scores, [Score("0", "", (1.0,), ("1",))])
    names = [text.replace(",", "") for text in HOSTILE]
    arguments = [f"{name or 'x'} {n},b|<b>={scores}" for n, name in enumerate(names)]
    for form in ("markdown", "latex", "csv"):
        done = whorl("table", "--format", form, "--", *arguments)
        assert done.exit_code == 0, done.output
        lines = done.stdout.splitlines()
        assert sum("100.0" in line or ",1.0," in line for line in lines) >= len(names), done.stdout
        assert "\x1b" not in done.stdout and "\u202e" not in done.stdout
    if latex := shutil.which("pdflatex"):
        page = "\\documentclass{article}\\usepackage{booktabs}\\begin{document}%s\\end{document}"
        shown = whorl("table", "--format", "latex", "--", *arguments).stdout
        (tmp_path / "t.tex").write_text(page % shown)
        command = [latex, "-interaction=batchmode", "t.tex"]
        assert subprocess.run(command, cwd=tmp_path).returncode == 0
