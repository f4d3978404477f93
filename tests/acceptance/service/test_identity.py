"""The gateway's identity: systemd credentials, a key in a TPM, proxies of the environment."""
import contextlib
import os
import socket
import subprocess

from rig import RigTestCase, configuration, main, wait_until
from rig.case import STATE
from rig.ports import free_port, listens
from rig.process import Process, clean_environment
from rig.service import command

# What docs/security.md tells an operator to write.
OPENSSL_WITH_TPM = """\
openssl_conf = all
[all]
providers = providers
alg_section = algorithms
ssl_conf = tls
[algorithms]
default_properties = ?provider=tpm2,tpm2.digest!=yes,tpm2.cipher!=yes
[providers]
default = on
tpm2 = on
[on]
activate = 1
[tls]
system_default = least
[least]
MinProtocol = TLSv1.2
"""


def pair_of_ports():
    """The first of two neighbours that are free: where the one is, the manager looks for the other."""
    while True:
        port = free_port()
        with contextlib.suppress(OSError, OverflowError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port + 1))
            return port


class Tpm:
    """A TPM in software behind a resource manager on a bus of its own, as /dev/tpmrm0 is on a real machine."""

    def __init__(self, case):
        folder = os.path.join(case.folder, "tpm")
        os.mkdir(folder)
        server = pair_of_ports()
        case.keep(Part("swtpm", ["/usr/bin/swtpm", "socket", "--tpm2", "--tpmstate", f"dir={folder}", "--ctrl",
                                 f"type=tcp,port={server + 1}", "--server", f"type=tcp,port={server}", "--flags",
                                 "not-need-init,startup-clear"], case.folder))
        wait_until(lambda: listens(server), 20, "the TPM in software to listen")
        address = f"unix:path={folder}/bus"
        case.keep(Part("bus", ["/usr/bin/dbus-daemon", "--session", "--nofork", f"--address={address}"], case.folder))
        wait_until(lambda: os.path.exists(f"{folder}/bus"), 20, "the bus")
        configuration.write(folder, OPENSSL_WITH_TPM, "openssl.cnf")
        bus = {"DBUS_SESSION_BUS_ADDRESS": address}
        self.environment = {**bus, "OPENSSL_CONF": f"{folder}/openssl.cnf",
                            "TPM2OPENSSL_TCTI": "tabrmd:bus_type=session"}
        case.keep(Part("manager", ["/usr/sbin/tpm2-abrmd", "--session", "--allow-root", "--tcti",
                                   f"swtpm:host=127.0.0.1,port={server}"], case.folder, bus))

        def managed():
            done = subprocess.run(["/usr/bin/tpm2_getcap", "-T", "tabrmd:bus_type=session", "properties-fixed"],
                                  env=clean_environment(bus), capture_output=True)
            return done.returncode == 0
        wait_until(managed, 20, "the resource manager to answer")

    def openssl(self, *arguments):
        done = subprocess.run(["/usr/bin/openssl", *arguments], capture_output=True, text=True,
                              env=clean_environment(self.environment))
        assert done.returncode == 0, f"openssl {arguments}: {done.stderr}"


class Part:
    def __init__(self, name, command_line, folder, environment=None):
        self.process = Process(name, command_line, folder, environment)


class Identity(RigTestCase):
    def test_key_in_a_tpm(self):
        self.start_line()
        tpm = Tpm(self)
        key, request, certificate = (self.pki.path(f"tpm.{kind}") for kind in ("key", "csr", "crt"))
        tpm.openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "group:P-256", "-out", key)
        with open(key, encoding="ascii") as file:
            self.assertIn("BEGIN TSS2 PRIVATE KEY", file.read())
        tpm.openssl("req", "-new", "-key", key, "-subj", "/CN=gateway", "-out", request)
        done = subprocess.run(["/usr/bin/openssl", "x509", "-req", "-in", request, "-CA", self.pki.path("ca.crt"),
                               "-CAkey", self.pki.path("ca.key"), "-set_serial", "77", "-days", "30", "-out",
                               certificate], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.pki.put(certificate, "gateway.crt")
        self.pki.put(key, "gateway.key")

        done = command("check", "--config", self.configuration)
        self.assertEqual(done.returncode, 78, "without the provider the key is of no use")
        done = command("check", "--config", self.configuration, environment=tpm.environment)
        self.assertEqual(done.returncode, 0, done.stderr)

        self.daemon = self.make_daemon(self.configuration, tpm.environment)
        self.daemon.start()
        self.arrives(STATE, lambda m: m["step"] > 20, 60, "states sent with the TPM's key")
        self.broker.stop()
        mark = self.subscriber.count()
        self.broker.start()
        self.arrives(STATE, lambda m: m["step"] > 60 and not m["replay"], 60, "states after a reconnect", mark)
        self.daemon.stop()

    def test_systemd_credentials(self):
        """A key that the service manager put there: of root, with the mask of an access list as its group bits."""
        self.start_line()
        credentials = os.path.join(self.folder, "credentials")
        os.mkdir(credentials, 0o700)
        key = os.path.join(credentials, "gateway.key")
        os.rename(self.pki.path("gateway.key"), key)
        os.chown(key, 0, 12345)
        os.chmod(key, 0o440)
        text = configuration.plant_with_twin(**self.values)
        self.write_configuration(text.replace(self.pki.path("gateway.key"), "${CREDENTIALS_DIRECTORY}/gateway.key"))
        there = {"CREDENTIALS_DIRECTORY": credentials}

        def check(environment):
            return command("check", "--config", self.configuration, environment=environment)
        self.assertEqual(check(there).returncode, 0, check(there).stderr)
        self.assertEqual(check({}).returncode, 78, "an unset variable is a fault of the configuration")
        self.assertIn("CREDENTIALS_DIRECTORY", check({}).stderr)
        os.chmod(key, 0o444)
        self.assertEqual(check(there).returncode, 77, "modes alone are at fault")
        self.write_configuration(text.replace(self.pki.path("gateway.key"), key))
        os.chmod(key, 0o440)
        done = check({})
        self.assertEqual(done.returncode, 77, "the same file outside of a credentials folder is the group's")
        self.assertIn("lets the group 12345 read", done.stderr)

        self.write_configuration(text.replace(self.pki.path("gateway.key"), "${CREDENTIALS_DIRECTORY}/gateway.key"))
        self.daemon = self.make_daemon(self.configuration, there)
        self.daemon.start()
        self.arrives(STATE, lambda m: m["step"] > 20, 60, "states sent with the credential")
        self.daemon.stop()

    def test_proxies_of_the_environment(self):
        self.start_line()
        nowhere = f"http://127.0.0.1:{free_port()}"
        self.daemon = self.make_daemon(self.configuration, {"https_proxy": nowhere, "http_proxy": nowhere,
                                                            "HTTPS_PROXY": nowhere})
        self.daemon.start()
        self.arrives(STATE, lambda m: m["step"] > 20, 60, "states past a proxy that the environment names")
        self.daemon.stop()


if __name__ == "__main__":
    main()
