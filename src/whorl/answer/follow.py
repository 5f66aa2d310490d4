"""What follows the first formula of a stated answer, and whether it belongs to the answer."""

import re

from whorl.answer.boxes import EXCLAMATION
from whorl.answer.units import changes_value

FORMULA = re.compile(r"\$\$(.+?)\$\$|\$([^$\n]+)\$(?!\d)|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
_LIST = re.compile(
    r"\s{0,3}(?:[,;、]\s{0,3}(?:and\b|or\b)?|and\b|or\b|和|或|与|及)\s{0,3}(?=[-$\d]|\\[(\[])"
)
_NUMBER = re.compile(r"-?\d[\d.,/]{0,40}(?<=\d)(?![\w$%^*/\\])")
_CLAUSE = re.compile(
    rf"[.?;。！？](?!\d)|{EXCLAMATION}|\n|\b(?:because|since|which|where)\b|[,，]\s|因为|, "
)
_PROSE = re.compile(r"(?:[\s(\u4e00-\u9fff][\w\s,'’()\"–-]*)?")
_IS = re.compile(r"\s[a-zA-Z ]{1,60}\b(?:is|equals) (?=\$|\\[(\[])")
_MEMBERS = 32


def with_what_follows(text: str, formula: re.Match[str]) -> str:
    """The formula at the start of a text, with those it is listed with: `$2$ or $3$` is `2, 3`.
    If something else than plain prose follows, `$2$ million`, `$2$/$3$`, all of the clause."""
    if (verb := _IS.match(text, formula.end())) and (found := FORMULA.match(text, verb.end())):
        formula = found  # "9/2 written as a decimal is 4.5"
    members, end = [_inside(formula)], formula.end()
    while len(members) < _MEMBERS and (joint := _LIST.match(text, end)):
        if found := FORMULA.match(text, joint.end()):
            members.append(_inside(found))
        elif found := _NUMBER.match(text, joint.end()):
            members.append(found[0])
        else:
            break
        end = found.end()
    rest = text[end : end + 300].lstrip("*_`")
    clause = _CLAUSE.split(rest, maxsplit=1)[0]
    if _PROSE.fullmatch(clause) and not re.search(r"\d", clause) and not changes_value(clause):
        return ", ".join(members)
    return f"{text[:end]}{clause}".strip(" *_`\r\t.")


_ITEM = re.compile(r"[ \t]*(?:[-*+•][ \t]+|\(?(\d{1,2})[.)][ \t]+)(\S[^\n]*)")
_LINE = re.compile(rf"[ \t]*({FORMULA.pattern}|-?\d[\d.,/]{{0,40}})[ \t]*(?:\n|$)", re.DOTALL)


def lines_listed(text: str) -> list[str]:
    """The items of a list at the start of a text that begins a line, without their bullets or
    numbers, or its first lines, if two or more are one formula or number each; else none."""
    items: list[str] = []
    for line in text.split("\n", _MEMBERS)[:_MEMBERS]:
        item = _ITEM.fullmatch(line)
        if item is None or (item[1] and int(item[1]) != len(items) + 1):
            break
        items.append(item[2])
    if items and not (items == items[:1] and text[:1].isdigit()):
        return items
    formulas: list[str] = []
    end = 0
    while len(formulas) < _MEMBERS and (formula := _LINE.match(text, end)):
        formulas.append(formula[1])
        end = formula.end()
    return formulas if len(formulas) > 1 else []


def _inside(formula: re.Match[str]) -> str:
    return next(group for group in formula.groups() if group is not None).strip()
