"""What the commands print: sizes, parts of a file, metrics, as plain text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from edgeens.tables import number, render, size

if TYPE_CHECKING:
    from edgeens.calibrate import Calibration
    from edgeens.container.footprint import Footprint
    from edgeens.container.sizes import Sizes
    from edgeens.decoder import Container
    from edgeens.encoder import Encoding
    from edgeens.quantize.budget import Point
    from edgeens.smallest import Smallest

_SELECTIVE = ("risk", "AURC", "coverage")  # what the names of such metrics begin with
_PARTS = ("metadata", "pattern", "parameter", "table", "index", "exact", "header", "section")


def size_table(encoding: Encoding) -> str:
    """The honest table: baselines, then the file; and the shares of the file's bits."""
    base = encoding.rows[0].bytes
    rows = []
    for row in encoding.rows:
        ratio = "-" if not row.bytes or not base else f"{base / row.bytes:.2f} x"
        rows.append([row.label, size(row.bytes), ratio, number(row.bits_per_weight), row.remark])
    table = render(["stored as", "bytes", "smaller", "bits/mw", ""], rows)
    return f"{table}\n\nbits of the file: {_shares(encoding.sizes)}"


def encoding(encoding: Encoding) -> str:
    """Everything about an encoding: the search if there was one, the sizes, what to know."""
    parts = [size_table(encoding), *encoding.notes]
    if encoding.search is not None:
        parts = [_search(encoding.search), *parts]
        parts.append(f"the curve is in {', '.join(map(str, encoding.written))}")
        if len(encoding.written) == 1:
            parts.append("for a picture of it, install the extra edgeens[report] (matplotlib)")
    return "\n\n".join(parts)


def _search(search: Smallest) -> str:
    """Every file that was measured, the chosen one marked; and what was chosen for each tensor."""
    judged = search.float_nll is not None
    rows = [_point(point, point == search.point, judged=judged) for point in search.points]
    change = "accuracy fall" if search.budget.startswith("accuracy") else "NLL rise"
    header = ["", "bytes", "bits/mw", "NLL", "accuracy", change, "std. error"]
    if not judged:
        header = ["", "bytes", "bits/mw", "expected change"]
    lines = [f"budget {search.budget}, files measured on {search.rows} rows:", ""]
    lines.append(render(header, rows))
    if judged:
        lines.append(
            f"float members: NLL {number(search.float_nll, 4)}, accuracy "
            f"{number(search.float_accuracy, 4)}"
        )
    tensors = [
        [
            tensor.name,
            str(tensor.weights),
            tensor.grid,
            str(tensor.width),
            f"{tensor.step:.2f}",
            f"{tensor.bits_per_weight:.2f}",
            f"{100 * tensor.share:.0f} %",
            "feedback" if tensor.feedback else "nearest",
        ]
        for tensor in search.tensors
    ]
    header = [
        "tensor",
        "weights",
        "scale a",
        "width",
        "step/rms",
        "bits/mw",
        "of change",
        "rounding",
    ]
    lines += ["", render(header, tensors)]
    lines.append(
        "Each tensor has the step at which one more byte saved would change the predictions as "
        "much as in any other."
    )
    return "\n".join(lines)


def _point(point: Point, chosen: bool, *, judged: bool) -> list[str]:
    row = ["chosen" if chosen else "", size(point.bytes), number(point.bits_per_member_weight)]
    if not judged:
        return [*row, f"{point.predicted:.2g}"]
    change, error = 100 * (point.change or 0.0), 100 * (point.standard_error or 0.0)
    return [
        *row,
        number(point.nll, 4),
        number(point.accuracy, 4),
        f"{change:+.2f} %",
        f"{error:.2f} %",
    ]


