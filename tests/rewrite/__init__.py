"""jtconv.accelerate."""
