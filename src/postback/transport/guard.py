"""Which addresses may be called: every address of a set is checked, and one that is forbidden refuses them all."""

from collections.abc import Sequence

from postback.domain.addresses import AddressRules
from postback.domain.wire import Reason
from postback.transport.failures import CannotReach


class Guard:
    """Stands in front of every connection; it resolves nothing, and what it passed is connected to exactly as it was."""

    def __init__(self, rules: AddressRules) -> None:
        self._rules = rules

    def check(self, host: str, addresses: Sequence[str], port: int) -> None:
        """Raise CannotReach unless every one of these may be called at this port."""
        # Choosing the good ones of a mixed set would let whoever answers for the name pick the moment of the bad one.
        for address in addresses:
            if verdict := self._rules.verdict(address, port):
                detail = verdict if address == host else f"{host} resolves to an address that is not called: {verdict}"
                raise CannotReach(Reason.BLOCKED_ADDRESS, detail)
