"""The name that stands for operators, which nobody else may have."""

import pytest

from postback.domain.accounts import is_reserved


@pytest.mark.parametrize(
    "name",
    [
        "the platform",
        "The Platform",
        "  the\t platform ",
        "the\u00a0platform",
        "the\u200b plat\u00adform",
        "\uff54\uff48\uff45 platform",
    ],
)
def test_what_people_read_as_the_platform_is_reserved(name: str) -> None:
    assert is_reserved(name)


@pytest.mark.parametrize("name", ["platform", "theplatform", "the platform team", "shop", ""])
def test_other_names_are_free(name: str) -> None:
    assert not is_reserved(name)
