"""Cells of data sets, read in the forms in which those of `benchmarks` write questions and
answers."""

import re
from collections.abc import Callable

from whorl.data.rows import BadRow, Row, cell

Read = Callable[[Row, str], str]
"""What a column of a row says. Raises `BadRow`."""


def as_it_is(row: Row, column: str) -> str:
    """The cell as it is."""
    return cell(row, column)


def without_dollars(row: Row, column: str) -> str:
    """The cell without dollar signs round the whole, where they are one pair."""
    text = cell(row, column)
    inside = re.fullmatch(r"\$((?:\\.|[^$\\])+)\$", text, re.DOTALL)
    return inside[1].strip() if inside else text


def after_hashes(row: Row, column: str) -> str:
    """The text after the last `####`, without thousands commas."""
    _, mark, answer = cell(row, column).rpartition("####")
    if not mark:
        raise BadRow(f"no #### in {column!r}")
    return answer.strip().replace(",", "")


def last_box(row: Row, column: str) -> str:
    """The content of the last box of a solution, as MATH's own grader takes it: of several boxes
    only the last, and `\\boxed 9` is one too."""
    _, mark, inner = cell(row, column).replace(r"\fbox", r"\boxed").rpartition(r"\boxed")
    if not mark:
        raise BadRow(f"no box in {column!r}")
    if not inner.lstrip().startswith("{"):
        return inner.partition("$")[0].strip()
    depth = 0
    for brace in re.finditer(r"\\.|[{}]", inner, re.DOTALL):
        depth += (brace[0] == "{") - (brace[0] == "}")
        if depth == 0 and brace[0] == "}":
            return inner[inner.index("{") + 1 : brace.start()].strip()
    raise BadRow(f"the last box in {column!r} is not closed")


def after_answer_is(row: Row, column: str) -> str:
    """The text after the last "The answer is:"."""
    _, mark, answer = cell(row, column).rpartition("The answer is:")
    if not mark:
        raise BadRow(f'no "The answer is:" in {column!r}')
    return answer.strip()


def answer_list(row: Row, column: str) -> str:
    """One or several answers, as a list within one text."""
    answers = row[column]
    if not isinstance(answers, list):
        return without_dollars(row, column)
    return ", ".join(without_dollars({column: answer}, column) for answer in answers)


def numina_answer(row: Row, column: str) -> str:
    """An answer of NuminaMath. Proofs, and what its authors found to be no valid problem, raise
    `BadRow`."""
    answer = cell(row, column)
    if answer in ("proof", "notfound") or row.get("question_type") == "proof":
        raise BadRow("a proof, or no answer was found")
    if row.get("problem_is_valid") not in (None, "Yes"):
        raise BadRow("marked as no valid problem")
    return answer


def without_picture(row: Row, column: str) -> str:
    """The cell of a row without a picture; a row with one raises `BadRow`."""
    if row.get("Picture") is not None:
        raise BadRow("it needs its picture")
    return cell(row, column)


def with_options(row: Row, column: str) -> str:
    """A question with its options: `A)51` becomes `(A) 51`."""
    options = (re.sub(r"^\s*([A-E])\s*\)\s*", r"(\1) ", option) for option in row["options"])
    return f"{cell(row, column)}\nAnswer choices: {' '.join(options)}"


def with_body(row: Row, column: str) -> str:
    """A question of SVAMP after its story, which is in `Body` and lacks the last period."""
    body = cell(row, "Body")
    return f"{body}{'' if body.endswith(('.', '?', '!', ',')) else '.'} {cell(row, column)}"


def unquoted(row: Row, column: str) -> str:
    """Text that was written down as Python writes bytes: `b'Solve 0 = x.\\\\n'`."""
    text = cell(row, column)
    written = re.fullmatch(r"b(['\"])(.*?)(?:\\n)?\1", text, re.DOTALL)
    return written[2].replace("\\'", "'") if written else text


def first(row: Row, column: str) -> str:
    """The text of a column; of a list in it the first element."""
    value = row.get(column)
    return cell({column: value[0] if value else None} if isinstance(value, list) else row, column)
