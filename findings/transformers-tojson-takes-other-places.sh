#!/bin/bash
# transformers: in chat templates `tojson(2)` does not indent by 2, it writes ASCII only.
# Guessed: as in Jinja, whose filter is tojson(value, indent), the first argument is the indent.
# Seen: transformers replaces the filter by one with the places (ensure_ascii, indent, separators, sort_keys), so that 2
# is a true `ensure_ascii`; only `tojson(indent=2)` indents. What Jinja escapes for HTML (`<`) is left alone as well.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install transformers==5.24.0 jinja2==3.1.6
"$folder/venv/bin/python" - <<'PYTHON'
import jinja2
import transformers
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel({"a": 0}, unk_token="a")))


def chat(template):
    return tokenizer.apply_chat_template(
        [{"role": "user", "content": "<é>"}], chat_template=template, tokenize=False)


def plain(template):
    return jinja2.Environment().from_string(template).render(messages=[{"role": "user", "content": "<é>"}])


print("transformers", transformers.__version__, "jinja2", jinja2.__version__)
by_place, by_name = "{{ messages[0]|tojson(2) }}", "{{ messages[0]|tojson(indent=2) }}"
for name, text, seen in [
    ("transformers, tojson(2)", chat(by_place), '{"role": "user", "content": "<\\u00e9>"}'),
    ("transformers, tojson(indent=2)", chat(by_name), '{\n  "role": "user",\n  "content": "<é>"\n}'),
    ("jinja2, tojson(2)", plain(by_place), '{\n  "content": "\\u003c\\u00e9\\u003e",\n  "role": "user"\n}'),
]:
    print(f"{name}:\n{text}")
    assert text == seen, (name, text, seen)
PYTHON
