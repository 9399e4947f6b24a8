"""Records how `tokenizers` cuts texts at drawn regular expressions, and replaces their matches: tokenizer_patterns.json.

Published patterns whose matches may be empty, and drawn ones: looks ahead, atomic groups, repetitions of every kind, ends
of texts and lines. Needs `pip install tokenizers==0.23.3`; the tests read the recorded file only.
    python3 make_tokenizer_pattern_cases.py
"""
import json
import pathlib
import random

from tokenizers import Regex, normalizers, pre_tokenizers

BEHAVIOURS = {"removed": "Removed", "isolated": "Isolated", "merged_with_previous": "MergedWithPrevious",
              "merged_with_next": "MergedWithNext", "contiguous": "Contiguous"}
# Digits from the right, words, capitals, places between characters.
WRITTEN = [r"(?=(\d{3})+(?!\d))", r"(?=(?:\d{3})+\b)", r"\b", r"\B", r"(?=\p{Lu})", r"(?!\p{L})", "^", "$", r"\s*", r"\d*",
           r"(?=\s)", r"a?", r"(?:)", r"\d{1,3}(?=(?:\d{3})*\b)", r"$|^", r"(?>\s*)(?=b)"]
SIMPLE = ["a", "b", "ab", "[ab]", ".", r"\s", "1", r"\d", r"\p{L}", r"\b", r"\B", "[^a]", "^", "$", r"\w"]
PARTS = ["a", "b", "ab", "aa", "1", "11", " ", "\n", "-", "a" * 9, "ab" * 5, "1" * 7, "B", "é"]
random.seed(7)


def atom(depth):
    if depth == 0:
        return random.choice(SIMPLE)
    inner = sequence(depth - 1)
    repeat = random.choice(["*", "+", "?", "{1,3}", "*?", "+?", "*+", "++", "?+", "{2}"])
    return random.choice([f"(?:{inner}|{sequence(depth - 1)})", f"(?>{inner})", f"(?={inner})", f"(?!{inner})",
                          f"(?:{inner}){repeat}", f"(?:{inner}){repeat}", atom(0)])


def sequence(depth):
    return "".join(atom(random.randint(0, depth)) for _ in range(random.randint(1, 3)))


cases = []
for pattern in WRITTEN + [sequence(2) for _ in range(260)]:
    try:
        regex = Regex(pattern)
    except Exception:
        continue
    behaviour, inverted = random.choice(list(BEHAVIOURS)), random.random() < 0.3
    texts = ["".join(random.choice(PARTS) for _ in range(random.randint(1, 6))) for _ in range(3)]
    cut = pre_tokenizers.Split(regex, behaviour, inverted)
    replacing = normalizers.Replace(regex, "<>")
    cases.append({"pattern": pattern, "behavior": BEHAVIOURS[behaviour], "invert": inverted, "texts": texts,
                  "words": [[word for word, _ in cut.pre_tokenize_str(text)] for text in texts],
                  "replaced": [replacing.normalize_str(text) for text in texts]})
path = pathlib.Path(__file__).with_name("tokenizer_patterns.json")
path.write_text("[\n" + ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases) + "\n]\n")
