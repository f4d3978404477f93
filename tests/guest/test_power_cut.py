"""The power fails while the daemon writes: what it had stored is there, in order and once, and it goes on.

Three writers tell the host what they have: the spool, by `spool export`, which shows what is committed; a control that
flushes each record and must lose none; and a control that does not flush and must lose some at the same cut, or the cut
has shown nothing.
"""
import json
import os
import random
import time

from case import CONFIGURATION, GuestTestCase, main
from rig.waiting import wait_until

CUTS = int(os.environ.get("TWINKEEPER_CUTS", "5"))
WITNESSES = ("spool", "flushed", "unflushed")
EXPORT = f"twinkeeper spool export --config {CONFIGURATION}"
IDS = """grep -o '"id": *"rig-gw1/[^"]*"' | cut -d '"' -f 4"""
SPOOL_WITNESS = f"while :; do {EXPORT} --since 10s | {IDS}; done >$(port spool)"
SPOOLED = "sqlite3 -readonly /var/lib/twinkeeper/spool.db \"{}\""
ROWS = SPOOLED.format("SELECT 'rig-gw1/' || text || '/' || epoch || '/' || seq FROM message JOIN name "
                      "ON number = stream")
CONTROL = """\
use IO::Handle;
my ($path, $flush) = @ARGV;
$| = 1;
open(my $file, '>', $path) or die;
for (my $i = 1;; $i++) {
  syswrite($file, "$i\\n");
  $file->sync or die if $flush;
  print "$i\\n";
  select(undef, undef, undef, 0.02);
}
"""


def parsed(identity):
    """(epoch, stream), sequence number."""
    _, stream, epoch, seq = identity.split("/")
    return (int(epoch), stream), int(seq)


class PowerCut(GuestTestCase):
    def writers(self):
        self.guest.run("rm -f /var/lib/flushed /var/lib/unflushed; sync")
        self.guest.write("/run/spool.sh", SPOOL_WITNESS)
        self.guest.write("/run/control.pl", CONTROL)
        for name, command in (("spool", "sh /run/spool.sh"),
                              ("flushed", "perl /run/control.pl /var/lib/flushed 1 >$(port flushed)"),
                              ("unflushed", "perl /run/control.pl /var/lib/unflushed >$(port unflushed)")):
            self.guest.run(f"systemd-run --quiet --unit=witness-{name} sh -c '{command}'")

    def records(self, name):
        """How many records of a control are there, all of them whole and in order."""
        found = self.inside(f"cat /var/lib/{name} 2>/dev/null; :").split("\n")
        numbers = [int(line) for line in found if line.strip("\0").isdigit()]
        self.assertEqual(numbers, list(range(1, len(numbers) + 1)), name)
        return len(numbers)

    def spooled(self):
        """{(epoch, stream): sequence numbers} that wait, each once."""
        found = {}
        for identity in self.inside(ROWS).split():
            key, seq = parsed(identity)
            numbers = found.setdefault(key, set())
            self.assertNotIn(seq, numbers, f"{identity} is there twice")
            numbers.add(seq)
        return found

    def told(self):
        """What gaps tell as lost, those included that wait to be sent."""
        gaps = [json.loads(line) for line in self.inside(f"{EXPORT} --stream gap").splitlines()]
        return gaps + json.loads(self.inside(f"twinkeeper spool status --json --config {CONFIGURATION}"))["gaps"]

    def test_cuts(self):
        dice = random.Random(20261127)
        self.boot(self.whole_job(samples_interval="1s"), witnesses=WITNESSES)
        self.live()
        self.guest.run("systemctl restart twinkeeper")  # at whose end the checkpoint is written
        self.live()
        self.broker.stop()
        witnessed = {}  # what was seen as committed before a cut
        for cut in range(CUTS):
            self.writers()
            witnesses = self.guest.witnesses
            # The writers have come to something, and then the power fails at any moment.
            wait_until(lambda: all(len(set(w.lines)) > 30 for w in witnesses.values()), 400, "writers that write")
            self.run_for(dice.uniform(0.5, 5))
            if cut % 2:
                self.guest.tell("systemctl reload twinkeeper")  # which writes a checkpoint
                time.sleep(dice.uniform(0, 1.5))
            self.guest.cut()
            told = {name: witness.ended() for name, witness in witnesses.items()}
            self.guest.boot()
            self.until_active()
            self.assertIn("recovery complete", self.inside("dmesg"), "the file system was not in use")

            flushed, unflushed = (int(told[name][-1]) for name in ("flushed", "unflushed"))
            there = {name: self.records(name) for name in ("flushed", "unflushed")}
            self.assertGreaterEqual(there["flushed"], flushed, "the disk loses what is flushed: it can't show anything")
            self.assertLess(there["unflushed"], unflushed, "nothing unflushed was lost: the cut shows nothing")

            self.assertEqual(self.inside(SPOOLED.format("PRAGMA integrity_check")), "ok")
            self.assertEqual(self.told(), [], "there was room and time for all")
            waiting = self.spooled()
            for identity in told["spool"]:
                key, seq = parsed(identity)
                witnessed.setdefault(key, set()).add(seq)
            for key, numbers in witnessed.items():
                gone = numbers - waiting.get(key, set()) - self.read().received.get(key, set())
                self.assertEqual(gone, set(), f"{key}: seen as stored before the cut, not there after it")
            for key, numbers in waiting.items():
                known = numbers | self.ledger.received.get(key, set())
                holes = set(range(1, max(known) + 1)) - known
                self.assertEqual(holes, set(), f"{key}: not there, among {len(known)}")
            newest = max(parsed(identity)[0][0] for identity in told["spool"])
            wait_until(lambda: max(epoch for epoch, _ in self.spooled()) > newest, 400, "a new epoch")
            journal = self.journal()
            self.assertIn("goes on from its checkpoint", journal)
            self.assertNotIn("damaged", journal)
            self.assertEqual(self.inside("ls /var/lib/twinkeeper | grep -c 'bad-\\|damaged'", check=False), "0")
            print(f"cut {cut + 1}: {sum(len(n) for n in waiting.values())} messages wait, "
                  f"{len(set(told['spool']))} witnessed and all there; flushed {flushed} told, "
                  f"{there['flushed']} there; unflushed {unflushed} told, {there['unflushed']} there; "
                  f"booted in {self.guest.boot_s:.0f} s", flush=True)
        self.broker.start()
        self.check_nothing_lost()
        received = self.ledger.received
        for key, numbers in witnessed.items():
            self.assertEqual(numbers - received.get(key, set()), set(), f"{key}: seen as stored, never received")


if __name__ == "__main__":
    main()
