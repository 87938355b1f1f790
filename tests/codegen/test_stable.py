"""Forms that keep their digits: sums, ratios and quotients of exponentials against 50 digits.

Responses of 800 tokens and logits of 1e4 are ordinary; parameters go to the ends of their domains.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

import pytest
from exponentials import HEAD, Losses

import midpo
from midpo import generating
from midpo.codegen.emit import Kernel
from midpo.codegen.plan import lower as lowering
from midpo.numeric.arithmetic import Undefined, digits
from midpo.numeric.evaluate import Evaluator, Point
from midpo.proofs.checking.check import CheckFailed, check
from midpo.symbolic.domains.whole import lattice
from midpo.symbolic.errors import NotYet, TooLarge
from midpo.symbolic.language.nodes import Parameter, Step
from midpo.symbolic.language.spec import policy_argument
from midpo.symbolic.loss import kernel_loss

np = pytest.importorskip("numpy", reason="batches need numpy")
torch = pytest.importorskip("torch", reason="kernels run on torch")

from midpo.numeric.checking.adapting import from_logits  # noqa: E402
from midpo.numeric.checking.policies import Batch, representable  # noqa: E402

ULP = 32.0  # of the larger of a result and what rounding each input once may move it by
STEP = Fraction(1, 10**16)
PARAMETERS = {"a": "-3/4", "b": "1/2", "g": "1/4", "n": "1/8", "c": "3/4"}

# Ratio, its power and its logarithm of a response; W and L are the chosen and the rejected one's.
R, U, LW = "pi({0})/pi_ref({0})", "(pi({0})/pi_ref({0}))**(1/len({0}))", "log(pi({0})/pi_ref({0}))"


def of(text: str, response: str = "y_w") -> str:
    return "(" + text.format(response) + ")"


CLIP = "max(1 - g, min(1 + b, {0}))"
TOKEN, K = "pi(y_w, t)/pi_old(y_w, t)", "pi_ref(y_w, t)/pi(y_w, t)"
FORMS = {
    "mixture": "log(g*pi(y_w) + (1 - g)*pi_ref(y_w)) - log(pi_ref(y_w))",
    "mixture of tokens": "sum(log(g*pi(y_w, t) + (1 - g)*pi_old(y_w, t)) for t in y_w)/len(y_w)",
    "three": f"log(1 + {of(R)}**b + {of(R, 'y_l')}**b)",
    "share": "-log(pi(y_w)/(pi(y_w) + g*pi_ref(y_w) + pi(y_l)))",
    "nested": "log(g*pi(y_w)*(pi(y_l) + pi_ref(y_l)) + (1 - g)*pi_ref(y_w)*(b*pi(y_l) + pi_old(y_l)))",
    "softmax": "pi(y_w)**b/(pi(y_w)**b + pi_ref(y_w)**b + pi_old(y_w)**b)",
    "difference": "log(pi(y_w) + pi_ref(y_w) - g*pi_ref(y_w))",
    "larger of two": "log(max(pi(y_w), pi_ref(y_w))*pi_old(y_w))",
    "sum over tokens": "-log(sum(pi(y_w, t) for t in y_w))",
    "order": "step(pi(y_w) - pi_ref(y_w))*log(pi(y_w))/len(y_w)",
    "root": f"sqrt({of(R)})/(1 + sqrt({of(R)}))",
    "clipped ratio": f"-min({of(U)}*gap, {CLIP.format(of(U))}*gap)",
    "clipped tokens": f"-sum(min({TOKEN}*gap, {CLIP.format(TOKEN)}*gap) for t in y_w)/len(y_w)",
    "weight": f"-sum(sg(min({TOKEN}, b))*log(pi(y_w, t)) for t in y_w)/len(y_w)",
    "k3": f"-min({of(R)}, 2) + sum(min({K} - log({K}) - 1, 9) for t in y_w)/len(y_w)",
    "stopped ratio": CLIP.format("sg(pi(y_w))/pi_old(y_w)") + "*log(pi(y_l))",
    "stopped weight": "sum(sg(gap*pi(y_w, t))/pi_old(y_w, t)*step(2*pi_old(y_w, t) - pi(y_w, t))"
    " for t in y_w)/len(y_w)",
    "left out": "max(pi(y_w)/pi_ref(y_w)*log(pi(y_l)), pi(y_l)/pi_ref(y_l)*log(pi(y_w)), gap)",
    "switched off": "step(pi(y_w) - 2)*gap/pi(y_w) + relu(log(pi(y_l)))/pi(y_w) - log(pi(y_w))",
    "complement of one": "1 - pi(y_w)",
    "squares": "(pi(y_w) - pi(y_l))**2/(pi(y_w) + pi(y_l))**2",
    "distance": "abs(pi(y_w) - pi_ref(y_w))/max(pi(y_w), pi_ref(y_w))",
    "tanh beside 1": f"log(1 + tanh({of(LW)})) + tanh({of(LW)})/2 - sqrt(1 + tanh(b*{of(LW)}))",
    "excess": "relu(pi(y_w) - pi(y_l))/(pi(y_w) + pi(y_l))",
    "power of a distance": "abs(pi(y_w)*pi_ref(y_l) - pi(y_l)*pi_ref(y_w))**b"
    "/(g*pi(y_w)*pi_ref(y_l) + (1 - g)*pi(y_l)*pi_ref(y_w))**b",
    "share of a square": "(pi(y_w) - pi_ref(y_w))**2*sqrt(pi(y_w)*pi_ref(y_w))/(pi(y_w) + pi_ref(y_w))**3",
    "log of an excess": "log(max(pi(y_w) - g*pi(y_l), 0) + pi(y_l))",
    "log of a distance": "log(abs(pi(y_w) - pi_ref(y_w)) + pi_old(y_w))",
    "larger of nested": "log(max(n*pi(y_w), min(pi(y_l), 2*pi_ref(y_w)) + pi_old(y_w)))",
    "vocabulary's quotient": "sum(sum(pi(y_w, t, v)**3/pi_old(y_w, t, v)**2 for v in vocab)**(-1)"
    " for t in y_w)/len(y_w)",
    "square": f"({of(LW)} - {of(LW, 'y_l')} - gap)**2",
}
AT_ENDS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "box": (f"({of(U)}**b - 1)/b", "b", ("1e-7",)),
    "exponential": (f"(1 - exp(-b*{of(LW)}/len(y_w)))/b", "b", ("1e-7",)),
    "log of a mean": (
        "log(sum((pi(y_w, t)/pi_ref(y_w, t))**b for t in y_w)/len(y_w))/b - log(pi(y_l))/len(y_l)",
        "b",
        ("1e-7", "3"),
    ),
    "alpha": (f"({of(U)}**(1 - c) - (1 - c)*{of(U)} - c)/(c*(c - 1))", "c", ("1e-6", "0.999999")),
    "tsallis": (f"(1 - {of(U)}**(b - 1))/(1 - b)", "b", ("0.999999", "1.000001")),
    "even": (f"(exp(b*{of(LW)}/9) + exp(-b*{of(LW)}/9) - 2)/b**2", "b", ("1e-4", "0.125")),
    "shifted": (f"(logsigmoid({of(LW)} + b) - logsigmoid({of(LW)}))/b", "b", ("1e-5",)),
    "survival": ("((1 - g)**len(y_w) - 1)/g*log(pi(y_w))", "g", ("1e-5",)),
    "geometric": ("(c**len(y_w) - 1)/(c - 1)*log(pi(y_w))", "c", ("0.99999",)),
    "divergence": (
        "sum((sum(pi(y_w, t, v)**b*pi_ref(y_w, t, v)**(1 - b) for v in vocab) - 1)/(b*(b - 1)) for t in y_w)",
        "b",
        ("0.999999", "1.000001", "1e-6", "2"),
    ),
    "entropies of order b": (
        "sum((1 - sum(pi(y_w, t, v)**b for v in vocab))/(b - 1) for t in y_w)",
        "b",
        ("0.999999", "1.000001", "3"),
    ),
    "log of two": (f"log((exp(b*{of(LW)}) + exp(2*b*{of(LW)}))/2)/b/len(y_w)", "b", ("1e-7", "1/2", "3")),
    "log of three": (
        f"log((1 + exp(b*{of(LW)}) + exp(2*b*{of(LW)}))/3)/b/len(y_w)",
        "b",
        ("1e-7", "1/2", "3"),
    ),
    "logistic": (f"log(2*sigmoid(b*{of(LW)}))/b/len(y_w)", "b", ("1e-7", "1/2", "3")),
    "mixture": (f"log(1 - c + c*exp({of(LW)}/len(y_w)))/c", "c", ("1e-12", "0.999999")),
    "inverse": (f"(1/(1 + b*({of(LW)}/len(y_w))**2) - 1)/b", "b", ("1e-7", "1")),
    "inverse root": (f"(1/sqrt(1 + b*({of(LW)}/len(y_w))**2) - 1)/b", "b", ("1e-7", "1")),
    "quotient of growths": (f"(1 - exp(-b*{of(LW)}/len(y_w)))/(1 - exp(-b))", "b", ("1e-9", "2")),
    "number alone": ("(b/(1 - exp(-b)) + log(1 + b)/b)*log(pi(y_w))/len(y_w)", "b", ("1e-12", "2")),
    "second": (f"(exp(b*{of(LW)}/len(y_w)) - 1 - b*{of(LW)}/len(y_w))/b**2", "b", ("1e-4",)),
    "log1p": ("log(1 + b*score(y_w))/b*log(pi(y_w))", "b", ("1e-7",)),
    "log1mexp": ("log(1 - exp(-b*score(y_w)))*log(pi(y_w))", "b", ("1e-6",)),
    "complement": (f"1 - {of(U)}**b", "b", ("1e-6",)),
    "smoothed": (f"-(1 - c)*logsigmoid(8*{of(LW)}) - c*logsigmoid(-8*{of(LW)})", "c", ("0.99999", "1e-5")),
    "discounts": (
        "sum(c**(t - 1)*(1 - c**(len(y_w) - t + 1))/(1 - c**len(y_w))"
        "*log(pi(y_w, t)/pi_ref(y_w, t)) for t in y_w)",
        "c",
        ("0.9999999", "0.999", "1e-4"),
    ),
    "discounts from each other": (
        "sum((b**t - b**len(y_w))/(1 - b)*log(pi(y_w, t)) for t in y_w)",
        "b",
        ("0.9999999", "1.0000001", "1e-4"),
    ),
    "agreeing": (
        f"sigmoid(gap)*(logsigmoid(gap) - logsigmoid(gap + b*{of(LW)}))"
        f" + sigmoid(-gap)*(logsigmoid(-gap) - logsigmoid(-(gap + b*{of(LW)})))",
        "b",
        ("1e-4", "1/2", "30"),
    ),
    "reflected": (f"(1 - c)*(1 - sigmoid({of(LW)})) + c*(1 - sigmoid(-{of(LW)}))", "c", ("0.99999",)),
}
ENDLESS = (
    "2 - sigmoid(log(pi(y_w))) - sigmoid(-log(pi(y_w)))",
    "(1 - g)*(1 - sigmoid(log(pi(y_w)))) + g*(1 - sigmoid(-log(pi(y_w))))",
    "(1 - sigmoid(log(pi(y_w))))*(1 - sigmoid(-log(pi(y_w))))",
    "(1 - sigmoid(logsigmoid((1 - sigmoid(b))*log(pi(y_w)))))*(1 - sigmoid(b))",
    "logsigmoid((1 - pi(y_l)/(g*pi_ref(y_l) + (1 - g)*(b + pi(y_w))))/b)",
    "exp(log(pi(y_w)/(pi(y_w) + pi(y_l))) + logsigmoid(gap))**(-2)",
)


@dataclass(frozen=True)
class Case:
    """A pair with its points in 50 digits: as it is, with every input rounded, and a step of the
    policy's logits along `direction` to either side."""

    batch: Batch
    direction: Any
    exact: Point
    rounded: Point
    sides: tuple[Point, Point]


