"""The integers behind a call: geometry, padding, dimension numbers, shapes, and what is refused."""
