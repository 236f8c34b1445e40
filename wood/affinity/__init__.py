"""From seeds to pseudo ground-truth masks, after IRN (Ahn, Cho and Kwak, CVPR 2019)."""

from wood.affinity.random_walk import random_walk

__all__ = ["random_walk"]
