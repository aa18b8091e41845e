"""From a task to the algorithm that computes it: rules, measurements, JAX primitives, vmap."""
