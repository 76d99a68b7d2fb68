"""A small PromQL and LogQL: as much as an engineer on call types, over series that lie in memory.

Exercises cannot count on a Prometheus. This evaluates one instant, and gives what Prometheus gives (the tests compare
the two, query by query): counters that begin anew, extrapolated rates, staleness after five minutes, labels matched one
to one. Of logs it knows `{app="inspection"} | json | event="fault"` inside `count_over_time` and `rate`, as Loki does.

Left out: `@`, native histograms, labels made by functions. What is not known is an error, never a guess.

Source: the Prometheus documentation, "Querying" (prometheus.io/docs/prometheus/latest/querying), and extrapolatedRate
of its promql/functions.go.
"""

from __future__ import annotations

import json
import math
import operator
import re
from array import array
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

LOOKBACK = 300.0  # seconds after which a series without a sample is gone
Labels = tuple[tuple[str, str], ...]
Vector = list[tuple[Labels, float]]
Matrix = list[tuple[Labels, Sequence[float], Sequence[float]]]


class QueryError(ValueError):
    """A query that cannot be evaluated; the message says where and why."""


@dataclass
class Data:
    """What can be asked. Times are seconds from any zero.

    metrics: name -> labels -> (times, values), times ascending. logs: (time, stream labels, fields), in any order.
    """

    metrics: dict[str, dict[Labels, tuple[array, array]]] = field(default_factory=dict)
    logs: list[tuple[float, dict[str, str], dict[str, object]]] = field(default_factory=list)

    def add(self, name: str, labels: Mapping[str, str], times: Sequence[float], values: Sequence[float]) -> None:
        """Add one series."""
        self.metrics.setdefault(name, {})[tuple(sorted(labels.items()))] = (array("d", times), array("d", values))


def query(expression: str, data: Data, at: float) -> float | Vector:
    """Evaluate at one instant: a number, or a vector of (labels, value).

    Raises QueryError for what Prometheus would refuse, and for what is not known here.
    """
    if not isinstance(expression, str) or not expression.strip():
        raise QueryError("a query is a text, such as 'sum(rate(cvprod_requests_total[5m]))'")
    parser = _Parser(expression)
    tree = parser.binary(0)
    if parser.peek()[0] != "end":
        raise parser.error("an operator or the end")
    found = tree(data, at)
    if isinstance(found, _Range):
        raise QueryError(f"{expression!r} is a range; rate, increase or ..._over_time makes an instant of it")
    return found


class _Range:
    """A selector's samples in a window of that many seconds up to `end`; `log` for lines of a log."""

    def __init__(self, series: Matrix, seconds: float, end: float, log: bool = False) -> None:
        self.series, self.seconds, self.end, self.log = series, seconds, end, log


_Node = Callable[[Data, float], "float | Vector | _Range"]

_TOKEN = re.compile(
    r"""\s+|\#[^\n]*
    |(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<duration>(?:\d+(?:ms|[smhdwy]))+)
    |(?P<number>0x[0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<name>[a-zA-Z_][a-zA-Z0-9_:]*)
    |(?P<op>=~|!~|!=|==|>=|<=|\|=|[-+*/%^<>=(){}\[\],|@:])""",
    re.VERBOSE,
)
_SECONDS = {"ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
_ORDER = [{"or"}, {"and", "unless"}, {"==", "!=", ">", "<", ">=", "<="}, {"+", "-"}, {"*", "/", "%"}]
_COMPARE = {"==": operator.eq, "!=": operator.ne, ">": operator.gt, "<": operator.lt, ">=": operator.ge,
            "<=": operator.le}  # fmt: skip


def _divide(a: float, b: float) -> float:
    return a / b if b else (math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a))


def _power(a: float, b: float) -> float:
    try:
        return a**b
    except (OverflowError, ZeroDivisionError):
        return math.inf


_ARITHMETIC = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": _divide,
               "%": lambda a, b: math.fmod(a, b) if b else math.nan, "^": _power}  # fmt: skip


