"""``xaibench new``: a package skeleton for a plugin."""
