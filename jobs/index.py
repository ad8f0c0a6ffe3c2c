"""`ray job submit -- python jobs/index.py --help`: the same program as `medray index`."""

import sys

from medray.cli import main

if __name__ == "__main__":
    sys.exit(main(["index", *sys.argv[1:]]))
