"""`python -m cvprod.security`: harden and verify the robust student, sign models, erase people, check audit logs."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from cvprod.models.weights import WeightsError


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 well, 1 a failure, 2 a wrong call."""
    parser = argparse.ArgumentParser(prog="python -m cvprod.security", description=__doc__.partition(": ")[2])
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("harden", help="train the robust student again, and ship it")
    for name, kind in (("tiles", int), ("steps", int), ("batch", int), ("epsilon", float), ("seed", int)):
        make.add_argument(f"--{name}", type=kind, help="default: the shipped recipe's")
    check = commands.add_parser("verify", help="attack the shipped robust student, and hold it to its card")
    check.add_argument("--tiles", type=int, default=140, help="test tiles (default %(default)s)")
    keygen = commands.add_parser("keygen", help="make a key for signing; prints the public half")
    keygen.add_argument("key", type=Path, help="file of the private key, which must not exist yet")
    sign = commands.add_parser("sign", help="sign a model's card, and with it the model")
    sign.add_argument("card", type=Path)
    sign.add_argument("--key", type=Path, required=True, help="private key, made by keygen")
    erase = commands.add_parser("erase", help="take a person out of every store, and say where the name still is")
    erase.add_argument("subject", help="the name as it stands in the data, of an API key for example")
    erase.add_argument("--jobs", type=Path, help="folder of jobs")
    erase.add_argument("--lines", type=Path, action="append", default=[], help="folder of logs or records")
    erase.add_argument("--keys", type=Path, help="file of API keys")
    erase.add_argument("--database", type=Path, action="append", default=[], help="SQLite file, of MLflow for example")
    erase.add_argument("--audit", type=Path, required=True, help="the audit log")
    erase.add_argument("--secret", type=Path, required=True, help="file with the key of pseudonyms, 32 bytes or more")
    audit = commands.add_parser("audit", help="verify an audit log")
    audit.add_argument("log", type=Path)
    audit.add_argument("--anchors", type=Path, help="file of anchors, kept elsewhere")
    audit.add_argument("--secret", type=Path, help="file with the key of the anchors")
    options = parser.parse_args(arguments)
    try:
        return {"harden": _harden, "verify": _verify, "keygen": _keygen, "sign": _sign, "erase": _erase,
                "audit": _audit}[options.command](options)  # fmt: skip
    except (ValueError, OSError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1


def _harden(options: argparse.Namespace) -> int:
    from .harden import Recipe, harden

    given = {name: getattr(options, name) for name in ("tiles", "steps", "batch", "epsilon", "seed")}
    harden(Recipe(**{name: value for name, value in given.items() if value is not None}))
    return 0


def _verify(options: argparse.Namespace) -> int:
    from cvprod.models import card
    from cvprod.models.data import cached_set
    from cvprod.surface import SPLITS

    from .harden import NAME, WEIGHTS, judge, load_robust

    if options.tiles < 7:
        raise ValueError(f"--tiles must be at least 7, one of each class, not {options.tiles}")
    promised = card(NAME, folder=WEIGHTS)["metrics"]["pgd10"]["2"]
    found = judge(load_robust(), cached_set(options.tiles, SPLITS["test"]), epsilons=(2,))
    robust, slack = found["pgd10"]["2"], 2 * (0.25 / min(options.tiles, 140)) ** 0.5
    good = robust > promised - slack
    print(f"clean {found['routine']['accuracy']:.2%}; PGD at 2 levels: card {promised:.2%}, now {robust:.2%}: "
          f"{'ok' if good else 'WORSE'}")  # fmt: skip
    return int(not good)


def _keygen(options: argparse.Namespace) -> int:
    from cvprod.edge import manifest

    if options.key.exists():
        raise WeightsError(f"{options.key} is there already, and a lost key cannot be made again: name another file")
    print(manifest.new_key(options.key))
    print("Put this line into the file that the service gets as --model-keys.", file=sys.stderr)
    return 0


def _sign(options: argparse.Namespace) -> int:
    from .signing import sign

    print(sign(options.card, options.key))
    return 0


def _erase(options: argparse.Namespace) -> int:
    from . import stores
    from .audit import Log

    chosen: list[stores.Store] = [stores.Lines(folder, name=folder.name) for folder in options.lines]
    chosen += [stores.Database(path, name=path.name) for path in options.database]
    chosen += [stores.Jobs(options.jobs)] if options.jobs else []
    chosen += [stores.Keys(options.keys)] if options.keys else []
    key = _secret(options.secret)
    counts = stores.erase(options.subject, chosen, Log(options.audit), key, actor="operator")
    places = [*options.lines, *(path.parent for path in options.database), options.audit.parent]
    places += [options.jobs] if options.jobs else []
    places += [options.keys.parent] if options.keys else []
    left = sorted({str(path) for path in stores.residue(options.subject, places)})
    print(json.dumps({"erased": counts, "left": left}, indent=1))
    return int(bool(left))


def _audit(options: argparse.Namespace) -> int:
    from .audit import Log, read_anchors

    if not options.log.is_file():
        raise ValueError(f"{options.log}: there is no such log")
    if options.anchors and not options.secret:
        raise ValueError("anchors are checked with the key that signed them: name it by --secret")
    anchors = read_anchors(options.anchors) if options.anchors else []
    lines = Log(options.log).verify(anchors, _secret(options.secret) if options.secret else b"")
    print(f"{lines} lines, none changed" + (f"; {len(anchors)} anchors hold" if anchors else
          "; without an anchor nobody can say whether the end was cut"))  # fmt: skip
    return 0


def _secret(path: Path) -> bytes:
    key = path.read_bytes().strip()
    if len(key) < 32:
        raise ValueError(f"{path}: a key has 32 bytes or more; make one with `openssl rand -hex 32`")
    return key


if __name__ == "__main__":
    sys.exit(main())
