"""Training: one loop that every model uses.

The order of the images, and the random numbers of each image, depend on (seed, epoch, image)
alone. So the number of workers does not change a result, several processes share one batch, and a
run that was stopped goes on from its checkpoint to the same weights.
"""

from wood.training.batches import Batch, Examples
from wood.training.loop import Training, count_iterations

__all__ = ["Batch", "Examples", "Training", "count_iterations"]
