#include "tests/load/sequence.h"

#include <stdbool.h>

static uint64_t *word_of(struct sequence *sequence, uint64_t number)
{
    return &sequence->seen[number % SEQUENCE_MEMORY / SEQUENCE_WORD_BITS];
}

static uint64_t bit_of(uint64_t number)
{
    return UINT64_C(1) << (number % SEQUENCE_WORD_BITS);
}

static void mark(struct sequence *sequence, uint64_t number)
{
    *word_of(sequence, number) |= bit_of(number);
    sequence->distinct++;
}

/* Forgets whatever shared the places of the numbers behind `last`, up to `number`. */
static void advance(struct sequence *sequence, uint64_t number)
{
    uint64_t from = sequence->last + 1;
    if (number - from >= SEQUENCE_MEMORY) {
        from = number - SEQUENCE_MEMORY + 1;
    }
    for (uint64_t i = from; i <= number; i++) {
        *word_of(sequence, i) &= ~bit_of(i);
    }
    sequence->last = number;
}

enum sequence_verdict sequence_take(struct sequence *sequence, uint64_t number)
{
    if (number > sequence->last) {
        advance(sequence, number);
        mark(sequence, number);
        return SEQUENCE_IN_ORDER;
    }
    bool is_remembered = sequence->last - number < SEQUENCE_MEMORY;
    if (is_remembered && (*word_of(sequence, number) & bit_of(number)) != 0) {
        return SEQUENCE_AGAIN;
    }
    if (is_remembered) {
        mark(sequence, number);
    } else {
        sequence->distinct++;
    }
    return SEQUENCE_LATE;
}
