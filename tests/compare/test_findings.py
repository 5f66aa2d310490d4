"""Figures of a comparison."""

from whorl.cli.comparison import as_list, methods_table
from whorl.compare.findings import Findings, MethodResult, Point, Student
from whorl.compare.methods import methods
from whorl.evaluate import Score


def student(tokens: int, problems: int, examples: int) -> Student:
    scores = [Score(str(n), "1", (1.0,), ("1",)) for n in range(4)]
    return Student(
        Point(tokens, 0, problems, 1, 5, 2, {}, examples, 10 * examples, {}, {}), scores, ()
    )


def test_what_rounds_took_is_that_of_all_of_them() -> None:
    """In rounds each student has trees of its own; else the last one's contain the others'."""
    process, rft = methods("tiny")["process"], methods("tiny")["rft"]
    students = [student(100, 3, 7), student(200, 2, 0)]
    base = (students[0].greedy, ())
    for method, trees, problems, examples in ((process, 10, 3, 7), (rft, 5, 2, 0)):
        findings = Findings(base, [MethodResult(method, 0, students)])
        (said,) = as_list(findings)
        assert (said["trees"], said["problems"], said["examples"]) == (trees, problems, examples)
        assert (said["trained_tokens"], said["passes"]) == (10 * examples, trees // 5)
        assert said["failed"] == 2 * trees // 5
        counts = ("200", str(problems), str(trees // 5), str(trees), str(examples))
        assert methods_table(findings)[1][9:14] == counts
