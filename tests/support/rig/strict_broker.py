"""Mosquitto as strict as AWS IoT Core: the broker of broker.py with strict_broker/acl_plugin.c in it.

A client is who its certificate says; what it may is in a policy. DEFAULT_POLICY is AWS's own advice: a thing connects
under its name and reaches its own topics. `gateway` of scripts/make-pki is such a thing (in StrictParts its
certificate stands for the rig's gateway); `subscriber` may do everything, `aws-service` is the other side of `$aws/`,
`claim…` may have itself provisioned.

    class Uplink(StrictParts, RigTestCase):
        def test(self):
            self.start_line(profile="aws-iot-core")        # as ever, with the strict broker
            service = self.start_aws_service(self.pki, self.broker)
"""
import os
import pwd
import re

from strict_broker.aws_service import AwsService
from strict_broker.scripted_broker import ScriptedBroker
from strict_broker.tls_front import TlsFront

from . import configuration
from .broker import Broker
from .ports import free_port
from .waiting import wait_until

DEFAULT_POLICY = """\
allow connect %c
allow publish twinkeeper/%c/*
allow retain twinkeeper/%c/*
allow subscribe twinkeeper/%c/command/*
allow receive twinkeeper/%c/command/*
allow publish $aws/things/%c/*
allow subscribe $aws/things/%c/*
allow receive $aws/things/%c/*
allow publish $aws/rules/*/twinkeeper/%c/*
for subscriber*
allow connect *
allow publish *
allow subscribe *
allow receive *
allow retain *
for aws-service
allow publish $aws/*
allow subscribe $aws/*
allow receive $aws/*
for claim*
allow connect *
deny publish twinkeeper/*
deny publish $aws/things/*
deny publish $aws/rules/*
deny subscribe $aws/things/*
allow publish $aws/certificates/*
allow publish $aws/provisioning-templates/*
allow subscribe $aws/certificates/*
allow subscribe $aws/provisioning-templates/*
allow receive $aws/certificates/*
allow receive $aws/provisioning-templates/*
"""


class StrictBroker(Broker):
    """`policy`: see acl_plugin.c. `options`: the plugin's further options, `denied_publish="puback"` for example."""

    def __init__(self, folder, pki, policy=DEFAULT_POLICY, port=None, **options):
        plugin = os.environ.get("TWINKEEPER_ACL_PLUGIN")
        assert plugin, "set TWINKEEPER_ACL_PLUGIN to the plugin built of tests/support/strict_broker/acl_plugin.c"
        self.folder = folder
        self.port = port or free_port()
        self.process = None
        self._pki = pki
        self._policy = policy
        self._policy_file = os.path.join(folder, "strict_policy")
        self._configuration = os.path.join(folder, "mosquitto.conf")
        store = os.path.join(folder, "broker")
        os.makedirs(store, exist_ok=True)
        self._write_policy()
        lines = [f"user {pwd.getpwuid(os.getuid()).pw_name}",
                 "persistence true", f"persistence_location {store}/", "autosave_interval 1",
                 "autosave_on_changes true", "set_tcp_nodelay true",
                 "log_dest stderr", "log_type all",
                 # What CONNACK tells under MQTT 5, with AWS IoT Core's numbers.
                 # (max_queued_messages 0 would make 2.0.11 close after a refused PUBLISH.)
                 "max_inflight_messages 100", "max_queued_messages 1000000", "max_packet_size 149504",
                 "max_keepalive 1200", "persistent_client_expiration 1h",
                 f"plugin {plugin}", f"plugin_opt_policy {self._policy_file}",
                 *[f"plugin_opt_{name} {value}" for name, value in options.items()]]
        with open(self._configuration, "w", encoding="ascii") as file:
            file.write("\n".join(lines) + "\n")
        self.add_listener(self.port, "server")

    def start(self):
        super().start()  # it accepts connections before it can stand a SIGHUP
        wait_until(lambda: " running" in self.process.stderr().rpartition(" starting")[2], 20, "mosquitto to run")

    def add_listener(self, port, server):
        # The plugin finds out by itself whose certificate it is; `use_identity_as_username` would pass it by.
        with open(self._configuration, "a", encoding="ascii") as file:
            file.write(f"listener {port} 127.0.0.1\nmax_qos 1\nmax_topic_alias 8\n"
                       f"cafile {self._pki.path('ca.crt')}\n"
                       f"certfile {self._pki.path(server + '.crt')}\nkeyfile {self._pki.path(server + '.key')}\n"
                       "require_certificate true\n")

    def rule(self, line, who="*"):
        """One more rule of the policy, from now on, for the names that match `who`: `deny publish */anomaly`."""
        self.set_policy(f"{self._policy}for {who}\n{line}\n")

    def set_policy(self, policy):
        """Another policy, from now on."""
        self._policy = policy
        self._write_policy()
        if not self.process.running():
            return  # the next start reads it
        before = self.process.stderr().count("strict: policy read")
        self.reload()
        wait_until(lambda: self.process.stderr().count("strict: policy read") > before, 20,
                   lambda: f"mosquitto to take the policy\n{self.process.tail()}")

    def _write_policy(self):
        with open(self._policy_file, "w", encoding="utf-8") as file:
            file.write(self._policy)

    def refusals(self):
        """[(closed|refused, client id, what, why)] of what the plugin did not let pass so far."""
        pattern = re.compile(r"strict: (closed|refused) (\S*): (connect as|publish|subscribe|connects) ?(.*)")
        return [(*found.groups()[:3], found.group(4)) for found in pattern.finditer(self.process.stderr())]

    def wait_for_refusal(self, text, deadline_s=20):
        """The first refusal whose line has `text` in it."""
        return wait_until(lambda: next((r for r in self.refusals() if text in " ".join(r)), None), deadline_s,
                          lambda: f"a refusal with {text!r}\n{self.process.tail()}")


