"""The command line: help, exit codes (sysexits) and messages that say what is accepted."""
import json
import os

from rig import RigTestCase, configuration, main
from rig.pki import SOURCE, Pki
from rig.ports import free_port
from rig.service import command

COMMANDS = ("run", "check", "simulate", "version")


class CommandLine(RigTestCase):
    def test_help_of_each_command_has_an_example(self):
        overview = command("--help")
        self.assertEqual(overview.returncode, 0)
        for name in COMMANDS:
            self.assertIn(name, overview.stdout)
            done = command(name, "--help")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertRegex(done.stdout, rf"(?i)example.*twinkeeper {name}", f"{name} --help has an example")
        for absent in ("identify", "calibrate", "replay", "alarms", "provision"):
            self.assertNotIn(absent, overview.stdout, "a command that is not built is absent")

    def test_wrong_usage_exits_64(self):
        for arguments in ((), ("dance",), ("identify",), ("run",), ("check", "--config"), ("version", "--loud"),
                          ("simulate", "--config", "x.yaml", "--speed", "fast")):
            done = command(*arguments)
            self.assertEqual(done.returncode, 64, f"{arguments}: {done.stdout}{done.stderr}")
            self.assertTrue(done.stderr.strip(), f"{arguments} says nothing")

    def test_missing_configuration_exits_66(self):
        for name in ("run", "check", "simulate"):
            done = command(name, "--config", os.path.join(self.folder, "nowhere.yaml"))
            self.assertEqual(done.returncode, 66, f"{name}: {done.stderr}")
            self.assertIn("nowhere.yaml", done.stderr)

    def test_broken_configuration_exits_78_with_every_fault(self):
        path = self.write_configuration(
            "gateway: {id: 'not good', state_directory: state}\n"
            "devices:\n"
            "  - name: plc\n"
            "    controller: tcp://127.0.0.1:1502\n"
            "    transmission_mode: TCP\n"
            "    slave_id: 400\n"
            "    poll_intervall: 100ms\n"
            "    registers: [{name: a, register: holding, address: 0, type: FLOAT31}]\n"
            "twins: []\n")
        for name in ("run", "check", "simulate"):
            done = command(name, "--config", path)
            self.assertEqual(done.returncode, 78, f"{name}: {done.stderr}")
            lines = done.stderr.splitlines()
            for line_number, key in ((1, "gateway.id"), (6, "devices[0].slave_id"), (7, "poll_intervall"),
                                     (8, "devices[0].registers[0].type")):
                found = [line for line in lines if line.startswith(f"{path}:{line_number}:") and key in line]
                self.assertEqual(len(found), 1, f"{name}: one line for {key} among\n{done.stderr}")
                self.assertRegex(found[0], r":\d+:\d+: [^ ]+: .+; .+", "what is wrong; what is accepted")
            hint = [line for line in lines if "poll_interval" in line.replace("poll_intervall", "")]
            self.assertTrue(hint, "a misspelt key is answered with the key meant")

    def test_fault_of_a_model_is_found_by_check(self):
        model = configuration.TWO_TANKS.replace("R: [[4.0e-6, 0], [0, 4.0e-6]]", "R: [[4.0e-6, 0], [0, -4.0e-6]]")
        self.assertNotEqual(model, configuration.TWO_TANKS)
        pki = self.make_pki()
        path = self.write_configuration(configuration.plant_with_twin(modbus_port=1502, mqtt_port=8883, pki=pki.folder))
        configuration.write(self.folder, model, "tanks_model.yaml")
        done = command("check", "--config", path)
        self.assertEqual(done.returncode, 78, done.stderr)
        self.assertRegex(done.stderr, r"tanks_model\.yaml:\d+:\d+: \S*noise\S*: ")

    def test_twin_that_cannot_start_is_found_by_check(self):
        pki = self.make_pki()
        text = configuration.plant_with_twin(modbus_port=1502, mqtt_port=8883, pki=pki.folder)
        mapped = "outputs: {level_1: plc.level_1, level_2: plc.level_2}"
        self.assertIn(mapped, text)
        path = self.write_configuration(text.replace(mapped, "outputs: {}"))
        done = command("check", "--config", path)
        self.assertEqual(done.returncode, 78, done.stderr)
        self.assertRegex(done.stderr, r"twinkeeper\.yaml:\d+:\d+: twins\[0\]\.outputs: none of .+; accepted: .+")

    def test_version_names_the_libraries(self):
        done = command("version")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"(?m)^twinkeeper \d+\.\d+\.\d+")
        text = done.stdout.lower()
        for library in ("paho", "sqlite", "openssl", "modbus", "yaml", "eigen", "nlohmann", "spdlog"):
            self.assertIn(library, text)
        document = json.loads(command("version", "--json").stdout)
        self.assertEqual(document["version"], done.stdout.splitlines()[0].split()[1])

    def demo(self):
        pki = Pki(os.path.join(self.folder, "pki"))
        self.assertTrue(pki)
        return os.path.join(SOURCE, "config", "demo.yaml"), {
            "DEMO_DIRECTORY": self.folder, "MODBUS_PORT": str(free_port()), "MQTT_PORT": str(free_port())}

    def test_check_prints_the_plan_of_the_demo(self):
        path, environment = self.demo()
        done = command("check", "--config", path, environment=environment)
        self.assertEqual(done.returncode, 0, done.stderr)
        for expected in ("tank_plc", "tanks", "level_1", "twinkeeper/demo-gw1"):
            self.assertIn(expected, done.stdout)
        self.assertRegex(done.stdout, r"(?i)time.constant")
        self.assertRegex(done.stdout, r"(?i)messages?.per.second")
        self.assertRegex(done.stdout, r"(?i)certificate")
        self.assertRegex(done.stdout, r"(?i)spool")
        self.assertNotIn("PRIVATE KEY", done.stdout + done.stderr)

    def test_check_json_is_json(self):
        path, environment = self.demo()
        done = command("check", "--config", path, "--json", environment=environment)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIsInstance(json.loads(done.stdout), dict)

    def test_check_touches_nothing(self):
        path, environment = self.demo()
        before = sorted(os.listdir(self.folder))
        self.assertEqual(command("check", "--config", path, environment=environment).returncode, 0)
        self.assertEqual(sorted(os.listdir(self.folder)), before, "check leaves no file behind")

    def test_wrong_fault_names_the_accepted_forms(self):
        path, environment = self.demo()
        for fault, accepted in (
                ("explode:tanks@1+1",
                 "disturbance:TWIN.STATE@T+D=V, stuck:TAG@T+D, bias:TAG@T+D=V, dropout:DEVICE@T+D"),
                ("stuck:tank_plc.level_2", "stuck:TAG@T+D"),
                ("bias:tank_plc.level_2@1+1", "bias:TAG@T+D=V"),
                ("disturbance:tanks.level_1@1+1=much", "disturbance:TWIN.STATE@T+D=V"),
                ("stuck:tank_plc.nothing@1+1", "tank_plc.level_2"),
                ("disturbance:tanks.level_9@1+1=0.1", "tanks.level_1"),
                ("dropout:nobody@1+1", "tank_plc")):
            done = command("simulate", "--config", path, "--fault", fault, environment=environment)
            self.assertEqual(done.returncode, 64, f"{fault}: {done.stderr}")
            self.assertIn(fault, done.stderr)
            self.assertIn(accepted, done.stderr, f"{fault}: what is accepted is named")


if __name__ == "__main__":
    main()
