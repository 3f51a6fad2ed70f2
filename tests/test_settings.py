"""Settings: where they come from, what they may be, and what is said when they are wrong."""

import base64
import re
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest

from postback.domain import databases
from postback.settings import Address, Settings, SettingsError, described, load_settings, shown, source_of


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"POSTBACK_{name.upper()}", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusal(**flags: object) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(**flags)
    return str(caught.value)


def test_without_any_word_the_defaults_hold() -> None:
    settings = load_settings()

    assert settings.database == "postback.db"
    assert settings.listen == Address("127.0.0.1", 8080)
    assert settings.address_url == "http://127.0.0.1:8080"
    assert settings.lease == timedelta(seconds=30)
    assert settings.worker_memory == 256 << 20
    assert settings.api_key is None


def test_a_flag_holds_over_the_environment_and_that_over_the_file(
    empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (empty_folder / "postback.toml").write_text("worker_capacity = 1\nretention_days = 1\ngrace = '1 s'\n")
    monkeypatch.setenv("POSTBACK_WORKER_CAPACITY", "2")
    monkeypatch.setenv("POSTBACK_RETENTION_DAYS", "2")

    settings = load_settings(worker_capacity=3)

    assert (settings.worker_capacity, settings.retention_days, settings.grace.total_seconds()) == (3, 2, 1)
    assert source_of("worker_capacity", {"worker_capacity": 3}) == "--worker-capacity"
    assert source_of("retention_days") == "POSTBACK_RETENTION_DAYS"
    assert source_of("grace") == "grace in postback.toml"
    assert source_of("lease") == "default"


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTBACK_API_KEY", "")

    assert load_settings().api_key is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30", 30), ("30 s", 30), ("30s", 30), ("1.5 min", 90), ("1500 ms", 1.5), (30, 30), ("1h", 3600)],
)
def test_a_duration_is_read_as_people_write_it(text: object, seconds: float) -> None:
    assert load_settings(lease=text).lease.total_seconds() == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [("4 KiB", 4096), ("4kib", 4096), (4096, 4096), ("4096 B", 4096), ("0.5 KiB", 512), ("2 KB", 2000)],
)
def test_a_size_is_read_as_people_write_it(text: object, size: int) -> None:
    assert load_settings(keep_answer=text).keep_answer == size


@pytest.mark.parametrize("text", ["many", "-1", "30 parsecs", "1e3", "", " s", "∞", "٣"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    assert "expected a duration such as 30 or '30 s'" in refusal(lease=text)


@pytest.mark.parametrize("text", ["0.3 B", "4 K", "-4096", "four", True])
def test_what_is_no_size_is_refused(text: object) -> None:
    assert "expected a size such as 4096 or '4 KiB'" in refusal(keep_answer=text)


def test_a_wrong_value_is_told_with_its_source_and_the_settings_own_sentence(
    empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sentence = {one.field: one.sentence for one in described()}
    monkeypatch.setenv("POSTBACK_LEASE", "many")
    (empty_folder / "postback.toml").write_text("worker_capacity = 'x'\n")

    lines = refusal(ip="5").splitlines()

    assert lines == [
        f"--ip is '5'; expected one of '4', '6' or 'both': {sentence['ip']}",
        f"POSTBACK_LEASE is 'many'; expected a duration such as 30 or '30 s': {sentence['lease']}",
        f"worker_capacity in postback.toml is 'x'; expected a whole number: {sentence['worker_capacity']}",
    ]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"lease": "500 ms"}, "expected 1 second or more"),
        ({"max_body": 3}, "expected 1 KiB or more"),
        ({"max_body": "1 GiB"}, "expected 16 MiB or less"),
        ({"worker_capacity": 0}, "expected 1 or more"),
        ({"allow_http": "perhaps"}, "expected true or false"),
        ({"ca_file": "nowhere.pem"}, "expected the path of a file that exists"),
        ({"public_url": "ftp://x"}, "expected an http or https address"),
        ({"public_url": "http://x/?a=1"}, "expected an http or https address"),
        ({"public_url": "http://[x"}, "expected an http or https address"),
        ({"security_contact": "security@example.com"}, "expected an https: or mailto: URI"),
        ({"security_contact": "http://example.com/report"}, "expected an https: or mailto: URI"),
        ({"security_contact": "https://"}, "expected an https: or mailto: URI"),
        ({"security_contact": "mailto:security"}, "expected an https: or mailto: URI"),
        ({"security_contact": "mailto:a@example.com\nContact: x"}, "expected an https: or mailto: URI"),
        ({"database": ":memory:"}, "expected the path of a SQLite file"),
        ({"database": "mysql://x"}, "expected the path of a SQLite file"),
        ({"log_level": "loud"}, "expected one of"),
    ],
)
def test_a_value_out_of_bounds_is_told_what_is_expected(flags: dict[str, object], expected: str) -> None:
    assert expected in refusal(**flags)


