"""What calls a kernel where people train: in one's own loop, in TRL's trainer, or where
log-probabilities are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from midpo.codegen.backends import BACKENDS
from midpo.codegen.bundle import Import
from midpo.codegen.names import plain
from midpo.codegen.plan.needs import Takes
from midpo.codegen.statements import python
from midpo.codegen.statements.nodes import (
    Argument,
    Assign,
    Call,
    Code,
    Constant,
    Function,
    Name,
    Number,
    Statement,
    Table,
    Text,
)
from midpo.codegen.statements.quote import block, quote
from midpo.symbolic.errors import MidpoError, NotYet

from .documents import EMPTY as EMPTY_SAID
from .frame import ANY, EMPTY, TENSOR, option


@dataclass(frozen=True)
class Where:
    """A place to train in: what is called there, the backends that it takes, the usual one first."""

    name: str
    function: str
    backends: tuple[str, ...]
    summary: str


OF_MODELS = ("linear", "fused", "triton", "native", "eager")
WHERES = {
    row.name: row
    for row in (
        Where("loop", "step", OF_MODELS, "a training loop of one's own"),
        Where("trl", "Trainer", OF_MODELS, "TRL's DPOTrainer"),
        Where("sequence", "Loss", ("logps",), "trainers that call a loss of log-probabilities"),
        Where("nemo-rl", "LossFn", ("logps",), "NeMo-RL"),
    )
}
IMPORTS = {
    "trl": (Import("trl", "DPOTrainer", "DPOTrainer"),),
    "nemo-rl": tuple(
        Import("nemo_rl.algorithms.loss.interfaces", name, name) for name in ("LossInputType", "LossType")
    ),
}
# Keywords of a trainer's constructor, whatever TRL's version; a parameter is another.
OF_TRAINERS = (
    "self", "model", "ref_model", "args", "data_collator", "train_dataset", "eval_dataset",
    "processing_class", "compute_metrics", "callbacks", "optimizers", "peft_config", "features",
    "policies",
)  # fmt: skip


def refuse(where: str, backend: str) -> None:
    """Raises: MidpoError for a place that is not there, or a backend that it does not take."""
    if where not in WHERES:
        raise MidpoError(f'no place "{where}" to train in\n  expected: {", ".join(WHERES)}')
    if backend in BACKENDS and backend not in WHERES[where].backends:
        raise MidpoError(
            f'backend "{backend}" with --for {where}\n  expected: {", ".join(WHERES[where].backends)}'
        )


def refuse_loss(where: str, name: str, takes: Takes, whole_term: str) -> None:
    """Raises: NotYet for a loss that has no room there: `whole_term` is what whole responses do not
    tell of it."""
    responses = len(takes.responses)
    if where != "loop" and responses != 2:
        places = {"trl": "TRL's DPOTrainer", "nemo-rl": "NeMo-RL"}
        place = places.get(where, "a trainer that asks for a module")
        raise NotYet(
            f"{name} has {responses} responses to a prompt, and {place} has 2\n  expected: --for loop"
        )
    if where == "sequence" and whole_term:
        raise NotYet(
            f"{name} needs {whole_term}, which log-probabilities of whole responses do not give"
            "\n  expected: --for loop or trl"
        )
    if where == "nemo-rl" and takes.needs == "distributions":
        raise NotYet(
            f"{name} needs {whole_term}, which log-probabilities of tokens do not give"
            "\n  expected: --for loop or trl"
        )


def around(
    v: Any, before: list[Statement], after: list[Statement]
) -> tuple[list[Statement], list[Statement], tuple[Import, ...]]:
    """A kernel's statements with those that call it where one trains, and what these import."""
    if v.where == "loop":
        return [step(v), *before], [*after, seam(v)], ()
    if v.where == "trl":
        return before, [*after, seam(v), trainer(v)], IMPORTS["trl"]
    if v.where == "nemo-rl":
        return before, [*after, seam(v), loss_function(v)], IMPORTS["nemo-rl"]
    return before, [*after, seam(v), sequence(v)], ()


def seam(v: Any) -> Statement:
    """What the step is told of the kernel."""
    names = _shorts(v)
    from_hidden = v.backend == "linear"
    enough = {policy for policy in names if from_hidden and policy in v.label_only}
    told: dict[str, Code] = {
        "loss": Name(v.function),
        "label_logps": Name("_label_logps") if enough else Constant(None),
        "from_hidden": Constant(from_hidden),
        "frozen": _table({short: Constant(policy in enough) for policy, short in names.items()}),
        "whole": Constant(not v.whole_term),
        "lengths": Constant(v.takes.needs == "lengths"),
        "sorts": Constant(v.orders_batch),
        "features": _table({plain(name): Constant(kind) for name, _, kind in v.features}),
        "parameters": _table({plain(name): quote(default or "None") for name, default, _ in v.parameters}),
        "of": Number(str(v.of)),
    }
    return Assign(Name("SEAM"), Call(Name("_Seam"), (), tuple(told.items())), spread=True)


