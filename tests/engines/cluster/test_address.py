"""Addresses of clusters."""

import pytest

from whorl.engines.cluster import Address
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
