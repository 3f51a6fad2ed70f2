"""The receiver's part works where nothing but Python is installed."""

import base64
import json
import subprocess
import sys
from pathlib import Path

import postback
from tests.receiver.bodies import KINDS, SECRET, posted

SOURCES = Path(postback.__file__).parents[1]

SCRIPT = """
import base64, json, sys
sys.path.insert(0, sys.argv[1])
from postback.receiver import Inbox, SignatureRefused, asgi_receiver, parse, verify, wsgi_receiver

bodies = [(base64.b64decode(body), headers) for body, headers in json.load(sys.stdin)]
for number, (body, headers) in enumerate(bodies):
    # The same event in another format is a repeat, so each has an inbox of its own.
    inbox = Inbox.in_file(sys.argv[2], table=f"inbox_{number}")
    asgi_receiver(inbox), wsgi_receiver(inbox)
    parse(body, headers["content-type"], headers=headers)
    assert inbox.put(body, headers["content-type"], headers=headers)
    assert not inbox.put(body, headers["content-type"], headers=headers)
    assert inbox.process(lambda entry: entry.event()) == {"processed": 1}

signed, headers = bodies[-1]
verify(signed, headers, sys.argv[3], now=float(headers["webhook-timestamp"]))
try:
    verify(signed + b" ", headers, sys.argv[3], now=float(headers["webhook-timestamp"]))
except SignatureRefused:
    print("refused")

names = {name.partition(".")[0] for name in sys.modules} - {"postback", "__main__"}
print(sorted(name for name in names - set(sys.stdlib_module_names) if not name.startswith("_sysconfigdata")))
"""


def test_type_checkers_believe_the_types() -> None:
    """Without the marker they take everything of an installed package for Any."""
    assert (SOURCES / "postback" / "py.typed").is_file()


def test_everything_runs_with_the_standard_library_alone(tmp_path: Path) -> None:
    bodies = [one for _, one in KINDS.values()] + [posted("json")]
    told = subprocess.run(
        # Isolated, and without site packages: no third party can be imported at all.
        [sys.executable, "-I", "-S", "-W", "error", "-c", SCRIPT, SOURCES, tmp_path / "inbox.db", SECRET],
        input=json.dumps([(base64.b64encode(one.body).decode(), dict(one.headers)) for one in bodies]),
        capture_output=True,
        text=True,
        check=False,
    )

    assert told.stderr == ""
    assert told.stdout == "refused\n[]\n"
