"""`ray job submit -- python jobs/pack.py --help`: the same program as `medray pack`."""

import sys

from medray.cli import main

if __name__ == "__main__":
    sys.exit(main(["pack", *sys.argv[1:]]))
