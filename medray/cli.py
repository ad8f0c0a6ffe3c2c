"""The command `medray`: its verbs, and what helps around them."""

import argparse
import importlib
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import fields
from itertools import takewhile
from typing import Any

from medray import __version__
from medray.errors import DifferentError, MedrayError, TooManyFailedError, place_of
from medray.result_settings import ReplaySettings, ReportSettings, RetrySettings
from medray.settings import IndexSettings, PackSettings, ScoreSettings, TrainSettings

VERBS: dict[str, tuple[type[Any], str]] = {
    "index": (IndexSettings, "walk an archive and write one row for each object or shard member"),
    "pack": (PackSettings, "pack loose objects into tar shards of about 256 MB, grouped by series"),
    "train": (TrainSettings, "train a model on an index (or an archive) with labels"),
    "score": (ScoreSettings, "score every sample of an index (or an archive) with a bundle"),
    "report": (ReportSettings, "turn predictions (and labels) into a metrics table and one HTML page"),
    "retry": (RetrySettings, "score again only what failed for a reason, and merge it into the predictions"),
    "replay": (ReplaySettings, "score one sample again, prove that its numbers are bit-equal, and show it"),
}
HELPERS = {
    "doctor": "what this machine can decode, reach and run",
    "paths": "sample ids of a table and their paths",
    "volume": "series of an index as NIfTI files, with a table of their geometry",
}
EXAMPLES = """
examples:
  medray index  --archive s3://hospital/2024 --out index
  medray train  --source index --labels.file labels.csv --model gatedgcn --out run
  medray score  --source index --bundle run/bundles/seed-0 --out predictions
  medray score  --source index --bundle A --bundle B --ensemble mean --aggregate mean --out predictions
  medray score  --verify predictions
  medray retry  predictions --reason read_failed           only what failed for that reason (may be repeated)
  medray replay predictions SAMPLE_ID                      its numbers again, bit by bit, and a page that shows it
  medray report --predictions predictions --labels.file labels.csv --bundle run/bundles/seed-0 --out report
  medray train  --config settings.yaml --print_config      settings may come from a YAML file, flags go first
  medray doctor                                            what this machine can decode, reach and run
  medray pack   --index index --out packed                 many small objects: shards, to be given as --source packed
  medray paths  --table predictions                        sample ids and the paths that they stand for
  medray volume --index index --out volumes                each series as NIfTI, for whoever checks medray
"""
FAILED, USAGE, TOO_MANY_FAILED, DIFFERENT = 1, 2, 3, 4
ENDED_PIPE = 141  # what a shell gives for SIGPIPE
CODES = {TooManyFailedError: TOO_MANY_FAILED, DifferentError: DIFFERENT}
REPEATED = ("--bundle", "--reason")
"""What may be given several times; `--reason` is a list also where it is given once."""
POSITIONAL = {"retry": ("predictions",), "replay": ("predictions", "sample")}
"""What may stand first, without its flag."""


def _flags(verb: str) -> Any:
    from jsonargparse import ArgumentParser

    settings, what = VERBS[verb]
    parser = ArgumentParser(prog=f"medray {verb}", description=f"{what[0].upper()}{what[1:]}.", default_env=False)
    parser.add_argument("--config", action="config", help="YAML file of settings; flags given beside it go first")
    parser.add_argument("--debug", action="store_true", help="tracebacks instead of one line; Ray's logs are kept")
    if verb == "score":
        parser.add_argument("--verify", metavar="OUT", help="prove that the predictions in OUT hold each sample once")
    parser.add_class_arguments(settings, as_positional=False, fail_untyped=False)
    return parser


def _verify(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="medray score --verify")
    parser.add_argument("--verify", metavar="OUT", required=True)
    parser.add_argument("--debug", action="store_true")
    from medray.pipelines.verify import verify

    counts = verify(parser.parse_args(arguments).verify)
    print("verified: " + ", ".join(f"{name} {count:,}" for name, count in counts.items()))
    return 0


