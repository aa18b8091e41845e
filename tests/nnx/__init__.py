"""The layers for flax.nnx."""
