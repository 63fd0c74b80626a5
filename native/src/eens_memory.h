/* eens_source.c for a build that reads containers in memory only (EENS_NO_READER). Nothing here fails,
 * and compilers see it: what the callers do about storage that cannot be read takes no code.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef EENS_MEMORY_H
#define EENS_MEMORY_H

#include "eens_internal.h"

static inline const uint8_t *eens_view(const eens_file *file, eens_offset offset, size_t size,
                                       void *buffer) {
    (void)size, (void)buffer;
#if defined(__GNUC__)
    if (file->data == NULL) {
        __builtin_unreachable();
    }
#endif
    return file->data + (size_t)offset; /* at most file->size, which was a size_t */
}

static inline bool eens_fetch(const eens_file *file, eens_offset offset, size_t size,
                              void *buffer) {
    memcpy(buffer, eens_view(file, offset, size, buffer), size);
    return true;
}

static inline bool eens_fetch_words(const eens_file *file, eens_offset offset, uint32_t count,
                                    uint32_t *words) {
    const uint8_t *bytes = eens_view(file, offset, 4 * (size_t)count, words);
    for (uint32_t i = 0; i < count; i++) {
        words[i] = eens_load32(bytes + 4 * i);
    }
    return true;
}

static inline void eens_cursor_begin(eens_cursor *cursor, const eens_file *file,
                                     eens_offset offset, uint32_t size) {
    cursor->next = eens_view(file, offset, size, NULL);
    cursor->ready = size;
    cursor->left = 0;
}

static inline int32_t eens_take(eens_cursor *cursor) {
    cursor->ready--;
    return *cursor->next++;
}

static inline bool eens_is_in_memory(const eens_file *file) {
    (void)file;
    return true;
}

#endif
