/* UTF-8 against a decoder that is slow and plainly right, whole and in every split. */
#include "common/utf8.h"

#include "common/compiler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* The sequence at the front of `text` decoded by the book: its length, 0 if it is none. */
static size_t reference_sequence(struct slice text)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t first = text.data[0];
    if (first < 0x80) {
        return 1;
    }
    size_t len = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc0 || first >= 0xf8 || text.len < len) {
        return 0;
    }
    uint32_t code = first & (0x7fU >> len);
    for (size_t i = 1; i < len; i++) {
        if ((text.data[i] & 0xc0) != 0x80) {
            return 0;
        }
        code = code << 6 | (text.data[i] & 0x3f);
    }
    bool is_surrogate = code >= 0xd800 && code <= 0xdfff;
    return code >= least[len] && code <= 0x10ffff && !is_surrogate ? len : 0;
}

static bool reference_valid(struct slice text)
{
    while (text.len > 0) {
        size_t len = reference_sequence(text);
        if (len == 0) {
            return false;
        }
        text = slice_drop(text, len);
    }
    return true;
}

static bool valid_in_two(struct slice text, size_t cut)
{
    struct utf8_state state = {0};
    return utf8_feed(&state, slice_of(text.data, cut)) &&
           utf8_feed(&state, slice_drop(text, cut)) && utf8_complete(&state);
}

static bool valid_by_bytes(struct slice text)
{
    struct utf8_state state = {0};
    for (size_t i = 0; i < text.len; i++) {
        if (!utf8_feed(&state, slice_of(text.data + i, 1))) {
            return false;
        }
    }
    return utf8_complete(&state);
}

static void check(struct slice text)
{
    bool expected = reference_valid(text);
    assert_int_equal(utf8_valid(text), expected);
    assert_int_equal(valid_by_bytes(text), expected);
    for (size_t cut = 0; cut <= text.len; cut++) {
        assert_int_equal(valid_in_two(text, cut), expected);
    }
}

static void every_sequence_of_up_to_three_bytes(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 1U << 24; i++) {
        uint8_t bytes[3] = {(uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};
        struct slice text = slice_of(bytes, sizeof bytes);
        if (utf8_valid(text) != reference_valid(text)) {
            fail_msg("%02x %02x %02x", bytes[0], bytes[1], bytes[2]);
        }
    }
}

static void every_edge_of_four_bytes(void **state)
{
    (void)state;
    static const uint8_t edges[] = {0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff};
    for (int first = 0xec; first <= 0xff; first++) {
        for (size_t i = 0; i < 1000; i++) {
            uint8_t bytes[] = {(uint8_t)first, edges[i / 100], edges[i / 10 % 10], edges[i % 10]};
            check(slice_of(bytes, sizeof bytes));
        }
    }
}

/* A bad byte, and a good sequence, at each place relative to the eight bytes looked at at once. */
static void every_place_among_ascii(void **state)
{
    (void)state;
    static const char *const inserts[] = {"\x80", "\xff", "\xce\xba", "\xf0\x9f\x98\x80",
                                          "\xed\xa0\x80"};
    for (size_t i = 0; i < ARRAY_LENGTH(inserts); i++) {
        for (size_t place = 0; place <= 24; place++) {
            char text[32];
            memset(text, 'a', sizeof text);
            memcpy(text + place, inserts[i], strlen(inserts[i]));
            check(slice_of(text, sizeof text));
            check(slice_of(text + 1, sizeof text - 1));
            check(slice_of(text, place + strlen(inserts[i])));
        }
    }
}

static void empty_and_nul(void **state)
{
    (void)state;
    assert_true(utf8_valid(slice_of(NULL, 0)));
    assert_true(utf8_valid(slice_of("a\0b", 3)));
}

/* The first byte that no continuation can save is refused, not a later one. */
static void refuses_at_once(void **state)
{
    (void)state;
    static const char *const texts[] = {"a\x80",     "\xc0",         "\xc1",     "\xe0\x9f",
                                        "\xed\xa0",  "\xf0\x8f",     "\xf4\x90", "\xf5",
                                        "\xe2\x82z", "\xf0\x90\x80z"};
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
        struct slice text = slice_from_string(texts[i]);
        struct utf8_state utf8 = {0};
        assert_true(utf8_feed(&utf8, slice_of(text.data, text.len - 1)));
        assert_false(utf8_feed(&utf8, slice_drop(text, text.len - 1)));
    }
}

static void incomplete_is_not_refused_yet(void **state)
{
    (void)state;
    struct utf8_state utf8 = {0};
    assert_true(utf8_feed(&utf8, slice_of("a\xf0\x9f", 3)));
    assert_false(utf8_complete(&utf8));
    assert_true(utf8_feed(&utf8, slice_of("\x98\x80", 2)));
    assert_true(utf8_complete(&utf8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sequence_of_up_to_three_bytes),
        cmocka_unit_test(every_edge_of_four_bytes),
        cmocka_unit_test(every_place_among_ascii),
        cmocka_unit_test(empty_and_nul),
        cmocka_unit_test(refuses_at_once),
        cmocka_unit_test(incomplete_is_not_refused_yet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
