"""A harvested set as a data set of the Hub. The Hub itself is not asked here: a local server stands
in for it, which answers as huggingface_hub 2.4 expects and keeps what it is sent."""

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from whorl.data.examples import read_examples
from whorl.data.publish import ROWS, Card, holds_dataset, push_to_hub, write_dataset
from whorl.errors import UserError
from whorl.example import Pair, Weighted
from whorl.prompts import solve

EXAMPLES = [Weighted(solve("1+1?"), "2", 0.5, origin="p#a/3"), Weighted(solve("2+1?"), "3")]
CARD = Card(
    "sigma",
    "Likelihood(kl=0.0)",
    "Made of 7 search trees.",
    {"recipe.uct.simulations": "16"},
    {"Left out": {"wrong | after revision": 1_234}},
    ("The critic saw <b>more</b>.",),
)


def test_a_data_set_is_read_as_it_says(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    assert write_dataset(iter(EXAMPLES), tmp_path / "set", CARD) == 2
    found = datasets.load_dataset(
        str(tmp_path / "set"), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert found["weight"] == [0.5, 1.0]
    assert found[0]["prompt"][-1]["content"] == solve("1+1?").user


def test_every_row_has_every_column(tmp_path: Path) -> None:
    last = Weighted(solve("2+1?"), "3", ended=False)
    write_dataset(iter([*EXAMPLES, last]), tmp_path / "set", CARD)
    rows = [json.loads(line) for line in (tmp_path / "set" / ROWS).read_text().splitlines()]
    assert len({tuple(row) for row in rows}) == 1
    assert [row["ended"] for row in rows] == [True, True, False]
    assert list(read_examples(tmp_path / "set" / ROWS)) == [*EXAMPLES, last]


def test_the_card_says_what_is_known(tmp_path: Path) -> None:
    write_dataset(iter(EXAMPLES), tmp_path / "set", CARD)
    card = (tmp_path / "set" / "README.md").read_text()
    head = card.split("---")[1]
    assert f"path: {ROWS}" in head and "n<1K" in head
    assert "| wrong \\| after revision | 1,234 |" in card
    assert "| recipe.uct.simulations | 16 |" in card and "Made of 7 search trees." in card
    write_dataset(iter([Pair(solve("1?"), "a", "b")]), tmp_path / "pairs", CARD)
    assert "chosen, rejected" in (tmp_path / "pairs" / "README.md").read_text()


def test_nothing_is_written_over_and_nothing_is_published_empty(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no examples"):
        write_dataset(iter(()), tmp_path / "set", CARD)
    (tmp_path / "mine").write_text("")
    with pytest.raises(UserError, match="is not empty"):
        write_dataset(iter(EXAMPLES), tmp_path, CARD)


def test_a_folder_is_known_by_all_that_it_holds(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    assert holds_dataset(iter(EXAMPLES), folder, CARD) == 0
    write_dataset(iter(EXAMPLES), folder, CARD)
    assert holds_dataset(iter(EXAMPLES), folder, CARD) == 2
    assert holds_dataset(iter(EXAMPLES[:1]), folder, CARD) == 0
    (folder / "mine").write_text("not to be published")
    assert holds_dataset(iter(EXAMPLES), folder, CARD) == 0


class StandIn(BaseHTTPRequestHandler):
    """The part of the Hub that creates a repository and takes a commit."""

    asked: list[str]
    kept: dict[str, bytes]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.asked.append(self.path)
        own = f"http://{self.headers['host']}"
        said: dict[str, object] = {}
        if self.path == "/api/repos/create":
            told = json.loads(body)
            said = {"url": f"{own}/datasets/{told['organization']}/{told['name']}"}
        elif self.path.endswith("/preupload/main"):
            files = json.loads(body)["files"]
            said = {"files": [f | {"uploadMode": "regular", "shouldIgnore": False} for f in files]}
        elif self.path.endswith("/commit/main"):
            for line in body.splitlines():
                row = json.loads(line)
                if row["key"] == "file":
                    self.kept[row["value"]["path"]] = base64.b64decode(row["value"]["content"])
            url = f"{own}/datasets/me/mine/commit/1"
            said = {"commitUrl": url, "commitOid": "1", "success": True}
        answer = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(404)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[tuple[str, type[StandIn]]]:
    kind = type("OwnStandIn", (StandIn,), {"asked": [], "kept": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", kind
    server.shutdown()
    server.server_close()


SCRIPT = """
import sys
from pathlib import Path
from whorl.data.publish import push_to_hub
print(push_to_hub(Path(sys.argv[1]), "me/mine", public=False))
"""


def test_a_data_set_is_pushed(hub: tuple[str, type[StandIn]], tmp_path: Path) -> None:
    address, stand_in = hub
    write_dataset(iter(EXAMPLES), tmp_path / "set", CARD)
    own = {"HF_ENDPOINT": address, "HF_HUB_OFFLINE": "0", "HF_TOKEN": "hf_none"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "set")],
        env=os.environ | own | {"HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    url = f"{address}/datasets/me/mine/commit/1"
    assert done.stdout.strip() == url, (done.stderr, stand_in.asked)
    for name in ("README.md", ROWS):
        assert stand_in.kept[name] == (tmp_path / "set" / name).read_bytes()


def test_a_hub_that_cannot_be_reached_is_one_line(tmp_path: Path) -> None:
    write_dataset(iter(EXAMPLES), tmp_path / "set", CARD)
    with pytest.raises(UserError, match="me/mine was not written to: ") as caught:
        push_to_hub(tmp_path / "set", "me/mine", public=True)  # the tests are offline
    assert len(str(caught.value).splitlines()) == 1
