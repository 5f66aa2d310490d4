"""Matrices as rows of terms: sums and multiples of matrices worked out."""

from whorl.engines.judge.terms import Apply, Term, Unreadable, heads

Rows = tuple[tuple[Term, ...], ...]


def rows(term: Term) -> Rows | None:
    """The entries of a term that is a matrix, by row; None if no matrix is in it. Raises
    `Unreadable` where one is in it otherwise than as a summand."""
    if "matrix" not in heads(term):
        return None
    match term:
        case Apply("matrix", lines):
            return tuple(line.parts for line in lines if isinstance(line, Apply))
        case Apply("neg", (inner,)):
            return _each(_matrix(inner), lambda entry: Apply("neg", (entry,)))
        case Apply("+", (left, right)):
            one, other = _matrix(left), _matrix(right)
            if [len(row) for row in one] != [len(row) for row in other]:
                raise Unreadable("matrices of different size")
            return tuple(
                tuple(Apply("+", pair) for pair in zip(*pair_of_rows, strict=True))
                for pair_of_rows in zip(one, other, strict=True)
            )
        case Apply("*", (left, right)) if rows(left) is None:
            return _each(_matrix(right), lambda entry: Apply("*", (left, entry)))
        case Apply("*" | "/" as head, (left, right)) if rows(right) is None:
            return _each(_matrix(left), lambda entry: Apply(head, (entry, right)))
    raise Unreadable("a matrix within an expression")


def _matrix(term: Term) -> Rows:
    found = rows(term)
    if found is None:
        raise Unreadable("a matrix and a number")
    return found


def _each(matrix: Rows, change: object) -> Rows:
    assert callable(change)
    return tuple(tuple(change(entry) for entry in row) for row in matrix)


def determinant(matrix: Rows) -> Term:
    """By the first row; for matrices of at most five rows."""
    if len(matrix) > 5 or any(len(row) != len(matrix) for row in matrix):
        raise Unreadable("a determinant of that size")
    if len(matrix) == 1:
        return matrix[0][0]
    total: Term | None = None
    for column, entry in enumerate(matrix[0]):
        minor = tuple(row[:column] + row[column + 1 :] for row in matrix[1:])
        part: Term = Apply("*", (entry, determinant(minor)))
        part = Apply("neg", (part,)) if column % 2 else part
        total = part if total is None else Apply("+", (total, part))
    assert total is not None
    return total
