"""A shop that publishes: what happened and the event that tells of it are one transaction, and a worker publishes.

    pip install --no-deps <this repository>
    POSTBACK_API_KEY=… python publish.py 2500

It sells as many things as it is told and publishes an event for each, to http://127.0.0.1:8080 (POSTBACK_PUBLIC_URL).
Kill it, or the server, whenever you like, and start it again: each event is accepted once. Everything is in shop.db (SHOP).
"""

import json
import os
import secrets
import sqlite3
import sys

from postback.client import Client, ClientError, Conflict, Event, InvalidValue, Published, TooLarge

SHOP = os.environ.get("SHOP", "shop.db")
URL = os.environ.get("POSTBACK_PUBLIC_URL", "http://127.0.0.1:8080")
KEY = os.environ.get("POSTBACK_API_KEY")

TABLES = """
CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, price TEXT);
CREATE TABLE IF NOT EXISTS outbox (place INTEGER PRIMARY KEY, key TEXT, type TEXT, data TEXT, error TEXT);
"""


def sell(shop: sqlite3.Connection, price: str) -> None:
    """The order and its event: both, or neither."""
    with shop:
        order = shop.execute("INSERT INTO orders (price) VALUES (?)", (price,)).lastrowid
        data = json.dumps({"id": order, "price": price})
        # Written down with the event, the key is the same for whoever publishes it, however often.
        key = secrets.token_hex(16)
        shop.execute("INSERT INTO outbox (key, type, data) VALUES (?, 'order.created', ?)", (key, data))


def publish_waiting(shop: sqlite3.Connection, client: Client) -> int:
    """Publish the oldest events; how many there were."""
    query = "SELECT place, key, type, data FROM outbox WHERE error IS NULL ORDER BY place LIMIT 1000"
    waiting = shop.execute(query).fetchall()
    events = [Event(type_, json.loads(data), idempotency_key=key) for _, key, type_, data in waiting]
    for (place, *_), result in zip(waiting, client.publish_many(events), strict=True):
        match result:
            case Published():
                shop.execute("DELETE FROM outbox WHERE place = ?", (place,))
            case InvalidValue() | Conflict() | TooLarge():
                # It will never be accepted as it is: somebody has to look at it, and the others go ahead.
                shop.execute("UPDATE outbox SET error = ? WHERE place = ?", (str(result), place))
            case ClientError():
                shop.commit()
                raise result
    shop.commit()
    return len(waiting)


def main() -> None:
    shop = sqlite3.connect(SHOP)
    shop.executescript(TABLES)
    for number in range(int(sys.argv[1]) if len(sys.argv) > 1 else 10):
        sell(shop, f"{number}.50")
    published = 0
    with Client(URL, KEY) as client:
        while count := publish_waiting(shop, client):
            published += count
    [parked] = shop.execute("SELECT count(*) FROM outbox").fetchone()
    shop.close()
    print(f"{published} events were published, {parked} wait for somebody to look at them")


if __name__ == "__main__":
    main()
