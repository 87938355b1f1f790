"""Specs that are big: sums, products and nests of each function of the language, of any size."""

from __future__ import annotations

import re
from collections.abc import Callable

from midpo.symbolic.language.parser import MAX_DEPTH

HEAD = '''name = "big"
prior = """{prior}"""
[parameters]
alpha = "positive"
beta = "positive"
eta = "real"
c = "unit"
{parameters}
[features]
w = "token"
s = "response"
{features}
[target]
margin = """alpha*log(pi(y_w)/pi_ref(y_w)) - alpha*log(pi(y_l)/pi_ref(y_l))
            + {chosen} - ({rejected})"""
'''
TEXT = 60_000  # characters of a spec, below what one may hold
LARGEST = TEXT // 20  # units that a spec may hold


def added(unit: str) -> Callable[[int], str]:
    return lambda n: "(" + " + ".join(unit.replace("@", str(i + 1)) for i in range(n)) + ")"


def multiplied(unit: str) -> Callable[[int], str]:
    return lambda n: "(" + "*".join(unit.replace("@", str(i + 1)) for i in range(n)) + ")"


def nested(shell: str, core: str = "log(pi(y))") -> Callable[[int], str]:
    def written(n: int) -> str:
        inner = core
        for i in range(min(n, MAX_DEPTH // 4)):
            inner = shell.replace("@", str(i + 1)).replace("?", inner)
        return inner

    return written


R = "log(pi(y)/pi_ref(y))"
SHAPES: dict[str, Callable[[int], str]] = {
    "steps of a length": added("step(len(y) - @)"),
    "weighted steps": added("@*step(len(y)/@ - 7)*len(y)"),
    "steps of a margin": added(f"step({R} - @)"),
    "steps of features": added("step(s(y) - @*beta)"),
    "products of steps": multiplied("(2 - step(s(y) - @))"),
    "products of steps of lengths": multiplied("(2 - step(len(y) - @))"),
    "maxima": added(f"max({R}, -@)"),
    "maxima of lengths": added("max(len(y), @)"),
    "maxima of a parameter": added("max(beta*log(pi(y)), -@*eta)"),
    "products of maxima": multiplied("max(s(y), @)"),
    "sigmoids": added(f"sigmoid({R} + @)"),
    "log-sigmoids": added(f"logsigmoid({R} + @*eta)"),
    "products of sigmoids": multiplied(f"sigmoid({R} + @)"),
    "hyperbolic tangents": added(f"tanh({R}*@)"),
    "clips": added(f"max(-@, min(@, {R}))"),
    "nested clips": nested("max(-@, min(@, ? + 1/@))"),
    "nested maxima": nested("max(?, -@*log(pi_ref(y)))"),
    "nested absolutes": nested("abs(? - @)"),
    "nested absolutes of a length": nested("abs(? - @)", "len(y)"),
    "nested sigmoids": nested("sigmoid(? + @)"),
    "nested exponentials": nested("exp(-exp(?))"),
    "nested logarithms": nested("log(1 + exp(?))"),
    "nested fractions": nested("1/(1 + exp(?))"),
    "nested continued": nested("1/(@ + ?)"),
    "a few squared fractions": lambda n: nested("1/(@ + ?**2)")(min(n, 4)),
    "nested steps": nested("step(? - 1/@)", "s(y)"),
    "nested squares": nested("(?)**2 - @"),
    "nested powers": nested("(?)**3"),
    "nested logits": nested("log(sigmoid(?)/(1 - sigmoid(?)))"),
    "log-sum-exps": added("log(pi(y) + @*pi_ref(y))"),
    "one log-sum-exp": lambda n: f"log{added('exp(@*s(y))')(n)}",
    "log-sum-exp of parameters": lambda n: f"log{added('pi(y)**(beta/@)')(n)}",
    "long products": multiplied("(log(pi(y)) + @)"),
    "products of parameters": multiplied("(1 + @*beta)"),
    "products of exponentials": multiplied("exp(@*s(y))"),
    "products of sums": multiplied(f"({R} + beta*s(y) + len(y) + @)"),
    "powers of sums": added(f"({R} + beta*s(y) + len(y) + @)**9"),
    "a power of a sum": lambda n: f"({R} + beta*s(y) + len(y) + 1)**{min(n, 1000)}",
    "a power of two": lambda n: f"({R} + 1)**{min(n, 1000)}",
    "powers of a length": added("len(y)**@"),
    "a large power": lambda n: f"len(y)**{min(n, 1000)}",
    "exponentials of a length": added("@**len(y)"),
    "powers of probabilities": added("pi(y)**(@)"),
    "roots": added("sqrt(s(y)**2 + @)"),
    "roots of two": added("(1 + exp(s(y)))**(1/@)"),
    "fractions": added("1/(len(y) + @)"),
    "fractions of features": added("1/(s(y)**2 + @*beta)"),
    "fractions of exponentials": added("exp(s(y))/(exp(s(y)) + @)"),
    "sums over tokens": added("sum(w(y,t)**@ for t in y)"),
    "geometric sums": added("sum(c**(@*t) for t in y)"),
    "steps of positions": added("sum(w(y,t)*step(t - @) for t in y)"),
    "counts": added("sum(step(t - @) for t in y)"),
    "steps of token data": added("sum(step(w(y,t) - @) for t in y)"),
    "maxima of token data": added("sum(max(w(y,t), @) for t in y)"),
    "sums of cells": added("sum(max(log(pi(y,t)), -@)*step(w(y,t) - @) for t in y)"),
    "sums in sums": added("sum(sum(step(t - u - @) for u in y) for t in y)"),
    "products of token sums": multiplied("sum(w(y,t) + @ for t in y)"),
    "token products": added("prod(1 + exp(w(y,t)*@) for t in y)"),
    "divergences": added("@*sum(kl(pi_ref, pi, y, t)*w(y,t)**@ for t in y)"),
    "sums over the vocabulary": added("sum(sum(pi(y,t,v)**@ for v in vocab) for t in y)"),
    "maxima over the vocabulary": added("sum(sum(max(pi(y,t,v), 1/@) for v in vocab) for t in y)"),
    "logarithms of counts": added("log(len(y) + @)"),
    "logarithms of numbers": added("log(@ + 1)*len(y)"),
    "exponentials of numbers": added("exp(1/@)*len(y)"),
    "large numbers": added("(10**300 + @)*len(y)"),
    "powers of numbers": added("(@/7)**999*len(y)"),
    "small fractions": added("len(y)/@"),
    "parameters": added("b@*len(y)"),
    "products of many parameters": multiplied("(b@ + len(y))"),
    "exponentials of parameters": added("exp(b@*s(y))"),
    "steps of parameters": added("step(b@)*len(y)"),
    "maxima of parameters": added("max(b@, eta)*len(y)"),
    "response features": added("f@(y)"),
    "maxima of many features": added("max(f@(y), 0)"),
    "maxima of feature pairs": added("max(f@(y), log(pi(y)))"),
    "products of many features": multiplied("(1 + f@(y))"),
}


def of(body: str, response: str) -> str:
    """`body`, which speaks of y, of this response."""
    return re.sub(r"(?<=[( ])y(?=[,)])", response, body)


def spec(name: str, size: int, *, right: bool = True) -> str:
    """A spec whose margin holds the shape with about `size` units, as many as a spec may hold;
    its prior is the margin's, or lacks a multiple of the length."""
    while True:
        body = SHAPES[name](size)
        parameters = sorted(set(re.findall(r"\bb\d+", body)))
        features = sorted(set(re.findall(r"\bf\d+", body)))
        text = HEAD.format(
            prior=f"pi_ref(y)*exp(-{body}/alpha{'' if right else ' + len(y)'})",
            parameters="\n".join(f'{name} = "real"' for name in parameters),
            features="\n".join(f'{name} = "response"' for name in features),
            chosen=of(body, "y_w"),
            rejected=of(body, "y_l"),
        )
        if len(text) <= TEXT or size <= 1:
            return text
        size = size * 9 // 10
