"""What several algorithms are written with."""
