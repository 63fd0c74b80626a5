/* A Cortex-M program with newlib's standard library, its files and arguments through semihosting:
 * for the library's own tests on an emulated board. Set up what newlib's start-up code does not: the
 * FPU where there is one, and, with TRAP_UNALIGNED, a trap on every unaligned access, which Cortex-M0
 * has and newer cores only on request. A fault ends the program with exit code 70.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>

#define CCR (*(volatile uint32_t *)0xE000ED14u)
#define CCR_UNALIGN_TRP 0x8u
#define CPACR (*(volatile uint32_t *)0xE000ED88u)
#define CPACR_FPU 0xF00000u

extern void _start(void);
extern uint32_t __stack[];
void reset(void);

void reset(void) {
#ifdef TRAP_UNALIGNED
    CCR |= CCR_UNALIGN_TRP;
#endif
#ifdef __ARM_FP
    CPACR |= CPACR_FPU;
    __asm__ volatile("dsb\n isb" ::: "memory");
#endif
    _start();
}

#ifdef TRAP_UNALIGNED
/* newlib's own for ARMv7-M reads words from any address, which is what shall trap. */
void *memcpy(void *restrict to, const void *restrict from, size_t size);

__attribute__((optimize("no-tree-loop-distribute-patterns"))) void *
memcpy(void *restrict to, const void *restrict from, size_t size) {
    for (size_t i = 0; i < size; i++) {
        ((uint8_t *)to)[i] = ((const uint8_t *)from)[i];
    }
    return to;
}
#endif

/* Semihosting call 0x20, SYS_EXIT_EXTENDED, with the reason "application exit". */
static void fault(void) {
    static const uint32_t block[2] = {0x20026u, 70u};
    register uint32_t operation __asm__("r0") = 0x20u;
    register const void *parameter __asm__("r1") = block;
    for (;;) {
        __asm__ volatile("bkpt 0xAB" ::"r"(operation), "r"(parameter) : "memory");
    }
}

typedef union vector {
    const void *stack;
    void (*handler)(void);
} vector;

__attribute__((section(".vectors"), used)) static const vector vectors[16] = {
    {.stack = __stack},  {.handler = reset}, {.handler = fault}, {.handler = fault},
    {.handler = fault},  {.handler = fault}, {.handler = fault}, {.stack = 0},
    {.stack = 0},        {.stack = 0},       {.stack = 0},       {.handler = fault},
    {.handler = fault},  {.stack = 0},       {.handler = fault}, {.handler = fault},
};
