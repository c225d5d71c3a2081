"""Countries and currencies as people say them, in the codes that a schema asks for: `US dollars` where it wants USD.

Codes of ISO 3166-1 (two letters) and ISO 4217, for the names that questions use most.
"""

import re
from collections.abc import Mapping
from typing import Any

from inference.candidates import words_of

_COUNTRIES = {
    "united states": "US", "usa": "US", "u.s.": "US", "america": "US", "united kingdom": "GB", "uk": "GB",
    "britain": "GB", "great britain": "GB", "england": "GB", "germany": "DE", "france": "FR", "spain": "ES",
    "italy": "IT", "portugal": "PT", "netherlands": "NL", "belgium": "BE", "switzerland": "CH", "austria": "AT",
    "poland": "PL", "czech republic": "CZ", "czechia": "CZ", "hungary": "HU", "greece": "GR", "sweden": "SE",
    "norway": "NO", "denmark": "DK", "finland": "FI", "iceland": "IS", "ireland": "IE", "russia": "RU",
    "ukraine": "UA", "romania": "RO", "bulgaria": "BG", "croatia": "HR", "serbia": "RS", "turkey": "TR",
    "israel": "IL", "egypt": "EG", "morocco": "MA", "nigeria": "NG", "kenya": "KE", "ethiopia": "ET",
    "south africa": "ZA", "saudi arabia": "SA", "united arab emirates": "AE", "iran": "IR", "iraq": "IQ",
    "pakistan": "PK", "india": "IN", "bangladesh": "BD", "sri lanka": "LK", "nepal": "NP", "china": "CN",
    "japan": "JP", "south korea": "KR", "korea": "KR", "taiwan": "TW", "hong kong": "HK", "singapore": "SG",
    "malaysia": "MY", "indonesia": "ID", "philippines": "PH", "thailand": "TH", "vietnam": "VN", "australia": "AU",
    "new zealand": "NZ", "canada": "CA", "mexico": "MX", "brazil": "BR", "argentina": "AR", "chile": "CL",
    "colombia": "CO", "peru": "PE", "venezuela": "VE", "cuba": "CU",
    "中国": "CN", "美国": "US", "英国": "GB", "法国": "FR", "德国": "DE", "日本": "JP", "韩国": "KR", "印度": "IN",
    "俄罗斯": "RU", "加拿大": "CA", "澳大利亚": "AU", "意大利": "IT", "西班牙": "ES", "巴西": "BR", "新加坡": "SG",
}  # fmt: skip
_CURRENCIES = {
    "us dollar": "USD", "u.s. dollar": "USD", "american dollar": "USD", "united states dollar": "USD",
    "canadian dollar": "CAD", "australian dollar": "AUD", "new zealand dollar": "NZD", "hong kong dollar": "HKD",
    "singapore dollar": "SGD", "euro": "EUR", "british pound": "GBP", "pound sterling": "GBP", "pound": "GBP",
    "japanese yen": "JPY", "yen": "JPY", "chinese yuan": "CNY", "yuan": "CNY", "renminbi": "CNY",
    "indian rupee": "INR", "rupee": "INR", "swiss franc": "CHF", "mexican peso": "MXN", "brazilian real": "BRL",
    "south korean won": "KRW", "korean won": "KRW", "russian ruble": "RUB", "ruble": "RUB", "turkish lira": "TRY",
    "swedish krona": "SEK", "norwegian krone": "NOK", "danish krone": "DKK", "polish zloty": "PLN",
    "south african rand": "ZAR", "thai baht": "THB", "dollar": "USD",
    "人民币": "CNY", "美元": "USD", "欧元": "EUR", "英镑": "GBP", "日元": "JPY", "港币": "HKD", "韩元": "KRW",
}  # fmt: skip
_OF_CURRENCY = re.compile(r"\bcurrency\b(?! pair)|\bcurrencies\b|货币", re.IGNORECASE)
_SUMS = re.compile(r"amount|price|value|cost|rate|pair|total|sum", re.IGNORECASE)
_OF_COUNTRY = re.compile(r"countr|国家", re.IGNORECASE)
_SHORT = re.compile(r"\bcode\b|\biso\b|two[- ](?:letter|char)|alpha[- ]?2|代码", re.IGNORECASE)


def codes_for(name: str, schema: Mapping[str, Any], text: str) -> list[str]:
    """The codes that an argument wants of what a text names, in its order; none where it wants no code.

    A currency is wanted as its code wherever its argument's name or description speaks of currencies; codes that stand
    in the text count among them.
    """
    told = " ".join([*words_of(name), str(schema.get("description", ""))])
    if schema.get("type") != "string" or schema.get("enum"):
        return []
    if _OF_CURRENCY.search(told) and not _SUMS.search(name):
        return _found(_CURRENCIES, text, r"\b[A-Z]{3}\b")
    return _found(_COUNTRIES, text, r"\b[A-Z]{2}\b") if _OF_COUNTRY.search(told) and _SHORT.search(told) else []


def _found(names: Mapping[str, str], text: str, code: str) -> list[str]:
    """The codes of the names that stand in the text, the longest name first where several begin at one place."""
    known = "|".join(
        re.escape(one) + ("" if not one.isascii() else r"s?") for one in sorted(names, key=len, reverse=True)
    )
    spoken = re.finditer(rf"(?<![A-Za-z])(?:(?P<name>{known})|(?P<code>(?-i:{code})))(?![A-Za-z])", text, re.IGNORECASE)
    codes = set(names.values())
    found = []
    for match in spoken:
        said = match["name"]
        value = match["code"] if said is None else names.get(said.lower()) or names[said.lower().removesuffix("s")]
        found += [value] if value in codes else []
    return list(dict.fromkeys(found))
