#include "common/identity.h"

bool identity_has_control(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c < ' ' || c == 0x7f || (c == 0xc2 && text.data[i + 1] < 0xa0)) {
            return true;
        }
    }
    return false;
}
