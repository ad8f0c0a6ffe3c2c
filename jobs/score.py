"""`ray job submit -- python jobs/score.py --help`: the same program as `medray score`."""

import sys

from medray.cli import main

if __name__ == "__main__":
    sys.exit(main(["score", *sys.argv[1:]]))
