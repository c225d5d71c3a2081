"""Time zones as people name them: IANA names, cities in English and Chinese, UTC offsets."""

import re
from datetime import timedelta, timezone, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from core.errors import ToolError
from core.language import Bilingual

_ALIASES = {
    "beijing 北京 上海 中国 china cst+8": "Asia/Shanghai",
    "东京 日本 japan": "Asia/Tokyo",
    "香港": "Asia/Hong_Kong",
    "台北 台湾": "Asia/Taipei",
    "首尔 韩国 korea": "Asia/Seoul",
    "新加坡": "Asia/Singapore",
    "india 印度 新德里 delhi mumbai": "Asia/Kolkata",
    "伦敦 英国 uk": "Europe/London",
    "巴黎 法国 france": "Europe/Paris",
    "柏林 德国 germany": "Europe/Berlin",
    "莫斯科": "Europe/Moscow",
    "纽约 new_york_city nyc boston washington est edt et": "America/New_York",
    "芝加哥 ct cdt": "America/Chicago",
    "洛杉矶 san_francisco 旧金山 seattle 西雅图 pst pdt pt": "America/Los_Angeles",
    "悉尼": "Australia/Sydney",
    "gmt z 世界时": "UTC",
}
_BY_ALIAS = {alias: zone for aliases, zone in _ALIASES.items() for alias in aliases.split()}
_OFFSET = re.compile(r"^(?:utc|gmt)?\s*([+-])(\d{1,2})(?::?(\d{2}))?$", re.IGNORECASE)


def zone_of(name: str) -> tzinfo:
    """The time zone called `name`. Raises ToolError where none is known by that name."""
    key = re.sub(r"\s+", "_", name.strip()).lower()
    offset = _OFFSET.match(key)
    if offset and int(offset[2]) < 24:
        minutes = int(offset[2]) * 60 + int(offset[3] or 0)
        return timezone(timedelta(minutes=minutes if offset[1] == "+" else -minutes))
    zone = _by_name().get(key) or _BY_ALIAS.get(key.removesuffix("时间").removesuffix("_time"))
    if zone is None:
        raise ToolError(
            Bilingual(
                en=f"Unknown time zone {name!r}. Write a city or a name such as Europe/Paris or UTC+8.",
                zh=f"未知时区 {name!r}。请写城市名，或 Europe/Paris、UTC+8 这样的名称。",
            )
        )
    return ZoneInfo(zone)


@cache
def _by_name() -> dict[str, str]:
    """Every IANA zone by its whole name and by its city."""
    zones = sorted(available_timezones())
    cities = {zone.rpartition("/")[2].lower(): zone for zone in zones if "/" in zone and not zone.startswith("Etc")}
    return cities | {zone.lower(): zone for zone in zones}
