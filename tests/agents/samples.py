"""Generates configuration files as people write them: odd, commented, valid. One seed gives one file."""

import json
import random
import tomllib
from dataclasses import dataclass, field

WORDS = ["alpha", "beta-2", "γάμμα", "naïve", "x", "long_name", "日本", "UPPER", "1st", "a.b", "s p", "emoji🙂", ""]
TRAPS = [
    "[model_providers.meshproxy]",
    "model_provider = 'x'",
    "# no comment",
    '"quoted" [[arrays]]',
    "a = { b = 1 }",
    "tab\there",
    "ünïcödé ✓",
    "}{][",
    "// no comment",
    "/* nor this */",
]


@dataclass
class Sample:
    """A file's text and the comments that were put into it."""

    text: str
    comments: list[str] = field(default_factory=list)


class _TomlWriter:
    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.comments: list[str] = []
        self.names = 0

    def write(self) -> Sample:
        lines = [line for _ in range(self.rng.randrange(4)) for line in self.noise()]
        lines += self.pairs(self.rng.randrange(5))
        lines += self.known_keys()
        providers, sections = self.providers()
        lines += providers
        sections += [self.section() for _ in range(self.rng.randrange(5))]
        self.rng.shuffle(sections)
        for section in sections:
            lines += section
        newline = self.rng.choice(["\n", "\n", "\n", "\r\n"])
        text = newline.join(line.replace("\n", newline) for line in lines)
        text += newline if self.rng.random() < 0.7 else ""
        # The order of sections was shuffled: comments are looked up one by one.
        return Sample(("\ufeff" if self.rng.random() < 0.1 else "") + text, self.comments)

    def comment(self) -> str:
        text = f"# {self.rng.choice(TRAPS)} {len(self.comments)}"
        self.comments.append(text)
        return text

    def noise(self) -> list[str]:
        blanks = [" " * self.rng.randrange(3) for _ in range(self.rng.randrange(3))]
        return [*blanks, self.rng.choice(["", "  ", "\t"]) + self.comment()] if self.rng.random() < 0.5 else blanks

    def key(self) -> str:
        self.names += 1
        word = f"{self.rng.choice(WORDS)}{self.names}"
        if word.isascii() and word.replace("-", "").replace("_", "").isalnum() and self.rng.random() < 0.7:
            return word
        return json.dumps(word, ensure_ascii=False) if self.rng.random() < 0.5 else f"'{word}'"

    def value(self, depth: int = 0) -> str:
        rng, trap = self.rng, self.rng.choice(TRAPS)
        choices = [
            lambda: json.dumps(trap, ensure_ascii=False),
            lambda: f"'{trap.replace(chr(39), '')}'",
            lambda: rng.choice(["0x_".replace("_", "1F"), "1_000", "-0", "3.14e-10", "inf", "-nan", "true", "false"]),
            lambda: rng.choice(["1979-05-27T07:32:00Z", "1979-05-27 07:32:00.5", "07:32:00", "1979-05-27"]),
            lambda: f'"""\n{trap.replace(chr(34), "")}\n[not.a.table]\nkey = 1 \\\n  # still text\n"""',
            lambda: f"'''\n{trap.replace(chr(39), '')}\n[[nor_this]]\n'''",
            lambda: '"""ends with quotes"""""',
        ]
        if depth < 2:
            choices += [lambda: self.array(depth), lambda: self.inline(depth)]
        return rng.choice(choices)()

    def array(self, depth: int) -> str:
        items = [self.value(depth + 1) for _ in range(self.rng.randrange(3))]
        if self.rng.random() < 0.5:
            return f"[{', '.join(items)}]"
        inner = "".join(f"  {item},  {self.comment()}\n" for item in items)
        return f"[\n{inner}]"

    def inline(self, depth: int) -> str:
        items = [f"{self.key()} = {self.short()}" for _ in range(self.rng.randrange(3))]
        return "{ " + ", ".join(items) + " }" if depth or items else "{}"

    def short(self) -> str:
        return self.rng.choice(["1", '"}"', "'{'", "[1, 2]", "{ }", "true"])

    def pairs(self, count: int) -> list[str]:
        lines: list[str] = []
        for _ in range(count):
            key = self.key()
            if self.rng.random() < 0.2:
                key = f"{key}{self.rng.choice(['.', ' . '])}{self.key()}"
            indent = self.rng.choice(["", "", "  ", "\t"])
            tail = f"  {self.comment()}" if self.rng.random() < 0.2 else self.rng.choice(["", "", " "])
            equals = self.rng.choice([" = ", "=", "  =\t"])
            lines += [f"{indent}{key}{equals}{self.value()}{tail}", *self.noise()]
        return lines

    def known_keys(self) -> list[str]:
        lines = []
        for key, value in (("model_provider", "'mine'"), ("model", '"gpt-x"')):
            if self.rng.random() < 0.3:
                lines.append(f"{key} = {value} {self.comment()}" if self.rng.random() < 0.5 else f'"{key}"={value}')
        return lines

    def providers(self) -> tuple[list[str], list[list[str]]]:
        """Return `model_providers` in one of the forms that TOML has for it."""
        form = self.rng.randrange(7)
        if form == 0:
            return [f"model_providers = {{ mine = {{ name = 'm' }} }} {self.comment()}"], []
        if form == 1:
            return ["model_providers.mine.name = 'm'", "model_providers . mine . base_url = 'u'"], []
        if form == 2:
            return [], [[f'[ model_providers . "mine" ] {self.comment()}', *self.pairs(2)]]
        if form == 3:
            return [], [["[model_providers]", "mine = { name = 'm' }", "  other.name = 'o'", *self.noise()]]
        if form == 4:
            return [], [["[model_providers]", *self.noise()], ["[model_providers.mine]", *self.pairs(1)]]
        return [], []

    def section(self) -> list[str]:
        name = self.key()
        if self.rng.random() < 0.3:
            bodies = [[f"[[{name}]]", *self.pairs(2), f"[{name}.sub]", *self.pairs(1)] for _ in range(2)]
            return [line for body in bodies for line in body]
        deeper = f".{self.key()}" if self.rng.random() < 0.4 else ""
        tail = f" {self.comment()}" if self.rng.random() < 0.3 else ""
        return [
            *self.noise(),
            f"{self.rng.choice(['', ' '])}[{name}{deeper}]{tail}",
            *self.pairs(self.rng.randrange(4)),
        ]


