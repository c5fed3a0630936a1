import pytest

from gliascope.errors import GliascopeError
from gliascope.server.settings import Settings, load_settings


def test_the_environment_sets_and_options_go_over_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLIASCOPE_PORT", "9000")
    monkeypatch.setenv("GLIASCOPE_QUEUE_SLICES", "7")
    monkeypatch.setenv("GLIASCOPE_WORKERS", "")
    settings = load_settings(port=9001, host=None)
    assert (settings.port, settings.queue_slices, settings.host) == (9001, 7, "127.0.0.1")
    assert settings.workers >= 1
    assert load_settings().port == 9000


def test_every_setting_says_what_it_is_for() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_a_wrong_value_is_one_line_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLIASCOPE_REQUEST_SECONDS", "soon")
    with pytest.raises(GliascopeError, match=r"^setting request_seconds: [^\n]*GLIASCOPE_[^\n]*$"):
        load_settings()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "scanner.example"])
def test_beyond_this_machine_keys_are_needed(host: str, tmp_path) -> None:
    with pytest.raises(GliascopeError, match=f"host {host}: .*gliascope keys add"):
        load_settings(host=host)
    assert load_settings(host=host, keys=tmp_path / "keys.json").host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.1.1", "::1", "localhost"])
def test_on_this_machine_they_are_not(host: str) -> None:
    assert load_settings(host=host).is_loopback


def test_tls_needs_both_files(tmp_path) -> None:
    with pytest.raises(GliascopeError, match="setting tls_cert: "):
        load_settings(tls_cert=tmp_path / "cert.pem")
    (tmp_path / "cert.pem").touch()
    with pytest.raises(GliascopeError, match="both, --tls-cert and --tls-key"):
        load_settings(tls_cert=tmp_path / "cert.pem")


def test_a_secret_is_not_shown() -> None:
    settings = load_settings(salt="a salt of sixteen or more")
    assert "sixteen" not in repr(settings)
    with pytest.raises(GliascopeError, match="setting salt"):
        load_settings(salt="short")


def test_origins_are_separated_by_commas() -> None:
    assert load_settings(origins="https://a.example, https://b.example").allowed_origins == [
        "https://a.example",
        "https://b.example",
    ]
    assert load_settings().allowed_origins == []
