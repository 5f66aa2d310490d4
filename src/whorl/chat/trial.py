"""A chat template tried out in a process of its own, which may not take long nor much memory.

Whatever a template does to every conversation it does to the first: one that loops, or builds a
text without end, is found out here.
"""

import json
import resource
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache

from whorl.chat.template import Message, Template

SECONDS = 5
"""Of the processor, for all conversations of a trial."""

_WALL_SECONDS = 60.0  # on a busy machine
_BYTES = 1 << 30  # of memory, Python's own included
_CHARACTERS = 1 << 20  # of a rendered text


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a conversation: a text, or why there is none."""

    text: str = ""
    error: str = ""


def attempt(
    template: Template, conversations: Sequence[tuple[Sequence[Message], bool]]
) -> tuple[Outcome, ...]:
    """What `template.render` makes of each of `conversations`, the messages and `opened`."""
    told = [template.source, template.tokens, conversations]
    return _attempt(json.dumps(told), len(conversations))


@lru_cache(maxsize=64)  # a model is opened more than once in a run
def _attempt(told: str, count: int) -> tuple[Outcome, ...]:
    command = [sys.executable, "-P", "-m", __name__]
    try:
        done = subprocess.run(
            command, input=told.encode(), capture_output=True, timeout=_WALL_SECONDS, check=True
        )
    except subprocess.TimeoutExpired:
        return (Outcome(error=f"it takes more than {SECONDS} seconds"),) * count
    except subprocess.CalledProcessError as error:
        killed = error.returncode < 0
        why = f"it takes more than {SECONDS} seconds" if killed else "it cannot be run"
        return (Outcome(error=why),) * count
    return tuple(Outcome(**each) for each in json.loads(done.stdout))


def _main() -> None:
    source, tokens, conversations = json.load(sys.stdin)
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    with suppress(ValueError, OSError):  # not every system has this limit
        resource.setrlimit(resource.RLIMIT_AS, (_BYTES, _BYTES))
    template = Template(source, tokens)
    outcomes = [_render(template, *conversation) for conversation in conversations]
    json.dump([asdict(outcome) for outcome in outcomes], sys.stdout)


def _render(template: Template, messages: Sequence[Message], opened: bool) -> Outcome:
    try:
        text = template.render(messages, opened=opened)
    except MemoryError:
        return Outcome(error=f"it takes more than {_BYTES >> 20:,} MiB of memory")
    except Exception as error:  # whatever a template comes to
        return Outcome(error=_line(error))
    if len(text) > _CHARACTERS:
        return Outcome(error=f"it makes {len(text):,} characters of a few words")
    return Outcome(text)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


if __name__ == "__main__":
    _main()
