"""`ray job submit -- python jobs/retry.py --help`: the same program as `medray retry`."""

import sys

from medray.cli import main

if __name__ == "__main__":
    sys.exit(main(["retry", *sys.argv[1:]]))