def _shorts(v: Any) -> dict[str, str]:
    """Each frozen policy, and how the kernel's arguments of it begin."""
    return {policy: plain(short) for policy, short in v.shorts.items()}


def refuse_names(spec: str, parameters: Iterable[str]) -> None:
    """Raises: NotYet for parameters that a trainer's own keywords are called like."""
    taken = [name for name in parameters if name in OF_TRAINERS]
    if taken:
        raise NotYet(
            f'{spec}: the parameter "{taken[0]}" would be the trainer\'s argument "{taken[0]}" a second '
            f'time\n  expected: another name, such as "{taken[0]}_2"'
        )


def sequence(v: Any) -> Statement:
    """The module that is a loss of the log-probabilities of whole responses."""
    refuse_names(v.name, (plain(name) for name, *_ in v.parameters))
    said = ['"""' + v.summary[0], *v.summary[1:], "", 'As a module, Loss(reduction="none", ...):']
    said += _parameters(v, "    ")
    wanted = ["policy", *(n for n in _shorts(v).values() if n == "reference")]
    sides = [f"{name}_{side}_logps" for name in wanted for side in ("chosen", "rejected")]
    more = ["chosen_lengths=...", "rejected_lengths=..."] if v.takes.needs == "lengths" else []
    others = [name for name in _shorts(v).values() if name != "reference"]
    more += [f'policies={{"{name}": (chosen, rejected)}}' for name in others]
    more += [f'features={{"{plain(name)}": ...}}' for name, *_ in v.features]
    said += ["", "called with", *(f"    {each}," for each in (*sides, *more))]
    said += ["gives (losses, chosen_rewards, rejected_rewards).", '"""']
    lines = ["class Loss(_OfSequences):", *(f"    {line}".rstrip() for line in said), "", "    seam = SEAM"]
    return Text(tuple(lines), frozenset({"_OfSequences"}), frozenset({"Loss"}))


def loss_function(v: Any) -> Statement:
    """The class that is a loss function of NeMo-RL."""
    refuse_names(v.name, (plain(name) for name, *_ in v.parameters))
    columns = {"token": "(2B, T)", "response": "(2B,)", "pair": "(2B,), of which the chosen one's counts"}
    said = ['"""' + v.summary[0], *v.summary[1:], "", "As a LossFunction of NeMo-RL, LossFn(...):"]
    said += [*_parameters(v, "    "), "", "A batch holds, the rows of a pair in turn:"]
    said += ["    token_mask: (2B, T).", "    sample_mask: (2B,)."]
    said += [f"    {name}_policy_logprobs: (2B, T)." for name in _shorts(v).values()]
    said += [f"    {plain(name)}: {columns[kind]}." for name, _, kind in v.features]
    said.append('"""')
    lines = ["class LossFn(_OfTokens):", *(f"    {line}".rstrip() for line in said), "", "    seam = SEAM"]
    lines += ["    loss_type = LossType.SEQUENCE_LEVEL", "    input_type = LossInputType.LOGPROB"]
    return Text(tuple(lines), frozenset({"_OfTokens", "LossType", "LossInputType"}), frozenset({"LossFn"}))


def trainer(v: Any) -> Statement:
    """The class that is a trainer of TRL."""
    refuse_names(v.name, (plain(name) for name, *_ in v.parameters))
    scale = next((n for n in ("alpha", "beta") if n in {plain(p[0]) for p in v.parameters}), None)
    lines = [
        "class Trainer(_Preference, DPOTrainer):",
        *(f"    {line}".rstrip() for line in _trainer_document(v)),
        "",
        "    seam = SEAM",
        f"    spec = {python.text(Constant(v.name))}",
        f"    scale = {python.text(Constant(scale))}",
        f"    whole_term = {python.text(Constant(v.whole_term))}",
    ]
    return Text(tuple(lines), frozenset({"_Preference", "DPOTrainer"}), frozenset({"Trainer"}))


def _trainer_document(v: Any) -> list[str]:
    others = [short for policy, short in _shorts(v).items() if policy != "pi_ref"]
    said = [
        '"""' + v.summary[0],
        *v.summary[1:],
        "",
        "As a DPOTrainer of TRL, whose arguments it takes, and by name also these:",
        *_parameters(v, "    "),
    ]
    if v.features:
        said.append("    features: name -> call(inputs) -> tensor, instead of columns of the dataset:")
    for name, shape, kind in v.features:
        name = plain(name)
        columns = name if kind == "pair" else f"chosen_{name}, rejected_{name}"
        also = f" or ({v.of}B, T - 1)" if kind == "token" else ""
        said.append(f"        {name}: {shape}{also}, a {kind} feature; columns {columns}.")
        if kind == "token":
            said.append("            They hold a number a token of the response, the appended one too.")
    if others:
        said.append("    policies: a model for each further frozen policy: " + ", ".join(others) + ".")
    return [*said, '"""']


