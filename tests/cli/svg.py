"""Reads the pictures of a page, so that a test can look at what is drawn."""

from __future__ import annotations

import re
from xml.etree import ElementTree


def parsed(page: str) -> list[ElementTree.Element]:
    """The page's pictures, parsed: what is no well-formed XML is refused."""
    return [ElementTree.fromstring(text) for text in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]
