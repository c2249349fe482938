"""``python -m agentsight_auto`` is the command line ``agentsight-auto``."""

from __future__ import annotations

import sys

from agentsight_auto.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
