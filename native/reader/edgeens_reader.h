/* edgeens_reader: the bytes of a container in an open file, for Python alone.
 *
 * Built into the extension edgeens._native beside the decoder, which knows no operating system and
 * gets at storage through a callback; this is that callback. SPDX-License-Identifier: Apache-2.0 */
#ifndef EDGEENS_READER_H
#define EDGEENS_READER_H

#include <stddef.h>
#include <stdint.h>

/* [cffi begin] */

/* The context of eens_reader_read. Calls that run at the same time need one each. */
typedef struct eens_reader {
    const uint8_t *head; /* the first bytes of the file, which are not read again */
    uint64_t head_size;
    int32_t descriptor; /* of the file, open for reading; its position is not used */
    int32_t error;      /* errno of a read that failed; 0: the file ended before it */
    uint64_t end;       /* the first byte that was not there */
    uint64_t near_offset; /* what was read last on behalf of a few bytes: the next few follow */
    size_t near_size;
    uint8_t near_bytes[512];
} eens_reader;

/* An eens_read_fn. */
int eens_reader_read(void *context, uint64_t offset, void *buffer, size_t size);

/* [cffi end] */

#endif
