"""The user's names in kernels: every identifier of every generated file, as the name of a
parameter, of a feature of each kind, of a policy and of a response, changes nothing or is refused.
"""

from __future__ import annotations

import ast
import re
import zlib
from functools import cache
from typing import Any

import pytest

import midpo
from midpo.codegen.backends import BACKENDS
from midpo.codegen.names import marked, plain, settled, unmarked
from midpo.codegen.statements import python
from midpo.codegen.statements.nodes import Argument, Function, Name
from midpo.codegen.statements.quote import block
from midpo.symbolic.errors import MidpoError, NotYet

torch = pytest.importorskip("torch")

ROLES = ("parameter", "token", "response", "pair", "policy")
PAIRS, TOKENS, VOCABULARY, WIDTH = 2, 3, 4, 3
ROWS = ("native", "triton")  # their loops take float32
EACH = 3  # names of each role in one spec
DERIVED = ("_logits", "_hidden", "_weight", "_bias", "_token_logps", "_logps", "_probs")


def text_of(names: dict[str, list[str]], response: str = "y_g", whole: bool = True) -> str:
    """A spec in which each of these names matters."""
    parameters, policies = names["parameter"], [f"pi_{n}" for n in names["policy"]]
    scale = " + ".join(f"{n}*{p}" for n, p in enumerate(parameters, start=1))
    sides = []
    for sign, y in (("", "y_w"), ("-", "y_l")):
        weights = [f"{n}({y}, t)" for n in names["token"]] or ["1"]
        rates = [f"{n}({y})" for n in names["response"]] or ["1"]
        terms = [
            f"({' + '.join(rates)})*log(pi({y})/pi_ref({y}))",
            f"sum(({' + '.join(weights)})*log(pi({y}, t)) for t in {y})",
        ]
        terms += [f"log({p}({y}))/{n}" for n, p in enumerate(policies, start=3)]
        if whole:
            terms.append(f"sum(sum(pi({y},t,v)**2*log(pi({y},t,v))*({scale}) for v in vocab) for t in {y})")
            terms += [
                f"sum(kl({p}, pi, {y}, t) for t in {y})/{n}" for n, p in enumerate(policies[:1], start=2)
            ]
        sides.append(f"{sign}(({scale})*({' + '.join(terms)}))")
    shifts = "".join(f" + {n}*{f}" for n, f in enumerate(names["pair"], start=2))
    lines = ['name = "named"', "[parameters]"]
    lines += [f'{p} = {{ domain = "positive", default = 0.{n} }}' for n, p in enumerate(parameters, start=3)]
    lines += [
        "[features]",
        *(f'{n} = "{kind}"' for kind in ("token", "response", "pair") for n in names[kind]),
    ]
    lines += ["[policies]", *(f'{p} = "frozen"' for p in policies)]
    lines += ["[responses]", f'{response} = "a gold answer"', "[target]"]
    loss = f"-log(sigmoid(({' '.join(sides)}{shifts})/8)) - log(pi({response}))/16"
    return "\n".join([*lines, f'loss = "{loss}"'])


def neutral(counts: dict[str, int]) -> dict[str, list[str]]:
    return {role: [f"n{role}{n}" for n in range(counts[role])] for role in ROLES}


def values(names: dict[str, list[str]], backend: str, kind: Any) -> dict[str, Any]:
    """The arguments of a kernel of `text_of(names)`: the same numbers whatever the names are."""

    def numbers(*shape: int) -> Any:
        count = torch.arange(torch.Size(shape).numel(), dtype=torch.float64).reshape(shape)
        return torch.sin(1.0 + 1.7 * count + 0.3 * len(given)).to(kind)

    given: dict[str, Any] = {}
    rows = 3 * PAIRS
    for n, short in enumerate(["policy", "reference", *names["policy"]]):
        if backend == "linear":
            given[f"{short}_hidden"] = numbers(rows, TOKENS, WIDTH) + n
            given[f"{short}_weight"] = numbers(VOCABULARY, WIDTH)
            given[f"{short}_bias"] = numbers(VOCABULARY)
        elif backend == "logps":
            given[f"{short}_logps"] = -numbers(rows, TOKENS).abs() - 0.1
        else:
            given[f"{short}_logits"] = numbers(rows, TOKENS, VOCABULARY)
    labels = torch.arange(rows * TOKENS).reshape(rows, TOKENS) % VOCABULARY
    labels[1, 0] = -100
    given["labels"] = labels
    shapes = {"token": (rows, TOKENS), "response": (rows,), "pair": (PAIRS,)}
    for role, shape in shapes.items():
        given |= {n: numbers(*shape).abs() + 0.1 for n in names[role]}
    return given | {p: 0.2 + 0.1 * n for n, p in enumerate(names["parameter"])}


