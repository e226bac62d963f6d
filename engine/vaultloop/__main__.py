"""`vaultloop` and `python -m vaultloop`."""

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line; git's merge driver without its libraries, since git waits for it once a file."""
    if sys.argv[1:2] == ["merge-driver"] and len(sys.argv) == 6:
        from vaultloop.vault.merge.called import main as join  # noqa: PLC0415 - the others do not need it

        sys.exit(join(sys.argv[2:]))
    from vaultloop.cli import main as command_line  # noqa: PLC0415 - the driver does not need it

    command_line()


if __name__ == "__main__":
    main()
