"""What an operator that is not lifted is declared to compute: `--contract 'OP = EXPR'`.

OP is MODULE:NAME, or a name in the code's own module: a function, a custom autograd function, a
module of torch or an operator. EXPR is of a response y and its position t, in the spec language:

| written | the operator returns |
| --- | --- |
| `kl(pi_ref, pi, y, t)` | (rows, T), this at the tokens of each response, anything at padding |
| `log(pi(y))` | (rows,), this of each response |
| `[a, b]` | such tensors stacked, (2, rows, T) |
| `(a, b, _)` | a tuple of such; what is `_` must not be looked at |

Of which responses its rows are is read off the arguments that the code gives it, and so is what
`policy` stands for: the policy whose tensors these are. The gradient is declared with the value. A
contract is given, not proved; it is tested at random inputs where the operator runs.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from sympy import Expr, Symbol

from midpo.symbolic.errors import MidpoError
from midpo.symbolic.language.building import rename_index, substitute
from midpo.symbolic.language.nodes import RESPONSE, TokenSum
from midpo.symbolic.language.parser import parse
from midpo.symbolic.language.places import Names, Place
from midpo.symbolic.language.spec import Spec

from .layout import Given
from .places import T

ANYTHING = Symbol("_")  # what an operator returns and the code does not look at
POLICY = Symbol("policy")  # whichever the operator is called for
_PLACE = Place((RESPONSE,), by_label=True)


@dataclass(frozen=True)
class Contract:
    """That `target` returns `result`: an expression, a list (stacked) or a tuple of such. It is
    tested in float32 where it is `single`, and not at all where it runs `elsewhere`, which says
    why."""

    target: str
    result: Any
    written: str
    single: bool = False
    elsewhere: str = ""

    def __str__(self) -> str:
        if not entries(self.result):
            return f"nothing of what {self.target} returns is looked at"
        where = "at each position of a response" if self.by_token else "of each response"
        return f"{self.target} computes {self.written} {where}, gradient included"

    @property
    def by_token(self) -> bool:
        return any(T in e.free_symbols for e in entries(self.result))


@dataclass(frozen=True)
class Use:
    """One call of a contract's operator: what it is declared to have returned, a tensor for each
    expression."""

    contract: Contract
    given: tuple[Given, ...]


def entries(result: Any) -> list[Expr]:
    """The expressions of a result, in order."""
    if isinstance(result, list):
        return list(result)
    if isinstance(result, tuple):
        return [e for part in result for e in entries(part)]
    return [result] if isinstance(result, Expr) and result != ANYTHING else []


def contract(spec: Spec, text: str) -> Contract:
    """OP = EXPR. Raises: MidpoError."""
    target, equals, written = text.partition("=")
    target, written = target.strip(), written.strip()
    if not equals or not written or not all(p.isidentifier() for p in target.replace(":", ".").split(".")):
        raise MidpoError(
            f"--contract {text}\n  expected: OP = EXPR, as "
            "--contract 'loss:divergence = kl(pi_ref, pi, y, t)'"
        )
    try:
        tree = ast.parse(written, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise MidpoError(
            f"--contract {text}: this is no expression\n"
            "  expected: a formula of y and t, as kl(pi_ref, pi, y, t)"
        ) from None
    found = Contract(target, _result(spec, tree, written), written)
    if len({T in e.free_symbols for e in entries(found.result) if e != ANYTHING}) != 1:
        raise MidpoError(f"--contract {text}\n  expected: expressions of y and t, or all of y")
    return found


def _known(spec: Spec) -> Names:
    """What contracts speak of: what the spec does, and `policy`."""
    return replace(spec.names, policies=spec.names.policies | {POLICY.name})


def _result(spec: Spec, tree: ast.expr, written: str) -> Any:
    if isinstance(tree, (ast.List, ast.Tuple)):
        parts = [_result(spec, part, written) for part in tree.elts]
        if isinstance(tree, ast.Tuple):
            return tuple(parts)
        if not all(isinstance(p, Expr) for p in parts):
            raise MidpoError(f"--contract: {written}\n  expected: expressions in a list")
        return parts
    if isinstance(tree, ast.Name) and tree.id == "_":
        return ANYTHING
    own = ast.get_source_segment(written, tree) or written
    if not any(isinstance(n, ast.Name) and n.id == "t" for n in ast.walk(tree)):
        return parse(own, _known(spec), _PLACE)
    whole = parse(f"sum({own} for t in y)", _known(spec), _PLACE)
    if not isinstance(whole, TokenSum):
        raise MidpoError(
            f"--contract: {own} is the same at each position\n"
            "  expected: an expression of y and t, or of y alone"
        )
    body, index, _ = whole.args
    return rename_index(body, index, T)


def at_response(entry: Expr, policy: Symbol | None, y: Any, t: Any = T) -> Expr:
    """An entry of a result for one policy, response and position."""
    found = substitute(entry, {RESPONSE: y} | ({} if policy is None else {POLICY: policy}))
    return found if t == T else rename_index(found, T, t)


# --- In place of the operator ---------------------------------------------------------------------

Stand = Callable[[Contract, Callable[..., Any]], Callable[..., Any]]


@contextmanager
def instead(contracts: Sequence[Contract], function: Any, stand: Stand) -> Iterator[None]:
    """While it runs, each contract's operator is what `stand` makes of it.

    Raises: MidpoError where there is none of that name.
    """
    # Those of all first: a class may have its operator of another one here.
    places = [_found(each.target, function) for each in contracts]
    inner = [getattr(held, method) if method else held for _, _, held, method in places]
    with ExitStack() as stack:
        for each, own, (owner, name, original, method) in zip(contracts, inner, places, strict=True):
            made = stand(each, own)
            stack.enter_context(
                _method(original, method, made)
                if method
                else _replaced(owner, name, original, function, made)
            )
        yield


def _scope(function: Any) -> dict[str, Any]:
    """The names of the module that defines a function."""
    inner = getattr(function, "forward", function)
    inner = inspect.unwrap(getattr(inner, "__func__", inner))
    found: dict[str, Any] = getattr(inner, "__globals__", {})
    return found


def _found(target: str, function: Any) -> tuple[Any, str, Any, str]:
    """What holds the operator, its name there, itself, and of a class the method that is called."""
    where, colon, path = target.rpartition(":")
    *outer, name = path.split(".")
    owner: Any = _scope(function)
    if colon:
        owner = _module(where)
    elif outer:
        owner = owner.get(outer.pop(0))
    for part in outer:
        owner = getattr(owner, part, None)
    held = owner.get(name) if isinstance(owner, dict) else getattr(owner, name, None)
    if not callable(held):
        raise MidpoError(
            f"--contract: there is no operator {target}\n"
            "  expected: MODULE:NAME, or a name in the code's own module"
        )
    methods = ("apply", "forward") if inspect.isclass(held) else ()
    return owner, name, held, next((m for m in methods if hasattr(held, m)), "")


def _module(where: str) -> Any:
    head, *rest = where.split(".")
    try:
        return importlib.import_module(where)
    except ImportError:
        found = sys.modules.get(head)
        for part in rest:
            found = getattr(found, part, None)
        return found
    except (Exception, SystemExit) as error:
        raise MidpoError(
            f"{where} cannot be imported: {error}\n  expected: MODULE:NAME of an operator"
        ) from None


@contextmanager
def _method(owner: Any, name: str, made: Callable[..., Any]) -> Iterator[None]:
    """A class whose `apply`, or whose `forward`, is another."""
    held = owner.__dict__.get(name)
    setattr(
        owner,
        name,
        staticmethod(made) if name == "apply" else lambda self, *args, **named: made(*args, **named),
    )
    try:
        yield
    finally:
        setattr(owner, name, held) if held is not None else delattr(owner, name)


@contextmanager
def _replaced(
    owner: Any, name: str, original: Any, function: Any, made: Callable[..., Any]
) -> Iterator[None]:
    """A function that is another wherever modules hold it."""
    places = [owner if isinstance(owner, dict) else vars(owner), _scope(function)]
    places += [vars(m) for m in list(sys.modules.values()) if hasattr(m, "__dict__")]
    held_at = [
        (id(p), p, n)
        for p in places
        if isinstance(p, dict)
        for n in ([name] if p is not _scope(function) else list(p))
        if p.get(n) is original
    ]
    if not isinstance(owner, dict):
        setattr(owner, name, made)
    for _, place, n in held_at:
        place[n] = made
    try:
        yield
    finally:
        if not isinstance(owner, dict):
            setattr(owner, name, original)
        for _, place, n in held_at:
            place[n] = original


def stacked(torch: Any, result: Any, tensors: Iterator[Any], anything: Any) -> Any:
    """Tensors, one for each expression, as the operator returns them."""
    if isinstance(result, tuple):
        return tuple(stacked(torch, part, tensors, anything) for part in result)
    if isinstance(result, list):
        return torch.stack([next(tensors) for _ in result])
    return anything if result == ANYTHING else next(tensors)


def flat(result: Any, found: Any) -> Iterator[Any]:
    """What an operator returned, a tensor for each expression. Raises: ValueError for another
    form."""
    if isinstance(result, (tuple, list)):
        if len(found) != len(result):
            raise ValueError(f"{len(found)} things are returned, and the contract says {len(result)}")
        for part, each in zip(result, found, strict=True):
            yield from flat(part, each)
    elif result != ANYTHING:
        yield found
