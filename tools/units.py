"""Units of measure as exact factors to base units; names in English and Chinese."""

from dataclasses import dataclass
from fractions import Fraction

Dimensions = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Unit:
    """`factor` base units (m, kg, s, m3, byte, rad) make one of this unit."""

    factor: Fraction
    dimensions: Dimensions


# Dimension -> unit -> exact factor. International yard and pound of 1959; US gallon; IEC 80000-13 for KiB and so on.
_TABLE: dict[str, dict[str, str]] = {
    "length": {
        "m meter meters metre metres 米 公尺": "1",
        "km kilometer kilometers kilometre kilometres 公里 千米": "1000",
        "cm centimeter centimeters centimetre centimetres 厘米 公分": "1/100",
        "mm millimeter millimeters millimetre millimetres 毫米": "1/1000",
        "mi mile miles 英里": "1609344/1000",
        "yd yard yards 码": "9144/10000",
        "ft foot feet 英尺": "3048/10000",
        "inch inches 英寸": "254/10000",
        "里": "500",
    },
    "mass": {
        "kg kilogram kilograms 公斤 千克": "1",
        "g gram grams 克": "1/1000",
        "mg milligram milligrams 毫克": "1/1000000",
        "t tonne tonnes 吨": "1000",
        "lb lbs pound pounds 磅": "45359237/100000000",
        "oz ounce ounces 盎司": "45359237/1600000000",
        "斤": "1/2",
        "两": "1/20",
    },
    "time": {
        "s sec second seconds 秒": "1",
        "minute minutes 分钟": "60",
        "h hr hour hours 小时": "3600",
        "day days 天": "86400",
        "week weeks 周 星期": "604800",
        "ms millisecond milliseconds 毫秒": "1/1000",
    },
    "volume": {
        "l L liter liters litre litres 升": "1",
        "ml mL milliliter milliliters 毫升": "1/1000",
        "gallon gallons gal 加仑": "3785411784/1000000000",
        "cup cups": "2365882365/10000000000",
    },
    "data": {
        "byte bytes 字节": "1",
        "KB": "1000",
        "MB": "1000000",
        "GB": "1000000000",
        "TB": "1000000000000",
        "KiB": "1024",
        "MiB": "1048576",
        "GiB": "1073741824",
        "TiB": "1099511627776",
    },
    "angle": {"rad radian radians 弧度": "1", "deg degree degrees 度": "3141592653589793238/180000000000000000000"},
}

UNITS: dict[str, Unit] = {
    name: Unit(Fraction(factor), ((dimension, 1),))
    for dimension, units in _TABLE.items()
    for names, factor in units.items()
    for name in names.split()
}
