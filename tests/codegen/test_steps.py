"""`--for loop`: a step from token ids, against the readable kernel on logits shifted by hand."""

from __future__ import annotations

import copy
import math
from types import SimpleNamespace
from typing import Any

import pytest
from test_backends import ALL, spec_of
from test_kernel import value_of

import midpo

torch = pytest.importorskip("torch", reason="kernels run on torch")

PAIRS, LENGTH, VOCABULARY, WIDTH = 3, 9, 11, 4
RESPONSES = ["dpo", "tdpo", "simpo", "orpo", "spin", "irpo", "tis-dpo", "odpo", "aot", "tpo", "everything"]


class Toy(torch.nn.Module):  # type: ignore[name-defined, misc]
    """A causal language model: what a position predicts depends on the tokens up to it."""

    def __init__(self, seed: int, *, scale: float = 1.0, cap: float = math.inf, bias: bool = True) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.embed = torch.nn.Embedding(VOCABULARY, WIDTH)
        self.mix = torch.nn.Linear(WIDTH, WIDTH)
        self.lm_head = torch.nn.Linear(WIDTH, VOCABULARY, bias=bias)
        self.config = SimpleNamespace(
            logit_scale=scale, final_logit_softcapping=None if math.isinf(cap) else cap
        )
        self.to(torch.float64)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))

    def forward(self, input_ids: Any, attention_mask: Any, **_: Any) -> Any:
        x = self.embed(input_ids) * attention_mask[..., None]
        hidden = torch.tanh(self.mix(x.cumsum(1) / attention_mask.cumsum(1).clamp(min=1)[..., None]))
        logits = self.lm_head(hidden) * self.config.logit_scale
        cap = self.config.final_logit_softcapping
        return SimpleNamespace(logits=logits if cap is None else cap * torch.tanh(logits / cap))


def batch_of(of: int, seed: int = 0) -> dict[str, Any]:
    """Prompts padded on the left, responses of unequal lengths padded on the right."""
    generator = torch.Generator().manual_seed(seed)
    rows = of * PAIRS
    ids = torch.randint(1, VOCABULARY, (rows, LENGTH), generator=generator)
    ids[:, :4] = ids[:PAIRS, :4].repeat(of, 1)
    attention = torch.ones(rows, LENGTH, dtype=torch.int64)
    for row in range(rows):
        attention[row, : row % PAIRS % 2] = 0
        attention[row, LENGTH - row % 3 :] = 0
    completion = attention.clone()
    completion[:, :4] = 0
    return {"input_ids": ids, "attention_mask": attention, "completion_mask": completion}


def features_of(kernel: Any, rows: int) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(3)
    shapes = {"token": (rows, LENGTH), "response": (rows,), "pair": (PAIRS,)}
    return {
        name: torch.rand(shapes[kind], generator=generator, dtype=torch.float64) + 0.2
        for name, kind in kernel.features.items()
    }


def shifted(kernel: Any, models: dict[str, Any], batch: Any, features: Any, parameters: Any) -> Any:
    """The same by hand: logits of every model, and the labels they predict."""
    inputs = {k: v for k, v in batch.items() if k != "completion_mask"}
    labels = batch["input_ids"].masked_fill(batch["completion_mask"] == 0, -100)[:, 1:]
    logits = {f"{name}_logits": model(**inputs).logits[:, :-1] for name, model in models.items()}
    ours = {n: x[:, 1:] if kernel.features[n] == "token" else x for n, x in features.items()}
    return kernel.compile()(**logits, labels=labels, **ours, **parameters, metrics=True)


def models_of(kernel: Any, **options: Any) -> dict[str, Any]:
    names = {"pi": "policy", "pi_ref": "reference"}
    return {
        names.get(p, p.removeprefix("pi_")): Toy(seed, **options) for seed, p in enumerate(kernel.policies)
    }


def both(name: str, backend: str = "linear", **options: Any) -> tuple[Any, Any]:
    """(loss, gradients by name, metrics) by hand and of the step."""
    spec = spec_of(name)
    eager, kernel = midpo.generate(spec), midpo.generate(spec, backend=backend, where="loop")
    models = models_of(eager, **options)
    batch = batch_of(len(eager.roles))
    features = features_of(eager, batch["input_ids"].shape[0])
    parameters = {n: value_of(n, domain) for n, domain in eager.parameters.items()}
    found = []
    for by_hand in (True, False):
        policy = copy.deepcopy(models["policy"])
        if by_hand:
            loss, logged = shifted(eager, {**models, "policy": policy}, batch, features, parameters)
        else:
            others = {n: m for n, m in models.items() if n not in ("policy", "reference")}
            loss, logged = kernel.compile()(
                policy,
                models.get("reference"),
                **batch,
                features=features,
                parameters=parameters,
                policies=others,
            )
            assert all(p.grad is None for n, m in models.items() for p in m.parameters() if n != "policy")
        loss.backward()
        found.append((loss, {n: p.grad for n, p in policy.named_parameters()}, logged))
    return found[0], found[1]