class _Parser:
    def __init__(self, text: str) -> None:
        self.text, self.tokens, at = text, [], 0
        while at < len(text):
            found = _TOKEN.match(text, at)
            if not found:
                raise QueryError(f"{text!r}: unexpected {text[at]!r} at {at}")
            if found.lastgroup:
                self.tokens.append((found.lastgroup, found[0]))
            at = found.end()
        self.tokens.append(("end", "the end"))
        self.k = 0

    def peek(self) -> tuple[str, str]:
        return self.tokens[self.k]

    def take(self) -> tuple[str, str]:
        found = self.tokens[self.k]
        self.k = min(self.k + 1, len(self.tokens) - 1)
        return found

    def accept(self, *words: str) -> str | None:
        kind, text = self.peek()
        if kind in ("op", "name") and text in words:
            self.k += 1
            return text
        return None

    def expect(self, word: str) -> None:
        if not self.accept(word):
            raise self.error(repr(word))

    def error(self, wanted: str) -> QueryError:
        return QueryError(f"{self.text!r}: expected {wanted}, found {self.peek()[1]!r}")

    # --- expressions -----------------------------------------------------------------------------------------------

    def binary(self, level: int) -> _Node:
        if level == len(_ORDER):
            return self.unary()
        left = self.binary(level + 1)
        while op := self.accept(*_ORDER[level]):
            as_bool = bool(level == 2 and self.accept("bool"))
            matching = self.accept("on", "ignoring")
            names = self.names() if matching else []
            many = self.accept("group_left", "group_right") if matching else None
            taken = self.names() if many and self.peek()[1] == "(" else []
            right = self.binary(level + 1)
            if many:
                left = _one_to_many(op, left, right, as_bool, matching == "on", names, many == "group_left", taken)
            else:
                left = _binary(op, left, right, as_bool, matching, names)
        return left

    def postfix(self) -> _Node:
        """An atom, and where a window with a step follows, a subquery over it."""
        base = self.atom()
        while self.accept("["):
            seconds = self.duration()
            self.expect(":")
            step = 60.0 if self.peek()[1] == "]" else self.duration()
            self.expect("]")
            back = self.offset()
            base = _subquery(base, seconds, step, back)
        return base

    def offset(self) -> float:
        if not self.accept("offset"):
            return 0.0
        return (-1 if self.accept("-") else 1) * self.duration()

    def unary(self) -> _Node:
        if self.accept("-"):
            inner = self.unary()
            return lambda data, at: _map(inner(data, at), operator.neg)
        self.accept("+")
        base = self.postfix()
        if self.accept("^"):  # binds tighter than a sign, and to the right
            return _binary("^", base, self.unary(), False, None, [])
        return base

    def atom(self) -> _Node:
        kind, text = self.peek()
        if kind == "number":
            self.take()
            value = float(int(text, 16)) if text.startswith("0x") else float(text)
            return lambda data, at: value
        if self.accept("("):
            inner = self.binary(0)
            self.expect(")")
            return inner
        if kind == "name":
            self.take()
            if text.lower() in ("inf", "nan"):
                number = float(text)
                return lambda data, at: number
            if text in _AGGREGATE and self.peek()[1] in ("(", "by", "without"):
                return self.aggregate(text)
            if self.peek()[1] == "(":
                return self.call(text)
            return self.selector(text)
        if text == "{":
            return self.selector(None)
        raise self.error("a metric, a function or a number")

    def names(self) -> list[str]:
        self.expect("(")
        found = []
        while not self.accept(")"):
            kind, text = self.take()
            if kind != "name":
                raise QueryError(f"{self.text!r}: {text!r} is no label")
            found.append(text)
            if self.peek()[1] != ")":
                self.expect(",")
        return found

    def arguments(self) -> list[_Node]:
        self.expect("(")
        found = []
        while not self.accept(")"):
            found.append(self.binary(0))
            if self.peek()[1] != ")":
                self.expect(",")
        return found

    def aggregate(self, name: str) -> _Node:
        how = self.accept("by", "without")
        labels = self.names() if how else []
        parts = self.arguments()
        if not how and (how := self.accept("by", "without")):
            labels = self.names()
        if len(parts) != (2 if name in _WITH_NUMBER else 1):
            raise QueryError(f"{name} takes {'a number and ' if name in _WITH_NUMBER else ''}one vector")
        return _aggregate(name, parts, how, labels)

    def call(self, name: str) -> _Node:
        if name not in _FUNCTIONS:
            raise QueryError(f"{name} is not known here; there are {', '.join(sorted([*_FUNCTIONS, *_AGGREGATE]))}")
        function, count = _FUNCTIONS[name]
        parts = self.arguments()
        if len(parts) not in count:
            raise QueryError(f"{name} takes {' or '.join(map(str, count))} arguments, not {len(parts)}")
        return lambda data, at: function(at, *[part(data, at) for part in parts])

    def selector(self, name: str | None) -> _Node:
        matchers = []
        if self.accept("{"):
            while not self.accept("}"):
                matchers.append(self.matcher())
                if self.peek()[1] != "}":
                    self.expect(",")
        if self.peek()[1] in ("|", "|=") or (name is None and self.peek()[1] == "["):
            return self.log(matchers)
        seconds = None
        if self.peek()[1] == "[" and self.tokens[min(self.k + 2, len(self.tokens) - 1)][1] != ":":
            self.take()
            seconds = self.duration()
            self.expect("]")
        back = self.offset()
        if name is None:
            raise QueryError(f"{self.text!r}: a metric needs its name; lines of a log need '| json' after the selector")

        def select(data: Data, at: float) -> Vector | _Range:
            end, chosen = at - back, data.metrics.get(name, {}).items()
            chosen = [(labels, *series) for labels, series in chosen if all(m(dict(labels)) for m in matchers)]
            if seconds is not None:
                return _Range([(k, *_between(t, v, end - seconds, end)) for k, t, v in chosen], seconds, end)
            found = []
            for labels, times, values in chosen:
                last = bisect_right(times, end) - 1
                if last >= 0 and times[last] > end - LOOKBACK:
                    found.append(((("__name__", name), *labels), values[last]))
            return found

        return select

    def matcher(self) -> Callable[[Mapping[str, object]], bool]:
        kind, name = self.take()
        op = self.accept("=", "!=", "=~", "!~", "==", ">", "<", ">=", "<=")
        value_kind, value = self.take()
        if kind != "name" or op is None or value_kind not in ("string", "number"):
            raise QueryError(f'{self.text!r}: a label is matched as in {{code="429"}} or {{code=~"5.."}}')
        if value_kind == "number":
            compare, number = _COMPARE.get("==" if op == "=" else op), float(value)
            if compare is None:
                raise QueryError(f"{self.text!r}: {op} needs a text in quotes")
            return lambda labels: _number(labels.get(name)) is not None and compare(_number(labels[name]), number)
        text = re.sub(r"\\(.)", r"\1", value[1:-1]) if "~" not in op else value[1:-1].replace("\\\\", "\\")
        if op in ("=", "=="):
            return lambda labels: str(labels.get(name, "")) == text
        if op == "!=":
            return lambda labels: str(labels.get(name, "")) != text
        if op not in ("=~", "!~"):
            raise QueryError(f"{self.text!r}: {op} compares numbers, without quotes")
        try:
            pattern = re.compile(text)
        except re.error as error:
            raise QueryError(f"{self.text!r}: {text!r} is no regular expression ({error})") from error
        wanted = op == "=~"
        return lambda labels: bool(pattern.fullmatch(str(labels.get(name, "")))) == wanted

    def duration(self) -> float:
        kind, text = self.take()
        if kind != "duration":
            raise QueryError(f"{self.text!r}: {text!r} is no duration; write 5m, 1h or 1h30m")
        return sum(float(n) * _SECONDS[unit] for n, unit in re.findall(r"(\d+)(ms|[smhdwy])", text))

    def log(self, streams: list) -> _Node:
        filters: list[Callable] = []
        parsed = False
        while op := self.accept("|", "|=", "!="):
            if op != "|":
                kind, text = self.take()
                if kind != "string":
                    raise QueryError(f"{self.text!r}: {op} looks for a text in quotes")
                plain, wanted = text[1:-1], op == "|="
                filters.append(lambda _, line, p=plain, w=wanted: (p in line) == w)
            elif self.accept("json"):
                parsed = True
            else:
                if not parsed:
                    raise QueryError(f"{self.text!r}: write '| json' before you ask for fields of a line")
                test = self.matcher()
                filters.append(lambda fields, _, m=test: m(fields))
        self.expect("[")
        seconds = self.duration()
        self.expect("]")

        def select(data: Data, at: float) -> _Range:
            found: dict[Labels, list[float]] = {}
            for time, stream, fields in data.logs:
                if not at - seconds < time <= at or not all(m(stream) for m in streams):
                    continue
                known = {**stream, **fields} if parsed else stream
                if all(f(known, line) for line in [json.dumps(fields)] for f in filters):
                    key = tuple(sorted((name, str(value)) for name, value in known.items() if name != "time"))
                    found.setdefault(key, []).append(time)
            return _Range([(k, t, [1.0] * len(t)) for k, t in found.items()], seconds, at, log=True)

        return select


