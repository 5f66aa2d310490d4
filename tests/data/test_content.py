from pathlib import Path

from whorl.data.content import content
from whorl.engines.model import model_content


def test_a_model_here_is_known_by_its_bytes(tmp_path: Path) -> None:
    one, other = tmp_path / "a" / "model", tmp_path / "b" / "model"
    for folder in (one, other):
        folder.mkdir(parents=True)
        (folder / "weights").write_bytes(b"1")
    assert model_content(f"local:{one}") == model_content(f"local:{other}")
    assert model_content(f"vllm:{one}?dtype=half") != model_content(f"vllm:{one}")
    before = content(one)
    (one / "weights").write_bytes(b"2")
    assert content(one) != before
    assert model_content(f"local:{one}") != model_content(f"local:{other}")


def test_a_model_behind_a_server_is_known_by_its_name() -> None:
    here, there = (model_content(f"server:http://{host}?model=m") for host in ("a", "b"))
    assert here == there == "server:m"
    assert model_content("server:http://a") != model_content("server:http://b")
    named = ("server:http://a/v1?model=m", "server:http://b/v1,http://c/v1?key=K&model=m")
    assert len({model_content(spec) for spec in named}) == 1
    assert model_content("server:http://a/v1") != model_content("server:http://b/v1")
    assert model_content("local:nowhere") == "local:nowhere"
