"""Between daemon and broker packets come late, out of order or not at all: nothing is lost."""
import re

from case import GuestTestCase, main

SECONDS = 40
# What comes in passes through a device of its own, since only what goes out can be delayed.
LINK = """
modprobe ifb numifbs=1; ip link set ifb0 up
tc qdisc add dev eth0 handle ffff: ingress
tc filter add dev eth0 parent ffff: matchall action mirred egress redirect dev ifb0
for device in eth0 ifb0; do tc qdisc replace dev $device root netem; done
"""


class BadLink(GuestTestCase):
    def test_delay_and_loss(self):
        self.boot()
        self.live()
        self.guest.run(LINK)
        before = 0
        for loss in (5, 20):
            self.guest.run("for device in eth0 ifb0; do tc qdisc change dev $device root netem delay 300ms 100ms "
                           f"loss {loss}%; done")
            self.run_for(5)  # what had left before the change has come
            since = self.subscriber.count()
            self.run_for(SECONDS)
            told = self.inside("tc -s qdisc show dev eth0; tc -s qdisc show dev ifb0")
            counts = re.findall(r"netem [^\n]*\n Sent \d+ bytes \d+ pkt \(dropped (\d+)", told)
            dropped = sum(map(int, counts))
            self.assertGreater(dropped, before + 5, told)
            late = sorted(m.arrival.at * 1000 - m["time_ms"] for m in self.subscriber.messages(since=since)
                          if not m["replay"])
            self.assertTrue(late, "nothing arrived live")
            self.assertGreater(late[0], 200, "the link does not delay")
            print(f"{loss} % lost each way: {dropped - before} packets dropped, {len(late)} live messages, "
                  f"late by {late[len(late) // 2]:.0f} ms (median), {late[-1]:.0f} ms (most)", flush=True)
            before = dropped
        self.guest.run("for device in eth0 ifb0; do tc qdisc del dev $device root; done; tc qdisc del dev eth0 ingress")
        self.check_nothing_lost()


if __name__ == "__main__":
    main()
