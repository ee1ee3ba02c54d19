"""HTML pages built as trees, so that no text can become markup: the serialiser escapes every text and attribute."""

import base64
import hashlib
from typing import Sequence, Union
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

Content = Union[Element, str]

STYLE = """
:root { color-scheme: light dark; --line: #8888; --mark: #ffd54a; --better: #1a7f37; --worse: #b3261e; --cell: #1f5fbf; }
@media (prefers-color-scheme: dark) {
  :root { --mark: #7a5c00; --better: #5bd17c; --worse: #ff8a80; --cell: #8ab4f8; }
}
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 0 auto; padding: 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
caption { text-align: left; font-weight: 600; padding-bottom: 0.3rem; }
th, td { border-bottom: 1px solid var(--line); padding: 0.2rem 0.8rem 0.2rem 0; text-align: right; }
th:first-child { text-align: left; }
article { border: 1px solid var(--line); border-radius: 6px; padding: 0 1rem; margin: 1rem 0; }
dt { font-weight: 600; margin-top: 0.6rem; }
dd { margin: 0 0 0.6rem; overflow-wrap: anywhere; }
mark { background: var(--mark); color: inherit; border-radius: 3px; padding: 0 0.1em; }
.better { color: var(--better); }
.worse { color: var(--worse); }
.note { opacity: 0.8; }
.scroll { overflow-x: auto; }
svg { max-width: none; }
svg text { fill: currentColor; font-size: 11px; }
svg rect { fill: var(--cell); }
"""


def element(tag: str, *content: Content, **attributes: object) -> Element:
    """Returns an element that contains texts and elements.

    Args:
        tag: name of the element.
        content: texts and elements, in order.
        attributes: values by name; a final "_" of a name (`class_`) is removed, and other "_" are replaced by "-".
    """
    node = Element(tag, {name.rstrip("_").replace("_", "-"): str(value) for name, value in attributes.items()})
    last = None
    for part in content:
        if isinstance(part, Element):
            node.append(part)
            last = part
        elif last is None:
            node.text = (node.text or "") + part
        else:
            last.tail = (last.tail or "") + part
    return node


def table(caption: str, header: Sequence[Content], rows: Sequence[Sequence[Content]]) -> Element:
    """Returns a table; the first cell of each row is the row's header.

    Args:
        caption: title above the table.
        header: cells of the first line, texts or elements.
        rows: cells of the other lines, texts or elements.
    """
    head = element("tr", *(element("th", cell, scope="col") for cell in header))
    body = (
        element("tr", element("th", first, scope="row"), *(element("td", cell) for cell in cells))
        for first, *cells in rows
    )
    parts = (element("caption", caption), element("thead", head), element("tbody", *body))
    return element("div", element("table", *parts), class_="scroll")


def page(title: str, *body: Content) -> str:
    """Returns a complete page that loads no resources and runs no scripts; its policy allows only its own style.

    Args:
        title: title of the page.
        body: content of the body, in order.
    """
    digest = base64.b64encode(hashlib.sha256(STYLE.encode("utf-8")).digest()).decode("ascii")
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", title),
        element("style", STYLE),
    )
    root = element("html", head, element("body", element("main", *body)), lang="en")
    return "<!DOCTYPE html>\n" + ElementTree.tostring(root, encoding="unicode", method="html") + "\n"
