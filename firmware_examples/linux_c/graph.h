/* The container's graph in ONNX Runtime, loaded at run time: its weights are inputs (SPEC S11, SKLF).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GRAPH_H
#define GRAPH_H

#include "onnxruntime/onnxruntime_c_api.h"
#include "weights.h"

typedef struct graph graph;

/* library: path of libonnxruntime.so. NULL with a message on stderr if anything fails. */
graph *graph_open(const char *library, const eens_file *file);

/* Values that one sample of the model's input has; the batch axis is the first. */
size_t graph_input_size(const graph *loaded);

/* Runs one member on a batch; outputs (batch, classes) of the first output, to be freed by the caller. */
float *graph_run(graph *loaded, const weights *all, int member, float *inputs, size_t batch,
                 size_t *classes);

void graph_close(graph *loaded);

#endif
