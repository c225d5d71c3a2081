"""Which pieces of a question can be the value of an argument, and which of them its name, type or wording points to.

Rules of language, not of a data set: a proper name is not cut in two, a value does not begin or end with a function
word, a number beside the argument's own word belongs to it, what stands after "from" is where something starts.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

LONGEST = 8
# They tell nothing of what a text is about, and no value begins or ends with one.
FUNCTION_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an the of in on at to for from by with and or as is are was were be been do does did can could will would"
        " should may might i me my we our you your he she it its they their this that these those what which who whom"
        " whose when where why how not no please find get give tell show let about into than then there if also using"
        " use has have had between within during per under over near around calculate want need much many check"
        " hi hello hey thanks thank sure yes ok okay dear called named titled regarding located",
    )
)
# They begin no value: what is asked for stands behind them.
_REQUESTS = frozenset(
    ("help", "retrieve", "provide", "finally", "additionally", "lastly", "moreover", "i'd", "i'm", "i'll", "let's")
)
_DETERMINERS = frozenset(("the", "a", "an", "my", "our", "your", "this", "that", "these", "those", "some", "all", "me"))
_CAPITAL = re.compile(r"[A-Z][\w.'&-]*")
_SMALL_LINK = frozenset({"of", "de", "da", "la", "van", "von", "the"})
_START = ("from", "start", "origin", "source", "departure", "depart", "base")
_GOAL = ("to", "end", "destination", "target", "arrival", "dest")
_PLACE = ("location", "city", "state", "country", "region", "place", "area", "jurisdiction", "county", "province")
_TIME = ("date", "day", "month", "year", "time", "period")
_BY = frozenset(("author", "artist", "writer", "singer", "composer", "director", "band"))
# Arguments whose value is a proper name, and those whose value is a time; and how the two look.
_NAMED = frozenset(
    (*_PLACE, "person", "author", "artist", "actor", "director", "composer", "team", "player", "company")
)
_NAMED_LOOK = re.compile(r"(?:\d+ )?[A-Z]|[^\x00-\x7f]")
_TIME_LOOK = re.compile(
    r"\d|today|tomorrow|yesterday|tonight|morning|evening|noon|night|weekend|week|month|year|\bday|now|last|next|this|past"
    r"|current|latest|(?:mon|tues|wednes|thurs|fri|satur|sun)day|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|spring|summer"
    r"|autumn|fall|winter|[年月日天周]",
    re.IGNORECASE,
)
# What is written in one word says by its signs what it is; looked for by a word of the argument's name.
_SIGNED = {
    re.compile(r"path|file|filename|dir|directory|folder"): re.compile(
        r"(?!\S*(?:@|//))\S*(?:[/\\]\S*|\w\.[A-Za-z]\w{0,4})"
    ),
    re.compile(r"url|uri|link|website|webpage"): re.compile(r"\w+://\S+|www\.\S+|[^\s@/]+\.[a-z]{2,}(?:/\S*)?"),
    re.compile(r"e?mails?"): re.compile(r"\S+@\S+"),
    re.compile(r"ips?"): re.compile(r"\d+(?:\.\d+){3}|[\da-f]*:[\da-f:]+"),
    re.compile(r"ids?|identifier|uuid|hash"): re.compile(r"(?=\S*\d)(?=\S*[A-Za-z])[\w.#:-]+|\d{3,}"),
    re.compile(r"id|identifier"): re.compile(r"(?=\S+[A-Z])\w*[a-z]\w*"),
}
_DIGITS_WELCOME = re.compile(
    r"date|year|time|number|\bids?\b|identif|code|phone|zip|version|address|expression|function|formula|count|amount"
    r"|size|range|password|value|score|level|quantity|price",
    re.IGNORECASE,
)
# Only such an argument takes a whole sentence, or words that these join; 3 of 754 other values in the tuning sets do.
_LINKS = frozenset(
    re.findall(
        r"\w+",
        "for from with using by located during via based in on at to that which is are your my and or a an as into it",
    )
)
_TEXTUAL = frozenset(
    re.findall(
        r"\w+",
        "text message content body query question description note prompt sentence abstract summary comment title input"
        " keyword keywords action activity reason",
    )
)
_POSSESSIVE = re.compile(r"['’]s?$")
_MONTHS = r"Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_DATE = re.compile(
    rf"\b(?:{_MONTHS})[a-z]*\.? \d|\b\d{{4}}[-/.]\d|\b\d{{1,2}}(?:st|nd|rd|th)? (?:{_MONTHS})", re.IGNORECASE
)
_CLOCK = re.compile(r"\b\d{1,2}:\d{2}(?::\d{2})?(?:\s?[ap]\.?m\b)?|\b(?:0?[1-9]|1[0-2])\s?[ap]\.?m\b", re.IGNORECASE)
_LANGUAGE = re.compile(
    r"English|French|German|Spanish|Italian|Portuguese|Dutch|Russian|Chinese|Mandarin|Cantonese|Japanese|Korean|Arabic|Hindi"
    r"|Turkish|Polish|Swedish|Greek|Hebrew|Latin|Vietnamese|Thai|[中英法德俄日韩]文|[英法德俄日韩汉]语"
)
_NEGATION = re.compile(r"\b(?:not|no|without|don't|do not|never|exclud\w*|disabl\w*|off)\b|不|无需|无须|别")


def words_of(name: str) -> list[str]:
    """The words of an argument's name in lower case: `startDate` and `start_date` have the same two."""
    spaced = re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower()
    return [word for word in re.split(r"[\W_]+", spaced) if word]


