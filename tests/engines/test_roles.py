"""Engines that stay open from stage to stage: who is opened, who gets new weights, who is closed.

What reloads weights is vLLM, see `test_vllm.py`; here it is a function that says which folder it
answers for. What cannot is the embedded engine.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from whorl.ask import Ask, Engine, Prompt, Replies, Reply
from whorl.engines import roles
from whorl.engines.function import Function
from whorl.engines.gguf import write_gguf
from whorl.engines.local import Local
from whorl.engines.roles import Engines, Opened, following, trainable
from whorl.errors import UserError


@pytest.fixture(autouse=True)
def named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders called a, b and c, which is all that a name needs."""
    for name in ("a/b", "b", "c"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def folders(llama, tmp_path: Path) -> Iterator[list[Path]]:
    """The same model twice."""
    other = tmp_path / "other"
    other.mkdir()
    for file in llama().iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    return [llama(), other]


def test_an_engine_is_opened_when_it_is_asked_for_and_stays(folders: list[Path]) -> None:
    first, second = (f"local:{folder}" for folder in folders)
    with Opened(Engines(first, critic=second, reviser=second, processes=0)) as opened:
        asked = opened.by_role("policy")
        assert set(asked) == {"policy", "judge"}
        everyone = opened.by_role()
        assert set(everyone) == {"policy", "critic", "reviser", "judge"}
        assert everyone["policy"] is asked["policy"] and everyone["judge"] is asked["judge"]
        assert everyone["reviser"] is everyone["critic"] is not everyone["policy"]
        (_, replies), *_ = answers(everyone["critic"])
        assert replies


def answers(engine: Engine) -> list[tuple[int, object]]:
    engine.submit(0, Ask(Prompt("", "Anna"), max_tokens=3))
    found: list[tuple[int, object]] = []
    while not found:
        found += engine.poll(1.0)
    return found


def is_open(engine: Engine) -> bool:
    assert isinstance(engine, Local)
    return hasattr(engine, "_model")


def test_what_is_not_named_any_more_is_closed_and_a_training_gets_the_memory(
    folders: list[Path],
) -> None:
    first, second = (f"local:{folder}" for folder in folders)
    engines = Engines(first, critic=first, processes=0)
    with Opened(engines) as opened:
        policy = opened.by_role()["policy"]
        opened.follow(replace(engines, policy=second))  # the critic is who it was
        now = opened.by_role("policy")["policy"]
        assert is_open(now) and is_open(policy) and now is not policy
        opened.rest()
        assert not is_open(now) and not is_open(policy)
        staying = Engines(second, processes=0, stay=True)
        opened.follow(staying)
        now = opened.by_role()["policy"]
        opened.rest()
        assert is_open(now) and opened.by_role()["policy"] is now
        opened.follow(replace(staying, policy=first))
        assert is_open(opened.by_role()["policy"]) and not is_open(now)
    assert is_open(now) is False


class Loads(Function):
    """Says which folder it answers for."""

    def __init__(self, spec: str) -> None:
        super().__init__(self._say)
        self.folder: Path | None = roles.trainable(spec)
        self.lost = self.closed = False
        self.can_rest = self.can_reload = True

    def _say(self, ask: Ask) -> Replies:
        return (Reply(str(self.folder)),)

    def rest(self) -> bool:
        self.folder = None if self.can_rest else self.folder
        return self.can_rest

    def reload(self, folder: Path) -> bool:
        self.folder = folder if self.can_reload else None
        return self.can_reload

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Loads]:
    """All that were opened."""
    found: list[Loads] = []

    def opening(spec: str, *, processes: int) -> Loads:
        found.append(Loads(spec))
        return found[-1]

    monkeypatch.setattr(roles, "open_engine", opening)
    return found


A, B = "vllm:a?dtype=float32", "vllm:b?dtype=float32"


def test_the_policy_of_the_next_round_is_loaded_into_the_open_engine(made: list[Loads]) -> None:
    with Opened(Engines(A)) as opened:
        opened.by_role()
        opened.rest()
        assert made[0].folder is None
        opened.follow(Engines(B))
        assert opened.by_role()["policy"] is made[0] and made[0].folder == Path("b")
        assert opened.by_role()["policy"] is made[0]
        opened.rest()
        assert opened.by_role()["policy"] is made[0] and made[0].folder == Path("b"), "it woke"
    assert len(made) == 1 and made[0].closed


def test_an_engine_that_another_role_asks_keeps_its_weights(made: list[Loads]) -> None:
    with Opened(Engines(A, critic=A, stay=True)) as opened:
        opened.by_role()
        opened.follow(Engines(B, critic=A, stay=True))
        by_role = opened.by_role("policy")
        assert by_role["policy"] is made[1] and made[1].folder == Path("b")
        assert opened.by_role()["critic"] is made[0] and made[0].folder == Path("a")


@pytest.mark.parametrize("other", ["vllm:b", "vllm:b?dtype=bfloat16", "local:b"])
def test_other_settings_are_another_engine(made: list[Loads], other: str) -> None:
    with Opened(Engines(A, stay=True)) as opened:
        opened.by_role()
        opened.follow(Engines(other, stay=True))
        assert opened.by_role()["policy"] is made[1]
        assert made[0].closed and made[0].folder == Path("a")


def test_what_cannot_is_closed_and_opened_anew(made: list[Loads]) -> None:
    with Opened(Engines(A)) as opened:
        opened.by_role()
        made[0].can_reload = False
        opened.follow(Engines(B))
        assert opened.by_role()["policy"] is made[1] and made[0].closed
        made[1].lost = True
        assert opened.by_role()["policy"] is made[2] and made[1].closed
        made[2].can_rest = False
        opened.rest()
        assert made[2].closed
        assert opened.by_role()["policy"] is made[3] and made[3].folder == Path("b")


def test_only_a_model_on_disk_can_be_trained() -> None:
    assert trainable("local:a/b") == Path("a/b")
    assert trainable(A) == Path("a")
    assert trainable("openvino:a") == Path("a")
    with pytest.raises(UserError, match="local:FOLDER can be trained"):
        trainable("http://host")


def test_rounded_weights_cannot_be_trained(tmp_path: Path, tiny_model: Path) -> None:
    assert trainable(f"openvino:{tiny_model}?weights=f16") == tiny_model
    assert trainable(f"openvino:{tiny_model}?weights=int8") == tiny_model  # the engine's rounding
    assert following(f"openvino:{tiny_model}?weights=int8", Path("c")) == "openvino:c?weights=int8"
    folder = tmp_path / "rounded"
    shutil.copytree(tiny_model, folder)
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "gptq", "bits": 4}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"weights in gptq, .* base=FOLDER"):
        trainable(str(folder))


def test_a_quantised_gguf_is_made_a_folder_to_be_trained(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "small one.gguf"
    write_gguf(tiny_model, file, dtype="float16")
    assert (trainable(str(file)) / "config.json").is_file()
    monkeypatch.setattr("whorl.engines.roles.quantised", lambda _: "Q4_K")  # no writer of ours has
    with pytest.raises(
        UserError, match=r"weights in Q4_K, .* whorl fetch '.*small one.gguf' --out"
    ):
        trainable(str(file))


def test_the_engine_of_the_next_round() -> None:
    assert following(A, Path("c")) == "vllm:c?dtype=float32"
    assert following("vllm:a", Path("c")) == "vllm:c"
    assert following("local:a", Path("c")) == "local:c"
    assert following("openvino:a?cache_gb=2", Path("c")) == "openvino:c?cache_gb=2"
    assert following("server:http://host/v1?model=a", Path("c")) == "local:c"
