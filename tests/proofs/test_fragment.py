"""Inside the fragment the answer is never "undecided": equal forms prove, others have a witness."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import python_value_at
from test_recovery import both, decide

from midpo.proofs.recover.recovery import Recovery

# One score of y, and the same written otherwise.
EQUAL = {
    "sqrt content": ("sqrt(2*len(y)+2*score(y)**2)", "sqrt(2)*sqrt(len(y)+score(y)**2)"),
    "sqrt num": ("sqrt(8)*len(y)", "2*sqrt(2)*len(y)"),
    "sqrt len": ("log(pi(y))*len(y)**(-1/2)", "log(pi(y))/sqrt(len(y))"),
    "sqrt prod": ("sqrt(len(y)*gamma)", "sqrt(len(y))*sqrt(gamma)"),
    "sqrt square": ("sqrt(len(y)**2*gamma)", "len(y)*gamma**(1/2)"),
    "len 3/2": ("len(y)**(3/2)", "len(y)*sqrt(len(y))"),
    "quot": ("(score(y)**2-1)/(score(y)**2+len(y)) + 1", "(2*score(y)**2+len(y)-1)/(score(y)**2+len(y))"),
    "quot cancel": ("(len(y)**2-1)/(len(y)+1)", "len(y)-1"),
    "exp sum": ("exp(log(pi(y))+score(y))", "pi(y)*exp(score(y))"),
    "exp 2a": ("exp(2*score(y))", "exp(score(y))**2"),
    "exp half": ("exp(score(y)/2)*exp(score(y)/3)", "exp(score(y)*5/6)"),
    "exp poly": ("(exp(score(y))-1)*(exp(score(y))+1)", "exp(2*score(y))-1"),
    "exp quot": ("(exp(2*score(y))-1)/(exp(score(y))+1)", "exp(score(y))-1"),
    "exp quot half": ("(exp(score(y))-1)/(exp(score(y)/2)+1)", "exp(score(y)/2)-1"),
    "exp inv": ("1/(1+exp(-score(y)))", "exp(score(y))/(1+exp(score(y)))"),
    "sigmoid def": ("sigmoid(score(y))", "1/(1+exp(-score(y)))"),
    "sigmoid logit": ("sigmoid(log(gamma)+score(y))", "gamma*exp(score(y))/(1+gamma*exp(score(y)))"),
    "logsig def": ("logsigmoid(score(y))", "-log(1+exp(-score(y)))"),
    "logsig def2": ("logsigmoid(score(y))", "score(y)-log(1+exp(score(y)))"),
    "log2sig": ("log(1+2*exp(score(y)))", "log(1/2+exp(score(y)))+log(2)"),
    "tanh": ("tanh(score(y))", "(exp(2*score(y))-1)/(exp(2*score(y))+1)"),
    "odds": ("log(pi(y)/(1-pi(y)))", "log(pi(y))-log(1-pi(y))"),
    "odds inv": ("log((1-pi(y))/pi(y))", "-log(pi(y))+log(1-pi(y))"),
    "odds2": ("log(1/pi(y)-1)", "log(1-pi(y))-log(pi(y))"),
    "log1mp2": ("log(1-pi(y)**2)", "log(1-pi(y))+log(1+pi(y))"),
    "log1m len": ("log(1-pi(y)**(2/len(y)))", "log(1-pi(y)**(1/len(y)))+log(1+pi(y)**(1/len(y)))"),
    "logit tok": (
        "sum(log(1-pi(y,t)**2) for t in y)",
        "sum(log(1-pi(y,t)) for t in y)+sum(log(1+pi(y,t)) for t in y)",
    ),
    "log sq": ("log(score(y)**2+2*score(y)+1)", "log((score(y)+1)**2)"),
    "log sq len": ("log(len(y)**2+2*len(y)+1)", "2*log(len(y)+1)"),
    "log content": ("log(2*len(y)+2*gamma)", "log(2)+log(len(y)+gamma)"),
    "log factor": ("log(len(y)**2+len(y)*gamma)", "log(len(y))+log(len(y)+gamma)"),
    "log js": ("log(2*exp(score(y))/(1+exp(score(y))))", "log(2)+logsigmoid(score(y))"),
    "log JS": ("log(2*pi(y)/(pi(y)+pi_ref(y)))", "log(2)+log(pi(y))-log(pi_ref(y))-log(1+pi(y)/pi_ref(y))"),
    "log JSb": ("log((pi(y)+pi_ref(y))/2)", "log(pi_ref(y))+log(1+pi(y)/pi_ref(y))-log(2)"),
    "log quot": ("log((len(y)+gamma)/(1+gamma*len(y)))", "log(len(y)+gamma)-log(1+len(y)*gamma)"),
    "log frac sum": ("log(1/len(y)+1/gamma)", "log(len(y)+gamma)-log(gamma)-log(len(y))"),
    "log exp diff": ("log(exp(2*len(y))-1)", "log(exp(len(y))-1)+log(exp(len(y))+1)"),
    "max common": ("max(score(y)+len(y),len(y)+gamma)", "max(score(y),gamma)+len(y)"),
    "max scale": ("max(2*score(y),2*len(y))", "2*max(score(y),len(y))"),
    "max alpha": ("max(gamma*score(y),gamma*len(y))", "gamma*max(score(y),len(y))"),
    "max len": ("max(score(y)/len(y),1)", "max(score(y),len(y))/len(y)"),
    "relu refl": ("relu(score(y))-relu(-score(y))", "score(y)"),
    "abs": ("abs(score(y))", "2*max(0,score(y))-score(y)"),
    "abs neg": ("abs(-score(y))", "abs(score(y))"),
    "abs prod": ("abs(2*len(y)*score(y))", "2*len(y)*abs(score(y))"),
    "minmax": ("min(score(y),len(y))+max(score(y),len(y))", "score(y)+len(y)"),
    "max nested": ("max(max(score(y),len(y)),gamma)", "max(score(y),max(len(y),gamma))"),
    "max absdiff": ("max(score(y),eta)", "(score(y)+eta+abs(score(y)-eta))/2"),
    "clip": ("min(max(score(y),0),1)", "max(min(score(y),1),0)"),
    "max known": ("max(len(y),0)", "len(y)"),
    "max sq": ("max(score(y),0)*max(-score(y),0)", "0"),
    "abs sq": ("abs(score(y))**2", "score(y)**2"),
    "relu step": ("relu(score(y))", "score(y)*step(score(y))"),
    "step scale": ("step(2*score(y)-2)", "step(score(y)-1)"),
    "step sq": ("step(score(y))**2", "step(score(y))"),
    "step len": ("step(len(y))", "1"),
    "sqrt sq": ("sqrt(score(y)**2+2*score(y)+1)", "abs(score(y)+1)"),
    "sg": ("sg(log(pi(y)))", "log(pi(y))"),
    "entropy": (
        "sum(entropy(pi, y, t) for t in y)",
        "-sum(sum(pi(y,t,v)*log(pi(y,t,v)) for v in vocab) for t in y)",
    ),
    "1-p": ("1-pi(y)", "(1-pi(y)**2)/(1+pi(y))"),
    "chi": ("pi(y)/pi_ref(y)", "exp(log(pi(y))-log(pi_ref(y)))"),
    "alpha": ("(1-(pi(y)/pi_ref(y))**(-gamma))/gamma", "1/gamma-exp(-gamma*log(pi(y)/pi_ref(y)))/gamma"),
    "orpo": (
        "log(pi(y)**(1/len(y))/(1-pi(y)**(1/len(y))))",
        "log(pi(y))/len(y)-log(1-exp(sum(log(pi(y,t)) for t in y)/len(y)))",
    ),
    "exp base": ("2**score(y)*4**score(y)", "8**score(y)"),
    "exp2": ("exp(score(y)*log(2))", "2**score(y)"),
    "eta quot": ("score(y)*(1-eta**2)/(1-eta)", "score(y)*(1+eta)"),
    "gamma pow": ("sum(gamma**(t-1)*w(y,t) for t in y)", "sum(gamma**t*w(y,t) for t in y)/gamma"),
    "gamma quad": ("sum(gamma**(2*t)*w(y,t) for t in y)", "sum((gamma**t)**2*w(y,t) for t in y)"),
    "double": (
        "sum(w(y,t)*log(pi(y,t)) for t in y)**2",
        "sum(sum(w(y,t)*w(y,s)*log(pi(y,t))*log(pi(y,s)) for s in y) for t in y)",
    ),
}


def at_witness(text: str, witness: dict[str, Any]) -> float:
    """The value of `text` at a witness's JSON, by Python alone."""

    def fractions(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: fractions(part) for key, part in value.items()}
        return list(map(fractions, value)) if isinstance(value, list) else Fraction(value)

    tables = {
        (policy, y): [fractions(laws[" ".join(map(str, ids[:t]))]) for t in range(len(ids))]
        for policy, laws in witness["distributions"].items()
        for y, ids in witness["tokens"].items()
    }
    return python_value_at(
        text,
        {
            "tokens": witness["tokens"],
            "tables": tables,
            "parameters": fractions(witness["parameters"]),
            "features": fractions(witness["features"]),
        },
    )


