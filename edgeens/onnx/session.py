"""Run the members of a container and say how sure they are: the last stage before a decision.

Needs onnxruntime and numpy only, so that it runs on a device without the package onnx.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import TracebackType
from typing import Any, Literal, cast

import numpy as np

from edgeens.decoder import Container
from edgeens.early_exit import EarlyExit, predict_early
from edgeens.early_exit import Rows as Places
from edgeens.errors import DataError, NotEnoughMemoryError
from edgeens.onnx.elements import Array
from edgeens.onnx.inputs import Input, named_arrays, pieces
from edgeens.onnx.loaded import file_identity
from edgeens.onnx.memory import available_bytes, free_swap_bytes
from edgeens.onnx.modes import check_room, choose_mode
from edgeens.onnx.pieces import Rows
from edgeens.onnx.runtime import MODES, Members, Mode
from edgeens.uncertainty import (
    Prediction,
    sigmoid,
    softmax,
    summarize,
    summarize_multilabel,
    summarize_regression,
)

TASKS = ("classification", "multilabel", "regression")


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
        optimize: bool = False,
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
                at the price of a slower start and of twice the memory or more.
            threads: CPU threads: all of them decode, up to K of them then run a member each.
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
        if threads < 1:
            raise DataError(f"a session has at least 1 thread, not {threads}")
        if mode not in ("auto", *MODES):
            raise DataError(f"the mode {mode!r} is not one of auto, {', '.join(MODES)}")
        if optimize and mode not in ("auto", "resident"):
            raise DataError(f"optimize is for mode resident, not {mode}")
        self._own: Container | None = None  # kept open for streaming
        if isinstance(container, Container):
            self._load(container, mode, optimize, threads, providers, None)
        else:
            self._open(container, mode, optimize, threads, providers)
        self._settle(task, class_axis)

    def _open(
        self,
        path: str | os.PathLike[str],
        mode: str,
        optimize: bool,
        threads: int,
        providers: Sequence[Any] | None,
    ) -> None:
        """Open a file, and close it where it is not needed any more."""
        opened = Container.open(path)
        try:
            self._load(opened, mode, optimize, threads, providers, file_identity(path))
        except BaseException:
            opened.close()
            raise
        if self.mode == "streaming":
            self._own = opened
        else:
            opened.close()

    def _load(
        self,
        container: Container,
        mode: str,
        optimize: bool,
        threads: int,
        providers: Sequence[Any] | None,
        identity: tuple[object, ...] | None,
    ) -> None:
        available = available_bytes()
        if mode == "auto":
            self.mode, self.reason = choose_mode(container, available, optimize=optimize)
        else:
            self.mode, self.reason = cast(Mode, mode), "asked for"
        check_room(
            container, self.mode, None if available is None else available + free_swap_bytes()
        )
        # Members of one file are decoded into one place when they stream, so one runs at a time.
        workers = 1 if self.mode == "streaming" else min(threads, container.members)
        try:
            self._members = Members(
                container,
                mode=self.mode,
                optimize=optimize,
                threads=threads // workers,
                decoders=threads,
                providers=providers,
                identity=identity,
            )
        except MemoryError as error:
            raise NotEnoughMemoryError(
                f"not enough memory for the weights in mode {self.mode} ({error}): use mode "
                "compact or streaming, or end other programs"
            ) from error
        self._workers = workers
        self._pieces = Rows(self._members, workers=workers)
        self._pool = ThreadPoolExecutor(workers) if workers > 1 else None
        self._metadata = container.metadata | container.calibration
        self._inputs = [
            Input(item.name, item.type, tuple(item.shape)) for item in self._members.inputs
        ]
        # A graph made for one size of batch takes longer input in pieces of that size.
        firsts = {tuple(item.shape)[:1] for item in [*self._inputs, *self._members.outputs]}
        first = next(iter(firsts)) if len(firsts) == 1 else ()
        self._fixed = first[0] if first and isinstance(first[0], int) else None

    def _settle(self, task: str | None, class_axis: int | None) -> None:
        """What the output means: as the caller says, else as the file says."""
        self._task = task or self._metadata.get("edgeens.task")
        self._output: str = self._metadata.get("edgeens.output", self.output_names[0])
        named_axis = self._metadata.get("edgeens.class_axis", -1)
        self._axis = named_axis if class_axis is None else class_axis
        self._logits = self._metadata.get("edgeens.output_kind", "logits") == "logits"
        self._temperature = self._metadata.get("edgeens.temperature", 1.0)
        if self._task is not None and self._task not in TASKS:
            raise DataError(f"the task {self._task!r} is not one of {', '.join(TASKS)}")
        if self._output not in self.output_names:
            raise DataError(
                f"the file speaks of the output {self._output!r}, but the graph has "
                f"{', '.join(self.output_names)}"
            )
        number = isinstance(self._temperature, (int, float)) and np.isfinite(self._temperature)
        if not number or self._temperature <= 0:
            raise DataError(f"the temperature {self._temperature!r} is not a positive number")
        if not isinstance(self._axis, int) or self._axis == 0:
            raise DataError(f"class axis {self._axis!r} is not an axis behind the batch axis 0")
        self._rule = self._found_rule()
        self._abstention = self._found_abstention()

    def _found_rule(self) -> EarlyExit | None:
        found = self._metadata.get("edgeens.early_exit")
        return None if found is None else EarlyExit.of_file(found, members=self.members)

    def _found_abstention(self) -> float | None:
        found = self._metadata.get("edgeens.abstention")
        if found is None:
            return None
        threshold = found.get("threshold") if isinstance(found, dict) else None
        if not isinstance(threshold, (int, float)):
            raise DataError(
                f"the file's edgeens.abstention is {found!r}, which has no threshold; calibrate "
                "the file again"
            )
        return float(threshold)

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
        return [item.name for item in self._members.outputs]

    @property
    def task(self) -> str | None:
        """What the output means, or None if neither the file nor the caller said."""
        return self._task

    @property
    def output(self) -> str:
        """The output that the task speaks of."""
        return self._output

    @property
    def output_kind(self) -> str:
        """What that output holds: "logits" or "probabilities"."""
        return "logits" if self._logits else "probabilities"

    @property
    def class_axis(self) -> int:
        """Axis of the classes in that output, the batch axis being 0; negative from the end."""
        return self._axis

    @property
    def temperature(self) -> float:
        """What logits are divided by: the calibration's, else the metadata's, else 1."""
        return float(self._temperature)

    @property
    def early_exit(self) -> EarlyExit | None:
        """The rule that the file holds for running fewer members, if any."""
        return self._rule

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
        rule = self._rule if early_exit is True else early_exit
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
        size = self._rows(feeds, batch) or -(-rows // self._workers)
        return self._exit_early(
            rule, lambda member, places: self._run_rows(member, feeds, places, size), rows
        )

    def summarise_early(self, outputs: Mapping[str, Array], rule: EarlyExit) -> Prediction:
        """What `predict` with an early exit gives, from all members' raw outputs (K, batch, C).

        Raises:
            DataError: the task is not classification with one class a row.
        """
        raw = outputs[self._output]
        return self._exit_early(rule, lambda member, places: raw[member, places], raw.shape[1])

    def summarise(self, outputs: Mapping[str, Array]) -> Prediction:
        """The prediction that follows from members' raw outputs by name, each (K, batch, ...).

        The outputs may come from elsewhere, such as the members' own files.

        Raises:
            DataError: the task is not known.
        """
        if self._task is None:
            raise DataError(
                "the file does not say what its output means: give the session a task, one of "
                f"{', '.join(TASKS)}"
            )
        others = {name: array for name, array in outputs.items() if name != self._output}
        summary = self._summary(outputs[self._output])
        return replace(summary, outputs=others, abstention=self._abstention)

    def predict_members(
        self, x: Array | Mapping[str, Array], *, batch: int | None = None
    ) -> dict[str, Array]:
        """Every member's raw outputs by name, each (K, batch, ...); arguments as for `predict`."""
        feeds = self._checked_feeds(x)
        rows = self._rows(feeds, batch)
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
        if self._pool is not None:
            self._pool.shutdown()
        self._members.close()
        if self._own is not None:
            self._own.close()

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
        feeds = named_arrays(x, self._inputs)
        for item in self._inputs:
            item.check(feeds[item.name], rows=self._fixed)
        return feeds

    def _exit_early(
        self, rule: EarlyExit, run: Callable[[int, Places], Array], rows: int
    ) -> Prediction:
        rule.check(self.members)
        if self._task != "classification":
            raise DataError(f"early exit is for classification, but the task is {self._task}")
        prediction = predict_early(rule, run, rows=rows, logits=self._logits)
        return replace(prediction, abstention=self._abstention)

    def _run_rows(self, member: int, feeds: dict[str, Array], places: Places, size: int) -> Array:
        """One member's output for some rows, *size* at a time."""
        index = self.output_names.index(self._output)
        # A graph of a fixed size needs whole pieces: the last row is repeated.
        missing = -len(places) % self._fixed if self._fixed else 0
        wanted = np.append(places, np.repeat(places[-1:], missing))
        parts = [
            {name: array[wanted[start : start + size]] for name, array in feeds.items()}
            for start in range(0, len(wanted), size)
        ]
        run = map if self._pool is None else self._pool.map
        outputs = list(run(lambda part: self._members.run(member, part)[index], parts))
        return np.concatenate(outputs)[: len(places)]

    def _run(self, feeds: dict[str, Array]) -> dict[str, Array]:
        """All members' outputs for one piece of the input, each (K, rows, ...)."""
        run = map if self._pool is None else self._pool.map
        outputs = list(run(lambda member: self._members.run(member, feeds), range(self.members)))
        return {
            name: np.stack([member[index] for member in outputs])
            for index, name in enumerate(self.output_names)
        }

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

    def _summary(self, raw: Array) -> Prediction:
        """The prediction from the members' outputs, (K, batch, ...)."""
        if self._task == "regression":
            return summarize_regression(raw)
        if self._logits and self._temperature != 1:
            raw = raw / self._temperature
        if self._task == "multilabel":
            return summarize_multilabel(sigmoid(raw) if self._logits else raw)
        axis = self._axis + 1 if self._axis > 0 else self._axis  # axis 0 counts the members
        return summarize(softmax(raw, axis=axis) if self._logits else raw, axis=axis)
