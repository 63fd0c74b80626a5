"""Decoded weights in ONNX Runtime's hands: no temporary files, no package onnx.

Between onnx.loaded, which decodes, and onnx.session. Weights that are graph inputs are used where
they lie, so one ONNX Runtime session serves all members; graphs that need constants, and callers
who want ONNX Runtime to repack weights for speed, get a session a member.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from threading import Lock
from typing import Any, Literal, get_args

import numpy as np

from edgeens.decoder import Container
from edgeens.errors import DataError, EdgeensError, FormatError
from edgeens.onnx.elements import NUMBERS, Array, numpy_type, runtime_type
from edgeens.onnx.engine import Engine, run_session
from edgeens.onnx.forms import graph_inputs, with_codes, with_constants, with_inner_outputs
from edgeens.onnx.loaded import (
    Shared,
    Streamed,
    coded_inputs,
    decode_codes,
    decode_values,
    shared,
)
from edgeens.onnx.memory import give_back_free

Mode = Literal["resident", "compact", "streaming"]
MODES: tuple[str, ...] = get_args(Mode)

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


class Members:
    """All members of a container, ready to run.

    Attributes:
        count: K.
        inputs: the model's own inputs as ONNX Runtime describes them (name, type, shape).
        outputs: its outputs, likewise.
    """

    def __init__(
        self,
        container: Container,
        *,
        mode: Mode,
        optimize: bool,
        threads: int,
        decoders: int,
        providers: Sequence[Any] | None,
        identity: tuple[object, ...] | None,
    ) -> None:
        """Decode what the mode wants in memory and build ONNX Runtime's sessions.

        Args:
            container: in mode streaming it has to stay open as long as this is used.
            mode: see `onnx.session.Session`.
            optimize: constants that ONNX Runtime may repack; for mode resident.
            threads: of one run.
            decoders: threads that decode.
            providers: of ONNX Runtime; None: the CPU.
            identity: of the file, to share decoded weights with other sessions; None: do not.
        """
        self._engine = Engine(threads=threads, providers=providers)
        self.count = container.members
        self._tensors = container.tensors
        kind, graph = find_skeleton(container)
        if kind != "SKLF" and mode != "resident":
            raise DataError(
                f"mode {mode} cannot run this graph: it is quantised or has operators from outside "
                "ONNX, which need their weights as constants; use mode resident"
            )
        if kind == "SKLF":
            _check_inputs(graph, container)
        self._streaming = Lock()
        self._stream: Streamed | None = None
        self._kept: Shared[Any] | None = None  # what the sessions use without owning it
        self._sessions: list[Any] = []
        self._feeds: list[dict[str, Any]] = []
        if mode == "streaming":
            self._stream_from(container, graph, decoders)
        elif mode == "compact":
            self._keep_codes(container, graph, decoders, identity)
        elif kind == "SKLF" and not optimize:
            self._feed_values(container, graph, decoders, identity)
        else:
            if kind == "SKLF":
                types = {i.name: (NUMBERS[i.dtype], i.shape) for i in self._tensors}
                graph = with_constants(graph, types)
            self._make_constants(container, graph, decoders, identity, optimize=optimize)
        fed = set(self._feeds[0])
        self.inputs = [item for item in self._sessions[0].get_inputs() if item.name not in fed]
        self.outputs = self._sessions[0].get_outputs()
        wide = runtime_type("bfloat16")
        self._bfloat16 = [item.name for item in self.inputs if item.type == wide]

    def run(self, member: int, feeds: Mapping[str, Array]) -> list[Array]:
        """All outputs of one member, in the order of `outputs`; *feeds* are its checked inputs.

        Raises DataError with ONNX Runtime's reason if it cannot compute them, FormatError if a
        streamed file is damaged, and EdgeensError after `close`.
        """
        self.check_open()
        options = self._engine.run_options(feeds)
        values = {**self._inputs_of(feeds), **self._feeds[member]}
        if self._stream is None:
            return run_session(self._sessions[member], values, options)
        with self._streaming:
            self._stream.load(member)
            return run_session(self._sessions[member], values, options)

    def inner_sizes(
        self, inputs: Sequence[Mapping[str, Array]]
    ) -> list[tuple[int, list[tuple[int, ...]]]]:
        """For each of *inputs*: bytes of all values that its run makes, and the outputs' shapes.

        Raises DataError if ONNX Runtime cannot run the graph with its inner values as outputs.
        """
        self.check_open()
        # How large values are does not hang on what the weights are.
        blank = {i.name: np.zeros(i.shape, numpy_type(i.dtype)) for i in self._tensors}
        constants = {} if self._feeds[0] else self._wrap(blank)
        session = self._engine.session(with_inner_outputs(self._graph), constants, pattern=False)
        sizes = []
        for feeds in inputs:
            with self._streaming if self._stream is not None else nullcontext():
                found = run_session(session, {**self._inputs_of(feeds), **self._feeds[0]})
            arrays = [each for each in found if isinstance(each, np.ndarray)]
            shapes = [np.shape(output) for output in found[: len(self.outputs)]]
            sizes.append((sum(array.nbytes for array in arrays), shapes))
        return sizes

    def check_open(self) -> None:
        """Raise EdgeensError after `close`."""
        if not self._sessions:
            raise EdgeensError("the session is closed; open it again")

    def _inputs_of(self, feeds: Mapping[str, Array]) -> Mapping[str, Any]:
        if not self._bfloat16:
            return feeds
        values: dict[str, Any] = dict(feeds)
        for name in self._bfloat16:
            values[name] = self._value(feeds[name], bfloat16=True)
        return values

    def close(self) -> None:
        """Drop the sessions and the weights."""
        self._sessions, self._feeds = [], []
        self._kept = self._stream = None

    def _stream_from(self, container: Container, graph: bytes, decoders: int) -> None:
        self._stream = Streamed(container, threads=decoders)
        feeds = self._wrap(self._stream.arrays)
        self._share_one(graph, [feeds] * self.count)

    def _keep_codes(
        self,
        container: Container,
        graph: bytes,
        decoders: int,
        identity: tuple[object, ...] | None,
    ) -> None:
        coded = coded_inputs(container, graph)
        self._kept = shared(
            identity, "codes", lambda: decode_codes(container, coded, threads=decoders)
        )
        feeds = [self._wrap(arrays) for arrays in self._kept.members]
        self._share_one(with_codes(graph, coded), feeds)

    def _feed_values(
        self,
        container: Container,
        graph: bytes,
        decoders: int,
        identity: tuple[object, ...] | None,
    ) -> None:
        self._kept = shared(identity, "values", lambda: decode_values(container, threads=decoders))
        self._share_one(graph, [self._wrap(arrays) for arrays in self._kept.members])

    def _make_constants(
        self,
        container: Container,
        graph: bytes,
        decoders: int,
        identity: tuple[object, ...] | None,
        *,
        optimize: bool,
    ) -> None:
        """A session a member, shared as weights are; the other sessions run the same way."""
        self._kept = shared(
            identity,
            f"sessions {optimize} {self._engine.settings}",
            lambda: list(self._sessions_of(container, graph, decoders, optimize=optimize)),
        )
        self._sessions = [session for session, _ in self._kept.members]
        self._feeds = [{} for _ in self._sessions]
        self._graph = graph

    def _sessions_of(
        self, container: Container, graph: bytes, decoders: int, *, optimize: bool
    ) -> Iterator[tuple[Any, dict[str, Any]]]:
        """A session a member, whose weights lie in one buffer while its session is made.

        With each come the values that it uses without owning them.
        """
        copies = self._engine.copies_constants
        stream = Streamed(container, threads=decoders)
        for member in range(self.count):
            if not copies and member:
                stream = Streamed(container, threads=decoders)
            stream.load(member)
            constants = self._wrap(stream.arrays)
            session = self._engine.session(graph, constants, pattern=optimize)
            give_back_free()
            yield session, {} if copies else constants

    def _share_one(self, graph: bytes, feeds: list[dict[str, Any]]) -> None:
        """One session for all members, which differ in what they are fed."""
        self._sessions = [self._engine.session(graph, {}, pattern=False)] * self.count
        self._graph = graph
        self._feeds = feeds

    def _wrap(self, arrays: Mapping[str, Array]) -> dict[str, Any]:
        """ONNX Runtime's values over the arrays of a member."""
        dtypes = {info.name: info.dtype for info in self._tensors}
        return {
            name: self._value(array, bfloat16=dtypes.get(name) == "bfloat16")
            for name, array in arrays.items()
        }

    def _value(self, array: Array, *, bfloat16: bool) -> Any:
        """An OrtValue that uses *array* where it lies, and keeps it alive."""
        make = self._engine.runtime.OrtValue
        if bfloat16:
            return make.ortvalue_from_numpy_with_onnx_type(array, NUMBERS["bfloat16"])
        return make.ortvalue_from_numpy(array)


def _check_inputs(graph: bytes, container: Container) -> None:
    """Refuse a graph that does not take the container's tensors as they are."""
    inputs = graph_inputs(graph)
    for info in container.tensors:
        if inputs.get(info.name) != (NUMBERS[info.dtype], tuple(info.shape)):
            raise FormatError(
                _SECTION,
                f"the section SKLF has no graph input {info.name!r} of {info.dtype} "
                f"{tuple(info.shape)}; the file was not made by one encoder",
            )