def assert_refuted(found: Recovery, prior: str, margin: str) -> None:
    """Refuted, by a witness at which Python finds the same two margins, and that they differ."""
    assert found.verdict == "refuted", (prior, margin, found.explanation)
    witness = found.as_json()["witness"]
    target = at_witness(margin, witness)
    recovered = at_witness(both(f"log(pi(y)/({prior}))"), witness)
    assert witness["margins"]["target"] == pytest.approx(target, rel=1e-6, abs=1e-9)
    assert witness["margins"]["recovered"] == pytest.approx(recovered, rel=1e-6, abs=1e-9)
    assert abs(target - recovered) > 1e-9
    assert len(set(witness["lengths"].values())) == 2 and witness["parameters"]["alpha"] != "1"


@pytest.mark.parametrize("name", EQUAL)
def test_equal(name: str) -> None:
    one, other = EQUAL[name]
    found = decide(f"pi(y)*exp(-({one}))", both(other))
    assert found.verdict == "proved", (found.explanation, found.as_json()["difference"])


@pytest.mark.parametrize("name", EQUAL)
def test_with_a_term_more_it_is_refuted(name: str) -> None:
    one, other = EQUAL[name]
    prior = f"pi(y)*exp(-({one}) - len(y)/7)"
    assert_refuted(decide(prior, both(other)), prior, both(other))


