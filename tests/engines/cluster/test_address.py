"""Addresses of clusters, and what happens without one."""

import ast
from pathlib import Path

import pytest

import whorl
from whorl.cli.machines import opener
from whorl.engines.cluster import Address
from whorl.engines.cluster.actors import connected
from whorl.engines.roles import Opened
from whorl.errors import UserError


def test_addresses_are_read() -> None:
    assert Address.read("auto") == Address("auto")
    assert Address.read("local:4").here == 4
    assert Address.read("10.0.0.1:6379?workers=8&cpus=2.5&gpus=1&tries=2") == Address(
        "10.0.0.1:6379", 8, 2.5, 1.0, 2
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "a cluster is auto, HOST:PORT or local:N"),
        ("local:0", "a cluster is auto"),
        ("ray://head:10001", "on a machine of the cluster"),
        ("auto?gpu=1", "no setting 'gpu'; it has workers, cpus, gpus, tries"),
        ("auto?cpus=many", "cpus of a cluster should be a number, not 'many'"),
        ("auto?tries=0", "should be above 0"),
        ("auto?workers=-1", "not below it"),
    ],
)
def test_what_is_no_address_is_refused(text: str, why: str) -> None:
    with pytest.raises(UserError) as refused:
        Address.read(text)
    assert why in str(refused.value)


def test_an_address_where_nobody_listens_is_named() -> None:
    with pytest.raises(UserError, match=r"there is no cluster at 127\.0\.0\.1:9 "):
        Address.read("127.0.0.1:9").check()


def test_ray_is_imported_by_who_joins_a_cluster_and_no_one_else() -> None:
    importing = set()
    for path in Path(whorl.__file__).parent.rglob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            names = [name.name for name in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            if any(name.partition(".")[0] == "ray" for name in names):
                assert node not in tree.body, path
                importing.add(path.name)
    assert importing == {"actors.py", "fleet.py", "replica.py", "stage.py"}


def test_without_a_cluster_engines_are_opened_here(tmp_path: Path) -> None:
    assert opener("", tmp_path) is Opened
    with pytest.raises(UserError, match="leave out --shard"):
        opener("auto", tmp_path, shard="1/2")


def test_ray_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whorl.errors.find_spec", lambda name: None)
    with (
        pytest.raises(UserError, match=r"ray is not installed: .* pip install 'whorl\[cluster\]'"),
        connected(Address.read("local:1")),
    ):
        pass
