"""The family map in a page: its drawing, in the page's colours."""

from __future__ import annotations

import re

_RULE = re.compile(r"\.midpo-family .*\{(?! --)")
_OWN = re.compile(r"<style>(.*?)</style>\n?", re.DOTALL)
COLOURS = ".midpo-family { --line: var(--quiet); --box: var(--panel); }"


def embedded(svg: str) -> tuple[str, str]:
    """The drawing without its own style, and that style's rules but for its colours: a page has
    one style, one choice of light or dark, and allows no other."""
    found = _OWN.search(svg)
    if found is None:
        return svg, ""
    rules = [line for line in found[1].splitlines() if _RULE.match(line)]
    return _OWN.sub("", svg), "\n".join([COLOURS, *rules]) + "\n"
