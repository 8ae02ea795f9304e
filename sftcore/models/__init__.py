"""Pretrained networks: backbones, weights, blocks, heads."""
