"""Checks that every layer includes only what its row in docs/architecture.md allows.

Usage: check_includes.py ROOT. Prints every forbidden include as file:line and exits 1 if there is one.
The table below is that page's table; a wall can only be moved in both places.
"""
import pathlib
import re
import sys

LAYERS = {
    "base": set(),
    "signals": {"base"},
    "model": {"base"},
    "estimation": {"base", "signals", "model"},
    "diagnosis": {"base", "signals", "model", "estimation"},
    "prediction": {"base", "signals", "model", "estimation"},
    "identification": {"base", "signals", "model", "estimation", "diagnosis"},
    "acquisition": {"base", "signals"},
    "drivers": {"base", "signals"},
    "logs": {"base", "signals"},
    "simulation": {"base", "signals", "model", "drivers"},
    "telemetry": {"base", "signals", "model", "estimation", "diagnosis"},
    "uplink": {"base", "signals"},
    "aws": {"base"},
    "config": {"base", "signals"},  # and what STD_ONLY names
    "app": {"base", "signals", "model", "estimation", "diagnosis", "acquisition", "drivers", "simulation",
            "logs", "prediction", "identification", "telemetry", "uplink", "aws", "config"},
}
# Headers of std types alone, which config may read of any layer: it fills them in.
STD_ONLY = ("/settings.hpp", "model/templates.hpp")
THIRD_PARTY = {  # header prefix: layers that may include it
    "Eigen/": {"model", "estimation", "diagnosis", "prediction", "identification", "simulation"},
    "unsupported/Eigen/": {"model"},
    "modbus": {"drivers", "simulation"},
    "re2/": {"drivers"},
    "nlohmann/": {"telemetry", "uplink", "aws", "config", "app"},
    "sqlite3.h": {"uplink"},
    "mqtt/": {"uplink"},
    "MQTT": {"uplink"},
    "openssl/": {"uplink", "config"},  # config: only sha256 for hashes
    "yaml-cpp/": {"config"},
    "CLI/": {"app"},
    "systemd/": {"app"},
    "spdlog/": {"app"},
    "zlib.h": {"logs"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
PUBLIC = "twinkeeper/"


def layer_of_include(name: str):
    path = name[len(PUBLIC):] if name.startswith(PUBLIC) else name
    head = path.split("/", 1)[0]
    return head if "/" in path and head in LAYERS else None


def check(root: pathlib.Path):
    for layer, allowed in LAYERS.items():
        for folder in (root / "src" / layer, root / "include" / "twinkeeper" / layer):
            for file in sorted(folder.rglob("*.[ch]pp")):
                for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
                    match = INCLUDE.match(line)
                    if not match:
                        continue
                    bracket, name = match.groups()
                    other = layer_of_include(name)
                    if other is not None:
                        std_only = layer == "config" and name.endswith(STD_ONLY)
                        if other != layer and other not in allowed and not std_only:
                            yield f"{file.relative_to(root)}:{number}: {layer} must not include {name}"
                        continue
                    if bracket == '"':
                        yield f"{file.relative_to(root)}:{number}: {name} is not named from its layer's folder"
                        continue
                    for prefix, layers in THIRD_PARTY.items():
                        if name.startswith(prefix) and layer not in layers:
                            yield f"{file.relative_to(root)}:{number}: {layer} must not include <{name}>"


if __name__ == "__main__":
    faults = list(check(pathlib.Path(sys.argv[1])))
    print("\n".join(faults) if faults else "every include is allowed")
    sys.exit(1 if faults else 0)