def inspection(sizes: Sizes, workspace_bytes: int, needs: Footprint) -> str:
    """Everything about a file: totals, shares, what a device needs, and each tensor.

    *workspace_bytes*: what the C decoder of this build needs for a file in memory. *needs*: the
    same and more for a microcontroller's build.
    """
    rows = [
        [
            tensor.name,
            "x".join(map(str, tensor.shape)) or "scalar",
            tensor.method,
            tensor.coder,
            str(tensor.bits) if tensor.bits else "exact",
            str(tensor.copies),
            size(tensor.file_bits // 8),
        ]
        for tensor in sizes.tensors
    ]
    header = ["tensor", "shape", "method", "coder", "bits", "copies", "bytes"]
    flash = size(sizes.file_bytes)
    lines = [
        f"format {sizes.format_version}, {sizes.members} members, {flash} bytes",
        f"floating point {size(sizes.float32_bytes)} bytes, flat int8 {size(sizes.int8_bytes)}",
        f"bits per member weight {number(sizes.bits_per_member_weight)}",
        f"bits of the file: {_shares(sizes)}",
        f"a device needs: flash {flash} bytes; a workspace of {size(workspace_bytes)} bytes (this "
        f"build's), and {size(sizes.workspace_bytes)} more where the file is read through a "
        "callback",
        _microcontroller(needs, len(sizes.tensors)),
    ]
    return "\n".join([*lines, "", render(header, rows)])


def _microcontroller(needs: Footprint, tensors: int) -> str:
    """What a small build needs, or why there is no use in one."""
    if needs.refused:
        return (
            "a microcontroller (EENS_SMALL) cannot decode this file, as it lacks the coder split "
            f"of {len(needs.refused)} of {tensors} tensors: encode with --profile mcu"
        )
    return (
        f"a microcontroller (EENS_SMALL): a workspace of {size(needs.in_memory_bytes)} bytes, or "
        f"{size(needs.callback_bytes)} through a callback; a member's largest block has "
        f"{size(needs.block_positions)} values; it may be built with "
        f"{' '.join(needs.switches) or 'no switch'}"
    )


def verified(path: str, container: Container) -> str:
    """One sentence: what was checked."""
    digests = "digests" if "DGST" in container.sections else "no digests in the file"
    return (
        f"{path}: good ({container.members} members, {len(container.tensors)} tensors, "
        f"{size(container.file_bytes)} bytes; checksums, {digests})"
    )


def evaluation(rows: Sequence[Mapping[str, float | str | None]]) -> str:
    """Metrics side by side: one line a model, one column a metric; risk and coverage apart."""
    names = [name for name in rows[0] if name != "model"]
    selective = [name for name in names if name.startswith(_SELECTIVE)]
    tables = [_metrics(rows, [name for name in names if name not in selective])]
    if selective:
        title = "wrong decisions (risk) when only the surest rows are decided:"
        tables.append(f"{title}\n{_metrics(rows, selective)}")
    return "\n\n".join(tables)


def _metrics(rows: Sequence[Mapping[str, float | str | None]], names: Sequence[str]) -> str:
    body = [[str(row["model"]), *[_figure(row.get(name)) for name in names]] for row in rows]
    return render(["model", *names], body)


def calibration(found: Calibration) -> str:
    """What was fitted: temperature, the curve of the early exit, abstention."""
    lines = [f"{found.rows} rows of validation data"]
    if found.temperature is not None:
        lines.append(
            f"temperature {number(found.temperature)} of each member's logits: NLL "
            f"{number(found.nll_before, 4)} before, {number(found.nll, 4)} with it"
        )
    lines += ["", *_exit_lines(found)]
    kept = found.abstention
    if kept is not None:
        lines += [
            "",
            f"abstain where 1 - max p > {kept.threshold:.4g}: decides {100 * kept.coverage:.1f} %, "
            f"wrong {100 * kept.risk:.2f} % of these (at most {100 * kept.bound:.2f} %, at 95 %)",
        ]
    elif found.target_risk is not None:
        lines += ["", f"no threshold keeps a risk of {100 * found.target_risk:.2f} % at 95 %"]
    return "\n".join(lines)


def _exit_lines(found: Calibration) -> list[str]:
    if found.curve is None:
        return ["one member: nothing to exit from"]
    body = [
        [
            "chosen" if point == found.point else "",
            f"{point.threshold:.3g}",
            f"{point.mean_members:.2f}",
            f"{100 * point.nll_loss:+.2f} %",
            f"{100 * point.bound:+.2f} %",
        ]
        for place, point in enumerate(found.curve.points)
        if place % 4 == 0 or point == found.point
    ]
    lines = [render(["", "threshold", "members used", "NLL rise", "at most (95 %)"], body)]
    if found.point is None:
        lines.append(f"no early exit keeps within {100 * found.max_nll_loss:.2f} %")
    lines.append(f"the curve is in {', '.join(map(str, found.written))}")
    return lines


def _figure(value: float | str | None) -> str:
    return value if isinstance(value, str) else number(value, 4)


def _shares(sizes: Sizes) -> str:
    total = 8 * sizes.file_bytes
    bits = [(part, getattr(sizes, f"{part}_bits")) for part in _PARTS]
    return ", ".join(f"{part} {100 * count / total:.1f} %" for part, count in bits)
