"""The TOML table of a spec, read key by key: what is wrong, where, and what was expected."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from sympy import Expr, Rational

from midpo.symbolic.domains.intervals import REAL, Interval
from midpo.symbolic.domains.minimal import minimal
from midpo.symbolic.domains.positive import positivity
from midpo.symbolic.domains.written import KNOWN_DOMAINS, read_domain
from midpo.symbolic.errors import SpecError, nearest

from .nodes import MULTIPLIER, Further, Parameter
from .parser import parse_with_conditions
from .places import BATCH, LINK, PRIOR, TARGET, Condition, Names, Place
from .toml import one_line
from .words import FUNCTIONS, SPECIAL

CONFIRMED = "confirmed"
UNCONFIRMED = "unconfirmed: "
KEYS = (
    "name",
    "title",
    "reference",
    "status",
    "reason",
    "prior",
    "parameters",
    "features",
    "policies",
    "responses",
    "target",
    "constraint",
    "multiplier",
    "link",
    "conventions",
    "bibtex",
)


FEATURES = {"response": "(y)", "token": "(y, t)", "pair": ""}


POLICY_KINDS = ("frozen",)


MAX_RESPONSES = 6  # beside the pair


NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")


IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


RESPONSE_NAME = re.compile(r"y_[A-Za-z][A-Za-z0-9]{0,15}")


MEANING = re.compile(r"[A-Za-z][A-Za-z0-9 ,()-]{0,119}")  # plain words: it goes into every output


# Names that a spec cannot give away: they mean something in the language, or in the signature of
# a generated function.
RESERVED = frozenset(
    {"y", "y_w", "y_l", "m", "vocab", "x", "torch", "F", "labels", "reduction", "validate", "zeta"}
    | {
        "num_pairs",
        "ignore_index",
        "cu_seqlens",
        "max_seqlen",
        "empty",
        "metrics",
        "rows",
        "inplace_backward",
        "vocab_group",
        "logit_softcap",
        "logit_temperature",
        "sequence_lengths",
    }
    | {*FUNCTIONS, *SPECIAL, *keyword.kwlist, *keyword.softkwlist, *dir(builtins)}
)


class Table:
    """Turns a parsed TOML table into the fields of a Spec, one key at a time."""

    def __init__(self, table: dict[str, Any], file: str, digest: str) -> None:
        self.table, self.file, self.digest = table, file, digest
        self.conditions: list[Condition] = []
        self.texts: dict[str, str] = {}

    def fields(self) -> dict[str, Any]:
        """What a Spec is made of, by the names of its fields."""
        self.no_others(self.table, KEYS, "")
        name = self.name()
        title = self.prose("title")
        reference = self.prose("reference")
        bibtex = self.bibtex()
        parameters, defaults = self.parameters()
        features, ranges = self.features(set(parameters))
        names = Names(parameters, features, frozenset(), ranges=ranges)
        names = replace(names, policies=self.policies(names))
        responses = self.responses(names)
        names = replace(names, responses=tuple(map(Further, responses)))
        target = self.section("target")
        self.no_others(target, ("margin", "loss", "batch"), "target")
        if "target" in self.table and len(target) != 1:
            raise SpecError(f"{len(target)} targets", key="target", expected="one of margin, loss, batch")
        prior = self.expression(self.table, "prior", names, PRIOR)
        if prior is not None:
            self.conditions += self.positivity(prior, names)
        margin = self.expression(target, "margin", names, TARGET, "target.")
        loss = self.expression(target, "loss", names, TARGET, "target.")
        batch = self.expression(target, "batch", names, BATCH, "target.")
        status, reason = self.status(), self.prose("reason")
        if reason and (prior is not None or margin is not None or loss is not None):
            raise SpecError(
                "a reason beside a prior or a target",
                key="reason",
                expected="a reason only where no spec of one pair can hold the loss",
            )
        if batch is not None and not reason:
            raise SpecError(
                "the loss of a batch without a reason",
                key="target.batch",
                expected='reason = "...": why it is no loss of one pair',
            )
        if prior is None and not target and not reason:
            raise SpecError("neither a prior nor a target", expected='prior = "...", [target], both')
        constraint = self.expression(self.table, "constraint", names, TARGET)
        link = self.expression(self.table, "link", names, LINK)
        return {
            "name": name,
            "names": names,
            "title": title,
            "reference": reference,
            "bibtex": bibtex,
            "defaults": defaults,
            "prior": prior,
            "margin": margin,
            "loss": loss,
            "constraint": constraint,
            "multiplier": self.multiplier(parameters, constraint),
            "link": link,
            "conditions": minimal(self.conditions),
            "texts": self.texts,
            "digest": self.digest,
            "file": self.file,
            "status": status,
            "reason": reason,
            "conventions": self.prose("conventions"),
            "responses": responses,
            "batch": batch,
        }

    # -- pieces

    def no_others(self, table: Mapping[str, Any], known: Iterable[str], key: str) -> None:
        for name in table:
            if name not in known:
                where = f"{key}.{name[:40]}" if key else name[:40]
                raise SpecError("unknown key", key=where, expected=nearest(name, known))

    def section(self, key: str) -> dict[str, Any]:
        value = self.table.get(key, {})
        if not isinstance(value, dict):
            raise SpecError(f"a {_kind(value)}", key=key, expected=f"a table, [{key}]")
        return value

    def string(self, key: str) -> str:
        value = self.table.get(key, "")
        if not isinstance(value, str):
            raise SpecError(f"a {_kind(value)}", key=key, expected="a string")
        return value

    def prose(self, key: str) -> str:
        """Words for a reader, on one line."""
        return one_line(self.string(key))

    def name(self) -> str:
        if "name" not in self.table:
            raise SpecError("the key is missing", key="name", expected='name = "my-algorithm"')
        name = self.string("name")
        if not NAME.fullmatch(name):
            raise SpecError(
                f'"{name[:80]}" is not a name',
                key="name",
                expected="a lower-case letter, then letters, digits, - or _, at most 64",
            )
        return name

    def status(self) -> str:
        status = self.prose("status") or CONFIRMED
        if status != CONFIRMED and not status.startswith(UNCONFIRMED):
            raise SpecError(
                f"{_shown(status)} is not a status",
                key="status",
                expected=f'"{CONFIRMED}", or "{UNCONFIRMED}" and why',
            )
        return status

    def bibtex(self) -> dict[str, str]:
        fields = self.section("bibtex")
        for key, value in fields.items():
            if not re.fullmatch(r"[a-z]{1,20}", key) or not isinstance(value, (str, int)):
                raise SpecError(
                    "not a BibTeX field",
                    key=f"bibtex.{key[:40]}",
                    expected='a lower-case field with a text, author = "..."',
                )
        return {key: str(value) for key, value in fields.items()}

    def identifier(self, name: str, key: str, taken: Iterable[str] = ()) -> None:
        if not IDENTIFIER.fullmatch(name) or name.startswith(("pi_", "y_", "_")) or name == "pi":
            raise SpecError(
                f'"{name[:40]}" cannot be used as a name',
                key=key,
                expected="letters, digits and _, not pi, pi_... or y_...",
            )
        if name in RESERVED or name.endswith("_logits"):
            raise SpecError(f'"{name}" already has a meaning', key=key, expected="another name")
        if name in taken:
            raise SpecError(f'"{name}" is declared twice', key=key, expected="different names")

    def parameters(self) -> tuple[dict[str, Parameter], dict[str, Rational]]:
        parameters: dict[str, Parameter] = {}
        defaults: dict[str, Rational] = {}
        for name, entry in self.section("parameters").items():
            key = f"parameters.{name[:40]}"
            self.identifier(name, key)
            table = entry if isinstance(entry, dict) else {"domain": entry}
            self.no_others(table, ("domain", "default"), key)
            domain = _domain(table, key)
            parameters[name] = Parameter(name, domain)
            if "default" in table:
                defaults[name] = _default(table["default"], domain, key)
        if "alpha" in parameters and not parameters["alpha"].domain.positive:
            raise SpecError(
                f'domain "{parameters["alpha"].domain}"',
                key="parameters.alpha",
                expected='alpha is the scale of the loss: "positive"',
            )
        return parameters, defaults

    def features(self, taken: set[str]) -> tuple[dict[str, str], dict[str, Interval]]:
        """The kind of each feature, and the domains narrower than the real line."""
        features: dict[str, str] = {}
        ranges: dict[str, Interval] = {}
        for name, entry in self.section("features").items():
            key = f"features.{name[:40]}"
            self.identifier(name, key, taken)
            table = entry if isinstance(entry, dict) else {"kind": entry}
            self.no_others(table, ("kind", "domain"), key)
            if "kind" not in table:
                raise SpecError(
                    "the kind is missing", key=key, expected='{ kind = "pair", domain = "positive" }'
                )
            kind = table["kind"]
            if not isinstance(kind, str) or kind not in FEATURES:
                raise SpecError(
                    f"{_shown(kind)} is not a kind of feature", key=key, expected=nearest(str(kind), FEATURES)
                )
            features[name] = kind
            domain = _domain(table, key)
            if domain != REAL:
                ranges[name] = domain
        return features, ranges

    def policies(self, names: Names) -> frozenset[str]:
        policies = {"pi", "pi_ref"}
        for name, kind in self.section("policies").items():
            key = f"policies.{name[:40]}"
            if not IDENTIFIER.fullmatch(name) or not re.fullmatch(r"pi_[A-Za-z0-9_]+", name):
                raise SpecError(
                    f'"{name[:40]}" is not a policy name', key=key, expected="pi_ and letters, digits or _"
                )
            if kind not in POLICY_KINDS:
                raise SpecError(f"{_shown(kind)} is not a kind of policy", key=key, expected='"frozen"')
            if name == "pi_policy":
                raise SpecError(
                    '"pi_policy" would share its argument with pi', key=key, expected="another name"
                )
            policies.add(name)
        return frozenset(policies)

    def responses(self, names: Names) -> dict[str, str]:
        responses: dict[str, str] = {}
        for name, meaning in self.section("responses").items():
            key = f"responses.{name[:40]}"
            if not RESPONSE_NAME.fullmatch(name):
                raise SpecError(
                    f'"{name[:40]}" is not a name of a response',
                    key=key,
                    expected="y_ and letters or digits, such as y_g",
                )
            if name in RESERVED or name in names.taken():
                raise SpecError(f'"{name}" already has a meaning', key=key, expected="another name")
            if not isinstance(meaning, str) or not MEANING.fullmatch(meaning):
                raise SpecError(
                    f"{_shown(meaning)} does not say what it is",
                    key=key,
                    expected='at most 120 letters, digits and commas: "a gold answer"',
                )
            responses[name] = meaning
        if len(responses) > MAX_RESPONSES:
            raise SpecError(
                f"{len(responses)} responses beside the pair",
                key="responses",
                expected=f"at most {MAX_RESPONSES}",
            )
        return responses

    def expression(
        self, table: Mapping[str, Any], key: str, names: Names, place: Place, prefix: str = ""
    ) -> Expr | None:
        if key not in table:
            return None
        value = table[key]
        if not isinstance(value, str):
            raise SpecError(f"a {_kind(value)}", key=prefix + key, expected="an expression in quotes")
        self.texts[key] = value
        try:
            expr, conditions = parse_with_conditions(value, names, place)
        except SpecError as error:
            raise error.located(key=prefix + key) from None
        self.conditions += conditions
        return expr

    def positivity(self, prior: Expr, names: Names) -> tuple[Condition, ...]:
        """What must hold for the prior to be positive."""
        try:
            return positivity(prior, names)
        except SpecError as error:
            error.text, error.column = self.texts["prior"], 0
            raise error.located(key="prior") from None

    def multiplier(self, parameters: Mapping[str, Parameter], constraint: Expr | None) -> Parameter | None:
        if constraint is None:
            if "multiplier" in self.table:
                raise SpecError(
                    "a multiplier without a constraint", key="multiplier", expected='constraint = "..."'
                )
            return None
        name = self.string("multiplier") or MULTIPLIER
        if name not in parameters:
            raise SpecError(
                f'"{name[:40]}" is not a parameter', key="multiplier", expected=nearest(name, parameters)
            )
        return parameters[name]


def _domain(table: Mapping[str, Any], key: str) -> Interval:
    """The domain that an entry of [parameters] or [features] declares; the real line by default."""
    domain = table.get("domain", "real")
    if not isinstance(domain, str):
        raise SpecError(f"{_shown(domain)} is not a domain", key=key, expected=KNOWN_DOMAINS)
    try:
        return read_domain(domain)
    except SpecError as error:
        raise error.located(key=key) from None


def _default(value: Any, domain: Interval, key: str) -> Rational:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise SpecError(f"{_shown(value)} is not a number", key=key, expected="default = 0.1")
    if not abs(value) <= 10**300:  # nor is nan
        raise SpecError("the number is not finite, or too large", key=key, expected="default = 0.1")
    number = Rational(str(value))
    if number not in domain:
        raise SpecError(f"the default {value} is outside its domain", key=key, expected=domain.described)
    return number


def _kind(value: Any) -> str:
    kinds = {str: "text", bool: "truth value", int: "number", float: "number", list: "list", dict: "table"}
    return kinds.get(type(value), "date")


def _shown(value: Any) -> str:
    return f'"{value[:40]}"' if isinstance(value, str) else f"a {_kind(value)}"
