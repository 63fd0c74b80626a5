/* A new container into flash while the old one stays usable: two slots, one of them in use.
 *
 * A slot is data pages and a last page whose first bytes are its commit record. The record is written
 * after the container was read back and verified, in one piece, with a checksum of its own. So power
 * may fail at any byte: a slot without a good record does not exist, and the slot in use is never
 * written to. SPDX-License-Identifier: Apache-2.0 */
#ifndef UPDATE_H
#define UPDATE_H

#include <edgeens.h>
#include <stdbool.h>

#define SLOTS 2u
#define NO_SLOT SLOTS

/* A NOR flash, mapped into memory: erasing a page makes it 0xFF, programming can only clear bits. */
typedef struct flash {
    const uint8_t *bytes; /* the slots, one after the other */
    uint32_t page;        /* bytes of a page; divides slot */
    uint32_t slot;        /* bytes of a slot, commit page included */
    bool (*erase)(void *context, uint32_t offset);
    bool (*program)(void *context, uint32_t offset, const uint8_t *data, uint32_t size);
    void *context;
} flash;

typedef enum update_status {
    UPDATE_OK = 0,
    UPDATE_RECEIVING, /* more bytes are needed */
    UPDATE_TOO_LARGE, /* the container does not fit a slot */
    UPDATE_DAMAGED,   /* what arrived is not a container, or a checksum is wrong */
    UPDATE_FLASH      /* erasing or programming failed */
} update_status;

/* The progress of one update. */
typedef struct update {
    const flash *into;
    uint32_t slot;
    uint32_t received;
    uint32_t size; /* of the container, once its header has arrived; until then 0 */
} update;

/* The slot to use: the newest that was committed and still verifies; NO_SLOT if there is none.
 * workspace: as eens_decode asks for. */
uint32_t update_newest(const flash *from, void *workspace, size_t workspace_size);

/* The container in a slot. */
eens_status update_open(const flash *from, uint32_t slot, eens_file *file);

/* Prepares the slot that is not in use: its record is erased first. */
update_status update_begin(update *state, const flash *into, uint32_t slot_in_use);

/* Takes the next bytes, however many arrived. UPDATE_OK: the new container is verified and committed.
 * After any other end the old one is still the one in use. */
update_status update_receive(update *state, const uint8_t *data, uint32_t count, void *workspace,
                             size_t workspace_size);

#endif
