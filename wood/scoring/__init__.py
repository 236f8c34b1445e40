"""Scores: counts of pixels, mIoU of seeds and masks, and intervals over images."""
