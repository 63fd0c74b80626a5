/* Sizes of blocks and where they lie (S6, S7). */
#include "eens_internal.h"

uint32_t eens_parent_bits(const eens_tensor *tensor) {
    uint32_t bits = 1;
    for (uint32_t levels = tensor->parent_levels; levels != 0; levels >>= 1) {
        bits++;
    }
    return bits;
}

uint32_t eens_pattern_bits(uint32_t members) {
    if (members <= 4) {
        return members == 2 ? 1 : members; /* 1, 3, 4 */
    }
    return members <= 8 ? 4 + 3 * (members - 4) : 16 + 4 * (members - 8);
}

uint32_t eens_lane_count(const eens_tensor *tensor) {
    return tensor->method == EENS_DRAWN ? 1u : tensor->copies;
}

uint32_t eens_lane_bytes(const eens_tensor *tensor, uint32_t count) {
    switch (tensor->method) {
    case EENS_RAW: return tensor->bits != 0 ? count : count * eens_dtype_bytes(tensor->dtype);
    case EENS_DRAWN: return eens_ceil8(count * eens_parent_bits(tensor));
    default: return eens_ceil8(count * tensor->bits);
    }
}

uint32_t eens_block_count_at(const eens_tensor *tensor, uint32_t block) {
    /* block < block_count, so the product is below E, at most 2^31 - 1. */
    uint32_t left = tensor->elements - block * tensor->block_positions;
    return left < tensor->block_positions ? left : tensor->block_positions;
}

/* S6. n is at most 2^20 and, for shared, n x K too: every sum stays far below 2^32. */
static bool size_fits(const eens_tensor *tensor, uint32_t n, uint32_t size) {
    uint32_t members = tensor->copies;
    uint32_t lanes = eens_lane_count(tensor);
    if (tensor->coder != EENS_FIXED && tensor->method != EENS_SHARED) {
        return size >= (tensor->method == EENS_JOINT ? 4 * members : 8 * lanes);
    }
    if (tensor->coder != EENS_FIXED || tensor->method == EENS_JOINT) {
        return true; /* it is not empty */
    }
    if (tensor->method == EENS_SHARED) {
        uint32_t most = 6 + 2 * n + 2 * eens_ceil8(n * eens_pattern_bits(members)) +
                        eens_ceil8(2 * n * members) + eens_ceil8(3 * n * members) +
                        eens_ceil8(5 * n * members);
        return size >= 8 && size <= most;
    }
    return size == lanes * (4 + eens_lane_bytes(tensor, n));
}

eens_status eens_block_at(const eens_file *file, const eens_tensor *tensor, uint32_t block,
                          eens_block *found) {
    uint32_t begin = 0; /* the end of the block before */
    uint32_t entry[2];  /* end, CRC */
    uint32_t offset = file->index_offset + EENS_ENTRY_BYTES * (tensor->first_block + block);
    if ((block != 0 && !eens_fetch_words(file, offset - EENS_ENTRY_BYTES, 1, &begin)) ||
        !eens_fetch_words(file, offset, 2, entry)) {
        return EENS_ERR_READ;
    }
    found->crc = entry[1];
    found->offset = (eens_offset)tensor->data_offset + begin;
    found->size = entry[0] - begin;
    found->first = block * tensor->block_positions;
    found->count = eens_block_count_at(tensor, block);
    /* Also after the file was opened, as storage may have changed or misread since. data_offset is at
     * most the file's size. */
    bool fits = begin < entry[0] &&
                entry[0] <= (eens_offset)file->size - (eens_offset)tensor->data_offset &&
                size_fits(tensor, found->count, found->size);
    return fits ? EENS_OK : EENS_ERR_INDEX;
}
