"""The journal: what was answered once is never asked again, whatever happened in between."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.ask import Ask, Asking, Engine, Failure, Prompt, Replies, Reply, digest, made
from whorl.budget import Usage
from whorl.drive import drive, seed_for
from whorl.engines import row
from whorl.engines.function import Function
from whorl.engines.journal import Journal
from whorl.engines.local import Local
from whorl.engines.row import checksum
from whorl.errors import UserError

texts = st.text(st.characters(exclude_categories=[]), max_size=12)  # lone surrogates, NUL and all
numbers = st.none() | st.floats(allow_nan=False)
replies = st.builds(
    Reply,
    text=texts,
    finished=st.sampled_from(["stop", "eos", "length"]),
    tokens=st.integers(0, 10**6),
    value=numbers,
    logprob=numbers,
    prompt_tokens=st.integers(0, 10**6),
    cached_tokens=st.integers(0, 10**6),
)


class Counted:
    """A function as engine that keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, ask: Ask) -> Replies:
        self.asked.append(ask.prompt.user)
        if ask.prompt.user == "broken":
            raise ValueError("no answer")
        return tuple(Reply(f"{digest(ask)} {k}", tokens=3) for k in range(ask.n))


def collect(engine: Engine, asks: Sequence[Ask]) -> list[Replies | Failure]:
    """Submit all, poll until all are answered; answers in the order of the asks."""
    for ticket, ask in enumerate(asks):
        engine.submit(ticket, ask)
    found: dict[int, Replies | Failure] = {}
    deadline = time.monotonic() + 10
    while len(found) < len(asks):
        assert time.monotonic() < deadline
        for ticket, answer in engine.poll(0.01):
            assert ticket not in found
            found[ticket] = answer
    assert not engine.poll(0.0)
    return [found[ticket] for ticket in range(len(asks))]


def asks_about(*users: str) -> list[Ask]:
    return [Ask(Prompt("", user), n=1 + len(user) % 3) for user in users]


def test_what_was_answered_is_not_asked_again(tmp_path: Path) -> None:
    asks = asks_about("a", "bb", "ccc")
    first, second = Counted(), Counted()
    with Journal(tmp_path / "j.db") as journal:
        given = collect(journal.wrap(Function(first)), asks[:2])
        assert (journal.asked, journal.recalled) == (2, 0)
    with Journal(tmp_path / "j.db") as journal:
        again = collect(journal.wrap(Function(second)), asks)
        assert (journal.asked, journal.recalled) == (1, 2)
    assert again[:2] == given
    assert first.asked == ["a", "bb"] and second.asked == ["ccc"]


def test_an_answer_is_recalled_when_the_journal_is_opened_again(tmp_path: Path) -> None:
    function, answers, counts = Counted(), [], []
    for _ in range(2):
        with Journal(tmp_path / "j.db") as journal:
            answers.append(collect(journal.wrap(Function(function)), asks_about("a")))
            counts.append((journal.asked, journal.recalled))
    assert answers[0] == answers[1] and counts == [(1, 0), (0, 1)]
    assert function.asked == ["a"]


@pytest.mark.parametrize("count", [100, 10_000])
def test_memory_does_not_grow_with_what_is_recorded(tmp_path: Path, count: int) -> None:
    with Journal(tmp_path / "j.db") as journal:
        tracemalloc.start()
        for number in range(count):
            journal.record([(number.to_bytes(16), "policy", (Reply("x"),))])
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 40_000


def test_equal_asks_in_flight_share_one_answer(tmp_path: Path) -> None:
    function = Counted()
    with Journal(tmp_path / "j.db") as journal:
        answers = collect(journal.wrap(Function(function)), asks_about("a", "b", "a", "a"))
        assert (journal.asked, journal.recalled) == (2, 2)
    assert function.asked == ["a", "b"]
    assert answers[0] == answers[2] == answers[3] != answers[1]


