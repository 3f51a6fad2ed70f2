"""Configs of transactions and batches hear of their own product transaction only."""

import pytest

from tests.build import a_config, an_event


@pytest.mark.parametrize("resource", ["transaction", "transactionbatch"])
def test_a_config_of_a_product_transaction_wants_only_its_records(resource: str) -> None:
    config = a_config(resource=resource, product_transaction_id="pt_1")

    assert config.wants(an_event(type=f"{resource}.created", data=b'{"product_transaction_id":"pt_1"}'))
    assert not config.wants(an_event(type=f"{resource}.created", data=b'{"product_transaction_id":"pt_2"}'))
    assert not config.wants(an_event(type=f"{resource}.created", data=b"{}"))


def test_an_account_vault_belongs_to_no_product_transaction() -> None:
    config = a_config(resource="accountvault", product_transaction_id="pt_1")

    assert config.wants(an_event(type="accountvault.created", data=b'{"product_transaction_id":"pt_2"}'))
