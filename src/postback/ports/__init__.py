"""The outside world, a file for each part of it. Each method is one sentence of the domain and, where it writes, one
transaction.

`storage` keeps Queue, Configs, Records, Users, Log, Stats and Overview; `engine` keeps Intake and Courier; `transport` keeps Sender.
"""

from postback.ports.accounts import Accounts
from postback.ports.audit import Audit, AuditEntry, AuditFilter
from postback.ports.basics import Clock, Dice, NewSpan, Page, Query, Report, Search
from postback.ports.configs import Configs, Troubles
from postback.ports.engine import Courier, Held, Intake, NewEvent
from postback.ports.jobs import Job, LogFilter, Sought
from postback.ports.log import AttemptView, DeliveryView, Log, Stats
from postback.ports.overview import Begun, Failures, Overview, Waits
from postback.ports.queue import Queue, Waiting, Worker
from postback.ports.records import Records
from postback.ports.sender import Sender
from postback.ports.users import Known, Sessions, SignedOut, SignInLinks, Users

__all__ = [
    "Accounts",
    "AttemptView",
    "Audit",
    "AuditEntry",
    "AuditFilter",
    "Begun",
    "Clock",
    "Configs",
    "Courier",
    "DeliveryView",
    "Dice",
    "Failures",
    "Held",
    "Intake",
    "Job",
    "Known",
    "Log",
    "LogFilter",
    "NewEvent",
    "NewSpan",
    "Overview",
    "Page",
    "Query",
    "Queue",
    "Records",
    "Report",
    "Search",
    "Sender",
    "Sessions",
    "SignInLinks",
    "SignedOut",
    "Sought",
    "Stats",
    "Troubles",
    "Users",
    "Waiting",
    "Waits",
    "Worker",
]
