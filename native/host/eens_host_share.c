/* Patterns of shared digits (S8): who has the digit of an earlier member. */
#include "edgeens_host.h"

/* Positions looked at together: the digits and strings of 16 members stay in the first-level cache,
 * and the loops over them are a compiler's to vectorise. */
#define TILE 512

static void number_clusters(const int8_t *digits, size_t members, size_t stride, size_t count,
                            uint8_t *strings, uint8_t *clusters) {
    for (size_t i = 0; i < count; i++) {
        clusters[i] = 0;
    }
    for (size_t m = 0; m < members; m++) {
        const int8_t *own = digits + m * stride;
        uint8_t *string = strings + m * stride;
        for (size_t i = 0; i < count; i++) {
            string[i] = clusters[i];
        }
        for (size_t e = 0; e < m; e++) {
            const int8_t *other = digits + e * stride;
            const uint8_t *known = strings + e * stride;
            for (size_t i = 0; i < count; i++) {
                uint8_t same = known[i], differs = string[i]; /* both read: no branch */
                string[i] = other[i] == own[i] ? same : differs;
            }
        }
        for (size_t i = 0; i < count; i++) {
            clusters[i] = (uint8_t)(clusters[i] + (string[i] == clusters[i]));
        }
    }
}

size_t eens_host_clusters(const int8_t *digits, size_t members, size_t positions, uint8_t *strings,
                          uint8_t *clusters, int8_t *opening) {
    const int8_t *start = opening;
    for (size_t first = 0; first < positions; first += TILE) {
        size_t left = positions - first, count = left < TILE ? left : TILE;
        number_clusters(digits + first, members, positions, count, strings + first,
                        clusters + first);
        for (size_t i = first; i < first + count; i++) {
            uint8_t seen = 0;
            for (size_t m = 0; m < members; m++) {
                *opening = digits[m * positions + i]; /* kept if it opens a cluster */
                uint8_t opens = strings[m * positions + i] == seen;
                opening += opens;
                seen = (uint8_t)(seen + opens);
            }
        }
    }
    return (size_t)(opening - start);
}
