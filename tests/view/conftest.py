"""One run folder, one viewer and one browser for all tests of the viewer."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.report.conftest import sample_report
from tests.view.folder import run_folder

from whorl.report import Report

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
HIGH = 1_300  # pixels of a picture
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)


@pytest.fixture(scope="session")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_folder(tmp_path_factory.mktemp("view") / "first")


@pytest.fixture
def report() -> Report:
    return sample_report()


@contextmanager
def viewing(*paths: Path) -> Iterator[str]:
    """The address of a viewer of these paths, as the command starts it."""
    command = [sys.executable, "-m", "whorl", "view", "--port", "0", *map(str, paths)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        found = re.search(r"http://localhost:\d+", line)
        assert found, line + process.stderr.read()
        yield found[0]
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(10)
        process.stderr.close()


@pytest.fixture(scope="session")
def address(shown: Path) -> Iterator[str]:
    with viewing(shown) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """Chromium; tests of pages are skipped where there is none. No longer than its module: while it
    is open its event loop runs, and other tests of the process cannot have one."""
    if BROWSER is None:
        pytest.skip("no chromium here: `make browser` installs it")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=BROWSER, args=list(FLAGS))
        yield started
        started.close()


@pytest.fixture
def picture(request: pytest.FixtureRequest):
    """A function that keeps a picture of a page if `WHORL_PICTURES` names a folder for them: those
    of the site, which are there already, or in an empty folder all."""

    def take(page, name: str) -> None:
        folder = os.environ.get("WHORL_PICTURES")
        if not folder:
            return
        kept = {path.stem for path in Path(folder).glob("*.png")}
        if Path(folder).name != "pictures" or name in kept:
            size = page.evaluate("({width: innerWidth, height: document.body.scrollHeight})")
            clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], HIGH)}
            page.screenshot(path=Path(folder) / f"{name}.png", full_page=True, clip=clip)

    return take
