"""Checks that what the pages of the repository point at is there: files, headings, paths in code, tests by name.

Usage: check_pages.py ROOT [CTEST BUILD]. Prints each fault as page:line and exits 1 if there is one. With CTEST and
BUILD, a tree that is built, names of tests are held against those that are registered there: what stands behind
`ctest … -R`, and in pages that say `ctest … -R …` once for all, every code span in double quotes.
"""
import os
import pathlib
import re
import subprocess
import sys
import urllib.parse

OTHERS = {".git", "build", "node_modules"}  # folders with pages that are not ours
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`]+)`")
BY_EXPRESSION = re.compile(r"\bctest\b[^`\n]*? -R +(?:\"([^\"]+)\"|'([^']+)'|([^\s`]+))")
ONCE_FOR_ALL = re.compile(r"`ctest [^`]*-R …`")
UNSURE = re.compile(r"[<>{}$…]|\b[A-Z]{3,}\b(?!\.md)")  # a placeholder stands in it


def pages_of(root):
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(set(folders) - OTHERS)
        yield from (pathlib.Path(folder, file) for file in sorted(files) if file.endswith(".md"))


def lines_of(page):
    """(number, line, whether it stands in a block of code)"""
    fenced = False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
            line = ""
        yield number, line, fenced


def anchors_of(page, known={}):  # kept for all calls
    """Of headings, as forges make them: small letters, no punctuation, hyphens for blanks, repetitions numbered."""
    if page not in known:
        found = set()
        for _, line, fenced in lines_of(page):
            heading = None if fenced else re.match(r"#{1,6} +(.*?) *#*$", line)
            if not heading:
                continue
            text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1]).lower()
            anchor = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
            repeated = sum(1 for one in found if re.fullmatch(re.escape(anchor) + r"(-\d+)?", one))
            found.add(f"{anchor}-{repeated}" if repeated else anchor)
        known[page] = found
    return known[page]


def links(page, text):
    """(number of the line, fault) of all links; one may go on in the next line."""
    for match in LINK.finditer(re.sub(r"`[^`]*`", lambda code: re.sub(r"[^\n]", "x", code[0]), text)):
        target = match[1]
        if re.match(r"[a-z]+:", target):
            continue
        number = text.count("\n", 0, match.end()) + 1
        path, _, anchor = urllib.parse.unquote(target).partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists():
            yield number, f"there is no {path}"
        elif anchor and anchor not in anchors_of(file):
            yield number, f"{path or 'this page'} has no heading #{anchor}"


def paths(root, folders, line):
    for word in (word for span in CODE.findall(line) for word in span.split()):
        word = word.rstrip(".,;:").split("#")[0]
        if word.split("/")[0] not in folders or "/" not in word or UNSURE.search(word):
            continue
        if not any(root.glob(word.rstrip("/"))):
            yield f"there is no {word}"


def tests(line, quoted, registered):
    expressions = [next(group for group in groups if group) for groups in BY_EXPRESSION.findall(line)]
    if quoted:
        expressions += [span[1:-1] for span in CODE.findall(line) if re.fullmatch(r'"[^"]+"', span)]
    for expression in expressions:
        if not re.search("[…<]", expression) and not any(re.search(expression, test) for test in registered):
            yield f"no test is named by -R \"{expression}\""


def faults(root, registered):
    folders = {file.name for file in root.iterdir() if file.is_dir()} - OTHERS
    for page in pages_of(root):
        quoted = ONCE_FOR_ALL.search(page.read_text(encoding="utf-8"))
        lines = list(lines_of(page))
        found = list(links(page, "\n".join("" if fenced else line for _, line, fenced in lines)))
        for number, line, fenced in lines:
            found += [(number, fault) for fault in paths(root, folders, line) if not fenced]
            found += [(number, fault) for fault in tests(line, quoted, registered) if registered]
        for number, fault in sorted(found):
            yield f"{page.relative_to(root)}:{number}: {fault}"


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    registered = []
    if len(sys.argv) > 2:
        told = subprocess.run([sys.argv[2], "--test-dir", sys.argv[3], "-N"], check=True, capture_output=True, text=True)
        registered = re.findall(r"^ *Test +#\d+: (.*)$", told.stdout, re.M)
        missing = [test for test in registered if test.endswith("_NOT_BUILT")]
        if missing or not registered:
            sys.exit(f"{sys.argv[3]} is not built: {', '.join(missing) or 'no tests'}")
    found = [*faults(root, registered)]
    print("\n".join(found))
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
