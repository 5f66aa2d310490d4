"""Forms in which chat models give what they were asked for as labelled lines: tables, tags, LaTeX
headings, Chinese labels, a whole form once more."""

import re
from collections.abc import Mapping

CHINESE: Mapping[str, str] = {
    "预期": "Expected", "期望": "Expected", "应得": "Expected",
    "错误": "Errors", "缺失": "Missing", "缺少": "Missing", "遗漏": "Missing",
    "避免": "Avoid", "建议": "Suggestion",
    "结论": "Verdict", "裁决": "Verdict", "判断": "Verdict", "判定": "Verdict",
}  # fmt: skip
"""Labels of a critique as Qwen and others write them where they answer in Chinese."""

LATEX = r"\\(?:text(?:bf|it)|emph|(?:sub){0,2}section\*?|paragraph\*?)\{"
"""Beginning of a heading, or of words in bold or italics, as LaTeX has them."""

_HEADING = re.compile(
    rf"(?m)^(?P<before>[ \t>*#-]{{0,6}}){LATEX}(?P<label>[^{{}}\n]{{1,60}})\}}"
    r"(?:[ \t]*\\\\(?=\s))?"
)
_CHINESE = re.compile(
    rf"(?m)^(?P<before>[ \t>*#\d.、-]{{0,8}})(?P<label>{'|'.join(CHINESE)})(?=[*_ ]{{0,4}}[:：\n])"
)
_CHINESE_STEP = re.compile(r"(?m)^([ \t>*#]{0,8})(?:第 ?(\d{1,3}) ?步|步骤 ?(\d{1,3}))")
_WIDE_COLON = re.compile(r"(?m)^([^\n：:]{1,40})：")
_ROW = re.compile(r"^[ \t]*\|(.+)\|[ \t]*$")
_RULED = re.compile(r"[\s:|-]+")
_CELL = re.compile(r"(?<!\\)\|")


def in_lines(text: str, names: tuple[str, ...]) -> str:
    """A reply with a line `Name: ...` for each of the `names` that a table has in its first column
    or its head, a tag, a LaTeX heading or a Chinese label; the rest of it stays. A row under a head
    with a number or a step in its first cell gets a line `Step k:` before its own."""
    if "<" in text:
        tags = "|".join(names)
        text = re.sub(rf"(?i)<({tags})>\s*(.*?)\s*</\1>", _tag, text, flags=re.DOTALL)
    if "\\" in text:
        text = _HEADING.sub(lambda m: f"{m['before']}**{m['label']}**", text)
    if "：" in text or any(label in text for label in CHINESE):
        text = _CHINESE.sub(lambda m: m["before"] + CHINESE[m["label"]], text)
        text = _CHINESE_STEP.sub(lambda m: f"{m[1]}Step {m[2] or m[3]}", text)
        text = _WIDE_COLON.sub(r"\1: ", text)
    return _without_tables(text, names) if "|" in text else text


def _tag(found: re.Match[str]) -> str:
    return f"\n{found[1]}: {found[2]}\n"


def _without_tables(text: str, names: tuple[str, ...]) -> str:
    lines: list[str] = []
    head: list[str] = []
    for line in text.splitlines():
        row = _ROW.match(line)
        if row is None:
            head = []
            lines.append(line)
        elif not _RULED.fullmatch(row[1]):
            cells = [cell.strip().replace("\\|", "|") for cell in _CELL.split(row[1])]
            bare = [cell.strip("*_` :").lower() for cell in cells]
            if sum(bool(name_of(cell, names)) for cell in bare) > 1:
                head = bare
            else:
                lines += _row(cells, bare, head, names) or [line]
    return "\n".join(lines)


def _row(cells: list[str], bare: list[str], head: list[str], names: tuple[str, ...]) -> list[str]:
    """The lines of a row; none if it has none of the names."""
    if head:
        counted = None if name_of(head[0], names) else bare[0]
        number = re.fullmatch(r"(?:step )?#?(\d{1,3})", counted or "")
        found = [f"{name}: {cell}" for name, cell in zip(head, cells, strict=False)
                 if name_of(name, names)]  # fmt: skip
        return [f"Step {number[1]}:", *found] if number else found
    return [f"{bare[0]}: {' '.join(cells[1:])}"] if name_of(bare[0], names) else []


def name_of(label: str, names: tuple[str, ...]) -> str:
    """The one of `names` that a label says, be it in the singular or in the plural; empty if it
    says none."""
    bare = label.lower().rstrip("s")
    return next((name for name in names if name.rstrip("s") == bare), "")
