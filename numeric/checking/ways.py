"""The ways in which a trainer calls a loss; a check takes each of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .binding import Binding


@dataclass(frozen=True)
class Way:
    """One way of calling: the reduction, and what else is asked for.

    `divisor` is num_pairs per pair; `poisoned` puts NaN where nothing counts; `frozen` asks for
    gradients of frozen policies, which must be none; `mixed` gives these in another dtype than the
    policy's; `lacking` leaves the second pair without labels; `twice` differentiates
    twice and compares; `shards` are the processes among which the vocabulary is divided.
    """

    reduction: str | None = "none"
    divisor: float | None = None
    packed: bool = False
    bounded: bool = False
    ignore_index: int = -100
    metrics: bool = False
    validate: bool = True
    rows: int | None = None
    inplace: bool = False
    poisoned: bool = False
    frozen: bool = False
    mixed: bool = False
    lacking: bool = False
    twice: bool = False
    shards: int = 1

    def needs(self) -> set[str]:
        """The arguments without which this way cannot be taken."""
        asked = {
            "reduction": self.reduction is not None,
            "num_pairs": self.divisor is not None,
            "cu_seqlens": self.packed,
            "max_seqlen": self.bounded,
            "ignore_index": self.ignore_index != -100,
            "metrics": self.metrics,
            "validate": not self.validate,
            "rows": self.rows is not None,
            "inplace_backward": self.inplace,
            "empty": self.lacking,
            "vocab_group": self.shards > 1,
        }
        return {name for name, wanted in asked.items() if wanted}

    def __str__(self) -> str:
        words = {
            f'reduction="{self.reduction}"': self.reduction is not None,
            f"num_pairs={self.divisor} times the pairs": self.divisor is not None,
            "cu_seqlens": self.packed,
            f"ignore_index={self.ignore_index}": self.ignore_index != -100,
            "metrics=True": self.metrics,
            "validate=False": not self.validate,
            f"rows={self.rows}": self.rows is not None,
            "inplace_backward=True": self.inplace,
            "NaN where nothing counts": self.poisoned,
            "frozen policies that require a gradient": self.frozen,
            "frozen policies of another dtype": self.mixed,
            'empty="zero"': self.lacking,
            "backward twice": self.twice,
            f"{self.shards} shards": self.shards > 1,
        }
        return ", ".join(word for word, there in words.items() if there)


# What a kernel that `generate` wrote promises.
OF_KERNELS = (
    Way("mean"),
    Way("sum", frozen=True),
    Way("none", packed=True),
    Way("mean", divisor=1.75),
    Way("none", ignore_index=-7),
    Way("none", metrics=True, frozen=True),
    Way("mean", metrics=True),
    Way("none", poisoned=True),
    Way("mean", packed=True, bounded=True),
    Way("none", inplace=True),
    Way("mean", validate=False),
    Way("none", rows=2),
    Way("none", shards=2),
    Way("sum", rows=3, packed=True),
    Way("none", twice=True),
    Way("mean", mixed=True, metrics=True),
    Way("mean", poisoned=True, frozen=True, metrics=True, packed=True),
    Way("sum", divisor=1.5, ignore_index=3 << 20),
)
# What any function that takes the arguments is held to.
OF_CODE = (
    Way("mean"),
    Way("sum"),
    Way("mean", divisor=1.75),
    Way("none", ignore_index=-7),
    Way("none", packed=True),
)


def ways(binding: Binding, generated: bool) -> list[Way]:
    """The ways that a function's arguments allow, besides the plain one."""
    table: tuple[Way, ...] = OF_KERNELS if generated else OF_CODE
    if not generated and "reduction" not in binding.options:
        table = tuple(dict.fromkeys(replace(way, reduction=None) for way in OF_CODE))
    return [way for way in table if way.needs() <= binding.options]


def plain(binding: Binding) -> Way:
    """The way that is taken on every batch."""
    return Way("none") if "reduction" in binding.options else Way(None)
