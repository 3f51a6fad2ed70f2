"""The first user, and `users`: by the database, while no server has it."""

from pathlib import Path

import pytest

from tests.cli.calling import Cli
from tests.cli.served import Served


def test_the_first_start_prints_a_link_to_become_the_first_user(tmp_path: Path) -> None:
    served = Served(tmp_path)

    said = served.announced()

    assert served.stop() == 0
    assert f"{served.url}/join/" in said


def test_who_the_settings_name_is_the_first_user_and_no_link_is_printed(tmp_path: Path) -> None:
    served = Served(
        tmp_path, POSTBACK_OWNER_EMAIL="Ann@example.com", POSTBACK_OWNER_PASSWORD="five quiet otters juggle"
    )

    said = served.announced()

    assert served.stop() == 0
    assert "/join/" not in said
    assert "five quiet otters juggle" not in said + str(served.last_words)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"POSTBACK_OWNER_EMAIL": "ann@example.com"}, "set both"),
        ({"POSTBACK_OWNER_EMAIL": "ann@example.com", "POSTBACK_OWNER_PASSWORD": "short"}, "expected at least 12"),
        ({"POSTBACK_OWNER_EMAIL": "ann", "POSTBACK_OWNER_PASSWORD": "five quiet otters juggle"}, "ann@example.com"),
    ],
)
def test_a_start_that_cannot_make_the_first_user_says_why(tmp_path: Path, settings: dict[str, str], said: str) -> None:
    served = Served(tmp_path, **settings)

    _, errors = served.process.communicate(timeout=20)

    assert served.process.returncode == 1
    assert said in errors
    assert "short" not in errors


def test_everybody_is_signed_out_while_no_server_runs(tmp_path: Path, cli: Cli) -> None:
    served = Served(tmp_path)
    served.announced()
    refused = cli("users", "sign-out")
    served.stop()

    # That of the first user, which the start printed.
    first, again = cli("users", "sign-out"), cli("users", "sign-out")

    assert (refused.code, "stop it" in refused.err) == (1, True)
    assert (first.code, first.out.strip()) == (0, "0 sessions ended, 1 link void")
    assert (again.code, again.out.strip()) == (0, "0 sessions ended, 0 links void")


def test_one_who_is_locked_out_gets_a_link_while_no_server_runs(tmp_path: Path, cli: Cli) -> None:
    served = Served(
        tmp_path, POSTBACK_OWNER_EMAIL="ann@example.com", POSTBACK_OWNER_PASSWORD="five quiet otters juggle"
    )
    served.announced()
    refused = cli("users", "list")
    served.stop()

    listed, link, unknown, first = (
        cli("users", *words)
        for words in (("list", "--json"), ("link", "Ann@example.com"), ("link", "eve@example.com"), ("link",))
    )

    assert refused.code == 1
    assert "stop it" in refused.err
    assert '"email": "ann@example.com"' in listed.out
    assert link.out.startswith("http://127.0.0.1:8080/new-password/")
    assert unknown.code == 1
    assert first.code == 1
    assert "name the one" in first.err
