/* The outcome of a message: every message that a gateway has read ends in exactly one. */
#pragma once

enum outcome {
#define OUTCOME(enumerator, code, sentence) OUTCOME_##enumerator,
#include "common/outcomes.def"
#undef OUTCOME
    OUTCOME_COUNT
};

/* The `code` a client sees, as in PROTOCOL.md. */
const char *outcome_code(enum outcome outcome);
/* One sentence for a person. */
const char *outcome_sentence(enum outcome outcome);
