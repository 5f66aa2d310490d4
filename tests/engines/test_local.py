"""The embedded engine against transformers, and against itself in other company."""

import gc
import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from scipy.stats import chisquare
from transformers import AutoConfig, AutoModelForCausalLM

from whorl import prompts
from whorl.ask import Ask, Engine, Failure, Prompt, Replies
from whorl.chat import Chat
from whorl.engines import open_engine
from whorl.engines.local import Local
from whorl.engines.local.llama import Llama, Piece
from whorl.engines.local.prefix import BLOCK
from whorl.engines.local.rows import Rows
from whorl.engines.local.shape import read_shape
from whorl.errors import UserError
from whorl.models import POLICY

WORDS = "apples|3|17|and|has|buys|more|Step|2:|compute\n\n|sum|=|the|数学|Café".split("|")  # noqa: SIM905


def answer(engine: Engine, asks: Sequence[Ask]) -> list[Replies]:
    """All replies, in the order of the asks, submitted at once."""
    for ticket, ask in enumerate(asks):
        engine.submit(ticket, ask)
    return collect(engine, len(asks))


def collect(engine: Engine, count: int) -> list[Replies]:
    answers: dict[int, Replies] = {}
    while len(answers) < count:
        for ticket, replies in engine.poll(0.0):
            assert not isinstance(replies, Failure)
            assert ticket not in answers
            answers[ticket] = sampled(replies)
    return [answers[ticket] for ticket in range(count)]


def sampled(replies: Replies) -> Replies:
    """Without what the cache knew of the prompt, which depends on what came before."""
    return tuple(replace(reply, cached_tokens=0) for reply in replies)


def mixed_asks(count: int) -> list[Ask]:
    """Ragged prompts and all kinds of settings; the later half continues prompts of the first."""
    rng = random.Random(3)
    asks = []
    for seed in range(count // 2):
        text = " ".join(rng.choices(WORDS, k=rng.randint(1, 60)))
        prefix = " ".join(rng.choices(WORDS, k=rng.randint(0, 30)))
        ask = Ask(
            Prompt("", text, prefix),
            n=rng.choice([1, 1, 2, 5]),
            stop=rng.choice([(), ("\n\n",), ("e",)]),
            max_tokens=rng.randint(1, 50),
            temperature=rng.choice([0.0, 0.7, 1.0, 1.3]),
            top_p=rng.choice([1.0, 1.0, 0.9]),
            seed=seed,
        )
        asks.append(ask)
    longer = [
        replace(ask, prompt=replace(ask.prompt, prefix=ask.prompt.prefix + " 3 + 4 = 7"))
        for ask in asks
    ]
    return asks + longer


SHAPES = {
    "gqa": {},
    "untied": {"tie_word_embeddings": False, "num_key_value_heads": 4},
    "one key head, odd sizes": {
        "num_key_value_heads": 1,
        "num_attention_heads": 3,
        "hidden_size": 60,
        "head_dim": 20,
        "intermediate_size": 70,
    },
    "scaled rope, biases": {
        "rope_parameters": {
            "rope_type": "llama3",
            "rope_theta": 10000.0,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        },
        "attention_bias": True,
        "mlp_bias": True,
    },
}


@pytest.mark.parametrize("shape", SHAPES)
def test_greedy_text_and_logprob_equal_transformers(llama, shape: str) -> None:
    folder = llama(**SHAPES[shape])
    engine = Local(folder)
    asks = [replace(ask, temperature=0.0, n=1, stop=()) for ask in mixed_asks(16)]
    assert_like_transformers(folder, engine.chat, asks, answer(engine, asks))


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("qwen3", {"head_dim": 32, "num_key_value_heads": 2}),
        ("qwen3", {"head_dim": 16, "num_key_value_heads": 4, "tie_word_embeddings": True}),
        ("gemma", {"head_dim": 32, "num_key_value_heads": 1}),
        ("mistral", {"head_dim": 32, "num_key_value_heads": 2, "sliding_window": None}),
    ],
)
def test_other_families_equal_transformers(
    tokenizer, tmp_path: Path, kind: str, settings: dict[str, object]
) -> None:
    ends = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id")}
    config = AutoConfig.for_model(
        kind,
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=112,
        num_hidden_layers=2,
        num_attention_heads=4,
        initializer_range=0.15,
        pad_token_id=tokenizer.pad_token_id,
        **ends,
        **settings,
    )
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    for parameter in model.parameters():
        if parameter.ndim == 1:  # norms are not all alike
            parameter.data.add_(torch.rand_like(parameter))
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    engine = Local(tmp_path)
    asks = [replace(ask, temperature=0.0, n=1, stop=()) for ask in mixed_asks(16)]
    assert_like_transformers(tmp_path, engine.chat, asks, answer(engine, asks))


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3", "gemma", "mistral"])
def test_the_shape_of_a_model_is_that_which_transformers_reads(tmp_path: Path, kind: str) -> None:
    usual = ("vocab_size", "hidden_act", "rms_norm_eps", "head_dim", "max_position_embeddings")
    usual += ("tie_word_embeddings", "num_hidden_layers", "rope_parameters")
    names = (*usual, "model_type", "hidden_size", "num_attention_heads", "num_key_value_heads")
    sizes = {"hidden_size": 96, "num_attention_heads": 6, "num_key_value_heads": 3}
    AutoConfig.for_model(kind, **sizes).save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    written = json.loads(path.read_text())

    def check() -> object:
        shape, config = read_shape(tmp_path), AutoConfig.from_pretrained(tmp_path)
        for name in names:
            assert getattr(shape, name, None) == getattr(config, name, None), name
        return shape

    assert isinstance(check(), SimpleNamespace), "without transformers' models"
    for rope in (None, {"rope_type": "default"}):
        path.write_text(json.dumps(written | {"rope_parameters": rope, "rope_theta": 7.0}))
        check()
    for name in usual:  # an older file leaves usual values out
        path.write_text(json.dumps({key: written[key] for key in written if key != name}))
        check()