def close(expected: Any, found: Any, **near: Any) -> None:
    near = near or {"rtol": 1e-10, "atol": 1e-12}
    torch.testing.assert_close(found[0], expected[0], **near)
    for name, gradient in expected[1].items():
        torch.testing.assert_close(found[1][name], gradient, **near)
    assert found[2].keys() == expected[2].keys()
    for key, value in expected[2].items():
        torch.testing.assert_close(found[2][key], value, **near)


@pytest.mark.parametrize("name", RESPONSES)
def test_a_step_is_the_loss_of_shifted_logits(name: str) -> None:
    close(*both(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*ALL} - {*RESPONSES}))
def test_a_step_of_every_row(name: str) -> None:
    close(*both(name))


@pytest.mark.parametrize("name", ["dpo", "tdpo", "spin"])
@pytest.mark.parametrize("backend", ["fused", "eager"])
def test_a_step_from_logits(name: str, backend: str) -> None:
    close(*both(name, backend))


@pytest.mark.parametrize("backend", ["linear", "fused"])
@pytest.mark.parametrize("scaled", [{"scale": 0.25}, {"cap": 2.0}, {"scale": 3.0, "cap": 1.5, "bias": False}])
def test_scale_and_cap_are_those_of_the_config(backend: str, scaled: dict[str, Any]) -> None:
    close(*both("dpo", backend, **scaled))
    close(*both("tdpo", backend, **scaled))


def test_log_probabilities_are_no_place_to_train_from() -> None:
    with pytest.raises(midpo.MidpoError, match=r'backend "logps" with --for loop\n  expected: linear, fused'):
        midpo.generate("dpo", backend="logps", where="loop")
    with pytest.raises(midpo.MidpoError, match=r'no place "sky" to train in\n  expected: loop'):
        midpo.generate("dpo", where="sky")


def test_names_of_a_spec_are_those_of_nobody_else() -> None:
    """Parameters and features are given by name in dicts, whatever they are called."""
    names = ("model", "reference", "SEAM", "inputs", "batch", "metrics2", "input_ids")
    listed = "\n".join(f"{name} = {{ default = 0.3 }}" for name in names)
    margin = f"({' + '.join(names)})*frozen(y_w)*log(pi(y_w)) - log(pi(y_l))"
    text = f'name = "names"\n[parameters]\n{listed}\n[features]\nfrozen = "response"\n'
    spec = midpo.loads(f'{text}[target]\nmargin = "{margin}"\n')
    step = midpo.generate(spec, where="loop").compile()
    features = {"frozen": torch.ones(2 * PAIRS, dtype=torch.float64)}
    policy, batch = Toy(0), batch_of(2)
    found, _ = step(policy, None, **batch, features=features, parameters={"model": 0.7})
    given = {**dict.fromkeys(names, 0.3), "model": 0.7}
    expected, _ = shifted(midpo.generate(spec), {"policy": policy}, batch, features, given)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=0)


STEP = midpo.generate("dpo", where="loop").compile()


def run(policy: Any = None, reference: Any = None, step: Any = STEP, **changes: Any) -> Any:
    batch = {**batch_of(2), **changes}
    return step(policy or Toy(0), Toy(1) if reference is None else reference, **batch)


def in_turn(x: Any) -> Any:
    return x.view(2, PAIRS, -1).transpose(0, 1).reshape(x.shape)