def test_an_ask_that_differs_only_in_its_seed_is_another_ask(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.db") as journal:
        engine = journal.wrap(Function(Counted()))
        answers = collect(engine, [Ask(Prompt("", "a"), seed=seed) for seed in (1, 2)])
        assert journal.asked == 2
    assert answers[0] != answers[1]


def test_failures_reach_everyone_and_are_not_recorded(tmp_path: Path) -> None:
    function = Counted()
    with Journal(tmp_path / "j.db") as journal:
        answers = collect(journal.wrap(Function(function)), asks_about("broken", "fine", "broken"))
        assert [isinstance(answer, Failure) for answer in answers] == [True, False, True]
    with Journal(tmp_path / "j.db") as journal:
        collect(journal.wrap(Function(function)), asks_about("broken", "fine"))
    assert function.asked == ["broken", "fine", "broken"]


def test_several_engines_share_a_journal(tmp_path: Path) -> None:
    policy, judge = Counted(), Counted()
    for _ in range(2):
        with Journal(tmp_path / "j.db") as journal:
            engines = journal.wrap(Function(policy)), journal.wrap(Function(judge))
            collect(engines[0], [Ask(Prompt("", "q"), "policy")])
            collect(engines[1], [Ask(Prompt("", "q"), "judge")])
    assert policy.asked == judge.asked == ["q"]


@settings(max_examples=60, deadline=None)
@given(given_replies=st.lists(replies, min_size=1, max_size=4).map(tuple))
def test_replies_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, given_replies: Replies
) -> None:
    path = tmp_path_factory.mktemp("j") / "j.db"
    ask = Ask(Prompt("\ud800", "\x00"), n=len(given_replies))
    for _ in range(2):
        with Journal(path) as journal:
            (answer,) = collect(journal.wrap(Function(lambda _: given_replies)), [ask])
        assert repr(answer) == repr(given_replies)  # 1 and 1.0, 0.0 and -0.0 are told apart


