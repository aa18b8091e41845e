"""``python -m jtconv``: the same as the `jtconv` script."""

import sys

from jtconv.extras import MissingExtra


def main() -> None:
    """Run the command line; in one line, what to install where that is missing."""
    try:
        from jtconv.cli import app
    except MissingExtra as missing:
        sys.exit(str(missing))
    app(prog_name="jtconv")


if __name__ == "__main__":
    main()
