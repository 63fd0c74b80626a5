"""Run the members of a container and say how sure they are: the last stage before a decision.

Over onnx.opening, which decodes; onnx.interpretation makes the prediction of what the members say.
Needs onnxruntime and numpy only, so that it runs on a device without the package onnx.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Literal

import numpy as np

from edgeens.decoder import Container
from edgeens.early_exit import EarlyExit
from edgeens.early_exit import Rows as Places
from edgeens.errors import DataError
from edgeens.onnx.elements import Array
from edgeens.onnx.inputs import Input, named_arrays, pieces
from edgeens.onnx.interpretation import Interpretation
from edgeens.onnx.opening import open_members
from edgeens.onnx.pieces import Rows
from edgeens.onnx.workers import Workers
from edgeens.uncertainty import Prediction


class Session:
    """An ensemble ready to predict.

    Results are those of the decoded members run one by one, in every mode. Use it as a context
    manager, or call `close`. Calls from several threads are safe. Sessions on the same file share
    the decoded weights.

    Attributes:
        mode: "resident", "compact" or "streaming": what was asked for, or chosen.
        reason: why, in a sentence.
    """

    def __init__(
        self,
        container: str | os.PathLike[str] | Container,
        *,
        mode: Literal["auto", "resident", "compact", "streaming"] = "auto",
        optimize: bool | None = None,
        threads: int = 1,
        providers: Sequence[Any] | None = None,
        class_axis: int | None = None,
        task: str | None = None,
    ) -> None:
        """Decode the members and build their graph in ONNX Runtime.

        Args:
            container: a file, or a Container, which is only read here and may be closed after,
                except in mode streaming.
            mode: what stays in memory. "resident": all members' values (K times the weights).
                "compact": all members' codes of 8 bits, multiplied by their scales in every run
                (a quarter of that, exactly the same values; slower). "streaming": one member,
                decoded before each of its runs (slowest; for any K). "auto": the first of them
                that fits half of the memory available.
            optimize: for mode resident: let ONNX Runtime repack weights into its fastest layouts,
                at the price of a slower start, during which a member takes up to four times its
                weights. Sums are taken in another order, so outputs differ in their last digits.
                None: where a member's weights are at most 16 MB, and there is memory for it.
            threads: CPU threads: all of them decode, up to K of them then run a member each, the
                calling one included.
            providers: of ONNX Runtime; default: the CPU.
            class_axis: axis of the classes in the output, the batch axis being 0; default: as the
                file says, else the last.
            task: "classification", "multilabel" or "regression"; default: as the file says.

        Raises:
            DataError: the file holds no graph, the graph cannot be loaded, or an option is wrong.
            FormatError: the file is damaged.
            NotEnoughMemoryError: the weights do not fit in the mode.
            MissingPackageError: onnxruntime is not installed.
            OSError: the file cannot be read.
        """
        self._opened = open_members(
            container, mode=mode, optimize=optimize, threads=threads, providers=providers
        )
        self.mode, self.reason = self._opened.mode, self._opened.reason
        self._members = self._opened.members
        self._output_names = [item.name for item in self._members.outputs]
        try:
            self._meaning = Interpretation.of_file(
                self._opened.metadata,
                outputs=self._output_names,
                members=self._members.count,
                task=task,
                class_axis=class_axis,
            )
        except DataError:
            self._opened.close()
            raise
        self._workers = Workers(self._opened.workers)
        self._pieces = Rows(self._members, workers=self._workers.count)
        self._inputs = [
            Input(item.name, item.type, tuple(item.shape)) for item in self._members.inputs
        ]
        # A graph made for one size of batch takes longer input in pieces of that size.
        firsts = {tuple(item.shape)[:1] for item in [*self._inputs, *self._members.outputs]}
        first = next(iter(firsts)) if len(firsts) == 1 else ()
        self._fixed = first[0] if first and isinstance(first[0], int) else None

    @property
    def members(self) -> int:
        """K, the number of members."""
        return self._members.count

    @property
    def rows(self) -> int | None:
        """How many rows a run takes, if the graph fixes it."""
        return self._fixed

    @property
    def input_names(self) -> list[str]:
        """The model's inputs."""
        return [item.name for item in self._inputs]

    @property
    def output_names(self) -> list[str]:
        """The graph's outputs."""
        return list(self._output_names)

    @property
    def task(self) -> str | None:
        """What the output means, or None if neither the file nor the caller said."""
        return self._meaning.task

    @property
    def output(self) -> str:
        """The output that the task speaks of."""
        return self._meaning.output

    @property
    def output_kind(self) -> str:
        """What that output holds: "logits" or "probabilities"."""
        return "logits" if self._meaning.logits else "probabilities"

    @property
    def class_axis(self) -> int:
        """Axis of the classes in that output, the batch axis being 0; negative from the end."""
        return self._meaning.class_axis

    @property
    def temperature(self) -> float:
        """What logits are divided by: the calibration's, else the metadata's, else 1."""
        return self._meaning.temperature

    @property
    def early_exit(self) -> EarlyExit | None:
        """The rule that the file holds for running fewer members, if any."""
        return self._meaning.early_exit

    def predict(
        self,
        x: Array | Mapping[str, Array],
        *,
        batch: int | None = None,
        early_exit: bool | EarlyExit = False,
    ) -> Prediction:
        """Run all members and summarise: mean, uncertainties and every member's output.

        Logits are divided by the file's temperature and become probabilities (softmax, or sigmoid
        for multilabel); probabilities are taken as they are.

        Args:
            x: the model's input, or its inputs by name; type and fixed dims as the model has them.
            batch: rows (axis 0) that are run at a time, to bound memory; default: all, or as many
                as fit half of the memory available. Right only if the model treats rows alone, as
                nearly all do.
            early_exit: run members one after another, and for each row only until it is settled:
                by the file's rule (`edgeens calibrate`), or by the one given. For classification
                with one class a row, by models that treat rows alone. Further outputs of the
                graph are left out.

        Raises:
            DataError: *x* does not fit the model, the task is not known, or there is no rule for
                an early exit.
            NotEnoughMemoryError: ONNX Runtime could not get what it needs.
        """
        if early_exit is False:
            return self.summarise(self.predict_members(x, batch=batch))
        rule = self.early_exit if early_exit is True else early_exit
        if rule is None:
            raise DataError(
                "the file has no rule for an early exit: make one with `edgeens calibrate`, or "
                "give one"
            )
        feeds = self._checked_feeds(x)
        lengths = {array.shape[0] if array.ndim else 0 for array in feeds.values()}
        if len(lengths) > 1:
            raise DataError("inputs without one common length have no rows that could exit early")
        (rows,) = lengths
        size = self._rows(feeds, batch) or -(-rows // self._workers.count)
        return self._meaning.predict_early(
            rule,
            lambda member, places: self._run_rows(member, feeds, places, size),
            rows=rows,
            members=self.members,
        )

    def summarise_early(self, outputs: Mapping[str, Array], rule: EarlyExit) -> Prediction:
        """What `predict` with an early exit gives, from all members' raw outputs (K, batch, C).

        Raises:
            DataError: the task is not classification with one class a row.
        """
        raw = outputs[self.output]
        return self._meaning.predict_early(
            rule,
            lambda member, places: raw[member, places],
            rows=raw.shape[1],
            members=self.members,
        )

    def summarise(self, outputs: Mapping[str, Array]) -> Prediction:
        """The prediction that follows from members' raw outputs by name, each (K, batch, ...).

        The outputs may come from elsewhere, such as the members' own files.

        Raises:
            DataError: the task is not known.
        """
        return self._meaning.predict(outputs)

    def predict_members(
        self, x: Array | Mapping[str, Array], *, batch: int | None = None
    ) -> dict[str, Array]:
        """Every member's raw outputs by name, each (K, batch, ...); arguments as for `predict`."""
        feeds = self._checked_feeds(x)
        rows = self._rows(feeds, batch)
        if rows is None:
            return self._run(feeds)
        parts = [self._run(piece) for piece in pieces(feeds, rows)]
        if len(parts) == 1:
            return parts[0]
        for name, array in parts[0].items():
            if array.ndim < 2 or array.shape[1] != rows:
                raise DataError(
                    f"the output {name!r} has no batch axis, so the input cannot be cut into "
                    "batches: leave out batch"
                )
        return {name: np.concatenate([part[name] for part in parts], axis=1) for name in parts[0]}

    def close(self) -> None:
        """Let go of the weights; the session cannot be used after. Closing twice is allowed."""
        self._workers.close()
        self._opened.close()

    def __enter__(self) -> Session:
        """The session itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def _checked_feeds(self, x: Array | Mapping[str, Array]) -> dict[str, Array]:
        self._members.check_open()
        feeds = named_arrays(x, self._inputs)
        for item in self._inputs:
            item.check(feeds[item.name], rows=self._fixed)
        return feeds

    def _rows(self, feeds: dict[str, Array], batch: int | None) -> int | None:
        """How many rows to run at a time, or None for all."""
        if batch is not None and batch < 1:
            raise DataError(f"a batch has at least 1 row, not {batch}")
        if self._fixed is None:
            return batch or self._pieces.fitting(feeds)
        for name, array in feeds.items():
            if array.shape[0] % self._fixed:
                raise DataError(
                    f"the model takes {self._fixed} rows at a time, so the rows of input {name!r} "
                    f"must be a multiple of that, but there are {array.shape[0]}"
                )
        return self._fixed

    def _run(self, feeds: dict[str, Array]) -> dict[str, Array]:
        """All members' outputs for one piece of the input, each (K, rows, ...)."""
        outputs = self._workers.map(
            lambda member: self._members.run(member, feeds), range(self._members.count)
        )
        # For arrays of one shape it is what np.stack is, in a third of the time.
        return {
            name: np.array(members)
            for name, members in zip(self._output_names, zip(*outputs, strict=True), strict=True)
        }

    def _run_rows(self, member: int, feeds: dict[str, Array], places: Places, size: int) -> Array:
        """One member's output for some rows, *size* at a time."""
        index = self._output_names.index(self.output)
        # A graph of a fixed size needs whole pieces: the last row is repeated.
        missing = -len(places) % self._fixed if self._fixed else 0
        wanted = np.append(places, np.repeat(places[-1:], missing))
        parts = [
            {name: array[wanted[start : start + size]] for name, array in feeds.items()}
            for start in range(0, len(wanted), size)
        ]
        outputs = self._workers.map(lambda part: self._members.run(member, part)[index], parts)
        return np.concatenate(outputs)[: len(places)]
