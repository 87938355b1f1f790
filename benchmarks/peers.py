"""What the losses of other packages are proved to be: `python benchmarks/peers.py`.

Asks `midpo prove` about every statement of peers.toml and about the packages' loss functions of
log-probabilities, and writes the answers (benchmarks/peers.json) and the table (docs/peers.md). It
needs the packages: pip install '.[peers,test]'; what is missing, or of another version, keeps the
answers that stand. `--table` writes the table from the answers that stand, without any package.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import sys
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from typing import Any

from midpo.symbolic.language.peers import PeerStatement, statements

ROOT = Path(__file__).resolve().parents[1]
DATA, TABLE = ROOT / "benchmarks" / "peers.json", ROOT / "docs" / "peers.md"
NAMES = {"trl": "TRL", "liger-kernel": "Liger", "torchtune": "torchtune"}
HEADS = "liger-kernel"  # whose losses take hidden states and heads

HEAD = """\
# What other packages compute, proved

Written by `python benchmarks/peers.py`, with the packages installed (`pip install 'midpo[peers]'`),
from the answers that it keeps in `benchmarks/peers.json`.

Each entry is run as its package has it, from logits and labels to the loss and its gradient by the
logits ([how](code.md)), and compared with what `symbolic/language/peers.toml` says of it.

- "Every length" means every value, length, padding and vocabulary. "1 pair" are entries whose means
  are over the tokens of a batch: of two pairs they are asked too, and refuted.
- An entry that is not the row it is named for is refuted at a case, with the code's own output.
- Trainers are made without their constructors; their model answers with the logits, and prompts
  have one token. KTO's estimate of the divergence is a number.
- Liger's losses are whole, with their own backward. At every length their head is the identity, so
  that logits are any; with a head of its own, and its gradient, they are asked at small sizes.
