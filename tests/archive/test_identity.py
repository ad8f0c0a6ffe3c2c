import stat

import pytest

from medray.archive.identity import keyed_hash, load_key, seal, unseal
from medray.errors import SettingsError

KEY = b"k" * 32


def test_keyed_hash_is_hmac_sha256_cut_to_32_digits():
    # echo -n Jefe-style vector: RFC 4231 test case 2
    assert keyed_hash(b"Jefe", "what do ya want for nothing?") == "5bdcc146bf60754e6a042426089575c7"


def test_another_key_gives_another_hash():
    assert keyed_hash(KEY, "CANARY-1") != keyed_hash(b"j" * 32, "CANARY-1")


@pytest.mark.parametrize("name", ["a/b.dcm", "", "Müller^Jörg.dcm", "\udcff\udc80.dcm", "x" * 5000])
def test_a_sealed_name_comes_back_and_shows_nothing(name):
    sealed = seal(KEY, name)
    assert unseal(KEY, sealed) == name
    assert sealed == seal(KEY, name)
    assert sealed.isascii() and (not name or name not in sealed)


def test_a_plain_name_passes_through_unseal():
    assert unseal(KEY, "s3://bucket/a.dcm") == "s3://bucket/a.dcm"


def test_unsealing_with_another_key_is_refused_without_the_name():
    with pytest.raises(SettingsError, match="another key"):
        unseal(b"j" * 32, seal(KEY, "CANARY.dcm"))


def test_the_first_use_makes_a_private_key_and_the_second_reads_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("MEDRAY_KEY", raising=False)
    first, second = load_key(), load_key()
    file = tmp_path / ".config" / "medray" / "key"
    assert first == second and len(bytes.fromhex(first.decode())) == 32
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert capsys.readouterr().err.count("secret key") == 1


def test_the_key_file_goes_before_the_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDRAY_KEY", "from-the-variable-000")
    (tmp_path / "key").write_text("from-the-file-0000000\n")
    assert load_key(str(tmp_path / "key")) == b"from-the-file-0000000"
    assert load_key() == b"from-the-variable-000"


def test_a_key_of_fifteen_bytes_is_refused(tmp_path):
    (tmp_path / "key").write_text("x" * 15)
    with pytest.raises(SettingsError, match="15 bytes"):
        load_key(str(tmp_path / "key"))