def toml_sample(seed: int) -> Sample:
    """Return a valid `config.toml`; the rare invalid draft is thrown away."""
    rng = random.Random(seed)
    while True:
        sample = _TomlWriter(rng).write()
        try:
            tomllib.loads(sample.text.removeprefix("\ufeff"))
        except tomllib.TOMLDecodeError:
            continue
        return sample


class _JsonWriter:
    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.commented = rng.random() < 0.4
        self.trailing = self.commented and rng.random() < 0.5
        self.style = rng.choice(["compact", "spaced", "lines", "lines", "odd"])
        self.indent = rng.choice(["  ", "    ", "\t"])
        self.newline = rng.choice(["\n", "\n", "\r\n"])
        self.comments: list[str] = []

    def write(self) -> Sample:
        if self.rng.random() < 0.03:
            return Sample(self.rng.choice(["", "\n", "{}", "{ }\n", "{\n}"]))
        members = {f"{self.rng.choice(WORDS)}{n}": self.value(0) for n in range(self.rng.randrange(5))}
        members |= self.known()
        order = list(members.items())
        self.rng.shuffle(order)
        text = self.gap(0) + self.object(order, 0) + self.rng.choice(["", self.newline, " \t"])
        return Sample(("\ufeff" if self.rng.random() < 0.1 else "") + text, self.comments)

    def known(self) -> dict[str, str]:
        members: dict[str, str] = {}
        if self.rng.random() < 0.3:
            members["apiKeyHelper"] = self.string("/my/own --helper")
        if self.rng.random() < 0.6:
            env = {name: self.string("v") for name in ("FOO", "BAR") if self.rng.random() < 0.5}
            if self.rng.random() < 0.3:
                env["ANTHROPIC_AUTH_TOKEN"] = self.string("sk-ant-mine")
            if self.rng.random() < 0.4:
                lines = self.rng.choice(["X-Mine: 1", "X-Mine: 1\nmeshagent-session: old\nX-Z: 2", ""])
                env["ANTHROPIC_CUSTOM_HEADERS"] = self.string(lines)
            members["env"] = self.object(list(env.items()), 1)
        return members

    def string(self, text: str) -> str:
        return json.dumps(text, ensure_ascii=self.rng.random() < 0.5)

    def value(self, depth: int) -> str:
        if depth < 2 and self.rng.random() < 0.4:
            if self.rng.random() < 0.5:
                items = [(f"{self.rng.choice(WORDS)}{n}", self.value(depth + 1)) for n in range(self.rng.randrange(4))]
                return self.object(items, depth + 1)
            return "[" + ", ".join(self.value(depth + 1) for _ in range(self.rng.randrange(3))) + "]"
        if self.rng.random() < 0.6:
            return self.string(self.rng.choice(TRAPS))
        return self.rng.choice(["0", "-1.5e+10", "1E2", "true", "null", "12345678901234567890", '"\\ud83d"'])

    def gap(self, depth: int) -> str:
        if self.commented and self.rng.random() < 0.2:
            trap = self.rng.choice(TRAPS).replace("*/", "")
            line = self.rng.random() < 0.5
            text = f"// {trap} {len(self.comments)}" if line else f"/* {trap} {len(self.comments)} */"
            self.comments.append(text)
            return f" {text}{self.newline if line else ' '}"
        return self.rng.choice(["", " ", self.newline, "\t"]) if self.style == "odd" else ""

    def object(self, members: list[tuple[str, str]], depth: int) -> str:
        if not members:
            return "{" + self.gap(depth) + "}"
        colon = {"compact": ":", "odd": " :\t"}.get(self.style, ": ")
        pairs = [f"{self.gap(depth)}{self.string(key)}{colon}{value}{self.gap(depth)}" for key, value in members]
        comma = "," if self.trailing else ""
        if self.style in {"compact", "odd"}:
            return "{" + ",".join(pairs) + comma + "}"
        if self.style == "spaced":
            return "{" + ", ".join(pairs) + comma + "}"
        inner = self.newline + self.indent * (depth + 1)
        return "{" + inner + f",{inner}".join(pairs) + comma + self.newline + self.indent * depth + "}"


def json_sample(seed: int) -> Sample:
    """Return a valid `settings.json`, in some cases with comments and trailing commas."""
    return _JsonWriter(random.Random(seed)).write()
