"""Which algorithm runs, why, and on which platform."""
