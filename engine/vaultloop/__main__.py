"""`vaultloop` and `python -m vaultloop`."""

from vaultloop.cli import main

if __name__ == "__main__":
    main()
