/* The most workspace that any tensor of the containers given needs, from memory and through a
 * callback: workspace FILE [FILE ...] prints the two numbers. For native/test/size.py.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "edgeens.h"

static uint8_t data[1u << 20];

static int read_data(void *context, uint64_t offset, void *buffer, size_t size) {
    (void)context;
    memcpy(buffer, data + offset, size);
    return 0;
}

static size_t largest(const eens_file *file, size_t most) {
    for (uint32_t i = 0; i < file->tensor_count; i++) {
        eens_tensor tensor;
        size_t size = 0;
        if (eens_tensor_at(file, i, &tensor) == EENS_OK &&
            eens_workspace_size(file, &tensor, &size) == EENS_OK && size > most) {
            most = size;
        }
    }
    return most;
}

int main(int count, char **arguments) {
    size_t in_memory = 0;
    size_t by_callback = 0;
    for (int i = 1; i < count; i++) {
        eens_file file;
        FILE *stream = fopen(arguments[i], "rb");
        size_t size = stream != NULL ? fread(data, 1, sizeof data, stream) : 0;
        if (stream == NULL || eens_open(data, size, 0, &file, NULL) != EENS_OK) {
            fprintf(stderr, "%s cannot be read\n", arguments[i]);
            return 1;
        }
        fclose(stream);
        in_memory = largest(&file, in_memory);
        if (eens_open_reader(read_data, NULL, size, 0, &file, NULL) == EENS_OK) {
            by_callback = largest(&file, by_callback);
        }
    }
    printf("%zu %zu\n", in_memory, by_callback);
    return 0;
}
