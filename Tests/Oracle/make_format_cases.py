"""Records what Python's `str.format`, Jinja's `striptags` and `pprint` make of drawn values: Tests/Oracle/template_formats.json.

Needs Python 3.10 or later and `pip install jinja2==3.1.6`; the tests read the recorded file only.
    python3 make_format_cases.py
"""
import json
import pathlib
import random

from jinja2.sandbox import ImmutableSandboxedEnvironment

random.seed(5)
environment = ImmutableSandboxedEnvironment()
VALUES = ["1", "-7", "0", "65", "1234567", "3.14159", "0.0", "-0.0", "1e100", "1e-7", "123456.789", "100000.0", "99999.5",
          "0.0001", "0.00001234", "2.5", "1e16", "123456789012345680.0", "'abc'", "'é☃'", "''", "true"]


def specification():
    align = random.choice(["", "", "<", ">", "^", "=", "*<", "0>", "x^", "_="])
    return (align + random.choice(["", "", "", "+", "-", " "]) + random.choice(["", "", "", "#"])
            + random.choice(["", "", "0"]) + random.choice(["", "", "1", "5", "9", "12"])
            + random.choice(["", "", "", ",", "_"]) + random.choice(["", "", ".0", ".1", ".3", ".6", ".12"])
            + random.choice(["", "", "", "d", "e", "f", "g", "G", "%", "s", "x", "b"]))


MARKS = ["<b>", "</b>", "<", ">", "<!--", "-->", "<!", "--", " ", "\\n", "a", "bc", "&amp;", "&lt;", "&", "& ", "&gt;x", "é", "<i q='>'>",
         "&quot;", "&#39;", "&copy;"]
sources = ["{{ '{:" + specification() + "}'.format(" + random.choice(VALUES) + ") }}" for _ in range(1500)]
sources += ['{{ "' + "".join(random.choices(MARKS, k=random.randint(1, 9))) + '"|striptags }}' for _ in range(300)]
sources += ["{{ (" + value + ")|pprint }}" for value in VALUES + [
    "none", "[]", "[1, 'a', none]", "(1,)", "(true, 2.5)", "'" + "a " * 39 + "'", "'" + "a " * 40 + "'", "{'b': 1, 'a': 2}",
    "'it\\'s'", "'\"'", "[[1]]"]]
cases = []
for source in sources:
    try:
        text = environment.from_string(source).render()
    except Exception:
        text = None
    cases.append([source, text])
lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
(pathlib.Path(__file__).parent / "template_formats.json").write_text("[\n" + lines + "\n]\n")
