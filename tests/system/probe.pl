# What the sandbox of the unit lets pass: each line is a directive, what was tried, and what came of it ("done" or the error).
# Run in the unit in place of the service, and outside as the control: what is the same there proves nothing.
# usage: probe.pl FOLDER KEY   a folder that may be written to, the key of a piece of shared memory to leave behind
use strict;
use warnings;
use POSIX ();
use Socket;

$| = 1;
my ($folder, $key) = @ARGV;
my %number = (mmap => 9, sched_setscheduler => 144, personality => 135, sethostname => 170,
              unshare => 272, keyctl => 250, mount => 165, setpriority => 141, adjtimex => 159);

sub report { my ($directive, $tried, $result) = @_; print "$directive\t$tried\t$result\n"; }
sub failure { return $!{ENOENT} ? "ENOENT" : (grep { $!{$_} } keys %!)[0]; }
sub try { my ($directive, $tried, $done) = @_; report($directive, $tried, $done ? "done" : failure()); }
sub call { my $name = shift; my $result = syscall($number{$name}, @_); return $result != -1; }
sub creates { my $file = shift; open(my $handle, ">", $file) or return 0; close $handle; unlink $file; return 1; }
sub opens { my ($file, $how) = @_; return sysopen(my $handle, $file, $how // POSIX::O_RDONLY); }
sub status { my $name = shift; open(my $file, "<", "/proc/self/status"); while (<$file>) { return $1 if /^$name:\s*(\S+)/; } return ""; }

report("NoNewPrivileges", "NoNewPrivs", status("NoNewPrivs"));
report("CapabilityBoundingSet", "CapBnd", status("CapBnd"));
report("AmbientCapabilities", "CapAmb", status("CapAmb"));
report("SystemCallFilter", "Seccomp", status("Seccomp"));
try("ProtectSystem", "create /usr/probe", creates("/usr/probe"));
try("ProtectSystem", "create /etc/probe", creates("/etc/probe"));
try("ProtectSystem", "create /var/lib/probe", creates("/var/lib/probe"));
try("StateDirectory", "create there", creates("$folder/probe"));
try("ProtectHome", "read /root/secret", opens("/root/secret"));
try("ProtectHome", "read /home/secret", opens("/home/secret"));
try("PrivateTmp", "read /tmp/secret", opens("/tmp/secret"));
report("PrivateMounts", "mount namespace", readlink("/proc/self/ns/mnt"));
try("ProtectProc", "look at process 1", -e "/proc/1/cmdline");
try("ProtectKernelTunables", "write /proc/sys/net/core/somaxconn", opens("/proc/sys/net/core/somaxconn", POSIX::O_WRONLY));
try("ProtectControlGroups", "create a group", mkdir("/sys/fs/cgroup/probe") && rmdir("/sys/fs/cgroup/probe"));
try("ProtectKernelModules", "read /usr/lib/modules/secret", opens("/usr/lib/modules/secret"));
try("ProtectKernelLogs", "open /dev/kmsg", opens("/dev/kmsg"));
try("ProtectHostname", "sethostname", call("sethostname", my $name = "gateway", 7));
try("ProtectClock", "adjtimex that only reads", call("adjtimex", my $timex = "\0" x 256));
try("DevicePolicy", "open a disk", opens("/dev/probe-disk"));
try("DevicePolicy", "open /dev/null", opens("/dev/null"));
for my $family ([AF_INET, "AF_INET"], [AF_INET6, "AF_INET6"], [AF_UNIX, "AF_UNIX"], [16, "AF_NETLINK"], [17, "AF_PACKET"], [40, "AF_VSOCK"]) {
  try("RestrictAddressFamilies", $family->[1], socket(my $socket, $family->[0], $family->[0] == 16 || $family->[0] == 17 ? SOCK_RAW : SOCK_STREAM, 0));
}
sub sends { my $to = shift; socket(my $socket, AF_INET, SOCK_DGRAM, 0); setsockopt($socket, SOL_SOCKET, SO_BROADCAST, 1);
            return send($socket, "x", 0, pack_sockaddr_in(9, inet_aton($to))); }
try("IPAddressDeny", "send to 239.1.1.1", sends("239.1.1.1"));
try("IPAddressAllow", "send to 127.0.0.1", sends("127.0.0.1"));
socket(my $server, AF_INET, SOCK_STREAM, 0);
try("SocketBindDeny", "bind port 18080", bind($server, pack_sockaddr_in(18080, INADDR_LOOPBACK)));
try("RestrictNamespaces", "unshare users", fork_and(sub { call("unshare", 0x10000000) }));
try("RestrictRealtime", "sched_setscheduler FIFO", fork_and(sub { call("sched_setscheduler", 0, 1, my $priority = pack("i", 1)) }));
try("RestrictSUIDSGID", "chmod u+s", makes_setuid());
try("LockPersonality", "personality", fork_and(sub { call("personality", 8) }));
try("MemoryDenyWriteExecute", "mmap write+execute", call("mmap", 0, 4096, 7, 0x22, -1, 0));
try("SystemCallFilter", "setpriority", fork_and(sub { call("setpriority", 0, 0, 5) }));
try("SystemCallFilter", "mount", mounts());
report("SystemCallArchitectures", "a 32-bit program", thirty_two_bits());
report("UMask", "mode of a new file", new_mode());
report("KeyringMode", "session keyring", keyring());
report("LimitCORE", "core file", limit("Max core file size"));
report("LimitNOFILE", "descriptors", limit("Max open files"));
report("UnsetEnvironment", "https_proxy", $ENV{https_proxy} // "none");
report("Environment", "RES_OPTIONS", $ENV{RES_OPTIONS} // "none");
report("RemoveIPC", "shared memory", defined(shmget($key, 4096, 01600)) ? "made" : failure());
report("User", "user", (getpwuid($<))[0]);

# In a child, whose fate is not that of the probe; gives its success and its errno.
sub fork_and {
  my $work = shift;
  my $child = fork();
  if ($child == 0) { $! = 0; my $done = $work->(); POSIX::_exit($done ? 0 : $! + 0 || 255); }
  waitpid($child, 0);
  $! = $? >> 8;
  return $? == 0;
}

sub makes_setuid {
  my $file = "$folder/setuid";
  open(my $handle, ">", $file); close $handle;
  my $done = chmod(04700, $file); my $error = $! + 0;
  unlink $file; $! = $error;
  return $done;
}

sub new_mode {
  open(my $handle, ">", "$folder/mode"); close $handle;
  my $mode = sprintf("%o", (stat "$folder/mode")[2] & 07777); unlink "$folder/mode";
  return $mode;
}

sub keyring { my $id = syscall($number{keyctl}, 0, -3, 0); return $id == -1 ? failure() : sprintf("%x", $id); }

sub limit { my $name = shift; open(my $file, "<", "/proc/self/limits"); while (<$file>) { return $1 if /^$name\s+\S+\s+(\S+)/; } return ""; }

sub mounts {
  my ($none, $kind) = ("none", "tmpfs");
  return call("mount", $none, $folder, $kind, 0, 0) && syscall(166, $folder, 0) != -1;
}

# An ELF file of 32 bits that ends with 0 by int 0x80.
sub thirty_two_bits {
  my $code = pack("C*", 0x31, 0xdb, 0x8d, 0x43, 0x01, 0xcd, 0x80);  # xor ebx,ebx; lea eax,[ebx+1]; int 0x80
  my $base = 0x08048000;
  my $size = 52 + 32 + length($code);
  my $elf = "\x7fELF\1\1\1" . "\0" x 9 . pack("vvVVVVVvvvvvv", 2, 3, 1, $base + 84, 52, 0, 0, 52, 32, 1, 0, 0, 0) .
            pack("VVVVVVVV", 1, 0, $base, $base, $size, $size, 5, 4096) . $code;
  my $file = "$folder/elf32";
  open(my $handle, ">", $file); binmode $handle; print $handle $elf; close $handle; chmod 0700, $file;
  my $status = system { $file } $file;
  unlink $file;
  return $status == 0 ? "done" : $status == -1 ? failure() : $status & 127 ? "signal " . ($status & 127) : "exit " . ($status >> 8);
}
