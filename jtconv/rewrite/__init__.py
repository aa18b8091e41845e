"""Convolutions of any JAX function, computed by jtconv where that is faster."""
