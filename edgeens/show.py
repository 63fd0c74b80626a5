"""What the commands print: sizes, parts of a file, metrics, as plain text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from edgeens.tables import number, render, size

if TYPE_CHECKING:
    from edgeens.container.sizes import Sizes
    from edgeens.decoder import Container
    from edgeens.encoder import Encoding

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


def inspection(sizes: Sizes, workspace_bytes: int) -> str:
    """Everything about a file: totals, shares, what a device needs, and each tensor.

    *workspace_bytes*: what the C decoder needs for a file in memory.
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
    flash, part = size(sizes.file_bytes), size(sizes.workspace_bytes)
    lines = [
        f"format {sizes.format_version}, {sizes.members} members, {flash} bytes",
        f"floating point {size(sizes.float32_bytes)} bytes, flat int8 {size(sizes.int8_bytes)}",
        f"bits per member weight {number(sizes.bits_per_member_weight)}",
        f"bits of the file: {_shares(sizes)}",
        f"a device needs: flash {flash} bytes; a workspace of {size(workspace_bytes)} bytes (this "
        f"build's), and {part} more where the file is read through a callback",
    ]
    return "\n".join([*lines, "", render(header, rows)])


def verified(path: str, container: Container) -> str:
    """One sentence: what was checked."""
    digests = "digests" if "DGST" in container.sections else "no digests in the file"
    return (
        f"{path}: good ({container.members} members, {len(container.tensors)} tensors, "
        f"{size(container.file_bytes)} bytes; checksums, {digests})"
    )


def evaluation(rows: Sequence[Mapping[str, float | str | None]]) -> str:
    """Metrics side by side: one line a model, one column a metric."""
    names = [name for name in rows[0] if name != "model"]
    body = [[str(row["model"]), *[_figure(row.get(name)) for name in names]] for row in rows]
    return render(["model", *names], body)


def _figure(value: float | str | None) -> str:
    return value if isinstance(value, str) else number(value, 4)


def _shares(sizes: Sizes) -> str:
    total = 8 * sizes.file_bytes
    bits = [(part, getattr(sizes, f"{part}_bits")) for part in _PARTS]
    return ", ".join(f"{part} {100 * count / total:.1f} %" for part, count in bits)
