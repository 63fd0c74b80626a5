"""Decoded weights in ONNX Runtime's hands: no temporary files, no package onnx.

Between decoder.Container and onnx.session. Weights that are graph inputs are used where they lie:
one session serves all members, and each member costs its weights once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgeens.decoder import Container
from edgeens.errors import DataError, EdgeensError, FormatError, MissingPackageError
from edgeens.onnx.elements import NUMBERS, Array, runtime_type

_SECTION = 15  # SPEC S12: a section is malformed


def find_skeleton(container: Container) -> tuple[str, bytes]:
    """Type and payload of the section with the graph: SKLF if there is one, else SKLC.

    Raises DataError if the container has neither.
    """
    for kind in ("SKLF", "SKLC"):
        if kind in container.sections:
            return kind, container.section(kind)
    raise DataError(
        "the file holds weights but no graph (section SKLF or SKLC): encode it from ONNX models, "
        "or decode its tensors as arrays"
    )


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


class Members:
    """All members of a container, decoded and ready to run.

    Attributes:
        count: K.
        inputs: the model's own inputs as ONNX Runtime describes them (name, type, shape).
        outputs: its outputs, likewise.
    """

    def __init__(
        self,
        container: Container,
        *,
        threads: int,
        decoders: int,
        providers: Sequence[Any] | None,
    ) -> None:
        """Decode every tensor once a copy, on *decoders* threads, and build the sessions.

        *threads* are those of one run.
        """
        self._runtime = import_runtime()
        self._threads = threads
        self._providers = ["CPUExecutionProvider"] if providers is None else list(providers)
        self.count = container.members
        kind, graph = find_skeleton(container)
        values = self._decoded(container, decoders)
        if kind == "SKLF":
            session = self._session(graph, {})
            _check_inputs(session, container)
            self._sessions = [session] * self.count
            self._feeds, self._constants = values, []
        else:
            self._sessions = [self._session(graph, member) for member in values]
            # ONNX Runtime does not promise to copy them, so they live as long as the sessions.
            self._feeds, self._constants = [{} for _ in values], values
        names = {info.name for info in container.tensors}
        self.inputs = [item for item in self._sessions[0].get_inputs() if item.name not in names]
        self.outputs = self._sessions[0].get_outputs()

    def run(self, member: int, feeds: Mapping[str, Array]) -> list[Array]:
        """All outputs of one member, in the order of `outputs`; *feeds* are its checked inputs.

        Raises DataError with ONNX Runtime's reason if it cannot compute them, and EdgeensError
        after `close`.
        """
        if not self._sessions:
            raise EdgeensError("the session is closed; open it again")
        values: dict[str, Any] = dict(feeds)
        for item in self.inputs:
            if item.type == runtime_type("bfloat16"):
                values[item.name] = self._value(feeds[item.name], bfloat16=True)
        try:
            outputs: list[Array] = self._sessions[member].run(None, values | self._feeds[member])
        except Exception as error:  # its errors have no common base below Exception
            raise DataError(f"ONNX Runtime cannot run the model: {_reason(error)}") from error
        return outputs

    def close(self) -> None:
        """Drop the sessions and the weights."""
        self._sessions, self._feeds, self._constants = [], [], []

    def _decoded(self, container: Container, threads: int) -> list[dict[str, Any]]:
        """For each member its tensors by name; a tensor with one copy is the same object in all."""
        members: list[dict[str, Any]] = [{} for _ in range(self.count)]
        for info in container.tensors:
            for member, values in enumerate(members):
                if member and info.copies == 1:
                    values[info.name] = members[0][info.name]
                    continue
                array = container.decode(info.name, member=member, threads=threads)
                values[info.name] = self._value(array, bfloat16=info.dtype == "bfloat16")
        return members

    def _value(self, array: Array, *, bfloat16: bool) -> Any:
        """An OrtValue that uses *array* where it lies, and keeps it alive."""
        make = self._runtime.OrtValue
        if bfloat16:
            return make.ortvalue_from_numpy_with_onnx_type(array, NUMBERS["bfloat16"])
        return make.ortvalue_from_numpy(array)

    def _session(self, graph: bytes, constants: Mapping[str, Any]) -> Any:
        options = self._runtime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # its errors come as exceptions; no need to print them too
        # Both would keep memory between runs that the next member's run cannot use better.
        options.enable_cpu_mem_arena = False
        options.enable_mem_pattern = False
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if constants:
            options.add_external_initializers(list(constants), list(constants.values()))
        try:
            return self._runtime.InferenceSession(graph, options, providers=self._providers)
        except Exception as error:  # its errors have no common base below Exception
            raise DataError(
                f"ONNX Runtime {self._runtime.__version__} cannot load the model: {_reason(error)}"
            ) from error


def _check_inputs(session: Any, container: Container) -> None:
    """Refuse a graph that does not take the container's tensors as they are."""
    inputs = {item.name: (item.type, tuple(item.shape)) for item in session.get_inputs()}
    for info in container.tensors:
        if inputs.get(info.name) != (runtime_type(info.dtype), tuple(info.shape)):
            raise FormatError(
                _SECTION,
                f"the section SKLF has no graph input {info.name!r} of {info.dtype} "
                f"{tuple(info.shape)}; the file was not made by one encoder",
            )


def _reason(error: Exception) -> str:
    """The first line of what ONNX Runtime says."""
    return (str(error).splitlines() or [type(error).__name__])[0]