def case(kind: str, seed: int = 0, parameters: tuple[tuple[str, str], ...] = ()) -> Case:
    return _case(kind, seed, parameters)


@cache
def _case(kind: str, seed: int, parameters: tuple[tuple[str, str], ...]) -> Case:
    tokens, scale, near = {
        "ordinary": (5, 1.0, None),
        "long": (800, 1.5, None),
        "near": (40, 1.5, 0.02),
        "huge": (6, 1e4, None),
    }[kind]
    rng = np.random.default_rng(seed)
    shape = (2, tokens, 3)
    base = rng.normal(size=shape) * scale
    logits = {
        policy: representable(
            base + rng.normal(size=shape) * near if near else rng.normal(size=shape) * scale
        )
        for policy in ("pi", "pi_ref", "pi_old")
    }
    labels = rng.integers(0, 3, size=shape[:2])
    labels[1, tokens // 2 + 1 :] = -100
    features = {
        "score": np.array([1.25, 0.5]),
        "gap": np.array([0.75]),
        "w": rng.integers(1, 24, size=shape[:2]) / 8,
    }
    given = {k: Fraction(v) for k, v in {**PARAMETERS, **dict(parameters)}.items()}
    batch = Batch(logits, labels, features, given, scale)
    direction = rng.integers(-64, 65, size=shape) / 64
    ops = digits()

    def noise(name: str, where: tuple[int, ...], value: Any, size: float) -> Any:
        moved = ops.number(Fraction(float(rng.uniform(-1, 1)) * size * 1e-9))
        return value * (1 + moved) if name in logits else value + moved

    def moved(sign: int) -> Point:
        z = np.empty(shape, dtype=object)
        for at in np.ndindex(shape):
            z[at] = ops.number(
                Fraction(float(logits["pi"][at])) + sign * Fraction(float(direction[at])) * STEP
            )
        return batch.point(ops, 0, {**logits, "pi": z})

    return Case(
        batch,
        direction,
        batch.point(ops, 0, logits),
        batch.point(ops, 0, logits, noise),
        (moved(1), moved(-1)),
    )


@dataclass(frozen=True)
class Found:
    """Errors of value and directional derivative in units in the last place."""

    exact: float
    value: float
    gradient: float


def held(kernel: Kernel, loss: Any, at: Case, dtype: str = "float32") -> Found:
    """A kernel's first pair against the loss in 50 digits. Raises: Undefined."""
    ops = digits()
    limit = 10**7

    def truth(point: Point) -> Any:
        return Evaluator(ops, point, at.exact, limit=limit)(loss)

    exact, rounded = truth(at.exact), truth(at.rounded)
    plus, minus = map(truth, at.sides)
    slope = (plus - minus) / (2 * ops.number(STEP))
    kind = getattr(torch, dtype)
    logits = {policy_argument(p): torch.tensor(at.batch.logits[p], dtype=kind) for p in kernel.policies}
    policy = logits["policy_logits"].requires_grad_()
    keywords: Mapping[str, Any] = {
        **{n: torch.tensor(at.batch.features[n]) for n in kernel.features},
        **{n: float(at.batch.parameters[n]) for n in kernel.parameters},
    }
    found = from_logits(torch, kernel)(
        **logits, labels=torch.tensor(at.batch.labels), reduction="none", **keywords
    )
    gradient = torch.zeros_like(policy)
    if found.requires_grad:
        (gradient,) = torch.autograd.grad(found.sum(), policy)
    assert torch.isfinite(found).all(), f"{found.item()} for {float(exact)}"
    assert torch.isfinite(gradient).all()
    eps = torch.finfo(torch.float32 if kind == torch.bfloat16 else kind).eps
    sensitivity = float(abs(rounded - exact)) / 1e-9
    products = gradient.double().numpy() * at.direction
    unit = max(torch.finfo(kind).eps, eps) * max(float(np.abs(products).sum()), float(abs(slope)))
    return Found(
        float(exact),
        float(abs(exact - found.item())) / max(eps * max(float(abs(exact)), sensitivity), 1e-38),
        float(abs(slope - float(products.sum()))) / max(unit, eps * 1e-2),
    )


def agrees(text: str, at: Case, backend: str = "eager", dtype: str = "float32") -> Found:
    spec = midpo.loads(f'{HEAD}[target]\nloss = "{text}"\n')
    kernel = midpo.generate(spec, backend=backend)
    assert not kernel.notes
    found = held(kernel, kernel_loss(spec), at, dtype)
    assert found.value <= ULP, found
    assert found.gradient <= ULP, found
    return found


@pytest.mark.parametrize("kind", ["ordinary", "long", "huge"])
@pytest.mark.parametrize("name", FORMS)
def test_forms_keep_their_digits(name: str, kind: str) -> None:
    agrees(FORMS[name], case(kind))


@pytest.mark.parametrize("name", AT_ENDS)
@pytest.mark.parametrize("kind", ["ordinary", "near"])
def test_quotients_keep_their_digits_at_the_ends_of_domains(name: str, kind: str) -> None:
    text, parameter, values = AT_ENDS[name]
    for value in values:
        agrees(text, case(kind, 1, ((parameter, value),)))


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
@pytest.mark.parametrize("name", ["mixture", "three", "clipped tokens", "k3"])
def test_forms_keep_their_digits_in_other_dtypes(name: str, dtype: str) -> None:
    agrees(FORMS[name], case("ordinary"), dtype=dtype)


@pytest.mark.parametrize("backend", ["fused", "linear", "logps"])
@pytest.mark.parametrize("name", ["mixture", "share", "clipped tokens"])
@pytest.mark.parametrize("kind", ["long", "huge"])
def test_every_backend_keeps_them(name: str, backend: str, kind: str) -> None:
    agrees(FORMS[name], case(kind), backend)


@pytest.mark.parametrize("backend", ["fused", "linear", "logps"])
@pytest.mark.parametrize("name", ["box", "alpha"])
def test_every_backend_keeps_quotients(name: str, backend: str) -> None:
    text, parameter, values = AT_ENDS[name]
    agrees(text, case("ordinary", 1, ((parameter, values[0]),)), backend)


@pytest.mark.parametrize("c", ["1e-5", "1e-7"])
@pytest.mark.parametrize("name", ["alphapo", "f-dpo-alpha"])
def test_rows_with_a_power_have_their_limit(name: str, c: str) -> None:
    spec = midpo.load(name)
    given = tuple({"alpha": "2", "gamma": "1", "c": c}.items())
    found = held(midpo.generate(spec), kernel_loss(spec), case("ordinary", 2, given))
    assert found.value <= ULP and found.gradient <= ULP


@pytest.mark.parametrize("text", ENDLESS)
def test_lowering_ends_and_its_steps_follow(text: str) -> None:
    agrees(text, case("ordinary"))


def test_what_no_gradient_goes_through_takes_none() -> None:
    """A sum over the vocabulary in a step, far beyond the largest number: 0 times it is 0."""
    power = "sum(pi(y_w, t, v)**(1 + b)*pi_ref(y_w, t, v)**(-b) for v in vocab)"
    text = (
        f"log(pi(y_w)/pi_ref(y_w))/len(y_w)*sg(step(sum(log({power}) for t in y_w) - gap))"
        f" - step(sum({power} for t in y_w))*log(pi(y_l))"
    )
    for backend in ("eager", "fused", "linear"):
        agrees(text, case("huge"), backend)


# -- random losses


def randomly(seed: int) -> str:
    """What came of a random loss: "agrees", or why there is nothing to compare.

    Value and gradient of the kernel in float64, which must be as exact as its inputs allow."""
    spec = midpo.loads(Losses(seed).spec(2 + seed % 3))
    try:
        kernel = midpo.generate(spec)
    except NotYet:
        return "no kernel"
    loss = kernel_loss(spec)
    try:
        found = held(kernel, loss, case("ordinary", seed % 3), "float64")
    except (Undefined, ZeroDivisionError):
        return "no value"
    assert found.value <= 1e4, (seed, str(loss), found)
    assert found.gradient <= 1e5, (seed, str(loss), found)
    return "written" if kernel.notes else "agrees"


@pytest.mark.parametrize("seed", [1048, 1193, 1247])
def test_random_losses_that_once_had_no_kernel(seed: int) -> None:
    """A logarithm of a maximum of unknown sign, a minimum among numbers, a root of a square."""
    assert randomly(seed) == "agrees"


@pytest.mark.parametrize("start", range(0, 60, 20))
def test_random_losses_agree(start: int) -> None:
    answers = [randomly(seed) for seed in range(start, start + 20)]
    assert answers.count("agrees") >= 14, answers


@pytest.mark.slow
def test_many_random_losses_agree() -> None:
    answers = [randomly(seed) for seed in range(1000, 3000)]
    assert answers.count("agrees") >= 1500
    assert answers.count("written") <= 40


# -- what has no stable form


def test_what_is_not_lowered_is_computed_as_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(expr: Any) -> Any:
        raise TooLarge("no form")

    monkeypatch.setattr(lowering, "stable", never)
    spec = midpo.loads(f'{HEAD}[target]\nloss = "{FORMS["three"]}"\n')
    for backend in ("eager", "fused", "logps", "linear"):
        kernel = midpo.generate(spec, backend=backend)
        assert kernel.notes and "as it is written" in " ".join(kernel.source.split())
        found = held(kernel, kernel_loss(spec), case("ordinary"), "float64")
        assert found.value < 100 and found.gradient < 100
    answer = midpo.check(spec, trials=2, dtypes=["float64"])
    assert kernel.notes[0] in answer.notes


def test_a_step_that_does_not_follow_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> int:
        raise CheckFailed("step 4 (arithmetic) does not follow")

    monkeypatch.setattr(generating, "replay", refuse)
    spec = midpo.loads(f'{HEAD}[target]\nloss = "{FORMS["share"]}"\n')
    kernel = midpo.generate(spec)
    assert kernel.notes
    held(kernel, kernel_loss(spec), case("ordinary"), "float64")


def test_the_derivation_of_each_form_is_replayed() -> None:
    for text in (*FORMS.values(), *(text for text, _, _ in AT_ENDS.values()), *ENDLESS):
        spec = midpo.loads(f'{HEAD}[target]\nloss = "{text}"\n')
        for derivation in lowering.lower(spec).derivations:
            check(derivation, derivation.start, derivation.end)


@pytest.mark.parametrize(
    "cut", ["log(7) - log(len(y_w))", "log(len(y_w) + 1) - log(len(y_w)) - log(6) + log(5)"]
)
def test_a_cut_of_lengths_is_one_of_whole_numbers(cut: str) -> None:
    spec = midpo.loads(f'name = "a"\n[target]\nloss = "-log(pi(y_w))*step({cut})"')
    (step,) = lowering.lower(spec).loss.atoms(Step)
    assert lattice(step.args[0]) is not None  # float32 puts log(7) - log(7) below 0


@pytest.mark.parametrize(
    ("loss", "value"),
    [
        ("log(u*pi(y_w) + (1 - u)*pi_ref(y_w)) - log(pi_ref(y_w))", 0.0),
        ("(a*pi(y_w)/pi_ref(y_w) + 1 - a - (pi(y_w)/pi_ref(y_w))**a)/(a*(1 - a))", 4.0),
        ("sum(sum((sqrt(pi(y_w, t, v)) - sqrt(pi_ref(y_w, t, v)))**2 for v in vocab) for t in y_w)", 2.0),
        ("sum(sum(pi(y_w, t, v)*log(pi(y_w, t, v) + pi_ref(y_w, t, v)) for v in vocab) for t in y_w)", 0.0),
    ],
)
def test_policies_that_exclude_each_other(loss: str, value: float) -> None:
    """A coefficient at the end of its domain, a power at a pole, entries of probability 0."""
    spec = midpo.loads(f'name = "a"\n[parameters]\nu = "[0, 1]"\na = "unit"\n[target]\nloss = """{loss}"""')
    function = midpo.generate(spec).compile()
    names = {"u": 0.0, "a": 0.25}
    spoken = {p.name for p in kernel_loss(spec).atoms(Parameter)}
    given = {name: number for name, number in names.items() if name in spoken}
    logits = 1e4 * torch.eye(3)[[1, 1]][:, None]
    logits.requires_grad_()
    other = 1e4 * torch.eye(3)[[2, 2]][:, None]
    found = function(logits, other, torch.tensor([[2], [2]]), **given, reduction="none")
    found.sum().backward()
    assert found.tolist() == [value] and logits.grad.isfinite().all()


@pytest.mark.parametrize("backend", ["eager", "fused", "linear"])
@pytest.mark.parametrize("name", ["divergence", "entropies of order b"])
def test_a_nan_reaches_the_loss_of_its_pair_alone(name: str, backend: str) -> None:
    spec = midpo.loads(f'{HEAD}[target]\nloss = "{AT_ENDS[name][0]}"\n')
    kernel = midpo.generate(spec, backend=backend)
    logits = {policy_argument(p): torch.ones(4, 2, 3) for p in kernel.policies}
    logits["policy_logits"][0, 1, 2] = torch.nan
    labels = torch.zeros(4, 2, dtype=torch.long)
    found = from_logits(torch, kernel)(**logits, labels=labels, reduction="none", b=0.5)
    assert found.isnan().tolist() == [True, False]


def test_a_pole_outside_a_sum_over_tokens() -> None:
    spec = midpo.loads(
        'name = "a"\n[parameters]\na = "unit"\n[target]\nloss = '
        '"sum(pi(y_w, t) - pi(y_w, t)**(1 + a) for t in y_w)/a"'
    )
    function = midpo.generate(spec, backend="logps").compile()
    found = function(torch.full((2, 2), -1.0), torch.zeros(2, 2, dtype=torch.long), a=1e-7)
    assert abs(found.item() - 2 * 0.36787944) < 1e-6


@pytest.mark.parametrize(
    ("loss", "value"),
    [("(sigmoid(b*m) - 1/2)/b", 0.25), ("(1 - 2*sigmoid(-b*m))/b", 0.5), ("(sqrt(1 + b*m**2) - 1)/b", 0.5)],
)
def test_functions_near_their_limits(loss: str, value: float) -> None:
    ratio = "(log(pi(y_w)/pi_ref(y_w)) - log(pi(y_l)/pi_ref(y_l)))"
    spec = midpo.loads(
        f'name = "a"\n[parameters]\nb = "positive"\n[target]\nloss = "{loss.replace("b*m", "b*" + ratio)}"'
    )
    function = midpo.generate(spec, backend="logps").compile()
    own = torch.tensor([[-1.0], [-2.0]], requires_grad=True)
    found = function(own, torch.full((2, 1), -1.5), torch.zeros(2, 1, dtype=torch.long), b=1e-9)
    found.backward()
    slope = value if "sigmoid" in loss else 1.0
    assert abs(found.item() - value) < 1e-6
    assert own.grad is not None and abs(own.grad[0].item() - slope) < 1e-6


def test_limits_that_no_form_keeps_are_said() -> None:
    """What is 0 over 0 at the end of a domain, and is computed as it stands."""
    order = "sum(log(sum(pi(y_w, t, v)**b*pi_ref(y_w, t, v)**(1 - b) for v in vocab)) for t in y_w)"
    squared = "b*log(pi(y_w))**2"
    for text, end in (
        (f"{order}/(b - 1)", "1"),
        (f"{order}/b", "0"),
        ("log(pi(y_w)**b + 1)/b", ""),
        (f"(abs(1 + {squared}) - 1)/b", "0"),
        (f"(1/(1 + {squared})**2 - 1)/b", "0"),
        (f"(1/(1 + {squared}) - 1)/b", ""),
    ):
        notes = midpo.generate(midpo.loads(f'{HEAD}[target]\nloss = "{text}"\n')).notes
        assert [f"b is near {end}," in note for note in notes] == [True] * bool(end), notes
    assert not any(midpo.generate(midpo.load(row)).notes for row in ("alphapo", "f-dpo-alpha", "kto"))
