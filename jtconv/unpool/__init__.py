"""Pooling that remembers, and unpooling.

Arrays lie as ``(*batch, *spatial, channels)``, with any number of batch axes or none.
"""

from jtconv.unpool.pool import max_pool_with_indices
from jtconv.unpool.unpool import average_unpool, max_unpool, nearest_unpool

__all__ = ["average_unpool", "max_pool_with_indices", "max_unpool", "nearest_unpool"]