def _parameters(v: Any, indent: str) -> list[str]:
    """A line each."""
    usual = ("no default" if default is None else f"default {default}" for _, default, _ in v.parameters)
    return [
        f"{indent}{plain(name)}: {meaning}; {said}."
        for (name, _, meaning), said in zip(v.parameters, usual, strict=True)
    ]


def _table(items: dict[str, Code]) -> Table:
    return Table(tuple((Constant(name), value) for name, value in items.items()))


def step(v: Any) -> Function:
    """A step of a loop of one's own."""
    arguments = [
        Argument("model", ANY),
        Argument("reference", ANY),
        *(Argument(name, TENSOR) for name in ("input_ids", "attention_mask", "completion_mask")),
        option("features", "dict[str, Tensor] | None"),
        option("parameters", "dict[str, float] | None"),
        option("policies", "dict[str, Any] | None"),
        option("inputs", "dict[str, Any] | None"),
        option("num_pairs", "float | None"),
        *(() if v.orders_batch else (EMPTY,)),
        option("validate", "bool", "True"),
    ]
    body = block(
        """
        masks = {"attention_mask": attention_mask, "completion_mask": completion_mask}
        batch = {"input_ids": input_ids, **masks, **(inputs or {})}
        frozen = {**(policies or {}), "reference": reference}
        loss, metrics, _ = _step(
            SEAM, model, frozen, batch, features or {}, parameters or {}, num_pairs, EMPTY, validate
        )
        return loss, metrics
    """,
        EMPTY=Constant("error") if v.orders_batch else Name("empty"),
    )
    kind = quote("tuple[Tensor, dict[str, Tensor]]")
    return Function("step", tuple(arguments), kind, _document(v), body)


def _document(v: Any) -> tuple[str, ...]:
    others = [short for policy, short in _shorts(v).items() if policy != "pi_ref"]
    from_sums = v.backend == "linear" and not v.whole_term
    with_reference = "pi_ref" in v.shorts
    beside = ", then those beside them" if v.of > 2 else ""
    said = [
        *v.summary,
        "",
        "The kernel runs inside the model's own forward, in the place of its output head: FSDP, ZeRO-3",
        "and accelerate see to the head and to autocast as they do for logits, and no logits of the",
        "batch are kept.",
        "",
        "Args:",
        "    model: the trained policy, wrapped as it is trained: a causal language model with",
        "        get_output_embeddings() or lm_head, which is given the batch by name.",
    ]
    if with_reference:
        said += [
            "    reference: the frozen reference. None: `model` is one of PEFT, and its adapter is off in",
            f"        the reference's pass. Or ({v.of}B,), log-probabilities of the responses."
            if from_sums
            else "        the reference's pass.",
        ]
    else:
        said.append("    reference: not used; None.")
    said += [
        f"    input_ids: ({v.of}B, T), int64: prompts with the chosen responses of B pairs, then with",
        f"        the rejected ones in the same order{beside}.",
        f"    attention_mask: ({v.of}B, T), true or 1 where a token is.",
        f"    completion_mask: ({v.of}B, T), true or 1 where a token is one of a response. Token t is",
        "        predicted from the tokens before it: nothing is shifted by the caller.",
    ]
    if v.features:
        said.append("    features: a tensor for each of these.")
        for name, shape, kind in v.features:
            also = f" or ({v.of}B, T - 1), without the first token's" if kind == "token" else ""
            said.append(f"        {name}: {shape}{also}, a {kind} feature.")
    else:
        said.append("    features: not used; None.")
    if v.parameters:
        said += ["    parameters: numbers instead of these defaults.", *_parameters(v, "        ")]
    else:
        said.append("    parameters: none.")
    if others:
        said.append("    policies: a model for each further frozen policy: " + ", ".join(others) + ".")
    else:
        said.append("    policies: none.")
    said += [
        "    inputs: what else the model is given, as pixel_values.",
        "    num_pairs: what the mean divides by instead of B: the pairs of the whole batch over the",
        "        number of processes whose gradients are averaged.",
        *EMPTY_SAID.splitlines() * (not v.orders_batch),
        "    validate: check the batch and the model; this waits for the device.",
        "",
        "Returns: the loss, a scalar, and what trainers log of it, detached.",
        "Raises: ValueError for arguments that do not fit, by name.",
    ]
    return tuple(said)
