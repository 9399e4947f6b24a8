#!/usr/bin/env python3
"""Records what the Hugging Face `tokenizers` library makes of some hundred texts: Tests/Oracle/tokenizer_cases.json.

    python3 -m venv venv && venv/bin/pip install tokenizers gguf
    venv/bin/python Tests/Oracle/make_tokenizer_cases.py MODEL.gguf MINILM_DIRECTORY

MODEL.gguf: SmolLM2-135M-Instruct.Q4_1.gguf; MINILM_DIRECTORY: holds all-MiniLM-L6-v2's tokenizer.json.
scripts/fetch-models gets both.
"""

import json
import pathlib
import random
import sys

from gguf import GGUFReader
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
CASED = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+%s|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*%s|%s"
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def isolated(pattern):
    return pre_tokenizers.Split(Regex(pattern), "isolated")


PRETOKENIZERS = {
    "gpt2": isolated(GPT2),
    "smollm": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), isolated(GPT2)]),
    "llama-bpe": isolated(WORDS % r"\p{N}{1,3}"),
    "qwen2": isolated(WORDS % r"\p{N}"),
    "gpt-4o": isolated(CASED % (CONTRACTIONS, CONTRACTIONS, r"\p{N}{1,3}")),
    "tekken": isolated(CASED % ("", "", r"\p{N}")),
}

