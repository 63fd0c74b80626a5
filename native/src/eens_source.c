/* Bytes of the file, from memory or through the callback. Everything that reads a container does it
 * here. */
#include "eens_internal.h"

#if !EENS_LITTLE_ENDIAN
void eens_to_machine_order(void *elements, uint32_t count, uint32_t size) {
    uint8_t *low = elements;
    for (uint32_t i = 0; i < count; i++, low += size) {
        for (uint32_t k = 0; k < size / 2; k++) { /* as if big-endian were the only other order */
            uint8_t byte = low[k];
            low[k] = low[size - 1 - k];
            low[size - 1 - k] = byte;
        }
    }
}
#endif

#if !defined(EENS_NO_READER)

const uint8_t *eens_view(const eens_file *file, eens_offset offset, size_t size, void *buffer) {
    if (file->data != NULL) {
        return file->data + (size_t)offset; /* at most file->size, which was a size_t */
    }
    return size == 0 || file->read(file->context, offset, buffer, size) == 0 ? buffer : NULL;
}

bool eens_fetch(const eens_file *file, eens_offset offset, size_t size, void *buffer) {
    const uint8_t *bytes = eens_view(file, offset, size, buffer);
    if (bytes != NULL && bytes != (const uint8_t *)buffer && size != 0) {
        memcpy(buffer, bytes, size);
    }
    return bytes != NULL;
}

bool eens_fetch_words(const eens_file *file, eens_offset offset, uint32_t count, uint32_t *words) {
    bool is_read = eens_fetch(file, offset, 4 * (size_t)count, words);
    eens_to_machine_order(words, count, 4);
    return is_read;
}

void eens_cursor_begin(eens_cursor *cursor, const eens_file *file, eens_offset offset,
                       uint32_t size) {
    cursor->file = file;
    cursor->offset = offset;
    cursor->left = size;
    cursor->ready = 0;
}

int32_t eens_take(eens_cursor *cursor) {
    if (cursor->ready == 0) {
        bool here = cursor->file->data != NULL || cursor->left < sizeof cursor->buffer;
        cursor->ready = here ? cursor->left : sizeof cursor->buffer;
        cursor->next = eens_view(cursor->file, cursor->offset, cursor->ready, cursor->buffer);
        if (cursor->next == NULL) {
            return -1;
        }
        cursor->offset += cursor->ready;
        cursor->left -= cursor->ready;
    }
    cursor->ready--;
    return *cursor->next++;
}

#endif

eens_status eens_crc_part(const eens_file *file, eens_offset offset, eens_offset size,
                          uint32_t *crc) {
    /* 128 bytes: a quarter of the stack this library may take, and a page of small flash chips. */
    uint8_t buffer[128];
    bool fast = eens_is_in_memory(file) && eens_crc_is_fast(size);
    while (size != 0) {
        bool here = eens_is_in_memory(file) || size < sizeof buffer;
        size_t part = here ? (size_t)size : sizeof buffer;
        const uint8_t *bytes = eens_view(file, offset, part, buffer);
        if (bytes == NULL) {
            return EENS_ERR_READ;
        }
        *crc = eens_crc_update(fast, *crc, bytes, part);
        offset += (eens_offset)part;
        size -= (eens_offset)part;
    }
    return EENS_OK;
}
