#!/usr/bin/env python3
"""AWS IoT policies for one gateway, exactly as much as its configuration needs.

Usage: twinkeeper check --config FILE --json | make_policy.py --region REGION --account ID --thing NAME

Prints a JSON list of policy documents of at most 2048 bytes each (the service's limit), to be attached together to the
gateway's certificate; it takes ten. There is no wildcard in them but for the status of a job, whose topic has an id
that only the service knows, and for the answer to a command, whose topic has an id that only its sender knows.
"""
import argparse
import json
import sys

MOST_BYTES = 2048
RETAINED = ("status", "info", "health")


def statements(report, region, account, thing):
    """[(action, [resource])]"""
    def arn(kind, name):
        return f"arn:aws:iot:{region}:{account}:{kind}/{name}"
    published = [stream["topic"] for stream in report["streams"]]
    retained = [topic for topic in published if topic.rsplit("/", 1)[-1] in RETAINED]
    heard = []
    for section in filter(None, (report["commands"], report["aws"])):
        published += section["topics_published"]
        heard += section["topics_subscribed"]
    jobs = f"$aws/things/{thing}/jobs/*/update"
    received = heard + ([f"{jobs}/accepted", f"{jobs}/rejected"] if jobs in published else [])
    return [("iot:Connect", [arn("client", thing)]),
            ("iot:Publish", [arn("topic", topic) for topic in published]),
            ("iot:RetainPublish", [arn("topic", topic) for topic in retained]),
            ("iot:Subscribe", [arn("topicfilter", topic) for topic in heard]),
            ("iot:Receive", [arn("topic", topic) for topic in received])]


def document(parts):
    return {"Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": action, "Resource": resources} for action, resources in parts]}


def size(parts):
    return len(json.dumps(document(parts), separators=(",", ":")).encode())


def policies(wanted):
    """Documents that fit, filled one after the other."""
    documents, parts = [], []
    for action, resources in wanted:
        for resource in resources:
            grown = [(a, list(r)) for a, r in parts]
            if grown and grown[-1][0] == action:
                grown[-1][1].append(resource)
            else:
                grown.append((action, [resource]))
            if parts and size(grown) > MOST_BYTES:
                documents.append(document(parts))
                grown = [(action, [resource])]
            parts = grown
    return documents + ([document(parts)] if parts else [])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--region", required=True)
    parser.add_argument("--account", required=True)
    parser.add_argument("--thing", required=True)
    arguments = parser.parse_args()
    report = json.load(sys.stdin)
    made = policies(statements(report, arguments.region, arguments.account, arguments.thing))
    if len(made) > 10:
        raise SystemExit(f"{len(made)} documents are needed, and a certificate takes ten: fewer devices and twins")
    json.dump(made, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
