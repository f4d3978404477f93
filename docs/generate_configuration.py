"""Writes docs/configuration.md and twinkeeper.yaml(5) from the JSON Schemas in config/schema/, which come from the tables
the reader uses.

usage: generate_configuration.py [--check]   (--check: only compare, exit 1 if the page is not up to date)
"""
import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "configuration.md"
MANUAL = ROOT / "packaging" / "man" / "twinkeeper.yaml.5"

HEAD = """\
# Configuration

<!-- written by docs/generate_configuration.py from config/schema/; edit the tables in src/config/ instead -->

One YAML 1.2 file, read strictly: an unknown, duplicate or mistyped key is an error, and all errors are reported at once as
`file:line:column: path: what is wrong; what is accepted`. Only `true` and `false` are booleans; numbers with leading zeros,
quoted numbers, `<<`, anchors, tags, a second document and directives other than `%YAML 1.2` are refused. Durations are a
number with `ms s min h d`, sizes with `B KiB MiB GiB`; nothing is rounded, so that they must be whole nanoseconds and whole
bytes (`0.5s` is right). `${NAME}` and `${NAME:-default}` stand for environment variables in any scalar (unset without a
default is an error; `${HOSTNAME}` always exists); the default holds no other `${`, and what a variable holds is taken as it
is. `$${` stands for the two characters `${`. Paths are relative to the file they stand in; `~` stands for no folder.

`twinkeeper check --config FILE` prints every effective value. For completion in an editor, put
`# yaml-language-server: $schema=…/twinkeeper.schema.json` into the first line.
"""


def resolve(node, schema):
    while "$ref" in node:
        node = schema["definitions"][node["$ref"].rsplit("/", 1)[1]]
    return node


def accepted(node, schema):
    """What a value may be, in a few words."""
    if "$ref" in node and node["$ref"].endswith("/substitution"):
        return None
    if "$ref" in node:
        return {"model": "a map, see Model", "model_file": "a model file", "diagnosis": "a map, see Diagnosis"}.get(
            node["$ref"].rsplit("/", 1)[1], "a map")
    for keyword in ("anyOf", "oneOf"):
        if keyword in node and "properties" not in node:
            parts = [accepted(part, schema) for part in node[keyword]]
            return " or ".join(dict.fromkeys(p for p in parts if p))
    if "enum" in node:
        return " ".join(f"`{json.dumps(v) if not isinstance(v, str) else v}`" for v in node["enum"])
    if "const" in node:
        return f"`{node['const']}`"
    kind = node.get("type", "any")
    if kind == "array":
        items = accepted(node.get("items", {}), schema)
        return "a list" if items in (None, "any") else f"a list of {items}"
    if kind == "object":
        return "a map"
    if kind in ("number", "integer"):
        word = "number" if kind == "number" else "whole number"
        low = node.get("minimum", node.get("exclusiveMinimum"))
        high = node.get("maximum")
        if low is not None and high is not None and abs(high) < 1e15:
            return f"{word} {low:g}…{high:g}"
        if low is not None:
            return f"{word} {'≥' if 'minimum' in node else '>'} {low:g}"
        return word
    if kind == "string" and "pattern" in node:
        pattern = node["pattern"]
        if "ms|s|min|h|d" in pattern or "(ms|" in pattern:
            return "duration"
        if "KiB" in pattern:
            return "size"
        return "name" if pattern.startswith("^[A-Za-z") else "text"
    return {"string": "text", "boolean": "`true` `false`"}.get(kind, kind)


def maps_of(node, schema, path):
    """Every mapping below a node as (path, mapping), the node itself first."""
    node = resolve(node, schema)
    if "properties" in node:
        yield path, node
        for key, child in node["properties"].items():
            yield from maps_of(child, schema, f"{path}.{key}" if path else key)
    elif node.get("type") == "array" and "items" in node:
        yield from maps_of(node["items"], schema, path + "[]")
    elif isinstance(node.get("additionalProperties"), dict):
        yield from maps_of(node["additionalProperties"], schema, path + ".NAME")
    for keyword in ("anyOf", "oneOf"):
        for part in node.get(keyword, []):
            yield from maps_of(part, schema, path)


def shown(default):
    return default if isinstance(default, str) and default.isprintable() else json.dumps(default)


def table(mapping, schema):
    required = set(mapping.get("required", []))
    yield "| key | accepted | default | meaning |"
    yield "|---|---|---|---|"
    for key, node in mapping["properties"].items():
        default = node.get("default")
        told = "required" if key in required else "" if default is None else f"`{shown(default)}`"
        value = (accepted(node, schema) or "text").replace("|", "\\|")
        yield f"| `{key}` | {value} | {told} | {node.get('description', '').replace('|', chr(92) + '|')} |"


def distinct_maps(schema):
    """As maps_of(), each kind of mapping once."""
    seen = set()
    for path, mapping in maps_of(schema, schema, ""):
        signature = json.dumps(mapping["properties"], sort_keys=True)
        if signature not in seen:
            seen.add(signature)
            yield path, mapping


def sections(schema, title):
    yield f"## {title}"
    yield ""
    for path, mapping in distinct_maps(schema):
        if path:
            yield f"### {path}"
            yield ""
        yield from table(mapping, schema)
        yield ""


def page():
    lines = [HEAD]
    for name, title in (("twinkeeper", "Configuration file"), ("model", "Model file")):
        schema = json.loads((ROOT / "config" / "schema" / f"{name}.schema.json").read_text(encoding="utf-8"))
        lines += sections(schema, title)
    return "\n".join(lines).rstrip() + "\n"


def roff(text):
    """Text of a manual page: `code` in bold, nothing of it taken for a request."""
    parts = text.replace("\\", "\\e").replace("-", "\\-").split("`")
    words = "".join(part if i % 2 == 0 else f"\\fB{part}\\fR" for i, part in enumerate(parts))
    return "\\&" + words if words[:1] in (".", "'") else words


def manual():
    lines = [".\\\" written by docs/generate_configuration.py from config/schema/",
             '.TH TWINKEEPER.YAML 5 "" "twinkeeper" "File Formats"', ".SH NAME",
             "twinkeeper.yaml \\- configuration of twinkeeper", ".SH DESCRIPTION"]
    for paragraph in HEAD.split("\n\n")[2:]:
        lines += [roff(paragraph.replace("\n", " ").strip()), ".PP"]
    for name, title in (("twinkeeper", "CONFIGURATION FILE"), ("model", "MODEL FILE")):
        schema = json.loads((ROOT / "config" / "schema" / f"{name}.schema.json").read_text(encoding="utf-8"))
        lines.append(f".SH {title}")
        for path, mapping in distinct_maps(schema):
            if path:
                lines.append(f".SS {roff(path)}")
            required = set(mapping.get("required", []))
            for key, node in mapping["properties"].items():
                value = accepted(node, schema) or "text"
                default = node.get("default")
                if key in required:
                    value += "; required"
                elif default is not None:
                    value += f"; default `{shown(default)}`"
                lines += [".TP", roff(f"`{key}`"), roff(f"{node.get('description', '')} ({value})".strip())]
    lines += [".SH SEE ALSO", ".BR twinkeeper (1)"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    for file, text in ((PAGE, page()), (MANUAL, manual())):
        if "--check" not in sys.argv:
            file.write_text(text, encoding="utf-8")
        elif not file.exists() or file.read_text(encoding="utf-8") != text:
            sys.exit(f"{file.relative_to(ROOT)} is not up to date: run docs/generate_configuration.py")
