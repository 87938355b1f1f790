r"""The LaTeX that `notation` writes, as presentation MathML.

One notation, two outputs: `notation` and the rows of the vocabulary say how a thing is written, in
a small part of LaTeX; this reads that part and nothing else. A word becomes one identifier, a
bracketed part one row, a function is followed by the (invisible) sign of its application, so that
what is read aloud is what is seen.
"""

from __future__ import annotations

import re
from functools import lru_cache
from html import escape

_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|\d+(?:\.\d+)?|\s+|.", re.DOTALL)

_LETTERS = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ϵ", "zeta": "ζ", "eta": "η",
    "theta": "θ", "iota": "ι", "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν", "xi": "ξ",
    "pi": "π", "rho": "ρ", "sigma": "σ", "tau": "τ", "upsilon": "υ", "phi": "ϕ", "chi": "χ",
    "psi": "ψ", "omega": "ω", "Gamma": "Γ", "Delta": "Δ", "Theta": "Θ", "Lambda": "Λ", "Xi": "Ξ",
    "Pi": "Π", "Sigma": "Σ", "Upsilon": "Υ", "Phi": "Φ", "Psi": "Ψ", "Omega": "Ω", "ell": "ℓ",
    "infty": "∞", "varnothing": "∅", "partial": "∂",
}  # fmt: skip
_FUNCTIONS = {"log", "exp", "max", "min", "tanh"}
_SIGNS = {
    "+": "+", "-": "−", "=": "=", "<": "&lt;", ">": "&gt;", "/": "/", ",": ",", ";": ";", ":": ":",
    ".": ".", "*": "∗", r"\ge": "≥", r"\le": "≤", r"\ne": "≠", r"\in": "∈", r"\propto": "∝",
    r"\sim": "∼", r"\equiv": "≡", r"\mid": "∣", r"\times": "×", r"\cdot": "⋅", r"\uparrow": "↑",
    r"\to": "→", r"\nabla": "∇", r"\approx": "≈",
}  # fmt: skip
_BRACKETS = {
    "(": "(", ")": ")", "[": "[", "]": "]", r"\{": "{", r"\}": "}", "|": "|", r"\|": "‖", ".": "",
}  # fmt: skip
_SPACES = {r"\,": "0.17em", r"\ ": "0.3em", r"\;": "0.28em", r"\quad": "1em", r"\qquad": "2em",
           "~": "0.3em"}  # fmt: skip
_SIZES = {"big": "1.2em", "Big": "1.8em", "bigg": "2.4em", "Bigg": "3em"}
_BOLD = {"1": "𝟏", "R": "ℝ", "E": "𝔼", "V": "𝒱", "X": "𝒳", "Y": "𝒴", "P": "𝒫", "D": "𝒟", "L": "ℒ"}
_ACCENTS = {r"\bar": "¯", r"\hat": "^", r"\tilde": "~"}
_OPERATORS = {r"\sum": "∑", r"\prod": "∏"}
_APPLICATION = "<mo>&#8289;</mo>"
_THIN = '<mspace width="0.17em"></mspace>'
# After these, a sign belongs to the term that follows.
_SPACED = ("<mo>", "<mo ", "<mspace")  # what brings its own space
_RELATIONS = ("=", ",", "<", ">", r"\le", r"\ge", r"\propto", r"\equiv")
_BEFORE_A_TERM = {f"<mo>{_SIGNS[sign]}</mo>" for sign in _RELATIONS}


class NotNotation(ValueError):
    """LaTeX that `notation` does not write; the message says which part."""


@lru_cache(maxsize=20_000)
def mathml(tex: str, *, display: bool = False) -> str:
    """`tex`, which is LaTeX's mathematics mode as `notation` writes it, as a <math> element.

    Raises: NotNotation.
    """
    style = ' displaystyle="true"' if display else ""
    return f"<math{style}>{_Reader(tex).whole()}</math>"


def _row(nodes: list[str]) -> str:
    return nodes[0] if len(nodes) == 1 else f"<mrow>{''.join(nodes)}</mrow>"


