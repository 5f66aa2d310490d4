import json
import math
import resource
import shutil
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

import whorl
from whorl.ask import Prompt
from whorl.chat import Chat
from whorl.data.contamination import ids_among
from whorl.data.lock import InUseError, held
from whorl.engines.local import Local
from whorl.errors import UserError
from whorl.evaluate import Decoding, Setup, attempt_problems
from whorl.example import Likelihood, Weighted
from whorl.learn import trainer
from whorl.learn.folder import read_questions
from whorl.learn.train import train
from whorl.learn.training import Training, TrainResult
from whorl.problem import Problem
from whorl.prompts import solve

EXAMPLES = [
    Weighted(
        Prompt("", f"Problem: Mia has {n} apples and buys {n % 4}."),
        f"Mia has {n}+{n % 4}={n + n % 4} apples." + "\n\nThe answer is." * (n % 3),
        weight=1.0 + n % 2,
    )
    for n in range(10, 30)
]
SETTINGS = Training(epochs=3, lr=1e-3, batch=8, seed=1)


LIKELIHOOD, UNDER_K3 = Likelihood(), Likelihood(kl=0.01, penalty="k3")


class Killed(Exception):
    pass


class Log:
    """Keeps what a training says; kills it at a step."""

    def __init__(self, kill_at: float = math.inf) -> None:
        self.losses: list[tuple[int, int, float]] = []
        self.lines: list[str] = []
        self._kill_at = kill_at

    def training(self, step: int, steps: int, loss: float) -> None:
        self.losses.append((step, steps, loss))
        if step >= self._kill_at:
            raise Killed

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture(scope="module")
def trained(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "out"
    train(tiny_model, EXAMPLES, out, settings=SETTINGS)
    return out


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def same(one: Path, other: Path) -> bool:
    a, b = weights(one), weights(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def closest(one: Path, other: Path) -> float:
    a, b = weights(one), weights(other)
    return max(float((a[name] - b[name]).abs().max()) for name in a)


def test_the_result_is_an_ordinary_model_folder(tiny_model: Path, trained: Path) -> None:
    assert sorted(path.name for path in trained.iterdir()) == [
        "README.md",
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "trained-on.txt",
        "training.json",
    ]
    assert [path.name for path in trained.parent.iterdir()] == ["out"]  # no checkpoints are left
    model = AutoModelForCausalLM.from_pretrained(trained)
    assert model.dtype is torch.float32
    assert (
        model.config.use_cache == AutoModelForCausalLM.from_pretrained(tiny_model).config.use_cache
    )
    prompt = Prompt("", "Problem: 1+1")
    assert Chat.load(trained).encode(prompt) == Chat.load(tiny_model).encode(prompt)
    tokenizer = AutoTokenizer.from_pretrained(trained)
    turn = [{"role": "user", "content": "Problem: 1+1"}]
    text = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
    assert text == Chat.load(tiny_model).render(prompt)
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert "whorl" not in (trained / "config.json").read_text()  # nothing that only we can load


def test_the_model_card_says_what_was_done(trained: Path) -> None:
    card = (trained / "README.md").read_text()
    result = json.loads((trained / "training.json").read_text())["result"]
    for part in (
        "---\nlibrary_name: transformers\n",
        f"whorl {whorl.__version__}",
        f"transformers {transformers.__version__}",
        f"torch {torch.__version__}",
        f"| examples | 20, {result['tokens']} completion tokens |",
        f"| loss over the last epoch | {result['loss']:.4f} |",
        "| objective | Likelihood |",
        "| lr | 0.001 |",
        "| seed | 1 |",
        "| lora | none, all weights were trained |",
    ):
        assert part in card


def test_training_reports_what_it_did(tiny_model: Path, tmp_path: Path) -> None:
    log = Log()
    result = train(
        tiny_model,
        [*EXAMPLES, Weighted(Prompt("", "q"), "long " * 400)],
        tmp_path / "out",
        settings=SETTINGS,
        watch=log,
    )
    steps = 3 * 3  # 8, 8 and 4 examples an epoch
    assert (result.steps, result.examples) == (steps, len(EXAMPLES))
    assert result.dropped == {"too long": 1}
    chat = Chat.load(tiny_model)
    encoded = [
        chat.encode_completion(example.prompt, example.text, ended=example.ended)
        for example in EXAMPLES
    ]
    assert result.tokens == sum(len(ids) - start for ids, start in encoded)
    assert [step for step, _, _ in log.losses] == list(range(1, steps + 1))
    assert {total for _, total, _ in log.losses} == {steps}
    last = [loss for _, _, loss in log.losses][-3:]
    assert result.loss == pytest.approx(sum(last) / 3, rel=1e-6)
    assert result.loss < log.losses[0][2]


def test_the_first_loss_is_plain_cross_entropy(tiny_model: Path, tmp_path: Path) -> None:
    """Weight 1, one step over everything: against the model's own loss, example by example."""
    examples = [replace(example, weight=1.0) for example in EXAMPLES]
    settings = Training(epochs=1, batch=20)
    result = train(tiny_model, examples, tmp_path / "out", settings=settings)
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    chat = Chat.load(tiny_model)
    total = tokens = 0.0
    for example in examples:
        ids, start = chat.encode_completion(example.prompt, example.text, ended=example.ended)
        labels = torch.tensor([[-100] * start + ids[start:]])
        with torch.no_grad():
            loss = model(input_ids=torch.tensor([ids]), labels=labels).loss
        total += float(loss) * (len(ids) - start)
        tokens += len(ids) - start
    assert result.loss == pytest.approx(total / tokens, rel=1e-5)


def test_what_was_trained_is_what_is_sampled(tiny_model: Path, tmp_path: Path) -> None:
    """Learnt by heart, then decoded through the engine: both see the same ids, the end included."""
    problems = [Problem("a", "Mia has 12 apples.", "12"), Problem("b", "Buys 5.", "5")]
    examples = [
        Weighted(solve(p.question), f"Mia has {p.answer} apples.\n\n\\boxed{{{p.answer}}}")
        for p in problems
    ]
    settings = Training(epochs=60, lr=2e-2, batch=2)
    result = train(tiny_model, examples, tmp_path / "out", settings=settings)
    assert result.loss < 0.05
    engine = Local(tmp_path / "out")
    setup = Setup(decoding=Decoding(max_tokens=60))
    attempts = [r.attempts for r in attempt_problems(problems, {"policy": engine}, setup=setup)]
    engine.close()
    assert [(a.right, a.finished) for (a,) in attempts] == [(1.0, "eos")] * 2
    assert ids_among(problems, read_questions(tmp_path / "out")) == ["a", "b"]


def test_weight_zero_changes_nothing(tiny_model: Path, tmp_path: Path) -> None:
    examples = [replace(example, weight=0.0) for example in EXAMPLES]
    train(tiny_model, examples, tmp_path / "out", settings=SETTINGS)
    assert same(tmp_path / "out", tiny_model)


def test_accumulation_equals_one_big_batch(tiny_model: Path, tmp_path: Path) -> None:
    """Completions of unequal length, so a mean of the small batches' means would differ."""
    settings = replace(SETTINGS, epochs=1, batch=20, clip=1e9)
    for tokens in (50, 4096):
        out = tmp_path / str(tokens)
        train(tiny_model, EXAMPLES, out, settings=replace(settings, tokens=tokens))
    losses = [json.loads((tmp_path / s / "training.json").read_text()) for s in ("50", "4096")]
    assert losses[0]["result"]["loss"] == pytest.approx(losses[1]["result"]["loss"], rel=1e-6)
    assert closest(tmp_path / "50", tmp_path / "4096") < 1e-6
    assert closest(tmp_path / "50", tiny_model) > 1e-4


def test_a_seed_fixes_the_weights(tiny_model: Path, trained: Path, tmp_path: Path) -> None:
    train(tiny_model, EXAMPLES, tmp_path / "again", settings=SETTINGS)
    train(tiny_model, EXAMPLES, tmp_path / "other", settings=replace(SETTINGS, seed=2))
    assert same(tmp_path / "again", trained)
    assert not same(tmp_path / "other", trained)


@pytest.mark.parametrize("step", [4, 5, 8])
def test_a_killed_training_ends_in_the_same_weights(
    tiny_model: Path, tmp_path: Path, step: int
) -> None:
    """Checkpoints after steps 2, 4, 6, 8; killed before the first, between two, and at the end."""
    settings = replace(SETTINGS, save_steps=2)
    undisturbed = train(tiny_model, EXAMPLES, tmp_path / "undisturbed", settings=settings)
    out = tmp_path / "out"
    with pytest.raises(Killed):
        train(tiny_model, EXAMPLES, out, settings=settings, watch=Log(step))
    assert not out.exists()
    log = Log()
    resumed = train(tiny_model, EXAMPLES, out, settings=settings, watch=log)
    assert same(out, tmp_path / "undisturbed")
    assert resumed == undisturbed
    assert (
        log.losses[0][0] == (step - 1) // 2 * 2 + 1
    )  # nothing before the checkpoint was done again
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "undisturbed"]


def test_how_often_it_saves_may_change_on_the_way(tiny_model: Path, tmp_path: Path) -> None:
    often, out = replace(SETTINGS, save_steps=1), tmp_path / "out"
    with pytest.raises(Killed):
        train(tiny_model, EXAMPLES, out, settings=SETTINGS, watch=Log(4))
    with pytest.raises(Killed):
        train(tiny_model, EXAMPLES, out, settings=often, watch=Log(6))
    log = Log()
    train(tiny_model, EXAMPLES, out, settings=often, watch=log)
    assert log.losses[0][0] == 6, "the fifth step was saved"


@pytest.mark.parametrize("ran_out", [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.31 GiB."),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"),
    OSError(12, "Cannot allocate memory"),
], ids=["of a GPU", "of the machine", "of a library", "of the system"])  # fmt: skip
@pytest.mark.parametrize("penalty", ["exact", "k3"])  # in a step, and as the reference is asked
def test_memory_that_runs_out_is_one_line_and_the_same_call_goes_on(
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ran_out: Exception,
    penalty: Literal["exact", "k3"],
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ran_out

    objective, out = Likelihood(kl=0.01, penalty=penalty), tmp_path / "out"
    with monkeypatch.context() as patched:
        patched.setattr("whorl.learn.losses.log_probs", fails)
        with pytest.raises(
            UserError, match=r"memory ran out \(.*lower the tokens in one"
        ) as caught:
            train(tiny_model, EXAMPLES, out, settings=SETTINGS, objective=objective)
        assert "disk" not in str(caught.value)
    fewer = replace(SETTINGS, tokens=512)
    assert train(tiny_model, EXAMPLES, out, settings=fewer, objective=objective).steps == 9


def test_what_a_tracker_wrote_is_no_obstacle_after_a_kill(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while the finished model goes to disk."""
    pytest.importorskip("tensorboard")

    def killed(*_: object) -> None:
        raise Killed

    settings, out = replace(SETTINGS, report_to="tensorboard"), tmp_path / "out"
    with monkeypatch.context() as patched:
        patched.setattr("whorl.learn.train.publish", killed)
        with pytest.raises(Killed):
            train(tiny_model, EXAMPLES, out, settings=settings)
    train(tiny_model, EXAMPLES, out, settings=settings)
    assert any((out / "runs").rglob("events.*"))


def test_the_loss_is_that_of_the_last_epoch(tiny_model: Path, tmp_path: Path) -> None:
    """However seldom it is told: 51 steps are more than fifty."""
    log, questions = Log(), [
        Weighted(solve(f"{number}+{number}?"), f"{2 * number}") for number in range(17)
    ]  # fmt: skip
    settings = replace(SETTINGS, epochs=3, batch=1, save_steps=1000)
    result = train(tiny_model, questions, tmp_path / "out", settings=settings, watch=log)
    assert [step for step, _, _ in log.losses] == list(range(1, 52))
    assert result.loss == pytest.approx(sum(loss for *_, loss in log.losses[-17:]) / 17, abs=1e-6)


def test_no_two_train_the_same_model_at_once(tiny_model: Path, tmp_path: Path) -> None:
    with held(tmp_path / "out"), pytest.raises(InUseError, match="out is in use by process"):
        train(tiny_model, EXAMPLES, tmp_path / "out", settings=SETTINGS)
    assert not list(tmp_path.iterdir()), "nothing was begun"


def test_a_torn_checkpoint_is_passed_over(tiny_model: Path, trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(Killed):
        train(tiny_model, EXAMPLES, out, settings=SETTINGS, watch=Log(5))
    (whole,) = (tmp_path / "out.partial").glob("checkpoint-*")
    torn = shutil.copytree(whole, whole.with_name("checkpoint-4"))
    (torn / "trainer_state.json").write_text('{"best_')
    (torn / "model.safetensors").write_bytes(b"")
    train(tiny_model, EXAMPLES, out, settings=SETTINGS)
    assert same(out, trained)


@pytest.mark.parametrize("limit", [10, 60_000, 200_000])
def test_a_full_disk_is_one_clear_line(
    tiny_model: Path, trained: Path, tmp_path: Path, limit: int
) -> None:
    """Too little room for a word, for the weights (115 kB), for the optimizer's state (235 kB)."""
    out, whole = tmp_path / "out", resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, whole[1]))  # writing fails, as on a full disk
    try:
        with pytest.raises(
            UserError, match=r"out\.partial cannot be written; is the disk full\?"
        ) as e:
            train(tiny_model, EXAMPLES, out, settings=SETTINGS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, whole)
    assert "\n" not in str(e.value)
    train(tiny_model, EXAMPLES, out, settings=SETTINGS)
    assert same(out, trained)


