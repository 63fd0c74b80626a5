/* The digit classifier of edgeens/demo in plain C: one member at a time, straight from a container.
 *
 * Weights stay integer codes until a layer's sum is complete; then it is multiplied once by the
 * channel's scale. Blocks are decoded one by one, so a layer of any size needs one block of scratch.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef NETWORK_H
#define NETWORK_H

#include <edgeens.h>

#define SIDE 8u
#define PIXELS (SIDE * SIDE)
#define CLASSES 10u
#define BLOCK 1024u /* positions of a block that this program is ready for */
#ifndef WORKSPACE
#define WORKSPACE 6144u /* bytes: eens_workspace_size of the largest tensor; checked at the start */
#endif

/* Scratch, all of it. */
typedef struct network {
    const eens_file *file;
    float first[16][PIXELS];      /* what the first convolution gives */
    float pooled[32 * PIXELS / 4]; /* what the second gives, after pooling */
    float sums[PIXELS];            /* of the channel that is being summed up */
    int8_t codes[BLOCK];
    uint8_t workspace[WORKSPACE];
} network;

/* Refuses a container whose tensors do not fit this network, or its scratch. */
eens_status network_open(network *net, const eens_file *file);

/* Logits of one member for one image of grey levels 0 to 16. */
eens_status network_run(network *net, int32_t member, const uint8_t image[PIXELS],
                        float logits[CLASSES]);

#endif
