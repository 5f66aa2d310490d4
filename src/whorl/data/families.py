"""Six families of arithmetic problems, each with its worked solution."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from random import Random

from whorl.data.story import OPERATORS, Operand, Past, Step, Story, value

LEVELS = (1, 2, 3, 4, 5)
LARGEST_OPERAND = {1: 10, 2: 12, 3: 15, 4: 20, 5: 25}
LARGEST_RESULT = {1: 40, 2: 60, 3: 80, 4: 99, 5: 99}


def draw(rng: Random, level: int) -> Story:
    """A story of this level, from any family. A solution has `level + 1` equations."""
    family = rng.choice(_FAMILIES)
    while True:
        try:
            return family(_Draft(rng, level))
        except _Unfit:
            continue


class _Unfit(Exception):
    """The numbers drawn make no problem: a result out of range, or an inexact division."""


class _Draft:
    """A story being written: its steps so far, and the numbers it may use."""

    def __init__(self, rng: Random, level: int) -> None:
        self.rng = rng
        self.length = level + 1
        self.largest_operand = LARGEST_OPERAND[level]
        self.largest_result = LARGEST_RESULT[level]
        self.steps: list[Step] = []
        self.results: list[int] = []

    @property
    def left(self) -> int:
        """Steps still to be written."""
        return self.length - len(self.steps)

    def number(self, low: int = 2) -> int:
        """An operand for a sum or a difference."""
        return self.rng.randint(low, self.largest_operand)

    def factor(self) -> int:
        """An operand for a product or a quotient."""
        return self.rng.randint(2, min(9, self.largest_operand))

    def write(self, pre: str, a: Operand, op: str, b: Operand, post: str) -> Past:
        """Add a step; returns its result as an operand. Raises `_Unfit`."""
        left, right = value(a, self.results), value(b, self.results)
        if op == "/" and left % right:
            raise _Unfit
        result = OPERATORS[op](left, right)
        if not 1 <= result <= self.largest_result:
            raise _Unfit
        self.steps.append(Step(pre, a, op, b, post))
        self.results.append(result)
        return Past(len(self.results) - 1)

    def story(self, family: str, sentences: list[str]) -> Story:
        assert self.left == 0
        return Story(family, " ".join(sentences), tuple(self.steps))


def _inventory(draft: _Draft) -> Story:
    """Somebody's things, as they come and go."""
    rng = draft.rng
    name, things = rng.choice(_NAMES), rng.choice(_THINGS)
    start = draft.number()
    held: Operand = start
    sentences = [f"{name} has {start} {things}."]
    previous = ""
    while draft.left:
        event = rng.choice([e for e in _EVENTS if e != previous and _EVENTS[e] <= draft.left])
        sentence, held = _happen(draft, event, held, name, things)
        sentences.append(sentence)
        previous = event
    sentences.append(f"How many {things} does {name} have now?")
    return draft.story("inventory", sentences)


_EVENTS = {"more": 1, "fewer": 1, "double": 1, "share": 1, "packs": 2, "gifts": 2, "percent": 2}
"""What may happen to an inventory, and in how many steps it is worked out."""


