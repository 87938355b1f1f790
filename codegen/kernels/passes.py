"""One pass over the logits: its two functions, and the plan by which the runtime walks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from midpo.codegen.printing.chunks import Chunk
from midpo.codegen.statements.nodes import (
    Argument,
    Assign,
    Call,
    Code,
    Constant,
    Function,
    Name,
    Number,
    Return,
    Row,
    Statement,
    call,
    names,
)
from midpo.codegen.statements.quote import quote

from .frame import ANY, TENSOR

PASSES = {"fused": "Logits", "linear": "Heads", "triton": "Triton", "native": "Native"}
CONTEXTS, NUMBERS = quote("list[Tensor]"), quote("list[float]")
GRADIENT = (
    "The gradient with respect to the policy's logits (n, V), and to each context (n,), from the",
    "loss's derivatives with respect to the statistics (`seeds`).",
)


def values(found: Chunk, number: int) -> dict[str, Any]:
    """What the file is told of a pass."""
    forward, backward = names(found.forward), names(found.backward)
    return {
        "suffix": "" if number == 0 else f"_{number + 1}",
        "names": found.names,
        "labels": found.labels,
        "sums": found.names[len(found.labels) :],
        "count": len(found.names),
        "reads": [(r.policy, r.kinds, r.buffers) for r in found.reads],
        "rereads": [(r.policy, r.kinds, r.buffers) for r in found.rereads],
        "buffers": found.buffers,
        "tables": found.tables,
        "retables": found.retables,
        "numbers": found.numbers,
        "forward": found.forward,
        "backward": found.backward,
        "seeds": (*found.seeds, *("_" for _ in found.names[len(found.seeds) :])),
        "context_names": found.context_names,
        "context_gradients": found.context_gradients,
        "in_place": found.in_place,
        "near_one": found.near_one,
        "log_sums": found.log_sums,
        "forward_dtype": "dtype" in forward,
        "backward_dtype": "dtype" in backward,
        "guarded": found.guarded,
        "weighs": not {"expectation", "weighted"}.isdisjoint({*forward, *backward}),
        "uses_values": not backward.keys().isdisjoint(found.names),
    }


def functions(c: Mapping[str, Any]) -> list[Statement]:
    """The sums of a pass, where it has some, and its gradient."""
    found: list[Statement] = []
    if c["sums"]:
        arguments = (
            *_tensors(c["tables"]),
            Argument("contexts", CONTEXTS),
            Argument("numbers", NUMBERS),
            *_tensors(["like"]),
            *_ways(c)[:1],
        )
        body = (*_given(c, c["forward_dtype"]), *c["forward"], Return(_row("[]", c["sums"])))
        doc = (f"{', '.join(c['sums'])}: each (n,), for n rows of the tables (n, V).",)
        name = f"_statistics{c['suffix']}"
        found.append(Function(name, arguments, CONTEXTS, doc, body))
    tables = [*c["retables"], "index", "ours"]
    arguments = (
        *_tensors(tables),
        Argument("contexts", CONTEXTS),
        Argument("numbers", NUMBERS),
        *_tensors(["statistics", "seeds", "like"]),
        *_ways(c),
    )
    values = [_unpacked(c["names"], Name("statistics"))] if c["uses_values"] else []
    slopes = Row("", (Name("gradient"), _row("[]", c["context_gradients"])))
    body = (
        _unpacked(c["seeds"], Name("seeds")),
        *values,
        *_given(c, c["backward_dtype"]),
        *c["backward"],
        Return(slopes),
    )
    name, kind = f"_gradient{c['suffix']}", quote("tuple[Tensor, list[Tensor]]")
    return [*found, Function(name, arguments, kind, GRADIENT, body)]


def plan(v: Any, c: Mapping[str, Any]) -> list[Statement]:
    """The pass, and its operator."""
    suffix = c["suffix"]
    keywords: dict[str, Code] = {
        "function": Constant(v.function),
        **{key: constant(c[key]) for key in ("count", "labels", "reads", "rereads", "buffers")},
        "held": constant(v.buffers),
        "gradient": Name(f"_gradient{suffix}"),
    }
    if c["sums"]:
        keywords["statistics"] = Name(f"_statistics{suffix}")
    if c["weighs"]:
        keywords["ways"] = Name("WAYS")
    if c["guarded"] != (False, False):
        keywords["guarded"] = constant(c["guarded"])
    keywords |= {key: constant(c[key]) for key in ("in_place", "near_one", "log_sums") if c[key]}
    if v.backend in ("triton", "native"):
        keywords |= _of_rows(v, c)
    made = Call(Name(f"_{PASSES[v.backend]}Pass"), (), tuple(keywords.items()))
    operator = call("_operators", Constant(f"{v.function}_{v.short}{suffix}"), Name(f"_PASS{suffix}"))
    return [Assign(Name(f"_PASS{suffix}"), made, spread=True), Assign(Name(f"_forward{suffix}"), operator)]


def _of_rows(v: Any, c: Mapping[str, Any]) -> dict[str, Code]:
    """What a pass by kernels tells the runtime besides."""
    suffix = c["suffix"]
    found: dict[str, Code] = {"parameters": constant(len(c["kernel_numbers"]))}
    if v.unfit:
        found["unfit"] = Constant(v.unfit)
    if c["later"]:
        found["later"] = Constant(True)
    if v.backend == "native":
        return found | {"source": Name("SOURCE"), "suffix": Constant(suffix)}
    kernels: dict[str, Code] = {
        name: Name(f"_{name}{suffix}") for name in ("online", "combine", "sums", "slopes")
    }
    return found | kernels | {"moments": constant(len(c["walked"]) + len(c["accumulated"]))}


def constant(value: Any) -> Code:
    """A value of Python as what writes it."""
    if isinstance(value, (tuple, list)):
        return Row("()" if isinstance(value, tuple) else "[]", tuple(map(constant, value)))
    is_count = isinstance(value, int) and not isinstance(value, bool)
    return Number(str(value)) if is_count else Constant(value)


def _ways(c: Mapping[str, Any]) -> list[Argument]:
    """How products are made, where the pass makes some."""
    return [Argument(name, ANY) for name in ("expectation", "weighted")] if c["weighs"] else []


def _tensors(names: Iterable[str]) -> list[Argument]:
    return [Argument(name, TENSOR) for name in names]


def _given(c: Mapping[str, Any], dtype: bool) -> list[Statement]:
    found: list[Statement] = []
    if c["context_names"]:
        found.append(_unpacked(c["context_names"], Name("contexts")))
    if c["numbers"]:
        some = quote("numbers[:{}]", len(c["numbers"]))
        found.append(_unpacked(c["numbers"], some))
    return [*found, *([Assign(Name("dtype"), quote("like.dtype"))] if dtype else [])]


def _unpacked(names: Iterable[str], value: Code) -> Statement:
    row = _row("", names)
    return Assign(row if len(row.items) > 1 else Row("()", row.items), value)


def _row(brackets: str, names: Iterable[str]) -> Row:
    return Row(brackets, tuple(map(Name, names)))