@pytest.mark.parametrize(
    "wrong",
    [{"num_attention_heads": 5}, {"num_hidden_layers": "3"}, {"rms_norm_eps": None}],
)
def test_a_shape_that_transformers_refuses_is_refused(
    tmp_path: Path, wrong: dict[str, object]
) -> None:
    sizes = {"hidden_size": 96, "num_attention_heads": 6, "num_key_value_heads": 3}
    AutoConfig.for_model("llama", **sizes).save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | wrong))
    with pytest.raises(Exception, match="alidation error") as theirs:
        AutoConfig.from_pretrained(tmp_path)
    with pytest.raises(theirs.type, match="alidation error"):
        read_shape(tmp_path)


def assert_like_transformers(
    folder: Path, chat: Chat, asks: Sequence[Ask], answers: Sequence[Replies]
) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    for ask, (reply,) in zip(asks, answers, strict=True):
        ids = torch.tensor([chat.encode(ask.prompt)])
        mask = torch.ones_like(ids)
        out = model.generate(
            ids, attention_mask=mask, do_sample=False, max_new_tokens=ask.max_tokens
        )
        new = out[0, ids.shape[1] :]
        with torch.no_grad():
            logits = model(out).logits[0, ids.shape[1] - 1 : -1]
        chances = logits.log_softmax(-1).gather(1, new[:, None])
        text = chat.decode(new[new != chat.end[-1]].tolist())
        assert (reply.text, reply.tokens) == (text, len(new))
        assert reply.logprob == pytest.approx(float(chances.sum()), abs=1e-4)


def test_shipped_policy_equals_transformers() -> None:
    import whorl.models

    folder = Path(whorl.models.__file__).parent / "policy"
    if not (folder / "model.safetensors").is_file():
        pytest.skip("the policy is not trained yet")
    engine = Local(folder)
    questions = ["Anna has 3 apples and buys 4 more. How many has she?", "What is 3 + 4 * 2?"]
    asks = [Ask(Prompt("", f"Problem: {q}"), temperature=0.0, max_tokens=80) for q in questions]
    assert_like_transformers(folder, engine.chat, asks, answer(engine, asks))