def _happen(draft: _Draft, event: str, held: Operand, name: str, things: str) -> tuple[str, Past]:
    """One event of an inventory: its sentence, and what is held afterwards."""
    rng = draft.rng
    now, end = f"Now {name} has ", f" {things}."

    def says(*wordings: str) -> str:
        return rng.choice(wordings)

    if event == "more":
        k = draft.number()
        sentence = says(f"{name} finds {k} more.", f"{name} buys {k} more {things}.")
        return sentence, draft.write(now, held, "+", k, end)
    if event == "fewer":
        k = draft.number()
        sentence = says(f"{name} loses {k} of them.", f"{name} sells {k} {things}.")
        return sentence, draft.write(now, held, "-", k, end)
    if event == "double":
        k = rng.choice((2, 2, 3))
        times = {2: "twice", 3: "3 times"}[k]
        sentence = says(
            f"Then {name} gets {times} as many.", f"The {things} become {times} as many."
        )
        return sentence, draft.write(now, held, "*", k, end)
    if event == "share":
        k = draft.factor()
        sentence = says(
            f"{name} splits them into {k} equal piles and keeps one pile.",
            f"{name} shares the {things} equally among {k} people and keeps one share.",
        )
        return sentence, draft.write(now, held, "/", k, end)
    if event == "packs":
        p, q = draft.factor(), draft.factor()
        sentence = says(
            f"{name} buys {p} packs of {q} {things}.", f"{name} gets {p} boxes with {q} in each."
        )
        extra = draft.write("The new ones are ", p, "*", q, end)
        return sentence, draft.write(now, held, "+", extra, end)
    if event == "gifts":
        p, q = draft.factor(), draft.factor()
        sentence = says(
            f"{name} gives {p} friends {q} {things} each.", f"{p} friends take {q} each."
        )
        given = draft.write("The friends get ", p, "*", q, end)
        return sentence, draft.write(now, held, "-", given, end)
    k = rng.choice((2, 4, 5))
    share = {2: 50, 4: 25, 5: 20}[k]
    sentence = says(
        f"{name} sells {share} percent of them.", f"Then {share} percent of the {things} break."
    )
    part = draft.write("That part is ", held, "/", k, end)
    return sentence, draft.write(now, held, "-", part, end)


