/* SHA-256 as FIPS 180-4 writes it, small rather than fast. SPDX-License-Identifier: Apache-2.0 */
#include "sha256.h"

#include <string.h>

/* The first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
static const uint32_t constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate(uint32_t word, unsigned by) {
    return word >> by | word << (32 - by);
}

/* The next word of the message schedule, in a ring of 16. */
static uint32_t schedule(uint32_t ring[16], unsigned round) {
    uint32_t early = ring[(round + 1) & 15u];
    uint32_t late = ring[(round + 14) & 15u];
    uint32_t first = rotate(early, 7) ^ rotate(early, 18) ^ early >> 3;
    uint32_t second = rotate(late, 17) ^ rotate(late, 19) ^ late >> 10;
    return ring[round & 15u] += first + ring[(round + 9) & 15u] + second;
}

static void compress(sha256 *digest) {
    uint32_t ring[16];
    uint32_t v[8]; /* a to h */
    memcpy(v, digest->state, sizeof v);
    for (unsigned round = 0; round < 64; round++) {
        const uint8_t *at = digest->block + 4 * round;
        if (round < 16) {
            ring[round] = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
        }
        uint32_t word = round < 16 ? ring[round] : schedule(ring, round);
        uint32_t first = v[7] + (rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25)) +
                         ((v[4] & v[5]) ^ (~v[4] & v[6])) + constants[round] + word;
        uint32_t second = (rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22)) +
                          ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 7 * sizeof *v);
        v[4] += first;
        v[0] = first + second;
    }
    for (unsigned i = 0; i < 8; i++) {
        digest->state[i] += v[i];
    }
}

void sha256_start(sha256 *digest) {
    static const uint32_t initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(digest->state, initial, sizeof initial);
    digest->size = 0;
}

void sha256_update(sha256 *digest, const void *data, size_t size) {
    const uint8_t *bytes = data;
    for (size_t i = 0; i < size; i++) {
        digest->block[digest->size++ % 64u] = bytes[i];
        if (digest->size % 64u == 0) {
            compress(digest);
        }
    }
}

void sha256_end(sha256 *digest, uint8_t result[SHA256_SIZE]) {
    uint64_t bits = digest->size * 8;
    static const uint8_t zero = 0;
    static const uint8_t mark = 0x80;
    sha256_update(digest, &mark, 1);
    while (digest->size % 64u != 56) {
        sha256_update(digest, &zero, 1);
    }
    for (int shift = 56; shift >= 0; shift -= 8) {
        uint8_t byte = (uint8_t)(bits >> shift);
        sha256_update(digest, &byte, 1);
    }
    for (unsigned i = 0; i < SHA256_SIZE; i++) {
        result[i] = (uint8_t)(digest->state[i / 4] >> (24 - 8 * (i % 4)));
    }
}
