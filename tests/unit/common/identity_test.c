/* What no userId may hold: exactly the control characters, at every place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/identity.h"

static void exactly_the_control_characters_are_found(void **state)
{
    (void)state;
    for (uint32_t code = 0; code < 0x800; code++) {
        uint8_t text[4] = {'a'};
        size_t len = 1;
        if (code < 0x80) {
            text[len++] = (uint8_t)code;
        } else {
            text[len++] = (uint8_t)(0xc0 | code >> 6);
            text[len++] = (uint8_t)(0x80 | (code & 0x3f));
        }
        text[len++] = 'z';
        bool is_control = code < 0x20 || (code >= 0x7f && code < 0xa0);
        assert_int_equal(identity_has_control(slice_of(text, len)), is_control);
        assert_int_equal(identity_has_control(slice_of(text + 1, len - 2)), is_control);
    }
}

/* Bytes 0x80 to 0x9f continue many characters that are none. */
static void other_characters_with_such_bytes_are_not(void **state)
{
    (void)state;
    static const char *const clean[] = {"", "alice", "\xe2\x80\x99", "\xf0\x9f\x93\x9e",
                                        "\xc3\x80"};
    for (size_t i = 0; i < sizeof clean / sizeof clean[0]; i++) {
        assert_false(identity_has_control(slice_from_string(clean[i])));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exactly_the_control_characters_are_found),
        cmocka_unit_test(other_characters_with_such_bytes_are_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
