"""Attack runs with SIGKILL, flipped bits and what models and servers say; nothing may show it.

Prints one JSON object as its last line:

kills: processes of runs of two rounds that were killed with SIGKILL, in all stages: `whorl run`
    itself, its engines' processes (killed_workers) and its judges (killed_judges); see killed.py.
identical: each of these runs ended with the files of an undisturbed one, byte for byte, and no
    other. asked_twice: asks on record that reached an engine again.
bit_flips: bits flipped in a journal, one at a time; silent: of those, the ones after which other
    replies were used, or that ended in anything but one clear line; noticed: refused by that line.
reader_max_s: CPU seconds of the slowest reader of models' texts on a megabyte of any nasty kind;
    reader, kind: which they were.
body_peak_mb: peak memory of a process with 20 requests in flight, all of whose bodies have no end;
    body_start_mb: what it had before.
fuzzed_replies: replies of a server that were answered damaged, in every form that is read: whole
    and in streams, from /completions and /chat/completions, scores, and what a probe asks.
ended_runs: times that one of them ended more than the search it was for; failed_searches: searches
    that it did end.
"""

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from random import Random
from threading import Thread
from typing import Any

import recorded
from whorl import answer
from whorl.ask import Ask, Asking, Engine, Failure, Prompt, Replies, Reply
from whorl.chat import Chat
from whorl.drive import drive
from whorl.engines import open_engine
from whorl.engines.function import Function
from whorl.engines.journal import DamagedError, Journal
from whorl.engines.repair import repair
from whorl.engines.server import scores, text, transport
from whorl.engines.server.address import Address
from whorl.engines.server.background import Answer, Background
from whorl.engines.server.wire import Abilities, Wire
from whorl.errors import UserError
from whorl.models import POLICY
from whorl.prompts import critique, revision, unseen
from whorl.report.critiques import read_note
from whorl.steps import AfterMarker, BlankLine, Segmenter, StepMarker, Tokens, Words

FORMS = ("ids", "chat", "streamed", "scores", "probe")
IN_FLIGHT = 20
SOUND = 0.3  # of the replies are left as they are, so that searches get on and ask again
RULES: tuple[Segmenter, ...] = (BlankLine(), StepMarker(), AfterMarker(), Words(), Tokens())

Handle = Callable[[str, dict[str, Any]], tuple[str, bytes]]
"""A path and a body to a kind and a body."""


