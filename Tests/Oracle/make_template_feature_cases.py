"""Records what Jinja makes of the features that chat templates rarely use: Tests/Oracle/template_features.json.

Rows of a template, its text (null: Jinja refuses it) and a word that a refusal must name. Needs `pip install jinja2==3.1.6`;
the tests read the recorded file only.
    python3 make_template_feature_cases.py
"""
import json
import pathlib
import signal

import jinja2
import jinja2.ext
import jinja2.sandbox

environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
    trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols])
environment.filters["tojson"] = lambda value, indent=None: json.dumps(value, ensure_ascii=False, indent=indent)
VARIABLES = {"x": "<b>&\n\ny", "n": 7, "big": 2**63 - 1, "l": [3, 1, 2], "d": {"b": 1, "a": [1, 2]}}

rows = []


def add(name, *templates):
    rows.extend((template, name) for template in templates)


TEXTS = ["'a b c d'", "'aa\\n\\nbb\\n'", "''", "x", "'<i>'|e", "n", "none", "l", "missing", "'  x\\r\\n y\\r'", "'a\\u2028b'",
         "'\\n'", "'a\\n<'|e", "true", "1.5"]
for text in TEXTS:
    for call in ["", "(2)", "('>>')", "(2, true)", "(2, blank=true)", "(width=3, first=true, blank=true)", "(-1)", "(0)",
                 "(none)", "(true)", "(1.5)", "(2, 'x')", "('--', first=1)", "(1, 2, 3, 4)", "(indent=2)"]:
        add("indent", "{{ %s|indent%s }}" % (text, call))
    for call in ["", "(3)", "(3, true)", "(3, wrapstring='|')", "(width=2, break_long_words=false)"]:
        add("wordwrap", "{{ %s|wordwrap%s }}" % (text, call))
    for call in ["", "(5)", "(target='_blank')"]:
        add("urlize", "{{ %s|urlize%s }}" % (text, call))
    add("random", "{{ %s|random }}" % text)
add("indent", "{% filter indent(2) %}a\nb\n\nc{% endfilter %}", "{% set q %}a\nb{% endset %}{{ q|indent }}",
    "{% set q | indent(3) %}a\nb{% endset %}{{ q }}", "{{ ['a\nb']|map('indent', 1)|list }}")
add("wordwrap", "{% filter wordwrap(2) %}aaaa{% endfilter %}", "{{ [x]|map('wordwrap', 2)|list }}")
add("urlize", "{% filter urlize %}a{% endfilter %}", "{{ [x]|map('urlize')|list }}", "{{ 'http://a.b'|urlize }}",
    "{% if false %}{{ x|urlize }}{% endif %}y", "{{ x|urlize if false else 1 }}")
add("random", "{{ l|map('random')|list }}", "{{ []|random }}", "{{ 'a'|random }}")
add("block", "{% block a %}x{% endblock %}", "{% block a scoped %}x{% endblock a %}", "{% block a %}{{ super() }}{% endblock %}",
    "{% if false %}{% block a %}x{% endblock %}{% endif %}y", "{% raw %}{% block %}{% endraw %}", "{# {% block #}x",
    "{% set block = 1 %}{{ block }}", "{% block %}x{% endblock %}", "{% endblock %}")
add("self", "{{ self }}", "{{ self is defined }}", "{{ self.a() }}", "{{ self() }}", "{{ self|string|length }}")
add("autoescape", "{% autoescape true %}{{ x }}{% endautoescape %}", "{% autoescape false %}{{ x }}{% endautoescape %}")
add("include", "{% include 'a' %}", "{% include 'a' ignore missing %}", "{% include ['a', 'b'] ignore missing with context %}",
    "{% if false %}{% include 'a' %}{% endif %}y", "{{ include }}", "{% set include = 2 %}{{ include }}")
