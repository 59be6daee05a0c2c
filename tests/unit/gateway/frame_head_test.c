/* Heads of frames: their bytes at every width of the length, and back. */
#include "gateway/frame_head.h"

#include "common/compiler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct row {
    size_t payload_bytes;
    size_t head_bytes;
    const char *head;
};

static const struct row rows[] = {
    {0, 2, "\x81\x00"},
    {1, 2, "\x81\x01"},
    {125, 2, "\x81\x7d"},
    {126, 4, "\x81\x7e\x00\x7e"},
    {127, 4, "\x81\x7e\x00\x7f"},
    {65535, 4, "\x81\x7e\xff\xff"},
    {65536, 10, "\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"},
    {0x0102030405060708, 10, "\x81\x7f\x01\x02\x03\x04\x05\x06\x07\x08"},
};

static void written(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        uint8_t head[FRAME_HEAD_MAX_BYTES];
        memset(head, 0xee, sizeof head);
        frame_head_write(head, 1, rows[i].payload_bytes);
        assert_int_equal(frame_head_size(rows[i].payload_bytes), rows[i].head_bytes);
        assert_memory_equal(head, rows[i].head, rows[i].head_bytes);
        for (size_t j = rows[i].head_bytes; j < sizeof head; j++) {
            assert_int_equal(head[j], 0xee);
        }
    }
}

static void read_unmasked(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        const uint8_t *head = (const uint8_t *)rows[i].head;
        assert_int_equal(frame_head_bytes(head), rows[i].head_bytes);
        assert_int_equal(frame_head_payload_bytes(head), rows[i].payload_bytes);
    }
}

static void read_masked(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        uint8_t head[FRAME_HEAD_MAX_BYTES] = {0};
        memcpy(head, rows[i].head, rows[i].head_bytes);
        head[1] |= FRAME_MASK;
        assert_int_equal(frame_head_bytes(head), rows[i].head_bytes + 4);
        assert_int_equal(frame_head_payload_bytes(head), rows[i].payload_bytes);
    }
}

static void opcodes(void **state)
{
    (void)state;
    for (unsigned opcode = 0; opcode <= FRAME_OPCODE; opcode++) {
        uint8_t head[FRAME_HEAD_MAX_BYTES];
        frame_head_write(head, (uint8_t)opcode, 0);
        assert_int_equal(head[0], FRAME_FIN | opcode);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written),
        cmocka_unit_test(read_unmasked),
        cmocka_unit_test(read_masked),
        cmocka_unit_test(opcodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
