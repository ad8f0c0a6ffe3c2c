"""The command `medray`: exit codes, settings files, and help that loads neither Ray nor torch."""

import subprocess
import sys

import pytest

from medray import __version__, cli
from medray.errors import LabelError
from medray.image_settings import DecodeSettings


def _exit_code(*flags):
    with pytest.raises(SystemExit) as ended:
        cli.main(flags)
    return ended.value.code


def test_no_verb_or_a_wrong_one_ends_with_code_2_and_the_list_of_verbs(capsys):
    assert cli.main([]) == 2
    assert cli.main(["predict"]) == 2
    said = capsys.readouterr().err
    assert "there is no verb 'predict'" in said and "medray report --predictions" in said


def test_a_wrong_flag_or_value_ends_with_code_2_and_its_name(capsys):
    assert _exit_code("index", "--archives", "a") == 2
    assert "--archives" in capsys.readouterr().err
    assert _exit_code("train", "--source", "a", "--out", "b", "--recipe.size", "large") == 2
    assert "recipe.size" in capsys.readouterr().err
    assert _exit_code("train", "--source", "a", "--out", "b", "--model", "gpt") == 2


def test_a_missing_flag_is_named(capsys):
    assert _exit_code("score", "--source", "a", "--out", "b") == 2
    assert "bundle" in capsys.readouterr().err


