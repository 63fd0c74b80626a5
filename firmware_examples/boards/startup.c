/* Cortex-M from reset to main, without a C library's start-up code: copies initialised data, clears
 * the rest, paints the stack so that its use can be read later, turns the FPU on where there is one.
 * A fault ends the program with exit code 70. SPDX-License-Identifier: Apache-2.0 */
#include "board.h"

#define CPACR (*(volatile uint32_t *)0xE000ED88u)
#define CPACR_FPU 0xF00000u
#define PAINT 0xA5A5A5A5u
#define EXIT_FAULT 70

/* From cortex_m.ld. */
extern uint32_t data_source[], data_begin[], data_end[], bss_begin[], bss_end[];
extern uint32_t stack_begin[], stack_end[];
extern uint8_t flash_begin[], flash_end[];

int main(void);
void reset(void);

static void fault(void) {
    board_print("fault\n");
    board_exit(EXIT_FAULT);
}

typedef union vector {
    const void *stack;
    void (*handler)(void);
} vector;

__attribute__((section(".vectors"), used)) static const vector vectors[16] = {
    {.stack = stack_end}, {.handler = reset}, {.handler = fault}, {.handler = fault},
    {.handler = fault},   {.handler = fault}, {.handler = fault}, {.stack = 0},
    {.stack = 0},         {.stack = 0},       {.stack = 0},       {.handler = fault},
    {.handler = fault},   {.stack = 0},       {.handler = fault}, {.handler = fault},
};

void reset(void) {
    register uint32_t *top __asm__("sp");
    const uint32_t *from = data_source;
    for (uint32_t *to = data_begin; to < data_end; to++) {
        *to = *from++;
    }
    for (uint32_t *to = bss_begin; to < bss_end; to++) {
        *to = 0;
    }
    for (uint32_t *to = stack_begin; to < top - 16; to++) { /* what lies above is in use */
        *to = PAINT;
    }
#ifdef __ARM_FP
    CPACR |= CPACR_FPU;
    __asm__ volatile("dsb\n isb" ::: "memory");
#endif
    board_exit(main());
}

size_t board_stack_used(void) {
    const uint32_t *lowest = stack_begin;
    while (lowest < stack_end && *lowest == PAINT) {
        lowest++;
    }
    return (size_t)(stack_end - lowest) * sizeof *lowest;
}

size_t board_data_size(void) {
    return (size_t)((bss_end - bss_begin) + (data_end - data_begin)) * sizeof *bss_begin;
}

size_t board_flash_size(void) {
    return (size_t)(flash_end - flash_begin) + board_data_size() -
           (size_t)(bss_end - bss_begin) * sizeof *bss_begin;
}