def _job(verb: str, arguments: Sequence[str]) -> int:
    if verb == "score" and any(flag.split("=")[0] == "--verify" for flag in arguments):
        return _verify(arguments)
    parser = _flags(verb)
    parsed = parser.parse_args(_as_flags(verb, [_with_underscores(argument) for argument in arguments]))
    given = parser.instantiate_classes(parsed)
    kind = VERBS[verb][0]
    _job_of(verb)(kind(**{item.name: given[item.name] for item in fields(kind)}))
    return 0


def _with_underscores(argument: str) -> str:
    """A flag's words may be joined by hyphens too: `--decode.cross-check` is `--decode.cross_check`."""
    name, equals, value = argument.partition("=")
    return (f"--{name[2:].replace('-', '_')}" if name.startswith("--") else name) + equals + value


def _as_flags(verb: str, arguments: list[str]) -> list[str]:
    """What stands first without a flag gets its flag; a flag that is repeated adds to its list."""
    names = POSITIONAL.get(verb, ())
    leading = list(takewhile(lambda argument: not argument.startswith("-"), arguments[: len(names)]))
    found = [f"--{name}={value}" for name, value in zip(names, leading, strict=False)]
    for argument in arguments[len(leading) :]:
        name, equals, value = argument.partition("=")
        again = name == "--reason" or any(known.partition("=")[0] == name for known in found)
        found.append(f"{name}+{equals}{value}" if again and name in REPEATED else argument)
    return found


def _job_of(verb: str) -> Callable[[Any], Any]:
    """The function behind a verb or helper, of its name; imported late, so that `--help` takes no time."""
    job: Callable[[Any], Any] = getattr(importlib.import_module(f"medray.pipelines.{verb}"), verb)
    return job


def _top_help() -> str:
    verbs = "\n".join(f"  {verb:<8}{what}" for verb, (_, what) in VERBS.items())
    more = "\n".join(f"  {helper:<8}{what}" for helper, what in HELPERS.items())
    return f"usage: medray VERB [flags]      medray VERB --help tells the flags\n\nverbs:\n{verbs}\n{more}\n{EXAMPLES}"


def _run(verb: str, arguments: Sequence[str]) -> int:
    if verb in VERBS:
        return _job(verb, arguments)
    helper: Callable[[Sequence[str]], int] = _job_of(verb)
    return helper(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb.

    Returns:
        0, or 1 for an error in one line, 2 for wrong flags, 3 for too many failed samples, 4 where a replay differs.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_top_help())
        return 0 if arguments else USAGE
    if arguments[0] in ("-V", "--version"):
        print(f"medray {__version__}")
        return 0
    verb, rest = arguments[0], arguments[1:]
    if verb not in (*VERBS, *HELPERS):
        print(f"medray: there is no verb {verb!r}.\n\n{_top_help()}", file=sys.stderr)
        return USAGE
    _quiet("--debug" in rest)
    try:
        return _run(verb, rest)
    except MedrayError as error:
        if "--debug" in rest:
            raise
        print(f"medray {verb}: {error}", file=sys.stderr)
        return CODES.get(type(error), FAILED)
    except BrokenPipeError:  # the reader has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ENDED_PIPE
    except Exception as error:
        print(_unforeseen(verb, error, debug="--debug" in rest), file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(f"medray {verb}: stopped. The same command goes on from here.", file=sys.stderr)
        return 130


def _unforeseen(verb: str, error: Exception, *, debug: bool) -> str:
    """An error that nobody foresaw: its type and place, never its text, which may quote a header or a path."""
    line = f"medray {verb}: a defect of medray: {place_of(error)}."
    if debug:
        return "".join(traceback.format_tb(error.__traceback__)) + line
    return f"{line} Run it again with --debug and report what it prints."


def _quiet(debug: bool) -> None:
    """One clear line for the user: libraries' warnings may quote headers and paths."""
    os.environ["PYTHONWARNINGS"] = "ignore"
    if debug:
        os.environ["MEDRAY_KEEP_RAY_LOGS"] = "1"
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # torch's idle threads sleep: Ray's workers need the cores
    warnings.simplefilter("ignore")
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    logging.getLogger("py.warnings").setLevel(logging.CRITICAL)
    if not debug:
        for name in ("botocore", "aiobotocore", "s3fs", "fsspec", "numba", "matplotlib"):
            logging.getLogger(name).setLevel(logging.ERROR)


if __name__ == "__main__":
    sys.exit(main())