def _number(value: object) -> float | None:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None


def _between(times: array, values: array, start: float, end: float) -> tuple[array, array]:
    first, last = bisect_right(times, start), bisect_right(times, end)
    return times[first:last], values[first:last]


def _without_name(labels: Labels) -> Labels:
    return tuple(item for item in labels if item[0] != "__name__")


def _map(value: object, function: Callable[[float], float]) -> float | Vector:
    if isinstance(value, _Range):
        raise QueryError("a range such as [5m] needs rate, increase or ..._over_time around it")
    if isinstance(value, list):
        return [(_without_name(labels), function(x)) for labels, x in value]
    return function(value)


# --- operators -------------------------------------------------------------------------------------------------------


def _binary(op: str, left: _Node, right: _Node, as_bool: bool, matching: str | None, names: list[str]) -> _Node:
    def key(labels: Labels) -> Labels:
        if matching == "on":
            return tuple(item for item in labels if item[0] in names)
        return tuple(item for item in labels if item[0] != "__name__" and item[0] not in names)

    def scalars(a: float, b: float) -> float:
        if op in _ARITHMETIC:
            return _ARITHMETIC[op](a, b)
        if op not in _COMPARE:
            raise QueryError(f"{op} needs a vector on both sides")
        if not as_bool:
            raise QueryError(f"two numbers are compared with {op} bool")
        return float(_COMPARE[op](a, b))

    def one(labels: Labels, a: float, b: float, kept: float) -> list[tuple[Labels, float]]:
        if op in _ARITHMETIC:
            return [(_without_name(labels), _ARITHMETIC[op](a, b))]
        if as_bool:
            return [(_without_name(labels), float(_COMPARE[op](a, b)))]
        return [(labels, kept)] if _COMPARE[op](a, b) else []

    def evaluate(data: Data, at: float) -> float | Vector:
        a, b = left(data, at), right(data, at)
        if isinstance(a, _Range) or isinstance(b, _Range):
            raise QueryError("a range such as [5m] needs rate, increase or ..._over_time around it")
        if not isinstance(a, list) and not isinstance(b, list):
            return scalars(a, b)
        if op in ("and", "or", "unless"):
            if not isinstance(a, list) or not isinstance(b, list):
                raise QueryError(f"{op} needs a vector on both sides; vector(0) makes one of a number")
            if op == "or":
                known = {key(labels) for labels, _ in a}
                return a + [(labels, x) for labels, x in b if key(labels) not in known]
            known = {key(labels) for labels, _ in b}
            return [(labels, x) for labels, x in a if (key(labels) in known) == (op == "and")]
        if not isinstance(b, list):
            return [pair for labels, x in a for pair in one(labels, x, b, x)]
        if not isinstance(a, list):
            return [pair for labels, x in b for pair in one(labels, a, x, x)]
        others: dict[Labels, float] = {}
        for labels, x in b:
            if key(labels) in others:
                raise QueryError(f"{op}: several series on the right match {dict(key(labels))}; aggregate them first")
            others[key(labels)] = x
        found, seen = [], set()
        for labels, x in a:
            if key(labels) in others:
                if key(labels) in seen:
                    raise QueryError(f"{op}: several series on the left match {dict(key(labels))}; aggregate them")
                seen.add(key(labels))
                kept = labels if op in _COMPARE and not as_bool and not matching else key(labels)
                found += one(kept, x, others[key(labels)], x)
        return found

    return evaluate


