/* Convolution 1 to 16, convolution 16 to 32 (both 3 x 3, padded), maximum over 2 x 2, dense 512 to 10.
 * SPDX-License-Identifier: Apache-2.0 */
#include "network.h"

#include <string.h>

#define LEVELS 16.0f /* of grey */
#define FIRST 16u
#define SECOND 32u
#define POOLED (SIDE / 2)
#define TAPS 9u

typedef struct layer {
    const char *weight;
    const char *bias;
    uint32_t outputs;
    uint32_t inputs; /* codes of one output channel */
} layer;

static const layer layers[3] = {
    {"conv1.weight", "conv1.bias", FIRST, TAPS},
    {"conv2.weight", "conv2.bias", SECOND, FIRST *TAPS},
    {"dense.weight", "dense.bias", CLASSES, SECOND *POOLED *POOLED},
};

/* One channel's codes are summed here; then it is told the channel's scale and bias. */
typedef void add_fn(network *net, const uint8_t *image, uint32_t input, float code);
typedef void end_fn(network *net, uint32_t output, float scale, float bias, float *logits);

static eens_status find(const eens_file *file, const char *name, eens_tensor *tensor) {
    return eens_find(file, name, strlen(name), tensor);
}

eens_status network_open(network *net, const eens_file *file) {
    net->file = file;
    for (unsigned i = 0; i < 3; i++) {
        eens_tensor weight;
        eens_tensor bias;
        size_t needed = 0;
        eens_status status = find(file, layers[i].weight, &weight);
        if (status == EENS_OK) {
            status = find(file, layers[i].bias, &bias);
        }
        if (status == EENS_OK) {
            status = eens_workspace_size(file, &weight, &needed);
        }
        if (status != EENS_OK) {
            return status;
        }
        if (weight.elements != layers[i].outputs * layers[i].inputs || weight.bits == 0 ||
            weight.channel_axis != 0 || weight.block_positions > BLOCK || needed > WORKSPACE ||
            bias.elements != layers[i].outputs || bias.dtype != EENS_FLOAT32 || bias.bits != 0) {
            return EENS_ERR_UNSUPPORTED;
        }
    }
    return EENS_OK;
}

/* The bias of one output channel; exact tensors of this network have one block. */
static eens_status read_bias(network *net, const layer *of, int32_t member, float biases[SECOND]) {
    eens_tensor tensor;
    eens_status status = find(net->file, of->bias, &tensor);
    if (status == EENS_OK) {
        eens_request request = {0, tensor.block_count, member, EENS_AS_FLOAT32, 0};
        request.format = EENS_AS_VALUES;
        status = eens_decode(net->file, &tensor, &request, net->workspace, WORKSPACE, biases,
                             SECOND * sizeof *biases, NULL);
    }
    return status;
}

static eens_status run_layer(network *net, const layer *of, int32_t member, const uint8_t *image,
                             add_fn *add, end_fn *end, float *logits) {
    eens_tensor tensor;
    float biases[SECOND];
    eens_status status = find(net->file, of->weight, &tensor);
    if (status == EENS_OK) {
        status = read_bias(net, of, member, biases);
    }
    uint32_t input = 0;
    uint32_t output = 0;
    memset(net->sums, 0, sizeof net->sums);
    for (uint32_t block = 0; status == EENS_OK && block < tensor.block_count; block++) {
        eens_request request = {block, 1, member, EENS_AS_INT8, 0};
        size_t size = 0;
        status = eens_output_size(net->file, &tensor, &request, &size);
        if (status == EENS_OK) {
            status = eens_decode(net->file, &tensor, &request, net->workspace, WORKSPACE,
                                 net->codes, sizeof net->codes, NULL);
        }
        for (size_t i = 0; status == EENS_OK && i < size; i++) {
            add(net, image, input, (float)net->codes[i]);
            if (++input == of->inputs) {
                float scale = 0;
                status = eens_scales(net->file, &tensor, tensor.scale_count > 1 ? output : 0, 1,
                                     &scale);
                end(net, output, scale, biases[output], logits);
                memset(net->sums, 0, sizeof net->sums);
                input = 0;
                output++;
            }
        }
    }
    return status;
}

/* Adds code times a plane, shifted by the tap, to the sums. */
static void add_plane(float sums[PIXELS], const float plane[PIXELS], uint32_t tap, float code) {
    int down = (int)(tap / 3) - 1;
    int right = (int)(tap % 3) - 1;
    for (int y = down < 0; y < (int)SIDE - (down > 0); y++) {
        for (int x = right < 0; x < (int)SIDE - (right > 0); x++) {
            sums[y * (int)SIDE + x] += code * plane[(y + down) * (int)SIDE + x + right];
        }
    }
}

static void add_first(network *net, const uint8_t *image, uint32_t input, float code) {
    float plane[PIXELS];
    for (unsigned i = 0; i < PIXELS; i++) {
        plane[i] = (float)image[i] / LEVELS;
    }
    add_plane(net->sums, plane, input, code);
}

static void end_first(network *net, uint32_t output, float scale, float bias, float *logits) {
    (void)logits;
    for (unsigned i = 0; i < PIXELS; i++) {
        float sum = net->sums[i] * scale + bias;
        net->first[output][i] = sum > 0 ? sum : 0;
    }
}

static void add_second(network *net, const uint8_t *image, uint32_t input, float code) {
    (void)image;
    add_plane(net->sums, net->first[input / TAPS], input % TAPS, code);
}

static void end_second(network *net, uint32_t output, float scale, float bias, float *logits) {
    (void)logits;
    for (unsigned y = 0; y < POOLED; y++) {
        for (unsigned x = 0; x < POOLED; x++) {
            const float *corner = net->sums + 2 * y * SIDE + 2 * x;
            float largest = 0; /* the rectifier, before or after the maximum */
            for (unsigned i = 0; i < 4; i++) {
                float sum = corner[i / 2 * SIDE + i % 2] * scale + bias;
                largest = sum > largest ? sum : largest;
            }
            net->pooled[(output * POOLED + y) * POOLED + x] = largest;
        }
    }
}

static void add_dense(network *net, const uint8_t *image, uint32_t input, float code) {
    (void)image;
    net->sums[0] += code * net->pooled[input];
}

static void end_dense(network *net, uint32_t output, float scale, float bias, float *logits) {
    logits[output] = net->sums[0] * scale + bias;
}

eens_status network_run(network *net, int32_t member, const uint8_t image[PIXELS],
                        float logits[CLASSES]) {
    eens_status status = run_layer(net, layers, member, image, add_first, end_first, logits);
    if (status == EENS_OK) {
        status = run_layer(net, layers + 1, member, image, add_second, end_second, logits);
    }
    if (status == EENS_OK) {
        status = run_layer(net, layers + 2, member, image, add_dense, end_dense, logits);
    }
    return status;
}
