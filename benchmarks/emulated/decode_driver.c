/* Decodes the first tensor of a container, all members to float32, as often as it is told.
 *
 * decode_driver FILE.eens TIMES. What benchmarks.instructions builds for another processor and
 * counts the instructions of: two runs of different TIMES differ by decoding alone. Prints the
 * checksum of the values, which tells that they are right. */
#include <edgeens.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void *read_file(const char *path, size_t *size) {
    FILE *stream = fopen(path, "rb");
    long end = -1;
    void *bytes = NULL;
    if (stream != NULL && fseek(stream, 0, SEEK_END) == 0) end = ftell(stream);
    if (end > 0) bytes = malloc((size_t)end);
    *size = end > 0 ? (size_t)end : 0;
    if (bytes == NULL || fseek(stream, 0, SEEK_SET) != 0 ||
        fread(bytes, 1, *size, stream) != *size) {
        fprintf(stderr, "%s cannot be read\n", path);
        exit(1);
    }
    fclose(stream);
    return bytes;
}

static void check(eens_status status) {
    if (status == EENS_OK) return;
    fprintf(stderr, "%s\n", eens_strerror(status));
    exit(1);
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: decode_driver FILE.eens TIMES\n");
        return 2;
    }
    size_t size, workspace_size, output_size;
    const void *bytes = read_file(argv[1], &size);
    eens_file file;
    eens_tensor tensor;
    check(eens_open(bytes, size, 0, &file, NULL));
    check(eens_tensor_at(&file, 0, &tensor));
    const eens_request all = {0, tensor.block_count, EENS_ALL_MEMBERS, EENS_AS_FLOAT32, 0};
    check(eens_workspace_size(&file, &tensor, &workspace_size));
    check(eens_output_size(&file, &tensor, &all, &output_size));
    void *workspace = malloc(workspace_size + 1); /* + 1: none may be needed */
    void *output = malloc(output_size);
    if (workspace == NULL || output == NULL) return 1;
    for (int times = atoi(argv[2]); times > 0; times--) {
        check(eens_decode(&file, &tensor, &all, workspace, workspace_size, output, output_size,
                          NULL));
    }
    printf("%08" PRIx32 "\n", eens_crc32c(0, output, output_size));
    return 0;
}
