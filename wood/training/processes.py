"""The processes that share one training: one for each GPU of its job."""

import torch
import torch.distributed as dist
from torch import nn


def rank() -> int:
    """Return the number of this process, from 0; the first writes what comes of a training."""
    return dist.get_rank() if dist.is_initialized() else 0


def processes() -> int:
    """Return how many processes share the training."""
    return dist.get_world_size() if dist.is_initialized() else 1


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
