"""The table of what other packages compute is what its answers say, and these are all there.

None of the packages is needed: the answers are kept (benchmarks/peers.json).
"""

from __future__ import annotations

import copy
import importlib.util
import json
from pathlib import Path
from typing import Any

from midpo.symbolic.language.peers import statements

ROOT = Path(__file__).parents[2]
LEAST = 45  # pairwise losses that are decided
# Equal but for a cap: neither proved nor, at any case that is tried, refuted.
CAPPED = "f_divergence_type='alpha_divergence'"


def script() -> Any:
    spec = importlib.util.spec_from_file_location("peers_table", ROOT / "benchmarks" / "peers.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PEERS = script()
DATA = json.loads(PEERS.DATA.read_text(encoding="utf-8"))


def test_the_table_is_what_the_answers_say() -> None:
    assert PEERS.TABLE.read_text(encoding="utf-8") == PEERS.rendered(DATA)


def test_every_statement_is_answered_as_it_says() -> None:
    assert [PEERS.key(s) for s in statements()] == list(DATA["statements"])
    assert DATA["versions"] == {s.package: s.version for s in statements()}
    open_ = [s.call for s in statements() if not PEERS.decided(s, DATA["statements"][PEERS.key(s)])]
    assert all(CAPPED in call for call in open_)
    assert len(statements()) - len(open_) >= LEAST
    assert all(a["verdict"] == "proved" for a in DATA["functions"].values())


def test_with_a_head_most_are_proved_and_none_refuted() -> None:
    found = [a["with a head"] for a in DATA["statements"].values() if "with a head" in a]
    assert sum(a["verdict"] == "proved" for a in found) >= 14
    assert all({a["value"], a["gradient"]} <= {"proved", "undecided"} for a in found)


def test_another_answer_is_seen() -> None:
    for name, answer in DATA["statements"].items():
        for part in answer.keys() - {"with a head"}:
            other = copy.deepcopy(DATA)
            if part == "refuses":
                other["statements"][name][part] = ""
            else:
                other["statements"][name][part]["verdict"] = "not lifted"
            statement = next(s for s in statements() if PEERS.key(s) == name)
            assert not PEERS.decided(statement, other["statements"][name])
            assert PEERS.rendered(other) != PEERS.rendered(DATA)
