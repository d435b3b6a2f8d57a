"""Renders HTML pages from the package's templates; all text that is put in is escaped.

A template of a page extends ``page.html``. ``parts.html`` holds macros for what several pages have: cards, tables,
figures. What a macro or a template returns is :class:`markupsafe.Markup` and is put into another one as it is.
"""

from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

TEMPLATES = "templates"


@cache
def environment() -> Environment:
    """Makes the environment of all templates."""
    made = Environment(
        loader=PackageLoader("sos_mm", TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "separators": (",", ":")}
    return made


def render(template: str, **values: Any) -> str:
    """Renders a whole page.

    Args:
        template: Name of a file in ``sos_mm/templates``.
        values: What it needs; text is escaped unless it is `Markup`.

    Raises:
        jinja2.UndefinedError: If a value is missing.
    """
    return environment().get_template(template).render(**values)


def part(name: str, *values: Any, **named: Any) -> Markup:
    """Renders one macro of ``parts.html``.

    Args:
        name: Of the macro.
        values: Its arguments; text is escaped unless it is `Markup`.
        named: The same.
    """
    return getattr(environment().get_template("parts.html").module, name)(*values, **named)


def join(parts: Any) -> Markup:
    """Joins pieces of a page; those that are not `Markup` are escaped."""
    return Markup("").join(parts)


def source(name: str) -> Markup:
    """Reads a style sheet or a script of ``sos_mm/templates``, which is put into a page as it is."""
    return Markup((files("sos_mm") / TEMPLATES / name).read_text(encoding="utf-8"))
