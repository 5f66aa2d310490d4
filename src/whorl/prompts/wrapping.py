"""Wrappings that chat models put a revised text into (a fence, JSON, a tag, quotes), and remarks on
it behind it: offers, and what they changed."""

import ast
import json
import re

from whorl.steps import paragraphs

_MACRO = re.compile(
    r"\\(?=[bf]\w|(?:ne|neq|nu|not|nabla|neg|ni|newline|notin|rho|right|rangle|rm|rfloor|rceil|"
    r"text\w*|times|theta|tan|tanh|tau|to|top|triangle|tfrac)(?![a-z])|[^\"\\/bfnrtu]|u(?![0-9a-fA-F]{4}))"
    r"|\\\\"
)
_PYTHON = re.compile(r"[{\[]\s{0,9}[{\[]?\s{0,9}'")
_PYTHON_SIZE = 20_000  # characters; what is longer is no reply to any of our questions
_JSON = json.JSONDecoder(strict=False)
_KEYED = re.compile(r"(?:step|solution|text|answer|content|output)$", re.IGNORECASE)
_FENCED = re.compile(
    r"\A(```|~~~)(?:text|txt|plaintext|markdown|md|latex|tex|json)?[ \t]*\n(.*?)\n?\1[ \t]*"
    r"(?:\n|\Z)",
    re.DOTALL,
)
_TAGGED = re.compile(
    r"\A\s*<([a-z_ ]{0,30}(?:step|solution))>\s*(.*?)\s*</\1>\s*\Z", re.DOTALL | re.IGNORECASE
)
_QUOTES = (('"', '"'), ("“", "”"), ("「", "」"))

_OFFER = re.compile(
    r"(?:please )?(?:let me know|feel free)\b|(?:i )?hope (?:this|that) (?:helps|clarifies)\b"
    r"|is there anything else|would you like me to|(?:i['’]m |i am )?(?:happy|glad) to help"
    r"|(?:if|do) you (?:have|need|want) (?:any|more|further|other|additional|me to)\b.{0,40}"
    r"\b(?:questions?|help|assist\w*|clarif\w*|chang\w*)|希望这|如果[你您](?:还|有)|请告诉我",
    re.IGNORECASE,
)
_BETTER = r"(?:re-?written|revised|corrected|updated|improved|modified|fixed|new)"
_OF_IT = re.compile(
    rf"(?:in |with )?(?:this|the|my) (?:(?:revision|re-?writing|re-?write|correction)s?"
    rf"|{_BETTER}(?: next)? (?:step|solution|version)),? (?:now |also )?"
    r"(?:address|fix|correct|incorporat|ensur|clarif|repair|tak|resolv|includ|follow|maintain"
    r"|mak|keep|provid|remov|i\b|we\b)"
    r"|(?:this|the) (?:step|solution|version) (?:now )?"
    r"(?:address|incorporat|repairs|fixes (?:the|all|every))"
    r"|(?:note(?: that)?[:,]? )?(?:i|i['’]ve|i have) (?:also )?(?:(?:corrected|fixed|re-?wrote"
    r"|re-?written|revised|clarified|addressed)\b|(?:added|removed|replaced|changed|kept)\b.*"
    r"\b(?:step|solution|critique|explanation|wording|original)\b)|此(?:修改|修订|重写)|修改说明",
    re.IGNORECASE,
)
_MARKED = r"[ \t]*(?:[*_#>-]{1,6}[ \t]*)?"
_SECTION = re.compile(
    rf"(?m)^{_MARKED}(?:(?:key |main |summary of |list of |explanation (?:of|for) )?"
    r"(?:the |my )?(?:changes|revisions?|corrections|modifications|improvements)"
    r"(?: (?:i )?made| applied)?|what (?:i |was |has been )?(?:changed|fixed))[*_: \t]*(?:\n|$)"
    rf"|^{_MARKED}notes?[*_]{{0,3}}:[*_]{{0,3}}[ \t]+(?={_OF_IT.pattern})",
    re.IGNORECASE,
)
_REASON = re.compile(
    rf"(?m)^{_MARKED}(?:explanation|rationale|justification|reason(?:ing)?)"
    r"(?:[*_: \t]*(?:\n|$)|[*_]{0,3}:[*_]{0,3}[ \t]+[^\n=\d]*\s*\Z)",
    re.IGNORECASE,
)
_RULER = re.compile(r"[ \t]*[-*_]{3,}")
_REMARKS = 4  # paragraphs of remarks behind a text, at most


