/* Bytes of the file, from memory or through the callback. Everything that reads a container does it
 * here. */
#include "eens_internal.h"

const uint8_t *eens_view(const eens_file *file, uint64_t offset, size_t size, void *buffer) {
    if (file->data != NULL) {
        return file->data + (size_t)offset; /* at most file->size, which was a size_t */
    }
    if (size != 0 && file->read(file->context, offset, buffer, size) != 0) {
        return NULL;
    }
    return buffer;
}

eens_status eens_crc_part(const eens_file *file, uint64_t offset, uint64_t size, uint32_t *crc) {
    /* 128 bytes: a quarter of the stack this library may take, and a page of small flash chips. */
    uint8_t buffer[128];
    if (file->data != NULL) {
        bool fast = eens_crc_is_fast(size);
        *crc = eens_crc_update(fast, *crc, file->data + (size_t)offset, (size_t)size);
        return EENS_OK;
    }
    while (size != 0) {
        size_t part = size < sizeof buffer ? (size_t)size : sizeof buffer;
        if (eens_view(file, offset, part, buffer) == NULL) {
            return EENS_ERR_READ;
        }
        *crc = eens_crc_update(false, *crc, buffer, part);
        offset += part;
        size -= part;
    }
    return EENS_OK;
}
