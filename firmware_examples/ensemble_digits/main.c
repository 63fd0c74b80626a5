/* Reads digits with an ensemble of four networks and says how sure it is, or that it is not.
 * SPDX-License-Identifier: Apache-2.0 */
#include "board.h"
#include "container.h"
#include "inputs.h"
#include "network.h"
#include "running.h"

static network net;

static eens_status classify(const eens_file *file, const uint8_t *image, running *sum) {
    running_start(sum);
    for (int32_t member = 0; member < (int32_t)file->member_count; member++) {
        float logits[CLASSES];
        eens_status status = network_run(&net, member, image, logits);
        if (status != EENS_OK) {
            return status;
        }
        running_add(sum, logits);
    }
    return EENS_OK;
}

static void report(uint32_t number, const running *sum) {
    board_print("input ");
    board_print_unsigned(number);
    board_print(running_entropy(sum) > NOT_SURE ? ": not sure, perhaps " : ": ");
    board_print_unsigned(running_class(sum));
    board_print(", confidence ");
    board_print_fixed(sum->mean[running_class(sum)]);
    board_print(", mutual information ");
    board_print_fixed(running_mutual_information(sum));
    board_print("\n");
}

int main(void) {
    eens_file file;
    eens_status status = eens_open(container_begin, container_size(), 0, &file, NULL);
    if (status == EENS_OK) {
        status = network_open(&net, &file);
    }
    for (uint32_t i = 0; i < IMAGES && status == EENS_OK; i++) {
        running sum;
        status = classify(&file, images[i], &sum);
        if (status == EENS_OK) {
            report(i, &sum);
        }
    }
    if (status != EENS_OK) {
        board_print(eens_strerror(status));
        board_print("\n");
        return 1;
    }
    board_print("flash ");
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
