"""`python -m edgeens`: the command line, where the command `edgeens` is not on the PATH."""

import sys

from edgeens.cli import main

if __name__ == "__main__":
    sys.exit(main())
