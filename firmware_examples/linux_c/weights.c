/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "weights.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* What one thread does: its share of the blocks of every tensor. */
typedef struct worker {
    const weights *all;
    int number;
    eens_status status;
    eens_where where;
} worker;

const uint8_t *weights_map(const char *path, size_t *size) {
    struct stat about;
    int file = open(path, O_RDONLY);
    void *mapped = MAP_FAILED;
    if (file >= 0 && fstat(file, &about) == 0 && about.st_size > 0) {
        *size = (size_t)about.st_size;
        mapped = mmap(NULL, *size, PROT_READ, MAP_PRIVATE, file, 0);
    }
    if (mapped == MAP_FAILED) {
        perror(path);
    }
    if (file >= 0) {
        close(file);
    }
    return mapped == MAP_FAILED ? NULL : mapped;
}

static size_t element_bytes(const eens_file *file, const eens_tensor *tensor) {
    eens_request one = {0, tensor->block_count, EENS_ALL_MEMBERS, EENS_AS_VALUES, 0};
    size_t all = 0;
    size_t count = (size_t)tensor->copies * tensor->elements;
    return eens_output_size(file, tensor, &one, &all) == EENS_OK && count > 0 ? all / count : 0;
}

/* Blocks number * n / THREADS to (number + 1) * n / THREADS. */
static eens_status decode_share(worker *self, const eens_tensor *tensor) {
    const eens_file *file = self->all->file;
    uint64_t count = tensor->block_count;
    uint32_t first = (uint32_t)(count * (uint64_t)self->number / THREADS);
    uint32_t end = (uint32_t)(count * (uint64_t)(self->number + 1) / THREADS);
    if (first == end) {
        return EENS_OK;
    }
    eens_request share = {first, end - first, EENS_ALL_MEMBERS, EENS_AS_VALUES, tensor->elements};
    size_t needed = 0;
    size_t size = 0;
    eens_status status = eens_workspace_size(file, tensor, &needed);
    if (status == EENS_OK) {
        status = eens_output_size(file, tensor, &share, &size);
    }
    if (status == EENS_OK) {
        void *workspace = malloc(needed != 0 ? needed : 1);
        size_t offset = (size_t)first * tensor->block_positions * element_bytes(file, tensor);
        status = workspace == NULL
                     ? EENS_ERR_WORKSPACE
                     : eens_decode(file, tensor, &share, workspace, needed,
                                   self->all->tensors[tensor->index] + offset, size, &self->where);
        free(workspace);
    }
    return status;
}

static void *work(void *argument) {
    worker *self = argument;
    for (uint32_t i = 0; i < self->all->file->tensor_count && self->status == EENS_OK; i++) {
        eens_tensor tensor;
        self->status = eens_tensor_at(self->all->file, i, &tensor);
        if (self->status == EENS_OK) {
            self->status = decode_share(self, &tensor);
        }
    }
    return NULL;
}

static bool make_room(weights *into) {
    const eens_file *file = into->file;
    into->tensors = calloc(file->tensor_count + (size_t)1, sizeof *into->tensors);
    for (uint32_t i = 0; into->tensors != NULL && i < file->tensor_count; i++) {
        eens_tensor tensor;
        size_t size = 0;
        eens_status status = eens_tensor_at(file, i, &tensor);
        eens_request all = {0, tensor.block_count, EENS_ALL_MEMBERS, EENS_AS_VALUES, 0};
        if (status == EENS_OK) {
            status = eens_output_size(file, &tensor, &all, &size);
        }
        into->tensors[i] = status == EENS_OK ? malloc(size != 0 ? size : 1) : NULL;
        if (into->tensors[i] == NULL) {
            return false;
        }
    }
    return into->tensors != NULL;
}

bool weights_decode(weights *into, const eens_file *file) {
    pthread_t threads[THREADS];
    worker workers[THREADS];
    bool good = true;
    into->file = file;
    if (!make_room(into)) {
        fprintf(stderr, "not enough memory for the members\n");
        return false;
    }
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (worker){.all = into, .number = i, .status = EENS_OK};
        if (pthread_create(threads + i, NULL, work, workers + i) != 0) {
            work(workers + i); /* no thread to be had: do it here */
            threads[i] = pthread_self();
        }
    }
    for (int i = 0; i < THREADS; i++) {
        if (!pthread_equal(threads[i], pthread_self())) {
            pthread_join(threads[i], NULL);
        }
        if (workers[i].status != EENS_OK && good) {
            fprintf(stderr, "tensor %d, block %d: %s\n", (int)workers[i].where.tensor,
                    (int)workers[i].where.block, eens_strerror(workers[i].status));
            good = false;
        }
    }
    return good;
}

uint8_t *weights_of(const weights *from, const eens_tensor *tensor, int member, size_t *size) {
    *size = tensor->elements * element_bytes(from->file, tensor);
    return from->tensors[tensor->index] + (tensor->copies > 1 ? (size_t)member * *size : 0);
}

void weights_free(weights *all) {
    for (uint32_t i = 0; all->tensors != NULL && i < all->file->tensor_count; i++) {
        free(all->tensors[i]);
    }
    free(all->tensors);
}
