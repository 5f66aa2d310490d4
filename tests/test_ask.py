"""Asks, their names, and searches that ask together."""

import hashlib
import json
from dataclasses import asdict, fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.ask import Ask, Asking, Given, Prompt, Reply, digest, encodable, together

texts = st.text(st.characters(exclude_categories=[]), max_size=8)  # lone surrogates, NUL and all
asks = st.builds(
    Ask,
    prompt=st.builds(Prompt, system=texts, user=texts, prefix=texts),
    role=st.sampled_from(["policy", "critic", "judge"]),
    n=st.integers(1, 4),
    stop=st.tuples() | st.tuples(texts) | st.tuples(texts, texts),
    max_tokens=st.integers(1, 9),
    temperature=st.floats(0, 2),
    top_p=st.floats(0.1, 1),
    seed=st.integers(0, 3),
    thought=st.none() | st.integers(0, 2),
)


@given(asks, asks)
def test_asks_have_equal_names_exactly_if_they_are_equal(ask: Ask, other: Ask) -> None:
    assert digest(replace(ask)) == digest(ask)
    assert (digest(ask) == digest(other)) == (repr(ask) == repr(other))


@given(asks)
def test_a_name_is_a_hash_of_json_with_sorted_keys(ask: Ask) -> None:
    said = {name: value for name, value in asdict(ask).items() if value is not None}
    text = json.dumps(said, ensure_ascii=False, sort_keys=True)
    named = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16)
    assert digest(ask) == named.hexdigest()


def test_no_field_is_left_out_of_the_name() -> None:
    ask = Ask(Prompt("s", "u", "p"))
    others = Ask(Prompt("S", "U", "P"), "critic", 2, ("x",), 7, 0.5, 0.9, 3, 4, Given("g"))
    for field in fields(Ask):
        assert digest(replace(ask, **{field.name: getattr(others, field.name)})) != digest(ask)
    for field in fields(Prompt):
        changed = replace(ask.prompt, **{field.name: "other"})
        assert digest(replace(ask, prompt=changed)) != digest(ask)
    assert digest(replace(ask, given=Given("g"))) != digest(replace(ask, given=Given("g", False)))


def test_text_does_not_run_over_from_one_field_into_the_next() -> None:
    names = {digest(Ask(Prompt(*fields))) for fields in [("ab", "", ""), ("a", "b"), ("", "ab")]}
    assert len(names) == 3


def test_names_are_part_of_the_contract() -> None:
    """Journals are looked up by them."""
    ask = Ask(Prompt("s", "1 + 1 = ?", "√"), stop=("\n\n",), temperature=0.7, seed=7)
    assert digest(ask) == "deb7999818f73150e25d31c541bfb2d3"


@given(st.text(st.characters(exclude_categories=[])))
def test_whatever_a_model_says_can_be_written(said: str) -> None:
    written = encodable(said)
    written.encode()
    assert len(written) <= len(said)
    reply, prompt = Reply(said), Prompt(said, said, said)
    assert reply.text == written
    assert prompt.system == prompt.user == prompt.prefix == written
    assert (said == written) == (not any("\ud800" <= one <= "\udfff" for one in said))


def test_halves_of_a_character_that_belong_together_are_joined() -> None:
    assert encodable("\ud83d\ude00 \ud83d!") == "\N{GRINNING FACE} \N{REPLACEMENT CHARACTER}!"


def test_searches_together_ask_in_one_batch_and_keep_their_order() -> None:
    def counting(name: str, rounds: int) -> Asking[str]:
        for _ in range(rounds):
            yield [Ask(Prompt("", "question"), max_tokens=len(name))]
        return name

    moves = together([counting("a", 2), counting("bb", 0), counting("ccc", 1)])
    assert [ask.max_tokens for ask in next(moves)] == [1, 3]
    assert [ask.max_tokens for ask in moves.send([(), ()])] == [1]
    with pytest.raises(StopIteration) as stop:
        moves.send([()])
    assert stop.value.value == ["a", "bb", "ccc"]
