/* The file that container.S puts into flash. SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTAINER_H
#define CONTAINER_H

#include <stddef.h>
#include <stdint.h>

extern const uint8_t container_begin[];
extern const uint8_t container_end[];

static inline size_t container_size(void) {
    return (size_t)(container_end - container_begin);
}

#endif
