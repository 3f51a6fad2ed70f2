"""`demo`: the three documented systems from setting to receipt, against built-in receivers, told step by step."""


def demo() -> None:
    """Show three systems from setting to receipt: the contact postback, XML that is resent, and three callbacks."""
    # Receivers and formats take a tenth of a second to load, which no other command should wait for.
    from postback.cli.demo_messaging import callbacks, xml_postback
    from postback.cli.demo_payment import documented_workflow, recovery
    from postback.cli.output import program
    from postback.cli.story import Inbox, Story
    from postback.cli.trial import trial_server
    from postback.receiver.server import Behaviour, TestReceiver

    good, flaky, xml, sms = Inbox(), Inbox(), Inbox(), Inbox()
    story = Story()
    story.step("A server on a free port, in a temporary folder; and four receivers")
    with (
        TestReceiver(good.put) as first,
        TestReceiver(flaky.put, Behaviour(status=500, count=2)) as second,
        TestReceiver(xml.put, Behaviour(status=503, count=1)) as third,
        TestReceiver(sms.put) as fourth,
        trial_server() as client,
    ):
        story.tell(f"server {client.url}, receivers {first.url}, {second.url}, {third.url} and {fourth.url}")
        [location, *_] = client.get("/v2/locations")["locations"]
        documented_workflow(story, client, location["id"], first.url, good)
        recovery(story, client, location["id"], second.url, flaky)
        good.next("the second contact at the first receiver")
        good.must_be_empty("the first receiver")
        xml_postback(story, client, third.url, xml)
        callbacks(story, client, fourth.url, sms)
    story.tell("")
    story.tell("All was right.", "bold green")
    story.tell(f"Next: {program()} serve")
