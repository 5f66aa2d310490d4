"""The notebook of the examples runs, and trees show themselves in it."""

import html
import re
from pathlib import Path

import pytest
from tests.report.conftest import refined

from whorl import trees_to_dataset
from whorl.tree import ROOT, Tree

TOUR = Path(__file__).parent.parent / "examples" / "tour.ipynb"


def test_the_tour_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat = pytest.importorskip("nbformat")
    client = pytest.importorskip("nbclient")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    notebook = nbformat.read(TOUR, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "outputs are not kept"
    client.NotebookClient(notebook, timeout=280, kernel_name="python3").execute()
    shown = [out for cell in notebook.cells for out in cell.get("outputs", ())]
    assert any("srcdoc" in out.get("data", {}).get("text/html", "") for out in shown)
    printed = "".join(out.get("text", "") for out in shown)
    assert re.search(r"<Tree \S+ T=0\.7: \d+ steps, ", printed) and "examples of 2 trees" in printed


def test_a_tree_shows_itself_in_a_frame_of_its_own() -> None:
    tree = refined(1)
    tree.nodes[1].text = '"></iframe><script>alert(1)</script>'
    shown = tree._repr_html_()
    assert shown.startswith('<iframe sandbox="allow-scripts" srcdoc="')
    assert shown.count("<") == 2  # the frame alone; the page in it is an attribute
    page = html.unescape(shown)
    assert "default-src &#39;none&#39;" in page and "<script>alert" not in page
    assert "Before" in page and "Critique" in page


def test_reprs_are_short() -> None:
    tree = refined(1)
    assert repr(tree) == "<Tree apples-0001 t0.7: 111 steps, 11 of 70 solutions right, solved>"
    assert repr(tree.nodes[tree.tip]).endswith("reviser, right>")
    assert len(repr(Tree(tree.problem))) < 80
    assert max(len(repr(node)) for node in tree.nodes) < 160


def test_steps_are_rows() -> None:
    tree = refined(1)
    table = trees_to_dataset([tree, refined(2)])
    assert len(table) == len(tree.nodes) + len(refined(2).nodes) - 2
    first = [row for row in table if row["problem"] == tree.problem.id]
    for row in first:
        node = tree.nodes[row["node"]]
        assert row["text"] == node.text and row["depth"] == tree.depth(row["node"])
        assert (row["mean"] is None) == (node.visits == 0)
    assert [row["node"] for row in first if row["chosen"]] == sorted(tree.path(tree.tip))
    assert ROOT not in {row["node"] for row in first}
