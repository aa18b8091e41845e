"""Whole networks, each written down once and built both in Flax and in torch.

specs       the layers of every network, as data
in_flax     a spec as a model of plain `flax.nnx` layers
in_torch    the same as `torch.nn` modules, for a peer
run         training steps and inference, as they are, accelerated, and by torch
"""
