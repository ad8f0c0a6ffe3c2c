"""`ray job submit -- python jobs/train.py --help`: the same program as `medray train`."""

import sys

from medray.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
