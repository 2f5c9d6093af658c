"""matplotlib figures as the bytes of .png and .svg files."""

from __future__ import annotations

import warnings
from io import BytesIO
from typing import Any
from xml.etree import ElementTree

SVG = "http://www.w3.org/2000/svg"


def png(figure: Any, dpi: int) -> bytes:
    """The picture, in fonts that have its characters."""
    from matplotlib.text import Text

    from clearhead.drawing import fonts

    for text in figure.findobj(Text):
        text.set_parse_math(False)  # a dollar sign does not start a formula
    fonts.dress(figure)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def svg(figure: Any, dpi: int, title: str) -> bytes:
    """The picture with text as text, in the reader's own fonts, and a title for screen readers."""
    import matplotlib as mpl
    from matplotlib.text import Text

    from clearhead.drawing import fonts

    for text in figure.findobj(Text):
        text.set_parse_math(False)
    buffer = BytesIO()
    # The SVG writer takes these two only from matplotlib's global settings. Without the salt, the ids in the file would
    # differ each time.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "clearhead"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        figure.savefig(buffer, format="svg", dpi=dpi, metadata={"Date": None})
    return _for_readers(buffer.getvalue(), fonts.BASE, fonts.READER, title)


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
