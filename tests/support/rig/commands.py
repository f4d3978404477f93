"""Commands as an operator's program gives them: published with the subscriber's certificate, answered on P/response."""
import datetime
import json
import os
import subprocess

from . import configuration
from .peers import tool


def rfc3339(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class CommandParts:
    """What a RigTestCase with a broker and a subscriber has beside its own parts."""

    asked = 0

    def publish(self, payload, verb="write", retain=False):
        command = [tool("mosquitto_pub"), "-h", "localhost", "-p", str(self.broker.port), "--cafile",
                   self.pki.path("ca.crt"), "--cert", self.pki.path("subscriber.crt"), "--key",
                   self.pki.path("subscriber.key"), "-q", "1", "-t", f"{configuration.PREFIX}/command/{verb}", "-s"]
        subprocess.run(command + (["-r"] if retain else []), input=payload.encode(), check=True, timeout=20)

    def request(self, arguments, **changes):
        self.asked += 1
        now = datetime.datetime.now(datetime.timezone.utc)
        return {"schema": "twinkeeper.command/1", "correlation_id": f"c{self.asked}", "issued_at": rfc3339(now),
                "expires_at": rfc3339(now + datetime.timedelta(seconds=30)), "by": "the test",
                "arguments": arguments, **changes}

    def answer(self, command, count=1):
        stream = f"response.{command['correlation_id']}"
        return self.arrives(stream, lambda m: m["seq"] >= count, 20, f"an answer to {command['correlation_id']}")

    def trail(self):
        path = os.path.join(self.folder, "state", "commands.log")
        with open(path, encoding="utf-8") as file:
            return [json.loads(line) for line in file]
