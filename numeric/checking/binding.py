"""How the arguments of a loss function are bound to what a spec speaks of: by name.

| argument | is bound to |
| --- | --- |
| `policy_logits`, `reference_logits`, `old_logits` ... | logits (2B, T, V) of a policy |
| `policy_hidden`, `policy_weight`, `policy_bias` ... | hidden states (2B, T, D) and the head |
| `policy_token_logps`, or `policy_logps` | log-probabilities of the labels, (2B, T) |
| `policy_logps` beside `policy_token_logps` | those of whole responses, (2B,) |
| `policy_chosen_logps`, `policy_rejected_logps` ... | those of whole responses, (B,) |
| `labels`; `mask` | (2B, T), ignored where -100; where they count |
| `lengths` | (2B,), tokens of each response |
| a feature's name, a parameter's name | the feature, the number |

For `policy_` may stand `pi_` or nothing, for `reference_` `ref_` or `pi_ref_`; `logprobs` for
`logps`; and `chosen_` or `rejected_` before logits, token_logps, labels, mask, lengths or a feature
is the half of it. A name given by the caller goes first; an argument may also be made of several
(`composing`).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from sympy import Expr

from midpo.numeric.arithmetic import Floats
from midpo.numeric.evaluate import Evaluator, Point
from midpo.symbolic.errors import MidpoError, nearest
from midpo.symbolic.language.parser import parse
from midpo.symbolic.language.places import Place
from midpo.symbolic.language.spec import Spec, policy_argument
from midpo.symbolic.loss import is_constant

from .composing import Composed, Made, compose

# What a kernel may be asked besides: options that the check sets itself.
OPTIONS = (
    "reduction",
    "num_pairs",
    "ignore_index",
    "cu_seqlens",
    "max_seqlen",
    "empty",
    "metrics",
    "validate",
    "rows",
    "inplace_backward",
    "vocab_group",
    "logit_softcap",
    "logit_temperature",
)
_MASKS = ("mask", "loss_mask", "completion_mask", "response_mask")
_LENGTHS = ("lengths", "sequence_lengths")
# What is known of a policy, from the most to the least.
KINDS = ("logits", "hidden", "logps", "whole")
_OF_POLICY = ("logits", "hidden", "weight", "bias", "logps", "whole")
_PARTS = {
    "logits": ("logits", "logits"),
    "hidden": ("hidden", "hidden"),
    "weight": ("hidden", "weight"),
    "bias": ("hidden", "bias"),
    "token_logps": ("logps", "logps"),
    "logps": ("logps", "logps"),
}


@dataclass(frozen=True)
class Source:
    """Where an argument's value comes from: `kind` of thing, its `name`, and which half of the
    batch ("chosen", "rejected", or all)."""

    kind: str
    name: str = ""
    side: str = ""
    value: Any = None

    def __str__(self) -> str:
        if self.kind in ("constant", "expression", "made"):
            return str(self.value)
        what = self.kind if self.kind in ("labels", "mask", "lengths") else self.name
        policy = f" {self.kind}" * (self.kind in _OF_POLICY)
        return f"{what}{policy}{' of the ' * bool(self.side)}{self.side}"


@dataclass(frozen=True)
class Binding:
    """A function and the source of each of its arguments. `kinds` says what is given of each
    policy; `fixed` are parameters that no argument takes, at their defaults; `contracts` say what
    operators compute that are not looked into (numeric.code.contracts)."""

    function: Callable[..., Any]
    sources: Mapping[str, Source]
    positional: tuple[str, ...]
    kinds: Mapping[str, str]
    fixed: Mapping[str, Fraction]
    notes: tuple[str, ...] = ()
    options: frozenset[str] = field(default_factory=frozenset)
    left_out: frozenset[str] = field(default_factory=frozenset)
    contracts: tuple[Any, ...] = ()

    def variants(self) -> list[Binding]:
        """Other inputs that the same arguments allow: a frozen policy by its labels' or its
        responses' log-probabilities instead of its hidden states, and log-probabilities of whole
        responses with their lengths instead of labels."""
        found = []
        asked = _policies(self.sources)
        for kind in ("logps", "whole"):
            by_it = {p for p, kinds in asked.items() if {"hidden", kind} <= kinds}
            if by_it:
                found.append(
                    replace(self, kinds={p: kind if p in by_it else k for p, k in self.kinds.items()})
                )
        if self.source_of("labels") and self.source_of("lengths") and (set(self.kinds.values()) == {"logps"}):
            found.append(replace(self, kinds=dict.fromkeys(self.kinds, "whole")))
        return [replace(each, left_out=each.superfluous()) for each in found]

    def source_of(self, kind: str) -> bool:
        return any(source.kind == kind for source in leaves(self.sources))

    def by_lengths(self) -> bool:
        """Whether only lengths say which tokens count: the first ones do."""
        return self.source_of("lengths") and not (self.source_of("labels") or self.source_of("mask"))

    def superfluous(self) -> frozenset[str]:
        """The optional arguments of which others say the same."""
        out = set()
        both = self.source_of("labels") and self.source_of("lengths")
        by_whole = set(self.kinds.values()) == {"whole"}
        asked = _policies(self.sources)
        for name, source in self.sources.items():
            kind = self.kinds.get(source.name)
            instead = kind in asked.get(source.name, ()) and _thing(source) not in (kind, None)
            other = both and source.kind == ("labels" if by_whole else "lengths")
            if instead or other:
                out.add(name)
        return frozenset(out & self.optional())

    def optional(self) -> set[str]:
        parameters = signature(self.function).parameters.values()
        return {p.name for p in parameters if p.default is None}

    def __str__(self) -> str:
        return ", ".join(f"{name} = {source}" for name, source in self.sources.items())

    def call(self, values: Mapping[str, Any]) -> Any:
        first = [values[name] for name in self.positional if name in values]
        named = {k: v for k, v in values.items() if k not in self.positional}
        return self.function(*first, **named)


def leaves(sources: Mapping[str, Source]) -> Iterator[Source]:
    """The sources that values come from: of an argument that is made of several, these."""
    for source in sources.values():
        yield from source.value.names.values() if isinstance(source.value, Composed) else (source,)


def bind(
    spec: Spec,
    function: Callable[..., Any],
    given: Mapping[str, Any] | None = None,
    needed: tuple[str, ...] = (),
) -> Binding:
    """Bind every argument of `function`. `given` has the caller's own: the name of something
    bound here, a number, or an expression in the spec's parameters. `needed` are the policies that
    the loss depends on.

    Raises: MidpoError for an argument that has neither a source nor a default.
    """
    name = getattr(function, "__name__", "the function")
    try:
        parameters = signature(function).parameters
    except (TypeError, ValueError):
        raise MidpoError(f"{name}: its arguments cannot be read\n  expected: a Python function") from None
    given = dict(given or {})
    for wrong in sorted(set(given) - set(parameters)):
        option = "bind" if isinstance(given[wrong], Made) else "set"
        raise MidpoError(
            f"--{option} {wrong}: {name} has no such argument\n  expected: {nearest(wrong, list(parameters))}"
        )
    sources: dict[str, Source] = {}
    unbound = []
    for each in parameters.values():
        if each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD):
            continue
        source = _given(spec, each.name, given[each.name]) if each.name in given else find(spec, each.name)
        if source is not None:
            sources[each.name] = source
        elif each.default is each.empty:
            unbound.append(each.name)
    if unbound:
        raise MidpoError(_unbound(spec, name, unbound))
    sources = _told_apart(sources)
    kinds = _kinds(spec, sources, needed)
    notes = [f"{name} is {source}" for name, source in sources.items() if source.kind == "made"]
    notes += [f"no argument takes {p}: the loss depends on it" for p in needed if p not in _policies(sources)]
    taken = {s.name for s in leaves(sources) if s.kind == "parameter"}
    for source in leaves(sources):
        if source.kind == "expression":
            taken |= {str(s) for s in source.value.free_symbols}
    fixed = {}
    for parameter in spec.names.parameters:
        if parameter in taken:
            continue
        default = spec.defaults.get(parameter)
        if default is None:
            notes.append(f"no argument takes {parameter}, and it has no default in the spec")
        else:
            fixed[parameter] = Fraction(int(default.p), int(default.q))
            notes.append(f"no argument takes {parameter}: held at its default {float(default):g}")
    for feature in spec.names.features:
        if not any(s.kind == "feature" and s.name == feature for s in leaves(sources)):
            notes.append(f"no argument takes the feature {feature}")
    positional = tuple(p.name for p in parameters.values() if p.kind is p.POSITIONAL_ONLY)
    options = frozenset(n for n in parameters if n in OPTIONS and sources[n].kind == "option")
    found = Binding(function, sources, positional, kinds, fixed, tuple(notes), options)
    return replace(found, left_out=found.superfluous())


def signature(function: Callable[..., Any]) -> inspect.Signature:
    """That of a function; of a torch module, that of its `forward`."""
    found = inspect.signature(function)
    loose = all(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in found.parameters.values())
    forward = getattr(function, "forward", None)
    return inspect.signature(forward) if loose and callable(forward) else found


def find(spec: Spec, argument: str) -> Source | None:
    """What an argument of this name is, or None."""
    names = spec.names
    if argument in names.parameters:
        return Source("parameter", argument)
    if argument in names.features:
        return Source("feature", argument)
    if argument in OPTIONS:
        return Source("option", argument)
    for side in ("chosen", "rejected"):
        rest = argument.removeprefix(f"{side}_")
        if rest != argument:
            if names.features.get(rest) in ("response", "token"):
                return Source("feature", rest, side)
            if (found := _data(rest)) is not None:
                return Source(found, side=side)
    if (found := _data(argument)) is not None:
        return Source(found)
    return _of_policy(spec, argument)


def _data(argument: str) -> str | None:
    if argument == "labels":
        return "labels"
    return "mask" if argument in _MASKS else "lengths" if argument in _LENGTHS else None


def _of_policy(spec: Spec, argument: str) -> Source | None:
    written = re.sub(r"(log_?probs?|logp)$", "logps", argument)
    for policy in sorted(spec.names.policies, key=lambda p: p == "pi"):
        for prefix in prefixes(policy):
            if not written.startswith(prefix):
                continue
            rest = written.removeprefix(prefix)
            side = next((s for s in ("chosen", "rejected") if rest.startswith(f"{s}_")), "")
            part = rest.removeprefix(f"{side}_") if side else rest
            if side and part == "logps":
                return Source("whole", policy, side)
            if part in _PARTS and not (side and part in ("weight", "bias")):
                return Source(_PARTS[part][1], policy, side)
    return None


def prefixes(policy: str) -> tuple[str, ...]:
    """What a policy's arguments begin with; the first is the one that `generate` uses."""
    short = policy_argument(policy).removesuffix("logits")
    if policy == "pi":
        return (short, "pi_", "")
    return (short, "ref_", "pi_ref_") if policy == "pi_ref" else (short, f"{policy}_")


