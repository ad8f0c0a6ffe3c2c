"""`ray job submit -- python jobs/report.py --help`: the same program as `medray report`."""

import sys

from medray.cli import main

if __name__ == "__main__":
    sys.exit(main(["report", *sys.argv[1:]]))
