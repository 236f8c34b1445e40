"""The authors' adversarial perturbation of OoD images, which the paper does not mention."""

import torch
from torch import Tensor, nn

from wood.runtime.processes import highest_over_all


def climb(model: nn.Module, images: Tensor, step: float, classes: int | None = None) -> Tensor:
    """Change OoD images so that their highest logit rises, which makes them harder.

    One step along the gradient of max_c logit_c, divided by its largest entry in the batch; the
    result stays within the batch's range of values.

    Args:
        model: images -> (logits (B, C), features). It works in evaluation mode meanwhile, where
            the gradient reaches the pixels even if its first stages do not learn.
        images: (B, 3, H, W), normalised.
        step: in units of the normalised image; 0.07 in the authors' code.
        classes: how many of the logits, from the first, belong to foreground classes; None = all.

    Returns:
        (B, 3, H, W) without gradient.
    """
    training = model.training
    model.eval()
    images = images.detach().requires_grad_()
    with torch.enable_grad():
        logits, _ = model(images)
        (gradient,) = torch.autograd.grad(logits[:, :classes].max(dim=1).values.sum(), images)
    model.train(training)
    images = images.detach()
    # The batch is that of all processes.
    extremes = torch.stack([gradient.abs().max(), -images.min(), images.max()])
    largest, below, above = highest_over_all(extremes)
    climbed = images + step * gradient / largest.clamp_min(1e-12)
    return climbed.clamp(-below, above)
