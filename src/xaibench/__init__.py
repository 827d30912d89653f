"""xaibench: which explanation method can be trusted on a vessel-segmentation network, and on which vessels?

The public names are listed once, in ``__init__.pyi``; each is imported when it is first used, so that
``import xaibench`` stays fast.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