def unwrapped(text: str) -> str:
    """The text that a reply holds in a fence of text with nothing but remarks behind it, in a JSON
    object of one text, in a tag, in quotes or in a quotation by lines."""
    if (fenced := _FENCED.match(text)) and _only_remarks(text[fenced.end() :]):
        text = fenced[2]
    text = text.strip()
    if text.startswith("{") and text.endswith("}"):
        return _of_json(text) or text
    if tagged := _TAGGED.match(text):
        return tagged[2]
    for opens, closes in _QUOTES:
        inner = text[1:-1].strip()
        if text[:1] == opens and text[-1:] == closes and not {opens, closes} & {*inner}:
            return inner or text
    lines = text.splitlines()
    if text[2:3].isalpha() and all(line.startswith(">") for line in lines if line.strip()):
        return "\n".join(line[1:].removeprefix(" ") for line in lines).strip() or text
    return text


def without_remarks(text: str, *, titled: bool) -> str:
    """A revised text without what is said of it behind it: a section on changes, and last
    paragraphs that offer help or tell what was revised. The only box is never cut off.

    titled: the text stood under a title of its own, so a section "Explanation" is not part of it.
    """
    sections = (_SECTION.search(text), _REASON.search(text) if titled else None)
    for start in sorted(found.start() for found in sections if found):
        if text[:start].strip() and not boxed_behind(text, start):
            text = text[:start]
            break
    text = _unruled(text)
    for _ in range(_REMARKS):
        gap = text.rfind("\n\n")
        if gap < 0 or not _remark(text[gap:]) or boxed_behind(text, gap) or not text[:gap].strip():
            break
        text = _unruled(text[:gap])
    return text


def read_json(text: str) -> object:
    """The value of JSON as models write it at the start of a text: with LaTeX, whose backslashes
    they do not double, a comma behind the last entry, or quotes as Python has them. Raises
    ValueError or RecursionError."""
    whole = _MACRO.sub(r"\\\\", text)
    try:
        return _JSON.raw_decode(whole)[0]
    except ValueError:
        if _PYTHON.match(whole):
            return _of_python(whole)
        return _JSON.raw_decode(re.sub(r",(\s*[}\]])", r"\1", whole))[0]


def _of_python(text: str) -> object:
    """The value of an object in single quotes that ends at the last bracket of a text, as JSON has
    it: Python also has sets, and keys that are no text."""
    end = max(text.rfind("}"), text.rfind("]")) + 1
    try:
        return json.loads(json.dumps(ast.literal_eval(text[: min(end, _PYTHON_SIZE)])))
    except (SyntaxError, TypeError, MemoryError) as error:
        raise ValueError("no value in single quotes") from error


def _of_json(text: str) -> str:
    """The one text of an object under a name such as `revised_step`; empty if it has none."""
    try:
        said = read_json(text)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(said, dict):
        return ""
    found = [value for key, value in said.items() if _KEYED.search(key) and isinstance(value, str)]
    return found[0].strip() if len(found) == 1 else ""


def _remark(paragraph: str) -> bool:
    """Whether a paragraph offers help, or tells what was revised."""
    bare = paragraph.strip().strip("*_#>- ")
    return bool(_OFFER.match(bare) or ("=" not in bare and _OF_IT.match(bare)))


def _only_remarks(text: str) -> bool:
    """Whether a text holds nothing but remarks on what stands before it."""
    text = text.lstrip("- \n").rstrip()
    return bool(_SECTION.match(text) or _REASON.match(text)) or all(map(_remark, paragraphs(text)))


def _unruled(text: str) -> str:
    """A text without a ruler and the space at its end."""
    text = text.rstrip()
    last = text.rpartition("\n")[2]
    return text.removesuffix(last).rstrip() if _RULER.fullmatch(last) and last != text else text


def boxed_behind(text: str, at: int) -> bool:
    """Whether a box stands behind a place of the text and none before it."""
    return "boxed" in text[at:] and "boxed" not in text[:at]