def runs_of(phrase: str, name: str = "") -> Iterable[str]:
    """The runs of up to LONGEST words of a phrase that can be a value; all of it where `name` is that of a text."""
    words = phrase.split()
    is_textual = not _TEXTUAL.isdisjoint(words_of(name)) or len(name) == 1
    for first in range(len(words)):
        for last in range(first + 1, min(len(words), first + LONGEST) + 1):
            if _is_whole(words, first, last) and (is_textual or not _is_joined(words, first, last)):
                yield _POSSESSIVE.sub("", " ".join(words[first:last]).strip("."))
    if len(words) > LONGEST and is_textual:
        yield phrase.strip(".")


def fitting(values: Iterable[str], name: str, schema: Mapping[str, Any], text: str, function: str = "") -> list[str]:
    """Those of `values` that the wording points to for this argument of `function`; all where it points nowhere."""
    given = list(dict.fromkeys(values))
    every = _signed(given, words_of(name), schema)
    is_signed = every != given
    every = every if is_signed else _telling(given, words_of(name), words_of(function), text)
    if not is_signed and not _DIGITS_WELCOME.search(f"{' '.join(words_of(name))} {schema.get('description', '')}"):
        every = [value for value in every if re.search(r"[^\W\d]", value)] or every
    pointed = _after(every, _cue(name), text)
    if not any(word in _TIME for word in words_of(name)):
        # A place or a thing: `to 5 pm` and `need to book` point nowhere.
        pointed = [value for value in pointed if not (value[:1].isdigit() or value[:1].islower())]
    return _looking(pointed or every, words_of(name), text)


def _looking(values: list[str], words: list[str], text: str) -> list[str]:
    """Those that look like what the argument's name says: a proper name, a time; all where none does."""
    if any(word in _NAMED for word in words):
        # The capital of a sentence's first word says nothing.
        firsts = {match[0] for match in re.finditer(r"(?:^|(?<=[.!?] ))\w+", text)}
        found = [value for value in values if _NAMED_LOOK.match(value) and value.split()[0] not in firsts]
        return [value for value in found if _is_name(value.split())] or found or values
    if "language" in words:
        return [value for value in values if _LANGUAGE.fullmatch(value)] or values
    if any(word in _TIME for word in words):
        if "time" in words or "date" in words:
            is_clock = "date" not in words
            values = [value for value in values if bool(_CLOCK.fullmatch(value)) == is_clock] or values
        return [value for value in values if _TIME_LOOK.search(value)] or values
    return values


