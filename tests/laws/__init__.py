"""Each file holds one law to every method and every named case."""
