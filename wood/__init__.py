"""W-OoD: weakly supervised semantic segmentation using out-of-distribution data (CVPR 2022)."""
