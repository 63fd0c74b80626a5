/* On the board: boots the container of its first slot, takes a new one from a byte source in small
 * pieces, and boots that. The flash is simulated in RAM, the byte source reads an embedded file.
 * SPDX-License-Identifier: Apache-2.0 */
#include "board.h"
#include "container.h"
#include "nor_flash.h"

#define PIECE 32u /* of a UART's buffer */

static nor_flash chip;
static uint8_t workspace[6144];

static const char *words(update_status status) {
    switch (status) {
    case UPDATE_OK: return "verified and committed";
    case UPDATE_RECEIVING: return "the transfer ended early";
    case UPDATE_TOO_LARGE: return "too large for a slot";
    case UPDATE_DAMAGED: return "damaged on the way";
    case UPDATE_FLASH: return "the flash failed";
    }
    return "unknown";
}

/* Transfers the container, with one bit of the byte at `wrong` flipped; container_size(): none. */
static update_status transfer(const flash *view, size_t wrong) {
    update state;
    uint8_t piece[PIECE];
    update_status status =
        update_begin(&state, view, update_newest(view, workspace, sizeof workspace));
    for (size_t at = 0; at < container_size() && status == UPDATE_RECEIVING;) {
        uint32_t count = 0;
        while (count < PIECE && at < container_size()) {
            piece[count++] = container_begin[at] ^ (at == wrong);
            at++;
        }
        status = update_receive(&state, piece, count, workspace, sizeof workspace);
    }
    return status;
}

static uint32_t boot(const flash *view) {
    uint32_t slot = update_newest(view, workspace, sizeof workspace);
    eens_file file;
    if (slot == NO_SLOT || update_open(view, slot, &file) != EENS_OK) {
        board_print("boot: no container\n");
        return NO_SLOT;
    }
    board_print("boot: slot ");
    board_print_unsigned(slot);
    board_print(", ");
    board_print_unsigned(file.member_count);
    board_print(" members, ");
    board_print_unsigned((uint32_t)file.size);
    board_print(" bytes\n");
    return slot;
}

static void report(const char *what, update_status status) {
    board_print(what);
    board_print(words(status));
    board_print("\n");
}

int main(void) {
    nor_flash_new(&chip);
    flash view = nor_flash_view(&chip);
    bool good = boot(&view) == NO_SLOT;
    update_status status = transfer(&view, container_size());
    report("first transfer: ", status);
    good = good && status == UPDATE_OK && boot(&view) == 0;
    status = transfer(&view, container_size() / 2);
    report("second, with a flipped bit: ", status);
    good = good && status == UPDATE_DAMAGED && boot(&view) == 0;
    status = transfer(&view, container_size());
    report("third: ", status);
    good = good && status == UPDATE_OK && boot(&view) == 1;
    board_print("stack ");
    board_print_unsigned((uint32_t)board_stack_used());
    board_print(" bytes\n");
    return good ? 0 : 1;
}