def _one_to_many(
    op: str, left: _Node, right: _Node, as_bool: bool, on: bool, names: list[str], many_left: bool, taken: list[str]
) -> _Node:
    """`a * on (x) group_left (y) b`: each of many finds its one, and takes the labels y from it."""

    def key(labels: Labels) -> Labels:
        return tuple(item for item in labels if item[0] != "__name__" and (item[0] in names) == on)

    def evaluate(data: Data, at: float) -> Vector:
        a, b = left(data, at), right(data, at)
        if not isinstance(a, list) or not isinstance(b, list) or op in ("and", "or", "unless"):
            raise QueryError("group_left and group_right are for arithmetic and comparisons of two vectors")
        many, single = (a, b) if many_left else (b, a)
        one: dict[Labels, tuple[Labels, float]] = {}
        for labels, x in single:
            if key(labels) in one:
                raise QueryError(
                    f"{op}: several series of the one side match {dict(key(labels))}; aggregate them first"
                )
            one[key(labels)] = labels, x
        found = []
        for labels, x in many:
            if key(labels) not in one:
                continue
            other, y = one[key(labels)]
            more = dict(other)
            kept = {k: v for k, v in labels if k not in taken} | {k: more[k] for k in taken if k in more}
            u, v = (x, y) if many_left else (y, x)
            if op in _ARITHMETIC or as_bool:
                kept.pop("__name__", None)
                value = _ARITHMETIC[op](u, v) if op in _ARITHMETIC else float(_COMPARE[op](u, v))
                found.append((tuple(sorted(kept.items())), value))
            elif _COMPARE[op](u, v):
                found.append((tuple(sorted(kept.items())), x))
        return found

    return evaluate


