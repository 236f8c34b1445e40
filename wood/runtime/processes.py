"""The processes that share one training, one for each GPU of its job, and sums over them."""

import torch
import torch.distributed as dist
from torch import Tensor, nn


def rank() -> int:
    """Return the number of this process, from 0; the first writes what comes of a training."""
    return dist.get_rank() if dist.is_initialized() else 0


def processes() -> int:
    """Return how many processes share the training."""
    return dist.get_world_size() if dist.is_initialized() else 1


def mean_over_processes(count: Tensor) -> Tensor:
    """Return the mean of a tensor over the processes, without gradient.

    A loss over the valid pixels of a batch is divided by it: each process has another number of
    them, and the mean over processes of `sum / mean count` is the sum over all by the count of all.
    """
    if processes() == 1:
        return count
    everywhere = count.detach().to(torch.float64 if count.device.type == "cpu" else torch.float32)
    dist.all_reduce(everywhere)
    return everywhere / processes()


def highest_over_all(values: Tensor) -> Tensor:
    """Return the highest of each entry of a tensor over the processes, without gradient."""
    values = values.detach().clone()
    if processes() > 1:
        dist.all_reduce(values, op=dist.ReduceOp.MAX)
    return values


def average_gradients(model: nn.Module, stop: bool, device: torch.device) -> bool:
    """Make every process's gradients the mean over the processes, in one message.

    Returns:
        Whether any of the processes is to stop; so that all of them do, at the same iteration.
    """
    if processes() == 1:
        return stop
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    flag = torch.tensor([float(stop)], device=device)
    flat = torch.cat([flag, *(gradient.reshape(-1) for gradient in gradients)])
    dist.all_reduce(flat)
    flat /= processes()
    sizes = [1, *(gradient.numel() for gradient in gradients)]
    flag, *means = flat.split(sizes)
    for gradient, mean in zip(gradients, means, strict=True):
        gradient.copy_(mean.view_as(gradient))
    return flag.item() > 0


def part_from_the_others() -> bool:
    """End what the processes share, all of them together; return whether this is the first.

    The first goes on to write the results, for minutes; the others must not wait for it.
    """
    first = rank() == 0
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()
    return first
