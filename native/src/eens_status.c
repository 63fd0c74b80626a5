/* The sentence of every status (S12). */
#include "eens_internal.h"

const char *eens_strerror(eens_status status) {
    switch (status) { /* no default: -Wswitch finds a status without a sentence */
    case EENS_OK: return "ok";
    case EENS_ERR_ARGUMENT: return "the call is wrong: an argument is out of range";
    case EENS_ERR_MAGIC: return "not an edgeens container";
    case EENS_ERR_BYTE_ORDER: return "the byte order mark is wrong";
    case EENS_ERR_VERSION: return "the major version is not one this decoder knows";
    case EENS_ERR_TRUNCATED: return "the file is shorter than it says";
    case EENS_ERR_TRAILING: return "the file is longer than it says";
    case EENS_ERR_HEADER: return "a field of the header is out of range";
    case EENS_ERR_HEAD_CHECKSUM: return "checksum mismatch in the head";
    case EENS_ERR_TABLE: return "the table pool is malformed";
    case EENS_ERR_NAME: return "a tensor's name is malformed or out of order";
    case EENS_ERR_RECORD: return "a tensor record is malformed";
    case EENS_ERR_SCALE: return "a scale is not a positive normal number, or scales are missing";
    case EENS_ERR_INDEX: return "the block index does not fit the tensors";
    case EENS_ERR_LIMIT: return "a tensor is larger than the limit the caller set";
    case EENS_ERR_SECTION: return "a section is malformed";
    case EENS_ERR_CRITICAL: return "the file needs a section that this decoder does not know";
    case EENS_ERR_SECTION_CHECKSUM: return "checksum mismatch in a section";
    case EENS_ERR_BLOCK_CHECKSUM: return "checksum mismatch in a block";
    case EENS_ERR_BLOCK_CONTENT: return "a block's content is malformed";
    case EENS_ERR_DIGEST:
        return "the decoded tensor does not have the digest that the file states";
    case EENS_ERR_UNSUPPORTED:
        return "this decoder was built without the method or coder that the tensor needs; "
               "for a small build encode with profile mcu";
    case EENS_ERR_WORKSPACE: return "the workspace is too small";
    case EENS_ERR_OUTPUT: return "the output is too small";
    case EENS_ERR_READ: return "the storage could not be read";
    case EENS_ERR_NOT_FOUND: return "there is no such tensor or section";
    }
    return "unknown status";
}
