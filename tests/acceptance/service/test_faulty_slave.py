"""The executable against a slave that misbehaves on purpose: what it publishes as good is what was asked for."""
import json
import os
from collections import Counter

from rig import RigTestCase, configuration, main, wait_until
from rig.peers import Peer
from rig.pki import SOURCE
from rig.ports import free_port

TIMEOUT_S = 0.1
REQUESTS = 300
ADDRESSES = [0, 2, 100, 200, 202, 204, 300]
DEVICE = """\
devices:
  - name: plc
    controller: tcp://127.0.0.1:{port}
    transmission_mode: TCP
    slave_id: 1
    poll_interval: 50ms
    timeout: 100ms
    publish: {{interval: 50ms}}
    registers:
""" + "".join(f"      - {{{{name: r{a}, register: holding, address: {a}, type: UINT32}}}}\n" for a in ADDRESSES)


class FaultySlave(RigTestCase):
    def test_no_wrong_value(self):
        port = free_port()
        script = os.path.join(SOURCE, "tests", "peers", "faulty_slave.py")
        slave = self.start_peer(Peer(self.folder, "faulty-slave", ["/usr/bin/python3", script, port, 5, TIMEOUT_S],
                                     port))
        pki = self.make_pki()
        broker = self.start_broker(pki)
        self.subscriber = self.start_subscriber(pki, broker)
        daemon = self.make_daemon(self.write_configuration(
            configuration.plain_gateway(DEVICE, port=port, mqtt_port=broker.port, pki=pki.folder)))
        daemon.start()

        def requests():
            return [json.loads(line) for line in slave.process.stdout().splitlines()]
        wait_until(lambda: len(requests()) >= REQUESTS, 90, lambda: f"{REQUESTS} requests, {len(requests())} came")
        daemon.stop()
        self.check_no_sequence_missing()
        self.check_envelopes()
        self.check_schemas()

        asked = {request["number"]: request for request in requests()}
        kinds = Counter(request["kind"] for request in asked.values())
        self.assertGreaterEqual(len(kinds), 12, f"every kind of fault came: {kinds}")
        newest = dict.fromkeys(ADDRESSES, 0)
        good = bad = 0
        for message in self.subscriber.messages("devices.plc.samples"):
            self.assertEqual(set(message["tags"]), {f"r{a}" for a in ADDRESSES})
            for tag, value in message["tags"].items():
                if tag in message["bad"]:
                    bad += 1
                    self.assertIsNone(value)
                if value is None:
                    continue
                good += 1
                address, number = divmod(value, 65536)
                request = asked[number]
                self.assertEqual(f"r{address}", tag)
                self.assertTrue(request["good"], f"{tag}: a value out of {request}")
                self.assertIn(address, range(request["address"], request["address"] + request["count"]))
                self.assertGreaterEqual(number, newest[address], "no value is older than the one before")
                newest[address] = number
                # The sample's own time: no value is given the time of a later request.
                age = message["age_ms"].get(tag, 0) / 1000 if "age_ms" in message.document else 0
                self.assertGreater(request["time"], message["time_ms"] / 1000 - age - 0.1 - 2 * TIMEOUT_S, request)
        self.assertGreater(good, 200)
        self.assertGreater(bad, 50)


if __name__ == "__main__":
    main()
