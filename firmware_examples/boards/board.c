/* board.h by Arm's semihosting, which debuggers and emulators understand: each call is a breakpoint
 * with a number and a parameter. On a product, replace this file by one that writes to a UART.
 * SPDX-License-Identifier: Apache-2.0 */
#include "board.h"

#define SYS_WRITE0 0x04u
#define SYS_EXIT_EXTENDED 0x20u
#define APPLICATION_EXIT 0x20026u

static void call(uint32_t operation, const void *parameter) {
    register uint32_t number __asm__("r0") = operation;
    register const void *pointer __asm__("r1") = parameter;
    __asm__ volatile("bkpt 0xAB" : "+r"(number) : "r"(pointer) : "memory");
}

void board_print(const char *text) {
    call(SYS_WRITE0, text);
}

void board_print_unsigned(uint32_t number) {
    char digits[11];
    size_t first = sizeof digits - 1;
    digits[first] = '\0';
    do {
        digits[--first] = (char)('0' + number % 10u);
        number /= 10u;
    } while (number != 0);
    board_print(digits + first);
}

void board_print_hex(uint32_t number) {
    char digits[9];
    for (unsigned i = 0; i < 8; i++) {
        digits[i] = "0123456789abcdef"[number >> (28 - 4 * i) & 15u];
    }
    digits[8] = '\0';
    board_print(digits);
}

void board_print_fixed(float number) {
    if (number < 0) {
        board_print("-");
        number = -number;
    }
    uint32_t millionths = (uint32_t)(number * 1e6f + 0.5f);
    uint32_t fraction = millionths % 1000000u;
    board_print_unsigned(millionths / 1000000u);
    board_print(".");
    for (uint32_t unit = 100000u; unit > 1 && fraction < unit; unit /= 10u) {
        board_print("0");
    }
    board_print_unsigned(fraction);
}

void board_exit(int code) {
    const uint32_t block[2] = {APPLICATION_EXIT, (uint32_t)code};
    for (;;) {
        call(SYS_EXIT_EXTENDED, block);
    }
}
