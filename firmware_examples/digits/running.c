/* SPDX-License-Identifier: Apache-2.0 */
#include "running.h"

#include <math.h>
#include <string.h>

static float entropy(const float probabilities[CLASSES]) {
    float sum = 0;
    for (unsigned i = 0; i < CLASSES; i++) {
        if (probabilities[i] > 0) {
            sum -= probabilities[i] * logf(probabilities[i]);
        }
    }
    return sum;
}

static void softmax(const float logits[CLASSES], float probabilities[CLASSES]) {
    float largest = logits[0];
    float sum = 0;
    for (unsigned i = 1; i < CLASSES; i++) {
        largest = logits[i] > largest ? logits[i] : largest;
    }
    for (unsigned i = 0; i < CLASSES; i++) {
        probabilities[i] = expf(logits[i] - largest);
        sum += probabilities[i];
    }
    for (unsigned i = 0; i < CLASSES; i++) {
        probabilities[i] /= sum;
    }
}

void running_start(running *sum) {
    memset(sum, 0, sizeof *sum);
}

void running_add(running *sum, const float logits[CLASSES]) {
    float probabilities[CLASSES];
    softmax(logits, probabilities);
    sum->members++;
    float share = 1.0f / (float)sum->members;
    sum->expected_entropy += (entropy(probabilities) - sum->expected_entropy) * share;
    for (unsigned i = 0; i < CLASSES; i++) {
        float before = probabilities[i] - sum->mean[i];
        sum->mean[i] += before * share;
        sum->squares[i] += before * (probabilities[i] - sum->mean[i]);
    }
}

uint32_t running_class(const running *sum) {
    uint32_t best = 0;
    for (uint32_t i = 1; i < CLASSES; i++) {
        best = sum->mean[i] > sum->mean[best] ? i : best;
    }
    return best;
}

float running_entropy(const running *sum) {
    return entropy(sum->mean);
}

float running_mutual_information(const running *sum) {
    float difference = running_entropy(sum) - sum->expected_entropy;
    return difference > 0 ? difference : 0;
}

float running_error(const running *sum) {
    float members = (float)sum->members;
    return sqrtf(sum->squares[running_class(sum)] / (members * (members - 1.0f)));
}