def test_a_disk_that_fills_up_later_leaves_the_old_checkpoint(
    tiny_model: Path, trained: Path, tmp_path: Path
) -> None:
    """Full after the first checkpoint, at the second one's weights: it goes on from the first."""
    out, whole = tmp_path / "out", resource.getrlimit(resource.RLIMIT_FSIZE)

    class Filling(Log):
        def training(self, step: int, steps: int, loss: float) -> None:
            super().training(step, steps, loss)
            if step == 4:
                resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, whole[1]))

    try:
        with pytest.raises(UserError, match=r"cannot be written; is the disk full\?"):
            train(tiny_model, EXAMPLES, out, settings=SETTINGS, watch=Filling())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, whole)
    log = Log()
    train(tiny_model, EXAMPLES, out, settings=SETTINGS, watch=log)
    assert log.losses[0][0] == 4  # an epoch has 3 steps and ends in a checkpoint
    assert same(out, trained)


def test_the_same_call_again_returns_the_same_result(
    tiny_model: Path, trained: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(trained, tmp_path / "out")
    before = (out / "model.safetensors").stat().st_mtime_ns
    left = tmp_path / "out.partial" / "checkpoint-2"  # by a kill right after it was published
    left.mkdir(parents=True)
    result = train(tiny_model, EXAMPLES, out, settings=SETTINGS)
    assert not left.parent.exists()
    assert isinstance(result, TrainResult) and result.examples == len(EXAMPLES)
    assert (out / "model.safetensors").stat().st_mtime_ns == before


@pytest.mark.parametrize("damage", ["missing", "cut short", "other shapes", "a bit", "config"])
def test_a_finished_model_that_is_not_as_it_was_written_is_one_line(
    tiny_model: Path, trained: Path, tmp_path: Path, damage: str
) -> None:
    out = shutil.copytree(trained, tmp_path / "out")
    weights = out / "model.safetensors"
    content = bytearray(weights.read_bytes())
    if damage == "missing":
        weights.unlink()
    elif damage == "cut short":
        weights.write_bytes(content[:-100])
    elif damage == "other shapes":
        save_file({"lm_head.weight": torch.zeros(2, 2)}, weights)
    elif damage == "a bit":
        content[len(content) // 2] ^= 1
        weights.write_bytes(content)
    else:
        (out / "config.json").write_text("{}")
    name = "config.json" if damage == "config" else "model.safetensors"
    why = "is missing" if damage == "missing" else "is not as training wrote it"
    with pytest.raises(UserError, match=f"out/{name} {why}; put a copy") as caught:
        train(tiny_model, EXAMPLES, out, settings=SETTINGS)
    assert "\n" not in str(caught.value)
    shutil.rmtree(out)
    train(tiny_model, EXAMPLES, out, settings=SETTINGS)
    assert same(out, trained)


def test_another_training_is_refused_with_what_differs(
    tiny_model: Path, trained: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"another training \(lr = 0\.001, now 0\.002\)"):
        train(tiny_model, EXAMPLES, trained, settings=replace(SETTINGS, lr=2e-3))
    with pytest.raises(UserError, match=r"another training \(the model\)"):
        train(trained, EXAMPLES, trained, settings=SETTINGS)
    out = tmp_path / "out"
    with pytest.raises(Killed):
        train(tiny_model, EXAMPLES, out, settings=SETTINGS, watch=Log(5))
    with pytest.raises(UserError, match=r"out\.partial .* \(the examples\); delete it"):
        train(tiny_model, EXAMPLES[1:], out, settings=SETTINGS)
    (tmp_path / "notes").mkdir()
    with pytest.raises(UserError, match="was not written by training"):
        train(tiny_model, EXAMPLES, tmp_path / "notes", settings=SETTINGS)


def test_no_example_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no example to train on \(none were given\)"):
        train(tiny_model, [], tmp_path / "out", settings=SETTINGS)
    with pytest.raises(UserError, match=r"no example to train on \(20 too long\)"):
        train(tiny_model, EXAMPLES, tmp_path / "out", settings=replace(SETTINGS, max_length=3))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", ["missing", "empty", "torn", "other shape", "half", "config"])
def test_a_model_that_does_not_load_is_one_line(
    tiny_model: Path, tmp_path: Path, damage: str
) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "model")
    file = model / "model.safetensors"
    if damage == "missing":
        file.unlink()
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "torn":
        file.write_bytes(file.read_bytes()[:-1000])
    elif damage == "config":
        (model / "config.json").write_text('{"model_type": "nothing"}')
    elif damage == "other shape":
        config = json.loads((model / "config.json").read_text())
        (model / "config.json").write_text(json.dumps(config | {"intermediate_size": 48}))
    else:
        kept = {name: t for name, t in weights(model).items() if "layers.1" not in name}
        save_file(kept, file, metadata={"format": "pt"})
    with pytest.raises(UserError) as caught:
        train(model, EXAMPLES, tmp_path / "out", settings=SETTINGS)
    assert str(model) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("epochs", [1, 40])
def test_a_training_that_ends_up_beyond_guessing_is_an_error(
    tiny_model: Path, tmp_path: Path, epochs: int
) -> None:
    """After one step too, which no loss of a later step can tell."""
    settings = replace(SETTINGS, lr=10.0, epochs=epochs, batch=len(EXAMPLES))
    with pytest.raises(
        UserError, match=r"diverges: the loss is [\d,]+ after step \d+, where guess"
    ):
        train(tiny_model, EXAMPLES, tmp_path / "out", settings=settings)
    assert not (tmp_path / "out").exists()


def test_a_diverging_training_stops(tiny_model: Path, tmp_path: Path) -> None:
    examples = [replace(example, weight=1e38) for example in EXAMPLES]
    with pytest.raises(
        UserError, match=r"the loss is (inf|nan) at step 1, on a batch of 8 examples; try a"
    ):
        train(tiny_model, examples, tmp_path / "out", settings=SETTINGS)
    assert not (tmp_path / "out").exists()


def test_a_bfloat16_model_is_trained_in_float32(tiny_model: Path, tmp_path: Path) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "model")
    AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.bfloat16).save_pretrained(model)
    train(model, EXAMPLES, tmp_path / "out", settings=replace(SETTINGS, epochs=1, lr=1e-5))
    assert {t.dtype for t in weights(tmp_path / "out").values()} == {torch.float32}
    assert 0 < closest(tmp_path / "out", model) < 1e-4  # below a bfloat16 step for most weights


