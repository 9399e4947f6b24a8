"""Records what `tokenizers` and `sentencepiece` make of texts: Tests/Oracle/tokenizer_models.json.

Families of pre-tokenizers (patterns as llama.cpp's sources in llama-cpp-python 0.3.36 list them, with the original where
those adapt it), small SentencePiece models with and without bytes, tokenizer.json files with every kind of step.
Needs `pip install tokenizers==0.23.3 sentencepiece==0.2.3 protobuf`; the tests read the recorded file only.
    python3 make_tokenizer_model_cases.py
"""
import io
import json
import pathlib
import random
import tempfile

import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as proto
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers)

HERE = pathlib.Path(__file__).parent
S = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
END = r"|\s*[\r\n]+|\s+(?!\S)|\s+"
WORDS = S + r"|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*" + END
U, L = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
CASED = rf"[^\r\n\p{{L}}\p{{N}}]?{U}*{L}+%s|[^\r\n\p{{L}}\p{{N}}]?{U}+{L}*%s|%s| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*" + END
DEEPSEEK = (r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"""
            + END)
# Written by number: some of these letters would not survive an editor that composes texts.
LETTERS = "".join("-".join(chr(int(v, 16)) for v in entry.split("-")) for entry in (
    "41-5A 61-7A B5 C0-D6 D8-F6 F8-1BA 1BC-1BF 1C4-293 295-2AF 370-373 376 377 37B-37D 37F 386 388-38A "
    "38C 38E-3A1 3A3-3F5 3F7-481 48A-52F 531-556 10A0-10C5 13A0-13F5 13F8-13FD 1C90-1CBA 1CBD-1CBF "
    "1D00-1D2B 1D6B-1D77 1D79-1D9A 1E00-1F15 1F18-1F1D 1F20-1F45 1F48-1F4D 1F50-1F57 1F59 1F5B 1F5D "
    "1F5F-1F7D 1F80-1FB4 1FB6-1FBC 1FBE 1FC2-1FC4 1FC6-1FCC 1FD0-1FD3 1FD6-1FDB 1FE0-1FEC 1FF2-1FF4 "
    "1FF6-1FFC 2102 2107 210A-2113 2115 2119-211D 2124 2126 2128 212A-212D 212F-2134 2139 213C-213F "
    "2145-2149 214E 2183 2184 2C00-2C7B 2C7E-2CE4 2CEB-2CEE 2CF2 2CF3 A640-A66D A680-A69B A722-A76F "
    "A771-A787 A78B-A78E AB70-ABBF FB00-FB06 FB13-FB17 FF21-FF3A FF41-FF5A 10400-1044F 104B0-104D3 "
    "104D8-104FB 10C80-10CB2 10CC0-10CF2 118A0-118DF 1E900-1E943").split())
FAMILIES = {
    "default": [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"],
    "granite-docling": [GPT2], "smollm": [r"\p{N}", GPT2], "llama-bpe": [WORDS % r"\p{N}{1,3}"],
    "qwen2": [WORDS % r"\p{N}"], "gpt-4o": [CASED % (S + "?", S + "?", r"\p{N}{1,3}")],
    "tekken": [CASED % ("", "", r"\p{N}")],
    "qwen35": [S + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*" + END],
    "falcon": [r"[\p{P}\$\+<=>\^~\|`]+", GPT2, "[0-9][0-9][0-9]"],
    "deepseek-llm": ["[\r\n]", rf"\s?[{LETTERS}]+", r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$", "[一-龥ࠀ-一가-퟿]+", r"\p{N}+"],
    "deepseek-coder": ["[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+", r"\p{N}"],
    "deepseek-v3": [r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+", DEEPSEEK],
    "youtu": ["[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+", CASED % (S + "?", S + "?", r"\p{N}")],
    "bloom": [r" ?[^(\s|.,!?…。，、।۔،)]+"], "viking": [r" ?[^(\s|.,!?…。，、।۔،)]+", r"\p{N}"],
    "bailingmoe": [r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"],
    "seed-coder": [S + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+" + END],
    "exaone-moe": [S + r"|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"],
    "minicpm5": [r"\p{N}{1,3}", WORDS % r"\p{N}+"],
    "jais-2": [S + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
               + "".join(rf"\s{{{n}}}(?!\S)|" for n in [512, 256, 128, 64, 32, 16, 8, 4]) + r"\s{1,2}(?!\S)|\s{1}"],
    "tiny_aya": [r"\d{1,3}(?=(?:\d{3})*\b)", CASED % (S + "?", S + "?", r"\p{N}{1,3}")],
    "chameleon": ["<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", r"([\t\n]|    |  )", r"\p{N}",
                  r"[\p{P}!-/:-@\[-`{-~]", GPT2],
    "laguna": [r"[^\n]+|[\n]+", WORDS % r"\p{N}"],
    "ufakzeka": [r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*" + END],
}
TEXTS = [
    "", " ", "   ", "\n", " \n\n ", "\t x", "Hello, world! It's 1234567 things.", "don't I'LL they'Ve it'ſ", "a  b   c\r\n\r\n d",
    "x = y+1; // <tag> `code` ~^|$", "中文字符，测试。日本語テスト カタカナ 한국어ㄱ", "Ünïcödé é e\u0301 नमस्ते دنیا", "ＡＢ１２ ﬁn ½ Ⅳ",
    "12 123 1234 12345 3.14 1,000", "\u00a0a\u2003b\u3000c\u2028d", "🧱👩‍👩‍👧 end", "<sentinel:12> IMGIMGABZ", "snake_case CamelCase HTMLParser",
    "    indented\n\tcode\n", "…—“quoted” ‘x’ ？！", "a" * 70, " " * 40 + "z", "the cat sat on the mat", "<0x41> <unk> ▁x</s>",
    "[AB] x[AB]y [ab]  [CD]\u2003tail", "wordx word xword word_ ünword word", "ΟΔΟΣ İ Straße", "tail  ",
]
random.seed(7)
POOLS = ["abc", "XYZ", "0123", "  \t\n\r", ".,!?'-_/", "$+<=>^`|~", "éßñ\u0301\u0323", "中文あカ한ㄱ", "дΩא", "٣१Ⅷ½", "\u00a0\u2003\u3000\u200b", "🧱\ufe0f\u200d", "'s't", "ǅʰ"]
for _ in range(60):
    pools = random.sample(POOLS, 4)
    TEXTS.append("".join(random.choice(random.choice(pools)) for _ in range(random.randint(3, 24))))

families = {}
for name, patterns in FAMILIES.items():
    cut = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(p), "isolated") for p in patterns])
    families[name] = [[len(piece) for piece, _ in cut.pre_tokenize_str(text)] for text in TEXTS]

CORPUS = ["the cat sat on the mat and the dog sat on the log", "hello world hello there world", "a quick brown fox 123 45 67",
          "don't stop, can't stop; won't stop!", "Ünïcödé é ñ straße", "中文 字符 测试 中文", "sing singing singer sings",
          "x = y + 1 (code) [list] {dict}", "Hello World THE CAT"] * 3


def piece_model(kind, size, **more):
    with tempfile.TemporaryDirectory() as folder:
        rules = pathlib.Path(folder) / "rules.tsv"
        rules.write_text("\n".join(["FF21\t41", "FF22\t42", "FB01\t66 69", "BD\t31 2F 32", "2163\t49 56", "A0\t20", "3000\t20",
                                    "65 301\tE9", "9\t20", "A\t20", "D\t20", "200B\t"]) + "\n")
        written = io.BytesIO()
        chosen = ({"normalization_rule_tsv": str(rules)} if more.pop("mapped", False)
                  else {"normalization_rule_name": "identity"})
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(CORPUS), model_writer=written, model_type=kind, vocab_size=size,
            character_coverage=1.0, hard_vocab_limit=False, minloglevel=2, **chosen, **more)
    return proto.ModelProto.FromString(written.getvalue())


def pieces(model):
    spec = model.normalizer_spec
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())
    return {"tokens": [p.piece for p in model.pieces], "scores": [p.score for p in model.pieces],
            "kinds": [p.type for p in model.pieces], "space": spec.add_dummy_prefix,
            "removes": spec.remove_extra_whitespaces, "map": list(spec.precompiled_charsmap),
            "ids": [processor.encode(text) for text in TEXTS], "decoded": [processor.decode(processor.encode(t)) for t in TEXTS]}


sp = {}
for fallback in (False, True):
    extra = 256 if fallback else 0
    for removes in (False, True):
        name = f"{'bytes ' if fallback else ''}{'tidy ' if removes else ''}"
        shared = dict(byte_fallback=fallback, remove_extra_whitespaces=removes)
        sp[f"{name}bpe"] = pieces(piece_model("bpe", 120 + extra, **shared))
        sp[f"{name}unigram"] = pieces(piece_model("unigram", 110 + extra, **shared))
sp["mapped unigram"] = pieces(piece_model("unigram", 110, mapped=True, remove_extra_whitespaces=True))
sp["bare bpe"] = pieces(piece_model("bpe", 120, add_dummy_prefix=False, remove_extra_whitespaces=False))

files = {}


def record(name, tokenizer):
    ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in TEXTS]
    files[name] = {"tokenizer": json.loads(tokenizer.to_str()), "ids": ids}


def trained(model, trainer, normalizer=None, cut=None, decoder=None, added=()):
    tokenizer = Tokenizer(model)
    if normalizer:
        tokenizer.normalizer = normalizer
    if cut:
        tokenizer.pre_tokenizer = cut
    if decoder:
        tokenizer.decoder = decoder
    tokenizer.train_from_iterator(CORPUS, trainer)
    for token in added:
        (tokenizer.add_special_tokens if token.special else tokenizer.add_tokens)([token])
    return tokenizer


BYTES = [f"<0x{b:02X}>" for b in range(256)]
N, P = normalizers, pre_tokenizers


def unigram(**more):
    return trained(models.Unigram(), trainers.UnigramTrainer(vocab_size=90, unk_token="<unk>", special_tokens=["<unk>"],
                                                             show_progress=False), **more)


def rebuilt(tokenizer, change):
    value = json.loads(tokenizer.to_str())
    change(value)
    return Tokenizer.from_str(json.dumps(value))


def with_bytes(value):
    value["model"]["vocab"] += [[b, -20.0] for b in BYTES]
    value["model"]["byte_fallback"] = True


base = unigram(cut=P.Metaspace(), decoder=decoders.Metaspace())
record("unigram", base)
record("unigram bytes", rebuilt(base, with_bytes))
record("unigram first", unigram(cut=P.Metaspace(prepend_scheme="first"), added=[AddedToken("[AB]", special=True)]))
record("unigram whole", unigram(cut=P.Metaspace(prepend_scheme="never", split=False)))
mapped = bytes(sp["mapped unigram"]["map"])
record("unigram mapped", unigram(normalizer=N.Sequence([N.Precompiled(mapped), N.Replace(Regex(" {2,}"), " ")]),
                                 cut=P.Sequence([P.WhitespaceSplit(), P.Metaspace()])))


def bpe(size=120, **more):
    options = {k: more.pop(k) for k in ("byte_fallback", "fuse_unk", "ignore_merges") if k in more}
    special = ["<unk>"] + (BYTES if options.get("byte_fallback") else [])
    return trained(models.BPE(unk_token="<unk>", **options), trainers.BpeTrainer(
        vocab_size=size + len(special), special_tokens=["<unk>"], show_progress=False), **more) if not options.get(
        "byte_fallback") else byte_bpe(size, options, **more)


def byte_bpe(size, options, **more):
    plain = trained(models.BPE(unk_token="<unk>"), trainers.BpeTrainer(
        vocab_size=size, special_tokens=["<unk>"], show_progress=False), **more)

    def change(value):
        for byte in BYTES:
            value["model"]["vocab"][byte] = len(value["model"]["vocab"])
        value["model"].update(options)
    return rebuilt(plain, change)


LLAMA = N.Sequence([N.Prepend("▁"), N.Replace(" ", "▁")])
record("bpe bytes", bpe(normalizer=LLAMA, byte_fallback=True, fuse_unk=True, decoder=decoders.Sequence(
    [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])))
record("bpe unknown", bpe(cut=P.Metaspace(), fuse_unk=False))
record("bpe fused", bpe(cut=P.Whitespace(), fuse_unk=True))
record("bpe signs", bpe(normalizer=N.Sequence([N.NFD(), N.StripAccents(), N.Lowercase()]), cut=P.Sequence(
    [P.WhitespaceSplit(), P.Punctuation("contiguous"), P.Digits(individual_digits=False)])))
for behavior in ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]:
    for inverted in (False, True):
        record(f"bpe {behavior} {inverted}", bpe(size=60, cut=P.Split(Regex(r"[aeiou\s]"), behavior, inverted)))


def levels(cut, **more):
    return trained(models.BPE(**more.pop("model", {})), trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=P.ByteLevel.alphabet(), show_progress=False), cut=cut,
        decoder=decoders.ByteLevel(), **more)


def level(*patterns):
    return P.Sequence([P.Split(Regex(p), "isolated") for p in patterns] + [P.ByteLevel(False, use_regex=False)])


record("bytes deepseek", levels(level(*FAMILIES["deepseek-v3"])))
record("bytes falcon", levels(P.Sequence([P.Punctuation("contiguous"), P.ByteLevel(False), P.Digits(False),
                                          P.Split(Regex("[0-9][0-9][0-9]"), "isolated")])))
ADDED = [AddedToken("[AB]", lstrip=True, special=True, normalized=False), AddedToken("[CD]", rstrip=True, normalized=False),
         AddedToken("word", single_word=True, normalized=False), AddedToken("ŪN", normalized=True),
         AddedToken("wordx", normalized=True), AddedToken("CAT", normalized=True, lstrip=True, rstrip=True)]
record("added", levels(P.ByteLevel(False), normalizer=N.Sequence([N.NFC(), N.Lowercase()]), added=ADDED))
record("added bare", levels(P.ByteLevel(True), added=ADDED))
lines = ",\n".join(json.dumps(k) + ": " + json.dumps(v, ensure_ascii=False, separators=(",", ":")) for k, v in files.items())
models_text = ",\n".join(json.dumps(k) + ": " + json.dumps(v, ensure_ascii=False, separators=(",", ":")) for k, v in sp.items())
cuts = ",\n".join(json.dumps(k) + ": " + json.dumps(v, separators=(",", ":")) for k, v in families.items())
(HERE / "tokenizer_models.json").write_text(
    '{"texts": ' + json.dumps(TEXTS, ensure_ascii=False) + ',\n"families": {\n' + cuts + '},\n"pieces": {\n' + models_text
    + '},\n"files": {\n' + lines + "}}\n")
