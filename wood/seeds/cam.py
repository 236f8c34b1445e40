"""CAM: class activation maps (Zhou et al., 2016) over several scales and flips, as IRN has them."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from wood.maps import STRIDE
from wood.models.cam import CamClassifier
from wood.runtime.devices import autocast
from wood.seeds.pyramid import Pyramid, chunk_length, level


@torch.inference_mode()
def multi_scale_cam(
    model: CamClassifier,
    images: Sequence[Pyramid],
    classes: Sequence[Tensor],
    device: torch.device,
    *,
    max_batch_pixels: int,
    settings: Mapping[str, Any] | None = None,
    stride: int = STRIDE,
) -> list[Tensor]:
    """Return the CAMs of the classes present in images of one size, not normalised.

    At each scale the map is the sum of the image's and its mirror image's; the maps of all scales
    are summed on the grid (see `CamClassifier.on_grid`).

    Args:
        model: the classifier, on the device.
        images: B images of one size (H, W).
        classes: the (n,) classes present in each.
        device: where the model is.
        max_batch_pixels: pixels that go through the network at once (at least one image does,
            with its mirror image).
        settings: not needed; the scales are those of the images.
        stride: of the grid, in pixels.

    Returns:
        for each image (n, ceil(H/stride), ceil(W/stride)) float32 on the device.
    """
    del settings
    owners = torch.arange(len(images)).repeat_interleave(torch.tensor([len(c) for c in classes]))
    wanted = torch.cat(list(classes))
    size = images[0].size
    total: Any = 0.0
    for number in range(len(images[0].levels)):
        batch = level(images, number, model.backbone, device)
        maps = []
        for part in batch.split(chunk_length(batch, max_batch_pixels)):
            with autocast(device):
                both = model.activation_maps(torch.cat([part, part.flip(3)])).float()
            plain, mirrored = both.chunk(2)
            maps.append(plain + mirrored.flip(3))
        wanted_maps = torch.cat(maps)[owners, wanted]
        total = total + model.on_grid(wanted_maps, batch.shape[2:], size, stride)
    return list(total.split([len(present) for present in classes]))
