"""Processes that share a vocabulary, as threads of one: what they tell each other is exact.

A kernel asks `torch.distributed` for a handful of collectives, through its module's name `dist`.
Here `dist` is an object whose collectives meet at a barrier.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

TIMEOUT = 60.0  # seconds that one rank waits for the others: they run, or one has failed


class Ranks:
    """The collectives of `size` threads; `ReduceOp` is torch's own."""

    def __init__(self, torch: Any, size: int, operations: Any) -> None:
        self.ReduceOp = operations
        self.torch, self.size = torch, size
        self.barrier = threading.Barrier(size)
        # One rank runs at a time: the interpreter of Triton changes its module while it runs.
        self.turn = threading.Lock()
        self.said: list[Any] = [None] * size
        self.me = threading.local()
        self.distributed_c10d = SimpleNamespace(_resolve_process_group=lambda name: name)

    def get_rank(self, group: Any = None) -> int:
        return int(self.me.rank)

    def get_world_size(self, group: Any = None) -> int:
        return self.size

    def exchange(self, value: Any) -> list[Any]:
        """What every rank says, to every rank."""
        self.said[self.get_rank()] = value.detach().clone()
        self.meet()
        heard = list(self.said)
        self.meet()
        return heard

    def meet(self) -> None:
        self.turn.release()
        try:
            self.barrier.wait(TIMEOUT)
        finally:
            self.turn.acquire()

    def all_reduce(self, tensor: Any, op: Any = None, group: Any = None) -> None:
        heard = self.torch.stack(self.exchange(tensor))
        if op is None or op == self.ReduceOp.SUM:
            tensor.copy_(heard.sum(0))
        elif op == self.ReduceOp.MAX:
            tensor.copy_(heard.amax(0))
        elif op == self.ReduceOp.MIN:
            tensor.copy_(heard.amin(0))
        else:
            raise NotImplementedError(f"all_reduce by {op}")

    def all_gather(self, into: list[Any], tensor: Any, group: Any = None) -> None:
        for place, value in zip(into, self.exchange(tensor), strict=True):
            place.copy_(value)


def in_ranks(torch: Any, function: Any, size: int, work: Callable[[int, Any], Any]) -> list[Any]:
    """`work(rank, group)` on `size` threads at once, with the collectives of `function`'s module
    replaced. Raises: the first error of a rank."""
    space = function.__globals__
    ranks = Ranks(torch, size, space["dist"].ReduceOp)
    found: list[Any] = [None] * size
    errors: list[Exception] = []

    def run(rank: int) -> None:
        ranks.me.rank = rank
        try:
            with ranks.turn:
                found[rank] = work(rank, SimpleNamespace(group_name="shards"))
        except threading.BrokenBarrierError:
            pass  # another rank's error is the one to tell
        except Exception as error:
            errors.append(error)
            ranks.barrier.abort()

    kept = space["dist"]
    space["dist"] = ranks
    try:
        threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        space["dist"] = kept
    if errors:
        raise errors[0]
    return found
