"""LaTeX's macros that set words among formulas, such as `\\text{km}`."""

WORDS = r"\\(?:text(?:rm|bf|it|sf|tt|sc|sl|md|normal|up)?|mathrm|mbox|mathtt|emph|rm)"
TEXT = rf"(?:{WORDS}|\\operatorname)"  # which is for functions too
OPENED = rf"{TEXT}\s?\{{\s?"
