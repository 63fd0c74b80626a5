/* SHA-256 (FIPS 180-4) of bytes that arrive in parts. SPDX-License-Identifier: Apache-2.0 */
#ifndef SHA256_H
#define SHA256_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHA256_SIZE 32u

typedef struct sha256 {
    uint32_t state[8];
    uint64_t size; /* bytes so far */
    uint8_t block[64];
} sha256;

void sha256_start(sha256 *digest);
void sha256_update(sha256 *digest, const void *data, size_t size);
void sha256_end(sha256 *digest, uint8_t result[SHA256_SIZE]);

#endif
