/* What an ensemble says so far: members come one at a time, nothing of them is kept.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNNING_H
#define RUNNING_H

#include "network.h"

typedef struct running {
    uint32_t members;
    float mean[CLASSES];    /* of the members' probabilities */
    float squares[CLASSES]; /* sums of squared deviations from the mean (Welford) */
    float expected_entropy; /* mean of the members' entropies, nats */
} running;

void running_start(running *sum);
void running_add(running *sum, const float logits[CLASSES]);

uint32_t running_class(const running *sum);
float running_entropy(const running *sum);            /* of the mean probabilities, nats */
float running_mutual_information(const running *sum); /* entropy minus expected entropy, nats */

/* Standard error of the mean probability of the likeliest class; for two members or more. */
float running_error(const running *sum);

#endif