@contextmanager
def serving(handle: Handle | None) -> Iterator[str]:
    """A server in a thread of this process; without `handle` its bodies have no end."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                sizes = [line for line in head.lower().split(b"\r\n") if b"content-length" in line]
                body = await reader.readexactly(int(sizes[0].split(b":")[1]) if sizes else 0)
                asked = json.loads(body) if body else {}
                if handle is None:
                    kind = "text/event-stream" if asked.get("stream") else "application/json"
                    writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n".encode())
                    while True:
                        writer.write(b"data: " + b" " * 100_000)
                        await writer.drain()
                kind, said = handle(head.split()[1].decode(), asked)
                length = f"Content-Type: {kind}\r\nContent-Length: {len(said)}"
                writer.write(f"HTTP/1.1 200 OK\r\n{length}\r\n\r\n".encode() + said)
        writer.close()

    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(connected, "127.0.0.1", 0))
    Thread(target=loop.run_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    loop.call_soon_threadsafe(loop.stop)


def opened(url: str, form: str, **settings: Any) -> Engine:
    """An engine that reads replies in one form, as a probe of a sound server had found it."""
    chat = Chat.load(POLICY) if form == "ids" else None
    abilities = Abilities("ids" if chat else "chat", tells_stop=int(form != "streamed"))

    async def begin(link: transport.Transport) -> Answer:
        if form == "scores":
            return partial(scores.answer, link, scores.Plain(""))
        return partial(text.answer, link, Wire("m", abilities, chat))

    root = url if form == "scores" else f"{url}/v1"
    return Background(Address((root,), patience=5.0, **settings), begin)


def fuzzed(count: int, seed: int) -> dict[str, int]:
    """Searches over a server that damages what it says."""
    random, said = Random(seed), Counter[str]()

    def handle(path: str, asked: dict[str, Any]) -> tuple[str, bytes]:
        streamed = bool(asked.get("stream"))
        reply = recorded.STREAM if streamed else _fitting(path, asked, random)
        if hurt := random.random() >= SOUND:
            said["replies"] += 1
            reply = recorded.damaged(reply, random)
        body = json.dumps(reply)
        if streamed:
            events = reply if isinstance(reply, list) else [reply]
            lines = [*map(json.dumps, events), "[DONE]"]
            body = "".join(f"data: {line}\n\n" for line in lines)
        kind = "text/event-stream" if streamed else "application/json"
        return kind, recorded.torn(body.encode(), random) if hurt else body.encode()

    with serving(handle) as url:
        while said["replies"] < count:
            for form in FORMS:
                try:
                    said["failed"] += _probed(url) if form == "probe" else _searched(url, form, 400)
                except Exception as error:
                    print(f"{form}: {type(error).__name__}: {error}", file=sys.stderr)
                    said["ended"] += 1
    return {
        "fuzzed_replies": said["replies"],
        "ended_runs": said["ended"],
        "failed_searches": said["failed"],
    }


def _fitting(path: str, asked: dict[str, Any], random: Random) -> Any:
    """A recorded reply that a request could have had, before anything damages it."""
    if path.endswith("models"):
        return recorded.MODELS
    if path.endswith("score"):
        return {"scores": [random.random() for _ in asked["steps"]]}
    whole = random.choice(recorded.WHOLE)
    return {**whole, "choices": whole["choices"][: asked.get("n") or 1]}


def _searched(url: str, form: str, count: int) -> int:
    """Run searches that put what they are told into their next prompts; how many failed."""
    role = "prm" if form == "scores" else "policy"

    def search(number: int) -> Asking[str]:
        prefix = "3 + 4 = 7\n\nSo"
        for _ in range(2):
            prompt = Prompt("", f"{number}: 3 + 4?", prefix)
            ask = Ask(prompt, role, 1, ("\n\n",), 64)  # type: ignore[arg-type]
            ((reply,),) = yield [ask]
            prefix += reply.text
        return prefix

    searches = ((str(number), search(number)) for number in range(count))
    engine = opened(url, form)
    try:
        with tempfile.TemporaryDirectory() as name, Journal(Path(name) / "journal.db") as journal:
            done = list(drive(searches, {role: journal.wrap(engine)}, width=64))
    finally:
        engine.close()
    if len(done) != count:
        raise ValueError(f"{len(done)} of {count} searches ended")
    faults = [one.error for one in done if one.error and "fault in whorl" in one.error]
    if faults:
        raise ValueError(faults[0])
    return sum(one.error is not None for one in done)


def _probed(url: str) -> int:
    """Find out what the server can do, if it lets itself be asked."""
    refused = 0
    for scheme in ("server", "scores"):
        try:
            open_engine(f"{scheme}:{url}?tokenizer={POLICY}&patience=5").close()
        except UserError as error:
            assert "\n" not in str(error)
            refused += 1
    return refused


def endless(_count: int, _seed: int) -> dict[str, float]:
    """Memory of a process that is told things without an end."""
    with serving(None) as url:
        command = [sys.executable, __file__, "--child", url]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    told: dict[str, float] = json.loads(done.stdout)
    return told


def _peak() -> float:
    """Megabytes that this process has had at most; what it was forked from does not count."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def child(url: str) -> None:
    """Ask, and say what memory that took, before and after."""
    before = _peak()
    for form in ("chat", "streamed", "scores"):
        role = "prm" if form == "scores" else "policy"
        engine = opened(url, form)
        for ticket in range(IN_FLIGHT):
            prompt = Prompt("", f"{ticket}: 3 + 4?", "So")
            engine.submit(ticket, Ask(prompt, role, 4, ("\n\n",), 512))  # type: ignore[arg-type]
        failed = 0
        while failed < IN_FLIGHT:
            failed += sum(isinstance(one, Failure) for _, one in engine.poll(1.0))
        engine.close()
    peak = _peak()
    print(json.dumps({"body_peak_mb": round(peak), "body_start_mb": round(before)}))


def flips(count: int, seed: int) -> dict[str, int]:
    """Flip a bit of a journal, and go on with it."""
    random, seen = Random(seed), Counter[str]()
    asks = [Ask(Prompt("", str(number)), n=1 + number % 3) for number in range(300)]

    def answer(ask: Ask) -> Replies:
        words = f"{ask.prompt.user} " * (1 + int(ask.prompt.user) % 40)
        return tuple(Reply(f"{words}{k}", tokens=k, logprob=-0.5) for k in range(ask.n))

    def told(path: Path) -> list[Replies]:
        with Journal(path) as journal:
            engine = journal.wrap(Function(lambda ask: (Reply("another"),) * ask.n))
            for ticket, ask in enumerate(asks):
                engine.submit(ticket, ask)
            found = {**dict(engine.poll(0.0)), **dict(engine.poll(0.0))}
            return [found[ticket] for ticket in range(len(asks))]  # type: ignore[misc]

    with tempfile.TemporaryDirectory() as name:
        sound, path = Path(name) / "sound.db", Path(name) / "journal.db"
        with Journal(sound) as journal:
            engine = journal.wrap(Function(answer))
            for ticket, ask in enumerate(asks):
                engine.submit(ticket, ask)
            engine.poll(0.0)
        expected = list(map(answer, asks))
        for _ in range(count):
            shutil.copy(sound, path)
            content = bytearray(path.read_bytes())
            content[random.randrange(len(content))] ^= 1 << random.randrange(8)
            path.write_bytes(content)
            try:
                seen["silent"] += told(path) != expected
            except UserError as error:
                seen["noticed"] += 1
                seen["silent"] += "\n" in str(error)
                if isinstance(error, DamagedError):
                    repair(path)
                    pairs = zip(told(path), expected, strict=True)
                    good = [now in (was, (Reply("another"),) * len(was)) for now, was in pairs]
                    seen["silent"] += not all(good)
    return {"bit_flips": count, "silent": seen["silent"], "noticed": seen["noticed"]}


