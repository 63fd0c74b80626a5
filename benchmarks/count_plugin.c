/* A plugin of QEMU's translator: how often the emulated program ran each piece of its code.
 *
 * Half of benchmarks.instructions; decode_driver.c is the program that it watches. Writes a line
 * "address instructions runs function" for each translated piece into QEMU's log, the address in
 * hexadecimal; benchmarks.instructions adds them up. Counts depend on nothing but program and input.
 *
 * The declarations are those parts of QEMU's plugin interface, version 1 (QEMU 4.2 to 8.2), that are
 * used here: Debian packages no header of it. */
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define SHOWN __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
struct qemu_info;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
                                           void (*translated)(qemu_plugin_id_t id,
                                                              struct qemu_plugin_tb *code));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *code,
                                          void (*ran)(unsigned int cpu, void *data),
                                          enum qemu_plugin_cb_flags flags, void *data);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id,
                                    void (*ended)(qemu_plugin_id_t id, void *data), void *data);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *code);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *code);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *code, size_t number);
const char *qemu_plugin_insn_symbol(const struct qemu_plugin_insn *instruction);
void qemu_plugin_outs(const char *line);

SHOWN extern int qemu_plugin_version;
SHOWN int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int count,
                              char **arguments);

int qemu_plugin_version = 1;

/* Instructions in a row that only the last one leaves: all of them run, or none. */
struct piece {
    struct piece *next;
    const char *function; /* QEMU's own string, which lives as long as QEMU; NULL: not known */
    uint64_t address;     /* of the first instruction, as the emulated program sees it */
    uint64_t instructions;
    uint64_t runs;
};

static struct piece *pieces;

static void count_run(unsigned int cpu, void *data) {
    (void)cpu; /* the program has one thread */
    ((struct piece *)data)->runs++;
}

static void count_piece(qemu_plugin_id_t id, struct qemu_plugin_tb *code) {
    struct piece *piece = calloc(1, sizeof *piece);
    (void)id;
    if (piece == NULL) abort();
    piece->next = pieces;
    piece->function = qemu_plugin_insn_symbol(qemu_plugin_tb_get_insn(code, 0));
    piece->address = qemu_plugin_tb_vaddr(code);
    piece->instructions = qemu_plugin_tb_n_insns(code);
    pieces = piece;
    qemu_plugin_register_vcpu_tb_exec_cb(code, count_run, QEMU_PLUGIN_CB_NO_REGS, piece);
}

static void write_counts(qemu_plugin_id_t id, void *data) {
    char line[256];
    (void)id;
    (void)data;
    for (const struct piece *piece = pieces; piece != NULL; piece = piece->next) {
        snprintf(line, sizeof line, "%" PRIx64 " %" PRIu64 " %" PRIu64 " %s\n", piece->address,
                 piece->instructions, piece->runs, piece->function == NULL ? "?" : piece->function);
        qemu_plugin_outs(line);
    }
}

int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int count,
                        char **arguments) {
    (void)info;
    (void)count;
    (void)arguments;
    qemu_plugin_register_vcpu_tb_trans_cb(id, count_piece);
    qemu_plugin_register_atexit_cb(id, write_counts, NULL);
    return 0;
}
