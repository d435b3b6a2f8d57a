"""Pages and parts of pages: text is escaped, what is missing is an error."""

import pytest
from jinja2 import UndefinedError
from markupsafe import Markup

from sos_mm.page import join, part, render

EVIL = "<script>alert('1')</script>&\""
ESCAPED = "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;&#34;"


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("card", (EVIL, EVIL, EVIL)),
        ("cards", ([EVIL],)),
        ("figure", (EVIL, EVIL)),
        ("image", (EVIL, EVIL)),
        ("grid", ([EVIL],)),
        ("table", ([EVIL], [[EVIL]])),
        ("tiles", ([(EVIL, EVIL, EVIL)],)),
        ("listing", ([EVIL], 3, EVIL)),
        ("legend", ([(EVIL, EVIL)],)),
        ("maps", ([EVIL],)),
        ("paragraph", (EVIL, EVIL)),
    ],
)
def test_parts_escape_all_text(name, values):
    found = part(name, *values)
    assert isinstance(found, Markup)
    assert "<script" not in found
    assert found.count(ESCAPED) >= 1


def test_parts_within_parts_stay_as_they_are():
    inner = part("paragraph", "a < b")
    assert inner == "<p>a &lt; b</p>"
    assert part("cards", [inner, "c < d"]) == '<div class="charts"><p>a &lt; b</p>c &lt; d</div>'
    assert join([inner, "<"]) == "<p>a &lt; b</p>&lt;"


def test_tables_have_a_row_a_record():
    rows = [("a", 1), ("b", 2)]
    expected = "<thead><tr><th>x</th><th>y</th></tr></thead><tbody><tr><td>a</td><td>1</td></tr>"
    assert part("table", ("x", "y"), rows) == f"<table>{expected}<tr><td>b</td><td>2</td></tr></tbody></table>"


def test_missing_values_are_an_error():
    with pytest.raises(UndefinedError, match="sections"):
        render("saliency_report.html", title="a", subtitle="b", css="")