def kills(count: int, seed: int) -> dict[str, Any]:
    """Kill runs; for a twentieth of the kills models are in processes of their own, which takes
    long to start."""
    told: dict[str, Any] = {"identical": True, "stages": Counter()}
    for processes, own in (("0", count - count // 20), ("1", count // 20)):
        if not own:
            continue
        script = str(Path(__file__).with_name("killed.py"))
        command = [sys.executable, script, "--kills", str(own), "--seed", str(seed)]
        command += ["--processes", processes]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        told["identical"] &= found.pop("identical")
        told["stages"].update(found.pop("stages"))
        for name, value in found.items():
            told[name] = told.get(name, 0) + value
    return told


MEGABYTE = 1_000_000
NASTY = (
    *("\n", " ", "\t", "7", "[", "{", ")]}", "\\", "x", "*", "#", "$", "`", ".", "-", "|", "1,"),
    *("\\boxed{", "\\frac{1}", "\\text{ ", "\\%", "\\(", "\\begin{", "answer ", "answer is "),
    *("Step 1: ", "**a:**\n", " \n \n", "- ", " and ", "[Q 0.5]", "<think>", "Errors: a\n"),
    *("```\n\nx\n\n", "~~~\n\n", "$$\n\n", "- a\n\n", "Sure.\n\n", "a:\n\n"),
)
READERS: dict[str, Callable[[str], object]] = {
    "read": lambda text: answer.read(text, "1", guess=True),
    "gold_in": answer.gold_in,
    "concluded": answer.concluded,
    "first_solution": answer.first_solution,
    "compare": lambda text: answer.compare(text, "1"),
    "parsable": answer.parsable,
    "read_critique": critique.read_critique,
    "read_critiques": lambda text: critique.read_critiques(text, 5),
    "read_step": revision.read_step,
    "read_solution": revision.read_solution,
    "became": lambda text: revision.became("1 + 1 = 2", text),
    "speaks_of_unseen": lambda text: unseen.speaks_of_unseen(text, "Add.", ["1", "2", "x", "$3"]),
    "read_note": read_note,
    **{f"{type(rule).__name__}.split": rule.split for rule in RULES},
    **{f"{type(rule).__name__}.whole": rule.whole for rule in RULES},
}


def readers(_count: int, _seed: int) -> dict[str, Any]:
    """Give every reader a megabyte of every kind, bare and as what is stated."""
    found: list[tuple[float, str, str]] = []
    for name, read in READERS.items():
        for piece in NASTY:
            text = (piece * (MEGABYTE // len(piece) + 1))[:MEGABYTE]
            for whole in (text, f"The answer is {text}", f"{text}\nThe answer is \\boxed{{1}}"):
                begun = time.process_time()
                read(whole)
                found.append((time.process_time() - begun, name, piece))
    seconds, name, piece = max(found)
    return {"reader_max_s": round(seconds, 2), "reader": name, "kind": piece}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=200, metavar="N")
    parser.add_argument("--flips", type=int, default=300, metavar="N")
    parser.add_argument("--replies", type=int, default=20_000, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", metavar="URL", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    transport._PAUSE, transport._TRIES, transport._PROBES = 0.001, 2, 2  # so that it is quick
    if arguments.child:
        return child(arguments.child)
    told: dict[str, Any] = {}
    parts: list[tuple[int, Callable[[int, int], dict[str, Any]]]] = [
        (arguments.kills, kills),
        (arguments.flips, flips),
        (1, readers),
        (1, endless),
        (arguments.replies, fuzzed),
    ]
    for count, attack in parts:
        if count:
            told |= (found := attack(count, arguments.seed))
            print(found, file=sys.stderr, flush=True)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
