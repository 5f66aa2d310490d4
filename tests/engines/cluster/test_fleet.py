"""Engines that name servers for Ray to start."""

import pytest

from whorl.engines import open_engine
from whorl.engines.cluster.fleet import Service
from whorl.engines.model import model_content
from whorl.errors import UserError
from whorl.models import POLICY


def test_a_name_says_how_many_servers_and_what_they_are_told() -> None:
    name = f"replicas:{POLICY}?count=4&tensor_parallel_size=2&max_model_len=2048"
    name += "&enforce_eager=true&enable_chunked_prefill=false&date=2026-01-01"
    service = Service.read(name)
    assert (service.count, service.gpus) == (4, 2)
    assert service.arguments == (
        "--served-model-name=whorl",
        "--tensor-parallel-size=2",
        "--max-model-len=2048",
        "--enforce-eager",
        "--no-enable-chunked-prefill",
    )
    assert service.model == f"replicas:{POLICY}?date=2026-01-01"  # the template's is the model's
    spread = Service.read(f"replicas:{POLICY}?tensor_parallel_size=2&data_parallel_size=3")
    assert spread.gpus == 6
    assert Service.read(f"replicas:{POLICY}?tensor-parallel-size=2").gpus == 2
    few = Service.read(f"replicas:{POLICY}?gpus=0")
    assert (few.count, few.gpus) == (1, 0)


def test_how_many_there_are_is_nothing_of_the_model() -> None:
    few, many = (f"replicas:{POLICY}?count={count}&dtype=bfloat16" for count in (1, 8))
    assert model_content(few) == model_content(many)
    assert model_content(few) != model_content(f"replicas:{POLICY}?dtype=float16")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("count=0", "count should be a whole number from 1 on, not '0'"),
        ("gpus=-1", "gpus should be a whole number from 0 on"),
        ("tensor_parallel_size=two", "tensor_parallel_size should be a whole number"),
        ("port=8000", "leave out port, which whorl says itself"),
        ("served-model-name=x", "leave out served-model-name"),
        ("trust_remote_code=true", "runs no code that comes with a model"),
        ("trust-remote-code=true", "runs no code that comes with a model"),
    ],
)
def test_what_cannot_be_started_is_refused(settings: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        Service.read(f"replicas:{POLICY}?{settings}")


def test_without_a_cluster_nobody_starts_them() -> None:
    with pytest.raises(UserError, match="take --cluster"):
        open_engine(f"replicas:{POLICY}")
