"""``python -m xaibench`` is the command ``xaibench``."""

from xaibench.cli.main import main

raise SystemExit(main())
