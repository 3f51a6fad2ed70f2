"""Whether receivers that hang delay the others: 100 receivers, then the same with 30 of them never answering.

    python benchmarks/hanging.py

Prints p50 and p99 (ms, from the publisher's stamp to the first byte at the receiver) of the 70 that answer in both
cases, from rounds that alternate, and their ratio; the exit code says whether it is at most 1.3. The load is the same: so many events a second to each receiver.
"""

import json
import sys

import uvloop
from bench import median, publish, publish_request, receiver, server

PORT, FIRST = 18_090, 18_100
HEALTHY, HANGING = 70, 30
RATIO_MOST = 1.3
ROUNDS, EVENTS, RATE = 3, 300, 15.0


def main() -> None:
    healthy = f"{FIRST}-{FIRST + HEALTHY - 1}"
    figures: dict[str, list[dict[str, float]]] = {"all answer": [], "30 of 100 hang": []}
    for _ in range(ROUNDS):
        for name, hangs in (("all answer", False), ("30 of 100 hang", True)):
            others = f"{FIRST + HEALTHY}-{FIRST + HEALTHY + HANGING - 1}"
            with receiver(healthy) as answering, receiver(others, hangs=hangs), server(PORT) as served:
                location = served.location()
                for port in range(FIRST, FIRST + HEALTHY + HANGING):
                    served.config(
                        location,
                        f"http://127.0.0.1:{port}/in",
                        response_timeout=5,
                        number_of_attempts=3,
                        attempt_interval=1,
                    )
                request = publish_request(location, 1)
                uvloop.run(publish(PORT, request, 30, 1, RATE))
                answering.wait_for(30 * HEALTHY)
                answering.counts(clear=True)
                accepted = uvloop.run(publish(PORT, request, EVENTS, 4, RATE))
                assert accepted == EVENTS
                answering.wait_for((30 + EVENTS) * HEALTHY)
                figures[name].append(answering.counts())
    for name, rounds in figures.items():
        print(json.dumps({"case": name, **{p: median([figure[p] for figure in rounds]) for p in ("p50", "p99")}}))
    ratio = median([f["p99"] for f in figures["30 of 100 hang"]]) / median([f["p99"] for f in figures["all answer"]])
    print(json.dumps({"p99_ratio": round(ratio, 2), "most": RATIO_MOST}))
    sys.exit(ratio > RATIO_MOST)


if __name__ == "__main__":
    main()
