"""Every error edgeens raises on purpose: one base class, one child for each kind of cause."""

from __future__ import annotations


class EdgeensError(Exception):
    """Base of all errors that a caller of edgeens may want to catch."""


class FormatError(EdgeensError):
    """A container is malformed, damaged, or needs something that this decoder lacks.

    Attributes:
        status: the number of the refusal, the same in every decoder (SPEC, "Statuses").
    """

    def __init__(self, status: int, message: str) -> None:
        """Keep the number beside the sentence."""
        super().__init__(message)
        self.status = status


class MembersError(EdgeensError):
    """The members given to the encoder do not form one ensemble, or hold unusable weights."""


class DataError(EdgeensError):
    """An input array or a data file has the wrong shape, type, names or content."""


class BudgetError(EdgeensError):
    """A budget cannot be read, or no file that the encoder can make keeps it."""


class NotEnoughMemoryError(EdgeensError):
    """Weights or a run need more memory than there is; the message says what needs less."""


class MissingPackageError(EdgeensError):
    """An optional package is not installed; the message says which extra brings it."""