def _subquery(inner: _Node, seconds: float, step: float, back: float) -> _Node:
    """The inner query at every multiple of the step in the window, as a range."""

    def evaluate(data: Data, at: float) -> _Range:
        end = at - back
        series: dict[Labels, tuple[list[float], list[float]]] = {}
        for k in range(math.floor((end - seconds) / step) + 1, math.floor(end / step) + 1):
            found = inner(data, k * step)
            if isinstance(found, _Range):
                raise QueryError("a subquery is over an instant, such as rate(x[5m])[1h:1m]")
            for labels, x in found if isinstance(found, list) else [((), found)]:
                times, values = series.setdefault(_without_name(labels), ([], []))
                times.append(k * step)
                values.append(x)
        return _Range([(labels, t, v) for labels, (t, v) in series.items()], seconds, end)

    return evaluate


def _topk(k: float, pairs: Vector, largest: bool) -> Vector:
    return sorted(pairs, key=lambda pair: pair[1], reverse=largest)[: max(0, int(k))]


def _deviation(values: Sequence[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((x - mean) ** 2 for x in values) / len(values))


def _interpolated(q: float, values: Sequence[float]) -> float:
    if not 0 <= q <= 1:
        return math.nan if math.isnan(q) else math.copysign(math.inf, q - 0.5)
    ordered, rank = sorted(values), q * (len(values) - 1)
    low = math.floor(rank)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] * (1 - (rank - low)) + ordered[high] * (rank - low)


_WITH_NUMBER = ("topk", "bottomk", "quantile")
_AGGREGATE: dict[str, Callable] = {
    "sum": math.fsum, "avg": lambda x: math.fsum(x) / len(x), "min": min, "max": max,
    "count": lambda x: float(len(x)), "group": lambda x: 1.0, "stddev": _deviation,
    **dict.fromkeys(_WITH_NUMBER),
}  # fmt: skip


def _aggregate(name: str, parts: list[_Node], how: str | None, labels: list[str]) -> _Node:
    def evaluate(data: Data, at: float) -> Vector:
        vector = parts[-1](data, at)
        if not isinstance(vector, list):
            raise QueryError(f"{name} takes an instant vector, not a number or a range")
        groups: dict[Labels, Vector] = {}
        for own, x in vector:
            keep = [item for item in own if (item[0] in labels) == (how == "by") and item[0] != "__name__"]
            groups.setdefault(tuple(keep) if how else (), []).append((own, x))
        if name in _WITH_NUMBER:
            number = parts[0](data, at)
            if not isinstance(number, float):
                raise QueryError(f"{name} takes a number first")
            if name == "quantile":
                return [(key, _interpolated(number, [x for _, x in pairs])) for key, pairs in groups.items()]
            return [pair for pairs in groups.values() for pair in _topk(number, pairs, name == "topk")]
        return [(key, float(_AGGREGATE[name]([x for _, x in pairs]))) for key, pairs in groups.items()]

    return evaluate


