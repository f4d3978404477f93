#!/usr/bin/env python3
"""Runs the cases of test_reliability.py for as long as figures need, and prints the table of docs/reliability.md.

usage: tests/acceptance/reliability/in_namespace tests/acceptance/reliability/campaign.py --executable PATH
           --fault-injection LIBRARY [--seconds 60] [--kills 20] [--rate 500] [CASE]...
"""
import argparse
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
CASES = ["broker_killed", "daemon_killed", "network_dropped", "network_rejected", "half_open_link", "disk_full",
         "flushing_fails", "clock_stepped"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--executable", required=True)
    parser.add_argument("--fault-injection", required=True)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("cases", nargs="*")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        table = pathlib.Path(folder) / "table"
        table.touch()
        environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1] / "support"), "PYTHONDONTWRITEBYTECODE": "1",
                       "TWINKEEPER_EXECUTABLE": os.path.abspath(arguments.executable),
                       "TWINKEEPER_FAULT_INJECTION": os.path.abspath(arguments.fault_injection),
                       "TWINKEEPER_RELIABILITY_SECONDS": str(arguments.seconds),
                       "TWINKEEPER_RELIABILITY_KILLS": str(arguments.kills),
                       "TWINKEEPER_RELIABILITY_RATE": str(arguments.rate), "TWINKEEPER_RELIABILITY_TABLE": str(table)}
        failed = 0
        for case in arguments.cases or CASES:
            failed |= subprocess.run([sys.executable, str(HERE / "test_reliability.py"), f"Reliability.test_{case}"],
                                     env=environment).returncode
        model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8")
                      if line.startswith("model name")), "?")
        print(f"\n{model}, {os.cpu_count()} cores, {platform.system()} {platform.release()}; "
              f"{arguments.rate} messages/s, {arguments.seconds:g} s\n")
        print("| fault | stored | received | duplicates | replayed | told as lost | neither | connections | epochs |")
        print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
        for row in map(json.loads, table.read_text(encoding="utf-8").splitlines()):
            told = f"{row['told']}" + (f" ({', '.join(row['reasons'])})" if row["reasons"] else "")
            print(f"| {row['case']} | {row['stored']} | {row['received']} | {row['duplicates']} | {row['replayed']} | {told} "
                  f"| {row['untold']} | {row['sessions']} | {row['epochs']} |")
    return failed


if __name__ == "__main__":
    sys.exit(main())
