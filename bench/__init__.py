"""The benchmark of jtconv: real layers, peers in the same run, every number checked.

``python -m bench --help`` shows how to run it, ``bench/README.md`` how to read it.
"""
