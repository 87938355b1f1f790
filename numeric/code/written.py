"""A case as a file that runs without midpo: it calls the code, prints both numbers, and exits 1."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from midpo.numeric.checking.binding import Binding, Source, number

from .layout import Layout
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
    sys.exit(int(not abs(code - SPEC) <= 1e-7 * (1 + abs(SPEC))))


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
_VALUE = '''    loss = first(function(**given))
    code = float(loss.detach().reshape(-1)[ENTRY])'''
_SLOPE = '''    for name in directions():
        given[name].requires_grad_()
    loss = first(function(**given)).reshape(-1)
    up = torch.tensor(UPSTREAM, dtype=loss.dtype)[: len(loss)]
    moved = {name: d for name, d in directions().items()}
    grads = torch.autograd.grad(loss, [given[n] for n in moved], up, allow_unused=True)
    code = float(sum((g * d).sum() for g, d in zip(grads, moved.values()) if g is not None))'''


def program(
    torch: Any, name: str, code: str, binding: Binding, layout: Layout, apart: Difference
) -> str:
    """The text of the file; empty where the code is neither in a file nor in a module."""
    load = _load(code)
    if not load:
        return ""
    case = apart.case

    def of(source: Source) -> Any:
        return tensor(torch, layout.given(source.kind, source.name), case)

    def direction(source: Source) -> Any:
        given = layout.given(source.kind, source.name)
        return along(torch, given, layout, case) if given.leaf else None

    values = arguments(binding, layout, of, lambda e: number(e, case.parameters))
    body, extra = _VALUE, ""
    if apart.entry is None:
        body = _SLOPE
        moving = {n: s for n, s in binding.sources.items() if n in values and (
            s.kind in ("whole", "logps", "logits") and s.name == "pi")}
        parts = {}
        for argument, source in moving.items():
            whole = direction(source)
            if source.side:
                half = 0 if source.side == "chosen" else 1
                whole = whole.chunk(len(layout.spec.roles))[half]
            parts[argument] = whole
        shown = "\n".join(f"        {n!r}: {_literal(v)}," for n, v in parts.items())
        extra = (f"UPSTREAM = {[float(u) for u in case.upstream]}\n\n\ndef directions():\n"
                 f'    """How the inputs move."""\n    return {{\n{shown}\n    }}\n\n\n')
    return _FILE.format(
        code=code, name=name, case=case,
        imports=f"{load[0]}\nimport sys\n\nimport {torch.__name__}", spec=apart.spec,
        load=extra + load[1],
        what="value" if apart.entry is not None else "derivative", entry=apart.entry or 0,
        values="\n".join(f"        {n!r}: {_literal(v)}," for n, v in values.items()), body=body)


def _literal(value: Any) -> str:
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
        return ("import importlib.util",
                f"PATH = {path!r}\nsys.path.insert(0, {os.path.dirname(path)!r})\n"
                'made = importlib.util.spec_from_file_location("code", PATH)\n'
                'module = importlib.util.module_from_spec(made)\nsys.modules["code"] = module\n'
                f"made.loader.exec_module(module)\nfunction = module.{name}")
    if all(part.isidentifier() for part in where.split(".")):
        return "import importlib", f"function = importlib.import_module({where!r}).{name}"
    return None
