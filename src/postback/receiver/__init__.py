"""For those who receive: verify, parse, store first and process later, with nothing beyond the standard library."""

from postback.receiver.answering import receive
from postback.receiver.asgi import asgi_receiver
from postback.receiver.entries import End, Entry, repeat_key
from postback.receiver.inbox import Inbox
from postback.receiver.parsing import NotAPostback, ReceivedEvent, parse
from postback.receiver.verifying import SignatureRefused, verify
from postback.receiver.wsgi import wsgi_receiver

__all__ = [
    "End",
    "Entry",
    "Inbox",
    "NotAPostback",
    "ReceivedEvent",
    "SignatureRefused",
    "asgi_receiver",
    "parse",
    "receive",
    "repeat_key",
    "verify",
    "wsgi_receiver",
]
