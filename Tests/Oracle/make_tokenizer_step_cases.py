"""Records what `tokenizers` makes of drawn combinations of steps around small models: Tests/Oracle/tokenizer_steps.json.

Three small models, and cases that put drawn normalizers, pre-tokenizers, post-processors, decoders and added tokens around
one of them. Needs `pip install tokenizers==0.23.3`; the tests read the recorded file only.
    python3 make_tokenizer_step_cases.py
"""
import json
import pathlib
import random

from tokenizers import AddedToken, Regex, Tokenizer, decoders as D, models, normalizers as N
from tokenizers import pre_tokenizers as P, processors as R, trainers

TEXTS = ["", " ", "a", "Hello World", " the  new\tnewest \n", "<x> y<y>z <x>", "1<y>1 x<x>", " the the new", "foo_bar Foo",
         "don't I'll 12 345", "é e\u0301 हिन्दी ÅØ", "日本 中 🙂", "...!?", "a▁b <0x41>", "\u00a0x\u3000y "]
CORPUS = ["hello world the quick brown fox", "new newest lower lowest the the", "don't I'll we've 123 456", "foo_bar Foo é ä",
          "日本 中 ... !?"] * 3
SPECIAL = ["[UNK]", "[CLS]", "[SEP]"]
BEHAVIOURS = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]
random.seed(3)


def trained(model, trainer, cut):
    built = Tokenizer(model)
    built.pre_tokenizer = cut
    built.train_from_iterator(CORPUS, trainer)
    return json.loads(built.to_str())


BYTES = [f"<0x{i:02X}>" for i in range(256)]
BASES = {
    "BPE": trained(models.BPE(unk_token="[UNK]"), trainers.BpeTrainer(
        vocab_size=420, special_tokens=SPECIAL, initial_alphabet=P.ByteLevel.alphabet()), P.ByteLevel()),
    "WordPiece": trained(models.WordPiece(unk_token="[UNK]"), trainers.WordPieceTrainer(
        vocab_size=160, special_tokens=SPECIAL), P.Whitespace()),
    "Unigram": trained(models.Unigram(), trainers.UnigramTrainer(
        vocab_size=380, special_tokens=SPECIAL + BYTES, unk_token="[UNK]"), P.Metaspace()),
}


def some(choices, most):
    return [random.choice(choices)() for _ in range(random.randint(0, most))]


def normalizer():
    steps = some([N.NFC, N.NFD, N.Lowercase, N.StripAccents, N.BertNormalizer, lambda: N.BertNormalizer(lowercase=False),
                  lambda: N.BertNormalizer(strip_accents=True, lowercase=False), lambda: N.Strip(random.random() < 0.5, True),
                  lambda: N.Replace(" ", "▁"), lambda: N.Replace(Regex(" {2,}"), " "), lambda: N.Prepend("▁")], 2)
    return None if not steps else steps[0] if len(steps) == 1 else N.Sequence(steps)


def cutter():
    steps = some([lambda: P.ByteLevel(random.random() < 0.5, use_regex=random.random() < 0.6), P.Whitespace, P.WhitespaceSplit,
                  P.BertPreTokenizer, lambda: P.Metaspace(prepend_scheme=random.choice(["always", "never"])),
                  lambda: P.Punctuation(random.choice(BEHAVIOURS)), lambda: P.Digits(random.random() < 0.5),
                  lambda: P.Split(random.choice([" ", "a", Regex(r"\p{L}+"), Regex(r"\s+(?!\S)|\s+"), Regex("[A-Z]?[a-z]+")]),
                                  random.choice(BEHAVIOURS), invert=random.random() < 0.4)], 3)
    return None if not steps else steps[0] if len(steps) == 1 else P.Sequence(steps)


def frame():
    cls, sep = ("[CLS]", 1), ("[SEP]", 2)
    return random.choice([
        lambda: None, lambda: R.ByteLevel(), lambda: R.BertProcessing(sep, cls), lambda: R.RobertaProcessing(sep, cls),
        lambda: R.TemplateProcessing("[CLS] $A [SEP]", "$A $B", [cls, sep]),
        lambda: R.Sequence([R.ByteLevel(), R.TemplateProcessing("[CLS] [CLS] $A", "$A $B", [cls])])])()


def decoder():
    return random.choice([
        lambda: None, D.ByteLevel, D.WordPiece, lambda: D.WordPiece("##", cleanup=False), D.Metaspace, D.BPEDecoder,
        lambda: D.Metaspace(prepend_scheme="never"), lambda: D.Sequence([D.Replace("a", "X"), D.Fuse()]), D.Fuse,
        lambda: D.Sequence([D.Replace("▁", " "), D.ByteFallback(), D.Fuse(), D.Strip(" ", 1, 0)]), D.ByteFallback,
        lambda: D.Strip("a", 1, 1)])()


# What may lose its beginning, or get another: whether a text still begins where it did decides about a sign before it.
STARTS = ["\u0301new", "\x01 the", "\ufeffnew the", "\tnew\x01", " the", "aab", "ab a", "<x> the", "the<x> new", "\n\na\u0301<y>",
          "\u00a0<x>a", "e\u0301a", ".new.", "日本", "▁the", "\u200b\u0301 a"]


