"""A TPM in software, and what an operator sets to use it."""
import contextlib
import os
import socket
import subprocess

from . import configuration
from .ports import free_port, listens
from .process import Process, clean_environment
from .waiting import wait_until

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