add("import", "{% import 'a' as b %}", "{% from 'a' import b %}")
add("extends", "{% extends 'a' %}")
add("lipsum", "{{ lipsum is defined }}", "{{ lipsum(n=0) }}", "{{ lipsum|string is string }}")
for name, template in [("do", "{% do l.append(1) %}"), ("trans", "{% trans %}x{% endtrans %}"), ("debug", "{% debug %}"),
                       ("_", "{{ _('x') }}"), ("gettext", "{{ gettext('x') }}"), ("nosuch", "{% nosuch %}"),
                       ("nosuch", "{{ x is nosuch }}"), ("nosuch", "{{ x|nosuch }}")]:
    add(name, template)

BIGS = ["9223372036854775807", "9223372036854775808", "-9223372036854775808", "18446744073709551616", "big", "-big", "(big+1)",
        "(-big-2)", "(big*2)", "2**62", "2**63", "(-2)**63", "(-2)**64", "(2**63-1)", "(0-2**63)", "1e30", "3**40", "0x10",
        "0x8000000000000000", "'99999999999999999999'|int", "'9223372036854775807'|int", "'-9223372036854775809'|int",
        "'1e30'|int", "1e30|int", "1e18|int", "-1e19|int", "'ffffffffffffffffff'|int(0, 16)", "[big, big]|sum", "big|float",
        "(-9223372036854775807-1)|abs", "big|round", "big|round(-1)", "1e30|round", "big//-1", "(-big-1)//-1", "(-big-1)%-1",
        "big%2", "big/2", "big**2", "big**0.5", "2**-1", "'%d'%big", "'%d'%1e30", "'%x'%big", "'{}'.format(big)",
        "'{:d}'.format(big)", "[big+1]", "big+1.0", "range(big, big+2)|list", "range(big)|length", "'abc'[big:]", "'abc'[::big]",
        "'abc'[::-big]", "'abc'[:big+1]", "l[big]", "l[-big-1]", "l[0:99999999999999999999]", "big|filesizeformat",
        "big~1", "big is even", "(big+1) is even", "2**100 is divisibleby 3", "big is integer", "true+big", "-(-big-1)", "+big",
        "not big", "big and 2**70", "2**70 or 1", "'x'|center(2**70)", "'x'|truncate(2**70)", "l|batch(2**70)|list",
        "'%s'%(2**70)", "'abc'.find('c', -big, big)", "{big: 1}[9223372036854775807.0]|default('none')",
        "9223372036854775807.0 in [big]", "[big, 9223372036854775807.0]|unique|list|length", "[9223372036854775808.0, big]|sort",
        "[9223372036854775807.0, big]|max", "big == 9007199254740993.0", "9007199254740993 == 9007199254740992.0"]
NUMBERS = ["big", "(-big-1)", "9007199254740993", "9223372036854775807.0", "-9223372036854775808.0", "9007199254740992.0", "1e30",
           "-1e30", "0.5", "-0.5", "0", "true"]
for number in BIGS:
    add("number|bits|round|'%d'|'%x'|filesizeformat|range|center|truncate|batch|int", "{{ %s }}" % number,
        "{{ (%s)|tojson }}" % number, "{%% set z = %s %%}{{ z }}" % number, "{{ (%s) - 1 }}" % number, "{{ -(%s) }}" % number,
        "{{ 1 if true else (%s) }}" % number)
for left in NUMBERS:
    for right in NUMBERS:
        add("bits", *["{{ %s %s %s }}" % (left, sign, right) for sign in ["==", "<", "<=", ">"]])


def stopped(*_):
    raise TimeoutError


signal.signal(signal.SIGALRM, stopped)
recorded = []
for template, name in dict(rows).items():
    signal.alarm(2)  # Some of them ask for more memory than there is, slowly.
    try:
        text = environment.from_string(template).render(**json.loads(json.dumps(VARIABLES)))
    except (Exception, TimeoutError):
        text = None
    signal.alarm(0)
    if text is not None and (len(text) > 300 or " object at 0x" in text or name == "lipsum" and "<" in text):
        continue
    recorded.append([template, text, name])
lines = ",\n".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in recorded)
path = pathlib.Path(__file__).parent / "template_features.json"
path.write_text('{"variables":' + json.dumps(VARIABLES) + ',\n"rows":[\n' + lines + "]}\n")