def changed_start():
    steps = some([N.NFC, N.NFD, N.Lowercase, N.StripAccents, N.BertNormalizer, lambda: N.BertNormalizer(lowercase=False),
                  lambda: N.Strip(True, random.random() < 0.5), lambda: N.Replace("a", random.choice(["", "z", "zz"])),
                  lambda: N.Replace("ab", "z"), lambda: N.Replace(" ", "▁"), lambda: N.Prepend("▁"), lambda: N.Prepend("a"),
                  lambda: N.Replace(Regex(r"^\s+"), ""), lambda: N.Replace(Regex(r"\s+"), ""),
                  lambda: N.Replace(Regex(" +"), " "), lambda: N.Replace(".", "")], 3)
    return None if not steps else steps[0] if len(steps) == 1 else N.Sequence(steps)


def signs_at_start():
    """Signs before the beginning of a text, around cuts that part it from what it became."""
    steps = some([P.WhitespaceSplit, P.Whitespace, P.BertPreTokenizer, lambda: P.Punctuation(random.choice(BEHAVIOURS)),
                  lambda: P.Split(random.choice(["a", Regex("^[ab]"), Regex("[abe]+")]), "removed", invert=random.random() < 0.4),
                  lambda: P.Metaspace(prepend_scheme=random.choice(["always", "first", "never"]))], 2)
    steps.append(P.Metaspace(prepend_scheme="first", split=random.random() < 0.5))
    return steps[0] if len(steps) == 1 else P.Sequence(steps)


def decoders():
    steps = some([D.ByteLevel, D.WordPiece, lambda: D.WordPiece("@@", cleanup=False), D.Fuse, D.Metaspace, D.ByteFallback,
                  D.ByteFallback, lambda: D.Metaspace(prepend_scheme="never"), lambda: D.BPEDecoder("e"),
                  lambda: D.Replace("▁", " "), lambda: D.Replace(Regex(r"e|\s+"), "z"), lambda: D.Replace("e", ""),
                  lambda: D.Strip(" ", 1, 0), lambda: D.Strip("e", 0, 1)], 4)
    return None if not steps else D.Sequence(steps)


def drawn_ids(count):
    """Runs of a few tokens, of bytes above all: the first of the vocabulary are those."""
    drawn = []
    for _ in range(12):
        some_ids = random.choices(range(len(SPECIAL), count if random.random() < 0.5 else 259), k=random.randint(1, 4))
        drawn.append([random.choice(some_ids + [random.randrange(count)]) for _ in range(random.randint(1, 9))])
    return drawn


def case(kind, atStart=False):
    file = json.loads(json.dumps(BASES[kind]))
    if kind != "WordPiece":
        file["model"]["byte_fallback"] = kind == "Unigram" and random.random() < 0.5
    if kind == "BPE":
        file["model"].update(fuse_unk=random.random() < 0.5, ignore_merges=random.random() < 0.4)
    # Only through the file can there be no step at all.
    parts = [None, None, None, None]
    if atStart:
        parts = [changed_start(), signs_at_start(), None, decoders()]
    else:
        parts = [normalizer(), cutter(), frame(), decoder()]
    texts = STARTS if atStart else TEXTS
    for part, value in zip(["normalizer", "pre_tokenizer", "post_processor", "decoder"], parts):
        file[part] = None if value is None else json.loads(value.__getstate__())
    built = Tokenizer.from_str(json.dumps(file))
    for text in ["<x>", "<y>", "new", " the"]:
        if random.random() < 0.5:
            flags = {name: random.random() < 0.4 for name in ["lstrip", "rstrip", "single_word", "normalized"]}
            add = built.add_special_tokens if random.random() < 0.3 else built.add_tokens
            add([AddedToken(text, **flags)])
    ids = [built.encode(text).ids for text in texts]
    file = json.loads(built.to_str())
    # Normalized tokens come back as the normalizer leaves them, which is not what they are called.
    isOdd = any(built.id_to_token(t["id"]) != t["content"] for t in file["added_tokens"])
    changes = {"model": {k: v for k, v in file["model"].items() if k not in ("vocab", "merges")}}
    changes.update({k: file[k] for k in ("normalizer", "pre_tokenizer", "post_processor", "decoder")})
    changes["added_tokens"] = file["added_tokens"][len(BASES[kind]["added_tokens"]):]
    made = {"base": kind, "changes": changes, "ids": ids, "decoded": None if isOdd else [built.decode(i) for i in ids]}
    if not atStart:
        return made
    drawn = [] if isOdd else drawn_ids(built.get_vocab_size())
    return {**made, "texts": STARTS, "drawn": [[ids, built.decode(ids, skip_special_tokens=False)] for ids in drawn]}


cases = []
while len(cases) < 300:
    try:
        cases.append(case(random.choice(list(BASES))) if len(cases) < 200 else case("Unigram", atStart=True))
    except BaseException as error:  # The library panics at some combinations.
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise


def line(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


bases = {name: {k: base[k] for k in ("version", "added_tokens", "model")} for name, base in BASES.items()}
path = pathlib.Path(__file__).parent / "tokenizer_steps.json"
path.write_text('{"texts":' + line(TEXTS) + ',\n"bases":' + line(bases) + ',\n"cases":[\n' + ",\n".join(map(line, cases))
                + "]}\n")