class StrictParts:
    """What a RigTestCase has beside its own parts. All is stopped at the end of the case."""

    def start_broker(self, pki, policy=DEFAULT_POLICY, **options):
        policy = f"thing gateway {configuration.GATEWAY}\n{policy}"
        return self._started(self.keep(StrictBroker(self.folder, pki, policy, **options)))

    def start_aws_service(self, pki, broker, **options):
        return self._started(AwsService(pki, broker, **options))

    def start_scripted_broker(self, pki, behaviour=None, **options):
        return self._started(ScriptedBroker(pki, behaviour, **options))

    def start_front(self, pki, broker, *arguments, **options):
        return self._started(TlsFront(pki, broker.port, *arguments, **options))

    def _started(self, part):
        part.start()
        if part.process is None:  # it runs in the test's own process
            self.addCleanup(part.stop)
        return part


class ServiceParts(StrictParts):
    """The whole job under the profile aws-iot-core, and the services behind `$aws/`."""

    def begin(self, extra="  shadow_interval: 10s\n", desired=None):
        self.start_line(profile="aws-iot-core\n  keep_alive: 30s", uplink_extra=extra)
        self.service = self.start_aws_service(self.pki, self.broker)
        if desired:
            self.service.set_desired(configuration.GATEWAY, desired, name="config")
        self.daemon.start()

    def end(self):
        self.daemon.stop()
        self.assertEqual(self.broker.refusals(), [])

    def reported(self, name, predicate, deadline_s=60):
        return self.service.wait_for_reported(configuration.GATEWAY, predicate, name, deadline_s)

    def delta(self, name):
        def differs(desired, reported):
            return {key: value for key, value in desired.items()
                    if reported.get(key) != value and not (isinstance(value, dict) and not
                                                           differs(value, reported.get(key) or {}))}
        state = self.service.shadow(configuration.GATEWAY, name)["state"]
        return differs(state.get("desired", {}), state.get("reported", {}))

    def run_job(self, job_id, document, status, deadline_s=60):
        """The execution, once it has come to `status`."""
        self.service.create_job(configuration.GATEWAY, document, job_id)
        return self.service.wait_for_job(configuration.GATEWAY, job_id, status, deadline_s)
