"""Problems in words: things that come and go, people compared, shopping, machines at work."""

from itertools import pairwise

from whorl.data.draft import Draft, Unfit
from whorl.data.story import Operand, Past, Story


def inventory(draft: Draft) -> Story:
    """A story of somebody's things, as they come and go."""
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


def _happen(draft: Draft, event: str, held: Operand, name: str, things: str) -> tuple[str, Past]:
    """One event of an inventory: its sentence, and the number of things afterwards."""
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


def comparison(draft: Draft) -> Story:
    """A story of people compared in a chain, with a question about some of them."""
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


def shopping(draft: Draft) -> Story:
    """A story of goods bought, with coupon, shipping and change."""
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


def rates(draft: Draft) -> Story:
    """A story of a machine at work for some days, and of what becomes of what it makes."""
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
        raise Unfit
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
