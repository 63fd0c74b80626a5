# Builds a Cortex-M program and runs it in an emulator. Included by an example's Makefile, which sets
# SOURCES (its .c files) and CONTAINER (the file to put into flash), and then says
#     $(eval $(call board,NAME))
# for each board NAME of the list below: it gives the target run-NAME.

ROOT := ../..
BOARDS := $(ROOT)/firmware_examples/boards
LIBRARY := $(wildcard $(ROOT)/native/src/*.c)
HEADERS := $(wildcard $(ROOT)/native/src/*.h $(ROOT)/native/include/*.h $(BOARDS)/*.h *.h)
EDGEENS ?= edgeens
PYTHON ?= python3
CROSS ?= arm-none-eabi-gcc
PACKAGES := gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm
CFLAGS := -std=c11 -mthumb -Os -DEENS_SMALL -ffp-contract=off -ffunction-sections -fdata-sections \
    -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror \
    -I$(ROOT)/native/include -I$(BOARDS) -Ibuild
LDFLAGS := -nostartfiles --specs=nano.specs -Wl,--gc-sections -T $(BOARDS)/cortex_m.ld

# core flags; machine of qemu-system-arm; flash and RAM, addresses and sizes
microbit_CORE := -mcpu=cortex-m0
microbit_MACHINE := microbit
microbit_MEMORY := FLASH=0,FLASH_SIZE=256K,RAM=0x20000000,RAM_SIZE=16K
m4_CORE := -mcpu=cortex-m4 -mfpu=fpv4-sp-d16 -mfloat-abi=hard
m4_MACHINE := mps2-an386
m4_MEMORY := FLASH=0,FLASH_SIZE=512K,RAM=0x20000000,RAM_SIZE=64K
m7_CORE := -mcpu=cortex-m7 -mfpu=fpv5-sp-d16 -mfloat-abi=hard
m7_MACHINE := mps2-an500
m7_MEMORY := FLASH=0,FLASH_SIZE=512K,RAM=0x20000000,RAM_SIZE=64K

comma := ,
define board
build/$(1).elf: $(SOURCES) $(LIBRARY) $(HEADERS) $(wildcard $(BOARDS)/*) $(CONTAINER) $(GENERATED)
	@mkdir -p build
	$(CROSS) $(CFLAGS) $($(1)_CORE) -DCONTAINER='"$(CONTAINER)"' $(SOURCES) $(BOARDS)/startup.c \
	    $(BOARDS)/board.c $(BOARDS)/container.S $(LIBRARY) $(LDFLAGS) \
	    $(patsubst %,-Wl$(comma)--defsym=%,$(subst $(comma), ,$($(1)_MEMORY))) $(LIBS) -o $$@

build/$(1).txt: build/$(1).elf
	timeout 300 qemu-system-arm -M $($(1)_MACHINE) -nographic -monitor none -serial none \
	    -chardev stdio,id=console -semihosting-config enable=on,target=native,chardev=console \
	    -kernel $$< < /dev/null > $$@.part || { cat $$@.part; rm -f $$@.part; exit 1; }
	@mv $$@.part $$@

.PHONY: run-$(1)
run-$(1): build/$(1).txt
	@echo "--- $(notdir $(CURDIR)) on $(1)"
	@cat $$<
endef

.PHONY: run clean toolchain
toolchain:
	@for program in $(CROSS) qemu-system-arm; do command -v $$program > /dev/null || \
	    { echo "no $$program: apt-get install $(PACKAGES)" >&2; exit 1; }; done
clean:
	rm -rf build
