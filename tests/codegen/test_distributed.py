"""Several processes compute what one does: data parallel, and vocabulary in shards.

pytest tests/test_distributed.py -m slow     # the four-process cases too
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import midpo

pytest.importorskip("torch", reason="kernels run on torch")

PROGRAM = """
import sys, torch
import torch.distributed as dist
from kernel import {function} as loss_of

torch.set_num_threads(1)
rank, size = int(sys.argv[1]), int(sys.argv[2])
dist.init_process_group("gloo", init_method="file://" + sys.argv[3], rank=rank, world_size=size)
generator = torch.Generator().manual_seed(0)
B, T, V, D = 4, 3, 10, 5
policy, reference = (torch.randn(2 * B, T, V, generator=generator).double() for _ in range(2))
labels = torch.randint(V, (2 * B, T), generator=generator)
labels[1, 2] = -100
for row, label in enumerate((1, 4, 8)):  # of equal largest logits in several shards the first counts
    policy[row, 0, [1, 4, 8]], labels[row, 0] = 9.0, label
whole = policy.clone().requires_grad_()
expected, every = loss_of(whole, reference, labels, metrics=True)
assert every["mean_token_accuracy"] > 0
(gradient,) = torch.autograd.grad(expected, whole)

# the vocabulary in shards of unequal size, by a process group and as a DTensor
cuts = torch.arange(V).chunk(size)[rank] if size != 4 else torch.arange(V).tensor_split(4)[rank]
mine = policy[..., cuts].clone().requires_grad_()
found, logged = loss_of(mine, reference[..., cuts], labels, vocab_group=dist.group.WORLD, metrics=True)
(part,) = torch.autograd.grad(found, mine)
torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
torch.testing.assert_close(logged, every, rtol=1e-12, atol=1e-15)
torch.testing.assert_close(part, gradient[..., cuts], rtol=1e-11, atol=1e-15)

from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

mesh = init_device_mesh("cpu", (size,))
sharded = distribute_tensor(policy, mesh, [Shard(2)]).requires_grad_()
found = loss_of(sharded, distribute_tensor(reference, mesh, [Shard(2)]), labels)
found.backward()
torch.testing.assert_close(found.detach(), expected.detach(), rtol=1e-12, atol=0)
assert sharded.grad.placements == (Shard(2),)
torch.testing.assert_close(sharded.grad.full_tensor(), gradient, rtol=1e-11, atol=1e-15)

# each process its pairs: DDP and FSDP2, against the whole batch in one process
hidden = torch.randn(2 * B, T, D, generator=generator).double()
head = torch.nn.Linear(D, V, bias=False).double()
torch.nn.init.normal_(head.weight, generator=generator)
(wanted,) = torch.autograd.grad(loss_of(head(hidden), reference, labels), head.weight)
pairs = torch.arange(B).tensor_split(size)[rank]
rows = torch.cat([pairs, pairs + B])
plain = torch.nn.Linear(D, V, bias=False).double()
plain.load_state_dict(head.state_dict())
model = torch.nn.parallel.DistributedDataParallel(plain)
# the wrappers average over processes, so that the global mean is num_pairs = B / size
loss_of(model(hidden[rows]), reference[rows], labels[rows], num_pairs=B / size).backward()
torch.testing.assert_close(plain.weight.grad, wanted, rtol=1e-11, atol=1e-15)

from torch.distributed.fsdp import fully_shard

plain = torch.nn.Linear(D, V, bias=False).double()
plain.load_state_dict(head.state_dict())
fully_shard(plain, mesh=mesh)
loss_of(plain(hidden[rows]), reference[rows], labels[rows], num_pairs=B / size).backward()
torch.testing.assert_close(plain.weight.grad.full_tensor(), wanted, rtol=1e-11, atol=1e-15)
dist.barrier()
print("agrees")
dist.destroy_process_group()
"""

# The kernels of each shard that read row by row, against the readable kernel in float64.
SHARDS = """
import sys, torch
import torch.distributed as dist
from kernel import {function} as loss_of
from eager import {function} as expected_of

