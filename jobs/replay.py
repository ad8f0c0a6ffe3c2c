"""`ray job submit -- python jobs/replay.py --help`: the same program as `medray replay`."""

import sys

from medray.cli import main

if __name__ == "__main__":
    sys.exit(main(["replay", *sys.argv[1:]]))