@pytest.mark.parametrize(
    "text", ["8080", ":8080", "example.com:80", "::1:80", "[::1]", "127.0.0.1:", "127.0.0.1:65536", "127.1:8"]
)
def test_what_is_no_address_to_listen_on_is_refused(text: str) -> None:
    assert "expected an address and a port" in refusal(listen=text)


def test_an_unknown_variable_is_refused_with_the_nearest_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTBACK_LISTN", "x")

    assert refusal() == "POSTBACK_LISTN is no setting; did you mean POSTBACK_LISTEN?"


def test_a_name_is_not_near_because_all_begin_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTBACK_FOO", "x")

    assert refusal() == "POSTBACK_FOO is no setting; `postback settings` lists those that exist"


def test_an_unknown_key_of_the_file_is_refused_with_the_nearest_name(empty_folder: Path) -> None:
    (empty_folder / "postback.toml").write_text("retention = 3\n[other]\n")

    assert refusal().splitlines() == [
        "retention in postback.toml is no setting; did you mean retention_days?",
        "other in postback.toml is no setting; `postback settings` lists those that exist",
    ]


def test_a_file_that_is_no_toml_is_told_with_its_place(empty_folder: Path) -> None:
    (empty_folder / "postback.toml").write_text("lease = \n")

    assert "postback.toml cannot be read: " in refusal()
    assert "line 1" in refusal()


