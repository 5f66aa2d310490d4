import pytest

from whorl.answer import concluded, equal

MACROS = (
    "text",
    "textrm",
    "textbf",
    "textit",
    "textsf",
    "texttt",
    "textsc",
    "textnormal",
    "textup",
)


@pytest.mark.parametrize("macro", [*MACROS, "mathrm", "mbox", "rm", "operatorname"])
@pytest.mark.parametrize(
    ("same", "other", "written"),
    [
        ("5 km", "6 km", r"5 \%s{ km}"),
        ("3000000", "3", r"3 \%s{ million}"),
        ("4:30 pm", "4:30 am", r"4:30 \%s{ p.m.}"),
        ("noon", "midnight", r"12 \%s{ noon}"),
        ("7/2", "3", r"3 \%s{ and a half}"),
    ],
)
def test_words_are_read_in_whatever_macro_sets_them(
    macro: str, same: str, other: str, written: str
) -> None:
    assert equal(same, written % macro) is True
    assert equal(other, written % macro) is not True


@pytest.mark.parametrize("macro", ["text", "textbf", "textnormal", "mbox", "operatorname"])
def test_words_between_boxes_and_behind_degrees_too(macro: str) -> None:
    boxes = concluded(rf"So it is $\boxed{{3}} \{macro}{{ and }} \boxed{{5}}$.")
    assert equal("3,5", boxes or "") is True and equal("3,6", boxes or "") is not True
    assert equal("20 °C", rf"20^\circ\{macro}{{C}}") is True
    assert equal("20 °F", rf"20^\circ\{macro}{{C}}") is not True
