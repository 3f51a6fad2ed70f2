"""The two messaging systems' part of the demonstration: XML that is sent again, and three callbacks on one URL."""

from typing import Any, Final

from postback.cli.client import Client
from postback.cli.output import CommandError
from postback.cli.story import Inbox, Story, demand, finished_attempts
from postback.domain.catalog import CATALOG
from postback.receiver import ReceivedEvent, parse
from postback.receiver.server import Received

RESEND_AFTER_S: Final = 1
"""The documented five minutes are too long for a demonstration."""

TOLD_BY: Final = {
    "sms.delivered": "DELIVERY_DATE",
    "sms.received": "answer_date",
    "subscriber.unsubscribed": "stop_date",
}


def xml_postback(story: Story, client: Client, url: str, inbox: Inbox) -> None:
    """A receipt as XML: the receiver answers 503, and gets the same body again."""
    story.step("The XML system: one URL for all events of the account")
    body = {"postbacksettings": {"postback_url": f"{url}/postback", "xml_layout": "2015"}}
    story.ask(client, "/v2/postbacksettings", body, method="PUT", expected=200)
    config = _config_for(client, f"{url}/postback")
    story.tell(
        f"only a 200 counts; what fails is sent again every {config['attempt_interval']} s, "
        f"{config['number_of_attempts']} times in all (here after {RESEND_AFTER_S} s, so that nobody has to wait)"
    )
    demand("the attempts of the XML system", config["number_of_attempts"], 6)
    demand("the wait of the XML system", config["attempt_interval"], 300)
    faster = {"postbackconfig": {"attempt_interval": RESEND_AFTER_S}}
    demand("the status of PUT", client.send("PUT", f"/v2/postbackconfigs/{config['id']}", faster).status, 200)

    story.step("An SMS is delivered; the receiver answers 503 first, and 200 to the resend")
    _publish(story, client, "sms.delivered")
    bodies = []
    for attempt, status in enumerate((503, 200), start=1):
        received, answered = inbox.next(f"attempt {attempt} of the XML postback")
        story.show(received, answered, brief=attempt > 1)
        demand(f"the answer to attempt {attempt}", answered, status)
        demand("the content type", received.header("content-type"), "application/xml; charset=utf-8")
        bodies.append(received.body)
    demand("the resent body", bodies[1], bodies[0])
    _check_facts(story, _event(received), "sms.delivered")
    demand("the statuses on record", [one["status"] for one in finished_attempts(client, config["id"])], [503, 200])
    inbox.must_be_empty("the receiver of XML")


def callbacks(story: Story, client: Client, url: str, inbox: Inbox) -> None:
    """A receipt, a reply and an opt-out on one URL, told apart by their fields."""
    story.step("The callback system: one URL for all three kinds, one second to answer, with nothing")
    one_url = f"{url}/callback"
    kinds = {f"callback_url_for_{kind}": one_url for kind in ("deliveries", "inbounds", "blacklisted_numbers")}
    story.ask(client, "/v2/callbacks", {"callbacks": kinds}, method="PUT", expected=200)

    story.step("A receipt, a reply and an opt-out: three callbacks, told apart by their dates")
    for event_type, field in TOLD_BY.items():
        _publish(story, client, event_type)
        received, answered = inbox.next(f"the callback of {event_type}")
        story.show(received, answered)
        event = _event(received)
        demand("the type that its fields tell", event.type, event_type)
        if field.encode() not in received.body:
            raise CommandError(f"not right: the callback of {event_type} has no {field}")
        story.tell(f"it has {field}, so it is {event_type}", "green")
    inbox.must_be_empty("the receiver of callbacks")


def _publish(story: Story, client: Client, event_type: str) -> None:
    """The catalog's example of the type."""
    event = {"type": event_type, "data": dict(CATALOG[event_type].example)}
    story.ask(client, "/v2/events", {"event": event}, expected=202)


def _config_for(client: Client, url: str) -> Any:
    [config] = client.get("/v2/postbackconfigs", url=url)["postbackconfigs"]
    return config


def _event(received: Received) -> ReceivedEvent:
    return parse(received.body, received.header("content-type") or "")


def _check_facts(story: Story, event: ReceivedEvent, event_type: str) -> None:
    """What a receiver reads is what was published."""
    demand("the type that a receiver reads", event.type, event_type)
    sent = CATALOG[event_type].example
    for name in ("to", "tracking_id", "status", "timestamp"):
        demand(f"{name} as a receiver reads it", event.data[name], sent[name])
    story.tell(f"read back by postback.receiver: {event.type}, to {event.data['to']}, {event.data['status']}", "green")
