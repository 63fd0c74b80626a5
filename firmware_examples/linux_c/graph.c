/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "graph.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#define OLDEST_API 20 /* of ONNX Runtime 1.20: what is used here has not changed since */
#define MAX_DIMS 8

struct graph {
    void *library;
    const OrtApi *api;
    OrtEnv *environment;
    OrtSession *session;
    OrtMemoryInfo *memory;
    OrtAllocator *allocator;
    const eens_file *file;
    char **names; /* of the inputs */
    size_t inputs;
    size_t data; /* which of them is the model's own */
    char *output;
    int64_t dims[MAX_DIMS]; /* of the data, batch first */
    size_t ndim;
};

static bool good(const graph *of, OrtStatus *status, const char *what) {
    if (status == NULL) {
        return true;
    }
    fprintf(stderr, "%s: %s\n", what, of->api->GetErrorMessage(status));
    of->api->ReleaseStatus(status);
    return false;
}

/* dlsym gives an object pointer; POSIX lets it be copied into a function pointer. */
static const OrtApi *find_api(void *library) {
    const OrtApiBase *(*base)(void) = NULL;
    void *symbol = dlsym(library, "OrtGetApiBase");
    memcpy(&base, &symbol, sizeof base);
    return symbol != NULL ? base()->GetApi(OLDEST_API) : NULL;
}

static uint8_t *read_graph(const eens_file *file, size_t *size) {
    eens_section section;
    eens_status status = eens_section_find(file, "SKLF", &section);
    uint8_t *bytes = NULL;
    if (status == EENS_OK) {
        *size = (size_t)section.size;
        bytes = malloc(*size != 0 ? *size : 1);
        status = bytes != NULL ? eens_section_check(file, &section) : EENS_ERR_OUTPUT;
    }
    if (status == EENS_OK) {
        status = eens_section_read(file, &section, 0, bytes, *size);
    }
    if (status != EENS_OK) {
        fprintf(stderr, "the container's graph: %s\n", eens_strerror(status));
        free(bytes);
        return NULL;
    }
    return bytes;
}

static bool load_session(graph *into) {
    const OrtApi *api = into->api;
    OrtSessionOptions *options = NULL;
    size_t size = 0;
    uint8_t *bytes = read_graph(into->file, &size);
    bool done =
        bytes != NULL &&
        good(into, api->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "edgeens", &into->environment), "env") &&
        good(into, api->CreateSessionOptions(&options), "options") &&
        good(into, api->SetIntraOpNumThreads(options, 1), "threads") &&
        good(into,
             api->CreateSessionFromArray(into->environment, bytes, size, options, &into->session),
             "the container's graph") &&
        good(into, api->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &into->memory),
             "memory") &&
        good(into, api->GetAllocatorWithDefaultOptions(&into->allocator), "allocator");
    if (options != NULL) {
        api->ReleaseSessionOptions(options);
    }
    free(bytes);
    return done;
}

/* The dimensions of the model's own input; an open one is left to the batch. */
static bool read_shape(graph *into) {
    const OrtApi *api = into->api;
    OrtTypeInfo *type = NULL;
    const OrtTensorTypeAndShapeInfo *shape = NULL;
    bool done = good(into, api->SessionGetInputTypeInfo(into->session, into->data, &type), "type") &&
                good(into, api->CastTypeInfoToTensorInfo(type, &shape), "type") && shape != NULL &&
                good(into, api->GetDimensionsCount(shape, &into->ndim), "shape") &&
                into->ndim >= 1 && into->ndim <= MAX_DIMS &&
                good(into, api->GetDimensions(shape, into->dims, into->ndim), "shape");
    if (type != NULL) {
        api->ReleaseTypeInfo(type);
    }
    for (size_t i = 1; done && i < into->ndim; i++) {
        if (into->dims[i] < 1) {
            fprintf(stderr, "axis %zu of the input has no fixed size\n", i);
            done = false;
        }
    }
    return done;
}

static bool read_names(graph *into) {
    const OrtApi *api = into->api;
    size_t own = 0;
    if (!good(into, api->SessionGetInputCount(into->session, &into->inputs), "inputs")) {
        return false;
    }
    into->names = calloc(into->inputs, sizeof *into->names);
    for (size_t i = 0; into->names != NULL && i < into->inputs; i++) {
        eens_tensor tensor;
        if (!good(into, api->SessionGetInputName(into->session, i, into->allocator, into->names + i),
                  "inputs")) {
            return false;
        }
        if (eens_find(into->file, into->names[i], strlen(into->names[i]), &tensor) != EENS_OK) {
            into->data = i;
            own++;
        }
    }
    if (own != 1) {
        fprintf(stderr, "the model has %zu inputs; this example is for one\n", own);
        return false;
    }
    return good(into, api->SessionGetOutputName(into->session, 0, into->allocator, &into->output),
                "outputs");
}

