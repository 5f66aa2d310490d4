"""A folder under another template, or under its own with something settled."""

import shutil
from datetime import date
from pathlib import Path

import pytest

from whorl.ask import Prompt
from whorl.chat import Chat
from whorl.chat.template import DAY
from whorl.engines import open_engine
from whorl.engines.dress import dressed
from whorl.engines.model import find_model, model_content
from whorl.engines.roles import following, trainable
from whorl.errors import UserError
from whorl.example import Weighted
from whorl.learn.train import train
from whorl.learn.training import Training

DATED = (
    "{{ strftime_now('%d %b %Y') }}{% for m in messages %}{{ m.content }}"
    "{{ '/quick' if quick is defined and quick }}{{ eos_token }}{% endfor %}"
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def base(tiny_model: Path, tmp_path: Path) -> Path:
    """A model without a chat template."""
    folder = tmp_path / "base"
    shutil.copytree(tiny_model, folder, ignore=shutil.ignore_patterns("chat_template.jinja"))
    return folder


def rendered(folder: Path) -> str:
    return Chat.load(folder).render(Prompt("", "1+1?"))


@pytest.mark.parametrize(
    ("name", "opened"),
    [
        ("alpaca", "### Instruction:\n1+1?\n\n### Response:"),
        ("plain", "Question: 1+1?\nAnswer:"),
    ],
)
def test_a_base_model_under_a_named_template(base: Path, name: str, opened: str) -> None:
    with pytest.raises(UserError, match="has no chat template"):
        open_engine(f"local:{base}")
    model = find_model(f"local:{base}?template={name}")
    assert rendered(model.folder).endswith(opened)
    assert model.folder.name == base.name and model.settings == {}
    assert not (base / "chat_template.jinja").exists()
    open_engine(f"local:{base}?template={name}", processes=0).close()


def test_chatml_needs_its_marks(base: Path) -> None:
    with pytest.raises(UserError, match=r"needs a tokenizer that knows <\|im_start\|>"):
        find_model(f"{base}?template=qwen")


def test_a_file(base: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.jinja"
    file.write_text("{% for m in messages %}<<{{ m.content }}{{ eos_token }}{% endfor %}")
    assert rendered(find_model(f"{base}?template={file}").folder) == "<<1+1?<|eos|>"
    with pytest.raises(UserError, match="none of alpaca, qwen, plain"):
        find_model(f"{base}?template=qwne")


def test_what_the_template_looks_at_and_the_date(base: Path) -> None:
    (base / "chat_template.jinja").write_text(DATED)
    assert rendered(base) == "26 Jul 2024" + "1+1?<|eos|>"
    assert date(2024, 7, 26) == DAY
    folder, rest = dressed(base, {"quick": "true", "date": "2026-11-28", "dtype": "half"})
    assert rendered(folder) == "28 Nov 2026" + "1+1?/quick<|eos|>"
    assert rest == {"dtype": "half"}
    assert dressed(base, {"quick": "false"})[0] != folder
    with pytest.raises(UserError, match="write it as 2024-07-26"):
        dressed(base, {"date": "today"})
    with pytest.raises(UserError, match="has no setting 'quik'; did you mean quick"):
        open_engine(f"local:{base}?quik=true")


def test_the_same_choice_is_the_same_folder(base: Path) -> None:
    first = find_model(f"{base}?template=plain")
    assert find_model(f"local:{base}?template=plain") == first
    (base / "more.json").write_text("{}")
    again = find_model(f"{base}?template=plain").folder
    assert again != first.folder and (again / "more.json").is_file()


def test_a_choice_is_another_model_by_content(base: Path) -> None:
    names = [f"local:{base}", f"local:{base}?template=plain", f"local:{base}?template=alpaca"]
    assert len({model_content(name) for name in names}) == 3
    moved = base.with_name("elsewhere") / base.name
    shutil.copytree(base, moved)
    assert model_content(f"{moved}?template=plain") == model_content(f"{base}?template=plain")


def test_what_is_trained_keeps_its_template(base: Path, tmp_path: Path) -> None:
    spec = f"local:{base}?template=alpaca"
    start, prompt = trainable(spec), Prompt("Solve.", "1+1?")
    learned = [Weighted(prompt, "It is 2.")]
    train(start, learned, tmp_path / "out", settings=Training(epochs=1))
    assert Chat.load(tmp_path / "out").encode_completion(prompt, "It is 2.") == Chat.load(
        start
    ).encode_completion(prompt, "It is 2.")
    assert following(spec, tmp_path / "out") == f"local:{tmp_path / 'out'}"
    assert following(f"vllm:{base}?template=plain&dtype=half", Path("c")) == "vllm:c?dtype=half"


def test_a_family_switches_its_thoughts_on(base: Path, caplog: pytest.LogCaptureFixture) -> None:
    (base / "chat_template.jinja").write_text(
        "{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}"
        "{{ enable_thinking is defined and enable_thinking }}"
    )
    assert rendered(base).endswith("False")
    assert rendered(find_model(f"local:{base}?family=qwen3").folder).endswith("True")
    told = find_model(f"{base}?family=qwen3&enable_thinking=false").folder
    assert rendered(told).endswith("False")
    assert not caplog.messages
    assert rendered(find_model(f"{base}?family=gpt-oss").folder).endswith("False")
    find_model(f"{base}?family=gpt-oss")
    (once,) = caplog.messages
    assert "does not look at reasoning_effort" in once
    with pytest.raises(UserError, match="family=qwen4 is none of qwen3, deepseek-r1, gpt-oss"):
        open_engine(f"local:{base}?family=qwen4")
