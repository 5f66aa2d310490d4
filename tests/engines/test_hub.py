"""Models of the hub: from a stand-in server into the ordinary cache, and from the cache alone."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from huggingface_hub import constants

from whorl.engines import hub, open_engine
from whorl.engines.hub import HubModel, Missing, missing
from whorl.engines.model import find_model, model_content, pending
from whorl.errors import UserError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def forget() -> None:
    hub.fetch.cache_clear()
    hub._commit.cache_clear()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache of the hub's, and no network."""
    forget()
    folder = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    yield folder
    forget()


class Hub(BaseHTTPRequestHandler):
    """OWNER/NAME is the folder of that name below `root`; an owner called secret is gated."""

    root = Path()

    def do_GET(self) -> None:
        code, said, headers = self._answer()
        self.send_response(code)
        for name, value in {**headers, "Content-Length": str(len(said))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(said)

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self) -> tuple[int, bytes, dict[str, str]]:
        parts = self.path.partition("?")[0].strip("/").split("/")
        about = parts[0] == "api"
        owner, name, *_ = [*(parts[2:] if about else parts), "", ""]
        repo = self.root / owner / name
        if not name or not repo.is_dir():
            return 404, b"{}", {"X-Error-Code": "RepoNotFound"}
        if "none" in parts:
            return 404, b"{}", {"X-Error-Code": "RevisionNotFound"}
        if owner == "secret" and not (about and parts[4] == "revision"):
            return 403, b"{}", {"X-Error-Code": "GatedRepo"}
        if about:
            return 200, json.dumps(_about(repo, tree=parts[4] == "tree")).encode(), {}
        content = (repo / parts[-1]).read_bytes()
        tag = f'"{hashlib.sha1(content).hexdigest()}"'
        return 200, content, {"X-Repo-Commit": COMMIT, "ETag": tag}


def _about(repo: Path, *, tree: bool) -> Any:
    files = sorted(repo.iterdir())
    if tree:
        return [
            {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": file.name}
            for file in files
        ]
    names = [{"rfilename": file.name} for file in files]
    return {"id": f"{repo.parent.name}/{repo.name}", "sha": COMMIT, "siblings": names}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A hub that serves what is in the folder this returns."""
    root = tmp_path / "served"
    monkeypatch.setattr(Hub, "root", root)
    answering = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    Thread(target=answering.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{answering.server_port}"
    form = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", form)
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    yield root
    answering.shutdown()
    answering.server_close()


@pytest.fixture
def served(server: Path, tiny_model: Path) -> Path:
    """The tiny model at the hub, beside files that nobody needs."""
    folder = server / "me" / "tiny"
    shutil.copytree(tiny_model, folder)
    (folder / "pytorch_model.bin").write_bytes(b"pickled")
    (folder / "modeling_tiny.py").write_text("raise SystemExit")
    return folder


def test_a_model_is_downloaded_and_then_found_without_a_network(
    served: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = {file.name for file in served.iterdir()} - {"pytorch_model.bin", "modeling_tiny.py"}
    size = sum((served / name).stat().st_size for name in needed)
    assert missing(HubModel("me/tiny")) == Missing(len(needed), size)
    assert pending("local:me/tiny").startswith(f"me/tiny is to be downloaded: {len(needed)} files")
    folder = find_model("me/tiny").folder
    assert {file.name for file in folder.iterdir()} == needed
    assert pending("me/tiny") == ""
    assert model_content("local:me/tiny") == f"local:me/tiny@{COMMIT}"
    open_engine("local:me/tiny", processes=0).close()
    forget()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert find_model("me/tiny").folder == folder
    assert find_model(f"me/tiny@{COMMIT}").folder == folder
    assert pending("me/tiny") == ""


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("me/none-such", "no such model at the hub"),
        ("me/tiny@none", "me/tiny has no revision 'none' at the hub"),
        ("secret/tiny", "secret/tiny needs its licence accepted"),
        ("me/pickled", r"its weights are pickled \(pytorch_model.bin\)"),
    ],
)
def test_what_the_hub_has_not_or_not_for_us(served: Path, name: str, why: str) -> None:
    shutil.copytree(served, served.parents[1] / "secret" / "tiny")
    pickled = served.parent / "pickled"
    shutil.copytree(served, pickled, ignore=shutil.ignore_patterns("*.safetensors"))
    with pytest.raises(UserError, match=why) as caught:
        open_engine(f"local:{name}")
    assert "\n" not in str(caught.value)


def test_no_network_and_nothing_in_the_cache() -> None:
    with pytest.raises(UserError, match="the hub is out of reach") as caught:
        open_engine("me/tiny")
    assert "\n" not in str(caught.value)


def test_a_cache_that_another_program_filled(cache: Path, tiny_model: Path) -> None:
    home = cache / "models--me--tiny"
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text(COMMIT)
    shutil.copytree(tiny_model, home / "snapshots" / COMMIT)
    folder = find_model("me/tiny").folder
    assert folder == home / "snapshots" / COMMIT
    assert hub.called(folder) == "me/tiny" and hub.called(tiny_model) == tiny_model.name


def test_a_folder_of_that_name_is_meant_first(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_model, tmp_path / "me" / "tiny")
    monkeypatch.chdir(tmp_path)
    assert find_model("me/tiny").folder == Path("me/tiny")
