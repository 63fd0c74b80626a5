/* Runs the fuzz target on the files that are its arguments: a corpus, with any compiler.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int count, char **arguments) {
    for (int i = 1; i < count; i++) {
        FILE *stream = fopen(arguments[i], "rb");
        if (stream == NULL || fseek(stream, 0, SEEK_END) != 0) {
            fprintf(stderr, "%s cannot be read\n", arguments[i]);
            return 1;
        }
        size_t size = (size_t)ftell(stream);
        uint8_t *data = malloc(size + 1);
        rewind(stream);
        if (data == NULL || fread(data, 1, size, stream) != size) {
            fprintf(stderr, "%s cannot be read\n", arguments[i]);
            return 1;
        }
        fclose(stream);
        LLVMFuzzerTestOneInput(data, size);
        free(data);
    }
    printf("%d files replayed\n", count - 1);
    return 0;
}
