/* What the code asks of the compiler beyond C17 (GCC and Clang understand all of it). */
#pragma once

#include <stddef.h>

/* A result that must not be dropped: it says whether something was done at all. */
#define MUST_CHECK __attribute__((warn_unused_result))

/* Lets the compiler check a printf-style call. */
#define PRINTF_FORMAT(format_index, first_arg_index) \
    __attribute__((format(printf, format_index, first_arg_index)))

/* The struct that embeds `member`, given a pointer to that member. */
#define container_of(pointer, type, member) \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#define ARRAY_LENGTH(array) (sizeof(array) / sizeof((array)[0]))
