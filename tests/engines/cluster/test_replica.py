"""Servers that are kept alive, and those that are given up."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

pytest.importorskip("ray", reason="ray is not installed: pip install 'whorl[cluster]'")

from whorl.engines.cluster import replica
from whorl.engines.cluster.replica import Replica
from whorl.errors import UserError
from whorl.models import POLICY

SERVER = """
import os, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer

how, seen, folder, *given = sys.argv[1:]
with open(seen, "a") as file:
    file.write(f"{os.getpid()}\\n")
print("the weights are", folder, flush=True)

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        if how == "brief":
            self.wfile.flush()
            os._exit(1)

    def log_message(self, *said):
        pass

if how == "mute":
    time.sleep(600)
port = next(int(each.removeprefix("--port=")) for each in given if "--port" in each)
HTTPServer(("", port), Handler).serve_forever()
"""


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Replica]]:
    (tmp_path / "server.py").write_text(SERVER)
    monkeypatch.chdir(tmp_path)  # it goes where it is told to, and comes back at the end
    monkeypatch.setattr("ray.util.get_node_ip_address", lambda: "127.0.0.1")

    def start(how: str) -> Replica:
        program = (sys.executable, str(tmp_path / "server.py"), how, str(tmp_path / "seen"))
        servers.append(Replica(program, f"replicas:{POLICY}", (), str(tmp_path)))
        return servers[-1]

    servers: list[Replica] = []
    yield start
    for server in servers:
        server.close()


def processes(tmp_path: Path) -> list[int]:
    """Those of servers that were started."""
    return [int(pid) for pid in (tmp_path / "seen").read_text().split()]


def given_up(server: Replica) -> str:
    with pytest.raises(UserError) as error:
        while True:
            server.ready()
    return str(error.value)


def test_one_that_is_killed_comes_back_at_its_port_and_is_gone_once_it_is_closed(
    started: Callable[[str], Replica], tmp_path: Path
) -> None:
    server = started("well")
    first = server.ready()
    assert replica.answers(first.url) and first.ended == 0
    psutil.Process(processes(tmp_path)[0]).kill()
    while server.ready().ended == 0 or not replica.answers(first.url):
        pass
    assert server.ready().url == first.url
    assert str(POLICY) in server.ready().said  # its last words
    server.close()
    assert len(processes(tmp_path)) == 2
    assert not any(map(psutil.pid_exists, processes(tmp_path)))


def test_one_that_dies_of_every_question_is_given_up(
    started: Callable[[str], Replica], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica, "_BRIEF", 2)
    said = given_up(started("brief"))
    assert "ended 2 times soon after it answered: the weights are" in said
    assert len(processes(tmp_path)) == 2


def test_one_that_never_answers_is_given_up(
    started: Callable[[str], Replica], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica, "STARTING", 5.0)
    assert "has not answered in 5 s: the weights are" in given_up(started("mute"))
    (process,) = processes(tmp_path)
    psutil.wait_procs([psutil.Process(process)] if psutil.pid_exists(process) else [], 10)
    assert not psutil.pid_exists(process)