def test_training_prints_nothing(
    tiny_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Killed):
        train(tiny_model, EXAMPLES, tmp_path / "out", settings=SETTINGS, watch=Log(5))
    train(tiny_model, EXAMPLES, tmp_path / "out", settings=SETTINGS)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "wrong",
    [{"batch": 0}, {"epochs": 0}, {"lr": 0.0}, {"warmup": 1.5}, {"weight_decay": -1.0}],
)
def test_settings_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError, match="must"):
        replace(SETTINGS, **wrong)


def test_bfloat16_arithmetic_keeps_float32_weights(
    tiny_model: Path, trained: Path, tmp_path: Path
) -> None:
    train(tiny_model, EXAMPLES, tmp_path / "out", settings=replace(SETTINGS, bf16=True))
    assert {t.dtype for t in weights(tmp_path / "out").values()} == {torch.float32}
    assert not same(tmp_path / "out", trained)
    assert closest(tmp_path / "out", trained) < 8 * SETTINGS.lr  # no more than the steps can move


def test_how_it_is_computed_hardly_changes_the_losses(tiny_model: Path, tmp_path: Path) -> None:
    losses = {}
    for name, how in {
        "plain": SETTINGS,
        "recomputed": replace(SETTINGS, checkpointing=True),
        "bfloat16": replace(SETTINGS, bf16=True),
    }.items():
        log = Log()
        train(tiny_model, EXAMPLES, tmp_path / name, settings=how, watch=log)
        losses[name] = [loss for _, _, loss in log.losses]
    assert losses["recomputed"] == pytest.approx(losses["plain"], rel=1e-6)
    assert losses["bfloat16"] == pytest.approx(losses["plain"], rel=2e-3)
    assert losses["bfloat16"] != losses["plain"]
    assert closest(tmp_path / "recomputed", tmp_path / "plain") < 1e-6


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_tracker_is_reached_or_missed_before_anything_is_done(
    tiny_model: Path, tmp_path: Path, name: str
) -> None:
    settings = replace(SETTINGS, report_to=(name,))
    if find_spec(name) is None:
        with pytest.raises(UserError, match=rf"report_to = {name}: .* be installed") as caught:
            train(tiny_model, EXAMPLES, tmp_path / "out", settings=settings)
        assert "\n" not in str(caught.value)
        assert not list(tmp_path.iterdir())
    elif name == "tensorboard":  # the one that needs no server
        train(tiny_model, EXAMPLES, tmp_path / "out", settings=settings)
        assert list(tmp_path.glob("out/runs/*/events*"))


def test_an_unknown_tracker_is_one_line(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"report_to = wandv: wandv is not supported"):
        settings = replace(SETTINGS, report_to=("wandv",))
        train(tiny_model, EXAMPLES, tmp_path / "out", settings=settings)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("objective", "step"), [(LIKELIHOOD, 1), (UNDER_K3, 5)])
def test_a_spike_of_the_k3_penalty_is_no_divergence(
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    objective: Likelihood,
    step: int,
) -> None:
    """One token that became rare costs exp(d) for a step or two: only the end of the training is
    held against a guess, and without the penalty."""
    monkeypatch.setattr(trainer, "DIVERGED", 1e-3)
    settings = replace(SETTINGS, epochs=5, batch=len(EXAMPLES))
    with pytest.raises(UserError, match=rf"diverges: the loss is \d+ after step {step}, where"):
        train(tiny_model, EXAMPLES, tmp_path / "out", settings=settings, objective=objective)
