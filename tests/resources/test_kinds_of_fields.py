"""Kinds of fields that payments brought: amounts, lists of them, JSON, one of a few values, flags that are numbers."""

from collections.abc import Mapping

import pytest

from postback.domain.errors import InvalidValue
from postback.resources import RESOURCES, Resource, check

TRANSACTION, BATCH, VAULT = RESOURCES["transaction"], RESOURCES["transactionbatch"], RESOURCES["accountvault"]


def errors_of(resource: Resource, sent: Mapping[str, object]) -> dict[str, list[str]]:
    with pytest.raises(InvalidValue) as raised:
        check(resource, sent, creating=False)
    return {field: list(messages) for field, messages in raised.value.errors.items()}


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("24.50", "24.50"),
        ("24.5", "24.50"),
        ("24", "24.00"),
        ("007.1", "7.10"),
        ("0", "0.00"),
        (24, "24.00"),
        (24.5, "24.50"),
        (0.1, "0.10"),
        ("999999999999.99", "999999999999.99"),
    ],
)
def test_an_amount_is_kept_with_two_decimals(sent: object, kept: str) -> None:
    assert check(TRANSACTION, {"transaction_amount": sent}, creating=False) == {"transaction_amount": kept}


@pytest.mark.parametrize(
    "sent",
    [
        "", " ", "24.505", "24.", ".5", "-1", "+1", "1e3", "1,000.00", "٢٤", "24.50 ", "1" * 13, 0.1 + 0.2, -1, 1e12,
        1e300, float("nan"), 10**4_000, True, ["24.50"], {"amount": 1},
    ],
)  # fmt: skip
def test_what_is_no_amount_is_refused(sent: object) -> None:
    [message] = errors_of(TRANSACTION, {"tax": sent})["tax"]

    assert message.startswith("tax is ")
    assert message.endswith('; expected an amount such as "24.50"')
    assert len(message) < 120


def test_additional_amounts_have_a_type_each() -> None:
    sent = [{"type": "4S", "amount": "1.5"}, {"amount": 2, "type": "4X"}]

    cleaned = check(TRANSACTION, {"additional_amounts": sent}, creating=False)

    assert cleaned == {"additional_amounts": [{"type": "4S", "amount": "1.50"}, {"type": "4X", "amount": "2.00"}]}
    assert check(TRANSACTION, {"additional_amounts": None}, creating=False) == {"additional_amounts": ()}


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ("4S", "is '4S'; expected a list of at most 5 amounts with a type"),
        ([{"type": "4S", "amount": "1"}] * 6, "is a list; expected a list of at most 5 amounts with a type"),
        (["4S"], 'has an item that is not of the form {"type": "4S", "amount": "1.50"}'),
        ([{"type": "4S"}], 'has an item that is not of the form {"type": "4S", "amount": "1.50"}'),
        ([{"type": "4S", "amount": "1", "x": 1}], 'has an item that is not of the form {"type": "4S", "amount": "1.50"}'),
        ([{"type": "4Z", "amount": "1"}], "has the type '4Z'; expected one of 4S, 4U, 4V, 4W, 4X"),
        ([{"type": ["4S"], "amount": "1"}], "has the type a list; expected one of 4S, 4U, 4V, 4W, 4X"),
        ([{"type": "4S", "amount": None}], 'has an amount that is null; expected an amount such as "24.50"'),
    ],
)  # fmt: skip
def test_additional_amounts_that_cannot_be_taken_say_why(sent: object, message: str) -> None:
    assert errors_of(TRANSACTION, {"additional_amounts": sent}) == {
        "additional_amounts": [f"additional_amounts {message}"]
    }


@pytest.mark.parametrize(
    "sent",
    [{"invoice": 17, "lines": [1.5, None, "é"]}, [], {}, '{"invoice": 17}', "null", "[" * 100 + "]" * 100, "17"],
)  # fmt: skip
def test_custom_data_is_any_json_as_it_came(sent: object) -> None:
    assert check(TRANSACTION, {"custom_data": sent}, creating=False) == {"custom_data": sent}


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ("", "is ''; expected JSON"),
        ("{invoice: 17}", "is '{invoice: 17}'; expected JSON"),
        ("NaN", "is 'NaN'; expected JSON"),
        ("[" * 10_000, f"is '{'[' * 40}...'; expected JSON"),
        (17, "is 17; expected an object, a list, or a string with JSON in it"),
        (True, "is true; expected an object, a list, or a string with JSON in it"),
        ({"a": "x" * 505}, "has 513 characters; expected at most 512"),
        ('"' + "x" * 511 + '"', "has 513 characters; expected at most 512"),
        ({"a": ["\0"]}, "contains a NUL character, which is not allowed here"),
        ({"\0": 1}, "contains a NUL character, which is not allowed here"),
        ('"\\u0000"', "contains a NUL character, which is not allowed here"),
        ('"\\ud83d"', "contains half of a surrogate pair, which is no character"),
    ],
)
def test_custom_data_that_cannot_be_taken_says_why(sent: object, message: str) -> None:
    assert errors_of(TRANSACTION, {"custom_data": sent}) == {"custom_data": [f"custom_data {message}"]}


def test_512_characters_of_custom_data_fit() -> None:
    assert check(TRANSACTION, {"custom_data": {"a": "é" * 504}}, creating=False)


@pytest.mark.parametrize(
    ("field", "taken", "kept"),
    [
        ("status_id", "201", 201),
        ("status_id", 134, 134),
        ("type_id", 20, 20),
        ("reason_code_id", "1622", 1622),
        ("trx_source_id", 15, 15),
        ("entry_mode_id", "K", "K"),
        ("cvv_response", "", ""),
        ("avs", "GOOD", "GOOD"),
        ("avs_enhanced", "Y", "Y"),
        ("account_type", "checking", "checking"),
        ("payment_method", "ach", "ach"),
    ],
)
def test_what_has_a_few_values_takes_those(field: str, taken: object, kept: object) -> None:
    assert check(TRANSACTION, {field: taken}, creating=False) == {field: kept}


@pytest.mark.parametrize(
    ("field", "sent", "message"),
    [
        ("payment_method", "cash", "is 'cash'; expected one of cc, ach"),
        ("payment_method", "CC", "is 'CC'; expected one of cc, ach"),
        ("status_id", 999, "is 999; expected one of 101, 102, 111, 121, 131 to 136, 191, 201, 301, 331"),
        ("status_id", 101.0, "is 101.0; expected one of 101, 102, 111, 121, 131 to 136, 191, 201, 301, 331"),
        ("status_id", "0101", "is '0101'; expected one of 101, 102, 111, 121, 131 to 136, 191, 201, 301, 331"),
        ("type_id", True, "is true; expected one of 20 to 22, 30, 40, 50"),
        ("cvv_response", "Q", """is 'Q'; expected one of "", M, N, P, S, U, X"""),
        ("trx_source_id", [1], "is a list; expected one of 1 to 15"),
    ],
)
def test_any_other_value_is_refused_with_those_that_there_are(field: str, sent: object, message: str) -> None:
    assert errors_of(TRANSACTION, {field: sent}) == {field: [f"{field} {message}"]}


@pytest.mark.parametrize(("sent", "kept"), [("1", 1), (0, 0), (True, 1), ("0", 0)])
def test_flags_that_are_numbers_are_shown_as_numbers(sent: object, kept: int) -> None:
    for resource, field in ((BATCH, "is_open"), (VAULT, "active")):
        value = check(resource, {field: sent}, creating=False)[field]
        assert (value, type(value)) == (kept, int)
