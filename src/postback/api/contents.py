"""What the OpenAPI document says of itself: an introduction, and its parts in the order to read them."""

from typing import Final

INTRODUCTION: Final = """\
JSON in UTF-8 over HTTP. Times of records and configs are unix seconds (`created_ts`), all others RFC 3339. \
What is not known is refused by name: fields, parameters, values.

A request carries `Authorization: Bearer <api key>`. A key may do what its scopes say: `read` is every GET, `write` \
the changes, `publish` takes events, `admin` manages keys. An account key acts for its account. An operator key acts \
for the account that the header `Postback-Account` names, without it for `default`, and manages accounts. What belongs \
to another account is a 404 that looks like any other.

What goes wrong is answered in one of two forms. Fields that cannot be taken are a 422, each with its reasons: \
`{"errors": {"url": ["…"]}}`. Everything else is a code for programs and a sentence for people: \
`{"error": {"code": "not_found", "message": "…"}}`. A 503, and everything with `Retry-After`, may be asked again.

Lists of things have `page`, `page_size`, `sort` and their fields as filters. Logs, which grow while they are read, go on \
from a `cursor`."""

TAGS: Final = {
    "postback configs": "Who wants to hear of what, and where: each is a URL, the events that go there, and how.",
    "account-wide settings": "The two messaging systems' own settings. Each URL in them is a postback config.",
    "events": "What happened. An event is on the disk before it is answered, and goes to every config that wants it.",
    "deliveries": "What became of an event at each config: every attempt, what was sent and what came back.",
    "locations": "What records and configs belong to.",
    "contacts": "Records of people. The change of a record and the event that tells of it are one transaction.",
    "transactions": "Records of payments, told of like contacts.",
    "transactionbatches": "Records of batches of payments, told of like contacts.",
    "accountvaults": "Records of stored accounts and cards, told of like contacts.",
    "keys": "Who may ask. A key is shown once, by the answer that makes it.",
    "accounts": "Your customers, each with things, keys and configs of its own. For operators.",
    "audit": "Who changed what: one entry for each change, written with it, secrets masked.",
    "operations": "For those who run it.",
}
"""Each tag of a route with what it stands for."""