torch.set_num_threads(1)
rank, size = int(sys.argv[1]), int(sys.argv[2])
dist.init_process_group("gloo", init_method="file://" + sys.argv[3], rank=rank, world_size=size)
generator = torch.Generator().manual_seed(0)
policy, reference = (torch.randn(4, 3, 11, generator=generator) for _ in range(2))
policy[0, 1, :8] = -torch.inf  # no mass at all on the first shards
labels = torch.randint(8, 11, (4, 3), generator=generator)
labels[1, 2] = -100
whole = policy.double().requires_grad_()
expected = expected_of(whole, reference.double(), labels)
(gradient,) = torch.autograd.grad(expected, whole)
cuts = torch.arange(11).tensor_split(size)[rank]
mine = policy[..., cuts].clone().requires_grad_()
found = loss_of(mine, reference[..., cuts], labels, vocab_group=dist.group.WORLD)
(part,) = torch.autograd.grad(found, mine)
torch.testing.assert_close(found.double(), expected, rtol=2e-6, atol=0)
torch.testing.assert_close(part.double(), gradient[..., cuts], rtol=1e-4, atol=1e-6)
dist.barrier()
print("agrees")
dist.destroy_process_group()
"""


TILTED = """name = "tilted"
[target]
loss = '''-logsigmoid(log(pi(y_w)/pi(y_l)))
  + sum(log(sum(pi(y_w, t, v)**2*pi_ref(y_w, t, v)**(-1/2) for v in vocab)) for t in y_w)'''
"""


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("name", ["dpo", "tdpo"])
def test_processes_agree_with_one(name: str, size: int, tmp_path: Path) -> None:
    kernel = midpo.generate(name, backend="fused", token_metrics=True)
    (tmp_path / "kernel.py").write_text(kernel.source)
    together(PROGRAM.format(function=kernel.function), size, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 4])
def test_logarithms_of_sums_over_shards_are_those_of_the_whole(size: int, tmp_path: Path) -> None:
    spec = midpo.loads(TILTED)
    kernel = midpo.generate(spec, backend="fused")
    (tmp_path / "kernel.py").write_text(kernel.source)
    (tmp_path / "eager.py").write_text(midpo.generate(spec).source)
    together(SHARDS.format(function=kernel.function), size, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("name", ["dpo", "tdpo"])
@pytest.mark.parametrize("engine", ["triton", "native"])
def test_rows_of_shards_agree_with_whole_ones(name: str, engine: str, size: int, tmp_path: Path) -> None:
    if engine == "triton":
        pytest.importorskip("triton", reason="its interpreter runs the kernels")
    kernel = midpo.generate(name, backend=engine)
    (tmp_path / "kernel.py").write_text(kernel.source)
    (tmp_path / "eager.py").write_text(midpo.generate(name).source)
    together(SHARDS.format(function=kernel.function), size, tmp_path)


def together(program: str, size: int, tmp_path: Path) -> None:
    """Run the program in `size` processes that meet; each must say that it agrees."""
    (tmp_path / "program.py").write_text(program)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    running = [
        subprocess.Popen(
            [sys.executable, "program.py", str(rank), str(size), str(tmp_path / "meeting")],
            cwd=tmp_path,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for rank in range(size)
    ]
    try:
        for process in running:
            out, error = process.communicate(timeout=240)
            assert process.returncode == 0, error[-2000:]
            assert out.strip().endswith("agrees")
    finally:
        for process in running:
            process.kill()


NEAR_ONE = """
import sys, torch
import torch.distributed as dist
from kernel import {function} as loss_of

rank, size = int(sys.argv[1]), int(sys.argv[2])
dist.init_process_group("gloo", init_method="file://" + sys.argv[3], rank=rank, world_size=size)
labels = torch.tensor([[1, 7], [3, 5], [0, 2], [9, 4]])
policy = torch.randn(4, 2, 10, generator=torch.Generator().manual_seed(0))
policy[:2].scatter_(-1, labels[:2, :, None], 30.0)  # probabilities of 1 - 1e-12
whole = policy.clone().requires_grad_()
(gradient,) = torch.autograd.grad(loss_of(whole, labels, lam=0.5), whole)
cuts = torch.arange(10).tensor_split(size)[rank]
mine = policy[..., cuts].clone().requires_grad_()
found = loss_of(mine, labels, lam=0.5, vocab_group=dist.group.WORLD)
(part,) = torch.autograd.grad(found, mine)
torch.testing.assert_close(found, loss_of(policy, labels, lam=0.5), rtol=1e-6, atol=0)
torch.testing.assert_close(part, gradient[..., cuts], rtol=1e-5, atol=0)
dist.barrier()
print("agrees")
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_shards_keep_the_digits_of_probabilities_near_one(tmp_path: Path) -> None:
    kernel = midpo.generate("orpo", backend="fused")
    (tmp_path / "kernel.py").write_text(kernel.source)
    together(NEAR_ONE.replace("{function}", kernel.function), 2, tmp_path)


