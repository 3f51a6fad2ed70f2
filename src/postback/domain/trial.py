"""Where a receiver stands that shows what arrives, when postback is tried out on one machine: `postback listen`."""

from typing import Final

LOOPBACK: Final = "127.0.0.1"
RECEIVER_PORT: Final = 9000
RECEIVER_URL: Final = f"http://{LOOPBACK}:{RECEIVER_PORT}/receiver"
