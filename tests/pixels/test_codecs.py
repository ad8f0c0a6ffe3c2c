import pytest

from medray.errors import Reason, SampleError
from medray.pixels.codecs import TRANSFER_SYNTAXES, decoder_matrix, find_codec


def test_every_first_decoder_runs_here() -> None:
    rows = decoder_matrix()
    assert [row["uid"] for row in rows] == list(TRANSFER_SYNTAXES)
    assert all(row["importable"] for row in rows)


def test_a_compressed_classic_has_a_second_opinion() -> None:
    seconds = {row["uid"]: row["second"] for row in decoder_matrix()}
    assert seconds["1.2.840.10008.1.2.4.70"] == "gdcm"
    assert seconds["1.2.840.10008.1.2.4.80"] == "pyjpegls, gdcm"


def test_video_is_refused_with_its_uid_and_the_cure() -> None:
    with pytest.raises(SampleError, match=r"1\.2\.840\.10008\.1\.2\.4\.100; convert .*`medray doctor`") as caught:
        find_codec("1.2.840.10008.1.2.4.100")
    assert caught.value.reason is Reason.UNSUPPORTED_TRANSFER_SYNTAX
