"""How many tokens a text has, roughly, where no tokeniser is at hand."""

import math
import re

from core.language import HAN

_HAN = re.compile(f"[{HAN}]")


def estimated_tokens(text: str) -> int:
    """About one token per Han character and one per three and a half other characters; rather more than fewer."""
    han = len(_HAN.findall(text))
    return math.ceil(han + (len(text) - han) / 3.5)
