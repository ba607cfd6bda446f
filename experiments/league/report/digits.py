"""Numbers as they are printed: true minus signs, fixed digits, an en dash where there is no number."""

import math

NONE = "–"
MINUS = "−"


def fixed(value: float, digits: int = 3) -> str:
    """Return a number with fixed digits.

    Args:
        value: Any number; NaN and infinity print as an en dash.
        digits: After the point.

    Returns:
        The text.

    Example:
        >>> fixed(-1.25, 1), fixed(float("nan")), fixed(-0.0001)
        ('−1.2', '–', '0.000')
    """
    if not math.isfinite(value):
        return NONE
    text = f"{value:.{digits}f}"
    return (text.lstrip("-") if float(text) == 0 else text).replace("-", MINUS)


def signed(value: float, digits: int = 3) -> str:
    """Return a number with its sign, also where it is positive; see `fixed`.

    Example:
        >>> signed(0.5), signed(-0.5)
        ('+0.500', '−0.500')
    """
    text = fixed(value, digits)
    return f"+{text}" if math.isfinite(value) and value > 0 and float(text) > 0 else text


def interval(low: float, high: float, plus: bool = False) -> str:
    """Return an interval in brackets, with plus signs if wanted.

    Example:
        >>> interval(-0.5, 0.25, plus=True)
        '[−0.500, +0.250]'
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        return NONE
    show = signed if plus else fixed
    return f"[{show(low)}, {show(high)}]"


def compact(value: float) -> str:
    """Return a count with three digits and a unit of thousands.

    Example:
        >>> compact(240), compact(98_720), compact(1.5e9)
        ('240', '98.7 k', '1.5 G')
    """
    if not math.isfinite(value):
        return NONE
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= 0.9995 * size:
            return f"{float(f'{value / size:.3g}'):g}{unit}"
    return f"{float(f'{value:.3g}'):g}"


def ratio(value: float) -> str:
    """Return a multiple: powers of two below one as fractions.

    Example:
        >>> ratio(0.25), ratio(4.0), ratio(0.3)
        ('1/4', '4', '0.3')
    """
    if not math.isfinite(value):
        return NONE
    inverse = 1 / value if value else 0.0
    return f"1/{inverse:.0f}" if inverse > 1 and inverse.is_integer() else f"{value:.3g}"


def percent(share: float) -> str:
    """Return a share in whole per cent.

    Example:
        >>> percent(0.125)
        '12 %'
    """
    return f"{100 * share:.0f} %" if math.isfinite(share) else NONE


def split(*shares: float, between: str = " / ") -> str:
    """Return shares of a whole, in per cent without the sign.

    Example:
        >>> split(0.25, -1e-17, 0.75)
        '25 / 0 / 75'
    """
    return between.join(fixed(100 * share, 0) for share in shares)


def listing(names: list[str]) -> str:
    """Return names as a list in a sentence.

    Example:
        >>> listing(["a", "b", "c"])
        'a, b and c'
    """
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
