/* Decodes a whole container from flash, a block of one member at a time, and compares what comes out
 * with the SHA-256 digests in the file (SPEC S11.2). Exit code 0: every tensor is what was encoded.
 * SPDX-License-Identifier: Apache-2.0 */
#include <edgeens.h>
#include <string.h>

#include "board.h"
#include "container.h"
#include "sha256.h"

#define BLOCK 4096u /* positions of a block in the mcu profile, at most */
#define WORKSPACE 6144u

static uint8_t workspace[WORKSPACE];
static uint64_t decoded[BLOCK / 8]; /* int8 codes of one member of one block; aligned for any type */

typedef struct step {
    const eens_file *file;
    eens_tensor tensor;
    sha256 digest;
} step;

/* Feeds one member's part of one block to the digest. */
static eens_status decode_part(step *at, uint32_t block, int32_t member) {
    eens_request request = {block, 1, member, at->tensor.bits != 0 ? EENS_AS_INT8 : EENS_AS_VALUES,
                            0};
    size_t size = 0;
    eens_status status = eens_output_size(at->file, &at->tensor, &request, &size);
    if (status == EENS_OK) {
        status = eens_decode(at->file, &at->tensor, &request, workspace, sizeof workspace, decoded,
                             sizeof decoded, NULL);
    }
    if (status == EENS_OK) {
        sha256_update(&at->digest, decoded, size);
    }
    return status;
}

static eens_status decode_tensor(step *at) {
    eens_status status = EENS_OK;
    sha256_start(&at->digest);
    for (int32_t member = 0; member < (int32_t)at->tensor.copies; member++) {
        for (uint32_t block = 0; block < at->tensor.block_count && status == EENS_OK; block++) {
            status = decode_part(at, block, member);
        }
    }
    return status;
}

static bool check_tensor(const eens_file *file, uint32_t index, const eens_section *digests) {
    step at = {.file = file};
    char name[64];
    uint8_t expected[SHA256_SIZE];
    uint8_t found[SHA256_SIZE];
    eens_status status = eens_tensor_at(file, index, &at.tensor);
    if (status == EENS_OK) {
        status = decode_tensor(&at);
    }
    if (status == EENS_OK) {
        status = eens_section_read(file, digests, (uint64_t)index * SHA256_SIZE, expected,
                                   sizeof expected);
    }
    board_print(eens_tensor_name(file, &at.tensor, name, sizeof name) == EENS_OK ? name : "?");
    board_print(": ");
    if (status != EENS_OK) {
        board_print(eens_strerror(status));
        board_print("\n");
        return false;
    }
    sha256_end(&at.digest, found);
    bool equal = memcmp(found, expected, sizeof found) == 0;
    for (size_t i = 0; i < SHA256_SIZE; i += 4) {
        board_print_hex((uint32_t)found[i] << 24 | (uint32_t)found[i + 1] << 16 |
                        (uint32_t)found[i + 2] << 8 | found[i + 3]);
    }
    board_print(equal ? " ok\n" : " is not the digest in the file\n");
    return equal;
}

int main(void) {
    eens_file file;
    eens_section digests;
    eens_status status = eens_open(container_begin, container_size(), 0, &file, NULL);
    if (status == EENS_OK) {
        status = eens_section_find(&file, "DGST", &digests);
    }
    if (status != EENS_OK) {
        board_print(eens_strerror(status));
        board_print("\n");
        return 1;
    }
    bool good = true;
    for (uint32_t i = 0; i < file.tensor_count; i++) {
        good = check_tensor(&file, i, &digests) && good;
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
    return good ? 0 : 1;
}
