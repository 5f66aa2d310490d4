"""Figures that are told in words agree with the tables, and the tables with themselves.

The tables of `docs/results.md` are what `whorl compare`, `benchmarks/against.py` and
`benchmarks/experiment.py` found, copied by hand.
"""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
RESULTS = (ROOT / "docs" / "results.md").read_text()
README = (ROOT / "README.md").read_text()
LOG = (ROOT / "docs" / "log.md").read_text()

PLACES = {
    "equal cost": "The recipes at equal cost",
    "refinement": "SIGMA: what refinement does",
    "rounds": "Process supervision: rounds and transfer",
    "responses": "MARGE by responses per question",
    "stages": "SPHERE, stage by stage",
}
"""Sections, as the claims call them."""

FIGURE = r"[+-]?\d+\.\d+"
P_VALUE = r"\d+e-\d+|\d+\.\d+"

Row = list[str]


def section(text: str, heading: str) -> str:
    """The text below a heading of the second order, up to the next one."""
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def tables(text: str) -> Iterator[list[Row]]:
    """Tables of a Markdown text, each with its head as the first row."""
    for block in re.findall(r"(?:^\|.*\|\n)+", text + "\n", re.MULTILINE):
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.split("\n")]
        yield [row for row in rows[:-1] if not set("".join(row)) <= set("-: ")]


def rows(text: str) -> list[Row]:
    return [row for table in tables(text) for row in table[1:]]


def figures(text: str) -> set[float]:
    """Figures without their signs: words such as "below" may say them."""
    return {abs(float(found)) for found in re.findall(FIGURE, text)}


def in_words(text: str) -> tuple[list[str], list[tuple[str, str]]]:
    """Figures that a text tells, and those that it tells with a p-value. Temperatures are none."""
    text = re.sub(rf"\bT {FIGURE}(?: and {FIGURE})?", "", text)
    pairs = re.findall(rf"({FIGURE})(?: \w+)*,? \(p ({P_VALUE})\)", text)
    alone = re.findall(FIGURE, re.sub(r"p(?: <)? \S+", "", text))
    return alone, pairs


def disagreements(text: str, known: list[Row]) -> list[str]:
    """Figures of a text that no row of the tables has, or none together with their p-value."""
    alone, pairs = in_words(text)
    every = figures(" | ".join(" | ".join(row) for row in known))
    wrong = [figure for figure in alone if abs(float(figure)) not in every]
    for figure, p in pairs:
        together = (row for row in known if p in row and abs(float(figure)) in figures(str(row)))
        wrong += [] if any(together) else [f"{figure} (p {p})"]
    return wrong


CLAIMS = rows(section(RESULTS, "What holds of the papers' claims here"))


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda row: row[0])
def test_a_claim_says_what_its_section_found(claim: Row) -> None:
    name, found, where = claim
    places = [place for place in PLACES if re.search(rf"\b{place}\b", where)]
    assert places, f"{name} names no section"
    known = [row for place in places for row in rows(section(RESULTS, PLACES[place]))]
    assert known
    assert disagreements(found, known) == []
    assert "SPHERE" not in name + found or "rollouts" in found  # they stood in for its reward model


def test_the_readme_says_what_was_found() -> None:
    told = section(README, "What it does, and what not")
    known = rows(RESULTS) + rows(LOG)
    told = re.sub(r"of \d[\d,]+", "", told)
    assert (
        disagreements("\n".join(line for line in told.split("\n") if "|" not in line), known) == []
    )
    log = {tuple(sorted(figures(" ".join(row)))) for row in rows(section(LOG, _DEMO))}
    for row in rows(told):
        own = figures(re.sub(r"\(.*?\)", "", " ".join(row)))
        assert any(own <= set(other) for other in log), row


_DEMO = "2026-11: the main job, end to end"


def _number(cell: str) -> float:
    return float(re.findall(r"[+-]?\d+(?:\.\d+)?", cell.replace(",", ""))[0])


BASE = 51.7
"""Accuracy of the base model, in percent, on the problems that students are measured on where a
table does not say it in a row of its own."""