def _signed(values: list[str], words: list[str], schema: Mapping[str, Any]) -> list[str]:
    """Those that bear the signs of what the argument is called or told to be, as a path; all where none does."""
    described = re.findall(r"\be?-?mail (?=address)|\burl\b", str(schema.get("description", "")).lower())
    called = [*words, str(schema.get("format", "")), *(word.strip().replace("-", "") for word in described)]
    looks = [look for names, look in _SIGNED.items() if any(names.fullmatch(word) for word in called)]
    for look in looks:
        found = [value for value in values if look.fullmatch(value)]
        if found:
            return found
    return values


def _telling(values: list[str], name: list[str], function: list[str], text: str) -> list[str]:
    """Those that say more than the argument is called, or what is to be done; all where none does.

    Of 724 values in the tuning sets one is made of the function's own words, one of its argument's.
    """
    known = {word for word in (*name, *function) if len(word) > 1}

    def tells(word: str) -> bool:
        plain = word.lower()
        is_name = not word.isalpha() or not word[1:].islower()
        return is_name or not (plain in FUNCTION_WORDS or any(is_akin(plain, other) for other in known))

    def is_plain(value: str) -> bool:
        """Neither end is a word of the function's name; `living room` may end in its argument's word."""
        words = value.split()
        begins = len(words) == 1 or tells(words[0]) or words[0].lower() in FUNCTION_WORDS
        last = words[-1]
        of_argument = any(is_akin(last, other) for other in name)
        return begins and (len(words) == 1 or of_argument or not last.islower() or tells(last))

    quoted = {value for value in values if any(f"{mark}{value}" in text for mark in "\"'“‘《")}
    telling = [value for value in values if value in quoted or any(tells(word) for word in value.split())]
    return [value for value in telling if value in quoted or is_plain(value)] or telling or values


def is_akin(word: str, other: str) -> bool:
    """Whether two words are forms of one: `scan` and `scanning`."""
    short, long = sorted((word, other), key=len)
    return short == long or (len(short) > 3 and long.startswith(short) and len(long) - len(short) <= 4)


def bears_signs(value: str, kind: str) -> bool:
    """Whether a value looks as what is called `kind` (`email`, `uri`) looks."""
    return any(names.fullmatch(kind) and look.fullmatch(value) for names, look in _SIGNED.items())


def _is_name(words: list[str]) -> bool:
    inner = (word in _SMALL_LINK or word in ("and", "&", "in") for word in words[1:-1])
    joined = zip(words[1:-1], inner, strict=True)
    return bool(_NAMED_LOOK.match(words[-1])) and all(links or _NAMED_LOOK.match(word) for word, links in joined)


def spoken_values(values: Iterable[Any], text: str) -> list[Any]:
    """Those of an enumeration that the text speaks, by themselves or by their stem."""
    lowered = text.lower()
    return [value for value in values if isinstance(value, str) and _stem_stands(value, lowered)]


def number_beside(name: str, text: str, digits: str) -> list[str]:
    """The numbers written right beside a word of the argument's name: `weight is 70`, `a=1`, `5 rounds`."""
    found: list[str] = []
    for word in words_of(name):
        stem = re.escape(word if len(word) < 4 else word.rstrip("s"))
        before = rf"\b{stem}s?\s*(?:\([^)]*\))?\s*(?:=|:|is|of|was|are|equals?|equal to|为|是)?\s*({digits})"
        after = rf"({digits})[\s-]*{stem}s?\b"
        # `5 rounds of 2021`: the number in front is the count, what follows qualifies it.
        counted = re.findall(after, text, re.IGNORECASE) if len(word) > 2 else []
        found += counted or re.findall(before, text, re.IGNORECASE)
    return list(dict.fromkeys(found))


def number_described(description: str, text: str, digits: str) -> list[str]:
    """The numbers that stand beside what a description calls them, in Chinese: `体重80公斤` where it says 体重."""
    runs = re.findall(r"[\u4e00-\u9fff]+", description)
    pairs = dict.fromkeys(run[at : at + 2] for run in runs for at in range(len(run) - 1))
    found: list[str] = []
    for pair in pairs:
        found += re.findall(rf"{pair}[^\d，。,;；]{{0,4}}?({digits})", text)
        found += re.findall(rf"({digits})\s*[个名位]?{pair}", text)
    return list(dict.fromkeys(found))


