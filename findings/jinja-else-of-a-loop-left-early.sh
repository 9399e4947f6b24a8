#!/bin/bash
# Jinja: the `else` of a `for` runs although the loop had elements, if every round was left by `continue` or `break`.
# Guessed: as its documentation says, `else` is for loops over nothing ("if no iteration took place").
# Seen: the flag that an iteration took place is set at the end of the loop's body, which `continue` and `break` skip.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install jinja2==3.1.6
"$folder/venv/bin/python" - <<'PYTHON'
import jinja2

environment = jinja2.Environment(extensions=["jinja2.ext.loopcontrols"])


def rendered(source):
    return environment.from_string(source).render(items=[1, 2, 3])


cases = {
    "plain": ("{% for i in items %}{{ i }}{% else %}else{% endfor %}", "123"),
    "empty": ("{% for i in [] %}{{ i }}{% else %}else{% endfor %}", "else"),
    "all continued": ("{% for i in items %}{{ i }}{% continue %}{% else %}else{% endfor %}", "123else"),
    "left at once": ("{% for i in items %}{{ i }}{% break %}{% else %}else{% endfor %}", "1else"),
    "one round whole": ("{% for i in items %}{{ i }}{% if i > 1 %}{% continue %}{% endif %}{% else %}else{% endfor %}", "123"),
}
print("jinja2", jinja2.__version__)
for name, (source, seen) in cases.items():
    text = rendered(source)
    print(f"{name}: {text}")
    assert text == seen, (name, text, seen)
PYTHON