@pytest.mark.parametrize(
    "wrong",
    [
        "postgresql://me:hush@hush@host/db",
        "postgresql://me:hush/hush@host/db",
        "postgresql://me:hush?hush@host/db",
        "postgresql://me:hush#hush@host/db",
        "postgresql+asyncpg://me:hush@host/db",
        "postgresql://me:hush@host",
        "postgresql://me:hush@host:port/db",
        "postgresql:me:hush@host/db",
        "postgresql://host/?password=hush",
        "mysql://me:hush@host/db",
    ],
)
def test_what_is_no_address_of_a_database_is_refused_and_its_password_not_repeated(
    monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    monkeypatch.setenv("POSTBACK_DATABASE", wrong)

    message = refusal()

    assert "expected the path of a SQLite file" in message
    assert "the address of a PostgreSQL database" in message
    assert "hush" not in message


@pytest.mark.parametrize(
    ("address", "seen"),
    [
        ("postgresql://me:hush@host/db", "postgresql://me:***@host/db"),
        ("POSTGRES://me:hush@host:5433/db?sslmode=require", "postgres://me:***@host:5433/db?sslmode=require"),
        ("postgresql://me@/db?host=/var/run&password=hush", "postgresql://me@/db?host=/var/run&password=***"),
        ("postgresql://me:hush@[::1]:5433,other:1/db", "postgresql://me:***@[::1]:5433,other:1/db"),
        ("postgresql:///db", "postgresql:///db"),
    ],
)
def test_an_address_of_a_database_is_shown_without_its_password(address: str, seen: str) -> None:
    settings = load_settings(database=address)

    assert shown(settings, "database") == seen
    assert "hush" not in repr(settings)
    assert "hush" in settings.database or "hush" not in address
    assert (settings.is_on_a_server, settings.key_file, settings.secret_file) == (True, None, None)


@pytest.mark.parametrize(
    ("address", "hosts"),
    [
        ("postgresql://me:x@host/db", [("host", 5432)]),
        ("postgresql://[::1]:5433,other:1/db", [("::1", 5433), ("other", 1)]),
        ("postgresql:///db?host=a,b&port=1,2", [("a", 1), ("b", 2)]),
        ("postgresql://me@/db?host=/var/run/postgresql", []),
        ("postgresql://%2Fvar%2Frun/db", []),
        ("postgresql:///db", [("from.outside", 6543)]),
    ],
)
def test_where_a_database_listens_is_read_from_its_address(address: str, hosts: list[tuple[str, int]]) -> None:
    assert databases.hosts(address, {"PGHOST": "from.outside", "PGPORT": "6543"} if "///db" in address else {}) == hosts


@pytest.mark.parametrize(
    ("address", "named"),
    [
        ("postgresql://me:hush@host/db", "the database db on host:5432"),
        ("postgresql://[::1]:5433,other:1/db", "the database db on [::1]:5433, other:1"),
        ("postgresql://me:hush@/db?host=/var/run&port=1", "the database db on the socket /var/run/.s.PGSQL.1"),
        ("postgresql://host/?dbname=db", "the database db on host:5432"),
        ("postgresql:///db", "the database db on this machine"),
    ],
)
def test_a_database_is_named_with_all_that_leads_to_it_and_no_password(address: str, named: str) -> None:
    assert databases.named(address, {}) == named


def test_a_key_is_never_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTBACK_API_KEY", "too-short")
    assert "too-short" not in refusal()

    monkeypatch.setenv("POSTBACK_API_KEY", "a-key-of-more-than-24-characters")
    settings = load_settings()
    assert "a-key-of" not in repr(settings)
    assert "a-key-of" not in shown(settings, "api_key")
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == "a-key-of-more-than-24-characters"


def test_keys_of_secrets_are_never_repeated_either(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = b"\x01" * 32, b"\x02" * 32
    for wrong in ("too-short", f"{first.hex()},too-short", f"{first.hex()} {first.hex()}"):
        monkeypatch.setenv("POSTBACK_SECRET_KEY", wrong)
        message = refusal()
        assert message.startswith("POSTBACK_SECRET_KEY is ***; expected ")
        assert "too-short" not in message
        assert first.hex() not in message

    monkeypatch.setenv("POSTBACK_SECRET_KEY", f"{second.hex()}, {base64.b64encode(first).decode()}")
    settings = load_settings()
    assert settings.secret_keys == (second, first)
    for text in (repr(settings), shown(settings, "secret_key"), str(settings.secret_key)):
        assert second.hex() not in text


def test_without_a_setting_no_key_of_secrets_is_given() -> None:
    assert load_settings().secret_keys == ()
    assert load_settings(database="shop.db").secret_file == Path("shop.db.secret").absolute()


@pytest.mark.parametrize("listen", ["127.0.0.1:80", "localhost:80", "[::1]:80", "127.8.8.8:80"])
def test_auto_allows_loopback_while_the_server_listens_on_loopback(listen: str) -> None:
    settings = load_settings(listen=listen)

    assert settings.networks == (ip_network("127.0.0.0/8"), ip_network("::1"))
    assert settings.allows_loopback


@pytest.mark.parametrize("listen", ["0.0.0.0:80", "10.0.0.1:80", "[::]:80"])
def test_auto_allows_nothing_while_others_reach_the_server(listen: str) -> None:
    settings = load_settings(listen=listen)

    assert settings.networks == ()
    assert not settings.allows_loopback


def test_networks_are_listed_by_commas_spaces_or_as_a_toml_list(empty_folder: Path) -> None:
    wanted = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
    assert load_settings(allow_networks="10.0.0.0/8, fd00::/8").networks == wanted
    assert load_settings(allow_networks="10.0.0.0/8 fd00::/8").networks == wanted

    (empty_folder / "postback.toml").write_text('allow_networks = ["10.0.0.0/8", "fd00::/8"]\n')

    assert load_settings().networks == wanted


def test_none_closes_loopback_also_to_a_server_that_listens_there() -> None:
    settings = load_settings(listen="127.0.0.1:80", allow_networks="none")

    assert (settings.networks, settings.allows_loopback) == ((), False)
    assert shown(settings, "allow_networks") == "none"
    assert "expected auto, none, or networks such as" in refusal(allow_networks="none, 10.0.0.0/8")


def test_networks_that_hold_loopback_are_told_to_do_so() -> None:
    assert load_settings(listen="10.0.0.1:80", allow_networks="127.0.0.1/32").allows_loopback
    assert not load_settings(allow_networks="10.0.0.0/8").allows_loopback


def test_a_network_with_host_bits_is_refused_with_the_reason() -> None:
    assert "10.0.0.1/8 has host bits set" in refusal(allow_networks="10.0.0.1/8")


def test_no_proxy_is_trusted_unless_it_is_named() -> None:
    named = load_settings(trusted_proxies="127.0.0.1/32, fd00::/8")

    assert load_settings().trusted_proxies == load_settings(trusted_proxies="none").trusted_proxies == ()
    assert shown(load_settings(), "trusted_proxies") == "none"
    assert shown(named, "trusted_proxies") == "127.0.0.1/32, fd00::/8"
    assert "expected none or networks such as" in refusal(trusted_proxies="auto")


def test_links_are_made_from_the_public_url() -> None:
    assert load_settings(public_url="https://postback.example.com/").address_url == "https://postback.example.com"
    assert load_settings(listen="[::1]:90").address_url == "http://[::1]:90"


@pytest.mark.parametrize("listen", ["0.0.0.0:80", "[::]:80"])
def test_links_of_a_server_on_all_addresses_need_a_public_url(listen: str) -> None:
    assert load_settings(listen=listen).needs_public_url
    assert not load_settings(listen=listen, public_url="https://postback.example.com").needs_public_url
    assert not load_settings(listen="localhost:80").needs_public_url


def test_a_sentence_names_other_settings_as_they_are_typed() -> None:
    names = "|".join(field.upper() for field in Settings.model_fields if field != "ip")

    assert [one.name for one in described() if re.search(rf"\b({names})\b", one.sentence)] == []


def test_every_setting_has_a_sentence_that_ends() -> None:
    assert [one.field for one in described() if not one.sentence.endswith(".")] == []
