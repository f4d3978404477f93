"""What a guest is made of: Debian's kernel, an initial RAM disk of a few modules, a disk with the package installed.

Kernel and root are made once and kept; the disk is made of the package at hand. Nothing is mounted on a loop device and
nothing is installed on the host: the kernel's package is unpacked beside the root.
"""
import functools
import glob
import lzma
import os
import shutil
import subprocess
import tempfile

from machine import MASKED, Machine, make_root

# What the initial RAM disk loads, so that disk, link and ports are there without udev; and what is there to be loaded
# later: by udev when an adapter is plugged in, by the package, by a test.
EARLY = ("virtio_pci", "virtio_blk", "ext4", "virtio_console", "virtio_net", "virtio_rng", "xhci_pci")
LATE = ("usbserial", "ftdi_sio", "cp210x", "ch341", "pl2303", "cdc_acm", "sch_netem", "sch_ingress", "act_mirred",
        "cls_matchall", "ifb", "autofs4")
# A guest has udev and modules of its own.
WANTED = ("systemd-modules-load.service", "systemd-udevd.service")
# What costs an emulated processor seconds and the tests nothing.
UNWANTED = ("systemd-logind.service", "systemd-update-utmp.service", "systemd-update-utmp-runlevel.service",
            "e2scrub_reap.service", "modprobe@.service", "sys-kernel-config.mount", "sys-kernel-debug.mount",
            "sys-kernel-tracing.mount", "sys-fs-fuse-connections.mount", "dev-hugepages.mount", "dev-mqueue.mount",
            "systemd-remount-fs.service", "kmod-static-nodes.service", "systemd-network-generator.service",
            "systemd-networkd.socket", "systemd-journal-flush.service", "systemd-sysctl.service",
            "systemd-hwdb-update.service", "systemd-pstore.service", "systemd-sysusers.service",
            "systemd-random-seed.service", "systemd-tmpfiles-setup-dev.service", "systemd-user-sessions.service",
            "systemd-tmpfiles-clean.timer", "ldconfig.service", "systemd-update-done.service",
            "proc-sys-fs-binfmt_misc.automount")

INIT = """\
#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc; $b mount -t sysfs sysfs /sys; $b mount -t devtmpfs devtmpfs /dev
while read -r module; do $b insmod "/modules/$module"; done </modules/order
tries=0
until [ -b /dev/vda ] || [ $tries -gt 500 ]; do $b sleep 0.02; tries=$((tries + 1)); done
$b mount -t ext4 -o rw,noatime /dev/vda /root || { echo "no root"; $b poweroff -f; }
for each in proc sys dev; do $b mount --move /$each /root/$each; done
exec $b switch_root /root /lib/systemd/systemd
"""

# The device of the port that the host calls $1.
PORT = """\
#!/bin/sh
until name=$(grep -lsx "$1" /sys/class/virtio-ports/*/name); do sleep 0.05; done
name=${name%/name}
echo "/dev/${name##*/}"
"""
# A shell that reads what the host writes. The host's end is open before the guest starts.
AGENT = """\
#!/bin/sh
exec <>"$(port agent)" >&0 2>&0
exec sh
"""
AGENT_UNIT = """\
[Unit]
Description=Does what the host says
[Service]
ExecStart=/usr/local/sbin/agent
Environment=LC_ALL=C.UTF-8 HOME=/root
Restart=always
[Install]
WantedBy=multi-user.target
"""

LINK = """\
[Unit]
Description=The link to the host
Before=network-online.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'ip address add 10.0.2.15/24 dev eth0; ip link set eth0 up'
[Install]
WantedBy=multi-user.target
"""

# Stands in for a time source that has set the clock: clears what the kernel calls unsynchronised.
DISCIPLINE = """\
#!/usr/bin/perl
# struct timex: modes = maximum error, estimated error, status; errors 0; status = STA_PLL, without STA_UNSYNC.
my $timex = pack("L x4 q4 l x164", 0x1c, 0, 0, 0, 0, 1);
exit(syscall(159, $timex) < 0);
"""
TIME_SOURCE = """\
[Unit]
Description=The clock is set
DefaultDependencies=no
Wants=time-sync.target
Before=time-sync.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/discipline
[Install]
WantedBy=sysinit.target
"""

DEVICE = """\
[Unit]
Description=The machine that the gateway reads
Before=twinkeeper.service
[Service]
ExecStart=/usr/bin/twinkeeper simulate --config /etc/twinkeeper/device.yaml --seed 7
Restart=always
[Install]
WantedBy=multi-user.target
"""
# An emulated processor may take as long as it takes.
PATIENCE = """\
[Service]
TimeoutStartSec=10min
TimeoutStopSec=5min
WatchdogSec=5min
"""
UNITS = {"agent": AGENT_UNIT, "link": LINK, "time-source": TIME_SOURCE, "device": DEVICE}
ENABLED = ("agent", "link", "time-source")


def run(*command, **more):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **more)
    assert done.returncode == 0, f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


