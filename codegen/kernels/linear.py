"""Kernels from hidden states and output heads, a few pairs at a time."""

from __future__ import annotations

from typing import Any

from midpo.codegen.statements.nodes import (
    Argument,
    Assign,
    Call,
    Code,
    Constant,
    Function,
    Name,
    Number,
    Row,
    Statement,
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
    metrics,
    named,
    option,
    padded,
    present,
    token_features,
    zeroed,
)

LABEL_LOGPS, WHOLE_LOGPS = "_token_logps", "_logps"


def linear(v: Any) -> Function:
    frozen = v.shorts.items()
    hidden: list[tuple[Code | None, Code]] = [(Constant("policy_hidden"), Name("policy_hidden"))]
    for policy, short in frozen:
        name = f"{short}_hidden"
        table = named([name])
        absent = quote("{{}} if {} is None else {}", name, table)
        hidden += [(None, absent)] if policy in v.label_only else table.items
    given = [
        *(f"{short}{LABEL_LOGPS}" for policy, short in frozen if policy in v.label_only),
        *(name for name, *_ in (*v.features, *v.parameters)),
    ]
    body = block(
        """
        flags = {"metrics": metrics, "validate": validate}
        _check_options(ignore_index, reduction, {"max_seqlen": max_seqlen, "rows": rows}, flags, EMPTY)
        held = isinstance(policy_weight, Tensor) and policy_weight.dim() == 2
        _need(held, "policy_weight", policy_weight, "(V, D)")
        size = policy_weight.shape[0]
        _check(HIDDEN, labels, OF, ignore_index, cu_seqlens, validate, EMPTY, vocabulary=size)
        FEATURES
        _check_head("policy", policy_hidden, policy_weight, policy_bias, size)
        DTYPE = _accumulation(policy_hidden)
        rows = _rows_at_once(rows, size, policy_hidden.device, TABLE)
        TRAINED = _head(policy_hidden, policy_weight, policy_bias)
        FROZEN: dict[str, list[Tensor]] = {}
        HEADS
        NUMBERS = _head_numbers(logit_softcap, logit_temperature, DTYPE)
        CHECKED
        given = GIVEN
        batch = _Batch(OF, TRAINED, FROZEN, labels, cu_seqlens, given, KINDS)
        longest = None if cu_seqlens is None else _longest(cu_seqlens, max_seqlen, validate)
        fixed = (longest, ignore_index, reduction if metrics else None, rows, NUMBERS, EMPTY)
        total, logged = _in_groups(
            FUNCTION, _losses, WALKED, WALKS, batch, fixed, reduction, num_pairs, ORDERS
        )
        return (total, _logged(logged, reduction, logged.pop("present", None))) if metrics else total
    """,
        HIDDEN=Table(tuple(hidden)),
        FEATURES=features(v),
        OF=v.of,
        EMPTY=empty(v),
        CHECKED=checked(v),
        DTYPE=v.dtype,
        TRAINED=v.trained,
        FROZEN=v.frozen,
        NUMBERS=v.numbers,
        GIVEN=named(given),
        FUNCTION=Constant(v.function),
        ORDERS=Constant(v.orders_batch),
        WALKED=_if_observed(v, "OBSERVING", "PASSES"),
        WALKS=_if_observed(v, "OBSERVERS", "OPERATORS"),
        HEADS=[line for policy, short in frozen for line in _frozen(v, policy, short)],
    )
    leads = [Argument(name, TENSOR) for name in ("policy_hidden", "policy_weight", "labels")]
    own = [option("policy_bias", "Tensor | None")]
    for policy, short in frozen:
        parts = ["_hidden", "_weight", "_bias", *([LABEL_LOGPS] * (policy in v.label_only))]
        parts += [WHOLE_LOGPS] * (policy in v.whole_only)
        own += [option(f"{short}{part}", "Tensor | None") for part in parts]
    own += [
        option("logit_softcap", "float | None"),
        option("logit_temperature", "float", "1.0"),
        option("rows", "int | None"),
    ]
    return function(v, leads, own, body)


def _if_observed(v: Any, yes: str, no: str) -> Code:
    """Passes that observe the logits where this is logged, else those that do not."""
    return quote("{} if metrics else {}", yes, no) if v.observes else Name(no)


