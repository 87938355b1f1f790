"""A case as a file that runs without midpo: it calls the code, prints both numbers, and exits 1."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from midpo.numeric.checking.binding import Binding, Source, leaves, number

from .heads import PARTS
from .layout import Layout, sources
from .tensors import along, arguments, tensor
from .witness import Difference

_FILE = '''"""A case at which {code} does not compute the loss of {name}: it exits with status 1.

Written by midpo prove. It needs torch and the code, nothing else.
{case}.
"""

{imports}

SPEC = {spec!r}  # the {what} that the spec gives
ENTRY = {entry}
nan = float("nan")


def arguments():
    """What the code is called with."""
    return {{
{values}
    }}


{load}


def main():
    given = arguments()
{body}
    print(f"the code gives {{code:.9g}}")
    print(f"the spec gives {{SPEC:.9g}}")
    sys.exit(int(not abs(code - SPEC) <= {rounding} * (1 + abs(SPEC))))


def first(found):
    """The loss of what the code returned."""
    for key in ("loss", "losses"):
        if isinstance(found, dict) and key in found:
            return found[key]
        if not isinstance(found, (dict, torch.Tensor)) and hasattr(found, key):
            return getattr(found, key)
    if isinstance(found, list) and all(x.dim() == 0 for x in found):
        return torch.stack(found)
    return found[0] if isinstance(found, (tuple, list)) else found


if __name__ == "__main__":
    main()
'''
_VALUE = """    loss = first(function(**given))
    code = float(loss.detach().reshape(-1)[ENTRY])"""
_SLOPE = """    inputs = [place(given, path).requires_grad_() for path in directions()]
    loss = first(function(**given)).reshape(-1)
    up = torch.tensor(UPSTREAM, dtype=loss.dtype)[: len(loss)]
    grads = torch.autograd.grad(loss, inputs, up, allow_unused=True)
    moved = zip(grads, directions().values())
    code = float(sum((g * d).sum() for g, d in moved if g is not None))"""
_MOVING = '''UPSTREAM = {upstream}


def directions():
    """How the inputs move, by where they stand in the arguments."""
    return {{
{shown}
    }}


def place(given, path):
    """What stands there."""
    for key in path:
        given = given[key]
    return given


'''


def program(torch: Any, name: str, code: str, binding: Binding, layout: Layout, apart: Difference) -> str:
    """The text of the file; empty where the code is neither in a file nor in a module."""
    load = _load(code)
    if not load:
        return ""
    case = apart.case

    def of(source: Source) -> Any:
        return tensor(torch, layout.given(source.kind, source.name), case, apart.single)

    def given(find: Any) -> dict[str, Any]:
        return arguments(torch, binding, layout, find, lambda e: number(e, case.parameters))

    values = given(of)
    body, extra = _VALUE, ""
    if apart.entry is None:
        moved = _directions(torch, binding, layout, case, of, given)
        shown = "\n".join(f"        {path!r}: {_literal(d)}," for path, d in moved.items())
        body = _SLOPE
        extra = _MOVING.format(upstream=[float(u) for u in case.upstream], shown=shown)
    return _FILE.format(
        code=code,
        name=name,
        case=case,
        imports=f"{load[0]}\nimport sys\n\nimport {torch.__name__}",
        spec=apart.spec,
        load=extra + load[1],
        what="value" if apart.entry is not None else "derivative",
        entry=apart.entry or 0,
        rounding="1e-5" if apart.single else "1e-7",
        values="\n".join(f"        {n!r}: {_literal(v)}," for n, v in values.items()),
        body=body,
    )


def _directions(
    torch: Any, binding: Binding, layout: Layout, case: Any, of: Any, given: Any
) -> dict[tuple[Any, ...], Any]:
    """How the tensors in the arguments move with the case's direction, those that do."""
    asked = {
        (s.kind, s.name): layout.given(s.kind, s.name)
        for s in leaves(sources(binding))
        if s.kind in ("whole", "logps", "logits", *PARTS)
    }
    moving = {key: whole for key, whole in asked.items() if whole.leaf}

    def tensors(*own: Any) -> tuple[Any, ...]:
        known = dict(zip(moving, own, strict=True))
        found = given(lambda s: known[s.kind, s.name] if (s.kind, s.name) in known else of(s))
        paths[:] = [path for path, _ in _places(found)]
        return tuple(x for _, x in _places(found))

    paths: list[tuple[Any, ...]] = []
    starts = tuple(tensor(torch, whole, case) for whole in moving.values())
    along_them = tuple(along(torch, whole, layout, case) for whole in moving.values())
    _, moved = torch.func.jvp(tensors, starts, along_them)
    return {path: d for path, d in zip(paths, moved, strict=True) if bool((d != 0).any())}


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], Any]]:
    """The tensors of numbers in arguments, with where they stand."""
    if isinstance(value, (list, tuple, dict)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return [found for key, inner in items for found in _places(inner, (*path, key))]
    floating = hasattr(value, "is_floating_point") and value.is_floating_point()
    return [(path, value)] if floating else []


def _literal(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k!r}: {_literal(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        inner = ", ".join(map(_literal, value))
        return f"[{inner}]" if isinstance(value, list) else f"({inner},)"
    if not hasattr(value, "tolist"):
        return repr(value)
    return f"torch.tensor({value.detach().tolist()}, dtype={value.dtype})"


def _load(code: str) -> tuple[str, str] | None:
    """How the function is found again: what is imported, and the lines that define it."""
    where, colon, name = code.rpartition(":")
    if not colon:
        return None
    if where.endswith(".py"):
        path = os.fspath(Path(where).resolve())
        return (
            "import importlib.util",
            f"PATH = {path!r}\nsys.path.insert(0, {os.path.dirname(path)!r})\n"
            'made = importlib.util.spec_from_file_location("code", PATH)\n'
            'module = importlib.util.module_from_spec(made)\nsys.modules["code"] = module\n'
            f"made.loader.exec_module(module)\nfunction = module.{name}",
        )
    if all(part.isidentifier() for part in where.split(".")):
        return "import importlib", f"function = importlib.import_module({where!r}).{name}"
    return None
