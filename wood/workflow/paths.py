"""Where everything of a data set lies: the one place where paths of results are put together.

Names in braces are Snakemake's wildcards; the functions leave them where no value is given.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


def masks_of(voc: str) -> str:
    """Return the folder of a devkit's true masks."""
    return f"{voc}/SegmentationClass"


@dataclass(frozen=True)
class Paths:
    """The files of one data set.

    `results` is its folder. `voc`, `masks` and `pool` are the devkit, its true masks and the mirror
    of Open Images (a folder or an address): those that the configuration names, or the demo's.
    """

    results: str
    voc: str
    masks: str
    pool: str

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Paths":
        """Return the paths that a checked configuration stands for."""
        results = f"results/{config['dataset']}"
        voc = config["data"]["voc_root"] or f"{results}/demo/VOCdevkit/VOC2012"
        masks = config["data"]["masks"] or masks_of(voc)
        pool = config["ood"]["openimages"]["base"] or f"{results}/demo/openimages"
        return cls(results, voc, masks, pool)

    def data(self, file: str) -> str:
        """Return an image list, or the image-level labels."""
        return f"{self.results}/data/{file}"

    def demo(self, file: str) -> str:
        """Return a file that comes with the drawn scenes."""
        return f"{self.results}/demo/{file}"

    def ood(self, file: str) -> str:
        """Return a file of the collection of hard OoD images."""
        return f"{self.results}/ood/{file}"

    def classifier(self, file: str, name: str = "{classifier}", seed: int | str = "{seed}") -> str:
        """Return a file of a classifier."""
        return f"{self.results}/classifiers/{name}/seed-{seed}/{file}"

    def experiment(self, file: str, name: str = "{experiment}", seed: int | str = "{seed}") -> str:
        """Return a file of an experiment."""
        return f"{self.results}/experiments/{name}/seed-{seed}/{file}"

    def threshold(self, way: str, name: str = "{experiment}", seed: int | str = "{seed}") -> str:
        """Return the threshold that is chosen in a way for a family, on its baseline."""
        return f"{self.results}/thresholds/{way}/{name}/seed-{seed}.json"

    @property
    def devkit_masks(self) -> str:
        """The true masks of the devkit."""
        return masks_of(self.voc)

    @property
    def true_masks(self) -> str:
        """The true masks that the upper bound is trained on."""
        return f"{self.results}/fully_supervised/true_masks"

    def supervised(self, file: str, seed: int | str = "{seed}") -> str:
        """Return a file of the fully supervised upper bound."""
        return f"{self.results}/fully_supervised/seed-{seed}/{file}"

    def score(self, stage: str, name: str = "{experiment}", seed: int | str = "{seed}") -> str:
        """Return the score file of an experiment at a stage."""
        return f"{self.results}/scores/{stage}/{name}/seed-{seed}.json"

    def counts(self, stage: str) -> str:
        """Return the pixel counts of each image and class, beside a score file."""
        return self.score(stage).removesuffix(".json") + ".csv"

    def supervised_score(self, ending: str = "json", seed: int | str = "{seed}") -> str:
        """Return the score file of the upper bound, or the pixel counts beside it (csv)."""
        return f"{self.results}/scores/fully_supervised/seed-{seed}.{ending}"

    def report(self, file: str) -> str:
        """Return a file of the report."""
        return f"{self.results}/report/{file}"

    def log(self, step: str) -> str:
        """Return the log of a step, named <stage>/<rule>, or <stage>/<rule>/<its wildcards>."""
        return f"{self.results}/logs/{step}.log"

    def benchmark(self, step: str) -> str:
        """Return the table of time and memory of a step."""
        return f"{self.results}/benchmarks/{step}.tsv"