HAND_WRITTEN = [
    "", " ", "  ", "   ", "\n", "\r\n", "\t", " \n ", "\n\n\n", "a", " a", "a ", "  a  ", "a\n", "\na", "a  b   c    d",
    "Hello, world!", "Hello world", "HELLO World hELLO", "The quick brown fox jumps over the lazy dog.",
    "I'm you're he's we've they'll she'd isn't", "I'M YOU'RE HE'S WE'VE THEY'LL SHE'D ISN'T", "'s 't 'x ''s '' ' 're 'r e",
    "don't!can't?won't", "it'\u017f 'S\u017f o'clock rock'n'roll", "it\u2019s don\u2019t", "x'sy'tz'll'd",
    "0", "7", "42", "123", "1234", "12345678901234567890", "1 2 3", " 1", "  12", "3.14159", "-1e-10", "1,234,567.89",
    "0x1F4A9", "a1b2c3", "v1.2.3-rc4", "2024-02-30T25:61:61Z", "$100 €200 £300 ¥400", "50% off", "1st 2nd 3rd", "½ ¼ ² ³ ①②③ Ⅷ ௧௨ ٣٤٥ १२३ ๑๒๓ 𝟘𝟙𝟚",
    "line one\nline two\r\nline three\rline four", "  indented\n    more\n\tTab\n\n\n  end  ", "trailing   ", "   leading",
    "tabs\t\tand  spaces \t mixed \n\t x", "a\u00a0b\u2003c\u3000d\u2028e\u2029f\u0085g\u200bh\ufeffi", " \u00a0 \u3000 x",
    "\u00a0word \u2003word \u3000\u3000word", "end with newline and spaces \n   ", "\n \n  \n   x", " \r\n \r\n", "!\n?\n\n", "...\r\n\r\nok",
    "def fibonacci(n):\n    if n < 2:\n        return n\n    return fibonacci(n-1) + fibonacci(n-2)\n",
    "for (int i = 0; i < n; ++i) { a[i] += b[i] * c; }  // loop", "<html><body class=\"x\">&nbsp;</body></html>",
    "https://example.org/a/b?c=d&e=f#g", "user.name+tag@example.co.uk", "C:\\Users\\me\\file.txt", "/usr/local/bin//x",
    "snake_case camelCase PascalCase SCREAMING_CASE kebab-case", "iPhone15ProMax GPT4o iOS macOSBigSur XMLHttpRequest",
    "{\"key\": [1, 2.5, null, true], \"s\": \"a\\nb\"}", "SELECT * FROM t WHERE a='b' AND c<>1;", "a++ += -> => :: ... ?? !! && || ~ ^ `",
    "# Title\n\n* item 1\n* item 2\n\n```swift\nlet x = 1\n```\n", "((((((((((", "----------", "==========", "!!!!!!!!!!!!!!!!", "................................",
    "Ünïcödé naïve café résumé Ångström", "Straße GROẞE ſtraſſe", "e\u0301 e\u0301\u0323 a\u030a\u0323 n\u0303o\u0308", "\u0301 starts with a mark", "x\u0301\u0302\u0303\u0304\u0305y",
    "Ceci n'est pas une pipe. L'été, c'est l'été.", "¿Dónde está la biblioteca? ¡Olé!", "Größe über Äpfel, Öl und Übermut: „Zitat“ «guillemets»",
    "Привет, мир! Как дела?", "Съешь же ещё этих мягких французских булок", "Γειά σου Κόσμε, ΟΔΥΣΣΕΥΣ ὀδυσσεύς", "İstanbul ISPARTA ıI iİ", "Ǆ ǅ ǆ Ǉ ǈ ǉ",
    "你好，世界！", "人工智能是计算机科学的一个分支。", "東京タワーは日本にあります。", "ｶﾞｷﾞｸﾞ ﾊﾝｶｸ ＦＵＬＬｗｉｄｔｈ １２３", "안녕하세요 세계", "각각 한글\u1100\u1161\u11a8",
    "שלום עולם", "שָׁלוֹם", "مرحبا بالعالم", "السَّلَامُ عَلَيْكُمْ", "नमस्ते दुनिया", "ক্ষণিকের অতিথি", "வணக்கம் உலகம்", "สวัสดีชาวโลก", "ສະບາຍດີ", "မင်္ဂလာပါ", "សួស្តី", "გამარჯობა მსოფლიო", "Բարեւ աշխարհ", "ሰላም ልዑል", "ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ",
    "Tiếng Việt: Xin chào thế giới, đường phố", "Český jazyk: příliš žluťoučký kůň úpěl ďábelské ódy", "Zażółć gęślą jaźń", "Příliš\tžluťoučký\nkůň",
    "😀", "😀😀😀", "👨‍👩‍👧‍👦 family", "👍🏽 thumbs 👍🏿", "🇫🇷🇩🇪🇯🇵", "❤️ ♥️ ❤", "1️⃣2️⃣ #️⃣", "🏳️‍🌈🏴‍☠️", "smile:)😀text", " 😀 😀", "🤷🏻‍♀️🧑🏽‍💻", "text\ufe0f\u20e3",
    "\u0000\u0001\u0002", "a\u0000b", "\u0007bell\u001b[31mred\u001b[0m", "\u007f\u0080\u009f", "\u200e\u200fbidi\u202a\u202c", "\ufffd\ufffe\uffff", "\ue000private\uf8ff", "\U0010ffff", "\u0378\u0379 unassigned",
    "∑∫√∞≠≤≥±×÷∂∇", "α+β=γ, E=mc²", "ℝℂℕℤ 𝔸𝕓𝒸𝓓 ﬁ ﬂ ﬆ", "→←↑↓⇒⇔", "©®™§¶†‡•", "½cup 3½", "x² + y³ = z⁴", "H₂O CO₂", "10⁻⁹", "№ ℃ Å Ω K",
    "Mixed 漢字 and кириллица и עברית with العربية 123 😀.", "abcабвαβγ中文字", "中文English混合Text测试123数字", "「引用」、『二重』。【括弧】・〜…", "a中b文c", "𠀀𠀁 𪜀 﨑 豈",
    "antidisestablishmentarianism", "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft", "a" * 33, "ab" * 50, "x" * 101, "x" * 100, "é" * 100, "é" * 101,
    "the " * 20, " the" * 20, "aaaa bbbb aaaa", "q" * 64 + " " * 64 + "q", "\n" * 40, " " * 100, "\t" * 33, "!?" * 40, "1" * 70, "a1" * 40,
    "[CLS] [SEP] [MASK] [UNK] [PAD]", "[cls]x[SEP]y", "a[MASK]b", "[[CLS]]", "##ing ing## # #", "un##believable",
    "<|im_start|>user\nhi<|im_end|>\n", "<|im_start|>", "<|im_end|", "<|im_start|><|im_end|><|endoftext|>", "a<|endoftext|>b", " <|im_start|> x <|im_end|> ", "<|<|im_start|>|>", "<repo_name>x<file_sep>y<filename>z<gh_stars>0<issue_start>",
    "Once upon a time, in a small village by the sea,", "What is the capital of France?", "Write a short poem about the sea.",
    "That is a happy person", "That is a very happy person", "Today is a sunny day", "New York-based journalist's co-workers", "U.S.A. vs. U.K. e.g. i.e.", "Ph.D. M.Sc.", "well-known state-of-the-art",
    "`code` *bold* _italic_ ~~strike~~", "a/b\\c|d", "1/2 3:4 5-6 7_8", "\"quoted\" 'single' “curly” ‘curly’", "end.Start,next;then:now", "wow!!!???...", "(a)(b)[c]{d}<e>", "^_^ :-) ;) :D <3",
]

ALPHABETS = [
    "ab cd", "a1 .\n", " \n\r\ta", "'sStTrReEvVmMlLdD ", "aB' 1", "éàüß ñ", "абв Где", "中文。a ", "一二3 ", "مرحبا ", "नमस्ते ", "😀👍🏽‍\ufe0f ", "ǅǆA中b ",
    " \u00a0\u3000\n\u2028x", "0123456789", "٣१Ⅷ½a ", "e\u0301\u0323\u0302 x", "!?.,;:-_/\\'\" a", "<|im_start|>end ", "\u0000\u0001\u200b\ufeffa ", "각가나 ᄀ\u1161\u11a8", "ªºʰⁿ aB", "/\r\n a.",
]


def texts():
    rng = random.Random(20240229)
    made = list(HAND_WRITTEN)
    for alphabet in ALPHABETS:
        for _ in range(8):
            made.append("".join(rng.choice(alphabet) for _ in range(rng.randint(2, 40))))
    everything = "".join(ALPHABETS) + "".join(HAND_WRITTEN)
    for _ in range(80):
        made.append("".join(rng.choice(everything) for _ in range(rng.randint(5, 60))))
    return made


