/* All members' weights of a container, decoded into memory by several threads.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIGHTS_H
#define WEIGHTS_H

#include <edgeens.h>
#include <stdbool.h>

#define THREADS 4

typedef struct weights {
    const eens_file *file;
    uint8_t **tensors; /* one array a tensor: its copies, one after the other */
} weights;

/* The whole file, mapped; NULL with a message on stderr if that cannot be. */
const uint8_t *weights_map(const char *path, size_t *size);

/* False, with a message on stderr, if a tensor is damaged or memory is short. */
bool weights_decode(weights *into, const eens_file *file);

/* A member's values of a tensor; tensors that all members share have one copy. */
uint8_t *weights_of(const weights *from, const eens_tensor *tensor, int member, size_t *size);

void weights_free(weights *all);

#endif