def measured() -> Iterator[dict[str, str]]:
    """Rows of tables with gains, by column."""
    for table in tables(RESULTS):
        head = table[0]
        if "gain" in head and "by seed" in head:
            rows = [dict(zip(head, row, strict=True)) for row in table[1:]]
            own = next((r["right %"] for r in rows if r[head[0]] == "base"), f"{BASE}")
            yield from (cells | {"base": own} for cells in rows if cells["gain"])


@pytest.mark.parametrize("row", list(measured()), ids=lambda row: "|".join(row.values()))
def test_a_row_agrees_with_itself(row: dict[str, str]) -> None:
    gain = _number(row["gain"])
    assert _number(row["right %"]) - _number(row["base"]) == pytest.approx(gain, abs=0.11)
    seeds = [float(each) for each in row["by seed"].split(", ")]
    assert sum(seeds) / len(seeds) == pytest.approx(gain, abs=0.11)
    low, high = (float(each) for each in row["95 %"].split(" to "))
    assert low < gain < high
    assert (low + high) / 2 == pytest.approx(gain, abs=0.16)


def test_differences_agree_with_their_seeds() -> None:
    checked = 0
    for table in tables(RESULTS):
        if "difference" in table[0]:
            for row in table[1:]:
                cells = dict(zip(table[0], row, strict=True))
                seeds = [float(each) for each in cells["by seed"].split(", ")]
                assert sum(seeds) / 3 == pytest.approx(float(cells["difference"]), abs=0.11), row
                checked += 1
    assert checked > 15


def test_the_four_cells_add_up() -> None:
    (table,) = [each for each in tables(RESULTS) if "repaired" in each[0]]
    for row in table[1:]:
        searches, *cells = (int(_number(cell)) for cell in row[1:6])
        assert sum(cells) == searches, row
        repaired = 100 * cells[2] / (cells[2] + cells[3])
        assert repaired == pytest.approx(_number(row[6]), abs=0.51)


def test_every_row_of_sphere_says_what_stood_in() -> None:
    for table in tables(RESULTS):
        for row in table[1:]:
            if row[0].startswith("sphere"):
                assert re.match(r"sphere \(rollouts, (?:policy|small)\)", row[0]), row


def test_the_table_of_a_real_model_is_that_of_its_rows(
    load_benchmark: Callable[[str], ModuleType],
) -> None:
    script = load_benchmark("kept_rows")
    made = "\n".join(script.table(script.read_rows(ROOT / "docs" / "real-gsm8k.jsonl")))
    assert f"{made}\n" in RESULTS


def test_what_critics_made_of_paths_is_what_is_recorded(
    load_benchmark: Callable[[str], ModuleType], capsys: pytest.CaptureFixture[str]
) -> None:
    """The rows whose replies are in the repository; those of earlier ones are not."""
    script = load_benchmark("critique")
    folder = ROOT / "benchmarks" / "recorded" / "critique"
    replies = [json.loads(line) for line in script.lines(folder, "replies")]
    script.report(script.read_trees(folder), replies, "policy")
    made = set()
    for line in capsys.readouterr().out.splitlines()[1:]:
        form, *counts = re.split(r"\s{2,}", line[13:].strip(), maxsplit=1)
        wrong, repaired, afresh, vote, right, broken, broken_afresh, *_, tokens = counts[0].split()
        made.add((form, wrong, repaired, afresh, vote, right, broken, broken_afresh, tokens))
    document = (ROOT / "docs" / "real-critique.md").read_text()
    told = {
        (row[1].strip("`"), *row[2:-1], row[-1].replace(",", ""))
        for row in rows(document)
        if len(row) == 10
    }
    ours = {row for row in made if any(row[:2] == other[:2] for other in told)}
    assert len(ours) > 12
    assert ours <= told


def test_every_figure_of_the_readme_is_in_a_document() -> None:
    """Those outside the section above too, such as how many times as fast something is."""
    plain = re.sub(
        r"Python (?:from )?3\.\d+|\d{4}\.\d{5}", "", README
    )  # no figures: versions, papers
    known = figures(" ".join(path.read_text() for path in (ROOT / "docs").glob("*.md")))
    assert sorted(figures(plain) - known) == []