def _comparison(draft: _Draft) -> Story:
    """People compared in a chain, and a question about some of them."""
    rng, length = draft.rng, draft.length
    asked = rng.choice(["last", "ends", "gap"] + ["all"] * 2 * (length % 2 == 0))
    relations = {"last": length, "ends": length - 1, "gap": length - 1, "all": length // 2}[asked]
    names, things = rng.sample(_NAMES, relations + 1), rng.choice(_THINGS)
    start = draft.number()
    counts: list[Operand] = [start]
    sentences = [f"{names[0]} has {start} {things}."]
    for other, name in pairwise(names):
        op = rng.choice("++--**/")
        k = draft.number() if op in "+-" else draft.factor() if op == "/" else rng.choice((2, 3))
        relation = {
            "+": f"{k} more {things} than {other}",
            "-": f"{k} fewer {things} than {other}",
            "*": f"{'twice' if k == 2 else '3 times'} as many {things} as {other}",
            "/": f"1/{k} as many {things} as {other}",
        }[op]
        sentences.append(f"{name} has {relation}.")
        counts.append(draft.write(f"{name} has ", counts[-1], op, k, f" {things}."))
    first, last = names[0], names[-1]
    if asked == "last":
        sentences.append(f"How many {things} does {last} have?")
    elif asked == "ends":
        sentences.append(f"How many {things} do {first} and {last} have together?")
        draft.write("The two have ", counts[0], "+", counts[-1], f" {things}.")
    elif asked == "gap":
        sentences.append(f"How many more {things} does {last} have than {first}?")
        draft.write("The difference is ", counts[-1], "-", counts[0], f" {things}.")
    else:
        sentences.append(f"How many {things} do they have together?")
        total = counts[0]
        for count in counts[1:]:
            total = draft.write("Together that makes ", total, "+", count, f" {things}.")
    return draft.story("comparison", sentences)


def _shopping(draft: _Draft) -> Story:
    """Goods bought, with coupon, shipping and change."""
    rng = draft.rng
    kinds, extras = rng.choice(
        [(k, e) for k in (1, 2, 3) for e in (0, 1, 2, 3) if 2 * k - 1 + e == draft.length]
    )
    name = rng.choice(_NAMES)
    goods = rng.sample(_GOODS, kinds)
    sentences = []
    bill: Operand = 0
    for ordinal, (one, many) in enumerate(goods):
        price, count = draft.factor(), draft.factor()
        sentences.append(
            rng.choice(
                (
                    f"{name} buys {count} {many} for {price} dollars each.",
                    f"A {one} costs {price} dollars and {name} takes {count}.",
                )
            )
        )
        cost = draft.write(f"The {many} cost ", count, "*", price, " dollars.")
        both = "Together they cost "
        bill = draft.write(both, bill, "+", cost, " dollars.") if ordinal else cost
    chosen = set(rng.sample(("coupon", "shipping", "change"), extras))
    if "coupon" in chosen:
        k = draft.number()
        sentences.append(
            rng.choice((f"A coupon takes off {k} dollars.", f"There are {k} dollars off."))
        )
        bill = draft.write("With the coupon it is ", bill, "-", k, " dollars.")
    if "shipping" in chosen:
        k = draft.number()
        sentences.append(
            rng.choice((f"Shipping is {k} dollars.", f"It costs {k} dollars to send them."))
        )
        bill = draft.write("With shipping it is ", bill, "+", k, " dollars.")
    if "change" in chosen:
        paid = rng.randint(2, 9) * 10
        sentences.append(f"{name} pays with {paid} dollars. How many dollars come back?")
        draft.write("The change is ", paid, "-", bill, " dollars.")
    else:
        sentences.append("How many dollars is that?")
    return draft.story("shopping", sentences)


def _rates(draft: _Draft) -> Story:
    """A machine at work for some days, and what becomes of what it makes."""
    rng = draft.rng
    days, extras = rng.choice(
        [(d, e) for d in (1, 2, 3) for e in (0, 1, 2, 3, 4) if 2 * d - 1 + e == draft.length]
    )
    things, rate = rng.choice(_THINGS), draft.factor()
    sentences = [
        rng.choice(
            (f"A machine makes {rate} {things} per hour.", f"Each hour brings {rate} {things}.")
        )
    ]
    made: Operand = 0
    end = f" {things}."
    for ordinal, day in enumerate(("Monday", "Tuesday", "Friday")[:days]):
        hours = draft.factor()
        sentences.append(
            rng.choice((f"It runs {hours} hours on {day}.", f"{day} has {hours} hours of work."))
        )
        output = draft.write(f"On {day} it makes ", rate, "*", hours, end)
        made = draft.write("So far it makes ", made, "+", output, end) if ordinal else output
    chosen = set(rng.sample(("broken", "stock", "boxes", "price"), extras))
    if "price" in chosen and "boxes" not in chosen:
        raise _Unfit
    if "broken" in chosen:
        k = draft.number()
        sentences.append(rng.choice((f"Then {k} {things} break.", f"There are {k} bad ones.")))
        made = draft.write("Without the bad ones it is ", made, "-", k, end)
    if "stock" in chosen:
        k = draft.number()
        sentences.append(rng.choice((f"There were {k} in stock.", f"{k} old ones are added.")))
        made = draft.write("With the old ones it is ", made, "+", k, end)
    question = f"How many {things} are there?"
    if "boxes" in chosen:
        k = draft.factor()
        sentences.append(rng.choice((f"A box holds {k}.", f"They go into boxes of {k}.")))
        made = draft.write("They go into ", made, "/", k, " full boxes.")
        question = "How many boxes are there?"
    if "price" in chosen:
        k = draft.factor()
        sentences.append(f"A box sells for {k} dollars.")
        draft.write("The boxes bring ", made, "*", k, " dollars.")
        question = "How many dollars is that?"
    return draft.story("rates", [*sentences, question])


def _expression(draft: _Draft) -> Story:
    """An expression with brackets, worked out one operation at a time."""
    whole = _grow(draft, draft.length)
    question = f"Calculate {_show(whole)}."
    _reduce(draft, whole, whole)
    return draft.story("expression", [question])


@dataclass(slots=True)
class _Operation:
    """`left op right`; `step` is the one that works it out, None until it is written."""

    left: "_Term"
    op: str
    right: "_Term"
    step: int | None = None


_Term = int | _Operation


def _grow(draft: _Draft, operations: int) -> _Term:
    """A random expression with this many operations."""
    rng = draft.rng
    if not operations:
        return draft.number(low=1)
    aside = 1 if operations > 2 and rng.random() < 0.3 else 0
    terms = [_grow(draft, operations - 1 - aside), _grow(draft, aside)]
    if rng.random() < 0.4:
        terms.reverse()
    op = rng.choice("++--**/")
    left, right = (
        draft.factor() if op in "*/" and isinstance(term, int) else term for term in terms
    )
    return _Operation(left, op, right)


def _reduce(draft: _Draft, term: _Term, whole: _Term) -> Operand:
    """Write the steps that work out `term`, innermost first, left before right."""
    if isinstance(term, int):
        return term
    a = _reduce(draft, term.left, whole)
    b = _reduce(draft, term.right, whole)
    term.step = len(draft.steps)
    return draft.write("Compute ", a, term.op, b, f" to get {_show(whole)}.")


_BINDS = {"": 0, "+": 1, "-": 1, "*": 2, "/": 2}


def _show(term: _Term, parent: str = "", *, right: bool = False) -> str:
    """The expression with as few brackets as keep its structure; what is done, as `{step}`."""
    if isinstance(term, int):
        return str(term)
    if term.step is not None:
        return f"{{{term.step}}}"
    inner = f"{_show(term.left, term.op)}{term.op}{_show(term.right, term.op, right=True)}"
    loose = _BINDS[term.op] < _BINDS[parent] or (right and _BINDS[term.op] == _BINDS[parent])
    return f"({inner})" if loose else inner


def _equation(draft: _Draft) -> Story:
    """A linear equation in x, undone from the outside in."""
    rng = draft.rng
    amount = rng.randint(1, draft.largest_operand)
    sides, undoing = ["x"], []  # the left side after each operation on x
    previous = ""
    for _ in range(draft.length):
        op = rng.choice([o for o in "+-*/" if _KIND[o] != previous])
        previous = _KIND[op]
        k = draft.number() if previous == "sum" else draft.factor()
        if op == "/" and amount % k:
            raise _Unfit
        amount = OPERATORS[op](amount, k)
        if not 1 <= amount <= draft.largest_result:
            raise _Unfit
        inner = sides[-1]
        bracketed = f"({inner})" if len(sides) > 1 else inner
        sides.append(
            {
                "+": f"{inner}+{k}",
                "-": f"{inner}-{k}",
                "*": f"{k}*{bracketed}",
                "/": f"{bracketed}/{k}",
            }[op]
        )
        undoing.append((op, k))
    held: Operand = amount
    for side, (op, k) in zip(sides[-2::-1], undoing[::-1], strict=True):
        verb, inverse = _UNDO[op]
        here = f"{{{len(draft.steps)}}}"
        held = draft.write(f"{verb} {k}: ", held, inverse, k, f", so {side}={here}.")
    ask = rng.choice(("Solve {} for x.", "What is x if {}?"))
    return draft.story("equation", [ask.format(f"{sides[-1]}={amount}")])


_KIND = {"+": "sum", "-": "sum", "*": "product", "/": "product"}
_UNDO = {
    "+": ("Subtract", "-"),
    "-": ("Add", "+"),
    "*": ("Divide by", "/"),
    "/": ("Multiply by", "*"),
}

_FAMILIES: tuple[Callable[[_Draft], Story], ...] = (
    _inventory,
    _comparison,
    _shopping,
    _rates,
    _expression,
    _equation,
)

_NAMES = (
    "Ada", "Amir", "Anna", "Ben", "Cara", "Carlos", "Dora", "Emil", "Emma", "Finn", "Grace", "Hana",
    "Hugo", "Ida", "Ivan", "Jana", "Jonas", "Kofi", "Lena", "Leo", "Maria", "Milo", "Nina", "Noah",
    "Olga", "Omar", "Paula", "Rosa", "Sam", "Tara",
)  # fmt: skip

_THINGS = (
    "apples", "badges", "beads", "books", "buttons", "candles", "cards", "coins", "cookies",
    "clips", "flowers", "marbles", "oranges", "pears", "pencils", "plates", "shells", "stamps",
    "stickers", "stones",
)  # fmt: skip

_WARES = (
    "book", "broom", "cap", "folder", "game", "kite", "lamp", "mug", "pen", "plant", "poster",
    "puzzle", "ribbon", "ruler", "sock", "spoon", "toy", "vase", "whistle",
)  # fmt: skip

_GOODS = tuple((ware, f"{ware}s") for ware in _WARES)
