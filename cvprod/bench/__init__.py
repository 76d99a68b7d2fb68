"""Benchmarks of the book's claims: ``python -m cvprod.bench COMMAND``.

Every module in this folder is a command, with ``add_arguments(parser)`` and ``run(args) -> int``. A command turns
what the reader can mend (a wrong path, a missing file) into an exit status by raising :class:`UsageError`.
"""

import pkgutil

COMMANDS = tuple(sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.ispkg and not m.name.startswith("_")))


class UsageError(Exception):
    """The command cannot start as it was called; the message says what to change."""
