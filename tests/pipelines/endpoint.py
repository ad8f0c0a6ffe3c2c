"""What a metrics endpoint of Ray says of medray."""

import re
import time
import urllib.request
from collections import Counter

SAMPLE = re.compile(r"^ray_medray_(\w+)\{(.*)\} (\S+)$", re.MULTILINE)
REPORT_S = 12  # Ray hands on what it is told every ten seconds


def series(port: int) -> list[tuple[str, dict[str, str], float]]:
    """Name, labels and value of each of medray's series."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    tags = re.compile(r'(\w+)="([^"]*)"')
    return [(name, dict(tags.findall(labels)), float(value)) for name, labels, value in SAMPLE.findall(text)]


def settled(port: int, **labels: str) -> Counter[tuple[str, str]]:
    """Sums by name and what they are split by, of the series with these labels, when all of it has arrived."""
    time.sleep(REPORT_S)
    found: Counter[tuple[str, str]] = Counter()
    for name, tag, value in series(port):
        if labels.items() <= tag.items():
            found[name, next((tag[by] for by in ("status", "reason", "stage", "le") if by in tag), "")] += value
    return found
