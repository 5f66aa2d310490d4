"""The viewer over HTTP: pages of what it was given, reading only, to this machine alone."""

import hashlib
import http.client
import os
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from tests.view.conftest import viewing

from whorl.errors import UserError
from whorl.view.shelf import shelf


def ask(
    address: str, path: str, method: str = "GET", **headers: str
) -> tuple[int, str, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), answer.headers
    finally:
        connection.close()


PAGES = (
    "/r/first/",
    "/r/first/trees/round-1/?words=plus&sort=tokens&page=1",
    "/r/first/trees/round-1/t/pool:1%23T=0.4?node=3",
    "/r/first/trees/round-1/t/pool:1%23T=0.4?node=99999",
    "/r/first/trees/round-1/t/large%23",
    "/r/first/trees/round-1/t/long%23?node=2",
    "/r/first/trees/round-1/example/0",
    "/r/first/attempts/scores-1/?kind=fixed",
    "/r/first/attempts/scores-1/p/test:4?against=first/scores-0",
    "/static/view.css",
    "/static/view.js",
)


@pytest.mark.parametrize("path", PAGES)
def test_pages_open_under_a_strict_policy(address: str, path: str) -> None:
    status, body, headers = ask(address, path)
    assert status == 200, body
    assert "default-src 'none'; script-src 'self'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert " style=" not in body
    assert "https://" not in body or "evil.example" in body


@pytest.mark.parametrize(
    "path",
    [
        "/r/other/",
        "/r/first/trees/round-2/",
        "/r/first/trees/..%2f..%2f/",
        "/r/..%2f..%2fetc/",
        "/r/first/trees/round-1/t/nothing%23",
        "/r/first/trees/round-1/example/999999999",
        "/r/first/trees/round-1/example/3",
        "/r/first/attempts/manifest/",
        "/r/first/attempts/scores-1/p/nothing",
        "/r/first/attempts/..%2f..%2fscores-1/",
        "/static/../app.py",
        "/static/%2e%2e%2fapp.py",
        "/static/..%2f..%2f..%2fetc%2fpasswd",
        "/manifest.json",
        "/r/first/manifest.json",
        "//etc/passwd",
        "/compare?a=first&b=../..",
    ],
)
def test_only_what_was_named_is_served(address: str, path: str) -> None:
    status, body, _ = ask(address, path)
    assert status == 404
    assert "root:" not in body and "import" not in body


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:1234", 200),
        ("127.0.0.1", 200),
        ("[::1]:80", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example:8765", 421),
        ("evil.example:localhost", 421),
        ("", 421),
    ],
)
def test_other_hosts_are_refused(address: str, host: str, status: int) -> None:
    assert ask(address, "/r/first/", Host=host)[0] == status


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_can_be_written(address: str, method: str) -> None:
    assert ask(address, "/r/first/", method)[0] == 405


def test_looking_changes_nothing_but_the_index(address: str, shown: Path) -> None:
    def everything() -> dict[str, str]:
        return {
            str(path.relative_to(shown)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(shown.rglob("*"))
            if path.is_file() and "index.db" not in path.name
        }

    before = everything()
    for path in PAGES:
        ask(address, path)
    assert everything() == before


def test_the_viewer_listens_to_this_machine_alone(address: str) -> None:
    port = urlsplit(address).port
    listening = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    own = {line[1] for line in listening if line[3] == "0A" and line[1].endswith(f":{port:04X}")}
    assert own == {f"0100007F:{port:04X}"}
    six = Path("/proc/net/tcp6")
    assert not six.exists() or f":{port:04X}" not in six.read_text()


def test_a_part_of_a_page_is_that_part(address: str) -> None:
    tree = "/r/first/trees/round-1/t/pool:1%23T=0.4"
    _, part, _ = ask(address, f"{tree}?node=3&part=fork")
    assert "<html" not in part
    assert 'data-selected="3"' in part


def test_a_live_run_is_told_as_it_goes(address: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
    connection.request("GET", "/r/first/live")
    answer = connection.getresponse()
    assert answer.headers["content-type"].startswith("text/event-stream")
    line = answer.readline().decode()
    assert line.startswith('data: {"html"') and '"round-1": 65' in line
    connection.close()


def test_evaluations_made_by_hand_open_too(shown: Path) -> None:
    with viewing(shown / "scores-0.jsonl", shown / "scores-1.jsonl") as address:
        assert ask(address, "/")[0] == 200
        name = quote("scores-1.jsonl")
        status, body, _ = ask(
            address, f"/r/{name}/attempts/scores-1/?against=scores-0.jsonl/scores-0&kind=broken"
        )
        assert status == 200
        assert "test:3" in body and "test:4" not in body


def test_another_problem_of_the_same_id_is_not_what_was_before(shown: Path, tmp_path: Path) -> None:
    """Sets that number their lines share ids."""
    for end in ("jsonl", "attempts.jsonl"):
        text = (shown / f"scores-0.{end}").read_text()
        (tmp_path / f"other.{end}").write_text(text.replace('"question":"', '"question":"Now: '))
    with viewing(tmp_path / "other.jsonl", shown / "scores-1.jsonl") as address:
        page = f"/r/{quote('scores-1.jsonl')}/attempts/scores-1/"
        against = "against=other.jsonl/other"
        assert "test:3" not in ask(address, f"{page}?{against}&kind=broken")[1]
        body = ask(address, f"{page}p/test:3?{against}")[1]
        assert "Now: " not in body and "other.jsonl/other" not in body


def test_two_runs_stand_side_by_side(shown: Path) -> None:
    with viewing(shown, shown / "round-1") as address:
        status, body, _ = ask(address, "/compare?a=first&b=round-1")
        assert status == 200
        assert "Settings that differ" in body


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(UserError):
            shelf([path])
    assert os.listdir(tmp_path) == []
