/* Counts what the code under test asks of the heap, and refuses it if told to: the linker sends its
 * calls of malloc, calloc and realloc here (--wrap, in tests/CMakeLists.txt). Included by one file
 * of a program. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Volatile, since the compiler takes it that malloc neither reads nor writes them. */
static volatile size_t allocation_count;
static volatile bool allocations_fail; /* from now on */

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
    return allocations_fail ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    allocation_count++;
    return allocations_fail ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size)
{
    allocation_count++;
    return allocations_fail ? NULL : __real_realloc(block, size);
}
/* NOLINTEND */
