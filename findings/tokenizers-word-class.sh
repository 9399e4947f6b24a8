#!/bin/bash
# tokenizers: `\w` means two things in one tokenizer.json.
# Guess: `\w` in a Split pattern is what the Whitespace pre-tokenizer (documented as `\w+|[^\w\s]+`) calls a word.
# Seen: Split takes Latin-1's raised digits and fractions for parts of words (but no other such number), Whitespace does
# not; Whitespace takes the invisible joiners U+200C and U+200D for parts of words, Split does not.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tokenizers==0.23.3
"$folder/venv/bin/python" - <<'PYTHON'
import tokenizers
from tokenizers import Regex, pre_tokenizers as P

split = P.Split(Regex(r"\w+|[^\w\s]+"), "removed", invert=True)
white = P.Whitespace()
print("tokenizers", tokenizers.__version__)
seen = {}
for name, text in {"half": "a\u00bd", "raised two": "a\u00b2", "raised four": "a\u2074", "circled one": "a\u2460",
                   "joiner": "a\u200d", "digit": "a\u0661"}.items():
    seen[name] = (len(split.pre_tokenize_str(text)), len(white.pre_tokenize_str(text)))
    print(f"{name:12} words of Split: {seen[name][0]}  words of Whitespace: {seen[name][1]}")
expected = {"half": (1, 2), "raised two": (1, 2), "raised four": (2, 2), "circled one": (2, 2), "joiner": (2, 1), "digit": (1, 1)}
raise SystemExit(0 if seen == expected else f"changed: {seen}")
PYTHON
