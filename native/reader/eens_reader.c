/* Reads a container's bytes where they are asked for. No mapping: a mapped file that is cut off, or
 * whose storage fails, ends the process that touches it. */
#if !defined(_WIN32)
#define _POSIX_C_SOURCE 200809L
#define _FILE_OFFSET_BITS 64 /* also where a long has 32 bits */
#endif
#include "edgeens_reader.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#if defined(_WIN32)
#include <io.h>
#include <windows.h>

/* Bytes read, 0 behind the end of the file, or -1. */
static ptrdiff_t read_at(int descriptor, uint8_t *buffer, size_t size, uint64_t offset) {
    OVERLAPPED place = {0};
    DWORD most = size < (1u << 30) ? (DWORD)size : 1u << 30, count = 0;
    place.Offset = (DWORD)offset;
    place.OffsetHigh = (DWORD)(offset >> 32);
    if (!ReadFile((HANDLE)_get_osfhandle(descriptor), buffer, most, &count, &place) &&
        GetLastError() != ERROR_HANDLE_EOF) {
        errno = EIO;
        return -1;
    }
    return (ptrdiff_t)count;
}
#else
#include <unistd.h>

static ssize_t read_at(int descriptor, uint8_t *buffer, size_t size, uint64_t offset) {
    ssize_t count;
    do {
        count = pread(descriptor, buffer, size, (off_t)offset);
    } while (count < 0 && errno == EINTR);
    return count;
}
#endif

#define FEW 128u /* bytes */

/* A few bytes, with those behind them: the sizes of a block's lanes are asked for one by one. */
static bool read_near(eens_reader *reader, uint64_t offset, uint8_t *to, size_t size) {
    if (offset < reader->near_offset || offset - reader->near_offset > reader->near_size ||
        size > reader->near_size - (offset - reader->near_offset)) {
        ptrdiff_t count =
            read_at(reader->descriptor, reader->near_bytes, sizeof reader->near_bytes, offset);
        reader->near_offset = offset;
        reader->near_size = count < 0 ? 0 : (size_t)count;
    }
    if (size > reader->near_size) {
        return false;
    }
    memcpy(to, reader->near_bytes + (offset - reader->near_offset), size);
    return true;
}

int eens_reader_read(void *context, uint64_t offset, void *buffer, size_t size) {
    eens_reader *reader = context;
    uint8_t *to = buffer;
    if (offset <= reader->head_size && size <= reader->head_size - offset) {
        memcpy(to, reader->head + offset, size);
        return 0;
    }
    if (size <= FEW && read_near(reader, offset, to, size)) {
        return 0;
    }
    while (size != 0) {
        ptrdiff_t count = read_at(reader->descriptor, to, size, offset);
        if (count <= 0) {
            reader->error = count < 0 ? errno : 0;
            reader->end = offset;
            return 1;
        }
        to += count;
        offset += (uint64_t)count;
        size -= (size_t)count;
    }
    return 0;
}
