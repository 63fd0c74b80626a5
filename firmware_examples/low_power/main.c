/* Draws members one by one from one model and stops when the answer is settled: easy inputs cost two
 * members, hard ones all of them. The file holds one model; K is a dial of the run time.
 * SPDX-License-Identifier: Apache-2.0 */
#include "board.h"
#include "container.h"
#include "inputs.h"
#include "network.h"
#include "running.h"

#define FEWEST 2u
#define SETTLED 0.01f /* standard error of the likeliest class's mean probability */

static network net;

/* Adds members until the answer is settled, or all of them. */
static eens_status classify(const eens_file *file, const uint8_t *image, float settled,
                            running *sum) {
    running_start(sum);
    for (int32_t member = 0; member < (int32_t)file->member_count; member++) {
        float logits[CLASSES];
        eens_status status = network_run(&net, member, image, logits);
        if (status != EENS_OK) {
            return status;
        }
        running_add(sum, logits);
        if (sum->members >= FEWEST && running_error(sum) < settled) {
            break;
        }
    }
    return EENS_OK;
}

static void report(uint32_t number, const running *early, const running *full) {
    board_print("input ");
    board_print_unsigned(number);
    board_print(": ");
    board_print_unsigned(running_class(early));
    board_print(" at ");
    board_print_fixed(early->mean[running_class(early)]);
    board_print(" from ");
    board_print_unsigned(early->members);
    board_print(" members; ");
    board_print_unsigned(running_class(full));
    board_print(" at ");
    board_print_fixed(full->mean[running_class(full)]);
    board_print(" from all ");
    board_print_unsigned(full->members);
    board_print("\n");
}

int main(void) {
    eens_file file;
    uint32_t used = 0;
    uint32_t changed = 0;
    eens_status status = eens_open(container_begin, container_size(), 0, &file, NULL);
    if (status == EENS_OK) {
        status = network_open(&net, &file);
    }
    for (uint32_t i = 0; i < IMAGES && status == EENS_OK; i++) {
        running early;
        running full;
        status = classify(&file, images[i], SETTLED, &early);
        if (status == EENS_OK) {
            status = classify(&file, images[i], 0, &full);
        }
        if (status == EENS_OK) {
            report(i, &early, &full);
            used += early.members;
            changed += running_class(&early) != running_class(&full);
        }
    }
    if (status != EENS_OK) {
        board_print(eens_strerror(status));
        board_print("\n");
        return 1;
    }
    board_print("members run: ");
    board_print_unsigned(used);
    board_print(" of ");
    board_print_unsigned(IMAGES * file.member_count);
    board_print("; classes changed by stopping early: ");
    board_print_unsigned(changed);
    board_print("\nflash ");
    board_print_unsigned((uint32_t)board_flash_size());
    board_print(", of which container ");
    board_print_unsigned((uint32_t)container_size());
    board_print("; RAM ");
    board_print_unsigned((uint32_t)board_data_size());
    board_print("; stack ");
    board_print_unsigned((uint32_t)board_stack_used());
    board_print(" bytes\n");
    return 0;
}
