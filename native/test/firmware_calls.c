/* What a program calls that opens a container, looks for tensors by their names and decodes them; and
 * the structs that it needs for that. Linked, never run: native/test/size.py measures it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "edgeens.h"

struct arguments {
    const void *data;
    const char *name;
    void *workspace;
    void *output;
    eens_read_fn read;
    size_t size;
    size_t workspace_size;
    size_t output_size;
    eens_request request;
    eens_where where;
};

extern struct arguments given;
int firmware(void);

int firmware(void) {
    eens_file file;
    eens_tensor tensor;
    eens_status status = eens_open(given.data, given.size, 0, &file, &given.where);
#if !defined(EENS_NO_READER)
    if (given.read != NULL) {
        status = eens_open_reader(given.read, given.workspace, given.size, 0, &file, &given.where);
    }
#endif
    if (status == EENS_OK) {
        status = eens_find(&file, given.name, given.size, &tensor);
    }
    if (status == EENS_OK) {
        status = eens_workspace_size(&file, &tensor, &given.workspace_size);
    }
    if (status == EENS_OK) {
        status = eens_decode(&file, &tensor, &given.request, given.workspace, given.workspace_size,
                             given.output, given.output_size, &given.where);
    }
    return (int)status;
}

/* Their sizes are the structs' sizes. */
extern char struct_sizes[sizeof(eens_file) + sizeof(eens_tensor)];
char struct_sizes[sizeof(eens_file) + sizeof(eens_tensor)];
