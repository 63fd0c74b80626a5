/* Cuts the power at every byte of an update, on this machine: cut_everywhere OLD.eens NEW.eens
 *
 * After each cut the board has to boot one of the two containers, whole; and a second attempt has to
 * succeed. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nor_flash.h"

#define CHUNK 61u /* bytes at a time, as a serial line hands them over; no divisor of a page */

static uint8_t workspace[1u << 17]; /* of a desktop build; a board needs far less */

typedef struct container {
    uint8_t bytes[SLOT];
    uint32_t size;
} container;

static update_status send(nor_flash *chip, const container *sent) {
    flash view = nor_flash_view(chip);
    update state;
    uint32_t in_use = update_newest(&view, workspace, sizeof workspace);
    update_status status = update_begin(&state, &view, in_use);
    for (uint32_t at = 0; at < sent->size && status == UPDATE_RECEIVING; at += CHUNK) {
        uint32_t count = sent->size - at < CHUNK ? sent->size - at : CHUNK;
        status = update_receive(&state, sent->bytes + at, count, workspace, sizeof workspace);
    }
    return status;
}

/* Whether the slot in use holds exactly this container. */
static bool boots(nor_flash *chip, const container *expected) {
    flash view = nor_flash_view(chip);
    uint32_t slot = update_newest(&view, workspace, sizeof workspace);
    eens_file file;
    return slot != NO_SLOT && update_open(&view, slot, &file) == EENS_OK &&
           file.size == expected->size &&
           memcmp(chip->bytes + slot * SLOT, expected->bytes, expected->size) == 0;
}

static void load(container *into, const char *path) {
    FILE *stream = fopen(path, "rb");
    into->size = stream == NULL ? 0 : (uint32_t)fread(into->bytes, 1, sizeof into->bytes, stream);
    if (into->size == 0 || into->size > SLOT - PAGE) {
        fprintf(stderr, "%s is not a container of at most %u bytes\n", path, SLOT - PAGE);
        exit(2);
    }
    fclose(stream);
}

static void expect(bool holds, const char *claim, uint32_t cut) {
    if (!holds) {
        fprintf(stderr, "power cut at byte %u: %s\n", (unsigned)cut, claim);
        exit(1);
    }
}

/* One bit wrong on the way. */
static void check_damage(nor_flash *chip, const container *old, const container *new) {
    static container damaged;
    for (uint32_t at = 0; at < new->size; at += 7) {
        damaged = *new;
        damaged.bytes[at] ^= (uint8_t)(1u << at % 8);
        expect(send(chip, &damaged) != UPDATE_OK, "a damaged container was accepted", at);
        expect(boots(chip, old), "the old container is gone", at);
    }
}

int main(int count, char **arguments) {
    static container old;
    static container new;
    static nor_flash first;
    static nor_flash chip;
    if (count != 3) {
        fprintf(stderr, "usage: cut_everywhere OLD.eens NEW.eens\n");
        return 2;
    }
    load(&old, arguments[1]);
    load(&new, arguments[2]);
    nor_flash_new(&first);
    expect(!boots(&first, &old), "an empty flash boots", 0);
    expect(send(&first, &old) == UPDATE_OK && boots(&first, &old), "the first update failed", 0);
    uint32_t cut = 0;
    for (;; cut++) {
        chip = first;
        chip.power = cut;
        bool done = send(&chip, &new) == UPDATE_OK;
        chip.power = FOREVER;
        expect(!chip.misused, "a bit was to be set without an erase", cut);
        /* the new one may boot after a failure too: its record's last byte can be whole */
        expect(boots(&chip, &new) || (!done && boots(&chip, &old)), "no container boots", cut);
        if (done) {
            break;
        }
        expect(send(&chip, &new) == UPDATE_OK && boots(&chip, &new), "the next try failed", cut);
    }
    chip = first;
    check_damage(&chip, &old, &new);
    printf("power cut at each of %u bytes: always a whole container, and the next try succeeds\n",
           (unsigned)cut);
    return 0;
}
