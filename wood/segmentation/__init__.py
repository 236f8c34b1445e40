"""Segmentation networks: training on masks, multi-scale inference, the test server's archive."""
