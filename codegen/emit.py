"""Spec -> Kernel: one self-contained Python file that imports only torch."""

from __future__ import annotations

import hashlib
import textwrap
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sympy import Add, Expr, S

from midpo.symbolic import VERSION
from midpo.symbolic.errors import printable
from midpo.symbolic.language import CHOSEN, DOMAINS, MARGIN, REJECTED, RESPONSE, Feature
from midpo.symbolic.loss import is_constant, loss_of_margin, prior_margin, target_loss
from midpo.symbolic.spec import Spec, policy_argument
from midpo.symbolic.text import text

from .lower import Lowered, lower
from .printer import Printer, split_terms

TEMPLATES = Path(__file__).parent / "templates"

FEATURE_SHAPES = {"token": "(2B, T)", "response": "(2B,)", "pair": "(B,)"}


@dataclass(frozen=True)
class Kernel:
    """A generated loss function.

    `function` is its name in `source`; `arguments` are the logits it takes, in order;
    `policies` the policies these belong to; `features` and `parameters` its keyword arguments.
    `digest` is the SHA-256 of the spec and the templates it was made from.
    """

    name: str
    function: str
    source: str
    digest: str
    policies: tuple[str, ...]
    features: dict[str, str]
    parameters: dict[str, str]
    lowered: Lowered

    def compile(self) -> Any:
        """The function itself. Needs torch."""
        import types

        module = types.ModuleType(f"midpo_kernel_{self.function}")
        code = compile(self.source, f"<kernel {self.name}>", "exec")
        exec(code, module.__dict__)  # our own text: the spec supplies checked identifiers only
        return getattr(module, self.function)

    @property
    def mathematics(self) -> str:
        """The part of the source that computes; what follows it only checks arguments."""
        return self.source.partition("\n\ndef _check(")[0].rstrip() + "\n"

    def __str__(self) -> str:
        return self.source


def generate(spec: Spec) -> Kernel:
    """The kernel of `spec`'s loss: its target's, or its prior's where it has no target.

    Raises: NotYet for what no kernel is written for (the message names the term).
    """
    lowered = lower(spec)
    used = _used(lowered)
    policies = tuple(p for p in spec.policies if p == "pi" or p in used)
    features = {n: k for n, k in spec.names.features.items() if n in used}
    parameters = {n: p.domain for n, p in spec.names.parameters.items() if n in used}
    function = spec.name.replace("-", "_") + "_loss"
    arguments = [policy_argument(p) for p in policies]
    taken = {*spec.names.taken(), *arguments, function, "labels", "reduction", "validate"}
    printer = Printer({*taken, "torch", "F", "Tensor"})
    body = _body(printer, lowered)
    digest = _digest(spec)
    source = _render(
        name=spec.name,
        function=function,
        digest=digest,
        summary=[_docstring(line) for line in _summary(spec)],
        formula=[_docstring(line) for line in _formula(spec)],
        reference=[_docstring(line) for line in _reference(spec)],
        logits=[
            (a, _docstring(_logits_meaning(p, a))) for a, p in zip(arguments, policies, strict=True)
        ],
        features=[(n, FEATURE_SHAPES[k], k) for n, k in features.items()],
        parameters=[
            (n, _default(spec, n), DOMAINS[d], _domain_test(n, d)) for n, d in parameters.items()
        ],
        body=body,
        helpers=printer.helpers,
        mask=printer.mask,
        dtype=printer.dtype,
        loss=printer.locals["loss"],
    )
    return Kernel(spec.name, function, source, digest, policies, features, parameters, lowered)


def _used(lowered: Lowered) -> set[str]:
    parts = [lowered.loss, *([lowered.margin] if lowered.margin is not None else [])]
    names = {str(s) for e in parts for s in e.free_symbols}
    return names | {str(f.args[0]) for e in parts for f in e.atoms(Feature)}


def _body(printer: Printer, lowered: Lowered) -> list[str]:
    """The lines that compute the loss of each pair."""
    if lowered.margin is not None:
        margin = printer.name("margin")
        printer.assign(margin, _margin(printer, lowered.margin))
        printer.locals[MARGIN] = margin
    written = printer(lowered.loss, "pair")
    if printer.is_scalar(lowered.loss):  # a loss that no logits enter
        written = (
            f"policy_logits.new_full((labels.shape[0] // 2,), {written}, dtype={printer.dtype})"
        )
    loss = printer.name("loss")
    printer.assign(loss, written)
    printer.locals["loss"] = loss
    return printer.lines


