"""The command: ``python -m clearhead``, and what the installed ``clearhead`` runs."""

from __future__ import annotations

import sys


def main() -> None:
    """Loads the command line and runs it; Ctrl-C ends it quietly from the first moment on, with code 130."""
    try:
        from clearhead import cli

        cli.main()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