- Proofs are for every scale (the packages' beta); it is 3/4 in refutations and with a head. Other
  numbers are those beside the entry, and every frozen policy is the reference.""".splitlines()

Record = dict[str, Any]


def key(statement: PeerStatement) -> str:
    return f"{statement.package} {statement.version} {statement.call}: {statement.row}"


def kept(found: Any) -> Record:
    """Of an answer what the table, and a reader of the data, need."""
    answer = found.as_json()
    names = ("verdict", "value", "gradient", "scope", "up_to", "reason", "steps", "seconds")
    witness, terms = answer["witness"], answer["assumptions"]
    ways = [way for way in ("mean", "sum") if f"the {way} over the pairs" in terms]
    return {n: answer[n] for n in names} | {
        "witness": None if witness is None else witness["said"],
        "reduction": ways[0] if ways else None,
        "hypotheses": [a for a in terms if a.endswith(("!= 0", "not 0"))],
    }


# --- Asking ---------------------------------------------------------------------------------------


def asked(statement: PeerStatement) -> Record:
    """What is found of a statement: of the loss that it says, at two pairs too where that is one of
    one pair, and of the row it deviates from."""
    from peer_proofs import computed, published, refused, scale_of, with_heads

    if statement.verdict == "refuses":
        return {"refuses": refused(statement)}
    found = {"computes": {"free": scale_of(statement)} | kept(computed(statement))}
    if statement.over != "responses":
        found["of two pairs"] = kept(computed(statement, pairs=(2,)))
    if statement.verdict == "deviates":
        found["published"] = kept(published(statement))
    if statement.package == HEADS:
        found["with a head"] = kept(with_heads(statement))
    return found


def missing(package: str, version: str) -> str:
    """Why nothing is asked of a package; empty where it is there."""
    try:
        found = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "is not installed"
    return "" if found == version else f"is there as {found}"


def collected(old: Record, say: Callable[[str], None]) -> Record:
    """All answers; of what is missing those that stand."""
    from peer_functions import FUNCTIONS
    from peer_proofs import of_function

    versions = {s.package: s.version for s in statements()}
    absent = {p: why for p, v in versions.items() if (why := missing(p, v))}
    for package, why in absent.items():
        say(f"{package} {versions[package]} {why}: its answers are left as they stand")
    answers: Record = {}
    for statement in statements():
        name = key(statement)
        say(name)
        found = old.get("statements", {}).get(name) if statement.package in absent else asked(statement)
        answers |= {name: found} if found else {}
    functions: Record = {}
    for function in FUNCTIONS:
        name = f"{function.package} {versions[function.package]} {function.call}"
        say(name)
        if function.package in absent:
            functions |= {name: f} if (f := old.get("functions", {}).get(name)) else {}
            continue
        own = kept(of_function(function))
        functions[name] = {"package": function.package, "call": function.call, "loss": function.loss} | own
    import torch

    return {
        "date": date.today().isoformat(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "versions": versions,
        "statements": answers,
        "functions": functions,
    }


# --- Telling --------------------------------------------------------------------------------------


def decided(statement: PeerStatement, answer: Record) -> bool:
    """Whether what the statement says is proved, and what it denies refuted."""
    if statement.verdict == "refuses":
        return bool(answer["refuses"])
    denied = [answer[n]["verdict"] for n in ("of two pairs", "published") if n in answer]
    found = answer["computes"]
    right = found["verdict"] == "proved" and found["reduction"] != "sum"
    return right and all(v == "refuted" for v in denied)


def scope(answer: Record, two: Record | None = None) -> str:
    """For which inputs, in a word or two."""
    said = answer["scope"]
    if "at these lengths" in said:
        return said.split("rows: ")[1].removesuffix("; chosen first")
    kind = "every length" if "length" in said else "every value"
    if two is not None:
        return f"{kind}; 1 pair, of 2 {two['verdict']}"
    return f"{kind}; {'1 and 2 pairs' if '2 pairs' in said else '1 pair'}"


def told(answer: Record) -> str:
    """A verdict with what it comes from, where it is no proof."""
    verdict = answer["verdict"]
    up_to = answer["up_to"]
    if verdict == "refuted":
        return f"refuted: {answer['witness']}"
    if verdict == "proved":
        return "proved"
    if up_to is not None and up_to["guards"]:
        return f"{verdict}: equal but for the guards {', '.join(up_to['guards'])}"
    return f"{verdict}: {answer['reason']}"


def cells(*parts: str) -> str:
    return "| " + " | ".join(p.replace("|", "\\|") for p in parts) + " |"


def numbers(at: dict[str, Any]) -> str:
    return f" at {', '.join(f'{n} = {v}' for n, v in at.items())}" if at else ""


def of_statement(statement: PeerStatement, answer: Record) -> str:
    row, call = f"`{statement.row}`{numbers(dict(statement.published))}", f"`{statement.call}`"
    if statement.verdict == "refuses":
        return cells(call, row, f"raises: {answer['refuses']}", "", "")
    found = answer["computes"]
    at = {n: v for n, v in statement.at.items() if n != found["free"]}
    scale = f"{statement.scale} times " if statement.scale != 1 else ""
    if statement.verdict == "computes":
        return cells(call, row, told(found), f"{scale}`{statement.row}`{numbers(at)}", scope(found))
    loss = f"{scale}`{' '.join(statement.computes.split())}`{numbers(at)}"
    own = "" if found["verdict"] == "proved" else f" ({told(found)})"
    return cells(call, row, told(answer["published"]), loss + own, scope(found, answer.get("of two pairs")))


def with_heads(data: Record) -> Iterable[str]:
    yield "The same of hidden states and a head, both symbols, with the gradients by both:"
    yield ""
    yield cells("entry", "value", "gradient", "for", "why not")
    yield "| --- | --- | --- | --- | --- |"
    for statement in statements():
        answer = data["statements"].get(key(statement), {}).get("with a head")
        if answer is not None:
            told = (answer["value"], answer["gradient"], f"lengths {scope(answer)}", answer["reason"])
            yield cells(f"`{statement.call}`", *told)
    yield ""


def section(package: str, data: Record) -> Iterable[str]:
    yield f"## {NAMES[package]} {data['versions'][package]}"
    yield ""
    yield cells("entry", "the row it is named for", "is it that?", "what it is proved to compute", "for")
    yield "| --- | --- | --- | --- | --- |"
    for statement in statements():
        if statement.package == package and key(statement) in data["statements"]:
            yield of_statement(statement, data["statements"][key(statement)])
    yield ""
    if package == HEADS:
        yield from with_heads(data)
    yield "Its loss functions of log-probabilities, with every scale a symbol:"
    yield ""
    yield cells("function", "loss", "", "for")
    yield "| --- | --- | --- | --- |"
    for answer in data["functions"].values():
        if answer["package"] == package:
            yield cells(f"`{answer['call']}`", f"`{answer['loss']}`", told(answer), scope(answer))
    yield ""


def rendered(data: Record) -> str:
    """The page that data make."""
    known = [(s, data["statements"][key(s)]) for s in statements() if key(s) in data["statements"]]
    right = sum(decided(s, a) for s, a in known)
    functions = data["functions"].values()
    proved = sum(a["verdict"] == "proved" for a in functions)
    seconds = sorted(a["computes"]["seconds"] for _, a in known if "computes" in a)
    lines = [
        *HEAD,
        "",
        f"{data['date']}, torch {data['torch']}, Python {data['python']}:",
        "",
        f"- {right} of {len(known)} entries are decided, as stated;",
        f"- {proved} of {len(functions)} loss functions of log-probabilities are proved, at every scale;",
        f"- half of the entries take {seconds[len(seconds) // 2]:.1f} s or less, the slowest takes "
        f"{seconds[-1]:.1f} s.",
        "",
    ]
    for package in NAMES:
        lines += section(package, data)
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", action="store_true", help="only write the table, from the answers")
    options = parser.parse_args()
    data = json.loads(DATA.read_text(encoding="utf-8")) if DATA.exists() else {}
    if not options.table:
        sys.path.insert(0, str(ROOT / "tests"))
        data = collected(data, lambda line: print(line, file=sys.stderr, flush=True))
        DATA.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    TABLE.write_text(rendered(data), encoding="utf-8")


if __name__ == "__main__":
    main()