# --- functions -------------------------------------------------------------------------------------------------------


def _rate(window: object, per_second: bool, counter: bool, name: str) -> Vector:
    """extrapolatedRate of Prometheus 2: the window's ends are filled up, by at most half a gap where it is larger."""
    if not isinstance(window, _Range):
        raise QueryError(f"{name} takes a range, such as {name}(cvprod_requests_total[5m])")
    if window.log:
        if name not in ("rate", "count_over_time"):
            raise QueryError(f"of log lines there is count_over_time and rate, not {name}")
        return [(k, len(t) / window.seconds) for k, t, _ in window.series]
    found = []
    for labels, times, values in window.series:
        if len(times) < 2:
            continue
        change = values[-1] - values[0]
        if counter:
            change += sum(a for a, b in pairwise(values) if b < a)
        sampled = times[-1] - times[0]
        gap = sampled / (len(times) - 1)
        before, after = times[0] - (window.end - window.seconds), window.end - times[-1]
        if counter and change > 0 and values[0] >= 0:
            before = min(before, sampled * values[0] / change)  # a counter is never below zero
        whole = sampled + (before if before < 1.1 * gap else gap / 2) + (after if after < 1.1 * gap else gap / 2)
        result = change * whole / sampled
        found.append((labels, result / window.seconds if per_second else result))
    return found


def _over_time(name: str, function: Callable[[Sequence[float]], float]) -> tuple[Callable, tuple[int, ...]]:
    def evaluate(at: float, window: object) -> Vector:
        if not isinstance(window, _Range):
            raise QueryError(f"{name} takes a range, such as {name}(cvprod_queue_images[5m])")
        if window.log and name != "count_over_time":
            raise QueryError(f"of log lines there is count_over_time and rate, not {name}")
        return [(labels, float(function(values))) for labels, _, values in window.series if values]

    return evaluate, (1,)


def _line(name: str, read: Callable[[float, float], float]) -> Callable:
    """deriv and predict_linear: the least-squares line through the samples, seen from the instant of the query."""

    def evaluate(at: float, window: object, ahead: object = 0.0) -> Vector:
        if not isinstance(window, _Range) or window.log or not isinstance(ahead, float):
            raise QueryError(f"{name} takes a range of a gauge, such as {name}(cvprod_memory_bytes[1h])")
        found = []
        for labels, times, values in window.series:
            if len(times) < 2:
                continue
            zero = times[0] if name == "deriv" else at
            x, n = [t - zero for t in times], len(times)
            mx, my = math.fsum(x) / n, math.fsum(values) / n
            slope = math.fsum((a - mx) * (b - my) for a, b in zip(x, values, strict=True))
            slope /= math.fsum((a - mx) ** 2 for a in x)
            found.append((labels, read(slope, my - slope * mx + slope * ahead)))
        return found

    return evaluate


def _irate(at: float, window: object) -> Vector:
    if not isinstance(window, _Range) or window.log:
        raise QueryError("irate takes a range of a counter, such as irate(cvprod_requests_total[5m])")
    found = []
    for labels, times, values in window.series:
        if len(times) > 1:
            grown = values[-1] - (values[-2] if values[-1] >= values[-2] else 0.0)
            found.append((labels, grown / (times[-1] - times[-2])))
    return found


def _quantile_over_time(at: float, q: object, window: object) -> Vector:
    if not isinstance(q, float) or not isinstance(window, _Range) or window.log:
        raise QueryError("quantile_over_time takes a number and a range")
    return [(labels, _interpolated(q, values)) for labels, _, values in window.series if values]


def _sort(descending: bool) -> Callable:
    return lambda at, vector: sorted(vector, key=lambda pair: pair[1], reverse=descending)