DIFFERENT = {
    "two cuts": ("max(score(y), 0)", "max(score(y), 1)"),
    "max and min": ("max(score(y), len(y))", "min(score(y), len(y))"),
    "absolute": ("abs(score(y) - 1)", "score(y) - 1"),
    "exponent": ("exp(score(y))", "exp(2*score(y))"),
    "odds": ("log(pi(y)/(1 - pi(y)))", "log(pi(y)) + log(1 - pi(y))"),
    "factor": ("log(1 - pi(y)**2)", "2*log(1 - pi(y))"),
    "root": ("sqrt(len(y) + 1)", "sqrt(len(y)) + 1"),
    "logistic": ("sigmoid(score(y))", "1/(1 + exp(score(y)))"),
    "quotient": ("score(y)/(len(y) + 1)", "score(y)/len(y) + 1"),
    "token": ("sum(log(1 - pi(y, t)) for t in y)", "log(1 - pi(y))"),
    "step": ("step(score(y) - 1)", "step(score(y))"),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_different(name: str) -> None:
    one, other = DIFFERENT[name]
    prior = f"pi(y)*exp(-({one}))"
    assert_refuted(decide(prior, both(other)), prior, both(other))


def test_outside_the_fragment_the_reason_and_the_evidence_are_given() -> None:
    found = decide("pi(y)*exp(-step(score(y)**2 - score(y) + 1))", both("score(y)/score(y)"))
    assert found.verdict == "undecided"
    assert "is not decided in general" in found.explanation
    assert "random points to 50 digits" in found.explanation and "step(" in found.explanation


# --- Random scores -------------------------------------------------------------------------------

ATOMS = [
    "score(y)",
    "len(y)",
    "log(pi(y))",
    "pi(y)",
    "exp(score(y)/2)",
    "sqrt(len(y))",
    "gamma",
    "sum(w(y,t)*log(pi(y,t)) for t in y)",
    "1/len(y)",
    "max(score(y), 1)",
    "abs(score(y))",
    "log(1 - pi(y))",
    "sigmoid(score(y))",
    "log(len(y) + gamma)",
]
# Where maxima are nested, signs that only nonlinear arguments tell are beyond the cells.
CUTS = [atom for atom in ATOMS if not atom.startswith(("log(1", "log(len", "sigmoid", "1/"))]
IDENTITIES = [
    ("({a})*({b})", "(({a} + {b})**2 - ({a} - ({b}))**2)/4"),
    ("({a})**2 - ({b})**2", "({a} - ({b}))*({a} + {b})"),
    ("max({a}, {b})", "({a} + {b} + abs({a} - ({b})))/2"),
    ("min({a}, {b})", "{a} + {b} - max({b}, {a})"),
    ("exp({a} + {b})", "exp({a})*exp({b})"),
    ("exp(2*({a})) - 1", "(exp({a}) - 1)*(exp({a}) + 1)"),
    ("abs({a})", "relu({a}) + relu(-({a}))"),
    ("sigmoid({a})", "1 - sigmoid(-({a}))"),
    ("logsigmoid({a})", "({a}) - log(1 + exp({a}))"),
    ("tanh({a})", "1 - 2/(exp(2*({a})) + 1)"),
    ("log(1 + exp({a})) + log(1 + exp({b}))", "log(1 + exp({a}) + exp({b}) + exp({a} + {b}))"),
    ("({a})/(1 + ({b})**2)", "({a})*(2 + ({b})**2)/(1 + ({b})**2) - ({a})"),
    ("sqrt(4 + 4*({a})**2)", "2*sqrt(1 + ({a})**2)"),
    ("log(3 + 3*({a})**2)", "log(3) + log(1 + ({a})**2)"),
    ("max({a}, {b})*min({a}, {b})", "({a})*({b})"),
    ("abs(({a})*({b}))", "abs({a})*abs({b})"),
    ("abs(abs({a}) - abs({b}))", "max(abs({a}), abs({b})) - min(abs({b}), abs({a}))"),
    ("max({a}, {b})**2", "max({b}, {a})*({a} + relu({b} - ({a})))"),
    ("step(({a})*({b}))", "step({a})*step({b}) + (1 - step({a}))*(1 - step({b}))"),
    ("exp(max({a}, {b}))", "max(exp({b}), exp({a}))"),
    ("max({a}, min({b}, 1))", "min(max({a}, {b}), max({a}, 1))"),
    ("log(1 - pi(y))", "log(1 - sqrt(pi(y))) + log(1 + sqrt(pi(y)))"),
    ("exp(({a})/(1 + ({b})**2))", "exp({a})/exp(({a})*({b})**2/(1 + ({b})**2))"),
    (
        "sum(abs(w(y,t))*max(w(y,t), log(pi(y,t))) for t in y)",
        "sum(max(w(y,t), -w(y,t))*(w(y,t) + relu(log(pi(y,t)) - w(y,t))) for t in y)",
    ),
]


@st.composite
def scores(draw: st.DrawFn) -> tuple[str, str, str]:
    """A score, the same rewritten by correct identities, and one a little off."""
    terms = []
    for _ in range(draw(st.integers(1, 2))):
        identity = draw(st.sampled_from(IDENTITIES))
        piecewise = any(word in identity[0] for word in ("max", "min", "abs", "step"))
        atoms = {key: draw(st.sampled_from(CUTS if piecewise else ATOMS)) for key in "ab"}
        one, other = (side.format(**atoms) for side in identity)
        coefficient = draw(st.sampled_from(["1", "-2", "eta", "1/len(y)"]))
        terms.append((f"({coefficient})*({one})", f"({coefficient})*({other})"))
    off = draw(st.sampled_from(["score(y)/3", "len(y)/5", "log(pi(y))/2", "pi(y)", "1/len(y)"]))
    one = " + ".join(left for left, _ in terms)
    return one, " + ".join(right for _, right in reversed(terms)), f"{one} + {off}"


@pytest.mark.slow
@given(scores())
@settings(max_examples=20, deadline=None)
def test_random_scores(case: tuple[str, str, str]) -> None:
    one, other, off = case
    found = decide(f"pi(y)*exp(-({one}))", both(other))
    assert found.verdict == "proved", (one, other, found.explanation)
    prior = f"pi(y)*exp(-({off}))"
    assert_refuted(decide(prior, both(other)), prior, both(other))
