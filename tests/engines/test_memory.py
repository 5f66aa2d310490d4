"""What models take, and what is said where that is not there."""

import json
import logging
from functools import partial
from types import SimpleNamespace

import pytest
from transformers import AutoModelForCausalLM

from whorl.engines import memory, open_engine
from whorl.engines.memory import (
    Need,
    ShortError,
    check_fit,
    free_memory,
    need,
    token_bytes,
    usual_cache,
    when_free,
    whole_memory,
)
from whorl.engines.roles import Engines, Opened
from whorl.engines.weights import weight_count
from whorl.errors import UserError
from whorl.models import POLICY


def test_weights_are_counted_without_reading_them() -> None:
    model = AutoModelForCausalLM.from_pretrained(POLICY)
    assert weight_count(POLICY) == sum(p.numel() for p in model.parameters())


def test_embeddings_that_are_the_output_matrix_too_are_held_twice_by_the_embedded_engine(
    llama, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_FEW", 0)
    tied, untied = llama(tie_word_embeddings=True), llama(tie_word_embeddings=False)
    assert weight_count(tied) < weight_count(untied)
    assert need(tied, "float32") == need(untied, "float32")
    assert need(tied, "int8", 0.0).most < need(untied, "int8", 0.0).most
    once = need(tied, "float32")
    config = json.loads((tied / "config.json").read_text())
    (tied / "config.json").write_text(json.dumps(config | {"architectures": ["Gemma2ForCausalLM"]}))
    assert need(tied, "float32").least < once.least, "generate() has them once"


@pytest.mark.parametrize("kinds", [("float32", "bfloat16"), ("f16", "int8", "int4")])
def test_fewer_bits_need_less(kinds: tuple[str, ...]) -> None:
    needs = [need(POLICY, kind, 0.0).most for kind in kinds]
    assert needs == sorted(set(needs), reverse=True)
    assert need(POLICY, "float32").most > need(POLICY, "float32", 0.0).most


def test_free_memory_is_some_of_what_there_is() -> None:
    free = free_memory()
    assert free is None or 0 <= free < 1 << 50
    whole = whole_memory()
    assert whole is None or (free is not None and free <= whole)


def test_what_fits_is_said_if_it_is_large(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 9e9)
    with caplog.at_level(logging.INFO, "whorl.engines"):
        check_fit("local:large", Need(3e9, 1e9), 2, {})
        check_fit("local:small", Need(1e8, 1e9), 1, {})
        check_fit("local:long", Need(3e9, 7e9), 1, {})
    assert caplog.messages == [
        "local:large takes about 4.0 GB of memory in each of 2 processes",
        "local:long takes about 10.0 GB of memory, and 9.0 GB are free: it begins, and may run out "
        "of it",
    ]


@pytest.mark.parametrize(
    ("wanted", "processes", "advice"),
    [
        (4e9, 1, r"and 3\.0 GB are free; what would fit: weights=int8 \(2\.0 GB\)$"),
        (2.5e9, 2, r"what would fit: --processes 1, weights=int8 \(2\.0 GB\)$"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(
    monkeypatch: pytest.MonkeyPatch, wanted: float, processes: int, advice: str
) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 3e9)
    with pytest.raises(UserError, match=advice):
        others = {"weights=int8": Need(1e9, 1e9), "weights=f16": Need(5e9, 1e9)}
        check_fit("openvino:m", Need(wanted, 0.0), processes, others)


@pytest.mark.parametrize("spec", [f"local:{POLICY}", f"openvino:{POLICY}"])
def test_engines_look_before_they_load(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 1e6)
    with pytest.raises(UserError, match=r"GB of memory, and 0\.0 GB are free; take a smaller"):
        open_engine(spec)


def test_rounded_weights_come_with_no_larger_a_cache_than_is_of_use() -> None:
    small = {
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
        "hidden_size": 896,
    }
    assert token_bytes(small, "int8") == 2 * 24 * 2 * 64 * 2  # float16
    assert token_bytes(small, "f16") == 2 * token_bytes(small, "int8")  # float32
    assert 0.45 < usual_cache(small, "int8") < 0.5
    assert usual_cache(small, "f16") == 1.0
    assert usual_cache(small | {"num_hidden_layers": 96}, "int4") == 1.0


def test_who_has_patience_waits_for_memory_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING", logger="whorl")  # a command in this process lets it say more
    free = iter([1e9, 1e9, 9e9])
    monkeypatch.setattr(memory, "free_memory", lambda: next(free))
    monkeypatch.setattr(memory, "_LOOK", 0.01)

    def opened() -> str:
        check_fit("local:m", Need(3e9, 0.0), 1, {})
        return "open"

    assert when_free(opened, 60.0) == "open"
    (said,) = caplog.messages
    assert "1.0 GB are free" in said and said.endswith("Waiting for memory, for 1 minutes")


def test_what_this_machine_never_holds_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 3e9)
    monkeypatch.setattr(memory, "whole_memory", lambda: 8e9)
    for wanted, waits in ((7e9, True), (9e9, False)):
        with pytest.raises(UserError) as refused:
            check_fit("local:m", Need(wanted, 0.0), 1, {})
        assert isinstance(refused.value, ShortError) is waits


@pytest.mark.parametrize(("patience", "looks"), [(0.0, 1), (9.0, 1), (12.0, 3)])
def test_patience_ends(monkeypatch: pytest.MonkeyPatch, patience: float, looks: int) -> None:
    clock = iter(range(100))  # a look takes its time on a busy machine
    time = SimpleNamespace(monotonic=lambda: float(next(clock)), sleep=lambda seconds: None)
    monkeypatch.setattr(memory, "time", time)
    monkeypatch.setattr(memory, "free_memory", lambda: 0.0)
    tries: list[str] = []
    monkeypatch.setattr("whorl.engines.roles.open_engine", partial(check_fit_of, tries))
    with Opened(Engines("local:m"), patience=patience) as opened, pytest.raises(ShortError):
        opened.by_role("policy")
    assert len(tries) == looks


def check_fit_of(tries: list[str], spec: str, *, processes: int) -> None:
    """Where an engine would be opened, the look at memory alone."""
    tries.append(spec)
    check_fit(spec, Need(3e9, 0.0), processes or 1, {})
