"""The command line: help, exit codes (sysexits) and messages that say what is accepted."""
import json
import os
import shutil

from rig import RigTestCase, configuration, main
from rig.pki import SOURCE, Pki
from rig.ports import free_port
from rig.service import command

COMMANDS = ("run", "check", "doctor", "simulate", "replay", "compare", "identify", "calibrate", "forecast", "record", "alarms", "reload", "rollback", "backup", "restore", "reset", "log-level", "show-model", "probe", "spool", "provision", "version")


class CommandLine(RigTestCase):
    def test_help_of_each_command_has_an_example(self):
        overview = command("--help")
        self.assertEqual(overview.returncode, 0)
        for name in COMMANDS:
            self.assertIn(name, overview.stdout)
            done = command(name, "--help")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertRegex(done.stdout, rf"(?i)example.*twinkeeper {name}", f"{name} --help has an example")

    def test_wrong_usage_exits_64(self):
        for arguments in ((), ("dance",), ("identify",), ("run",), ("check", "--config"), ("version", "--loud"),
                          ("simulate", "--config", "x.yaml", "--speed", "fast")):
            done = command(*arguments)
            self.assertEqual(done.returncode, 64, f"{arguments}: {done.stdout}{done.stderr}")
            self.assertTrue(done.stderr.strip(), f"{arguments} says nothing")
        self.assertIn("dance is no command; accepted: run, check, doctor, simulate, replay, compare, identify, calibrate, forecast, record, alarms, reload, rollback, backup, restore, reset, log-level, show-model, probe, spool, provision, version",
                      command("dance").stderr)
        self.assertIn("--confg", command("check", "--confg", "x.yaml").stderr, "a misspelt option is named")

    def test_wrong_numbers_exit_64_with_what_is_accepted(self):
        path, environment = self.demo()
        for option, accepted, values in (
                ("--speed", "a number above 0", ("0", "-1", "nan", "inf", "1e400", "2x", "")),
                ("--seed", "a whole number from 0 to 18446744073709551615", ("-1", "1.5", "18446744073709551616", "x")),
                ("--speed", "a lower speed or a longer period", ("1e9",))):
            for value in values:
                done = command("simulate", "--config", path, option, value, environment=environment)
                self.assertEqual(done.returncode, 64, f"{option} {value}: {done.stderr}")
                self.assertIn(accepted, done.stderr, f"{option} {value}")

    def test_configuration_that_cannot_be_read_exits_66(self):
        pipe = os.path.join(self.folder, "pipe.yaml")
        os.mkfifo(pipe)
        for name in ("run", "check", "simulate"):
            for path, why in ((self.folder, "is a directory"), (pipe, "not a regular file")):
                done = command(name, "--config", path)
                self.assertEqual(done.returncode, 66, f"{name}: {done.stderr}")
                self.assertIn(f"{path}: {why}; accepted: a YAML file", done.stderr)

    def test_host_that_nobody_knows_exits_69(self):
        path, environment = self.demo()
        with open(path, encoding="utf-8") as demo:
            text = demo.read().replace("tcp://127.0.0.1:", "tcp://nobody.invalid:")
        self.assertIn("nobody.invalid", text)
        shutil.copytree(os.path.dirname(path), os.path.join(self.folder, "config"))
        done = command("simulate", "--config", self.write_configuration(text, os.path.join("config", "unknown.yaml")),
                       environment=environment)
        self.assertEqual(done.returncode, 69, done.stderr)
        self.assertIn("nobody.invalid", done.stderr)

    def test_output_that_cannot_be_written_exits_74(self):
        path, environment = self.demo()
        for arguments in (("--help",), ("--version",), ("version",), ("check", "--help"), ("check", "--config", path)):
            with open("/dev/full", "w", encoding="utf-8") as full:
                done = command(*arguments, environment=environment, stdout=full)
            self.assertEqual(done.returncode, 74, f"{arguments}: {done.stderr}")
            self.assertIn("standard output can't be written", done.stderr)

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
        text = configuration.plant_with_twin(modbus_port=1502, mqtt_port=8883, pki=pki.folder)
        path = self.write_configuration(text.replace("profile: mqtt", "profile: mqtt5"))
        configuration.write(self.folder, model, "tanks_model.yaml")
        done = command("check", "--config", path)
        self.assertEqual(done.returncode, 78, done.stderr)
        self.assertRegex(done.stderr, r"tanks_model\.yaml:\d+:\d+: \S*noise\S*: ")
        self.assertIn(": uplink.profile: ", done.stderr, "faults of the text are told with those of the algebra")

    def test_run_refuses_what_check_refuses(self):
        pki = self.make_pki()
        good = configuration.plant_with_twin(modbus_port=1502, mqtt_port=8883, pki=pki.folder)
        for key, text in (
                ("devices[0].poll_interval", good.replace("poll_interval: 100ms", "poll_interval: 1ms")),
                ("uplink.max_messages_per_second",
                 good.replace("profile: mqtt", "profile: mqtt\n  max_messages_per_second: 2"))):
            path = self.write_configuration(text)
            told = []
            for name in ("check", "run"):
                done = command(name, "--config", path)
                self.assertEqual(done.returncode, 78, f"{name}: {done.stderr}")
                told.append([line for line in done.stderr.splitlines() if f": {key}: " in line])
                self.assertEqual(len(told[-1]), 1, f"{name}: {done.stderr}")
            self.assertEqual(told[0], told[1])
            self.assertFalse(os.path.exists(os.path.join(self.folder, "state")), "run has started nothing")

    def test_check_warns_where_run_lacks_a_broker(self):
        text = configuration.plant_with_twin(modbus_port=1502, mqtt_port=8883, pki=self.folder)
        path = self.write_configuration(text[:text.index("uplink:")] + text[text.index("spool:"):])
        done = command("check", "--config", path)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr, r"warning: .*uplink: missing: .*`run` refuses")

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
        self.assertEqual(command("--version").stdout, done.stdout.splitlines()[0] + "\n")

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
                 "disturbance:TWIN.STATE@T+D=V, stuck:TAG@T+D, bias:TAG@T+D=V, drift:TAG@T+D=V, noise:TAG@T+D=F, "
                 "dropout:DEVICE@T+D, parameter:TWIN.NAME@T=V"),
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
