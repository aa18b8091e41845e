"""``python -m jtconv``: the same as the `jtconv` script."""

from jtconv.cli import main

if __name__ == "__main__":
    main()
