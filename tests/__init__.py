"""The tests, in folders as the package has them; ``laws`` are those that every method is held to.

What several share is here: named problems (``cases``), the law as NumPy loops (``oracle``), what is
close (``compare``), the axes (``axes``), and which rows a plain ``pytest`` runs (``selection``).
"""
