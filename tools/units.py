"""Units of measure as exact factors to base units; names in English and Chinese."""

from dataclasses import dataclass
from fractions import Fraction

Dimensions = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Unit:
    """`factor` base units (m, kg, s, l, byte, rad, J, W, Pa) make one of this unit."""

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
        "m3 立方米": "1000",
        "cm3 立方厘米": "1/1000",
    },
    "area": {
        "m2 sqm 平方米": "1",
        "km2 平方公里 平方千米": "1000000",
        "cm2 平方厘米": "1/10000",
        "ft2 sqft 平方英尺": "9290304/100000000",
        "mi2 平方英里": "2589988110336/1000000",
        "ha hectare hectares 公顷": "10000",
        "acre acres 英亩": "40468564224/10000000",
        "亩": "2000/3",
    },
    "speed": {
        "kmh kph 公里每小时 千米每小时": "1000/3600",
        "mph 英里每小时": "1609344/3600000",
        "mps 米每秒": "1",
        "knot knots 节": "1852/3600",
    },
    "energy": {
        "J joule joules 焦耳 焦": "1",
        "kJ kilojoule kilojoules 千焦": "1000",
        "MJ megajoule megajoules 兆焦": "1000000",
        "Wh": "3600",
        "kWh 千瓦时 度电": "3600000",
        "cal calorie calories 卡路里": "4184/1000",
        "kcal kilocalorie kilocalories 千卡 大卡": "4184",
    },
    "power": {"W watt watts 瓦": "1", "kW kilowatt kilowatts 千瓦": "1000", "MW megawatt megawatts 兆瓦": "1000000"},
    "pressure": {
        "Pa pascal pascals 帕": "1",
        "kPa 千帕": "1000",
        "bar": "100000",
        "psi": "6894757293168/1000000000",
        "atm 大气压": "101325",
    },
    "count": {
        "dozen dozens 打": "12",
        "hundred": "100",
        "thousand 千": "1000",
        "million millions 百万": "1000000",
        "billion billions 十亿": "1000000000",
        "万": "10000",
        "亿": "100000000",
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

# What is a product of others, and what counts only.
_DIMENSIONS: dict[str, Dimensions] = {
    "area": (("length", 2),),
    "speed": (("length", 1), ("time", -1)),
    "count": (),
}
UNITS: dict[str, Unit] = {
    name: Unit(Fraction(factor), _DIMENSIONS.get(dimension, ((dimension, 1),)))
    for dimension, units in _TABLE.items()
    for names, factor in units.items()
    for name in names.split()
}
