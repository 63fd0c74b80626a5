/* Runs an ensemble on Linux without Python: maps the file, decodes the members with four threads, runs
 * each in ONNX Runtime's C API, prints predictions with their uncertainty.
 * usage: linux_c FILE.eens LIBONNXRUNTIME.so INPUTS.f32
 * INPUTS.f32: float32 values of this machine, sample after sample. SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "graph.h"

static float *read_inputs(const char *path, size_t sample, size_t *batch) {
    size_t size = 0;
    const uint8_t *bytes = weights_map(path, &size);
    float *inputs = bytes != NULL ? malloc(size) : NULL;
    if (inputs != NULL && size % (sample * sizeof *inputs) != 0) {
        fprintf(stderr, "%s: not a whole number of samples of %zu values\n", path, sample);
        free(inputs);
        return NULL;
    }
    if (inputs != NULL) {
        memcpy(inputs, bytes, size);
        *batch = size / (sample * sizeof *inputs);
    }
    return inputs;
}

static double entropy(const double *probabilities, size_t classes) {
    double sum = 0;
    for (size_t i = 0; i < classes; i++) {
        sum -= probabilities[i] > 0 ? probabilities[i] * log(probabilities[i]) : 0;
    }
    return sum;
}

static void softmax(const float *logits, double *probabilities, size_t classes) {
    double largest = (double)logits[0];
    double sum = 0;
    for (size_t i = 1; i < classes; i++) {
        largest = fmax(largest, (double)logits[i]);
    }
    for (size_t i = 0; i < classes; i++) {
        probabilities[i] = exp((double)logits[i] - largest);
        sum += probabilities[i];
    }
    for (size_t i = 0; i < classes; i++) {
        probabilities[i] /= sum;
    }
}

/* mean: (batch, classes); expected: (batch), mean of the members' entropies. */
static bool run_members(graph *loaded, const weights *all, float *inputs, size_t batch,
                        size_t *classes, double **mean, double **expected) {
    int members = all->file->member_count;
    *expected = calloc(batch, sizeof **expected);
    for (int member = 0; member < members && *expected != NULL; member++) {
        float *logits = graph_run(loaded, all, member, inputs, batch, classes);
        if (*mean == NULL) {
            *mean = calloc(batch * *classes + 1, sizeof **mean);
        }
        double *one = malloc(*classes * sizeof *one + 1);
        bool ready = logits != NULL && *mean != NULL && one != NULL;
        for (size_t i = 0; ready && i < batch; i++) {
            softmax(logits + i * *classes, one, *classes);
            (*expected)[i] += entropy(one, *classes) / members;
            for (size_t k = 0; k < *classes; k++) {
                (*mean)[i * *classes + k] += one[k] / members;
            }
        }
        free(one);
        free(logits);
        if (!ready) {
            return false;
        }
    }
    return *expected != NULL;
}

static void print_all(const double *mean, const double *expected, size_t batch, size_t classes) {
    for (size_t i = 0; i < batch; i++) {
        const double *row = mean + i * classes;
        size_t best = 0;
        for (size_t k = 1; k < classes; k++) {
            best = row[k] > row[best] ? k : best;
        }
        double total = entropy(row, classes);
        printf("input %zu: %zu, confidence %.6f, entropy %.6f, mutual information %.6f\n", i, best,
               row[best], total, fmax(0, total - expected[i]));
    }
}

static bool predict(const eens_file *file, const char *library, const char *path) {
    weights all = {0};
    graph *loaded = weights_decode(&all, file) ? graph_open(library, file) : NULL;
    size_t batch = 0;
    size_t classes = 0;
    double *mean = NULL;
    double *expected = NULL;
    float *inputs =
        loaded != NULL ? read_inputs(path, graph_input_size(loaded), &batch) : NULL;
    bool done = inputs != NULL &&
                run_members(loaded, &all, inputs, batch, &classes, &mean, &expected);
    if (done) {
        print_all(mean, expected, batch, classes);
    }
    free(mean);
    free(expected);
    free(inputs);
    if (loaded != NULL) {
        graph_close(loaded);
    }
    weights_free(&all);
    return done;
}

int main(int count, char **arguments) {
    size_t size = 0;
    eens_file file;
    if (count != 4) {
        fprintf(stderr, "usage: linux_c FILE.eens LIBONNXRUNTIME.so INPUTS.f32\n");
        return 2;
    }
    const uint8_t *bytes = weights_map(arguments[1], &size);
    if (bytes == NULL) {
        return 1;
    }
    eens_status status = eens_open(bytes, size, 0, &file, NULL);
    if (status != EENS_OK) {
        fprintf(stderr, "%s: %s\n", arguments[1], eens_strerror(status));
        return 1;
    }
    return predict(&file, arguments[2], arguments[3]) ? 0 : 1;
}
