"""Refused vectors whose fault is one field of the header or of a tensor record.

A row is: the file's name, what is written in the field, and the fault in words; for records also
which tensor of the base (vector_faults.base) it is in, and the status.
"""

from __future__ import annotations

from edgeens.container.layout import Status

BALANCED, DRAWN, EXACT, FLAGS, PLANES, PLAIN = range(6)
RECORD, NAME, SCALE, INDEX = Status.RECORD, Status.NAME, Status.SCALE, Status.INDEX
TOO_MANY = (2**16, 2**15, 0, 0, 0, 0, 0, 0)

HEADERS = [
    ("section_count_65", {"section_count": 65}, "more sections than 64"),
    ("members_none", {"member_count": 0}, "no members"),
    ("members_65", {"member_count": 65}, "more members than 64"),
    ("profile_2", {"profile": 2}, "an unknown profile"),
    ("header_reserved_35", {"reserved_35": 1}, "a reserved byte"),
    ("header_reserved_60", {"reserved_60": 1 << 31}, "a reserved field"),
    ("tensor_count_65536", {"tensor_count": 65536}, "more tensors than 65 535"),
    ("names_size_huge", {"names_size": 2**24 + 1}, "more names than 2^24 bytes"),
    ("scale_count_huge", {"scale_count": 2**24 + 1}, "more scales than 2^24"),
    ("table_count_1025", {"table_count": 1025}, "more tables than 1024"),
    ("tables_size_huge", {"tables_size": 2**24 + 1}, "more tables than 2^24 bytes"),
    ("block_count_huge", {"block_count": 2**24 + 1}, "more blocks than 2^24"),
    ("head_beyond_file", {"tensor_count": 65535}, "a head larger than the file"),
    ("head_wraps", {"block_count": 2**24, "tensor_count": 65535}, "a head of many megabytes"),
]

