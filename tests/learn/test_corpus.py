"""Encoding: what is kept, how it is grouped, what is said about the rest."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.ask import Prompt
from whorl.chat import Chat
from whorl.errors import UserError
from whorl.example import Example, Likelihood, Pair, Preference, Weighted
from whorl.learn.corpus import Corpus, Encoded, encode
from whorl.prompts import alpaca

ONE = Weighted(Prompt("", "1+1?"), "\\boxed{2}", weight=0.5)
TWO = Pair(Prompt("", "1+1?"), "\\boxed{2}", "\\boxed{3}.", rejected_ended=False)

prompts = st.builds(
    Prompt, st.sampled_from(["", "Be brief."]), st.sampled_from(["1+1?", "2+2?"]), st.text("ab\n")
)
texts = st.text("12ab\n ")
weighted = st.builds(Weighted, prompts, texts, st.floats(-2, 2), st.booleans())
pairs = st.builds(Pair, prompts, texts, texts, st.booleans(), st.booleans())


@pytest.fixture(scope="module")
def chat(tiny_model: Path) -> Chat:
    return Chat.load(tiny_model)


def completions(example: Example) -> list[tuple[str, bool]]:
    if isinstance(example, Weighted):
        return [(example.text, example.ended)]
    return [(example.chosen, example.chosen_ended), (example.rejected, example.rejected_ended)]


def ordered(corpus: Corpus) -> list[Encoded]:
    return sorted((e for group in corpus.groups for e in group), key=lambda e: e.first)


@given(
    st.lists(weighted, max_size=8).map(lambda examples: (Likelihood(), examples))
    | st.lists(pairs, max_size=8).map(lambda examples: (Preference(), examples))
)
def test_every_example_is_encoded_as_it_is_sampled_or_dropped(chat: Chat, case) -> None:
    objective, examples = case
    corpus = encode(examples, chat, objective, max_length=32)
    expected, dropped = [], Counter[str]()
    for example in examples:
        encoded = [
            chat.encode_completion(example.prompt, text, ended=ended)
            for text, ended in completions(example)
        ]
        if any(len(ids) > 32 for ids, _ in encoded):
            dropped["too long"] += 1
        elif any(len(ids) == start for ids, start in encoded):
            dropped["empty"] += 1
        else:
            expected.append((example, encoded))

    found = ordered(corpus)
    assert [[(list(p.ids), p.start) for p in e.paths] for e in found] == [e for _, e in expected]
    assert [e.weight for e in found] == [getattr(e, "weight", 1.0) for e, _ in expected]
    sides = 1 if isinstance(objective, Likelihood) else 2
    assert [e.first for e in found] == list(range(0, corpus.paths, sides))
    assert corpus.dropped == dropped
    assert len(corpus) == len(expected)
    assert corpus.paths == sides * len(expected)
    flat = [path for _, encoded in expected for path in encoded]
    assert corpus.longest == max((len(ids) for ids, _ in flat), default=0)
    assert corpus.tokens == sum(len(ids) - start for ids, start in flat)
    below = sum(getattr(e, "weight", 1.0) < 0 for e, _ in expected)
    assert corpus.negative == pytest.approx(below / max(1, len(expected)))


@given(st.lists(weighted, max_size=12))
def test_a_group_is_a_question(chat: Chat, examples: list[Weighted]) -> None:
    """System and user text make a question; the prefix does not."""
    examples = [replace(e, text=f"x{e.text}", ended=True) for e in examples]
    corpus = encode(examples, chat, Likelihood(), max_length=10**6)
    groups: dict[tuple[str, str], list[int]] = {}
    for number, example in enumerate(examples):
        groups.setdefault((example.prompt.system, example.prompt.user), []).append(number)
    assert [[e.first for e in group] for group in corpus.groups] == list(groups.values())


def test_length_is_counted_with_the_context_and_the_end_of_turn(chat: Chat) -> None:
    (ids, _) = chat.encode_completion(ONE.prompt, ONE.text)
    assert len(encode([ONE], chat, Likelihood(), max_length=len(ids))) == 1
    corpus = encode([ONE], chat, Likelihood(), max_length=len(ids) - 1)
    assert (len(corpus), corpus.dropped) == (0, {"too long": 1})


@pytest.mark.parametrize("side", ["chosen", "rejected"])
def test_a_pair_is_dropped_whole(chat: Chat, side: str) -> None:
    long = replace(TWO, **{side: "1" * 100})
    empty = replace(TWO, **{side: "", f"{side}_ended": False})
    corpus = encode([long, TWO, empty], chat, Preference(), max_length=64)
    assert corpus.dropped == {"too long": 1, "empty": 1}
    assert [e.first for e in ordered(corpus)] == [0]
    assert corpus.paths == 2


def test_nothing_but_the_end_of_turn_is_a_completion(chat: Chat) -> None:
    corpus = encode([replace(ONE, text="")], chat, Likelihood(), max_length=64)
    assert corpus.tokens == 1
    assert ordered(corpus)[0].paths[0].ids[-1] == chat.end[-1]


@pytest.mark.parametrize(
    ("objective", "good", "bad", "complaint"),
    [
        (Likelihood(), ONE, TWO, "these are pairs, which likelihood cannot learn from"),
        (Preference(), TWO, ONE, "these are single completions, which preference cannot learn"),
    ],
)
def test_examples_of_the_other_kind_are_refused(
    chat: Chat, objective, good: Example, bad: Example, complaint: str
) -> None:
    with pytest.raises(UserError, match=complaint) as caught:
        encode([good, bad], chat, objective, max_length=64)
    assert "\n" not in str(caught.value)


def test_a_first_token_is_never_learnt(tiny_model: Path) -> None:
    """Under a template that adds nothing, an empty context leaves a text's first token."""
    bare = Chat.load(tiny_model)
    bare.tokenizer.chat_template = "{{ messages[0]['content'] }}"
    nothing = Prompt("", "")
    assert bare.encode_completion(nothing, "1+1")[1] == 0
    corpus = encode(
        [Weighted(nothing, "1+1", ended=False), Weighted(nothing, "1", ended=False)],
        bare,
        Likelihood(),
        max_length=64,
    )
    assert [(p.start, p.learnt) for e in ordered(corpus) for p in e.paths] == [(1, 2)]
    assert corpus.dropped == {"empty": 1}


def test_texts_in_a_form_of_their_own_are_grouped_by_their_question(chat: Chat) -> None:
    asked = [replace(alpaca(q), prefix=alpaca(q).prefix + steps) for q in ("1+1?", "2+2?")
             for steps in ("", "Add.\n\n")]  # fmt: skip
    examples = [Weighted(prompt, "\\boxed{2}") for prompt in asked]
    corpus = encode(examples, chat, Likelihood(), max_length=999)
    assert [len(group) for group in corpus.groups] == [2, 2]