class _Reader:
    """Reads the tokens once, from left to right."""

    def __init__(self, tex: str) -> None:
        self.tokens = _TOKEN.findall(tex)
        self.at = 0
        self.scripted = 0  # how many scripts deep: there signs have no space around them

    def whole(self) -> str:
        nodes = self.nodes()
        if self.at < len(self.tokens):
            raise NotNotation(f"{self.tokens[self.at]} has no partner")
        return "".join(nodes)

    def peek(self) -> str:
        while self.at < len(self.tokens) and self.tokens[self.at].isspace():
            self.at += 1
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        if not token:
            raise NotNotation("the formula ends too early")
        self.at += 1
        return token

    def nodes(self, *ends: str) -> list[str]:
        """The nodes up to one of `ends`, a closing sign or the end of the formula."""
        done: list[str] = []
        while (token := self.peek()) and token not in ends:
            if token in ("}", r"\right", r"\end", "&", r"\\") or token in ")]":
                break
            if token in "^_":
                base = done.pop() if done else "<mrow></mrow>"
                if 'minsize="' in base:  # browsers do not stretch a base: it keeps its place
                    done.append(base)
                    base = '<mspace width="0" height="1.2em"></mspace>'
                done.append(self.scripts(base))
                continue
            first = not done or done[-1] in _BEFORE_A_TERM
            if not first and token[1:] in _FUNCTIONS and not done[-1].startswith(_SPACED):
                done.append(_THIN)
            done += self.node(first=first)
        return done

    def argument(self) -> str:
        """What stands in braces, or one node."""
        if self.peek() != "{":
            return _row(self.node(first=True))
        return self.braced()

    def braced(self) -> str:
        self.take()
        nodes = self.nodes()
        self.expect("}")
        return _row(nodes)

    def expect(self, token: str) -> None:
        if self.peek() != token:
            raise NotNotation(f"{token} is missing before {self.peek() or 'the end'}")
        self.take()

    def raw(self) -> str:
        """The text of a group in braces, as it stands."""
        self.expect("{")
        start = self.at
        while self.at < len(self.tokens) and self.tokens[self.at] != "}":
            if self.tokens[self.at] in "{$":
                raise NotNotation("a group inside a word")
            self.at += 1
        self.expect("}")
        return "".join(self.tokens[start : self.at - 1]).replace("\\_", "_")

    def node(self, *, first: bool) -> list[str]:
        token = self.take()
        if token[0].isdigit():
            return [f"<mn>{token}</mn>"]
        if token.isalpha():
            return [f"<mi>{token}</mi>"] if token.isascii() else self.unknown(token)
        if token in "([|":
            return [self.fenced(token)]
        if token == "{":
            self.at -= 1
            return self.group()
        if token == r"\cdot" and self.dummy():
            return ["<mi>⋅</mi>"]
        if token in _SIGNS:
            form = ' form="prefix"' if first and token in "+-" else ""
            close = ' lspace="0" rspace="0"' if token == "/" or self.scripted else ""
            fixed = ' stretchy="false"' if token == r"\mid" else ""
            return [f"<mo{form}{close}{fixed}>{_SIGNS[token]}</mo>"]
        if token in _SPACES:
            return [f'<mspace width="{_SPACES[token]}"></mspace>']
        return self.command(token)

    def dummy(self) -> bool:
        """Whether the dot just read stands for a left-out argument, as in p(. | s)."""
        before = [t for t in self.tokens[: self.at - 1] if not t.isspace()]
        return bool(before) and before[-1] in "(," and self.peek() in (r"\mid", ")")

    def group(self) -> list[str]:
        """{}: what TeX puts before a sign so that it stands between two terms."""
        inside = self.braced()
        if inside == "<mrow></mrow>" and self.peek() in ("+", "-", r"\times"):
            return [f'<mo form="infix">{_SIGNS[self.take()]}</mo>']
        return [inside]

    def command(self, token: str) -> list[str]:
        name = token[1:]
        if name in _LETTERS:
            return [f"<mi>{_LETTERS[name]}</mi>"]
        if name in _FUNCTIONS:
            return self.function(name)
        if token in _OPERATORS:
            return [f"<mo>{_OPERATORS[token]}</mo>"]
        if token in (r"\frac", r"\tfrac"):
            return [f"<mfrac>{self.argument()}{self.argument()}</mfrac>"]
        if token == r"\sqrt":
            return [f"<msqrt>{self.argument()}</msqrt>"]
        if token == r"\left":
            return [self.stretched()]
        if token in (r"\mathrm", r"\operatorname"):
            return [self.word(self.raw())]
        if token == r"\text":
            return [f"<mtext>{escape(self.raw()).replace(' ', '&#160;')}</mtext>"]
        if token in (r"\mathbb", r"\mathcal", r"\mathbf"):
            letter = self.raw()
            return [f"<mi>{_BOLD[letter]}</mi>"] if letter in _BOLD else self.unknown(letter)
        if token in _ACCENTS:
            sign = _ACCENTS[token]
            mark = f'<mo stretchy="false">{sign}</mo>'
            return [f'<mover accent="true">{self.argument()}{mark}</mover>']
        if name[:-1] in _SIZES and name[-1] in "lr":
            return [self.sized(_SIZES[name[:-1]], "prefix" if name[-1] == "l" else "postfix")]
        if token == r"\begin":
            return [self.cases()]
        if token == r"\|":
            return ['<mo stretchy="false">‖</mo>']
        if token == r"\_":
            return ["<mi>_</mi>"]
        return self.unknown(token)

    def unknown(self, token: str) -> list[str]:
        raise NotNotation(f"{token} is not part of the notation")

    def function(self, name: str) -> list[str]:
        """A function's name, its sign of application, and the space that TeX puts there."""
        base = f"<mi>{name}</mi>"
        if self.peek() in ("^", "_"):
            base = self.scripts(base)
        close = self.peek() in ("(", "[", r"\left", "") or self.peek().startswith(r"\big")
        return [base, _APPLICATION if close else _APPLICATION + _THIN]

    @staticmethod
    def word(text: str) -> str:
        upright = ' mathvariant="normal"' if len(text) == 1 else ""
        return f"<mi{upright}>{escape(text)}</mi>"

    def scripts(self, base: str) -> str:
        under = over = ""
        self.scripted += 1
        while self.peek() in ("^", "_"):
            sign = self.take()
            if (over if sign == "^" else under) != "":
                raise NotNotation(f"two {sign} at one place")
            if sign == "^":
                over = self.argument()
            else:
                under = self.argument()
        self.scripted -= 1
        large = base[4:5] in "∑∏" or base == "<mi>max</mi>"
        pair = ("munderover", "munder", "mover") if large else ("msubsup", "msub", "msup")
        tag = pair[0] if under and over else pair[1] if under else pair[2]
        return f"<{tag}>{base}{under}{over}</{tag}>"

    def fenced(self, opening: str) -> str:
        """( ... ) or | ... | as large as its letters; an opening sign alone where it has no end."""
        closing = {"(": ")", "[": "]", "|": "|"}[opening]
        nodes = self.nodes(closing)
        head = f'<mo stretchy="false" form="prefix">{opening}</mo>'
        if self.peek() != closing:
            raise NotNotation(f"{opening} is not closed")
        self.take()
        tail = f'<mo stretchy="false" form="postfix">{closing}</mo>'
        return f"<mrow>{head}{''.join(nodes)}{tail}</mrow>"

    def bracket(self) -> str:
        token = self.take()
        return _BRACKETS[token] if token in _BRACKETS else self.unknown(token)[0]

    def stretched(self) -> str:
        """\\left ... \\right: brackets as tall as what they hold."""
        opening = self.bracket()
        nodes = self.nodes()
        self.expect(r"\right")
        closing = self.bracket()
        head = f'<mo form="prefix" fence="true">{opening}</mo>' if opening else ""
        tail = f'<mo form="postfix" fence="true">{closing}</mo>' if closing else ""
        return f"<mrow>{head}{''.join(nodes)}{tail}</mrow>"

    def sized(self, size: str, form: str) -> str:
        """A bracket of a given size, whose partner may stand on another line."""
        sign = self.bracket()
        return f'<mo form="{form}" stretchy="true" minsize="{size}" maxsize="{size}">{sign}</mo>'

    def cases(self) -> str:
        if self.raw() != "cases":
            self.unknown(r"\begin")
        rows = []
        cells: list[str] = []
        while True:
            cells.append(f"<mtd>{''.join(self.nodes())}</mtd>")
            token = self.take()
            if token == "&":
                continue
            rows.append(f"<mtr>{''.join(cells)}</mtr>")
            cells = []
            if token == r"\end":
                break
            if token != r"\\":
                self.unknown(token)
        if self.raw() != "cases":
            self.unknown(r"\end")
        brace = '<mo form="prefix" fence="true">{</mo>'
        return f'<mrow>{brace}<mtable class="cases">{"".join(rows)}</mtable></mrow>'