graph *graph_open(const char *library, const eens_file *file) {
    graph *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return NULL;
    }
    made->file = file;
    made->library = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (made->library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
    } else if ((made->api = find_api(made->library)) == NULL) {
        fprintf(stderr, "%s: older than ONNX Runtime 1.20\n", library);
    } else if (load_session(made) && read_names(made) && read_shape(made)) {
        return made;
    }
    graph_close(made);
    return NULL;
}

size_t graph_input_size(const graph *loaded) {
    size_t count = 1;
    for (size_t i = 1; i < loaded->ndim; i++) {
        count *= (size_t)loaded->dims[i];
    }
    return count;
}

/* A value over memory that stays ours. */
static OrtValue *wrap(const graph *of, void *bytes, size_t size, const int64_t *dims, size_t ndim,
                      ONNXTensorElementDataType type) {
    OrtValue *value = NULL;
    good(of,
         of->api->CreateTensorWithDataAsOrtValue(of->memory, bytes, size, dims, ndim, type, &value),
         "a tensor");
    return value;
}

static OrtValue *wrap_input(const graph *of, const weights *all, int member, size_t input,
                            float *inputs, size_t batch) {
    int64_t dims[MAX_DIMS] = {(int64_t)batch};
    if (input == of->data) {
        memcpy(dims + 1, of->dims + 1, (of->ndim - 1) * sizeof *dims);
        return wrap(of, inputs, batch * graph_input_size(of) * sizeof *inputs, dims, of->ndim,
                    ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT);
    }
    eens_tensor tensor;
    size_t size = 0;
    if (eens_find(of->file, of->names[input], strlen(of->names[input]), &tensor) != EENS_OK) {
        return NULL;
    }
    for (size_t i = 0; i < tensor.ndim; i++) {
        dims[i] = tensor.dims[i];
    }
    uint8_t *values = weights_of(all, &tensor, member, &size);
    /* the numbers of dtypes are ONNX's in both (SPEC S4.2) */
    return wrap(of, values, size, dims, tensor.ndim, (ONNXTensorElementDataType)tensor.dtype);
}

/* The first output, copied. */
static float *copy_output(const graph *of, OrtValue *value, size_t batch, size_t *classes) {
    OrtTensorTypeAndShapeInfo *shape = NULL;
    void *values = NULL;
    size_t count = 0;
    float *copied = NULL;
    if (good(of, of->api->GetTensorTypeAndShape(value, &shape), "the output") &&
        good(of, of->api->GetTensorShapeElementCount(shape, &count), "the output") &&
        good(of, of->api->GetTensorMutableData(value, &values), "the output")) {
        *classes = count / batch;
        copied = malloc(count * sizeof *copied);
    }
    if (copied != NULL) {
        memcpy(copied, values, count * sizeof *copied);
    }
    if (shape != NULL) {
        of->api->ReleaseTensorTypeAndShapeInfo(shape);
    }
    return copied;
}

float *graph_run(graph *loaded, const weights *all, int member, float *inputs, size_t batch,
                 size_t *classes) {
    const OrtApi *api = loaded->api;
    OrtValue **values = calloc(loaded->inputs, sizeof(OrtValue *));
    OrtValue *result = NULL;
    float *copied = NULL;
    bool ready = values != NULL;
    for (size_t i = 0; ready && i < loaded->inputs; i++) {
        values[i] = wrap_input(loaded, all, member, i, inputs, batch);
        ready = values[i] != NULL;
    }
    if (ready &&
        good(loaded,
             api->Run(loaded->session, NULL, (const char *const *)loaded->names,
                      (const OrtValue *const *)values, loaded->inputs,
                      (const char *const *)&loaded->output, 1, &result),
             "running a member")) {
        copied = copy_output(loaded, result, batch, classes);
        api->ReleaseValue(result);
    }
    for (size_t i = 0; values != NULL && i < loaded->inputs; i++) {
        if (values[i] != NULL) {
            api->ReleaseValue(values[i]);
        }
    }
    free(values);
    return copied;
}

static void release_name(graph *of, char *name) {
    if (name != NULL) {
        good(of, of->api->AllocatorFree(of->allocator, name), "a name");
    }
}

void graph_close(graph *loaded) {
    for (size_t i = 0; loaded->names != NULL && i < loaded->inputs; i++) {
        release_name(loaded, loaded->names[i]);
    }
    if (loaded->api != NULL) {
        release_name(loaded, loaded->output);
        loaded->api->ReleaseMemoryInfo(loaded->memory);
        loaded->api->ReleaseSession(loaded->session);
        loaded->api->ReleaseEnv(loaded->environment);
    }
    free(loaded->names);
    free(loaded); /* the library stays loaded: it does not survive dlclose */
}
