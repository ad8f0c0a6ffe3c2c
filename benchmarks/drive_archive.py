"""DRIVE as an archive: its photographs, vessel masks and fields of view as they are, and a labels.csv.

    MEDRAY_DATA=… python benchmarks/drive_archive.py OUT

Each photograph is a patient of its own. The first observer's vessels are the masks, 255 where there is one; the
official split is in the labels. Source: Staal et al. 2004, doi:10.1109/TMI.2004.825627.
"""

import csv
import os
import shutil
import sys
from pathlib import Path


def make_drive_archive(data: Path, folder: Path) -> None:
    """Copy the files of `data`/drive into the folder and write labels.csv: path, mask, region, patient_id, split."""
    rows = []
    for side in ("training", "test"):
        for image in sorted((data / "drive" / side / "images").iterdir()):
            number = image.name[:2]
            names = (f"images/{image.name}", f"1st_manual/{number}_manual1.gif", f"mask/{number}_{side}_mask.gif")
            for name in names:
                (folder / side / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(data / "drive" / side / name, folder / side / name)
            rows.append([*(f"{side}/{name}" for name in names), number, side.replace("training", "train")])
    with open(folder / "labels.csv", "w", newline="") as file:
        csv.writer(file).writerows([["path", "mask", "region", "patient_id", "split"], *rows])


if __name__ == "__main__":
    make_drive_archive(Path(os.environ["MEDRAY_DATA"]), Path(sys.argv[1]))