def outcome(source: midpo.Kernel, names: dict[str, list[str]]) -> list[Any]:
    """The loss of each pair, and its gradient with respect to the policy and every feature."""
    kind = torch.float32 if source.backend in ROWS else torch.float64
    given = values(names, source.backend, kind)
    inputs = [
        x.requires_grad_()
        for n, x in given.items()
        if isinstance(x, torch.Tensor)
        and x.is_floating_point()
        and n in {*(f"policy{end}" for end in DERIVED), *names["token"], *names["response"], *names["pair"]}
    ]
    loss = source.compile()(**given, reduction="none")
    return [loss.detach(), *torch.autograd.grad(loss.sum(), inputs)]


@cache
def expected(backend: str, counts: tuple[int, ...]) -> list[Any]:
    names = neutral(dict(zip(ROLES, counts, strict=True)))
    spec = midpo.loads(text_of(names, whole=backend != "logps"))
    return outcome(midpo.generate(spec, backend=backend), names)


@cache
def source_of(backend: str) -> str:
    names = neutral(dict.fromkeys(ROLES, 2))
    return midpo.generate(midpo.loads(text_of(names, whole=backend != "logps")), backend=backend).source


@cache
def identifiers(backend: str) -> tuple[str, ...]:
    """Every word of a generated file, in Python, C and Triton, comments and docstrings too; and
    those that are left where what is added to a policy's name is taken off."""
    ours = re.compile(rf"\w*n({'|'.join(ROLES)})\d\w*")  # the spec's own names
    words = {w for w in re.findall(r"[A-Za-z_]\w*", source_of(backend)) if not ours.fullmatch(w)}
    words |= {w.removesuffix(end) for w in words for end in DERIVED if w.endswith(end)}
    words |= {w.partition("_")[2] for w in words}
    return tuple(sorted(w for w in words if w.isidentifier()))


def allowed(name: str, role: str) -> bool:
    """Whether a spec may have this name at all; where not, it is refused when it is read. A policy
    pi_ref is the reference."""
    if (name, role) == ("ref", "policy"):
        return False
    names = {r: [name] if r == role else [f"n{r}"] for r in ROLES}
    try:
        midpo.loads(text_of(names))
    except MidpoError:
        return False
    return True


def hold(backend: str, names: dict[str, list[str]], response: str) -> int:
    """Try a spec with these names, less those that `generate` refuses. How many are left."""
    names = {role: list(some) for role, some in names.items()}
    while True:
        # The argument of one policy may be another's name for a parameter: refused with both named.
        spec = midpo.loads(text_of(names, response, whole=backend != "logps"))
        try:
            kernel = midpo.generate(spec, backend=backend)
            break
        except NotYet as error:
            refused = re.findall(r'the (parameter|feature|policy) "(\w+)"', str(error))
            assert refused and "expected: another name" in str(error), str(error)
            for _, name in refused:
                for some in names.values():
                    some[:] = [n for n in some if name not in (n, f"pi_{n}")]
            for role, some in names.items():
                if not some:
                    some.append(f"n{role}")
    counts = tuple(len(names[r]) for r in ROLES)
    for found, exact in zip(outcome(kernel, names), expected(backend, counts), strict=True):
        torch.testing.assert_close(
            found,
            exact,
            rtol=2e-5 if backend in ROWS else 1e-9,
            atol=1e-5 if backend in ROWS else 1e-11,
            msg=lambda said, names=names: f"{names}: {said}",
        )
    return sum(counts)