def _margin(printer: Printer, margin: Expr) -> str:
    """The text of the margin; a label-free one as a difference of rewards, computed for both
    responses at once."""
    chosen = [t for t in Add.make_args(margin) if CHOSEN in t.free_symbols]
    rejected = [t for t in Add.make_args(margin) if REJECTED in t.free_symbols]
    rest = Add(*(t for t in Add.make_args(margin) if t not in chosen and t not in rejected))
    mirrored = -Add(*rejected).xreplace({REJECTED: RESPONSE})
    score = Add(*chosen).xreplace({CHOSEN: RESPONSE})
    if not chosen or set(chosen) & set(rejected) or score != mirrored or not is_constant(rest):
        return printer(margin, "pair")
    reward = printer(score, "row")
    if not reward.isidentifier():
        reward = printer.name("reward")
        printer.assign(reward, printer(score, "row"))
    names = printer.name("chosen"), printer.name("rejected")
    printer.assign(", ".join(names), f"{reward}.chunk(2)")
    tail = "" if rest == S.Zero else f" + {printer(rest, 'pair')}"
    if rest != S.Zero and rest.as_coeff_Mul()[0] < 0:
        tail = f" - {printer.wrapped(-rest, 'pair', 1)}"
    return f"{names[0]} - {names[1]}{tail}"


# -- text around the body


def _summary(spec: Spec) -> list[str]:
    title = " ".join((spec.title or spec.name).split())
    return textwrap.wrap(f"{title}: the loss of each preference pair, in nats.", 92)


def _formula(spec: Spec) -> list[str]:
    """loss = ..., one top-level term a line; margin and prior on their own where there are any."""
    if spec.loss is not None:
        return _equation("loss", target_loss(spec))
    lines = _equation("loss", loss_of_margin(spec, MARGIN))
    if spec.margin is not None:
        return [*lines, *_equation("m", spec.margin)]
    assert spec.prior is not None
    return [*lines, *_equation("m", prior_margin(spec.alpha)), *_equation("zeta(y)", spec.prior)]


def _equation(name: str, expr: Expr) -> list[str]:
    first, *more = split_terms(text(expr))
    lines = [f"{name} = {first}", *(f"    {term}" for term in more)]
    return [
        piece
        for line in lines
        for piece in textwrap.wrap(
            line,
            90,
            subsequent_indent=" " * 8,
            break_long_words=False,
            break_on_hyphens=False,
            drop_whitespace=True,
        )
    ]


def _reference(spec: Spec) -> list[str]:
    parts = [spec.bibtex.get(key, "") for key in ("author", "title", "journal", "year")]
    written = ". ".join(part for part in parts if part) or spec.reference or "none given"
    return textwrap.wrap(f"Reference: {written}", 88)


def _logits_meaning(policy: str, argument: str) -> str:
    trained = "the trained policy" if policy == "pi" else f"{policy}, frozen (no gradient)"
    return f"{argument}: (2B, T, V), {trained}"


def _default(spec: Spec, name: str) -> str | None:
    value = spec.defaults.get(name)
    return None if value is None else repr(float(value))


def _domain_test(name: str, domain: str) -> str:
    """The condition under which a parameter is refused."""
    return {
        "real": f"{name} != {name}",
        "positive": f"not {name} > 0",
        "nonnegative": f"not {name} >= 0",
        "unit": f"not 0 < {name} < 1",
    }[domain]


def _docstring(line: str) -> str:
    """Free text made inert inside a docstring."""
    return printable(line).replace("\\", "\\\\").replace('"', '\\"')


def _digest(spec: Spec) -> str:
    hashed = hashlib.sha256(spec.digest.encode())
    for path in sorted(TEMPLATES.glob("*.j2")):
        hashed.update(path.read_bytes())
    return hashed.hexdigest()


@cache
def _environment() -> Any:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )


def _render(**values: Any) -> str:
    return str(_environment().get_template("eager.py.j2").render(version=VERSION, **values))