def _frozen(v: Any, policy: str, short: str) -> tuple[Statement, ...]:
    """Take a frozen policy's head, or its log-probabilities of the labels where they are enough."""
    hidden, weight, bias, logps = (f"{short}{part}" for part in ("_hidden", "_weight", "_bias", LABEL_LOGPS))
    holes = {"HIDDEN": hidden, "WEIGHT": weight, "BIAS": bias, "LOGPS": logps, "FROZEN": v.frozen}
    texts = {"S": Constant(short), "L": Constant(logps), "P": Constant(policy)}
    whole = f"{short}{WHOLE_LOGPS}"
    if policy in v.label_only:
        of_whole = block(
            """
            if WHOLE is not None:
                _check_whole(W, WHOLE, LOGPS, labels, cu_seqlens)
                LOGPS = _at_first(WHOLE, labels, ignore_index, cu_seqlens)
        """,
            WHOLE=whole,
            W=Constant(whole),
            LOGPS=logps,
        )
        needed = block(
            """
            OF_WHOLE
            if LOGPS is not None:
                held = isinstance(LOGPS, Tensor)
                held = held and LOGPS.shape == labels.shape
                _need(held, L, LOGPS, tuple(labels.shape))
            elif HIDDEN is None or WEIGHT is None:
                raise ValueError(SAID)
        """,
            OF_WHOLE=of_whole if policy in v.whole_only else (),
            SAID=Constant(f"{hidden}: got nothing, needs it or {logps}"),
            **holes,
            **texts,
        )
    else:
        needed = block(
            """
            if HIDDEN is None or WEIGHT is None:
                raise ValueError(SAID)
        """,
            SAID=Constant(f"{hidden}: got nothing, needs it with {weight}"),
            **holes,
        )
    return needed + block(
        """
        if HIDDEN is not None and WEIGHT is not None:
            _check_head(S, HIDDEN, WEIGHT, BIAS, size)
            FROZEN[P] = [x.detach() for x in _head(HIDDEN, WEIGHT, BIAS, DTYPE)]
    """,
        DTYPE=v.dtype,
        **holes,
        **texts,
    )


def losses(v: Any) -> Function:
    """The loss of each pair of a few, and what trainers log of it."""
    given = (*v.given_names, *(name for name, *_ in (*v.features, *v.parameters)))
    taken: list[Statement] = []
    if given:
        row = Row("" if len(given) > 1 else "()", tuple(map(Name, given)))
        taken.append(Assign(row, quote("batch.given.values()")))
    which = block("if present is not None:\n    LOGGED['present'] = present", LOGGED=v.metric_name)
    which = () if v.orders_batch else which
    body = block(
        """
        TRAINED, FROZEN = batch.trained, batch.frozen
        labels, cu_seqlens = batch.labels, batch.cu_seqlens
        DTYPE = _accumulation(TRAINED[0])
        SETTINGS = (rows, "", keep)
        LAYOUT = None
        if cu_seqlens is not None and longest is not None:
            LAYOUT = _layout(cu_seqlens, longest, labels)
        flat_labels = torch.where(labels == ignore_index, -1, labels)
        labels = _padded(flat_labels, LAYOUT, -1)
        TAKEN
        PADDED
        MASK = labels >= 0
        PRESENT
        BODY
        ZEROED
        if reduction is None:
            return LOSS, {}
        with torch.no_grad():
            METRICS
        return LOSS, LOGGED
    """,
        TRAINED=v.trained,
        FROZEN=v.frozen,
        DTYPE=v.dtype,
        SETTINGS=v.settings,
        LAYOUT=v.layout,
        TAKEN=taken,
        PADDED=padded(token_features(v), v.layout, quote("1")),
        MASK=v.mask,
        BODY=v.body,
        LOSS=v.loss,
        PRESENT=present(v, dict.fromkeys(token_features(v), Number("1"))),
        ZEROED=zeroed(v),
        METRICS=[*metrics(v), *which],
        LOGGED=v.metric_name,
    )
    kinds = {
        v.walk: "Any",
        "batch": "_Batch",
        "keep": "int",
        "longest": "int | None",
        "ignore_index": "int",
        "reduction": "str | None",
        "rows": "int",
        v.numbers: "list[float]",
        "empty": "str",
    }
    arguments = tuple(Argument(name, quote(kind)) for name, kind in kinds.items())
    doc = (
        f"The loss of each pair, and what trainers log of it unless `reduction` is None. `{v.walk}` gives",
        "the statistics of a pass.",
    )
    return Function("_losses", arguments, quote("tuple[Tensor, dict[str, Tensor]]"), doc, body)


def constants(v: Any) -> list[Statement]:
    """What the passes and the batch's parts are called."""
    table = [(name, "token") for name in v.given_names]
    table += [(name, kind) for name, _, kind in v.features]
    found: list[Statement] = [
        Assign(Name("KINDS"), Table(tuple((Constant(name), Constant(kind)) for name, kind in table)))
    ]
    for name, one in (("PASSES", "_PASS"), ("OPERATORS", "_forward")):
        each = tuple(Name(f"{one}{c['suffix']}") for c in v.chunks)
        found.append(Assign(Name(name), Row("()", each)))
    if v.observes:
        found += block(
            """
            OBSERVING = (_observing(_PASS), *PASSES[1:])
            OBSERVERS = (_operators(OBSERVED_NAME, OBSERVING[0]), *OPERATORS[1:])
        """,
            OBSERVED_NAME=Constant(f"{v.function}_{v.short}_observed"),
        )
    if v.label_only:
        operator: Call = call("_label_operator", Constant(f"{v.function}_{v.short}_labels"))
        found.append(Assign(Name("_label_logps"), operator))
    return found
