/* The types of call messages, numbered as in call_types.def. */
#pragma once

#include "common/slice.h"

enum call_type {
#define CALL_TYPE(enumerator, name) CALL_TYPE_##enumerator,
#include "common/call_types.def"
#undef CALL_TYPE
    CALL_TYPE_COUNT
};

/* CALL_TYPE_COUNT: no such type. */
enum call_type call_type_find(struct slice name);
const char *call_type_name(enum call_type type);