def _policies(sources: Mapping[str, Source]) -> dict[str, set[str]]:
    """For each policy, the things that arguments ask of it."""
    found: dict[str, set[str]] = {}
    for source in leaves(sources):
        if (kind := _thing(source)) is not None:
            found.setdefault(source.name, set()).add(kind)
    return found


def _thing(source: Source) -> str | None:
    """What of a policy an argument is of, one of KINDS; None where it is of no policy."""
    kind = "hidden" if source.kind in ("weight", "bias") else source.kind
    return kind if kind in KINDS else None


def _told_apart(sources: dict[str, Source]) -> dict[str, Source]:
    """Where a policy has `token_logps`, its `logps` are those of whole responses."""
    each = {s.name for n, s in sources.items() if s.kind == "logps" and n.endswith("token_logps")}
    return {
        n: replace(s, kind="whole")
        if s.kind == "logps" and s.name in each and not n.endswith("token_logps")
        else s
        for n, s in sources.items()
    }


def _kinds(spec: Spec, sources: Mapping[str, Source], needed: tuple[str, ...]) -> dict[str, str]:
    asked = _policies(sources)
    found = {p: next(k for k in KINDS if k in kinds) for p, kinds in asked.items()}
    for policy in ("pi", *needed):  # one that no argument takes is drawn as the others are
        found.setdefault(policy, next(iter(found.values()), "logits"))
    return {p: found[p] for p in sorted(found, key=lambda p: (p != "pi", p))}