def groups(words: tuple[str, ...], shift: int) -> list[dict[str, list[str]]]:
    """The words in specs, each once, its role told by the word and `shift`."""
    waiting: dict[str, list[str]] = {role: [] for role in ROLES}
    for word in words:
        role = ROLES[(zlib.crc32(word.encode()) + shift) % len(ROLES)]
        if allowed(word, role):
            waiting[role].append(word)
    made = []
    while any(waiting.values()):
        made.append(
            {
                role: [waiting[role].pop() for _ in range(min(EACH, len(waiting[role])))] or [f"n{role}"]
                for role in ROLES
            }
        )
    return made


WORD = re.compile(r"[A-Za-z][A-Za-z0-9]{0,15}")  # what may follow y_


@pytest.mark.parametrize(
    ("backend", "shift", "specs"),
    [
        *((backend, 0, 1) for backend in BACKENDS),
        *(
            pytest.param(backend, shift, 10_000, marks=pytest.mark.slow)
            for backend in BACKENDS
            for shift in range(len(ROLES))
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
def test_an_identifier_of_the_file_changes_nothing(backend: str, shift: int, specs: int) -> None:
    """By default one spec a backend; the slow ones hold each identifier in each role."""
    if backend == "triton":
        pytest.importorskip("triton", reason="its interpreter runs the kernels")
    words = identifiers(backend)
    responses = [w for w in words if WORD.fullmatch(w) and w not in "wl"]
    for n, names in enumerate(groups(words, shift)[:specs]):
        response = responses[(n + shift) % len(responses)]
        assert hold(backend, names, f"y_{response}") >= len(ROLES)


@pytest.mark.parametrize(
    ("backend", "names"),
    [
        ("fused", ("ours", "dtype", "index")),
        ("fused", ("weighted", "expectation", "gradient")),
        ("linear", ("like", "at_label", "ours")),
        ("native", ("known", "ours", "logit")),
    ],
)
def test_names_that_our_own_are_made_of(backend: str, names: tuple[str, ...]) -> None:
    """Of parameters in sums over the vocabulary, and of policies, seeds and columns."""
    policies = [f"grad_{names[0]}", names[1], f"policy_{names[2]}"]
    assert (
        hold(
            backend,
            {
                "parameter": [*names],
                "token": ["kernel"],
                "response": ["chosen"],
                "pair": ["loss"],
                "policy": policies,
            },
            "y_w2",
        )
        == 9
    )


POLICIES = {
    "native": ["policy_total", "total_sum_policy", "sum_policy"],
    "fused": ["grad_policy", "grad_grad_policy", "policy_slope"],
    "linear": ["x", "x_token", "x_token_token"],
    "eager": ["my_logits", "my_logits_logits", "logits"],
    "logps": ["a_b", "b", "a"],
}


@pytest.mark.parametrize(
    ("backend", "policies"),
    [
        *POLICIES.items(),
        *(
            pytest.param(backend, policies, marks=pytest.mark.slow)
            for backend in BACKENDS
            for policies in POLICIES.values()
        ),
    ],
)
def test_names_of_policies_that_others_are_made_of(backend: str, policies: list[str]) -> None:
    if backend == "triton":
        pytest.importorskip("triton", reason="its interpreter runs the kernels")
    names = {role: [f"n{role}"] for role in ROLES} | {"policy": policies}
    assert hold(backend, names, "y_g") == len(ROLES) + 2


@pytest.mark.parametrize(
    ("text", "backend", "message"),
    [
        (
            '[parameters]\nTABLE = "real"',
            "linear",
            'the parameter "TABLE" would be the argument "TABLE", which the function calls or reads as '
            'its own\n  expected: another name, such as "TABLE_2"',
        ),
        (
            '[features]\nold_hidden = "pair"\n[policies]\npi_old = "frozen"',
            "linear",
            'the policy "pi_old" and the feature "old_hidden" would both be the argument "old_hidden"',
        ),
        (
            '[policies]\npi_reference = "frozen"',
            "fused",
            'the policy "pi_reference" would be the argument "reference_logits" a second time',
        ),
        ('[policies]\npi_2 = "frozen"', "logps", '"2_logps", which is no name in Python'),
    ],
)
def test_what_cannot_be_an_argument_is_refused(text: str, backend: str, message: str) -> None:
    name = re.findall(r"^(\w+) =", text, flags=re.M)
    used = " + ".join(f"log({n}(y_w)/pi_ref(y_w))" if n.startswith("pi_") else n for n in name)
    target = f'[target]\nmargin = "log(pi(y_w)/pi(y_l)) + {used}"'
    spec = midpo.loads(f'name = "refused"\n{text}\n{target}')
    with pytest.raises(NotYet) as caught:
        midpo.generate(spec, backend=backend)
    assert message in str(caught.value), str(caught.value)


def test_marks_are_identifiers_of_the_same_length_and_come_off() -> None:
    name = "Az_09"
    mark = marked(name)
    assert len(mark) == len(name) and mark.isidentifier() and plain(mark) == name
    assert ast.unparse(ast.parse(mark)) == mark  # Python does not normalise them
    title = f"Linear A: {mark}"
    assert ast.literal_eval(f'"{unmarked(title)}"') == title


def test_a_mark_in_a_title_stays() -> None:
    title = f"on {marked('beta')}"
    spec = f"""name = "linear-a"
title = "{title}"
[parameters]
beta = "positive"
[target]
margin = "beta*log(pi(y_w)/pi(y_l))" """
    function = midpo.generate(midpo.loads(spec)).compile()
    assert title in function.__doc__ and "beta" in function.__doc__


def test_a_name_of_ours_gets_a_line() -> None:
    """The argument keeps the user's name; inside it has another."""
    total = marked("total")
    body = block(
        """
        total = rows + TOTAL
        return "TOTAL", math.sqrt(total)
    """.replace("TOTAL", total)
    )
    arguments = tuple(Argument(name, Name("float")) for name in (total, "rows"))
    kernel = Function("kernel", arguments, Name("float"), (f"of {total}",), body)
    found = settled([kernel], "kernel", {total: "it"}, "none")
    assert (
        "\n".join(python.lines(found))
        == '''def kernel(
    total: float,
    rows: float,
) -> float:
    """of total"""
    total2 = total
    total = rows + total2
    return "total", math.sqrt(total)'''
    )


@pytest.mark.parametrize("name", ["WAYS", "TABLE", "RATE", "itertools", "sys", "functools"])
@pytest.mark.parametrize("backend", ["fused", "linear"])
def test_what_the_runtime_imports_and_defines(name: str, backend: str) -> None:
    """A name that only functions of the runtime read hides nothing from them."""
    side = f"log(pi({{0}})/pi_ref({{0}})) - {name}*sum(kl(pi_ref, pi, {{0}}, t) for t in {{0}})"
    spec = midpo.loads(
        f'name = "a"\n[parameters]\n{name} = "positive"\n[target]\n'
        f'margin = "{side.format("y_w")} - ({side.format("y_l")})"'
    )
    try:
        function = midpo.generate(spec, backend=backend).compile()
    except MidpoError:
        return
    logits, labels = torch.sin(torch.arange(24.0)).reshape(2, 3, 4), torch.zeros(2, 3).long()
    head = {"policy_weight": torch.eye(4), "reference_weight": torch.eye(4)}
    given = (
        {"policy_hidden": logits, "reference_hidden": -logits, **head}
        if backend == "linear"
        else {"policy_logits": logits, "reference_logits": -logits}
    )
    found = function(**given, labels=labels, **{name: 0.5})
    p, q = logits.log_softmax(-1), (-logits).log_softmax(-1)
    rows = ((p - q)[..., 0] - 0.5 * (q.exp() * (q - p)).sum(-1)).sum(-1)
    assert abs(found + torch.nn.functional.logsigmoid(rows[0] - rows[1])) < 1e-5
