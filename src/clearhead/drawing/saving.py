"""A matplotlib figure as the bytes of a .png or .svg file."""

from __future__ import annotations

import warnings
from io import BytesIO
from xml.etree import ElementTree

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.text import Text

from clearhead.drawing import fonts

SVG = "http://www.w3.org/2000/svg"


def png(made: Figure, dpi: int) -> bytes:
    """The figure in fonts that have its characters."""
    _verbatim(made)
    fonts.dress(made)
    buffer = BytesIO()
    made.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def svg(made: Figure, dpi: int, title: str) -> bytes:
    """The figure with text as text, in the reader's own fonts, and a title for screen readers."""
    _verbatim(made)
    buffer = BytesIO()
    # The SVG writer takes these two only from matplotlib's global settings. Without the salt, the ids in the file would
    # differ each time.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "clearhead"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        made.savefig(buffer, format="svg", dpi=dpi, metadata={"Date": None})
    return _for_readers(buffer.getvalue(), fonts.BASE, fonts.READER, title)


def _verbatim(made: Figure) -> None:
    for text in made.findobj(Text):
        text.set_parse_math(False)  # a dollar sign is a dollar sign


def _for_readers(svg: bytes, base: str, families: tuple[str, ...], title: str) -> bytes:
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")
    root = ElementTree.fromstring(svg)
    wanted = ", ".join(name if name == "sans-serif" else f"'{name}'" for name in families)
    for text in root.iter(f"{{{SVG}}}text"):
        style = text.get("style", "")
        text.set("style", style.replace(f"'{base}'", wanted))
    heading = ElementTree.Element(f"{{{SVG}}}title")
    heading.text = title
    root.insert(0, heading)
    root.set("role", "img")
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
