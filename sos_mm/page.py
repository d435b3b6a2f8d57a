"""Renders HTML pages from the package's templates; all inserted text is escaped.

The template of a page extends ``page.html``. ``parts.html`` holds macros that several pages use: cards, tables,
figures. Macros and templates return :class:`markupsafe.Markup`, which is inserted into others without escaping.
"""

from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

TEMPLATES = "templates"


@cache
def environment() -> Environment:
    """Creates the environment of all templates."""
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
    """Renders a complete page.

    Args:
        template: Name of a file in ``sos_mm/templates``.
        values: Its variables; text is escaped unless it is `Markup`.

    Raises:
        jinja2.UndefinedError: If a value is missing.
    """
    return environment().get_template(template).render(**values)


def part(name: str, *values: Any, **named: Any) -> Markup:
    """Renders one macro of ``parts.html``.

    Args:
        name: Name of the macro.
        values: Its positional arguments; text is escaped unless it is `Markup`.
        named: Its keyword arguments; likewise escaped.
    """
    return getattr(environment().get_template("parts.html").module, name)(*values, **named)


def join(parts: Any) -> Markup:
    """Joins pieces of a page; pieces that are not `Markup` are escaped."""
    return Markup("").join(parts)


def source(name: str) -> Markup:
    """Reads a style sheet or script of ``sos_mm/templates``, which is inserted into a page without escaping."""
    return Markup((files("sos_mm") / TEMPLATES / name).read_text(encoding="utf-8"))
