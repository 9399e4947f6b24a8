"""A grammar of small chat templates: expressions, filters, tests, methods, formats, loops, scopes, macros and white space,
chosen at random from a seed. Used by make_chat_template_cases.py, and by hand to hold 10^5 of them against Jinja.
Most of what it makes is wrong somewhere, so that refusals are compared as well.
"""

import random

VARIABLES = {
  "s": "Hello, World", "t": "  pad\tx \n", "u": "Größe Σίσυφος ŉ ß ǆ é", "e": "", "h": "<b a='1'>&amp;\"</b>", "ml": "one\ntwo\r\nthree\n\nfour",
  "csv": "a,b,,c", "i": 7, "z": 0, "n": -3, "f": 2.5, "g": -0.125, "big": 1e22, "b": True, "nb": False, "no": None,
  "l": [3, 1, 2], "ls": ["b", "A", "c", "a"], "le": [], "ll": [[1, 2], [3], []], "mix": [1, "a", None, 2.5, True], "lf": [0.1, 2.0, -1.5],
  "d": {"a": 1, "b": "x", "items": [1], "c": {"d": [10, 20]}}, "de": {}, "dk": {"B": 2, "a": 1, "C": 0},
  "users": [{"name": "Bob", "age": 30, "tags": ["x"], "ad": {"c": "R"}}, {"name": "alice", "age": 5, "tags": [], "ad": {"c": "P"}}, {"name": "Bob", "age": 7, "ad": {"c": "R"}}],
  "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "U <x>", "tool_calls": [{"function": {"name": "f", "arguments": {"q": 1}}}]}, {"role": "assistant", "content": None}],
}
NAMES = list(VARIABLES)
FILTERS = [("upper",[]),("lower",[]),("title",[]),("capitalize",[]),("trim",["S?"]),("string",[]),("e",[]),("escape",[]),("safe",[]),("forceescape",[]),
 ("replace",["S","S","I?"]),("center",["I?"]),("indent",["I?","B?","B?"]),("truncate",["I?","B?","S?","I?"]),("wordcount",[]),("format",["*"]),("urlencode",[]),("xmlattr",["B?"]),
 ("tojson",["B?","I?"]),("abs",[]),("int",["E?"]),("float",["E?"]),("round",["P?","M?"]),("filesizeformat",["B?"]),("default",["E?","B?"]),("d",["E?","B?"]),("length",[]),("count",[]),
 ("list",[]),("first",[]),("last",[]),("reverse",[]),("join",["S?"]),("items",[]),("dictsort",["B?","K?","B?"]),("sort",["B?","B?","A?"]),("unique",["B?","A?"]),("min",["B?","A?"]),("max",["B?","A?"]),
 ("sum",["A?","E?"]),("groupby",["A"]),("batch",["I","E?"]),("slice",["I","E?"]),("attr",["A"]),("map",["F"]),("select",["T?"]),("reject",["T?"]),("selectattr",["A","T?"]),("rejectattr",["A","T?"])]
TESTS0 = ["defined","undefined","none","boolean","true","false","integer","float","number","string","escaped","mapping","sequence","iterable","callable","odd","even","lower","upper"]
TESTS1 = ["divisibleby","in","eq","equalto","ne","gt","greaterthan","ge","lt","lessthan","le","==","!=",">","<",">=","<="]
METHS = [("upper",[]),("lower",[]),("title",[]),("capitalize",[]),("swapcase",[]),("strip",["S?"]),("lstrip",["S?"]),("rstrip",["S?"]),("split",["S?","I?"]),("rsplit",["S?","I?"]),("splitlines",["B?"]),
 ("partition",["S"]),("rpartition",["S"]),("replace",["S","S","I?"]),("removeprefix",["S"]),("removesuffix",["S"]),("join",["E"]),("center",["I","C?"]),("ljust",["I","C?"]),("rjust",["I","C?"]),("zfill",["I"]),
 ("startswith",["S","I?"]),("endswith",["S"]),("find",["S","I?","I?"]),("rfind",["S"]),("index",["S"]),("count",["S"]),("isalpha",[]),("isdigit",[]),("isupper",[]),("islower",[]),("isspace",[]),("istitle",[]),("isalnum",[]),("isidentifier",[]),("isnumeric",[]),
 ("expandtabs",["I?"]),("format",["*"]),("get",["E","E?"]),("items",[]),("keys",[]),("values",[]),("copy",[]),("count",["E"]),("index",["E"]),("append",["E"]),("pop",[]),("update",["E"]),("is_integer",[]),("casefold",[]),("encode",[])]
