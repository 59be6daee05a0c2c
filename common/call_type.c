#include "common/call_type.h"

#include "common/compiler.h"

static const struct call_type_name {
    const char *text;
    size_t len;
} names[CALL_TYPE_COUNT] = {
#define CALL_TYPE(enumerator, name) [CALL_TYPE_##enumerator] = {name, sizeof(name) - 1},
#include "common/call_types.def"
#undef CALL_TYPE
};

enum call_type call_type_find(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        if (slice_equal(name, slice_of(names[i].text, names[i].len))) {
            return (enum call_type)i;
        }
    }
    return CALL_TYPE_COUNT;
}

const char *call_type_name(enum call_type type)
{
    return names[type].text;
}
