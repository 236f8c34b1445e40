"""What a training step of the light backbone takes on the CPU, with and without two measures.

python -m benchmarks.cpu_training

Each way runs in a process of its own, in turn: as torch and glibc do it; with freed memory kept
for the next step (`wood.runtime.environment.KEEP_MEMORY`); and also with dilated depthwise
convolutions
by their phases (`wood.models.dilated`), which is how trainings run. All losses must be the same.
"""

import argparse
import math
import sys
import time

import torch
from torch import nn

from benchmarks.ways import finish, measured
from wood.models.backbones import create_backbone
from wood.models.dilated import PhasedDepthwise
from wood.runtime.environment import KEEP_MEMORY

BATCH, SIDE, STEPS = 24, 224, 8  # 16 images of D_in and 8 of D_ood
TOLERANCE = 1e-4
ROUNDS = 2


def train(phases: bool) -> None:
    """Train for a few steps; tell the seconds of the fastest, the last loss, the peak of memory."""
    if not phases:
        PhasedDepthwise.forward = nn.Conv2d.forward
    torch.manual_seed(0)
    backbone = create_backbone("tf_efficientnet_lite0").train()
    backbone.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(backbone.parameters_to_train(), lr=0.01)
    images = torch.randn(BATCH, 3, SIDE, SIDE).to(memory_format=torch.channels_last)
    taken = []
    for _ in range(STEPS):
        started = time.perf_counter()
        loss = backbone(images).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        taken.append(time.perf_counter() - started)
    finish(min(taken), loss=loss.item())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--way", choices=("plain", "phases"))
    way = parser.parse_args().way
    if way is not None:
        train(phases=way == "phases")
        return
    ways = {
        "as torch and glibc do it": ("plain", ""),
        "memory kept": ("plain", KEEP_MEMORY),
        "memory kept, phases": ("phases", KEEP_MEMORY),
    }
    print(f"{BATCH} images of {SIDE} px, {torch.get_num_threads()} threads")
    runs = [
        {
            name: measured("benchmarks.cpu_training", way, environment={"GLIBC_TUNABLES": tunables})
            for name, (way, tunables) in ways.items()
        }
        for _ in range(ROUNDS)
    ]
    best = {name: min(run[name]["seconds"] for run in runs) for name in ways}
    first = next(iter(ways))
    for name, seconds in best.items():
        if not math.isclose(runs[0][name]["loss"], runs[0][first]["loss"], rel_tol=TOLERANCE):
            sys.exit(f"{name}: the loss differs.")
        print(
            f"  {name:26s} {seconds:.2f} s a step, {best[first] / seconds:.2f} times as fast, "
            f"peak {runs[0][name]['megabytes']:.0f} MB"
        )


if __name__ == "__main__":
    main()
