"""Writes what the executable is made of as CycloneDX 1.5: libraries that it loads, by the Debian packages that own them, and
those that were compiled into it, which only the build knows.

usage: make_sbom.py --executable FILE --libraries FOLDER --version VERSION --output FILE [--compiled PACKAGE …]
FOLDER: where the libraries of the executable's architecture are; nothing of it is run, so it may be a foreign one.

The same executable and packages give the same bytes: no time of day, and a serial number made of the content.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import urllib.parse
import uuid


def told_by(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}).stdout


def needed(file):
    names = set(re.findall(r"\(NEEDED\).*\[(.+)\]", told_by("readelf", "-d", file)))
    return {name for name in names if not name.startswith("ld-linux")}  # the loader comes with the C library


def loaded(executable, folder):
    """Files of the libraries that it loads itself, and of those that these load."""
    own = needed(executable)
    names, found = set(own), {}
    while names - set(found):
        name = min(names - set(found))
        places = [place for place in (os.path.join(folder, name), os.path.join(folder.removeprefix("/usr"), name))
                  if os.path.exists(place)]
        if not places:
            sys.exit(f"make_sbom.py: {executable} loads what is not installed: {name}")
        found[name] = places[0]
        names |= needed(places[0])
    return {file: name in own for name, file in found.items()}


def owner(file):
    """The package of a file, which may be known under its place from before /usr was merged."""
    real = os.path.realpath(file)
    for place in (real, file, real.removeprefix("/usr"), "/usr" + real):
        done = subprocess.run(["dpkg-query", "-S", place], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout.split(": ")[0].split(", ")[0]
    sys.exit(f"make_sbom.py: no package owns {file}")


def licences(package):
    """Names from a machine-readable copyright file; none where there is no such file."""
    path = f"/usr/share/doc/{package.split(':')[0]}/copyright"
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8", errors="replace") as file:
        names = re.findall(r"^License:[ \t]*(\S.*)$", file.read(), re.M)
    return sorted({name.strip() for name in names})


def component(package, linked):
    name, version, architecture, source, homepage = told_by(
        "dpkg-query", "-W", "-f", "${Package}\t${Version}\t${Architecture}\t${source:Package}\t${Homepage}", package).split("\t")
    reference = f"pkg:deb/debian/{name}@{urllib.parse.quote(version, safe=':~')}?arch={architecture}"
    found = {"type": "library", "bom-ref": reference, "name": name, "version": version, "purl": reference,
             "properties": [{"name": "twinkeeper:source-package", "value": source},
                            {"name": "twinkeeper:linkage", "value": linked}]}
    names = licences(package)
    if names:
        found["licenses"] = [{"license": {"name": one}} for one in names]
    if homepage:
        found["externalReferences"] = [{"type": "website", "url": homepage}]
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--executable", required=True)
    parser.add_argument("--libraries", required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--compiled", nargs="*", default=[], help="packages of headers and static libraries")
    arguments = parser.parse_args()
    packages = {}
    for file, own in loaded(arguments.executable, arguments.libraries).items():
        package = owner(file)
        packages[package] = "loaded" if own or packages.get(package) == "loaded" else "loaded by a library"
    for package in arguments.compiled:
        packages[package] = "compiled in"
    components = sorted((component(*item) for item in packages.items()), key=lambda one: one["bom-ref"])
    application = {"type": "application", "bom-ref": f"twinkeeper@{arguments.version}", "name": "twinkeeper",
                   "version": arguments.version, "licenses": [{"license": {"id": "Apache-2.0"}}]}
    direct = [one["bom-ref"] for one in components if one["properties"][1]["value"] != "loaded by a library"]
    document = {"$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json", "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
                "metadata": {"component": application}, "components": components,
                "dependencies": [{"ref": application["bom-ref"], "dependsOn": direct}]}
    document["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(document, sort_keys=True))}"
    with open(arguments.output, "w", encoding="utf-8") as file:
        file.write(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
