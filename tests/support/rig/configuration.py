"""Configurations as a person would write them: YAML text with the rig's ports and short intervals."""
import os

GATEWAY = "rig-gw1"
PREFIX = f"twinkeeper/{GATEWAY}"

# Two tanks in a row, linear, slow against its period: a pump of 1 V more lifts either level by 0.1 m in the end.
TWO_TANKS = """\
model:
  name: rig_tanks
  version: 1
  type: state_space
  time: discrete
  sample_time: 0.1
  states:
    - {name: level_1, unit: m, initial: 0.5, initial_std: 0.01, min: 0, max: 2}
    - {name: level_2, unit: m, initial: 0.5, initial_std: 0.01, min: 0, max: 2}
  inputs:
    - {name: pump, unit: V, nominal: 5.0, min: 4, max: 6}
  outputs:
    - {name: level_1, unit: m, nominal: 0.5}
    - {name: level_2, unit: m, nominal: 0.5}
  A: [[0.998, 0], [0.002, 0.998]]
  B: [[0.0002], [0]]
  C: [[1, 0], [0, 1]]
  D: [[0], [0]]
  noise: {Q: [[1.0e-8, 0], [0, 1.0e-8]], R: [[4.0e-6, 0], [0, 4.0e-6]]}
  operating_point: {x: [0.5, 0.5], u: [5.0], y: [0.5, 0.5]}
"""
SENSOR_STD = 0.002

GATEWAY_SECTION = """\
gateway: {{id: {gateway}, state_directory: state}}
"""

PLANT_DEVICE = """\
devices:
  - name: plc
    controller: tcp://127.0.0.1:{modbus_port}
    transmission_mode: TCP
    slave_id: 1
    poll_interval: 100ms
    timeout: 300ms
    publish: {{interval: {samples_interval}}}
    registers:
      - {{name: level_1, register: holding, address: 0, type: FLOAT32, unit: m, min_value: -1, max_value: 3}}
      - {{name: level_2, register: holding, address: 2, type: FLOAT32, unit: m, min_value: -1, max_value: 3}}
      - {{name: pump, register: input, address: 10, type: FLOAT32, unit: V}}
"""

# More units behind the same controller. They publish nothing by themselves.
METER = """\
  - name: meter
    controller: tcp://127.0.0.1:{modbus_port}
    slave_id: 2
    poll_interval: 200ms
    timeout: 300ms
    registers: [{{name: power, register: input, address: 0, type: FLOAT32, unit: kW}}]
"""
METERS = METER + """\
  - name: drive
    controller: tcp://127.0.0.1:{modbus_port}
    slave_id: 3
    poll_interval: 200ms
    timeout: 300ms
    registers: [{{name: speed, register: input, address: 0, type: UINT16}}]
"""

TANKS_TWIN = """\
twins:
  - name: tanks
    period: 100ms
    model: tanks_model.yaml
    inputs: {{pump: plc.pump}}
    outputs: {{level_1: plc.level_1, level_2: plc.level_2}}
    publish: {{state_interval: {state_interval}}}
{twin_extra}"""

UPLINK_SECTION = """\
uplink:
  endpoint: {host}:{mqtt_port}
  profile: {profile}
  cert: {pki}/gateway.crt
  key: {pki}/gateway.key
  root_ca: {pki}/ca.crt
  status_interval: 10s
{uplink_extra}spool: {{max_bytes: 64MiB, max_age: 1d, commit_interval: 100ms}}
"""

DEFAULTS = {"gateway": GATEWAY, "samples_interval": "200ms", "state_interval": "100ms",
            "host": "localhost", "profile": "mqtt", "twin_extra": "", "uplink_extra": "", "more_devices": ""}


def plant_with_twin(**values):
    """The whole job: one PLC, one twin of two tanks, the uplink."""
    values = {**DEFAULTS, **values}
    return (GATEWAY_SECTION + PLANT_DEVICE + values["more_devices"] + TANKS_TWIN + UPLINK_SECTION).format(**values)


def plain_gateway(device, **values):
    """No twin at all: `device` is the text of the devices section."""
    return (GATEWAY_SECTION + device + "twins: []\n" + UPLINK_SECTION).format(**{**DEFAULTS, **values})


def write(folder, text, name="twinkeeper.yaml"):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path
