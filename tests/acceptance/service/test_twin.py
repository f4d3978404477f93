"""A twin that follows a plant it cannot see but through two noisy sensors."""
import bisect
import csv
import os

from rig import RigTestCase, main
from rig import configuration
from rig.case import STATE


def read_truth(path):
    """Wall-clock times and the true states at each, as simulate writes them: the last line may not be whole yet."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.reader(line for line in file if line.endswith("\n")))
    if not rows:
        return [], [], []
    names = [column.split("[")[0].removeprefix("tanks.") for column in rows[0][1:]]
    table = [[float(cell) for cell in row] for row in rows[1:]]
    return names, [row[0] for row in table], [row[1:] for row in table]


class Twin(RigTestCase):
    def test_states_follow_the_plant_and_faults_are_flagged(self):
        truth_path = os.path.join(self.folder, "truth.csv")
        fault_at, fault_for = 30, 12
        self.start_line(simulator_arguments=("--seed", "11", "--truth", truth_path, "--fault",
                                             f"stuck:plc.level_2@{fault_at}+{fault_for}"))
        self.daemon.start()
        self.wait_for_mode("tracking", 30)
        raised = self.subscriber.wait_for("twins.tanks.anomaly", lambda m: m["event"] == "raised", fault_at + 30,
                                          "the stuck sensor to be flagged")
        self.daemon.stop()
        self.arrives("status", lambda m: m["state"] == "offline", 20, "offline to arrive")

        names, times, values = read_truth(truth_path)
        self.assertEqual(set(names), {"level_1", "level_2"})
        fault_began = times[0] + fault_at
        within = {1: 0, 3: 0}
        judged = 0
        for message in self.subscriber.messages(STATE):
            at = message["time_ms"] / 1000
            row = bisect.bisect_right(times, at) - 1  # the plant holds its state until its next step
            if message["mode"] != "tracking" or at >= fault_began or row < 0:
                continue
            for name, true in zip(names, values[row]):
                state = message["states"][name]
                self.assertEqual(state["unit"], "m")
                self.assertLessEqual(state["std"], configuration.SENSOR_STD, "a twin knows more than one sensor")
                judged += 1
                for k in within:
                    within[k] += abs(state["value"] - true) <= k * state["std"]
        self.assertGreater(judged, 200, "true values compared while tracking")
        self.assertGreaterEqual(within[3] / judged, 0.99, f"{within} of {judged}")
        self.assertGreater(within[1] / judged, 0.4, f"{within} of {judged}: published std far too small")

        self.assertGreaterEqual(raised["time_ms"] / 1000, fault_began - 0.5, "no false alarm before the fault")
        self.assertEqual((raised["kind"], raised["test"]), ("sensor", "stuck"))
        self.assertEqual(raised["tags"], ["plc.level_2"])
        self.assertEqual(raised["source"]["plc.level_2"]["address"], 2)
        active = [m for m in self.subscriber.messages(STATE) if raised["anomaly"] in m["anomalies"]]
        self.assertTrue(active, "state messages name the active anomaly")

        self.check_steps_contiguous(self.epoch())
        self.check_envelopes()
        self.check_no_sequence_missing()
        self.check_schemas()


if __name__ == "__main__":
    main()
