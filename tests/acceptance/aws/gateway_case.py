"""The daemon under the profile aws-iot-core, with one device and commands allowed, before a strict or scripted broker."""
import os

from rig import RigTestCase, configuration
from rig.ports import free_port
from rig.service import Daemon
from rig.strict_broker import StrictParts

COMMAND = f"{configuration.PREFIX}/command/write"

DEVICE = """\
devices:
  - name: plc
    controller: tcp://127.0.0.1:{modbus_port}
    slave_id: 1
    poll_interval: 200ms
    timeout: 300ms
    publish: {{interval: 200ms}}
    registers: [{{name: level, register: holding, address: 0, type: FLOAT32}}]
    writable: [{{name: level, min_value: 0, max_value: 1}}]
"""
COMMANDS = "commands: {enabled: true, allow: [write], require_synchronised_clock: false}\n"


class GatewayCase(StrictParts, RigTestCase):
    def setUp(self):
        super().setUp()
        self.pki = self.make_pki()

    def gateway(self, mqtt_port, uplink="", commands=True, quiet=False, name="gateway", notify=None,
                change=lambda text: text):
        """The daemon, not started; its device is not there, whose samples are then told as bad: messages all the same.
        `quiet`: it says something once a minute."""
        text = configuration.plain_gateway(DEVICE, modbus_port=free_port(), mqtt_port=mqtt_port, pki=self.pki.folder,
                                           profile="aws-iot-core", uplink_extra=uplink)
        if quiet:
            text = text.replace("  status_interval: 10s\n", "").replace("    publish: {interval: 200ms}\n", "")
        folder = os.path.join(self.folder, name)
        os.makedirs(folder, exist_ok=True)
        path = configuration.write(folder, change(text) + (COMMANDS if commands else ""))
        return self.keep(Daemon(folder, path, notify or self.notify))