def _given(spec: Spec, argument: str, value: Any) -> Source:
    """What the caller gives an argument.
    Raises: MidpoError for what is no name, number or expression in the parameters."""
    if isinstance(value, (bool, int, float)) or value is None:
        return Source("constant", value=value)
    if isinstance(value, Made):
        made = compose(argument, value, lambda name: find(spec, name), bindable(spec))
        return Source("made", value=made)
    written = str(value).strip()
    words = {"True": True, "False": False, "None": None}
    if written in words:
        return Source("constant", value=words[written])
    if len(written) > 1 and written[0] == written[-1] and written[0] in "'\"":
        return Source("constant", value=written[1:-1])
    if written.isidentifier() and (found := find(spec, written)) is not None:
        return found
    try:
        expr = parse(written, spec.names, Place(()))
    except MidpoError as error:
        raise MidpoError(
            f"--set {argument}={written}: {str(error).splitlines()[0]}\n  expected: {bindable(spec)}"
        ) from None
    if not is_constant(expr):
        raise MidpoError(
            f"--set {argument}={written}: an expression may speak of parameters only\n"
            f"  expected: {bindable(spec)}"
        )
    return Source("expression", value=expr)


def number(expr: Expr, parameters: Mapping[str, Fraction]) -> float:
    """The value of an expression in the parameters."""
    point = Point({}, {}, {name: float(value) for name, value in parameters.items()})
    return float(Evaluator(Floats(), point)(expr))


def _pi_first(policy: str) -> tuple[bool, str]:
    return policy != "pi", policy


def bindable(spec: Spec) -> str:
    """What can be given to an argument, as text."""
    names = [
        f"{p}logits, {p}token_logps, {p}chosen_logps, {p}rejected_logps"
        for p in (prefixes(q)[0] for q in sorted(spec.names.policies, key=_pi_first))
    ]
    names += ["labels, mask, lengths"]
    names += [f"feature {f}" for f in spec.names.features]
    names += [f"parameter {p}" for p in spec.names.parameters]
    return "; ".join(names) + "; or a number"


def _unbound(spec: Spec, name: str, unbound: list[str]) -> str:
    example = next(iter(spec.names.parameters), "labels")
    plural = "arguments are" if len(unbound) > 1 else "argument is"
    return (
        f"{name}: {len(unbound)} {plural} not bound: {', '.join(unbound)}\n"
        f"  can be bound: {bindable(spec)}\n"
        f"  expected: --set {unbound[0]}=..., as --set {unbound[0]}={example}"
    )
