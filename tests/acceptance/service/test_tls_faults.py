"""Faults of certificates, keys, names and rights: each has its own clear message, and none costs data."""
import os
import re
import time

from rig import RigTestCase, configuration, main, wait_until
from rig.case import SAMPLES, STATE
from rig.ports import free_port
from rig.service import command
from rig.waiting import let_run

# What a person must be able to read from one line of the log, and what no other fault may say.
CAUSES = {
    "wrong CA": r"uplink: .*(not signed by|unknown (certificate )?authority|unknown CA|self.signed|issuer|root_ca)",
    "wrong host name": r"uplink: .*(host ?name|not (valid|issued) for)",
    "expired server certificate": r"uplink: .*(server|broker).*certificate.* expired",
    "expired client certificate": r"uplink: .*gateway\.crt.* expired",
    "key does not match": r"uplink: .*gateway\.key.*(does not (match|belong)|mismatch)",
    "refused port": r"uplink: .*(connection refused|refused the connection|nobody listens)",
    "unknown name": r"uplink: .*(resolve|name or service|name resolution)",
    "refused publish": r"uplink: .*(not authori[sz]ed|0x87)",
}
RECONNECT_S = 90


class TlsFaults(RigTestCase):
    def lines_naming(self, cause):
        return [line for line in self.daemon.stderr().splitlines() if re.search(CAUSES[cause], line, re.IGNORECASE)]

    def start_faulty(self, **values):
        """The whole job; what is spoilt afterwards is the daemon's alone, the subscriber goes on."""
        self.start_line(**values)

    def spoil_server(self, name):
        """A second listener of the same broker that shows another certificate; the daemon is sent there."""
        port = free_port()
        self.broker.stop()
        self.broker.add_listener(port, name)
        self.broker.start()
        self.values["mqtt_port"] = port
        self.write_configuration(configuration.plant_with_twin(**self.values))

    def fault_then_repair(self, cause, repair):
        """The daemon runs into the fault, says so, goes on; after `repair` everything arrives."""
        self.daemon.start()  # READY=1 comes all the same
        wait_until(lambda: self.lines_naming(cause) or self.daemon.must_run(), 30,
                   lambda: f"a line that names the cause: {cause}; said so far:\n{self.daemon.process.tail()}")
        let_run(3, self.daemon.process)
        for other in CAUSES:
            if other != cause:
                self.assertEqual(self.lines_naming(other), [], f"{cause} must not be taken for {other}")
        online = [m for m in self.subscriber.messages() if m["stream"] != "status"]
        self.assertEqual(online, [], "nothing may pass while the fault lasts")

        mark = self.subscriber.count()
        repair()
        repaired_ms = time.time() * 1000
        live = self.arrives(STATE, lambda m: m["time_ms"] > repaired_ms, RECONNECT_S, "live states again", mark)
        self.assertGreater(live["step"], 15, "the twin has been running all the time")

        def complete():
            found = self.sequences()
            return (min(m["step"] for m in self.subscriber.messages(STATE)) == 0
                    and all(arrived == set(range(1, max(arrived) + 1)) for arrived in found.values()))
        wait_until(complete, 60, "everything of the time of the fault")
        self.daemon.stop()
        epochs = {m["epoch"] for m in self.subscriber.messages(STATE)}
        self.assertEqual(len(epochs), 1)
        for epoch in epochs:
            self.check_steps_contiguous(epoch)
        self.check_envelopes()
        self.check_schemas()

    def put_gateway(self, certificate=None, key=None):
        if certificate:
            self.pki.put(self.pki.path(certificate), "gateway.crt")
        if key:
            self.pki.put(self.pki.path(key), "gateway.key")

    def keep_good_pair(self):
        self.pki.put(self.pki.path("gateway.crt"), "good.crt")
        self.pki.put(self.pki.path("gateway.key"), "good.key")

    def test_wrong_ca(self):
        self.start_faulty()
        own = self.pki.path("gateway_ca.crt")
        self.pki.put(self.pki.path("other_ca.crt"), "gateway_ca.crt")
        text = configuration.plant_with_twin(**self.values).replace(self.pki.path("ca.crt"), own)
        self.write_configuration(text)
        self.fault_then_repair("wrong CA", lambda: self.pki.put(self.pki.path("ca.crt"), "gateway_ca.crt"))

    def test_wrong_host_name(self):
        self.start_faulty()
        self.spoil_server("wrong_host")

        def repair():
            self.pki.put(self.pki.path("server.crt"), "wrong_host.crt")
            self.pki.put(self.pki.path("server.key"), "wrong_host.key")
            self.broker.reload()
        self.fault_then_repair("wrong host name", repair)

    def test_expired_server_certificate(self):
        self.start_faulty()
        self.spoil_server("expired_server")

        def repair():
            self.pki.put(self.pki.path("server.crt"), "expired_server.crt")
            self.pki.put(self.pki.path("server.key"), "expired_server.key")
            self.broker.reload()
        self.fault_then_repair("expired server certificate", repair)

    def test_expired_client_certificate(self):
        self.start_faulty()
        self.keep_good_pair()
        self.put_gateway("expired.crt", "expired.key")
        self.fault_then_repair("expired client certificate", lambda: self.put_gateway("good.crt", "good.key"))

    def test_key_that_does_not_match(self):
        self.start_faulty()
        self.keep_good_pair()
        self.put_gateway(key="subscriber.key")
        self.fault_then_repair("key does not match", lambda: self.put_gateway(key="good.key"))

    def test_refused_port(self):
        self.start_faulty()
        self.broker.stop()
        self.fault_then_repair("refused port", self.broker.start)

    def test_name_that_does_not_resolve(self):
        self.start_faulty(host="no-such-broker.invalid")

        def repair():
            self.values["host"] = "localhost"
            self.write_configuration(configuration.plant_with_twin(**self.values))
            self.daemon.hang_up()
        self.fault_then_repair("unknown name", repair)

    def test_key_readable_by_others(self):
        self.start_faulty()
        key = self.pki.path("gateway.key")
        os.chmod(key, 0o644)
        for arguments in (("check", "--config", self.configuration), ("run", "--config", self.configuration)):
            done = command(*arguments)
            self.assertEqual(done.returncode, 77, f"{arguments}: {done.stderr}")
            self.assertIn(key, done.stderr)
            self.assertRegex(done.stderr, r"twinkeeper\.yaml:\d+:\d+: uplink\.key: ")
            self.assertRegex(done.stderr, r"chmod [0-7u=rw]+", "the message says what to do")
            for cause in CAUSES:
                self.assertNotRegex(done.stderr, CAUSES[cause])
        os.chmod(key, 0o600)
        done = command("check", "--config", self.configuration)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_refused_publish(self):
        self.start_faulty(broker_options={"deny": f"{configuration.PREFIX}/devices/plc/samples"})
        self.daemon.start()
        wait_until(lambda: self.lines_naming("refused publish") or self.daemon.must_run(), 60,
                   lambda: f"a line that names the refusal\n{self.daemon.process.tail()}")
        named = self.lines_naming("refused publish")
        self.assertIn("devices/plc/samples", named[0])
        for other in CAUSES:
            if other != "refused publish":
                self.assertEqual(self.lines_naming(other), [])
        before = self.subscriber.last(STATE)["step"] if self.subscriber.last(STATE) else 0
        self.arrives(STATE, lambda m: m["step"] > before + 40 and not m["replay"], 60,
                     "the other streams to go on live")
        self.arrives("gap", lambda m: m["reason"] == "refused", 60, "the refused messages to be told in a gap")
        self.daemon.stop()
        self.assertEqual(self.subscriber.messages(SAMPLES), [])
        gaps = self.subscriber.messages("gap")
        reasons = {(m["stream"], m["epoch"], m["reason"]) for m in gaps}
        self.assertEqual(reasons, {(SAMPLES, self.epoch(), "refused")})
        told = set()
        for gap in gaps:
            told |= set(range(gap["first_seq"], gap["last_seq"] + 1))
        self.assertEqual(told, set(range(1, max(told) + 1)), "every refused message is told")
        self.check_steps_contiguous(self.epoch())
        self.check_envelopes()
        self.check_schemas()


if __name__ == "__main__":
    main()
