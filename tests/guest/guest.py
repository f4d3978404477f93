"""A gateway as a guest of qemu: a kernel of its own, a disk that a power cut leaves as it is, USB, a link to the host.

The processor is emulated (TCG), so that any machine can run it; a guest is some ten times slower than its host. Every
line between the two is a socket pair, open before the guest starts.
"""
import base64
import json
import os
import shlex
import socket
import subprocess
import threading
import time

from rig.process import Process
from rig.waiting import Overdue

KERNEL_ARGUMENTS = ("console=ttyS0 quiet loglevel=4 rw mitigations=off nokaslr audit=0 panic=-1 no_timer_check "
                    "random.trust_cpu=on net.ifnames=0 systemd.show_status=0")
# A shell command as one line, its answer as another: number, exit code, output and errors.
COMMAND = ("sh -c \"$(echo {command} | base64 -d)\" </dev/null >/run/answer 2>/run/errors; "
           "echo \"{number} $? -$(base64 -w0 /run/answer) -$(base64 -w0 /run/errors)\"\n")


class Line:
    """The host's end of a byte stream, by lines."""

    def __init__(self):
        self.host, self.guest = socket.socketpair()
        self._bytes = b""

    def send(self, text):
        self.host.sendall(text.encode())

    def receive(self, within_s):
        """The next line; None once the guest is gone."""
        end = time.monotonic() + within_s
        while b"\n" not in self._bytes:
            self.host.settimeout(max(0.001, end - time.monotonic()))
            try:
                more = self.host.recv(65536)
            except ConnectionResetError:
                more = b""
            except TimeoutError:
                raise Overdue(f"nothing from the guest within {within_s} s") from None
            if not more:
                return None
            self._bytes += more
        line, self._bytes = self._bytes.split(b"\n", 1)
        return line.decode(errors="replace")

    def close(self):
        self.host.close()
        self.guest.close()


class Witness(Line):
    """Takes down what the guest writes to $(port NAME) as it comes, to be known whatever becomes of the guest."""

    def __init__(self):
        super().__init__()
        self.lines = []
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def start(self):
        self._thread.start()

    def _listen(self):
        while (line := self.receive(1e6)) is not None:
            self.lines.append(line)

    def ended(self):
        """All lines, once the guest is gone."""
        self._thread.join(10)
        return self.lines


class Guest:
    """`witnesses`: names of ports; `options`: more arguments of qemu. It may be booted again after a cut."""

    def __init__(self, image, folder, witnesses=(), options=(), memory_mib=512):
        self._image = image
        self._folder = folder
        self._disk = os.path.join(folder, "disk")
        subprocess.run(["cp", "--sparse=always", "--reflink=auto", image.disk, self._disk], check=True)
        self._names = witnesses
        self._options = options
        self._memory_mib = memory_mib
        self._lines = []
        self.process = None
        self.boot_s = None

    def boot(self, within_s=600):
        began = time.monotonic()
        self._close_lines()
        self._agent, self._monitor = Line(), Line()
        self.witnesses = {name: Witness() for name in self._names}
        self._lines = [self._agent, self._monitor, *self.witnesses.values()]
        command = ["qemu-system-x86_64", "-machine", "q35,vmport=off,smbus=off,sata=off", "-accel", "tcg",
                   "-cpu", "max,la57=off", "-m", str(self._memory_mib), "-bios", "/usr/share/qemu/qboot.rom",
                   "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                   "-kernel", self._image.kernel, "-initrd", self._image.ram_disk, "-append", KERNEL_ARGUMENTS,
                   "-drive", f"if=none,id=disk,format=raw,file={self._disk}", "-device", "virtio-blk-pci,drive=disk",
                   "-netdev", "user,id=host,ipv6=off", "-device", "virtio-net-pci,netdev=host",
                   "-device", "virtio-rng-pci", "-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
                   *self._socket("monitor", self._monitor), "-mon", "chardev=monitor,mode=control",
                   "-device", "virtio-serial-pci", *self._port("agent", self._agent)]
        for name, witness in self.witnesses.items():
            command += self._port(name, witness)
        self.process = Process("qemu", [*command, *self._options], self._folder,
                               pass_fds=[line.guest.fileno() for line in self._lines])
        for line in self._lines:
            line.guest.close()
        for witness in self.witnesses.values():
            witness.start()
        self._number = 0
        assert self._monitor.receive(30), f"no qemu\n{self.process.tail()}"
        self.monitor("qmp_capabilities")
        try:
            self.run("true", within_s=within_s)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.process.stdout()[-3000:]}{self.process.tail()}") from None
        self.boot_s = time.monotonic() - began
        return self

    @staticmethod
    def _socket(name, line):
        return ["-chardev", f"socket,id={name},fd={line.guest.fileno()}"]

    def _port(self, name, line):
        return [*self._socket(name, line), "-device", f"virtserialport,chardev={name},name={name}"]

    def monitor(self, command, **arguments):
        """An order to qemu itself."""
        self._monitor.send(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        while True:
            line = self._monitor.receive(30)
            assert line is not None, f"qemu ended\n{self.process.tail()}"
            answer = json.loads(line)
            assert "error" not in answer, f"{command}: {answer}"
            if "return" in answer:
                return answer["return"]

    def run(self, command, check=True, within_s=600):
        """A shell command inside, as root."""
        self._number += 1
        self._agent.send(COMMAND.format(command=base64.b64encode(command.encode()).decode(), number=self._number))
        while True:
            line = self._agent.receive(within_s)
            assert line is not None, f"{command}: the guest ended\n{self.process.stdout()[-3000:]}"
            words = line.split(" ")
            if words[0] == str(self._number) and len(words) == 4:
                break
        output, errors = (base64.b64decode(word[1:]).decode(errors="replace") for word in words[2:])
        if check and words[1] != "0":
            raise AssertionError(f"{command}: exit {words[1]}\n{output}{errors}")
        return subprocess.CompletedProcess(command, int(words[1]), output, errors)

    def tell(self, command):
        """What run() does, without waiting for its end; the last command before a cut."""
        self._agent.send(f"({command}) </dev/null >/dev/null 2>&1\n")

    def write(self, path, text, mode=0o644):
        path = shlex.quote(path)
        self.run(f"echo {base64.b64encode(text.encode()).decode()} | base64 -d >{path}; chmod {mode:o} {path}")

    def put(self, source, path, mode=0o644):
        with open(source, encoding="utf-8") as file:
            self.write(path, file.read(), mode)

    def cut(self):
        """The power fails: what the guest has not flushed to its disk is lost."""
        self.process.kill()

    def shut_down(self, within_s=300):
        self.tell("systemctl poweroff")
        self.process.wait(within_s)

    def end(self):
        self.process.kill()
        self._close_lines()

    def _close_lines(self):
        for line in self._lines:
            line.close()
