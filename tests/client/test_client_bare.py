"""The publisher's part works where nothing but Python is installed."""

import subprocess
import sys
from pathlib import Path

import postback
from postback.cli.client import Client as Known

SOURCES = Path(postback.__file__).parents[1]

SCRIPT = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from postback.client import AsyncClient, Client, Event, InvalidValue, all_published

with Client(sys.argv[2], sys.argv[3]) as client:
    event = Event("bare.started", {"é": 1}, subject="bare")
    assert client.publish(event) == client.publish(event)
    assert len(all_published(client.publish_many(Event("bare.started") for _ in range(3)))) == 3
    with client.publisher() as publisher:
        future = publisher.publish(event)
    assert future.result().id == client.publish(event).id
    try:
        client.publish(Event("Not a type"))
    except InvalidValue as error:
        print(list(error.errors))

async def main():
    async with AsyncClient(sys.argv[2], sys.argv[3]) as client, client.publisher() as publisher:
        assert (await publisher.publish(event)).id == (await client.publish(event)).id
        print(len([one async for one in client.list("/v2/events", subject="bare")]))

asyncio.run(main())
names = {name.partition(".")[0] for name in sys.modules} - {"postback", "__main__"}
print(sorted(name for name in names - set(sys.stdlib_module_names) if not name.startswith("_sysconfigdata")))
print(sorted(name for name in sys.modules if name.startswith("postback.") and not name.startswith("postback.client")))
"""


def test_everything_runs_with_the_standard_library_and_without_the_server(served: Known) -> None:
    told = subprocess.run(
        # Isolated, and without site packages: no third party can be imported at all.
        [sys.executable, "-I", "-S", "-W", "error", "-c", SCRIPT, SOURCES, served.url, served.key],
        capture_output=True,
        text=True,
        check=False,
    )

    assert told.stderr == ""
    assert told.stdout == "['type']\n1\n[]\n[]\n"
