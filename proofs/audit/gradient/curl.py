"""Is the field that a frozen prior gives the gradient of a loss? Its Jacobian tells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from midpo.numeric.arithmetic import Undefined
from midpo.numeric.duals import Floats64
from midpo.numeric.figures import below, figure
from midpo.numeric.trees import VOCABULARY, World, default_parameters, logits_of, random_world, with_policy
from midpo.proofs.account.claim import Claim
from midpo.symbolic.formula.standing import Standing
from midpo.symbolic.formula.told import proved, told
from midpo.symbolic.language.nodes import StopGradient

from .pair import Gradients, parallel, undefined

CURL_STEP = 1e-5
VANISHES = 1e-7  # a curl that is 0, of central differences


def conservative(gradients: Gradients, seed: int) -> Claim:
    """Whether the field that a frozen prior gives is the gradient of some loss."""
    question = "is the frozen field a gradient"
    if not any(gradients.terms):
        return Claim(
            question,
            "conservative",
            "it is the gradient of the loss",
            proved("the prior is fixed"),
            data={"curl": 0.0},
        )
    factor = parallel(gradients.spec)
    curls = curl(gradients, seed)
    if curls is None:
        return undefined(question)
    frozen, own = curls
    data = {"curl": _seen(frozen), "curl_differentiated": _seen(own)}
    if factor is not None and frozen < VANISHES and gradients.constraint is None:
        return Claim(
            question,
            "conservative",
            "the frozen field is the gradient of a loss: it is parallel to that of the differentiated one",
            told("{}; curl {}", Standing.PROVED, _shown(frozen)),
            data=data,
        )
    verdict = "conservative" if frozen < VANISHES else "not conservative"
    sentence = (
        "no curl was found: the frozen field may be a gradient"
        if frozen < VANISHES
        else "the frozen field is the gradient of no loss: its Jacobian is not symmetric"
    )
    stopped = any(t.has(StopGradient) for terms in gradients.terms for t in terms)
    name = "the prior as written, sg honoured" if stopped else "the differentiated prior"
    if stopped:
        sentence += "; with the prior as written, " + ("neither is it" if own > VANISHES else "it is")
    return Claim(
        question,
        verdict,
        sentence,
        told(
            "{}, three pairs of one prompt: curl {}; of {} {}",
            Standing.DIFFERENTIATED,
            _shown(frozen),
            name,
            _shown(own),
        ),
        data=data,
    )


def target_conservative(gradients: Gradients, seed: int) -> Claim | None:
    """Whether the target's own field is one, where it stops gradients."""
    target = gradients.target
    if target is None or not target.has(StopGradient):
        return None
    curls = curl(gradients, seed, target=True)
    if curls is None:
        return undefined("is the target's field a gradient")
    (found,) = curls
    verdict = "conservative" if found < VANISHES else "not conservative"
    return Claim(
        "is the target's field a gradient",
        verdict,
        "the target's field, gradients stopped as it says, is "
        + ("a gradient as far as was seen" if found < VANISHES else "the gradient of no loss"),
        told("{}, three pairs of one prompt: curl {}", Standing.DIFFERENTIATED, _shown(found)),
        data={"curl": _seen(found)},
    )


def _seen(curl: float) -> float:
    """A curl to the digits that central differences give it: to two from 1e-3 on, then as its
    bound from below."""
    return float(figure(curl, 2)) if curl >= 1e-3 else VANISHES if curl >= VANISHES else 0.0


def _shown(curl: float) -> str:
    if VANISHES <= curl < 1e-3:
        return "above 1e-7"
    return below(curl, VANISHES)


def curl(gradients: Gradients, seed: int, *, target: bool = False) -> tuple[float, ...] | None:
    """The largest entry of J - J^T, relative to J's largest, J the Jacobian of the summed loss's
    gradient field along the logits of one tree: with the prior frozen, and differentiated; with
    `target`, the target's own field.

    The field is exact; its derivatives are central differences of it.
    """
    rng = np.random.default_rng(seed + 3)
    parameters = default_parameters(gradients.spec)
    for _ in range(10):
        responses = ((1, 0), (2, 1, 0), (2, 2, 0))
        world = random_world(gradients.spec, responses, rng, sight="free", parameters=parameters)
        try:
            return _curl(gradients, world, target)
        except Undefined:
            continue
    return None


def _curl(gradients: Gradients, world: World, target: bool) -> tuple[float, ...]:
    places = {s: at for at, s in enumerate(world.prefixes)}
    pairs = [_restricted(world, w, rejected) for w, rejected in ((0, 1), (1, 2), (0, 2))]

    def fields(logits: Floats64) -> Floats64:
        laws = with_policy(world, logits).laws
        total = np.zeros((1 if target else 2, len(logits)))
        for pair in pairs:
            part = replace(pair, laws=laws)
            found = gradients.pair(part, target=target)
            wanted = (
                [found.loss] if target else [found.of_loss(found.everything(keep)) for keep in (False, True)]
            )
            for at, s in enumerate(part.prefixes):
                here = slice(places[s] * VOCABULARY, (places[s] + 1) * VOCABULARY)
                own = slice(at * VOCABULARY, (at + 1) * VOCABULARY)
                total[:, here] += np.array(wanted)[:, own]
        return total

    base = logits_of(world)
    columns = []
    for step in CURL_STEP * np.eye(len(base)):
        columns.append((fields(base + step) - fields(base - step)) / (2 * CURL_STEP))
    return tuple(_asymmetry(np.array([c[k] for c in columns])) for k in range(len(columns[0])))


def _restricted(world: World, chosen: int, rejected: int) -> World:
    """The world of two of its responses."""
    kept = (world.responses[chosen], world.responses[rejected])
    features = {
        name: {y: data[y] for y in kept} if isinstance(data, dict) else data
        for name, data in world.features.items()
    }
    return World(kept, world.laws, world.parameters, features)


def _asymmetry(jacobian: Floats64) -> float:
    largest = float(np.abs(jacobian).max())
    return float(np.abs(jacobian - jacobian.T).max()) / largest if largest > 0 else 0.0