def test_a_value_that_is_not_a_number_is_a_failure(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.db") as journal:
        for reply in (Reply(value=float("nan")), Reply(logprob=float("nan"))):
            engine = journal.wrap(Function(lambda _, reply=reply: (reply,)))
            (answer,) = collect(engine, [Ask(Prompt("", "q"))])
            assert isinstance(answer, Failure)


class _Stingy(Function):
    """Makes one sample of every ask; of an ask for more it fails with that."""

    def __init__(self) -> None:
        super().__init__(lambda ask: (Reply(str(ask.seed), tokens=3),))
        self.asked: list[tuple[int, int]] = []

    def submit(self, ticket: int, ask: Ask) -> None:
        self.asked.append((ask.n, ask.seed))
        super().submit(ticket, ask)

    def poll(self, timeout: float) -> Sequence[tuple[int, Replies | Failure]]:
        wanted = self.asked[-1][0] if self.asked else 1
        return [
            (ticket, Failure("no more", made(answer)) if wanted > 1 else answer)
            for ticket, answer in super().poll(timeout)
        ]


def test_of_an_ask_that_failed_only_what_is_missing_is_asked_again(tmp_path: Path) -> None:
    ask, engine, answers = Ask(Prompt("", "q"), n=3, seed=100), _Stingy(), []
    for _ in range(4):
        with Journal(tmp_path / "j.db") as journal:
            answers += collect(journal.wrap(engine), [ask])
            assert dict(journal.usage())["policy"].sampled == 3 * min(3, len(answers))
    assert [isinstance(answer, Failure) for answer in answers] == [True, True, False, False]
    assert engine.asked == [(3, 100), (2, 103), (1, 106)]  # each under seeds of its own
    assert answers[2] == answers[3]
    assert [reply.text for reply in made(answers[3])] == ["100", "103", "106"]


class _Watched(Function):
    """Checks from outside, at every poll, that nothing was handed out before it was on file."""

    def __init__(self, path: Path) -> None:
        super().__init__(Counted())
        self.path = path

    def rows(self) -> int:
        other = sqlite3.connect(self.path)
        try:
            return int(other.execute("SELECT count(*) FROM answer").fetchone()[0])
        finally:
            other.close()


def test_replies_are_on_file_before_they_are_used_one_row_an_ask(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    with Journal(path) as journal:
        inner = _Watched(path)
        engine = journal.wrap(inner)
        for ticket, ask in enumerate(asks_about("a", "bb", "ccc")):
            engine.submit(ticket, ask)
        assert inner.rows() == 0
        handed_out = engine.poll(0.0)
        assert inner.rows() == len(handed_out) == 3


@pytest.mark.parametrize(
    "content", [b"no database at all" * 100, b"SQLite format 3\x00 and then nothing" * 200]
)
def test_a_file_that_is_no_database_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "j.db"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"j\.db"):
        Journal(path)
    assert path.read_bytes() == content


def test_somebody_elses_database_is_refused(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "j.db")
    database.execute("CREATE TABLE reply (x)")
    database.commit()
    database.close()
    with pytest.raises(UserError, match="not a journal"):
        Journal(tmp_path / "j.db")


VERSION_1 = """
CREATE TABLE reply (
    ask BLOB NOT NULL, slot INTEGER NOT NULL, role TEXT NOT NULL, text BLOB NOT NULL,
    finished TEXT NOT NULL, tokens INTEGER NOT NULL, value, logprob, PRIMARY KEY (ask, slot)
);
PRAGMA application_id = 2003332978;
PRAGMA user_version = 1;
"""


def test_a_journal_of_the_first_version_goes_on(tmp_path: Path) -> None:
    path, old, new = tmp_path / "j.db", Ask(Prompt("", "old"), n=2), Ask(Prompt("", "new"))
    database = sqlite3.connect(path)
    database.executescript(VERSION_1)
    name = bytes.fromhex(digest(old))
    rows = [(name, slot, "policy", b"said", "stop", 7 + slot, 1.0, -0.5) for slot in (0, 1)]
    database.executemany("INSERT INTO reply VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    database.commit()
    database.close()

    function = Counted()
    for _ in range(2):  # the second time it is of this version
        with Journal(path) as journal:
            known, _ = collect(journal.wrap(Function(function)), [old, new])
            assert known == tuple(Reply("said", "stop", 7 + slot, 1.0, -0.5) for slot in (0, 1))
            assert dict(journal.usage()) == {"policy": Usage(requests=2, sampled=18)}
    assert function.asked == ["new"]
    database = sqlite3.connect(path)
    assert database.execute("PRAGMA user_version").fetchone() == (5,)
    database.close()


VERSION_2 = VERSION_1.replace(
    "logprob,",
    "logprob, prompt_tokens INTEGER NOT NULL DEFAULT 0, cached_tokens INTEGER NOT NULL DEFAULT 0,",
).replace("user_version = 1", "user_version = 2")


def test_a_journal_of_the_second_version_goes_on_even_if_taking_it_over_was_cut_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, asks = tmp_path / "j.db", [Ask(Prompt("", str(n)), n=2) for n in range(5)]
    said = [
        (Reply(f"\ud800\x00 {n}", "stop", 7, 1.0, -0.5, 30, 10), Reply("", "length", 1, 1))
        for n in range(5)
    ]
    rows = [
        (
            *(bytes.fromhex(digest(ask)), slot, "policy", r.text.encode("utf-8", "surrogatepass")),
            *(r.finished, r.tokens, r.value, r.logprob, r.prompt_tokens, r.cached_tokens),
        )
        for ask, replies in zip(asks, said, strict=True)
        for slot, r in enumerate(replies)
    ]
    database = sqlite3.connect(path)
    database.executescript(VERSION_2)
    database.executemany("INSERT INTO reply VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
    database.commit()
    database.close()

    write, taken = row.write, list[bytes]()

    def cut_short(number: int, answer: tuple[bytes, str, Replies]) -> object:
        taken.append(answer[0])
        if len(taken) == 3:
            raise sqlite3.OperationalError("disk full")
        return write(number, answer)

    with monkeypatch.context() as patch, pytest.raises(UserError, match="disk full"):
        patch.setattr(row, "write", cut_short)
        Journal(path)
    function = Counted()
    for _ in range(2):
        with Journal(path) as journal:
            assert repr(collect(journal.wrap(Function(function)), asks)) == repr(said)
            assert dict(journal.usage()) == {"policy": Usage(5, 5 * 8, 5 * 30, 5 * 10)}
    assert not function.asked


VERSION_3 = """
CREATE TABLE answer (
    ask BLOB PRIMARY KEY NOT NULL, role TEXT NOT NULL, replies BLOB NOT NULL,
    tokens INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL
);
PRAGMA application_id = 2003332978;
PRAGMA user_version = 3;
"""


def test_a_journal_of_the_third_version_goes_on(tmp_path: Path) -> None:
    path, asks = tmp_path / "j.db", [Ask(Prompt("", str(n))) for n in range(3)]
    said = '[["\ud800 17","stop",7,null,-0.5,30,10]]'.encode("utf-8", "surrogatepass")
    rows = [(bytes.fromhex(digest(ask)), "policy", said, 7, 30, 10) for ask in asks[:2]]
    database = sqlite3.connect(path)
    database.executescript(VERSION_3)
    database.executemany("INSERT INTO answer VALUES (?, ?, ?, ?, ?, ?)", rows)
    database.commit()
    database.close()

    function = Counted()
    for _ in range(2):
        with Journal(path) as journal:
            known = collect(journal.wrap(Function(function)), asks)[:2]
            assert known == [(Reply("\ud800 17", "stop", 7, None, -0.5, 30, 10),)] * 2
            assert dict(journal.usage())["policy"].requests == 3
    assert function.asked == ["2"]


def test_a_journal_that_holds_half_a_character_goes_on(
    tmp_path: Path, llama: Callable[..., Path]
) -> None:
    """A search that was told one in a reply puts it into its next prompt."""
    engine, path = Local(llama()), tmp_path / "j.db"

    def search() -> Asking[tuple[str, str]]:
        ((first,),) = yield [Ask(Prompt("", "Anna"), max_tokens=5)]
        ((second,),) = yield [Ask(Prompt("", "Anna", first.text), max_tokens=5)]
        return first.text, second.text

    first = Ask(Prompt("", "Anna"), max_tokens=5, seed=seed_for(0, "a", 0))
    for _ in range(2):
        with Journal(path) as journal:
            if not len(journal):
                said = b'[["3 + \\ud800","length",5,null,null,3,0]]'
                journal._database.execute(
                    "INSERT INTO answer VALUES (1, ?, 'policy', ?, 5, 3, 0, ?)",
                    (
                        name := bytes.fromhex(digest(first)),
                        said,
                        checksum(name, b"policy", said, 5, 3, 0),
                    ),
                )
                journal._database.commit()
                continue
            (done,) = drive([("a", search())], {"policy": journal.wrap(engine)})
            assert (journal.asked, journal.recalled) == (1, 1)
    assert done.error is None and done.result is not None
    assert done.result[0] == "3 + \N{REPLACEMENT CHARACTER}"
    engine.close()


def test_what_a_name_had_gives_way(tmp_path: Path) -> None:
    name, first, whole = bytes(16), (Reply("1", tokens=5),), (Reply("1", tokens=5), Reply("2"))
    with Journal(tmp_path / "j.db") as journal:
        journal.record([(name, "policy", first), (bytes([1] * 16), "policy", first)])
    with Journal(tmp_path / "j.db") as journal:
        journal.record([(name, "policy", whole)])
        assert journal.recall(name) == whole
    with Journal(tmp_path / "j.db") as journal:
        assert journal.recall(name) == whole
        assert dict(journal.usage()) == {"policy": Usage(requests=2, sampled=10)}


def test_names_that_begin_alike_are_told_apart(tmp_path: Path) -> None:
    names = [bytes(15) + bytes([last]) for last in range(3)]
    with Journal(tmp_path / "j.db") as journal:
        journal.record([(name, "policy", (Reply(str(k)),)) for k, name in enumerate(names[:2])])
    with Journal(tmp_path / "j.db") as journal:
        assert [journal.recall(name) for name in names] == [(Reply("0"),), (Reply("1"),), ()]


def test_a_journal_knows_what_models_have_used(tmp_path: Path) -> None:
    def answer(ask: Ask) -> Replies:
        first = Reply(tokens=5, prompt_tokens=30, cached_tokens=10)
        return (first, *(Reply(tokens=5) for _ in range(1, ask.n)))

    with Journal(tmp_path / "j.db") as journal:
        assert dict(journal.usage()) == {}
        asks = [Ask(Prompt("", "a"), n=3), Ask(Prompt("", "b")), Ask(Prompt("", "c"), "critic")]
        collect(journal.wrap(Function(answer)), [*asks, asks[0], Ask(Prompt("", "d"), "judge")])
        assert dict(journal.usage()) == {
            "policy": Usage(requests=2, sampled=20, prompt=60, cached=20),
            "critic": Usage(requests=1, sampled=5, prompt=30, cached=10),
        }


def test_a_journal_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    Journal(tmp_path / "j.db").close()
    database = sqlite3.connect(tmp_path / "j.db")
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(UserError, match="newer"):
        Journal(tmp_path / "j.db")


def test_a_folder_that_is_not_there_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be opened"):
        Journal(tmp_path / "nowhere" / "j.db")


def test_a_file_that_an_interrupted_start_left_empty_becomes_a_journal(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "j.db")
    database.execute("PRAGMA journal_mode = WAL")
    database.close()
    with Journal(tmp_path / "j.db") as journal:
        collect(journal.wrap(Function(Counted())), asks_about("a"))


WRITER = """
import sys
from pathlib import Path
from whorl.ask import Ask, Prompt, Reply
from whorl.engines.function import Function
from whorl.engines.journal import Journal

journal = Journal(Path(sys.argv[1]))
engine = journal.wrap(Function(lambda ask: (Reply(ask.prompt.user * 50),) * ask.n))
for number in range(int(sys.argv[2]), 10**9):
    engine.submit(number, Ask(Prompt("", str(number)), n=3))
    engine.poll(0.0)
    print(number, flush=True)  # used: from here on it must never be asked again
"""


def test_nothing_that_was_used_is_lost_to_sigkill(tmp_path: Path) -> None:
    path, rng, start = tmp_path / "j.db", random.Random(7), 0
    for _ in range(4):
        command = [sys.executable, "-c", WRITER, str(path), str(start)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            used = [int(child.stdout.readline())]
            time.sleep(rng.uniform(0, 0.1))
            os.kill(child.pid, signal.SIGKILL)
            # the pipe's last line may be cut short
            used += [int(line) for line in child.stdout.read().split("\n")[:-1]]
        assert used == list(range(start, start + len(used)))
        start += len(used)
        function = Counted()
        with Journal(path) as journal:
            asks = [Ask(Prompt("", str(number)), n=3) for number in range(start)]
            answers = collect(journal.wrap(Function(function)), asks)
        assert not function.asked
        assert answers == [(Reply(str(number) * 50),) * 3 for number in range(start)]
    assert start > 20


FULL = """
import resource
import sys
from pathlib import Path
from whorl.ask import Ask, Prompt, Reply
from whorl.engines.function import Function
from whorl.errors import UserError
from whorl.engines.journal import Journal

resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))  # writing on fails, as on a full disk
journal = Journal(Path(sys.argv[1]))
engine = journal.wrap(Function(lambda ask: (Reply("x" * 3000),)))
try:
    for number in range(10**6):
        engine.submit(number, Ask(Prompt("", str(number))))
        engine.poll(0.0)
except UserError as error:
    print(number, error)
"""


def test_a_full_disk_is_one_clear_line_and_costs_nothing_recorded(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL, str(tmp_path / "j.db")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    number, _, message = done.stdout.partition(" ")
    assert message.count("\n") == 1
    assert "cannot be written" in message and "nothing recorded is lost" in message
    function = Counted()
    with Journal(tmp_path / "j.db") as journal:
        asks = [Ask(Prompt("", str(n))) for n in range(int(number) + 1)]
        answers = collect(journal.wrap(Function(function)), asks)
    assert function.asked == [number]
    assert answers[:-1] == [(Reply("x" * 3000),)] * int(number)


def test_a_journal_that_reached_its_size_is_a_user_error(tmp_path: Path) -> None:
    """SQLite's own "database or disk is full", from a limit that the file itself has."""
    with Journal(tmp_path / "j.db") as journal:
        journal._database.execute("PRAGMA max_page_count = 20")
        engine = journal.wrap(Function(lambda _: (Reply("x" * 10_000),)))
        with pytest.raises(UserError, match="full"):
            collect(engine, [Ask(Prompt("", str(n))) for n in range(20)])
