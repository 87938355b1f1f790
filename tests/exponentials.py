"""Random losses in exponentials of log-probabilities: sums, quotients, powers, clips, logs."""

from __future__ import annotations

import random

DOMAINS = {"a": "real", "b": "positive", "g": "unit", "n": "nonnegative", "c": "unit"}
POLICIES = ("pi", "pi_ref", "pi_old")
HEAD = (
    'name = "random"\n[parameters]\n'
    + "".join(f'{name} = "{domain}"\n' for name, domain in DOMAINS.items())
    + '[features]\nscore = "response"\nw = "token"\ngap = "pair"\n[policies]\npi_old = "frozen"\n'
)


class Losses:
    """Expressions of the language; `positive` ones are greater than 0 at every policy."""

    def __init__(self, seed: object) -> None:
        self.rng = random.Random(repr(seed))

    def spec(self, depth: int) -> str:
        return f'{HEAD}[target]\nloss = "{self.real(depth)}"\n'

    def response(self) -> str:
        return self.rng.choice(("y_w", "y_l"))

    def positive(self, depth: int, token: str = "") -> str:
        policy = self.rng.choice(POLICIES)
        if depth == 0:
            return self.rng.choice(
                [f"{policy}({token}, t)"] * 3 + [f"exp(w({token}, t))", "g", "2"]
                if token
                else [f"{policy}({self.response()})"] * 4 + ["b", "g", "(1 - g)", "len(y_w)", "exp(a)"]
            )

        def p() -> str:
            return self.positive(depth - 1, token)

        match self.rng.randrange(11):
            case 0:
                return f"({p()} + {p()})"
            case 1:
                return f"({p()}*{p()})"
            case 2:
                return f"({p()}/{p()})"
            case 3:
                power = self.rng.choice(("2", "-1", "1/2", "g", "-b", "1/len(y_w)", "1 - c"))
                return f"({p()})**({power})"
            case 4:
                return f"(g*{p()} + (1 - g)*{p()})"
            case 5:
                return f"exp({self.real(depth - 1, token)})"
            case 6:
                return f"max({p()}, {p()})"
            case 7:
                return f"min({p()}, {p()}, 1 + g)"
            case 8:
                return f"sigmoid({self.real(depth - 1, token)})"
            case 9:
                return f"max(1 - g, min(1 + b, {p()}))"
        return f"sqrt({p()})"

    def real(self, depth: int, token: str = "") -> str:
        policy = self.rng.choice(POLICIES)
        if depth == 0:
            return self.rng.choice(
                [f"log({policy}({token}, t))", "a", f"w({token}, t)", "t", "gap"]
                if token
                else ["a", "gap", "score(y_w)", "1", "b"] + [f"log({policy}({self.response()}))"] * 4
            )

        def q() -> str:
            return self.real(depth - 1, token)

        def p() -> str:
            return self.positive(depth - 1, token)

        kind = self.rng.randrange(13)
        if kind in (6, 7) and not token:
            y = self.response()
            body = self.real(depth - 1, y) if kind == 6 else self.positive(depth - 1, y)
            return f"sum({body} for t in {y})"
        match kind:
            case 0:
                return f"({q()} + {q()})"
            case 1:
                return f"({q()} - {q()})"
            case 2:
                return f"({q()}*{q()})"
            case 3:
                return f"log({p()})"
            case 4:
                return f"logsigmoid({q()})"
            case 5:
                return f"(1 - {p()})/{self.rng.choice(('c', 'b', '(1 - c)', '2'))}"
            case 8:
                return f"step({p()} - {p()})"
            case 9:
                return f"(1 - sigmoid({q()}))*({q()})"
            case 10:
                return f"({q()})**2"
            case 11:
                return f"{p()}*{q()}"
        return f"min({q()}, max({q()}, {p()}))"
