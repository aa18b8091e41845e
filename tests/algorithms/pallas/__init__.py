"""The hand-written kernels, interpreted and lowered."""
