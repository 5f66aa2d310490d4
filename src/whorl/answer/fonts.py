"""LaTeX's macros that set words among formulas, such as `\\text{km}`."""

TEXT = r"\\(?:text(?:rm|bf|it|sf|tt|sc|normal|up)?|mathrm|mbox|rm|operatorname)"
OPENED = rf"{TEXT}\s?\{{\s?"
