import errno
import os
import re
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from whorl.errors import UserError
from whorl.problem import Problem
from whorl.report import (
    Cells,
    Figure,
    FigureTable,
    Interval,
    Level,
    Report,
    ReportTree,
    ResultRow,
)
from whorl.tree import ROOT, Node, Tree
from whorl.view.report import LARGEST, write_report

EVIL = (
    '"><script>alert(1)</script><img src=x onerror=alert(1)><style>*{display:none}</style>'
    "' onmouseover='alert(1)' </details></svg><a href=\"javascript:alert(1)\">x</a>"
    "<!-- ]]> {{ 7*7 }} {% raw %} &lt;b&gt; \u202egnp.exe\u200b\ufeff\x00\x1b[31m\ud800"
)
TAME = "t" * len(EVIL)
VOID = {"meta", "br", "input", "img", "link"}


class Page(HTMLParser):
    """The page as a browser reads it: every tag with its attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.comments: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"repeated attribute in {tag}"
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.words.append(data)

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).replace("\u2009", "").split())


def written(path: Path, report: Report) -> str:
    write_report(path / "report.html", report)
    return (path / "report.html").read_text("utf-8")


def hostile_report(text: str) -> Report:
    """A report that says `text` wherever it can say anything."""
    tree = Tree(Problem(text, text, text, source=text, level=text), provenance={"recipe": text})
    step = tree.add(Node(ROOT, text, note=text, visits=1))
    tree.add(Node(step, text, note=f"Errors: {text}\nVerdict: edit", terminal=True, reward=0.0))
    revised = tree.add(Node(ROOT, text + "2", author="reviser"))
    tree.tip = tree.add(Node(revised, text, author=text, note=text, terminal=True, reward=1.0))
    share = Interval(0.5, 0.4, 0.6)
    figures = (Figure(text, text, text),)
    return Report(
        title=text,
        lead=text,
        figures=figures,
        rows=(ResultRow(text, share, 10, note=text),),
        remarks=(text,),
        levels=(Level(text, 10, share, share),),
        cells=Cells(1, 2, 3, 4),
        counters=(FigureTable(text, figures, text),),
        trees=(ReportTree(tree),),
        settings=(FigureTable(text, figures, text),),
    )


@pytest.mark.parametrize("ended", [True, False])
def test_a_solution_written_afresh_stands_whole_beside_the_original(
    tmp_path: Path, *, ended: bool
) -> None:
    tree = Tree(Problem("p", "q", "5"))
    first = tree.add(Node(ROOT, "2+3=6\n\n", visits=1))
    tree.add(Node(first, "\\boxed{6}", terminal=ended, reward=0.0 if ended else None))
    second = tree.add(Node(ROOT, "Add.\n\n", author="reviser", mark="revised"))
    third = tree.add(Node(second, "2+3=5\n\n", author="reviser"))
    tree.tip = tree.add(Node(third, "\\boxed{5}", author="reviser", terminal=True, reward=1.0))
    write_report(tmp_path / "r.html", Report("t", "l", trees=(ReportTree(tree),)))
    html = (tmp_path / "r.html").read_text()
    refined = html.partition('<div class="refined two">')[2].partition("\n</div>")[0]
    assert ("2+3=6\n\n\\boxed{6}" if ended else "no solution") in refined
    assert "Add.\n\n2+3=5\n\n\\boxed{5}" in refined and "<mark>" not in refined
    assert "Solved afresh" in refined
    assert "no critique" not in html and "no such step" not in html


def test_page_is_well_formed_and_self_contained(tmp_path: Path, report: Report) -> None:
    html = written(tmp_path, report)
    page = Page(html)
    assert page.open == []
    assert not page.comments
    for tag, attributes in page.tags:
        assert tag not in ("link", "iframe", "object", "embed", "base", "img", "form", "use")
        assert not {"src", "style", "srcset", "data", "action"} & attributes.keys(), tag
        assert str(attributes.get("href", "#")).startswith("#")
        assert not any(name.startswith("on") for name in attributes)
    assert "http:" not in html and "https:" not in html
    assert "url(" not in html and "@import" not in html
    identities = [a["id"] for _, a in page.tags if "id" in a]
    assert len(identities) == len(set(identities))


def test_policy_admits_nothing_but_the_page_s_own_style_and_script(
    tmp_path: Path, report: Report
) -> None:
    from base64 import b64encode
    from hashlib import sha256

    html = written(tmp_path, report)
    policy = next(a["content"] for t, a in Page(html).tags if t == "meta" and "http-equiv" in a)
    assert policy is not None and policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy and "*" not in policy
    for tag in ("style", "script"):
        sources = re.findall(f"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        assert len(sources) == 1
        digest = b64encode(sha256(sources[0].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_every_given_number_is_on_the_page(tmp_path: Path, report: Report) -> None:
    text = Page(written(tmp_path, report)).text
    numbers = ["51.3 %", "48.5 %", "54.1 %", "63.9 %", "61.2 %", "66.6 %", "1200", "214", "63"]
    numbers += ["+12.6", "+9.5", "+15.7", "3.1·10⁻¹²", "2.1·10⁻⁴", "0.013", "4812", "3481224"]
    numbers += ["74.0 %", "69.0 %", "81.0 %", "+7.0", "240", "2411", "37", "906", "646"]
    numbers += ["412", "118", "41", "77", "301", "683", "16", "1.414", "0.1.0"]
    assert [n for n in numbers if n not in text] == []
    for group in (*report.counters, *report.settings):
        assert all(f"{line.label}" in text for line in group.lines)
    assert all(remark in text for remark in report.remarks)


def test_charts_say_what_they_show(tmp_path: Path, report: Report) -> None:
    html = written(tmp_path, report)
    plots = re.findall(r'<svg class="plot" role="img".*?</svg>', html, re.DOTALL)
    assert len(plots) == 2
    for plot in plots:
        assert re.match(r"<svg [^>]*><title>[^<]+</title><desc>[^<]+</desc>", plot)
    assert "SIGMA: 63.9\u00a0% (61.2\u00a0% to 66.6\u00a0%)" in plots[0]


def test_hostile_text_is_inert(tmp_path: Path) -> None:
    tame, hostile = (Page(written(tmp_path, hostile_report(t))) for t in (TAME, EVIL))
    skeleton = [(tag, sorted(attributes)) for tag, attributes in tame.tags]
    got = [(tag, sorted(attributes)) for tag, attributes in hostile.tags]
    # which words are marked as changed depends on the words: nothing else may differ
    assert [t for t in got if t[0] != "mark"] == [t for t in skeleton if t[0] != "mark"]
    assert all(attributes == {} for tag, attributes in hostile.tags if tag == "mark")
    assert hostile.open == [] and not hostile.comments
    assert "<script>alert(1)</script>" in hostile.text
    assert "{{ 7*7 }}" in hostile.text
    assert "‹U+202E›gnp.exe‹U+200B›‹U+FEFF›‹U+0000›‹U+001B›[31m‹U+D800›" in hostile.text
    raw = (tmp_path / "report.html").read_text("utf-8")
    assert not re.search("[\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\x00\x1b]", raw)


def test_nothing_to_say_is_fine(tmp_path: Path) -> None:
    page = Page(written(tmp_path, Report("Empty run", "Nothing was measured.")))
    assert page.open == []
    assert "Nothing was measured." in page.text
    assert not {"table", "svg", "details"} & {tag for tag, _ in page.tags}


def test_parts_may_be_missing(tmp_path: Path) -> None:
    nothing = Interval(float("nan"), float("nan"), float("nan"))
    report = Report(
        "t",
        "l",
        rows=(
            ResultRow("unmeasured", nothing, 0),
            ResultRow("all right", Interval(1.0, 1.0, 1.0), 3),
        ),
        levels=(Level("1", 0, nothing, nothing),),
        counters=(FigureTable("none dropped", ()),),
        trees=(ReportTree(Tree(Problem("p", "", ""))),),
    )
    text = Page(written(tmp_path, report)).text
    assert "nan" not in text
    assert "100.0 %" in text and "0 of 0 solutions right" in text


def test_same_report_gives_same_bytes(tmp_path: Path, report: Report) -> None:
    assert written(tmp_path, report) == written(tmp_path, report)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_page_of_huge_trees_is_bounded_and_says_what_it_leaves_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whorl.view.report.LARGEST", 200_000)
    tree = Tree(Problem("p", "q" * 1_000_000, "1"))
    for i in range(500):  # more than are drawn
        tree.add(Node(i if i % 50 else ROOT, f"{i} " + "x" * 2_000, visits=1, note="y" * 5_000))
    tree.nodes[7].text = "z" * 1_000_000
    write_report(tmp_path / "r.html", Report("t", "l", trees=(ReportTree(tree),) * 14))
    html = (tmp_path / "r.html").read_text("utf-8")
    assert len(html) < 400_000 < LARGEST
    assert re.search(r"\d+ more trees not shown", html)
    assert "997\u2009000 more characters not shown" in html


def test_unwritable_place_is_one_clear_line(tmp_path: Path, report: Report) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "missing" / "r.html", tmp_path / "file" / "r.html"):
        with pytest.raises(UserError, match=r"^cannot write the report .*; choose another place$"):
            write_report(place, report)


def test_what_a_killed_writer_left_is_removed(tmp_path: Path, report: Report) -> None:
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    left, own, other = (tmp_path / f".r.html.{end}" for end in (gone.pid, os.getppid(), "txt"))
    for draft in (left, own, other):
        draft.write_text("half a page")
    write_report(tmp_path / "r.html", report)
    assert not left.exists() and own.exists() and other.exists()


def test_failed_write_leaves_the_old_report(
    tmp_path: Path, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = written(tmp_path, report)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left on device"):
        write_report(tmp_path / "report.html", replace(report, title="new"))
    assert (tmp_path / "report.html").read_text("utf-8") == old
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
