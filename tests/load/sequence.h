/* Whether numbered messages arrive once and in order. Remembers the last SEQUENCE_MEMORY numbers:
 * what is older and comes late counts as late even if it came before. All zeroes is the beginning;
 * the first number is 1. */
#pragma once

#include <stdint.h>

enum { SEQUENCE_MEMORY = 256, SEQUENCE_WORD_BITS = 64 };

struct sequence {
    uint64_t last;                                       /* the highest number so far */
    uint64_t distinct;                                   /* numbers that came, each counted once */
    uint64_t seen[SEQUENCE_MEMORY / SEQUENCE_WORD_BITS]; /* by number modulo SEQUENCE_MEMORY */
};

enum sequence_verdict {
    SEQUENCE_IN_ORDER, /* higher than all before; numbers that were skipped may still come */
    SEQUENCE_LATE,     /* behind a higher one */
    SEQUENCE_AGAIN,    /* came before */
};

enum sequence_verdict sequence_take(struct sequence *sequence, uint64_t number);