BATCH = batch_of(2)
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "rows in turn": ({n: in_turn(x) for n, x in BATCH.items()}, "input_ids: got other prompts in rows"),
    "the rejected ones in another order": (
        {n: torch.cat([x[:3], x[3:].roll(1, 0)]) for n, x in BATCH.items()},
        "input_ids: got other prompts in rows",
    ),
    "unshifted labels for a mask": (
        {"completion_mask": BATCH["input_ids"][:, 1:]},
        "completion_mask: got shape",
    ),
    "padding that counts": (
        {"completion_mask": torch.ones_like(BATCH["input_ids"])},
        "completion_mask: got positions that attention_mask leaves out",
    ),
    "no response": (
        {"completion_mask": BATCH["completion_mask"] * (torch.arange(6) > 0)[:, None]},
        "labels: got no label in row 0",
    ),
    "ids that are none": ({"input_ids": BATCH["input_ids"].double()}, "input_ids: got shape"),
    "an odd number of rows": ({n: x[:5] for n, x in BATCH.items()}, r"input_ids: got shape \(5, 9\)"),
    "another parameter": ({"parameters": {"beta": 0.1}}, "parameters: got beta, needs alpha"),
    "a parameter outside": ({"parameters": {"alpha": -1.0}}, "alpha: got -1.0"),
    "a feature that there is none of": (
        {"features": {"mu": BATCH["input_ids"]}},
        "features: got mu, needs none",
    ),
    "another policy": ({"policies": {"old": Toy(2)}}, "policies: got old, needs reference"),
    "logits for a reference": (
        {"reference": torch.ones(2)},
        r"reference: got shape \(2,\), needs \(6,\) or a model",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_refused(wrong: str) -> None:
    changes, said = WRONG[wrong]
    with pytest.raises(ValueError, match=said):
        run(**changes)


def test_prompts_may_be_cut_at_either_end() -> None:
    batch = batch_of(2)
    batch["attention_mask"][4, :2] = 0  # the rejected one's prompt begins later
    batch["input_ids"][4, :2] = 0
    batch["completion_mask"] &= batch["attention_mask"]
    run(**batch)


def test_a_policy_that_is_missing_is_named() -> None:
    spin = midpo.generate("spin", where="loop").compile()
    with pytest.raises(ValueError, match=r"^old: got None, needs a model$"):
        run(step=spin)
    with pytest.raises(ValueError, match=r"^reference: got None, needs a model, or a policy with an adapter"):
        STEP(Toy(0), None, **batch_of(2))
    odpo = midpo.generate("odpo", where="loop").compile()
    with pytest.raises(ValueError, match="features: got nothing for"):
        run(step=odpo)


class Headless(Toy):
    def forward(self, input_ids: Any, attention_mask: Any, **_: Any) -> Any:
        return self.mix(self.embed(input_ids))


class Twice(Toy):
    def forward(self, input_ids: Any, attention_mask: Any, **more: Any) -> Any:
        super().forward(input_ids, attention_mask, **more)
        return super().forward(input_ids, attention_mask, **more)


class Biased(Toy):
    """What a head makes is changed in a way that no config tells."""

    def forward(self, input_ids: Any, attention_mask: Any, **more: Any) -> Any:
        return super().forward(input_ids, attention_mask, **more).logits + 2.0


class Adapted(Toy):
    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.lm_head.base_layer = torch.nn.Linear(1, 1)


class Bodiless(torch.nn.Module):  # type: ignore[name-defined, misc]
    pass


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Headless(0), "asked its output head 0 times"),
        (Twice(0), "asked its output head 2 times"),
        (Biased(0), "makes of its head's output"),
        (Adapted(0), "got an adapter on its output head"),
        (Bodiless(), "Bodiless has no output head"),
    ],
)
def test_models_that_do_not_fit(model: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        run(model)
    assert "forward" not in vars(getattr(model, "lm_head", model))


def test_a_model_is_left_as_it_was() -> None:
    policy, reference = Toy(0), Toy(1)
    reference.mix.eval()
    before = policy(**{k: v for k, v in batch_of(2).items() if k != "completion_mask"}).logits
    run(policy, reference)
    after = policy(**{k: v for k, v in batch_of(2).items() if k != "completion_mask"}).logits
    assert torch.equal(before, after) and "forward" not in vars(policy.lm_head)
    assert reference.training and not reference.mix.training and policy.training


class Adapter(Toy):
    """As PEFT's models are: the reference is the policy with its adapter off."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.adapter = torch.nn.Parameter(torch.full((WIDTH,), 0.3, dtype=torch.float64))
        self.dropout = torch.nn.Dropout(0.5)
        self.off = False

    def disable_adapter(self) -> Any:
        self.off = True
        return self

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: Any) -> None:
        self.off = False

    def forward(self, input_ids: Any, attention_mask: Any, **more: Any) -> Any:
        if self.off:
            assert not self.dropout.training and not torch.is_grad_enabled()
            return super().forward(input_ids, attention_mask)
        weight = self.embed.weight
        moved = torch.nn.functional.embedding(input_ids, weight + self.adapter) * attention_mask[..., None]
        hidden = torch.tanh(self.mix(moved.cumsum(1) / attention_mask.cumsum(1).clamp(min=1)[..., None]))
        return self.lm_head(hidden)


def test_the_reference_is_the_policy_with_its_adapter_off() -> None:
    policy = Adapter(0)
    found, _ = STEP(policy, None, **batch_of(2))
    reference = Toy(0)
    expected, _ = run(policy, reference)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    assert policy.training and policy.dropout.training and not policy.off
    assert abs(float(found.detach()) - math.log(2)) > 1e-4  # the adapter moves the policy


def test_micro_batches_add_up() -> None:
    batch, whole = batch_of(2), Toy(0)
    run(whole)[0].backward()
    parts = Toy(0)
    for pairs in ([0, 1], [2]):
        rows = [*pairs, *(p + PAIRS for p in pairs)]
        loss, _ = STEP(parts, Toy(1), **{n: x[rows] for n, x in batch.items()}, num_pairs=PAIRS)
        loss.backward()
    for one, other in zip(parts.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-10, atol=1e-12)


def test_evaluation_makes_no_graph() -> None:
    with torch.no_grad():
        loss, _ = run()
    assert not loss.requires_grad
    torch.testing.assert_close(loss, run()[0].detach(), rtol=1e-12, atol=0)


@pytest.mark.parametrize("seed", range(4))
def test_autocast_is_that_of_the_forward(seed: int) -> None:
    """Inside autocast the product with the head is of bfloat16 numbers, its sum in float32: nearer
    to that than to the loss of float32 numbers."""
    policy, reference = Toy(seed).float(), Toy(seed + 50).float()
    batch = batch_of(2, seed)
    inputs = {k: v for k, v in batch.items() if k != "completion_mask"}
    labels = batch["input_ids"].masked_fill(batch["completion_mask"] == 0, -100)[:, 1:]
    held: list[Any] = []

    def rounded(model: Any) -> Any:
        hook = model.lm_head.register_forward_pre_hook(lambda _, given: held.append(given[0]))
        with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
            model(**inputs)
        hook.remove()
        head = model.lm_head
        hidden, weight = (x.bfloat16().double() for x in (held[-1], head.weight))
        return (hidden @ weight.T + head.bias.double())[:, :-1]

    eager = midpo.generate("dpo").compile()
    expected = eager(rounded(policy), rounded(reference), labels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, _ = STEP(policy, reference, **batch)
    found.backward()
    plain, _ = STEP(policy, reference, **batch)
    assert (found - expected).abs().item() < 1e-5 < (plain - expected).abs().item()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in policy.parameters())


def test_a_reference_of_another_dtype() -> None:
    policy, reference = Toy(0), Toy(1).bfloat16()
    for name in ("dpo", "tdpo"):
        step = midpo.generate(name, where="loop").compile()
        found, _ = step(policy, reference, **batch_of(2))
        expected, _ = step(policy, Toy(1), **batch_of(2))
        assert 0 < abs(float(found.detach() - expected.detach())) < 0.02


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_stays_one(value: float) -> None:
    policy = Toy(0)
    with torch.no_grad():
        policy.lm_head.bias[3] = value
    loss, _ = STEP(policy, Toy(1), **batch_of(2), validate=False)
    assert not math.isfinite(float(loss))


@pytest.mark.parametrize("thin", [False, True])
def test_one_file_holds_all(thin: bool) -> None:
    kernel = midpo.generate("tis-dpo", where="loop", thin=thin)
    assert ("from midpo" in kernel.source) == thin
    assert max(map(len, kernel.source.partition("def step")[2].partition("_loss(")[0].splitlines())) <= 100
    assert kernel.function == "step" and kernel.where == "loop" and kernel.backend == "linear"
    for said in ("w: (2B, T) or (2B, T - 1)", "alpha: a number greater than 0; default 0.1"):
        assert said in kernel.source


@pytest.mark.parametrize("name", ["dpo", "simpo", "tdpo"])
def test_a_pair_without_a_response_may_count_nothing(name: str) -> None:
    step = midpo.generate(name, where="loop").compile()
    batch = batch_of(2)
    batch["completion_mask"][1] = 0
    policy, other = Toy(0), Toy(0)
    with pytest.raises(ValueError, match="labels: got no label in row 1"):
        step(policy, Toy(1), **batch)
    loss, metrics = step(policy, Toy(1), **batch, empty="zero")
    rest = {n: x[[0, 2, 3, 5]] for n, x in batch.items()}
    expected, _ = step(other, Toy(1), **rest, num_pairs=PAIRS)
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)
    loss.backward(), expected.backward()
    for one, two in zip(policy.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad, rtol=1e-10, atol=1e-13)
    assert math.isclose(metrics["pairs/empty"].item(), 1 / PAIRS)


def test_a_loss_that_sorts_its_batch_needs_all_pairs() -> None:
    step = midpo.generate("aot", where="loop").compile()
    with pytest.raises(TypeError, match="empty"):
        step(Toy(0), Toy(1), **batch_of(2), empty="zero")