class Kernel:
    """Debian's kernel as its package has it, unpacked in `folder`."""

    def __init__(self, folder):
        self.folder = os.path.join(folder, "kernel")
        if not os.path.exists(self.folder):
            self._unpack(self.folder + ".new")
            os.rename(self.folder + ".new", self.folder)
        self.version = os.listdir(os.path.join(self.folder, "lib/modules"))[0]

    @staticmethod
    def _unpack(folder):
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        depends = run("apt-cache", "depends", "linux-image-amd64").split()
        name = next(word for word in depends if word.startswith("linux-image-6"))
        run("apt-get", "--quiet", "download", name, "busybox-static", cwd=folder)
        for package in glob.glob(os.path.join(folder, "*.deb")):
            run("dpkg-deb", "-x", package, folder)
            os.unlink(package)
        run("depmod", "-b", folder, os.listdir(os.path.join(folder, "lib/modules"))[0])

    def files_of(self, modules):
        """Those and what they need, in the order in which they can be loaded."""
        found = []
        for module in modules:
            for line in run("modprobe", "-d", self.folder, "-S", self.version, "--show-depends", module).splitlines():
                words = line.split()
                if words[0] == "insmod" and words[1] not in found:
                    found.append(words[1])
        return found

    def unpacked_to(self, path):
        """The kernel without its compression, which costs an emulated processor seconds."""
        with open(os.path.join(self.folder, "boot", "vmlinuz-" + self.version), "rb") as file:
            packed = file.read()
        with open(path, "wb") as file:
            file.write(lzma.LZMADecompressor().decompress(packed[packed.index(b"\xfd7zXZ\0"):]))

    def ram_disk(self, path):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("bin", "modules", "proc", "sys", "dev", "root"):
                os.mkdir(os.path.join(folder, name))
            shutil.copy(os.path.join(self.folder, "bin/busybox"), os.path.join(folder, "bin"))
            files = self.files_of(EARLY)
            for file in files:
                shutil.copy(file, os.path.join(folder, "modules"))
            with open(os.path.join(folder, "modules/order"), "w", encoding="ascii") as order:
                order.writelines(os.path.basename(file) + "\n" for file in files)
            with open(os.path.join(folder, "init"), "w", encoding="ascii") as init:
                init.write(INIT)
            os.chmod(os.path.join(folder, "init"), 0o755)
            with open(path, "wb") as archive:
                subprocess.run("find . | cpio --quiet -o -H newc -R 0:0", shell=True, check=True, cwd=folder,
                               stdout=archive)


class Image:
    """`folder` gets vmlinux, initrd and disk, the latter for guests to copy."""

    def __init__(self, folder, roots, package):
        self.kernel = os.path.join(folder, "vmlinux")
        self.ram_disk = os.path.join(folder, "initrd")
        self.disk = os.path.join(folder, "disk")
        kernel = Kernel(roots)
        kernel.unpacked_to(self.kernel)
        kernel.ram_disk(self.ram_disk)
        machine = Machine(make_root(roots, package=package, name="root-guest", more=("sqlite3",)))
        try:
            self._furnish(machine, kernel, package)
            with open(self.disk, "wb") as disk:
                disk.truncate(1 << 30)
            run("mke2fs", "-q", "-t", "ext4", "-d", machine.root, self.disk)
        finally:
            machine.end()

    @staticmethod
    def _furnish(machine, kernel, package):
        units = "/etc/systemd/system"
        for unit in WANTED:
            os.unlink(machine.root + f"{units}/{unit}")
        for unit in UNWANTED:
            os.symlink("/dev/null", machine.root + f"{units}/{unit}")
        os.mkdir(machine.root + f"{units}/twinkeeper.service.d")
        machine.write(f"{units}/twinkeeper.service.d/patience.conf", PATIENCE)
        for name, text in UNITS.items():
            machine.write(f"{units}/{name}.service", text)
        for name, text in (("port", PORT), ("agent", AGENT), ("discipline", DISCIPLINE)):
            machine.write("/usr/local/sbin/" + name, text, 0o755)
        generators = "/systemd/system-generators/"
        os.makedirs(machine.root + "/etc" + generators)
        for name in os.listdir(machine.root + "/usr/lib" + generators):
            os.symlink("/dev/null", machine.root + "/etc" + generators + name)
        machine.write("/etc/machine-id", "7f3c0000000040008000000000000001\n")  # a first boot takes longer
        machine.write("/etc/hosts", "127.0.0.1 localhost\n127.0.1.1 gateway\n10.0.2.2 broker\n")
        for file in kernel.files_of(EARLY + LATE):
            target = machine.root + "/usr" + file[len(kernel.folder):]
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy(file, target)
        for file in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
            path = f"/lib/modules/{kernel.version}/{file}"
            machine.put(kernel.folder + path, path)
        run("depmod", "-b", machine.root, kernel.version)
        machine.put(package, "/tmp/twinkeeper.deb")
        inside = ("chroot", machine.root, "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin")
        run(*inside, "dpkg", "-i", "/tmp/twinkeeper.deb")
        os.unlink(machine.root + "/tmp/twinkeeper.deb")
        run(*inside, "systemctl", "enable", *ENABLED)
        for folder in ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt", "var/lib/apt/lists"):
            shutil.rmtree(os.path.join(machine.root, folder), ignore_errors=True)


@functools.cache
def image():
    """That of the package which TWINKEEPER_PACKAGE names, made once in a run."""
    folder = tempfile.TemporaryDirectory(prefix="twinkeeper-image-")
    made = Image(folder.name, os.environ["TWINKEEPER_ROOTS"], os.environ["TWINKEEPER_PACKAGE"])
    made.folder = folder  # goes away with the process
    return made