def _histogram_quantile(at: float, q: object, vector: object) -> Vector:
    if not isinstance(q, float) or not isinstance(vector, list):
        raise QueryError("histogram_quantile takes a number and a vector with the label le")
    groups: dict[Labels, dict[float, float]] = {}
    for labels, x in vector:
        le = dict(labels).get("le")
        if le is not None:
            key = tuple(item for item in labels if item[0] not in ("le", "__name__"))
            bound = float(le.replace("+Inf", "inf"))
            groups.setdefault(key, {})[bound] = groups.get(key, {}).get(bound, 0.0) + x
    return [(key, _quantile(q, sorted(buckets.items()))) for key, buckets in groups.items()]


def _quantile(q: float, buckets: list[tuple[float, float]]) -> float:
    if q < 0 or q > 1 or math.isnan(q):
        return math.nan if math.isnan(q) else math.copysign(math.inf, q - 0.5)
    if len(buckets) < 2 or not math.isinf(buckets[-1][0]) or buckets[-1][1] == 0:
        return math.nan
    rank, counts = q * buckets[-1][1], []
    for _, count in buckets:  # rates of buckets are not always monotone
        counts.append(max([count, *counts[-1:]]))
    i = next(k for k, count in enumerate(counts) if count >= rank)
    if i == len(buckets) - 1:
        return buckets[-2][0]
    if i == 0 and buckets[0][0] <= 0:
        return buckets[0][0]
    start, below = (buckets[i - 1][0], counts[i - 1]) if i else (0.0, 0.0)
    inside = counts[i] - below
    return start + (buckets[i][0] - start) * ((rank - below) / inside if inside else 0.0)


def _absent(at: float, vector: object) -> Vector:
    if not isinstance(vector, list):
        raise QueryError("absent takes an instant vector")
    return [] if vector else [((), 1.0)]


def _scalar(at: float, vector: object) -> float:
    if not isinstance(vector, list):
        raise QueryError("scalar takes an instant vector")
    return vector[0][1] if len(vector) == 1 else math.nan


def _vector(at: float, value: object) -> Vector:
    if not isinstance(value, float):
        raise QueryError("vector takes a number")
    return [((), value)]


def _clamp(function: Callable) -> Callable:
    return lambda at, vector, limit: _map(vector, lambda x: function(x, limit))


def _moves(counts: Callable[[float, float], bool]) -> Callable[[Sequence[float]], float]:
    return lambda values: sum(counts(a, b) for a, b in pairwise(values))


_FUNCTIONS: dict[str, tuple[Callable, tuple[int, ...]]] = {
    "rate": (lambda at, w: _rate(w, True, True, "rate"), (1,)),
    "increase": (lambda at, w: _rate(w, False, True, "increase"), (1,)),
    "delta": (lambda at, w: _rate(w, False, False, "delta"), (1,)),
    "sum_over_time": _over_time("sum_over_time", math.fsum),
    "avg_over_time": _over_time("avg_over_time", lambda v: math.fsum(v) / len(v)),
    "min_over_time": _over_time("min_over_time", min),
    "max_over_time": _over_time("max_over_time", max),
    "count_over_time": _over_time("count_over_time", len),
    "last_over_time": _over_time("last_over_time", lambda v: v[-1]),
    "stddev_over_time": _over_time("stddev_over_time", _deviation),
    "present_over_time": _over_time("present_over_time", lambda v: 1.0),
    "quantile_over_time": (_quantile_over_time, (2,)),
    "irate": (_irate, (1,)),
    "deriv": (_line("deriv", lambda slope, there: slope), (1,)),
    "predict_linear": (_line("predict_linear", lambda slope, there: there), (2,)),
    "changes": _over_time("changes", _moves(operator.ne)),
    "resets": _over_time("resets", _moves(operator.gt)),
    "histogram_quantile": (_histogram_quantile, (2,)),
    "absent": (_absent, (1,)),
    "scalar": (_scalar, (1,)),
    "vector": (_vector, (1,)),
    "time": (lambda at: at, (0,)),
    "abs": (lambda at, v: _map(v, abs), (1,)),
    "ceil": (lambda at, v: _map(v, math.ceil), (1,)),
    "floor": (lambda at, v: _map(v, math.floor), (1,)),
    "sort": (_sort(False), (1,)),
    "sort_desc": (_sort(True), (1,)),
    "clamp_min": (_clamp(max), (2,)),
    "clamp_max": (_clamp(min), (2,)),
}
