/* A container in flash: the file CONTAINER, between two symbols. It needs no alignment. */
    .section .rodata.container, "a"
    .global container_begin
    .global container_end
container_begin:
    .incbin CONTAINER
container_end:
