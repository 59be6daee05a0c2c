/* Counts what the code under test asks of the heap: the linker sends its calls of malloc, calloc
 * and realloc here (--wrap, in tests/CMakeLists.txt). Included by one file of a program. */
#pragma once

#include <stddef.h>

static size_t allocation_count;

/* The names are the linker's. NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c) */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);

void *__wrap_malloc(size_t size)
{
    allocation_count++;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    allocation_count++;
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size)
{
    allocation_count++;
    return __real_realloc(block, size);
}
/* NOLINTEND */
