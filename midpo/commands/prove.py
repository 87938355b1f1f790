"""`midpo prove`: does this PyTorch function compute that loss?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from midpo.answering import NEGATIVE, OK, UNDECIDED, each, spinner
from midpo.extras import needed
from midpo.symbolic.errors import MidpoError, NotYet

from . import options

if TYPE_CHECKING:
    from midpo.proofs.code.answer import CodeProof

# In which order our own kernels are proved: those that are lifted for every size first.
KERNELS = ("eager", "logps", "fused", "linear", "native", "triton")
STATUS = {"proved": OK, "refuted": NEGATIVE, "undecided": UNDECIDED, "not lifted": UNDECIDED}


@click.command("prove")
@click.argument("specs", nargs=-1, metavar="[SPEC]...")
@options.as_json
@click.option(
    "--code",
    metavar="FILE.py:FUNCTION",
    help="The function, or MODULE:FUNCTION. It is run. Without it: our own kernels.",
)
@options.settings
@options.bindings
@options.contracts
@click.option(
    "--backend",
    "backends",
    multiple=True,
    type=click.Choice(KERNELS),
    help="Only these of our own kernels; may be repeated.",
)
@click.option(
    "--layout",
    type=click.Choice(("aligned", "unshifted")),
    default="aligned",
    show_default=True,
    help="Whether logits predict the labels beside them, or the code shifts.",
)
@click.option("--pairs", default="1,2", show_default=True, help="Sizes of batches.")
@click.option("--witness", metavar="FILE.py", help="Write the case of a refutation as a program.")
@click.option(
    "--shapes",
    multiple=True,
    metavar="N,N,T",
    help="Only at these sizes: tokens of each row, and how long rows are padded; may be repeated.",
)
@click.option("--certify", metavar="FILE.v", help="Write the value's theorem for Coq, with its library.")
@click.option("--check", "with_check", is_flag=True, help="Have Coq check it (needs coqc).")
@click.option("--value-only", is_flag=True, help="Leave the gradient aside.")
def command(
    specs: tuple[str, ...],
    as_json: bool,
    code: str | None,
    settings: tuple[str, ...],
    bindings: tuple[str, ...],
    contracts: tuple[str, ...],
    backends: tuple[str, ...],
    layout: str,
    pairs: str,
    witness: str | None,
    shapes: tuple[str, ...],
    value_only: bool,
    certify: str | None,
    with_check: bool,
) -> None:
    """Prove or refute that PyTorch code computes each spec's loss, value and gradient. Needs torch.

    The function is run on tensors of expressions, so prove only code that you would run; torch's
    own autograd gives the gradient. Arguments are bound by name, as in check (docs/code.md).

    Exit status: 0 all proved, 1 one refuted or equal up to guards only, 2 bad input, 3 one
    undecided or not lifted.

    \b
    Example:
      midpo prove dpo --code loss.py:dpo_loss --set beta=alpha
      midpo prove simpo --backend eager --backend native
      midpo prove --code loss.py:my_loss
    """
    from midpo import api
    from midpo.commands.check import given_of

    needed("prove", "torch", "numpy")
    if not specs and code is None:
        raise MidpoError("nothing to prove\n  expected: SPEC, --code FILE.py:FUNCTION, or both")
    if code is not None and backends:
        raise MidpoError("--code and --backend\n  expected: one of them")
    given: dict[str, Any] = {
        **given_of(code, settings, bindings, contracts),
        "layout": layout,
        "pairs": _pairs(pairs),
        "shapes": tuple(map(_shape, shapes)),
        "value_only": value_only,
        "certify": certify is not None,
    }
    if with_check and certify is None:
        raise MidpoError("--check without --certify\n  expected: --certify FILE.v beside it")

    def answer(asked: str) -> tuple[dict[str, Any], int]:
        name, _, backend = asked.partition("\n")
        with spinner(as_json, f"proving {name}"):
            try:
                found = api.prove(name or None, code, backend=backend or "eager", **given)
            except NotYet as why:
                if not backend:
                    raise
                return _no_kernel(name, backend, why, as_json)
        if certify is not None:
            found = _certified(found, Path(certify), with_check)
        return _told(found, as_json, witness)

    asked = backends or KERNELS
    kernels = [f"{spec}\n{b}" for spec in specs for b in (asked if _readable(spec) else asked[:1])]
    each(kernels if code is None else specs or ("",), as_json, answer)


def _readable(spec: str) -> bool:
    """Whether a spec can be read; one that cannot is told once."""
    from midpo.api import spec_of

    try:
        spec_of(spec)
    except MidpoError:
        return False
    return True


def _no_kernel(name: str, backend: str, why: NotYet, as_json: bool) -> tuple[dict[str, Any], int]:
    """A backend for which the spec has no kernel: nothing is to be proved."""
    reason = str(why).splitlines()[0]
    if not as_json:
        from midpo.streams import echo

        echo(f"{name}  no kernel  --backend {backend}: {reason}")
    return {"name": name, "backend": backend, "verdict": "no kernel", "reason": reason}, OK


def _certified(found: CodeProof, file: Path, with_check: bool) -> CodeProof:
    """The theorem checked where that is asked for, and written with the library it rests on."""
    from midpo.proofs.certify import certificate
    from midpo.proofs.certify.library import library_texts
    from midpo.targets import write

    one = found.certificate
    if one is None or not one.text:
        return found
    if with_check:
        (one,) = certificate.check([one])
    write(file, one.text)
    for name, text in library_texts("Coq").items():
        write(file.parent / name, text)
    return replace(found, certificate=one)


def _told(found: CodeProof, as_json: bool, witness: str | None) -> tuple[dict[str, Any], int]:
    """The answer, written where it is asked for, and the exit status."""
    from midpo.targets import write

    if not as_json:
        from midpo.writers.terminal.code import proof

        proof(found)
    if witness is not None and found.program:
        write(Path(witness), found.program)
    nearly = found.up_to is not None and found.verdict == "undecided"
    return found.as_json(), NEGATIVE if nearly else STATUS[found.verdict]


def _shape(written: str) -> tuple[tuple[int, ...], int]:
    """1,2,4 as the lengths 1 and 2 of rows padded to 4. Raises: MidpoError."""
    parts = [part.strip() for part in written.split(",")]
    if len(parts) < 3 or not all(part.isdecimal() and 0 < int(part) < 9 for part in parts):
        raise MidpoError(
            f"--shapes {written}\n  expected: the tokens of each row, chosen ones "
            "first, and the length of all, as 1,2,4"
        )
    *lengths, total = map(int, parts)
    return tuple(lengths), total


def _pairs(written: str) -> tuple[int, ...]:
    """1,2 as numbers. Raises: MidpoError."""
    parts = [part.strip() for part in written.split(",")]
    if not all(part in ("1", "2", "3") for part in parts):
        raise MidpoError(f"--pairs {written}\n  expected: sizes of batches from 1 to 3, as 1,2")
    return tuple(map(int, dict.fromkeys(parts)))
