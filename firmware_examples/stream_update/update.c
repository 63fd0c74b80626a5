/* SPDX-License-Identifier: Apache-2.0 */
#include "update.h"

#include <string.h>

#define RECORD 16u /* mark, sequence number, size of the container, CRC-32C of these twelve bytes */
#define MARK 0x4B534545u
#define HEADER 32u    /* bytes of a container that tell its size (SPEC S3) */
#define FILE_SIZE 24u /* where, as u64 */

static uint32_t get(const uint8_t *at) {
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static void put(uint8_t *at, uint32_t number) {
    for (unsigned i = 0; i < 4; i++) {
        at[i] = (uint8_t)(number >> 8 * i);
    }
}

static uint32_t record_offset(const flash *from, uint32_t slot) {
    return (slot + 1) * from->slot - from->page;
}

/* The record's sequence number, or 0 where no container was committed. */
static uint32_t sequence(const flash *from, uint32_t slot) {
    const uint8_t *record = from->bytes + record_offset(from, slot);
    bool good = get(record) == MARK && get(record + 12) == eens_crc32c(0, record, 12) &&
                get(record + 8) <= from->slot - from->page;
    return good ? get(record + 4) : 0;
}

/* Every checksum of the container. */
static eens_status verify(const eens_file *file, void *workspace, size_t workspace_size) {
    eens_status status = EENS_OK;
    for (uint32_t i = 0; i < file->section_count && status == EENS_OK; i++) {
        eens_section section;
        status = eens_section_at(file, i, &section);
        if (status == EENS_OK) {
            status = eens_section_check(file, &section);
        }
    }
    for (uint32_t i = 0; i < file->tensor_count && status == EENS_OK; i++) {
        eens_tensor tensor;
        status = eens_tensor_at(file, i, &tensor);
        if (status == EENS_OK) {
            eens_request all = {0, tensor.block_count, EENS_ALL_MEMBERS, EENS_AS_VALUES, 0};
            status = eens_decode(file, &tensor, &all, workspace, workspace_size, NULL, 0, NULL);
        }
    }
    return status;
}

static eens_status open_and_verify(const flash *from, uint32_t slot, uint32_t size, void *workspace,
                                   size_t workspace_size) {
    eens_file file;
    eens_status status = eens_open(from->bytes + slot * from->slot, size, 0, &file, NULL);
    return status == EENS_OK ? verify(&file, workspace, workspace_size) : status;
}

eens_status update_open(const flash *from, uint32_t slot, eens_file *file) {
    uint32_t size = get(from->bytes + record_offset(from, slot) + 8);
    return eens_open(from->bytes + slot * from->slot, size, 0, file, NULL);
}

uint32_t update_newest(const flash *from, void *workspace, size_t workspace_size) {
    uint32_t newest = NO_SLOT;
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        uint32_t size = get(from->bytes + record_offset(from, slot) + 8);
        if (sequence(from, slot) != 0 &&
            (newest == NO_SLOT || sequence(from, slot) > sequence(from, newest)) &&
            open_and_verify(from, slot, size, workspace, workspace_size) == EENS_OK) {
            newest = slot;
        }
    }
    return newest;
}

update_status update_begin(update *state, const flash *into, uint32_t slot_in_use) {
    state->into = into;
    state->slot = slot_in_use == 0 ? 1 : 0;
    state->received = 0;
    state->size = 0;
    uint32_t begin = state->slot * into->slot;
    uint32_t page = begin + into->slot;
    while (page != begin) { /* the record is on the last page: it goes first */
        page -= into->page;
        if (!into->erase(into->context, page)) {
            return UPDATE_FLASH;
        }
    }
    return UPDATE_RECEIVING;
}

/* The last act: from its last byte on, the new container is the one in use. */
static update_status commit(const update *state) {
    const flash *into = state->into;
    uint8_t record[RECORD];
    uint32_t newest = sequence(into, state->slot == 0 ? 1 : 0);
    put(record, MARK);
    put(record + 4, newest + 1);
    put(record + 8, state->size);
    put(record + 12, eens_crc32c(0, record, 12));
    bool done = into->program(into->context, record_offset(into, state->slot), record, RECORD);
    return done ? UPDATE_OK : UPDATE_FLASH;
}

static update_status finish(const update *state, void *workspace, size_t workspace_size) {
    eens_status status =
        open_and_verify(state->into, state->slot, state->size, workspace, workspace_size);
    return status == EENS_OK ? commit(state) : UPDATE_DAMAGED;
}

update_status update_receive(update *state, const uint8_t *data, uint32_t count, void *workspace,
                             size_t workspace_size) {
    const flash *into = state->into;
    uint32_t begin = state->slot * into->slot;
    uint32_t room = into->slot - into->page;
    if (count > room - state->received) {
        return UPDATE_TOO_LARGE;
    }
    if (!into->program(into->context, begin + state->received, data, count)) {
        return UPDATE_FLASH;
    }
    state->received += count;
    if (state->size == 0 && state->received >= HEADER) {
        const uint8_t *size = into->bytes + begin + FILE_SIZE;
        if (get(size + 4) != 0 || get(size) > room) {
            return UPDATE_TOO_LARGE;
        }
        if (get(size) < HEADER) {
            return UPDATE_DAMAGED;
        }
        state->size = get(size);
    }
    if (state->size == 0 || state->received < state->size) {
        return UPDATE_RECEIVING;
    }
    return state->received == state->size ? finish(state, workspace, workspace_size)
                                          : UPDATE_DAMAGED;
}
