"""Pictures of the arithmetic, and the page that explores it."""
