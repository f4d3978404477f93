"""A plant of a nonlinear template whose parameter changes while it is simulated."""
import os

from rig import RigTestCase, main
from rig.ports import free_port
from rig.waiting import wait_until
from test_twin import read_truth

CONFIGURATION = """\
gateway: {{id: rig-gw1, state_directory: state}}
devices:
  - name: plc
    controller: tcp://127.0.0.1:{port}
    poll_interval: 500ms
    registers:
      - {{name: level_1, register: holding, address: 0, type: FLOAT32, unit: m}}
      - {{name: level_2, register: holding, address: 2, type: FLOAT32, unit: m}}
twins:
  - name: tanks
    period: 500ms
    model:
      name: tanks
      type: two_tank
      parameters: {{A1: 28.0e-4 m2, A2: 32.0e-4 m2, a1: 0.12e-4 m2, a2: 0.12e-4 m2, k_pump: 6.239e-6, height_2: 0.3}}
      states: [{{name: level_1, initial: 0.124}}, {{name: level_2, initial: 0.124}}]
      inputs: [{{name: pump, nominal: 3}}]
      outputs: [{{name: level_1, noise_std: 0.002}}, {{name: level_2, noise_std: 0.002}}]
      noise: {{Q: [[1.0e-12, 0], [0, 1.0e-12]]}}
    inputs: {{pump: 3}}
    outputs: {{level_1: plc.level_1, level_2: plc.level_2}}
"""


class Template(RigTestCase):
    def test_parameter_changes_while_the_plant_runs(self):
        port = free_port()
        truth_path = os.path.join(self.folder, "truth.csv")
        configuration = self.write_configuration(CONFIGURATION.format(port=port))
        speed, at, until = 100, 50, 450
        simulator = self.start_simulator(configuration, port, "--speed", str(speed), "--truth", truth_path,
                                         "--fault", f"parameter:tanks.a2@{at}=1.0e-5")

        def simulated():
            _, times, values = read_truth(truth_path) if os.path.exists(truth_path) else ([], [], [])
            return [((wall - times[0]) * speed, row) for wall, row in zip(times, values)]

        wait_until(lambda: any(t > until for t, _ in simulated()), 60, "the plant to settle")
        simulator.stop()

        self.assertEqual(read_truth(truth_path)[0], ["level_1", "level_2"])
        before = [row for t, row in simulated() if t < at][-1]
        after = [row for t, row in simulated() if t > until][0]
        self.assertAlmostEqual(before[1], 0.12404, delta=1e-3)  # (k u / a2)² / 2g
        self.assertAlmostEqual(after[0], 0.12404, delta=1e-3)
        self.assertAlmostEqual(after[1], 0.17862, delta=2e-3)


if __name__ == "__main__":
    main()
