"""Runs bench/publish_cost.cpp against a Mosquitto of its own that demands client certificates.

usage: bench/publish_cost.py --bench PATH [--rounds 7] [--messages 10000]
"""
import argparse
import subprocess
import time

from gateway_load import Rig, free_ports, print_machine


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", required=True)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--messages", type=int, default=10000)
    arguments = parser.parse_args()
    print_machine()
    with Rig() as rig:
        (port,) = free_ports(1)
        rig.start_broker(port)
        time.sleep(1)
        subprocess.run([arguments.bench, str(port), rig.folder / "pki", rig.folder / "state", str(arguments.rounds),
                        str(arguments.messages)], check=True)


if __name__ == "__main__":
    main()
