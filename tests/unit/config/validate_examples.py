"""Validates every example configuration and model file against the JSON Schemas of config/schema.

Usage: validate_examples.py ROOT. Prints every violation and exits 1 if there is one. It also checks the schemas
themselves: each must refuse an unknown key in every mapping that has fixed keys.
"""
import copy
import json
import pathlib
import re
import sys

import jsonschema
import yaml


class CoreLoader(yaml.SafeLoader):
    """YAML 1.2 core schema: what PyYAML reads by default is 1.1, where off is a boolean and 1e-4 is a text."""


CoreLoader.yaml_implicit_resolvers = {}
INTEGER = re.compile(r"^(?:[-+]?[0-9]+|0x[0-9a-fA-F]+)$")
FLOAT = re.compile(r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$")
CoreLoader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
CoreLoader.add_implicit_resolver("tag:yaml.org,2002:int", INTEGER, list("-+0123456789"))
CoreLoader.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, list("-+.0123456789"))
CoreLoader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|)$"), ["~", "n", ""])
CoreLoader.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(node.value, 16 if "x" in node.value else 10))
CoreLoader.add_constructor("tag:yaml.org,2002:float", lambda loader, node: float(node.value))


def load(path):
    return yaml.load(path.read_text(encoding="utf-8"), Loader=CoreLoader)


def violations(validator, path):
    for fault in sorted(validator.iter_errors(load(path)), key=lambda error: list(map(str, error.path))):
        yield f"{path}: {'.'.join(map(str, fault.path)) or 'top'}: {fault.message[:200]}"


def mappings(value, path=()):
    """The path of every mapping below value, value included."""
    if isinstance(value, dict):
        yield path
        for key, item in value.items():
            yield from mappings(item, path + (key,))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from mappings(item, path + (index,))


FREE = {"register_sets", "inputs", "outputs", "provenance", "parameters"}  # mappings whose keys are the user's own


def accepts_unknown_keys(validator, path):
    document = load(path)
    for place in mappings(document):
        if place and place[-1] in FREE:
            continue
        changed = copy.deepcopy(document)
        target = changed
        for step in place:
            target = target[step]
        target["no_such_key"] = 1
        if validator.is_valid(changed):
            yield f"{path}: the schema accepts an unknown key in {'.'.join(map(str, place)) or 'the top'}"


def main(root):
    schema = root / "config" / "schema"
    examples = root / "tests" / "unit" / "config" / "examples"
    groups = [("twinkeeper.schema.json", [*sorted((root / "config").glob("*.yaml")),
                                          *sorted((root / "docs" / "drivers" / "examples").glob("*.yaml")),
                                          examples / "full.yaml"]),
              ("model.schema.json", [*sorted((root / "config" / "models").glob("*.yaml")),
                                     *sorted((root / "docs" / "models" / "examples").glob("*.yaml")),
                                     *sorted((examples / "models").glob("*.yaml"))])]
    faults = []
    count = 0
    for name, files in groups:
        document = json.loads((schema / name).read_text(encoding="utf-8"))
        jsonschema.Draft7Validator.check_schema(document)
        validator = jsonschema.Draft7Validator(document)
        for path in files:
            count += 1
            faults += violations(validator, path)
        faults += accepts_unknown_keys(validator, files[-1])
    print("\n".join(faults) if faults else f"{count} files are valid, and no unknown key is accepted")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
