/* A NOR flash in memory, whose power can be cut at any byte. SPDX-License-Identifier: Apache-2.0 */
#ifndef NOR_FLASH_H
#define NOR_FLASH_H

#include "update.h"

#define PAGE 1024u
#define SLOT (16u * PAGE)
#define FOREVER UINT32_MAX

typedef struct nor_flash {
    uint8_t bytes[SLOTS * SLOT];
    uint32_t power; /* bytes that can still be erased or programmed; then the power is gone */
    bool misused;   /* a bit that was 0 should have become 1 without an erase */
} nor_flash;

void nor_flash_new(nor_flash *chip);

/* What the update code sees. */
flash nor_flash_view(nor_flash *chip);

#endif
