/* Opening (S12): everything that is structural is checked here, in the order of the spec. */
#include "eens_internal.h"

/* S12, 7 and 8. */
static eens_status check_tensors(eens_file *file, eens_head *head) {
    for (uint32_t i = 0; i < file->tensor_count; i++) {
        head->where.tensor = (int32_t)i;
        eens_status status = eens_tensor_check(file, i, head);
        if (status != EENS_OK) {
            return status;
        }
    }
    head->where.tensor = -1;
    file->sections_offset = head->data_end;
    if (head->names_used != file->names_size) {
        return EENS_ERR_NAME;
    }
    if (head->scales_used != file->scale_count) {
        return EENS_ERR_SCALE;
    }
    return head->blocks_used == file->block_count ? EENS_OK : EENS_ERR_INDEX;
}

/* The file has its size, and where it is; all else is filled in here. */
static eens_status open_file(eens_file *file, eens_where *where, uint64_t limit) {
    eens_head head;
    eens_offset size = (eens_offset)file->size;
    memset(file, 0, offsetof(eens_file, data));
    file->size = size;
    memset(&head, 0, sizeof head);
    head.where.tensor = head.where.block = head.where.section = -1;
    head.limit = limit;
    eens_status status = eens_head_check(file, &head);
    if (status == EENS_OK) {
        status = check_tensors(file, &head);
    }
    if (status == EENS_OK) {
        status = eens_sections_check(file, &head.where);
    }
    if (where != NULL) {
        *where = head.where;
    }
    return status;
}

eens_status eens_open(const void *data, size_t size, uint64_t tensor_limit, eens_file *file,
                      eens_where *where) {
    if (file == NULL || data == NULL || (eens_offset)size != size) {
        return EENS_ERR_ARGUMENT;
    }
    file->data = data;
    file->read = NULL;
    file->context = NULL;
    file->size = size;
    return open_file(file, where, tensor_limit);
}

#if defined(EENS_NO_READER)

eens_status eens_open_reader(eens_read_fn read, void *context, uint64_t size,
                             uint64_t tensor_limit, eens_file *file, eens_where *where) {
    (void)read, (void)context, (void)size, (void)tensor_limit, (void)file, (void)where;
    return EENS_ERR_UNSUPPORTED;
}

#else

eens_status eens_open_reader(eens_read_fn read, void *context, uint64_t size,
                             uint64_t tensor_limit, eens_file *file, eens_where *where) {
    if (file == NULL || read == NULL || (eens_offset)size != size) {
        return EENS_ERR_ARGUMENT;
    }
    file->data = NULL;
    file->read = read;
    file->context = context;
    file->size = size;
    return open_file(file, where, tensor_limit);
}

#endif
