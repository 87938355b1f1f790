"""Kernels that are written out: from logits by autograd, or from log-probabilities of labels."""

from __future__ import annotations

from typing import Any

from midpo.codegen.statements.nodes import Argument, Assign, Constant, Function, Name, Number, call
from midpo.codegen.statements.quote import block, quote

from .frame import (
    NONE,
    OPTIONAL,
    TENSOR,
    checked,
    empty,
    features,
    function,
    named,
    option,
    padded,
    present,
    returned,
    token_features,
)


def eager(v: Any) -> Function:
    arguments = [name for name, _ in v.logits]
    body = block(
        """
        flags = {"metrics": metrics, "validate": validate}
        _check_options(ignore_index, reduction, {"max_seqlen": max_seqlen}, flags, EMPTY)
        _check(LEADS, labels, OF, ignore_index, cu_seqlens, validate, EMPTY)
        FEATURES
        CHECKED
        DTYPE = _accumulation(policy_logits)
        if cu_seqlens is not None:
            packing = _places(cu_seqlens, _longest(cu_seqlens, max_seqlen, validate))
            labels = _padded(labels, packing, ignore_index)
            PADDED
        MASK = labels != ignore_index
        COUNTED
        PRESENT
        BODY
        RETURNED
    """,
        LEADS=named(arguments),
        FEATURES=features(v),
        OF=v.of,
        EMPTY=empty(v),
        CHECKED=checked(v),
        DTYPE=v.dtype,
        PADDED=[
            *padded(arguments, "packing", Number("0")),
            *padded(token_features(v), "packing", Number("1")),
        ],
        MASK=v.mask,
        BODY=v.body,
        RETURNED=returned(v),
        COUNTED=[
            Assign(Name(name), quote("torch.where({}.unsqueeze(-1), {}, 0.0)", v.mask, name))
            for name in arguments
        ],
        PRESENT=present(v, {"labels": Number("0"), **dict.fromkeys(token_features(v), Number("1"))}),
    )
    leads = [Argument(name, TENSOR) for name in (*arguments, "labels")]
    return function(v, leads, (), body)


def logps(v: Any) -> Function:
    body = block(
        """
        flags = {"metrics": metrics, "validate": validate}
        _check_options(ignore_index, reduction, {"max_seqlen": max_seqlen}, flags, EMPTY)
        WHOLE
        _check_logps(LEADS, labels, OF, ignore_index, cu_seqlens, validate, EMPTY)
        FEATURES
        CHECKED
        DTYPE = _accumulation(FIRST)
        MASK = labels != ignore_index
        if cu_seqlens is not None:
            packing = _places(cu_seqlens, _longest(cu_seqlens, max_seqlen, validate))
            MASK = _padded(MASK, packing, False)
            PADDED
        PRESENT
        BODY
        RETURNED
    """,
        LEADS=named(v.arguments),
        FEATURES=features(v),
        OF=v.of,
        EMPTY=empty(v),
        CHECKED=checked(v),
        DTYPE=v.dtype,
        FIRST=v.arguments[0],
        MASK=v.mask,
        BODY=v.body,
        RETURNED=returned(v),
        PRESENT=present(
            v, dict.fromkeys(v.arguments, quote("-1.0")) | dict.fromkeys(token_features(v), Number("1"))
        ),
        WHOLE=_of_whole_responses(v) if v.whole else (),
        PADDED=[
            *padded(v.arguments, "packing", quote("-1.0")),
            *padded(token_features(v), "packing", quote("1.0")),
        ],
    )
    leads = [Argument(name, TENSOR) for name in v.arguments]
    labels = Argument("labels", OPTIONAL, NONE) if v.whole else Argument("labels", TENSOR)
    own = [option("sequence_lengths", "Tensor | None")] if v.whole else []
    return function(v, [*leads, labels], own, body)


def _of_whole_responses(v: Any) -> Any:
    """Take log-probabilities of whole responses where there are no labels."""
    lengths = block("_check_lengths(sequence_lengths, labels.shape[0], validate)")
    if not v.needs_lengths:
        lengths = block(
            """
            if sequence_lengths is not None:
                CHECK
        """,
            CHECK=lengths,
        )
    return block(
        """
        if labels is None:
            EACH
            labels = torch.zeros_like(FIRST, dtype=torch.int64)
            LENGTHS
        elif sequence_lengths is not None:
            raise ValueError("sequence_lengths: got it beside labels, needs one of them")
    """,
        FIRST=v.arguments[0],
        LENGTHS=lengths,
        EACH=[Assign(Name(a), call("_whole", Constant(a), Name(a), Number(str(v.of)))) for a in v.arguments],
    )
