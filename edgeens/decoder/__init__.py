"""The C decoder as a Python object: `Container`, a file's tensors, sections and metadata.

Last stage before a model runs: reads what container.writer wrote. The only user of edgeens._native.
"""

from edgeens.decoder.container import Container

__all__ = ["Container"]
