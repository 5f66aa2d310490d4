"""Pages in Chromium, as people use them: no mouse needed, light and dark, wide and narrow, and
nothing that a model says runs or fetches anything."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.view.conftest import viewing
from tests.view.folder import ENEMY, small

from whorl.errors import UserError
from whorl.view.bundle import bundle
from whorl.view.report import write_report
from whorl.view.shelf import Shown
from whorl.view.summary import summary
from whorl.watch import Progress, Quiet
from whorl.watch.events import recorded

TREE = "/r/first/trees/round-1/t/"


@pytest.fixture
def opened(browser, address: str) -> Iterator:
    """A function that opens a page; everything that it asks of whom is kept, and any fault of its
    script fails the test."""
    pages, asked, faults = [], [], []

    def open_page(path: str, width: int = 1280, scheme: str = "light", host: str = ""):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
        )
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto((host or address) + path)
        pages.append(context)
        return page

    open_page.asked = asked  # type: ignore[attr-defined]
    yield open_page
    for context in pages:
        context.close()
    assert not faults
    assert all(url.startswith("http://localhost:") for url in asked), asked


def selected(page) -> int:
    return int(page.locator(".node[aria-current]").get_attribute("data-node"))


def test_a_problem_is_searched_filtered_and_opened(opened, picture) -> None:
    page = opened("/r/first/trees/round-1/")
    assert "65 of 65" in page.locator("#found").inner_text()
    picture(page, "trees")
    page.get_by_label("outcome").select_option("wrong-right")  # submits by itself
    page.wait_for_url("**outcome=wrong-right**")
    assert page.locator("tbody .mark.right").count() == page.locator(".trees tbody tr").count() > 3
    page.get_by_label("Words of the problem").fill("pool:1")
    page.keyboard.press("Enter")
    page.wait_for_url("**words=pool**")
    page.locator(".trees a").first.click()
    page.wait_for_selector(".drawing .node")
    assert "pool:1" in page.locator(".meta").first.inner_text()
    picture(page, "tree")


def test_siblings_are_compared_and_a_link_leads_to_them(opened, picture) -> None:
    page = opened(f"{TREE}pool:1%23T=0.4")
    page.get_by_role("button", name="whole").click()
    page.locator('.node[data-node="2"]').click()
    page.wait_for_selector('#fork[data-selected="2"]')
    assert page.locator(".sibling").count() > 1
    assert page.locator(".sibling.selected").get_attribute("data-node") == "2"
    assert page.locator(".sibling:not(.selected) mark").count() > 0
    page.get_by_role("button", name="copy link").click()
    page.wait_for_selector("text=link copied")
    link = page.evaluate("navigator.clipboard.readText()")
    assert link.endswith("node=2")
    other = opened("/" + link.split("/", 3)[3])
    assert selected(other) == 2
    assert other.locator("#fork").get_attribute("data-selected") == "2"


def test_critique_and_revision_stand_beside_each_other(opened) -> None:
    page = opened(f"{TREE}pool:1%23T=0.4")
    steps = page.locator(".refined .step")
    assert steps.count() > 2
    assert "Errors" in page.locator(".refined .critique").nth(1).inner_text()
    assert page.locator(".refined .after mark").count() > 0
    assert "taught 1 example" in page.locator(".meta").nth(1).inner_text()
    page.locator(".meta a[data-node]").click()
    page.wait_for_selector(".taught")
    assert "weight +0.5" in page.locator(".taught").inner_text()
    page.locator(".taught a").click()
    page.wait_for_selector("text=Training example")


def test_a_tree_is_walked_folded_and_played_by_keyboard_alone(opened) -> None:
    page = opened(f"{TREE}pool:1%23T=0.4?node=1")
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.classList.contains('node')"):
            break
    assert selected(page) == 1
    page.keyboard.press("ArrowRight")
    first = selected(page)
    assert first != 1
    page.keyboard.press("ArrowLeft")
    assert selected(page) == 1
    page.keyboard.press("Enter")
    page.wait_for_selector('#fork[data-selected="1"]')
    shown = page.locator(".node:not([hidden])").count()
    page.keyboard.press("c")
    assert page.locator(".node:not([hidden])").count() < shown
    assert page.locator(".node.folded").count() == 1
    page.keyboard.press("c")
    assert page.locator(".node:not([hidden])").count() == shown
    before = page.locator(".drawing").get_attribute("viewBox")
    page.keyboard.press("+")
    assert page.locator(".drawing").get_attribute("viewBox") != before
    page.keyboard.press("p")
    page.wait_for_selector(".node[hidden]", state="attached")
    page.keyboard.press("p")
    page.locator(".time").fill("2")
    assert page.locator(".node:not([hidden])").count() == 2


def test_a_tree_is_dragged_without_opening_a_step(opened) -> None:
    page = opened(f"{TREE}large%23")
    page.wait_for_selector(".canvas.moved")
    before, url = page.locator(".drawing").get_attribute("viewBox"), page.url
    area = page.locator(".canvas").bounding_box()
    page.mouse.move(area["x"] + 200, area["y"] + 200)
    page.mouse.down()
    page.mouse.move(area["x"] + 300, area["y"] + 100, steps=4)
    page.mouse.up()
    assert page.locator(".drawing").get_attribute("viewBox") != before
    assert page.url == url


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/r/first/", "run"),
        ("/r/first/trees/round-1/", "trees"),
        (f"{TREE}pool:1%23T=0.4", "tree"),
        (f"{TREE}deep%23", "deep"),
        (f"{TREE}scripts%23", "scripts"),
        (f"{TREE}long%23", "long"),
        ("/r/first/attempts/scores-1/", "attempts"),
        ("/r/first/attempts/scores-1/p/test:4?against=first/scores-0", "attempt"),
    ],
)
def test_pages_fit_a_narrow_screen(opened, picture, path: str, name: str, scheme: str) -> None:
    page = opened(path, 420, scheme)
    wide = page.evaluate("document.documentElement.scrollWidth")
    picture(page, f"{name}-420-{scheme}")
    assert wide <= 420
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    bright = sum(int(part) for part in ground[4:-1].split(",")) > 380
    assert bright == (scheme == "light")


def test_formulas_are_laid_out_and_broken_ones_stand(opened, picture) -> None:
    page = opened(f"{TREE}scripts%23?node=3")
    assert page.locator(".siblings mfrac").count() == 1
    height = page.locator(".siblings mfrac").first.bounding_box()["height"]
    assert height > 16  # a numerator above a denominator
    assert "\\frac{1}{" in page.locator("code.latex").inner_text()
    assert page.locator("details.thought").count() == 1
    assert page.locator("pre code").count() == 1
    picture(page, "scripts")


def test_attempts_are_listed_with_what_was_fixed_and_broken(opened, picture) -> None:
    page = opened("/r/first/attempts/scores-1/")
    assert page.locator("tbody .good").count() == 4 and page.locator("tbody .bad").count() == 1
    page.get_by_label("which").select_option("broken")
    page.wait_for_url("**kind=broken**")
    assert page.locator("tbody tr").count() == 1
    page.locator(".trees a").first.click()
    assert page.locator(".sides .mark.right").count() == 1
    assert page.locator(".sides .mark.wrong").count() == 1
    other = opened("/r/first/attempts/scores-1/p/test:4?against=first/scores-0")
    picture(other, "attempts")


def test_what_an_enemy_writes_runs_nothing_and_fetches_nothing(opened, picture) -> None:
    page = opened("/r/first/trees/round-1/?words=enemy")
    page.locator(".trees a").first.click()
    page.wait_for_selector("#fork")
    picture(page, "enemy")
    for node in (1, 2, 3):
        page.locator(f'.node[data-node="{node}"]').dispatch_event("click")
        page.wait_for_selector(f'#fork[data-selected="{node}"]')
    assert page.locator("main img, main script, main style, main iframe").count() == 0
    assert page.locator("main a[href^=javascript]").count() == 0
    assert page.evaluate("document.title") != "taken"
    assert page.locator(".canvas").is_visible()
    assert "‹U+202E›" in page.locator("h1").inner_text()
    opened("/r/first/attempts/scores-1/p/test:0")
    opened("/r/first/")


def test_the_policy_of_a_page_lets_nothing_run_or_load(opened) -> None:
    page = opened("/r/first/")
    blocked = page.evaluate(
        """async () => {
            const seen = [];
            document.addEventListener('securitypolicyviolation',
                (event) => seen.push(event.effectiveDirective));
            document.body.insertAdjacentHTML('beforeend',
                '<img src="/x.png"><p style="color:red">x</p><iframe src="/"></iframe>');
            const script = document.createElement('script');
            script.textContent = 'window.ran = true';
            document.body.append(script);
            await fetch('https://evil.example/').catch(() => 0);
            await new Promise((done) => setTimeout(done, 300));
            try { new Function('return 1')(); } catch { seen.push('eval'); }
            return [...new Set(seen)].sort().concat(String(window.ran));
        }"""
    )
    opened.asked.clear()
    assert {"connect-src", "eval", "frame-src", "img-src"} <= set(blocked), blocked
    assert any(kind.startswith("script-src") for kind in blocked)
    assert any(kind.startswith("style-src") for kind in blocked)
    assert blocked[-1] == "undefined"


@contextmanager
def growing(folder: Path) -> Iterator[Progress]:
    """A run that goes on while its folder is looked at."""
    progress = Progress(total=10)
    with (
        recorded(Quiet(), folder / "events.jsonl", {}) as watch,
        watch.stage("grow", progress),
    ):
        yield progress


def test_a_run_is_watched_while_it_goes_on(opened, picture, shown: Path, tmp_path: Path) -> None:
    folder = tmp_path / "live"
    shutil.copytree(shown, folder, ignore=shutil.ignore_patterns("*.index.db"))
    trees = folder / "round-1" / "trees.jsonl"
    trees.write_text(small(1).to_json() + "\n")
    with viewing(folder) as host, growing(folder) as progress:
        run = opened("/r/live/", host=host)
        run.wait_for_selector(".life.running")
        listed = opened("/r/live/trees/round-1/", host=host)
        listed.wait_for_selector("text=1 of 1 trees")
        start = time.monotonic()
        with trees.open("a") as file:
            file.write(small(2).to_json() + "\n")
        progress.done = 7
        run.wait_for_selector("text=7 / 10")
        listed.wait_for_selector("text=2 of 2 trees")
        assert time.monotonic() - start < 10  # benchmarks/viewer.py has the figure
        picture(run, "live")


def test_all_of_it_works_without_a_script(browser, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}{TREE}pool:1%23T=0.4?node=2")
    assert page.locator(".node").count() > 10
    page.locator('.node[data-node="1"]').click()
    assert "node=1" in page.url
    assert page.locator("#fork").get_attribute("data-selected") == "1"
    context.close()


@pytest.fixture(scope="module")
def pages(shown: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run as files: its report, and a folder of pages."""
    place = tmp_path_factory.mktemp("pages")
    run = Shown(shown, "first")
    write_report(place / "report.html", summary(run))
    assert bundle(run, place / "site") == len(list((place / "site").rglob("*.html")))
    return place


