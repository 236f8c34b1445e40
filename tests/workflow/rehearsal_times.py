"""What the rehearsal's stages cost, and what they would at full size."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tests.workflow.published_world import BAND, OF_SBD, TRAIN
from wood.runtime.store import write_text

BEGIN, END = "<!-- rehearsal: begin -->", "<!-- rehearsal: end -->"

IMAGES, VAL, CANDIDATES = 10_582, 1_449, 500_000
# Megapixels: of a photograph of VOC, of Open Images at 512 pixels, and of the rehearsal's bands.
VOC, OPEN = 0.500 * 0.375, 0.512 * 0.384
VOC_BAND, OPEN_BAND = 0.500 * BAND / 1000, 0.512 * BAND / 1000
PHOTOGRAPHS = len(TRAIN | OF_SBD)
CLASSES_SHOWN = sum(map(len, (TRAIN | OF_SBD).values()))
# Classes in an image of VOC's train_aug.
CLASSES_OF_VOC = 1.5


@dataclass(frozen=True)
class Stage:
    """A job: its step below benchmarks/, seconds, CPU seconds, and peak memory in MB."""

    step: str
    seconds: float
    cpu: float
    memory: float


@dataclass(frozen=True)
class Projection:
    """How a job grows to full size.

    Attributes:
        name: of the stage, as the page says it.
        step: the job that is measured.
        done: work in that job.
        full: work at full size, in the same unit.
        unit: of the work.
        batch: how many times the real batch is the rehearsal's; None where memory does not grow.
    """

    name: str
    step: str
    done: float
    full: float
    unit: str
    batch: float | None = None


def climbing(maps: int) -> float:
    """Forward passes that climbing costs: three for each step, and one for the last map."""
    return 3 * (maps - 1) + 1


PROJECTIONS = (
    Projection("scores of the candidates", "ood/candidate_scores/0000", 40 * OPEN_BAND,
               CANDIDATES * OPEN, "MP"),
    Projection("F_in: ResNet-50, crop 512, 5 epochs", "seeds/train_classifier/cam-0", 5,
               5 * IMAGES, "images", 16 / 5),
    Projection("W-OoD: as many OoD images beside", "seeds/train_classifier/cam-wood-0", 7,
               10 * IMAGES, "images", 32 / 7),
    Projection("SEAM: Wide ResNet-38, crop 448, 8 epochs", "seeds/train_classifier/seam-0", 4,
               8 * IMAGES, "images", 8 / 4),
    Projection("CAM, 4 scales and flips", "seeds/localize/cam-0-cam-0000", PHOTOGRAPHS * VOC_BAND,
               IMAGES * VOC, "MP"),
    Projection("SEAM's CAM, 4 scales and flips", "seeds/localize/seam-0-cam-0000",
               PHOTOGRAPHS * VOC_BAND, IMAGES * VOC, "MP"),
    Projection("AdvCAM, 27 maps at 4 scales and flips", "seeds/localize/cam-0-advcam-0000",
               CLASSES_SHOWN * VOC_BAND * climbing(2), IMAGES * CLASSES_OF_VOC * VOC * climbing(27),
               "class MP x passes"),
    Projection("IR labels, 2 dense CRFs", "pseudo/ir_labels/irn-0-0000", PHOTOGRAPHS * VOC_BAND,
               IMAGES * VOC, "MP"),
    Projection("IRNet, crop 512, 3 epochs", "pseudo/train_irnet/irn-0", 5, 3 * IMAGES, "images",
               32 / 5),
    Projection("boundary maps and random walk", "pseudo/walk/irn-0-0000", PHOTOGRAPHS * VOC_BAND,
               IMAGES * VOC, "MP"),
    Projection("DeepLab-v2, ResNet-101, MSC, crop 321", "segmentation/train_segmentation/irn-0", 2,
               200_000, "images", 10 / 2),
    Projection("the same, Wide ResNet-38, crop 448",
               "segmentation/train_segmentation/advcam-wood-wide-0", 1, 200_000, "images", 10),
    Projection("predictions on val, with dense CRF", "segmentation/segment/irn-0-0000", 2, VAL,
               "images"),
)  # fmt: skip


def measured(folder: str | Path) -> list[Stage]:
    """Read Snakemake's benchmark files; the longest job comes first."""
    folder = Path(folder)
    stages = []
    for path in sorted(folder.rglob("*.tsv")):
        row = pd.read_csv(path, sep="\t", na_values=["-", "NA"]).iloc[0].fillna(0)
        step = str(path.relative_to(folder).with_suffix(""))
        stages.append(Stage(step, row["s"], row["cpu_time"], row["max_rss"]))
    return sorted(stages, key=lambda stage: -stage.seconds)


def table(stages: Sequence[Stage]) -> str:
    """Return every job's time and peak memory as text, and what stands out."""
    lines = [f"{stage.seconds:8.1f} s {stage.cpu:8.1f} CPU s {stage.memory:8.0f} MB  {stage.step}"
             for stage in stages]  # fmt: skip
    worst = max(stages, key=lambda stage: stage.memory)
    total = sum(stage.seconds for stage in stages)
    lines.append(f"{len(stages)} jobs, {total / 60:.0f} minutes one after another, at most "
                 f"{worst.memory / 1000:.1f} GB ({worst.step})")  # fmt: skip
    return "\n".join(lines)


def projections(stages: Sequence[Stage]) -> str:
    """Return the table of docs/scaling.md: what was measured, and what it comes to at full size.

    What a job takes to start is that of the shortest one that loads torch, and is taken off. The
    CPU seconds of short jobs are no help: Snakemake looks at them every 30 s.
    """
    jobs = {stage.step: stage for stage in stages}
    light = [stage for stage in stages if stage.step.startswith("seeds/score_seeds/")]
    start = min(light, key=lambda stage: stage.seconds, default=Stage("", 0, 0, 0))
    lines = ["| stage | measured | peak memory | full size | memory at the real batch |",
             "| --- | --- | ---: | ---: | ---: |"]  # fmt: skip
    for projection in PROJECTIONS:
        stage = jobs.get(projection.step)
        if stage is None:
            continue
        seconds = max(stage.seconds - start.seconds, 0)
        share = projection.full / projection.done
        memory = "-"
        if projection.batch is not None:
            grown = start.memory + (stage.memory - start.memory) * projection.batch
            memory = f"{grown / 1000:.0f} GB"
        lines.append(
            f"| {projection.name} | {seconds:.1f} s for {projection.done:.3g} {projection.unit} | "
            f"{stage.memory / 1000:.1f} GB | {duration(seconds * share)} | {memory} |"
        )
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """Return a time in the unit that reads best."""
    for unit, size in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 1.5 * size:
            return (
                f"{seconds / size:.2g} {unit}"
                if seconds < 100 * size
                else f"{seconds / size:.0f} {unit}"
            )
    return f"{seconds:.0f} s"


def write_scaling(path: str | Path, stages: Sequence[Stage]) -> None:
    """Put the projections into a page, between its two marks."""
    path = Path(path)
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    write_text(path, f"{before}{BEGIN}\n\n{projections(stages)}\n\n{END}{after}")
