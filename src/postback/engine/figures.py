"""What a worker holds at this moment, for whoever watches over it."""

from postback.domain.telemetry import InHand
from postback.engine.intake import Intake
from postback.engine.lanes import Lane, Lanes


def in_hand(lanes: Lanes, intake: Intake, now: float) -> InHand:
    """`now` is the loop's monotonic time in seconds."""
    held = elsewhere = throttled = shrunk = attempts = 0
    for lane in lanes.lanes.values():
        elsewhere += lane.is_elsewhere
        held += lane.is_held(now) and not lane.is_elsewhere
        throttled += _is_throttled(lane, now)
        shrunk += lane.window.shrunk
        attempts += lane.in_flight
    return InHand(
        deliveries=lanes.taken,
        deliveries_max=lanes.places,
        body_bytes=lanes.bytes_held,
        body_bytes_max=lanes.memory,
        attempts=attempts,
        events_waiting=intake.waiting,
        lanes=len(lanes.lanes),
        lanes_held=held,
        lanes_elsewhere=elsewhere,
        lanes_throttled=throttled,
        lanes_shrunk=shrunk,
        workers=len(lanes.sharing.crew),
    )


def _is_throttled(lane: Lane, now: float) -> bool:
    waits = lane.spilled or bool(lane.waiting)
    return waits and lane.wait_for_tokens_s(now) is not None