@pytest.mark.parametrize("shape", ["gqa", "one key head, odd sizes"])
def test_an_answer_does_not_depend_on_company_or_cache(llama, shape: str) -> None:
    """Bit for bit, log-probs included."""
    folder = llama(**SHAPES[shape])
    asks = mixed_asks(24)
    engine = Local(folder)
    alone = [answer(engine, [ask])[0] for ask in asks]
    assert answer(engine, asks) == alone  # together, every prompt cached
    assert answer(Local(folder), asks) == alone  # together, nothing cached
    assert answer(Local(folder, cache_bytes=0), asks) == alone

    order = random.Random(4).sample(range(len(asks)), len(asks))
    shuffled = answer(Local(folder, max_rows=7), [asks[i] for i in order])
    assert [shuffled[order.index(i)] for i in range(len(asks))] == alone

    staggered = Local(folder, max_rows=16)
    answers: dict[int, Replies] = {}
    for ticket, ask in enumerate(asks):
        staggered.submit(ticket, ask)
        answers |= staggered.poll(0.0)
    while len(answers) < len(asks):
        answers |= staggered.poll(0.0)
    assert [sampled(answers[ticket]) for ticket in range(len(asks))] == alone


def test_long_texts_do_not_depend_on_company(llama) -> None:
    """Past one attention block, and past the first size of the rows."""
    folder = llama()
    rng = random.Random(5)
    asks = [
        Ask(Prompt("", " ".join(rng.choices(WORDS, k=k))), max_tokens=60, seed=k)
        for k in (20, 60, 90, 100, 110, 120)
    ]
    alone = [answer(Local(folder), [ask])[0] for ask in asks]
    assert answer(Local(folder), asks) == alone


