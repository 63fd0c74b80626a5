/* Runs the fuzz target on files, a corpus, with any compiler: replay FILE ...
 *                                                             replay @LIST, a file with a name a line
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned long replayed;

static void replay(const char *path) {
    FILE *stream = fopen(path, "rb");
    if (stream == NULL || fseek(stream, 0, SEEK_END) != 0) {
        fprintf(stderr, "%s cannot be read\n", path);
        exit(1);
    }
    size_t size = (size_t)ftell(stream);
    uint8_t *data = malloc(size + 1);
    rewind(stream);
    if (data == NULL || fread(data, 1, size, stream) != size) {
        fprintf(stderr, "%s cannot be read\n", path);
        exit(1);
    }
    fclose(stream);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    replayed++;
}

/* For machines whose arguments cannot be long: the names from a file. */
static void replay_list(const char *path) {
    char name[256];
    FILE *list = fopen(path, "r");
    while (list != NULL && fscanf(list, "%255s", name) == 1) {
        replay(name);
    }
    if (list != NULL) {
        fclose(list);
    }
}

int main(int count, char **arguments) {
    for (int i = 1; i < count; i++) {
        if (arguments[i][0] == '@') {
            replay_list(arguments[i] + 1);
        } else {
            replay(arguments[i]);
        }
    }
    printf("%lu files replayed\n", replayed);
    return replayed == 0;
}
