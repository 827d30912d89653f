"""Options of ``xaibench run`` on where its cells are computed, and for how long."""

from __future__ import annotations

import argparse
from typing import Any

from xaibench.cli.parser import Parser, number

WHERE = ("workers", "scheduler", "scheduler_file", "tls_ca", "tls_cert", "tls_key", "worker_memory")
NAMES = (*WHERE, "threads", "timeout")


def configure(parser: Parser) -> None:
    """The options."""
    add = parser.add_argument
    at_least, seconds = number(float, 0.1), number(float, 0.001)
    add("--workers", type=number(int, 1), metavar="N", help="compute in N processes of this machine: the same numbers")
    add("--scheduler", metavar="ADDRESS", help="compute on the Dask cluster whose scheduler is there (docs/cluster.md)")
    add("--scheduler-file", metavar="FILE", help="the same, by the file that `dask scheduler --scheduler-file` wrote")
    add("--tls-ca", metavar="FILE", help="the authority of a cluster that speaks TLS; by default as Dask is configured")
    add("--tls-cert", metavar="FILE", help="this side's certificate for it")
    add("--tls-key", metavar="FILE", help="the certificate's key")
    add("--worker-memory", type=at_least, metavar="GB", help="that each of the N may take (default: an even share)")
    add("--threads", type=number(int, 1), metavar="N", help="of each process; another number can change last digits")
    add("--timeout", type=seconds, metavar="SECONDS", help="after which a cell has failed (default: never)")


def asked(args: argparse.Namespace) -> dict[str, Any]:
    """The fields of a request that these options fill."""
    return {name: getattr(args, name) for name in NAMES}
