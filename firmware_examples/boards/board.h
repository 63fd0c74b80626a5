/* What the examples need of a board: text out, a way to end, and how much stack was used.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef BOARD_H
#define BOARD_H

#include <stddef.h>
#include <stdint.h>

void board_print(const char *text);
void board_print_unsigned(uint32_t number);
void board_print_hex(uint32_t number); /* eight digits */
void board_print_fixed(float number);  /* six decimals, for |number| < 4096 */

/* Ends the program; the emulator's exit code is this one. */
void board_exit(int code);

/* Bytes of stack that were ever written to since the start. */
size_t board_stack_used(void);

/* Bytes of initialised and zeroed data, without the stack. */
size_t board_data_size(void);

/* Bytes of flash: code, constants, what is embedded. */
size_t board_flash_size(void);

#endif