def points_to(name: str, text: str, taken: Iterable[Any]) -> bool:
    """Whether the text has a place for an argument of place, a date for one of time, that nothing has taken."""
    words = words_of(name)
    rest = text
    for value in taken:
        rest = rest.replace(str(value), " ")
    if any(word in _PLACE for word in words):
        return bool(re.search(r"\b(?:in|near|at|around) (?:the )?[A-Z][a-z]", rest))
    if "language" in words and _LANGUAGE.search(rest):
        return True
    if "time" in words and _CLOCK.search(rest):
        return True
    if not _BY.isdisjoint(words) and re.search(r"\bby (?:the )?(?:\w+ )?[A-Z][a-z]", rest):
        return True
    if "year" in words and re.search(r"\b(?:19|20)\d\d\b", rest):
        return True
    return any(word in _TIME[:3] for word in words) and bool(_DATE.search(rest))


def is_denied(name: str, text: str) -> bool:
    """Whether the text negates what a switch is called: `without toll roads`, `do not compress`."""
    for word in words_of(name):
        place = text.lower().find(word[: max(4, len(word) - 2)])
        if place >= 0 and _NEGATION.search(text[max(0, place - 25) : place]):
            return True
    return False


def _is_whole(words: list[str], first: int, last: int) -> bool:
    start, end = words[first], words[last - 1]
    if _is_title(words, first) and last > first + 1:
        start = words[first + 1]  # `at The Hungry Hippo`
    if first == 0 and last > 1 and words[1].lower() in _DETERMINERS:
        return False  # `Test the ...`: a verb.
    if start.lower() in FUNCTION_WORDS | _REQUESTS or end.lower() in FUNCTION_WORDS:
        return False
    return not (_inside_name(words, first) or _inside_name(words, last))


def _is_joined(words: list[str], first: int, last: int) -> bool:
    """Whether a small word joins two things in a run (`verse in English`); inside a proper name it joins nothing."""
    for at in range(first + 1, last - 1):
        after = words[at + 1] if words[at + 1] not in _SMALL_LINK else words[min(at + 2, last - 1)]
        if words[at] in _LINKS and not (_CAPITAL.match(words[at - 1]) and _CAPITAL.match(after)):
            return True
    return False


def _is_title(words: list[str], at: int) -> bool:
    """Whether a `The` in mid-sentence belongs to the name behind it."""
    return at > 0 and words[at] == "The" and at + 1 < len(words) and bool(_CAPITAL.match(words[at + 1]))


def _inside_name(words: list[str], border: int) -> bool:
    """Whether a border between words cuts a proper name; the first word of a sentence is no part of one."""
    if not 0 < border < len(words):
        return False
    left, right = words[border - 1], words[border]
    if _POSSESSIVE.search(left) or left in ("ID", "IDs", "URL", "No"):
        return False
    if _is_title(words, border - 1):
        return True
    if right in _SMALL_LINK and border + 1 < len(words):
        right = words[border + 1] if _CAPITAL.fullmatch(left) else right
    if left in _SMALL_LINK and border > 1:
        left = words[border - 2]
    opens = border == 1 or left.lower() in FUNCTION_WORDS
    return bool(_CAPITAL.fullmatch(left) and _CAPITAL.fullmatch(right)) and not opens


def has_own_look(name: str) -> bool:
    """Whether other signs say what the argument is: an identifier, a path, or one end of a way."""
    return bool(_cue(name)) or any(names.fullmatch(word) for names in _SIGNED for word in words_of(name))


def _cue(name: str) -> str:
    words = words_of(name)
    if words and any(word in _START for word in words):
        return r"\bfrom "
    return r"\b(?:to|into) " if any(word in _GOAL for word in words) else ""


def _after(values: list[str], cue: str, text: str) -> list[str]:
    if not cue:
        return []
    return [value for value in values if re.search(cue + r"(?:the )?" + re.escape(value) + r"(?!\w)", text)]


def _stem_stands(value: str, text: str) -> bool:
    lowered = value.lower().replace("_", " ")
    if not lowered.isascii():
        return lowered in text
    stem = lowered[: max(4, len(lowered) - 2)] if len(lowered) > 4 else lowered
    return bool(re.search(rf"(?<!\w){re.escape(stem)}" + ("" if len(lowered) > 4 else r"(?!\w)"), text))
