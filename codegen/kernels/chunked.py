"""Kernels from statistics: of logits that are there, walked in chunks or row by row."""

from __future__ import annotations

from typing import Any

from midpo.codegen.statements.nodes import (
    Argument,
    Assign,
    Constant,
    Function,
    Name,
    Number,
    Row,
    Table,
    call,
)
from midpo.codegen.statements.quote import block, quote

from .frame import (
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


def fused(v: Any) -> Function:
    frozen = Table(
        tuple(
            (Constant(policy), Row("[]", (quote("{}.detach()", argument),)))
            for policy, argument in v.frozen_arguments
        )
    )
    body = block(
        """
        flags = {"metrics": metrics, "validate": validate, "inplace_backward": inplace_backward}
        _check_options(ignore_index, reduction, {"max_seqlen": max_seqlen, "rows": rows}, flags, EMPTY)
        vocab_group = _vocabulary_group(policy_logits, vocab_group)
        LOCAL
        sharded = vocab_group is not None
        _check(LEADS, labels, OF, ignore_index, cu_seqlens, validate, EMPTY, sharded=sharded)
        FEATURES
        DTYPE = _accumulation(policy_logits)
        TRAINED, NUMBERS = [policy_logits], []
        FROZEN = LOGITS
        SETTINGS = _settings(policy_logits, inplace_backward, vocab_group, rows, HELD)
        CHECKED
        LAYOUT = None
        if cu_seqlens is not None:
            LAYOUT = _layout(cu_seqlens, _longest(cu_seqlens, max_seqlen, validate), labels)
        flat_labels = torch.where(labels == ignore_index, -1, labels)
        labels = _padded(flat_labels, LAYOUT, -1)
        PADDED
        MASK = labels >= 0
        PRESENT
        BODY
        RETURNED
    """,
        LEADS=named(v.arguments),
        FEATURES=features(v),
        OF=v.of,
        EMPTY=empty(v),
        PRESENT=present(v, dict.fromkeys(token_features(v), Number("1"))),
        CHECKED=checked(v),
        DTYPE=v.dtype,
        LOCAL=[Assign(Name(a), call("_local", Name(a))) for a in v.arguments],
        TRAINED=v.trained,
        NUMBERS=v.numbers,
        FROZEN=v.frozen,
        LOGITS=frozen,
        HELD=v.buffers,
        SETTINGS=v.settings,
        LAYOUT=v.layout,
        MASK=v.mask,
        BODY=v.body,
        RETURNED=returned(v),
        PADDED=padded(token_features(v), v.layout, quote("1")),
    )
    leads = [Argument(name, TENSOR) for name in (*v.arguments, "labels")]
    own = [
        option("inplace_backward", "bool", "False"),
        option("vocab_group", "Any"),
        option("rows", "int | None"),
    ]
    return function(v, leads, own, body)
