/* Decodes the first tensor of a container, all members to float32, as often as it is told.
 *
 * decode_driver FILE.eens TIMES [copy]. Prints the checksum of the values, which tells that they are
 * right, then a line "nanoseconds cycles" for each time; cycles is 0 where the system does not let a
 * program count its own. With copy: what copying the values takes instead, for comparison.
 *
 * benchmarks.board runs it on this machine. benchmarks.instructions builds it for another processor
 * and counts its instructions: two runs of different TIMES differ by decoding alone. */
#define _GNU_SOURCE /* syscall */
#include <edgeens.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined(__linux__)
#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

/* A counter of this program's cycles, the system's own not among them; -1: there is none. */
static int open_counter(void) {
#if defined(__linux__)
    struct perf_event_attr wanted = {.type = PERF_TYPE_HARDWARE,
                                     .size = sizeof wanted,
                                     .config = PERF_COUNT_HW_CPU_CYCLES,
                                     .exclude_kernel = 1,
                                     .exclude_hv = 1};
    return (int)syscall(SYS_perf_event_open, &wanted, 0, -1, -1, 0);
#else
    return -1;
#endif
}

static uint64_t cycles_of(int counter) {
    uint64_t cycles = 0;
#if defined(__linux__)
    if (counter >= 0 && read(counter, &cycles, sizeof cycles) != (ssize_t)sizeof cycles) {
        cycles = 0;
    }
#else
    (void)counter;
#endif
    return cycles;
}

static uint64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

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
    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: decode_driver FILE.eens TIMES [copy]\n");
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
    void *copied = argc == 4 ? malloc(output_size) : output;
    if (workspace == NULL || output == NULL || copied == NULL) return 1;
    check(eens_decode(&file, &tensor, &all, workspace, workspace_size, output, output_size, NULL));
    if (copied != output) memcpy(copied, output, output_size);
    printf("%08" PRIx32 "\n", eens_crc32c(0, copied, output_size));
    int counter = open_counter();
    for (int times = atoi(argv[2]); times > 0; times--) {
        uint64_t cycles = cycles_of(counter);
        uint64_t begin = nanoseconds();
        if (copied != output) {
            memcpy(copied, output, output_size);
        } else {
            check(eens_decode(&file, &tensor, &all, workspace, workspace_size, output, output_size,
                              NULL));
        }
        uint64_t end = nanoseconds();
        printf("%" PRIu64 " %" PRIu64 "\n", end - begin, cycles_of(counter) - cycles);
    }
    return 0;
}