def smollm2(path):
    fields = GGUFReader(path).fields
    read = lambda key: fields[f"tokenizer.ggml.{key}"].contents()
    tokens, kinds = read("tokens"), read("token_type")
    merges = [tuple(m.split(" ")) for m in read("merges")]

    def build(with_special):
        tokenizer = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=merges))
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
        tokenizer.decoder = decoders.ByteLevel()
        if with_special:
            tokenizer.add_special_tokens(
                [AddedToken(t, special=True, normalized=False) for t, k in zip(tokens, kinds) if k == 3])
        return tokenizer

    return build(True), build(False)


def small_byte_pairs(corpus):
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [isolated(WORDS % r"\p{N}{1,3}"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(corpus, trainers.BpeTrainer(
        vocab_size=700, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|im_start|>", "<|im_end|>", "<|endoftext|>"]))
    tokenizer.add_tokens([AddedToken("def ", normalized=False), AddedToken("[SEP]", normalized=False, rstrip=True, lstrip=True)])
    return tokenizer


def small_word_pieces(minilm, corpus):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = minilm.normalizer, minilm.pre_tokenizer
    tokenizer.train_from_iterator(corpus, trainers.WordPieceTrainer(
        vocab_size=500, limit_alphabet=120, show_progress=False, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))
    tokenizer.post_processor = minilm.post_processor
    tokenizer.decoder = decoders.WordPiece(cleanup=True)
    return tokenizer


def main():
    gguf, minilm_directory = sys.argv[1:3]
    all_texts = texts()
    with_special, plain = smollm2(gguf)
    minilm = Tokenizer.from_file(str(pathlib.Path(minilm_directory) / "tokenizer.json"))
    minilm.no_padding()
    minilm.no_truncation()
    byte_pairs, rng = small_byte_pairs(all_texts), random.Random(7)
    small = json.loads(byte_pairs.to_str())
    # "[CLS]" has other ids in the trained vocabulary: take the fixed template of MiniLM apart and use names only.
    trained = Tokenizer.from_str(minilm.to_str())
    trained.no_padding()
    pieces = small_word_pieces(minilm, all_texts)
    template = json.loads(pieces.to_str())
    for name, entry in template["post_processor"]["special_tokens"].items():
        entry["ids"] = [pieces.token_to_id(name)]
    pieces = Tokenizer.from_str(json.dumps(template))

    ids = lambda tokenizer, special=True: [tokenizer.encode(t, add_special_tokens=special).ids for t in all_texts]
    streams = []
    for _ in range(60):
        sequence = [rng.randrange(byte_pairs.get_vocab_size()) for _ in range(rng.randint(1, 12))]
        if rng.random() < 0.5:
            # Mostly loose bytes: broken and whole characters.
            sequence = [byte_pairs.token_to_id(rng.choice(pre_tokenizers.ByteLevel.alphabet())) for _ in sequence]
        streams.append({"ids": sequence, "text": byte_pairs.decode(sequence), "all": byte_pairs.decode(sequence, skip_special_tokens=False)})
    long_texts = [["a", 100000], ["ab", 50000], [" ", 100000], ["\n ", 50000], ["é", 40000], ["The quick brown fox 123. ", 4000], ["1", 100000], ["aB", 50000]]
    bert_words = []
    for text in all_texts:
        words = minilm.pre_tokenizer.pre_tokenize_str(minilm.normalizer.normalize_str(text))
        bert_words.append([word for word, _ in words])

    cases = {
        "texts": all_texts,
        "words": {name: [[len(w) for w, _ in p.pre_tokenize_str(t)] for t in all_texts] for name, p in PRETOKENIZERS.items()},
        "bert_words": bert_words,
        "smollm2": ids(plain),
        "smollm2_special": {i: with_special.encode(t).ids for i, t in enumerate(all_texts) if with_special.encode(t).ids != plain.encode(t).ids},
        "minilm": ids(minilm),
        "minilm_decoded": [minilm.decode(minilm.encode(t).ids) for t in all_texts],
        "small_bpe": {"tokenizer": small, "ids": ids(byte_pairs), "streams": streams,
                      "long": [{"unit": u, "count": n, "ids": len(e), "sum": sum(i * (k % 1009 + 1) for k, i in enumerate(e)) % 1000003}
                               for u, n in long_texts for e in [byte_pairs.encode(u * n).ids]]},
        "small_wordpiece": {"tokenizer": template, "ids": ids(pieces), "decoded": [pieces.decode(pieces.encode(t).ids) for t in all_texts]},
        "nfc": [normalizers.NFC().normalize_str(t) for t in all_texts],
    }
    target = pathlib.Path(__file__).resolve().parent / "tokenizer_cases.json"
    lines = [f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=True, separators=(',', ':'))}" for key, value in cases.items()]
    target.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{target}: {len(all_texts)} texts, {target.stat().st_size} bytes")


main()