STEPS = """
import copy, sys, torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from step import step

torch.set_num_threads(1)
rank, size, alone = int(sys.argv[1]), int(sys.argv[2]), bool(int(sys.argv[4]))
dist.init_process_group("gloo", init_method="file://" + sys.argv[3], rank=rank, world_size=size)
mesh = init_device_mesh("cpu", (size,))
B, P, T, V, D = 4, 3, 8, 11, 6


class Model(torch.nn.Module):
    def __init__(self, seed):
        super().__init__()
        torch.manual_seed(seed)
        self.embed, self.mix = torch.nn.Embedding(V, D), torch.nn.Linear(D, D)
        self.lm_head = torch.nn.Linear(D, V, bias=False)
        self.double()

    def forward(self, input_ids, attention_mask):
        return self.lm_head(torch.tanh(self.mix(self.embed(input_ids).cumsum(1) / T)))


def sharded(model):
    fully_shard(model.mix, mesh=mesh)
    if alone:
        fully_shard(model.lm_head, mesh=mesh)
    return fully_shard(model, mesh=mesh, reshard_after_forward=True)


torch.manual_seed(5)
ids = torch.cat([torch.randint(V, (B, P)).repeat(2, 1), torch.randint(V, (2 * B, T - P))], 1)
counted = torch.ones_like(ids)
counted[:, :P] = 0
counted[1, -2:] = 0
batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "completion_mask": counted}
pairs = torch.arange(B).tensor_split(size)[rank]
part = {name: x[torch.cat([pairs, pairs + B])] for name, x in batch.items()}
for wrapped in (torch.nn.parallel.DistributedDataParallel, sharded):
    whole, reference = Model(0), Model(1)
    mine = wrapped(copy.deepcopy(whole))
    frozen = sharded(copy.deepcopy(reference)) if wrapped is sharded else reference
    optimisers = [torch.optim.SGD(m.parameters(), lr=0.5) for m in (whole, mine)]
    for _ in range(3):
        expected, _ = step(whole, reference, **batch)
        found, _ = step(mine, frozen, **part, num_pairs=B / size)
        for loss, optimiser in zip((expected, found), optimisers):
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        total = found.detach() / size  # each process's part of the mean, times their number
        dist.all_reduce(total)
        torch.testing.assert_close(total, expected.detach(), rtol=1e-10, atol=0)
    for one, other in zip(mine.parameters(), whole.parameters(), strict=True):
        one = one.full_tensor() if hasattr(one, "full_tensor") else one
        torch.testing.assert_close(one.detach(), other.detach(), rtol=1e-10, atol=1e-13)
dist.destroy_process_group()
"""


@pytest.mark.parametrize("alone", [False, True], ids=["head in the root", "head by itself"])
@pytest.mark.parametrize("name", ["dpo", "tdpo"])
def test_a_step_in_two_processes_is_that_in_one(name: str, alone: bool, tmp_path: Path) -> None:
    """DDP and FSDP2, the reference in shards too: three steps, to rounding."""
    (tmp_path / "step.py").write_text(midpo.generate(name, where="loop").source)
    (tmp_path / "program.py").write_text(STEPS)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, "program.py", str(rank), "2", str(tmp_path / "store"), str(int(alone))],
            cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    errors = [process.communicate(timeout=120)[1] for process in processes]
    ended = [process.returncode for process in processes]
    assert ended == [0, 0], "\n".join(f"rank {n}: {e[-2000:]}" for n, e in enumerate(errors))
