/* CRC-32C (S1): by table, on any machine. eens_crc_fast.c has the machines' own instruction. */
#include "eens_internal.h"

#if defined(EENS_SMALL)

/* 16 entries, not 256: 64 bytes of flash instead of 1024, and reading flash takes longer anyway. */
static const uint32_t nibbles[16] = {
    0x00000000u, 0x105EC76Fu, 0x20BD8EDEu, 0x30E349B1u, 0x417B1DBCu, 0x5125DAD3u,
    0x61C69362u, 0x7198540Du, 0x82F63B78u, 0x92A8FC17u, 0xA24BB5A6u, 0xB21572C9u,
    0xC38D26C4u, 0xD3D3E1ABu, 0xE330A81Au, 0xF36E6F75u,
};

static uint32_t by_table(uint32_t state, const uint8_t *data, size_t size) {
    for (size_t i = 0; i < size; i++) {
        state ^= data[i];
        state = state >> 4 ^ nibbles[state & 15];
        state = state >> 4 ^ nibbles[state & 15];
    }
    return state;
}

#else

/* Slicing by 8: table k holds the CRC of a byte with k zero bytes behind it. A CRC is linear, so an
 * entry is the sum (XOR) of the entries of its single bits, and those 8 numbers a table are all
 * that has to be written down. */
#define MIX(i, b0, b1, b2, b3, b4, b5, b6, b7) \
    (((i) & 1 ? b0 : 0) ^ ((i) & 2 ? b1 : 0) ^ ((i) & 4 ? b2 : 0) ^ ((i) & 8 ? b3 : 0) ^ \
     ((i) & 16 ? b4 : 0) ^ ((i) & 32 ? b5 : 0) ^ ((i) & 64 ? b6 : 0) ^ ((i) & 128 ? b7 : 0))
#define ROW4(S, i) S(i), S((i) + 1), S((i) + 2), S((i) + 3)
#define ROW16(S, i) ROW4(S, i), ROW4(S, (i) + 4), ROW4(S, (i) + 8), ROW4(S, (i) + 12)
#define ROW64(S, i) ROW16(S, i), ROW16(S, (i) + 16), ROW16(S, (i) + 32), ROW16(S, (i) + 48)
#define TABLE(S) {ROW64(S, 0), ROW64(S, 64), ROW64(S, 128), ROW64(S, 192)}
#define SLICE0(i) \
    MIX(i, 0xF26B8303u, 0xE13B70F7u, 0xC79A971Fu, 0x8AD958CFu, \
        0x105EC76Fu, 0x20BD8EDEu, 0x417B1DBCu, 0x82F63B78u)
#define SLICE1(i) \
    MIX(i, 0x13A29877u, 0x274530EEu, 0x4E8A61DCu, 0x9D14C3B8u, \
        0x3FC5F181u, 0x7F8BE302u, 0xFF17C604u, 0xFBC3FAF9u)
#define SLICE2(i) \
    MIX(i, 0xA541927Eu, 0x4F6F520Du, 0x9EDEA41Au, 0x38513EC5u, \
        0x70A27D8Au, 0xE144FB14u, 0xC76580D9u, 0x8B277743u)
#define SLICE3(i) \
    MIX(i, 0xDD45AAB8u, 0xBF672381u, 0x7B2231F3u, 0xF64463E6u, \
        0xE964B13Du, 0xD725148Bu, 0xABA65FE7u, 0x52A0C93Fu)
#define SLICE4(i) \
    MIX(i, 0x38116FACu, 0x7022DF58u, 0xE045BEB0u, 0xC5670B91u, \
        0x8F2261D3u, 0x1BA8B557u, 0x37516AAEu, 0x6EA2D55Cu)
#define SLICE5(i) \
    MIX(i, 0xEF306B19u, 0xDB8CA0C3u, 0xB2F53777u, 0x6006181Fu, \
        0xC00C303Eu, 0x85F4168Du, 0x0E045BEBu, 0x1C08B7D6u)
#define SLICE6(i) \
    MIX(i, 0x68032CC8u, 0xD0065990u, 0xA5E0C5D1u, 0x4E2DFD53u, \
        0x9C5BFAA6u, 0x3D5B83BDu, 0x7AB7077Au, 0xF56E0EF4u)
#define SLICE7(i) \
    MIX(i, 0x493C7D27u, 0x9278FA4Eu, 0x211D826Du, 0x423B04DAu, \
        0x847609B4u, 0x0D006599u, 0x1A00CB32u, 0x34019664u)

static const uint32_t tables[8][256] = {
    TABLE(SLICE0), TABLE(SLICE1), TABLE(SLICE2), TABLE(SLICE3),
    TABLE(SLICE4), TABLE(SLICE5), TABLE(SLICE6), TABLE(SLICE7),
};

static uint32_t by_table(uint32_t state, const uint8_t *data, size_t size) {
    while (size >= 8) {
        uint32_t low = state ^ eens_load32(data);
        uint32_t high = eens_load32(data + 4);
        state = tables[7][low & 255] ^ tables[6][low >> 8 & 255] ^ tables[5][low >> 16 & 255] ^
                tables[4][low >> 24] ^ tables[3][high & 255] ^ tables[2][high >> 8 & 255] ^
                tables[1][high >> 16 & 255] ^ tables[0][high >> 24];
        data += 8;
        size -= 8;
    }
    while (size-- != 0) {
        state = state >> 8 ^ tables[0][(state ^ *data++) & 255];
    }
    return state;
}

#endif

#if defined(EENS_SMALL)

uint32_t eens_crc32c(uint32_t crc, const void *data, size_t size) {
    return ~by_table(~crc, data, size);
}

#else

uint32_t eens_crc_update(bool fast, uint32_t crc, const uint8_t *data, size_t size) {
    return ~(fast ? eens_crc_by_instruction(~crc, data, size) : by_table(~crc, data, size));
}

uint32_t eens_crc32c(uint32_t crc, const void *data, size_t size) {
    return eens_crc_update(eens_crc_is_fast(size), crc, data, size);
}

#endif
