"""A Debian machine of its own: systemd as process 1 of namespaces, on a root file system made by mmdebstrap.

The root is made once per suite (`machine.py FOLDER [SUITE]`); each machine writes into an overlay over it that goes away with it. Nothing of the host is
changed: its /proc/sys is read-only there, the clock and modules are out of reach, the network is a loopback of its own.
Not there: controllers of the cgroup (MemoryMax and TasksMax count for nothing), a kernel of its own.
"""
import os
import shutil
import subprocess
import sys
import tempfile

from rig.waiting import wait_until

PACKAGES = ("systemd,systemd-sysv,dbus,udev,kmod,procps,iproute2,init-system-helpers,ca-certificates,openssl,mosquitto,"
            "mosquitto-clients,libbpf1,libmodbus5,libre2-9,libspdlog1.10,libyaml-cpp0.7,libsqlite3-0,libpaho-mqtt1.3,libpaho-mqttpp3-1")
MASKED = ("systemd-firstboot.service", "systemd-networkd.service", "systemd-timesyncd.service", "systemd-modules-load.service",
          "systemd-udevd.service", "systemd-udev-trigger.service", "getty.target", "console-getty.service", "getty@tty1.service",
          "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer",
          "mosquitto.service")
OUT_OF_REACH = ("sys_time", "sys_module", "sys_rawio", "syslog", "mac_admin", "mac_override", "wake_alarm", "block_suspend", "bpf")

# What process 1 of the new namespaces does before it becomes systemd. $1: the root.
BECOME_SYSTEMD = r"""
set -e
mount --make-rprivate /
cd "$1"
mount -t proc -o nosuid,nodev,noexec proc proc
mount -t sysfs -o nosuid,nodev,noexec,ro sysfs sys
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755,nosuid tmpfs dev
mknod -m 666 dev/null c 1 3; mknod -m 666 dev/zero c 1 5; mknod -m 666 dev/full c 1 7
mknod -m 666 dev/random c 1 8; mknod -m 666 dev/urandom c 1 9; mknod -m 666 dev/tty c 5 0
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs -o mode=1777 tmpfs dev/shm
ln -s /proc/self/fd dev/fd; ln -s fd/0 dev/stdin; ln -s fd/1 dev/stdout; ln -s fd/2 dev/stderr
: > dev/kmsg; mount --bind dev/null dev/kmsg
mount --bind proc/sys proc/sys
mount --bind proc/sys/net proc/sys/net
mount -o remount,bind,ro proc/sys
mount -o remount,bind,rw proc/sys/net
if [ -e proc/sysrq-trigger ]; then mount --bind proc/sysrq-trigger proc/sysrq-trigger; mount -o remount,bind,ro proc/sysrq-trigger; fi
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs run
mkdir -p .host
pivot_root . .host
cd /
ip link set lo up
umount -l /.host
exec setpriv --bounding-set=-OUT_OF_REACH --inh-caps=-all \
  env -i container=namespaces PATH=/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb /lib/systemd/systemd --system --show-status=no
""".replace("OUT_OF_REACH", ",-".join(OUT_OF_REACH))


def make_root(folder, suite="bookworm"):
    """The root file system of a suite, made if it is not there yet."""
    root = os.path.join(folder, f"root-{suite}")
    if os.path.exists(root):
        return root
    made = root + ".new"
    shutil.rmtree(made, ignore_errors=True)
    os.makedirs(folder, exist_ok=True)
    subprocess.run(["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", f"--include={PACKAGES}", suite, made], check=True)
    for unit in MASKED:
        os.symlink("/dev/null", os.path.join(made, "etc/systemd/system", unit))
    for name, text in (("hostname", "gateway\n"), ("hosts", "127.0.0.1 localhost\n127.0.1.1 gateway\n")):
        with open(os.path.join(made, "etc", name), "w", encoding="ascii") as file:
            file.write(text)
    os.rename(made, root)
    return root


def cgroup2():
    with open("/proc/mounts", encoding="utf-8") as mounts:
        return next(line.split()[1] for line in mounts if line.split()[2] == "cgroup2")


class Machine:
    def __init__(self, root):
        self._folder = tempfile.mkdtemp(prefix="twinkeeper-machine-")
        for part in ("upper", "work", "root"):
            os.mkdir(os.path.join(self._folder, part))
        self.root = os.path.join(self._folder, "root")
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", self._folder], check=True)  # what an overlay may lie on
        for part in ("upper", "work", "root"):
            os.mkdir(os.path.join(self._folder, part))
        layers = f"lowerdir={root},upperdir={self._folder}/upper,workdir={self._folder}/work"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, self.root], check=True)
        self._cgroup = os.path.join(cgroup2(), os.path.basename(self._folder))
        self._starter = None
        self._process_1 = None

    def boot(self, within_s=20):
        os.mkdir(self._cgroup)

        def enter_cgroup():
            with open(os.path.join(self._cgroup, "cgroup.procs"), "w", encoding="ascii") as file:
                file.write(str(os.getpid()))
        with open(os.path.join(self._folder, "console"), "wb") as console:
            self._starter = subprocess.Popen(
                ["unshare", "--pid", "--fork", "--mount", "--net", "--uts", "--ipc", "--cgroup", "--kill-child=SIGKILL",
                 "sh", "-c", BECOME_SYSTEMD, "sh", self.root], stdin=subprocess.DEVNULL, stdout=console, stderr=console,
                preexec_fn=enter_cgroup, start_new_session=True)
        wait_until(self._find_process_1, within_s, "process 1")
        wait_until(lambda: self.run("systemctl is-system-running", check=False).stdout.strip() in ("running", "degraded"),
                      within_s, "systemd")
        return self

    def _find_process_1(self):
        assert self._starter.poll() is None, self.console()
        children = f"/proc/{self._starter.pid}/task/{self._starter.pid}/children"
        with open(children, encoding="ascii") as file:
            found = file.read().split()
        self._process_1 = found[0] if found else None
        return self._process_1

    def console(self):
        with open(os.path.join(self._folder, "console"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def run(self, command, check=True, **more):
        """A shell command inside."""
        done = subprocess.run(["nsenter", "--target", self._process_1, "--all", "--wdns=/", "env", "-i",
                               "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "sh", "-c", command],
                              capture_output=True, text=True, check=False, **more)
        if check and done.returncode != 0:
            raise AssertionError(f"{command}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def put(self, source, target):
        shutil.copy(source, self.root + target)

    def write(self, path, text, mode=0o644):
        with open(self.root + path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.root + path, mode)

    def exists(self, path):
        return os.path.lexists(self.root + path)

    def end(self):
        if self._starter is not None:
            self._starter.kill()
            self._starter.wait()
            wait_until(self._cgroup_is_empty, 10, "the end of all processes")
        subprocess.run(["umount", "-l", self.root], check=False)
        subprocess.run(["umount", "-l", self._folder], check=False)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _cgroup_is_empty(self):
        for folder, _, _ in os.walk(self._cgroup, topdown=False):
            try:
                os.rmdir(folder)
            except OSError:
                pass
        return not os.path.exists(self._cgroup)


if __name__ == "__main__":
    make_root(*sys.argv[1:])
