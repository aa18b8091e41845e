"""Ideas that were tried and did not win, kept so that anybody can measure them again.

    python -m bench.tried

prints the times and errors of each beside the method it was meant to beat.
"""
