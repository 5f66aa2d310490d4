"""LaTeX's macros that set words among formulas, such as `\\text{km}`."""

TEXT = r"\\(?:text(?:rm|bf|it|sf|tt|sc|sl|md|normal|up)?|mathrm|mbox|mathtt|emph|rm|operatorname)"
OPENED = rf"{TEXT}\s?\{{\s?"
