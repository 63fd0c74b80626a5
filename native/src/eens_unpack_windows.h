/* How both vector units take eight fields apart: each goes to a 16-bit lane of its own together with
 * the bits beside it, then it is shifted to the lane's top. SPDX-License-Identifier: Apache-2.0 */
#ifndef EENS_UNPACK_WINDOWS_H
#define EENS_UNPACK_WINDOWS_H

/* The byte that field i of width w begins in, and the one behind. */
#define EENS_WINDOW(w, i) (i) * (w) / 8, (i) * (w) / 8 + 1
#define EENS_WINDOWS(w) \
    EENS_WINDOW(w, 0), EENS_WINDOW(w, 1), EENS_WINDOW(w, 2), EENS_WINDOW(w, 3), \
    EENS_WINDOW(w, 4), EENS_WINDOW(w, 5), EENS_WINDOW(w, 6), EENS_WINDOW(w, 7)

/* By how much the field has to rise in its lane: from (i w) mod 8 + w <= 15 bits to 16. */
#define EENS_RISE(w, i) (16 - (w) - (i) * (w) % 8)
#define EENS_RISES(w) \
    EENS_RISE(w, 0), EENS_RISE(w, 1), EENS_RISE(w, 2), EENS_RISE(w, 3), \
    EENS_RISE(w, 4), EENS_RISE(w, 5), EENS_RISE(w, 6), EENS_RISE(w, 7)

#endif
