"""Golds with one character changed: which are judged right, and are they?"""

import gzip
import json
import random
import string
from pathlib import Path

_DIGITS, _LETTERS = string.digits, string.ascii_letters
_KIN = ("+-", "()[]", "<>", "*/", "^_", ",;", ".,", "=<>", "{}")


def golds(data: Path) -> list[str]:
    """Every distinct gold answer of the shared sets, in a fixed order."""
    found: dict[str, None] = {}
    for path in sorted(data.glob("*/*.jsonl*")):
        if path.parent.name in ("recorded", "equivalence"):
            continue
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
        for line in text.rstrip("\n").split("\n"):  # a line may hold other separators
            found[str(json.loads(line)["answer"])] = None
    return list(found)


def perturbed(data: Path, least: int) -> list[tuple[str, str]]:
    """At least `least` pairs of a gold and the gold with one character changed; always the same."""
    dice = random.Random(20)
    originals = golds(data)
    pairs: dict[tuple[str, str], None] = {}
    rounds = 0
    while len(pairs) < least and rounds < 100:
        rounds += 1
        for gold in originals:
            if 0 < len(gold) <= 400:
                changed = _changed(gold, dice)
                if changed != gold:
                    pairs[gold, changed] = None
    return list(pairs)


def _changed(gold: str, dice: random.Random) -> str:
    """One digit, sign, exponent, letter, bracket or operator replaced, left out or put in."""
    at = dice.randrange(len(gold))
    character = gold[at]
    way = dice.random()
    if way < 0.12:
        return gold[:at] + gold[at + 1 :]
    if way < 0.24:
        return gold[:at] + dice.choice("0123456789-+^xtie!%") + gold[at:]
    if character in _DIGITS:
        return gold[:at] + dice.choice(_DIGITS) + gold[at + 1 :]
    if character in _LETTERS:
        swapped = character.swapcase() if dice.random() < 0.3 else dice.choice(_LETTERS)
        return gold[:at] + swapped + gold[at + 1 :]
    kin = "".join(group for group in _KIN if character in group).replace(character, "")
    other = dice.choice(kin or "+-0")
    return gold[:at] + other + gold[at + 1 :]
