"""The device goes away and comes back: values go bad with the right reason, one alarm, the twin predicts meanwhile."""
from rig import RigTestCase, configuration, main
from rig.case import SAMPLES, STATE
from rig.waiting import let_run

# After a restart the plant is not where it was: the twin must give up its gate and its alarms soon enough for a test.
QUICK = "    diagnosis: {gate_timeout: 3s, on_delay: 1s, off_delay: 2s}\n"
TAGS = ["plc.level_1", "plc.level_2", "plc.pump"]


class DeviceFaults(RigTestCase):
    def anomalies(self, since=0):
        return [m for m in self.subscriber.messages(since=since) if m["stream"].endswith("anomaly")]

    def lose_and_find(self, lose, find):
        """What must be seen of any outage of the device, whatever ends it."""
        self.daemon.start()
        self.wait_for_mode("tracking", 60)
        self.assertEqual([m["anomaly"] for m in self.anomalies()], [], "no alarm while all is well")
        mark = self.subscriber.count()
        lose()
        bad = self.arrives(SAMPLES, lambda m: len(m["bad"]) == 3, 30, "all tags to be bad", mark)
        self.assertTrue(set(bad["bad"].values()) <= {"timeout", "stale"}, bad["bad"])
        self.assertEqual(set(bad["tags"].values()), {None}, "a bad tag carries no old value as if it were new")
        self.wait_for_mode("predict_only", 30, mark)
        blind = self.arrives(STATE, lambda m: m["mode"] == "predict_only" and not m["replay"], 30, "blind state", mark)
        silent_ms = blind["time_ms"] - bad["time_ms"]
        for output in blind["outputs"].values():
            self.assertEqual((output["quality"], output["fused"], output["innovation"]), ("bad", False, None))
            self.assertIn(output["reason"], ("timeout", "stale"))
            self.assertIsNotNone(output["expected"], "the twin goes on expecting")
            # The last value may be shown as what it is: with its true age, never as if it had just been read.
            self.assertTrue(output["measured"] is None or output["age_ms"] >= silent_ms, output)
        raised = self.arrives("devices.plc.anomaly", lambda m: m["event"] == "raised", 30, "the alarm", mark)
        self.assertEqual((raised["kind"], sorted(raised["tags"])), ("communication", TAGS))
        self.arrives("status", lambda m: m["state"] == "degraded" and m["devices"]["plc"]["state"] == "down", 30,
                     "status to tell it", mark)
        wider = self.arrives(STATE, lambda m: m["states"]["level_1"]["std"] > blind["states"]["level_1"]["std"],
                             30, "the published std to grow while nothing is measured", mark)
        self.assertEqual(wider["mode"], "predict_only")
        beside = [m["anomaly"] for m in self.anomalies(mark) if m["anomaly"] != raised["anomaly"]]
        self.assertEqual(beside, [], "nothing with that cause is raised beside the one alarm")

        mark = self.subscriber.count()
        find()
        self.arrives(SAMPLES, lambda m: not m["bad"] and None not in m["tags"].values(), 60, "good values", mark)
        self.wait_for_mode("tracking", 90, mark)
        self.arrives("devices.plc.anomaly", lambda m: m["event"] == "cleared" and m["anomaly"] == raised["anomaly"],
                     90, "the alarm to be cleared", mark)
        self.arrives("status", lambda m: m["devices"]["plc"]["state"] == "up", 60, "status to tell it", mark)
        self.daemon.stop()
        self.arrives("status", lambda m: m["state"] == "offline", 20, "offline to arrive")
        self.check_steps_contiguous(self.epoch())
        self.check_envelopes()
        self.check_schemas()
        return raised

    def test_device_killed_and_restarted(self):
        self.start_line(twin_extra=QUICK)

        def lose():
            self.simulator.kill()

        self.lose_and_find(lose, self.simulator.start)

    def test_bus_with_three_devices_lost(self):
        self.start_line(twin_extra=QUICK, more_devices=configuration.METERS)
        self.daemon.start()
        self.wait_for_mode("tracking", 60)
        mark = self.subscriber.count()
        self.simulator.kill()
        down = self.arrives("status", lambda m: all(d["state"] == "down" for d in m["devices"].values()), 30,
                            "all devices to be down", mark)
        for name, device in down["devices"].items():
            self.assertIn("refused", device["last_error"] or "", f"{name} says why")
        raised = self.arrives("anomaly", lambda m: m["event"] == "raised", 30, "the alarm of the bus", mark)
        self.assertEqual(raised["kind"], "communication")
        self.assertEqual(sorted(raised["tags"]), sorted([*TAGS, "meter.power", "drive.speed"]))
        let_run(5, self.daemon.process)
        self.simulator.start()
        self.arrives("anomaly", lambda m: m["event"] == "cleared", 90, "the alarm to be cleared", mark)
        self.daemon.stop()
        events = {(m["anomaly"], m["event"]) for m in self.anomalies(mark)}
        self.assertEqual(events, {(raised["anomaly"], "raised"), (raised["anomaly"], "cleared")},
                         "one cause, one alarm")
        self.check_envelopes()
        self.check_schemas()

    def test_device_silent_for_a_while(self):
        silent_at, silent_for = 12, 8
        self.start_line(simulator_arguments=("--seed", "3", "--fault", f"dropout:plc@{silent_at}+{silent_for}"),
                        twin_extra=QUICK)
        self.lose_and_find(lambda: None, lambda: None)
        events = [(m["anomaly"], m["event"]) for m in self.anomalies() if m["event"] in ("raised", "cleared")]
        self.assertEqual([event for _, event in events], ["raised", "cleared"], f"one alarm and nothing else: {events}")
        let_run(0, self.simulator.process)


if __name__ == "__main__":
    main()