RECORDS = [
    ("name_gap", EXACT, {"name_offset": 14}, NAME, "a hole between two names"),
    ("name_size_0", BALANCED, {"name_size": 0}, NAME, "a name without bytes"),
    ("name_beyond", PLAIN, {"name_size": 7}, NAME, "a name that ends behind the names"),
    ("name_left", PLAIN, {"name_size": 5}, NAME, "a byte of the names that no tensor uses"),
    ("dtype_8", EXACT, {"dtype": 8}, RECORD, "strings"),
    ("dtype_0", EXACT, {"dtype": 0}, RECORD, "no dtype"),
    ("ndim_9", EXACT, {"ndim": 9}, RECORD, "nine dimensions"),
    ("dims_behind", EXACT, {"dims": (2, 0, 0, 0, 0, 0, 0, 1)}, RECORD, "a dim behind ndim"),
    ("dims_overflow", PLAIN, {"dims": TOO_MANY}, RECORD, "2^31 elements"),
    ("dims_wrap", PLAIN, {"dims": (2**16, 2**16, 0, 0, 0, 0, 0, 0)}, RECORD, "2^32 elements"),
    (
        "dims_wrap_zero",
        PLAIN,
        {"ndim": 3, "dims": (2**16, 2**16, 0, 0, 0, 0, 0, 0)},
        RECORD,
        "2^32 elements, then none",
    ),
    ("dim_large", PLAIN, {"dims": (0, 2**31, 0, 0, 0, 0, 0, 0)}, RECORD, "a dim of 2^31"),
    ("method_5", PLAIN, {"method": 5}, RECORD, "an unknown method"),
    ("coder_2", PLAIN, {"coder": 2}, RECORD, "an unknown coder"),
    ("raw_entropy", EXACT, {"coder": 1}, RECORD, "exact values with the coder entropy"),
    ("bits_1", PLAIN, {"bits": 1}, RECORD, "codes of one bit"),
    ("bits_9", PLAIN, {"bits": 9}, RECORD, "codes of nine bits"),
    ("bits_0_plain", PLAIN, {"bits": 0}, RECORD, "plain without codes"),
    ("raw_bits_4", EXACT, {"bits": 4}, RECORD, "raw codes of four bits"),
    ("shared_bits_7", BALANCED, {"bits": 7}, RECORD, "digits of seven bits"),
    ("coded_int8", PLAIN, {"dtype": 3}, RECORD, "codes of integers"),
    ("predictor_plain", PLAIN, {"predictor": 1}, RECORD, "plain with a predictor"),
    ("predictor_4", PLAIN, {"method": 3, "predictor": 4}, RECORD, "an unknown predictor"),
    ("digits_3", BALANCED, {"digits": 3}, RECORD, "unknown digits"),
    ("digits_none", BALANCED, {"digits": 0}, RECORD, "shared without digits"),
    ("digits_plain", PLAIN, {"digits": 1}, RECORD, "plain with digits"),
    ("axis_ndim", PLAIN, {"channel_axis": 2}, RECORD, "a channel axis behind the last"),
    ("axis_254", PLAIN, {"channel_axis": 254}, RECORD, "a channel axis that is nearly none"),
    ("parent_levels_0", DRAWN, {"parent_levels": 0}, RECORD, "drawn without levels"),
    ("parent_levels_128", DRAWN, {"parent_levels": 128}, RECORD, "more levels than 127"),
    ("parent_levels_plain", PLAIN, {"parent_levels": 7}, RECORD, "plain with parent levels"),
    ("record_reserved_55", PLAIN, {"reserved_55": 1}, RECORD, "a reserved byte"),
    ("record_reserved_84", PLAIN, {"reserved_84": 1 << 31}, RECORD, "a reserved field"),
    ("copies_2_of_3", PLAIN, {"copies": 2}, RECORD, "neither 1 nor K copies"),
    ("copies_0", EXACT, {"copies": 0}, RECORD, "no copies"),
    ("copies_shared_1", BALANCED, {"copies": 1}, RECORD, "shared of one copy"),
    ("copies_drawn_1", DRAWN, {"copies": 1}, RECORD, "drawn of one copy"),
    ("zero_point_128", PLAIN, {"zero_point": 128}, RECORD, "a zero point above 127"),
    ("zero_point_129", PLAIN, {"zero_point": -129}, RECORD, "a zero point below -128"),
    ("zero_point_exact", EXACT, {"zero_point": 1}, RECORD, "exact values with a zero point"),
    ("zero_point_drawn", DRAWN, {"zero_point": 1}, RECORD, "drawn with a zero point"),
    ("first_table_fixed", PLAIN, {"first_table": 1}, RECORD, "fixed with a table"),
    ("table_count_fixed", PLAIN, {"table_count": 1}, RECORD, "fixed with tables"),
    ("tables_missing", PLAIN, {"coder": 1, "table_count": 1}, RECORD, "a table that is not there"),
    (
        "tables_missing_shared",
        BALANCED,
        {"coder": 1, "table_count": 1},
        RECORD,
        "shared, whose tables nobody reads, with a table that is not there",
    ),
    ("key_plain", PLAIN, {"key": 1 << 63}, RECORD, "plain with a key"),
    ("positions_0", PLAIN, {"block_positions": 0}, RECORD, "blocks of no positions"),
    (
        "positions_limit",
        PLAIN,
        {"block_positions": 2**20 // 3 + 1, "block_count": 1},
        RECORD,
        "blocks above the profile's limit",
    ),
    (
        "positions_bytes",
        EXACT,
        {"block_positions": 2**18 + 1},
        RECORD,
        "blocks of exact values above the profile's limit",
    ),
    ("block_count_less", PLAIN, {"block_count": 1}, RECORD, "too few blocks"),
    ("block_count_more", PLAIN, {"block_count": 3}, RECORD, "too many blocks"),
    ("scale_index_gap", PLAIN, {"scale_index": 4}, SCALE, "a hole between two tensors' scales"),
    ("scale_index_back", PLAIN, {"scale_index": 2}, SCALE, "scales of two tensors overlap"),
    ("scale_count_0", PLANES, {"scale_count": 0}, SCALE, "codes without a scale"),
    ("scale_count_exact", EXACT, {"scale_count": 1}, SCALE, "exact values with a scale"),
    (
        "scale_count_beyond",
        PLAIN,
        {"dims": (7, 2, 0, 0, 0, 0, 0, 0), "scale_count": 7},
        SCALE,
        "more scales than there are",
    ),
    ("first_block_gap", PLAIN, {"first_block": 8}, INDEX, "a hole in the block index"),
    ("first_block_back", PLAIN, {"first_block": 0}, INDEX, "blocks of two tensors overlap"),
    ("data_offset_gap", EXACT, {"data_offset": 10**6}, INDEX, "a hole between two tensors"),
    ("data_offset_back", EXACT, {"data_offset": 64}, INDEX, "blocks that overlap the head"),
    ("data_offset_wrap", BALANCED, {"data_offset": 2**64 - 1}, INDEX, "an offset that wraps"),
]