@pytest.fixture
def opened_file(browser) -> Iterator:
    """A function that opens a file; whatever a page asks for besides files fails the test, and so
    does a fault of its script or anything that its policy forbids."""
    asked, said, contexts = [], [], []

    def open_page(path: Path, place: str = "", width: int = 1280):
        context = browser.new_context(viewport={"width": width, "height": 900})
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("console", lambda line: said.append(line.text))
        page.goto(f"{path.as_uri()}{place}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not said
    assert all(url.startswith("file:///") for url in asked), asked


def test_a_report_is_read_without_a_viewer(opened_file, picture, pages: Path) -> None:
    page = opened_file(pages / "report.html")
    picture(page, "report")
    cards = page.locator(".cards .card")
    assert cards.count() == 65
    assert cards.first.locator(".refined .step").count() > 2
    cards.first.locator('.drawing .node[data-node="3"]').dispatch_event("click")
    assert cards.first.locator(".sibling.selected:visible").get_attribute("data-node") == "3"
    page.get_by_label("Only trees with this outcome").select_option("right right")
    assert 0 < page.locator(".cards .card:visible").count() < 65
    page.get_by_label("Only trees with these words").fill("二加二")
    assert "0 of 65" in page.locator(".cards output").first.inner_text()
    page.get_by_label("Only trees with this outcome").select_option("")
    page.locator(".cards .card:visible summary").first.click()
    page.locator(".cards .card:visible .canvas.moved").wait_for()
    assert page.locator(".cards .card:visible math mn").count() > 0
    page.locator(".card .bad").first.click()
    assert page.locator(".sides .sibling:visible").count() == 2


def test_a_site_of_files_is_walked(opened_file, picture, pages: Path) -> None:
    page = opened_file(pages / "site" / "index.html")
    page.get_by_role("link", name="trees", exact=True).click()
    page.get_by_label("Words of the problem").fill("forty steps")
    assert page.locator(".trees tbody tr:visible").count() == 1
    page.get_by_label("Words of the problem").fill("pool:1 ")
    page.locator(".trees tbody tr:visible a").first.click()
    page.wait_for_selector(".canvas.moved")
    assert page.locator(".fork:visible").count() == 1
    page.locator(".meta a[data-node]").first.click()
    assert "weight +0.5" in page.locator(".fork:visible .taught").inner_text()
    assert page.url.endswith(f"#n{selected(page)}")
    again = opened_file(pages / "site" / "trees" / "round-1" / "2.html", "#n2")
    assert selected(again) == 2
    assert again.locator(".fork:visible").get_attribute("data-parent") == "0"
    page.get_by_role("link", name="scores-1").click()
    page.get_by_text("What is 4/1?").click()
    assert page.locator(".sides .sibling").count() == 2


def test_a_tree_in_a_notebook_is_alive_and_shut_in(browser) -> None:
    tree = small(1)
    tree.nodes[1].text = ENEMY
    context = browser.new_context()
    page, asked, faults = context.new_page(), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.set_content(f"<title>mine</title>{tree._repr_html_()}")
    frame = page.frame_locator("iframe")
    frame.locator(".canvas.moved").wait_for()
    frame.locator('.node[data-node="1"]').dispatch_event("click")
    assert frame.locator(".sibling.selected:visible").get_attribute("data-node") == "1"
    assert page.title() == "mine" and not faults
    assert not [url for url in asked if url.startswith("http")]
    context.close()


def test_a_site_of_files_is_never_written_over(shown: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="is not empty"):
        bundle(Shown(shown, "first"), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
