"""Options that several commands share, each declared once."""

from pathlib import Path

from xaibench.cli.parser import SEED, Parser, number, one_of, output_path, specs
from xaibench.disk import is_file
from xaibench.vocabulary import TARGETS


def add_runs(parser: Parser) -> None:
    """``RUN…``: the folders that a table is made of."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folder of a run; several are merged")


def add_data(parser: Parser, *, split: str = "test", required: bool = True) -> None:
    """``--data``, ``--split`` and ``--cases``: which images."""
    text = "dataset, folder or zip" + ("" if required else "; DRIVE where it is found, else phantoms")
    parser.add_argument("--data", required=required, metavar="NAME|FOLDER", help=text)
    parser.add_argument("--split", default=split, help=f"which part of the data (default: {split})")
    parser.add_argument("--cases", type=number(int, 1), metavar="N", help="only the first N images")


def add_model(parser: Parser, default: str = "the bundled network for this data") -> None:
    """``--model``: which network; see :func:`model_argument`."""
    parser.add_argument(
        "--model", metavar="NAME|WEIGHTS|MODULE:FACTORY|FILE.py:FACTORY", help=f"the network (default: {default})"
    )


def model_argument(text: str | None) -> str | Path | None:
    """The value of ``--model``: a weights file as a path, so that records carry its name without its folder."""
    return Path(text) if text is not None and (text.endswith(".safetensors") or is_file(Path(text))) else text


def add_methods(parser: Parser, text: str, *, name: str = "--method") -> None:
    """``--method`` or ``--metric``: names with parameters, separated by commas or given again."""
    parser.add_argument(
        name,
        nargs="+",
        type=specs,
        action="extend",
        default=[],
        metavar="NAME[KEY=VALUE,…]",
        help=text,
    )


def add_target(parser: Parser, shown: str = "|".join(TARGETS)) -> None:
    """``--target``: which pixels are explained."""
    add_choice(parser, "--target", TARGETS, "what is explained", shown=shown)


def add_choice(parser: Parser, name: str, known: tuple[str, ...], text: str, *, shown: str = "") -> None:
    """An option that takes one of some names, the first by default."""
    parser.add_argument(
        name,
        type=one_of(*known),
        default=known[0],
        metavar=shown or "|".join(known),
        help=f"{text} (default: {known[0]})",
    )


def add_seed_and_device(parser: Parser) -> None:
    """``--seed`` and ``--device``."""
    parser.add_argument("--seed", type=SEED, default=0, metavar="N", help="of all random numbers (default: 0)")
    parser.add_argument("--device", default="auto", metavar="auto|cpu|cuda:N", help="where to compute (default: auto)")


def add_json(parser: Parser, instead_of: str = "the table") -> None:
    """``--json``."""
    parser.add_argument("--json", action="store_true", help=f"print one JSON document instead of {instead_of}")


def add_out(parser: Parser, metavar: str, text: str, *, required: bool = False) -> None:
    """``--out``: where to write."""
    parser.add_argument("--out", type=output_path, required=required, metavar=metavar, help=text)


def add_force(parser: Parser, text: str = "replace the file if there is one") -> None:
    """``--force``."""
    parser.add_argument("--force", action="store_true", help=text)


def add_computing(parser: Parser) -> None:
    """``--workers``, ``--scheduler``, …: where the cells of a run are computed, and how long each may take."""
    add = parser.add_argument
    add("--workers", type=number(int, 1), metavar="N", help="compute in N processes of this machine: the same numbers")
    add("--scheduler", metavar="ADDRESS", help="compute on the Dask cluster with this scheduler (docs/cluster.md)")
    add("--scheduler-file", metavar="FILE", help="the same, by the file that `dask scheduler --scheduler-file` wrote")
    add("--tls-ca", metavar="FILE", help="certificate authority of a cluster with TLS (default: Dask's configuration)")
    add("--tls-cert", metavar="FILE", help="this side's certificate for it")
    add("--tls-key", metavar="FILE", help="the certificate's key")
    add("--worker-memory", type=number(float, 0.1), metavar="GB", help="of each of the N (default: an even share)")
    add("--threads", type=number(int, 1), metavar="N", help="of each process; another number can change last digits")
    add("--timeout", type=number(float, 0.001), metavar="SECONDS", help="a cell fails after this (default: never)")
