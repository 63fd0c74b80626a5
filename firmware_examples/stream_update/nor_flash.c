/* SPDX-License-Identifier: Apache-2.0 */
#include "nor_flash.h"

#include <string.h>

static bool spend(nor_flash *chip) {
    if (chip->power == 0) {
        return false;
    }
    chip->power -= chip->power != FOREVER;
    return true;
}

/* A cut leaves the rest of the page as it was. */
static bool erase(void *context, uint32_t offset) {
    nor_flash *chip = context;
    for (uint32_t i = 0; i < PAGE; i++) {
        if (!spend(chip)) {
            return false;
        }
        chip->bytes[offset + i] = 0xFF;
    }
    return true;
}

/* A cut in the middle of a byte leaves some of its bits unprogrammed. */
static bool program(void *context, uint32_t offset, const uint8_t *data, uint32_t size) {
    nor_flash *chip = context;
    for (uint32_t i = 0; i < size; i++) {
        uint8_t *cell = chip->bytes + offset + i;
        if (!spend(chip)) {
            *cell &= (uint8_t)(data[i] | 0x55);
            return false;
        }
        chip->misused = chip->misused || (uint8_t)(*cell & data[i]) != data[i];
        *cell &= data[i];
    }
    return true;
}

void nor_flash_new(nor_flash *chip) {
    memset(chip->bytes, 0xFF, sizeof chip->bytes);
    chip->power = FOREVER;
    chip->misused = false;
}

flash nor_flash_view(nor_flash *chip) {
    flash view = {chip->bytes, PAGE, SLOT, erase, program, chip};
    return view;
}