STRS = ["a","b","", " ", ",", "l", "He", "<", "%s", "x", "é", "\\n", "{}", "role", "user", "name"]
FMTS = ["%s","%d %s","%5.2f|%-6s|","%05d","%x","%r","%%","%(a)s-%(b)s","%+d","%e","%g","%c","%.3s","%#x","%10s"]
FORMS = ["{}","{0}-{1}","{:>8}|","{:<8}|","{:^9}|","{:08.3f}","{:,}","{:d}","{:x}","{!r}","{a}","{0[a]}","{0.x}","{:+}","{:.2f}","{:%}","{:e}","{{}}{}","{:*^10}","{:_}","{:b}","{:g}","{:5}","{:.2}"]


class Grammar:
    """One template being made: its names, macros and how deep in loops it is."""

    def __init__(self, r):
        self.r = r
        self.vars = list(NAMES)
        self.inloop = 0
        self.macros = []

    def choose(self, choices):
        return self.r.choice(choices)

    def chance(self, probability):
        return self.r.random() < probability

    def quote(self, s):
        s = s.replace("\\n","\n")
        return "'" + s.replace("\\","\\\\").replace("'","\\'").replace("\n","\\n") + "'"

    def literal(self):
        k = self.r.randrange(9)
        if k == 0: return str(self.choose([0,1,2,3,7,10,-1,255,1000]))
        if k == 1: return self.choose(["0.5","1e3","2.0","1.25","1e-7","3.14159","1e16","123456789.125"])
        if k == 2: return self.quote(self.choose(STRS))
        if k == 3: return self.choose(["true","false","none","True","None"])
        if k == 4: return "[" + ", ".join(self.expression(1) for _ in range(self.r.randrange(4))) + "]"
        if k == 5: return "{" + ", ".join(self.quote(self.choose(["a","b","k"])) + ": " + self.expression(1) for _ in range(self.r.randrange(3))) + "}"
        if k == 6: return "(" + ", ".join(self.expression(1) for _ in range(2 + self.r.randrange(2))) + ")"
        if k == 7: return "range(%s)" % self.choose(["3","1, 4","5, 0, -2","0"])
        return self.quote(self.choose(FMTS))

    def arg(self, k, d):
        k0 = k[0]
        if k0 == "S": return self.quote(self.choose(STRS)) if self.chance(.85) else self.expression(d)
        if k0 == "I": return str(self.choose([0,1,2,3,5,8,12,-1,-2])) if self.chance(.9) else self.expression(d)
        if k0 == "P": return str(self.choose([0,1,2,3,-1,-2]))
        if k0 == "B": return self.choose(["true","false"]) if self.chance(.9) else self.expression(d)
        if k0 == "C": return self.quote(self.choose(["*"," ","-","ab"]))
        if k0 == "M": return self.quote(self.choose(["common","ceil","floor","up"]))
        if k0 == "K": return self.quote(self.choose(["key","value","x"]))
        if k0 == "A": return self.quote(self.choose(["name","age","ad.c","tags.0","role","0","1","a","missing","upper"]))
        return self.expression(d)

    def args(self, spec, d):
        out = []
        for k in spec:
            if k == "*":
                out += [self.expression(d) for _ in range(self.r.randrange(3))]
                if self.chance(.2): out.append("a=" + self.expression(d))
                break
            if k[0] == "F":
                f, sp = self.choose(FILTERS)
                if self.chance(.35): return ("attribute=" + self.arg("A", d)) + (", default=" + self.expression(d) if self.chance(.3) else "")
                out.append(self.quote(f)); a = self.args(sp, 0)
                if a: out.append(a)
                break
            if k[0] == "T":
                if self.chance(.25): break
                if self.chance(.5): out.append(self.quote(self.choose(TESTS0)))
                else: out.append(self.quote(self.choose(TESTS1))); out.append(self.expression(d))
                break
            if k.endswith("?") and self.chance(.55): break
            out.append(self.arg(k, d))
        return ", ".join(out)

    def expression(self, d):
        r = self.r.random()
        if d <= 0 or r < .14: return self.choose(self.vars) if self.chance(.7) else (self.literal() if d > 0 else self.choose(["1","'a'","2.5","none","[]","x9"]))
        d -= 1
        if r < .34:
            f, sp = self.choose(FILTERS)
            kw = ""
            a = self.args(sp, d)
            if f == "tojson" and self.chance(.6): a = self.choose(["indent=2","sort_keys=true","ensure_ascii=true","separators=(',', ':')","indent=1, sort_keys=true","indent='\\t'","indent=0"])
            if f == "sort" and self.chance(.4): a = self.choose(["attribute='name'","reverse=true","attribute='age,name'","case_sensitive=true","attribute='ad.c'"])
            if f == "join" and self.chance(.3): a = "', ', attribute=" + self.arg("A", d)
            base = self.expression(d)
            if f == "format" and self.chance(.8): base = self.quote(self.choose(FMTS))
            tail = self.choose(["|list","|list","|join(',')","|length","|first",""]) if f in ("map","select","reject","selectattr","rejectattr","unique","batch","slice","reverse","items") else ""
            return "(%s)|%s%s%s" % (base, f, "(" + a + ")" if a or self.chance(.1) else "", tail)
        if r < .46:
            m, sp = self.choose(METHS)
            base = self.expression(d)
            if m == "format" and self.chance(.9): base = self.quote(self.choose(FORMS))
            if self.chance(.5): base = self.choose(["s","t","u","ml","csv","h","d","l","users[0]","e"]) if m != "format" else base
            return "(%s).%s(%s)" % (base, m, self.args(sp, d))
        if r < .52: return "%s.%s" % (self.choose(self.vars + ["(" + self.expression(d) + ")"]), self.choose(["a","b","name","role","content","x","0","1","items","upper","c.d","length","index","first","__class__","real"]))
        if r < .58: return "(%s)[%s]" % (self.expression(d), self.choose(["0","-1","1","'a'","'name'",self.expression(d),"1:",":2","::-1","-2:","::2","0:0","5:1:-1",":-1"]))
        if r < .66: return "(%s) %s (%s)" % (self.expression(d), self.choose(["+","-","*","/","//","%","**","~","+","~"]), self.expression(d))
        if r < .70: return self.quote(self.choose(FMTS)) + " % " + ("(" + self.expression(d) + ")" if self.chance(.6) else "(" + self.expression(d) + ", " + self.expression(d) + ")")
        if r < .77: return "(%s) %s (%s)" % (self.expression(d), self.choose(["==","!=","<","<=",">",">=","in","not in"]), self.expression(d)) + (" %s (%s)" % (self.choose(["<",">","==","in"]), self.expression(d)) if self.chance(.3) else "")
        if r < .82: return "(%s) is %s%s" % (self.expression(d), "not " if self.chance(.3) else "", self.choose(TESTS0) if self.chance(.6) else self.choose(["divisibleby(2)","in([1, 'a'])","eq(1)","gt 1","sameas none","sameas true","in(s)", "eq 'a'", "filter", "test"]))
        if r < .88: return "(%s) %s (%s)" % (self.expression(d), self.choose(["and","or"]), self.expression(d))
        if r < .91: return self.choose(["not (%s)","-(%s)","+(%s)"]) % self.expression(d)
        if r < .95: return "(%s if %s%s)" % (self.expression(d), self.expression(d), " else " + self.expression(d) if self.chance(.7) else "")
        if r < .97 and self.inloop: return self.choose(["loop.index","loop.index0","loop.last","loop.first","loop.length","loop.revindex","loop.previtem","loop.nextitem","loop.cycle('x','y')","loop.changed(%s)" % self.expression(d),"loop.depth"])
        if r < .985 and self.macros: return "%s(%s)" % (self.choose(self.macros), ", ".join([self.expression(d) for _ in range(self.r.randrange(3))] + (["b=" + self.expression(d)] if self.chance(.3) else [])))
        return self.choose(["dict(a=1)","dict(d, z=2)","namespace(a=1).a","cycler(1,2).next()","raise_exception('no')","joiner('; ')()","missing(1)","dict([(1,2)])","range(2)|list"])

    def output(self):
        return self.choose(["{{","{{","{{","{{-"]) + " " + self.expression(self.r.randrange(1,4)) + " " + self.choose(["}}","}}","}}","-}}"])

    def block(self, s):
        return self.choose(["{%","{%","{%","{%-","{%+"]) + " " + s + " " + self.choose(["%}","%}","%}","-%}","+%}"])

    def text(self):
        return self.choose(["a"," ","\n","  \n","x\n  ","\t","<|im|>\n","\n\n  y","{# c #}","{#- c -#}\n","é"])

    def statement(self, d):
        r = self.r.random()
        if d <= 0 or r < .3: return self.output() if self.chance(.6) else self.text()
        d -= 1
        if r < .42:
            s = self.block("if " + self.expression(2)) + self.body(d)
            if self.chance(.3): s += self.block("elif " + self.expression(2)) + self.body(d)
            if self.chance(.4): s += self.block("else") + self.body(d)
            return s + self.block("endif")
        if r < .6:
            t = self.choose(["x","y","a","s","k, v","(x, y)","i"])
            it = self.choose(["l","ls","users","d.items()","range(3)","messages","d","s","le","mix","ll","l|select","dk|dictsort","d|items", self.expression(2)])
            s = self.block("for %s in %s%s%s" % (t, it, " if " + self.expression(1) if self.chance(.2) else "", ""))
            old = list(self.vars); self.vars += [v.strip("() ") for v in t.split(",")]; self.inloop += 1
            s += self.body(d) + (self.block(("if %s" % self.expression(1))) + self.block(self.choose(["break","continue"])) + self.block("endif") if self.chance(.2) else "") + self.body(0)
            self.inloop -= 1
            if self.chance(.25): s += self.block("else") + self.body(0)
            self.vars = old
            return s + self.block("endfor")
        if r < .72:
            n = self.choose(["x","y","a","s","q","i","ns"]); 
            if self.chance(.1): return self.block("set %s, %s = %s" % (n, self.choose(["w","y"]), self.expression(2)))
            if self.chance(.15): return self.block("set ns = namespace(a=%s, b=[])" % self.expression(1)) + self.block("set ns.a = " + self.expression(2)) + "{{ ns.a }}"
            s = self.block("set %s = %s" % (n, self.expression(2))); self.vars.append(n); return s
        if r < .77:
            n = self.choose(["x","y","q"]); s = self.block("set " + n + self.choose([""," | upper"," | trim | length"])) + self.body(d) + self.block("endset"); self.vars.append(n); return s + "{{ " + n + " }}"
        if r < .84:
            n = self.choose(["m1","m2","m3"]); old = list(self.vars); il = self.inloop
            s = self.block("macro %s(%s)" % (n, self.choose(["","a","a, b=2","a='x', b=a","b=none, c=1"]))); self.vars += ["a","b"]; self.inloop = 0
            s += self.body(d) + self.choose(["","","{{ varargs }}","{{ kwargs }}","{{ caller() }}","{{ caller(1) if caller else '' }}"]); self.vars = old; self.inloop = il
            self.macros.append(n); return s + self.block("endmacro")
        if r < .88: return self.block("with %s = %s" % (self.choose(["x","w","s"]), self.expression(2)) + (", y = " + self.expression(1) if self.chance(.3) else "")) + self.body(d) + self.block("endwith")
        if r < .91: return self.block("filter " + self.choose(["upper","trim","replace('a','b')","title|lower","length","e","indent(2)","nosuch"])) + self.body(d) + self.block("endfilter")
        if r < .94 and self.macros: return self.block("call%s %s(%s)" % (self.choose(["","(x)","(x, y=1)"]), self.choose(self.macros), self.choose(["","1"]))) + self.body(d) + self.block("endcall")
        if r < .96: return self.block("generation") + self.body(d) + self.block("endgeneration")
        if r < .98: return "{% raw %}" + self.choose(["{{ x }}","  {% if %}\n"]) + "{% endraw %}" + self.text()
        return self.block("for x in %s recursive" % self.choose(["ll","users","l"])) + "{{ x }}" + self.choose(["","{{ loop(x) if x is sequence and x is not string and x is not mapping }}","{{ loop.depth }}"]) + self.block("endfor")

    def body(self, d):
        return "".join(self.statement(d) for _ in range(1 + self.r.randrange(3)))


def template(seed):
    """The template of a number."""
    r = random.Random(seed)
    g = Grammar(r)
    if r.random() < .5: return g.output() if r.random() < .6 else g.output() + g.text() + g.output()
    return g.body(3)