def test_the_version_is_printed(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"medray {__version__}\n"


@pytest.mark.parametrize("verb", list(cli.VERBS))
def test_printed_settings_read_back_as_the_same_settings(verb, capsys, tmp_path):
    required = {
        "index": ["--archive", "a", "--out", "b"],
        "pack": ["--index", "a", "--out", "b"],
        "train": ["--source", "a", "--out", "b", "--recipe.window", "[40, 400]", "--labels.where", "{modality: CT}"],
        "score": ["--source", "a", "--bundle", "m", "--out", "b", "--ray.unit_bytes", "1000"],
        "report": ["--predictions", "a", "--out", "b", "--split", "all"],
        "retry": ["a", "--reason", "not_found", "--reason=read_failed", "--decode.frame-seconds", "300"],
        "replay": ["a", "b:0", "--out", "b"],
    }[verb]
    assert _exit_code(verb, *required, "--print_config") == 0
    printed = capsys.readouterr().out
    (tmp_path / "settings.yaml").write_text(printed)
    assert _exit_code(verb, "--config", str(tmp_path / "settings.yaml"), "--print_config") == 0
    assert capsys.readouterr().out == printed and ("out: b" in printed or verb == "retry")


def test_what_stands_first_without_a_flag_is_read_and_a_reason_may_be_repeated():
    given = cli._as_flags("retry", ["out", "--reason", "not_found", "--reason=read_failed"])
    parsed = cli._flags("retry").parse_args(given)
    assert (parsed.predictions, parsed.reason, parsed.decode) == ("out", ["not_found", "read_failed"], None)
    parsed = cli._flags("replay").parse_args(cli._as_flags("replay", ["out", "abc:0", "--out", "folder"]))
    assert (parsed.predictions, parsed.sample, parsed.out) == ("out", "abc:0", "folder")
    with_flags = ["--predictions", "out", "--sample", "abc:0"]
    assert cli._flags("replay").parse_args(cli._as_flags("replay", with_flags)).sample == "abc:0"


def test_a_retry_may_give_more_time_and_keeps_the_other_limits_at_their_defaults():
    given = cli._as_flags("retry", ["out", "--reason", "decoder_timeout", "--decode.frame_seconds", "300"])
    decode = cli._flags("retry").parse_args(given).decode
    assert (decode.frame_seconds, decode.gibibytes) == (300.0, DecodeSettings().gibibytes)


@pytest.mark.parametrize(("given", "voi"), [("0", 0), ("LUNG", "LUNG"), ("null", None)])
def test_the_headers_window_is_asked_for_by_number_or_explanation(given, voi):
    parsed = cli._flags("train").parse_args(["--source", "a", "--out", "b", "--recipe.voi", given])
    assert (parsed.recipe.voi, parsed.recipe.pet) == (voi, "modality")


def test_flags_go_before_the_settings_file(capsys, tmp_path):
    (tmp_path / "settings.yaml").write_text("source: a\nout: b\noptimizer:\n  epochs: 3\n  batch_size: 5\n")
    flags = ("--config", str(tmp_path / "settings.yaml"), "--optimizer.epochs", "9", "--print_config")
    assert _exit_code("train", *flags) == 0
    printed = capsys.readouterr().out
    assert "epochs: 9" in printed and "batch_size: 5" in printed


@pytest.mark.parametrize("flags", [["--help"], ["train", "--help"], ["score", "--help"]], ids=" ".join)
def test_help_takes_under_a_second_of_work_and_loads_neither_ray_nor_torch(flags):
    code = (
        "import sys, time\nfrom medray.cli import main\ntry:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "print('loaded', sorted({'ray', 'torch', 'pandas'} & set(sys.modules)), time.process_time() < 1.0)"
    )
    done = subprocess.run([sys.executable, "-c", code, *flags], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "loaded [] True", done.stderr
    assert "usage: medray" in done.stdout


@pytest.fixture(autouse=True)
def own_environment(monkeypatch):
    """`--debug` sets a variable for the rest of its process: it ends with the test."""
    monkeypatch.setenv("MEDRAY_KEEP_RAY_LOGS", "")


def test_an_error_is_one_line_and_a_traceback_only_with_debug(capsys, monkeypatch):
    def job(_):
        raise LabelError("The labels are wrong.", "Write better ones.")

    monkeypatch.setattr(cli, "_job_of", lambda verb: job)
    assert cli.main(["index", "--archive", "a", "--out", "b"]) == 1
    assert capsys.readouterr().err == "medray index: The labels are wrong. Write better ones.\n"
    with pytest.raises(LabelError):
        cli.main(["index", "--archive", "a", "--out", "b", "--debug"])


def test_an_unforeseen_error_names_its_place_and_never_its_text(capsys, monkeypatch):
    def job(_):
        raise ValueError("Canary^Name")

    monkeypatch.setattr(cli, "_job_of", lambda verb: job)
    for more in ([], ["--debug"]):
        assert cli.main(["index", "--archive", "a", "--out", "b", *more]) == 1
        said = capsys.readouterr().err
        assert "a defect of medray: ValueError in " in said and "Canary" not in said.replace('("Canary^Name")', "")


def test_ctrl_c_says_that_the_command_goes_on(capsys, monkeypatch):
    def job(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_job_of", lambda verb: job)
    assert cli.main(["index", "--archive", "a", "--out", "b"]) == 130
    assert "goes on from here" in capsys.readouterr().err


@pytest.mark.parametrize(
    "flags",
    [["--bundle", "A", "--bundle", "B"], ["--bundle=A", "--bundle=B"], ["--bundle", '["A", "B"]']],
    ids=["said twice", "said twice with a sign", "a list"],
)
def test_several_bundles_are_named_one_by_one(monkeypatch, flags):
    asked = []
    monkeypatch.setattr(cli, "_job_of", lambda verb: asked.append)
    assert cli.main(["score", "--source", "index", *flags, "--out", "out"]) == 0
    assert asked[0].bundles == ["A", "B"]


def test_a_reader_that_has_seen_enough_is_no_defect():
    code = (
        "import sys; from medray import cli; cli._run = lambda *_: print('x' * 10**6); sys.exit(cli.main(['doctor']))"
    )
    done = subprocess.run(
        ["bash", "-c", '"$0" -c "$1" | head -c 1; echo " ${PIPESTATUS[0]}"', sys.executable, code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("x 141\n", "")
