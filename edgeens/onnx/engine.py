"""ONNX Runtime itself: the package, its sessions, and its refusals in our words.

Under onnx.runtime, which decides what the sessions are made of.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from edgeens.errors import DataError, MissingPackageError, NotEnoughMemoryError
from edgeens.onnx.elements import Array
from edgeens.onnx.inputs import total_bytes

# The newest ONNX Runtime of which tests have shown that it copies what
# SessionOptions.add_external_initializers gives it; none has promised to.
_COPIES_CONSTANTS = (1, 31)

_LARGE = 1 << 20  # bytes of inputs: getting memory anew is nothing beside such a run

# What ONNX Runtime says where an allocation fails, without its arena and with it.
_NO_MEMORY = ("bad_alloc", "bad allocation", "Failed to allocate memory")


def import_runtime() -> Any:
    """The package onnxruntime.

    Raises MissingPackageError if it is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingPackageError(
            "running a model needs the package onnxruntime, which is not installed: "
            "`pip install onnxruntime`. It exists for 64-bit x86 and ARM (aarch64), not for 32-bit "
            "ARM (armv7l, armv6l) or musl; there, decode the tensors or use the C decoder"
        ) from error
    return onnxruntime


class Engine:
    """ONNX Runtime with the settings that all sessions of an ensemble have.

    Attributes:
        runtime: the package onnxruntime.
    """

    def __init__(self, *, threads: int, providers: Sequence[Any] | None) -> None:
        """*threads* of one run; *providers* of ONNX Runtime, None: the CPU.

        Raises DataError for a provider that this ONNX Runtime lacks (it would warn and use the
        CPU), MissingPackageError if ONNX Runtime is not installed.
        """
        self.runtime = import_runtime()
        self._threads = threads
        self._providers = ["CPUExecutionProvider"] if providers is None else list(providers)
        there = self.runtime.get_available_providers()
        for name in map(_provider_name, self._providers):
            if name not in there:
                raise DataError(
                    f"this ONNX Runtime has no provider {name!r}; it has {', '.join(there)}"
                )

    @property
    def settings(self) -> str:
        """What sessions of the same graph differ in from engine to engine."""
        return f"{self._threads} {self._providers}"

    @property
    def copies_constants(self) -> bool:
        """Whether the arrays that a session was made with may change after."""
        found = re.match(r"(\d+)\.(\d+)", self.runtime.__version__)
        version = (int(found[1]), int(found[2])) if found else (0, 0)
        return (1, 20) <= version <= _COPIES_CONSTANTS

    def run_options(self, feeds: Mapping[str, Array]) -> Any:
        """Options of a run: after a large one, the arena gives back what it took for it."""
        if total_bytes(feeds) < _LARGE:
            return None
        options = self.runtime.RunOptions()
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        return options

    def session(self, graph: bytes, constants: Mapping[str, Any], *, pattern: bool) -> Any:
        """A session of a graph; *constants* are values of its external initializers.

        With *pattern*, ONNX Runtime keeps a plan of memory for every shape of inputs: a little
        speed for some memory.

        Raises DataError if ONNX Runtime refuses the graph or does not start a provider.
        """
        options = self.runtime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # its errors come as exceptions; no need to print them too
        # Without its arena, every inner value goes through malloc, aligned, which glibc before 2.38
        # hardly ever puts where one was freed: memory grows to several times what is in use.
        options.enable_cpu_mem_arena = True
        options.enable_mem_pattern = pattern
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if constants:
            # In the arena, ONNX Runtime 1.20 keeps the weights as they were beside the repacked.
            options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
            options.add_external_initializers(list(constants), list(constants.values()))
        try:
            session = self.runtime.InferenceSession(
                graph, options, providers=self._providers, enable_fallback=0
            )
        except Exception as error:  # its errors have no common base below Exception
            raise DataError(
                f"ONNX Runtime {self.runtime.__version__} cannot load the model: {reason(error)}"
            ) from error
        used = session.get_providers()
        for name in map(_provider_name, self._providers):
            if name not in used:
                raise DataError(
                    f"the provider {name!r} did not start, so that the model would run with "
                    f"{', '.join(used)}: install what it needs, or leave it out"
                )
        return session


def run_session(session: Any, values: Mapping[str, Any], options: Any = None) -> list[Array]:
    """All outputs of a run; *options* are ONNX Runtime's.

    Raises NotEnoughMemoryError if an allocation fails, DataError with ONNX Runtime's reason if it
    cannot compute them otherwise.
    """
    try:
        outputs: list[Array] = session.run(None, values, options)
    except Exception as error:  # its errors have no common base below Exception
        said = reason(error)
        if isinstance(error, MemoryError) or any(word in said for word in _NO_MEMORY):
            raise NotEnoughMemoryError(
                "not enough memory to run the model on so many rows: give a smaller batch, or "
                f"fewer threads ({said})"
            ) from error
        raise DataError(f"ONNX Runtime cannot run the model: {said}") from error
    return outputs


def _provider_name(provider: Any) -> str:
    """A provider is a name, or a name with options."""
    return str(provider[0] if isinstance(provider, tuple) else provider)


def reason(error: Exception) -> str:
    """The first line of what ONNX Runtime says, without its codes."""
    line = (str(error).splitlines() or [type(error).__name__])[0]
    return re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", line)