def test_a_long_prompt_is_read_in_passes_and_says_the_same(
    llama, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = llama()
    rng = random.Random(5)
    asks = [
        Ask(Prompt("", " ".join(rng.choices(WORDS, k=k))), n=2, max_tokens=30, seed=k)
        for k in (3, 20, 60, 110, 120)
    ]
    whole = answer(Local(folder), asks)
    monkeypatch.setattr("whorl.engines.local.engine._PREFILL_TOKENS", 16)
    read = 0
    forward = Llama.forward

    def counted(self: Llama, pieces: Sequence[Piece], rows: Rows) -> torch.Tensor:
        nonlocal read
        read = max(read, *(piece.ids.shape[1] for piece in pieces))
        return forward(self, pieces, rows)

    monkeypatch.setattr(Llama, "forward", counted)
    assert answer(Local(folder), asks) == whole
    assert read == 16


def test_samples_follow_the_model(llama) -> None:
    """First tokens of 4,000 samples at temperature 1.3, chi-square."""
    folder = llama(initializer_range=0.05)
    engine = Local(folder)
    prompt = Prompt("", "Anna has")
    ask = Ask(prompt, n=4000, max_tokens=1, temperature=1.3, seed=1)
    (replies,) = answer(engine, [ask])
    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        logits = model(torch.tensor([engine.chat.encode(prompt)])).logits[0, -1]
    chance = (logits / 1.3).double().softmax(-1)
    expected: Counter[str] = Counter()
    for token, share in enumerate(chance.tolist()):
        expected[engine.chat.decode([token])] += share * 4000  # type: ignore[assignment]
    seen = Counter(reply.text for reply in replies)
    assert set(seen) <= set(expected)
    texts = sorted(expected)
    assert chisquare([seen[t] for t in texts], [expected[t] for t in texts]).pvalue > 0.001


def test_top_p_keeps_the_nucleus(llama) -> None:
    folder = llama()
    engine = Local(folder)
    prompt = Prompt("", "Anna has")
    (replies,) = answer(engine, [Ask(prompt, n=500, max_tokens=1, top_p=0.5, seed=2)])
    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        logits = model(torch.tensor([engine.chat.encode(prompt)])).logits[0, -1]
    chance, order = logits.softmax(-1).sort(descending=True)
    size = int((chance.cumsum(0) < 0.5).sum()) + 1
    nucleus = [engine.chat.decode([token]) for token in order[:size].tolist()]
    assert {reply.text for reply in replies} == set(nucleus)


def test_a_prompt_is_told_once_with_what_the_cache_knew_of_it(llama) -> None:
    engine = Local(llama())
    short = Ask(Prompt("", " ".join(WORDS * 2)), n=3, max_tokens=2)
    long = replace(short, prompt=replace(short.prompt, prefix=" ".join(WORDS)))
    lengths = [len(engine.chat.encode(ask.prompt)) for ask in (short, long)]
    told = []
    for ask in (short, long, long):
        engine.submit(0, ask)
        answers: list = []
        while not answers:
            answers = list(engine.poll(0.0))
        ((_, replies),) = answers
        assert all((r.prompt_tokens, r.cached_tokens) == (0, 0) for r in replies[1:])
        told.append((replies[0].prompt_tokens, replies[0].cached_tokens))
    assert [read for read, _ in told] == [lengths[0], lengths[1], lengths[1]]
    new, continued, repeated = (known for _, known in told)
    assert new == 0
    assert lengths[0] - 2 * BLOCK < continued <= lengths[0]
    assert lengths[1] - BLOCK <= repeated < lengths[1]


def test_a_step_is_not_read_again_and_the_next_one_is_the_same() -> None:
    """Bit for bit, as if its keys and values had been made by reading it."""
    engine = Local(POLICY)
    question = "Anna has 3 apples and buys 4 more. She eats 2. How many has she?"
    ask = Ask(prompts.solve(question), n=4, stop=("\n\n",), temperature=1.0, seed=3)
    (steps,) = answer(engine, [ask])
    length = len(engine.chat.encode(ask.prompt))
    for step in steps:
        assert step.finished == "stop"
        following = replace(ask, prompt=replace(ask.prompt, prefix=step.text + "\n\n"))
        engine.submit(0, following)
        answers: list = []
        while not answers:
            answers = list(engine.poll(0.0))
        ((_, replies),) = answers
        assert replies[0].cached_tokens > length + step.tokens - 1 - BLOCK
        assert sampled(replies) == answer(Local(POLICY), [following])[0]


@pytest.mark.parametrize("shape", SHAPES)
def test_tokens_read_one_by_one_or_together_leave_the_same(llama, shape: str) -> None:
    """Keys, values and scores, bit for bit; in company of a row of another length, too."""
    model = Llama(llama(**SHAPES[shape]))
    ids = torch.randint(3, model.vocabulary, (1, 250), generator=torch.manual_seed(0))

    def read(pieces: Sequence[int], *, company: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
        rows = Rows(model.layers, 3, model.kv_heads, model.head_dim, dtype=torch.float32)
        at = 0
        for size in pieces:
            new = [_piece(ids[:, at : at + size], at, 0)]
            new += [_piece(ids[:, :company], 0, 1)] if company else []
            with torch.inference_mode():
                scores = model.forward(new, rows)
            at += size
        return scores[0], rows.memory[:, :, 0, :, :at].clone()

    scores, memory = read([250])
    for pieces in ([1] * 250, [100, 1, 1, 1, 147], [5, 190, *[1] * 55]):
        again, kept = read(pieces, company=17)
        assert torch.equal(again, scores)
        assert torch.equal(kept, memory)


def _piece(ids: torch.Tensor, start: int, row: int) -> Piece:
    return Piece(ids, torch.tensor([start]), torch.tensor([ids.shape[1] - 1]), row)


def test_asks_of_one_prompt_that_begin_together_read_it_once(llama) -> None:
    engine = Local(llama())
    ask = Ask(Prompt("", " ".join(WORDS)), n=2, max_tokens=2)
    for ticket in range(3):
        engine.submit(ticket, replace(ask, seed=ticket))
    answers: dict = {}
    while len(answers) < 3:
        answers |= dict(engine.poll(0.0))
    length = len(engine.chat.encode(ask.prompt))
    assert [answers[ticket][0].prompt_tokens for ticket in range(3)] == [length] * 3
    assert [answers[ticket][0].cached_tokens for ticket in range(3)] == [0, length, length]


def test_samples_of_an_ask_differ_and_seeds_fix_them(llama) -> None:
    engine = Local(llama())
    ask = Ask(Prompt("", "Anna has"), n=8, max_tokens=20, seed=5)
    first, again, other = answer(engine, [ask, ask, replace(ask, seed=6)])
    assert first == again
    assert len({reply.text for reply in first}) == 8
    assert {reply.text for reply in first}.isdisjoint({reply.text for reply in other})
    (more,) = answer(engine, [replace(ask, n=12)])
    assert more[:8] == first


def test_stop_strings_cut_where_the_text_first_has_them(llama) -> None:
    """Whatever the tokens are: the stop is found as if the text were watched by letters."""
    engine = Local(llama())
    asks = [Ask(Prompt("", "Anna has"), n=40, max_tokens=60, seed=7)]
    (plain,) = answer(engine, asks)
    stops = ("ed", "3 ", "\n\n", "é", "ap", "!1")
    (stopped,) = answer(engine, [replace(asks[0], stop=stops)])
    assert {reply.finished for reply in stopped} >= {"stop", "length"}
    for whole, cut in zip(plain, stopped, strict=True):
        ends = [whole.text.find(stop) for stop in stops if stop in whole.text]
        assert cut.text == (whole.text[: min(ends)] if ends else whole.text)
        assert cut.finished == ("stop" if ends else whole.finished)
        assert cut.tokens <= whole.tokens


def test_a_stop_that_spans_tokens_is_found(llama) -> None:
    engine = Local(llama())
    ask = Ask(Prompt("", "Anna has"), temperature=0.0, max_tokens=40)
    ((plain,),) = answer(engine, [ask])
    middle = plain.text[4:12]
    assert len(engine.chat.tokenizer(middle)["input_ids"]) > 1
    ((reply,),) = answer(engine, [replace(ask, stop=(middle,))])
    assert (reply.finished, reply.text) == ("stop", plain.text[: plain.text.index(middle)])


def test_limits(llama) -> None:
    engine = Local(llama(max_position_embeddings=48))
    full = Prompt("", "7" * 21)
    count = len(engine.chat.encode(full))
    assert 30 < count < 48
    ((reply,),) = answer(engine, [Ask(full, max_tokens=100, seed=1)])
    assert (reply.finished, reply.tokens) == ("length", 48 - count)
    engine.submit(9, Ask(Prompt("", "7" * 100)))
    ((ticket, failure),) = engine.poll(0.0)
    assert ticket == 9
    assert isinstance(failure, Failure)
    assert failure.error.endswith("the model takes 48")


def test_memory_is_bounded_and_close_cancels(llama) -> None:
    engine = Local(llama(), cache_bytes=1 << 20, max_rows=8)
    rng = random.Random(6)
    for _ in range(30):
        prompts = [" ".join(rng.choices(WORDS, k=60)) for _ in range(8)]
        answer(engine, [Ask(Prompt("", text), n=2, max_tokens=3) for text in prompts])
    block = 2 * 2 * 2 * 8 * 16 * 4  # layers, keys and values, heads, tokens, size, bytes
    assert len(engine._prefixes) == (1 << 20) // block
    gc.collect()
    engine.submit(0, Ask(Prompt("", "Anna has"), max_tokens=400))
    engine.poll(0.0)
    engine.close()


def test_it_computes_in_bfloat16() -> None:
    asks = [
        Ask(prompts.solve(f"Anna has {n} apples and buys {m}. How many?"), max_tokens=8)
        for n, m in ((3, 4), (12, 5), (7, 7), (40, 2), (9, 31), (6, 18))
    ]
    asks = [replace(ask, temperature=0.0) for ask in asks]
    plain, rounded = (
        answer(open_engine(f"local:{POLICY}{query}", processes=0), asks)
        for query in ("", "?dtype=bfloat16")
    )
    same = [(a, b) for (a,), (b,) in zip(plain, rounded, strict=True) if a.text == b.text]
    assert len(same) >= 4  # rounding may turn a close choice
    assert any(a.logprob != b.logprob for a, b in same)
    assert all(abs(a.logprob - b.logprob) < 0.2 for a, b in same)
    with pytest.raises(UserError, match="float32 or bfloat16, not 'int8'"):
        open_engine(f"local:{POLICY}?dtype=int8", processes=0)
