"""Pieces, however cut, are the whole."""
